/*
 * StopPodSandbox and RemovePodSandbox, and the undoing of a run that failed. Everything here
 * can be repeated: what is gone is success, a step that fails does not keep the others from
 * being done, and the wish is in the record, so that the next daemon goes on where this one
 * ended. Worker threads.
 */
#include "pod/cgroup.h"
#include "pod/plugins.h"
#include "pod/userns.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>

/* The first failure is the one that is told. */
static void keep_first(int *first, struct err *first_err, int r, const struct err *err)
{
	if (r < 0 && *first == 0) {
		*first = r;
		*first_err = *err;
	}
}

/* The pause process by its shim; UNAVAILABLE and the like: it has to go without. */
static int end_pause_by_shim(struct pod_sandbox *p, const struct shim_process *shim, struct err *err)
{
	int64_t deadline = time_now_mono() + POD_SHIM_KILL_TIME;
	int r = shim_task_kill(shim->address, p->id, "", SIGKILL, true, deadline, err);

	if (r < 0 && err->kind != ERR_NOT_FOUND && err->kind != ERR_STATE)
		return r;
	/* a shim that took another one's place may not have been given it yet */
	if (r < 0)
		pod_process_kill(pod_sandbox_process(p));
	err_clear(err);
	if (!pod_process_gone(pod_sandbox_process(p), deadline))
		return err_set(err, ERR_TIMEOUT, "the pause process does not end");
	r = shim_task_delete(shim->address, p->id, "", deadline, err);
	if (r < 0 && err->kind != ERR_NOT_FOUND)
		return r;
	err_clear(err);
	return shim_shutdown(shim->address, p->id, true, deadline, err);
}

/* Pause and shim, whatever is left of them. */
static int end_pause(void *user, struct err *err)
{
	struct pod_sandbox *p = user;
	struct pod_manager *m = p->priv->m;
	autofree char *bundle = mem_printf("%s/pause", p->dir);
	autofree char *record = mem_printf("%s/%s", m->runtime_root, p->id);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const char *cgroup = pod_cgroup_below(p->cgroup_path ? p->cgroup_path : "", p->id, &a);
	struct pod_process pause = pod_sandbox_process(p), monitor;
	struct shim_process shim;
	struct shim_launch launch;
	struct err ignored = ERR_INIT;
	bool ask = pod_shim_to_ask(p, &shim);
	int r = 0;

	if (!str_eq(p->priv->boot_id, sys_boot_id()))
		return 0;
	if (!shim.pid)
		ask = shim_find(p->dir, &shim, NULL) == 0;
	monitor = (struct pod_process){ shim.pid, shim.start_ticks };
	if (ask && end_pause_by_shim(p, &shim, &ignored) == 0)
		pod_process_gone(monitor, time_now_mono() + POD_SHIM_KILL_TIME);
	pod_process_kill(monitor);
	if (pod_process_alive(pause) || access(record, F_OK) == 0) {
		pod_shim_launch(p, &launch);
		launch.bundle = bundle;
		r = pod_runtime_cleanup(m, &launch, p->id, pause, p->cgroup_path ? cgroup : NULL, err);
		pod_process_kill(pause);
		if (!pod_process_gone(pause, time_now_mono() + POD_KILL_TIME))
			return err_set(err, ERR_TIMEOUT, "the pause process %d does not end", (int)pause.pid);
	}
	if (p->cgroup_path && r == 0)
		r = pod_cgroup_destroy(cgroup, err);
	if (r < 0)
		return err_wrap(err, r, "pause");
	pod_lock(m);
	p->pid = 0;
	p->priv->shim = (struct shim_process){ 0 };
	pod_unlock(m);
	return 0;
}

static int detach_network(struct pod_sandbox *p, struct err *err)
{
	struct pod_manager *m = p->priv->m;

	if (!p->priv->network)
		return 0;
	return cni_attach_del(m->cni, p->priv->network, time_now_mono() + m->settings.cni_timeout, err);
}

static int remove_mounts(struct pod_sandbox *p, struct err *err)
{
	autofree char *shm = mem_printf("%s/shm", p->dir);

	if (umount2(shm, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		return err_sys(err, errno, "unmount %s", shm);
	if (pod_userns_wanted(&p->config->security.namespaces) && pod_userns_remove(p->dir, err) < 0)
		return -EIO;
	return p->netns ? cni_netns_remove(p->netns, err) : 0;
}

/* The pod's containers, each with a reference, held by op. */
static int hold_all(struct pod_op *op, struct pod_sandbox *p, struct pod_container ***ret, size_t *ret_n,
		    struct err *err)
{
	struct pod_manager *m = p->priv->m;
	struct pod_container **all;
	size_t n = 0, held = 0;

	pod_lock(m);
	list_for_each(c, &p->containers, struct pod_container, link)
		n++;
	all = mem_new(n + 1, sizeof(struct pod_container *));
	n = 0;
	list_for_each(c, &p->containers, struct pod_container, link) {
		pod_container_ref(c);
		all[n++] = c;
	}
	pod_unlock(m);
	for (size_t i = 0; i < n; i++) {
		char id[ID_LEN + 1];
		int r;

		/* a container that cannot be held is no longer ours to look at */
		memcpy(id, all[i]->id, sizeof(id));
		r = pod_op_hold_container(op, all[i], true, err);
		if (r == 0) {
			all[held++] = all[i];
			continue;
		}
		if (err->kind == ERR_NOT_FOUND) {
			err_clear(err);
			continue;
		}
		for (size_t k = 0; k < held; k++)
			pod_op_release_container(op, all[k]);
		for (size_t k = i + 1; k < n; k++)
			pod_container_unref(all[k]);
		free(all);
		return err_wrap(err, r, "container %s", id);
	}
	*ret = all;
	*ret_n = held;
	return 0;
}

static int stop_containers(struct pod_op *op, struct pod_container **all, size_t n, struct err *err)
{
	struct err e = ERR_INIT;
	int first = 0;

	/* all signals first: they die side by side */
	for (size_t i = 0; i < n; i++) {
		struct err ignored = ERR_INIT;

		if (pod_container_in(all[i], POD_RUNNING))
			pod_container_kill(all[i], &ignored);
	}
	for (size_t i = 0; i < n; i++) {
		int r = pod_container_halt(op, all[i], SIGKILL, &e);

		if (r == 0)
			pod_plugins_stopped(all[i]);
		if (r == 0)
			r = pod_container_task_delete(all[i], &e);
		if (r < 0)
			err_wrap(&e, r, "container %s", all[i]->config->name);
		keep_first(&first, err, r, &e);
		err_clear(&e);
	}
	return first;
}

int pod_sandbox_teardown(struct pod_op *op, struct pod_sandbox *p, struct err *err)
{
	struct pod_manager *m = p->priv->m;
	struct pod_container **all = NULL;
	struct pod_branch branch;
	struct err e = ERR_INIT;
	int r, first = 0;
	size_t n = 0;

	pod_lock(m);
	p->priv->stopping = true;
	pod_sandbox_set_not_ready(p, "Stopped");
	pod_changed(m);
	pod_unlock(m);
	pod_op_stage_anyway(op, "stopping containers");
	r = hold_all(op, p, &all, &n, err);
	if (r < 0)
		return r;
	r = stop_containers(op, all, n, &e);
	keep_first(&first, err, r, &e);
	for (size_t i = 0; i < n; i++)
		pod_op_release_container(op, all[i]);
	free(all);
	pod_watch_post_end(p);
	pod_plugins_stopped_pod(p);

	pod_op_stage_anyway(op, p->priv->network ? "CNI DEL and pause process" : "pause process");
	pod_branch_start(&branch, m, end_pause, p);
	err_clear(&e);
	r = detach_network(p, &e);
	keep_first(&first, err, r, &e);
	err_clear(&e);
	r = pod_branch_join(&branch, &e);
	keep_first(&first, err, r, &e);
	/* the network namespace stays as long as DEL did not succeed: plugins look into it */
	if (first == 0) {
		first = remove_mounts(p, err);
		pod_cgroup_release(p);
	}
	if (first < 0)
		return first;
	pod_lock(m);
	p->priv->torn_down = true;
	pod_unlock(m);
	return pod_sandbox_commit(p, err);
}

static int purge_containers(struct pod_op *op, struct pod_sandbox *p, struct err *err)
{
	struct pod_container **all = NULL;
	size_t n = 0;
	int first = 0, r = hold_all(op, p, &all, &n, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct err e = ERR_INIT;

		r = pod_container_purge(op, all[i], &e);
		keep_first(&first, err, r, &e);
		pod_op_release_container(op, all[i]);
	}
	free(all);
	return first;
}

int pod_sandbox_purge(struct pod_op *op, struct pod_sandbox *p, struct err *err)
{
	int r;

	pod_lock(op->m);
	p->priv->want = POD_WANT_REMOVE;
	pod_unlock(op->m);
	r = pod_sandbox_commit(p, err);
	if (r == 0 && !p->priv->torn_down)
		r = pod_sandbox_teardown(op, p, err);
	pod_op_stage_anyway(op, "removing containers");
	if (r == 0)
		r = purge_containers(op, p, err);
	if (r == 0 && (r = sys_remove_tree(AT_FDCWD, p->dir)) < 0)
		r = err_sys(err, r, "remove %s", p->dir);
	if (r == 0)
		pod_plugins_removed_pod(p);
	return r < 0 ? r : pod_sandbox_forget(p, err);
}

/* 1: there is no such pod, and so nothing to do. */
static int take(struct pod_op *op, struct err *err)
{
	struct pod_sandbox *p;
	int r = pod_sandbox_get(op->m, op->id, &p, err);

	if (r == 0)
		r = pod_op_hold_sandbox(op, p, true, err);
	if (r < 0 && err->kind == ERR_NOT_FOUND) {
		err_clear(err);
		return 1;
	}
	return r;
}

static int stop_op(struct pod_op *op, struct err *err)
{
	int r = take(op, err);

	if (r)
		return r < 0 ? r : 0;
	if (op->pod->priv->torn_down)
		return 0;
	pod_lock(op->m);
	if (op->pod->priv->want == POD_WANT_NONE)
		op->pod->priv->want = POD_WANT_STOP;
	pod_unlock(op->m);
	r = pod_sandbox_commit(op->pod, err);
	return r < 0 ? r : pod_sandbox_teardown(op, op->pod, err);
}

static int remove_op(struct pod_op *op, struct err *err)
{
	int r = take(op, err);

	return r ? (r < 0 ? r : 0) : pod_sandbox_purge(op, op->pod, err);
}

static struct pod_wait *submit(struct pod_manager *m, const char *verb, const char *what,
			       int (*run)(struct pod_op *op, struct err *err), pod_done_fn done, void *user)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_sandbox *p;
	struct pod_op *op;
	char *key, *id;

	pod_lock(m);
	p = pod_sandbox_find(m, what, NULL);
	id = arena_strdup(&a, p ? p->id : what);
	pod_unlock(m);
	key = arena_printf(&a, "%s pod %s", verb, id);
	op = pod_op_find(m, key);
	if (op)
		return pod_op_join(op, done, user);
	op = pod_op_new(m, key, key, run);
	op->id = arena_strdup(&op->arena, id);
	return pod_op_submit(op, done, user);
}

struct pod_wait *pod_sandbox_stop(struct pod_manager *m, const char *id, pod_done_fn done, void *user)
{
	return submit(m, "stop", id, stop_op, done, user);
}

struct pod_wait *pod_sandbox_remove(struct pod_manager *m, const char *id, pod_done_fn done, void *user)
{
	return submit(m, "remove", id, remove_op, done, user);
}
