/*
 * Writing straight into the buffer, by the same tables. No tree is made.
 */
#include "json/json.h"

#include <stdio.h>

struct writer {
	struct buf *out;
	int indent, depth;
	int r; /* the first failure; later appends do nothing */
};

static void put(struct writer *w, const char *s)
{
	if (w->r == 0)
		w->r = buf_puts(w->out, s);
}

static void newline(struct writer *w)
{
	if (!w->indent)
		return;
	put(w, "\n");
	for (int i = 0; i < w->depth * w->indent; i++)
		put(w, " ");
}

/* Length of the valid UTF-8 sequence at s, or 0. */
static int utf8_len(const unsigned char *s)
{
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		return (s[1] & 0xc0) == 0x80 ? 2 : 0;
	if ((s[0] & 0xf0) == 0xe0) {
		if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[0] == 0xe0 && s[1] < 0xa0) ||
		    (s[0] == 0xed && s[1] > 0x9f))
			return 0;
		return 3;
	}
	if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80 ||
		    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

int json_put_string(struct buf *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)(text ? text : "");
	int r = buf_append(out, "\"", 1);

	while (r == 0 && *s) {
		int n = utf8_len(s);

		if (*s == '"' || *s == '\\')
			r = buf_printf(out, "\\%c", *s);
		else if (*s == '\n')
			r = buf_puts(out, "\\n");
		else if (*s == '\t')
			r = buf_puts(out, "\\t");
		else if (*s < 0x20)
			r = buf_printf(out, "\\u%04x", *s);
		else if (n)
			r = buf_append(out, s, (size_t)n);
		else
			r = buf_puts(out, "\xef\xbf\xbd");
		s += n ? n : 1;
	}
	return r == 0 ? buf_append(out, "\"", 1) : r;
}

static void put_string(struct writer *w, const char *s)
{
	if (w->r == 0)
		w->r = json_put_string(w->out, s);
}

static void put_i64(struct writer *w, int64_t v)
{
	if (w->r == 0)
		w->r = buf_printf(w->out, "%lld", (long long)v);
}

static void put_u64(struct writer *w, uint64_t v)
{
	if (w->r == 0)
		w->r = buf_printf(w->out, "%llu", (unsigned long long)v);
}

static void write_object(struct writer *w, const struct json_type *type, const char *obj, bool skip_first);

static void write_element(struct writer *w, const struct json_field *f, const char *item)
{
	switch (f->kind) {
	case JSON_STR_LIST: put_string(w, *(char *const *)item); break;
	case JSON_U32_LIST: put_u64(w, *(const uint32_t *)item); break;
	case JSON_I64_LIST: put_i64(w, *(const int64_t *)item); break;
	default: write_object(w, f->type, item, false);
	}
}

static void write_many(struct writer *w, const struct json_field *f, const char *obj)
{
	bool map = f->kind == JSON_STR_MAP || f->kind == JSON_OBJ_MAP;
	const char *items = *(char *const *)(obj + f->offset);
	size_t n = *(const size_t *)(obj + f->n_offset), size;

	switch (f->kind) {
	case JSON_STR_LIST: size = sizeof(char *); break;
	case JSON_U32_LIST: size = sizeof(uint32_t); break;
	case JSON_I64_LIST: size = sizeof(int64_t); break;
	case JSON_STR_MAP: size = sizeof(struct json_kv); break;
	default: size = f->type->size;
	}
	put(w, map ? "{" : "[");
	w->depth++;
	for (size_t i = 0; i < n; i++) {
		const char *item = items + i * size;

		if (i)
			put(w, ",");
		newline(w);
		if (map) {
			put_string(w, *(char *const *)item);
			put(w, w->indent ? ": " : ":");
		}
		if (f->kind == JSON_STR_MAP)
			put_string(w, ((const struct json_kv *)item)->value);
		else if (f->kind == JSON_OBJ_MAP)
			write_object(w, f->type, item, true);
		else
			write_element(w, f, item);
	}
	w->depth--;
	if (n)
		newline(w);
	put(w, map ? "}" : "]");
}

static bool absent(const struct json_field *f, const char *obj)
{
	const void *at = obj + f->offset;

	if (f->flags & JSON_ALWAYS)
		return false;
	switch (f->kind) {
	case JSON_BOOL: return !*(const bool *)at;
	case JSON_I32:
	case JSON_U32: return !*(const uint32_t *)at;
	case JSON_ENUM: return !*(const int *)at && !(f->names[0] && *f->names[0]);
	case JSON_I64:
	case JSON_U64: return !*(const uint64_t *)at;
	case JSON_F64: return *(const double *)at == 0;
	case JSON_OBJ: return false;
	case JSON_STR_LIST:
	case JSON_U32_LIST:
	case JSON_I64_LIST:
	case JSON_OBJ_LIST:
	case JSON_STR_MAP:
	case JSON_OBJ_MAP: return !*(const size_t *)(obj + f->n_offset);
	default: return !*(void *const *)at;
	}
}

/* The pointer that OPT kinds, texts, lists and maps keep; the others have their value in place. */
static const void *cell_of(const struct json_field *f, const void *at)
{
	switch (f->kind) {
	case JSON_BOOL:
	case JSON_I32:
	case JSON_U32:
	case JSON_I64:
	case JSON_U64:
	case JSON_F64:
	case JSON_ENUM:
	case JSON_OBJ: return NULL;
	default: return *(const void *const *)at;
	}
}

static void write_value(struct writer *w, const struct json_field *f, const char *obj)
{
	const void *at = obj + f->offset;
	const void *cell = cell_of(f, at);

	switch (f->kind) {
	case JSON_BOOL: put(w, *(const bool *)at ? "true" : "false"); break;
	case JSON_I32: put_i64(w, *(const int32_t *)at); break;
	case JSON_U32: put_u64(w, *(const uint32_t *)at); break;
	case JSON_I64: put_i64(w, *(const int64_t *)at); break;
	case JSON_U64: put_u64(w, *(const uint64_t *)at); break;
	case JSON_F64:
		if (w->r == 0)
			w->r = buf_printf(w->out, "%.17g", *(const double *)at);
		break;
	case JSON_ENUM:
		assert((size_t) * (const int *)at < f->n_names);
		put_string(w, f->names[*(const int *)at]);
		break;
	case JSON_OBJ: write_object(w, f->type, at, false); break;
	case JSON_STR_LIST:
	case JSON_U32_LIST:
	case JSON_I64_LIST:
	case JSON_OBJ_LIST:
	case JSON_STR_MAP:
	case JSON_OBJ_MAP: write_many(w, f, obj); break;
	case JSON_OPT_BOOL: put(w, cell ? *(const bool *)cell ? "true" : "false" : "null"); break;
	default:
		if (!cell)
			put(w, f->kind == JSON_STR ? "\"\"" : "null");
		else if (f->kind == JSON_STR)
			put_string(w, cell);
		else if (f->kind == JSON_RAW)
			put(w, cell);
		else if (f->kind == JSON_OPT_OBJ)
			write_object(w, f->type, cell, false);
		else if (f->kind == JSON_OPT_I32)
			put_i64(w, *(const int32_t *)cell);
		else if (f->kind == JSON_OPT_U32)
			put_u64(w, *(const uint32_t *)cell);
		else if (f->kind == JSON_OPT_I64)
			put_i64(w, *(const int64_t *)cell);
		else
			put_u64(w, *(const uint64_t *)cell);
	}
}

static void write_object(struct writer *w, const struct json_type *type, const char *obj, bool skip_first)
{
	bool any = false;

	put(w, "{");
	w->depth++;
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct json_field *f = &type->fields[i];

		/* the key of an OBJ_MAP entry is written by the map */
		if (skip_first && f->offset == 0 && f->kind == JSON_STR)
			continue;
		if (absent(f, obj))
			continue;
		if (any)
			put(w, ",");
		any = true;
		newline(w);
		put_string(w, f->name);
		put(w, w->indent ? ": " : ":");
		write_value(w, f, obj);
	}
	w->depth--;
	if (any)
		newline(w);
	put(w, "}");
}

int json_write(const struct json_type *type, const void *obj, int indent, struct buf *out, struct err *err)
{
	struct writer w = { .out = out, .indent = indent };

	write_object(&w, type, obj, false);
	if (w.r < 0)
		return err_sys(err, w.r, "write %s", type->name);
	return 0;
}
