/*
 * A document's text as a tree (inner header): what read.c walks by its tables.
 *
 *	CLEANUP(json_tree_done) struct json_tree tree = JSON_TREE_INIT;
 *	json_tree_read(&tree, text, len, what, err)
 *
 * jansson says what JSON is: positions of errors, UTF-8, duplicate keys, escapes, numbers. The documents
 * that we read most often, config.json of a thousand short strings, are read by plain.c, which is six
 * times as fast and knows the plain part of JSON only: whatever it does not know it leaves, whole, to
 * jansson. So it decides nothing about what is valid; what it takes, jansson takes too and in the same
 * sense (test-tree.c, and fuzz-read.c for any bytes).
 *
 * Pure, any thread. The size is the caller's to limit; of values there are at most JSON_VALUES_MAX, since two
 * bytes of a hostile document make one of 64.
 */
#pragma once

#include "base/base.h"

enum { JSON_VALUES_MAX = 256 * 1024 };

enum json_node_type {
	NODE_NULL, NODE_FALSE, NODE_TRUE, NODE_INTEGER, NODE_REAL, NODE_STRING, NODE_ARRAY, NODE_OBJECT,
	NODE_BIG, /* an integer of 2^63 to 2^64 - 1: text, its digits */
};

struct json_node {
	enum json_node_type type;
	const char *key;         /* of a member, ended by NUL */
	union {
		const char *text; /* STRING, BIG: ended by NUL */
		int64_t integer;
		double real;
		struct json_node *first;
	};
	size_t len;              /* of text; of arrays and objects how many are in it */
	struct json_node *next;  /* in the array or object that it is in */
	const void *origin;      /* its place in the document; origin_len 0: jansson's own node */
	size_t origin_len;
};

struct json_tree {
	struct json_node *root;  /* an object or an array */
	struct arena arena;
	void *jansson;
};

#define JSON_TREE_INIT { .arena = ARENA_INIT }

/* what: the document's name, for the error: INVALID, with line and column; LIMIT: too many values. */
int json_tree_read(struct json_tree *tree, const char *text, size_t len, const char *what, struct err *err);
void json_tree_done(struct json_tree *tree);

/* Compact JSON text of one node: heap, NULL when it cannot be written. */
char *json_node_text(const struct json_node *node);

/* The two ways, and whether they came to the same, for tests. Plain: NULL where the document is not. */
bool json_node_equal(const struct json_node *a, const struct json_node *b);
struct json_node *json_plain_read(const char *text, size_t len, struct arena *a);
int json_jansson_read(struct json_tree *tree, const char *text, size_t len, const char *what,
		      struct err *err);
