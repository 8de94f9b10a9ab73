/*
 * The server side of the shim: what src/prog/caisson-shim is made of.
 *
 * One process, one thread, one epoll loop. It is the child subreaper of everything that runs
 * in the pod, so each process of the pod ends here as a zombie and is reaped by one place
 * (server.c). A pid is therefore valid until this process itself has reaped it, and kill(2)
 * of a pid in a struct proc cannot hit a stranger.
 *
 * Whatever may block (the runtime: hooks, the kernel's cgroup and mount locks, opening a FIFO
 * whose other end is late) runs in a forked child, a job. The loop itself only moves bytes.
 *
 *   shim/server.c   the loop, signals, reaping, life and end of the process
 *   shim/job.c      forked children that call the runtime
 *   shim/task.c     containers and their processes as state machines: no wire types
 *   shim/service.c  containerd.task.v2.Task and .v3.Task
 *   shim/sync.c     caisson.shim.v1.Shim
 *   shim/stdio.c    the three streams of a process
 *   shim/logfile.c  CRI log files;  shim/log.c  their format;  shim/journal.c  for a successor
 *   shim/adopt.c    what a shim that died has left: its containers and their streams
 *   shim/pump.c     bytes between a terminal and FIFOs
 *   shim/mounts.c   CreateTaskRequest.rootfs
 *   shim/events.c   Events.Forward
 *   shim/record.c   exit.json, init.pid, shim.json
 *   shim/bootstrap.c  the start and delete commands
 *
 * Memory is the budget: no buffer lives longer than it is used, the one scratch area is
 * given back when the pod is quiet, JSON is only read and written in jobs.
 */
#pragma once

#include "base/base.h"
#include "event/event.h"

#include <sys/types.h>

struct shim_options {
	const char *ns, *id, *address /* containerd's */, *publish_binary, *bundle;
	const char *state_dir;    /* environment CAISSON_SHIM_STATE; NULL: made from ns and id */
	const char *runtime_root; /* environment CAISSON_RUNTIME_ROOT; NULL: the default */
	const char *events;       /* environment TTRPC_ADDRESS; NULL: none */
	const char *criu;         /* environment CAISSON_CRIU; NULL: "criu" of PATH */
	bool debug;
};

/* The commands; what they print goes to stdout (address; DeleteResponse). */
int shim_command_start(const struct shim_options *o, struct err *err);
int shim_command_delete(const struct shim_options *o, struct err *err);

/* Serves on listen_fd until shut down. Takes listen_fd. Called in the forked server. */
int shim_serve(int listen_fd, const struct shim_options *o, const char *state_dir, struct err *err);

/* ---- inside ---- */

enum { SCRATCH_IN = 64 * 1024, SCRATCH_OUT = 64 * 1024 };

struct journal;

struct shim {
	struct event_loop *loop;
	const struct shim_options *options;
	const char *state_dir;
	struct ttrpc_server *rpc;
	struct events *events;
	struct journal *journal;
	int look[2];        /* a pipe for looking into others, empty between two looks */
	struct map tasks;   /* struct task by id */
	struct list jobs;   /* struct job.link */
	struct list early;  /* reaped before anybody knew their pid */
	struct event_signal *on_child, *on_term, *on_int;
	struct event_timer *trim;
	bool trim_armed, leaving;
};

/*
 * The shared scratch of the loop thread: read areas and write areas of all streams, since
 * only one of them is served at a time. Given back to the kernel some time after the last use.
 */
struct scratch {
	uint8_t *in;  /* SCRATCH_IN bytes */
	uint8_t *out; /* SCRATCH_OUT bytes */
};
struct scratch shim_scratch(struct shim *s);

/* The program's own log: errors only, bounded on disk. */
void shim_log(struct shim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A child that was reaped before its job could say whose it was: true, with its wait status. */
bool shim_take_early(struct shim *s, pid_t pid, int *ret_status);

/* Ends the process when nothing is left to do and answers are on their sockets. */
void shim_leave(struct shim *s);
