/* A recursive descent over one text that ends with a zero byte. Pure; any thread. */
#include "registry/toml.h"

#include <ctype.h>
#include <stdio.h>

struct reader {
	const char *name, *at;
	char *scratch; /* as large as the text: a string is put together here */
	size_t line;
	struct arena *arena;
	struct err *err;
};

static int wrong(const struct reader *r, const char *what)
{
	return err_set(r->err, ERR_INVALID, "%s:%zu: %s", r->name, r->line, what);
}

static int wrong_key(const struct reader *r, const char *key, const char *what)
{
	return err_set(r->err, ERR_INVALID, "%s:%zu: %.100s: %s", r->name, r->line, key, what);
}

/* ---- the tree ---- */

static struct toml *member(const struct toml *table, const char *key)
{
	for (struct toml *t = table->first; t; t = t->next)
		if (str_eq(t->key, key))
			return t;
	return NULL;
}

const struct toml *toml_get(const struct toml *table, const char *key)
{
	return table->kind == TOML_TABLE ? member(table, key) : NULL;
}

static struct toml *add(struct reader *r, struct toml *to, enum toml_kind kind, const char *key)
{
	struct toml *t = arena_new(r->arena, 1, sizeof(*t));

	*t = (struct toml){ .kind = kind, .key = key, .line = r->line, .text = "" };
	if (to->last)
		to->last->next = t;
	else
		to->first = t;
	to->last = t;
	return t;
}

/* ---- white space ---- */

static void skip_blank(struct reader *r)
{
	while (*r->at == ' ' || *r->at == '\t')
		r->at++;
}

static bool skip_newline(struct reader *r)
{
	if (r->at[0] == '\r' && r->at[1] == '\n')
		r->at++;
	if (*r->at != '\n')
		return false;
	r->at++;
	r->line++;
	return true;
}

static void skip_comment(struct reader *r)
{
	if (*r->at == '#')
		while (*r->at && *r->at != '\n' && !(r->at[0] == '\r' && r->at[1] == '\n'))
			r->at++;
}

/* Blanks, comments and line ends: what may stand between statements and inside arrays. */
static void skip_lines(struct reader *r)
{
	do {
		skip_blank(r);
		skip_comment(r);
	} while (skip_newline(r));
}

static int end_of_line(struct reader *r)
{
	skip_blank(r);
	skip_comment(r);
	if (!*r->at || skip_newline(r))
		return 0;
	return wrong(r, "something stands behind the value on its line");
}

/* ---- strings ---- */

static size_t put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 63));
		out[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 63));
	out[2] = (char)(0x80 | (c >> 6 & 63));
	out[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* Behind a backslash. Appends to out; the text never grows by it. */
static int escape(struct reader *r, char *out, size_t *n)
{
	static const char from[] = "btnfr\"\\e", to[] = "\b\t\n\f\r\"\\\033";
	const char *known = *r->at ? strchr(from, *r->at) : NULL;
	uint32_t c = 0;

	if (known) {
		out[(*n)++] = to[known - from];
		r->at++;
		return 0;
	}
	if (*r->at != 'u' && *r->at != 'U')
		return wrong(r, "unknown escape in a string");
	for (int i = *r->at++ == 'u' ? 4 : 8; i; i--, r->at++) {
		const char *digits = "0123456789abcdef", *d;

		d = *r->at ? strchr(digits, tolower((unsigned char)*r->at)) : NULL;
		if (!d)
			return wrong(r, "an escape of a string wants hex digits");
		c = c << 4 | (uint32_t)(d - digits);
	}
	if (!c || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return wrong(r, "an escape of a string is no character");
	*n += put_utf8(out + *n, c);
	return 0;
}

/* A backslash at the end of a line of a """ string takes all white space behind it. */
static bool joined_line(struct reader *r)
{
	const char *p = r->at;

	while (*p == ' ' || *p == '\t' || *p == '\r')
		p++;
	if (*p != '\n')
		return false;
	r->at = p;
	do
		skip_blank(r);
	while (skip_newline(r));
	return true;
}

static int read_string(struct reader *r, const char **ret)
{
	char quote = *r->at, *out = r->scratch;
	bool multi = r->at[1] == quote && r->at[2] == quote;
	size_t n = 0;

	r->at += multi ? 3 : 1;
	if (multi)
		skip_newline(r);
	for (;;) {
		char c = *r->at;

		if (!c || (!multi && (c == '\n' || c == '\r')))
			return wrong(r, "a string does not end");
		if (c == quote && !multi)
			break;
		if (c == quote && r->at[1] == quote && r->at[2] == quote && r->at[3] != quote)
			break;
		r->at++;
		if (c == '\\' && quote == '"') {
			int e = multi && joined_line(r) ? 0 : escape(r, out, &n);

			if (e < 0)
				return e;
			continue;
		}
		if (c == '\n')
			r->line++;
		else if ((unsigned char)c < ' ' && c != '\t' && c != '\r')
			return wrong(r, "a control character in a string");
		out[n++] = c;
	}
	r->at += multi ? 3 : 1;
	*ret = arena_strndup(r->arena, out, n);
	return 0;
}

/* ---- keys ---- */

static bool bare(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static int read_key(struct reader *r, const char **ret)
{
	const char *from = r->at;

	if (*r->at == '"' || *r->at == '\'') {
		if (r->at[1] == r->at[0] && r->at[2] == r->at[0])
			return wrong(r, "a key may not have several lines");
		return read_string(r, ret);
	}
	while (bare(*r->at))
		r->at++;
	if (r->at == from)
		return wrong(r, "expected a key");
	*ret = arena_strndup(r->arena, from, (size_t)(r->at - from));
	return 0;
}

/* The last part of a dotted key, and the table that it belongs into. `header`: of [a.b]. */
static int read_path(struct reader *r, struct toml *from, bool header, struct toml **ret,
		     const char **ret_key)
{
	for (int depth = 0;; depth++) {
		struct toml *next;
		int e;

		skip_blank(r);
		e = read_key(r, ret_key);
		if (e < 0)
			return e;
		skip_blank(r);
		if (*r->at != '.')
			break;
		r->at++;
		if (depth == TOML_DEPTH)
			return wrong(r, "nested too deep");
		next = member(from, *ret_key);
		if (!next) {
			next = add(r, from, TOML_TABLE, *ret_key);
			next->defined = !header; /* a.b = 1 defines a; [a.b] does not */
		} else if (header && next->kind == TOML_ARRAY && next->last && !next->sealed &&
			   next->last->kind == TOML_TABLE) {
			next = next->last;
		} else if (next->kind != TOML_TABLE || next->sealed) {
			return wrong_key(r, *ret_key, "is no table that can be added to");
		}
		from = next;
	}
	*ret = from;
	return 0;
}

/* ---- values ---- */

static int read_value(struct reader *r, struct toml *to, const char *key, int depth);
static int read_pair(struct reader *r, struct toml *table, int depth);

static int read_array(struct reader *r, struct toml *array, int depth)
{
	array->sealed = true;
	r->at++;
	for (;;) {
		int e;

		skip_lines(r);
		if (*r->at == ']')
			break;
		e = read_value(r, array, NULL, depth + 1);
		if (e < 0)
			return e;
		skip_lines(r);
		if (*r->at == ',')
			r->at++;
		else if (*r->at != ']')
			return wrong(r, "expected a comma or ] in an array");
	}
	r->at++;
	return 0;
}

static void seal(struct toml *t)
{
	t->sealed = true;
	for (struct toml *m = t->first; m; m = m->next)
		if (m->kind == TOML_TABLE)
			seal(m);
}

static int read_inline_table(struct reader *r, struct toml *table, int depth)
{
	bool more = false;

	r->at++;
	for (;;) {
		int e;

		skip_blank(r);
		if (*r->at == '}' && !more)
			break;
		e = read_pair(r, table, depth + 1);
		if (e < 0)
			return e;
		skip_blank(r);
		more = *r->at == ',';
		if (more)
			r->at++;
		else if (*r->at != '}')
			return wrong(r, "expected a comma or } in an inline table");
	}
	r->at++;
	seal(table);
	return 0;
}

static int read_plain(struct reader *r, struct toml *t)
{
	const char *from = r->at;
	char digits[32];
	size_t n = 0;

	/* numbers, dates, words; a date may hold one space before its time */
	while (bare(*r->at) || (*r->at && strchr("+.:", *r->at)) ||
	       (*r->at == ' ' && r->at - from == 10 && from[4] == '-' && isdigit((unsigned char)r->at[1])))
		r->at++;
	if (r->at == from)
		return wrong(r, "expected a value");
	t->text = arena_strndup(r->arena, from, (size_t)(r->at - from));
	if (str_eq(t->text, "true") || str_eq(t->text, "false")) {
		t->kind = TOML_BOOL;
		t->truth = *t->text == 't';
		return 0;
	}
	if (!isdigit((unsigned char)*t->text) && !strchr("+-", *t->text) && !str_eq(t->text, "inf") &&
	    !str_eq(t->text, "nan"))
		return wrong_key(r, t->text, "is no value; a string needs quotes");
	for (const char *p = t->text; *p && n + 1 < sizeof(digits); p++)
		if (*p != '_' && !(p == t->text && *p == '+'))
			digits[n++] = *p;
	digits[n] = '\0';
	if (str_to_i64(digits, 10, &t->number) == 0)
		t->kind = TOML_INTEGER;
	return 0;
}

static int read_value(struct reader *r, struct toml *to, const char *key, int depth)
{
	struct toml *t = add(r, to, TOML_OTHER, key);

	if (depth > TOML_DEPTH)
		return wrong(r, "nested too deep");
	switch (*r->at) {
	case '"':
	case '\'':
		t->kind = TOML_STRING;
		return read_string(r, &t->text);
	case '[':
		t->kind = TOML_ARRAY;
		return read_array(r, t, depth);
	case '{':
		t->kind = TOML_TABLE;
		return read_inline_table(r, t, depth);
	default:
		return read_plain(r, t);
	}
}

static int read_pair(struct reader *r, struct toml *table, int depth)
{
	const char *key;
	int e = read_path(r, table, false, &table, &key);

	if (e < 0)
		return e;
	if (*r->at != '=')
		return wrong_key(r, key, "expected = behind the key");
	if (member(table, key))
		return wrong_key(r, key, "given twice");
	r->at++;
	skip_blank(r);
	return read_value(r, table, key, depth);
}

/* [a.b] and [[a.b]] */
static int read_header(struct reader *r, struct toml *root, struct toml **ret)
{
	struct toml *table, *array, *named;
	bool many = r->at[1] == '[';
	const char *key;
	int e;

	r->at += many ? 2 : 1;
	e = read_path(r, root, true, &table, &key);
	if (e < 0)
		return e;
	if (*r->at != ']' || (many && r->at[1] != ']'))
		return wrong(r, "expected ] behind the name of a table");
	r->at += many ? 2 : 1;
	named = member(table, key);
	if (many) {
		array = named ? named : add(r, table, TOML_ARRAY, key);
		if (array->kind != TOML_ARRAY || array->sealed)
			return wrong_key(r, key, "given twice");
		*ret = add(r, array, TOML_TABLE, NULL);
		return 0;
	}
	if (named && (named->kind != TOML_TABLE || named->defined || named->sealed))
		return wrong_key(r, key, "given twice");
	*ret = named ? named : add(r, table, TOML_TABLE, key);
	(*ret)->defined = true;
	return 0;
}

int toml_read(const char *name, const void *text, size_t len, struct arena *a, const struct toml **ret,
	      struct err *err)
{
	struct reader r = { .name = name, .line = 1, .arena = a, .err = err };
	struct toml *root = arena_new(a, 1, sizeof(*root)), *table = root;

	*root = (struct toml){ .kind = TOML_TABLE, .line = 1, .text = "" };
	if (len > TOML_MAX)
		return err_set(err, ERR_INVALID, "%s: larger than %d bytes", name, TOML_MAX);
	if (len && memchr(text, '\0', len))
		return err_set(err, ERR_INVALID, "%s: has a zero byte in it", name);
	r.at = arena_strndup(a, len ? text : "", len);
	r.scratch = arena_new(a, len + 1, 1);
	for (;;) {
		int e;

		skip_lines(&r);
		if (!*r.at)
			break;
		e = *r.at == '[' ? read_header(&r, root, &table) : read_pair(&r, table, 0);
		if (e == 0)
			e = end_of_line(&r);
		if (e < 0)
			return e;
	}
	*ret = root;
	return 0;
}
