#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void test_arena_gives_zeroed_aligned_memory(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT, b = ARENA_INIT;

	(void)state;
	for (size_t n = 1; n < 20000; n = n * 3 + 1) {
		unsigned char *p = arena_new(&a, n, 1);

		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xaa, n);
	}
	assert_string_equal(arena_printf(&b, "%s-%d", "x", 7), "x-7");
	arena_adopt(&a, &b);
	assert_null(b.block);
	assert_null(arena_strdup(&a, NULL));
}

static void test_buf_keeps_its_bound(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(10);

	(void)state;
	assert_int_equal(buf_puts(&b, "12345"), 0);
	assert_int_equal(buf_puts(&b, "678901"), -EMSGSIZE);
	assert_string_equal(buf_text(&b), "12345");
	assert_int_equal(buf_printf(&b, "%d", 67890), 0);
	assert_int_equal(buf_append(&b, "x", 1), -EMSGSIZE);
	buf_consume(&b, 3);
	assert_string_equal(buf_text(&b), "4567890");
}

static void test_numbers_are_whole_or_refused(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t value;
	} rows[] = {
		{ "0", 0, 0 },       { "18446744073709551615", 0, UINT64_MAX },
		{ "", -EINVAL, 0 },  { " 1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 }, { "-1", -EINVAL, 0 },
		{ "1x", -EINVAL, 0 }, { "18446744073709551616", -ERANGE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t v = 0;

		assert_int_equal(str_to_u64(rows[i].text, 10, &v), rows[i].result);
		assert_true(v == rows[i].value);
	}
	int64_t s;
	assert_int_equal(str_to_i64("-5", 10, &s), 0);
	assert_true(s == -5);
	assert_int_equal(str_to_i64("--5", 10, &s), -EINVAL);
}

static void test_ids(void **state)
{
	char id[ID_LEN + 1];

	(void)state;
	id_random(id);
	assert_true(str_is_id(id, ID_LEN));
	assert_false(str_is_id("..", 64));
	assert_false(str_is_id("a/b", 64));
	assert_false(str_is_id("", 64));
	assert_false(str_is_id("-rf", 64));
	assert_false(str_is_id("toolong", 3));
	assert_true(str_is_id("my_container-1.x+y", 64));
}

static void test_map_survives_churn(void **state)
{
	CLEANUP(map_done) struct map m = MAP_INIT;
	static char keys[1000][8];
	size_t seen = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
		assert_int_equal(map_put(&m, keys[i], keys[i]), 0);
	}
	assert_int_equal(map_put(&m, "k7", keys[8]), -EEXIST);
	for (int round = 0; round < 50; round++)
		for (size_t i = 0; i < ARRAY_LEN(keys); i += 2) {
			assert_ptr_equal(map_remove(&m, keys[i]), keys[i]);
			assert_int_equal(map_put(&m, keys[i], keys[i]), 0);
		}
	for (size_t pos = 0; map_next(&m, &pos);)
		seen++;
	assert_int_equal(seen, ARRAY_LEN(keys));
	assert_null(map_get(&m, "absent"));
	assert_ptr_equal(map_get(&m, "k999"), keys[999]);
}

static void test_time_round_trips(void **state)
{
	static const struct {
		int64_t real;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00.000000000Z" },
		{ INT64_C(1709251199000000001), "2024-02-29T23:59:59.000000001Z" },
		{ -1, "1969-12-31T23:59:59.999999999Z" },
	};
	char out[TIME_TEXT_MAX];
	int64_t back;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_string_equal(time_format_rfc3339(rows[i].real, out), rows[i].text);
		assert_int_equal(time_parse_rfc3339(rows[i].text, &back), 0);
		assert_true(back == rows[i].real);
	}
	assert_int_equal(time_parse_rfc3339("2024-02-29T23:59:59+01:00", &back), 0);
	assert_true(back == INT64_C(1709247599) * NSEC_PER_SEC);
	assert_int_equal(time_parse_rfc3339("yesterday", &back), -EINVAL);
	assert_int_equal(time_parse_rfc3339("2024-02-29T23:59:59", &back), -EINVAL);
}

static void test_base64_goes_both_ways(void **state)
{
	static const char *const texts[] = { "", "a", "ab", "abc", "user:pa\xff\x01ss" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(buf_done) struct buf enc = BUF_INIT(100), dec = BUF_INIT(100);

		base64_encode(texts[i], strlen(texts[i]), &enc);
		assert_int_equal(base64_decode(buf_text(&enc), &dec), 0);
		assert_string_equal(buf_text(&dec), texts[i]);
	}
	{
		CLEANUP(buf_done) struct buf dec = BUF_INIT(100);

		assert_int_equal(base64_decode("a b=", &dec), -EINVAL);
		assert_int_equal(base64_decode("YQ=x", &dec), -EINVAL);
		assert_int_equal(base64_decode("Y", &dec), -EINVAL);
		assert_int_equal(base64_decode("YQ=", &dec), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena_gives_zeroed_aligned_memory),
		cmocka_unit_test(test_buf_keeps_its_bound),
		cmocka_unit_test(test_numbers_are_whole_or_refused),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_map_survives_churn),
		cmocka_unit_test(test_time_round_trips),
		cmocka_unit_test(test_base64_goes_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
