/*
 * Fault points: the steps of operations by name, for tests that kill, stall or fail exactly there.
 *
 * They exist in builds with -Dfaults=true only; elsewhere a point is the constant 0. Such a build
 * does nothing either unless CAISSON_FAULTS names a directory:
 *
 *	<dir>/seen    every point that is passed, a line each
 *	<dir>/armed   "<point> <action> [argument]": done once at that point, and the file is gone
 *
 *	kill            SIGKILL to the process itself
 *	fail ERRNO      the step fails with that number
 *	run COMMAND     the shell runs it; the step waits for it (to stall, to kill somebody else,
 *	                to fill a disk)
 *
 * There are few: each operation's stages, each record's commit, each call of a shim, each run of
 * a network plugin, and what the store publishes. "…-done" is the point behind the step.
 */
#pragma once

#ifdef CAISSON_FAULTS
/* 0, or -errno of the failure that is wanted. Any thread. */
int fault_point(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#else
#define fault_point(...) 0
#endif
