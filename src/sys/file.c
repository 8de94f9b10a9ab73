#include "sys/file.h"

#include "base/buf.h"
#include "base/mem.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>

int sys_file_read(int dirfd, const char *path, size_t max, struct buf *out)
{
	autofd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t start = out->len;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	/* most files are short, and a short read is most often the last one: large buffers are for others */
	for (size_t most = 16 * 1024 - 1;; most = (size_t)n < most ? 4096 : 64 * 1024) {
		/* one byte past the bound tells "exactly max" from "more" */
		if (out->len - start > max)
			return -EMSGSIZE;
		n = buf_read_fd(out, fd, most);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return out->len - start > max ? -EMSGSIZE : 0;
	}
}

ssize_t sys_file_read_text(int dirfd, const char *path, char *out, size_t size)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	for (;;) {
		n = read(fd, out + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len == size) {
			n = -1;
			errno = EMSGSIZE;
			break;
		}
	}
	if (n < 0) {
		int saved = errno;

		close(fd);
		return -saved;
	}
	close(fd);
	if (len && out[len - 1] == '\n')
		len--;
	out[len] = '\0';
	return (ssize_t)len;
}

int sys_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int sys_file_write(int dirfd, const char *path, const char *text)
{
	int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n;
	int r = 0;

	if (fd < 0)
		return -errno;
	/* one write: the kernel parses each write to these files on its own */
	do
		n = write(fd, text, strlen(text));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		r = -errno;
	else if ((size_t)n != strlen(text))
		r = -EIO;
	close(fd);
	return r;
}

int sys_file_replace(int dirfd, const char *path, const void *data, size_t len, mode_t mode, bool durable)
{
	char tmp[PATH_MAX], parent[PATH_MAX];
	autofd int fd = -EBADF;
	int r;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.%d.tmp", path, (int)gettid()) >= sizeof(tmp))
		return -ENAMETOOLONG;
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	r = sys_write_all(fd, data, len);
	if (r == 0 && durable && fdatasync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, tmp, 0);
		return r;
	}
	if (durable) {
		autofd int dir = -EBADF;

		snprintf(parent, sizeof(parent), "%s", path);
		dir = openat(dirfd, dirname(parent), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0 || fsync(dir) < 0)
			return -errno;
	}
	return 0;
}
