/*
 * Named network namespaces. What must happen inside runs on a thread made for it (inside()),
 * which ends there: a thread that failed to come back to the daemon's namespace would be
 * poison for whatever ran on it next.
 */
#include "cni/netns.h"

#include "base/base.h"
#include "cni/netlink.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

enum { STACK_SIZE = 128 * 1024 };

struct inside {
	int netns_fd;             /* negative: a new namespace */
	int (*fn)(void *user);
	void *user;
	int r;
};

static void *inside_thread(void *arg)
{
	struct inside *in = arg;

	if (in->netns_fd >= 0 ? setns(in->netns_fd, CLONE_NEWNET) < 0 : unshare(CLONE_NEWNET) < 0)
		in->r = -errno;
	else
		in->r = in->fn(in->user);
	return NULL;
}

/* fn(user) on a thread in that namespace: its answer, or -errno. */
static int inside(int netns_fd, int (*fn)(void *user), void *user)
{
	struct inside in = { netns_fd, fn, user, 0 };
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, &attr, inside_thread, &in);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r)
		return -r;
	pthread_join(thread, NULL);
	return in.r;
}

static int lo_up(void *user)
{
	autofd int nl = -EBADF;
	struct cni_link lo;
	int r;

	(void)user;
	r = cni_netlink_open(&nl);
	if (r == 0)
		r = cni_link_get(nl, "lo", &lo);
	return r < 0 ? r : cni_link_up(nl, lo.index);
}

/*
 * /proc/sys/net shows the namespace of the thread that opens it. A kernel without one of these
 * files is older than our floor or has no IPv4, and then nobody misses them.
 */
static void open_up(void)
{
	sys_file_write(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
	sys_file_write(AT_FDCWD, "/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
}

static int bind_ns(const char *from, const char *path)
{
	autofd int target = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), mnt = -EBADF;
	int r;

	if (target < 0)
		return -errno;
	r = sys_clone_tree(AT_FDCWD, from, 0, &mnt);
	if (r == 0)
		r = sys_attach_mount(mnt, target);
	/* what a container's mount tree has copied of it goes when ours goes, never the reverse */
	if (r == 0)
		r = sys_mount_setattr(mnt, 0, 0, 0, MS_PRIVATE, -EBADF);
	return r;
}

static int make_here(void *user)
{
	int r = lo_up(NULL);

	if (r < 0)
		return r;
	open_up();
	return bind_ns("/proc/thread-self/ns/net", user);
}

/*
 * Only a process with one thread may enter a user namespace, so this takes a child. It makes
 * the namespace and waits until we have mounted it.
 */
static int make_in_userns(const char *path, int userns_fd)
{
	autofd int ready_r = -EBADF, ready_w = -EBADF, go_r = -EBADF, go_w = -EBADF, pidfd = -EBADF,
	    made = -EBADF;
	char from[64], byte;
	int r, status;
	pid_t pid;

	if ((r = sys_pipe(0, &ready_r, &ready_w)) < 0 || (r = sys_pipe(0, &go_r, &go_w)) < 0)
		return r;
	pid = sys_clone3(0, SIGCHLD, -EBADF, &pidfd);
	if (pid < 0)
		return pid;
	if (pid == 0) {
		close(go_w);
		if (setns(userns_fd, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNET) < 0)
			_exit(errno);
		if (write(ready_w, "", 1) == 1)
			(void)!read(go_r, &byte, 1);
		_exit(0);
	}
	fd_drop(&ready_w);
	if (read(ready_r, &byte, 1) == 1) {
		snprintf(from, sizeof(from), "/proc/%d/ns/net", pid);
		made = open(from, O_RDONLY | O_CLOEXEC);
		r = made < 0 ? -errno : bind_ns(from, path);
		if (r == 0)
			r = inside(made, lo_up, NULL);
	}
	fd_drop(&go_w);
	if (sys_pidfd_wait(pidfd, &status) == 0 && WIFEXITED(status) && WEXITSTATUS(status) && r == 0)
		r = -WEXITSTATUS(status);
	return r;
}

static bool is_nsfs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == NSFS_MAGIC;
}

int cni_netns_create(const char *path, int userns_fd, struct err *err)
{
	autofd int file = -EBADF;
	int r;

	if (is_nsfs(path))
		return err_set(err, ERR_EXISTS, "network namespace %s: a namespace is mounted there already", path);
	file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444);
	if (file < 0)
		return err_sys(err, errno, "network namespace %s", path);
	r = userns_fd < 0 ? inside(-EBADF, make_here, (void *)path) : make_in_userns(path, userns_fd);
	if (r < 0) {
		cni_netns_remove(path, NULL);
		return err_sys(err, r, "network namespace %s: create", path);
	}
	return 0;
}

int cni_netns_remove(const char *path, struct err *err)
{
	int r;

	/* more than one can lie on it, if somebody mounted by hand */
	do
		r = sys_umount(path, SYS_UMOUNT_DETACH | SYS_UMOUNT_NOFOLLOW);
	while (r == 0);
	if (r != -EINVAL && r != -ENOENT)
		return err_sys(err, r, "network namespace %s: unmount", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, errno, "network namespace %s: remove", path);
	return 0;
}

int cni_netns_open(const char *path, int *ret_fd, struct err *err)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct statfs fs;

	if (fd < 0)
		return err_sys(err, errno, "network namespace %s", path);
	if (fstatfs(fd, &fs) < 0 || fs.f_type != NSFS_MAGIC || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_set(err, ERR_INVALID, "%s is no network namespace", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

int cni_netns_loopback_up(int netns_fd, struct err *err)
{
	int r = inside(netns_fd, lo_up, NULL);

	return r < 0 ? err_sys(err, r, "loopback interface") : 0;
}

struct want {
	const char *ifname;
	struct cni_link link;
};

static int get_link(void *user)
{
	struct want *w = user;
	autofd int nl = -EBADF;
	int r = cni_netlink_open(&nl);

	return r < 0 ? r : cni_link_get(nl, w->ifname, &w->link);
}

int cni_netns_stats(int netns_fd, const char *ifname, struct cni_interface_stats *ret, struct err *err)
{
	struct want w = { .ifname = ifname };
	int r = inside(netns_fd, get_link, &w);

	if (r < 0)
		return err_sys(err, r, "interface %.60s", ifname);
	*ret = (struct cni_interface_stats){
		.rx_bytes = w.link.stats.rx_bytes,
		.rx_packets = w.link.stats.rx_packets,
		.rx_errors = w.link.stats.rx_errors,
		.rx_dropped = w.link.stats.rx_dropped,
		.tx_bytes = w.link.stats.tx_bytes,
		.tx_packets = w.link.stats.tx_packets,
		.tx_errors = w.link.stats.tx_errors,
		.tx_dropped = w.link.stats.tx_dropped,
	};
	return 0;
}

struct dial {
	uint16_t port;
	struct timeval timeout;
	int fd;
};

static int dial_one(struct dial *d, const struct sockaddr *to, socklen_t len)
{
	autofd int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* connect(2) gives up after the time for sending: socket(7) */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &d->timeout, sizeof(d->timeout)) < 0 ||
	    connect(fd, to, len) < 0)
		return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	d->fd = take_fd(&fd);
	return 0;
}

static int dial_here(void *user)
{
	struct dial *d = user;
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(d->port),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(d->port),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int r = dial_one(d, (struct sockaddr *)&v4, sizeof(v4));

	/* the first error is the one that people expect to read */
	return r < 0 && dial_one(d, (struct sockaddr *)&v6, sizeof(v6)) == 0 ? 0 : r;
}

int cni_netns_connect(int netns_fd, uint16_t port, int64_t timeout, int *ret_fd, struct err *err)
{
	struct dial d = { port, { timeout / NSEC_PER_SEC, timeout % NSEC_PER_SEC / 1000 }, -EBADF };
	/* a negative descriptor means a new namespace to inside() */
	int r = netns_fd < 0 ? dial_here(&d) : inside(netns_fd, dial_here, &d);

	if (r < 0)
		return err_sysk(err, r == -ETIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE, r, "connect to localhost:%u", port);
	*ret_fd = d.fd;
	return 0;
}
