/*
 * The conformance suite of the cgroup room: every layout that this kernel can show goes
 * through the same tests. On a hybrid host these are the host as it is, its v1 part alone
 * and its v2 part alone.
 *
 * Where systemd runs (and owns the tree) the same tests go through its driver as well.
 *
 * Needs root and a writable cgroupfs; without, it skips and says so. Stays below
 * /caisson-test-<pid> in every hierarchy and removes that.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

static const struct cgroup_host *host; /* of the layout under test */
static char top[64];
static int pass;
static bool by_systemd;

#define OK(call)                                                          \
	do {                                                              \
		struct err err_ = ERR_INIT, *err = &err_;                 \
		if ((call) < 0)                                           \
			fail_msg("%s: %s", #call, err_.text);             \
	} while (0)

static int64_t soon(void)
{
	return time_now_mono() + 10 * NSEC_PER_SEC;
}

static struct cgroup *make(const char *name, const struct cgroup_limits *limits, struct arena *a)
{
	struct cgroup_config config = CGROUP_CONFIG_INIT;
	struct cgroup_plan plan = { 0 };
	struct cgroup *cg = NULL;

	struct cgroup_unit unit;
	char *path;

	config.path = arena_printf(a, "%s/%s", top, name);
	if (limits)
		OK(cgroup_plan(host, limits, a, &plan, err));
	if (by_systemd) {
		path = arena_printf(a, "%s.slice:test:%s", top + 1, name);
		for (char *p = path; *p; p++)
			*p = *p == '/' ? '-' : *p;
		OK(cgroup_unit_parse(path, "x", false, a, &unit, err));
		OK(cgroup_unit_path(&unit, a, &path, err));
		if (limits)
			OK(cgroup_unit_limits(host, limits, a, &plan, err));
		config.path = path;
		config.driver = &cgroup_driver_systemd;
		config.unit = &unit;
	}
	OK(cgroup_create(host, &config, &plan, &cg, err));
	OK(cgroup_apply(cg, &plan, err));
	return cg;
}

/* A child inside, which runs fn and exits with what it returns. */
static pid_t run_inside(struct cgroup *cg, const struct cgroup *sub, int (*fn)(void))
{
	CLEANUP(cgroup_entry_done) struct cgroup_entry entry = CGROUP_ENTRY_INIT;
	autofd int entered = -EBADF, say = -EBADF;
	pid_t pid;
	char c;

	OK(cgroup_entry_open(cg, sub, &entry, err));
	assert_int_equal(sys_pipe(0, &entered, &say), 0);
	pid = sys_clone3(0, SIGCHLD, entry.clone_fd, NULL);
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (cgroup_enter(&entry, NULL) < 0)
			_exit(99);
		/* in all hierarchies, or a test that removes one would make the rest fail */
		close(say);
		close(entered);
		_exit(fn());
	}
	fd_drop(&say);
	assert_int_equal(read(entered, &c, 1), 0);
	cgroup_unit_release(cg);
	return pid;
}

static int wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int sleeper(void)
{
	for (;;)
		pause();
	return 0;
}

static void wait_populated(const struct cgroup *cg, size_t n)
{
	for (int i = 0; i < 2000; i++) {
		autofree pid_t *pids = NULL;
		size_t found = 0;

		OK(cgroup_pids(cg, &pids, &found, err));
		if (found == n)
			return;
		usleep(1000);
	}
	fail_msg("never saw %zu processes", n);
}

static void remove_it(struct cgroup *cg)
{
	CLEANUP(cgroup_freep) struct cgroup *again = NULL;
	struct err e = ERR_INIT;
	char *path = mem_strdup(cgroup_path(cg));

	OK(cgroup_remove(cg, true, soon(), err));
	OK(cgroup_remove(cg, true, soon(), err)); /* twice is no error */
	cgroup_free(cg);
	assert_true(cgroup_open(host, path, &again, &e) < 0);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	free(path);
}

static void it_is_made_in_every_hierarchy_and_removed(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup *cg = make("deep/er/one", NULL, &a), *again = NULL;
	struct cgroup_config config = CGROUP_CONFIG_INIT;
	struct err e = ERR_INIT;
	pid_t pid;

	for (size_t h = 0; h < host->n_hierarchies; h++) {
		char *dir = cgroup_directory(cg, h, &a);

		assert_non_null(dir);
		assert_int_equal(access(dir, F_OK), 0);
	}
	if (by_systemd) {
		/* a unit cannot be empty, nor be made twice */
		remove_it(cg);
		return;
	}
	assert_int_equal(cgroup_populated(cg), 0);
	/* an empty one is used again, one with processes is not */
	config.path = cgroup_path(cg);
	OK(cgroup_create(host, &config, NULL, &again, err));
	cgroup_free(again);
	pid = run_inside(cg, NULL, sleeper);
	wait_populated(cg, 1);
	assert_true(cgroup_create(host, &config, NULL, &again, &e) < 0);
	assert_int_equal(e.kind, ERR_EXISTS);
	config.allow_populated = true;
	OK(cgroup_create(host, &config, NULL, &again, err));
	cgroup_free(again);
	/* without kill it says that it is busy, and nothing is lost */
	err_clear(&e);
	assert_true(cgroup_remove(cg, false, time_now_mono() + 5 * NSEC_PER_MSEC, &e) < 0);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_int_equal(cgroup_populated(cg), 1);
	remove_it(cg);
	assert_true(WIFSIGNALED(wait_for(pid)));
}

static int report_memberships(void)
{
	char text[8192];
	ssize_t n = sys_file_read_text(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text));
	size_t found = 0;

	if (n < 0)
		return 1;
	for (const char *p = text; (p = strstr(p, top)); p++)
		found++;
	return found == host->n_hierarchies ? 0 : 2;
}

static void a_child_enters_every_hierarchy_by_itself(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup *cg = make("entered", NULL, &a);

	assert_int_equal(wait_for(run_inside(cg, NULL, report_memberships)), 0);
	remove_it(cg);
}

static void another_process_can_be_moved(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup *cg = make("moved", NULL, &a);
	autofree pid_t *pids = NULL;
	size_t n = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(sleeper());
	OK(cgroup_add_pid(cg, pid, err));
	OK(cgroup_pids(cg, &pids, &n, err));
	assert_int_equal(n, 1);
	assert_int_equal(pids[0], pid);
	OK(cgroup_kill(cg, SIGTERM, err));
	assert_int_equal(WTERMSIG(wait_for(pid)), SIGTERM);
	OK(cgroup_wait_empty(cg, soon(), err));
	remove_it(cg);
}

static int fork_bomb(void)
{
	for (;;)
		if (fork() < 0)
			usleep(100);
	return 0;
}

static void a_fork_bomb_leaves_nothing_behind(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_limits limits = { .optional = CGROUP_BIT(CGROUP_PIDS_LIMIT) };
	struct cgroup *cg;
	pid_t pid;

	cgroup_limits_set(&limits, CGROUP_PIDS_LIMIT, 60);
	if (host->of[CGROUP_PIDS] < 0)
		skip(); /* without a bound it would take the machine along */
	cg = make("bomb", &limits, &a);
	pid = run_inside(cg, NULL, fork_bomb);
	usleep(50000);
	remove_it(cg);
	wait_for(pid);
}

static int breeder(void)
{
	/* forks and dies, again and again: whoever lists and kills is always late */
	for (;;) {
		pid_t pid = fork();

		if (pid > 0)
			_exit(0);
		usleep(200);
	}
	return 0;
}

static void whoever_forks_faster_than_a_list_is_read_dies_too(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup *cg = make("breeder", NULL, &a);

	if (cgroup_freeze(cg, false, soon(), NULL) < 0)
		skip();
	wait_for(run_inside(cg, NULL, breeder));
	usleep(10000);
	OK(cgroup_kill(cg, SIGKILL, err));
	OK(cgroup_wait_empty(cg, soon(), err));
	usleep(5000);
	assert_int_equal(cgroup_populated(cg), 0);
	remove_it(cg);
}

static void frozen_processes_stand_still_and_can_be_killed(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup *cg = make("frozen", NULL, &a);
	pid_t pid = run_inside(cg, NULL, sleeper);

	wait_populated(cg, 1);
	assert_int_equal(cgroup_frozen(cg), 0);
	OK(cgroup_freeze(cg, true, soon(), err));
	assert_int_equal(cgroup_frozen(cg), 1);
	/* the thaw is not ours to do; v1 holds the signal back until then, v2 lets what is
	 * fatal through */
	OK(cgroup_kill(cg, SIGTERM, err));
	usleep(2000);
	if (host->of[CGROUP_FREEZER] >= 0) {
		assert_int_equal(cgroup_frozen(cg), 1);
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	}
	OK(cgroup_freeze(cg, false, soon(), err));
	assert_int_equal(WTERMSIG(wait_for(pid)), SIGTERM);

	pid = run_inside(cg, NULL, sleeper);
	wait_populated(cg, 1);
	OK(cgroup_freeze(cg, true, soon(), err));
	OK(cgroup_kill(cg, SIGKILL, err));
	assert_int_equal(WTERMSIG(wait_for(pid)), SIGKILL);
	remove_it(cg);
}

static void a_sub_cgroup_is_killed_alone(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup *cg = make("withsub", NULL, &a), *sub = NULL;
	pid_t init = run_inside(cg, NULL, sleeper), exec;
	autofree pid_t *pids = NULL;
	size_t n = 0;

	OK(cgroup_create_sub(cg, "exec-1", &sub, err));
	exec = run_inside(cg, sub, sleeper);
	wait_populated(cg, 2);
	wait_populated(sub, 1);
	OK(cgroup_kill(sub, SIGKILL, err));
	assert_int_equal(WTERMSIG(wait_for(exec)), SIGKILL);
	OK(cgroup_remove(sub, true, soon(), err));
	cgroup_free(sub);
	OK(cgroup_pids(cg, &pids, &n, err));
	assert_int_equal(n, 1);
	assert_int_equal(pids[0], init);
	/* and one that was forgotten goes with the container */
	OK(cgroup_create_sub(cg, "exec-2", &sub, err));
	exec = run_inside(cg, sub, sleeper);
	cgroup_free(sub);
	remove_it(cg);
	wait_for(exec);
	wait_for(init);
}

static uint64_t setting(struct cgroup *cg, enum cgroup_controller c, const char *file)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_setting *s;
	size_t n;

	OK(cgroup_settings(cg, &a, &s, &n, err));
	for (size_t i = 0; i < n; i++)
		if (str_eq(s[i].file, file))
			return str_eq(s[i].value, "max") ? UINT64_MAX : strtoull(s[i].value, NULL, 10);
	fail_msg("%s: no such setting", file);
	return 0;
}

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
		assert_non_null(strstr(e.text, "cgroup cpuset: set cpuset.cpus to 4000 in /caisson-test-"));
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

	if (host->of[CGROUP_DEVICES] < 0 && host->v2 < 0)
		skip();
	cg = make("devices", NULL, &a);
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
}

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
	uint64_t kills;

	if (host->of[CGROUP_MEMORY] < 0)
		skip();
	cgroup_limits_set(&l, CGROUP_MEMORY_LIMIT, 8 << 20);
	cgroup_limits_set(&l, CGROUP_MEMORY_SWAP, 8 << 20);
	cg = make("oom", &l, &a);
	OK(cgroup_oom_watch(cg, &watch, err));
	OK(cgroup_oom_kills(cg, &kills, err));
	assert_int_equal(kills, 0);
	p = (struct pollfd){ .fd = watch, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(WTERMSIG(wait_for(run_inside(cg, NULL, eat_memory))), SIGKILL);
	assert_int_equal(poll(&p, 1, 5000), 1);
	cgroup_watch_drain(watch);
	for (int i = 0; i < 1000; i++) {
		OK(cgroup_oom_kills(cg, &kills, err));
		if (kills)
			break;
		usleep(1000);
	}
	assert_int_equal(kills, 1);
	remove_it(cg);
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
		OK(cgroup_meter_read(m, &st, err));
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
	assert_true(cgroup_meter_read(m, &st, &gone) < 0);
	assert_int_equal(gone.kind, ERR_NOT_FOUND);
	cgroup_meter_free(m);
	assert_true(cgroup_meter_open(host, "/no/such/cgroup", &m, &gone) < 0);
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
	uint64_t anon = 0, sum = 0;

	for (int i = 0; i < 1000; i++) {
		usleep(10000);
		OK(cgroup_memory_details(cg, &a, &memory, &n_memory, err));
		OK(cgroup_cpu_details(cg, &a, &cpus, &n_cpus, err));
		sum = 0;
		for (size_t k = 0; k < n_cpus; k++)
			sum += cpus[k].usage_nsec;
		for (size_t k = 0; k < n_memory; k++)
			if (str_eq(memory[k].name, host->mode == CGROUP_V2 ? "anon" : "total_rss"))
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

static void becoming_empty_is_reported(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup *cg = make("events", NULL, &a);
	autofd int events = -EBADF, watch = -EBADF;
	struct err e = ERR_INIT;
	struct pollfd p;
	pid_t pid;

	if (host->v2 < 0) {
		assert_true(cgroup_events_watch(cg, &watch, &e) < 0);
		assert_int_equal(e.kind, ERR_UNSUPPORTED);
		remove_it(cg);
		return;
	}
	pid = run_inside(cg, NULL, sleeper);
	wait_populated(cg, 1);
	OK(cgroup_events_watch(cg, &watch, err));
	OK(cgroup_events_open(cg, &events, err));
	p = (struct pollfd){ .fd = watch, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 0), 0);
	kill(pid, SIGKILL);
	wait_for(pid);
	assert_int_equal(poll(&p, 1, 5000), 1);
	cgroup_watch_drain(watch);
	assert_int_equal(cgroup_populated(cg), 0);
	remove_it(cg);
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

/* ---- the layouts --------------------------------------------------------------------------- */

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(it_is_made_in_every_hierarchy_and_removed),
	cmocka_unit_test(a_child_enters_every_hierarchy_by_itself),
	cmocka_unit_test(another_process_can_be_moved),
	cmocka_unit_test(a_fork_bomb_leaves_nothing_behind),
	cmocka_unit_test(whoever_forks_faster_than_a_list_is_read_dies_too),
	cmocka_unit_test(frozen_processes_stand_still_and_can_be_killed),
	cmocka_unit_test(a_sub_cgroup_is_killed_alone),
	cmocka_unit_test(a_refused_update_leaves_everything_as_it_was),
	cmocka_unit_test(memory_limits_go_up_and_down_in_any_order),
	cmocka_unit_test(an_update_is_all_or_nothing),
	cmocka_unit_test(cpu_limits_go_up_and_down_in_any_order),
	cmocka_unit_test(a_refused_value_is_named_with_file_and_path),
	cmocka_unit_test(devices_are_what_the_rules_say_also_after_updates),
	cmocka_unit_test(an_oom_kill_is_counted_and_reported),
	cmocka_unit_test(statistics_show_what_was_used),
	cmocka_unit_test(a_meter_reads_what_the_statistics_say_until_the_end),
	cmocka_unit_test(details_agree_with_the_statistics),
	cmocka_unit_test(becoming_empty_is_reported),
	cmocka_unit_test(huge_page_limits_are_set_where_the_controller_is),
};

/* The directory of this run and what tests left in it. */
static void remove_top(const struct cgroup_host *of)
{
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;

	if (cgroup_open(of, top, &cg, NULL) == 0)
		cgroup_remove(cg, true, soon(), NULL);
}

static int run_layout(const struct cgroup_host *layout, const char *name)
{
	int failed;

	host = layout;
	/* a dash in a slice's name is a level */
	snprintf(top, sizeof(top), "/caisson%stest%s%d%s%d", by_systemd ? "" : "-", by_systemd ? "" : "-",
		 (int)getpid(), by_systemd ? "." : "-", pass++);
	print_message("[ LAYOUT   ] %s\n", name);
	failed = cmocka_run_group_tests_name(name, tests, NULL, NULL);
	remove_top(layout);
	return failed;
}

/* The host with only the hierarchies of one version. */
static int part_of(const struct cgroup_host *whole, int version, struct arena *a, struct cgroup_host *ret)
{
	CLEANUP(buf_done) struct buf mounts = BUF_INIT(65536), self = BUF_INIT(65536);
	char controllers[256] = "";

	for (size_t h = 0; h < whole->n_hierarchies; h++) {
		const struct cgroup_hierarchy *hi = &whole->hierarchies[h];

		if (hi->version != version)
			continue;
		buf_printf(&mounts, "1 1 0:1 / %s rw - %s x rw,%s\n", hi->mount,
			   version == 1 ? "cgroup" : "cgroup2", version == 1 ? hi->name : "");
		buf_printf(&self, "1:%s:%s\n", hi->name, hi->self);
		if (version == 2) {
			char *file = arena_printf(a, "%s/cgroup.controllers", hi->mount);

			sys_file_read_text(AT_FDCWD, file, controllers, sizeof(controllers));
		}
	}
	return cgroup_host_parse(buf_text(&mounts), buf_text(&self), controllers, a, ret, NULL);
}

int main(void)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const struct cgroup_host *whole;
	struct cgroup_host part;
	struct err err = ERR_INIT;
	int failed;

	if (geteuid() != 0 || cgroup_host_get(&whole, &err) < 0 ||
	    access(whole->hierarchies[0].mount, W_OK) < 0) {
		print_message("SKIP: needs root and a writable cgroup file system %s\n", err.text);
		return 77;
	}
	failed = run_layout(whole, cgroup_mode_name(whole->mode));
	if (whole->mode == CGROUP_HYBRID) {
		if (part_of(whole, 1, &a, &part) == 0)
			failed += run_layout(&part, "v1 part");
		if (part_of(whole, 2, &a, &part) == 0)
			failed += run_layout(&part, "v2 part");
	}
	if (access("/run/systemd/private", W_OK) == 0) {
		by_systemd = true;
		failed += run_layout(whole, "systemd");
		cgroup_unit_stop(arena_printf(&a, "%s.slice", top + 1), false, NULL);
	} else {
		print_message("SKIP: the systemd driver: no systemd runs here\n");
	}
	return failed != 0;
}
