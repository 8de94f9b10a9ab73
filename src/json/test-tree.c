/* What plain.c takes jansson takes too, and sees the same in it. */
#include "json/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* Whether the plain way took it; then it is checked. */
static bool compare(const char *text, size_t len)
{
	CLEANUP(json_tree_done) struct json_tree theirs = JSON_TREE_INIT;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const struct json_node *ours = json_plain_read(text, len, &a);
	struct err err = ERR_INIT;

	if (!ours)
		return false;
	if (json_jansson_read(&theirs, text, len, "document", &err) < 0)
		fail_msg("taken: %.*s, which jansson refuses: %s", (int)len, text, err.text);
	if (!json_node_equal(ours, theirs.root))
		fail_msg("read otherwise than jansson does: %.*s", (int)len, text);
	return true;
}

static void documents_of_every_kind_are_read_alike(void **state)
{
	static const char *const plain[] = {
		"{}", " [ ] \n", "{\"a\":{\"b\":[1,-2,0,-0],\"c\":\"\"},\"d\":null}", "[\"\x7f\"]",
		"[true,false,null,[[]],\"x\\n\\\"\\\\\\/\\b\\f\\r\\t\"]", "{\"\":1,\"A\":2,\"a\":3}",
		"[999999999999999999,-999999999999999999]", "\t{\r\n\"a\" : \"b\" , \"c\" : [ 1 , 2 ] }",
	};
	static const char *const others[] = {
		/* valid, and left to jansson */
		"[1000000000000000000]", "[1.5]", "[1e3]", "[1E3]", "[\"\\u0041\"]", "[\"\xc3\xa9\"]",
		"[18446744073709551615]",
		/* invalid */
		"", "{", "}", "[1,]", "{\"a\":1,}", "{\"a\":1,\"a\":2}", "{\"a\\n\":1,\"a\\n\":2}", "[01]",
		"[-]", "[--1]", "[+1]", "[1 2]", "[1]x", "[truex]", "[tru]", "[nulll]", "[\"a]", "[\"\\x\"]",
		"[\"\\", "[\"a\nb\"]", "{a:1}", "{\"a\"}", "{\"a\":}", "[\"\xff\"]", "1", "\"a\"", "null", "[00]",
		"[-01]", "[]]", "\xef\xbb\xbf{}", "[1,,2]", "[/**/]", "['a']", "[1.]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (!compare(plain[i], strlen(plain[i])))
			fail_msg("not taken: %s", plain[i]);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (compare(others[i], strlen(others[i])))
			fail_msg("taken: %s", others[i]);
	assert_false(compare("[1]\0", 4));
	assert_false(compare("[\"a\0b\"]", 7));
}

static const char whole[] =
	"{\"ociVersion\":\"1.0.2\",\"process\":{\"terminal\":false,\"user\":{\"uid\":0,\"gid\":-12},"
	"\"args\":[\"sh\",\"-c\",\"echo \\\"a\\\\b\\\"\\n\"],\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\","
	"\"hard\":1024,\"soft\":10}]},\"root\":null,\"list\":[[],{},[true],{\"x\":[false]}]}";

/* Every one of its bytes becomes each of these; and it is cut off everywhere. */
static void every_byte_changed_is_read_alike(void **state)
{
	static const char bytes[] = "{}[]:,\"\\ \n0123456789-+.eEutfnabr/x\x01\x7f\x80\xc3\xff";
	char text[sizeof(whole)];
	size_t taken = 0, refused = 0;

	(void)state;
	assert_true(compare(whole, sizeof(whole) - 1));
	for (size_t i = 0; i < sizeof(whole) - 1; i++) {
		for (size_t b = 0; b < sizeof(bytes); b++) { /* its NUL too */
			memcpy(text, whole, sizeof(whole));
			text[i] = bytes[b];
			if (compare(text, sizeof(whole) - 1))
				taken++;
			else
				refused++;
		}
		assert_false(compare(whole, i));
	}
	assert_true(taken > 1000 && refused > 1000);
}

static void what_is_too_deep_or_too_wide_is_left_to_jansson(void **state)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 << 20);

	(void)state;
	for (int depth = 1; depth < 200; depth++) {
		text.len = 0;
		for (int i = 0; i < depth; i++)
			buf_puts(&text, "[");
		for (int i = 0; i < depth; i++)
			buf_puts(&text, "]");
		assert_int_equal(compare(buf_text(&text), text.len), depth <= 64);
	}
	for (int members = 1; members < 100; members++) {
		text.len = 0;
		for (int i = 0; i < members; i++)
			buf_printf(&text, "%s\"key%d\":%d", i ? "," : "{", i, i);
		buf_puts(&text, "}");
		assert_int_equal(compare(buf_text(&text), text.len), members <= 32);
	}
}

static void two_bytes_of_a_document_do_not_cost_memory_without_limit(void **state)
{
	CLEANUP(json_tree_done) struct json_tree most = JSON_TREE_INIT, more = JSON_TREE_INIT;
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 << 20);
	struct err err = ERR_INIT;

	(void)state;
	/* the array is a value as well */
	for (int i = 0; i < JSON_VALUES_MAX - 1; i++)
		buf_puts(&text, i ? ",0" : "[0");
	buf_puts(&text, "]");
	assert_true(compare(buf_text(&text), text.len));
	assert_int_equal(json_tree_read(&most, buf_text(&text), text.len, "list", &err), 0);
	text.len--;
	buf_puts(&text, ",0]");
	assert_false(compare(buf_text(&text), text.len));
	assert_true(json_tree_read(&more, buf_text(&text), text.len, "list", &err) < 0);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_string_equal(err.text, "list: more than 262144 values");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents_of_every_kind_are_read_alike),
		cmocka_unit_test(every_byte_changed_is_read_alike),
		cmocka_unit_test(what_is_too_deep_or_too_wide_is_left_to_jansson),
		cmocka_unit_test(two_bytes_of_a_document_do_not_cost_memory_without_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
