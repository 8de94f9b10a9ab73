/*
 * The plain part of JSON: objects and arrays of short depth, strings of ASCII with the escapes of one
 * letter, integers of up to 18 digits, the three words. NULL for everything else, valid or not: jansson
 * looks at it then (tree.c). Nothing is accepted here that jansson refuses.
 */
#include "json/tree.h"

enum { DEPTH_MAX = 64, DIGITS_MAX = 18, MEMBERS_MAX = 32 /* they are compared with each other */ };

struct parser {
	const char *at, *end;
	struct arena *a;
	int depth;
	size_t values;
};

static char peek(const struct parser *p)
{
	return p->at < p->end ? *p->at : '\0'; /* and a NUL is nowhere taken */
}

static void blanks(struct parser *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
		p->at++;
}

/* The next character that is no blank, if it is c. */
static bool take(struct parser *p, char c)
{
	blanks(p);
	if (peek(p) != c)
		return false;
	p->at++;
	return true;
}

static char unescape(char c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = c ? strchr(from, c) : NULL;

	return at ? to[at - from] : '\0';
}

/* Behind its first quote. */
static const char *string(struct parser *p, size_t *ret_len)
{
	const char *from = p->at, *s = from;
	size_t escapes = 0, len = 0;
	char *copy;

	for (; s < p->end && *s != '"'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c >= 0x80)
			return NULL;
		if (c != '\\')
			continue;
		escapes++;
		if (++s == p->end || !unescape(*s))
			return NULL;
	}
	if (s == p->end)
		return NULL;
	p->at = s + 1;
	copy = arena_new(p->a, (size_t)(s - from) + 1, 1);
	if (!escapes) {
		len = (size_t)(s - from);
		memcpy(copy, from, len);
	}
	for (; escapes && from < s; from++)
		copy[len++] = *from == '\\' ? unescape(*++from) : *from;
	*ret_len = len;
	return copy;
}

static bool integer(struct parser *p, int64_t *ret)
{
	bool negative = peek(p) == '-';
	int digits = 0;
	int64_t n = 0;

	p->at += negative;
	for (; peek(p) >= '0' && peek(p) <= '9'; digits++) {
		if (digits == DIGITS_MAX || (digits && !n)) /* too long, or it begins with a zero */
			return false;
		n = n * 10 + (*p->at++ - '0');
	}
	*ret = negative ? -n : n;
	return digits && peek(p) != '.' && peek(p) != 'e' && peek(p) != 'E';
}

static bool word(struct parser *p, struct json_node *node)
{
	static const struct {
		const char *text;
		enum json_node_type type;
	} words[] = { { "true", NODE_TRUE }, { "false", NODE_FALSE }, { "null", NODE_NULL } };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t n = strlen(words[i].text);

		if ((size_t)(p->end - p->at) < n || memcmp(p->at, words[i].text, n) != 0)
			continue;
		node->type = words[i].type;
		p->at += n;
		return true;
	}
	return false;
}

static struct json_node *value(struct parser *p);

static bool has_key(const struct json_node *object, const char *key)
{
	for (const struct json_node *m = object->first; m; m = m->next)
		if (strcmp(m->key, key) == 0)
			return true;
	return false;
}

/* Behind the first bracket. */
static bool elements(struct parser *p, struct json_node *in, char close)
{
	struct json_node **tail = &in->first;

	if (take(p, close))
		return true;
	do {
		const char *key = NULL;
		struct json_node *node;
		size_t len;

		if (in->type == NODE_OBJECT) {
			key = take(p, '"') ? string(p, &len) : NULL;
			if (!key || in->len == MEMBERS_MAX || has_key(in, key) || !take(p, ':'))
				return false;
		}
		node = value(p);
		if (!node)
			return false;
		node->key = key;
		*tail = node;
		tail = &node->next;
		in->len++;
	} while (take(p, ','));
	return take(p, close);
}

static struct json_node *value(struct parser *p)
{
	struct json_node *node;
	const char *start;
	bool ok;

	if (p->values++ == JSON_VALUES_MAX)
		return NULL;
	node = arena_new(p->a, 1, sizeof(*node));
	blanks(p);
	start = p->at;
	if (peek(p) == '"') {
		p->at++;
		node->type = NODE_STRING;
		node->text = string(p, &node->len);
		ok = node->text != NULL;
	} else if (peek(p) == '{' || peek(p) == '[') {
		node->type = *p->at == '{' ? NODE_OBJECT : NODE_ARRAY;
		ok = ++p->depth <= DEPTH_MAX && elements(p, node, *p->at++ == '{' ? '}' : ']');
		p->depth--;
	} else if (peek(p) == '-' || (peek(p) >= '0' && peek(p) <= '9')) {
		node->type = NODE_INTEGER;
		ok = integer(p, &node->integer);
	} else {
		ok = word(p, node);
	}
	node->origin = start;
	node->origin_len = (size_t)(p->at - start);
	return ok ? node : NULL;
}

struct json_node *json_plain_read(const char *text, size_t len, struct arena *a)
{
	struct parser p = { .at = text, .end = text + len, .a = a };
	struct json_node *root;

	blanks(&p);
	if (peek(&p) != '{' && peek(&p) != '[')
		return NULL;
	root = value(&p);
	blanks(&p);
	return p.at == p.end ? root : NULL;
}
