/*
 * A connection. Loop thread.
 *
 * While a lane is full nothing is read, and a client that leaves then is noticed by its FIN only if
 * everything before that fitted into the socket's buffer: otherwise when its kernel gives up, or
 * when the process ends. Reading on would mean memory without bound, or lost input.
 *
 * `busy` is set while its own callback runs: what others change meanwhile is looked at once, at
 * the callback's end.
 */
#include "stream/peer.h"

#include "stream/http.h"
#include "stream/lane.h"
#include "stream/server.h"

#include <sys/socket.h>

enum { READ_SIZE = 32 * 1024, OUT_KEEP = 4096 };

#define REQUEST_TIME (10 * NSEC_PER_SEC)
#define SETUP_TIME (30 * NSEC_PER_SEC)
#define CLOSE_TIME (10 * NSEC_PER_SEC)

struct peer {
	struct stream_server *server;
	struct list link;
	int fd;
	uint32_t events;
	struct event_fd *src;
	struct event_timer *timer;
	bool busy, cut, finishing, refused, settled;
	int64_t active_at;   /* when a byte went, either way */
	struct buf head;     /* the request, until it is complete */
	struct buf early;    /* what is sent before there is a link */
	size_t sent;         /* of the buffer that goes out */
	struct link *channel;
	struct peer_session session;
	struct list lanes;
};

static void peer_update(struct peer *p);

struct event_loop *peer_loop(const struct peer *p)
{
	return server_loop(p->server);
}

struct link *peer_link(struct peer *p)
{
	return p->channel;
}

struct list *peer_list_link(struct peer *p)
{
	return &p->link;
}

struct peer *peer_of_link(struct list *link)
{
	return list_entry(link, struct peer, link);
}

void peer_add_lane(struct peer *p, struct list *link)
{
	list_append(&p->lanes, link);
}

void peer_free(struct peer *p)
{
	if (p->session.gone)
		p->session.gone(p->session.user);
	event_fd_free(p->src);
	event_timer_free(p->timer);
	close(p->fd);
	link_free(p->channel);
	buf_done(&p->head);
	buf_done(&p->early);
	list_remove(&p->link);
	server_peer_left(p->server);
	free(p);
}

/* ---- out ---- */

static struct buf *out_of(struct peer *p)
{
	/* the answer to the upgrade goes first */
	return p->early.len || !p->channel ? &p->early : link_out(p->channel);
}

/* 1: all is sent; 0: the socket is full; negative: it is dead. */
static int flush(struct peer *p)
{
	for (;;) {
		struct buf *out = out_of(p);
		ssize_t n;

		if (p->sent == out->len) {
			bool more = out == &p->early && p->early.len && p->channel;

			p->sent = 0;
			out->len = 0;
			if (out->cap > OUT_KEEP)
				buf_done(out); /* an idle connection keeps little */
			if (more)
				continue;
			return 1;
		}
		n = send(p->fd, out->data + p->sent, out->len - p->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (p->sent > out->len / 2) {
				buf_consume(out, p->sent);
				p->sent = 0;
			}
			return 0;
		}
		if (n < 0)
			return -errno;
		p->sent += (size_t)n;
		p->active_at = time_now_mono();
	}
}

bool peer_may_send(struct peer *p)
{
	return !p->cut && link_out(p->channel)->len < STREAM_HIGH;
}

static bool is_full(struct peer *p)
{
	if (p->channel && link_out(p->channel)->len > 4 * STREAM_HIGH)
		return true;
	list_for_each(l, &p->lanes, struct lane, link)
		if (lane_is_full(l))
			return true;
	return false;
}

static void peer_update(struct peer *p)
{
	uint32_t events = EPOLLRDHUP;
	int r = p->cut ? -EPIPE : flush(p);

	if (r < 0) {
		/* epoll reports it, and there it is freed */
		p->cut = true;
		shutdown(p->fd, SHUT_RDWR);
	}
	if (r == 0)
		events |= EPOLLOUT;
	if (r > 0 && p->refused)
		shutdown(p->fd, SHUT_WR);
	if (p->channel && !p->cut)
		list_for_each(l, &p->lanes, struct lane, link)
			lane_resume(l);
	if (p->cut || !is_full(p))
		events |= EPOLLIN;
	if (events != p->events)
		event_fd_set(p->src, p->events = events);
}

void peer_changed(struct peer *p)
{
	if (!p->busy)
		peer_update(p);
}

void peer_cut(struct peer *p)
{
	p->cut = true;
	peer_changed(p);
}

void peer_finish(struct peer *p)
{
	if (p->finishing)
		return;
	p->finishing = true;
	link_close(p->channel);
	event_timer_set(p->timer, time_now_mono() + CLOSE_TIME);
	peer_changed(p);
}

/* ---- in ---- */

static void refuse(struct peer *p, int status, const char *text)
{
	http_refuse(&p->early, status, text);
	p->refused = true;
	event_timer_set(p->timer, time_now_mono() + CLOSE_TIME);
}

/* The rest of what came with the request belongs to the link. */
static int take_request(struct peer *p, const uint8_t *data, size_t len)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct http_request req;
	int status = 400, n;
	const char *text = "malformed request";

	if (buf_append(&p->head, data, len) < 0)
		return -EMSGSIZE;
	n = http_request_read(p->head.data, p->head.len, &a, &req);
	if (n == 0)
		return 0;
	if (n == -EMSGSIZE)
		status = 431, text = "the request is too large";
	if (n < 0 || server_accept(p->server, p, &req, &status, &text) < 0) {
		refuse(p, status, text);
		return 0;
	}
	if (p->head.len > (size_t)n)
		n = link_feed(p->channel, p->head.data + n, p->head.len - (size_t)n);
	buf_done(&p->head);
	return n < 0 ? n : 0;
}

void peer_upgrade(struct peer *p, enum link_kind kind, const char *protocol, const char *ws_accept,
		  const struct peer_session *session)
{
	bool v5 = protocol && str_eq(protocol, "v5.channel.k8s.io");

	buf_printf(&p->early, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n",
		   kind == LINK_SPDY ? "SPDY/3.1" : "websocket");
	if (ws_accept)
		buf_printf(&p->early, "Sec-WebSocket-Accept: %s\r\n", ws_accept);
	if (protocol)
		buf_printf(&p->early, "%s: %s\r\n",
			   kind == LINK_SPDY ? "X-Stream-Protocol-Version" : "Sec-WebSocket-Protocol", protocol);
	buf_puts(&p->early, "\r\n");
	event_timer_set(p->timer, time_now_mono() + SETUP_TIME);
	p->session = *session;
	p->channel = link_new(kind, v5, session->handler, session->user);
}

/* When the connection will have been idle for too long if nothing happens. The timer is not moved
 * with every byte, but looked at again when it fires. */
static int64_t idle_until(const struct peer *p)
{
	int64_t idle = server_idle_time(p->server);

	return idle < INT64_MAX - p->active_at ? p->active_at + idle : INT64_MAX;
}

void peer_settled(struct peer *p)
{
	p->settled = true;
	p->active_at = time_now_mono();
	event_timer_set(p->timer, idle_until(p));
}

/* 0, or negative when the peer is to be freed. */
static int peer_read(struct peer *p)
{
	uint8_t data[READ_SIZE];
	ssize_t n = recv(p->fd, data, sizeof(data), MSG_DONTWAIT);
	int r;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0)
		return -EPIPE;
	p->active_at = time_now_mono();
	if (p->refused)
		return 0;
	r = p->channel ? link_feed(p->channel, data, (size_t)n) : take_request(p, data, (size_t)n);
	if (r < 0)
		flush(p); /* what says goodbye */
	return r;
}

static void on_ready(uint32_t events, void *user)
{
	struct peer *p = user;
	int r = 0;

	p->busy = true;
	if (p->cut || (!(p->events & EPOLLIN) && (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))))
		r = -EPIPE; /* it left without taking everything */
	else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
		r = peer_read(p);
	p->busy = false;
	if (r < 0)
		peer_free(p);
	else
		peer_update(p);
}

static void on_timeout(void *user)
{
	struct peer *p = user;

	if (p->settled && !p->finishing && idle_until(p) > time_now_mono())
		event_timer_set(p->timer, idle_until(p));
	else
		peer_free(p);
}

int peer_new(struct stream_server *s, int fd, struct peer **ret)
{
	struct peer *p = mem_new(1, sizeof(*p));
	int r;

	p->server = s;
	p->fd = fd;
	p->events = EPOLLIN | EPOLLRDHUP;
	p->head = (struct buf)BUF_INIT(HTTP_HEAD_MAX + READ_SIZE);
	p->early = (struct buf)BUF_INIT(64 * 1024);
	list_init(&p->link);
	list_init(&p->lanes);
	r = event_timer_new(server_loop(s), time_now_mono() + REQUEST_TIME, on_timeout, p, &p->timer);
	if (r == 0)
		r = event_fd_new(server_loop(s), fd, p->events, on_ready, p, &p->src);
	if (r < 0) {
		event_timer_free(p->timer);
		close(fd);
		free(p);
		return r;
	}
	*ret = p;
	return 0;
}
