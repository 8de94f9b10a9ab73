/*
 * Descriptors: passing them, closing them, counting on them.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

enum { SYS_FDS_MAX = 16 };

/*
 * One message with `len` bytes (at least 1) and `n` descriptors (at most SYS_FDS_MAX) over
 * a Unix socket. [child]
 */
int sys_send_fds(int sock, const void *data, size_t len, const int *fds, size_t n);

/*
 * Receives one message: bytes read, 0 at end of stream. Descriptors come close-on-exec;
 * at most *n are taken (-EMSGSIZE and all closed when there were more, or when the message is
 * longer than len), *n says how many.
 */
ssize_t sys_recv_fds(int sock, void *data, size_t len, int *fds, size_t *n);

/* Close-on-exec on every descriptor from `first` up (CLOSE_RANGE_CLOEXEC). [child] */
int sys_cloexec_from(int first);

/* pipe2(O_CLOEXEC | flags). On failure both stay untouched. */
int sys_pipe(int flags, int *ret_read, int *ret_write);

int sys_set_nonblock(int fd);
