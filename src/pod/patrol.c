/*
 * The slow look at the kernel: what ended while nobody announced it (a shim that is stopped, a message
 * that was lost) is noticed here. A process whose end two looks in a row have seen and that is
 * still on the list as running is reconciled by an operation. Loop thread.
 */
#include "pod/plugins.h"

#include <poll.h>

#define PATROL_TIME (5 * NSEC_PER_SEC)

static int patrol_op(struct pod_op *op, struct err *err)
{
	struct pod_container *c;
	int r;

	pod_lock(op->m);
	c = map_get(&op->m->containers, op->id);
	if (c)
		pod_container_ref(c);
	pod_unlock(op->m);
	if (!c)
		return 0;
	r = pod_container_reconcile(c, false, err);
	pod_plugins_stopped(c);
	pod_container_unref(c);
	return r;
}

struct look {
	struct pollfd *fds;
	char (*ids)[ID_LEN + 1];
	size_t n;
};

/* The descriptors only: nothing that might wait is asked under the lock. */
static struct look collect(struct pod_manager *m, struct arena *a)
{
	struct look l = { 0 };
	struct pod_container *c;
	size_t i = 0;

	pod_lock(m);
	l.fds = arena_new(a, m->containers.n, sizeof(*l.fds));
	l.ids = arena_new(a, m->containers.n, sizeof(*l.ids));
	while ((c = map_next(&m->containers, &i))) {
		if (c->state != POD_RUNNING || c->priv->kept.pidfd < 0)
			continue;
		l.fds[l.n].fd = c->priv->kept.pidfd;
		l.fds[l.n].events = POLLIN;
		memcpy(l.ids[l.n++], c->id, sizeof(c->id));
	}
	pod_unlock(m);
	return l;
}

/* True at the second look. */
static bool seen_before(struct pod_manager *m, const char *id)
{
	struct pod_container *c;
	bool yes = false;

	pod_lock(m);
	c = map_get(&m->containers, id);
	if (c && c->state == POD_RUNNING) {
		yes = c->priv->seen_ended;
		c->priv->seen_ended = true;
	}
	pod_unlock(m);
	return yes;
}

static void on_patrol(void *user)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_manager *m = user;
	struct look l = collect(m, &a);

	/* a number that was closed meanwhile says nothing worse than "look again" */
	if (l.n && poll(l.fds, l.n, 0) > 0) {
		for (size_t i = 0; i < l.n; i++) {
			struct pod_op *op;

			if (!(l.fds[i].revents & POLLIN) || !seen_before(m, l.ids[i]))
				continue;
			op = pod_op_new(m, NULL, "note an end that nobody announced", patrol_op);
			op->id = arena_strdup(&op->arena, l.ids[i]);
			pod_op_submit(op, NULL, NULL);
		}
	}
	event_timer_set(m->patrol, time_now_mono() + PATROL_TIME);
}

int pod_patrol_start(struct pod_manager *m)
{
	return event_timer_new(m->loop, time_now_mono() + PATROL_TIME, on_patrol, m, &m->patrol);
}
