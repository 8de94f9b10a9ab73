/*
 * Unix stream sockets by address: "/run/x.sock", "unix:///run/x.sock", "unix:/run/x.sock", or
 * "@name" for the abstract namespace. Paths longer than sun_path (107 bytes) work: they
 * are reached through a descriptor of their directory. Any thread.
 */
#pragma once

#include "base/base.h"

#include <sys/types.h>

/*
 * Listens; non-blocking, close-on-exec. The socket is made with `mode` from birth. A file
 * left by a dead process is replaced; EXISTS when somebody accepts connections there.
 */
int rpc_listen(const char *address, mode_t mode, int *ret_fd, struct err *err);

/*
 * Connects; the descriptor is non-blocking. Waits at most until the deadline when the
 * backlog of the listener is full; a deadline in the past asks once. UNAVAILABLE when
 * nobody listens or the file is not there.
 */
int rpc_connect(const char *address, int64_t deadline, int *ret_fd, struct err *err);
