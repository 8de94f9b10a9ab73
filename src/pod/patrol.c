/*
 * The slow look at the kernel: what ended while nobody announced it (a shim that is stopped, a message
 * that was lost) is noticed here. A process, also a pod's pause, whose end two looks in a row have seen and
 * that is still on the list as running is reconciled by an operation; so is one of which no pidfd
 * could be had when it was started. Where a shim has died nobody announces anything: until its
 * successor has taken over, the looks are short and one is enough. What the default network of running
 * pods hangs on is looked for as well. Loop thread.
 */
#include "pod/plugins.h"

#include <poll.h>

#define PATROL_TIME (5 * NSEC_PER_SEC)
#define HURRY_TIME (100 * NSEC_PER_MSEC)

/* Looks in a hurry after a shim's death: as long as its successor may take on a busy machine. */
enum { HURRIES = 50 };

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
	if (pod_container_in(c, POD_RUNNING))
		pod_container_keep(c);
	pod_plugins_stopped(c);
	pod_container_unref(c);
	return r;
}

/* Containers and pods alike: a descriptor below zero is one that poll leaves out. */
struct look {
	struct pollfd *fds;
	struct looked_at {
		char id[ID_LEN + 1];
		bool pod;
		bool alone; /* it has no shim */
	} *at;
	size_t n;
	bool network; /* a pod depends on the embedded default network */
};

static void look_at(struct look *l, int pidfd, const char *id, const struct pod_sandbox *p)
{
	l->fds[l->n].fd = pidfd;
	l->fds[l->n].events = POLLIN;
	memcpy(l->at[l->n].id, id, ID_LEN + 1);
	l->at[l->n].pod = strcmp(id, p->id) == 0;
	l->at[l->n++].alone = !p->priv->shim.pid || p->priv->replacing;
}

/* The descriptors only: nothing that might wait is asked under the lock. */
static struct look collect(struct pod_manager *m, struct arena *a)
{
	struct look l = { 0 };
	struct pod_container *c;
	size_t i = 0;

	pod_lock(m);
	l.fds = arena_new(a, m->containers.n + m->pods.n, sizeof(*l.fds));
	l.at = arena_new(a, m->containers.n + m->pods.n, sizeof(*l.at));
	while ((c = map_next(&m->containers, &i)))
		if (c->state == POD_RUNNING)
			look_at(&l, c->priv->kept.pidfd, c->id, c->pod);
	list_for_each(priv, &m->order, struct pod_sandbox_private, link) {
		if (priv->pod->state != POD_READY || priv->stopping)
			continue;
		if (priv->kept_pidfd >= 0)
			look_at(&l, priv->kept_pidfd, priv->pod->id, priv->pod);
		l.network |= priv->network && !l.network && cni_default_serves(m->cni, priv->network);
	}
	pod_unlock(m);
	return l;
}

/* True at the second look. */
static bool seen_before(struct pod_manager *m, const struct looked_at *at)
{
	struct pod_container *c;
	struct pod_sandbox *p;
	bool *seen = NULL, yes;

	pod_lock(m);
	c = at->pod ? NULL : map_get(&m->containers, at->id);
	p = at->pod ? map_get(&m->pods, at->id) : NULL;
	if (c && c->state == POD_RUNNING)
		seen = &c->priv->seen_ended;
	if (p && p->state == POD_READY)
		seen = &p->priv->seen_ended;
	yes = seen && *seen;
	if (seen)
		*seen = true;
	pod_unlock(m);
	return yes;
}

static void reconcile(struct pod_manager *m, const struct looked_at *at)
{
	struct pod_op *op;

	if (at->pod) {
		pod_sandbox_ended(m, at->id);
		return;
	}
	op = pod_op_new(m, NULL, "note an end that nobody announced", patrol_op);
	op->id = arena_strdup(&op->arena, at->id);
	pod_op_submit(op, NULL, NULL);
}

static int mend_network_op(struct pod_op *op, struct err *err)
{
	struct pod_manager *m = op->m;
	int r = cni_default_mend(m->cni, err);

	if (m->settings.say)
		m->settings.say(r < 0 ? LOG_ERROR : LOG_WARN, r < 0 ? err->text : "the masquerading rule of the default "
				"network was gone, and is made again: somebody flushed the node's nf_tables");
	return r;
}

static void on_patrol(void *user)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_manager *m = user;
	struct look l = collect(m, &a);
	bool hurry = m->hurries > 0;

	/* a number that was closed meanwhile says nothing worse than "look again" */
	if (l.n && poll(l.fds, l.n, 0) < 0)
		l.n = 0;
	for (size_t i = 0; i < l.n; i++) {
		const struct looked_at *at = &l.at[i];

		if (l.fds[i].fd >= 0 && !(l.fds[i].revents & POLLIN))
			continue;
		/* what has a shim is looked at again after the time that an announcement may take */
		if (hurry ? at->alone && !seen_before(m, at) : seen_before(m, at))
			reconcile(m, at);
	}
	if (hurry)
		m->hurries--;
	else if (l.network && cni_default_broken(m->cni))
		pod_op_submit(pod_op_new(m, NULL, "mend the default network", mend_network_op), NULL, NULL);
	event_timer_set(m->patrol, time_now_mono() + (m->hurries ? HURRY_TIME : PATROL_TIME));
}

void pod_patrol_hurry(struct pod_manager *m)
{
	m->hurries = HURRIES;
	if (m->patrol && !m->closing)
		event_timer_set(m->patrol, time_now_mono() + HURRY_TIME);
}

int pod_patrol_start(struct pod_manager *m)
{
	return event_timer_new(m->loop, time_now_mono() + PATROL_TIME, on_patrol, m, &m->patrol);
}
