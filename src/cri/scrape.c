/*
 * The Prometheus endpoint: GET /metrics over HTTP/1.1, one request a connection, on a loopback
 * address. Loop thread; the samples are taken on a worker.
 *
 * Whoever can reach the loopback may ask, so a client is not trusted: SCRAPES_MAX connections,
 * a request head of at most HTTP_HEAD_MAX bytes, SCRAPE_TIME for all of it. While connections
 * are many the rest waits in the kernel's queue.
 */
#include "cri/call.h"
#include "cri/prometheus.h"

#include "stream/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { SCRAPES_MAX = 8, TEXT_MAX = PROMETHEUS_MAX + 4096 };
#define SCRAPE_TIME (30 * NSEC_PER_SEC)

struct scrape_server {
	struct cri *cri;
	int fd;
	struct event_fd *src;
	struct list scrapes;
	size_t n_scrapes;
};

struct scrape {
	struct scrape_server *server; /* NULL: it is gone, and the worker's end is this one's */
	struct cri *cri;
	struct list link;
	int fd;
	struct event_fd *src;
	struct event_timer *timer;
	struct buf in, out;
	size_t sent;
	bool working, cut;
	struct buf text;
	int r;
};

static void scrape_free(struct scrape *s)
{
	struct scrape_server *server = s->server;

	event_fd_free(s->src);
	event_timer_free(s->timer);
	if (s->fd >= 0)
		close(s->fd);
	if (server) {
		list_remove(&s->link);
		if (server->n_scrapes-- == SCRAPES_MAX && server->src)
			event_fd_set(server->src, EPOLLIN);
	}
	buf_done(&s->in);
	buf_done(&s->out);
	buf_done(&s->text);
	free(s);
}

/* Nobody listens any more; what runs on the worker is waited for. */
static void cut(struct scrape *s)
{
	if (!s->working) {
		scrape_free(s);
		return;
	}
	s->cut = true;
	event_fd_free(take_ptr(&s->src));
	event_timer_free(take_ptr(&s->timer));
	fd_drop(&s->fd);
}

/* ---- the answer ---- */

static void flush(struct scrape *s)
{
	while (s->sent < s->out.len) {
		ssize_t n = send(s->fd, s->out.data + s->sent, s->out.len - s->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			event_fd_set(s->src, EPOLLOUT);
			return;
		}
		if (n < 0)
			break;
		s->sent += (size_t)n;
	}
	scrape_free(s);
}

static void take_samples(void *user)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct scrape *s = user;
	struct prometheus *p = prometheus_new();
	size_t n;
	char **ids = cri_pod_ids(s->cri, &a, &n);

	for (size_t i = 0; i < n; i++)
		cri_measure_pod(s->cri, ids[i], prometheus_add, p, NULL); /* one that is gone is left out */
	s->r = prometheus_text(p, &s->text);
	if (s->r == 0)
		s->r = cri_image_metrics(s->cri->settings.images, &s->text);
	prometheus_free(p);
}

static void taken(void *user)
{
	struct scrape *s = user;

	s->cri->open_calls--;
	s->working = false;
	if (s->cut) {
		scrape_free(s);
		return;
	}
	if (s->r < 0)
		http_refuse(&s->out, 500, "more metrics than one answer takes");
	else
		buf_printf(&s->out, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
			   "Content-Length: %zu\r\nConnection: close\r\n\r\n", s->text.len);
	if (s->r == 0)
		buf_append(&s->out, s->text.data, s->text.len);
	buf_done(&s->text);
	flush(s);
}

static void answer(struct scrape *s, const struct http_request *req)
{
	if (!str_eq(req->path, "/metrics")) {
		http_refuse(&s->out, 404, "there is only /metrics");
	} else if (!str_eq(req->method, "GET")) {
		http_refuse(&s->out, 405, "only GET");
	} else {
		s->working = true;
		s->cri->open_calls++; /* the rooms below stay until its end */
		if (event_work(s->cri->settings.loop, take_samples, taken, s) == 0) {
			event_fd_set(s->src, 0);
			return;
		}
		s->working = false;
		s->cri->open_calls--;
		http_refuse(&s->out, 500, "no thread to be had");
	}
	flush(s);
}

/* ---- the request ---- */

static void on_ready(uint32_t events, void *user)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct scrape *s = user;
	struct http_request req;
	int r;

	if (s->working) {
		/* nothing was asked for but the end, which always comes */
		cut(s);
		return;
	}
	if (s->out.len) {
		flush(s);
		return;
	}
	r = (int)buf_read_fd(&s->in, s->fd, 4096);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (r <= 0) {
		cut(s);
		return;
	}
	r = http_request_read(s->in.data, s->in.len, &a, &req);
	if (r > 0) {
		answer(s, &req);
	} else if (r < 0) {
		http_refuse(&s->out, r == -EMSGSIZE ? 431 : 400, "no HTTP request");
		flush(s);
	}
}

static void on_timeout(void *user)
{
	cut(user);
}

static void on_accept(uint32_t events, void *user)
{
	struct scrape_server *server = user;
	int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct scrape *s;

	if (fd < 0)
		return;
	s = mem_new(1, sizeof(*s));
	*s = (struct scrape){ .server = server, .cri = server->cri, .fd = fd, .in = BUF_INIT(HTTP_HEAD_MAX + 1),
			      .out = BUF_INIT(TEXT_MAX), .text = BUF_INIT(PROMETHEUS_MAX) };
	list_append(&server->scrapes, &s->link);
	if (++server->n_scrapes == SCRAPES_MAX)
		event_fd_set(server->src, 0);
	if (event_fd_new(server->cri->settings.loop, fd, EPOLLIN, on_ready, s, &s->src) < 0 ||
	    event_timer_new(server->cri->settings.loop, time_now_mono() + SCRAPE_TIME, on_timeout, s,
			    &s->timer) < 0)
		scrape_free(s);
}

/* ---- the server ---- */

static int listen_at(const char *address, uint16_t port, int *ret_fd, uint16_t *ret_port, struct err *err)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = { 0 };
	socklen_t len = sizeof(a.in);
	autofd int fd = -EBADF;
	int one = 1;

	if (inet_pton(AF_INET, address, &a.in.sin_addr) == 1 && (ntohl(a.in.sin_addr.s_addr) >> 24) == 127) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(port);
	} else if (inet_pton(AF_INET6, address, &a.in6.sin6_addr) == 1 && IN6_IS_ADDR_LOOPBACK(&a.in6.sin6_addr)) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(port);
		len = sizeof(a.in6);
	} else {
		return err_set(err, ERR_INVALID, "metrics.address %s: not a loopback address", address);
	}
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, &a.any, len) < 0 || listen(fd, 64) < 0 || getsockname(fd, &a.any, &len) < 0)
		return err_sys(err, errno, "metrics on %s port %u", address, port);
	if (ret_port)
		*ret_port = ntohs(a.any.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
	*ret_fd = take_fd(&fd);
	return 0;
}

int cri_scrape_serve(struct cri *cri, const char *address, uint16_t port, uint16_t *ret_port, struct err *err)
{
	struct scrape_server *s = mem_new(1, sizeof(*s));
	int r;

	s->cri = cri;
	s->fd = -EBADF;
	list_init(&s->scrapes);
	r = listen_at(address, port, &s->fd, ret_port, err);
	if (r == 0) {
		r = event_fd_new(cri->settings.loop, s->fd, EPOLLIN, on_accept, s, &s->src);
		if (r < 0)
			err_sys(err, r, "metrics on %s port %u", address, port);
	}
	if (r < 0) {
		cri_scrape_free(s);
		return r;
	}
	cri->scrape = s;
	return 0;
}

void cri_scrape_free(struct scrape_server *s)
{
	if (!s)
		return;
	event_fd_free(take_ptr(&s->src));
	list_for_each(scrape, &s->scrapes, struct scrape, link) {
		list_remove(&scrape->link);
		scrape->server = NULL;
		cut(scrape);
	}
	fd_drop(&s->fd);
	free(s);
}
