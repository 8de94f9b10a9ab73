/*
 * Port-forward: any number of connections over one SPDY session. Loop thread.
 *
 * For each the client opens two streams with the same "requestid": "error", on which we may say why it
 * failed, and "data". Both carry the "port". A pair lives until both data directions have ended, or the
 * client resets it, or the peer goes. A connect that is under way has a life of its own
 * (struct stream_connect): its pair may be gone when it is done.
 */
#include "stream/lane.h"
#include "stream/server.h"

#include <fcntl.h>

enum { PAIRS_MAX = 512 };

struct pair {
	struct list link;
	struct forward *forward;
	uint64_t request;       /* requestid, or the data stream's number if there is none */
	uint16_t port;
	bool has_error, has_data;
	uint32_t error_ch;
	struct lane lane;       /* once has_data */
	struct stream_connect *connect; /* running */
};

struct forward {
	struct stream_server *server;
	struct peer *peer;
	struct arena arena;
	const struct stream_request *req;
	struct list pairs;
	size_t n_pairs;
};

struct stream_connect {
	struct pair *pair; /* NULL: nobody wants it any more */
};

static void pair_free(struct pair *p)
{
	if (p->connect)
		p->connect->pair = NULL;
	if (p->has_data)
		lane_done(&p->lane);
	list_remove(&p->link);
	p->forward->n_pairs--;
	free(p);
}

static void end_if_over(struct pair *p)
{
	if (!p->lane.read_over || !p->lane.write_over)
		return;
	link_end(peer_link(p->forward->peer), p->error_ch);
	pair_free(p);
}

static void on_read_ended(void *user)
{
	struct pair *p = user;

	link_end(peer_link(p->forward->peer), p->lane.ch);
	end_if_over(p);
}

static void on_written(void *user)
{
	end_if_over(user);
}

static const struct lane_events lane_events = { on_read_ended, on_written };

static void fail(struct pair *p, const char *text)
{
	struct link *link = peer_link(p->forward->peer);
	CLEANUP(buf_done) struct buf line = BUF_INIT(4096);

	buf_printf(&line, "error forwarding port %u to pod %s: %s", p->port, p->forward->req->id, text);
	link_send(link, p->error_ch, line.data, line.len);
	link_end(link, p->error_ch);
	link_end(link, p->lane.ch);
	lane_discard(&p->lane);
	/* what reading there was never began */
	lane_read_from(&p->lane, -EBADF);
}

void stream_connect_done(struct stream_connect *c, int fd, const struct err *err)
{
	struct pair *p = c->pair;
	autofd int sock = fd, other = -EBADF;
	struct peer *peer;

	free(c);
	if (!p)
		return;
	peer = p->forward->peer;
	p->connect = NULL;
	/* the loop knows a descriptor once: each direction has its own */
	if (!err && fcntl(sock, F_SETFL, O_NONBLOCK | fcntl(sock, F_GETFL)) == 0)
		other = fcntl(sock, F_DUPFD_CLOEXEC, 3);
	if (err) {
		fail(p, err->text);
	} else if (other < 0) {
		fail(p, strerror(errno));
	} else {
		/* cannot end the lane: no reading has happened yet */
		lane_read_from(&p->lane, take_fd(&sock));
		lane_write_to(&p->lane, take_fd(&other));
	}
	peer_changed(peer);
}

/* ---- streams ---- */

struct forward *forward_new(struct stream_server *s, struct peer *peer, const struct stream_request *req,
			    struct arena *a)
{
	struct forward *f = mem_new(1, sizeof(*f));

	f->server = s;
	f->peer = peer;
	f->req = req;
	arena_adopt(&f->arena, a);
	list_init(&f->pairs);
	return f;
}

void forward_gone(void *forward)
{
	struct forward *f = forward;

	list_for_each(p, &f->pairs, struct pair, link)
		pair_free(p);
	arena_done(&f->arena);
	free(f);
}

static struct pair *pair_of(struct forward *f, uint64_t request, uint16_t port)
{
	struct pair *p;

	list_for_each(it, &f->pairs, struct pair, link)
		if (it->request == request)
			return it->port == port ? it : NULL;
	if (f->n_pairs == PAIRS_MAX)
		return NULL;
	p = mem_new(1, sizeof(*p));
	p->forward = f;
	p->request = request;
	p->port = port;
	list_append(&f->pairs, &p->link);
	f->n_pairs++;
	return p;
}

static int on_open(uint32_t ch, const struct spdy_header *headers, size_t n, void *user)
{
	struct forward *f = user;
	const char *type = NULL, *port_text = NULL, *request_text = NULL;
	const struct stream_owner *owner;
	void *owner_user;
	uint32_t port;
	uint64_t request;
	struct pair *p;
	bool data;

	for (size_t i = 0; i < n; i++) {
		if (str_eq(headers[i].name, "streamtype"))
			type = headers[i].value;
		else if (str_eq(headers[i].name, "port"))
			port_text = headers[i].value;
		else if (str_eq(headers[i].name, "requestid"))
			request_text = headers[i].value;
	}
	data = str_eq(type, "data");
	if ((!data && !str_eq(type, "error")) || str_to_u32(port_text, 10, &port) < 0 || !port || port > 65535)
		return SPDY_PROTOCOL_ERROR;
	/* clients older than the header open error first and data right after */
	if (!request_text)
		request = UINT64_MAX / 2 + (data ? ch : ch + 2);
	else if (str_to_u64(request_text, 10, &request) < 0)
		return SPDY_PROTOCOL_ERROR;
	p = pair_of(f, request, (uint16_t)port);
	if (!p)
		return SPDY_REFUSED_STREAM;
	if (data ? p->has_data : p->has_error)
		return SPDY_PROTOCOL_ERROR;
	if (data) {
		p->has_data = true;
		lane_init(&p->lane, f->peer, ch, &lane_events, p);
	} else {
		p->has_error = true;
		p->error_ch = ch;
	}
	if (!p->has_data || !p->has_error)
		return 0;
	p->connect = mem_new(1, sizeof(*p->connect));
	p->connect->pair = p;
	owner = server_owner(f->server, &owner_user);
	owner->connect(p->connect, f->req->id, p->port, owner_user);
	return 0;
}

static struct pair *find_data(struct forward *f, uint32_t ch)
{
	list_for_each(p, &f->pairs, struct pair, link)
		if (p->has_data && p->lane.ch == ch)
			return p;
	return NULL;
}

static void on_data(uint32_t ch, const uint8_t *data, size_t len, void *user)
{
	struct forward *f = user;
	struct pair *p = find_data(f, ch);

	if (p)
		lane_input(&p->lane, data, len);
	else
		link_consumed(peer_link(f->peer), ch, len);
}

static void on_end(uint32_t ch, void *user)
{
	struct pair *p = find_data(user, ch);

	if (p)
		lane_input_end(&p->lane);
}

/* Of either stream: the connection is not wanted. */
static void on_reset(uint32_t ch, void *user)
{
	struct forward *f = user;

	list_for_each(p, &f->pairs, struct pair, link) {
		if (!(p->has_data && p->lane.ch == ch) && !(p->has_error && p->error_ch == ch))
			continue;
		if (p->has_data)
			link_reset(peer_link(f->peer), p->lane.ch);
		if (p->has_error)
			link_end(peer_link(f->peer), p->error_ch);
		pair_free(p);
		return;
	}
}

const struct link_handler forward_handler = { on_open, on_data, on_end, on_reset };
