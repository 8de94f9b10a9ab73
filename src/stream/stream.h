/*
 * stream — exec, attach and port-forward: a client's connection ↔ descriptors.
 *
 * CRI answers Exec, Attach and PortForward with a URL. This room serves those URLs: HTTP/1.1 on
 * a loopback address, upgraded to SPDY/3.1 (what kubelet and crictl speak) or WebSocket
 * (v4.channel.k8s.io, v5.channel.k8s.io; port-forward as SPDY in WebSocket messages). It knows
 * neither pods nor shims: the owner says where bytes come from and go to.
 *
 *	stream_server_new(loop, "127.0.0.1", 0, &owner, user, &server, err);
 *	stream_server_url(server, &request, arena, &url, err);     → the CRI answer
 *	… a client connects with that URL: owner->begin(session, request) …
 *	stream_session_started(session, in, out, err_fd);           the descriptors
 *	stream_session_ended(session, code, NULL);                  the exit code
 *
 * A URL holds a random token of 256 bits, serves one connection and lives for a minute, if nothing
 * else was said. At most
 * STREAM_TOKENS_MAX wait at once: then the oldest goes.
 *
 * Sessions. begin is called once all streams that the request names are there. The owner then
 * calls stream_session_started once or not at all, and stream_session_ended exactly once, in any
 * case; the session is not the owner's after that. What a process has written before its exit
 * reaches the client before the exit code does; what children of it go on writing does not hold
 * the session open. attach: the session ends by itself when the outputs end, with `gone`.
 * `gone` tells an owner that has not called stream_session_ended that nobody listens any more.
 *
 * Port-forward. For each forwarded connection the owner is asked to connect, and answers with
 * stream_connect_done exactly once. There is no begin, and the session has no owner.
 *
 * Back-pressure. Each connection has at most STREAM_HIGH bytes of output and each of its channels
 * about as much input in memory. Beyond that the descriptor that is too fast is not read: a client
 * that stops reading stops its own process, and nobody else. SPDY clients of Kubernetes ignore flow
 * control windows in both directions; windows count from the first time a client shows that
 * it knows them.
 *
 * Loop thread for everything. Nothing blocks. SIGPIPE must be ignored. Clients are hostile:
 * requests, frames, headers and numbers of streams are bounded; a token is all their right.
 *
 *   stream/http.h   the upgrade request          stream/spdy.h   SPDY/3.1
 *   stream/ws.h     WebSocket, by wslay          stream/link.h   both, as numbered channels
 *   stream/lane.h   one channel ↔ one descriptor stream/peer.h   one connection
 */
#pragma once

#include "base/base.h"
#include "event/event.h"

enum { STREAM_TOKENS_MAX = 1000, STREAM_PEERS_MAX = 1024, STREAM_HIGH = 256 * 1024 };

enum stream_kind { STREAM_EXEC, STREAM_ATTACH, STREAM_FORWARD };

struct stream_request {
	enum stream_kind kind;
	const char *id;          /* container; of a port-forward the pod */
	char *const *cmd;        /* exec */
	size_t n_cmd;
	bool tty, in, out, err;  /* which streams; a terminal has no err */
};

struct stream_server;
struct stream_session;
struct stream_connect;

struct stream_owner {
	/* req lives as long as the session. Never from inside a call of the owner. */
	void (*begin)(struct stream_session *s, const struct stream_request *req, void *user);
	void (*resize)(struct stream_session *s, uint16_t width, uint16_t height, void *user);
	/* The client's input has ended and all of it was written; the descriptor is closed. */
	void (*input_ended)(struct stream_session *s, void *user);
	void (*gone)(struct stream_session *s, void *user);
	void (*connect)(struct stream_connect *c, const char *id, uint16_t port, void *user);
};

/* address: an IPv4 or IPv6 address; port 0: any free one. owner is borrowed. */
int stream_server_new(struct event_loop *loop, const char *address, uint16_t port,
		      const struct stream_owner *owner, void *user, struct stream_server **ret, struct err *err);
/* Cuts all connections; sessions are told that they are gone. */
void stream_server_free(struct stream_server *s);
uint16_t stream_server_port(const struct stream_server *s);
/* How long a URL waits to be used, and after how long without a byte either way a connection is cut, as if
 * its client had left (0, and unless it is called: never). ns. Before the first URL. */
void stream_server_limit(struct stream_server *s, int64_t url, int64_t idle);

/* req is copied. INVALID: no stream at all, or err together with a terminal. */
int stream_server_url(struct stream_server *s, const struct stream_request *req, struct arena *a, char **ret,
		      struct err *err);

/* One pointer of the owner's. */
void stream_session_set(struct stream_session *s, void *owner_data);
void *stream_session_get(const struct stream_session *s);
/* Takes the descriptors, pipes, FIFOs or sockets; negative for none. */
void stream_session_started(struct stream_session *s, int in, int out, int err_fd);
/* exec: the exit code; err not NULL: why there is none. */
void stream_session_ended(struct stream_session *s, int code, const struct err *err);

/* Takes the socket; or err says why there is none. */
void stream_connect_done(struct stream_connect *c, int fd, const struct err *err);
