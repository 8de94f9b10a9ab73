/*
 * Requests of a gRPC server: from HTTP/2 frames to calls of handlers. No I/O; loop thread.
 *
 * A request that cannot be served is answered as soon as that is known, and the rest of its
 * body is read and dropped until the answer is out; then the stream is reset, so that the
 * client stops sending.
 */
#include "rpc/grpc-core.h"

#include "rpc/code.h"

#include <stdio.h>

/* how long before its deadline a client is told what its call is at: grpc_call_on_late */
enum { LATE_SHARE = 20 };
#define LATE_MOST (200 * NSEC_PER_MSEC)

struct grpc_core *grpc_core_new(const struct grpc_service *services, size_t n_services)
{
	struct grpc_core *core = mem_new(1, sizeof(*core));

	core->refs = 1;
	core->services = services;
	core->n_services = n_services;
	return core;
}

void grpc_core_unref(struct grpc_core *core)
{
	if (!core || --core->refs)
		return;
	buf_done(&core->spare);
	free(core);
}

/* ---- headers ---- */

static bool is(const uint8_t *s, size_t len, const char *name)
{
	return strlen(name) == len && !memcmp(s, name, len);
}

static void copy(char *to, size_t size, const uint8_t *s, size_t len)
{
	size_t n = len < size ? len : size - 1;

	memcpy(to, s, n);
	to[n] = '\0';
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct grpc_conn *c = user;

	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		nghttp2_session_set_stream_user_data(session, frame->hd.stream_id,
						     grpc_call_new(c, frame->hd.stream_id));
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t len, uint8_t flags, void *user)
{
	struct grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	char text[64];

	if (!call)
		return 0;
	call->header_bytes += name_len + len + 32;
	if (call->header_bytes > GRPC_HEADERS_MAX || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	copy(text, sizeof(text), value, len);
	if (is(name, name_len, ":method")) {
		call->post = is(value, len, "POST");
	} else if (is(name, name_len, ":path")) {
		call->path_cut = len >= sizeof(call->path);
		copy(call->path, sizeof(call->path), value, len);
	} else if (is(name, name_len, "content-type")) {
		call->content_type = grpc_content_type_ok(text);
	} else if (is(name, name_len, "grpc-encoding")) {
		copy(call->encoding, sizeof(call->encoding), value, len);
	} else if (is(name, name_len, "grpc-timeout")) {
		int64_t timeout = 0;

		call->timeout_error = grpc_timeout_parse(text, &timeout);
		call->deadline = timeout < INT64_MAX - call->begun ? call->begun + timeout : INT64_MAX;
	}
	return 0;
}

static void find_method(struct grpc_call *call)
{
	const struct grpc_core *core = call->conn->core;
	const char *name = call->path + 1, *slash;

	if (call->path[0] != '/' || call->path_cut || !(slash = strrchr(name, '/'))) {
		grpc_call_tellf(call, 200, RPC_UNIMPLEMENTED, "no such method: %.200s", call->path);
		return;
	}
	for (size_t i = 0; i < core->n_services; i++) {
		const struct grpc_service *s = &core->services[i];

		if (!is((const uint8_t *)name, (size_t)(slash - name), s->name))
			continue;
		call->service = s;
		for (size_t k = 0; k < s->n_methods; k++)
			if (str_eq(s->methods[k].name, slash + 1))
				call->method = &s->methods[k];
	}
	if (!call->service)
		grpc_call_tellf(call, 200, RPC_UNIMPLEMENTED, "unknown service %.*s", (int)(slash - name), name);
	else if (!call->method)
		grpc_call_tellf(call, 200, RPC_UNIMPLEMENTED, "unknown method %s of %s", slash + 1,
				call->service->name);
}

static void check_headers(struct grpc_call *call)
{
	if (call->header_bytes > GRPC_HEADERS_MAX)
		grpc_call_tellf(call, 431, RPC_RESOURCE_EXHAUSTED, "headers of %zu bytes are larger than %d",
				call->header_bytes, GRPC_HEADERS_MAX);
	else if (!call->post)
		grpc_call_tell(call, 405, RPC_INTERNAL, "gRPC requests are POST");
	else if (!call->content_type)
		grpc_call_tell(call, 415, RPC_INTERNAL, "content-type is not application/grpc");
	else if (call->timeout_error)
		grpc_call_tell(call, 400, RPC_INTERNAL, "malformed grpc-timeout");
	else
		find_method(call);
	if (!call->told && call->encoding[0] && !str_eq(call->encoding, "identity"))
		grpc_call_tellf(call, 200, RPC_UNIMPLEMENTED, "compression %s is not supported", call->encoding);
}

/* ---- body ---- */

static void body_head(struct grpc_call *call)
{
	const uint8_t *p = call->prefix;
	size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];

	if (p[0])
		grpc_call_tell(call, 200, p[0] == 1 ? RPC_UNIMPLEMENTED : RPC_INTERNAL,
			       p[0] == 1 ? "compressed messages are not supported" : "malformed message");
	else if (len > GRPC_MESSAGE_MAX)
		grpc_call_tellf(call, 200, RPC_RESOURCE_EXHAUSTED, "a request of %zu bytes is larger than %d", len,
				GRPC_MESSAGE_MAX);
	else if (len)
		call->data = mem_new(len, 1); /* pages come as bytes do */
	call->len = len;
}

static void body(struct grpc_call *call, const uint8_t *p, size_t len)
{
	struct grpc_core *core = call->conn->core;
	size_t n;

	while (len && !call->told && call->n_prefix < GRPC_PREFIX) {
		call->prefix[call->n_prefix++] = *p++;
		len--;
		if (call->n_prefix == GRPC_PREFIX)
			body_head(call);
	}
	n = call->len - call->n_data < len ? call->len - call->n_data : len;
	if (!call->told && core->in_bytes + n > GRPC_IN_MAX)
		grpc_call_tellf(call, 200, RPC_RESOURCE_EXHAUSTED, "requests of %zu bytes are being received",
				core->in_bytes);
	else if (!call->told && len > n)
		grpc_call_tell(call, 200, RPC_INTERNAL, "more than one request message");
	if (call->told) {
		grpc_call_drop_request(call);
		return;
	}
	if (n)
		memcpy(call->data + call->n_data, p, n);
	call->n_data += n;
	call->charged += n;
	core->in_bytes += n;
}

static void request_done(struct grpc_call *call)
{
	call->request_done = true;
	if (call->told)
		return;
	if (call->n_prefix < GRPC_PREFIX || call->n_data < call->len) {
		grpc_call_tell(call, 200, RPC_INTERNAL,
			       call->n_prefix ? "the request message is cut short" : "no request message");
		return;
	}
	call->due_dispatch = true;
	grpc_call_due(call);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t len,
		   void *user)
{
	struct grpc_call *call = nghttp2_session_get_stream_user_data(session, stream);

	if (call)
		body(call, data, len);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct grpc_call *call;

	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!call)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		check_headers(call);
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		request_done(call);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *user)
{
	struct grpc_call *call = nghttp2_session_get_stream_user_data(session, stream);

	if (call) {
		nghttp2_session_set_stream_user_data(session, stream, NULL);
		grpc_call_closed(call);
	}
	return 0;
}

/* The whole answer is out: a client that still sends its request may stop. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct grpc_call *call;

	if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
	    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (call && !call->request_done)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
	if (frame->hd.type == NGHTTP2_HEADERS)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
					  NGHTTP2_INTERNAL_ERROR);
	return 0;
}

/* ---- connections ---- */

struct grpc_conn *grpc_conn_new(struct grpc_core *core, event_fn on_change, void *user)
{
	struct grpc_conn *c = mem_new(1, sizeof(*c));

	c->refs = 1;
	c->core = core;
	core->refs++;
	c->out = (struct rpc_out)RPC_OUT_INIT(1 << 20);
	c->on_change = on_change;
	c->user = user;
	list_init(&c->calls);
	list_init(&c->due);
	return c;
}

void grpc_conn_unref(struct grpc_conn *c)
{
	if (!c || --c->refs)
		return;
	rpc_out_done(&c->out);
	grpc_core_unref(c->core);
	free(c);
}

static void fatal(int r)
{
	/* nghttp2 fails here only for want of memory, and nothing of ours survives that */
	if (r)
		abort();
}

/* With the first byte, since an idle connection shall cost little. */
static void session_open(struct grpc_conn *c)
{
	nghttp2_session_callbacks *cb;
	nghttp2_option *option;
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, GRPC_STREAMS_MAX },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, GRPC_WINDOW_STREAM },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_HEADERS_MAX },
	};

	fatal(nghttp2_session_callbacks_new(&cb));
	fatal(nghttp2_option_new(&option));
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_not_sent);
	nghttp2_option_set_no_closed_streams(option, 1); /* priorities are not used */
	fatal(nghttp2_session_server_new2(&c->session, cb, c, option));
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	fatal(nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)));
	fatal(nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, GRPC_WINDOW_CONNECTION));
	if (c->draining)
		nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
}

void grpc_conn_feed(struct grpc_conn *c, const uint8_t *data, size_t len, int64_t now)
{
	ssize_t n;

	c->now = now;
	if (c->failed || c->ended || !len)
		return;
	if (!c->session)
		session_open(c);
	n = nghttp2_session_mem_recv(c->session, data, len);
	if (n >= 0)
		return;
	/* what is wrong inside HTTP/2 ended with a GOAWAY of nghttp2's own; this is none, or a flood */
	c->failed = true;
	nghttp2_session_terminate_session(c->session, n == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM :
							NGHTTP2_PROTOCOL_ERROR);
}

void grpc_conn_pull(struct grpc_conn *c)
{
	const uint8_t *data;
	ssize_t n;

	while (c->session && rpc_out_pending(&c->out) < GRPC_PULL_SIZE) {
		n = nghttp2_session_mem_send(c->session, &data);
		if (n <= 0) {
			c->failed |= n < 0;
			break;
		}
		if (buf_append(&c->out.buf, data, (size_t)n) < 0) {
			c->failed = true;
			break;
		}
	}
}

static void dispatch(struct grpc_call *call)
{
	struct grpc_conn *c = call->conn;
	struct err err = ERR_INIT;

	if (call->told || !call->stream)
		return;
	if (call->deadline <= c->now) {
		grpc_call_tell(call, 200, RPC_DEADLINE_EXCEEDED, "the deadline passed before the call began");
		return;
	}
	if (c->n_running >= GRPC_STREAMS_MAX) {
		grpc_call_tellf(call, 200, RPC_RESOURCE_EXHAUSTED, "%zu calls of this client are running",
				c->n_running);
		return;
	}
	if (call->method->pb) {
		if (rpc_pb_unpack(call->method->request, call->data, call->len, &call->request, &err) < 0) {
			grpc_call_tell(call, 200, err_kind_info(err.kind)->grpc, err.text);
			return;
		}
		grpc_call_drop_request(call);
	}
	call->refs++; /* the handler's */
	c->n_running++;
	if (call->method->pb)
		call->method->pb(call, call->request, call->service->user);
	else
		call->method->raw(call, call->data, call->len, call->service->user);
}

void grpc_conn_settle(struct grpc_conn *c)
{
	while (!list_empty(&c->due)) {
		struct grpc_call *call = list_entry(c->due.next, struct grpc_call, due);
		bool run = call->due_dispatch, cancel = call->due_cancel, drain = call->due_drain;

		list_remove(&call->due); /* and its reference is ours */
		call->due_dispatch = call->due_cancel = call->due_drain = false;
		if (run)
			dispatch(call);
		if (cancel)
			grpc_call_cancel(call);
		if (drain && call->drain)
			call->drain(call->drain_user);
		grpc_call_unref(call);
	}
}

/* When the client is told at the latest. */
static int64_t tell_by(const struct grpc_call *call)
{
	int64_t before;

	if (!call->late || call->deadline == INT64_MAX)
		return call->deadline;
	before = (call->deadline - call->begun) / LATE_SHARE;
	return call->deadline - (before < LATE_MOST ? before : LATE_MOST);
}

int64_t grpc_conn_deadline(const struct grpc_conn *c)
{
	int64_t first = INT64_MAX;

	list_for_each(call, &c->calls, struct grpc_call, link)
		if (!call->told && tell_by(call) < first)
			first = tell_by(call);
	return first;
}

void grpc_conn_expire(struct grpc_conn *c, int64_t now)
{
	c->now = now;
	list_for_each(call, &c->calls, struct grpc_call, link) {
		char text[ERR_TEXT_MAX] = "the call was not done by its deadline";

		if (call->told || tell_by(call) > now)
			continue;
		if (call->late)
			call->late(text, sizeof(text), call->late_user);
		grpc_call_tell(call, 200, RPC_DEADLINE_EXCEEDED, text);
		call->due_cancel = true;
		grpc_call_due(call);
	}
}

void grpc_conn_drain(struct grpc_conn *c)
{
	if (c->draining)
		return;
	c->draining = true;
	if (c->session)
		nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
				      nghttp2_session_get_last_proc_stream_id(c->session), NGHTTP2_NO_ERROR,
				      NULL, 0);
}

bool grpc_conn_over(const struct grpc_conn *c)
{
	if (!c->session)
		return c->draining;
	return c->failed || (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session));
}

void grpc_conn_end(struct grpc_conn *c)
{
	struct grpc_call *call;

	c->ended = true;
	c->on_change = NULL;
	while ((call = list_first(&c->calls, struct grpc_call, link)))
		grpc_call_closed(call);
	nghttp2_session_del(take_ptr(&c->session));
	grpc_conn_settle(c);
}
