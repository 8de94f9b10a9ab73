/*
 * containerd's task service: wire messages ↔ task calls. Loop thread.
 *
 * Each handler checks nothing that task.c checks. Requests come from whoever may open the
 * socket (0600), and are well-formed protobuf with proper strings when they get here.
 */
#include "shim/service.h"

#include "shim/events.h"
#include "shim/stats.h"
#include "shim/task.h"

#include "runc-options.pb-c.h"
#include "shim.pb-c.h"

#include <stdio.h>

#define TASK(name) Containerd__Task__V2__##name

/* ---- answers ---- */

static void reply_empty(const struct task_answer *answer, const struct err *err, void *user)
{
	Google__Protobuf__Empty res = GOOGLE__PROTOBUF__EMPTY__INIT;

	if (err)
		ttrpc_call_fail(user, err);
	else
		ttrpc_call_reply_pb(user, &res.base);
}

static void reply_create(const struct task_answer *answer, const struct err *err, void *user)
{
	TASK(CreateTaskResponse) res = CONTAINERD__TASK__V2__CREATE_TASK_RESPONSE__INIT;

	if (err) {
		ttrpc_call_fail(user, err);
		return;
	}
	res.pid = (uint32_t)answer->pid;
	ttrpc_call_reply_pb(user, &res.base);
}

static void reply_start(const struct task_answer *answer, const struct err *err, void *user)
{
	TASK(StartResponse) res = CONTAINERD__TASK__V2__START_RESPONSE__INIT;

	if (err) {
		ttrpc_call_fail(user, err);
		return;
	}
	res.pid = (uint32_t)answer->pid;
	ttrpc_call_reply_pb(user, &res.base);
}

static Google__Protobuf__Timestamp timestamp(int64_t real)
{
	Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	t.seconds = real / NSEC_PER_SEC;
	t.nanos = (int32_t)(real % NSEC_PER_SEC);
	return t;
}

static void reply_delete(const struct task_answer *answer, const struct err *err, void *user)
{
	TASK(DeleteResponse) res = CONTAINERD__TASK__V2__DELETE_RESPONSE__INIT;
	Google__Protobuf__Timestamp at;

	if (err) {
		ttrpc_call_fail(user, err);
		return;
	}
	at = timestamp(answer->exited_at);
	res.pid = (uint32_t)answer->pid;
	res.exit_status = (uint32_t)answer->code;
	if (answer->exited_at)
		res.exited_at = &at;
	ttrpc_call_reply_pb(user, &res.base);
}

struct waiting {
	struct shim *shim;
	struct ttrpc_call *call;
};

static void reply_wait(const struct task_answer *answer, const struct err *err, void *user)
{
	TASK(WaitResponse) res = CONTAINERD__TASK__V2__WAIT_RESPONSE__INIT;
	Google__Protobuf__Timestamp at;
	autofree struct waiting *w = user;

	ttrpc_call_on_cancel(w->call, NULL, NULL);
	if (err) {
		ttrpc_call_fail(w->call, err);
		return;
	}
	at = timestamp(answer->exited_at);
	res.exit_status = (uint32_t)answer->code;
	res.exited_at = &at;
	ttrpc_call_reply_pb(w->call, &res.base);
}

/* A Wait may stand for days: a client that went away must not be remembered for as long. */
static void on_wait_cancelled(void *user)
{
	autofree struct waiting *w = user;

	task_unwait(w->shim, w);
	ttrpc_call_fail_text(w->call, RPC_CANCELLED, "the client went away");
}

/* ---- create ---- */

/* containerd.runc.v1.Options of whatever package version; other types are not for us. */
static Containerd__Runc__V1__Options *options_of(const Google__Protobuf__Any *any, struct err *err)
{
	ProtobufCMessage *m;

	if (!any || !str_has_suffix(any->type_url, "containerd.runc.v1.Options"))
		return NULL;
	if (rpc_pb_unpack(&containerd__runc__v1__options__descriptor, any->value.data, any->value.len, &m, err) < 0)
		return NULL;
	return (Containerd__Runc__V1__Options *)m;
}

static void on_create(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(CreateTaskRequest) *req = request;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	CLEANUP(rpc_pb_free_ptr) Containerd__Runc__V1__Options *o = options_of(req->options, &err);
	struct rootfs_mount *mounts = arena_new(&a, req->n_rootfs, sizeof(*mounts));
	struct task_create what = {
		.id = req->id,
		.bundle = req->bundle,
		.mounts = mounts,
		.n_mounts = req->n_rootfs,
		.terminal = req->terminal,
		.in = req->stdin,
		.out = req->stdout,
		.err = req->stderr,
		.checkpoint = req->checkpoint,
	};

	if (!err.kind && !str_empty(req->parent_checkpoint))
		err_set(&err, ERR_UNSUPPORTED, "a parent checkpoint: its images are to be below the checkpoint's own");
	if (err.kind) {
		ttrpc_call_fail(call, &err);
		return;
	}
	for (size_t i = 0; i < req->n_rootfs; i++) {
		const Containerd__Types__Mount *m = req->rootfs[i];

		mounts[i] = (struct rootfs_mount){ m->type, m->source, m->target,
						   (const char *const *)m->options, m->n_options };
	}
	if (o) {
		what.root = o->root;
		what.no_pivot = o->no_pivot_root;
		what.no_new_keyring = o->no_new_keyring;
		what.systemd_cgroup = o->systemd_cgroup;
	}
	task_create(user, &what, reply_create, call);
}

/* ---- the others ---- */

static void on_start(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(StartRequest) *req = request;

	task_start(user, req->id, req->exec_id, reply_start, call);
}

static void on_delete(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(DeleteRequest) *req = request;

	task_delete(user, req->id, req->exec_id, reply_delete, call);
}

static void on_exec(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(ExecProcessRequest) *req = request;
	struct task_exec what = {
		.id = req->id,
		.exec_id = req->exec_id,
		.terminal = req->terminal,
		.in = req->stdin,
		.out = req->stdout,
		.err = req->stderr,
	};
	struct err err = ERR_INIT;
	struct proc *p;

	if (!req->spec)
		err_set(&err, ERR_INVALID, "exec %s: no process", req->exec_id);
	else {
		what.spec = req->spec->value.data;
		what.n_spec = req->spec->value.len;
		task_exec(user, &what, &p, &err);
	}
	reply_empty(NULL, err.kind ? &err : NULL, call);
}

static void on_state(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(StateRequest) *req = request;
	TASK(StateResponse) res = CONTAINERD__TASK__V2__STATE_RESPONSE__INIT;
	Google__Protobuf__Timestamp at;
	struct err err = ERR_INIT;
	struct proc *p = task_find_proc(user, req->id, req->exec_id, &err);

	if (!p) {
		ttrpc_call_fail(call, &err);
		return;
	}
	at = timestamp(p->exited_at);
	res.id = p->task->id;
	res.bundle = p->task->bundle;
	res.pid = (uint32_t)p->pid;
	res.status = (Containerd__V1__Types__Status)task_status(p);
	res.stdin = p->io.in ? p->io.in : (char *)"";
	res.stdout = p->io.out ? p->io.out : "";
	res.stderr = p->io.err ? p->io.err : "";
	res.terminal = p->io.terminal;
	res.exec_id = p->exec_id;
	if (p->status == SHIM_STOPPED) {
		res.exit_status = (uint32_t)p->code;
		res.exited_at = &at;
	}
	ttrpc_call_reply_pb(call, &res.base);
}

static void on_kill(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(KillRequest) *req = request;

	task_kill(user, req->id, req->exec_id, (int)req->signal, req->all, reply_empty, call);
}

static void on_pause(struct ttrpc_call *call, const void *request, void *user)
{
	task_pause(user, ((const TASK(PauseRequest) *)request)->id, true, reply_empty, call);
}

static void on_resume(struct ttrpc_call *call, const void *request, void *user)
{
	task_pause(user, ((const TASK(ResumeRequest) *)request)->id, false, reply_empty, call);
}

static void on_checkpoint(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(CheckpointTaskRequest) *req = request;
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *options = NULL;
	struct task_checkpoint what = { .id = req->id, .path = req->path };
	const Containerd__Runc__V1__CheckpointOptions *o;
	struct err err = ERR_INIT;

	if (req->options && str_has_suffix(req->options->type_url, "containerd.runc.v1.CheckpointOptions") &&
	    rpc_pb_unpack(&containerd__runc__v1__checkpoint_options__descriptor, req->options->value.data,
			  req->options->value.len, &options, &err) < 0) {
		ttrpc_call_fail(call, &err);
		return;
	}
	o = (const void *)options;
	if (o) {
		what.exit = o->exit;
		what.tcp_established = o->open_tcp;
		what.ext_unix_sk = o->external_unix_sockets;
		what.shell_job = o->terminal;
		what.file_locks = o->file_locks;
		what.work_path = o->work_path;
		what.parent_path = o->parent_path;
		if (!str_empty(o->image_path))
			what.path = o->image_path;
	}
	task_checkpoint(user, &what, reply_empty, call);
}

static void on_resize(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(ResizePtyRequest) *req = request;
	struct err err = ERR_INIT;
	struct proc *p = task_find_proc(user, req->id, req->exec_id, &err);

	if (p)
		stdio_resize(&p->io, req->width, req->height, &err);
	reply_empty(NULL, err.kind ? &err : NULL, call);
}

static void on_close_io(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(CloseIORequest) *req = request;
	struct err err = ERR_INIT;
	struct proc *p = task_find_proc(user, req->id, req->exec_id, &err);

	if (p && req->stdin)
		stdio_close_in(&p->io);
	reply_empty(NULL, err.kind ? &err : NULL, call);
}

static void on_update(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(UpdateTaskRequest) *req = request;
	struct err err = ERR_INIT;

	if (!req->resources) {
		err_set(&err, ERR_INVALID, "container %s: no resources", req->id);
		ttrpc_call_fail(call, &err);
		return;
	}
	task_update(user, req->id, req->resources->value.data, req->resources->value.len, reply_empty, call);
}

static void on_wait(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(WaitRequest) *req = request;
	struct waiting *w = mem_new(1, sizeof(*w));

	w->shim = user;
	w->call = call;
	ttrpc_call_on_cancel(call, on_wait_cancelled, w);
	task_wait(user, req->id, req->exec_id, reply_wait, w);
}

static void on_pids(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(PidsRequest) *req = request;
	TASK(PidsResponse) res = CONTAINERD__TASK__V2__PIDS_RESPONSE__INIT;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct task *t = task_find(user, req->id, &err);
	autofree pid_t *pids = NULL;
	size_t n = 0;

	if (t && t->cgroup)
		cgroup_pids(t->cgroup, &pids, &n, &err);
	if (err.kind) {
		ttrpc_call_fail(call, &err);
		return;
	}
	res.processes = arena_new(&a, n, sizeof(*res.processes));
	for (size_t i = 0; i < n; i++) {
		Containerd__V1__Types__ProcessInfo *info = arena_new(&a, 1, sizeof(*info));

		*info = (Containerd__V1__Types__ProcessInfo)CONTAINERD__V1__TYPES__PROCESS_INFO__INIT;
		info->pid = (uint32_t)pids[i];
		list_for_each(p, &t->execs, struct proc, link) {
			Containerd__Runc__V1__ProcessDetails details = CONTAINERD__RUNC__V1__PROCESS_DETAILS__INIT;
			Google__Protobuf__Any *any;

			if (!p->alive || p->pid != pids[i])
				continue;
			details.exec_id = p->exec_id;
			any = arena_new(&a, 1, sizeof(*any));
			*any = (Google__Protobuf__Any)GOOGLE__PROTOBUF__ANY__INIT;
			any->type_url = "containerd.runc.v1.ProcessDetails";
			any->value.len = protobuf_c_message_get_packed_size(&details.base);
			any->value.data = arena_new(&a, any->value.len + 1, 1);
			protobuf_c_message_pack(&details.base, any->value.data);
			info->info = any;
		}
		res.processes[res.n_processes++] = info;
	}
	ttrpc_call_reply_pb(call, &res.base);
}

static void on_stats(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(StatsRequest) *req = request;
	TASK(StatsResponse) res = CONTAINERD__TASK__V2__STATS_RESPONSE__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	CLEANUP(buf_done) struct buf body = BUF_INIT(64 * 1024);
	struct err err = ERR_INIT;
	struct task *t = task_find(user, req->id, &err);
	struct cgroup_stats stats;
	const char *type = NULL;

	if (t && !t->cgroup)
		err_set(&err, ERR_UNSUPPORTED, "container %s: it has no cgroup", req->id);
	if (!err.kind && cgroup_stats(t->cgroup, &stats, &err) == 0) {
		uint64_t kills = t->oom_kills;

		cgroup_oom_kills(t->cgroup, &kills, NULL);
		stats_pack(&stats, cgroup_host_of(t->cgroup)->mode == CGROUP_V2, kills, &body, &type, &err);
	}
	if (err.kind) {
		ttrpc_call_fail(call, &err);
		return;
	}
	any.type_url = (char *)type;
	any.value.data = body.data;
	any.value.len = body.len;
	res.stats = &any;
	ttrpc_call_reply_pb(call, &res.base);
}

static void on_connect(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(ConnectRequest) *req = request;
	TASK(ConnectResponse) res = CONTAINERD__TASK__V2__CONNECT_RESPONSE__INIT;
	struct task *t = task_find(user, req->id, NULL);

	res.shim_pid = (uint32_t)getpid();
	res.task_pid = t ? (uint32_t)t->init.pid : 0;
	res.version = CAISSON_VERSION;
	ttrpc_call_reply_pb(call, &res.base);
}

static void on_shutdown(struct ttrpc_call *call, const void *request, void *user)
{
	const TASK(ShutdownRequest) *req = request;
	struct shim *s = user;

	reply_empty(NULL, NULL, call);
	/* containerd asks after each container of a group: others may still be there */
	if (req->now)
		task_kill_all(s);
	if (req->now || !s->tasks.n)
		shim_leave(s);
}

#define METHOD(name_, fn_, type_) \
	{ .name = name_, .pb = fn_, .request = &containerd__task__v2__##type_##__descriptor }

const struct ttrpc_method service_task_methods[] = {
	METHOD("State", on_state, state_request),
	METHOD("Create", on_create, create_task_request),
	METHOD("Start", on_start, start_request),
	METHOD("Delete", on_delete, delete_request),
	METHOD("Pids", on_pids, pids_request),
	METHOD("Pause", on_pause, pause_request),
	METHOD("Resume", on_resume, resume_request),
	METHOD("Checkpoint", on_checkpoint, checkpoint_task_request),
	METHOD("Kill", on_kill, kill_request),
	METHOD("Exec", on_exec, exec_process_request),
	METHOD("ResizePty", on_resize, resize_pty_request),
	METHOD("CloseIO", on_close_io, close_iorequest),
	METHOD("Update", on_update, update_task_request),
	METHOD("Wait", on_wait, wait_request),
	METHOD("Stats", on_stats, stats_request),
	METHOD("Connect", on_connect, connect_request),
	METHOD("Shutdown", on_shutdown, shutdown_request),
};
const size_t service_n_task_methods = ARRAY_LEN(service_task_methods);
