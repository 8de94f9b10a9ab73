/*
 * The table of containers; create, delete, pause, update. Loop thread, but for the functions
 * named …_job, which run in a forked child.
 *
 * Invariant: a task that is not `visible` is being created, and only delete finds it.
 */
#include "shim/task.h"

#include "shim/events.h"
#include "shim/op.h"
#include "shim/record.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#define DEFAULT_ROOT "/run/caisson-oci"

/* ---- operations ---- */

struct op *op_new(struct task *t, struct proc *p, task_done_fn done, void *user)
{
	struct op *op = mem_new(1, sizeof(*op));

	op->task = t;
	op->proc = p;
	op->done = done;
	op->user = user;
	return op;
}

static void op_answer(struct op *op, const struct err *err)
{
	struct task_answer answer = { op->proc->pid, op->proc->code, op->proc->exited_at };

	op->done(&answer, err, op->user);
	arena_done(&op->arena);
	free(op->payload);
	free(op);
}

void op_run(struct op *op, job_fn fn, const struct job_io *io, job_done_fn done)
{
	struct job_result res = { 0 };
	struct task *t = op->task;

	t->n_jobs++;
	res.r = job_start(t->shim, fn, io, done, op, &res.err);
	/* as if the job had failed: one way to end */
	if (res.r < 0)
		done(&res, op);
}

void op_end(struct op *op, const struct err *err)
{
	struct task *t = op->task;

	t->n_jobs--;
	op_answer(op, err);
	task_advance_delete(t);
}

/* ---- finding ---- */

struct task *task_find(struct shim *s, const char *id, struct err *err)
{
	struct task *t = map_get(&s->tasks, id);

	if (!t || !t->visible) {
		err_set(err, ERR_NOT_FOUND, "container %s: not found", id);
		return NULL;
	}
	return t;
}

struct proc *task_find_proc(struct shim *s, const char *id, const char *exec_id, struct err *err)
{
	struct task *t = task_find(s, id, err);

	if (!t)
		return NULL;
	if (str_empty(exec_id))
		return &t->init;
	list_for_each(p, &t->execs, struct proc, link)
		if (str_eq(p->exec_id, exec_id))
			return p;
	err_set(err, ERR_NOT_FOUND, "exec %s of container %s: not found", exec_id, id);
	return NULL;
}

enum shim_status task_status(const struct proc *p)
{
	if (p->status == SHIM_RUNNING && p->task->paused)
		return SHIM_PAUSED;
	return p->status;
}

/* ---- out of memory ---- */

static void check_oom(struct task *t)
{
	uint64_t kills;

	if (!t->cgroup || cgroup_oom_kills(t->cgroup, &kills, NULL) < 0 || kills <= t->oom_kills)
		return;
	t->oom_kills = kills;
	t->oom_killed = true;
	events_oom(t);
}

static void on_oom(uint32_t events, void *user)
{
	struct task *t = user;

	cgroup_watch_drain(t->oom_fd);
	check_oom(t);
}

static void unwatch_oom(struct task *t)
{
	event_fd_free(take_ptr(&t->oom_source));
	fd_drop(&t->oom_fd);
}

void task_open_cgroup(struct task *t, const char *path)
{
	const struct cgroup_host *host;
	struct err err = ERR_INIT;

	if (!path[0])
		return;
	if (cgroup_host_get(&host, &err) < 0 || cgroup_open(host, path, &t->cgroup, &err) < 0) {
		shim_log(t->shim, "%s: cgroup: %s", t->id, err.text);
		return;
	}
	/* a host without the memory controller has nothing to watch */
	if (cgroup_oom_watch(t->cgroup, &t->oom_fd, NULL) == 0)
		event_fd_new(t->shim->loop, t->oom_fd, EPOLLIN, on_oom, t, &t->oom_source);
	else
		t->oom_fd = -EBADF;
}

void task_init_exited(struct task *t)
{
	check_oom(t);
	unwatch_oom(t);
	t->paused = false;
	/*
	 * The kernel kills a pid namespace with its init. In one that is shared (with the pod,
	 * with the host) nobody does, and processes of a container that is over would run on.
	 */
	if (!t->pid_ns_init && t->cgroup) {
		struct err err = ERR_INIT;

		if (cgroup_kill(t->cgroup, SIGKILL, &err) < 0)
			shim_log(t->shim, "%s: kill what is left: %s", t->id, err.text);
	}
}

/* ---- create ---- */

void task_free(struct task *t)
{
	if (!t)
		return;
	map_remove(&t->shim->tasks, t->id);
	unwatch_oom(t);
	list_for_each(p, &t->execs, struct proc, link)
		task_exec_free(p);
	proc_done(&t->init);
	cgroup_free(t->cgroup);
	arena_done(&t->arena);
	free(t->id);
	free(t->bundle);
	free(t->checkpoint);
	free(t->root);
	free(t);
}

/* "NSpid: 4711 1": 1 at the end is the init of its innermost pid namespace. */
static bool is_pid_ns_init(pid_t pid)
{
	char path[40], text[4096], *line, *end, *last;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (sys_file_read_text(AT_FDCWD, path, text, sizeof(text)) < 0 || !(line = strstr(text, "\nNSpid:")))
		return false;
	line++;
	end = strchr(line, '\n');
	if (end)
		*end = '\0';
	last = strrchr(line, '\t');
	return last && str_eq(last, "\t1");
}

int task_describe(const struct task *t, struct job_result *ret, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct runtime_state state;
	int r = runtime_state(t->root, t->id, &a, &state, err);

	if (r < 0)
		return r;
	if (state.oci.pid)
		ret->pid = state.oci.pid;
	ret->pid_ns_init = is_pid_ns_init(ret->pid);
	ret->paused = str_eq(state.oci.status, "paused");
	ret->ticks = state.start_ticks;
	if (state.cgroup_path && strlen(state.cgroup_path) < sizeof(ret->cgroup))
		strcpy(ret->cgroup, state.cgroup_path);
	return 0;
}

static int create_job(void *user, struct job_result *ret, struct err *err)
{
	struct op *op = user;
	struct task *t = op->task;
	struct runtime_create what = RUNTIME_CREATE_INIT;
	int r;

	r = record_write_root(t->bundle, t->root, err);
	if (r == 0 && t->n_mounts)
		r = rootfs_mount(t->mounts, t->n_mounts, t->bundle, err);
	if (r < 0)
		return r;
	what.root = t->root;
	what.id = t->id;
	what.bundle = t->bundle;
	what.overlay = t->overlay.n_lowers ? &t->overlay : NULL;
	what.no_pivot = t->no_pivot;
	what.no_new_keyring = t->no_new_keyring;
	what.systemd_cgroup = t->systemd_cgroup;
	if (t->init.io.terminal)
		what.console_socket = JOB_CONSOLE_FD;
	if (t->checkpoint) {
		struct runtime_restore restore = RUNTIME_RESTORE_INIT;

		restore.create = what;
		restore.images.path = t->checkpoint;
		restore.images.work_path = t->bundle;
		restore.images.criu = t->shim->options->criu;
		restore.images.tcp_established = restore.images.ext_unix_sk = restore.images.file_locks = true;
		r = runtime_restore(&restore, &ret->pid, err);
	} else {
		r = runtime_create(&what, &ret->pid, err);
	}
	if (r < 0) {
		if (t->n_mounts)
			rootfs_unmount(t->bundle, NULL);
		return r;
	}
	task_describe(t, ret, NULL);
	record_write_init(t->bundle, ret->pid, ret->ticks, NULL);
	return 0;
}

static int delete_job(void *user, struct job_result *ret, struct err *err)
{
	struct op *op = user;
	struct task *t = op->task;
	int r = runtime_delete(t->root, t->id, true, err);

	if (r == 0 && t->n_mounts)
		r = rootfs_unmount(t->bundle, err);
	return r;
}

/* After a create that failed half way: whatever it says, the task is gone. */
static void undo_done(struct job_result *res, void *user)
{
	struct op *op = user;
	struct task *t = op->task;
	struct err err = ERR_INIT;

	err_set(&err, ERR_INTERNAL, "the runtime died while it created the container");
	if (res->r < 0)
		shim_log(t->shim, "%s: undo create: %s", t->id, res->err.text);
	op_answer(op, &err);
	if (t->deleter)
		op_answer(take_ptr(&t->deleter), NULL);
	task_free(t);
}

static void create_done(struct job_result *res, void *user)
{
	struct op *op = user;
	struct task *t = op->task;
	struct proc *p = &t->init;
	struct shim_stream_at streams[SHIM_STREAMS];
	struct err err = ERR_INIT;

	if (res->crashed) {
		t->creator = NULL;
		op_run(op, delete_job, NULL, undo_done);
		return;
	}
	if (res->r < 0) {
		op_answer(op, &res->err);
		if (t->deleter)
			op_answer(take_ptr(&t->deleter), NULL);
		task_free(t);
		return;
	}
	t->visible = true;
	t->pid_ns_init = res->pid_ns_init;
	task_open_cgroup(t, res->cgroup);
	p->status = SHIM_CREATED;
	proc_born(p, res->pid);
	if (stdio_started(&p->io, &err) < 0 && p->alive)
		proc_kill(p, SIGKILL);
	if (stdio_describe(&p->io, streams))
		record_write_streams(t->bundle, streams, NULL);
	events_create(t);
	t->creator = NULL;
	/* a delete that waits goes no further than killing it: t stays until its exit */
	op_end(op, err.kind ? &err : NULL);
	proc_settled(p);
}

static int plan_rootfs(struct task *t, const struct task_create *what, struct err *err)
{
	int r = 0;

	if (what->n_mounts == 1 && str_eq(what->mounts[0].type, "overlay") &&
	    str_empty(what->mounts[0].target))
		r = rootfs_parse_overlay(what->mounts[0].options, what->mounts[0].n_options, &t->arena,
					 &t->overlay, err);
	if (r != 0)
		return r < 0 ? err_wrap(err, r, "rootfs") : 0;
	t->n_mounts = what->n_mounts;
	t->mounts = arena_new(&t->arena, what->n_mounts, sizeof(*t->mounts));
	for (size_t i = 0; i < what->n_mounts; i++) {
		const struct rootfs_mount *m = &what->mounts[i];
		const char **options = arena_new(&t->arena, m->n_options, sizeof(char *));

		for (size_t k = 0; k < m->n_options; k++)
			options[k] = arena_strdup(&t->arena, m->options[k]);
		t->mounts[i] = (struct rootfs_mount){
			arena_strdup(&t->arena, m->type), arena_strdup(&t->arena, m->source),
			arena_strdup(&t->arena, m->target), options, m->n_options,
		};
	}
	return 0;
}

struct task *task_new(struct shim *s, const struct task_create *what)
{
	struct task *t = mem_new(1, sizeof(*t));

	t->shim = s;
	t->id = mem_strdup(what->id);
	t->bundle = mem_strdup(what->bundle);
	if (!str_empty(what->root))
		t->root = mem_strdup(what->root);
	else if (!str_empty(s->options->runtime_root))
		t->root = mem_strdup(s->options->runtime_root);
	else
		t->root = mem_printf("%s/%s", DEFAULT_ROOT, s->options->ns);
	list_init(&t->execs);
	t->oom_fd = -EBADF;
	t->no_pivot = what->no_pivot;
	t->no_new_keyring = what->no_new_keyring;
	t->systemd_cgroup = what->systemd_cgroup;
	t->checkpoint = str_empty(what->checkpoint) ? NULL : mem_strdup(what->checkpoint);
	proc_init(&t->init, t, "");
	stdio_init(&t->init.io, s, what->terminal, what->in, what->out, what->err);
	return t;
}

void task_create(struct shim *s, const struct task_create *what, task_done_fn done, void *user)
{
	struct err err = ERR_INIT;
	struct task *t;

	if (!str_is_id(what->id, 128))
		err_set(&err, ERR_INVALID, "container id %s: not an identifier", what->id);
	else if (what->bundle[0] != '/')
		err_set(&err, ERR_INVALID, "bundle %s: not an absolute path", what->bundle);
	else if (map_get(&s->tasks, what->id))
		err_set(&err, ERR_EXISTS, "container %s exists", what->id);
	if (err.kind) {
		done(NULL, &err, user);
		return;
	}
	t = task_new(s, what);
	map_put(&s->tasks, t->id, t);
	if (plan_rootfs(t, what, &err) < 0 || stdio_open(&t->init.io, &err) < 0) {
		task_free(t);
		done(NULL, &err, user);
		return;
	}
	t->init.busy = true;
	t->creator = op_new(t, &t->init, done, user);
	op_run(t->creator, create_job, &t->init.io.job, create_done);
}

/* ---- delete ---- */

static void delete_done(struct job_result *res, void *user)
{
	struct op *op = user;
	struct task *t = op->task;

	t->n_jobs--;
	t->deleter = NULL;
	if (res->r < 0) {
		op_answer(op, &res->err);
		return;
	}
	events_delete(op->proc);
	op_answer(op, NULL);
	task_free(t);
}

void task_advance_delete(struct task *t)
{
	if (!t->deleter || t->n_jobs)
		return;
	/* created and never started: it waits for the start that will not come */
	if (t->init.alive) {
		proc_kill(&t->init, SIGKILL);
		return;
	}
	if (t->init.status != SHIM_STOPPED)
		return;
	list_for_each(p, &t->execs, struct proc, link)
		if (p->alive || (p->exited && p->status != SHIM_STOPPED))
			return;
	op_run(t->deleter, delete_job, NULL, delete_done);
}

static void delete_exec(struct proc *p, task_done_fn done, void *user)
{
	struct err err = ERR_INIT;
	struct task_answer answer = { p->pid, p->code, p->exited_at };

	if (p->busy || (p->status != SHIM_STOPPED && p->status != SHIM_CREATED)) {
		err_set(&err, ERR_STATE, "exec %s: it is running", p->exec_id);
		done(NULL, &err, user);
		return;
	}
	task_exec_free(p);
	done(&answer, NULL, user);
}

void task_delete(struct shim *s, const char *id, const char *exec_id, task_done_fn done, void *user)
{
	struct task *t = map_get(&s->tasks, id);
	struct err err = ERR_INIT;

	if (!str_empty(exec_id)) {
		struct proc *p = task_find_proc(s, id, exec_id, &err);

		if (p)
			delete_exec(p, done, user);
		else
			done(NULL, &err, user);
		return;
	}
	if (!t)
		err_set(&err, ERR_NOT_FOUND, "container %s: not found", id);
	else if (t->deleter)
		err_set(&err, ERR_STATE, "container %s: it is being deleted", id);
	else if (t->init.status == SHIM_RUNNING)
		err_set(&err, ERR_STATE, "container %s: it is running", id);
	if (err.kind) {
		done(NULL, &err, user);
		return;
	}
	t->deleter = op_new(t, &t->init, done, user);
	/* a create or exec that hangs (a hook, a FIFO without reader) is ended */
	if (t->creator)
		job_cancel(s, t->creator);
	list_for_each(p, &t->execs, struct proc, link)
		if (p->starter)
			job_cancel(s, p->starter);
	task_advance_delete(t);
}

/* ---- pause, update ---- */

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

void task_kill_all(struct shim *s)
{
	struct task *t;

	for (size_t i = 0; (t = map_next(&s->tasks, &i));) {
		if (t->init.alive)
			proc_kill(&t->init, SIGKILL);
		list_for_each(p, &t->execs, struct proc, link)
			if (p->alive)
				proc_kill(p, SIGKILL);
	}
}
