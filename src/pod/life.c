/*
 * StartContainer, StopContainer, RemoveContainer, ExecSync, ReopenContainerLog. Worker threads;
 * each is one straight line over the shim's calls.
 */
#include "pod/cgroup.h"
#include "pod/checkpoint.h"
#include "pod/plugins.h"
#include "pod/userns.h"

#include "oci/oci.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>

/* For a shim to be replaced that died a moment ago. */
#define SUCCESSOR_TIME (10 * NSEC_PER_SEC)

int pod_container_shim(struct pod_container *c, struct arena *a, char **ret, struct err *err)
{
	struct pod_manager *m = c->priv->m;
	int64_t deadline = time_now_mono() + SUCCESSOR_TIME;
	struct timespec ts = { deadline / NSEC_PER_SEC, deadline % NSEC_PER_SEC };
	char *address;

	pod_lock(m);
	while (c->pod->priv->replacing && !m->closing && time_now_mono() < deadline)
		pthread_cond_timedwait(&m->changed, &m->lock, &ts);
	address = c->pod->priv->shim.pid ? arena_strdup(a, c->pod->priv->shim.address) : NULL;
	pod_unlock(m);
	if (!address)
		return err_set(err, ERR_STATE, "the shim of pod %s is gone", c->pod->id);
	*ret = address;
	return 0;
}

/* ---- start ---- */

/* A start that failed leaves an exited container with the reason, as Kubernetes knows it. */
static void note_start_error(struct pod_container *c, int64_t at, const struct err *why)
{
	struct pod_manager *m = c->priv->m;
	struct err ignored = ERR_INIT;
	bool changed;

	pod_container_task_delete(c, &ignored);
	pod_lock(m);
	c->started_at = at;
	changed = pod_container_set_exited(c, 128, 0, false, "StartError", why->text);
	pod_unlock(m);
	if (changed)
		pod_container_commit(c, NULL);
	pod_plugins_stopped(c);
}

char *pod_container_log(const struct pod_container *c, struct arena *a)
{
	return c->log_path ? arena_printf(a, "%s" SHIM_LOG_BELOW "%s", c->pod->config->log_directory,
					  c->config->log_path) : arena_strdup(a, "");
}

static int create_task(struct pod_container *c, const char *address, pid_t *ret_pid, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT;
	struct pod_manager *m = c->priv->m;
	struct shim_create create = {
		.id = c->id, .bundle = c->dir, .runtime_root = m->runtime_root,
		.log_path = pod_container_log(c, &a), .terminal = c->config->tty, .stdin_open = c->config->stdin_open,
		.systemd_cgroup = pod_cgroup_is_unit(c->cgroup_path),
	};
	const struct pod_namespaces *ns = &c->pod->config->security.namespaces;
	int r = store_snapshot_get(m->store, c->id, &snap, err);

	if (r < 0)
		return r;
	if (c->log_path) {
		/* what lies below it is the shim's to make */
		r = sys_mkdir_p(c->pod->config->log_directory, 0755);
		if (r < 0)
			return err_sys(err, r, "log directory %s", c->pod->config->log_directory);
	}
	create.lowers = (const char *const *)snap.lowers;
	create.n_lowers = snap.n_lowers;
	if (pod_userns_wanted(ns)) {
		create.uids = pod_userns_maps(ns->uids);
		create.n_uids = ns->n_uids;
		create.gids = pod_userns_maps(ns->gids);
		create.n_gids = ns->n_gids;
	}
	create.upper = snap.upper;
	create.work = snap.work;
	create.checkpoint = pod_checkpoint_of(c, &a);
	r = shim_task_create(address, &create, time_now_mono() + POD_TASK_CREATE_TIME, ret_pid, err);
	if (create.checkpoint)
		pod_checkpoint_forget(c, NULL);
	return r;
}

static int start_task(struct pod_op *op, struct pod_container *c, const char *address, int64_t *ret_at,
		      struct err *err)
{
	struct pod_manager *m = c->priv->m;
	uint64_t ticks = 0;
	pid_t pid = 0, ignored;
	int r = create_task(c, address, &pid, err);

	if (r < 0)
		return r;
	if (sys_proc_start_time(pid, &ticks) < 0)
		ticks = 0;
	pod_lock(m);
	c->pid = pid;
	c->pid_ticks = ticks;
	pod_unlock(m);
	pod_watch_task(c->pod, c);
	r = pod_op_stage(op, "starting the process", err);
	if (r < 0)
		return r;
	*ret_at = time_now_real();
	return shim_task_start(address, c->id, "", time_now_mono() + POD_TASK_CREATE_TIME, &ignored, err);
}

static int start_op(struct pod_op *op, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	int64_t at = time_now_real();
	struct pod_manager *m = op->m;
	struct pod_container *c;
	char *address = NULL;
	int r = pod_container_get(m, op->id, &c, err);

	if (r == 0)
		r = pod_op_hold_container(op, c, false, err);
	if (r < 0)
		return r;
	pod_lock(m);
	if (c->state == POD_RUNNING)
		r = 1; /* the answer of an earlier start got lost on its way */
	else if (c->state != POD_CREATED)
		r = err_set(err, ERR_STATE, "it is not in the state created, but has exited");
	else if (c->pod->priv->stopping || c->pod->state != POD_READY)
		r = err_set(err, ERR_STATE, "its pod %s is not ready", c->pod->id);
	else
		c->priv->starting = c->priv->task = true;
	pod_unlock(m);
	if (r)
		return r < 0 ? r : 0;
	r = pod_container_commit(c, err);
	if (r == 0)
		r = pod_op_stage(op, "NRI plugins", err);
	if (r == 0)
		r = pod_plugins_starting(c, err);
	if (r == 0)
		r = pod_op_stage(op, "creating the process", err);
	if (r == 0)
		r = pod_container_shim(c, &a, &address, err);
	if (r == 0)
		r = start_task(op, c, address, &at, err);
	if (r < 0) {
		note_start_error(c, at, err);
		return r;
	}
	pod_lock(m);
	c->priv->starting = false;
	c->started_at = at;
	if (c->state == POD_CREATED) { /* else the shim died meanwhile, and its end was noted */
		c->state = POD_RUNNING;
		pod_tell(m, POD_EVENT_STARTED, c->pod, c);
	}
	pod_changed(m);
	pod_unlock(m);
	pod_container_keep(c);
	r = pod_container_commit(c, err);
	if (r == 0)
		pod_plugins_after(NRI_POST_START_CONTAINER, c);
	return r;
}

/* ---- stop, remove ---- */

/* 1: unknown, and so nothing to do. */
static int take(struct pod_op *op, struct err *err)
{
	struct pod_container *c;
	int r = pod_container_get(op->m, op->id, &c, err);

	if (r == 0)
		r = pod_op_hold_container(op, c, false, err);
	if (r < 0 && err->kind == ERR_NOT_FOUND) {
		err_clear(err);
		return 1;
	}
	return r;
}

static int stop_op(struct pod_op *op, struct err *err)
{
	struct pod_container *c;
	int r = take(op, err);

	if (r)
		return r < 0 ? r : 0;
	c = op->container;
	r = pod_container_halt(op, c, op->grace > 0 ? c->stop_signal : SIGKILL, err);
	if (r == 0)
		pod_plugins_stopped(c);
	return r;
}

static int remove_op(struct pod_op *op, struct err *err)
{
	int r = take(op, err);

	return r ? (r < 0 ? r : 0) : pod_container_purge(op, op->container, err);
}

/* ---- exec, log ---- */

int pod_container_exec_process(struct pod_container *c, char *const *cmd, size_t n_cmd, struct arena *a,
			       struct oci_process *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX);
	struct oci_config config;
	const char *path = arena_printf(a, "%s/config.json", c->dir);
	int r = sys_file_read(AT_FDCWD, path, OCI_CONFIG_MAX, &text);

	if (r < 0)
		return err_sys(err, r, "read %s", path);
	r = oci_config_read(text.data, text.len, a, &config, err);
	if (r < 0)
		return err_wrap(err, r, "%s", path);
	if (!config.process)
		return err_set(err, ERR_CORRUPT, "%s: no process", path);
	*ret = *config.process;
	ret->terminal = false;
	ret->console_size = NULL;
	ret->args = (char **)cmd;
	ret->n_args = n_cmd;
	return 0;
}

static int exec_op(struct pod_op *op, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_container *c;
	struct oci_process process;
	struct shim_exec_sync exec = { .process = &process, .output_max = op->out.max };
	char *address = NULL;
	int r;

	if (!op->n_cmd)
		return err_set(err, ERR_INVALID, "cmd: empty");
	r = pod_container_get(op->m, op->id, &c, err);
	if (r < 0)
		return r;
	pod_lock(op->m);
	op->container = c; /* not held: execs exclude nobody */
	if (c->state != POD_RUNNING)
		r = err_set(err, ERR_STATE, "it is not running");
	pod_unlock(op->m);
	if (r == 0)
		r = pod_container_exec_process(c, op->cmd, op->n_cmd, &a, &process, err);
	if (r == 0)
		r = pod_container_shim(c, &a, &address, err);
	if (r == 0)
		r = pod_op_stage(op, "running the command", err);
	if (r < 0)
		return r;
	exec.id = c->id;
	exec.timeout = op->timeout;
	exec.cancel_fd = op->cancel_fd;
	r = shim_exec_sync(address, &exec, c->dir, &op->out, &op->err_out, &op->exit_code, err);
	if (r < 0 && err->kind == ERR_UNAVAILABLE)
		return err_wrap(err, r, "the pod's monitor (caisson-shim) died, and with it this command");
	return r;
}

static int reopen_op(struct pod_op *op, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_container *c;
	char *address = NULL;
	int r = pod_container_get(op->m, op->id, &c, err);

	if (r < 0)
		return r;
	pod_lock(op->m);
	op->container = c;
	if (c->state != POD_RUNNING)
		r = err_set(err, ERR_STATE, "it is not running");
	pod_unlock(op->m);
	if (r == 0)
		r = pod_container_shim(c, &a, &address, err);
	return r < 0 ? r : shim_log_reopen(address, c->id, time_now_mono() + POD_TASK_TIME, err);
}

/* ---- the calls ---- */

/* The running one with that key to be joined, or a new one; shared tells which. */
static struct pod_op *prepare(struct pod_manager *m, const char *verb, const char *what, bool joinable,
			      int (*run)(struct pod_op *op, struct err *err), bool *shared)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_container *c;
	struct pod_op *op;
	char *key, *id;

	pod_lock(m);
	c = pod_container_find(m, what, NULL);
	id = arena_strdup(&a, c ? c->id : what);
	pod_unlock(m);
	key = arena_printf(&a, "%s container %s", verb, id);
	op = joinable ? pod_op_find(m, key) : NULL;
	*shared = op;
	if (op)
		return op;
	op = pod_op_new(m, joinable ? key : NULL, key, run);
	op->id = arena_strdup(&op->arena, id);
	return op;
}

static struct pod_wait *join_or_submit(struct pod_op *op, bool shared, pod_done_fn done, void *user)
{
	return shared ? pod_op_join(op, done, user) : pod_op_submit(op, done, user);
}

struct pod_wait *pod_container_start(struct pod_manager *m, const char *id, pod_done_fn done, void *user)
{
	bool shared;
	struct pod_op *op = prepare(m, "start", id, true, start_op, &shared);

	return join_or_submit(op, shared, done, user);
}

struct pod_wait *pod_container_stop(struct pod_manager *m, const char *id, int64_t grace, pod_done_fn done,
				    void *user)
{
	int64_t end = time_now_mono();
	bool shared;
	struct pod_op *op = prepare(m, "stop", id, true, stop_op, &shared);

	if (grace < 0)
		grace = 0;
	end = grace > (INT64_MAX - end) / NSEC_PER_SEC ? INT64_MAX : end + grace * NSEC_PER_SEC;
	pod_lock(m);
	if (!shared)
		op->grace = grace;
	/* who is in more of a hurry decides */
	if (end < op->grace_end) {
		op->grace_end = end;
		pod_changed(m);
	}
	pod_unlock(m);
	return join_or_submit(op, shared, done, user);
}

struct pod_wait *pod_container_remove(struct pod_manager *m, const char *id, pod_done_fn done, void *user)
{
	bool shared;
	struct pod_op *op = prepare(m, "remove", id, true, remove_op, &shared);

	return join_or_submit(op, shared, done, user);
}

struct pod_wait *pod_container_exec(struct pod_manager *m, const char *id, char *const *cmd, size_t n_cmd,
				    int64_t timeout_s, pod_done_fn done, void *user)
{
	enum { OUTPUT_MAX = 16 * 1024 * 1024 - 64 * 1024 }; /* both with frames in one message: see cri */
	bool shared;
	struct pod_op *op = prepare(m, "exec in", id, false, exec_op, &shared);

	op->cmd = arena_new(&op->arena, n_cmd, sizeof(char *));
	for (size_t i = 0; i < n_cmd; i++)
		op->cmd[op->n_cmd++] = arena_strdup(&op->arena, cmd[i]);
	if (timeout_s > 0)
		op->timeout = timeout_s > INT64_MAX / NSEC_PER_SEC ? INT64_MAX : timeout_s * NSEC_PER_SEC;
	op->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); /* none: then it only ends by itself */
	op->out = (struct buf)BUF_INIT(OUTPUT_MAX);
	op->err_out = (struct buf)BUF_INIT(OUTPUT_MAX);
	return pod_op_submit(op, done, user);
}

struct pod_wait *pod_container_log_reopen(struct pod_manager *m, const char *id, pod_done_fn done, void *user)
{
	bool shared;
	struct pod_op *op = prepare(m, "reopen the log of", id, false, reopen_op, &shared);

	return pod_op_submit(op, done, user);
}
