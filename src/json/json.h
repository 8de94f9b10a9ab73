/*
 * json — documents as plain structs, by field tables.
 *
 * A document of a specification (config.json, an image manifest, a pod's record) is a plain
 * C struct. One table a struct says which JSON member goes where; the same table reads it,
 * writes it and names the path of what is wrong:
 *
 *	struct spec_user { uint32_t uid, gid; uint32_t *gids; size_t n_gids; char *name; };
 *
 *	static const struct json_field user_fields[] = {
 *		JSON_FIELD(U32, struct spec_user, uid, "uid", JSON_REQUIRED),
 *		JSON_FIELD(U32, struct spec_user, gid, "gid", JSON_REQUIRED),
 *		JSON_FIELD_LIST(U32_LIST, struct spec_user, gids, "additionalGids", 0),
 *		JSON_FIELD(STR, struct spec_user, name, "username", 0),
 *	};
 *	static const struct json_type user_type = JSON_TYPE("user", struct spec_user, user_fields);
 *
 * Kinds and the C type of the member they fill:
 *
 *   BOOL   bool                 absent: false          OPT_BOOL  bool *     absent: NULL
 *   I32    int32_t              absent: 0              OPT_I32   int32_t *
 *   U32    uint32_t                                    OPT_U32   uint32_t *
 *   I64    int64_t                                     OPT_I64   int64_t *
 *   U64    uint64_t                                    OPT_U64   uint64_t *
 *   F64    double
 *   STR    char *               absent: NULL
 *   ENUM   int, by a table of names (json_field.names), index of the name; absent: 0
 *   OBJ    struct T             filled in place; absent: as zeroed
 *   OPT_OBJ   struct T *        absent: NULL
 *   STR_LIST  char **x + size_t n_x        U32_LIST, I64_LIST: uint32_t *, int64_t *
 *   OBJ_LIST  struct T *x + size_t n_x
 *   STR_MAP   struct json_kv *x + size_t n_x, in the order of the document
 *   OBJ_MAP   struct T *x + size_t n_x; the key goes to T's first member, a char *
 *   RAW       char *: the member's own JSON text, for what is only passed on
 *
 * Reading is strict where the specifications are: a wrong type, a number that does not fit,
 * an unknown enum name, a NUL in a string and a missing JSON_REQUIRED member are refused
 * with the path (`linux.resources.pids.limit: expected an integer, got a string`).
 * null counts as absent. Unknown members are ignored, as the OCI specifications demand.
 * Everything is allocated in the caller's arena. Input is hostile: size is bounded by the
 * caller, nesting by JSON_DEPTH_MAX, duplicate keys are refused (two readers of one
 * document must not see two documents).
 *
 * Writing omits absent members (NULL, empty list, false, 0 of kinds without OPT) unless
 * JSON_ALWAYS is set, in table order, without white space, or indented by `indent` spaces.
 *
 * No I/O, any thread.
 */
#pragma once

#include "base/base.h"

enum json_kind {
	JSON_BOOL, JSON_I32, JSON_U32, JSON_I64, JSON_U64, JSON_F64, JSON_STR, JSON_ENUM, JSON_OBJ,
	JSON_OPT_BOOL, JSON_OPT_I32, JSON_OPT_U32, JSON_OPT_I64, JSON_OPT_U64, JSON_OPT_OBJ,
	JSON_STR_LIST, JSON_U32_LIST, JSON_I64_LIST, JSON_OBJ_LIST, JSON_STR_MAP, JSON_OBJ_MAP, JSON_RAW,
};

enum { JSON_REQUIRED = 1, JSON_ALWAYS = 2 };
enum { JSON_DEPTH_MAX = 64 };

struct json_kv {
	char *key, *value;
};

struct json_type;

struct json_field {
	const char *name;
	enum json_kind kind;
	unsigned flags;
	size_t offset;
	size_t n_offset;              /* lists and maps: where the count is */
	const struct json_type *type; /* OBJ kinds */
	const char *const *names;     /* ENUM */
	size_t n_names;
};

struct json_type {
	const char *name;
	size_t size;
	const struct json_field *fields;
	size_t n_fields;
};

#define JSON_FIELD(kind_, struct_, member, name_, flags_) \
	{ .name = (name_), .kind = JSON_##kind_, .flags = (flags_), .offset = offsetof(struct_, member) }
#define JSON_FIELD_OBJ(kind_, struct_, member, name_, flags_, type_)                              \
	{ .name = (name_), .kind = JSON_##kind_, .flags = (flags_), .offset = offsetof(struct_, member), \
	  .type = (type_) }
#define JSON_FIELD_ENUM(struct_, member, name_, flags_, names_)                                   \
	{ .name = (name_), .kind = JSON_ENUM, .flags = (flags_), .offset = offsetof(struct_, member), \
	  .names = (names_), .n_names = ARRAY_LEN(names_) }
/* lists and maps: the count is the member n_<member> */
#define JSON_FIELD_LIST(kind_, struct_, member, name_, flags_)                                    \
	{ .name = (name_), .kind = JSON_##kind_, .flags = (flags_), .offset = offsetof(struct_, member), \
	  .n_offset = offsetof(struct_, n_##member) }
#define JSON_FIELD_OBJ_LIST(kind_, struct_, member, name_, flags_, type_)                         \
	{ .name = (name_), .kind = JSON_##kind_, .flags = (flags_), .offset = offsetof(struct_, member), \
	  .n_offset = offsetof(struct_, n_##member), .type = (type_) }
#define JSON_TYPE(name_, struct_, fields_) \
	{ .name = (name_), .size = sizeof(struct_), .fields = (fields_), .n_fields = ARRAY_LEN(fields_) }

/* Reads one document into *obj (type->size bytes, zeroed by this call). */
int json_read(const struct json_type *type, const void *text, size_t len, struct arena *a, void *obj,
	      struct err *err);

/* Appends the document. -EMSGSIZE from out's bound is an error of kind LIMIT. */
int json_write(const struct json_type *type, const void *obj, int indent, struct buf *out, struct err *err);

/* Appends s as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
int json_put_string(struct buf *out, const char *s);
