/*
 * One connection of a gRPC server, without its socket. Private to rpc.
 *
 *	grpc_conn_feed     bytes that came in
 *	grpc_conn_pull     bytes to go out, appended to conn->out
 *	grpc_conn_settle   runs handlers, cancel and drain functions that feed, pull or expire made due
 *	grpc_conn_expire   at grpc_conn_deadline
 *	grpc_conn_over     nothing more will come or go
 *	grpc_conn_end      the socket is gone: open calls are cancelled and live on
 *
 * nghttp2 keeps the protocol: frames, HPACK, flow control, PING, limits on floods. It must
 * not be entered from its own callbacks, so what user code has to hear waits in `due`
 * until settle. A connection is counted: calls hold it, its session goes with the socket.
 */
#pragma once

#include "rpc/grpc-wire.h"
#include "rpc/grpc.h"
#include "rpc/out.h"

#include <nghttp2/nghttp2.h>

enum {
	GRPC_PATH_MAX = 512,
	GRPC_HEADERS_MAX = 16 << 10,   /* as HPACK counts: name, value and 32 */
	GRPC_WINDOW_STREAM = 1 << 20,
	GRPC_WINDOW_CONNECTION = 4 << 20,
	GRPC_IN_MAX = 128 << 20,       /* request bytes held in the whole server */
	GRPC_OUT_MAX = 256 << 20,      /* answer bytes nobody has read, in the whole server */
	GRPC_PULL_SIZE = 64 << 10,
	GRPC_SPARE_MIN = 64 << 10, GRPC_SPARE_MAX = 2 << 20,
};

/* What all connections of a server share; counted, since calls may outlive the server. */
struct grpc_core {
	unsigned refs;
	const struct grpc_service *services;
	size_t n_services;
	size_t in_bytes, out_bytes;
	struct buf spare;         /* of an answer that went out */
	bool spare_kept;          /* since the server looked last: its time begins again */
	grpc_answer_fn on_answer;
	void *on_answer_user;
};

struct grpc_conn {
	unsigned refs;
	struct grpc_core *core;
	nghttp2_session *session; /* NULL before the first byte and after the end */
	struct rpc_out out;
	struct list calls;        /* whose streams are open */
	struct list due;
	size_t n_running;         /* calls dispatched and not answered, reset ones too */
	int64_t now;
	bool failed, ended, draining;
	event_fn on_change;       /* an answer was given outside feed, pull and settle */
	void *user;
};

struct grpc_chunk {
	struct grpc_chunk *next;
	size_t len, taken;
	uint8_t *owned; /* the bytes, when they came in a buffer of their own; else they are data */
	size_t cap;     /* of owned */
	uint8_t data[];
};

struct grpc_call {
	unsigned refs;            /* the stream's and, between dispatch and answer, the handler's */
	struct grpc_conn *conn;
	struct list link, due;
	int32_t stream;           /* 0: closed */
	bool due_dispatch, due_cancel, due_drain;

	/* the request */
	char path[GRPC_PATH_MAX];
	const struct grpc_service *service;
	const struct grpc_method *method;
	bool post, content_type, path_cut, request_done;
	char encoding[32];
	size_t header_bytes;
	int64_t begun, deadline;
	int timeout_error;
	uint8_t prefix[GRPC_PREFIX];
	size_t n_prefix;
	uint8_t *data;
	size_t len, n_data, charged;
	ProtobufCMessage *request;

	/* the answer */
	bool answered;            /* by the handler */
	bool told;                /* the client knows the end, or is gone */
	bool cancelled;
	bool responded;           /* response headers went to nghttp2 */
	bool deferred, finished;
	int code;
	char *text;
	struct grpc_chunk *first, **last;
	size_t pending;
	event_fn cancel, drain;
	grpc_late_fn late;
	void *cancel_user, *drain_user, *late_user;
};

struct grpc_core *grpc_core_new(const struct grpc_service *services, size_t n_services);
void grpc_core_unref(struct grpc_core *core);

struct grpc_conn *grpc_conn_new(struct grpc_core *core, event_fn on_change, void *user);
void grpc_conn_unref(struct grpc_conn *c);
void grpc_conn_feed(struct grpc_conn *c, const uint8_t *data, size_t len, int64_t now);
void grpc_conn_pull(struct grpc_conn *c);
void grpc_conn_settle(struct grpc_conn *c);
void grpc_conn_expire(struct grpc_conn *c, int64_t now);
int64_t grpc_conn_deadline(const struct grpc_conn *c);
void grpc_conn_drain(struct grpc_conn *c);
bool grpc_conn_over(const struct grpc_conn *c);
void grpc_conn_end(struct grpc_conn *c);

/* Between grpc-core.c (requests) and grpc-call.c (answers). */
struct grpc_call *grpc_call_new(struct grpc_conn *c, int32_t stream);
void grpc_call_due(struct grpc_call *call);
/* The client is told how it ended; http is the :status of a refusal before any answer. */
void grpc_call_tell(struct grpc_call *call, int http, int code, const char *text);
void grpc_call_tellf(struct grpc_call *call, int http, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void grpc_call_cancel(struct grpc_call *call);
/* Its stream has ended, one way or the other: drops the stream's reference. */
void grpc_call_closed(struct grpc_call *call);
void grpc_call_drop_request(struct grpc_call *call);
