/* The table of types, opening and joining. */
#include "ns/ns.h"

#include "base/base.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

const struct ns_type ns_types[NS_KINDS] = {
	[NS_USER] = { "user", "user", CLONE_NEWUSER },
	[NS_PID] = { "pid", "pid", CLONE_NEWPID },
	[NS_NET] = { "network", "net", CLONE_NEWNET },
	[NS_IPC] = { "ipc", "ipc", CLONE_NEWIPC },
	[NS_UTS] = { "uts", "uts", CLONE_NEWUTS },
	[NS_CGROUP] = { "cgroup", "cgroup", CLONE_NEWCGROUP },
	[NS_TIME] = { "time", "time", CLONE_NEWTIME },
	[NS_MNT] = { "mount", "mnt", CLONE_NEWNS },
};

int ns_type_find(const char *name)
{
	for (int i = 0; i < NS_KINDS; i++)
		if (str_eq(ns_types[i].name, name))
			return i;
	return -EINVAL;
}

uint64_t ns_flags(unsigned kinds)
{
	uint64_t flags = 0;

	for (int i = 0; i < NS_KINDS; i++)
		if (kinds & 1U << i)
			flags |= ns_types[i].flag;
	return flags;
}

int ns_open(const char *path, enum ns_kind kind, int *ret_fd)
{
	/* O_NONBLOCK: the path may name a fifo */
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int type;

	if (fd < 0)
		return -errno;
	type = ioctl(fd, NS_GET_NSTYPE);
	if (type < 0 || (uint64_t)type != ns_types[kind].flag)
		return -EINVAL;
	*ret_fd = take_fd(&fd);
	return 0;
}

int ns_open_pid(pid_t pid, enum ns_kind kind, int *ret_fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, ns_types[kind].file);
	return ns_open(path, kind, ret_fd);
}

int ns_is_own(int fd, enum ns_kind kind)
{
	char path[64];
	struct stat own, other;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", ns_types[kind].file);
	if (stat(path, &own) < 0 || fstat(fd, &other) < 0)
		return -errno;
	return own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

int ns_join(int fd, enum ns_kind kind)
{
	return setns(fd, (int)ns_types[kind].flag) < 0 ? -errno : 0;
}

int ns_loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* Its inode number is part of the kernel's interface (since 3.8). */
bool ns_user_is_initial(void)
{
	struct stat st;

	return stat("/proc/self/ns/user", &st) < 0 || st.st_ino == 0xEFFFFFFDU;
}
