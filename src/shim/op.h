/*
 * An operation on a task that needs a job: who asked, and for what. Inside of task*.c and
 * proc.c only. A task is not freed while one runs (task.n_jobs).
 */
#pragma once

#include "shim/task.h"

struct op {
	struct task *task;
	struct proc *proc;
	task_done_fn done;
	void *user;
	uint8_t *payload;
	size_t n_payload;
	int number; /* a signal; pause or resume */
	struct arena arena;
	struct runtime_checkpoint checkpoint; /* strings in the arena */
};

struct op *op_new(struct task *t, struct proc *p, task_done_fn done, void *user);
/* Starts its job. When that fails the op is answered and gone. */
void op_run(struct op *op, job_fn fn, const struct job_io *io, job_done_fn done);
/* In the job's done: answers, frees the op, and lets a waiting delete go on. The task may be
 * gone after. err NULL: success. */
void op_end(struct op *op, const struct err *err);

/* The same for one whose task is gone after, or that had no job. */
void op_answer(struct op *op, const struct err *err);

void proc_init(struct proc *p, struct task *t, const char *exec_id);
void proc_done(struct proc *p);
/* The job has said which process it is; an exit that was faster is taken up. */
void proc_born(struct proc *p, pid_t pid);
/* Its job is over: an exit that came meanwhile is announced now. */
void proc_settled(struct proc *p);

/* A signal. It hits nobody else: only we reap a child of ours, and for others there is a pidfd. */
int proc_kill(struct proc *p, int sig);
/* pid is the process, and no child of ours. ESRCH: it is gone. */
int proc_adopt(struct proc *p, pid_t pid, uint64_t ticks);

/* Goes on with a delete that waits, as far as it can. */
void task_advance_delete(struct task *t);
struct task *task_new(struct shim *s, const struct task_create *what);
void task_free(struct task *t); /* NULL is fine */
void task_open_cgroup(struct task *t, const char *path);
void task_unwatch_oom(struct task *t);
/* In a job: everything of the container goes, whatever state it is in. */
int task_delete_job(void *user, struct job_result *ret, struct err *err);
/* In a job: what the runtime's record and the kernel say of it. NOT_FOUND, -1: no record. */
int task_describe(const struct task *t, struct job_result *ret, struct err *err);
/* The init's exit: what it leaves behind, the OOM count. */
void task_init_exited(struct task *t);
