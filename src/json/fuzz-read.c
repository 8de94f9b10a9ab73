/* Any bytes as a document with every kind of field: read, and what was read written again. What the plain
 * way takes jansson takes too and sees the same in it. */
#include "json/tree.h"
#include "json/json.h"

struct item {
	char *key;
	uint32_t n;
	char **names;
	size_t n_names;
};

struct everything {
	bool flag;
	int32_t i32;
	uint64_t *u64;
	double f64;
	int mode;
	char *text, *raw;
	struct item in, *ptr, *items, *named;
	size_t n_items, n_named;
	struct json_kv *map;
	size_t n_map;
};

static const char *const modes[] = { "", "a", "b" };

static const struct json_field item_fields[] = {
	JSON_FIELD(STR, struct item, key, "key", 0),
	JSON_FIELD(U32, struct item, n, "n", 0),
	JSON_FIELD_LIST(STR_LIST, struct item, names, "names", 0),
};
static const struct json_type item_type = JSON_TYPE("item", struct item, item_fields);

static const struct json_field fields[] = {
	JSON_FIELD(BOOL, struct everything, flag, "flag", 0),
	JSON_FIELD(I32, struct everything, i32, "i32", 0),
	JSON_FIELD(OPT_U64, struct everything, u64, "u64", 0),
	JSON_FIELD(F64, struct everything, f64, "f64", 0),
	JSON_FIELD_ENUM(struct everything, mode, "mode", 0, modes),
	JSON_FIELD(STR, struct everything, text, "text", 0),
	JSON_FIELD(RAW, struct everything, raw, "raw", 0),
	JSON_FIELD_OBJ(OBJ, struct everything, in, "in", 0, &item_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct everything, ptr, "ptr", 0, &item_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct everything, items, "items", 0, &item_type),
	JSON_FIELD_OBJ_LIST(OBJ_MAP, struct everything, named, "named", 0, &item_type),
	JSON_FIELD_LIST(STR_MAP, struct everything, map, "map", 0),
};
static const struct json_type type = JSON_TYPE("document", struct everything, fields);

static void compare(const char *text, size_t len)
{
	CLEANUP(json_tree_done) struct json_tree theirs = JSON_TREE_INIT;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const struct json_node *ours = json_plain_read(text, len, &a);
	struct err err = ERR_INIT;

	if (!ours)
		return;
	assert(json_jansson_read(&theirs, text, len, "document", &err) == 0);
	assert(json_node_equal(ours, theirs.root));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT, b = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
	struct everything x, y;
	struct err err = ERR_INIT;

	compare((const char *)data, size);
	if (json_read(&type, data, size, &a, &x, &err) < 0) {
		assert(err.kind != ERR_NONE);
		return 0;
	}
	assert(json_write(&type, &x, 0, &out, &err) == 0);
	assert(json_read(&type, out.data, out.len, &b, &y, &err) == 0);
	return 0;
}
