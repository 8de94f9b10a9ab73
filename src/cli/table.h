/*
 * Columns that fit their content, and words for numbers.
 *
 *	struct cli_table t = CLI_TABLE("POD ID", "NAME", "STATE");
 *	cli_table_row(&t, "abc", "web", "Ready");
 *	cli_table_print(&t, &out);
 *	cli_table_done(&t);
 */
#pragma once

#include "base/base.h"

enum { CLI_COLUMNS_MAX = 12 };

struct cli_table {
	const char *heads[CLI_COLUMNS_MAX];
	size_t n_columns;
	struct arena arena;
	char ***rows;
	size_t n_rows, cap_rows;
};

#define CLI_TABLE(...)                                                          \
	{                                                                       \
		.heads = { __VA_ARGS__ },                                       \
		.n_columns = sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), \
		.arena = ARENA_INIT                                             \
	}

/* One string a column, copied; NULL prints as "". */
#define cli_table_row(t, ...) cli_table_row_n((t), (const char *const[]){ __VA_ARGS__ }, \
					      sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *))
void cli_table_row_n(struct cli_table *t, const char *const *cells, size_t n);
int cli_table_print(const struct cli_table *t, struct buf *out);
void cli_table_done(struct cli_table *t);

/* "1.5MB", "12.3kB", "99B": powers of 1000, as image tools print. In the arena. */
char *cli_size(struct arena *a, uint64_t bytes);
/* "5 seconds ago", "2 hours ago" of a real-time stamp; "-" for 0. */
char *cli_age(struct arena *a, int64_t real);
/* The first 13 characters of an id, without "sha256:". */
char *cli_short_id(struct arena *a, const char *id);
