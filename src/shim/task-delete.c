/*
 * A container's end, which waits for its jobs and its exit. Loop thread, but for the function named
 * …_job, which runs in a forked child.
 */
#include "shim/op.h"

#include "shim/events.h"

#include <signal.h>

int task_delete_job(void *user, struct job_result *ret, struct err *err)
{
	struct op *op = user;
	struct task *t = op->task;
	int r = runtime_delete(t->root, t->id, true, err);

	if (r == 0 && t->n_mounts)
		r = rootfs_unmount(t->bundle, err);
	return r;
}

static void delete_done(struct job_result *res, void *user)
{
	struct op *op = user;
	struct task *t = op->task;

	t->n_jobs--;
	t->deleter = NULL;
	if (res->r < 0) {
		op_answer(op, &res->err);
		return;
	}
	events_delete(op->proc);
	op_answer(op, NULL);
	task_free(t);
}

void task_advance_delete(struct task *t)
{
	if (!t->deleter || t->n_jobs)
		return;
	/* created and never started: it waits for the start that will not come */
	if (t->init.alive) {
		proc_kill(&t->init, SIGKILL);
		return;
	}
	if (t->init.status != SHIM_STOPPED)
		return;
	list_for_each(p, &t->execs, struct proc, link)
		if (p->alive || (p->exited && p->status != SHIM_STOPPED))
			return;
	op_run(t->deleter, task_delete_job, NULL, delete_done);
}

static void delete_exec(struct proc *p, task_done_fn done, void *user)
{
	struct err err = ERR_INIT;
	struct task_answer answer = { p->pid, p->code, p->exited_at };

	if (p->busy || (p->status != SHIM_STOPPED && p->status != SHIM_CREATED)) {
		err_set(&err, ERR_STATE, "exec %s: it is running", p->exec_id);
		done(NULL, &err, user);
		return;
	}
	task_exec_free(p);
	done(&answer, NULL, user);
}

void task_delete(struct shim *s, const char *id, const char *exec_id, task_done_fn done, void *user)
{
	struct task *t = map_get(&s->tasks, id);
	struct err err = ERR_INIT;

	if (!str_empty(exec_id)) {
		struct proc *p = task_find_proc(s, id, exec_id, &err);

		if (p)
			delete_exec(p, done, user);
		else
			done(NULL, &err, user);
		return;
	}
	if (!t)
		err_set(&err, ERR_NOT_FOUND, "container %s: not found", id);
	else if (t->deleter)
		err_set(&err, ERR_STATE, "container %s: it is being deleted", id);
	else if (t->init.status == SHIM_RUNNING)
		err_set(&err, ERR_STATE, "container %s: it is running", id);
	if (err.kind) {
		done(NULL, &err, user);
		return;
	}
	t->deleter = op_new(t, &t->init, done, user);
	/* a create or exec that hangs (a hook, a FIFO without reader) is ended */
	if (t->creator)
		job_cancel(s, t->creator);
	list_for_each(p, &t->execs, struct proc, link)
		if (p->starter)
			job_cancel(s, p->starter);
	task_advance_delete(t);
}
