/*
 * The service manager's readiness protocol: one datagram to $NOTIFY_SOCKET
 * (https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html). A library for
 * this would be larger than the daemon's idle memory is worth.
 */
#include "prog/caissond/daemon.h"

#include <sys/socket.h>
#include <sys/un.h>

void notify_manager(const char *message)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;
	autofd int fd = -EBADF;

	if (!len || (path[0] != '/' && path[0] != '@') || len >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, len);
	if (to.sun_path[0] == '@')
		to.sun_path[0] = '\0'; /* the abstract namespace */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&to,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn("tell the service manager %s: %s", message, strerror(errno));
}
