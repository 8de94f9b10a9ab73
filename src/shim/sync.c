/*
 * caisson.shim.v1.Shim: what the daemon needs beyond containerd's API. Loop thread.
 *
 * ExecSync is Exec, Start, Wait and Delete in one call: a probe costs one round trip, and one
 * that is over time takes its children with it. It ends in one of three ways: start failed;
 * the process exited; it was killed, for its time or because its client went away, and then
 * exited. Nobody reads what a probe without a client says, so it is not left to run.
 */
#include "shim/service.h"

#include "shim/task.h"

#include "caisson-shim.pb-c.h"

struct sync {
	struct shim *shim;
	struct ttrpc_call *call;
	struct proc *proc;
	char *id, *exec_id;
	struct event_timer *timer;
	bool timed_out;
};

static void forget(struct sync *x)
{
	event_timer_free(x->timer);
	free(x->id);
	free(x->exec_id);
	free(x);
}

static void on_exited(const struct task_answer *answer, const struct err *err, void *user)
{
	Caisson__Shim__V1__ExecSyncResponse res = CAISSON__SHIM__V1__EXEC_SYNC_RESPONSE__INIT;
	struct sync *x = user;

	/* an error means that the exec was deleted by somebody else: then it is not ours to free */
	if (err) {
		ttrpc_call_fail(x->call, err);
	} else {
		res.exit_code = answer->code;
		res.timed_out = x->timed_out;
		task_exec_free(x->proc);
		ttrpc_call_reply_pb(x->call, &res.base);
	}
	forget(x);
}

static void on_time(void *user)
{
	struct sync *x = user;

	x->timed_out = true;
	task_exec_kill(x->proc);
}

static void on_left(void *user)
{
	struct sync *x = user;

	task_exec_kill(x->proc);
}

/* The start failed: its exit (126, 127) comes as well, and only says that it may be freed. */
static void on_failed_exited(const struct task_answer *answer, const struct err *err, void *user)
{
	if (!err)
		task_exec_free(user);
}

static void on_started(const struct task_answer *answer, const struct err *err, void *user)
{
	Caisson__Shim__V1__ExecSyncResponse res = CAISSON__SHIM__V1__EXEC_SYNC_RESPONSE__INIT;
	struct sync *x = user;

	if (!err) {
		task_wait(x->shim, x->id, x->exec_id, on_exited, x);
		return;
	}
	/* killed before it was the command: what the killed one says is no reason that anybody knows */
	if (x->timed_out) {
		res.timed_out = true;
		ttrpc_call_reply_pb(x->call, &res.base);
	} else {
		ttrpc_call_fail(x->call, err);
	}
	if (x->proc->exited)
		task_wait(x->shim, x->id, x->exec_id, on_failed_exited, x->proc);
	else
		task_exec_free(x->proc);
	forget(x);
}

static void on_exec_sync(struct ttrpc_call *call, const void *request, void *user)
{
	const Caisson__Shim__V1__ExecSyncRequest *req = request;
	struct task_exec what = {
		.id = req->id,
		.exec_id = req->exec_id,
		.spec = req->process.data,
		.n_spec = req->process.len,
		.ephemeral = true,
		.out = req->stdout,
		.err = req->stderr,
	};
	struct err err = ERR_INIT;
	struct sync *x;
	struct proc *p;

	if (task_exec(user, &what, &p, &err) < 0) {
		ttrpc_call_fail(call, &err);
		return;
	}
	x = mem_new(1, sizeof(*x));
	x->shim = user;
	x->call = call;
	x->proc = p;
	x->id = mem_strdup(req->id);
	x->exec_id = mem_strdup(req->exec_id);
	ttrpc_call_on_cancel(call, on_left, x);
	/* from the request's coming, so that a slow start counts */
	event_timer_new(x->shim->loop, req->timeout > 0 ? time_now_mono() + req->timeout : INT64_MAX, on_time, x,
			&x->timer);
	task_start(user, x->id, x->exec_id, on_started, x);
}

static void on_reopen_log(struct ttrpc_call *call, const void *request, void *user)
{
	const Caisson__Shim__V1__ReopenLogRequest *req = request;
	Google__Protobuf__Empty res = GOOGLE__PROTOBUF__EMPTY__INIT;
	struct err err = ERR_INIT;
	struct proc *p = task_find_proc(user, req->id, "", &err);

	if (p)
		stdio_reopen_logs(&p->io, &err);
	if (err.kind)
		ttrpc_call_fail(call, &err);
	else
		ttrpc_call_reply_pb(call, &res.base);
}

static void on_attach(struct ttrpc_call *call, const void *request, void *user)
{
	const Caisson__Shim__V1__AttachRequest *req = request;
	Google__Protobuf__Empty res = GOOGLE__PROTOBUF__EMPTY__INIT;
	struct err err = ERR_INIT;
	struct proc *p = task_find_proc(user, req->id, "", &err);

	if (p)
		stdio_attach(&p->io, req->stdout, req->stderr, &err);
	if (err.kind)
		ttrpc_call_fail(call, &err);
	else
		ttrpc_call_reply_pb(call, &res.base);
}

static void reply_adopt(const struct task_answer *answer, const char *lost, const struct err *err, void *user)
{
	Caisson__Shim__V1__AdoptResponse res = CAISSON__SHIM__V1__ADOPT_RESPONSE__INIT;

	if (err) {
		ttrpc_call_fail(user, err);
		return;
	}
	res.pid = (uint32_t)answer->pid;
	res.lost = (char *)lost;
	ttrpc_call_reply_pb(user, &res.base);
}

static void on_adopt(struct ttrpc_call *call, const void *request, void *user)
{
	const Caisson__Shim__V1__AdoptRequest *req = request;
	struct task_adopt what = {
		.id = req->id, .bundle = req->bundle, .root = req->root, .terminal = req->terminal,
		.in = req->stdin, .out = req->stdout, .err = req->stderr, .keeper = req->keeper,
	};

	for (size_t i = 0; i < SHIM_STREAMS; i++)
		what.kept[i] = i < req->n_kept ? req->kept[i] : -EBADF;
	task_adopt(user, &what, reply_adopt, call);
}

const struct ttrpc_method service_shim_methods[] = {
	{ .name = "Adopt", .pb = on_adopt, .request = &caisson__shim__v1__adopt_request__descriptor },
	{ .name = "Attach", .pb = on_attach, .request = &caisson__shim__v1__attach_request__descriptor },
	{ .name = "ReopenLog", .pb = on_reopen_log, .request = &caisson__shim__v1__reopen_log_request__descriptor },
	{ .name = "ExecSync", .pb = on_exec_sync, .request = &caisson__shim__v1__exec_sync_request__descriptor },
};
const size_t service_n_shim_methods = ARRAY_LEN(service_shim_methods);
