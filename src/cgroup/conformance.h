/*
 * The conformance suite of the cgroup room: every layout that this kernel can show, and every
 * driver, goes through the same tests. On a hybrid host these are the host as it is, its v1 part
 * alone and its v2 part alone; where systemd runs (and owns the tree) its driver as well.
 *
 * Needs root and a writable cgroupfs; without, a suite skips and says so. It stays below
 * /caisson-test-<pid> in every hierarchy and removes that.
 */
#pragma once

#include "cgroup/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Of the layout under test. */
extern const struct cgroup_host *host;
extern bool by_systemd;
extern char top[64]; /* the directory of this run, in a path of cgroups */

#define OK(call)                                                          \
	do {                                                              \
		struct err err_ = ERR_INIT, *err = &err_;                 \
		if ((call) < 0)                                           \
			fail_msg("%s: %s", #call, err_.text);             \
	} while (0)

/* The program's main: all tests in each layout. Its exit status. */
int conformance_run(const struct CMUnitTest *tests, size_t n);

int64_t soon(void);
/* A cgroup below top, with the limits applied. By systemd it is a scope, which goes away when the
 * last process of run_inside has ended: a test that puts one after another into it keeps a
 * sleeper there. */
struct cgroup *make(const char *name, const struct cgroup_limits *limits, struct arena *a);
/* Removed with all that runs in it, and not there any more. */
void remove_it(struct cgroup *cg);
/* A child inside, which runs fn and exits with what it returns; back when it has entered. */
pid_t run_inside(struct cgroup *cg, const struct cgroup *sub, int (*fn)(void));
int sleeper(void);
/* The status of waitpid(2). */
int wait_for(pid_t pid);
void wait_populated(const struct cgroup *cg, size_t n);
/* A number out of a file of the cgroup; "max" is UINT64_MAX. */
uint64_t setting(struct cgroup *cg, enum cgroup_controller c, const char *file);
