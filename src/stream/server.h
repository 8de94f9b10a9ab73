/* What peers and sessions need of the server. Inside stream, loop thread. */
#pragma once

#include "stream/http.h"
#include "stream/peer.h"

struct event_loop *server_loop(const struct stream_server *s);
const struct stream_owner *server_owner(const struct stream_server *s, void **ret_user);
int64_t server_idle_time(const struct stream_server *s); /* INT64_MAX: for ever */
void server_peer_left(struct stream_server *s);
/* Redeems the request's token and upgrades the peer; negative: refused with status and text. */
int server_accept(struct stream_server *s, struct peer *p, const struct http_request *req, int *ret_status,
		  const char **ret_text);

/* remote.c: exec and attach. Takes the arena in which req is. has_channels: WebSocket, where all
 * channels are there from the beginning; the session begins when remote_begin is called. */
struct stream_session *remote_new(struct stream_server *s, struct peer *p, const struct stream_request *req,
				  struct arena *a, const char *protocol, bool has_channels);
void remote_begin(struct stream_session *r);
extern const struct link_handler remote_handler;
void remote_gone(void *session);

/* forward.c */
struct forward;
struct forward *forward_new(struct stream_server *s, struct peer *p, const struct stream_request *req,
			    struct arena *a);
extern const struct link_handler forward_handler;
void forward_gone(void *forward);
