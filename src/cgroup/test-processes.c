/*
 * What a cgroup does with processes, in every layout and by every driver: made, entered,
 * listed, killed, frozen, removed.
 */
#include "cgroup/conformance.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

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

/* What cgroup_remove does by descriptors, for empty directories only: same end, and nothing is lost else. */
static void an_empty_one_is_removed_by_its_path(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup *cg, *sub = NULL, *again = NULL;
	struct err e = ERR_INIT;
	char *path;
	pid_t pid;

	if (by_systemd)
		return;
	cg = make("empty", NULL, &a);
	path = arena_printf(&a, "%s", cgroup_path(cg));
	pid = run_inside(cg, NULL, sleeper);
	wait_populated(cg, 1);
	assert_int_equal(cgroup_remove_empty(host, path), -EBUSY);
	for (size_t h = 0; h < host->n_hierarchies; h++)
		assert_int_equal(access(cgroup_directory(cg, h, &a), F_OK), 0);
	OK(cgroup_kill(cg, SIGKILL, err));
	assert_true(WIFSIGNALED(wait_for(pid)));
	wait_populated(cg, 0);
	OK(cgroup_create_sub(cg, "below", &sub, err));
	assert_int_equal(cgroup_remove_empty(host, path), -EBUSY);
	cgroup_free(sub);
	remove_it(cg);
	cgroup_free(make("empty", NULL, &a));
	for (int i = 0; i < 2; i++) /* twice is no error */
		assert_int_equal(cgroup_remove_empty(host, path), 0);
	assert_true(cgroup_open(host, path, &again, &e) < 0);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(cgroup_remove_empty(host, "/"), -EINVAL);
	assert_int_equal(cgroup_remove_empty(host, "/a/../b"), -EINVAL);
	assert_int_equal(cgroup_remove_empty(host, "relative"), -EINVAL);
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

static void systemd_moves_a_process_there_or_below(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup *cg = make("attached", NULL, &a), *sub = NULL;
	pid_t pids[2];

	assert_int_equal(cgroup_can_attach(cg), by_systemd);
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(sleeper());
	}
	if (by_systemd) {
		OK(cgroup_create_sub(cg, "below", &sub, err));
		OK(cgroup_attach(cg, NULL, pids[0], err));
		wait_populated(cg, 1);
		/* systemd's paths are of its own hierarchy, where v2 is not it */
		if (host->mode == CGROUP_V2) {
			OK(cgroup_attach(cg, sub, pids[1], err));
			wait_populated(sub, 1);
		}
		cgroup_free(sub);
	}
	remove_it(cg);
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		kill(pids[i], SIGKILL);
		wait_for(pids[i]);
	}
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
	remove_it(cg);

	cg = make("frozen", NULL, &a);
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

static void becoming_empty_is_reported(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup *cg = make("events", NULL, &a);
	autofd int events = -EBADF;
	struct err e = ERR_INIT;
	struct pollfd p;
	pid_t pid;

	if (host->v2 < 0) {
		assert_true(cgroup_events_open(cg, &events, &e) < 0);
		assert_int_equal(e.kind, ERR_UNSUPPORTED);
		remove_it(cg);
		return;
	}
	pid = run_inside(cg, NULL, sleeper);
	wait_populated(cg, 1);
	OK(cgroup_events_open(cg, &events, err));
	cgroup_watch_drain(events);
	p = (struct pollfd){ .fd = events, .events = POLLPRI };
	assert_int_equal(poll(&p, 1, 0), 0);
	kill(pid, SIGKILL);
	wait_for(pid);
	assert_int_equal(poll(&p, 1, 5000), 1);
	cgroup_watch_drain(events);
	assert_int_equal(cgroup_populated(cg), 0);
	remove_it(cg);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(it_is_made_in_every_hierarchy_and_removed),
	cmocka_unit_test(an_empty_one_is_removed_by_its_path),
	cmocka_unit_test(a_child_enters_every_hierarchy_by_itself),
	cmocka_unit_test(another_process_can_be_moved),
	cmocka_unit_test(systemd_moves_a_process_there_or_below),
	cmocka_unit_test(a_fork_bomb_leaves_nothing_behind),
	cmocka_unit_test(whoever_forks_faster_than_a_list_is_read_dies_too),
	cmocka_unit_test(frozen_processes_stand_still_and_can_be_killed),
	cmocka_unit_test(a_sub_cgroup_is_killed_alone),
	cmocka_unit_test(becoming_empty_is_reported),
};

int main(void)
{
	return conformance_run(tests, ARRAY_LEN(tests));
}
