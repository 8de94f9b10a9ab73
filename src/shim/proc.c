/*
 * One process of a task, from its job to its announced exit. Loop thread, but for the
 * functions named …_job, which run in a forked child.
 *
 * Invariants:
 *  - `alive` is set exactly between proc_born and the reaping (of an adopted process: between
 *    proc_adopt and its end); signals only then.
 *  - status becomes STOPPED in announce() and nowhere else.
 *  - While `busy`, an exit is only noted: start is told before exit, always.
 */
#include "shim/events.h"
#include "shim/op.h"
#include "shim/record.h"

#include "sys/sys.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

enum { UNKNOWN_CODE = 255 };

static const int64_t DRAIN_MAX = 2 * NSEC_PER_SEC, DRAIN_EVERY = 50 * NSEC_PER_MSEC;

struct waiter {
	struct list link;
	task_done_fn done;
	void *user;
};

void proc_init(struct proc *p, struct task *t, const char *exec_id)
{
	list_init(&p->link);
	list_init(&p->waiters);
	p->task = t;
	p->pidfd = -EBADF;
	p->exec_id = mem_strdup(exec_id);
}

static void answer_waiters(struct proc *p, const struct err *err)
{
	struct task_answer answer = { p->pid, p->code, p->exited_at };
	struct list waiters;

	/* one of them may free p: nothing of it is touched while they are told */
	list_init(&waiters);
	list_for_each(w, &p->waiters, struct waiter, link) {
		list_remove(&w->link);
		list_append(&waiters, &w->link);
	}
	list_for_each(w, &waiters, struct waiter, link) {
		list_remove(&w->link);
		w->done(&answer, err, w->user);
		free(w);
	}
}

void proc_done(struct proc *p)
{
	struct err err = ERR_INIT;

	err_set(&err, ERR_NOT_FOUND, "the process was deleted");
	answer_waiters(p, &err);
	stdio_done(&p->io);
	event_fd_free(p->end);
	fd_drop(&p->pidfd);
	event_timer_free(p->drain);
	list_remove(&p->link);
	free(p->exec_id);
	free(p->spec);
	free(p->cgroup);
}

/* ---- exit ---- */

static void drop_sub_cgroup(struct proc *p)
{
	CLEANUP(cgroup_freep) struct cgroup *sub = NULL;

	/* processes that it left behind keep it, and go with the container's */
	if (p->cgroup && p->task->cgroup && cgroup_create_sub(p->task->cgroup, p->cgroup, &sub, NULL) == 0)
		cgroup_remove(sub, false, 0, NULL);
}

static bool is_init(const struct proc *p)
{
	return p == &p->task->init;
}

static void announce(struct proc *p)
{
	struct task *t = p->task;

	event_timer_set(p->drain, INT64_MAX);
	if (is_init(p)) {
		struct shim_exit e = { t->id, p->pid, p->code, p->exited_at, t->oom_killed, p->unknown,
				       (char *)sys_boot_id() };
		struct err err = ERR_INIT;

		if (record_write_exit(t->bundle, &e, &err) < 0)
			shim_log(t->shim, "%s: exit record: %s", t->id, err.text);
	} else {
		drop_sub_cgroup(p);
	}
	p->status = SHIM_STOPPED;
	if (p->pid)
		events_exit(p);
	answer_waiters(p, NULL);
	/* p may be gone now: an exec's waiter may have deleted it */
	task_advance_delete(t);
}

static void try_announce(void *user)
{
	struct proc *p = user;
	int64_t now = time_now_mono();

	if (stdio_drain(&p->io) || now >= p->drain_until)
		announce(p);
	else
		event_timer_set(p->drain, now + DRAIN_EVERY);
}

static void take_exit(struct proc *p)
{
	if (is_init(p))
		task_init_exited(p->task);
	p->drain_until = time_now_mono() + DRAIN_MAX;
	event_timer_new(p->task->shim->loop, INT64_MAX, try_announce, p, &p->drain);
	try_announce(p);
}

static void note_exit(struct proc *p, int status)
{
	p->alive = false;
	p->exited = true;
	p->exited_at = time_now_real();
	p->code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void proc_born(struct proc *p, pid_t pid)
{
	int status;

	p->pid = pid;
	p->alive = true;
	if (shim_take_early(p->task->shim, pid, &status))
		note_exit(p, status);
}

void proc_settled(struct proc *p)
{
	p->busy = false;
	if (p->exited && p->status != SHIM_STOPPED && !p->drain)
		take_exit(p);
}

static bool reap_in(struct proc *p, pid_t pid, int status)
{
	if (!p->alive || p->pid != pid)
		return false;
	note_exit(p, status);
	if (!p->busy)
		take_exit(p);
	return true;
}

/* ---- of a shim that died ---- */

int proc_kill(struct proc *p, int sig)
{
	if (p->pidfd >= 0)
		return sys_pidfd_signal(p->pidfd, sig);
	return kill(p->pid, sig) < 0 ? -errno : 0;
}

static void on_end(uint32_t events, void *user)
{
	struct proc *p = user;
	int status = 0, r = sys_pidfd_status(p->pidfd, p->pid, p->ticks, &status);

	if (r == -EAGAIN)
		return;
	event_fd_free(take_ptr(&p->end));
	note_exit(p, status);
	if (r < 0) {
		p->unknown = true;
		p->code = UNKNOWN_CODE;
	}
	if (!p->busy)
		take_exit(p);
}

int proc_adopt(struct proc *p, pid_t pid, uint64_t ticks)
{
	int r = sys_pidfd_open_verified(pid, ticks, &p->pidfd);

	if (r == 0)
		r = event_fd_new(p->task->shim->loop, p->pidfd, EPOLLIN, on_end, p, &p->end);
	if (r < 0)
		return r;
	p->pid = pid;
	p->ticks = ticks;
	p->alive = true;
	return 0;
}

bool task_reaped(struct shim *s, pid_t pid, int status)
{
	struct task *t;

	for (size_t i = 0; (t = map_next(&s->tasks, &i));) {
		if (reap_in(&t->init, pid, status))
			return true;
		list_for_each(p, &t->execs, struct proc, link)
			if (reap_in(p, pid, status))
				return true;
	}
	return false;
}

/* ---- waiting ---- */

void task_wait(struct shim *s, const char *id, const char *exec_id, task_done_fn done, void *user)
{
	struct err err = ERR_INIT;
	struct proc *p = task_find_proc(s, id, exec_id, &err);
	struct waiter *w;

	if (!p) {
		done(NULL, &err, user);
		return;
	}
	if (p->status == SHIM_STOPPED) {
		struct task_answer answer = { p->pid, p->code, p->exited_at };

		done(&answer, NULL, user);
		return;
	}
	w = mem_new(1, sizeof(*w));
	w->done = done;
	w->user = user;
	list_append(&p->waiters, &w->link);
}

static void unwait_in(struct proc *p, const void *user)
{
	list_for_each(w, &p->waiters, struct waiter, link) {
		if (w->user == user) {
			list_remove(&w->link);
			free(w);
		}
	}
}

void task_unwait(struct shim *s, void *user)
{
	struct task *t;

	for (size_t i = 0; (t = map_next(&s->tasks, &i));) {
		unwait_in(&t->init, user);
		list_for_each(p, &t->execs, struct proc, link)
			unwait_in(p, user);
	}
}

/* ---- start ---- */

static int start_job(void *user, struct job_result *ret, struct err *err)
{
	struct op *op = user;

	return runtime_start(op->task->root, op->task->id, err);
}

static void start_done(struct job_result *res, void *user)
{
	struct op *op = user;
	struct proc *p = op->proc;

	if (res->r == 0) {
		p->status = SHIM_RUNNING;
		events_start(p);
	}
	/* the answer goes out first: the exit may end in p's being freed */
	op_end(op, res->r < 0 ? &res->err : NULL);
	proc_settled(p);
}

static int exec_job(void *user, struct job_result *ret, struct err *err)
{
	struct op *op = user;
	struct proc *p = op->proc;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct oci_process process;
	struct runtime_exec what = RUNTIME_EXEC_INIT;
	int r;

	r = oci_process_read(p->spec, p->n_spec, &a, &process, err);
	if (r < 0)
		return r;
	process.terminal = p->io.terminal;
	what.root = op->task->root;
	what.id = op->task->id;
	what.process = &process;
	what.cgroup = p->cgroup;
	if (p->io.terminal)
		what.console_socket = JOB_CONSOLE_FD;
	r = runtime_exec(&what, &ret->pid, err);
	if (r < 0 && err->kind == ERR_UNSUPPORTED && what.cgroup) {
		/* no sub-cgroup here (a threaded one): the exec is in the container's own */
		err_clear(err);
		what.cgroup = NULL;
		r = runtime_exec(&what, &ret->pid, err);
	}
	if (r == 0 && what.cgroup)
		snprintf(ret->cgroup, sizeof(ret->cgroup), "%s", what.cgroup);
	return r;
}

static void exec_done(struct job_result *res, void *user)
{
	struct op *op = user;
	struct proc *p = op->proc;
	struct err err = ERR_INIT;

	p->starter = NULL;
	free(take_ptr(&p->spec));
	/* it may have got as far as making the process */
	if (res->crashed)
		task_exec_kill(p);
	if (res->r < 0) {
		/* it can be deleted, and a Wait for it must end: 127 as a shell would say */
		err = res->err;
		p->exited = true;
		p->exited_at = time_now_real();
		p->code = err.kind == ERR_NOT_FOUND ? 127 : 126;
		free(take_ptr(&p->cgroup));
		op_end(op, &err);
		proc_settled(p);
		return;
	}
	if (!res->cgroup[0])
		free(take_ptr(&p->cgroup));
	p->status = SHIM_RUNNING;
	proc_born(p, res->pid);
	if (stdio_started(&p->io, &err) < 0 && p->alive)
		proc_kill(p, SIGKILL);
	if (p->ephemeral) {
		fd_drop(&p->io.keep[1]);
		fd_drop(&p->io.keep[2]);
	}
	events_start(p);
	op_end(op, err.kind ? &err : NULL);
	proc_settled(p);
}

void task_start(struct shim *s, const char *id, const char *exec_id, task_done_fn done, void *user)
{
	struct err err = ERR_INIT;
	struct proc *p = task_find_proc(s, id, exec_id, &err);
	struct task *t = p ? p->task : NULL;

	if (p && (p->busy || p->exited || p->status != SHIM_CREATED))
		err_set(&err, ERR_STATE, "%s %s: not in the state created", is_init(p) ? "container" : "exec",
			is_init(p) ? t->id : p->exec_id);
	else if (p && (t->deleter || (!is_init(p) && !t->init.alive)))
		err_set(&err, ERR_STATE, "container %s: it is not running", t->id);
	else if (p && !is_init(p) && stdio_open(&p->io, &err) < 0)
		stdio_done(&p->io);
	if (err.kind) {
		done(NULL, &err, user);
		return;
	}
	if (is_init(p) && t->checkpoint) {
		struct task_answer answer = { p->pid, 0, 0 };

		p->status = SHIM_RUNNING;
		events_start(p);
		done(&answer, NULL, user);
		return;
	}
	p->busy = true;
	if (is_init(p)) {
		op_run(op_new(t, p, done, user), start_job, NULL, start_done);
		return;
	}
	p->starter = op_new(t, p, done, user);
	op_run(p->starter, exec_job, &p->io.job, exec_done);
}

/* ---- exec ---- */

int task_exec(struct shim *s, const struct task_exec *what, struct proc **ret, struct err *err)
{
	struct task *t = task_find(s, what->id, err);
	struct proc *p;

	if (!t)
		return -1;
	if (!str_is_id(what->exec_id, 128))
		return err_set(err, ERR_INVALID, "exec id %s: not an identifier", what->exec_id);
	if (!t->init.alive || t->deleter)
		return err_set(err, ERR_STATE, "container %s: it is not running", t->id);
	if (t->paused)
		return err_set(err, ERR_STATE, "container %s: it is paused", t->id);
	list_for_each(other, &t->execs, struct proc, link)
		if (str_eq(other->exec_id, what->exec_id))
			return err_set(err, ERR_EXISTS, "exec %s of container %s exists", what->exec_id, t->id);
	p = mem_new(1, sizeof(*p));
	proc_init(p, t, what->exec_id);
	p->status = SHIM_CREATED;
	p->ephemeral = what->ephemeral;
	p->spec = mem_new(what->n_spec + 1, 1);
	memcpy(p->spec, what->spec, what->n_spec);
	p->n_spec = what->n_spec;
	p->cgroup = mem_printf("exec-%s", what->exec_id);
	stdio_init(&p->io, s, what->terminal, what->in, what->out, what->err);
	list_append(&t->execs, &p->link);
	events_exec_added(p);
	*ret = p;
	return 0;
}

void task_exec_kill(struct proc *p)
{
	CLEANUP(cgroup_freep) struct cgroup *sub = NULL;

	if (p->cgroup && p->task->cgroup && cgroup_create_sub(p->task->cgroup, p->cgroup, &sub, NULL) == 0)
		cgroup_kill(sub, SIGKILL, NULL);
	if (p->alive)
		proc_kill(p, SIGKILL);
	if (p->starter)
		job_cancel(p->task->shim, p->starter);
}

void task_exec_free(struct proc *p)
{
	assert(!p->alive && !p->busy);
	proc_done(p);
	free(p);
}

/* ---- signals ---- */

static int kill_all_job(void *user, struct job_result *ret, struct err *err)
{
	struct op *op = user;
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	const struct cgroup *ours = op->task->cgroup;
	/* the descriptors of ours were closed in this child: only its path is of use */
	int r = cgroup_open(cgroup_host_of(ours), cgroup_path(ours), &cg, err);

	return r < 0 ? r : cgroup_kill(cg, op->number, err);
}

static void kill_all_done(struct job_result *res, void *user)
{
	op_end(user, res->r < 0 ? &res->err : NULL);
}

void task_kill(struct shim *s, const char *id, const char *exec_id, int sig, bool all, task_done_fn done,
	       void *user)
{
	struct err err = ERR_INIT;
	struct proc *p = task_find_proc(s, id, exec_id, &err);
	int r;

	if (p && sig < 0)
		err_set(&err, ERR_INVALID, "signal %d", sig);
	else if (p && p->status == SHIM_CREATED && !is_init(p) && !p->busy)
		err_set(&err, ERR_STATE, "exec %s: it was not started", p->exec_id);
	else if (p && !p->alive)
		err_set(&err, ERR_NOT_FOUND, "the process has finished already");
	/* a frozen process does not even die: cgroup_kill thaws */
	all = all || (!err.kind && p->task->paused && sig == SIGKILL);
	if (!err.kind && all && is_init(p) && p->task->cgroup) {
		struct op *op = op_new(p->task, p, done, user);

		op->number = sig;
		op_run(op, kill_all_job, NULL, kill_all_done);
		return;
	}
	if (!err.kind && (r = proc_kill(p, sig)) < 0)
		err_sys(&err, r, "signal %d", sig);
	done(NULL, err.kind ? &err : NULL, user);
}
