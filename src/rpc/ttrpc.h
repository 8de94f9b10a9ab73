/*
 * ttrpc: containerd's small RPC of frames over a Unix socket.
 *
 * A frame is ten bytes (u32be length, u32be stream, u8 type, u8 flags) and at most
 * TTRPC_DATA_MAX bytes of ttrpc.Request or ttrpc.Response. Streams are opened by the client with
 * odd, rising numbers. https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md
 * Only unary calls are served; a request that announces more data is answered UNIMPLEMENTED.
 *
 * Errors of a call go to the peer as google.rpc.Status; text is cut at ERR_TEXT_MAX.
 */
#pragma once

#include "base/base.h"
#include "event/event.h"
#include "rpc/pb.h"

enum { TTRPC_DATA_MAX = 4 << 20 };

/* ---- server (loop thread) ---- */

struct ttrpc_server;
struct ttrpc_call;

/* The request belongs to the call and lives as long. user is the service's. */
typedef void (*ttrpc_pb_fn)(struct ttrpc_call *call, const void *request, void *user);
typedef void (*ttrpc_raw_fn)(struct ttrpc_call *call, const uint8_t *data, size_t len, void *user);

struct ttrpc_method {
	const char *name;                          /* "Create" */
	ttrpc_pb_fn pb;                            /* with request: gets the unpacked message */
	const ProtobufCMessageDescriptor *request;
	ttrpc_raw_fn raw;                          /* instead of pb: gets the bytes */
};

/* Two services may share one table of methods: containerd.task.v2.Task and v3. */
struct ttrpc_service {
	const char *name; /* "containerd.task.v2.Task" */
	const struct ttrpc_method *methods;
	size_t n_methods;
	void *user;
};

/*
 * listen_fd (non-blocking) is borrowed, -EBADF for a server that only gets connections by
 * ttrpc_server_add. services are borrowed for the life of the server.
 */
int ttrpc_server_new(struct event_loop *loop, int listen_fd, const struct ttrpc_service *services,
		     size_t n_services, struct ttrpc_server **ret);
/* One more connection; takes fd, on failure too. */
int ttrpc_server_add(struct ttrpc_server *server, int fd);
/* Closes all connections. Calls that were not answered yet are cancelled and stay until they
 * are answered. Not from inside a handler: stop the loop there and free after it. */
void ttrpc_server_free(struct ttrpc_server *server);
/* All that was answered is on the socket: a shim that was told to shut down may exit. */
bool ttrpc_server_idle(const struct ttrpc_server *server);

/*
 * Each call is answered exactly once, by reply or fail, and is gone after that unless it
 * was ref'd. When the client went away or the deadline passed (the client was told then),
 * the answer is swallowed.
 */
void ttrpc_call_reply(struct ttrpc_call *call, const void *data, size_t len);
void ttrpc_call_reply_pb(struct ttrpc_call *call, const ProtobufCMessage *message);
void ttrpc_call_fail(struct ttrpc_call *call, const struct err *err);
void ttrpc_call_fail_text(struct ttrpc_call *call, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

struct ttrpc_call *ttrpc_call_ref(struct ttrpc_call *call);
void ttrpc_call_unref(struct ttrpc_call *call);

const char *ttrpc_call_service(const struct ttrpc_call *call);
const char *ttrpc_call_method(const struct ttrpc_call *call);
int64_t ttrpc_call_deadline(const struct ttrpc_call *call); /* mono ns, INT64_MAX: none */
bool ttrpc_call_cancelled(const struct ttrpc_call *call);
/* fn(user) once, when the client goes away or the deadline passes before the answer. It may
 * answer the call, or leave that to others. NULL takes it back. */
void ttrpc_call_on_cancel(struct ttrpc_call *call, event_fn fn, void *user);

/* ---- blocking client (any thread) ---- */

/*
 * One call on a connection of its own; *out gets the response (appended). Errors: the
 * peer's own, by kind; UNAVAILABLE: nobody listens or the connection broke; TIMEOUT: no
 * answer by the deadline (mono ns, INT64_MAX none), which the peer is told too.
 */
int ttrpc_call_once(const char *address, const char *service, const char *method, const void *request,
		    size_t len, int64_t deadline, struct buf *out, struct err *err);

/* The same with messages; *ret (may be NULL) by rpc_pb_free. */
int ttrpc_call_once_pb(const char *address, const char *service, const char *method,
		       const ProtobufCMessage *request, const ProtobufCMessageDescriptor *response_type,
		       int64_t deadline, ProtobufCMessage **ret, struct err *err);

/* On a connected descriptor, which stays open and may be used for one call after another. */
int ttrpc_call_fd(int fd, uint32_t stream, const char *service, const char *method, const void *request,
		  size_t len, int64_t deadline, struct buf *out, struct err *err);

/* ---- client on the event loop (loop thread) ---- */

struct ttrpc_client;

/* err is NULL on success; data is the response, valid during the call. */
typedef void (*ttrpc_done_fn)(const struct err *err, const uint8_t *data, size_t len, void *user);

/*
 * Takes fd, on failure too (get one by rpc_connect). on_end(user) once, when the connection
 * is over: the peer closed it or sent nonsense. Before it, each open call's done got
 * UNAVAILABLE. The client is still there then and may be freed in the callback.
 */
int ttrpc_client_new(struct event_loop *loop, int fd, event_fn on_end, void *user, struct ttrpc_client **ret);
/* No callback after this; calls that are open are forgotten. */
void ttrpc_client_free(struct ttrpc_client *client);

/* done is never called from inside. Deadline: mono ns, INT64_MAX none; then done gets TIMEOUT.
 * LIMIT: larger than TTRPC_DATA_MAX. UNAVAILABLE: the connection is over. */
int ttrpc_client_call(struct ttrpc_client *client, const char *service, const char *method,
		      const void *request, size_t len, int64_t deadline, ttrpc_done_fn done, void *user,
		      struct err *err);
int ttrpc_client_call_pb(struct ttrpc_client *client, const char *service, const char *method,
			 const ProtobufCMessage *request, int64_t deadline, ttrpc_done_fn done, void *user,
			 struct err *err);
