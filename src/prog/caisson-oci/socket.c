/* Unix sockets that an engine listens at: for the terminal, for a descriptor of the process. */
#include "prog/caisson-oci/oci.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

static int connect_to(const char *option, const char *path, int *ret, struct err *err)
{
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (fd < 0)
		return err_sys(err, errno, "socket");
	if (strlen(path) >= sizeof(a.sun_path))
		return err_sys(err, ENAMETOOLONG, "%s %s", option, path);
	memcpy(a.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(err, errno, "%s %s", option, path);
	*ret = take_fd(&fd);
	return 0;
}

int console_connect(const char *path, int *ret, struct err *err)
{
	return connect_to("console socket", path, ret, err);
}

int pidfd_connect(const char *path, int *ret, struct err *err)
{
	return path ? connect_to("--pidfd-socket", path, ret, err) : 0;
}

int pidfd_send(int sock, pid_t pid, const char *kind, struct err *err)
{
	autofd int pidfd = -EBADF;
	int r;

	if (sock < 0)
		return 0;
	/* a child of ours that was not reaped: nobody else can have its number */
	r = sys_pidfd_open(pid, &pidfd);
	if (r == 0)
		r = sys_send_fds(sock, kind, strlen(kind), &pidfd, 1);
	return r < 0 ? err_sys(err, r, "--pidfd-socket: send the pidfd") : 0;
}
