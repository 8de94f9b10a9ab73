#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct leaf {
	char *key;
	uint32_t n;
};

struct doc {
	bool flag;
	int64_t big;
	uint32_t *opt;
	char *text;
	int mode;
	struct leaf in;
	struct leaf *ptr;
	char **strs;
	size_t n_strs;
	struct leaf *leaves;
	size_t n_leaves;
	struct json_kv *labels;
	size_t n_labels;
	struct leaf *named;
	size_t n_named;
	char *raw;
};

static const char *const modes[] = { "", "pod", "node" };

static const struct json_field leaf_fields[] = {
	JSON_FIELD(STR, struct leaf, key, "key", 0),
	JSON_FIELD(U32, struct leaf, n, "n", JSON_REQUIRED),
};
static const struct json_type leaf_type = JSON_TYPE("leaf", struct leaf, leaf_fields);

static const struct json_field doc_fields[] = {
	JSON_FIELD(BOOL, struct doc, flag, "flag", 0),
	JSON_FIELD(I64, struct doc, big, "big", 0),
	JSON_FIELD(OPT_U32, struct doc, opt, "opt", 0),
	JSON_FIELD(STR, struct doc, text, "text", 0),
	JSON_FIELD_ENUM(struct doc, mode, "mode", 0, modes),
	JSON_FIELD_OBJ(OBJ, struct doc, in, "in", JSON_REQUIRED, &leaf_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct doc, ptr, "ptr", 0, &leaf_type),
	JSON_FIELD_LIST(STR_LIST, struct doc, strs, "strs", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct doc, leaves, "leaves", 0, &leaf_type),
	JSON_FIELD_LIST(STR_MAP, struct doc, labels, "labels", 0),
	JSON_FIELD_OBJ_LIST(OBJ_MAP, struct doc, named, "named", 0, &leaf_type),
	JSON_FIELD(RAW, struct doc, raw, "raw", 0),
};
static const struct json_type doc_type = JSON_TYPE("document", struct doc, doc_fields);

static void test_what_is_read_is_written(void **state)
{
	static const char text[] =
		"{\"flag\":true,\"big\":-9007199254740993,\"opt\":0,\"text\":\"\\u00e9\\\"\\n\",\"mode\":\"node\","
		"\"in\":{\"n\":1},\"ptr\":{\"key\":\"k\",\"n\":2},\"strs\":[\"a\",\"\"],"
		"\"leaves\":[{\"n\":3},{\"n\":4}],\"labels\":{\"x\":\"1\",\"y\":\"2\"},"
		"\"named\":{\"first\":{\"n\":5}},\"raw\":{\"any\":[1,2.5,null]}}";
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(4096);
	struct err err = ERR_INIT;
	struct doc d;

	(void)state;
	assert_int_equal(json_read(&doc_type, text, strlen(text), &a, &d, &err), 0);
	assert_int_equal(d.n_strs, 2);
	assert_int_equal(d.mode, 2);
	assert_int_equal(*d.opt, 0);
	assert_string_equal(d.named[0].key, "first");
	assert_int_equal(json_write(&doc_type, &d, 0, &out, &err), 0);
	assert_string_equal(buf_text(&out), "{\"flag\":true,\"big\":-9007199254740993,\"opt\":0,"
			    "\"text\":\"\xc3\xa9\\\"\\n\",\"mode\":\"node\",\"in\":{\"n\":1},"
			    "\"ptr\":{\"key\":\"k\",\"n\":2},\"strs\":[\"a\",\"\"],\"leaves\":[{\"n\":3},{\"n\":4}],"
			    "\"labels\":{\"x\":\"1\",\"y\":\"2\"},\"named\":{\"first\":{\"n\":5}},"
			    "\"raw\":{\"any\":[1,2.5,null]}}");
}

static void test_errors_name_the_path(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "{}", "in: missing" },
		{ "{\"in\":null}", "in: missing" },
		{ "{\"in\":{\"n\":\"1\"}}", "in.n: expected an integer, got a string" },
		{ "{\"in\":{\"n\":-1}}", "in.n: -1 is out of range" },
		{ "{\"in\":{\"n\":1.5}}", "in.n: expected an integer, got a fraction" },
		{ "{\"in\":{\"n\":1},\"leaves\":[{\"n\":1},{}]}", "leaves[1].n: missing" },
		{ "{\"in\":{\"n\":1},\"mode\":\"pods\"}", "mode: unknown value \"pods\"" },
		{ "{\"in\":{\"n\":1},\"labels\":{\"a\":1}}", "labels.a: expected a string, got an integer" },
		{ "{\"in\":{\"n\":1},\"flag\":1}", "flag: expected a boolean, got an integer" },
		{ "[]", "document: expected an object, got an array" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		struct doc d;

		assert_true(json_read(&doc_type, rows[i].text, strlen(rows[i].text), &a, &d, &err) < 0);
		assert_int_equal(err.kind, ERR_INVALID);
		assert_string_equal(err.text, rows[i].message);
	}
}

static void test_hostile_text_is_refused(void **state)
{
	static const char *const rows[] = {
		"", "{", "{\"in\":{\"n\":1},\"in\":{\"n\":2}}", "{\"in\":{\"n\":1}} x",
		"{\"in\":{\"n\":1},\"text\":\"\\u0000\"}", "{\"in\":{\"n\":99999999999999999999}}",
		"{\"in\":{\"n\":1},\"text\":\"\xff\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		struct doc d;

		assert_true(json_read(&doc_type, rows[i], strlen(rows[i]), &a, &d, &err) < 0);
		assert_int_equal(err.kind, ERR_INVALID);
	}
}

static void test_strings_are_always_valid(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(100);

	(void)state;
	json_put_string(&out, "a\xff\x01\"");
	assert_string_equal(buf_text(&out), "\"a\xef\xbf\xbd\\u0001\\\"\"");
}

static void test_a_u64_reaches_its_end(void **state)
{
	static const char *const bad[] = { "{\"v\":18446744073709551616}", "{\"s\":18446744073709551615}",
					   "{\"i\":9223372036854775808}", "{\"v\":-9223372036854775809}" };
	struct wide {
		uint64_t v, *o;
		int64_t i;
		char *s;
	} w;
	static const struct json_field fields[] = {
		JSON_FIELD(U64, struct wide, v, "v", 0),
		JSON_FIELD(OPT_U64, struct wide, o, "o", 0),
		JSON_FIELD(I64, struct wide, i, "i", 0),
		JSON_FIELD(STR, struct wide, s, "s", 0),
	};
	static const struct json_type type = JSON_TYPE("wide", struct wide, fields);
	static const char text[] = "{\"v\":18446744073709551615,\"o\":9223372036854775808,"
				   "\"i\":9223372036854775807,\"s\":\"\\\"18446744073709551615\"}";
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(4096);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(json_read(&type, text, strlen(text), &a, &w, &err), 0);
	assert_true(w.v == UINT64_MAX && *w.o == (uint64_t)INT64_MAX + 1 && w.i == INT64_MAX);
	assert_string_equal(w.s, "\"18446744073709551615");
	assert_int_equal(json_write(&type, &w, 0, &out, &err), 0);
	assert_string_equal(buf_text(&out), text);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(json_read(&type, bad[i], strlen(bad[i]), &a, &w, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_u64_reaches_its_end),
		cmocka_unit_test(test_what_is_read_is_written),
		cmocka_unit_test(test_errors_name_the_path),
		cmocka_unit_test(test_hostile_text_is_refused),
		cmocka_unit_test(test_strings_are_always_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
