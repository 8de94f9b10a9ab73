/*
 * gRPC over Unix sockets: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 *
 * Server: loop thread only. Unary and server-streaming methods; identity encoding.
 *
 * The client is not trusted with our memory: messages GRPC_MESSAGE_MAX either way, requests in
 * flight and answers that nobody reads bounded in sum, GRPC_STREAMS_MAX calls a connection
 * (also counting those whose client has reset them while their handlers still run), header
 * lists 16 KiB. Nonsense on a connection ends that connection with a GOAWAY, and no other.
 */
#pragma once

#include "base/base.h"
#include "event/event.h"
#include "rpc/pb.h"

enum {
	GRPC_MESSAGE_MAX = 16 << 20,
	GRPC_STREAMS_MAX = 256,
	GRPC_CONNECTIONS_MAX = 1024,
};

/* ---- server ---- */

struct grpc_server;
struct grpc_call;

/* The request belongs to the call and lives as long. user is the service's. */
typedef void (*grpc_pb_fn)(struct grpc_call *call, const void *request, void *user);
typedef void (*grpc_raw_fn)(struct grpc_call *call, const uint8_t *data, size_t len, void *user);

struct grpc_method {
	const char *name;                          /* "RunPodSandbox" */
	grpc_pb_fn pb;                             /* with request: gets the unpacked message */
	const ProtobufCMessageDescriptor *request;
	grpc_raw_fn raw;                           /* instead of pb: gets the bytes */
	bool stream;                               /* the server sends any number of messages */
};

struct grpc_service {
	const char *name; /* "runtime.v1.RuntimeService" */
	const struct grpc_method *methods;
	size_t n_methods;
	void *user;
};

/* listen_fd (non-blocking) is borrowed; services are borrowed for the life of the server. */
int grpc_server_new(struct event_loop *loop, int listen_fd, const struct grpc_service *services,
		    size_t n_services, struct grpc_server **ret);
/* One more connection; takes fd, on failure too. */
int grpc_server_add(struct grpc_server *server, int fd);
/*
 * Ends gracefully: accepts nothing more, sends GOAWAY, lets open calls finish, then drained(user)
 * once. Streams are open calls too: their owners end them.
 */
void grpc_server_drain(struct grpc_server *server, event_fn drained, void *user);
/* Closes all connections at once. Calls that were not answered yet are cancelled and stay
 * until they are answered. Not from inside a handler. */
void grpc_server_free(struct grpc_server *server);

/*
 * For the program's log: called when a call was answered or cancelled; code is an rpc_code,
 * text is "" on success. Unknown methods come here too.
 */
typedef void (*grpc_answer_fn)(const char *path, int code, const char *text, int64_t duration, void *user);
void grpc_server_on_answer(struct grpc_server *server, grpc_answer_fn fn, void *user);

/*
 * Each call is answered exactly once, by reply, fail or finish, and is gone after that
 * unless it was ref'd. When the client went away or the deadline passed (the client was told
 * then), the answer is swallowed. A reply over GRPC_MESSAGE_MAX becomes RESOURCE_EXHAUSTED.
 */
void grpc_call_reply(struct grpc_call *call, const void *data, size_t len);
/*
 * An empty buffer for what grpc_call_reply_buf will send, bounded by max: the memory of an earlier answer, where the
 * server has kept one. So a long list that is asked for again and again is written into pages that are there. One is
 * kept, of 64 KiB to 2 MiB, for five seconds after its last use.
 */
struct buf grpc_call_buf(struct grpc_call *call, size_t max);
/* Without a copy: the bytes are taken out of the buffer, unless the answer is swallowed. */
void grpc_call_reply_buf(struct grpc_call *call, struct buf *message);
void grpc_call_reply_pb(struct grpc_call *call, const ProtobufCMessage *message);
void grpc_call_fail(struct grpc_call *call, const struct err *err);
void grpc_call_fail_text(struct grpc_call *call, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Streaming methods: any number of sends, then finish (or fail). -ECANCELED: the client is
 * gone. -EMSGSIZE: over GRPC_MESSAGE_MAX. -ENOBUFS: the client does not read, more than
 * GRPC_MESSAGE_MAX is waiting already; wait for on_drain or give up. Nothing was sent then.
 */
int grpc_call_send(struct grpc_call *call, const void *data, size_t len);
int grpc_call_send_pb(struct grpc_call *call, const ProtobufCMessage *message);
void grpc_call_finish(struct grpc_call *call);
/* Bytes that wait for the client to read. */
size_t grpc_call_pending(const struct grpc_call *call);
/* fn(user) each time that all waiting bytes have been taken; NULL takes it back. It may send. */
void grpc_call_on_drain(struct grpc_call *call, event_fn fn, void *user);

struct grpc_call *grpc_call_ref(struct grpc_call *call);
void grpc_call_unref(struct grpc_call *call);

const char *grpc_call_path(const struct grpc_call *call);   /* "/runtime.v1.RuntimeService/Version" */
const char *grpc_call_method(const struct grpc_call *call); /* "Version" */
int64_t grpc_call_deadline(const struct grpc_call *call);   /* mono ns, INT64_MAX: none */
bool grpc_call_cancelled(const struct grpc_call *call);
/* fn(user) once, when the client goes away, resets the call or the deadline passes before
 * the answer. It may answer the call, or leave that to others. NULL takes it back. */
void grpc_call_on_cancel(struct grpc_call *call, event_fn fn, void *user);
/*
 * A client that hangs up at its deadline hears no answer that is given then. With this it gets its
 * DEADLINE_EXCEEDED a little earlier (5 % of the time it gave, 200 ms at most): tell(out, size, user)
 * says what the call is at. on_cancel follows, as at the deadline.
 */
typedef void (*grpc_late_fn)(char *out, size_t size, void *user);
void grpc_call_on_late(struct grpc_call *call, grpc_late_fn tell, void *user);

/* ---- blocking client (one thread at a time) ---- */

struct grpc_client;
struct grpc_stream;

/* One connection, for any number of calls one after another or at the same time. */
int grpc_client_new(const char *address, int64_t deadline, struct grpc_client **ret, struct err *err);
/* On a connected descriptor; takes fd, on failure too. */
int grpc_client_new_fd(int fd, struct grpc_client **ret, struct err *err);
void grpc_client_free(struct grpc_client *client); /* streams must have been closed */

/*
 * Unary: *out gets the response (appended). Errors: the server's own, by kind; UNAVAILABLE:
 * the connection broke; TIMEOUT: no answer by the deadline (mono ns, INT64_MAX none), which
 * is sent along as grpc-timeout.
 */
int grpc_client_call(struct grpc_client *client, const char *path, const void *request, size_t len,
		     int64_t deadline, struct buf *out, struct err *err);
/* With messages; *ret (ret may be NULL) by rpc_pb_free. */
int grpc_client_call_pb(struct grpc_client *client, const char *path, const ProtobufCMessage *request,
			const ProtobufCMessageDescriptor *response_type, int64_t deadline,
			ProtobufCMessage **ret, struct err *err);

/*
 * Server streaming, and several calls at once: open, next until 0, close.
 * next: 1 and one message appended to *out; 0: the call ended well; negative: it failed.
 * close resets a call that has not ended.
 */
int grpc_stream_open(struct grpc_client *client, const char *path, const void *request, size_t len,
		     int64_t deadline, struct grpc_stream **ret, struct err *err);
int grpc_stream_next(struct grpc_stream *stream, struct buf *out, struct err *err);
void grpc_stream_close(struct grpc_stream *stream);
