/*
 * The end of a container: signal, grace, SIGKILL, and the removal of what it leaves.
 *
 * The shim is asked first. When it is gone or does not answer, the kernel is: the cgroup is
 * killed whole, the process is looked up by pid and start time, and the exit record says
 * how it ended. So the end of a container never depends on a healthy monitor. Worker threads;
 * the container is held by the calling operation.
 */
#include "pod/cgroup.h"
#include "pod/checkpoint.h"
#include "pod/plugins.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#define ASK_EVERY (200 * NSEC_PER_MSEC)

bool pod_shim_to_ask(struct pod_sandbox *p, struct shim_process *ret)
{
	bool yes;

	pod_lock(p->priv->m);
	*ret = p->priv->shim;
	yes = ret->pid && p->priv->shim_mute_until < time_now_mono();
	pod_unlock(p->priv->m);
	return yes;
}

int pod_shim_told(struct pod_sandbox *p, int r, const struct err *err)
{
	if (r < 0 && (err->kind == ERR_TIMEOUT || err->kind == ERR_UNAVAILABLE)) {
		pod_lock(p->priv->m);
		p->priv->shim_mute_until = time_now_mono() + POD_SHIM_MUTE_TIME;
		pod_unlock(p->priv->m);
	}
	return r;
}

/* Whether anything in the kernel can still be this container's. */
static bool from_this_boot(const struct pod_container *c)
{
	return str_eq(c->priv->boot_id, sys_boot_id());
}

/* Without the shim: by pidfd and cgroup. Nobody will announce the end, so it is noted here. */
static int kill_by_kernel(struct pod_container *c, struct err *err)
{
	struct pod_manager *m = c->priv->m;
	struct pod_process process = pod_container_process(c);
	bool changed;
	int r = 0, code = 128 + SIGKILL;

	pod_process_kill(process);
	if (c->cgroup_path)
		r = pod_cgroup_destroy(c->cgroup_path, err);
	if (r < 0)
		return r;
	if (!pod_process_gone(process, time_now_mono() + POD_KILL_TIME))
		return err_set(err, ERR_TIMEOUT, "process %d does not end, not even by SIGKILL",
			       (int)process.pid);
	r = pod_container_reconcile(c, true, err);
	if (r < 0)
		return r;
	pod_container_status(c, &code);
	pod_lock(m);
	changed = c->state == POD_RUNNING &&
		  pod_container_set_exited(c, code, 0, false, "Error", "killed; its shim did not answer");
	pod_unlock(m);
	return changed ? pod_container_commit(c, err) : 0;
}

/*
 * The shim refused because it does not know it, or knows it as ended: its announcement is on its way then.
 * One that took a dead shim's place a moment ago does not know it either, so the kernel decides.
 */
static bool over_already(struct pod_container *c, const struct err *refusal)
{
	return (refusal->kind == ERR_NOT_FOUND || refusal->kind == ERR_STATE) &&
	       !pod_process_alive(pod_container_process(c));
}

int pod_container_kill(struct pod_container *c, struct err *err)
{
	struct shim_process shim;
	int r = -ENOENT;

	if (!from_this_boot(c))
		return 0;
	if (pod_shim_to_ask(c->pod, &shim)) {
		r = shim_task_kill(shim.address, c->id, "", SIGKILL, true,
				   time_now_mono() + POD_SHIM_KILL_TIME, err);
		pod_shim_told(c->pod, r, err);
	}
	if (r == 0)
		return 0;
	if (over_already(c, err)) {
		err_clear(err);
		return 0;
	}
	err_clear(err);
	return kill_by_kernel(c, err);
}

/* The stop signal to its process, when there is no shim to pass it on. */
static int signal_by_kernel(struct pod_container *c, int sig)
{
	struct pod_process process = pod_container_process(c);
	autofd int fd = -EBADF;
	int r = sys_pidfd_open_verified(process.pid, process.ticks, &fd);

	return r < 0 ? r : sys_pidfd_signal(fd, sig);
}

/* Until EXITED or *deadline, which may be moved by others: 0 or -ETIMEDOUT. */
static int await(struct pod_container *c, const int64_t *deadline)
{
	struct pod_manager *m = c->priv->m;
	struct shim_process shim;
	int r = 0;

	pod_lock(m);
	while (c->state == POD_RUNNING && !m->closing) {
		int64_t now = time_now_mono(), next = now + ASK_EVERY < *deadline ? now + ASK_EVERY : *deadline;
		struct timespec ts = { next / NSEC_PER_SEC, next % NSEC_PER_SEC };

		if (now >= *deadline) {
			r = -ETIMEDOUT;
			break;
		}
		if (pthread_cond_timedwait(&m->changed, &m->lock, &ts) == 0)
			continue;
		pod_unlock(m);
		/* a shim that does not answer announces nothing */
		if (!pod_shim_to_ask(c->pod, &shim))
			pod_container_reconcile(c, false, NULL);
		pod_lock(m);
	}
	if (m->closing && c->state == POD_RUNNING)
		r = -ECANCELED;
	pod_unlock(m);
	return r;
}

int pod_container_await(struct pod_container *c, int64_t deadline, struct err *err)
{
	struct pod_manager *m = c->priv->m;
	struct pod_process process;
	int r = await(c, &deadline);

	if (r == 0)
		return 0;
	if (r == -ECANCELED)
		return err_set(err, ERR_CANCELLED, "the daemon is stopping");
	/* nobody announced it: what does the kernel say? */
	r = pod_container_reconcile(c, true, err);
	if (r < 0 || !pod_container_in(c, POD_RUNNING))
		return r;
	process = pod_container_process(c);
	if (pod_process_alive(process))
		return err_set(err, ERR_TIMEOUT, "process %d does not end, not even by SIGKILL",
			       (int)process.pid);
	pod_lock(m);
	pod_container_set_exited(c, 137, 0, false, "Error", "killed; the monitor did not tell how it ended");
	pod_unlock(m);
	return pod_container_commit(c, err);
}

int pod_container_halt(struct pod_op *op, struct pod_container *c, int sig, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct shim_process shim;
	int r;

	if (!pod_container_in(c, POD_RUNNING))
		return 0;
	if (sig != SIGKILL) {
		pod_op_stage_anyway(op, "waiting for the container to end by itself");
		r = -ENOENT;
		if (pod_shim_to_ask(c->pod, &shim)) {
			r = shim_task_kill(shim.address, c->id, "", sig, false,
					   time_now_mono() + POD_SHIM_KILL_TIME, &ignored);
			pod_shim_told(c->pod, r, &ignored);
		}
		/* no shim, or a stopped one: its process has the grace all the same */
		if (r < 0)
			r = over_already(c, &ignored) ? 0 : signal_by_kernel(c, sig);
		if (r == 0) {
			r = await(c, &op->grace_end);
			if (r == 0)
				return 0;
			if (r == -ECANCELED)
				return err_set(err, ERR_CANCELLED, "the daemon is stopping");
		}
	}
	pod_op_stage_anyway(op, "killing the container");
	r = pod_container_kill(c, err);
	if (r < 0)
		return r;
	return pod_container_await(c, time_now_mono() + POD_KILL_TIME, err);
}

/* What was created and never started, or could not be, is alive still: it is killed first. */
static int delete_by_shim(struct pod_container *c, const char *address, struct err *err)
{
	int64_t deadline = time_now_mono() + POD_SHIM_KILL_TIME;
	struct shim_state state;
	int r = shim_task_delete(address, c->id, "", deadline, err);

	if (r < 0 && err->kind == ERR_STATE) {
		err_clear(err);
		r = shim_task_kill(address, c->id, "", SIGKILL, true, deadline, err);
		if (r == 0)
			r = shim_task_wait(address, c->id, "", deadline, &state, err);
		if (r == 0)
			r = shim_task_delete(address, c->id, "", deadline, err);
	}
	return r < 0 && err->kind == ERR_NOT_FOUND ? 0 : r;
}

int pod_runtime_cleanup(struct pod_manager *m, const struct shim_launch *launch, const char *id,
			struct pod_process process, const char *cgroup, struct err *err)
{
	autofree char *record = mem_printf("%s/%s", m->runtime_root, id);
	struct err own = ERR_INIT;
	int r = shim_cleanup(launch, id, m->runtime_root, time_now_mono() + POD_CLEANUP_TIME, &own);

	if (r == 0)
		return cgroup ? pod_cgroup_destroy(cgroup, err) : 0;
	/* a record that it cannot read must not keep a container for ever: all that it could kill is in there */
	pod_process_kill(process);
	if (cgroup && pod_cgroup_destroy(cgroup, NULL) == 0 &&
	    pod_process_gone(process, time_now_mono() + POD_KILL_TIME) && sys_remove_tree(AT_FDCWD, record) == 0)
		return 0;
	if (err)
		*err = own;
	return r;
}

int pod_container_task_delete(struct pod_container *c, struct err *err)
{
	struct pod_manager *m = c->priv->m;
	struct shim_process shim;
	struct shim_launch launch;
	autofree char *record = mem_printf("%s/%s", m->runtime_root, c->id);
	int r = -ENOENT;

	if (!c->priv->task || c->pod->priv->torn_down)
		return 0;
	if (from_this_boot(c)) {
		if (pod_shim_to_ask(c->pod, &shim))
			r = pod_shim_told(c->pod, delete_by_shim(c, shim.address, err), err);
		/* a shim that took another one's place does not know what had ended before */
		if (r < 0 || access(record, F_OK) == 0) {
			err_clear(err);
			pod_shim_launch(c->pod, &launch);
			launch.bundle = c->dir;
			r = pod_runtime_cleanup(m, &launch, c->id, pod_container_process(c), c->cgroup_path, err);
		}
		/* whatever the shim and the runtime's record knew of it: the kernel knows whether it is there */
		if (r == 0 && c->cgroup_path)
			r = pod_cgroup_destroy(c->cgroup_path, err);
		if (r < 0)
			return r;
	}
	err_clear(err);
	pod_lock(m);
	c->priv->task = false;
	pod_unlock(m);
	return 0;
}

int pod_container_purge(struct pod_op *op, struct pod_container *c, struct err *err)
{
	struct pod_manager *m = c->priv->m;
	int r;

	pod_lock(m);
	c->priv->want = POD_WANT_REMOVE;
	pod_unlock(m);
	r = pod_container_commit(c, err);
	if (r == 0)
		r = pod_container_halt(op, c, SIGKILL, err);
	if (r < 0)
		return r;
	pod_plugins_stopped(c);
	pod_op_stage_anyway(op, "removing the container");
	r = pod_container_task_delete(c, err);
	if (r == 0)
		r = store_snapshot_remove(m->store, c->id, err);
	if (r == 0)
		r = pod_checkpoint_forget(c, err);
	if (r == 0 && (r = pod_volumes_remove(c, err)) == 0 && (r = sys_remove_tree(AT_FDCWD, c->dir)) < 0)
		r = err_sys(err, r, "remove %s", c->dir);
	if (r == 0)
		pod_plugins_removed(c);
	return r < 0 ? r : pod_container_forget(c, err);
}
