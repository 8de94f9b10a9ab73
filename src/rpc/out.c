/*
 * Pushing bytes out. Invariant: sent <= buf.len, and both are 0 when nothing waits.
 */
#include "rpc/out.h"

#include <sys/socket.h>

enum { OUT_KEEP = 4096 };

void rpc_out_done(struct rpc_out *out)
{
	buf_done(&out->buf);
	out->sent = 0;
}

size_t rpc_out_pending(const struct rpc_out *out)
{
	return out->buf.len - out->sent;
}

int rpc_out_flush(struct rpc_out *out, int fd)
{
	while (out->sent < out->buf.len) {
		ssize_t n = send(fd, out->buf.data + out->sent, out->buf.len - out->sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			/* what was sent makes room, but is moved away only when that is cheap */
			if (out->sent > out->buf.len / 2) {
				buf_consume(&out->buf, out->sent);
				out->sent = 0;
			}
			return 0;
		}
		if (n < 0)
			return -errno;
		out->sent += (size_t)n;
	}
	out->sent = 0;
	out->buf.len = 0;
	if (out->buf.cap > OUT_KEEP)
		buf_done(&out->buf); /* an idle connection keeps little */
	return 1;
}
