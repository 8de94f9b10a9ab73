/*
 * The manager's beginning and end: settings, what the host can give, the order of things at
 * the start and at the end of a daemon. Loop thread.
 */
#include "pod/pause.h"
#include "pod/plugins.h"
#include "pod/security.h"
#include "pod/userns.h"

#include "sec/sec.h"

#include <stdio.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/vfs.h>

#ifndef CGROUP2_SUPER_MAGIC
#define CGROUP2_SUPER_MAGIC 0x63677270
#endif

/* What this daemon can hand down: asked once, since it does not change. */
static void host_read(struct pod_host *h)
{
	uint64_t permitted = 0, bounding = 0;
	char text[16];
	int64_t now = 0;
	struct statfs fs;

	h->cgroup2 = statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
	h->swap_limit = h->cgroup2 || access("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", F_OK) == 0;
	h->apparmor = pod_apparmor_possible();
	if (sec_caps_own(&permitted, &bounding) < 0)
		permitted = bounding = sec_caps_kernel();
	h->caps = permitted & bounding & sec_caps_kernel();
	h->oom_score_adj_min = -1000;
	if (!(permitted & (UINT64_C(1) << CAP_SYS_RESOURCE)) &&
	    sys_file_read_text(AT_FDCWD, "/proc/self/oom_score_adj", text, sizeof(text)) >= 0 &&
	    str_to_i64(text, 10, &now) == 0)
		h->oom_score_adj_min = (int)now;
}

static void settings_copy(struct pod_manager *m, const struct pod_settings *s)
{
	struct arena *a = &m->arena;

	m->settings = *s;
	m->settings.root = arena_strdup(a, s->root);
	m->settings.state = arena_strdup(a, s->state);
	m->settings.criu = arena_strdup(a, s->criu);
	m->settings.shim_binary = arena_strdup(a, s->shim_binary);
	m->settings.pause_binary = arena_strdup(a, s->pause_binary);
	m->host.quadratic_weight = s->quadratic_weight;
	m->settings.cgroup_parent = arena_strdup(a, s->cgroup_parent ? s->cgroup_parent : "/caisson");
	m->settings.seccomp_profile_root =
		arena_strdup(a, s->seccomp_profile_root ? s->seccomp_profile_root :
							  "/var/lib/kubelet/seccomp");
	m->settings.events_address = arena_strdup(a, s->events_address ? s->events_address : "");
	if (m->settings.cni_timeout <= 0)
		m->settings.cni_timeout = 60 * NSEC_PER_SEC;
	m->checkpoints_dir = arena_printf(a, "%s/checkpoints", s->root);
	m->pods_dir = arena_printf(a, "%s/pods", s->state);
	m->runtime_root = arena_printf(a, "%s/runtime", s->state);
	m->pause_root = arena_printf(a, "%s/pause", s->state);
}

int pod_manager_new(struct event_loop *loop, struct store *store, struct image_table *images, struct cni *cni,
		    const struct pod_settings *settings, struct pod_manager **ret, struct err *err)
{
	struct pod_manager *m = mem_new(1, sizeof(*m));
	pthread_condattr_t attr;
	int r;

	m->loop = loop;
	m->store = store;
	m->images = images;
	m->cni = cni;
	list_init(&m->order);
	list_init(&m->ops);
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->cgroups, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->changed, &attr);
	pthread_condattr_destroy(&attr);
	settings_copy(m, settings);
	host_read(&m->host);
	m->host.user_namespaces = pod_userns_possible(m->settings.root);
	pod_selinux_read(&m->arena, &m->host);
	r = sys_mkdir_p(m->pods_dir, 0711);
	if (r < 0)
		r = err_sys(err, r, "make %s", m->pods_dir);
	if (r == 0 && (r = sys_mkdir_p(m->runtime_root, 0700)) < 0)
		r = err_sys(err, r, "make %s", m->runtime_root);
	if (r == 0)
		r = pod_pause_install(m, err);
	if (r == 0)
		r = pod_recover(m, err);
	if (r == 0)
		r = pod_plugins_start(m, settings->nri, err);
	if (r < 0) {
		pod_manager_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

bool pod_user_namespaces(const struct pod_manager *m)
{
	return m->host.user_namespaces;
}

/* The tables' references, containers before their pods. */
static void tables_free(struct pod_manager *m)
{
	list_for_each(priv, &m->order, struct pod_sandbox_private, link) {
		struct pod_sandbox *p = priv->pod;

		pod_watch_end(p);
		list_for_each(c, &p->containers, struct pod_container, link) {
			list_remove(&c->link);
			pod_container_unref(c);
		}
		list_remove(&priv->link);
		pod_sandbox_unref(p);
	}
}

void pod_manager_free(struct pod_manager *m)
{
	struct timespec until;
	int64_t deadline = time_now_mono() + 10 * NSEC_PER_SEC;
	size_t left;

	if (!m)
		return;
	until = (struct timespec){ deadline / NSEC_PER_SEC, deadline % NSEC_PER_SEC };
	pod_lock(m);
	m->closing = true;
	pod_changed(m);
	pod_unlock(m);
	/* nobody waits for execs any more */
	list_for_each(op, &m->ops, struct pod_op, link)
		if (op->cancel_fd >= 0)
			pod_op_cancel(op);
	pod_lock(m);
	while (m->n_working && pthread_cond_timedwait(&m->changed, &m->lock, &until) == 0)
		;
	left = m->n_working;
	pod_unlock(m);
	if (left)
		return; /* a worker is stuck in the kernel or a plugin; the process ends anyhow */
	pod_op_drop_all(m);
	nri_free(m->nri);
	event_timer_free(m->retry);
	event_timer_free(m->patrol);
	tables_free(m);
	map_done(&m->pods);
	map_done(&m->containers);
	map_done(&m->pod_keys);
	map_done(&m->container_keys);
	map_done(&m->newer);
	pthread_cond_destroy(&m->changed);
	pthread_mutex_destroy(&m->lock);
	pthread_mutex_destroy(&m->cgroups);
	arena_done(&m->arena);
	free(m);
}
