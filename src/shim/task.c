/*
 * The table of containers, their operations. Loop thread.
 *
 *   task-create.c   create    task-delete.c   delete    task-change.c   pause, update, checkpoint
 *   task-oom.c      memory that ran out; what a container leaves behind
 *   proc.c          start, exec, kill, wait
 *
 * Invariant: a task that is not `visible` is being created, and only delete finds it.
 */
#include "shim/op.h"

#include <signal.h>

#define DEFAULT_ROOT "/run/caisson-oci"

/* ---- operations ---- */

struct op *op_new(struct task *t, struct proc *p, task_done_fn done, void *user)
{
	struct op *op = mem_new(1, sizeof(*op));

	op->task = t;
	op->proc = p;
	op->done = done;
	op->user = user;
	return op;
}

void op_answer(struct op *op, const struct err *err)
{
	struct task_answer answer = { op->proc->pid, op->proc->code, op->proc->exited_at };

	op->done(&answer, err, op->user);
	arena_done(&op->arena);
	free(op->payload);
	free(op);
}

void op_run(struct op *op, job_fn fn, const struct job_io *io, job_done_fn done)
{
	struct job_result res = { 0 };
	struct task *t = op->task;

	t->n_jobs++;
	res.r = job_start(t->shim, fn, io, done, op, &res.err);
	/* as if the job had failed: one way to end */
	if (res.r < 0)
		done(&res, op);
}

void op_end(struct op *op, const struct err *err)
{
	struct task *t = op->task;

	t->n_jobs--;
	op_answer(op, err);
	task_advance_delete(t);
}

/* ---- finding ---- */

struct task *task_find(struct shim *s, const char *id, struct err *err)
{
	struct task *t = map_get(&s->tasks, id);

	if (!t || !t->visible) {
		err_set(err, ERR_NOT_FOUND, "container %s: not found", id);
		return NULL;
	}
	return t;
}

struct proc *task_find_proc(struct shim *s, const char *id, const char *exec_id, struct err *err)
{
	struct task *t = task_find(s, id, err);

	if (!t)
		return NULL;
	if (str_empty(exec_id))
		return &t->init;
	list_for_each(p, &t->execs, struct proc, link)
		if (str_eq(p->exec_id, exec_id))
			return p;
	err_set(err, ERR_NOT_FOUND, "exec %s of container %s: not found", exec_id, id);
	return NULL;
}

enum shim_status task_status(const struct proc *p)
{
	if (p->status == SHIM_RUNNING && p->task->paused)
		return SHIM_PAUSED;
	return p->status;
}

/* ---- life ---- */

struct task *task_new(struct shim *s, const struct task_create *what)
{
	struct task *t = mem_new(1, sizeof(*t));

	t->shim = s;
	t->id = mem_strdup(what->id);
	t->bundle = mem_strdup(what->bundle);
	if (!str_empty(what->root))
		t->root = mem_strdup(what->root);
	else if (!str_empty(s->options->runtime_root))
		t->root = mem_strdup(s->options->runtime_root);
	else
		t->root = mem_printf("%s/%s", DEFAULT_ROOT, s->options->ns);
	list_init(&t->execs);
	t->oom_fd = t->oom_log = -EBADF;
	t->no_pivot = what->no_pivot;
	t->no_new_keyring = what->no_new_keyring;
	t->systemd_cgroup = what->systemd_cgroup;
	t->checkpoint = str_empty(what->checkpoint) ? NULL : mem_strdup(what->checkpoint);
	proc_init(&t->init, t, "");
	stdio_init(&t->init.io, s, what->terminal, what->in, what->out, what->err);
	return t;
}

void task_free(struct task *t)
{
	if (!t)
		return;
	map_remove(&t->shim->tasks, t->id);
	task_unwatch_oom(t);
	list_for_each(p, &t->execs, struct proc, link)
		task_exec_free(p);
	proc_done(&t->init);
	cgroup_free(t->cgroup);
	arena_done(&t->arena);
	free(t->id);
	free(t->bundle);
	free(t->checkpoint);
	free(t->root);
	free(t);
}

void task_kill_all(struct shim *s)
{
	struct task *t;

	for (size_t i = 0; (t = map_next(&s->tasks, &i));) {
		if (t->init.alive)
			proc_kill(&t->init, SIGKILL);
		list_for_each(p, &t->execs, struct proc, link)
			if (p->alive)
				proc_kill(p, SIGKILL);
	}
}
