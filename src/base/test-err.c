#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void test_errno_decides_the_kind(void **state)
{
	static const struct {
		int number;
		enum err_kind kind;
	} rows[] = {
		{ ENOENT, ERR_NOT_FOUND }, { -ENOENT, ERR_NOT_FOUND }, { ENOSPC, ERR_LIMIT },
		{ EPERM, ERR_DENIED },     { EXDEV, ERR_INTERNAL },    { ETIMEDOUT, ERR_TIMEOUT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(err_kind_of(rows[i].number), rows[i].kind);
}

static void test_layers_add_their_noun_in_front(void **state)
{
	struct err err = ERR_INIT;
	int r;

	(void)state;
	r = err_sys(&err, -ENOENT, "openat2 %s", "data");
	assert_int_equal(r, -ENOENT);
	r = err_wrap(&err, r, "mount %s", "/data");
	r = err_wrap(&err, r, "create container %s", "web");
	assert_int_equal(r, -ENOENT);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_string_equal(err.text, "create container web: mount /data: openat2 data: "
				      "No such file or directory");
}

static void test_long_texts_are_cut_and_terminated(void **state)
{
	struct err err = ERR_INIT;
	char big[3 * ERR_TEXT_MAX];

	(void)state;
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	err_set(&err, ERR_INVALID, "inner");
	err_wrap(&err, -1, "%s", big);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	err_sys(&err, ENOENT, "%s", big);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

static void test_bytes_from_another_process_become_valid(void **state)
{
	struct err err;

	(void)state;
	memset(&err, 0xff, sizeof(err));
	err_sanitize(&err);
	assert_int_equal(err.kind, ERR_INTERNAL);
	assert_int_equal(err.number, 0);
	assert_int_equal(err.text[ERR_TEXT_MAX - 1], '\0');
	memcpy(err.text, "a\nb\x1b[31m", sizeof("a\nb\x1b[31m"));
	err_sanitize(&err);
	assert_string_equal(err.text, "a b [31m");
}

static void test_callers_may_not_care(void **state)
{
	(void)state;
	assert_int_equal(err_sys(NULL, EPERM, "x"), -EPERM);
	assert_true(err_set(NULL, ERR_STATE, "x") < 0);
	assert_int_equal(err_wrap(NULL, -EPERM, "x"), -EPERM);
	err_clear(NULL);
}

static void test_every_kind_has_a_row(void **state)
{
	(void)state;
	for (int k = 0; k < ERR_KINDS; k++)
		assert_non_null(err_kind_info(k)->name);
	assert_string_equal(err_kind_info(9999)->name, "INTERNAL");
	assert_int_equal(err_kind_info(ERR_UNSUPPORTED)->grpc, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errno_decides_the_kind),
		cmocka_unit_test(test_layers_add_their_noun_in_front),
		cmocka_unit_test(test_long_texts_are_cut_and_terminated),
		cmocka_unit_test(test_bytes_from_another_process_become_valid),
		cmocka_unit_test(test_callers_may_not_care),
		cmocka_unit_test(test_every_kind_has_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
