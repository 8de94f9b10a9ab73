/*
 * Reading: jansson makes a tree, the tables walk it. The path of the current member is kept
 * in one buffer on the stack, extended on the way in and cut on the way out, so that an
 * error can name it.
 */
#include "json/json.h"

#include <jansson.h>
#include <sys/auxv.h>
#include <stdio.h>

struct reader {
	struct arena *arena;
	struct err *err;
	char path[512];
	size_t len; /* of path */
	int depth;
};

/* Whatever does not fit is cut off: the path is for people. */
static size_t path_push(struct reader *r, const char *name)
{
	size_t old = r->len, n = strnlen(name, 200);

	if (old && old < sizeof(r->path) - 1)
		r->path[r->len++] = '.';
	if (n > sizeof(r->path) - 1 - r->len)
		n = sizeof(r->path) - 1 - r->len;
	memcpy(r->path + r->len, name, n);
	r->len += n;
	r->path[r->len] = '\0';
	return old;
}

static size_t path_push_index(struct reader *r, size_t index)
{
	size_t old = r->len, n = 0, room = sizeof(r->path) - 1 - old;
	char text[24];

	text[n++] = ']';
	do
		text[n++] = (char)('0' + index % 10);
	while (index /= 10);
	text[n++] = '[';
	while (n-- && room--)
		r->path[r->len++] = text[n];
	r->path[r->len] = '\0';
	return old;
}

static void path_pop(struct reader *r, size_t old)
{
	r->len = old;
	r->path[old] = '\0';
}

/*
 * jansson's integers end at 2^63 - 1, but RLIM_INFINITY and syscall arguments reach 2^64 - 1.
 * Such a number is handed through jansson as a string with a prefix that no text of the
 * specifications begins with; only a U64 member takes it back.
 */
#define BIG_PREFIX "\001u64:"

static bool is_big(const json_t *v)
{
	return json_is_string(v) && str_skip_prefix(json_string_value(v), BIG_PREFIX);
}

static const char *type_name(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT: return "an object";
	case JSON_ARRAY: return "an array";
	case JSON_STRING: return is_big(v) ? "an integer" : "a string";
	case JSON_INTEGER: return "an integer";
	case JSON_REAL: return "a fraction";
	case JSON_TRUE:
	case JSON_FALSE: return "a boolean";
	default: return "null";
	}
}

static int wrong(struct reader *r, const char *expected, const json_t *v)
{
	return err_set(r->err, ERR_INVALID, "%s: expected %s, got %s", *r->path ? r->path : "document",
		       expected, type_name(v));
}

static int read_integer(struct reader *r, const json_t *v, int64_t min, uint64_t max, int64_t *ret)
{
	uint64_t big;
	json_int_t n;

	if (is_big(v)) {
		if (max != UINT64_MAX || str_to_u64(json_string_value(v) + strlen(BIG_PREFIX), 10, &big) < 0)
			return err_set(r->err, ERR_INVALID, "%s: %s is out of range", r->path,
				       json_string_value(v) + strlen(BIG_PREFIX));
		*ret = (int64_t)big;
		return 0;
	}

	/* 1e3 and 5.0 are integers too where a writer made them from floats */
	if (json_is_real(v)) {
		double d = json_real_value(v);

		if (d < -9223372036854774784.0 || d > 9223372036854774784.0 || d != (double)(int64_t)d)
			return wrong(r, "an integer", v);
		n = (json_int_t)d;
	} else if (json_is_integer(v)) {
		n = json_integer_value(v);
	} else {
		return wrong(r, "an integer", v);
	}
	if (n < min || (n > 0 && (uint64_t)n > max))
		return err_set(r->err, ERR_INVALID, "%s: %lld is out of range", r->path, (long long)n);
	*ret = n;
	return 0;
}

static int read_string(struct reader *r, const json_t *v, char **ret)
{
	if (!json_is_string(v) || is_big(v))
		return wrong(r, "a string", v);
	*ret = arena_strndup(r->arena, json_string_value(v), json_string_length(v));
	return 0;
}

static int read_object(struct reader *r, const struct json_type *type, const json_t *v, void *obj);

static int read_element(struct reader *r, const struct json_field *f, const json_t *v, void *to)
{
	int64_t n;
	int e;

	switch (f->kind) {
	case JSON_STR_LIST:
		return read_string(r, v, to);
	case JSON_U32_LIST:
		e = read_integer(r, v, 0, UINT32_MAX, &n);
		if (e == 0)
			*(uint32_t *)to = (uint32_t)n;
		return e;
	case JSON_I64_LIST:
		return read_integer(r, v, INT64_MIN, INT64_MAX, to);
	default:
		return read_object(r, f->type, v, to);
	}
}

static size_t element_size(const struct json_field *f)
{
	switch (f->kind) {
	case JSON_STR_LIST: return sizeof(char *);
	case JSON_U32_LIST: return sizeof(uint32_t);
	case JSON_I64_LIST: return sizeof(int64_t);
	default: return f->type->size;
	}
}

static int read_list(struct reader *r, const struct json_field *f, const json_t *v, char *obj)
{
	size_t n = json_array_size(v), size = element_size(f);
	char *items;

	if (!json_is_array(v))
		return wrong(r, "an array", v);
	items = n ? arena_new(r->arena, n, size) : NULL;
	for (size_t i = 0; i < n; i++) {
		size_t old = path_push_index(r, i);
		int e = read_element(r, f, json_array_get(v, i), items + i * size);

		if (e < 0)
			return e;
		path_pop(r, old);
	}
	*(void **)(obj + f->offset) = items;
	*(size_t *)(obj + f->n_offset) = n;
	return 0;
}

static int read_map(struct reader *r, const struct json_field *f, const json_t *v, char *obj)
{
	size_t n = json_object_size(v), i = 0;
	size_t size = f->kind == JSON_STR_MAP ? sizeof(struct json_kv) : f->type->size;
	const char *key;
	json_t *value;
	char *items;

	if (!json_is_object(v))
		return wrong(r, "an object", v);
	items = n ? arena_new(r->arena, n, size) : NULL;
	json_object_foreach((json_t *)v, key, value) {
		size_t old = path_push(r, key);
		int e;

		if (f->kind == JSON_STR_MAP)
			e = read_string(r, value, &((struct json_kv *)(void *)(items + i * size))->value);
		else
			e = read_object(r, f->type, value, items + i * size);
		if (e < 0)
			return e;
		/* the key is the first member of either struct */
		*(char **)(void *)(items + i * size) = arena_strdup(r->arena, key);
		path_pop(r, old);
		i++;
	}
	*(void **)(obj + f->offset) = items;
	*(size_t *)(obj + f->n_offset) = n;
	return 0;
}

static int read_enum(struct reader *r, const struct json_field *f, const json_t *v, int *to)
{
	if (!json_is_string(v))
		return wrong(r, "a string", v);
	for (size_t i = 0; i < f->n_names; i++)
		if (f->names[i] && strcmp(f->names[i], json_string_value(v)) == 0) {
			*to = (int)i;
			return 0;
		}
	return err_set(r->err, ERR_INVALID, "%s: unknown value \"%.100s\"", r->path, json_string_value(v));
}

static int read_raw(struct reader *r, const json_t *v, char **to)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

	if (!text)
		return err_set(r->err, ERR_LIMIT, "%s: cannot be kept", r->path);
	*to = arena_strdup(r->arena, text);
	free(text);
	return 0;
}

/* The range of each integer kind, and where an OPT kind keeps its value. */
static int read_number(struct reader *r, const struct json_field *f, const json_t *v, void *to)
{
	static const struct {
		enum json_kind kind, opt;
		int64_t min;
		uint64_t max;
		size_t size;
	} rows[] = {
		{ JSON_I32, JSON_OPT_I32, INT32_MIN, INT32_MAX, 4 },
		{ JSON_U32, JSON_OPT_U32, 0, UINT32_MAX, 4 },
		{ JSON_I64, JSON_OPT_I64, INT64_MIN, INT64_MAX, 8 },
		{ JSON_U64, JSON_OPT_U64, 0, UINT64_MAX, 8 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t n;
		int e;

		if (f->kind != rows[i].kind && f->kind != rows[i].opt)
			continue;
		e = read_integer(r, v, rows[i].min, rows[i].max, &n);
		if (e < 0)
			return e;
		if (f->kind == rows[i].opt) {
			void *cell = arena_new(r->arena, 1, 8);

			*(void **)to = cell;
			to = cell;
		}
		if (rows[i].size == 4)
			*(int32_t *)to = (int32_t)n;
		else
			*(int64_t *)to = n;
		return 0;
	}
	return err_set(r->err, ERR_INTERNAL, "%s: field table is wrong", r->path);
}

static int read_field(struct reader *r, const struct json_field *f, const json_t *v, char *obj)
{
	void *to = obj + f->offset;

	switch (f->kind) {
	case JSON_BOOL:
	case JSON_OPT_BOOL:
		if (!json_is_boolean(v))
			return wrong(r, "a boolean", v);
		if (f->kind == JSON_OPT_BOOL) {
			bool *cell = arena_new(r->arena, 1, sizeof(bool));

			*(bool **)to = cell;
			to = cell;
		}
		*(bool *)to = json_is_true(v);
		return 0;
	case JSON_F64:
		if (!json_is_number(v))
			return wrong(r, "a number", v);
		*(double *)to = json_number_value(v);
		return 0;
	case JSON_STR:
		return read_string(r, v, to);
	case JSON_ENUM:
		return read_enum(r, f, v, to);
	case JSON_OBJ:
		return read_object(r, f->type, v, to);
	case JSON_OPT_OBJ:
		*(void **)to = arena_new(r->arena, 1, f->type->size);
		return read_object(r, f->type, v, *(void **)to);
	case JSON_STR_LIST:
	case JSON_U32_LIST:
	case JSON_I64_LIST:
	case JSON_OBJ_LIST:
		return read_list(r, f, v, obj);
	case JSON_STR_MAP:
	case JSON_OBJ_MAP:
		return read_map(r, f, v, obj);
	case JSON_RAW:
		return read_raw(r, v, to);
	default:
		return read_number(r, f, v, to);
	}
}

static int read_object(struct reader *r, const struct json_type *type, const json_t *v, void *obj)
{
	if (!json_is_object(v))
		return wrong(r, "an object", v);
	if (++r->depth > JSON_DEPTH_MAX)
		return err_set(r->err, ERR_INVALID, "%s: nested too deeply", r->path);
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct json_field *f = &type->fields[i];
		const json_t *member = json_object_get(v, f->name);
		bool absent = !member || json_is_null(member);
		size_t old;
		int e;

		if (absent && !(f->flags & JSON_REQUIRED))
			continue;
		old = path_push(r, f->name);
		e = absent ? err_set(r->err, ERR_INVALID, "%s: missing", r->path) : read_field(r, f, member, obj);
		if (e < 0)
			return e;
		path_pop(r, old);
	}
	r->depth--;
	return 0;
}

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

int json_read(const struct json_type *type, const void *text, size_t len, struct arena *a, void *obj,
	      struct err *err)
{
	struct reader r = { .arena = a, .err = err };
	json_error_t e;
	json_t *root;
	int result;

	memset(obj, 0, type->size);
	root = load(text, len, &e);
	if (!root)
		return err_set(err, ERR_INVALID, "%s: line %d, column %d: %s", type->name, e.line, e.column,
			       e.text);
	result = read_object(&r, type, root, obj);
	json_decref(root);
	return result;
}
