/*
 * Containers (tasks, in containerd's word) and their processes as state machines.
 *
 *	task   ──create──▶ CREATED ──start──▶ RUNNING ⇄ PAUSED ──exit──▶ STOPPED ──delete──▶ gone
 *	exec   ──exec────▶ CREATED ──start──▶ RUNNING           ──exit──▶ STOPPED ──delete──▶ gone
 *
 * An exit is announced (waiters, events) when three things are done: what the process wrote is
 * in its log or FIFO, what it left behind in a shared pid namespace is killed, and exit.json is
 * on disk. A full disk delays it by DRAIN_MAX at most.
 *
 * Everything that ends later takes a done function, which is called exactly once, perhaps from
 * inside: answer is valid on success only. Loop thread. No wire types.
 *
 * Errors, as containerd expects them: NOT_FOUND: no such container or exec, and a signal
 * for a process that has exited. EXISTS: the id is in use. STATE: not now.
 */
#pragma once

#include "cgroup/cgroup.h"
#include "runtime/runtime.h"
#include "shim/mounts.h"
#include "shim/shim.h"
#include "shim/stdio.h"

struct task_answer {
	pid_t pid;
	int code;
	int64_t exited_at;
};

typedef void (*task_done_fn)(const struct task_answer *answer, const struct err *err, void *user);

struct op;

struct proc {
	struct list link; /* in task->execs */
	struct task *task;
	char *exec_id;    /* "": the init */
	enum shim_status status; /* SHIM_UNKNOWN: being created. PAUSED is the task's */
	bool alive;       /* pid is a child of ours that was not reaped, or pidfd has not ended */
	bool busy;        /* a job makes or starts it */
	struct op *starter; /* exec: while that job runs */
	pid_t pid;
	int pidfd;        /* no child of ours, but of a shim that died: this tells its end */
	uint64_t ticks;   /* of such a one, its start time */
	struct event_fd *end;
	int code;
	bool unknown;     /* the code is: nobody can tell it any more */
	int64_t exited_at, drain_until;
	struct event_timer *drain;
	bool exited;      /* reaped; perhaps not announced yet */
	struct stdio io;
	struct list waiters;
	uint8_t *spec;    /* exec: an OCI process document, until it was started */
	size_t n_spec;
	char *cgroup;     /* exec: its sub-cgroup, NULL for none */
	bool ephemeral;   /* exec: no FIFO is kept open for clients that come back */
};

struct task {
	struct shim *shim;
	char *id, *bundle, *root;
	struct proc init;
	struct list execs;
	bool paused, visible;
	struct arena arena; /* overlay, mounts */
	struct runtime_overlay overlay;
	struct rootfs_mount *mounts;
	size_t n_mounts;    /* on the host */
	bool no_pivot, no_new_keyring, systemd_cgroup;
	char *checkpoint;   /* images that it is made from; NULL: none. It runs before start is asked for */
	struct cgroup *cgroup;
	bool pid_ns_init, oom_killed;
	int oom_fd, oom_log; /* the log: where systemd may take the cgroup and its counters away */
	struct event_fd *oom_source;
	uint64_t oom_kills;
	size_t n_jobs;
	struct op *creator; /* while the create's job runs */
	struct op *deleter; /* a delete that waits for jobs and the exit */
};

struct task_create {
	const char *id, *bundle, *root; /* root NULL: the default */
	const struct rootfs_mount *mounts;
	size_t n_mounts;
	bool terminal;
	const char *in, *out, *err;
	bool no_pivot, no_new_keyring, systemd_cgroup;
	const char *checkpoint; /* directory of images: restored, instead of started. "" or NULL: not */
};

void task_create(struct shim *s, const struct task_create *what, task_done_fn done, void *user);
/* exec_id NULL or "": the init. */
void task_start(struct shim *s, const char *id, const char *exec_id, task_done_fn done, void *user);
void task_delete(struct shim *s, const char *id, const char *exec_id, task_done_fn done, void *user);
void task_kill(struct shim *s, const char *id, const char *exec_id, int sig, bool all, task_done_fn done,
	       void *user);
void task_pause(struct shim *s, const char *id, bool pause, task_done_fn done, void *user);
/* resources: an OCI resources document. */
void task_update(struct shim *s, const char *id, const uint8_t *resources, size_t len, task_done_fn done,
		 void *user);
struct task_checkpoint {
	const char *id, *path, *work_path, *parent_path; /* "" or NULL but for path: not given */
	bool exit; /* else the container goes on */
	bool tcp_established, ext_unix_sk, shell_job, file_locks;
};

void task_checkpoint(struct shim *s, const struct task_checkpoint *what, task_done_fn done, void *user);
/* Answered at once when it has exited already. task_unwait: the waiter is gone. */
void task_wait(struct shim *s, const char *id, const char *exec_id, task_done_fn done, void *user);
void task_unwait(struct shim *s, void *user);

/* Makes a running container of a dead shim ours; answer: its pid. adopt.c */
struct task_adopt {
	const char *id, *bundle, *root;
	bool terminal;
	const char *in, *out, *err;
	pid_t keeper;                   /* a process that has kept streams of it, 0: none */
	int kept[SHIM_STREAMS];         /* its descriptors, negative: none */
};
/* lost: what could not be kept, "" for nothing; valid during the call, on success. */
typedef void (*task_adopt_fn)(const struct task_answer *answer, const char *lost, const struct err *err,
			      void *user);
void task_adopt(struct shim *s, const struct task_adopt *what, task_adopt_fn done, void *user);

struct task_exec {
	const char *id, *exec_id;
	const uint8_t *spec;
	size_t n_spec;
	bool terminal, ephemeral;
	const char *in, *out, *err;
};

int task_exec(struct shim *s, const struct task_exec *what, struct proc **ret, struct err *err);
/* The process and everything it has started, as far as the kernel can tell; a start that hangs
 * is given up. */
void task_exec_kill(struct proc *p);
void task_exec_free(struct proc *p); /* STOPPED or never started */

struct task *task_find(struct shim *s, const char *id, struct err *err);
struct proc *task_find_proc(struct shim *s, const char *id, const char *exec_id, struct err *err);
enum shim_status task_status(const struct proc *p);

/* A child was reaped: true when it was a process of a task. */
bool task_reaped(struct shim *s, pid_t pid, int status);

/* Everything is killed; for a shutdown that does not wait. */
void task_kill_all(struct shim *s);
