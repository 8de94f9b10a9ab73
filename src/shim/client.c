/*
 * The shim API from the daemon's side: one blocking call, one connection. Any thread.
 *
 * Answers come from a shim that may be any program: messages are checked and bounded by rpc;
 * numbers are checked here where something hangs on them.
 */
#include "shim/shim.h"

#include "rpc/rpc.h"
#include "sys/sys.h"

#include "caisson-shim.pb-c.h"
#include "runc-options.pb-c.h"
#include "shim.pb-c.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define TASK(name) Containerd__Task__V2__##name
#define TASK_SERVICE "containerd.task.v2.Task"
#define SHIM_SERVICE "caisson.shim.v1.Shim"

enum { DOCUMENT_MAX = 4 * 1024 * 1024 };

static char *text(const char *s)
{
	return (char *)(s ? s : "");
}

static int call(const char *address, const char *method, const ProtobufCMessage *request,
		const ProtobufCMessageDescriptor *type, int64_t deadline, ProtobufCMessage **ret, struct err *err)
{
	int r = fault_point("shim.%s", method);

	if (r < 0)
		return err_sysk(err, ERR_UNAVAILABLE, r, "shim: %s", method);
	r = ttrpc_call_once_pb(address, TASK_SERVICE, method, request, type, deadline, ret, err);
	(void)fault_point("shim.%s-done", method);
	return r < 0 ? err_wrap(err, r, "shim") : 0;
}

static int call_empty(const char *address, const char *method, const ProtobufCMessage *request,
		      int64_t deadline, struct err *err)
{
	return call(address, method, request, &google__protobuf__empty__descriptor, deadline, NULL, err);
}

static int64_t real_time(const Google__Protobuf__Timestamp *t)
{
	if (!t || t->seconds < 0 || t->seconds > INT64_MAX / NSEC_PER_SEC - 1 || t->nanos < 0 ||
	    t->nanos >= NSEC_PER_SEC)
		return 0;
	return t->seconds * NSEC_PER_SEC + t->nanos;
}

static int pid_of(uint32_t pid, pid_t *ret, struct err *err)
{
	if (!pid || pid > INT32_MAX)
		return err_set(err, ERR_CORRUPT, "shim: it answered with the pid %u", pid);
	*ret = (pid_t)pid;
	return 0;
}

int shim_who(const char *address, int64_t deadline, pid_t *ret, struct err *err)
{
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *res = NULL;
	TASK(ConnectRequest) req = CONTAINERD__TASK__V2__CONNECT_REQUEST__INIT;
	int r;

	req.id = (char *)"";
	r = call(address, "Connect", &req.base, &containerd__task__v2__connect_response__descriptor, deadline, &res,
		 err);
	return r < 0 ? r : pid_of(((const TASK(ConnectResponse) *)res)->shim_pid, ret, err);
}

/* ---- create ---- */

static char *join_lowers(const struct shim_create *what, struct arena *a)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(DOCUMENT_MAX);

	buf_puts(&b, "lowerdir=");
	for (size_t i = 0; i < what->n_lowers; i++) {
		if (i)
			buf_puts(&b, ":");
		for (const char *p = what->lowers[i]; *p; p++) {
			if (*p == ':' || *p == '\\')
				buf_puts(&b, "\\");
			buf_append(&b, p, 1);
		}
	}
	return arena_strdup(a, buf_text(&b));
}

/* As containerd says it. */
static char *join_maps(const char *key, const struct ns_id_map *maps, size_t n, struct arena *a)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(DOCUMENT_MAX);

	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s%c%u:%u:%u", i ? "" : key, i ? ',' : '=', maps[i].inside, maps[i].outside,
			   maps[i].size);
	return arena_strdup(a, buf_text(&b));
}

static char *make_stdin(const struct shim_create *what, struct arena *a, struct err *err)
{
	char *path = arena_printf(a, "%s/stdin", what->bundle);

	if (mkfifo(path, 0600) < 0 && errno != EEXIST) {
		err_sys(err, errno, "make %s", path);
		return NULL;
	}
	return path;
}

int shim_task_create(const char *address, const struct shim_create *what, int64_t deadline, pid_t *ret_pid,
		     struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf packed = BUF_INIT(4096);
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *res = NULL;
	TASK(CreateTaskRequest) req = CONTAINERD__TASK__V2__CREATE_TASK_REQUEST__INIT;
	Containerd__Types__Mount mount = CONTAINERD__TYPES__MOUNT__INIT, *mounts[] = { &mount };
	Containerd__Runc__V1__Options options = CONTAINERD__RUNC__V1__OPTIONS__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	char *mount_options[6];
	int r;

	req.id = text(what->id);
	req.bundle = text(what->bundle);
	req.terminal = what->terminal;
	req.checkpoint = text(what->checkpoint);
	if (what->stdin_open && !(req.stdin = make_stdin(what, &a, err)))
		return -EIO;
	if (what->log_path) {
		req.stdout = arena_printf(&a, "cri://%s", what->log_path);
		req.stderr = what->terminal ? (char *)"" : req.stdout;
	}
	if (what->n_lowers) {
		mount.type = "overlay";
		mount.source = "overlay";
		mount.options = mount_options;
		mount_options[mount.n_options++] = join_lowers(what, &a);
		if (what->upper) {
			mount_options[mount.n_options++] = arena_printf(&a, "upperdir=%s", what->upper);
			mount_options[mount.n_options++] = arena_printf(&a, "workdir=%s", what->work);
			mount_options[mount.n_options++] = "volatile";
		}
		if (what->n_uids) {
			mount_options[mount.n_options++] = join_maps("uidmap", what->uids, what->n_uids, &a);
			mount_options[mount.n_options++] = join_maps("gidmap", what->gids, what->n_gids, &a);
		}
		req.rootfs = mounts;
		req.n_rootfs = 1;
	}
	options.root = text(what->runtime_root);
	options.systemd_cgroup = what->systemd_cgroup;
	r = rpc_pb_pack(&options.base, &packed, err);
	if (r < 0)
		return r;
	any.type_url = "containerd.runc.v1.Options";
	any.value.data = packed.data;
	any.value.len = packed.len;
	req.options = &any;
	r = call(address, "Create", &req.base, &containerd__task__v2__create_task_response__descriptor,
		 deadline,
		 &res, err);
	return r < 0 ? r : pid_of(((TASK(CreateTaskResponse) *)res)->pid, ret_pid, err);
}

/* ---- the rest of a life ---- */

int shim_task_start(const char *address, const char *id, const char *exec_id, int64_t deadline,
		    pid_t *ret_pid,
		    struct err *err)
{
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *res = NULL;
	TASK(StartRequest) req = CONTAINERD__TASK__V2__START_REQUEST__INIT;
	pid_t pid = 0;
	int r;

	req.id = text(id);
	req.exec_id = text(exec_id);
	r = call(address, "Start", &req.base, &containerd__task__v2__start_response__descriptor, deadline,
		 &res,
		 err);
	if (r == 0)
		r = pid_of(((TASK(StartResponse) *)res)->pid, &pid, err);
	if (r == 0 && ret_pid)
		*ret_pid = pid;
	return r;
}

int shim_task_kill(const char *address, const char *id, const char *exec_id, int sig, bool all,
		   int64_t deadline, struct err *err)
{
	TASK(KillRequest) req = CONTAINERD__TASK__V2__KILL_REQUEST__INIT;

	req.id = text(id);
	req.exec_id = text(exec_id);
	req.signal = (uint32_t)sig;
	req.all = all;
	return call_empty(address, "Kill", &req.base, deadline, err);
}

int shim_task_delete(const char *address, const char *id, const char *exec_id, int64_t deadline,
		     struct err *err)
{
	TASK(DeleteRequest) req = CONTAINERD__TASK__V2__DELETE_REQUEST__INIT;

	req.id = text(id);
	req.exec_id = text(exec_id);
	return call(address, "Delete", &req.base, &containerd__task__v2__delete_response__descriptor,
		    deadline,
		    NULL, err);
}

int shim_task_state(const char *address, const char *id, const char *exec_id, int64_t deadline,
		    struct shim_state *ret, struct err *err)
{
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *m = NULL;
	TASK(StateRequest) req = CONTAINERD__TASK__V2__STATE_REQUEST__INIT;
	const TASK(StateResponse) *res;
	int r;

	req.id = text(id);
	req.exec_id = text(exec_id);
	r = call(address, "State", &req.base, &containerd__task__v2__state_response__descriptor, deadline, &m,
		 err);
	if (r < 0)
		return r;
	res = (const TASK(StateResponse) *)m;
	/* PAUSING (5) is PAUSED as far as anybody here cares; what is newer is not known */
	*ret = (struct shim_state){
		.status = (int)res->status >= 0 && (int)res->status <= SHIM_PAUSED ? (enum shim_status)res->status :
			  (int)res->status == 5				    ? SHIM_PAUSED :
											SHIM_UNKNOWN,
		.pid = res->pid > INT32_MAX ? 0 : (pid_t)res->pid,
		.exit_code = (int)(res->exit_status & 0xff),
		.exited_at = real_time(res->exited_at),
	};
	return 0;
}

int shim_task_wait(const char *address, const char *id, const char *exec_id, int64_t deadline,
		   struct shim_state *ret, struct err *err)
{
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *m = NULL;
	TASK(WaitRequest) req = CONTAINERD__TASK__V2__WAIT_REQUEST__INIT;
	const TASK(WaitResponse) *res;
	int r;

	req.id = text(id);
	req.exec_id = text(exec_id);
	r = call(address, "Wait", &req.base, &containerd__task__v2__wait_response__descriptor, deadline, &m,
		 err);
	if (r < 0)
		return r;
	res = (const TASK(WaitResponse) *)m;
	*ret = (struct shim_state){ .status = SHIM_STOPPED, .exit_code = (int)(res->exit_status & 0xff),
				    .exited_at = real_time(res->exited_at) };
	return 0;
}

int shim_task_resize(const char *address, const char *id, const char *exec_id, uint32_t width,
		     uint32_t height,
		     int64_t deadline, struct err *err)
{
	TASK(ResizePtyRequest) req = CONTAINERD__TASK__V2__RESIZE_PTY_REQUEST__INIT;

	req.id = text(id);
	req.exec_id = text(exec_id);
	req.width = width;
	req.height = height;
	return call_empty(address, "ResizePty", &req.base, deadline, err);
}

int shim_task_close_stdin(const char *address, const char *id, const char *exec_id, int64_t deadline,
			  struct err *err)
{
	TASK(CloseIORequest) req = CONTAINERD__TASK__V2__CLOSE_IOREQUEST__INIT;

	req.id = text(id);
	req.exec_id = text(exec_id);
	req.stdin = true;
	return call_empty(address, "CloseIO", &req.base, deadline, err);
}

int shim_task_update(const char *address, const char *id, const struct oci_resources *resources,
		     int64_t deadline, struct err *err)
{
	CLEANUP(buf_done) struct buf doc = BUF_INIT(DOCUMENT_MAX);
	TASK(UpdateTaskRequest) req = CONTAINERD__TASK__V2__UPDATE_TASK_REQUEST__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	int r = json_write(&oci_resources_type, resources, 0, &doc, err);

	if (r < 0)
		return r;
	req.id = text(id);
	any.type_url = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";
	any.value.data = doc.data;
	any.value.len = doc.len;
	req.resources = &any;
	return call_empty(address, "Update", &req.base, deadline, err);
}

int shim_task_checkpoint(const char *address, const char *id, const char *path, const char *work_path,
			 bool stop,
			 int64_t deadline, struct err *err)
{
	TASK(CheckpointTaskRequest) req = CONTAINERD__TASK__V2__CHECKPOINT_TASK_REQUEST__INIT;
	Containerd__Runc__V1__CheckpointOptions options = CONTAINERD__RUNC__V1__CHECKPOINT_OPTIONS__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	CLEANUP(buf_done) struct buf packed = BUF_INIT(64 * 1024);
	int r;

	req.id = text(id);
	req.path = text(path);
	options.exit = stop;
	options.open_tcp = options.external_unix_sockets = options.file_locks = true;
	options.work_path = text(work_path);
	r = rpc_pb_pack(&options.base, &packed, err);
	if (r < 0)
		return r;
	any.type_url = "containerd.runc.v1.CheckpointOptions";
	any.value.data = packed.data;
	any.value.len = packed.len;
	req.options = &any;
	return call_empty(address, "Checkpoint", &req.base, deadline, err);
}

int shim_task_pause(const char *address, const char *id, bool paused, int64_t deadline, struct err *err)
{
	TASK(PauseRequest) pause = CONTAINERD__TASK__V2__PAUSE_REQUEST__INIT;
	TASK(ResumeRequest) resume = CONTAINERD__TASK__V2__RESUME_REQUEST__INIT;

	pause.id = resume.id = text(id);
	return paused ? call_empty(address, "Pause", &pause.base, deadline, err) :
			call_empty(address, "Resume", &resume.base, deadline, err);
}

int shim_shutdown(const char *address, const char *pod_id, bool now, int64_t deadline, struct err *err)
{
	TASK(ShutdownRequest) req = CONTAINERD__TASK__V2__SHUTDOWN_REQUEST__INIT;

	req.id = text(pod_id);
	req.now = now;
	return call_empty(address, "Shutdown", &req.base, deadline, err);
}

int shim_log_reopen(const char *address, const char *id, int64_t deadline, struct err *err)
{
	Caisson__Shim__V1__ReopenLogRequest req = CAISSON__SHIM__V1__REOPEN_LOG_REQUEST__INIT;
	int r;

	req.id = text(id);
	r = ttrpc_call_once_pb(address, SHIM_SERVICE, "ReopenLog", &req.base,
			       &google__protobuf__empty__descriptor,
			       deadline, NULL, err);
	return r < 0 ? err_wrap(err, r, "shim") : 0;
}

int shim_attach(const char *address, const char *id, const char *out, const char *err_path, int64_t deadline,
		struct err *err)
{
	Caisson__Shim__V1__AttachRequest req = CAISSON__SHIM__V1__ATTACH_REQUEST__INIT;
	int r;

	req.id = text(id);
	req.stdout = text(out);
	req.stderr = text(err_path);
	r = ttrpc_call_once_pb(address, SHIM_SERVICE, "Attach", &req.base,
			       &google__protobuf__empty__descriptor,
			       deadline, NULL, err);
	return r < 0 ? err_wrap(err, r, "shim") : 0;
}

/* ---- a shim that died ---- */

int shim_adopt(const char *address, const struct shim_create *what, const int kept[SHIM_STREAMS],
	       int64_t deadline, struct arena *a, char **ret_lost, struct err *err)
{
	CLEANUP(arena_done) struct arena tmp = ARENA_INIT;
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *m = NULL;
	Caisson__Shim__V1__AdoptRequest req = CAISSON__SHIM__V1__ADOPT_REQUEST__INIT;
	int32_t numbers[SHIM_STREAMS];
	int r;

	req.id = text(what->id);
	req.bundle = text(what->bundle);
	req.root = text(what->runtime_root);
	req.terminal = what->terminal;
	if (what->stdin_open)
		req.stdin = arena_printf(&tmp, "%s/stdin", what->bundle);
	if (what->log_path) {
		req.stdout = arena_printf(&tmp, "cri://%s", what->log_path);
		req.stderr = what->terminal ? (char *)"" : req.stdout;
	}
	for (int i = 0; i < SHIM_STREAMS; i++)
		numbers[i] = kept[i];
	req.keeper = getpid();
	req.kept = numbers;
	req.n_kept = SHIM_STREAMS;
	r = ttrpc_call_once_pb(address, SHIM_SERVICE, "Adopt", &req.base,
			       &caisson__shim__v1__adopt_response__descriptor, deadline, &m, err);
	if (r < 0)
		return err_wrap(err, r, "shim");
	*ret_lost = arena_strdup(a, text(((Caisson__Shim__V1__AdoptResponse *)m)->lost));
	return 0;
}

/* ---- exec ---- */

int shim_task_exec(const char *address, const struct shim_exec *what, int64_t deadline, struct err *err)
{
	CLEANUP(buf_done) struct buf doc = BUF_INIT(DOCUMENT_MAX);
	TASK(ExecProcessRequest) req = CONTAINERD__TASK__V2__EXEC_PROCESS_REQUEST__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	int r = json_write(&oci_process_type, what->process, 0, &doc, err);

	if (r < 0)
		return r;
	any.type_url = "types.containerd.io/opencontainers/runtime-spec/1/Process";
	any.value.data = doc.data;
	any.value.len = doc.len;
	req.id = text(what->id);
	req.exec_id = text(what->exec_id);
	req.terminal = what->terminal;
	req.stdin = text(what->in);
	req.stdout = text(what->out);
	req.stderr = text(what->err);
	req.spec = &any;
	return call_empty(address, "Exec", &req.base, deadline, err);
}
