/*
 * One client's connection: the HTTP request, then the link, until it closes. Inside stream, loop
 * thread.
 *
 * A peer is freed only from its own descriptor's or timer's callback, or with the server: everything
 * else that finds it dead calls peer_cut and goes on. Its session (remote.c, forward.c) belongs to
 * it, and is told by `gone` that the peer is no more.
 */
#pragma once

#include "stream/link.h"
#include "stream/stream.h"

struct peer;

/* What begins once the token is known. */
struct peer_session {
	const struct link_handler *handler;
	void (*gone)(void *user); /* frees or orphans the session and its lanes */
	void *user;
};

/* Takes fd. */
int peer_new(struct stream_server *s, int fd, struct peer **ret);
void peer_free(struct peer *p);
struct list *peer_list_link(struct peer *p);
struct peer *peer_of_link(struct list *link);

/* Called by the server for an accepted request. Protocol is what was agreed on, or NULL. */
void peer_upgrade(struct peer *p, enum link_kind kind, const char *protocol, const char *ws_accept,
		  const struct peer_session *session);

/* The session has begun: until then there is a time limit. */
void peer_settled(struct peer *p);
struct event_loop *peer_loop(const struct peer *p);
struct link *peer_link(struct peer *p);
/* Less than STREAM_HIGH waits for the client. */
bool peer_may_send(struct peer *p);
/* After anything was sent, consumed or added outside the link's handlers. */
void peer_changed(struct peer *p);
/* All has been sent: the client gets some seconds to take it and to close. */
void peer_finish(struct peer *p);
void peer_cut(struct peer *p);
void peer_add_lane(struct peer *p, struct list *link);
