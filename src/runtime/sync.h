/*
 * Messages between the parent and the process that it cloned (inner header).
 *
 * One SOCK_SEQPACKET pair, one message a step; an end that closes is an end that died. The
 * child is our own code, but it walks a hostile rootfs, so what it says is checked for size
 * and an error's bytes are made valid before they are used. [child] on both sides.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum sync_type {
	SYNC_ERROR,    /* child → parent: it failed; err */
	SYNC_WARNING,  /* child → parent: err.text */
	SYNC_INIT_PID, /* stage → parent: value is the pid of the real one */
	SYNC_MAPS,     /* parent → child: id maps are written */
	SYNC_HOOKS,    /* child → parent: mounts are made, run the hooks */
	SYNC_GO,       /* parent → child: limits, hooks and the filter are done, go on */
	SYNC_LISTENER, /* child → parent: the filter is loaded; the descriptor that listens to it */
	SYNC_CREATED,  /* child → parent: everything stands, argv[0] was found */
	SYNC_SOCKET,   /* CRIU's process → parent: the end of its socket */
	SYNC_RECORDED, /* parent → child: you are on your own now */
};

struct sync_msg {
	uint32_t type;
	int32_t value;
	struct err err; /* sent only with ERROR and WARNING */
};

enum { SYNC_SHORT = offsetof(struct sync_msg, err) };

int sync_pair(int *ret_parent, int *ret_child);
int sync_send(int sock, enum sync_type type, int32_t value, const int *fds, size_t n_fds);
int sync_send_err(int sock, enum sync_type type, const struct err *err);
/* -EPIPE: the other end is gone. n_fds may be NULL. */
int sync_recv(int sock, struct sync_msg *ret, int *fds, size_t *n_fds);
