#include "cli/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_columns_fit_their_content(void **state)
{
	struct cli_table t = CLI_TABLE("ID", "NAME", "STATE");
	CLEANUP(buf_done) struct buf out = BUF_INIT(4096);

	(void)state;
	cli_table_row(&t, "abc", "a-longer-name", "Ready");
	cli_table_row(&t, "d", NULL, "Bad\x1b[31m");
	cli_table_print(&t, &out);
	assert_string_equal(buf_text(&out), "ID   NAME           STATE\n"
					    "abc  a-longer-name  Ready\n"
					    "d                   Bad?[31m\n");
	cli_table_done(&t);
}

static void test_sizes_are_three_digits(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{ 0, "0B" },		{ 999, "999B" },	{ 1000, "1.00kB" },
		{ 1536000, "1.54MB" },	{ 99949, "99.9kB" },	{ 999600, "1.00MB" },
		{ 12300000000, "12.3GB" },
	};
	CLEANUP(arena_done) struct arena a = ARENA_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(cli_size(&a, rows[i].bytes), rows[i].text);
}

static void test_ages_are_words(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	int64_t now = time_now_real();

	(void)state;
	assert_string_equal(cli_age(&a, 0), "-");
	assert_string_equal(cli_age(&a, now - 61 * NSEC_PER_SEC), "1 minute ago");
	assert_string_equal(cli_age(&a, now - 49 * 3600 * NSEC_PER_SEC), "2 days ago");
	assert_string_equal(cli_short_id(&a, "sha256:0123456789abcdef"), "0123456789abc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns_fit_their_content),
		cmocka_unit_test(test_sizes_are_three_digits),
		cmocka_unit_test(test_ages_are_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
