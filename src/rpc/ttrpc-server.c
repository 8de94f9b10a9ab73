/*
 * Sockets and timers of a ttrpc server. Loop thread only.
 *
 * A peer is torn down from its own descriptor's callback or by ttrpc_server_free, never from
 * an answer: answering finds a dead socket, shuts it down, and epoll reports the rest.
 */
#include "rpc/accept.h"
#include "rpc/ttrpc-core.h"

#include <sys/socket.h>

enum { READ_SIZE = 8192, READS_AT_ONCE = 16, TTRPC_CONNECTIONS_MAX = 256, OUT_SLOW = 1 << 20 };

struct ttrpc_server {
	struct event_loop *loop;
	const struct ttrpc_service *services;
	size_t n_services;
	struct rpc_acceptor acceptor;
	struct list peers;
};

struct peer {
	struct ttrpc_server *server;
	struct list link;
	int fd;
	uint32_t events;
	bool busy; /* inside feed or expire: what changes is looked at once, at the end */
	struct event_fd *src;
	struct event_timer *timer; /* made with the first deadline */
	struct ttrpc_conn conn;
};

static void peer_free(struct peer *p)
{
	event_fd_free(p->src);
	event_timer_free(p->timer);
	close(p->fd);
	list_remove(&p->link);
	rpc_acceptor_count(&p->server->acceptor, -1);
	ttrpc_conn_done(&p->conn);
	free(p);
}

static void peer_update(struct peer *p);

static void on_deadline(void *user)
{
	struct peer *p = user;

	p->busy = true;
	ttrpc_conn_expire(&p->conn, time_now_mono());
	p->busy = false;
	peer_update(p);
}

static void peer_update(struct peer *p)
{
	int64_t deadline = ttrpc_conn_deadline(&p->conn);
	uint32_t events = 0;
	int r = p->conn.broken ? -EPIPE : rpc_out_flush(&p->conn.out, p->fd);

	if (r < 0)
		shutdown(p->fd, SHUT_RDWR);
	if (r == 0)
		events |= EPOLLOUT;
	/* one that does not read its answers gets no new ones */
	if (r < 0 || rpc_out_pending(&p->conn.out) < OUT_SLOW)
		events |= EPOLLIN;
	if (events != p->events)
		event_fd_set(p->src, p->events = events);
	if (p->timer)
		event_timer_set(p->timer, deadline);
	else if (deadline != INT64_MAX)
		event_timer_new(p->server->loop, deadline, on_deadline, p, &p->timer);
}

static void on_change(void *user)
{
	struct peer *p = user;

	if (!p->busy)
		peer_update(p);
}

/* 0, or negative when the peer is gone. */
static int peer_read(struct peer *p)
{
	uint8_t data[READ_SIZE];

	for (int i = 0; i < READS_AT_ONCE; i++) {
		ssize_t n = recv(p->fd, data, sizeof(data), MSG_DONTWAIT);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return 0;
		if (n <= 0)
			return -EPIPE;
		ttrpc_conn_feed(&p->conn, data, (size_t)n, time_now_mono());
		if ((size_t)n < sizeof(data))
			break;
	}
	return 0;
}

static void on_ready(uint32_t events, void *user)
{
	struct peer *p = user;
	int r = 0;

	p->busy = true;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		r = peer_read(p);
	p->busy = false;
	if (r < 0)
		peer_free(p);
	else
		peer_update(p);
}

int ttrpc_server_add(struct ttrpc_server *s, int fd)
{
	struct peer *p = mem_new(1, sizeof(*p));
	int r;

	p->server = s;
	p->fd = fd;
	p->events = EPOLLIN;
	r = event_fd_new(s->loop, fd, EPOLLIN, on_ready, p, &p->src);
	if (r < 0) {
		close(fd);
		free(p);
		return r;
	}
	list_append(&s->peers, &p->link);
	rpc_acceptor_count(&s->acceptor, 1);
	ttrpc_conn_init(&p->conn, s->services, s->n_services, on_change, p);
	return 0;
}

static void on_accept(int fd, void *user)
{
	ttrpc_server_add(user, fd);
}

int ttrpc_server_new(struct event_loop *loop, int listen_fd, const struct ttrpc_service *services,
		     size_t n_services, struct ttrpc_server **ret)
{
	autofree struct ttrpc_server *s = mem_new(1, sizeof(*s));
	int r;

	s->loop = loop;
	s->services = services;
	s->n_services = n_services;
	list_init(&s->peers);
	if (listen_fd >= 0) {
		r = rpc_acceptor_start(&s->acceptor, loop, listen_fd, TTRPC_CONNECTIONS_MAX, on_accept, s);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(&s);
	return 0;
}

bool ttrpc_server_idle(const struct ttrpc_server *s)
{
	list_for_each(p, &s->peers, struct peer, link)
		if (rpc_out_pending(&p->conn.out))
			return false;
	return true;
}

void ttrpc_server_free(struct ttrpc_server *s)
{
	struct peer *p;

	if (!s)
		return;
	rpc_acceptor_stop(&s->acceptor);
	while ((p = list_first(&s->peers, struct peer, link)))
		peer_free(p);
	free(s);
}
