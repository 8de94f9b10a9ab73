/*
 * Channel ↔ descriptors. Loop thread.
 */
#include "stream/lane.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

enum { CHUNK = 32 * 1024, CHUNKS_AT_ONCE = 4, PENDING_MAX = 4 * 1024 * 1024 };

static void on_readable(uint32_t events, void *user);
static void on_writable(uint32_t events, void *user);

void lane_init(struct lane *l, struct peer *peer, uint32_t ch, const struct lane_events *events, void *user)
{
	*l = (struct lane){ .peer = peer, .ch = ch, .events = events, .user = user, .rfd = -EBADF, .wfd = -EBADF,
			    .left = SIZE_MAX, .pending = BUF_INIT(PENDING_MAX) };
	list_init(&l->link);
	peer_add_lane(peer, &l->link);
}

static void close_read(struct lane *l)
{
	event_fd_free(take_ptr(&l->rsrc));
	fd_drop(&l->rfd);
}

static void close_write(struct lane *l)
{
	event_fd_free(take_ptr(&l->wsrc));
	if (l->wfd >= 0)
		shutdown(l->wfd, SHUT_WR); /* a socket whose other half is open elsewhere; else no effect */
	fd_drop(&l->wfd);
}

void lane_done(struct lane *l)
{
	close_read(l);
	close_write(l);
	buf_done(&l->pending);
	list_remove(&l->link);
}

/* ---- descriptor → client ---- */

static void read_over(struct lane *l)
{
	close_read(l);
	if (!l->read_over) {
		l->read_over = true;
		l->events->read_ended(l->user);
	}
}

/* 1: more may be read now; 0: not now; negative: never again. */
static int read_once(struct lane *l)
{
	uint8_t data[CHUNK];
	struct link *link = peer_link(l->peer);
	size_t room = link_room(link, l->ch), most = sizeof(data);
	ssize_t n;

	if (!l->left)
		return -EPIPE;
	if (!room || !peer_may_send(l->peer)) {
		event_fd_free(take_ptr(&l->rsrc));
		return 0;
	}
	most = room < most ? room : most;
	most = l->left < most ? l->left : most;
	do
		n = read(l->rfd, data, most);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return l->left == SIZE_MAX ? 0 : -EPIPE;
	if (n <= 0)
		return -EPIPE;
	if (l->left != SIZE_MAX)
		l->left -= (size_t)n;
	link_send(link, l->ch, data, (size_t)n);
	return 1;
}

static void on_readable(uint32_t events, void *user)
{
	struct lane *l = user;
	struct peer *peer = l->peer;
	int r = 1;

	for (int i = 0; i < CHUNKS_AT_ONCE && r > 0; i++)
		r = read_once(l);
	if (r < 0)
		read_over(l); /* may be the end of the lane */
	peer_changed(peer);
}

void lane_resume(struct lane *l)
{
	if (l->rfd < 0 || l->rsrc || !peer_may_send(l->peer) || !link_room(peer_link(l->peer), l->ch))
		return;
	if (event_fd_new(peer_loop(l->peer), l->rfd, EPOLLIN, on_readable, l, &l->rsrc) < 0)
		peer_cut(l->peer);
}

void lane_read_from(struct lane *l, int fd)
{
	l->rfd = fd;
	if (fd < 0)
		read_over(l);
	else
		lane_resume(l);
}

void lane_drain(struct lane *l)
{
	int n = 0;

	if (l->rfd < 0)
		return;
	if (ioctl(l->rfd, FIONREAD, &n) < 0 || n <= 0)
		read_over(l);
	else
		l->left = (size_t)n;
}

/* ---- client → descriptor ---- */

static void write_over(struct lane *l)
{
	close_write(l);
	l->discard = true;
	if (l->pending.len) {
		link_consumed(peer_link(l->peer), l->ch, l->pending.len);
		buf_consume(&l->pending, l->pending.len);
	}
	buf_done(&l->pending);
	if (!l->write_over) {
		l->write_over = true;
		l->events->write_ended(l->user);
	}
}

/* As much of data as the descriptor takes: bytes, or negative when it takes no more ever. */
static ssize_t push(struct lane *l, const uint8_t *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(l->wfd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	if (done)
		link_consumed(peer_link(l->peer), l->ch, done);
	return (ssize_t)done;
}

static void pump(struct lane *l)
{
	ssize_t n;

	if (l->wfd < 0)
		return;
	n = push(l, l->pending.data, l->pending.len);
	if (n < 0) {
		write_over(l);
		return;
	}
	buf_consume(&l->pending, (size_t)n);
	if (!l->pending.len) {
		buf_done(&l->pending);
		event_fd_free(take_ptr(&l->wsrc));
		if (l->input_ended)
			write_over(l);
		return;
	}
	if (!l->wsrc && event_fd_new(peer_loop(l->peer), l->wfd, EPOLLOUT, on_writable, l, &l->wsrc) < 0)
		peer_cut(l->peer);
}

static void on_writable(uint32_t events, void *user)
{
	struct lane *l = user;
	struct peer *peer = l->peer;

	pump(l);
	peer_changed(peer);
}

void lane_write_to(struct lane *l, int fd)
{
	l->wfd = fd;
	if (fd < 0)
		lane_discard(l);
	else
		pump(l);
}

void lane_input(struct lane *l, const uint8_t *data, size_t len)
{
	ssize_t n = 0;

	if (l->discard || l->input_ended) {
		link_consumed(peer_link(l->peer), l->ch, len);
		return;
	}
	if (l->wfd >= 0 && !l->pending.len) {
		n = push(l, data, len);
		if (n < 0) {
			link_consumed(peer_link(l->peer), l->ch, len);
			write_over(l);
			return;
		}
	}
	if ((size_t)n == len)
		return;
	/* the peer is not read while a lane is full: more than one reading's worth cannot come */
	if (buf_append(&l->pending, data + n, len - (size_t)n) < 0)
		peer_cut(l->peer);
	else
		pump(l);
}

void lane_input_end(struct lane *l)
{
	l->input_ended = true;
	if (l->wfd >= 0)
		pump(l);
}

void lane_discard(struct lane *l)
{
	write_over(l);
}

bool lane_is_full(const struct lane *l)
{
	return l->pending.len >= STREAM_HIGH;
}
