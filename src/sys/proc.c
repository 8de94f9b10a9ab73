#include "sys/proc.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/file.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

pid_t sys_clone3(uint64_t flags, int exit_signal, int cgroup_fd, int *ret_pidfd)
{
	int pidfd = -EBADF;
	struct clone_args args = {
		.flags = flags,
		.exit_signal = (uint64_t)exit_signal,
	};
	long pid;

	if (ret_pidfd) {
		args.flags |= CLONE_PIDFD;
		args.pidfd = (uint64_t)(uintptr_t)&pidfd;
	}
	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return -errno;
	if (pid > 0 && ret_pidfd)
		*ret_pidfd = pidfd;
	return (pid_t)pid;
}

int sys_pidfd_open(pid_t pid, int *ret_fd)
{
	long fd = syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return -errno;
	*ret_fd = (int)fd;
	return 0;
}

int sys_pidfd_signal(int pidfd, int sig)
{
	return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

/* Field `wanted` (from 3, the state) of /proc/<pid>/stat, as text in buf. */
static int stat_field(pid_t pid, int wanted, char *buf, size_t size, const char **ret)
{
	char path[40], *p;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = sys_file_read_text(AT_FDCWD, path, buf, size);
	if (n < 0)
		return n == -ENOENT ? -ESRCH : (int)n;
	/* the command may hold spaces and parentheses: count from the last one */
	p = strrchr(buf, ')');
	for (int field = 2; p && field < wanted; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return -EIO;
	*ret = p + 1;
	return 0;
}

int sys_proc_start_time(pid_t pid, uint64_t *ret_ticks)
{
	char text[1024];
	const char *ticks = NULL;
	int r = stat_field(pid, 22, text, sizeof(text), &ticks);

	if (r == 0)
		*ret_ticks = strtoull(ticks, NULL, 10);
	return r;
}

int sys_pidfd_open_verified(pid_t pid, uint64_t start_ticks, int *ret_fd)
{
	autofd int fd = -EBADF;
	uint64_t ticks;
	int r;

	if (pid <= 0)
		return -ESRCH;
	r = sys_pidfd_open(pid, &fd);
	if (r < 0)
		return r == -EINVAL ? -ESRCH : r;
	/* the pidfd was taken first: if the pid still has this start time now, it is its own */
	r = sys_proc_start_time(pid, &ticks);
	if (r < 0)
		return r;
	if (ticks != start_ticks)
		return -ESRCH;
	*ret_fd = take_fd(&fd);
	return 0;
}

int sys_pidfd_wait(int pidfd, int *ret_status)
{
	siginfo_t info = { 0 };
	int r;

	do
		r = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	*ret_status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
	return 0;
}

int sys_pidfd_exited(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int r = poll(&p, 1, 0);

	return r < 0 ? -errno : r > 0;
}

/* linux/pidfd.h of 6.15; older headers do not have it. */
struct pidfd_info {
	uint64_t mask, cgroup;
	uint32_t ids[11];
	int32_t exit_code;
	uint32_t more[2];
};

enum { PIDFD_INFO_EXIT_BIT = 1 << 3 };

static int zombie_status(pid_t pid, uint64_t start_ticks, int *ret_status)
{
	char text[1024];
	const char *code;
	uint64_t ticks;
	int r = stat_field(pid, 52, text, sizeof(text), &code);
	char *state;

	if (r < 0)
		return r;
	state = strrchr(text, ')');
	if (state[1] != ' ' || (state[2] != 'Z' && state[2] != 'X'))
		return -EAGAIN;
	r = sys_proc_start_time(pid, &ticks);
	if (r < 0)
		return r;
	if (ticks != start_ticks)
		return -ESRCH;
	*ret_status = atoi(code);
	return 0;
}

int sys_pidfd_status(int pidfd, pid_t pid, uint64_t start_ticks, int *ret_status)
{
	struct pidfd_info info = { .mask = PIDFD_INFO_EXIT_BIT };
	int r = sys_pidfd_exited(pidfd);

	if (r <= 0)
		return r < 0 ? r : -EAGAIN;
	/* a zombie may be reaped between the two looks: the second one comes after it */
	if (zombie_status(pid, start_ticks, ret_status) == 0)
		return 0;
	if (ioctl(pidfd, _IOWR(0xff, 11, struct pidfd_info), &info) == 0 && info.mask & PIDFD_INFO_EXIT_BIT) {
		*ret_status = info.exit_code;
		return 0;
	}
	return -ENODATA;
}

int sys_pidfd_getfd(int pidfd, int fd, int *ret_fd)
{
	long r = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	if (r < 0)
		return -errno;
	*ret_fd = (int)r;
	return 0;
}

static char boot_id[64];

static void boot_id_read(void)
{
	ssize_t n = sys_file_read_text(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot_id,
				       sizeof(boot_id));

	if (n != SYS_BOOT_ID_LEN)
		memset(boot_id, '0', SYS_BOOT_ID_LEN);
}

const char *sys_boot_id(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, boot_id_read);
	return boot_id;
}
