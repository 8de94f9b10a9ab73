/*
 * A child that is born in other namespaces. In the caller, which has one thread.
 *
 * setns(2) moves the caller, and root of the user namespace that the kernel began with can go back.
 * In another one the way back is closed: the namespaces that one came from belong to those outside.
 * There a process between goes, and clones the child as its own sibling: the caller's child, as if
 * nobody had been there.
 */
#include "ns/ns.h"

#include "base/base.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The pid namespace is the one of later children, the others the caller's own. */
static int open_own(enum ns_kind kind, int *ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind == NS_PID ? "pid_for_children" : ns_types[kind].file);
	*ret = open(path, O_RDONLY | O_CLOEXEC);
	return *ret < 0 ? -errno : 0;
}

static int join_all(const int *join)
{
	int r = 0;

	for (int k = NS_PID; r == 0 && k < NS_MNT; k++)
		if (join[k] >= 0)
			r = ns_join(join[k], (enum ns_kind)k);
	return r;
}

static pid_t clone_and_return(const struct ns_birth *b, int *ret_pidfd)
{
	int own[NS_KINDS], r = 0;
	pid_t pid = -1;

	for (int k = 0; k < NS_KINDS; k++)
		own[k] = -EBADF;
	for (int k = NS_PID; r == 0 && k < NS_MNT; k++)
		if (b->join[k] >= 0)
			r = open_own((enum ns_kind)k, &own[k]);
	if (r == 0)
		r = join_all(b->join);
	if (r == 0)
		pid = sys_clone3(b->flags, SIGCHLD, b->cgroup_fd, ret_pidfd);
	for (int k = NS_PID; pid != 0 && k < NS_MNT; k++) {
		/* what comes later would be made in the wrong namespaces */
		if (own[k] >= 0 && ns_join(own[k], (enum ns_kind)k) < 0)
			abort();
	}
	for (int k = NS_PID; k < NS_MNT; k++)
		fd_drop(&own[k]);
	return r < 0 ? r : pid;
}

/* [child]: 0 in the child that is wanted; nobody else returns. */
static pid_t be_between(const struct ns_birth *b, int sock)
{
	autofd int pidfd = -EBADF;
	pid_t pid;
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (recv(sock, &go, 1, 0) != 1)
		_exit(1);
	pid = b->join ? join_all(b->join) : 0;
	if (pid == 0)
		pid = sys_clone3(b->flags | CLONE_PARENT, 0, b->cgroup_fd, &pidfd);
	if (pid == 0) {
		close(sock);
		return 0;
	}
	sys_send_fds(sock, &pid, sizeof(pid), &pidfd, pid > 0);
	_exit(0);
}

static pid_t clone_between(const struct ns_birth *b, int *ret_pidfd)
{
	autofd int between = -EBADF, sock = -EBADF, other = -EBADF, pidfd = -EBADF;
	int pair[2], status, r = 0;
	size_t n_fds = 1;
	pid_t pid;
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	sock = pair[0];
	other = pair[1];
	pid = sys_clone3(0, SIGCHLD, -EBADF, &between);
	if (pid == 0) {
		fd_drop(&sock);
		return be_between(b, take_fd(&other));
	}
	if (pid < 0)
		return pid;
	fd_drop(&other);
	if (b->admit)
		r = b->admit(pid, b->user);
	if (r == 0 && send(sock, "", 1, MSG_NOSIGNAL) != 1)
		r = -errno;
	if (r < 0)
		fd_drop(&sock);
	n = r < 0 ? r : sys_recv_fds(sock, &pid, sizeof(pid), &pidfd, &n_fds);
	sys_pidfd_wait(between, &status);
	if (n < 0)
		return (pid_t)n;
	if (n != sizeof(pid) || (pid > 0 && pidfd < 0))
		return -ECHILD;
	if (pid > 0)
		*ret_pidfd = take_fd(&pidfd);
	return pid;
}

pid_t ns_clone(const struct ns_birth *b, int *ret_pidfd)
{
	bool joins = false;

	for (int k = NS_PID; b->join && k < NS_MNT; k++)
		joins = joins || b->join[k] >= 0;
	if (b->admit || (joins && !ns_user_is_initial()))
		return clone_between(b, ret_pidfd);
	return joins ? clone_and_return(b, ret_pidfd) : sys_clone3(b->flags, SIGCHLD, b->cgroup_fd, ret_pidfd);
}
