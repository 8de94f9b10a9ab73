/*
 * The accepting side of a server. Runs on the loop thread.
 */
#include "rpc/accept.h"

#include "base/base.h"

#include <sys/socket.h>

static void acceptor_arm(struct rpc_acceptor *a)
{
	event_fd_set(a->src, a->paused || a->n_peers >= a->most ? 0 : EPOLLIN);
}

static void on_resume(void *user)
{
	struct rpc_acceptor *a = user;

	a->paused = false;
	acceptor_arm(a);
}

static void on_acceptable(uint32_t events, void *user)
{
	struct rpc_acceptor *a = user;

	/* a few at a time: those that are connected already want to be served too */
	for (int i = 0; i < 16 && a->n_peers < a->most; i++) {
		int fd = accept4(a->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			a->fn(fd, a->user);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			/* out of descriptors: the listener stays readable, so look away for a while */
			a->paused = true;
			event_timer_set(a->timer, time_now_mono() + 100 * NSEC_PER_MSEC);
		}
		break;
	}
	acceptor_arm(a);
}

int rpc_acceptor_start(struct rpc_acceptor *a, struct event_loop *loop, int fd, size_t most,
		       void (*fn)(int fd, void *user), void *user)
{
	int r;

	*a = (struct rpc_acceptor){ .fd = fd, .most = most, .fn = fn, .user = user };
	r = event_timer_new(loop, INT64_MAX, on_resume, a, &a->timer);
	if (r >= 0)
		r = event_fd_new(loop, fd, EPOLLIN, on_acceptable, a, &a->src);
	if (r < 0)
		rpc_acceptor_stop(a);
	return r;
}

void rpc_acceptor_stop(struct rpc_acceptor *a)
{
	event_fd_free(take_ptr(&a->src));
	event_timer_free(take_ptr(&a->timer));
}

void rpc_acceptor_count(struct rpc_acceptor *a, int delta)
{
	bool was_full = a->n_peers >= a->most;

	a->n_peers += (size_t)delta;
	if (a->src && was_full && a->n_peers < a->most)
		acceptor_arm(a);
}
