/*
 * A listening socket on the loop: bounded in connections, patient when descriptors run out.
 * Private to rpc. fn owns the descriptor it gets; it counts what it keeps by
 * rpc_acceptor_count, +1 and -1. Zeroed, it may be stopped.
 */
#pragma once

#include "event/event.h"

#include <stddef.h>

struct rpc_acceptor {
	struct event_fd *src;
	struct event_timer *timer;
	int fd;
	bool paused;
	size_t n_peers, most;
	void (*fn)(int fd, void *user);
	void *user;
};

int rpc_acceptor_start(struct rpc_acceptor *a, struct event_loop *loop, int fd, size_t most,
		       void (*fn)(int fd, void *user), void *user);
void rpc_acceptor_stop(struct rpc_acceptor *a);
void rpc_acceptor_count(struct rpc_acceptor *a, int delta);
