/*
 * Reading: the text becomes a tree (tree.h), the tables walk it. The path of the current member is kept
 * in one buffer on the stack, extended on the way in and cut on the way out, so that an
 * error can name it.
 */
#include "json/json.h"

#include "json/tree.h"

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

static const char *type_name(const struct json_node *v)
{
	static const char *const names[] = {
		[NODE_NULL] = "null", [NODE_FALSE] = "a boolean", [NODE_TRUE] = "a boolean",
		[NODE_INTEGER] = "an integer", [NODE_BIG] = "an integer", [NODE_REAL] = "a fraction",
		[NODE_STRING] = "a string", [NODE_ARRAY] = "an array", [NODE_OBJECT] = "an object",
	};

	return names[v->type];
}

static int wrong(struct reader *r, const char *expected, const struct json_node *v)
{
	return err_set(r->err, ERR_INVALID, "%s: expected %s, got %s", *r->path ? r->path : "document",
		       expected, type_name(v));
}

static int read_integer(struct reader *r, const struct json_node *v, int64_t min, uint64_t max, int64_t *ret)
{
	uint64_t big;
	int64_t n;

	if (v->type == NODE_BIG) {
		if (max != UINT64_MAX || str_to_u64(v->text, 10, &big) < 0)
			return err_set(r->err, ERR_INVALID, "%s: %s is out of range", r->path, v->text);
		*ret = (int64_t)big;
		return 0;
	}

	/* 1e3 and 5.0 are integers too where a writer made them from floats */
	if (v->type == NODE_REAL) {
		double d = v->real;

		if (d < -9223372036854774784.0 || d > 9223372036854774784.0 || d != (double)(int64_t)d)
			return wrong(r, "an integer", v);
		n = (int64_t)d;
	} else if (v->type == NODE_INTEGER) {
		n = v->integer;
	} else {
		return wrong(r, "an integer", v);
	}
	if (n < min || (n > 0 && (uint64_t)n > max))
		return err_set(r->err, ERR_INVALID, "%s: %lld is out of range", r->path, (long long)n);
	*ret = n;
	return 0;
}

static int read_string(struct reader *r, const struct json_node *v, char **ret)
{
	if (v->type != NODE_STRING)
		return wrong(r, "a string", v);
	*ret = arena_strndup(r->arena, v->text, v->len);
	return 0;
}

static int read_object(struct reader *r, const struct json_type *type, const struct json_node *v, void *obj);

static int read_element(struct reader *r, const struct json_field *f, const struct json_node *v, void *to)
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

static int read_list(struct reader *r, const struct json_field *f, const struct json_node *v, char *obj)
{
	size_t n = v->len, size = element_size(f), i = 0;
	char *items;

	if (v->type != NODE_ARRAY)
		return wrong(r, "an array", v);
	items = n ? arena_new(r->arena, n, size) : NULL;
	for (const struct json_node *m = v->first; m; m = m->next, i++) {
		size_t old = path_push_index(r, i);
		int e = read_element(r, f, m, items + i * size);

		if (e < 0)
			return e;
		path_pop(r, old);
	}
	*(void **)(obj + f->offset) = items;
	*(size_t *)(obj + f->n_offset) = n;
	return 0;
}

static int read_map(struct reader *r, const struct json_field *f, const struct json_node *v, char *obj)
{
	size_t n = v->len, i = 0;
	size_t size = f->kind == JSON_STR_MAP ? sizeof(struct json_kv) : f->type->size;
	char *items;

	if (v->type != NODE_OBJECT)
		return wrong(r, "an object", v);
	items = n ? arena_new(r->arena, n, size) : NULL;
	for (const struct json_node *m = v->first; m; m = m->next) {
		size_t old = path_push(r, m->key);
		int e;

		if (f->kind == JSON_STR_MAP)
			e = read_string(r, m, &((struct json_kv *)(void *)(items + i * size))->value);
		else
			e = read_object(r, f->type, m, items + i * size);
		if (e < 0)
			return e;
		/* the key is the first member of either struct */
		*(char **)(void *)(items + i * size) = arena_strdup(r->arena, m->key);
		path_pop(r, old);
		i++;
	}
	*(void **)(obj + f->offset) = items;
	*(size_t *)(obj + f->n_offset) = n;
	return 0;
}

static int read_enum(struct reader *r, const struct json_field *f, const struct json_node *v, int *to)
{
	if (v->type != NODE_STRING && v->type != NODE_BIG)
		return wrong(r, "a string", v);
	for (size_t i = 0; i < f->n_names; i++)
		if (f->names[i] && strcmp(f->names[i], v->text) == 0) {
			*to = (int)i;
			return 0;
		}
	return err_set(r->err, ERR_INVALID, "%s: unknown value \"%.100s\"", r->path, v->text);
}

static int read_raw(struct reader *r, const struct json_node *v, char **to)
{
	char *text = json_node_text(v);

	if (!text)
		return err_set(r->err, ERR_LIMIT, "%s: cannot be kept", r->path);
	*to = arena_strdup(r->arena, text);
	free(text);
	return 0;
}

/* The range of each integer kind, and where an OPT kind keeps its value. */
static int read_number(struct reader *r, const struct json_field *f, const struct json_node *v, void *to)
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

static int read_field(struct reader *r, const struct json_field *f, const struct json_node *v, char *obj)
{
	void *to = obj + f->offset;

	switch (f->kind) {
	case JSON_BOOL:
	case JSON_OPT_BOOL:
		if (v->type != NODE_TRUE && v->type != NODE_FALSE)
			return wrong(r, "a boolean", v);
		if (f->kind == JSON_OPT_BOOL) {
			bool *cell = arena_new(r->arena, 1, sizeof(bool));

			*(bool **)to = cell;
			to = cell;
		}
		*(bool *)to = v->type == NODE_TRUE;
		return 0;
	case JSON_F64:
		if (v->type != NODE_REAL && v->type != NODE_INTEGER)
			return wrong(r, "a number", v);
		*(double *)to = v->type == NODE_REAL ? v->real : (double)v->integer;
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

static const struct json_node *member(const struct json_node *object, const char *name)
{
	const struct json_node *m = object->first;

	while (m && strcmp(m->key, name) != 0)
		m = m->next;
	return m;
}

static int read_object(struct reader *r, const struct json_type *type, const struct json_node *v, void *obj)
{
	if (v->type != NODE_OBJECT)
		return wrong(r, "an object", v);
	if (++r->depth > JSON_DEPTH_MAX)
		return err_set(r->err, ERR_INVALID, "%s: nested too deeply", r->path);
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct json_field *f = &type->fields[i];
		const struct json_node *m = member(v, f->name);
		bool absent = !m || m->type == NODE_NULL;
		size_t old;
		int e;

		if (absent && !(f->flags & JSON_REQUIRED))
			continue;
		old = path_push(r, f->name);
		e = absent ? err_set(r->err, ERR_INVALID, "%s: missing", r->path) : read_field(r, f, m, obj);
		if (e < 0)
			return e;
		path_pop(r, old);
	}
	r->depth--;
	return 0;
}

int json_read(const struct json_type *type, const void *text, size_t len, struct arena *a, void *obj,
	      struct err *err)
{
	CLEANUP(json_tree_done) struct json_tree tree = JSON_TREE_INIT;
	struct reader r = { .arena = a, .err = err };
	int result;

	memset(obj, 0, type->size);
	result = json_tree_read(&tree, text, len, type->name, err);
	return result < 0 ? result : read_object(&r, type, tree.root, obj);
}
