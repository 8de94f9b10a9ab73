/*
 * A container's beginning, whole or not at all. Loop thread, but for the functions named …_job,
 * which run in a forked child.
 */
#include "shim/op.h"

#include "shim/events.h"
#include "shim/record.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

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
		op_run(op, task_delete_job, NULL, undo_done);
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
