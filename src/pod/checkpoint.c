/*
 * CheckpointContainer and CheckpointPod: the archive is written.
 *
 * While its archive is written a container is paused: memory, root and log are of one moment. A
 * pod's containers are all paused before the first is written. Whatever happens, they go on afterwards.
 */
#include "pod/checkpoint.h"

#include "image/archive.h"
#include "pod/dumps.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define CHECKPOINT_TIME (10 * 60 * NSEC_PER_SEC) /* when nobody says how long it may take */

/* ---- one container ---- */

/* The changed part of its root, as a tar file of its own. */
static int write_diff(struct pod_container *c, const char *path, struct buf *deleted, struct err *err)
{
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT;
	CLEANUP(archive_abandon_ptr) struct archive_writer *w = NULL;
	char *const *hidden;
	size_t n;
	int r = store_snapshot_get(c->priv->m->store, c->id, &snap, err);

	if (r == 0)
		r = archive_create(path, &w, err);
	if (r == 0 && snap.upper)
		r = archive_add_tree(w, "", snap.upper, true, err);
	if (r < 0)
		return r;
	hidden = archive_hidden(w, &n);
	dumps_deleted(hidden, n, deleted);
	return archive_close(take_ptr(&w), err);
}

static int write_archive(struct pod_container *c, const char *work, const char *path, struct err *err)
{
	CLEANUP(archive_abandon_ptr) struct archive_writer *w = NULL;
	CLEANUP(buf_done) struct buf deleted = BUF_INIT(DUMP_MAX);
	CLEANUP(dumps_done) struct dumps dumps = DUMPS_INIT;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const char *diff = arena_printf(&a, "%s/rootfs-diff.tar", work);
	const struct {
		const char *name, *path;
	} files[] = {
		{ "spec.dump", arena_printf(&a, "%s/config.json", c->dir) },
		{ "rootfs-diff.tar", diff },
		{ "dump.log", arena_printf(&a, "%s/dump.log", work) },
		{ "stats-dump", arena_printf(&a, "%s/stats-dump", work) },
	};
	const struct {
		const char *name;
		const struct buf *text;
	} texts[] = {
		{ "config.dump", &dumps.config },
		{ "status.dump", &dumps.status_dump },
		{ "status", &dumps.status },
		{ "deleted.files", &deleted },
	};
	int r;

	pod_lock(c->priv->m);
	r = dumps_container(c, &dumps, err);
	pod_unlock(c->priv->m);
	if (r == 0)
		r = write_diff(c, diff, &deleted, err);
	if (r == 0)
		r = archive_create(path, &w, err);
	for (size_t i = 0; i < ARRAY_LEN(texts) && r == 0; i++)
		r = archive_add_text(w, texts[i].name, texts[i].text->data, texts[i].text->len, err);
	if (r == 0)
		r = archive_add_tree(w, "checkpoint", arena_printf(&a, "%s/checkpoint", work), false, err);
	for (size_t i = 0; i < ARRAY_LEN(files) && r == 0; i++)
		r = archive_add_file(w, files[i].name, files[i].path, err);
	if (r == 0 && c->log_path)
		r = archive_add_beneath(w, "container.log", c->pod->config->log_directory, c->config->log_path, err);
	return r < 0 ? r : archive_close(take_ptr(&w), err);
}

/* Of a paused one. */
static int dump(struct pod_op *op, struct pod_container *c, const char *address, const char *archive,
		int64_t deadline, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	char *work = NULL, *images = NULL;
	int r = pod_checkpoint_dir(op->m, c->id, "work", &a, &work, err);

	if (r < 0)
		return r;
	images = arena_printf(&a, "%s/checkpoint", work);
	r = sys_mkdir_p(images, 0700);
	if (r < 0)
		return err_sys(err, r, "make %s", images);
	r = pod_op_stage(op, "CRIU writes the processes", err);
	if (r == 0)
		r = shim_task_checkpoint(address, c->id, images, work, false, deadline, err);
	if (r == 0)
		r = pod_op_stage(op, "writing the archive", err);
	if (r == 0)
		r = write_archive(c, work, archive, err);
	pod_checkpoint_sweep(op->m, c->id);
	return r;
}

static int64_t deadline_of(const struct pod_op *op)
{
	int64_t now = time_now_mono();

	return op->timeout > 0 && op->timeout < INT64_MAX - now ? now + op->timeout : now + CHECKPOINT_TIME;
}

static int check_location(const char *path, struct err *err)
{
	autofree char *dir = mem_strdup(path);
	struct stat st;

	if (path[0] != '/')
		return err_set(err, ERR_INVALID, "location \"%s\": not an absolute path", path);
	*strrchr(dir, '/') = '\0';
	if (*dir && (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)))
		return err_set(err, ERR_NOT_FOUND, "location %s: there is no directory %s", path, dir);
	return 0;
}

static int pause_one(struct pod_container *c, const char *address, bool pause, struct err *err)
{
	return shim_task_pause(address, c->id, pause, time_now_mono() + POD_TASK_TIME, err);
}

static int checkpoint_op(struct pod_op *op, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err ignored = ERR_INIT;
	struct pod_container *c;
	char *address = NULL;
	int r = check_location(op->location, err);

	if (r == 0)
		r = pod_container_get(op->m, op->id, &c, err);
	if (r == 0)
		r = pod_op_hold_container(op, c, false, err);
	if (r < 0)
		return r;
	if (!pod_container_in(c, POD_RUNNING))
		return err_set(err, ERR_STATE, "it is not running");
	r = pod_container_shim(c, &a, &address, err);
	if (r == 0)
		r = pause_one(c, address, true, err);
	if (r < 0)
		return r;
	r = dump(op, c, address, op->location, deadline_of(op), err);
	pause_one(c, address, false, &ignored);
	return r;
}

struct pod_wait *pod_container_checkpoint(struct pod_manager *m, const char *id, const char *location,
					  int64_t timeout_s, pod_done_fn done, void *user)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_op *op = pod_op_new(m, NULL, arena_printf(&a, "checkpoint container %s", id),
				       checkpoint_op);

	op->id = arena_strdup(&op->arena, id);
	op->location = arena_strdup(&op->arena, location);
	op->timeout = timeout_s > 0 && timeout_s < INT64_MAX / NSEC_PER_SEC ? timeout_s * NSEC_PER_SEC : 0;
	return pod_op_submit(op, done, user);
}

/* ---- a pod ---- */

struct cut {
	struct pod_container **list; /* held, each with a reference */
	size_t n, n_paused;
};

static bool wanted(const struct pod_op *op, const struct pod_container *c)
{
	for (size_t i = 0; i < op->n_cmd; i++)
		if (str_eq(op->cmd[i], c->id))
			return true;
	return !op->n_cmd && c->state == POD_RUNNING;
}

static int hold_wanted(struct pod_op *op, struct pod_sandbox *p, struct cut *cut, struct arena *a,
		       struct err *err)
{
	struct pod_container **all;
	size_t n = 0, held = 0;
	int r = 0;

	pod_lock(op->m);
	list_for_each(c, &p->containers, struct pod_container, link)
		n++;
	all = arena_new(a, n + 1, sizeof(struct pod_container *));
	cut->list = arena_new(a, n + 1, sizeof(struct pod_container *));
	n = 0;
	list_for_each(c, &p->containers, struct pod_container, link) {
		if (!c->visible || !wanted(op, c))
			continue;
		pod_container_ref(c);
		all[n++] = c;
	}
	pod_unlock(op->m);
	if (n < op->n_cmd)
		r = err_set(err, ERR_NOT_FOUND, "container_ids: not all of them are containers of this pod");
	for (; r == 0 && held < n; held++) {
		r = pod_op_hold_container(op, all[held], false, err);
		if (r < 0)
			continue; /* its reference is gone */
		cut->list[cut->n++] = all[held];
		if (!pod_container_in(all[held], POD_RUNNING))
			r = err_set(err, ERR_STATE, "container %s is not running", all[held]->config->name);
	}
	for (size_t i = held; i < n; i++)
		pod_container_unref(all[i]);
	return r;
}

/* What it was created by, so that it can be again. */
static int add_config(struct archive_writer *w, struct pod_container *c, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(4 * DUMP_MAX);
	autofree char *name = mem_printf("%s.json", c->config->name);
	int r;

	pod_lock(c->priv->m);
	r = json_write(&pod_container_config_type, c->config, 0, &text, err);
	pod_unlock(c->priv->m);
	return r < 0 ? r : archive_add_text(w, name, text.data, text.len, err);
}

static int write_pod(struct pod_sandbox *p, const struct cut *cut, const char *work, const char *path,
		     struct err *err)
{
	CLEANUP(buf_done) struct buf config = BUF_INIT(4 * DUMP_MAX), options = BUF_INIT(DUMP_MAX);
	CLEANUP(archive_abandon_ptr) struct archive_writer *w = NULL;
	int r;

	pod_lock(p->priv->m);
	r = dumps_pod(p, &config, err);
	pod_unlock(p->priv->m);
	buf_puts(&options, "{\"version\":1,\"containers\":{");
	for (size_t i = 0; i < cut->n; i++) {
		const char *name = cut->list[i]->config->name;

		buf_puts(&options, i ? "," : "");
		json_put_string(&options, name);
		buf_puts(&options, ":");
		json_put_string(&options, name);
	}
	buf_puts(&options, "}}");
	if (r == 0)
		r = archive_create(path, &w, err);
	if (r == 0)
		r = archive_add_text(w, "pod.options", options.data, options.len, err);
	if (r == 0)
		r = archive_add_text(w, "pod.dump", config.data, config.len, err);
	for (size_t i = 0; i < cut->n && r == 0; i++) {
		autofree char *name = mem_printf("%s.tar", cut->list[i]->config->name);
		autofree char *file = mem_printf("%s/%zu.tar", work, i);

		r = archive_add_file(w, name, file, err);
		if (r == 0)
			r = add_config(w, cut->list[i], err);
	}
	return r < 0 ? r : archive_close(take_ptr(&w), err);
}

static int checkpoint_pod(struct pod_op *op, struct pod_sandbox *p, struct cut *cut, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	char *work = NULL;
	int64_t deadline = deadline_of(op);
	struct err ignored = ERR_INIT;
	char *address = NULL;
	int r = hold_wanted(op, p, cut, &a, err);

	if (r == 0 && !cut->n)
		r = err_set(err, ERR_STATE, "none of its containers runs");
	if (r == 0)
		r = pod_checkpoint_dir(op->m, p->id, "work", &a, &work, err);
	if (r == 0)
		r = pod_container_shim(cut->list[0], &a, &address, err);
	for (; r == 0 && cut->n_paused < cut->n; cut->n_paused++) {
		r = pause_one(cut->list[cut->n_paused], address, true, err);
		if (r < 0)
			break;
	}
	for (size_t i = 0; r == 0 && i < cut->n; i++) {
		r = dump(op, cut->list[i], address, arena_printf(&a, "%s/%zu.tar", work, i), deadline, err);
		if (r < 0)
			err_wrap(err, r, "container %s", cut->list[i]->config->name);
	}
	for (size_t i = 0; i < cut->n_paused; i++)
		pause_one(cut->list[i], address, false, &ignored);
	if (r == 0)
		r = write_pod(p, cut, work, op->location, err);
	pod_checkpoint_sweep(op->m, p->id);
	for (size_t i = 0; i < cut->n; i++)
		pod_op_release_container(op, cut->list[i]);
	return r;
}

static int checkpoint_pod_op(struct pod_op *op, struct err *err)
{
	struct cut cut = { 0 };
	struct pod_sandbox *p;
	int r = check_location(op->location, err);

	if (r == 0)
		r = pod_sandbox_get(op->m, op->id, &p, err);
	if (r == 0)
		r = pod_op_hold_sandbox(op, p, false, err);
	return r < 0 ? r : checkpoint_pod(op, p, &cut, err);
}

struct pod_wait *pod_sandbox_checkpoint(struct pod_manager *m, const char *id, const char *location,
					char *const *containers, size_t n_containers, pod_done_fn done,
					void *user)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_op *op = pod_op_new(m, NULL, arena_printf(&a, "checkpoint pod %s", id), checkpoint_pod_op);

	op->id = arena_strdup(&op->arena, id);
	op->location = arena_strdup(&op->arena, location);
	op->cmd = arena_new(&op->arena, n_containers + 1, sizeof(char *));
	for (size_t i = 0; i < n_containers; i++)
		op->cmd[op->n_cmd++] = arena_strdup(&op->arena, containers[i]);
	return pod_op_submit(op, done, user);
}
