/*
 * CRI messages ↔ plain structs, by tables.
 *
 * One row says which field of a message goes to which member of a struct; the same row
 * reads and writes. What protobuf already knows of a field (its name, its type, its enum)
 * is taken from the message's descriptor, found by the field's offset, so a row cannot
 * disagree with the schema: test-wire holds every row against its descriptor.
 *
 * Kinds, the message's field and the struct's member:
 *
 *   STR       string            char *, never NULL; with WIRE_NULL: NULL for ""
 *   TEXT      bytes             char *; a NUL inside is refused
 *   BOOL, I32, U32, I64, U64    bool, int32_t, …
 *   ENUM      an enum           int; value + bias; an unknown value is refused
 *   BOX       Int64Value        int64_t *, NULL for absent
 *   STR_LIST, I64_LIST          char ** / int64_t * and size_t n_…
 *   MAP       map<string,string>  struct json_kv * and size_t n_…
 *   MSG       a message         struct T in place (offset 0: the very struct, flattened);
 *                               absent: read as an empty one
 *   OPT_MSG   a message         struct T *, NULL for absent
 *   MSG_LIST  repeated message  struct T * and size_t n_…
 *
 * Strings are borrowed both ways: what was read lives as long as the message, what was
 * written as long as the struct. Arrays come from the arena. Pure; any thread. Messages are
 * hostile; errors are INVALID and name the field as CRI does:
 * `config.linux.security_context.namespace_options.pid: 9 is no NamespaceMode`.
 */
#pragma once

#include "base/base.h"
#include "json/json.h"

#include "cri.pb-c.h"

enum wire_kind {
	WIRE_STR, WIRE_TEXT, WIRE_BOOL, WIRE_I32, WIRE_U32, WIRE_I64, WIRE_U64, WIRE_ENUM, WIRE_BOX,
	WIRE_STR_LIST, WIRE_I64_LIST, WIRE_MAP, WIRE_MSG, WIRE_OPT_MSG, WIRE_MSG_LIST,
};

enum {
	WIRE_REQUIRED = 1, /* empty or absent is refused when read */
	WIRE_NULL = 2,
};

struct wire_type;

struct wire_field {
	enum wire_kind kind;
	unsigned flags;
	size_t wire;       /* offset in the message */
	size_t own, own_n; /* offsets in the struct */
	int bias;
	const struct wire_type *type;
};

/* Where in a request something was read, for errors. */
struct wire_path {
	const struct wire_path *up;
	const char *name;
};

/* A field that the type's own read function takes. */
struct wire_also {
	const char *field;
	const struct wire_type *type; /* of the message; NULL for anything else */
};

struct wire_type {
	const ProtobufCMessageDescriptor *descriptor;
	size_t size; /* of the struct */
	const struct wire_field *fields;
	size_t n_fields;
	const struct wire_also *also;
	size_t n_also;
	/* What a table cannot say; after the rows. NULL for nothing. */
	int (*read)(const void *msg, const struct wire_path *path, struct arena *a, void *own, struct err *err);
	void (*write)(const void *own, struct arena *a, void *msg);
};

#define WIRE(kind_, msg_, field_, struct_, member_, flags_)                                       \
	{ .kind = WIRE_##kind_, .flags = (flags_), .wire = offsetof(Runtime__V1__##msg_, field_), \
	  .own = offsetof(struct_, member_) }
#define WIRE_OF(kind_, msg_, field_, struct_, member_, flags_, type_)                             \
	{ .kind = WIRE_##kind_, .flags = (flags_), .wire = offsetof(Runtime__V1__##msg_, field_), \
	  .own = offsetof(struct_, member_), .type = (type_) }
/* a message whose members lie in the same struct */
#define WIRE_FLAT(msg_, field_, flags_, type_)                                                    \
	{ .kind = WIRE_MSG, .flags = (flags_), .wire = offsetof(Runtime__V1__##msg_, field_), .type = (type_) }
#define WIRE_LIST(kind_, msg_, field_, struct_, member_)                                \
	{ .kind = WIRE_##kind_, .wire = offsetof(Runtime__V1__##msg_, field_),          \
	  .own = offsetof(struct_, member_), .own_n = offsetof(struct_, n_##member_) }
#define WIRE_LIST_OF(msg_, field_, struct_, member_, type_)                             \
	{ .kind = WIRE_MSG_LIST, .wire = offsetof(Runtime__V1__##msg_, field_),         \
	  .own = offsetof(struct_, member_), .own_n = offsetof(struct_, n_##member_), .type = (type_) }
#define WIRE_TYPE(descriptor_, struct_, fields_, ...)                                   \
	{ .descriptor = &runtime__v1__##descriptor_##__descriptor, .size = sizeof(struct_), \
	  .fields = (fields_), .n_fields = ARRAY_LEN(fields_), ##__VA_ARGS__ }

#define WIRE_ALSO(list_) .also = (list_), .n_also = ARRAY_LEN(list_)

/* own: type->size bytes, zeroed. path may be NULL: the message itself. */
int wire_read(const struct wire_type *type, const void *msg, const struct wire_path *path, struct arena *a,
	      void *own, struct err *err);
/* A new message in the arena. */
void *wire_write(const struct wire_type *type, const void *own, struct arena *a);

/* The message as JSON: fields by their names in the schema, enums as numbers, what is empty left out. */
void wire_json(const ProtobufCMessage *msg, struct buf *out);

/* INVALID: "<path>.<field>: what is wrong". Field NULL: the path itself. */
int wire_wrong(const struct wire_path *path, const char *field, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* An initialised message of a descriptor, in the arena. */
void *wire_new(const ProtobufCMessageDescriptor *descriptor, struct arena *a);

/* Every map<string,string> entry of protobuf-c has this layout. */
struct wire_entry {
	ProtobufCMessage base;
	char *key, *value;
};

/* Fills a map field. */
void wire_put_map(const ProtobufCMessageDescriptor *entry, const struct json_kv *kv, size_t n, struct arena *a,
		  void *ret_list, size_t *ret_n);
