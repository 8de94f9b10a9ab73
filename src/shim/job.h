/*
 * Jobs: runtime calls in forked children.
 *
 * A job's child gets exactly its stdio (which becomes the container's), the result pipe and
 * perhaps a socket; every other descriptor of the shim is closed, since the container's init
 * keeps what it inherits until it executes its program, and a stray pipe end would keep
 * another container's stream open. Its result comes back when it has exited.
 *
 * Loop thread. done runs on the loop thread, never from inside job_start.
 */
#pragma once

#include "cgroup/cgroup.h"
#include "shim/server.h"

struct job;

/* Travels over a pipe in one atomic write: at most PIPE_BUF. */
struct job_result {
	int r;             /* of the call; < 0: err says why */
	bool crashed;      /* the child died in it: nothing was undone */
	pid_t pid;         /* create, exec: the process */
	uint64_t ticks;    /* its start time */
	bool paused;       /* adopt: its processes are frozen */
	bool pid_ns_init;  /* it is the init of a pid namespace of its own */
	char cgroup[CGROUP_PATH_MAX];
	struct err err;
	char warning[512]; /* what the runtime clamped or left out, "" for nothing */
};

/* Runs in the child. */
typedef int (*job_fn)(void *user, struct job_result *ret, struct err *err);
typedef void (*job_done_fn)(struct job_result *res, void *user);

/* The streams of the child: a descriptor, or a FIFO that the child opens (and may wait for),
 * or neither: /dev/null. */
struct job_io {
	int fds[3];
	const char *fifos[3];
	int console; /* socket, becomes JOB_CONSOLE_FD; -EBADF: none */
};

enum { JOB_RESULT_FD = 3, JOB_CONSOLE_FD = 4 };

#define JOB_IO_INIT { .fds = { -EBADF, -EBADF, -EBADF }, .console = -EBADF }

/* io may be NULL. The descriptors stay the caller's. */
int job_start(struct shim *s, job_fn fn, const struct job_io *io, job_done_fn done, void *user,
	      struct err *err);

/* Kills the child of the job that was started with this user; its done runs when it is reaped. */
void job_cancel(struct shim *s, const void *user);

/* A child was reaped: true when it was a job's. */
bool job_reaped(struct shim *s, pid_t pid, int status);
