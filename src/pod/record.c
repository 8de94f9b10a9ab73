/*
 * Pods and containers as records of the store: kind "pod" and "container", by id.
 *
 * The field tables of the configurations (pod/config.c) are part of those of the records, so
 * what a client asked for is kept to the letter. A record is written whole each time, from the fields as
 * they are under the lock, one writer at a time for each object (priv->commit), so that an
 * older picture never replaces a newer one. Worker threads; loading on the loop thread.
 */
#include "pod/manager.h"

#include <stdio.h>

enum { RECORD_MAX = 24 * 1024 * 1024 };

struct pod_record {
	struct pod_config config;
	int32_t format, state, want;
	bool visible, torn_down;
	int64_t created_at;
	char **ips;
	size_t n_ips;
	char *netns, *reason, *cgroup_path, *cgroup_made, *boot_id;
	int32_t pid;
	uint64_t pid_ticks;
	int32_t shim_pid; /* so that it is found when its directory is lost */
	uint64_t shim_ticks;
	struct cni_attachment *network;
};

static const struct json_field pod_record_fields[] = {
	/* first, in all versions to come: newer.c */
	JSON_FIELD(I32, struct pod_record, format, "format", 0),
	JSON_FIELD_OBJ(OBJ, struct pod_record, config, "config", JSON_REQUIRED, &pod_config_type),
	JSON_FIELD(I32, struct pod_record, state, "state", JSON_ALWAYS),
	JSON_FIELD(I32, struct pod_record, want, "want", 0),
	JSON_FIELD(BOOL, struct pod_record, visible, "visible", 0),
	JSON_FIELD(BOOL, struct pod_record, torn_down, "torn_down", 0),
	JSON_FIELD(I64, struct pod_record, created_at, "created_at", 0),
	JSON_FIELD_LIST(STR_LIST, struct pod_record, ips, "ips", 0),
	JSON_FIELD(STR, struct pod_record, netns, "netns", 0),
	JSON_FIELD(STR, struct pod_record, reason, "reason", 0),
	JSON_FIELD(STR, struct pod_record, cgroup_path, "cgroup_path", 0),
	JSON_FIELD(STR, struct pod_record, cgroup_made, "cgroup_made", 0),
	JSON_FIELD(STR, struct pod_record, boot_id, "boot_id", 0),
	JSON_FIELD(I32, struct pod_record, pid, "pid", 0),
	JSON_FIELD(U64, struct pod_record, pid_ticks, "pid_ticks", 0),
	JSON_FIELD(I32, struct pod_record, shim_pid, "shim_pid", 0),
	JSON_FIELD(U64, struct pod_record, shim_ticks, "shim_ticks", 0),
	JSON_FIELD_OBJ(OPT_OBJ, struct pod_record, network, "network", 0, &cni_attachment_type),
};
static const struct json_type pod_record_type = JSON_TYPE("pod record", struct pod_record, pod_record_fields);

struct container_record {
	char *pod_id;
	struct pod_container_config config;
	int32_t format, state, want;
	bool visible, starting, task;
	char *image_id, *image_ref, *reason, *message, *log_path, *cgroup_path, *boot_id;
	int64_t created_at, started_at, finished_at;
	int32_t exit_code, pid, stop_signal;
	uint64_t pid_ticks;
	uint32_t uid, gid, *groups;
	size_t n_groups;
};

static const struct json_field container_record_fields[] = {
	JSON_FIELD(I32, struct container_record, format, "format", 0),
	JSON_FIELD(STR, struct container_record, pod_id, "pod", JSON_REQUIRED),
	JSON_FIELD_OBJ(OBJ, struct container_record, config, "config", JSON_REQUIRED,
		       &pod_container_config_type),
	JSON_FIELD(I32, struct container_record, state, "state", JSON_ALWAYS),
	JSON_FIELD(I32, struct container_record, want, "want", 0),
	JSON_FIELD(BOOL, struct container_record, visible, "visible", 0),
	JSON_FIELD(BOOL, struct container_record, starting, "starting", 0),
	JSON_FIELD(BOOL, struct container_record, task, "task", 0),
	JSON_FIELD(STR, struct container_record, image_id, "image_id", 0),
	JSON_FIELD(STR, struct container_record, image_ref, "image_ref", 0),
	JSON_FIELD(STR, struct container_record, reason, "reason", 0),
	JSON_FIELD(STR, struct container_record, message, "message", 0),
	JSON_FIELD(STR, struct container_record, log_path, "log_path", 0),
	JSON_FIELD(STR, struct container_record, cgroup_path, "cgroup_path", 0),
	JSON_FIELD(STR, struct container_record, boot_id, "boot_id", 0),
	JSON_FIELD(I64, struct container_record, created_at, "created_at", 0),
	JSON_FIELD(I64, struct container_record, started_at, "started_at", 0),
	JSON_FIELD(I64, struct container_record, finished_at, "finished_at", 0),
	JSON_FIELD(I32, struct container_record, exit_code, "exit_code", 0),
	JSON_FIELD(I32, struct container_record, pid, "pid", 0),
	JSON_FIELD(U64, struct container_record, pid_ticks, "pid_ticks", 0),
	JSON_FIELD(I32, struct container_record, stop_signal, "stop_signal", 0),
	JSON_FIELD(U32, struct container_record, uid, "uid", 0),
	JSON_FIELD(U32, struct container_record, gid, "gid", 0),
	JSON_FIELD_LIST(U32_LIST, struct container_record, groups, "groups", 0),
};
static const struct json_type container_record_type =
	JSON_TYPE("container record", struct container_record, container_record_fields);

static void pod_to_record(const struct pod_sandbox *p, struct pod_record *r)
{
	*r = (struct pod_record){
		.format = POD_RECORD_FORMAT,
		.config = *p->config, .state = (int32_t)p->state, .want = (int32_t)p->priv->want,
		.visible = p->visible || p->priv->publish, .torn_down = p->priv->torn_down,
		.created_at = p->created_at, .ips = p->ips, .n_ips = p->n_ips, .netns = p->netns,
		.reason = p->reason,
		.cgroup_path = p->cgroup_path, .cgroup_made = p->priv->cgroup_made,
		.boot_id = p->priv->boot_id, .pid = p->pid, .pid_ticks = p->pid_ticks,
		.shim_pid = p->priv->shim.pid, .shim_ticks = p->priv->shim.start_ticks,
		.network = p->priv->network,
	};
}

static void container_to_record(const struct pod_container *c, struct container_record *r)
{
	*r = (struct container_record){
		.format = POD_RECORD_FORMAT, .pod_id = c->pod->id, .config = *c->config, .state = (int32_t)c->state,
		.want = (int32_t)c->priv->want, .visible = c->visible || c->priv->publish,
		.starting = c->priv->starting,
		.task = c->priv->task, .image_id = c->image_id, .image_ref = c->image_ref,
		.reason = c->reason, .message = c->message, .log_path = c->log_path,
		.cgroup_path = c->cgroup_path, .boot_id = c->priv->boot_id, .created_at = c->created_at,
		.started_at = c->started_at, .finished_at = c->finished_at, .exit_code = c->exit_code,
		.pid = c->pid, .pid_ticks = c->pid_ticks, .stop_signal = c->stop_signal, .uid = c->uid,
		.gid = c->gid, .groups = c->groups, .n_groups = c->n_groups,
	};
}

int pod_sandbox_commit(struct pod_sandbox *p, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(RECORD_MAX);
	struct pod_manager *m = p->priv->m;
	struct pod_record record;
	bool gone;
	int r;

	pthread_mutex_lock(&p->priv->commit);
	pod_lock(m);
	gone = p->priv->removed;
	pod_to_record(p, &record);
	r = json_write(&pod_record_type, &record, 0, &text, err);
	pod_unlock(m);
	/* nor here may somebody's late word bring back what was removed */
	if (r == 0 && !gone)
		r = store_record_put(m->store, "pod", p->id, buf_text(&text), err);
	pthread_mutex_unlock(&p->priv->commit);
	return r < 0 ? err_wrap(err, r, "record of the pod") : 0;
}

int pod_container_commit(struct pod_container *c, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(RECORD_MAX);
	struct pod_manager *m = c->priv->m;
	struct container_record record;
	bool gone;
	int r;

	pthread_mutex_lock(&c->priv->commit);
	pod_lock(m);
	gone = c->priv->removed;
	container_to_record(c, &record);
	r = json_write(&container_record_type, &record, 0, &text, err);
	pod_unlock(m);
	/* an exit that comes in late must not bring a removed container's record back */
	if (r == 0 && !gone)
		r = store_record_put(m->store, "container", c->id, buf_text(&text), err);
	pthread_mutex_unlock(&c->priv->commit);
	return r < 0 ? err_wrap(err, r, "record of the container") : 0;
}

int pod_sandbox_forget(struct pod_sandbox *p, struct err *err)
{
	struct pod_manager *m = p->priv->m;
	int r;

	pthread_mutex_lock(&p->priv->commit);
	r = store_record_delete(m->store, "pod", p->id, err);
	if (r == 0) {
		pod_lock(m);
		pod_sandbox_drop(p);
		pod_unlock(m);
	}
	pthread_mutex_unlock(&p->priv->commit);
	return r;
}

int pod_container_forget(struct pod_container *c, struct err *err)
{
	struct pod_manager *m = c->priv->m;
	int r;

	pthread_mutex_lock(&c->priv->commit);
	r = store_record_delete(m->store, "container", c->id, err);
	if (r == 0) {
		pod_lock(m);
		pod_container_drop(c);
		pod_unlock(m);
	}
	pthread_mutex_unlock(&c->priv->commit);
	return r;
}

/* ---- loading ---- */

static bool id_valid(const char *id)
{
	size_t n = strspn(id, "0123456789abcdef");

	return n == ID_LEN && !id[n];
}

static int pod_from_record(struct pod_manager *m, const char *id, const char *doc, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_record rec;
	struct pod_sandbox *p;
	int r;

	if (!id_valid(id))
		return err_set(err, ERR_CORRUPT, "not an id");
	r = json_read(&pod_record_type, doc, strlen(doc), &a, &rec, err);
	if (r < 0)
		return r;
	if (rec.state < POD_READY || rec.state > POD_NOT_READY || rec.want < POD_WANT_NONE ||
	    rec.want > POD_WANT_REMOVE || rec.pid < 0 || rec.shim_pid < 0)
		return err_set(err, ERR_CORRUPT, "a value is out of its range");
	p = pod_sandbox_new(m, id, &rec.config, err);
	if (!p)
		return -EIO;
	arena_adopt(&p->priv->arena, &a);
	p->state = (enum pod_state)rec.state;
	p->visible = rec.visible;
	p->created_at = rec.created_at;
	p->ips = rec.ips;
	p->n_ips = rec.n_ips;
	p->netns = rec.netns;
	p->reason = rec.reason ? rec.reason : "";
	p->cgroup_path = rec.cgroup_path;
	p->pid = rec.pid;
	p->pid_ticks = rec.pid_ticks;
	p->priv->shim = (struct shim_process){ "", rec.shim_pid, rec.shim_ticks };
	p->priv->want = (enum pod_intent)rec.want;
	p->priv->torn_down = p->priv->cgroup_released = rec.torn_down;
	p->priv->cgroup_made = rec.cgroup_made;
	p->priv->boot_id = rec.boot_id;
	p->priv->network = rec.network;
	pod_lock(m);
	r = pod_sandbox_insert(p);
	pod_unlock(m);
	pod_sandbox_unref(p);
	return r < 0 ? err_set(err, ERR_CORRUPT, "another pod has the same name") : 0;
}

static int container_from_record(struct pod_manager *m, const char *id, const char *doc, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct container_record rec;
	struct pod_container *c;
	struct pod_sandbox *p;
	int r;

	if (!id_valid(id))
		return err_set(err, ERR_CORRUPT, "not an id");
	r = json_read(&container_record_type, doc, strlen(doc), &a, &rec, err);
	if (r < 0)
		return r;
	if (rec.state < POD_CREATED || rec.state > POD_UNKNOWN || rec.want < POD_WANT_NONE ||
	    rec.want > POD_WANT_REMOVE || rec.pid < 0)
		return err_set(err, ERR_CORRUPT, "a value is out of its range");
	p = map_get(&m->pods, rec.pod_id);
	if (!p)
		return err_set(err, ERR_CORRUPT, "its pod %s is not known", rec.pod_id);
	c = pod_container_new(m, p, id, &rec.config, err);
	if (!c)
		return -EIO;
	arena_adopt(&c->priv->arena, &a);
	c->state = (enum pod_container_state)rec.state;
	c->visible = rec.visible;
	c->image_id = rec.image_id;
	c->image_ref = rec.image_ref;
	c->created_at = rec.created_at;
	c->started_at = rec.started_at;
	c->finished_at = rec.finished_at;
	c->exit_code = rec.exit_code;
	c->reason = rec.reason ? rec.reason : "";
	c->message = rec.message ? rec.message : "";
	c->pid = rec.pid;
	c->pid_ticks = rec.pid_ticks;
	c->log_path = rec.log_path;
	c->cgroup_path = rec.cgroup_path;
	c->uid = rec.uid;
	c->gid = rec.gid;
	c->groups = rec.groups;
	c->n_groups = rec.n_groups;
	c->stop_signal = rec.stop_signal;
	c->priv->want = (enum pod_intent)rec.want;
	c->priv->starting = rec.starting;
	c->priv->task = rec.task;
	c->priv->boot_id = rec.boot_id;
	pod_lock(m);
	r = pod_container_insert(c);
	pod_unlock(m);
	pod_container_unref(c);
	return r < 0 ? err_set(err, ERR_CORRUPT, "another container has the same name") : 0;
}

struct loading {
	struct pod_manager *m;
	const char *kind;
	int (*read)(struct pod_manager *m, const char *id, const char *doc, struct err *err);
	struct buf *note;
};

/* A damaged row costs one pod or container, loudly, and never the daemon. */
static int load_one(const char *id, const char *doc, void *user)
{
	struct loading *l = user;
	struct err err = ERR_INIT;
	char aside[32];

	if (map_get(&l->m->newer, id) || l->read(l->m, id, doc, &err) == 0)
		return 0;
	snprintf(aside, sizeof(aside), "%s.damaged", l->kind);
	if (store_record_put(l->m->store, aside, id, doc, NULL) == 0)
		store_record_delete(l->m->store, l->kind, id, NULL);
	buf_printf(l->note, "%s record %s is damaged and set aside: %s\n", l->kind, id, err.text);
	return 0;
}

static int load_all(struct pod_manager *m, struct buf *note, struct err *err)
{
	struct loading pods = { m, "pod", pod_from_record, note };
	struct loading containers = { m, "container", container_from_record, note };
	int r = store_record_list(m->store, "pod", load_one, &pods, err);

	return r < 0 ? r : store_record_list(m->store, "container", load_one, &containers, err);
}

static int note_aside(const char *id, const char *doc, void *user)
{
	struct loading *l = user;

	buf_printf(l->note, "%s record %s was damaged and is set aside\n", l->kind, id);
	return 0;
}

int pod_records_load(struct pod_manager *m, struct buf *note, struct err *err)
{
	/* those of earlier starts, as long as they are there */
	store_record_list(m->store, "pod.damaged", note_aside, &(struct loading){ .kind = "pod", .note = note }, NULL);
	store_record_list(m->store, "container.damaged", note_aside,
			  &(struct loading){ .kind = "container", .note = note }, NULL);
	if (pod_newer_find(m, note, err) < 0)
		return -EIO;
	return load_all(m, note, err);
}
