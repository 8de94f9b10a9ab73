/*
 * Files of three kinds: small ones that are read whole, kernel files that are written by
 * one write(2), and our own records that are replaced atomically.
 *
 * dirfd may be AT_FDCWD. -EMSGSIZE: the file is larger than `max`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct buf;

/* Appends the whole file to out, whose own bound holds as well. */
int sys_file_read(int dirfd, const char *path, size_t max, struct buf *out);

/* The same into a fixed array, terminated, one trailing newline cut: length or -errno. [child] */
ssize_t sys_file_read_text(int dirfd, const char *path, char *out, size_t size);

/* One write of the text to an existing file: cgroup, procfs, sysfs. Nothing is created. [child] */
int sys_file_write(int dirfd, const char *path, const char *text);

/*
 * Replaces `path` by new content: temporary file beside it, then rename. A reader sees the
 * old or the new content, never a part. With `durable` the data and the name are on disk
 * before 0 is returned; without, a power loss may leave the old one.
 */
int sys_file_replace(int dirfd, const char *path, const void *data, size_t len, mode_t mode, bool durable);

/* All of data, over short writes and EINTR: 0 or -errno. [child] */
int sys_write_all(int fd, const void *data, size_t len);
