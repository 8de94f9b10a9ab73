/*
 * Exec, Attach, PortForward: the URLs, and between a client's session and the pod room.
 *
 * A session here begins on the loop thread, starts its process on a worker, waits for its exit on
 * another, and what the client says meanwhile (sizes, the end of its input, its own end) is told
 * to the shim by a third, one thing at a time and the newest size only: two workers could tell
 * two sizes in the wrong order. A shim that does not answer holds up its own session alone.
 *
 * When the client leaves, its process gets SIGHUP, as from a terminal that is hung up, and after a
 * while SIGKILL: nobody can reach it any more.
 */
#include "cri/call.h"
#include "stream/stream.h"

#include <signal.h>

#define HANGUP_TIME (10 * NSEC_PER_SEC)

struct remote {
	struct cri *cri;
	struct stream_session *session; /* NULL: ended */
	enum stream_kind kind;
	struct pod_exec what;           /* points into the session's request */
	struct pod_task task;
	struct pod_streams streams;
	struct event_timer *kill_timer;
	bool started, gone;
	int code, r;
	struct err err;

	/* what the shim is to be told; `telling` is a worker's copy */
	struct wishes {
		bool resize, close_stdin;
		uint16_t width, height;
		int signal;
	} wishes, telling;
	bool working;
};

static void remote_free(struct remote *m)
{
	event_timer_free(m->kill_timer);
	pod_streams_done(&m->streams);
	pod_task_done(&m->task);
	free(m);
}

static void end_session(struct remote *m, int code, const struct err *err)
{
	struct stream_session *s = take_ptr(&m->session);

	if (s)
		stream_session_ended(s, code, err);
}

/* ---- telling the shim ---- */

static void settle(struct remote *m);

static void tell(void *user)
{
	struct remote *m = user;
	const struct wishes *w = &m->telling;

	/* the process may be gone by now, or the shim: who waits for it hears of that */
	if (w->resize)
		pod_task_resize(&m->task, w->width, w->height, NULL);
	if (w->close_stdin)
		pod_task_close_stdin(&m->task, NULL);
	if (w->signal)
		pod_task_kill(&m->task, w->signal, NULL);
}

static void told(void *user)
{
	struct remote *m = user;

	m->working = false;
	settle(m);
}

/* The next step, whatever has changed. */
static void settle(struct remote *m)
{
	const struct wishes *w = &m->wishes;

	if (m->working || (!m->started && m->session))
		return;
	if (m->started && (w->resize || w->close_stdin || w->signal) && (m->session || m->kind == STREAM_ATTACH)) {
		m->telling = m->wishes;
		m->wishes = (struct wishes){ 0 };
		m->working = event_work(m->cri->settings.loop, tell, told, m) == 0;
		if (m->working)
			return;
	}
	/* an attach ends with its client, an exec with its process */
	if (m->kind == STREAM_ATTACH && m->gone)
		end_session(m, 0, NULL);
	if (!m->session)
		remote_free(m);
}

/* ---- start and end ---- */

static void wait_exit(void *user)
{
	struct remote *m = user;

	m->r = pod_task_wait(&m->task, &m->code, &m->err);
}

static void on_exit_known(void *user)
{
	struct remote *m = user;

	end_session(m, m->code, m->r < 0 ? &m->err : NULL);
	settle(m);
}

static void start(void *user)
{
	struct remote *m = user;
	struct pod_manager *pods = m->cri->settings.pods;

	m->r = m->kind == STREAM_EXEC ? pod_exec_start(pods, &m->what, &m->task, &m->streams, &m->err) :
					pod_attach_start(pods, &m->what, &m->task, &m->streams, &m->err);
}

static void on_started(void *user)
{
	struct remote *m = user;
	struct pod_streams s = m->streams;
	int r;

	if (m->r < 0) {
		end_session(m, 0, &m->err);
		settle(m);
		return;
	}
	m->started = true;
	if (m->gone && m->task.stdin_once)
		m->wishes.close_stdin = true;
	m->streams = (struct pod_streams)POD_STREAMS_INIT;
	stream_session_started(m->session, s.in, s.out, s.err);
	if (m->kind == STREAM_EXEC) {
		/* m->r is the thread's from here on: what has ended already is known there before this returns */
		r = event_work(m->cri->settings.loop, wait_exit, on_exit_known, m);
		if (r < 0) {
			err_sys(&m->err, r, "start a thread");
			end_session(m, 0, &m->err);
		}
	}
	settle(m);
}

static void on_begin(struct stream_session *s, const struct stream_request *req, void *user)
{
	struct cri *cri = user;
	struct remote *m = mem_new(1, sizeof(*m));
	int r;

	m->cri = cri;
	m->session = s;
	m->kind = req->kind;
	m->streams = (struct pod_streams)POD_STREAMS_INIT;
	m->what = (struct pod_exec){ req->id, req->cmd, req->n_cmd, req->tty, req->in, req->out, req->err };
	stream_session_set(s, m);
	/* as above: one that cannot start may have failed already */
	r = event_work(cri->settings.loop, start, on_started, m);
	if (r < 0) {
		err_sys(&m->err, r, "start a thread");
		end_session(m, 0, &m->err);
		remote_free(m);
	}
}

/* ---- what the client says ---- */

static void on_resize(struct stream_session *s, uint16_t width, uint16_t height, void *user)
{
	struct remote *m = stream_session_get(s);

	m->wishes.resize = true;
	m->wishes.width = width;
	m->wishes.height = height;
	settle(m);
}

static void on_input_ended(struct stream_session *s, void *user)
{
	struct remote *m = stream_session_get(s);

	/* a container's stdin belongs to whoever comes next, unless it was asked for otherwise */
	if (m->kind == STREAM_EXEC || m->task.stdin_once)
		m->wishes.close_stdin = true;
	settle(m);
}

static void on_kill(void *user)
{
	struct remote *m = user;

	m->wishes.signal = SIGKILL;
	settle(m);
}

static void on_gone(struct stream_session *s, void *user)
{
	struct remote *m = stream_session_get(s);

	m->gone = true;
	if (m->kind == STREAM_ATTACH) {
		m->wishes.close_stdin = m->task.stdin_once;
	} else {
		m->wishes.signal = SIGHUP;
		m->wishes.close_stdin = m->what.in;
		event_timer_new(m->cri->settings.loop, time_now_mono() + HANGUP_TIME, on_kill, m, &m->kill_timer);
	}
	settle(m);
}

/* ---- port-forward ---- */

struct dial {
	struct cri *cri;
	struct stream_connect *connect;
	char *pod;
	uint16_t port;
	int fd, r;
	struct err err;
};

static void dial(void *user)
{
	struct dial *d = user;

	d->r = pod_forward(d->cri->settings.pods, d->pod, d->port, &d->fd, &d->err);
}

static void on_dialled(void *user)
{
	struct dial *d = user;

	stream_connect_done(d->connect, d->fd, d->r < 0 ? &d->err : NULL);
	free(d->pod);
	free(d);
}

static void on_connect(struct stream_connect *c, const char *id, uint16_t port, void *user)
{
	struct cri *cri = user;
	struct dial *d = mem_new(1, sizeof(*d));
	int r;

	d->cri = cri;
	d->connect = c;
	d->pod = mem_strdup(id);
	d->port = port;
	d->fd = -EBADF;
	/* d is the thread's from here on: a port that refuses at once has its answer there already */
	r = event_work(cri->settings.loop, dial, on_dialled, d);
	if (r < 0) {
		d->r = err_sys(&d->err, r, "start a thread");
		on_dialled(d);
	}
}

int cri_stream_serve(struct cri *cri, const struct cri_streaming *how, struct err *err)
{
	static const struct stream_owner owner = { on_begin, on_resize, on_input_ended, on_gone, on_connect };

	int r = stream_server_new(cri->settings.loop, how->address, how->port, &owner, cri, &cri->streams, err);

	if (r < 0)
		return r;
	cri->stream_address = how->address;
	stream_server_limit(cri->streams, how->url_timeout, how->idle_timeout);
	return 0;
}

/* ---- the calls ---- */

static int check_running(struct cri_call *c, const char *id, struct stream_request *req, struct err *err)
{
	struct pod_manager *pods = c->cri->settings.pods;
	struct pod_container *container;
	int r = 0;

	if (!c->cri->streams)
		return err_set(err, ERR_UNSUPPORTED, "there is no streaming server");
	pod_lock(pods);
	container = pod_container_find(pods, id, err);
	if (!container)
		r = -ENOENT;
	else if (container->state != POD_RUNNING)
		r = err_set(err, ERR_STATE, "container %s is not running", id);
	else
		req->id = arena_strdup(&c->arena, container->id);
	pod_unlock(pods);
	return r;
}

CRI_METHOD(exec)
{
	const Runtime__V1__ExecRequest *in = request;
	Runtime__V1__ExecResponse *res = CRI_NEW(c, exec_response);
	struct stream_request req = { .kind = STREAM_EXEC, .cmd = in->cmd, .n_cmd = in->n_cmd, .tty = in->tty,
				      .in = in->stdin, .out = in->stdout, .err = in->stderr };
	int r;

	cri_subject(c, "%s", in->container_id);
	if (!in->n_cmd)
		return wire_wrong(NULL, "cmd", err, "required");
	r = check_running(c, in->container_id, &req, err);
	if (r == 0)
		r = stream_server_url(c->cri->streams, &req, &c->arena, &res->url, err);
	if (r == 0)
		cri_reply(c, res);
	return r;
}

CRI_METHOD(attach)
{
	const Runtime__V1__AttachRequest *in = request;
	Runtime__V1__AttachResponse *res = CRI_NEW(c, attach_response);
	struct stream_request req = { .kind = STREAM_ATTACH, .tty = in->tty, .in = in->stdin, .out = in->stdout,
				      .err = in->stderr };
	int r;

	cri_subject(c, "%s", in->container_id);
	r = check_running(c, in->container_id, &req, err);
	if (r == 0)
		r = stream_server_url(c->cri->streams, &req, &c->arena, &res->url, err);
	if (r == 0)
		cri_reply(c, res);
	return r;
}

CRI_METHOD(port_forward)
{
	const Runtime__V1__PortForwardRequest *in = request;
	Runtime__V1__PortForwardResponse *res = CRI_NEW(c, port_forward_response);
	struct pod_manager *pods = c->cri->settings.pods;
	struct stream_request req = { .kind = STREAM_FORWARD };
	struct pod_sandbox *pod;
	int r = 0;

	cri_subject(c, "%s", in->pod_sandbox_id);
	if (!c->cri->streams)
		return err_set(err, ERR_UNSUPPORTED, "there is no streaming server");
	pod_lock(pods);
	pod = pod_sandbox_find(pods, in->pod_sandbox_id, err);
	if (!pod)
		r = -ENOENT;
	else if (pod->state != POD_READY)
		r = err_set(err, ERR_STATE, "pod %s is not ready", in->pod_sandbox_id);
	else
		req.id = arena_strdup(&c->arena, pod->id);
	pod_unlock(pods);
	if (r == 0)
		r = stream_server_url(c->cri->streams, &req, &c->arena, &res->url, err);
	if (r == 0)
		cri_reply(c, res);
	return r;
}
