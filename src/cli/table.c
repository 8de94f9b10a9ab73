/*
 * Columns are as wide as their widest cell and two blanks apart; the last one is not padded.
 * Width counts bytes of UTF-8 lead characters only, so that names with accents line up.
 */
#include "cli/table.h"

#include <stdio.h>

static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

void cli_table_row_n(struct cli_table *t, const char *const *cells, size_t n)
{
	char **row = arena_new(&t->arena, t->n_columns, sizeof(char *));

	assert(n == t->n_columns);
	for (size_t i = 0; i < n; i++) {
		row[i] = arena_strdup(&t->arena, cells[i] ? cells[i] : "");
		for (char *p = row[i]; *p; p++)
			if ((unsigned char)*p < 0x20 || *p == 0x7f)
				*p = '?';
	}
	if (t->n_rows == t->cap_rows) {
		t->cap_rows = t->cap_rows ? t->cap_rows * 2 : 16;
		t->rows = mem_grow(t->rows, t->cap_rows, sizeof(*t->rows));
	}
	t->rows[t->n_rows++] = row;
}

static int print_row(const char *const *cells, const size_t *widths, size_t n, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		size_t pad = i + 1 < n ? widths[i] - width(cells[i]) + 2 : 0;

		r = buf_puts(out, cells[i]);
		while (pad-- && r == 0)
			r = buf_puts(out, " ");
	}
	return r == 0 ? buf_puts(out, "\n") : r;
}

int cli_table_print(const struct cli_table *t, struct buf *out)
{
	size_t widths[CLI_COLUMNS_MAX];
	int r;

	for (size_t i = 0; i < t->n_columns; i++) {
		widths[i] = width(t->heads[i]);
		for (size_t j = 0; j < t->n_rows; j++)
			if (width(t->rows[j][i]) > widths[i])
				widths[i] = width(t->rows[j][i]);
	}
	r = print_row(t->heads, widths, t->n_columns, out);
	for (size_t j = 0; j < t->n_rows && r == 0; j++)
		r = print_row((const char *const *)t->rows[j], widths, t->n_columns, out);
	return r;
}

void cli_table_done(struct cli_table *t)
{
	arena_done(&t->arena);
	free(t->rows);
	t->rows = NULL;
	t->n_rows = t->cap_rows = 0;
}

char *cli_size(struct arena *a, uint64_t bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 999.5 && u + 1 < ARRAY_LEN(units)) {
		v /= 1000;
		u++;
	}
	return u && v < 9.995 ? arena_printf(a, "%.2f%s", v, units[u]) :
	       u && v < 99.95 ? arena_printf(a, "%.1f%s", v, units[u]) :
				arena_printf(a, "%.0f%s", v, units[u]);
}

char *cli_age(struct arena *a, int64_t real)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {
		{ 365 * 86400, "year" }, { 30 * 86400, "month" }, { 7 * 86400, "week" }, { 86400, "day" },
		{ 3600, "hour" },        { 60, "minute" },        { 1, "second" },
	};
	int64_t age = (time_now_real() - real) / NSEC_PER_SEC;

	if (!real)
		return arena_strdup(a, "-");
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (age >= units[i].seconds) {
			int64_t n = age / units[i].seconds;

			return arena_printf(a, "%lld %s%s ago", (long long)n, units[i].name, n == 1 ? "" : "s");
		}
	return arena_strdup(a, "just now");
}

char *cli_short_id(struct arena *a, const char *id)
{
	const char *hex = str_skip_prefix(id, "sha256:");

	return arena_printf(a, "%.13s", hex ? hex : id ? id : "");
}
