/*
 * Pumps. Loop thread. Invariant: exactly one of reading (from is watched) and writing (to is
 * watched, pending is not empty) is on, until the end, when neither is.
 */
#include "shim/pump.h"

#include "sys/sys.h"

#include <fcntl.h>

enum { CHUNK = 4096 };

struct pump {
	struct shim *shim;
	int from, to;
	struct event_fd *source; /* of from or of to */
	uint8_t *pending;
	size_t n_pending, at;
	bool ended;
};

static void on_event(uint32_t events, void *user);

static void watch(struct pump *p)
{
	event_fd_free(take_ptr(&p->source));
	if (p->pending)
		event_fd_new(p->shim->loop, p->to, EPOLLOUT, on_event, p, &p->source);
	else if (!p->ended)
		event_fd_new(p->shim->loop, p->from, EPOLLIN, on_event, p, &p->source);
}

/* Writes what is pending: false while some is left. A receiver that is gone for good ends the pump. */
static bool push(struct pump *p)
{
	while (p->pending && p->at < p->n_pending) {
		ssize_t n = write(p->to, p->pending + p->at, p->n_pending - p->at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0) {
			p->ended = true;
			break;
		}
		p->at += (size_t)n;
	}
	free(take_ptr(&p->pending));
	return true;
}

/* One read and its write: bytes read. */
static size_t move(struct pump *p)
{
	uint8_t *chunk = shim_scratch(p->shim).in;
	ssize_t n;

	do
		n = read(p->from, chunk, CHUNK);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0) {
		p->ended = true;
		/* who reads what we write sees the end when nobody else has it open */
		fd_drop(&p->to);
		return 0;
	}
	p->pending = mem_new((size_t)n, 1);
	memcpy(p->pending, chunk, (size_t)n);
	p->n_pending = (size_t)n;
	p->at = 0;
	push(p);
	return (size_t)n;
}

static void on_event(uint32_t events, void *user)
{
	struct pump *p = user;
	bool was_writing = p->pending;

	if (push(p) && !was_writing && !p->ended)
		move(p);
	if (was_writing != !!p->pending || p->ended)
		watch(p);
}

bool pump_drain(struct pump *p)
{
	/* what an exited process left is at most a terminal's or a pipe's buffer: bounded */
	for (int i = 0; i < 64 && push(p) && !p->ended; i++)
		if (!move(p) || p->pending)
			break;
	watch(p);
	return !p->pending;
}

int pump_new(struct shim *s, int from, int to, struct pump **ret, struct err *err)
{
	struct pump *p = mem_new(1, sizeof(*p));

	p->shim = s;
	p->from = fcntl(from, F_DUPFD_CLOEXEC, 3);
	p->to = fcntl(to, F_DUPFD_CLOEXEC, 3);
	if (p->from < 0 || p->to < 0) {
		int r = err_sys(err, errno, "stdio");

		pump_free(p);
		return r;
	}
	watch(p);
	*ret = p;
	return 0;
}

void pump_free(struct pump *p)
{
	if (!p)
		return;
	event_fd_free(p->source);
	fd_close_ptr(&p->from);
	fd_close_ptr(&p->to);
	free(p->pending);
	free(p);
}
