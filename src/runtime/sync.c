#include "runtime/sync.h"

#include "base/mem.h"
#include "sys/sys.h"

#include <sys/socket.h>

int sync_pair(int *ret_parent, int *ret_child)
{
	int p[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p) < 0)
		return -errno;
	*ret_parent = p[0];
	*ret_child = p[1];
	return 0;
}

int sync_send(int sock, enum sync_type type, int32_t value, const int *fds, size_t n_fds)
{
	struct sync_msg m = { .type = type, .value = value };

	return sys_send_fds(sock, &m, SYNC_SHORT, fds, n_fds);
}

int sync_send_err(int sock, enum sync_type type, const struct err *err)
{
	struct sync_msg m = { .type = type, .err = *err };

	return sys_send_fds(sock, &m, sizeof(m), NULL, 0);
}

int sync_recv(int sock, struct sync_msg *ret, int *fds, size_t *n_fds)
{
	int none[1];
	size_t n_none = 0;
	ssize_t n;

	memset(ret, 0, sizeof(*ret));
	n = sys_recv_fds(sock, ret, sizeof(*ret), fds ? fds : none, n_fds ? n_fds : &n_none);
	/* said once, before what is still in the queue, where the other end closed with something
	 * of ours unread: its last words come behind it */
	if (n == -ECONNRESET)
		n = sys_recv_fds(sock, ret, sizeof(*ret), fds ? fds : none, n_fds ? n_fds : &n_none);
	if (n < 0)
		return n == -ECONNRESET ? -EPIPE : (int)n;
	if (n == 0)
		return -EPIPE;
	if (n != SYNC_SHORT && n != sizeof(*ret))
		return -EPROTO;
	if (ret->type == SYNC_ERROR || ret->type == SYNC_WARNING)
		err_sanitize(&ret->err);
	return 0;
}
