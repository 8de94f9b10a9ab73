/*
 * What the conformance suites share: the layouts, and cgroups with processes in them.
 */
#include "cgroup/conformance.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

const struct cgroup_host *host;
bool by_systemd;
char top[64];

int64_t soon(void)
{
	return time_now_mono() + 10 * NSEC_PER_SEC;
}

struct cgroup *make(const char *name, const struct cgroup_limits *limits, struct arena *a)
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

pid_t run_inside(struct cgroup *cg, const struct cgroup *sub, int (*fn)(void))
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

int wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

int sleeper(void)
{
	for (;;)
		pause();
	return 0;
}

void wait_populated(const struct cgroup *cg, size_t n)
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

void remove_it(struct cgroup *cg)
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

uint64_t setting(struct cgroup *cg, enum cgroup_controller c, const char *file)
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

/* ---- the layouts --------------------------------------------------------------------------- */

/* The directory of this run and what tests left in it. */
static void remove_top(const struct cgroup_host *of)
{
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;

	if (cgroup_open(of, top, &cg, NULL) == 0)
		cgroup_remove(cg, true, soon(), NULL);
}

static int run_layout(const struct cgroup_host *layout, const char *name, const struct CMUnitTest *tests,
		      size_t n)
{
	static int pass;
	int failed;

	host = layout;
	/* a dash in a slice's name is a level */
	snprintf(top, sizeof(top), "/caisson%stest%s%d%s%d", by_systemd ? "" : "-", by_systemd ? "" : "-",
		 (int)getpid(), by_systemd ? "." : "-", pass++);
	print_message("[ LAYOUT   ] %s\n", name);
	failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);
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

int conformance_run(const struct CMUnitTest *tests, size_t n)
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
	failed = run_layout(whole, cgroup_mode_name(whole->mode), tests, n);
	if (whole->mode == CGROUP_HYBRID) {
		if (part_of(whole, 1, &a, &part) == 0)
			failed += run_layout(&part, "v1 part", tests, n);
		if (part_of(whole, 2, &a, &part) == 0)
			failed += run_layout(&part, "v2 part", tests, n);
	}
	if (access("/run/systemd/private", W_OK) == 0) {
		by_systemd = true;
		failed += run_layout(whole, "systemd", tests, n);
		cgroup_unit_stop(arena_printf(&a, "%s.slice", top + 1), false, NULL);
	} else {
		print_message("SKIP: the systemd driver: no systemd runs here\n");
	}
	return failed != 0;
}
