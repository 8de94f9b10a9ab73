/*
 * A shim died. Nothing that runs in its pod is harmed by that: another one is started in its place
 * and is given the containers with their streams (keep.c); until then the kernel says what
 * ends. One operation, which excludes others that change the pod; it is repeated by the retry timer
 * when the successor does not start or does not take everything.
 */
#include "pod/plugins.h"

#include <stdio.h>

/* As many deaths in as much time are no accident: then the next successor waits for the timer. */
enum { DEATHS_MAX = 10 };

#define DEATHS_TIME (10 * NSEC_PER_SEC)
#define GONE_TIME NSEC_PER_SEC
#define ADOPT_TIME (20 * NSEC_PER_SEC)

/* The containers that should run, each with a reference. */
static size_t running_containers(struct pod_sandbox *p, struct pod_container ***ret)
{
	struct pod_container **all;
	size_t n = 0;

	pod_lock(p->priv->m);
	list_for_each(c, &p->containers, struct pod_container, link)
		n++;
	all = mem_new(n + 1, sizeof(struct pod_container *));
	n = 0;
	list_for_each(c, &p->containers, struct pod_container, link) {
		if (c->state != POD_RUNNING || !c->priv->task)
			continue;
		pod_container_ref(c);
		all[n++] = c;
	}
	pod_unlock(p->priv->m);
	*ret = all;
	return n;
}

/* The one that ended the connection may still be about to end itself; it does not serve in any case. */
static int see_it_dead(struct pod_process monitor, struct err *err)
{
	if (pod_process_gone(monitor, time_now_mono() + GONE_TIME))
		return 0;
	pod_process_kill(monitor);
	if (!pod_process_gone(monitor, time_now_mono() + POD_KILL_TIME))
		return err_set(err, ERR_TIMEOUT, "the old shim, process %d, does not end", (int)monitor.pid);
	return 0;
}

static int adopt_pause(struct pod_sandbox *p, const char *address, struct arena *a, struct err *err)
{
	static const int none[SHIM_STREAMS] = { -EBADF, -EBADF, -EBADF, -EBADF };
	struct pod_manager *m = p->priv->m;
	struct shim_create pause = { .id = p->id, .bundle = arena_printf(a, "%s/pause", p->dir),
				     .runtime_root = m->runtime_root };
	char *lost;
	int r = shim_adopt(address, &pause, none, time_now_mono() + ADOPT_TIME, a, &lost, err);

	if (r == 0 || err->kind == ERR_EXISTS) {
		err_clear(err);
		return 0;
	}
	if (err->kind != ERR_NOT_FOUND)
		return r;
	err_clear(err);
	pod_lock(m);
	p->pid = 0;
	pod_sandbox_set_not_ready(p, "the pause process ended");
	pod_unlock(m);
	return 0;
}

static int adopt_container(struct pod_container *c, const char *address, struct arena *a, struct buf *lost,
			   struct err *err)
{
	struct pod_manager *m = c->priv->m;
	struct shim_create what = {
		.id = c->id, .bundle = c->dir, .runtime_root = m->runtime_root,
		.log_path = pod_container_log(c, a),
		.terminal = c->config->tty, .stdin_open = c->config->stdin_open,
	};
	int kept[SHIM_STREAMS], r;
	char *missing = NULL;

	pod_lock(m);
	memcpy(kept, c->priv->kept.streams, sizeof(kept));
	pod_unlock(m);
	r = shim_adopt(address, &what, kept, time_now_mono() + ADOPT_TIME, a, &missing, err);
	if (r == 0) {
		pod_container_keep(c);
		if (!str_empty(missing))
			buf_printf(lost, " container %s: %s", c->config->name, missing);
		return 0;
	}
	if (err->kind == ERR_EXISTS) {
		err_clear(err);
		return 0;
	}
	if (err->kind != ERR_NOT_FOUND)
		return r;
	/* it ended meanwhile */
	err_clear(err);
	r = pod_container_reconcile(c, false, err);
	pod_plugins_stopped(c);
	return r;
}

static int adopt_all(struct pod_sandbox *p, const char *address, struct buf *lost, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_container **all;
	size_t n = running_containers(p, &all);
	int r = adopt_pause(p, address, &a, err), first = r;

	for (size_t i = 0; i < n; i++) {
		struct err e = ERR_INIT;

		r = adopt_container(all[i], address, &a, lost, &e);
		if (r < 0 && first == 0) {
			first = r;
			*err = e;
		}
		pod_container_unref(all[i]);
	}
	free(all);
	return first;
}

/* A successor that listens; the pod's shim from here on. */
static int start_successor(struct pod_sandbox *p, struct shim_process *ret, struct err *err)
{
	struct pod_manager *m = p->priv->m;
	struct shim_launch launch;
	int r;

	pod_shim_launch(p, &launch);
	r = shim_start(&launch, time_now_mono() + POD_SHIM_START_TIME, ret, err);
	if (r < 0)
		return err_wrap(err, r, "start another shim");
	pod_lock(m);
	p->priv->shim = *ret;
	p->priv->shim_mute_until = 0;
	pod_unlock(m);
	return 0;
}

static bool too_often(struct pod_sandbox *p)
{
	int64_t now = time_now_mono();

	if (now - p->priv->deaths_since > DEATHS_TIME) {
		p->priv->deaths_since = now;
		p->priv->deaths = 0;
	}
	return ++p->priv->deaths > DEATHS_MAX;
}

static int succeed(struct pod_sandbox *p, struct buf *lost, struct err *err)
{
	struct pod_manager *m = p->priv->m;
	struct shim_process shim;
	int r;

	pod_lock(m);
	shim = p->priv->shim;
	pod_unlock(m);
	if (!shim.pid || !pod_process_alive((struct pod_process){ shim.pid, shim.start_ticks }) ||
	    !p->priv->shim_incomplete) {
		r = see_it_dead((struct pod_process){ shim.pid, shim.start_ticks }, err);
		if (r == 0)
			r = start_successor(p, &shim, err);
		if (r < 0)
			return r;
	}
	return adopt_all(p, shim.address, lost, err);
}

static int shim_lost_op(struct pod_op *op, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(1024);
	CLEANUP(buf_done) struct buf lost = BUF_INIT(512);
	struct pod_manager *m = op->m;
	struct pod_sandbox *p;
	bool wanted;
	int r;

	pod_lock(m);
	p = map_get(&m->pods, op->id);
	if (p)
		pod_sandbox_ref(p);
	pod_unlock(m);
	if (!p)
		return 0;
	r = pod_op_hold_sandbox(op, p, false, err);
	if (r < 0)
		return err->kind == ERR_NOT_FOUND ? 0 : r;
	pod_lock(m);
	wanted = p->visible && !p->priv->stopping && !p->priv->torn_down;
	if (wanted)
		p->priv->replacing = true;
	pod_unlock(m);
	if (!wanted)
		return 0;
	pod_op_stage_anyway(op, "a shim in place of one that died");
	r = too_often(p) ? err_set(err, ERR_UNAVAILABLE, "shims of this pod keep dying") : succeed(p, &lost, err);
	if (r < 0)
		buf_printf(&text, "the pod's monitor (caisson-shim) died; another one is tried again later: %s",
			   err->text);
	else
		buf_printf(&text, "the pod's monitor (caisson-shim) died and was replaced%s%s", lost.len ? ";" : "",
			   buf_text(&lost));
	pod_lock(m);
	p->priv->replacing = false;
	p->priv->shim_incomplete = r < 0;
	if (p->state == POD_READY)
		pod_sandbox_say(p, buf_text(&text));
	pod_changed(m);
	pod_unlock(m);
	if (r < 0)
		pod_retry_post(m);
	pod_watch_post_start(p);
	pod_sandbox_commit(p, NULL);
	return r;
}

void pod_shim_lost(struct pod_manager *m, const char *pod_id)
{
	struct pod_op *op = pod_op_new(m, NULL, "look after a pod whose shim died", shim_lost_op);

	op->id = arena_strdup(&op->arena, pod_id);
	pod_op_submit(op, NULL, NULL);
	pod_patrol_hurry(m);
}
