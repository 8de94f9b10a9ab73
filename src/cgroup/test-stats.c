/*
 * What a cgroup tells of its use, in every layout and by every driver.
 */
#include "cgroup/conformance.h"

#include "sys/sys.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

static int eat_memory(void)
{
	size_t len = 64 << 20;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; p != MAP_FAILED && i < len; i += 4096)
		p[i] = 1;
	return 0;
}

static void an_oom_kill_is_counted_and_reported(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_limits l = { 0 };
	autofd int watch = -EBADF;
	struct pollfd p;
	struct cgroup *cg;
	short events;
	uint64_t kills;
	pid_t keeper;

	if (host->of[CGROUP_MEMORY] < 0)
		skip();
	cgroup_limits_set(&l, CGROUP_MEMORY_LIMIT, 8 << 20);
	cgroup_limits_set(&l, CGROUP_MEMORY_SWAP, 8 << 20);
	cg = make("oom", &l, &a);
	keeper = run_inside(cg, NULL, sleeper);
	OK(cgroup_oom_watch(cg, &watch, &events, err));
	OK(cgroup_oom_kills(cg, &kills, err));
	assert_int_equal(kills, 0);
	p = (struct pollfd){ .fd = watch, .events = events };
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(WTERMSIG(wait_for(run_inside(cg, NULL, eat_memory))), SIGKILL);
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(cgroup_watch_drain(watch), 0);
	for (int i = 0; i < 1000; i++) {
		OK(cgroup_oom_kills(cg, &kills, err));
		if (kills)
			break;
		usleep(1000);
	}
	assert_int_equal(kills, 1);
	remove_it(cg);
	wait_for(keeper);
	/* the end of the cgroup is told too, and v2's file tells it for ever */
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(cgroup_watch_drain(watch), events == POLLPRI ? -ENODEV : 0);
}

static int burn(void)
{
	size_t len = 4 << 20;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timespec used = { 0, 0 };

	memset(p, 1, len);
	while (used.tv_nsec < 30 * NSEC_PER_MSEC)
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return sleeper();
}

static void statistics_show_what_was_used(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_limits l = { .optional = ~UINT64_C(0) };
	struct cgroup_stats st;
	struct cgroup *cg;
	pid_t pid;

	cgroup_limits_set(&l, CGROUP_MEMORY_LIMIT, 64 << 20);
	cgroup_limits_set(&l, CGROUP_PIDS_LIMIT, 11);
	cg = make("stats", &l, &a);
	pid = run_inside(cg, NULL, burn);
	/* on a busy machine it takes its time to get some */
	for (int i = 0; i < 1000; i++) {
		usleep(10000);
		OK(cgroup_stats(cg, &st, err));
		if ((!(st.have & CGROUP_HAVE_CPU) || st.cpu_usage_nsec > 20 * NSEC_PER_MSEC) &&
		    (!(st.have & CGROUP_HAVE_MEMORY) || st.memory_rss >= 4 << 20))
			break;
	}
	if (host->of[CGROUP_MEMORY] >= 0) {
		assert_true(st.have & CGROUP_HAVE_MEMORY);
		assert_true(st.memory_usage >= 4 << 20 && st.memory_usage < 64 << 20);
		assert_true(st.memory_rss >= 4 << 20);
		assert_true(st.memory_working_set <= st.memory_usage);
		assert_int_equal(st.memory_limit, 64 << 20);
		assert_true(st.page_faults > 0);
	}
	if (host->of[CGROUP_CPU] >= 0 || host->mode == CGROUP_V2) {
		assert_true(st.have & CGROUP_HAVE_CPU);
		assert_true(st.cpu_usage_nsec > 5 * NSEC_PER_MSEC);
	}
	if (host->of[CGROUP_PIDS] >= 0) {
		assert_int_equal(st.pids, 1);
		assert_int_equal(st.pids_limit, 11);
	}
	remove_it(cg);
	wait_for(pid);
}

static void a_meter_reads_what_the_statistics_say_until_the_end(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const unsigned all = CGROUP_HAVE_CPU | CGROUP_HAVE_MEMORY | CGROUP_HAVE_SWAP | CGROUP_HAVE_PIDS |
			     CGROUP_HAVE_PSI;
	struct cgroup_limits l = { .optional = ~UINT64_C(0) };
	struct cgroup_stats before, st, after;
	struct cgroup_meter *m;
	struct err gone = ERR_INIT;
	struct cgroup *cg;
	pid_t pid;

	cgroup_limits_set(&l, CGROUP_MEMORY_LIMIT, 64 << 20);
	cg = make("meter", &l, &a);
	pid = run_inside(cg, NULL, burn);
	OK(cgroup_meter_open(host, cgroup_path(cg), &m, err));
	for (int i = 0; i < 20; i++) {
		usleep(5000);
		OK(cgroup_stats(cg, &before, err));
		OK(cgroup_meter_read(m, all, &st, err));
		OK(cgroup_stats(cg, &after, err));
		assert_int_equal(st.have, after.have & all);
		assert_true(st.cpu_usage_nsec >= before.cpu_usage_nsec && st.cpu_usage_nsec <= after.cpu_usage_nsec);
		assert_true(st.page_faults >= before.page_faults && st.page_faults <= after.page_faults);
		assert_int_equal(st.memory_limit, after.memory_limit);
		assert_int_equal(st.swap_limit, after.swap_limit);
		assert_int_equal(st.pids, after.pids);
		assert_true(st.memory_working_set <= st.memory_usage);
	}
	remove_it(cg);
	wait_for(pid);
	assert_true(cgroup_meter_read(m, all, &st, &gone) < 0);
	assert_int_equal(gone.kind, ERR_NOT_FOUND);
	cgroup_meter_free(m);
	assert_true(cgroup_meter_open(host, "/no/such/cgroup", &m, &gone) < 0);
}

static void check_limits(const struct cgroup *cg, struct arena *a)
{
	const unsigned want = CGROUP_HAVE_MEMORY | CGROUP_HAVE_SWAP;
	struct cgroup_stats st, whole;
	struct cgroup_meter *m;

	OK(cgroup_meter_open(host, cgroup_path(cg), &m, err));
	OK(cgroup_meter_read(m, want, &st, err));
	OK(cgroup_stats(cg, &whole, err));
	assert_int_equal(st.have, whole.have & want);
	assert_int_equal(st.memory_limit, whole.memory_limit);
	assert_int_equal(st.swap_limit, whole.swap_limit);
	cgroup_meter_free(m);
}

/* Where a file is left out, since another one says that it can hold nothing. */
static void a_meter_knows_limits_of_its_own_and_above(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_limits l = { .optional = ~UINT64_C(0) }, less = { .optional = ~UINT64_C(0) };
	struct cgroup *outer, *inner, *free_one;
	struct cgroup_stats st;

	if (host->of[CGROUP_MEMORY] < 0)
		skip();
	free_one = make("unlimited", NULL, &a);
	check_limits(free_one, &a);
	OK(cgroup_stats(free_one, &st, err));
	assert_true(st.memory_limit == UINT64_MAX);
	remove_it(free_one);
	if (by_systemd) /* scopes have nothing below them */
		return;
	cgroup_limits_set(&l, CGROUP_MEMORY_LIMIT, 64 << 20);
	cgroup_limits_set(&l, CGROUP_MEMORY_SWAP, 96 << 20);
	outer = make("outer", &l, &a);
	inner = make("outer/inner", NULL, &a);
	check_limits(outer, &a);
	check_limits(inner, &a);
	remove_it(inner);
	cgroup_limits_set(&less, CGROUP_MEMORY_LIMIT, 32 << 20);
	cgroup_limits_set(&less, CGROUP_MEMORY_SWAP, 32 << 20);
	inner = make("outer/lower", &less, &a);
	check_limits(inner, &a);
	remove_it(inner);
	remove_it(outer);
}

static void a_meter_reads_only_what_is_wanted(void **state)
{
	static const unsigned each[] = { CGROUP_HAVE_CPU, CGROUP_HAVE_MEMORY, CGROUP_HAVE_PIDS, CGROUP_HAVE_PSI };
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup *cg = make("wanted", NULL, &a);
	struct cgroup_stats st, whole;
	struct err nothing = ERR_INIT;
	struct cgroup_meter *m;

	OK(cgroup_stats(cg, &whole, err));
	OK(cgroup_meter_open(host, cgroup_path(cg), &m, err));
	for (size_t i = 0; i < ARRAY_LEN(each); i++) {
		if (!(whole.have & each[i])) {
			assert_true(cgroup_meter_read(m, each[i], &st, &nothing) < 0);
			continue;
		}
		OK(cgroup_meter_read(m, each[i], &st, err));
		assert_int_equal(st.have, each[i]);
	}
	cgroup_meter_free(m);
	remove_it(cg);
}

static void details_agree_with_the_statistics(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_limits l = { .optional = ~UINT64_C(0) };
	struct cgroup_named_value *memory;
	struct cgroup_cpu_usage *cpus;
	struct cgroup_io_entry *io;
	struct cgroup_stats st;
	size_t n_memory, n_cpus, n_io;
	struct cgroup *cg = make("details", &l, &a);
	pid_t pid = run_inside(cg, NULL, burn);
	int at = host->of[CGROUP_MEMORY];
	bool memory_in_v2 = at >= 0 && host->hierarchies[at].version == 2;
	uint64_t anon = 0, sum = 0;

	for (int i = 0; i < 1000; i++) {
		usleep(10000);
		OK(cgroup_memory_details(cg, &a, &memory, &n_memory, err));
		OK(cgroup_cpu_details(cg, &a, &cpus, &n_cpus, err));
		sum = 0;
		for (size_t k = 0; k < n_cpus; k++)
			sum += cpus[k].usage_nsec;
		for (size_t k = 0; k < n_memory; k++)
			if (str_eq(memory[k].name, memory_in_v2 ? "anon" : "total_rss"))
				anon = memory[k].value;
		if ((sum || !n_cpus) && (anon || !n_memory))
			break;
	}
	OK(cgroup_io_details(cg, &a, &io, &n_io, err));
	OK(cgroup_stats(cg, &st, err));
	if (host->of[CGROUP_MEMORY] >= 0) {
		assert_true(n_memory > 10);
		assert_true(anon > 0 && anon <= st.memory_rss);
	} else {
		assert_int_equal(n_memory, 0);
	}
	/* only v1 counts by CPU: user and system time by ticks, so the sum is not the exact usage */
	if (host->of[CGROUP_CPUACCT] >= 0)
		assert_true(n_cpus > 0 && sum > 0);
	else
		assert_int_equal(n_cpus, 0);
	if (host->of[CGROUP_IO] < 0)
		assert_int_equal(n_io, 0);
	remove_it(cg);
	wait_for(pid);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(an_oom_kill_is_counted_and_reported),
	cmocka_unit_test(statistics_show_what_was_used),
	cmocka_unit_test(a_meter_reads_what_the_statistics_say_until_the_end),
	cmocka_unit_test(a_meter_knows_limits_of_its_own_and_above),
	cmocka_unit_test(a_meter_reads_only_what_is_wanted),
	cmocka_unit_test(details_agree_with_the_statistics),
};

int main(void)
{
	return conformance_run(tests, ARRAY_LEN(tests));
}
