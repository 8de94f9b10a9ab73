/*
 * The server side of a connection and its calls. No I/O; runs on the loop thread.
 *
 * Invariants:
 *  - A call with conn set is in conn->calls and was neither answered nor cancelled. Answering,
 *    cancelling and the end of the connection each detach it, once.
 *  - The first reference of a call belongs to whoever has to answer it and goes with the answer.
 *  - Handlers and cancel functions may answer any call, so no list is walked across one.
 */
#include "rpc/ttrpc-core.h"

#include "rpc/code.h"
#include "ttrpc.pb-c.h"

#include <stdarg.h>
#include <stdio.h>

struct ttrpc_call {
	unsigned refs;
	bool answered, cancelled;
	uint32_t stream;
	struct ttrpc_conn *conn;
	struct list link;
	int64_t deadline;
	const char *service;
	const struct ttrpc_method *method;
	ProtobufCMessage *request; /* unpacked; for a raw method the ttrpc.Request with its payload */
	event_fn cancel;
	void *cancel_user;
};

void ttrpc_conn_init(struct ttrpc_conn *c, const struct ttrpc_service *services, size_t n_services,
		     event_fn on_change, void *user)
{
	*c = (struct ttrpc_conn){
		.services = services, .n_services = n_services, .out = RPC_OUT_INIT(TTRPC_OUT_MAX),
		.on_change = on_change, .user = user,
	};
	list_init(&c->calls);
}

static void changed(struct ttrpc_conn *c)
{
	if (c->on_change)
		c->on_change(c->user);
}

/* ---- calls ---- */

struct ttrpc_call *ttrpc_call_ref(struct ttrpc_call *call)
{
	call->refs++;
	return call;
}

void ttrpc_call_unref(struct ttrpc_call *call)
{
	if (!call || --call->refs)
		return;
	rpc_pb_free(call->request);
	free(call);
}

static struct ttrpc_conn *detach(struct ttrpc_call *call)
{
	struct ttrpc_conn *c = take_ptr(&call->conn);

	if (c) {
		list_remove(&call->link);
		c->n_calls--;
	}
	return c;
}

static void cancel(struct ttrpc_call *call)
{
	event_fn fn = take_ptr(&call->cancel);

	detach(call);
	call->cancelled = true;
	if (fn)
		fn(call->cancel_user);
}

static void send_status(struct ttrpc_conn *c, uint32_t stream, int code, const char *text)
{
	if (ttrpc_put_status(&c->out.buf, stream, code, text) < 0)
		c->broken = true;
	changed(c);
}

/* The connection to answer on, or NULL when nobody listens any more. */
static struct ttrpc_conn *begin_answer(struct ttrpc_call *call)
{
	assert(!call->answered);
	call->answered = true;
	call->cancel = NULL;
	return detach(call);
}

void ttrpc_call_reply(struct ttrpc_call *call, const void *data, size_t len)
{
	struct ttrpc_conn *c = begin_answer(call);
	struct err err = ERR_INIT;

	if (c && ttrpc_put_response(&c->out.buf, call->stream, data, len, &err) < 0)
		send_status(c, call->stream, RPC_RESOURCE_EXHAUSTED, err.text);
	else if (c)
		changed(c);
	ttrpc_call_unref(call);
}

void ttrpc_call_reply_pb(struct ttrpc_call *call, const ProtobufCMessage *message)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(TTRPC_DATA_MAX);
	struct err err = ERR_INIT;

	if (rpc_pb_pack(message, &b, &err) < 0)
		ttrpc_call_fail(call, &err);
	else
		ttrpc_call_reply(call, b.data, b.len);
}

static void answer_status(struct ttrpc_call *call, int code, const char *text)
{
	struct ttrpc_conn *c = begin_answer(call);

	if (c)
		send_status(c, call->stream, code, text);
	ttrpc_call_unref(call);
}

void ttrpc_call_fail(struct ttrpc_call *call, const struct err *err)
{
	answer_status(call, err_kind_info(err->kind ? err->kind : ERR_INTERNAL)->grpc, err->text);
}

void ttrpc_call_fail_text(struct ttrpc_call *call, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer_status(call, code, text);
}

const char *ttrpc_call_service(const struct ttrpc_call *call)
{
	return call->service;
}

const char *ttrpc_call_method(const struct ttrpc_call *call)
{
	return call->method->name;
}

int64_t ttrpc_call_deadline(const struct ttrpc_call *call)
{
	return call->deadline;
}

bool ttrpc_call_cancelled(const struct ttrpc_call *call)
{
	return call->cancelled;
}

void ttrpc_call_on_cancel(struct ttrpc_call *call, event_fn fn, void *user)
{
	call->cancel = fn;
	call->cancel_user = user;
}

/* ---- requests ---- */

static const struct ttrpc_service *find_service(const struct ttrpc_conn *c, const char *name)
{
	for (size_t i = 0; i < c->n_services; i++)
		if (str_eq(c->services[i].name, name))
			return &c->services[i];
	return NULL;
}

static const struct ttrpc_method *find_method(const struct ttrpc_service *s, const char *name)
{
	for (size_t i = 0; i < s->n_methods; i++)
		if (str_eq(s->methods[i].name, name))
			return &s->methods[i];
	return NULL;
}

static void refuse(struct ttrpc_conn *c, uint32_t stream, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void refuse(struct ttrpc_conn *c, uint32_t stream, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	send_status(c, stream, code, text);
}

/* Calls the handler. *message is a Ttrpc__Request and may be taken. */
static void begin_call(struct ttrpc_conn *c, uint32_t stream, ProtobufCMessage **message, int64_t now)
{
	const Ttrpc__Request *req = (const Ttrpc__Request *)*message;
	const struct ttrpc_service *service = find_service(c, req->service);
	const struct ttrpc_method *method = service ? find_method(service, req->method) : NULL;
	ProtobufCMessage *request = NULL;
	struct ttrpc_call *call;
	struct err err = ERR_INIT;

	if (!service)
		return refuse(c, stream, RPC_UNIMPLEMENTED, "unknown service %s", req->service);
	if (!method)
		return refuse(c, stream, RPC_UNIMPLEMENTED, "unknown method %s of %s", req->method, req->service);
	if (c->n_calls >= TTRPC_CALLS_MAX)
		return refuse(c, stream, RPC_RESOURCE_EXHAUSTED, "%d calls are open on this connection",
			      TTRPC_CALLS_MAX);
	if (method->pb &&
	    rpc_pb_unpack(method->request, req->payload.data, req->payload.len, &request, &err) < 0)
		return refuse(c, stream, err_kind_info(err.kind)->grpc, "%s", err.text);

	call = mem_new(1, sizeof(*call));
	call->refs = 2; /* one is ours until the handler has returned */
	call->stream = stream;
	call->conn = c;
	call->service = service->name;
	call->method = method;
	call->deadline = req->timeout_nano > 0 && req->timeout_nano < INT64_MAX - now ?
		now + req->timeout_nano : INT64_MAX;
	list_append(&c->calls, &call->link);
	c->n_calls++;
	if (method->pb) {
		call->request = request;
		rpc_pb_free(take_ptr(message));
		method->pb(call, request, service->user);
	} else {
		call->request = take_ptr(message);
		method->raw(call, req->payload.data, req->payload.len, service->user);
	}
	if (call->conn && call->deadline != INT64_MAX)
		changed(call->conn);
	ttrpc_call_unref(call);
}

static void on_frame(struct ttrpc_conn *c, const struct ttrpc_frame *f, int64_t now)
{
	ProtobufCMessage *message = NULL;
	struct err err = ERR_INIT;

	if (f->type != TTRPC_REQUEST) /* data of streams, which were all refused */
		return;
	if (f->stream % 2 == 0)
		return refuse(c, f->stream, RPC_INVALID_ARGUMENT, "stream %u is even: not a client's", f->stream);
	if (f->stream <= c->last_stream)
		return refuse(c, f->stream, RPC_INVALID_ARGUMENT, "stream %u is used again", f->stream);
	c->last_stream = f->stream;
	if (!f->data)
		return refuse(c, f->stream, RPC_RESOURCE_EXHAUSTED, "a request of %u bytes is larger than %d",
			      f->len, TTRPC_DATA_MAX);
	if (f->flags & TTRPC_REMOTE_OPEN)
		return refuse(c, f->stream, RPC_UNIMPLEMENTED, "streaming requests are not served");
	if (rpc_pb_unpack(&ttrpc__request__descriptor, f->data, f->len, &message, &err) < 0)
		return refuse(c, f->stream, err_kind_info(err.kind)->grpc, "%s", err.text);
	begin_call(c, f->stream, &message, now);
	rpc_pb_free(message);
}

void ttrpc_conn_feed(struct ttrpc_conn *c, const uint8_t *data, size_t len, int64_t now)
{
	struct ttrpc_frame frame;

	while (!c->broken && ttrpc_reader_feed(&c->reader, &data, &len, &frame))
		on_frame(c, &frame, now);
}

/* ---- time and end ---- */

int64_t ttrpc_conn_deadline(const struct ttrpc_conn *c)
{
	int64_t first = INT64_MAX;

	list_for_each(call, &c->calls, struct ttrpc_call, link)
		if (call->deadline < first)
			first = call->deadline;
	return first;
}

void ttrpc_conn_expire(struct ttrpc_conn *c, int64_t now)
{
	bool again;

	do {
		again = false;
		list_for_each(call, &c->calls, struct ttrpc_call, link) {
			if (call->deadline > now)
				continue;
			refuse(c, call->stream, RPC_DEADLINE_EXCEEDED, "%s was not done by the deadline",
			       call->method->name);
			cancel(call);
			again = true;
			break;
		}
	} while (again);
}

void ttrpc_conn_done(struct ttrpc_conn *c)
{
	struct ttrpc_call *call;

	c->on_change = NULL;
	while ((call = list_first(&c->calls, struct ttrpc_call, link)))
		cancel(call);
	ttrpc_reader_done(&c->reader);
	rpc_out_done(&c->out);
}
