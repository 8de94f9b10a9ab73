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

static void records_of_the_kernels_log_are_about_a_cgroup_or_not(void **state)
{
#define KILL(memcg, pid) "6,161,25803610251,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0," \
	"oom_memcg=/a," "task_memcg=" memcg ",task=tail,pid=" pid ",uid=0\n"
	static const struct {
		const char *record, *path;
		bool anywhere;
		enum cgroup_oom_record is;
	} rows[] = {
		{ KILL("/a/b", "7"), "/a/b", false, CGROUP_OOM_INSIDE },
		{ KILL("/a/b", "42"), "/a/b", false, CGROUP_OOM_INSIDE_INIT },
		{ KILL("/a/b/c", "421"), "/a/b", false, CGROUP_OOM_INSIDE },
		{ KILL("/a/bc", "42"), "/a/b", false, CGROUP_OOM_OTHER },
		{ KILL("/a", "42"), "/a/b", false, CGROUP_OOM_OTHER },
		{ KILL("/z/a/b", "42"), "/a/b", false, CGROUP_OOM_OTHER },
		{ KILL("/z/a/b", "42"), "/a/b", true, CGROUP_OOM_INSIDE_INIT },
		{ KILL("/z/aa/b", "42"), "/a/b", true, CGROUP_OOM_OTHER },
		{ KILL("/a\\x5cx2db", "7"), "/a\\x2db", false, CGROUP_OOM_INSIDE },
		{ KILL("/a,task_memcg=/b", "7"), "/b", false, CGROUP_OOM_OTHER },
		{ "14,1,2,-;oom-kill:,task_memcg=/a/b,task=t,pid=42,uid=0\n", "/a/b", false, CGROUP_OOM_OTHER },
		{ "6,1,2,-;x oom-kill:,task_memcg=/a/b,task=t,pid=42,uid=0\n", "/a/b", false, CGROUP_OOM_OTHER },
		{ "3,1,2,-;Memory cgroup out of memory: Killed process 42 (tail) total-vm:1kB\n", "/a/b", false,
		  CGROUP_OOM_INIT },
		{ "3,1,2,-;Out of memory: Killed process 42 (tail) total-vm:1kB\n", "/a/b", false, CGROUP_OOM_INIT },
		{ "3,1,2,-;Memory cgroup out of memory: Killed process 421 (tail)\n", "/a/b", false, CGROUP_OOM_OTHER },
		{ "", "/a", false, CGROUP_OOM_OTHER },
		{ "6,;oom-kill:,task_memcg=", "/a", true, CGROUP_OOM_OTHER },
	};
#undef KILL

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (cgroup_oom_parse(rows[i].record, rows[i].path, rows[i].anywhere, 42) != rows[i].is)
			fail_msg("row %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pressure_is_what_the_file_says),
		cmocka_unit_test(every_average_is_read_as_by_the_library),
		cmocka_unit_test(a_line_that_is_cut_short_or_missing_gives_nothing),
		cmocka_unit_test(records_of_the_kernels_log_are_about_a_cgroup_or_not),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
