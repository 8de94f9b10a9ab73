/*
 * Bytes between a plugin's socket and its two lanes. Each side is read only while the other has
 * taken what came before, so a plugin that does not read costs bounded memory and holds up
 * nobody but itself.
 */
#include "nri/link.h"

#include "nri/mux.h"
#include "sys/sys.h"

#include <sys/socket.h>

enum { READ_SIZE = 16384, READS_AT_ONCE = 16, IN_MAX = 64 * 1024 };

struct lane {
	struct nri_link *link;
	uint32_t id, events;
	int fd;
	struct event_fd *src;
	struct buf in;  /* from the lane, not yet whole messages */
	struct buf out; /* for the lane */
};

struct nri_link {
	int fd;
	uint32_t events;
	struct event_fd *src;
	struct nri_mux mux;
	struct buf out;
	struct lane lanes[2];
	bool ended;
	event_fn on_end;
	void *user;
};

static void lane_close(struct lane *l)
{
	event_fd_free(take_ptr(&l->src));
	fd_drop(&l->fd);
}

static void link_end(struct nri_link *l)
{
	if (l->ended)
		return;
	l->ended = true;
	event_fd_free(take_ptr(&l->src));
	fd_drop(&l->fd);
	lane_close(&l->lanes[0]);
	lane_close(&l->lanes[1]);
	l->on_end(l->user);
}

/* Sends what it can: 0 or -errno. */
static int flush(int fd, struct buf *out)
{
	size_t sent = 0;
	int r = 0;

	while (sent < out->len) {
		ssize_t n = send(fd, out->data + sent, out->len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = errno == EAGAIN ? 0 : -errno;
			break;
		}
		sent += (size_t)n;
	}
	buf_consume(out, sent);
	return r;
}

static void watch(struct event_fd *src, uint32_t *events, uint32_t wanted)
{
	if (*events != wanted)
		event_fd_set(src, *events = wanted);
}

/* Everything that can move moves, then who is to be heard next. */
static int settle(struct nri_link *l)
{
	bool plugin_waits = false;
	int r = 0;

	/* twice: what found no room beside the rest has it after the first */
	for (int again = 0; again < 2 && r == 0; again++) {
		for (size_t i = 0; i < ARRAY_LEN(l->lanes) && r == 0; i++)
			r = nri_mux_pack(l->lanes[i].id, &l->lanes[i].in, &l->out);
		if (r == 0)
			r = flush(l->fd, &l->out);
	}
	for (size_t i = 0; i < ARRAY_LEN(l->lanes) && r == 0; i++) {
		struct lane *lane = &l->lanes[i];

		r = flush(lane->fd, &lane->out);
		plugin_waits |= lane->out.len;
		watch(lane->src, &lane->events,
		      (l->out.len ? 0 : (uint32_t)EPOLLIN) | (lane->out.len ? (uint32_t)EPOLLOUT : 0));
	}
	watch(l->src, &l->events,
	      (plugin_waits ? 0 : (uint32_t)EPOLLIN) | (l->out.len ? (uint32_t)EPOLLOUT : 0));
	return r;
}

static int take_from_plugin(struct nri_link *l, const uint8_t *p, size_t len)
{
	struct nri_piece piece;
	int r;

	while ((r = nri_mux_feed(&l->mux, &p, &len, &piece)) > 0)
		for (size_t i = 0; i < ARRAY_LEN(l->lanes); i++)
			if (l->lanes[i].id == piece.id &&
			    buf_append(&l->lanes[i].out, piece.data, piece.len) < 0)
				return -EMSGSIZE;
	return r;
}

static int read_plugin(struct nri_link *l)
{
	uint8_t data[READ_SIZE];

	for (int i = 0; i < READS_AT_ONCE && !l->lanes[0].out.len && !l->lanes[1].out.len; i++) {
		ssize_t n = recv(l->fd, data, sizeof(data), MSG_DONTWAIT);
		int r;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return -EPIPE;
		r = take_from_plugin(l, data, (size_t)n);
		if (r == 0)
			r = settle(l);
		if (r < 0 || (size_t)n < sizeof(data))
			return r;
	}
	return 0;
}

static void on_plugin(uint32_t events, void *user)
{
	struct nri_link *l = user;
	int r = events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? read_plugin(l) : 0;

	if (r == 0 && events & (EPOLLHUP | EPOLLERR) && (l->lanes[0].out.len || l->lanes[1].out.len))
		r = -EPIPE; /* gone, and nobody takes what it left */
	if (r == 0)
		r = settle(l);
	if (r < 0)
		link_end(l);
}

static int read_lane(struct lane *lane)
{
	ssize_t n = buf_read_fd(&lane->in, lane->fd, READ_SIZE);

	if (n == -EAGAIN || n == -EINTR)
		return 0;
	return n > 0 ? 0 : -EPIPE;
}

static void on_lane(uint32_t events, void *user)
{
	struct lane *lane = user;
	struct nri_link *l = lane->link;
	int r = events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? read_lane(lane) : 0;

	if (r == 0)
		r = settle(l);
	if (r < 0)
		link_end(l);
}

static int lane_open(struct nri_link *l, struct event_loop *loop, size_t i, int *ret_fd)
{
	struct lane *lane = &l->lanes[i];
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	lane->fd = fds[0];
	*ret_fd = fds[1];
	return event_fd_new(loop, lane->fd, lane->events, on_lane, lane, &lane->src);
}

int nri_link_new(struct event_loop *loop, int fd, event_fn on_end, void *user, int *ret_plugin_fd,
		 int *ret_runtime_fd, struct nri_link **ret)
{
	struct nri_link *l = mem_new(1, sizeof(*l));
	autofd int plugin = -EBADF, runtime = -EBADF;
	int r;

	l->fd = fd;
	l->events = EPOLLIN;
	l->on_end = on_end;
	l->user = user;
	l->out = (struct buf)BUF_INIT(2 * NRI_MUX_DATA_MAX);
	for (size_t i = 0; i < ARRAY_LEN(l->lanes); i++)
		l->lanes[i] = (struct lane){
			.link = l, .id = i ? NRI_LANE_RUNTIME : NRI_LANE_PLUGIN, .fd = -EBADF, .events = EPOLLIN,
			.in = BUF_INIT(NRI_MUX_DATA_MAX + IN_MAX), .out = BUF_INIT(NRI_MUX_DATA_MAX + IN_MAX),
		};
	r = sys_set_nonblock(fd);
	if (r == 0)
		r = event_fd_new(loop, fd, l->events, on_plugin, l, &l->src);
	if (r == 0)
		r = lane_open(l, loop, 0, &plugin);
	if (r == 0)
		r = lane_open(l, loop, 1, &runtime);
	if (r < 0) {
		nri_link_free(l);
		return r;
	}
	*ret_plugin_fd = take_fd(&plugin);
	*ret_runtime_fd = take_fd(&runtime);
	*ret = l;
	return 0;
}

void nri_link_free(struct nri_link *l)
{
	if (!l)
		return;
	event_fd_free(l->src);
	fd_drop(&l->fd);
	for (size_t i = 0; i < ARRAY_LEN(l->lanes); i++) {
		lane_close(&l->lanes[i]);
		buf_done(&l->lanes[i].in);
		buf_done(&l->lanes[i].out);
	}
	buf_done(&l->out);
	free(l);
}
