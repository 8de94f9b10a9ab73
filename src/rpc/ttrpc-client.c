/*
 * A ttrpc client on the event loop. Loop thread only.
 *
 * Callbacks may free the client, so whoever runs them holds a reference and looks at
 * `closed` after each. A call is out of `calls` before its done runs.
 */
#include "rpc/out.h"
#include "rpc/ttrpc-frame.h"

#include <sys/socket.h>

enum { READ_SIZE = 8192, READS_AT_ONCE = 16 };

struct pending {
	struct list link;
	uint32_t stream;
	int64_t deadline;
	ttrpc_done_fn done;
	void *user;
	char *method;
};

struct ttrpc_client {
	unsigned refs;
	bool closed; /* freed by its owner */
	bool ended;
	struct event_loop *loop;
	int fd;
	uint32_t events, next_stream;
	struct event_fd *src;
	struct event_timer *timer;
	struct ttrpc_reader reader;
	struct rpc_out out;
	struct list calls;
	event_fn on_end;
	void *user;
};

static void client_unref(struct ttrpc_client *c)
{
	if (--c->refs)
		return;
	ttrpc_reader_done(&c->reader);
	rpc_out_done(&c->out);
	free(c);
}

static void pending_free(struct pending *p)
{
	list_remove(&p->link);
	free(p->method);
	free(p);
}

static void client_disconnect(struct ttrpc_client *c)
{
	event_fd_free(take_ptr(&c->src));
	event_timer_free(take_ptr(&c->timer));
	fd_drop(&c->fd);
}

static void finish(struct pending *p, const struct err *err, const uint8_t *data, size_t len)
{
	ttrpc_done_fn done = p->done;
	void *user = p->user;

	pending_free(p);
	done(err, data, len, user);
}

/* Holds no reference of its own: the caller does. */
static void client_end(struct ttrpc_client *c)
{
	struct pending *p;

	c->ended = true;
	client_disconnect(c);
	while (!c->closed && (p = list_first(&c->calls, struct pending, link))) {
		struct err err = ERR_INIT;

		err_set(&err, ERR_UNAVAILABLE, "%s: the connection ended before the answer", p->method);
		finish(p, &err, NULL, 0);
	}
	if (!c->closed && c->on_end)
		c->on_end(c->user);
}

static void arm_timer(struct ttrpc_client *c)
{
	int64_t first = INT64_MAX;

	list_for_each(p, &c->calls, struct pending, link)
		if (p->deadline < first)
			first = p->deadline;
	event_timer_set(c->timer, first);
}

static void client_flush(struct ttrpc_client *c)
{
	int r = rpc_out_flush(&c->out, c->fd);
	uint32_t events = r == 0 ? EPOLLIN | EPOLLOUT : EPOLLIN;

	if (r < 0)
		shutdown(c->fd, SHUT_RDWR); /* the rest comes from epoll */
	if (events != c->events)
		event_fd_set(c->src, c->events = events);
}

static void on_deadline(void *user)
{
	struct ttrpc_client *c = user;
	int64_t now = time_now_mono();
	bool again;

	c->refs++;
	do {
		again = false;
		list_for_each(p, &c->calls, struct pending, link) {
			struct err err = ERR_INIT;

			if (p->deadline > now)
				continue;
			err_set(&err, ERR_TIMEOUT, "%s: no answer by the deadline", p->method);
			finish(p, &err, NULL, 0);
			again = true;
			break;
		}
	} while (again && !c->closed);
	if (!c->closed)
		arm_timer(c);
	client_unref(c);
}

static void on_frame(struct ttrpc_client *c, const struct ttrpc_frame *f)
{
	ProtobufCMessage *keep = NULL;
	const uint8_t *data = NULL;
	struct err err = ERR_INIT;
	size_t len = 0;
	int r;

	if (f->type != TTRPC_RESPONSE)
		return;
	list_for_each(p, &c->calls, struct pending, link) {
		if (p->stream != f->stream)
			continue;
		r = ttrpc_read_response(f, &keep, &data, &len, &err);
		finish(p, r < 0 ? &err : NULL, data, len);
		rpc_pb_free(keep);
		return;
	}
}

/* 0, or negative when the connection is over. */
static int client_read(struct ttrpc_client *c)
{
	uint8_t bytes[READ_SIZE];

	for (int i = 0; i < READS_AT_ONCE && !c->closed; i++) {
		ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		const uint8_t *p = bytes;
		struct ttrpc_frame frame;
		size_t left;

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return 0;
		if (n <= 0)
			return -EPIPE;
		left = (size_t)n;
		while (!c->closed && ttrpc_reader_feed(&c->reader, &p, &left, &frame))
			on_frame(c, &frame);
		if ((size_t)n < sizeof(bytes))
			break;
	}
	return 0;
}

static void on_ready(uint32_t events, void *user)
{
	struct ttrpc_client *c = user;
	int r = 0;

	c->refs++;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		r = client_read(c);
	if (!c->closed && r < 0)
		client_end(c);
	else if (!c->closed) {
		client_flush(c);
		arm_timer(c);
	}
	client_unref(c);
}

int ttrpc_client_new(struct event_loop *loop, int fd, event_fn on_end, void *user, struct ttrpc_client **ret)
{
	struct ttrpc_client *c = mem_new(1, sizeof(*c));
	int r;

	c->refs = 1;
	c->loop = loop;
	c->fd = fd;
	c->events = EPOLLIN;
	c->next_stream = 1;
	c->out = (struct rpc_out)RPC_OUT_INIT(4 * (size_t)TTRPC_DATA_MAX);
	c->on_end = on_end;
	c->user = user;
	list_init(&c->calls);
	r = event_timer_new(loop, INT64_MAX, on_deadline, c, &c->timer);
	if (r >= 0)
		r = event_fd_new(loop, fd, EPOLLIN, on_ready, c, &c->src);
	if (r < 0) {
		ttrpc_client_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void ttrpc_client_free(struct ttrpc_client *c)
{
	struct pending *p;

	if (!c)
		return;
	c->closed = true;
	client_disconnect(c);
	while ((p = list_first(&c->calls, struct pending, link)))
		pending_free(p);
	client_unref(c);
}

int ttrpc_client_call(struct ttrpc_client *c, const char *service, const char *method, const void *request,
		      size_t len, int64_t deadline, ttrpc_done_fn done, void *user, struct err *err)
{
	int64_t timeout = 0;
	struct pending *p;
	int r;

	if (c->ended)
		return err_set(err, ERR_UNAVAILABLE, "%s: the connection ended", method);
	if (deadline != INT64_MAX) {
		timeout = deadline - time_now_mono();
		if (timeout <= 0)
			timeout = 1; /* done gets its TIMEOUT from the timer */
	}
	r = ttrpc_put_request(&c->out.buf, c->next_stream, service, method, request, len, timeout, err);
	if (r < 0)
		return err_wrap(err, r, "%s", method);
	p = mem_new(1, sizeof(*p));
	p->stream = c->next_stream;
	p->deadline = deadline;
	p->done = done;
	p->user = user;
	p->method = mem_strdup(method);
	list_append(&c->calls, &p->link);
	c->next_stream += 2;
	client_flush(c);
	arm_timer(c);
	return 0;
}

int ttrpc_client_call_pb(struct ttrpc_client *c, const char *service, const char *method,
			 const ProtobufCMessage *request, int64_t deadline, ttrpc_done_fn done, void *user,
			 struct err *err)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(TTRPC_DATA_MAX);
	int r = rpc_pb_pack(request, &b, err);

	if (r < 0)
		return err_wrap(err, r, "%s", method);
	return ttrpc_client_call(c, service, method, b.data, b.len, deadline, done, user, err);
}
