/*
 * Calls of a gRPC server: what a handler may do with one. Loop thread only.
 *
 * Invariants:
 *  - `answered` is set once, by the handler, and drops the handler's reference.
 *  - `told` is set once: by the answer, by the deadline, or by the end of the stream. After
 *    it nothing more is queued for the client.
 *  - Bytes in the chunks are counted in call->pending and core->out_bytes alike.
 */
#include "rpc/grpc-core.h"

#include "rpc/code.h"

#include <stdarg.h>
#include <stdio.h>

struct grpc_call *grpc_call_new(struct grpc_conn *c, int32_t stream)
{
	struct grpc_call *call = mem_new(1, sizeof(*call));

	call->refs = 1;
	call->conn = c;
	c->refs++;
	call->stream = stream;
	call->begun = c->now;
	call->deadline = INT64_MAX;
	call->last = &call->first;
	list_append(&c->calls, &call->link);
	list_init(&call->due);
	return call;
}

void grpc_call_drop_request(struct grpc_call *call)
{
	call->conn->core->in_bytes -= call->charged;
	call->charged = 0;
	free(take_ptr(&call->data));
}

static void chunk_free(struct grpc_core *core, struct grpc_chunk *chunk)
{
	if (chunk->cap >= GRPC_SPARE_MIN && chunk->cap <= GRPC_SPARE_MAX && chunk->cap > core->spare.cap) {
		buf_done(&core->spare);
		core->spare = (struct buf){ take_ptr(&chunk->owned), 0, chunk->cap, chunk->cap };
		core->spare_kept = true;
	}
	free(chunk->owned);
	free(chunk);
}

static void drop_chunks(struct grpc_call *call)
{
	struct grpc_chunk *chunk;

	while ((chunk = call->first)) {
		call->first = chunk->next;
		chunk_free(call->conn->core, chunk);
	}
	call->last = &call->first;
	call->conn->core->out_bytes -= call->pending;
	call->pending = 0;
}

struct grpc_call *grpc_call_ref(struct grpc_call *call)
{
	call->refs++;
	return call;
}

void grpc_call_unref(struct grpc_call *call)
{
	if (!call || --call->refs)
		return;
	list_remove(&call->due);
	drop_chunks(call);
	grpc_call_drop_request(call);
	rpc_pb_free(call->request);
	free(call->text);
	grpc_conn_unref(call->conn);
	free(call);
}

/* Makes settle look at the call; while it is in `due` it is held. */
void grpc_call_due(struct grpc_call *call)
{
	if (list_empty(&call->due)) {
		call->refs++;
		list_append(&call->conn->due, &call->due);
	}
}

static void changed(struct grpc_call *call)
{
	if (call->conn->on_change)
		call->conn->on_change(call->conn->user);
}

/* ---- what goes to nghttp2 ---- */

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
			     NGHTTP2_NV_FLAG_NONE };
}

static void submit_trailer(struct grpc_call *call)
{
	char code[16], text[GRPC_TEXT_MAX];
	nghttp2_nv nv[2];

	snprintf(code, sizeof(code), "%d", call->code);
	nv[0] = header("grpc-status", code);
	nv[1] = header("grpc-message", grpc_message_encode(call->text, text));
	nghttp2_submit_trailer(call->conn->session, call->stream, nv, call->text[0] ? 2 : 1);
}

/* nghttp2 asks for the next bytes of the body. */
static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *to, size_t most, uint32_t *flags,
			 nghttp2_data_source *source, void *user)
{
	struct grpc_call *call = source->ptr;
	size_t n = 0;

	while (n < most && call->first) {
		struct grpc_chunk *chunk = call->first;
		size_t part = chunk->len - chunk->taken < most - n ? chunk->len - chunk->taken : most - n;

		memcpy(to + n, (chunk->owned ? chunk->owned : chunk->data) + chunk->taken, part);
		chunk->taken += part;
		n += part;
		if (chunk->taken == chunk->len) {
			call->first = chunk->next;
			if (!call->first)
				call->last = &call->first;
			chunk_free(call->conn->core, chunk);
		}
	}
	call->pending -= n;
	call->conn->core->out_bytes -= n;
	if (n && !call->pending && call->drain && !call->told) {
		call->due_drain = true;
		grpc_call_due(call);
	}
	if (!call->first && call->finished) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		submit_trailer(call);
	} else if (!n) {
		call->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)n;
}

/* Headers first if need be, and lets the body flow. */
static void push(struct grpc_call *call)
{
	nghttp2_session *session = call->conn->session;
	nghttp2_data_provider body = { .source.ptr = call, .read_callback = read_body };

	if (!call->responded) {
		nghttp2_nv nv[] = { header(":status", "200"), header("content-type", "application/grpc") };

		call->responded = true;
		nghttp2_submit_response(session, call->stream, nv, ARRAY_LEN(nv), &body);
	} else if (call->deferred) {
		call->deferred = false;
		nghttp2_session_resume_data(session, call->stream);
	}
	changed(call);
}

static void tell_refusal(struct grpc_call *call, int http)
{
	char status[16], code[16], text[GRPC_TEXT_MAX];
	nghttp2_nv nv[5];
	size_t n = 0;

	snprintf(status, sizeof(status), "%d", http);
	snprintf(code, sizeof(code), "%d", call->code);
	nv[n++] = header(":status", status);
	nv[n++] = header("content-type", "application/grpc");
	nv[n++] = header("grpc-status", code);
	if (call->text[0])
		nv[n++] = header("grpc-message", grpc_message_encode(call->text, text));
	if (call->encoding[0])
		nv[n++] = header("grpc-accept-encoding", "identity");
	call->responded = true;
	nghttp2_submit_response(call->conn->session, call->stream, nv, n, NULL);
	changed(call);
}

void grpc_call_tell(struct grpc_call *call, int http, int code, const char *text)
{
	struct grpc_core *core = call->conn->core;

	if (call->told)
		return;
	call->told = true;
	call->finished = true;
	call->code = code;
	call->text = mem_strdup(text);
	rpc_pb_clean_text(call->text);
	call->drain = NULL;
	if (core->on_answer)
		core->on_answer(call->path, code, call->text, time_now_mono() - call->begun, core->on_answer_user);
	if (!call->stream || !call->conn->session)
		drop_chunks(call);
	else if (!call->responded && !call->first)
		tell_refusal(call, http);
	else
		push(call);
}

void grpc_call_tellf(struct grpc_call *call, int http, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	grpc_call_tell(call, http, code, text);
}

void grpc_call_closed(struct grpc_call *call)
{
	call->stream = 0;
	list_remove(&call->link);
	drop_chunks(call);
	if (!call->answered) {
		call->due_cancel = true;
		grpc_call_due(call);
	}
	grpc_call_unref(call);
}

/* The client is gone or was told that time is up; the handler hears of it, once. */
void grpc_call_cancel(struct grpc_call *call)
{
	event_fn fn = take_ptr(&call->cancel);

	grpc_call_tell(call, 200, RPC_CANCELLED, "the client went away");
	if (call->answered || call->cancelled)
		return;
	call->cancelled = true;
	if (fn)
		fn(call->cancel_user);
}

/* ---- for handlers ---- */

static void queue(struct grpc_call *call, struct grpc_chunk *chunk)
{
	*call->last = chunk;
	call->last = &chunk->next;
	call->pending += chunk->len;
	call->conn->core->out_bytes += chunk->len;
}

/* The prefix of a message of so many bytes, and room for so many of them. */
static struct grpc_chunk *chunk_new(size_t len, size_t room)
{
	struct grpc_chunk *chunk = malloc(sizeof(*chunk) + GRPC_PREFIX + room);

	if (!chunk)
		abort();
	chunk->next = NULL;
	chunk->owned = NULL;
	chunk->cap = 0;
	chunk->len = GRPC_PREFIX + room;
	chunk->taken = 0;
	chunk->data[0] = 0; /* not compressed */
	for (int i = 0; i < 4; i++)
		chunk->data[1 + i] = (uint8_t)(len >> (24 - 8 * i));
	return chunk;
}

static int check_send(struct grpc_call *call, size_t len)
{
	if (call->told || !call->stream)
		return -ECANCELED;
	if (len > GRPC_MESSAGE_MAX)
		return -EMSGSIZE;
	if (call->pending > GRPC_MESSAGE_MAX || call->conn->core->out_bytes > GRPC_OUT_MAX)
		return -ENOBUFS;
	return 0;
}

static void answer(struct grpc_call *call, int code, const char *text)
{
	assert(!call->answered);
	call->answered = true;
	call->cancel = NULL;
	call->conn->n_running--;
	grpc_call_tell(call, 200, code, text);
	grpc_call_unref(call);
}

static void answer_send_error(struct grpc_call *call, int r, size_t len)
{
	char text[ERR_TEXT_MAX] = "";

	if (r == -EMSGSIZE)
		snprintf(text, sizeof(text), "a response of %zu bytes is larger than %d", len, GRPC_MESSAGE_MAX);
	else if (r == -ENOBUFS)
		snprintf(text, sizeof(text), "%zu bytes of answers wait to be read",
			 call->conn->core->out_bytes);
	answer(call, RPC_RESOURCE_EXHAUSTED, text);
}

void grpc_call_reply(struct grpc_call *call, const void *data, size_t len)
{
	int r = check_send(call, len);
	struct grpc_chunk *chunk;

	if (r < 0) {
		answer_send_error(call, r, len);
		return;
	}
	chunk = chunk_new(len, len);
	if (len)
		memcpy(chunk->data + GRPC_PREFIX, data, len);
	queue(call, chunk);
	answer(call, RPC_OK, "");
}

struct buf grpc_call_buf(struct grpc_call *call, size_t max)
{
	struct grpc_core *core = call->conn->core;
	struct buf b = core->spare;

	core->spare = (struct buf){ 0 };
	b.max = max;
	if (b.data)
		b.data[0] = 0;
	return b;
}

void grpc_call_reply_buf(struct grpc_call *call, struct buf *message)
{
	int r = check_send(call, message->len);
	struct grpc_chunk *chunk;

	if (r < 0) {
		answer_send_error(call, r, message->len);
		return;
	}
	queue(call, chunk_new(message->len, 0));
	if (message->len) {
		chunk = mem_new(1, sizeof(*chunk));
		chunk->len = message->len;
		chunk->owned = take_ptr(&message->data);
		chunk->cap = message->cap;
		message->len = message->cap = 0;
		queue(call, chunk);
	}
	buf_done(message);
	answer(call, RPC_OK, "");
}

void grpc_call_reply_pb(struct grpc_call *call, const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	int r = check_send(call, len);
	struct grpc_chunk *chunk;

	if (r < 0) {
		answer_send_error(call, r, len);
		return;
	}
	chunk = chunk_new(len, len);
	protobuf_c_message_pack(message, chunk->data + GRPC_PREFIX);
	queue(call, chunk);
	answer(call, RPC_OK, "");
}

void grpc_call_fail(struct grpc_call *call, const struct err *err)
{
	answer(call, err_kind_info(err->kind ? err->kind : ERR_INTERNAL)->grpc, err->text);
}

void grpc_call_fail_text(struct grpc_call *call, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer(call, code, text);
}

void grpc_call_finish(struct grpc_call *call)
{
	answer(call, RPC_OK, "");
}

int grpc_call_send(struct grpc_call *call, const void *data, size_t len)
{
	int r = check_send(call, len);
	struct grpc_chunk *chunk;

	assert(call->method->stream && !call->answered);
	if (r < 0)
		return r;
	chunk = chunk_new(len, len);
	if (len)
		memcpy(chunk->data + GRPC_PREFIX, data, len);
	queue(call, chunk);
	push(call);
	return 0;
}

int grpc_call_send_pb(struct grpc_call *call, const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	int r = check_send(call, len);
	struct grpc_chunk *chunk;

	assert(call->method->stream && !call->answered);
	if (r < 0)
		return r;
	chunk = chunk_new(len, len);
	protobuf_c_message_pack(message, chunk->data + GRPC_PREFIX);
	queue(call, chunk);
	push(call);
	return 0;
}

size_t grpc_call_pending(const struct grpc_call *call)
{
	return call->pending;
}

void grpc_call_on_drain(struct grpc_call *call, event_fn fn, void *user)
{
	call->drain = fn;
	call->drain_user = user;
}

void grpc_call_on_cancel(struct grpc_call *call, event_fn fn, void *user)
{
	call->cancel = fn;
	call->cancel_user = user;
}

void grpc_call_on_late(struct grpc_call *call, grpc_late_fn tell, void *user)
{
	call->late = tell;
	call->late_user = user;
	/* the timer stands at the deadline */
	changed(call);
}

const char *grpc_call_path(const struct grpc_call *call)
{
	return call->path;
}

const char *grpc_call_method(const struct grpc_call *call)
{
	return call->method->name;
}

int64_t grpc_call_deadline(const struct grpc_call *call)
{
	return call->deadline;
}

bool grpc_call_cancelled(const struct grpc_call *call)
{
	return call->cancelled;
}
