/*
 * Addresses, listening, connecting. Blocks only in rpc_connect, and there at most until
 * the deadline.
 */
#include "rpc/sock.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct target {
	struct sockaddr_un sun;
	socklen_t len;
	const char *path; /* in the file system; NULL for an abstract name */
	int dirfd;        /* open while sun goes through it */
};

#define TARGET_INIT { .dirfd = -EBADF }

static void target_done(struct target *t)
{
	fd_drop(&t->dirfd);
}

/* The file system path in an address; abstract ones begin with '@'. */
static const char *address_path(const char *address)
{
	const char *rest;

	if ((rest = str_skip_prefix(address, "unix://")) || (rest = str_skip_prefix(address, "unix:")))
		return rest;
	return address;
}

static int target_set(const char *address, struct target *t)
{
	const char *path = address_path(address), *base = strrchr(path, '/');
	size_t len = strlen(path);
	autofree char *dir = NULL;

	t->sun.sun_family = AF_UNIX;
	if (!len)
		return -EINVAL;
	if (path[0] == '@') {
		if (len > sizeof(t->sun.sun_path))
			return -ENAMETOOLONG;
		memcpy(t->sun.sun_path + 1, path + 1, len - 1);
		t->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
		return 0;
	}
	t->path = path;
	t->len = sizeof(t->sun);
	if (len < sizeof(t->sun.sun_path)) {
		memcpy(t->sun.sun_path, path, len + 1);
		return 0;
	}
	if (!base || strlen(base) > 64)
		return -ENAMETOOLONG;
	dir = mem_strndup(path, (size_t)(base - path) + 1);
	t->dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t->dirfd < 0)
		return -errno;
	snprintf(t->sun.sun_path, sizeof(t->sun.sun_path), "/proc/self/fd/%d%s", t->dirfd, base);
	return 0;
}

static int target_connect(const struct target *t, int *ret_fd)
{
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&t->sun, t->len) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int target_bind(const struct target *t, mode_t mode, int *ret_fd)
{
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* bind(2) gives the file the mode of the socket: no moment in which others may connect */
	if (fd < 0 || fchmod(fd, mode) < 0 || bind(fd, (const struct sockaddr *)&t->sun, t->len) < 0 ||
	    listen(fd, SOMAXCONN) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

int rpc_listen(const char *address, mode_t mode, int *ret_fd, struct err *err)
{
	CLEANUP(target_done) struct target t = TARGET_INIT;
	autofd int probe = -EBADF;
	int r = target_set(address, &t);

	if (r >= 0)
		r = target_bind(&t, mode, ret_fd);
	if (r == -EADDRINUSE && t.path) {
		r = target_connect(&t, &probe);
		if (r >= 0 || r == -EAGAIN)
			return err_set(err, ERR_EXISTS, "listen on %s: another process serves there", address);
		if (r == -ECONNREFUSED) {
			unlink(t.path);
			r = target_bind(&t, mode, ret_fd);
		}
	}
	return r < 0 ? err_sys(err, r, "listen on %s", address) : 0;
}

int rpc_connect(const char *address, int64_t deadline, int *ret_fd, struct err *err)
{
	CLEANUP(target_done) struct target t = TARGET_INIT;
	int r = target_set(address, &t);

	if (r < 0)
		return err_sysk(err, ERR_UNAVAILABLE, r, "connect to %s", address);
	/* a full backlog has no event to wait for */
	while ((r = target_connect(&t, ret_fd)) == -EAGAIN && time_now_mono() < deadline)
		poll(NULL, 0, 5);
	if (r == -EAGAIN)
		return err_set(err, ERR_TIMEOUT, "connect to %s: it accepts no connection", address);
	return r < 0 ? err_sysk(err, ERR_UNAVAILABLE, r, "connect to %s", address) : 0;
}
