/*
 * A blocking gRPC client on one connection. One thread at a time; blocks in poll until the
 * deadline of the stream that is waited for. What comes for other streams meanwhile is kept
 * with them; flow control bounds that to GRPC_WINDOW_STREAM a stream and one message.
 */
#include "rpc/code.h"
#include "rpc/grpc-wire.h"
#include "rpc/grpc.h"
#include "rpc/out.h"
#include "rpc/sock.h"

#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

enum { READ_SIZE = 64 << 10, PULL_SIZE = 64 << 10, WINDOW_STREAM = 1 << 20, WINDOW_CONNECTION = 64 << 20 };

struct grpc_client {
	int fd;
	nghttp2_session *session;
	struct rpc_out out;
	bool dead;
	struct err why; /* once dead */
	struct list streams;
	uint8_t *in;
};

struct grpc_stream {
	struct grpc_client *client;
	struct list link;
	int32_t id;
	int64_t deadline;
	char *path;
	uint8_t *request;
	size_t len, sent;
	struct buf in;     /* prefixed messages as they came */
	size_t received, returned; /* body bytes; those that flow control got back */
	bool closed, released;     /* released: nobody but nghttp2 knows it any more */
	int http, status;  /* status -1 until it was read */
	char message[ERR_TEXT_MAX];
};

static void stream_free(struct grpc_stream *s)
{
	list_remove(&s->link);
	buf_done(&s->in);
	free(s->request);
	free(s->path);
	free(s);
}

/* ---- callbacks: bytes that came in ---- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t len, uint8_t flags, void *user)
{
	struct grpc_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	uint32_t n;

	if (!s)
		return 0;
	/* nghttp2 ends name and value with NUL */
	if (str_eq((const char *)name, ":status") && str_to_u32((const char *)value, 10, &n) == 0)
		s->http = (int)n;
	else if (str_eq((const char *)name, "grpc-status"))
		s->status = str_to_u32((const char *)value, 10, &n) == 0 && n < RPC_CODES ? (int)n : RPC_UNKNOWN;
	else if (str_eq((const char *)name, "grpc-message"))
		grpc_message_decode((const char *)value, s->message, sizeof(s->message));
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user)
{
	struct grpc_stream *s = nghttp2_session_get_stream_user_data(session, id);

	nghttp2_session_consume_connection(session, len);
	if (!s || s->released)
		return 0;
	s->received += len;
	if (buf_append(&s->in, data, len) < 0)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_FLOW_CONTROL_ERROR);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct grpc_stream *s = nghttp2_session_get_stream_user_data(session, id);

	if (!s)
		return 0;
	s->closed = true;
	if (s->released)
		stream_free(s);
	return 0;
}

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *to, size_t most, uint32_t *flags,
			    nghttp2_data_source *source, void *user)
{
	struct grpc_stream *s = source->ptr;
	size_t n = s->len - s->sent < most ? s->len - s->sent : most;

	memcpy(to, s->request + s->sent, n);
	s->sent += n;
	if (s->sent == s->len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* ---- the connection ---- */

static int client_die(struct grpc_client *c, int errnum, const char *what)
{
	c->dead = true;
	if (errnum)
		return err_sysk(&c->why, ERR_UNAVAILABLE, errnum, "%s", what);
	return err_set(&c->why, ERR_UNAVAILABLE, "%s", what);
}

/* Moves out what can be moved now. 1: all; 0: the socket is full. */
static int client_push(struct grpc_client *c)
{
	for (;;) {
		const uint8_t *data;
		ssize_t n = 1;
		int r;

		while (rpc_out_pending(&c->out) < PULL_SIZE && (n = nghttp2_session_mem_send(c->session, &data)) > 0)
			buf_append(&c->out.buf, data, (size_t)n);
		if (n < 0)
			return client_die(c, 0, nghttp2_strerror((int)n));
		if (!rpc_out_pending(&c->out))
			return 1;
		r = rpc_out_flush(&c->out, c->fd);
		if (r < 0)
			return client_die(c, r, "send");
		if (r == 0)
			return 0;
	}
}

/* One round: out, wait, in. TIMEOUT leaves the connection usable. */
static int client_round(struct grpc_client *c, int64_t deadline, struct err *err)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	ssize_t n;
	int r = client_push(c);

	if (r < 0) {
		*err = c->why;
		return r;
	}
	if (r == 0)
		p.events |= POLLOUT;
	r = poll(&p, 1, time_poll_ms(deadline));
	if (r < 0 && errno != EINTR)
		return err_sys(err, errno, "poll");
	if (r <= 0 && time_now_mono() >= deadline)
		return err_set(err, ERR_TIMEOUT, "no answer by the deadline");
	n = recv(c->fd, c->in, READ_SIZE, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		client_die(c, n ? errno : 0, n ? "receive" : "the server closed the connection");
	else if ((n = nghttp2_session_mem_recv(c->session, c->in, (size_t)n)) < 0)
		client_die(c, 0, nghttp2_strerror((int)n));
	else if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session))
		client_die(c, 0, "the server ended the connection");
	return 0;
}

int grpc_client_new_fd(int fd, struct grpc_client **ret, struct err *err)
{
	struct grpc_client *c = mem_new(1, sizeof(*c));
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_STREAM },
	};
	nghttp2_session_callbacks *cb;
	nghttp2_option *option;

	c->fd = fd;
	c->in = mem_new(READ_SIZE, 1);
	c->out = (struct rpc_out)RPC_OUT_INIT(1 << 20);
	list_init(&c->streams);
	if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&option))
		abort();
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_option_set_no_auto_window_update(option, 1);
	if (nghttp2_session_client_new2(&c->session, cb, c, option))
		abort();
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) ||
	    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, WINDOW_CONNECTION))
		abort();
	*ret = c;
	return 0;
}

int grpc_client_new(const char *address, int64_t deadline, struct grpc_client **ret, struct err *err)
{
	int fd = -EBADF, r = rpc_connect(address, deadline, &fd, err);

	return r < 0 ? r : grpc_client_new_fd(fd, ret, err);
}

void grpc_client_free(struct grpc_client *c)
{
	if (!c)
		return;
	if (!c->dead) {
		nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR);
		client_push(c);
	}
	list_for_each(s, &c->streams, struct grpc_stream, link) {
		assert(s->released);
		stream_free(s);
	}
	nghttp2_session_del(c->session);
	rpc_out_done(&c->out);
	close(c->fd);
	free(c->in);
	free(c);
}

/* ---- streams ---- */

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
			     NGHTTP2_NV_FLAG_NONE };
}

int grpc_stream_open(struct grpc_client *c, const char *path, const void *request, size_t len,
		     int64_t deadline, struct grpc_stream **ret, struct err *err)
{
	nghttp2_data_provider body = { .read_callback = read_request };
	char timeout[16];
	nghttp2_nv nv[] = {
		header(":method", "POST"), header(":scheme", "http"), header(":path", path),
		header(":authority", "localhost"), header("content-type", "application/grpc"),
		header("te", "trailers"), header("user-agent", "caisson/" CAISSON_VERSION),
		header("grpc-timeout", ""),
	};
	size_t n = ARRAY_LEN(nv) - 1;
	struct grpc_stream *s;

	if (c->dead)
		return err_set(err, ERR_UNAVAILABLE, "%s: %s", path, c->why.text);
	if (len > GRPC_MESSAGE_MAX)
		return err_set(err, ERR_LIMIT, "%s: a request of %zu bytes is larger than %d", path, len,
			       GRPC_MESSAGE_MAX);
	if (deadline != INT64_MAX)
		nv[n++] = header("grpc-timeout", grpc_timeout_format(deadline - time_now_mono(), timeout));
	s = mem_new(1, sizeof(*s));
	s->client = c;
	s->deadline = deadline;
	s->path = mem_strdup(path);
	s->status = -1;
	s->in = (struct buf)BUF_INIT(GRPC_MESSAGE_MAX + GRPC_PREFIX + WINDOW_STREAM + 1);
	s->len = GRPC_PREFIX + len;
	s->request = mem_new(s->len, 1);
	for (int i = 0; i < 4; i++)
		s->request[1 + i] = (uint8_t)(len >> (24 - 8 * i));
	if (len)
		memcpy(s->request + GRPC_PREFIX, request, len);
	list_append(&c->streams, &s->link);
	body.source.ptr = s;
	s->id = nghttp2_submit_request(c->session, NULL, nv, n, &body, s);
	if (s->id < 0) {
		int r = err_set(err, ERR_UNAVAILABLE, "%s: %s", path, nghttp2_strerror(s->id));

		s->closed = true;
		grpc_stream_close(s);
		return r;
	}
	client_push(c); /* a failure is found by the first next */
	*ret = s;
	return 0;
}

/* 1: a message was appended to out; 0: none is complete. */
static int take_message(struct grpc_stream *s, struct buf *out, struct err *err)
{
	const uint8_t *p = s->in.data;
	size_t len;

	if (s->in.len < GRPC_PREFIX)
		return 0;
	len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
	if (p[0])
		return err_set(err, ERR_UNSUPPORTED, "the answer is compressed");
	if (len > GRPC_MESSAGE_MAX)
		return err_set(err, ERR_LIMIT, "an answer of %zu bytes is larger than %d", len, GRPC_MESSAGE_MAX);
	if (s->in.len < GRPC_PREFIX + len) {
		/* room for all of it at once; its pages are taken as they are filled */
		buf_reserve(&s->in, GRPC_PREFIX + len - s->in.len);
		return 0;
	}
	if (out && len > out->max - out->len)
		return err_set(err, ERR_LIMIT, "an answer of %zu bytes is larger than %zu", len, out->max);
	if (out && !out->data && s->in.len == GRPC_PREFIX + len) {
		/* nothing else is in the buffer, so that it is given away instead of copied */
		buf_consume(&s->in, GRPC_PREFIX);
		out->data = take_ptr(&s->in.data);
		out->len = s->in.len;
		out->cap = s->in.cap;
		s->in.len = s->in.cap = 0;
		return 1;
	}
	if (out)
		buf_append(out, p + GRPC_PREFIX, len);
	buf_consume(&s->in, GRPC_PREFIX + len);
	return 1;
}

static int status_error(struct grpc_stream *s, struct err *err)
{
	if (s->status > 0) {
		err_set(err, rpc_code_kind(s->status), "%s",
			s->message[0] ? s->message : rpc_code_name(s->status));
		if (err)
			err_sanitize(err);
		return -EIO;
	}
	if (s->http && s->http != 200)
		return err_set(err, ERR_INTERNAL, "HTTP status %d", s->http);
	return err_set(err, ERR_UNAVAILABLE, "%s", s->client->dead ? s->client->why.text :
		       "the server reset the call");
}

int grpc_stream_next(struct grpc_stream *s, struct buf *out, struct err *err)
{
	struct grpc_client *c = s->client;
	struct err local = ERR_INIT;
	int r;

	for (;;) {
		r = take_message(s, out, &local);
		if (r)
			break;
		if (s->closed && s->status == 0) {
			if (!s->in.len)
				return 0;
			r = err_set(&local, ERR_INTERNAL, "the answer is cut short");
			break;
		}
		if (s->closed || c->dead) {
			r = status_error(s, &local);
			break;
		}
		/* only a stream that somebody waits for may send more than its window */
		nghttp2_session_consume_stream(c->session, s->id, s->received - s->returned);
		s->returned = s->received;
		r = client_round(c, s->deadline, &local);
		if (r < 0)
			break;
	}
	if (r < 0) {
		if (err)
			*err = local;
		return err_wrap(err, r, "%s", s->path);
	}
	return r;
}

void grpc_stream_close(struct grpc_stream *s)
{
	struct grpc_client *c;

	if (!s)
		return;
	c = s->client;
	if (s->closed || c->dead) {
		nghttp2_session_set_stream_user_data(c->session, s->id, NULL);
		stream_free(s);
		return;
	}
	s->released = true; /* freed when nghttp2 has closed it: its request may be on the way still */
	nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
	client_push(c);
}

/* ---- unary calls ---- */

int grpc_client_call(struct grpc_client *c, const char *path, const void *request, size_t len,
		     int64_t deadline, struct buf *out, struct err *err)
{
	struct grpc_stream *s = NULL;
	int r = grpc_stream_open(c, path, request, len, deadline, &s, err);

	if (r < 0)
		return r;
	r = grpc_stream_next(s, out, err);
	if (r == 0)
		r = err_set(err, ERR_INTERNAL, "%s: no answer", path);
	else if (r > 0)
		r = grpc_stream_next(s, NULL, err); /* the status */
	if (r > 0)
		r = err_set(err, ERR_INTERNAL, "%s: more than one answer", path);
	grpc_stream_close(s);
	return r;
}

int grpc_client_call_pb(struct grpc_client *c, const char *path, const ProtobufCMessage *request,
			const ProtobufCMessageDescriptor *response_type, int64_t deadline,
			ProtobufCMessage **ret, struct err *err)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(GRPC_MESSAGE_MAX), out = BUF_INIT(GRPC_MESSAGE_MAX);
	int r = rpc_pb_pack(request, &in, err);

	if (r < 0)
		return err_wrap(err, r, "%s", path);
	r = grpc_client_call(c, path, in.data, in.len, deadline, &out, err);
	if (r < 0 || !ret)
		return r;
	return rpc_pb_unpack(response_type, out.data, out.len, ret, err);
}
