#include "ns/ns.h"

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void test_types_are_found_by_the_names_of_the_specification(void **state)
{
	(void)state;
	assert_int_equal(ns_type_find("network"), NS_NET);
	assert_int_equal(ns_type_find("mount"), NS_MNT);
	assert_int_equal(ns_type_find("net"), -EINVAL);
	assert_int_equal(ns_type_find(""), -EINVAL);
	assert_int_equal(ns_flags(1 << NS_PID | 1 << NS_TIME), 0x20000080);
}

static void test_a_path_must_be_a_namespace_of_that_type(void **state)
{
	int fd = -EBADF;

	(void)state;
	assert_int_equal(ns_open("/proc/self/ns/net", NS_NET, &fd), 0);
	assert_int_equal(ns_is_own(fd, NS_NET), 1);
	close(fd);
	fd = -EBADF;
	assert_int_equal(ns_open("/proc/self/ns/net", NS_UTS, &fd), -EINVAL);
	assert_int_equal(ns_open("/dev/null", NS_UTS, &fd), -EINVAL);
	assert_int_equal(ns_open("/proc/self/ns/none", NS_UTS, &fd), -ENOENT);
	assert_int_equal(fd, -EBADF);
}

static void test_maps_that_wrap_or_overlap_are_refused(void **state)
{
	static const struct {
		struct ns_id_map maps[2];
		size_t n;
		int r;
	} rows[] = {
		{ { { 0, 1000, 1 } }, 1, 0 },
		{ { { 0, 1000, 1 }, { 1, 100000, 65535 } }, 2, 0 },
		{ { { 0, 0, 0 } }, 0, -EINVAL },
		{ { { 0, 0, 0 } }, 1, -EINVAL },
		{ { { 0, UINT32_MAX, 2 } }, 1, -EINVAL },
		{ { { UINT32_MAX - 1, 0, 2 } }, 1, -EINVAL },
		{ { { 0, 0, UINT32_MAX } }, 1, 0 },
		{ { { 0, 1000, 10 }, { 9, 5000, 1 } }, 2, -EINVAL },
		{ { { 0, 1000, 10 }, { 10, 1009, 1 } }, 2, -EINVAL },
	};
	size_t at;
	uint32_t id;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (ns_maps_check(rows[i].maps, rows[i].n, &at) != rows[i].r)
			fail_msg("row %zu", i);
	assert_int_equal(ns_maps_find(rows[1].maps, 2, 2, &id), 0);
	assert_int_equal(id, 100001);
	assert_int_equal(ns_maps_find(rows[1].maps, 2, 65536, &id), -ENOENT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types_are_found_by_the_names_of_the_specification),
		cmocka_unit_test(test_a_path_must_be_a_namespace_of_that_type),
		cmocka_unit_test(test_maps_that_wrap_or_overlap_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
