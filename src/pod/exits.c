/*
 * How the daemon learns that something ended.
 *
 * One watch a pod, on the loop thread: the shim announces each exit after it wrote the exit
 * record. What follows (reading the record, committing, deleting the task) runs as an
 * operation. When the connection ends, the shim is gone: then the exit records and the
 * kernel say what is left, and what no monitor looks after any more is ended.
 */
#include "pod/plugins.h"

#include <poll.h>
#include <stdio.h>

struct watch_user {
	struct pod_manager *m;
	char id[ID_LEN + 1];
};

bool pod_process_alive(struct pod_process process)
{
	autofd int fd = -EBADF;

	return process.pid > 0 && sys_pidfd_open_verified(process.pid, process.ticks, &fd) == 0 &&
	       sys_pidfd_exited(fd) != 1;
}

bool pod_process_gone(struct pod_process process, int64_t deadline)
{
	autofd int fd = -EBADF;
	struct pollfd pfd;

	if (!process.pid || sys_pidfd_open_verified(process.pid, process.ticks, &fd) < 0)
		return true;
	pfd = (struct pollfd){ .fd = fd, .events = POLLIN };
	while (poll(&pfd, 1, time_poll_ms(deadline)) < 0 && errno == EINTR)
		;
	return sys_pidfd_exited(fd) == 1;
}

void pod_process_kill(struct pod_process process)
{
	autofd int fd = -EBADF;

	if (process.pid && sys_pidfd_open_verified(process.pid, process.ticks, &fd) == 0)
		sys_pidfd_signal(fd, SIGKILL);
}

bool pod_container_set_exited(struct pod_container *c, int code, int64_t at, bool oom, const char *reason,
			      const char *message)
{
	if (c->state == POD_EXITED)
		return false;
	c->state = POD_EXITED;
	c->exit_code = code;
	c->finished_at = at ? at : time_now_real();
	if (!reason && c->priv->evicted) {
		reason = "Evicted";
		message = c->priv->evicted;
	}
	if (!reason)
		reason = oom ? "OOMKilled" : code ? "Error" : "Completed";
	pod_container_say(c, reason, message);
	c->pid = 0;
	c->priv->starting = false;
	pod_changed(c->priv->m);
	if (c->visible)
		pod_tell(c->priv->m, POD_EVENT_STOPPED, c->pod, c);
	return true;
}

int pod_container_reconcile(struct pod_container *c, bool shim_alive, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_manager *m = c->priv->m;
	struct shim_exit e = { 0 };
	bool changed = false, known, alive;

	alive = str_eq(c->priv->boot_id, sys_boot_id()) && pod_process_alive(pod_container_process(c));
	known = shim_exit_read(c->dir, &a, &e, NULL) == 0;
	pod_lock(m);
	if (known)
		changed = pod_container_set_exited(c, e.code, e.exited_at, e.oom_killed, NULL, NULL);
	else if (!alive && !shim_alive && c->state == POD_RUNNING)
		changed = pod_container_set_exited(c, 255, 0, false, "Unknown",
						   "it ended while nothing watched it; its exit code is "
						   "lost");
	pod_unlock(m);
	return changed ? pod_container_commit(c, err) : 0;
}

/* ---- operations ---- */

static int exit_op(struct pod_op *op, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_manager *m = op->m;
	struct pod_container *c;
	struct shim_exit e = { 0 };
	bool changed, starting;
	int r;

	pod_lock(m);
	c = map_get(&m->containers, op->id);
	if (c)
		pod_container_ref(c);
	pod_unlock(m);
	if (!c)
		return 0;
	if (shim_exit_read(c->dir, &a, &e, NULL) < 0)
		e = op->exit; /* the record is lost, the announcement is not */
	pod_lock(m);
	starting = c->priv->starting;
	pod_unlock(m);
	/* a start that still runs says first what it knows: a program that could not be executed
	 * ends as well, but that end is the start's error and no exit */
	if (starting) {
		r = pod_op_hold_container(op, c, false, err);
		if (r < 0)
			return r;
	}
	pod_lock(m);
	changed = pod_container_set_exited(c, e.code, e.exited_at, e.oom_killed, NULL, NULL);
	pod_unlock(m);
	if (changed)
		pod_container_commit(c, NULL);
	pod_plugins_stopped(c);
	/* its cgroups and the runtime's record go now, not only when it is removed */
	if (!starting && (r = pod_op_hold_container(op, c, false, err)) < 0)
		return r;
	return pod_container_task_delete(c, err);
}

static int pause_exit_op(struct pod_op *op, struct err *err)
{
	struct pod_manager *m = op->m;
	struct pod_sandbox *p;
	bool changed;

	pod_lock(m);
	p = map_get(&m->pods, op->id);
	if (p)
		pod_sandbox_ref(p);
	changed = p && p->state == POD_READY && !p->priv->stopping;
	if (changed) {
		p->pid = 0;
		pod_sandbox_set_not_ready(p, "the pause process ended");
	}
	pod_unlock(m);
	if (changed)
		pod_sandbox_commit(p, NULL);
	pod_sandbox_unref(p);
	return 0;
}

/* The shim's end: every container of the pod gets the state that the kernel gives it, and what
 * runs without a monitor is ended. */
static int shim_lost_op(struct pod_op *op, struct err *err)
{
	struct pod_manager *m = op->m;
	struct pod_container **all;
	struct pod_sandbox *p;
	size_t n = 0;

	pod_lock(m);
	p = map_get(&m->pods, op->id);
	if (!p || p->priv->stopping) {
		pod_unlock(m);
		return 0;
	}
	pod_sandbox_ref(p);
	list_for_each(c, &p->containers, struct pod_container, link)
		n++;
	all = mem_new(n + 1, sizeof(struct pod_container *));
	n = 0;
	list_for_each(c, &p->containers, struct pod_container, link) {
		pod_container_ref(c);
		all[n++] = c;
	}
	p->priv->shim = (struct shim_process){ 0 };
	if (!pod_sandbox_set_not_ready(p, "the pod's monitor (caisson-shim) died"))
		pod_sandbox_say(p, "the pod's monitor (caisson-shim) died");
	pod_changed(m);
	pod_unlock(m);
	for (size_t i = 0; i < n; i++) {
		struct pod_container *c = all[i];
		struct err ignored = ERR_INIT;
		bool changed = false;

		if (pod_container_reconcile(c, true, &ignored) == 0 && pod_container_in(c, POD_RUNNING)) {
			pod_container_kill(c, &ignored);
			pod_lock(m);
			changed = pod_container_set_exited(c, 137, 0, false, "Error",
							   "the pod's monitor (caisson-shim) died");
			pod_unlock(m);
		}
		if (changed)
			pod_container_commit(c, NULL);
		pod_plugins_stopped(c);
		pod_container_unref(c);
	}
	free(all);
	pod_sandbox_commit(p, NULL);
	pod_sandbox_unref(p);
	return 0;
}

/* ---- the watch, loop thread ---- */

static void on_exit_announced(const char *id, int code, int64_t at, void *user)
{
	struct watch_user *w = user;
	struct pod_manager *m = w->m;
	struct pod_sandbox *p;
	struct pod_op *op;

	if (!id) {
		op = pod_op_new(m, NULL, "look after a pod whose shim died", shim_lost_op);
		op->id = arena_strdup(&op->arena, w->id);
		pod_lock(m);
		p = map_get(&m->pods, w->id);
		if (p)
			pod_sandbox_ref(p);
		pod_unlock(m);
		if (p)
			pod_watch_end(p);
		pod_sandbox_unref(p);
	} else if (strcmp(id, w->id) == 0) {
		op = pod_op_new(m, NULL, "note the end of pause", pause_exit_op);
		op->id = arena_strdup(&op->arena, id);
	} else {
		op = pod_op_new(m, NULL, "note an exit", exit_op);
		op->id = arena_strdup(&op->arena, id);
		op->exit = (struct shim_exit){ .code = code, .exited_at = at };
	}
	pod_op_submit(op, NULL, NULL);
}

/* The ids are copied out first: nothing of the shim's is called under the lock. */
static void watch_containers(struct pod_sandbox *p)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_manager *m = p->priv->m;
	char **ids;
	size_t n = 0;

	pod_lock(m);
	list_for_each(c, &p->containers, struct pod_container, link)
		n++;
	ids = arena_new(&a, n, sizeof(*ids));
	n = 0;
	list_for_each(c, &p->containers, struct pod_container, link)
		if (c->priv->task && c->state != POD_EXITED)
			ids[n++] = arena_strdup(&a, c->id);
	pod_unlock(m);
	for (size_t i = 0; i < n && p->priv->watch; i++)
		shim_watch_add(p->priv->watch, ids[i], NULL);
}

void pod_watch_start(struct pod_sandbox *p)
{
	struct pod_sandbox_private *priv = p->priv;
	struct pod_manager *m = priv->m;
	struct err err = ERR_INIT;
	struct shim_process shim;
	bool wanted;

	pod_lock(m);
	shim = priv->shim;
	wanted = !priv->removed && !priv->stopping;
	pod_unlock(m);
	if (!wanted || priv->watch)
		return;
	if (!priv->watch_user) {
		priv->watch_user = arena_new(&priv->arena, 1, sizeof(*priv->watch_user));
		priv->watch_user->m = m;
		memcpy(priv->watch_user->id, p->id, sizeof(p->id));
	}
	if (!shim.pid || shim_watch_new(m->loop, shim.address, on_exit_announced, priv->watch_user,
					&priv->watch, &err) < 0) {
		struct pod_op *op = pod_op_new(m, NULL, "look after a pod whose shim died", shim_lost_op);

		op->id = arena_strdup(&op->arena, p->id);
		pod_op_submit(op, NULL, NULL);
		return;
	}
	shim_watch_add(priv->watch, p->id, NULL);
	watch_containers(p);
}

void pod_watch_end(struct pod_sandbox *p)
{
	shim_watch_free(take_ptr(&p->priv->watch));
}

struct watch_post {
	struct pod_sandbox *pod;
	struct pod_container *container;
	enum { WATCH_START, WATCH_END, WATCH_TASK } what;
};

static void on_watch_post(void *user)
{
	autofree struct watch_post *post = user;

	switch (post->what) {
	case WATCH_START:
		pod_watch_start(post->pod);
		break;
	case WATCH_END:
		pod_watch_end(post->pod);
		break;
	case WATCH_TASK:
		if (post->pod->priv->watch)
			shim_watch_add(post->pod->priv->watch, post->container->id, NULL);
		break;
	}
	pod_container_unref(post->container);
	pod_sandbox_unref(post->pod);
}

static void watch_post(struct pod_sandbox *p, struct pod_container *c, int what)
{
	struct watch_post *post = mem_new(1, sizeof(*post));

	pod_lock(p->priv->m);
	pod_sandbox_ref(p);
	if (c)
		pod_container_ref(c);
	pod_unlock(p->priv->m);
	post->pod = p;
	post->container = c;
	post->what = what;
	event_loop_post(p->priv->m->loop, on_watch_post, post);
}

void pod_watch_post_start(struct pod_sandbox *p)
{
	watch_post(p, NULL, WATCH_START);
}

void pod_watch_post_end(struct pod_sandbox *p)
{
	watch_post(p, NULL, WATCH_END);
}

void pod_watch_task(struct pod_sandbox *p, struct pod_container *c)
{
	watch_post(p, c, WATCH_TASK);
}
