/*
 * How the daemon learns that something ended.
 *
 * One watch a pod, on the loop thread: the shim announces each exit after it wrote the exit
 * record. What follows (reading the record, committing, deleting the task) runs as an
 * operation. When the connection ends, the shim is gone, and another one takes its place
 * (successor.c).
 */
#include "pod/cgroup.h"
#include "pod/plugins.h"

#include <poll.h>
#include <stdio.h>

enum { UNKNOWN_CODE = 255 };

#define ASK_AGAIN_TIME (20 * NSEC_PER_MSEC)

#define UNKNOWN_WHY                                                                    \
	"its exit code is not known: its monitor (caisson-shim) had died, and the kernel " \
	"told it to nobody else"

struct watch_user {
	struct pod_manager *m;
	char id[ID_LEN + 1];
};

bool pod_process_alive(struct pod_process process)
{
	autofd int fd = -EBADF;
	int r = sys_pidfd_open_verified(process.pid, process.ticks, &fd);

	if (r == 0)
		return sys_pidfd_exited(fd) != 1;
	/* only proof makes it dead: with no descriptor left to ask with, a process of that number is it */
	return r != -ESRCH && kill(process.pid, 0) == 0;
}

bool pod_process_gone(struct pod_process process, int64_t deadline)
{
	autofd int fd = -EBADF;
	struct pollfd pfd;

	while (sys_pidfd_open_verified(process.pid, process.ticks, &fd) < 0) {
		if (!pod_process_alive(process))
			return true;
		if (time_now_mono() >= deadline)
			return false;
		usleep(ASK_AGAIN_TIME / 1000);
	}
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
	pod_kept_done(&c->priv->kept);
	pod_changed(c->priv->m);
	if (c->visible)
		pod_tell(c->priv->m, POD_EVENT_STOPPED, c->pod, c);
	return true;
}

/* Under the lock. */
static bool set_recorded(struct pod_container *c, const struct shim_exit *e)
{
	return pod_container_set_exited(c, e->code, e->exited_at, e->oom_killed, e->unknown ? "Unknown" : NULL,
					e->unknown ? UNKNOWN_WHY : NULL);
}

int pod_container_reconcile(struct pod_container *c, bool shim_alive, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_manager *m = c->priv->m;
	struct shim_exit e = { 0 };
	struct err why = ERR_INIT;
	bool changed = false, known = shim_exit_read(c->dir, &a, &e, &why) == 0, oom = false;
	const char *message = UNKNOWN_WHY;
	int code = UNKNOWN_CODE, end = -EAGAIN;

	if (!known && !shim_alive && pod_container_in(c, POD_RUNNING)) {
		end = str_eq(c->priv->boot_id, sys_boot_id()) ? pod_container_status(c, &code) : -ENODATA;
		oom = end == 0 && c->cgroup_path && pod_cgroup_oom_killed(c->cgroup_path);
	}
	/* a record that is there and cannot be read is another reason than none */
	if (!known && why.kind != ERR_NOT_FOUND)
		message = arena_printf(&a, "its exit code is not known: %s", why.text);
	pod_lock(m);
	if (known)
		changed = set_recorded(c, &e);
	else if (end == 0 && c->state == POD_RUNNING)
		changed = pod_container_set_exited(c, code, 0, oom, NULL, NULL);
	else if (end == -ENODATA && c->state == POD_RUNNING)
		changed = pod_container_set_exited(c, UNKNOWN_CODE, 0, false, "Unknown", message);
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
	changed = set_recorded(c, &e);
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

void pod_sandbox_ended(struct pod_manager *m, const char *id)
{
	struct pod_op *op = pod_op_new(m, NULL, "note the end of pause", pause_exit_op);

	op->id = arena_strdup(&op->arena, id);
	pod_op_submit(op, NULL, NULL);
}

/* ---- the watch, loop thread ---- */

/* What should run is not known to the shim: its predecessor died, and so did the daemon then. */
static void take_up(struct pod_manager *m, const char *pod_id, const char *id)
{
	struct pod_container *c;
	struct pod_sandbox *p;
	bool wanted;

	pod_lock(m);
	p = map_get(&m->pods, pod_id);
	c = map_get(&m->containers, id);
	wanted = p && p->visible && !p->priv->stopping &&
		 (c ? c->state == POD_RUNNING : strcmp(id, pod_id) == 0 && p->state == POD_READY);
	if (wanted)
		p->priv->shim_incomplete = true;
	pod_unlock(m);
	if (wanted)
		pod_shim_lost(m, pod_id);
}

static void on_exit_announced(const char *id, int code, int64_t at, void *user)
{
	struct watch_user *w = user;
	struct pod_manager *m = w->m;
	struct pod_sandbox *p;
	struct pod_op *op;

	if (!id) {
		char pod_id[ID_LEN + 1];

		memcpy(pod_id, w->id, sizeof(pod_id));
		pod_lock(m);
		p = map_get(&m->pods, pod_id);
		if (p)
			pod_sandbox_ref(p);
		pod_unlock(m);
		if (p)
			pod_watch_end(p);
		pod_sandbox_unref(p);
		pod_shim_lost(m, pod_id);
		return;
	}
	if (code < 0) {
		take_up(m, w->id, id);
		return;
	}
	if (strcmp(id, w->id) == 0) {
		pod_sandbox_ended(m, id);
		return;
	}
	op = pod_op_new(m, NULL, "note an exit", exit_op);
	op->id = arena_strdup(&op->arena, id);
	op->exit = (struct shim_exit){ .code = code, .exited_at = at };
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
		pod_shim_lost(m, p->id);
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
