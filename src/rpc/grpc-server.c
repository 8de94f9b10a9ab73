/*
 * Sockets and timers of a gRPC server. Loop thread only.
 *
 * A peer is torn down from its own descriptor's or timer's callback, by drain or by
 * grpc_server_free, never from an answer: answering finds a dead or finished connection,
 * shuts its socket down, and epoll reports the rest.
 */
#include "rpc/accept.h"
#include "rpc/grpc-core.h"

#include <sys/socket.h>

enum { READ_SIZE = 64 << 10, READS_AT_ONCE = 8 };

#define SPARE_AGE (5 * NSEC_PER_SEC)

struct grpc_server {
	struct event_loop *loop;
	struct grpc_core *core;
	struct rpc_acceptor acceptor;
	struct list peers;
	event_fn drained;
	void *drained_user;
	struct event_timer *drained_timer, *spare_timer;
	uint8_t *in; /* READ_SIZE, shared: bytes do not stay here */
};

struct peer {
	struct grpc_server *server;
	struct list link;
	int fd;
	uint32_t events;
	bool busy; /* inside the core: what changes is looked at once, at the end */
	struct event_fd *src;
	struct event_timer *timer; /* made with the first deadline */
	struct grpc_conn *conn;
};

static void spare_look(struct grpc_server *s)
{
	if (!s->core->spare_kept)
		return;
	s->core->spare_kept = false;
	event_timer_set(s->spare_timer, time_now_mono() + SPARE_AGE);
}

static void peer_free(struct peer *p)
{
	struct grpc_server *s = p->server;

	event_fd_free(p->src);
	event_timer_free(p->timer);
	list_remove(&p->link);
	rpc_acceptor_count(&s->acceptor, -1);
	close(p->fd);
	grpc_conn_end(p->conn);
	grpc_conn_unref(p->conn);
	free(p);
	spare_look(s);
	if (s->drained && list_empty(&s->peers))
		event_timer_set(s->drained_timer, time_now_mono());
}

static void on_deadline(void *user);

/* Runs what is due and moves bytes out. 0, or negative when the connection is over. */
static int peer_update(struct peer *p)
{
	struct grpc_conn *c = p->conn;
	uint32_t events = EPOLLIN;
	int64_t deadline;
	int r;

	p->busy = true;
	do {
		grpc_conn_settle(c);
		grpc_conn_pull(c);
		r = rpc_out_pending(&c->out) ? rpc_out_flush(&c->out, p->fd) : 2;
	} while (r == 1 || (r == 2 && !list_empty(&c->due)));
	grpc_conn_settle(c);
	p->busy = false;
	if (r < 0 || (r && grpc_conn_over(c)))
		return -EPIPE;
	if (r == 0)
		events |= EPOLLOUT;
	if (events != p->events)
		event_fd_set(p->src, p->events = events);
	deadline = grpc_conn_deadline(c);
	if (p->timer)
		event_timer_set(p->timer, deadline);
	else if (deadline != INT64_MAX)
		event_timer_new(p->server->loop, deadline, on_deadline, p, &p->timer);
	spare_look(p->server);
	return 0;
}

static void on_deadline(void *user)
{
	struct peer *p = user;

	p->busy = true;
	grpc_conn_expire(p->conn, time_now_mono());
	p->busy = false;
	if (peer_update(p) < 0)
		peer_free(p);
}

static void on_change(void *user)
{
	struct peer *p = user;

	if (!p->busy && peer_update(p) < 0)
		shutdown(p->fd, SHUT_RDWR);
}

static int peer_read(struct peer *p)
{
	for (int i = 0; i < READS_AT_ONCE; i++) {
		ssize_t n = recv(p->fd, p->server->in, READ_SIZE, MSG_DONTWAIT);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return 0;
		if (n <= 0)
			return -EPIPE;
		grpc_conn_feed(p->conn, p->server->in, (size_t)n, time_now_mono());
		if (n < READ_SIZE)
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
	if (r < 0 || peer_update(p) < 0)
		peer_free(p);
}

int grpc_server_add(struct grpc_server *s, int fd)
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
	p->conn = grpc_conn_new(s->core, on_change, p);
	list_append(&s->peers, &p->link);
	rpc_acceptor_count(&s->acceptor, 1);
	return 0;
}

static void on_accept(int fd, void *user)
{
	grpc_server_add(user, fd);
}

static void on_drained(void *user)
{
	struct grpc_server *s = user;
	event_fn fn = take_ptr(&s->drained);

	if (fn)
		fn(s->drained_user);
}

static void on_spare(void *user)
{
	struct grpc_server *s = user;

	buf_done(&s->core->spare);
}

int grpc_server_new(struct event_loop *loop, int listen_fd, const struct grpc_service *services,
		    size_t n_services, struct grpc_server **ret)
{
	struct grpc_server *s = mem_new(1, sizeof(*s));
	int r;

	s->loop = loop;
	s->core = grpc_core_new(services, n_services);
	s->in = mem_new(READ_SIZE, 1);
	list_init(&s->peers);
	r = event_timer_new(loop, INT64_MAX, on_drained, s, &s->drained_timer);
	if (r >= 0)
		r = event_timer_new(loop, INT64_MAX, on_spare, s, &s->spare_timer);
	if (r >= 0 && listen_fd >= 0)
		r = rpc_acceptor_start(&s->acceptor, loop, listen_fd, GRPC_CONNECTIONS_MAX, on_accept, s);
	if (r < 0) {
		grpc_server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void grpc_server_on_answer(struct grpc_server *s, grpc_answer_fn fn, void *user)
{
	s->core->on_answer = fn;
	s->core->on_answer_user = user;
}

void grpc_server_drain(struct grpc_server *s, event_fn drained, void *user)
{
	rpc_acceptor_stop(&s->acceptor);
	s->drained = drained;
	s->drained_user = user;
	if (list_empty(&s->peers))
		event_timer_set(s->drained_timer, time_now_mono());
	list_for_each(p, &s->peers, struct peer, link) {
		grpc_conn_drain(p->conn);
		on_change(p);
	}
}

void grpc_server_free(struct grpc_server *s)
{
	struct peer *p;

	if (!s)
		return;
	rpc_acceptor_stop(&s->acceptor);
	s->drained = NULL;
	s->core->on_answer = NULL; /* its owner is going */
	while ((p = list_first(&s->peers, struct peer, link))) {
		grpc_conn_drain(p->conn);
		grpc_conn_pull(p->conn);
		rpc_out_flush(&p->conn->out, p->fd);
		peer_free(p);
	}
	event_timer_free(s->drained_timer);
	event_timer_free(s->spare_timer);
	grpc_core_unref(s->core);
	free(s->in);
	free(s);
}
