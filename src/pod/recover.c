/*
 * The start of a daemon after another one: records against the kernel.
 *
 * Before pod_manager_new returns, all states are true: pidfds by start time, boot ids, exit
 * records and one small file a shim decide; nothing is forked or executed for pods that are
 * well. What has to be finished or undone (a pod half made, a stop begun, a container whose
 * monitor is dead, directories and snapshots that nobody knows) is done by operations in the
 * background; until it is done, it is tried again. Loop thread, but for the operations.
 */
#include "pod/cgroup.h"
#include "pod/checkpoint.h"
#include "pod/userns.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>

#define RETRY_TIME (15 * NSEC_PER_SEC)

/* ---- in the background ---- */

/* By exact id, listed or not; a reference or NULL. */
static struct pod_sandbox *any_pod(struct pod_manager *m, const char *id)
{
	struct pod_sandbox *p;

	pod_lock(m);
	p = map_get(&m->pods, id);
	if (p)
		pod_sandbox_ref(p);
	pod_unlock(m);
	return p;
}

static struct pod_container *any_container(struct pod_manager *m, const char *id)
{
	struct pod_container *c;

	pod_lock(m);
	c = map_get(&m->containers, id);
	if (c)
		pod_container_ref(c);
	pod_unlock(m);
	return c;
}

static int finish_pod_op(struct pod_op *op, struct err *err)
{
	struct pod_sandbox *p = any_pod(op->m, op->id);
	bool remove;
	int r;

	if (!p)
		return 0;
	r = pod_op_hold_sandbox(op, p, false, err);
	if (r < 0)
		return r;
	remove = p->priv->want == POD_WANT_REMOVE || !p->visible;
	if (remove)
		r = pod_sandbox_purge(op, p, err);
	else if (!p->priv->torn_down)
		r = pod_sandbox_teardown(op, p, err);
	if (r < 0)
		pod_retry_post(op->m);
	return r;
}

static int finish_container_op(struct pod_op *op, struct err *err)
{
	struct pod_container *c = any_container(op->m, op->id);
	int r;

	if (!c)
		return 0;
	r = pod_op_hold_container(op, c, false, err);
	if (r == 0)
		r = pod_container_purge(op, c, err);
	if (r < 0)
		pod_retry_post(op->m);
	return r;
}

static void submit(struct pod_manager *m, const char *title, const char *id,
		   int (*run)(struct pod_op *op, struct err *err))
{
	struct pod_op *op = pod_op_new(m, NULL, title, run);

	op->id = arena_strdup(&op->arena, id);
	pod_op_submit(op, NULL, NULL);
}

static int sweep_op(struct pod_op *op, struct err *err);

/* Everything whose end was wished for and has not come. */
static void finish_all(struct pod_manager *m)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	char **pods, **containers, **shimless;
	size_t n_pods = 0, n_containers = 0, n_shimless = 0, i = 0;
	struct pod_container *c;

	pod_lock(m);
	pods = arena_new(&a, m->pods.n, sizeof(*pods));
	containers = arena_new(&a, m->containers.n, sizeof(*containers));
	shimless = arena_new(&a, m->pods.n, sizeof(*shimless));
	list_for_each(priv, &m->order, struct pod_sandbox_private, link)
		if (priv->shim_incomplete && !priv->stopping)
			shimless[n_shimless++] = arena_strdup(&a, priv->pod->id);
	list_for_each(priv, &m->order, struct pod_sandbox_private, link)
		if (!priv->pod->op && (!priv->pod->visible || priv->want == POD_WANT_REMOVE ||
				       (priv->want == POD_WANT_STOP && !priv->torn_down)))
			pods[n_pods++] = arena_strdup(&a, priv->pod->id);
	while ((c = map_next(&m->containers, &i)))
		if (!c->op && !c->pod->op && (!c->visible || c->priv->want == POD_WANT_REMOVE))
			containers[n_containers++] = arena_strdup(&a, c->id);
	pod_unlock(m);
	for (i = 0; i < n_pods; i++)
		submit(m, "finish a pod", pods[i], finish_pod_op);
	for (i = 0; i < n_containers; i++)
		submit(m, "finish a container", containers[i], finish_container_op);
	for (i = 0; i < n_shimless; i++)
		pod_shim_lost(m, shimless[i]);
	if (m->sweep_again)
		submit(m, "sweep what nobody knows", "", sweep_op);
}

static void on_retry(void *user)
{
	finish_all(user);
}

static void arm_retry(void *user)
{
	struct pod_manager *m = user;

	if (!m->closing)
		event_timer_set(m->retry, time_now_mono() + RETRY_TIME);
}

void pod_retry_post(struct pod_manager *m)
{
	event_loop_post(m->loop, arm_retry, m);
}

/* ---- what nobody knows ---- */

static bool known(struct pod_manager *m, const char *id)
{
	bool yes;

	pod_lock(m);
	yes = map_get(&m->pods, id) || map_get(&m->containers, id) || map_get(&m->newer, id);
	pod_unlock(m);
	return yes;
}

static bool id_shaped(const char *name)
{
	return strspn(name, "0123456789abcdef") == ID_LEN && !name[ID_LEN];
}

/*
 * The network of a pod without a record: what it was attached to is not known, the network that pods get
 * now is the best that can be said. Addresses are kept by the pod's id, so what is not its is not hit.
 */
static int detach_unknown(struct pod_manager *m, const char *id, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cni_pod pod = { .id = id, .netns = arena_printf(&a, "%s/%s/netns", m->pods_dir, id) };
	struct cni_attachment at;
	int r = cni_attach_prepare(m->cni, &pod, &a, &at, err);

	return r < 0 ? r : cni_attach_del(m->cni, &at, time_now_mono() + m->settings.cni_timeout, err);
}

/* A pod's directory without a record: the shim first, then network and mounts, then the tree. */
static int sweep_directory(struct pod_manager *m, const char *id)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const char *dir = arena_printf(&a, "%s/%s", m->pods_dir, id);
	struct shim_process shim;
	struct err err = ERR_INIT;
	autofd int fd = -EBADF;
	int r;

	if (shim_find(dir, &shim, NULL) == 0) {
		shim_shutdown(shim.address, id, true, time_now_mono() + POD_TASK_TIME, NULL);
		if (sys_pidfd_open_verified(shim.pid, shim.start_ticks, &fd) == 0)
			sys_pidfd_signal(fd, SIGKILL);
	}
	if (access(arena_printf(&a, "%s/netns", dir), F_OK) == 0 && (r = detach_unknown(m, id, &err)) < 0) {
		if (m->settings.say)
			m->settings.say(LOG_WARN, arena_printf(&a, "pod %s, which has no record: %s", id, err.text));
		return r;
	}
	umount2(arena_printf(&a, "%s/shm", dir), MNT_DETACH | UMOUNT_NOFOLLOW);
	cni_netns_remove(arena_printf(&a, "%s/netns", dir), NULL);
	pod_userns_remove(dir, NULL);
	/* the one that a pod has where its client named none; what a client named is the client's */
	pod_cgroup_destroy(arena_printf(&a, "%s/pod%s", m->settings.cgroup_parent, id), NULL);
	return sys_remove_tree(AT_FDCWD, dir);
}

/* A container of the runtime without a record. */
static int sweep_runtime(struct pod_manager *m, const char *id)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct shim_launch launch = {
		.binary = m->settings.shim_binary, .pod_id = id, .ns = "k8s.io", .state_dir = m->pods_dir,
		.bundle = m->pods_dir, .events_address = "",
	};

	/* what it cannot read names nobody any more */
	if (shim_cleanup(&launch, id, m->runtime_root, time_now_mono() + POD_CLEANUP_TIME, NULL) == 0)
		return 0;
	return sys_remove_tree(AT_FDCWD, arena_printf(&a, "%s/%s", m->runtime_root, id));
}

/* The first failure; the others are swept all the same. */
static int sweep_names(struct pod_manager *m, const char *path, int (*sweep)(struct pod_manager *m, const char *id))
{
	DIR *dir = opendir(path);
	struct dirent *e;
	int r = 0, e_r;

	if (!dir)
		return 0;
	while ((e = readdir(dir)))
		if (id_shaped(e->d_name) && !known(m, e->d_name) && !m->closing) {
			e_r = sweep(m, e->d_name);
			r = r < 0 ? r : e_r;
		}
	closedir(dir);
	return r;
}

/* Records that were set aside: an earlier boot may have left addresses with them that no directory names. */
static int sweep_aside(const char *id, const char *doc, void *user)
{
	struct pod_manager *m = user;
	struct err err = ERR_INIT;

	if (id_shaped(id) && !known(m, id) && detach_unknown(m, id, &err) < 0)
		m->sweep_again = true;
	return 0;
}

static int sweep_snapshot(const char *id, const char *doc, void *user)
{
	struct pod_manager *m = user;
	char owner[ID_LEN + 1];

	/* "<container>" or "<container>.volume<n>" */
	snprintf(owner, sizeof(owner), "%s", id);
	if (id_shaped(owner) && !known(m, owner))
		store_snapshot_remove(m->store, id, NULL);
	return 0;
}

/*
 * Pods and containers enter the tables before anything of theirs is made and leave them after
 * all of it is gone, so what exists and is not in them now is nobody's.
 */
static int sweep_op(struct pod_op *op, struct err *err)
{
	struct pod_manager *m = op->m;

	int r;

	m->sweep_again = false;
	sweep_names(m, m->runtime_root, sweep_runtime);
	if (sweep_names(m, m->pods_dir, sweep_directory) < 0)
		m->sweep_again = true;
	sweep_names(m, m->checkpoints_dir, pod_checkpoint_sweep);
	r = store_record_list(m->store, "pod.damaged", sweep_aside, m, err);
	if (r == 0)
		r = store_snapshot_list(m->store, sweep_snapshot, m, err);
	if (m->sweep_again)
		pod_retry_post(m);
	return r;
}

/* ---- at once ---- */

/* The daemon died between asking for a start and hearing of it: what did the shim do? */
static void settle_start(struct pod_container *c)
{
	struct pod_manager *m = c->priv->m;
	struct shim_process *shim = &c->pod->priv->shim;
	struct shim_state state = { 0 };
	struct err err = ERR_INIT;
	uint64_t ticks = 0;
	int r = -ENOENT;

	if (shim->pid)
		r = shim_task_state(shim->address, c->id, "", time_now_mono() + 2 * NSEC_PER_SEC, &state,
				    &err);
	pod_lock(m);
	c->priv->starting = false;
	if (r == 0 && (state.status == SHIM_RUNNING || state.status == SHIM_PAUSED) &&
	    sys_proc_start_time(state.pid, &ticks) == 0) {
		c->state = POD_RUNNING;
		c->pid = state.pid;
		c->pid_ticks = ticks;
		c->started_at = time_now_real();
	} else {
		/* nothing may run twice: whoever asked creates another container */
		pod_container_set_exited(c, 128, 0, false, "StartError",
					 "the daemon ended while it was starting this container");
	}
	pod_unlock(m);
	pod_container_commit(c, NULL);
}

static void settle_container(struct pod_container *c, bool this_boot)
{
	struct pod_manager *m = c->priv->m;

	if (!c->visible)
		return;
	if (!this_boot) {
		bool changed = false;

		pod_lock(m);
		if (c->state == POD_RUNNING)
			changed = pod_container_set_exited(c, 255, 0, false, "Unknown",
							   "the node was restarted");
		pod_unlock(m);
		if (changed)
			pod_container_commit(c, NULL);
	} else if (c->state == POD_CREATED && c->priv->starting) {
		if (pod_container_reconcile(c, true, NULL) == 0 && c->state == POD_CREATED)
			settle_start(c);
	} else if (c->state == POD_RUNNING) {
		if (pod_container_reconcile(c, c->pod->priv->shim.pid != 0, NULL) == 0 &&
		    pod_container_in(c, POD_RUNNING))
			pod_container_keep(c);
	}
}

static void settle_pod(struct pod_sandbox *p)
{
	struct pod_manager *m = p->priv->m;
	bool this_boot = str_eq(p->priv->boot_id, sys_boot_id()), pause_alive;
	struct shim_process shim = { 0 }, noted = p->priv->shim;
	const char *why = NULL;

	if (p->priv->torn_down)
		return;
	if (!this_boot)
		shim.pid = 0;
	else if (shim_find(p->dir, &shim, NULL) < 0)
		/* one that lost its directory answers nobody: it is ended, and another one started */
		shim = pod_process_alive((struct pod_process){ noted.pid, noted.start_ticks }) ?
			       noted : (struct shim_process){ 0 };
	pause_alive = this_boot && pod_process_alive(pod_sandbox_process(p));
	pod_lock(m);
	p->priv->shim = shim;
	if (!this_boot)
		why = "the node was restarted";
	else if (!pause_alive)
		why = "the pause process ended";
	if (why && !pod_sandbox_set_not_ready(p, why))
		why = NULL;
	if (!this_boot)
		p->pid = 0;
	if (p->priv->want != POD_WANT_NONE)
		p->priv->stopping = true;
	pod_unlock(m);
	if (why)
		pod_sandbox_commit(p, NULL);
	list_for_each(c, &p->containers, struct pod_container, link)
		settle_container(c, this_boot);
	if (this_boot && pause_alive)
		pod_sandbox_keep(p);
	/* also where there is no shim any more: the watch fails, and another one is started */
	if (this_boot && p->visible)
		pod_watch_start(p);
}

int pod_recover(struct pod_manager *m, struct err *err)
{
	struct buf nowhere = BUF_INIT(64 * 1024);
	int r = event_timer_new(m->loop, INT64_MAX, on_retry, m, &m->retry);

	if (r == 0)
		r = pod_patrol_start(m);
	if (r < 0)
		return err_sys(err, r, "timer");
	r = pod_records_load(m, m->settings.note ? m->settings.note : &nowhere, err);
	buf_done(&nowhere);
	if (r < 0)
		return err_wrap(err, r, "records of pods");
	list_for_each(priv, &m->order, struct pod_sandbox_private, link)
		settle_pod(priv->pod);
	finish_all(m);
	submit(m, "sweep what nobody knows", "", sweep_op);
	submit(m, "look for damage", "", pod_damage_op);
	return 0;
}
