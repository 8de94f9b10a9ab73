/*
 * ExecSync from the daemon's side. Any thread; blocks until the process has exited.
 *
 * The call and both output FIFOs are waited for together, on an event loop that lives as long as
 * the call and is private to the calling thread. The FIFOs are opened here first, without
 * waiting, so the shim never waits for a reader; they have names only until the answer.
 */
#include "shim/shim.h"

#include "rpc/rpc.h"
#include "sys/sys.h"

#include "caisson-shim.pb-c.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { DOCUMENT_MAX = 4 * 1024 * 1024, CHUNK = 65536, EXEC_ID_LEN = 24 };

/* How long beyond the process's own timeout the shim may take to kill it and to answer. */
static const int64_t GRACE = 10 * NSEC_PER_SEC;

struct output {
	char *path;
	int fd;
	struct event_fd *source;
	struct buf *into;
	size_t *room; /* what may still be kept, of both together */
};

struct sync {
	struct event_loop *loop;
	struct ttrpc_client *client;
	struct output outputs[2];
	size_t room;
	struct event_fd *cancel;
	struct buf answer;
	bool done;
	struct err *err;
	int r;
};

/* One read: false at the end, for now or for ever. */
static bool take(struct output *o)
{
	uint8_t chunk[CHUNK];
	ssize_t n;
	size_t keep;

	do
		n = read(o->fd, chunk, sizeof(chunk));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		event_fd_free(take_ptr(&o->source));
	if (n <= 0)
		return false;
	keep = (size_t)n < *o->room ? (size_t)n : *o->room;
	/* the caller's own bound may be smaller: what does not fit is dropped as well */
	if (keep && buf_append(o->into, chunk, keep) < 0)
		*o->room = keep = 0;
	*o->room -= keep;
	return true;
}

static void on_output(uint32_t events, void *user)
{
	take(user);
}

static void finish(struct sync *x, int r)
{
	x->r = r;
	x->done = true;
	event_loop_stop(x->loop);
}

static void on_answer(const struct err *err, const uint8_t *data, size_t len, void *user)
{
	struct sync *x = user;

	if (err && x->err)
		*x->err = *err;
	if (!err)
		buf_append(&x->answer, data, len);
	finish(x, err ? -EIO : 0);
}

static void on_end(void *user)
{
	struct sync *x = user;

	if (!x->done)
		finish(x, err_set(x->err, ERR_UNAVAILABLE, "the connection ended"));
}

static void on_cancel(uint32_t events, void *user)
{
	struct sync *x = user;

	event_fd_free(take_ptr(&x->cancel));
	if (!x->done)
		finish(x, err_set(x->err, ERR_CANCELLED, "nobody waits for it any more; it was killed"));
}

static int open_output(struct sync *x, struct output *o, char *path, struct buf *into, struct err *err)
{
	int r;

	if (mkfifo(path, 0600) < 0)
		return err_sys(err, errno, "make %s", path);
	o->path = path;
	o->into = into;
	o->room = &x->room;
	o->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (o->fd < 0)
		return err_sys(err, errno, "open %s", path);
	r = event_fd_new(x->loop, o->fd, EPOLLIN, on_output, o, &o->source);
	return r < 0 ? err_sys(err, r, "watch %s", path) : 0;
}

static void sync_done(struct sync *x)
{
	for (size_t i = 0; i < ARRAY_LEN(x->outputs); i++) {
		event_fd_free(x->outputs[i].source);
		fd_close_ptr(&x->outputs[i].fd);
		if (x->outputs[i].path)
			unlink(x->outputs[i].path);
	}
	event_fd_free(x->cancel);
	ttrpc_client_free(x->client);
	event_loop_free(x->loop);
	buf_done(&x->answer);
}

static int run(struct sync *x, const char *address, const struct shim_exec_sync *what, const char *exec_id,
	       int *ret_code, struct err *err)
{
	CLEANUP(buf_done) struct buf doc = BUF_INIT(DOCUMENT_MAX);
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *m = NULL;
	Caisson__Shim__V1__ExecSyncRequest req = CAISSON__SHIM__V1__EXEC_SYNC_REQUEST__INIT;
	const Caisson__Shim__V1__ExecSyncResponse *res;
	int64_t now = time_now_mono(), deadline = INT64_MAX;
	int fd, r;

	if (what->timeout > 0 && what->timeout < INT64_MAX - GRACE - now)
		deadline = now + what->timeout + GRACE;
	r = json_write(&oci_process_type, what->process, 0, &doc, err);
	if (r == 0)
		r = rpc_connect(address, now + GRACE, &fd, err);
	if (r == 0) {
		r = ttrpc_client_new(x->loop, fd, on_end, x, &x->client);
		if (r < 0)
			return err_sys(err, r, "connect");
	}
	if (r < 0)
		return r;
	req.id = (char *)what->id;
	req.exec_id = (char *)exec_id;
	req.process.data = doc.data;
	req.process.len = doc.len;
	req.timeout = what->timeout > 0 ? what->timeout : 0;
	req.stdout = x->outputs[0].path;
	req.stderr = x->outputs[1].path;
	r = ttrpc_client_call_pb(x->client, "caisson.shim.v1.Shim", "ExecSync", &req.base, deadline, on_answer, x,
				 err);
	if (r < 0)
		return r;
	event_loop_run(x->loop);
	/* it has exited: all that it wrote is in the FIFOs, whoever else may hold them open */
	for (size_t i = 0; i < ARRAY_LEN(x->outputs); i++)
		while (take(&x->outputs[i]))
			;
	if (x->r < 0)
		return x->r;
	r = rpc_pb_unpack(&caisson__shim__v1__exec_sync_response__descriptor, x->answer.data, x->answer.len, &m,
			  err);
	if (r < 0)
		return r;
	res = (const Caisson__Shim__V1__ExecSyncResponse *)m;
	if (res->timed_out)
		return err_set(err, ERR_TIMEOUT, "command timed out after %lld ms and was killed",
			       (long long)(what->timeout / NSEC_PER_MSEC));
	*ret_code = res->exit_code & 0xff;
	return 0;
}

int shim_exec_sync(const char *address, const struct shim_exec_sync *what, const char *fifo_dir,
		   struct buf *out, struct buf *err_out, int *ret_code, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(sync_done) struct sync x = {
		.outputs = { { .fd = -EBADF }, { .fd = -EBADF } },
		.answer = BUF_INIT(TTRPC_DATA_MAX),
		.room = what->output_max,
		.err = err,
	};
	char exec_id[ID_LEN + 1];
	int r;

	id_random(exec_id);
	exec_id[EXEC_ID_LEN] = '\0';
	r = event_loop_new(&x.loop);
	if (r == 0 && what->cancel_fd >= 0)
		r = event_fd_new(x.loop, what->cancel_fd, EPOLLIN, on_cancel, &x, &x.cancel);
	if (r < 0)
		return err_sys(err, r, "exec: epoll");
	r = open_output(&x, &x.outputs[0], arena_printf(&a, "%s/%s.out", fifo_dir, exec_id), out, err);
	if (r == 0)
		r = open_output(&x, &x.outputs[1], arena_printf(&a, "%s/%s.err", fifo_dir, exec_id), err_out, err);
	if (r == 0)
		r = run(&x, address, what, exec_id, ret_code, err);
	return r;
}
