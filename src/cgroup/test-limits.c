/*
 * Limits and device rules, in every layout and by every driver: set, changed, refused.
 */
#include "cgroup/conformance.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <sys/wait.h>

static void update_memory(struct cgroup *cg, int64_t memory, int64_t both)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_limits l = { 0 };
	struct cgroup_plan plan;

	cgroup_limits_set(&l, CGROUP_MEMORY_LIMIT, memory);
	cgroup_limits_set(&l, CGROUP_MEMORY_SWAP, both);
	OK(cgroup_plan(host, &l, &a, &plan, err));
	OK(cgroup_apply(cg, &plan, err));
	assert_int_equal(setting(cg, CGROUP_MEMORY, host->hierarchies[host->of[CGROUP_MEMORY]].version == 2 ?
				 "memory.max" : "memory.limit_in_bytes"), memory);
}

static void a_refused_update_leaves_everything_as_it_was(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_limits l = { 0 };
	struct err why = ERR_INIT;
	struct cgroup_plan plan;
	struct cgroup *cg;
	const char *file;
	bool v2;

	if (host->of[CGROUP_MEMORY] < 0 || host->of[CGROUP_CPU] < 0 || host->of[CGROUP_CPUSET] < 0)
		skip();
	cg = make("update", NULL, &a);
	update_memory(cg, 64 << 20, 96 << 20);
	v2 = host->hierarchies[host->of[CGROUP_CPU]].version == 2;
	file = v2 ? "cpu.weight" : "cpu.shares";
	cgroup_limits_set(&l, CGROUP_MEMORY_LIMIT, 256 << 20);
	cgroup_limits_set(&l, CGROUP_MEMORY_SWAP, 512 << 20);
	cgroup_limits_set(&l, CGROUP_CPU_SHARES, 77);
	l.cpus = "9999";
	OK(cgroup_plan(host, &l, &a, &plan, err));
	assert_true(cgroup_update(cg, &plan, &why) < 0);
	assert_non_null(strstr(why.text, "cpuset.cpus"));
	assert_int_equal(setting(cg, CGROUP_CPU, file), v2 ? 100 : 1024);
	assert_int_equal(setting(cg, CGROUP_MEMORY, host->hierarchies[host->of[CGROUP_MEMORY]].version == 2 ?
				 "memory.max" : "memory.limit_in_bytes"), 64 << 20);
	l.cpus = NULL;
	OK(cgroup_plan(host, &l, &a, &plan, err));
	OK(cgroup_update(cg, &plan, err));
	assert_true(setting(cg, CGROUP_CPU, file) < (v2 ? 100 : 1024));
	remove_it(cg);
}

static void memory_limits_go_up_and_down_in_any_order(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup *cg;

	if (host->of[CGROUP_MEMORY] < 0)
		skip();
	cg = make("memory", NULL, &a);
	update_memory(cg, 64 << 20, 64 << 20);
	update_memory(cg, 128 << 20, 256 << 20);
	update_memory(cg, 32 << 20, 32 << 20);
	update_memory(cg, 16 << 20, 512 << 20);
	update_memory(cg, 256 << 20, 256 << 20);
	{
		struct cgroup_limits none = { 0 };
		struct cgroup_plan plan;
		struct cgroup_stats st;

		cgroup_limits_set(&none, CGROUP_MEMORY_LIMIT, -1);
		OK(cgroup_plan(host, &none, &a, &plan, err));
		OK(cgroup_apply(cg, &plan, err));
		OK(cgroup_stats(cg, &st, err));
		assert_true(st.memory_limit == UINT64_MAX);
	}
	remove_it(cg);
}

static void an_update_is_all_or_nothing(void **state)
{
	/* nobody has a disk of this number: refused after all others are written */
	static const struct cgroup_io_limit no_disk[] = { { 4000, 4000, 1 << 20 } };
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_limits l = { 0 };
	struct cgroup_plan plan;
	struct cgroup_stats st;
	struct err e = ERR_INIT;
	struct cgroup *cg;
	bool cpu = host->of[CGROUP_CPU] >= 0;

	if (host->of[CGROUP_MEMORY] < 0 || host->of[CGROUP_PIDS] < 0 || host->of[CGROUP_IO] < 0)
		skip();
	cgroup_limits_set(&l, CGROUP_MEMORY_LIMIT, 64 << 20);
	cgroup_limits_set(&l, CGROUP_PIDS_LIMIT, 11);
	if (cpu)
		cgroup_limits_set(&l, CGROUP_CPU_SHARES, 1024);
	cg = make("update", &l, &a);
	cgroup_limits_set(&l, CGROUP_MEMORY_LIMIT, 32 << 20);
	cgroup_limits_set(&l, CGROUP_PIDS_LIMIT, 12);
	if (cpu)
		cgroup_limits_set(&l, CGROUP_CPU_SHARES, 2048);
	l.io_read_bps = no_disk;
	l.n_io_read_bps = 1;
	OK(cgroup_plan(host, &l, &a, &plan, err));
	assert_true(cgroup_update(cg, &plan, &e) < 0);
	assert_non_null(strstr(e.text, "4000:4000"));
	OK(cgroup_stats(cg, &st, err));
	assert_int_equal(st.memory_limit, 64 << 20);
	assert_int_equal(st.pids_limit, 11);
	if (cpu && host->hierarchies[host->of[CGROUP_CPU]].version == 1)
		assert_int_equal(setting(cg, CGROUP_CPU, "cpu.shares"), 1024);
	else if (cpu)
		assert_int_equal(setting(cg, CGROUP_CPU, "cpu.weight"), 39);
	/* without the bad part it is taken */
	l.n_io_read_bps = 0;
	OK(cgroup_plan(host, &l, &a, &plan, err));
	OK(cgroup_unit_limits(host, &l, &a, &plan, err));
	OK(cgroup_update(cg, &plan, err));
	OK(cgroup_stats(cg, &st, err));
	assert_int_equal(st.memory_limit, 32 << 20);
	assert_int_equal(st.pids_limit, 12);
	remove_it(cg);
}

static void cpu_limits_go_up_and_down_in_any_order(void **state)
{
	static const int64_t steps[][3] = { /* quota, period, burst */
		{ 50000, 100000, 10000 }, { 5000, 10000, 0 }, { 1000000, 500000, 500000 },
		{ 2000, 10000, 1000 },
	};
	struct cgroup *cg;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;

	if (host->of[CGROUP_CPU] < 0)
		skip();
	cg = make("cpu", NULL, &a);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct cgroup_limits l = { 0 };
		struct cgroup_plan plan;

		cgroup_limits_set(&l, CGROUP_CPU_QUOTA, steps[i][0]);
		cgroup_limits_set(&l, CGROUP_CPU_PERIOD, steps[i][1]);
		cgroup_limits_set(&l, CGROUP_CPU_BURST, steps[i][2]);
		OK(cgroup_plan(host, &l, &a, &plan, err));
		OK(cgroup_apply(cg, &plan, err));
	}
	remove_it(cg);
}

static void a_refused_value_is_named_with_file_and_path(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_limits l = { .cpus = "4000" };
	struct cgroup_plan plan;
	struct err e = ERR_INIT;
	struct cgroup *cg;

	if (host->of[CGROUP_CPUSET] < 0)
		skip();
	cg = make("refused", NULL, &a);
	OK(cgroup_plan(host, &l, &a, &plan, err));
	/* v2 takes CPUs that are not there, for when they come */
	if (host->mode != CGROUP_V2) {
		assert_true(cgroup_apply(cg, &plan, &e) < 0);
		assert_non_null(strstr(e.text, "cgroup cpuset: set cpuset.cpus to 4000 in /caisson"));
	}
	remove_it(cg);
}

static int open_zero_and_null(void)
{
	/* 0: both; 1: only null; 2: only zero; 3: none */
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY);

	return (null < 0 ? 2 : 0) | (zero < 0 ? 1 : 0);
}

static int write_zero(void)
{
	return open("/dev/zero", O_WRONLY) < 0;
}

static void set_devices(struct cgroup *cg, const struct cgroup_device *rules, size_t n)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_limits l = { .devices = rules, .n_devices = n };
	struct cgroup_plan plan;

	OK(cgroup_plan(host, &l, &a, &plan, err));
	OK(cgroup_apply(cg, &plan, err));
}

static void devices_are_what_the_rules_say_also_after_updates(void **state)
{
	enum { R = CGROUP_DEVICE_READ, W = CGROUP_DEVICE_WRITE, M = CGROUP_DEVICE_MKNOD };
	static const struct cgroup_device none[] = { { false, 'a', -1, -1, R | W | M } };
	static const struct cgroup_device null[] = {
		{ true, 'c', 1, 5, R }, { false, 'a', -1, -1, R | W | M }, { true, 'c', 1, 3, R | W | M }
	};
	static const struct cgroup_device read_zero[] = { { false, 'a', -1, -1, R | W | M },
							  { true, 'c', 1, 3, R },
							  { true, 'c', 1, 3, W }, { true, 'c', 1, 5, R } };
	static const struct cgroup_device memory[] = { { false, 'a', -1, -1, R | W | M },
						       { true, 'c', 1, -1, R | W } };
	static const struct cgroup_device all[] = { { true, 'a', -1, -1, R | W | M } };
	static const struct cgroup_device but_zero[] = { { true, 'a', -1, -1, R | W | M },
							 { false, 'c', 1, 5, R | W } };
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup *cg;
	pid_t keeper;

	if (host->of[CGROUP_DEVICES] < 0 && host->v2 < 0)
		skip();
	cg = make("devices", NULL, &a);
	keeper = run_inside(cg, NULL, sleeper);
	assert_int_equal(wait_for(run_inside(cg, NULL, open_zero_and_null)), 0);
	set_devices(cg, none, ARRAY_LEN(none));
	assert_int_equal(WEXITSTATUS(wait_for(run_inside(cg, NULL, open_zero_and_null))), 3);
	set_devices(cg, null, ARRAY_LEN(null));
	assert_int_equal(WEXITSTATUS(wait_for(run_inside(cg, NULL, open_zero_and_null))), 1);
	set_devices(cg, read_zero, ARRAY_LEN(read_zero));
	assert_int_equal(WEXITSTATUS(wait_for(run_inside(cg, NULL, open_zero_and_null))), 0);
	assert_int_equal(WEXITSTATUS(wait_for(run_inside(cg, NULL, write_zero))), 1);
	set_devices(cg, memory, ARRAY_LEN(memory));
	assert_int_equal(WEXITSTATUS(wait_for(run_inside(cg, NULL, write_zero))), 0);
	set_devices(cg, but_zero, ARRAY_LEN(but_zero));
	assert_int_equal(WEXITSTATUS(wait_for(run_inside(cg, NULL, open_zero_and_null))), 1);
	set_devices(cg, all, ARRAY_LEN(all));
	assert_int_equal(WEXITSTATUS(wait_for(run_inside(cg, NULL, open_zero_and_null))), 0);
	set_devices(cg, null, ARRAY_LEN(null));
	assert_int_equal(WEXITSTATUS(wait_for(run_inside(cg, NULL, open_zero_and_null))), 1);
	remove_it(cg);
	wait_for(keeper);
}

static void huge_page_limits_are_set_where_the_controller_is(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	static const struct cgroup_named_limit pages[] = { { "2MB", 4194304 } };
	struct cgroup_limits l = { .hugetlb = pages, .n_hugetlb = 1 };
	struct cgroup_stats st;
	struct cgroup *cg;
	uint64_t limit = 0;

	if (host->of[CGROUP_HUGETLB] < 0)
		skip();
	cg = make("huge/pages", &l, &a);
	assert_int_equal(setting(cg, CGROUP_HUGETLB,
				 host->hierarchies[host->of[CGROUP_HUGETLB]].version == 2 ?
				 "hugetlb.2MB.max" : "hugetlb.2MB.limit_in_bytes"), 4194304);
	OK(cgroup_stats(cg, &st, err));
	assert_true(st.have & CGROUP_HAVE_HUGETLB);
	for (size_t i = 0; i < st.n_hugetlb; i++)
		if (str_eq(st.hugetlb[i].page_size, "2MB"))
			limit = st.hugetlb[i].limit;
	assert_int_equal(limit, 4194304);
	remove_it(cg);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_refused_update_leaves_everything_as_it_was),
	cmocka_unit_test(memory_limits_go_up_and_down_in_any_order),
	cmocka_unit_test(an_update_is_all_or_nothing),
	cmocka_unit_test(cpu_limits_go_up_and_down_in_any_order),
	cmocka_unit_test(a_refused_value_is_named_with_file_and_path),
	cmocka_unit_test(devices_are_what_the_rules_say_also_after_updates),
	cmocka_unit_test(huge_page_limits_are_set_where_the_controller_is),
};

int main(void)
{
	return conformance_run(tests, ARRAY_LEN(tests));
}
