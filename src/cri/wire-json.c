/*
 * A message as JSON, by its descriptor: what verbose statuses say of a configuration. The form is the one that
 * tools know from other runtimes: names of the schema, enums as numbers, maps as objects, and nothing of a field
 * that has its default. A message in a message that has nothing is left out, too, but for a boxed number, whose
 * being there says something.
 */
#include "cri/wire.h"

static bool is_map(const ProtobufCMessageDescriptor *d)
{
	size_t len = strlen(d->short_name);

	return d->n_fields == 2 && len > 5 && str_eq(d->short_name + len - 5, "Entry") &&
	       str_eq(d->fields[0].name, "key") && str_eq(d->fields[1].name, "value");
}

static size_t size_of(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		return 8;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}

static bool is_default(const ProtobufCFieldDescriptor *f, const void *at)
{
	static const char nothing[8];

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		return str_empty(*(char *const *)at);
	case PROTOBUF_C_TYPE_BYTES:
		return !((const ProtobufCBinaryData *)at)->len;
	case PROTOBUF_C_TYPE_MESSAGE:
		return !*(void *const *)at;
	default:
		return memcmp(at, nothing, size_of(f)) == 0;
	}
}

static void put_value(const ProtobufCFieldDescriptor *f, const void *at, struct buf *out)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		json_put_string(out, *(char *const *)at ? *(char *const *)at : "");
		return;
	case PROTOBUF_C_TYPE_BYTES: {
		const ProtobufCBinaryData *bytes = at;
		autofree char *text = mem_strndup((const char *)bytes->data, bytes->len);

		json_put_string(out, text);
		return;
	}
	case PROTOBUF_C_TYPE_MESSAGE:
		wire_json(*(ProtobufCMessage *const *)at, out);
		return;
	case PROTOBUF_C_TYPE_BOOL:
		buf_puts(out, *(const protobuf_c_boolean *)at ? "true" : "false");
		return;
	case PROTOBUF_C_TYPE_INT64:
		buf_printf(out, "%lld", (long long)*(const int64_t *)at);
		return;
	case PROTOBUF_C_TYPE_UINT64:
		buf_printf(out, "%llu", (unsigned long long)*(const uint64_t *)at);
		return;
	case PROTOBUF_C_TYPE_UINT32:
		buf_printf(out, "%u", *(const uint32_t *)at);
		return;
	default:
		buf_printf(out, "%d", *(const int32_t *)at);
	}
}

static void put_list(const ProtobufCFieldDescriptor *f, const char *items, size_t n, struct buf *out)
{
	bool map = f->type == PROTOBUF_C_TYPE_MESSAGE && is_map(f->descriptor);
	size_t size = size_of(f);

	buf_puts(out, map ? "{" : "[");
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, i ? "," : "");
		if (map) {
			const char *entry = *(char *const *)(items + i * size);
			const ProtobufCMessageDescriptor *pair = f->descriptor;

			put_value(&pair->fields[0], entry + pair->fields[0].offset, out);
			buf_puts(out, ":");
			put_value(&pair->fields[1], entry + pair->fields[1].offset, out);
		} else {
			put_value(f, items + i * size, out);
		}
	}
	buf_puts(out, map ? "}" : "]");
}

/* False: there was nothing to say, and nothing was written. */
static bool put_field(const ProtobufCFieldDescriptor *f, const char *msg, struct buf *out)
{
	const char *at = msg + f->offset;
	const ProtobufCMessageDescriptor *below;
	size_t before;

	buf_printf(out, "\"%s\":", f->name);
	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		size_t n = *(const size_t *)(msg + f->quantifier_offset);

		if (n)
			put_list(f, *(char *const *)at, n, out);
		return n;
	}
	if (is_default(f, at))
		return false;
	before = out->len;
	put_value(f, at, out);
	if (f->type != PROTOBUF_C_TYPE_MESSAGE || out->len > before + 2)
		return true;
	below = f->descriptor;
	return below->n_fields == 1 && str_eq(below->fields[0].name, "value");
}

void wire_json(const ProtobufCMessage *msg, struct buf *out)
{
	const ProtobufCMessageDescriptor *d = msg->descriptor;
	bool first = true;

	buf_puts(out, "{");
	for (unsigned i = 0; i < d->n_fields; i++) {
		size_t before = out->len;

		if (!first)
			buf_puts(out, ",");
		if (put_field(&d->fields[i], (const char *)msg, out))
			first = false;
		else
			out->len = before;
	}
	buf_puts(out, "}");
}
