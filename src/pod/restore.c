/*
 * RestorePod: the archive of a pod becomes a pod whose containers are created, each to be restored when
 * it is started. One operation on a worker thread that asks for the others, RunPodSandbox and
 * CreateContainer, as a client would, and takes all of it away when one of them fails.
 */
#include "pod/checkpoint.h"

#include "image/archive.h"

#include <fcntl.h>
#include <stdio.h>

enum { TEXT_MAX = 24 << 20, CONTAINERS_MAX = 1000 };

struct pod_options {
	int32_t version;
	struct json_kv *containers;
	size_t n_containers;
};

static const struct json_field pod_options_fields[] = {
	JSON_FIELD(I32, struct pod_options, version, "version", JSON_REQUIRED),
	JSON_FIELD_LIST(STR_MAP, struct pod_options, containers, "containers", 0),
};
static const struct json_type pod_options_type = JSON_TYPE("pod.options", struct pod_options,
							   pod_options_fields);

/* ---- another operation, asked for on the loop thread and waited for here ---- */

struct step {
	struct pod_manager *m;
	const struct pod_config *pod;
	const struct pod_container_config *container; /* NULL: run or remove the pod */
	const char *pod_id;                           /* create, remove */
	bool done, failed;
	struct err err;
	char id[ID_LEN + 1];
};

static void step_done(const struct pod_result *r, const struct err *err, void *user)
{
	struct step *s = user;

	pod_lock(s->m);
	s->failed = err;
	if (err)
		s->err = *err;
	snprintf(s->id, sizeof(s->id), "%s", r && r->id ? r->id : "");
	s->done = true;
	pod_changed(s->m);
	pod_unlock(s->m);
}

static void step_begin(void *user)
{
	struct step *s = user;

	if (s->container)
		pod_container_create(s->m, s->pod_id, s->container, step_done, s);
	else if (s->pod_id)
		pod_sandbox_remove(s->m, s->pod_id, step_done, s);
	else
		pod_sandbox_run(s->m, s->pod, step_done, s);
}

/* ret_id may be NULL. */
static int run_step(struct step what, char *ret_id, struct err *err)
{
	struct pod_manager *m = what.m;
	struct step *s = mem_new(1, sizeof(*s));
	bool done;

	*s = what;
	event_loop_post(m->loop, step_begin, s);
	pod_lock(m);
	while (!s->done && !m->closing)
		pthread_cond_wait(&m->changed, &m->lock);
	done = s->done;
	pod_unlock(m);
	if (!done) /* the loop has ended; s stays for whoever may still have it */
		return err_set(err, ERR_CANCELLED, "the daemon is stopping");
	if (s->failed)
		*err = s->err;
	else if (ret_id)
		memcpy(ret_id, s->id, sizeof(s->id));
	done = s->failed;
	free(s);
	return done ? -EIO : 0;
}

/* ---- what is in the archive ---- */

static int read_json(const char *dir, const char *file, const struct json_type *type, struct arena *a,
		     void *ret,
		     struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(TEXT_MAX);
	const char *path = arena_printf(a, "%s/%s", dir, file);
	int r = sys_file_read(AT_FDCWD, path, TEXT_MAX, &text);

	if (r < 0)
		return err_sys(err, r, "%s", file);
	r = json_read(type, text.data, text.len, a, ret, err);
	return r < 0 ? err_wrap(err, r, "%s", file) : 0;
}

/* Those of the request, or, where it has none, those that were checkpointed. */
static int configs(struct pod_op *op, const char *dir, struct pod_container_config **ret, size_t *ret_n,
		   struct arena *a,
		   struct err *err)
{
	struct pod_options options;
	int r;

	if (op->n_containers) {
		*ret = memcpy(arena_new(a, op->n_containers, sizeof(**ret)), op->containers,
			      op->n_containers * sizeof(**ret));
		*ret_n = op->n_containers;
		return 0;
	}
	r = read_json(dir, "pod.options", &pod_options_type, a, &options, err);
	if (r < 0)
		return r;
	if (options.version != 1)
		return err_set(err, ERR_UNSUPPORTED, "pod.options: version %d is not known", options.version);
	if (options.n_containers > CONTAINERS_MAX)
		return err_set(err, ERR_LIMIT, "pod.options: more than %d containers", CONTAINERS_MAX);
	*ret = arena_new(a, options.n_containers + 1, sizeof(**ret));
	for (size_t i = 0; i < options.n_containers && r == 0; i++) {
		const char *name = options.containers[i].key;

		if (strchr(name, '/'))
			return err_set(err, ERR_INVALID, "pod.options: container \"%.100s\"", name);
		r = read_json(dir, arena_printf(a, "%s.json", name), &pod_container_config_type, a,
			      &(*ret)[i], err);
		(*ret_n)++;
	}
	return r;
}

/* The container's own archive takes the place of its image. */
static int point_at(struct pod_container_config *c, const char *dir, struct arena *a, struct err *err)
{
	char *archive;

	if (str_empty(c->name) || strchr(c->name, '/'))
		return err_set(err, ERR_INVALID, "container \"%.100s\": no name of a container",
			       c->name ? c->name : "");
	archive = arena_printf(a, "%s/%s.tar", dir, c->name);
	if (access(archive, F_OK) < 0)
		return err_set(err, ERR_NOT_FOUND, "container %s: it is not in the checkpoint", c->name);
	if (str_empty(c->user_image))
		c->user_image = c->image;
	c->image = archive;
	return 0;
}

/* ---- the operation ---- */

static int restore(struct pod_op *op, const char *dir, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct step step = { .m = op->m, .pod = op->pod_config };
	struct pod_container_config *all = NULL;
	struct err ignored = ERR_INIT;
	struct pod_config dumped;
	size_t n = 0;
	int r = pod_op_stage(op, "unpacking the checkpoint", err);

	if (r == 0)
		r = archive_extract(op->location, dir, err);
	if (r == 0 && !step.pod) {
		r = read_json(dir, "pod.dump", &pod_config_type, &a, &dumped, err);
		step.pod = &dumped;
	}
	if (r == 0)
		r = configs(op, dir, &all, &n, &a, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = point_at(&all[i], dir, &a, err);
	if (r == 0)
		r = pod_op_stage(op, "running the pod", err);
	if (r == 0)
		r = run_step(step, op->result, err);
	if (r < 0)
		return r;
	step.pod_id = op->result;
	for (size_t i = 0; i < n && r == 0; i++) {
		char id[ID_LEN + 1];

		step.container = &all[i];
		r = pod_op_stage(op, "creating containers", err);
		if (r == 0)
			r = run_step(step, id, err);
		if (r == 0)
			buf_printf(&op->out, "%s\n%s\n", all[i].name, id);
	}
	if (r < 0) {
		step.container = NULL;
		run_step(step, NULL, &ignored);
	}
	return r;
}

static int restore_op(struct pod_op *op, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	char id[ID_LEN + 1], *dir = NULL;
	int r;

	id_random(id);
	r = pod_checkpoint_dir(op->m, id, "pod", &a, &dir, err);
	if (r < 0)
		return r;
	r = restore(op, dir, err);
	pod_checkpoint_sweep(op->m, id);
	return r;
}

struct pod_wait *pod_sandbox_restore(struct pod_manager *m, const char *archive,
				     const struct pod_config *config,
				     const struct pod_container_config *containers, size_t n_containers,
				     pod_done_fn done, void *user)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_op *op = pod_op_new(m, NULL, arena_printf(&a, "restore a pod from %s", archive),
				       restore_op);
	struct pod_container_config *list = arena_new(&op->arena, n_containers + 1, sizeof(*list)), *one;
	struct pod_config *copy = NULL;

	op->location = arena_strdup(&op->arena, archive);
	op->out = (struct buf)BUF_INIT(1 << 20);
	if (config && pod_config_copy(config, &op->arena, &copy, &op->err) < 0)
		op->run = pod_op_fail;
	op->pod_config = copy;
	for (size_t i = 0; i < n_containers && op->run != pod_op_fail; i++) {
		if (pod_container_config_copy(&containers[i], &op->arena, &one, &op->err) < 0)
			op->run = pod_op_fail;
		else
			list[op->n_containers++] = *one;
	}
	op->containers = list;
	return pod_op_submit(op, done, user);
}
