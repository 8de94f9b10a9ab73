/*
 * UpdateContainerResources and UpdatePodSandboxResources. Worker threads.
 *
 * A container's limits are in four places: its cgroup (by way of the shim, which knows where
 * that is), the OOM scores of its processes, config.json (a further exec takes its score from
 * there, and a container that was not started yet everything), and the record. They change
 * together or not at all: what was changed before the one that fails is changed back.
 */
#include "pod/plugins.h"
#include "pod/spec.h"

#include "cgroup/cgroup.h"

#include <fcntl.h>
#include <stdio.h>

/* ---- OOM scores ---- */

/*
 * Every process that still has the score which it was given; one that chose its own keeps it.
 * Children inherit, so a few rounds catch those that are forked meanwhile.
 */
static int move_scores(const char *cgroup_path, int from, int to, struct err *err)
{
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	const struct cgroup_host *host;
	int r = cgroup_host_get(&host, err);

	if (from == to)
		return 0;
	if (r == 0)
		r = cgroup_open(host, cgroup_path, &cg, err);
	for (int round = 0, moved = 1; r == 0 && round < 8 && moved; round++) {
		autofree pid_t *pids = NULL;
		size_t n = 0;

		moved = 0;
		r = cgroup_pids(cg, &pids, &n, err);
		for (size_t i = 0; r == 0 && i < n; i++) {
			char path[64], text[16], want[16];
			int64_t now;

			snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pids[i]);
			snprintf(want, sizeof(want), "%d", to);
			if (sys_file_read_text(AT_FDCWD, path, text, sizeof(text)) < 0 ||
			    str_to_i64(text, 10, &now) < 0 || now != from)
				continue;
			r = sys_file_write(AT_FDCWD, path, want);
			if (r == -ENOENT || r == -ESRCH)
				r = 0;
			else if (r < 0)
				err_sys(err, r, "oom_score_adj %d of process %d", to, (int)pids[i]);
			moved = 1;
		}
	}
	return r;
}

/* ---- config.json ---- */

/* Over what CRI said: what only OCI has a word for. */
static void put_extra(const struct oci_resources *extra, struct arena *a, struct oci_resources *res)
{
	if (extra && extra->memory) {
		struct oci_memory *to = arena_new(a, 1, sizeof(*to));
		const struct oci_memory *from = extra->memory;

		if (res->memory)
			*to = *res->memory;
		to->reservation = from->reservation ? from->reservation : to->reservation;
		to->kernel = from->kernel ? from->kernel : to->kernel;
		to->kernel_tcp = from->kernel_tcp ? from->kernel_tcp : to->kernel_tcp;
		to->swappiness = from->swappiness ? from->swappiness : to->swappiness;
		to->disable_oom_killer =
			from->disable_oom_killer ? from->disable_oom_killer : to->disable_oom_killer;
		to->use_hierarchy = from->use_hierarchy ? from->use_hierarchy : to->use_hierarchy;
		res->memory = to;
	}
	if (extra && extra->cpu) {
		struct oci_cpu *to = arena_new(a, 1, sizeof(*to));
		const struct oci_cpu *from = extra->cpu;

		if (res->cpu)
			*to = *res->cpu;
		to->realtime_runtime = from->realtime_runtime ? from->realtime_runtime : to->realtime_runtime;
		to->realtime_period = from->realtime_period ? from->realtime_period : to->realtime_period;
		res->cpu = to;
	}
	if (extra && extra->pids)
		res->pids = extra->pids;
}

static int rewrite_config(struct pod_container *c, const struct pod_resources *merged,
			  const struct oci_resources *extra, struct buf *ret_old, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX);
	const char *path = arena_printf(&a, "%s/config.json", c->dir);
	const struct pod_host *host = &c->priv->m->host;
	struct oci_config config;
	struct oci_resources *res, was;
	int r = sys_file_read(AT_FDCWD, path, OCI_CONFIG_MAX, ret_old);

	if (r < 0)
		return err_sys(err, r, "read %s", path);
	r = oci_config_read(ret_old->data, ret_old->len, &a, &config, err);
	if (r == 0 && (!config.process || !config.linux_ || !config.linux_->resources))
		r = err_set(err, ERR_CORRUPT, "no process or no resources");
	if (r < 0)
		return err_wrap(err, r, "%s", path);
	res = config.linux_->resources;
	was = *res;
	if (!config.process->oom_score_adj)
		config.process->oom_score_adj = arena_new(&a, 1, sizeof(int32_t));
	r = pod_resources_oci(host, merged, &a, res, err);
	put_extra(&was, &a, res);
	put_extra(extra, &a, res);
	if (r == 0)
		r = pod_resources_score(host, merged, config.process->oom_score_adj, err);
	if (r == 0)
		r = oci_config_write(&config, 0, &text, err);
	if (r < 0)
		return r;
	r = sys_file_replace(AT_FDCWD, path, text.data, text.len, 0600, false);
	return r < 0 ? err_sys(err, r, "write %s", path) : 0;
}

static void restore_config(struct pod_container *c, const struct buf *old)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;

	sys_file_replace(AT_FDCWD, arena_printf(&a, "%s/config.json", c->dir), old->data, old->len, 0600,
			 false);
}

/* ---- the kernel ---- */

static int change_running(struct pod_container *c, const struct pod_resources *merged,
			  const struct pod_resources *change, const struct oci_resources *extra, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const struct pod_host *host = &c->priv->m->host;
	const struct pod_resources *now = &c->config->resources; /* limiting is held */
	bool yes = true;
	struct oci_resources res = { 0 };
	struct pod_resources delta;
	struct err ignored = ERR_INIT;
	int32_t from = 0, to = 0;
	char *address = NULL;
	int r;

	pod_resources_delta(merged, change, &delta);
	r = pod_resources_oci(host, &delta, &a, &res, err);
	put_extra(extra, &a, &res);
	/* lowered below what is in use it would not fail, but kill */
	if (res.memory)
		res.memory->check_before_update = &yes;
	if (r == 0)
		r = pod_resources_score(host, now, &from, err);
	if (r == 0)
		r = pod_resources_score(host, merged, &to, err);
	if (r == 0)
		r = pod_container_shim(c, &a, &address, err);
	if (r == 0)
		r = move_scores(c->cgroup_path, from, to, err);
	if (r == 0)
		r = shim_task_update(address, c->id, &res, time_now_mono() + POD_TASK_TIME, err);
	if (r < 0 && address)
		move_scores(c->cgroup_path, to, from, &ignored);
	return r;
}

/* ---- containers ---- */

/* The new ones into the container, the old ones out of it; under the lock. */
static void swap_resources(struct pod_container *c, struct pod_resources *resources, struct arena *a)
{
	/* the configuration is this room's own copy, const to everybody else */
	struct pod_resources *own = (struct pod_resources *)&c->config->resources;
	struct pod_resources old = *own;
	struct arena old_arena = c->priv->limits;

	*own = *resources;
	c->priv->limits = *a;
	*resources = old;
	*a = old_arena;
}

static int change(struct pod_container *c, const struct pod_resources *change,
		  const struct oci_resources *extra,
		  bool running, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT, limits = ARENA_INIT;
	CLEANUP(buf_done) struct buf old = BUF_INIT(OCI_CONFIG_MAX);
	struct pod_manager *m = c->priv->m;
	struct pod_resources merged, *fresh;
	struct err ignored = ERR_INIT;
	int r;

	pod_resources_merge(&c->config->resources, change, &a, &merged);
	r = pod_resources_copy(&merged, &limits, &fresh, err);
	if (r < 0)
		return r;
	r = rewrite_config(c, &merged, extra, &old, err);
	if (r == 0 && running)
		r = change_running(c, &merged, change, extra, err);
	if (r == 0) {
		pod_lock(m);
		swap_resources(c, fresh, &limits);
		pod_changed(m);
		pod_unlock(m);
		r = pod_container_commit(c, err);
		if (r == 0)
			return 0;
		/* it is not on disk, so it is not to be */
		pod_lock(m);
		swap_resources(c, fresh, &limits);
		pod_unlock(m);
		if (running)
			change_running(c, &c->config->resources, &c->config->resources, NULL, &ignored);
	}
	if (old.len)
		restore_config(c, &old);
	return r;
}

int pod_container_limits(struct pod_container *c, const struct pod_resources *now, struct err *err)
{
	CLEANUP(arena_done) struct arena limits = ARENA_INIT;
	struct pod_resources *fresh;
	int r = pod_resources_copy(now, &limits, &fresh, err);

	if (r < 0)
		return r;
	pod_lock(c->priv->m);
	swap_resources(c, fresh, &limits);
	pod_unlock(c->priv->m);
	return 0;
}

int pod_container_change(struct pod_container *c, const struct pod_resources *what,
			 const struct oci_resources *extra, struct err *err)
{
	enum pod_container_state state;
	int r;

	pthread_mutex_lock(&c->priv->limiting);
	pod_lock(c->priv->m);
	state = c->state;
	pod_unlock(c->priv->m);
	if (state == POD_CREATED || state == POD_RUNNING)
		r = change(c, what, extra, state == POD_RUNNING, err);
	else
		r = err_set(err, ERR_STATE, "it is neither created nor running");
	pthread_mutex_unlock(&c->priv->limiting);
	return r;
}

static int update_op(struct pod_op *op, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_resources what = *op->resources;
	struct oci_resources extra = { 0 };
	struct pod_container *c;
	int r = pod_container_get(op->m, op->id, &c, err);

	if (r == 0)
		r = pod_op_hold_container(op, c, false, err);
	if (r < 0)
		return r;
	if (!pod_container_in(c, POD_CREATED) && !pod_container_in(c, POD_RUNNING))
		return err_set(err, ERR_STATE, "it is neither created nor running");
	r = pod_op_stage(op, "NRI plugins", err);
	if (r == 0)
		r = pod_plugins_update(c, &what, &extra, &a, err);
	if (r == 0)
		r = pod_op_stage(op, "changing the limits", err);
	if (r == 0)
		r = pod_container_change(c, &what, &extra, err);
	if (r == 0)
		pod_plugins_after(NRI_POST_UPDATE_CONTAINER, c);
	return r;
}

struct pod_wait *pod_container_update(struct pod_manager *m, const char *id,
				      const struct pod_resources *resources,
				      pod_done_fn done, void *user)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_op *op = pod_op_new(m, NULL, arena_printf(&a, "update container %s", id), update_op);
	struct pod_resources *copy = NULL;

	op->id = arena_strdup(&op->arena, id);
	if (pod_resources_copy(resources, &op->arena, &copy, &op->err) < 0)
		op->run = pod_op_fail;
	op->resources = copy;
	return pod_op_submit(op, done, user);
}

/* ---- pods ---- */

static int update_sandbox_op(struct pod_op *op, struct err *err)
{
	CLEANUP(arena_done) struct arena limits = ARENA_INIT;
	struct pod_resources *overhead = NULL, *resources = NULL, *old[2];
	struct arena old_limits;
	struct pod_manager *m = op->m;
	struct pod_config *config;
	struct pod_sandbox *p;
	int r = pod_sandbox_get(m, op->id, &p, err);

	if (r == 0)
		r = pod_op_hold_sandbox(op, p, false, err);
	if (r == 0)
		r = pod_op_stage(op, "NRI plugins", err);
	if (r == 0)
		r = pod_plugins_update_pod(p, op->overhead, op->resources, err);
	if (r < 0)
		return r;
	config = (struct pod_config *)p->config; /* this room's own copy */
	if (op->overhead || config->overhead)
		r = pod_resources_copy(op->overhead ? op->overhead : config->overhead, &limits, &overhead,
				       err);
	if (r == 0 && (op->resources || config->resources))
		r = pod_resources_copy(op->resources ? op->resources : config->resources, &limits, &resources,
				       err);
	if (r < 0)
		return r;
	pod_lock(m);
	old[0] = config->overhead;
	old[1] = config->resources;
	old_limits = p->priv->limits;
	config->overhead = overhead;
	config->resources = resources;
	p->priv->limits = limits;
	limits = old_limits;
	pod_unlock(m);
	r = pod_sandbox_commit(p, err);
	if (r == 0) {
		pod_plugins_after_pod(NRI_POST_UPDATE_POD_SANDBOX, p);
		return 0;
	}
	pod_lock(m);
	limits = p->priv->limits;
	p->priv->limits = old_limits;
	config->overhead = old[0];
	config->resources = old[1];
	pod_unlock(m);
	return r;
}

struct pod_wait *pod_sandbox_update(struct pod_manager *m, const char *id,
				    const struct pod_resources *overhead,
				    const struct pod_resources *resources, pod_done_fn done, void *user)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_op *op = pod_op_new(m, NULL, arena_printf(&a, "update pod %s", id), update_sandbox_op);
	struct pod_resources *copy[2] = { NULL, NULL };

	op->id = arena_strdup(&op->arena, id);
	if ((overhead && pod_resources_copy(overhead, &op->arena, &copy[0], &op->err) < 0) ||
	    (resources && pod_resources_copy(resources, &op->arena, &copy[1], &op->err) < 0))
		op->run = pod_op_fail;
	op->overhead = copy[0];
	op->resources = copy[1];
	return pod_op_submit(op, done, user);
}
