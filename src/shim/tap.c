/*
 * Taps. Loop thread. Invariant: a tap is always in the loop, where a FIFO says (EPOLLERR) that its
 * reader is gone, however silent the stream is. It asks for EPOLLOUT and its timer runs exactly while
 * it has pending bytes.
 */
#include "shim/tap.h"

#include <fcntl.h>
#include <sys/stat.h>

static const int64_t TAP_PATIENCE = 5 * NSEC_PER_SEC;

struct tap {
	struct list link;
	struct taps *taps; /* NULL: its stream has ended, and it takes what is pending */
	int fd;
	struct buf pending;
	struct event_fd *source;
	struct event_timer *timer;
};

void taps_init(struct taps *t, struct shim *s, event_fn on_free, void *user)
{
	t->shim = s;
	t->n = 0;
	t->on_free = on_free;
	t->user = user;
	list_init(&t->list);
}

static void tap_free(struct tap *tap)
{
	list_remove(&tap->link);
	if (tap->taps)
		tap->taps->n--;
	event_fd_free(tap->source);
	event_timer_free(tap->timer);
	close(tap->fd);
	buf_done(&tap->pending);
	free(tap);
}

bool taps_busy(const struct taps *t)
{
	list_for_each(tap, &t->list, struct tap, link)
		if (tap->pending.len)
			return true;
	return false;
}

static void gone(struct tap *tap)
{
	struct taps *t = tap->taps;

	tap_free(tap);
	if (t && !taps_busy(t))
		t->on_free(t->user);
}

static void on_patience(void *user)
{
	gone(user);
}

/* Bytes that the FIFO took, or -EPIPE and the like when the reader is gone. */
static ssize_t push(struct tap *tap, const uint8_t *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(tap->fd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? (ssize_t)done : -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static void on_event(uint32_t events, void *user)
{
	struct tap *tap = user;
	struct taps *t = tap->taps;
	ssize_t n;

	if (!tap->pending.len) {
		if (events & EPOLLERR)
			gone(tap);
		return;
	}
	n = push(tap, tap->pending.data, tap->pending.len);
	if (n < 0) {
		gone(tap);
		return;
	}
	buf_consume(&tap->pending, (size_t)n);
	if (tap->pending.len) {
		event_timer_set(tap->timer, time_now_mono() + TAP_PATIENCE);
		return;
	}
	if (!t) {
		tap_free(tap);
		return;
	}
	buf_done(&tap->pending);
	event_fd_set(tap->source, 0);
	event_timer_set(tap->timer, INT64_MAX);
	if (!taps_busy(t))
		t->on_free(t->user);
}

void taps_write(struct taps *t, const uint8_t *data, size_t len)
{
	list_for_each(tap, &t->list, struct tap, link) {
		bool waits = tap->pending.len > 0;
		ssize_t n = waits ? 0 : push(tap, data, len);

		if (n == (ssize_t)len)
			continue;
		if (n < 0 || buf_append(&tap->pending, data + n, len - (size_t)n) < 0) {
			tap_free(tap);
			continue;
		}
		if (waits)
			continue;
		event_timer_set(tap->timer, time_now_mono() + TAP_PATIENCE);
		event_fd_set(tap->source, EPOLLOUT);
	}
}

int taps_add(struct taps *t, const char *fifo, struct err *err)
{
	autofd int fd = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	struct tap *tap;

	if (fd < 0)
		return err_sys(err, errno, "attach %s", fifo);
	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
		return err_set(err, ERR_INVALID, "attach %s: not a FIFO", fifo);
	if (t->n == TAPS_MAX)
		return err_set(err, ERR_LIMIT, "attach: %d are attached already", TAPS_MAX);
	tap = mem_new(1, sizeof(*tap));
	tap->taps = t;
	tap->fd = take_fd(&fd);
	tap->pending = (struct buf)BUF_INIT(TAP_PENDING_MAX);
	event_timer_new(t->shim->loop, INT64_MAX, on_patience, tap, &tap->timer);
	list_append(&t->list, &tap->link);
	t->n++;
	if (event_fd_new(t->shim->loop, tap->fd, 0, on_event, tap, &tap->source) < 0) {
		tap_free(tap);
		return err_set(err, ERR_LIMIT, "attach %s: it cannot be watched", fifo);
	}
	return 0;
}

void taps_end(struct taps *t)
{
	list_for_each(tap, &t->list, struct tap, link) {
		if (!tap->pending.len) {
			tap_free(tap);
			continue;
		}
		/* what it did not take yet it gets while it goes on reading; the timer runs */
		list_remove(&tap->link);
		tap->taps = NULL;
		t->n--;
	}
}
