/*
 * From text to a tree: the plain way, else jansson's, whose tree becomes ours.
 */
#include "json/tree.h"

#include <jansson.h>
#include <stdio.h>
#include <sys/auxv.h>

/*
 * jansson's integers end at 2^63 - 1, but RLIM_INFINITY and syscall arguments reach 2^64 - 1.
 * Such a number is handed through jansson as a string with a prefix that no text of the
 * specifications begins with.
 */
#define BIG_PREFIX "\001u64:"

/* Copies text into out with each integer of 2^63 to 2^64 - 1 rewritten as above: how many. */
static int rewrite_big(const char *text, size_t len, struct buf *out)
{
	bool in_string = false;
	int found = 0;

	for (size_t i = 0; i < len;) {
		size_t n = 1;
		char token[24];
		uint64_t v;

		if (in_string) {
			n = text[i] == '\\' && i + 1 < len ? 2 : 1;
			in_string = text[i] != '"';
		} else if (text[i] == '"') {
			in_string = true;
		} else if ((text[i] >= '0' && text[i] <= '9') || text[i] == '-') {
			while (i + n < len && strchr("0123456789.eE+-", text[i + n]) && text[i + n])
				n++;
			snprintf(token, sizeof(token), "%.*s", (int)(n < 23 ? n : 23), text + i);
			if (n >= 19 && n <= 20 && strspn(token, "0123456789") == n && *token != '0' &&
			    str_to_u64(token, 10, &v) == 0 && v > INT64_MAX) {
				buf_printf(out, "\"\\u0001u64:%s\"", token);
				found++;
				i += n;
				continue;
			}
		}
		if (buf_append(out, text + i, n) < 0)
			return 0;
		i += n;
	}
	return found;
}

/* The hash tables' seed comes from what the kernel gave every program when it began: else jansson opens
 * /dev/urandom for it. Once a program. */
static void seed(void)
{
	const void *random = (const void *)getauxval(AT_RANDOM); /* 16 bytes, at any address */
	uint32_t words[4];

	if (!random)
		return;
	memcpy(words, random, sizeof(words));
	json_object_seed((words[0] ^ words[2]) | 1);
}

static json_t *load(const char *text, size_t len, json_error_t *e)
{
	CLEANUP(buf_done) struct buf copy = BUF_INIT(len * 3 / 2 + 64);
	json_t *root;

	seed();
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, e);

	if (!root && json_error_code(e) == json_error_numeric_overflow && rewrite_big(text, len, &copy))
		root = json_loadb((const char *)copy.data, copy.len, JSON_REJECT_DUPLICATES, e);
	return root;
}

struct copy {
	struct arena *a;
	size_t values;
};

static struct json_node *node_of(struct copy *c, json_t *v);

static bool members_of(struct copy *c, json_t *v, struct json_node *node)
{
	struct json_node **tail = &node->first;
	const char *key;
	json_t *m;

	node->len = json_is_object(v) ? json_object_size(v) : json_array_size(v);
	for (size_t i = 0; json_is_array(v) && i < node->len; i++, tail = &(*tail)->next)
		if (!(*tail = node_of(c, json_array_get(v, i))))
			return false;
	if (!json_is_object(v))
		return true;
	json_object_foreach(v, key, m) {
		if (!(*tail = node_of(c, m)))
			return false;
		(*tail)->key = key;
		tail = &(*tail)->next;
	}
	return true;
}

/* Keys and strings stay jansson's. NULL: too many. */
static struct json_node *node_of(struct copy *c, json_t *v)
{
	static const enum json_node_type types[] = {
		[JSON_OBJECT] = NODE_OBJECT, [JSON_ARRAY] = NODE_ARRAY, [JSON_STRING] = NODE_STRING,
		[JSON_INTEGER] = NODE_INTEGER, [JSON_REAL] = NODE_REAL, [JSON_TRUE] = NODE_TRUE,
		[JSON_FALSE] = NODE_FALSE, [JSON_NULL] = NODE_NULL,
	};
	struct json_node *node;

	if (c->values++ == JSON_VALUES_MAX)
		return NULL;
	node = arena_new(c->a, 1, sizeof(*node));
	node->type = types[json_typeof(v)];
	node->origin = v;
	if (node->type == NODE_STRING) {
		const char *digits = str_skip_prefix(json_string_value(v), BIG_PREFIX);

		node->type = digits ? NODE_BIG : NODE_STRING;
		node->text = digits ? digits : json_string_value(v);
		node->len = strlen(node->text); /* a NUL in it was refused */
	} else if (node->type == NODE_INTEGER) {
		node->integer = json_integer_value(v);
	} else if (node->type == NODE_REAL) {
		node->real = json_real_value(v);
	} else if (!members_of(c, v, node)) {
		return NULL;
	}
	return node;
}

int json_jansson_read(struct json_tree *tree, const char *text, size_t len, const char *what, struct err *err)
{
	struct copy c = { .a = &tree->arena };
	json_error_t e;
	json_t *root = load(text, len, &e);

	if (!root)
		return err_set(err, ERR_INVALID, "%s: line %d, column %d: %s", what, e.line, e.column,
			       e.text);
	tree->jansson = root;
	tree->root = node_of(&c, root);
	return tree->root ? 0 : err_set(err, ERR_LIMIT, "%s: more than %d values", what, JSON_VALUES_MAX);
}

int json_tree_read(struct json_tree *tree, const char *text, size_t len, const char *what, struct err *err)
{
	tree->root = json_plain_read(text, len, &tree->arena);
	return tree->root ? 0 : json_jansson_read(tree, text, len, what, err);
}

void json_tree_done(struct json_tree *tree)
{
	json_decref(tree->jansson);
	arena_done(&tree->arena);
	tree->jansson = NULL;
	tree->root = NULL;
}

bool json_node_equal(const struct json_node *a, const struct json_node *b)
{
	if (a->type != b->type || a->len != b->len || !a->key != !b->key ||
	    (a->key && strcmp(a->key, b->key) != 0))
		return false;
	if (a->type == NODE_STRING || a->type == NODE_BIG)
		return memcmp(a->text, b->text, a->len + 1) == 0;
	if (a->type == NODE_INTEGER)
		return a->integer == b->integer;
	if (a->type == NODE_REAL)
		return a->real == b->real;
	if (a->type != NODE_ARRAY && a->type != NODE_OBJECT)
		return true;
	for (a = a->first, b = b->first; a && b; a = a->next, b = b->next)
		if (!json_node_equal(a, b))
			return false;
	return !a && !b;
}

char *json_node_text(const struct json_node *node)
{
	json_t *v = NULL;
	char *text;

	if (!node->origin_len)
		return json_dumps(node->origin, JSON_COMPACT | JSON_ENCODE_ANY);
	seed();
	v = json_loadb(node->origin, node->origin_len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	json_decref(v);
	return text;
}
