/*
 * Running a program to its end: CNI plugins, hooks, credential helpers, iptables.
 *
 * The program gets exactly what is named here: its argv, its environment, stdin bytes, and
 * no descriptor beyond 0, 1 and 2. Its output is bounded. When the deadline passes, its
 * whole process group is killed. Blocks the calling thread; other threads go on. Safe in a
 * threaded program (posix_spawn semantics).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf;

struct sys_spawn {
	const char *path;         /* absolute */
	const char *const *argv;  /* NULL-terminated; NULL for { path, NULL } */
	const char *const *env;   /* NULL-terminated; NULL for an empty environment */
	const char *cwd;          /* NULL: the caller's */
	const void *input;        /* bytes for stdin */
	size_t input_len;
	int64_t deadline;         /* time_now_mono() based; INT64_MAX for none */
	int out_fd, err_fd;       /* above 2: where its output goes, instead of to the caller */
};

/*
 * *ret_status is a wait status. out and err_out may be NULL (discarded); output beyond
 * their bound is read and dropped. -ETIMEDOUT: the deadline passed and it was killed.
 * -ENOENT, -EACCES, -ENOEXEC…: it could not be executed.
 */
int sys_spawn_run(const struct sys_spawn *what, struct buf *out, struct buf *err_out, int *ret_status);
