/* Any bytes as a message of the container's process: refused, or an error that can be printed. */
#include "runtime/sync.h"

#include "base/base.h"
#include "sys/sys.h"

#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofd int parent = -EBADF, child = -EBADF;
	struct sync_msg m;
	int r = sync_pair(&parent, &child);

	assert(r == 0);
	if (send(child, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return 0; /* too long for a message */
	fd_drop(&child);
	r = sync_recv(parent, &m, NULL, NULL);
	assert(r == 0 || r == -EPROTO || r == -EPIPE || r == -EMSGSIZE);
	assert((r == 0) == (size == SYNC_SHORT || size == sizeof(m)));
	if (r < 0 || (m.type != SYNC_ERROR && m.type != SYNC_WARNING))
		return 0;
	assert(memchr(m.err.text, '\0', sizeof(m.err.text)));
	assert(err_kind_info(m.err.kind)->name);
	return 0;
}
