/*
 * TOML (https://toml.io/en/v1.0.0) as a tree, without I/O: bytes in, values out.
 *
 * All of the grammar is read; what no configuration here uses (floats, dates) is kept as its
 * text. The order of keys is that of the file, which hosts.toml gives a meaning. The text is
 * root's own file, yet bounded (TOML_MAX bytes, TOML_DEPTH levels) and fuzzed.
 */
#pragma once

#include "base/base.h"

enum { TOML_MAX = 64 * 1024, TOML_DEPTH = 16 };

enum toml_kind { TOML_TABLE, TOML_ARRAY, TOML_STRING, TOML_INTEGER, TOML_BOOL, TOML_OTHER };

struct toml {
	enum toml_kind kind;
	const char *key;        /* in a table; NULL in an array and at the top */
	size_t line;
	const char *text;       /* STRING: its value; scalars: as written */
	int64_t number;
	bool truth;
	struct toml *first, *next; /* of TABLE and ARRAY: the first member; the next sibling */
	/* private: `sealed` takes no more keys, `defined` has had its [header] */
	struct toml *last;
	bool sealed, defined;
};

/* Everything lies in the arena. Errors: `<name>:<line>: what is wrong`, INVALID. */
int toml_read(const char *name, const void *text, size_t len, struct arena *a, const struct toml **ret,
	      struct err *err);
/* A member of a table by key, or NULL. */
const struct toml *toml_get(const struct toml *table, const char *key);
