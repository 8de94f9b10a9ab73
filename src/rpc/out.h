/* Bytes on their way to a socket. Private to rpc. */
#pragma once

#include "base/base.h"

struct rpc_out {
	struct buf buf;
	size_t sent; /* of buf, from its beginning */
};

#define RPC_OUT_INIT(bound) { BUF_INIT(bound), 0 }

void rpc_out_done(struct rpc_out *out);
size_t rpc_out_pending(const struct rpc_out *out);
/* 1: all is sent; 0: the socket is full; -errno: it is dead. */
int rpc_out_flush(struct rpc_out *out, int fd);
