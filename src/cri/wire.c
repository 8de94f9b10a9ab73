/*
 * The table walk of wire.h. Invariants: nothing is copied that the message or the struct
 * already holds; recursion is as deep as the tables, never as the input.
 */
#include "cri/wire.h"

#include <stdarg.h>
#include <stdio.h>

enum { PATH_MAX_TEXT = 256 };

static void put_path(const struct wire_path *path, char *out, size_t size)
{
	size_t len;

	if (!path) {
		out[0] = '\0';
		return;
	}
	put_path(path->up, out, size);
	len = strlen(out);
	snprintf(out + len, size - len, "%s%s", len && path->name[0] != '[' ? "." : "", path->name);
}

int wire_wrong(const struct wire_path *path, const char *field, struct err *err, const char *fmt, ...)
{
	struct wire_path leaf = { path, field };
	char where[PATH_MAX_TEXT], what[256];
	va_list ap;

	put_path(field ? &leaf : path, where, sizeof(where));
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(err, ERR_INVALID, "%s: %s", where, what);
}

void *wire_new(const ProtobufCMessageDescriptor *descriptor, struct arena *a)
{
	ProtobufCMessage *msg = arena_new(a, 1, descriptor->sizeof_message);

	protobuf_c_message_init(descriptor, msg);
	return msg;
}

static const ProtobufCFieldDescriptor *field_at(const ProtobufCMessageDescriptor *d, size_t offset)
{
	for (unsigned i = 0; i < d->n_fields; i++)
		if (d->fields[i].offset == offset)
			return &d->fields[i];
	abort();
}

/* ---- reading ---- */

static int read_enum(const struct wire_field *f, const ProtobufCFieldDescriptor *d, const char *from,
		     const struct wire_path *path, char *to, struct err *err)
{
	const ProtobufCEnumDescriptor *e = d->descriptor;
	int value = *(const int *)from;

	if (!protobuf_c_enum_descriptor_get_value(e, value))
		return wire_wrong(path, d->name, err, "%d is no %s", value, e->short_name);
	*(int *)to = value + f->bias;
	return 0;
}

static int read_text(const ProtobufCFieldDescriptor *d, const char *from, const struct wire_path *path,
		     struct arena *a, char *to, struct err *err)
{
	const ProtobufCBinaryData *bytes = (const void *)from;

	if (bytes->len && memchr(bytes->data, 0, bytes->len))
		return wire_wrong(path, d->name, err, "has a NUL inside");
	*(char **)to = arena_strndup(a, bytes->len ? (const char *)bytes->data : "", bytes->len);
	return 0;
}

static void read_map(struct wire_entry **entries, size_t n, struct arena *a, char *to, size_t *to_n)
{
	struct json_kv *kv = arena_new(a, n + 1, sizeof(*kv));
	size_t used = 0;

	/* a key given twice: the later one holds, as protobuf says; large maps are rare */
	for (size_t i = 0; i < n; i++) {
		size_t at = 0;

		while (at < used && !str_eq(kv[at].key, entries[i]->key))
			at++;
		kv[at] = (struct json_kv){ entries[i]->key, entries[i]->value };
		used += at == used;
	}
	*(struct json_kv **)to = kv;
	*to_n = used;
}

enum { MAP_ENTRIES_MAX = 4096 };

static int read_list(const struct wire_field *f, const ProtobufCFieldDescriptor *d, const char *msg,
		     const struct wire_path *path, struct arena *a, char *own, struct err *err)
{
	size_t n = *(const size_t *)(msg + d->quantifier_offset);
	void *items = *(void *const *)(msg + d->offset);
	char *list;

	if (f->kind == WIRE_MAP) {
		if (n > MAP_ENTRIES_MAX)
			return wire_wrong(path, d->name, err, "more than %d entries", MAP_ENTRIES_MAX);
		read_map(items, n, a, own + f->own, (size_t *)(own + f->own_n));
		return 0;
	}
	*(size_t *)(own + f->own_n) = n;
	if (f->kind != WIRE_MSG_LIST) {
		*(void **)(own + f->own) = items;
		return 0;
	}
	list = arena_new(a, n + 1, f->type->size);
	*(void **)(own + f->own) = list;
	for (size_t i = 0; i < n; i++) {
		char index[24];
		struct wire_path field = { path, d->name }, item = { &field, index };
		int r;

		snprintf(index, sizeof(index), "[%zu]", i);
		r = wire_read(f->type, ((void *const *)items)[i], &item, a, list + i * f->type->size, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_message(const struct wire_field *f, const ProtobufCFieldDescriptor *d, const char *from,
			const struct wire_path *path, struct arena *a, char *to, struct err *err)
{
	const void *sub = *(void *const *)from;
	struct wire_path here = { path, d->name };
	void *own = to;

	if (!sub && f->flags & WIRE_REQUIRED)
		return wire_wrong(path, d->name, err, "required");
	if (f->kind == WIRE_OPT_MSG) {
		if (!sub)
			return 0;
		own = *(void **)to = arena_new(a, 1, f->type->size);
	}
	if (!sub)
		sub = wire_new(f->type->descriptor, a);
	return wire_read(f->type, sub, &here, a, own, err);
}

static int read_field(const struct wire_field *f, const ProtobufCFieldDescriptor *d, const char *msg,
		      const struct wire_path *path, struct arena *a, char *own, struct err *err)
{
	const char *from = msg + f->wire;
	char *to = own + f->own;

	switch (f->kind) {
	case WIRE_STR:
		*(char **)to = *(char *const *)from;
		if (f->flags & WIRE_REQUIRED && str_empty(*(char **)to))
			return wire_wrong(path, d->name, err, "required");
		if (f->flags & WIRE_NULL && str_empty(*(char **)to))
			*(char **)to = NULL;
		return 0;
	case WIRE_TEXT:
		return read_text(d, from, path, a, to, err);
	case WIRE_BOOL:
		*(bool *)to = *(const protobuf_c_boolean *)from != 0;
		return 0;
	case WIRE_I32:
	case WIRE_U32:
		memcpy(to, from, sizeof(uint32_t));
		return 0;
	case WIRE_I64:
	case WIRE_U64:
		memcpy(to, from, sizeof(uint64_t));
		return 0;
	case WIRE_ENUM:
		return read_enum(f, d, from, path, to, err);
	case WIRE_BOX: {
		/* Int64Value: a message with one member */
		const char *box = *(char *const *)from;

		*(int64_t **)to = NULL;
		if (box) {
			*(int64_t **)to = arena_new(a, 1, sizeof(int64_t));
			memcpy(*(int64_t **)to, box + sizeof(ProtobufCMessage), sizeof(int64_t));
		}
		return 0;
	}
	case WIRE_MSG:
	case WIRE_OPT_MSG:
		return read_message(f, d, from, path, a, to, err);
	default:
		return read_list(f, d, msg, path, a, own, err);
	}
}

int wire_read(const struct wire_type *type, const void *msg, const struct wire_path *path, struct arena *a,
	      void *own, struct err *err)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct wire_field *f = &type->fields[i];
		int r = read_field(f, field_at(type->descriptor, f->wire), msg, path, a, own, err);

		if (r < 0)
			return r;
	}
	return type->read ? type->read(msg, path, a, own, err) : 0;
}

/* ---- writing ---- */

void wire_put_map(const ProtobufCMessageDescriptor *entry, const struct json_kv *kv, size_t n, struct arena *a,
		  void *ret_list, size_t *ret_n)
{
	struct wire_entry **list = arena_new(a, n + 1, sizeof(*list));

	assert(entry->sizeof_message == sizeof(struct wire_entry));
	for (size_t i = 0; i < n; i++) {
		list[i] = wire_new(entry, a);
		list[i]->key = kv[i].key ? kv[i].key : (char *)"";
		list[i]->value = kv[i].value ? kv[i].value : (char *)"";
	}
	*(void **)ret_list = list;
	*ret_n = n;
}

static void write_list(const struct wire_field *f, const ProtobufCFieldDescriptor *d, const char *own,
		       struct arena *a, char *msg)
{
	size_t n = *(const size_t *)(own + f->own_n), *to_n = (size_t *)(msg + d->quantifier_offset);
	char *items = *(char *const *)(own + f->own);
	void **list;

	if (f->kind == WIRE_MAP) {
		wire_put_map(d->descriptor, (void *)items, n, a, msg + f->wire, to_n);
		return;
	}
	*to_n = n;
	if (f->kind != WIRE_MSG_LIST) {
		*(void **)(msg + f->wire) = items;
		return;
	}
	list = arena_new(a, n + 1, sizeof(*list));
	for (size_t i = 0; i < n; i++)
		list[i] = wire_write(f->type, items + i * f->type->size, a);
	*(void **)(msg + f->wire) = list;
}

static void write_field(const struct wire_field *f, const ProtobufCFieldDescriptor *d, const char *own,
			struct arena *a, char *msg)
{
	const char *from = own + f->own;
	char *to = msg + f->wire;

	switch (f->kind) {
	case WIRE_STR:
		*(const char **)to = *(char *const *)from ? *(char *const *)from : "";
		return;
	case WIRE_TEXT: {
		ProtobufCBinaryData *bytes = (void *)to;

		bytes->data = (uint8_t *)(*(char *const *)from ? *(char *const *)from : "");
		bytes->len = strlen((char *)bytes->data);
		return;
	}
	case WIRE_BOOL:
		*(protobuf_c_boolean *)to = *(const bool *)from;
		return;
	case WIRE_I32:
	case WIRE_U32:
		memcpy(to, from, sizeof(uint32_t));
		return;
	case WIRE_I64:
	case WIRE_U64:
		memcpy(to, from, sizeof(uint64_t));
		return;
	case WIRE_ENUM:
		*(int *)to = *(const int *)from - f->bias;
		return;
	case WIRE_BOX:
		if (*(int64_t *const *)from) {
			char *box = wire_new(d->descriptor, a);

			memcpy(box + sizeof(ProtobufCMessage), *(int64_t *const *)from, sizeof(int64_t));
			*(void **)to = box;
		}
		return;
	case WIRE_MSG:
		*(void **)to = wire_write(f->type, from, a);
		return;
	case WIRE_OPT_MSG:
		if (*(void *const *)from)
			*(void **)to = wire_write(f->type, *(void *const *)from, a);
		return;
	default:
		write_list(f, d, own, a, msg);
	}
}

void *wire_write(const struct wire_type *type, const void *own, struct arena *a)
{
	void *msg = wire_new(type->descriptor, a);

	for (size_t i = 0; i < type->n_fields; i++)
		write_field(&type->fields[i], field_at(type->descriptor, type->fields[i].wire), own, a, msg);
	if (type->write)
		type->write(own, a, msg);
	return msg;
}
