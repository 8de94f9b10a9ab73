#include "sys/proc.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/file.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
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

int sys_proc_start_time(pid_t pid, uint64_t *ret_ticks)
{
	char path[40], text[1024], *p;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = sys_file_read_text(AT_FDCWD, path, text, sizeof(text));
	if (n == -ENOENT)
		return -ESRCH;
	if (n < 0)
		return (int)n;
	/* the command may hold spaces and parentheses: count from the last one */
	p = strrchr(text, ')');
	if (!p)
		return -EIO;
	for (int field = 2; field < 22; field++) {
		p = strchr(p + 1, ' ');
		if (!p)
			return -EIO;
	}
	*ret_ticks = strtoull(p + 1, NULL, 10);
	return 0;
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
