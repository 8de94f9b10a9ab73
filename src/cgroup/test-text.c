/* The kernel's statistics files: figures out of texts. */
#include "cgroup/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void pressure_is_what_the_file_says(void **state)
{
	struct cgroup_psi p = { 0 };

	cgroup_text_psi_of("some avg10=0.03 avg60=12.50 avg300=100.00 total=18446744073709551615\n"
			   "full avg10=1.00 avg60=0.00 avg300=99.99 total=7\n", &p);
	assert_true(p.some_avg10 == 0.03 && p.some_avg60 == 12.5 && p.some_avg300 == 100);
	assert_true(p.some_total_usec == UINT64_MAX);
	assert_true(p.full_avg10 == 1 && p.full_avg60 == 0 && p.full_avg300 == 99.99);
	assert_int_equal(p.full_total_usec, 7);
}

/* The same as the kernel's own words are read by the C library, over all averages there can be. */
static void every_average_is_read_as_by_the_library(void **state)
{
	char text[256];

	for (int i = 0; i <= 10000; i++) {
		struct cgroup_psi p = { 0 };

		snprintf(text, sizeof(text), "some avg10=%d.%02d avg60=0.00 avg300=0.00 total=%d\n", i / 100, i % 100, i);
		cgroup_text_psi_of(text, &p);
		assert_true(p.some_avg10 == strtod(text + 11, NULL));
		assert_int_equal(p.some_total_usec, i);
	}
}

static void a_line_that_is_cut_short_or_missing_gives_nothing(void **state)
{
	static const char whole[] = "some avg10=1.00 avg60=2.00 avg300=3.00 total=4";

	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		struct cgroup_psi p = { .full_total_usec = 5 };
		char text[sizeof(whole)] = "";

		memcpy(text, whole, len);
		cgroup_text_psi_of(text, &p);
		assert_int_equal(p.some_total_usec, 0);
		assert_int_equal(p.full_total_usec, 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pressure_is_what_the_file_says),
		cmocka_unit_test(every_average_is_read_as_by_the_library),
		cmocka_unit_test(a_line_that_is_cut_short_or_missing_gives_nothing),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
