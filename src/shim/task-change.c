/*
 * What is done to a container that runs: pause, update, checkpoint. Loop thread, but for the
 * functions named …_job, which run in a forked child.
 */
#include "shim/op.h"

#include "shim/events.h"

static int pause_job(void *user, struct job_result *ret, struct err *err)
{
	struct op *op = user;

	return (op->number ? runtime_pause : runtime_resume)(op->task->root, op->task->id, err);
}

static void pause_done(struct job_result *res, void *user)
{
	struct op *op = user;

	if (res->r == 0) {
		op->task->paused = op->number;
		events_paused(op->task, op->number);
	}
	op_end(op, res->r < 0 ? &res->err : NULL);
}

static void on_running(struct shim *s, const char *id, int number, const uint8_t *payload, size_t n_payload,
		       job_fn fn, job_done_fn job_done, task_done_fn done, void *user)
{
	struct err err = ERR_INIT;
	struct task *t = task_find(s, id, &err);
	struct op *op;

	if (t && (!t->init.alive || t->deleter))
		err_set(&err, ERR_STATE, "container %s: it is not running", id);
	if (err.kind) {
		done(NULL, &err, user);
		return;
	}
	op = op_new(t, &t->init, done, user);
	op->number = number;
	op->payload = mem_new(n_payload + 1, 1);
	if (n_payload)
		memcpy(op->payload, payload, n_payload);
	op->n_payload = n_payload;
	op_run(op, fn, NULL, job_done);
}

void task_pause(struct shim *s, const char *id, bool pause, task_done_fn done, void *user)
{
	on_running(s, id, pause, NULL, 0, pause_job, pause_done, done, user);
}

static int update_job(void *user, struct job_result *ret, struct err *err)
{
	struct op *op = user;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct oci_resources resources;
	int r = json_read(&oci_resources_type, op->payload, op->n_payload, &a, &resources, err);

	if (r < 0)
		return err_wrap(err, r, "resources");
	return runtime_update(op->task->root, op->task->id, &resources, err);
}

static int checkpoint_job(void *user, struct job_result *ret, struct err *err)
{
	struct op *op = user;

	return runtime_checkpoint(&op->checkpoint, err);
}

static void checkpoint_done(struct job_result *res, void *user)
{
	struct op *op = user;

	if (res->r == 0)
		events_checkpointed(op->task, op->checkpoint.images.path);
	op_end(op, res->r < 0 ? &res->err : NULL);
}

static const char *given(const char *s, struct arena *a)
{
	return str_empty(s) ? NULL : arena_strdup(a, s);
}

void task_checkpoint(struct shim *s, const struct task_checkpoint *what, task_done_fn done, void *user)
{
	struct err err = ERR_INIT;
	struct task *t = task_find(s, what->id, &err);
	struct op *op;

	if (t && (!t->init.alive || t->deleter || t->init.status != SHIM_RUNNING))
		err_set(&err, ERR_STATE, "container %s: it is not running", what->id);
	else if (t && what->path[0] != '/')
		err_set(&err, ERR_INVALID, "path of the checkpoint %s: not an absolute path", what->path);
	if (err.kind) {
		done(NULL, &err, user);
		return;
	}
	op = op_new(t, &t->init, done, user);
	op->checkpoint = (struct runtime_checkpoint)RUNTIME_CHECKPOINT_INIT;
	op->checkpoint.root = t->root;
	op->checkpoint.id = t->id;
	op->checkpoint.leave_running = !what->exit;
	op->checkpoint.parent_path = given(what->parent_path, &op->arena);
	op->checkpoint.images = (struct runtime_images){
		.path = arena_strdup(&op->arena, what->path), .work_path = given(what->work_path, &op->arena),
		.criu = s->options->criu, .tcp_established = what->tcp_established,
		.ext_unix_sk = what->ext_unix_sk, .shell_job = what->shell_job, .file_locks = what->file_locks,
	};
	op_run(op, checkpoint_job, NULL, checkpoint_done);
}

static void update_done(struct job_result *res, void *user)
{
	op_end(user, res->r < 0 ? &res->err : NULL);
}

void task_update(struct shim *s, const char *id, const uint8_t *resources, size_t len, task_done_fn done,
		 void *user)
{
	on_running(s, id, 0, resources, len, update_job, update_done, done, user);
}
