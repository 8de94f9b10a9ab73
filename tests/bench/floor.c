/*
 * floor — the least that `run true` can cost.
 *
 * Makes the kernel objects that the default config.json asks for and nothing else: five
 * namespaces, one cgroup in each v1 hierarchy (or one in v2), the default mounts, masked and
 * read-only paths, pivot_root, execve, wait, and the removal of the cgroups. No parsing, no
 * checks, no state, no hooks. Every path is fixed; ROOTFS is the only argument.
 *
 *	floor ROOTFS [cgroup]
 *
 * What a runtime costs beyond this is its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	_exit(1);
}

#define MUST(x)                    \
	do {                       \
		if ((x) < 0)       \
			die(#x);   \
	} while (0)

static const char *const v1[] = { "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids",
				  "systemd", "unified" };

static void join_cgroups(void)
{
	char path[200];

	for (size_t i = 0; i < sizeof(v1) / sizeof(v1[0]); i++) {
		int fd;

		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/caisson-floor", v1[i]);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			continue;
		if (strcmp(v1[i], "cpuset") == 0) {
			char value[256];
			ssize_t n;

			for (int j = 0; j < 2; j++) {
				static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };

				snprintf(path, sizeof(path), "/sys/fs/cgroup/cpuset/%s", files[j]);
				MUST(fd = open(path, O_RDONLY));
				MUST(n = read(fd, value, sizeof(value)));
				close(fd);
				snprintf(path, sizeof(path), "/sys/fs/cgroup/cpuset/caisson-floor/%s", files[j]);
				MUST(fd = open(path, O_WRONLY));
				MUST(write(fd, value, (size_t)n));
				close(fd);
			}
		}
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/caisson-floor/cgroup.procs", v1[i]);
		fd = open(path, O_WRONLY);
		if (fd < 0)
			continue; /* no cgroup file system is mounted there */
		MUST(write(fd, "0", 1));
		close(fd);
	}
}

static void remove_cgroups(void)
{
	char path[200];

	for (size_t i = 0; i < sizeof(v1) / sizeof(v1[0]); i++) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/caisson-floor", v1[i]);
		rmdir(path);
	}
}

static void mounts(const char *root)
{
	static const struct {
		const char *target, *type, *data;
		unsigned long flags;
	} rows[] = {
		{ "proc", "proc", NULL, 0 },
		{ "dev", "tmpfs", "mode=755,size=65536k", MS_NOSUID | MS_STRICTATIME },
		{ "dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620", MS_NOSUID | MS_NOEXEC },
		{ "dev/shm", "tmpfs", "mode=1777,size=65536k", MS_NOSUID | MS_NOEXEC | MS_NODEV },
		{ "dev/mqueue", "mqueue", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV },
		{ "sys", "sysfs", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY },
	};
	static const struct {
		const char *name;
		int minor;
	} devices[] = { { "null", 3 }, { "zero", 5 }, { "full", 7 }, { "random", 8 }, { "urandom", 9 } };
	static const char *const readonly[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };
	static const char *const masked[] = { "proc/kcore", "proc/keys", "proc/timer_list" };
	static const char *const masked_dirs[] = { "proc/acpi", "proc/scsi", "sys/firmware" };

	MUST(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	MUST(mount(root, root, NULL, MS_BIND | MS_REC, NULL));
	MUST(chdir(root));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		mkdir(rows[i].target, 0755);
		MUST(mount(rows[i].type, rows[i].target, rows[i].type, rows[i].flags, rows[i].data));
	}
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		char path[40];

		snprintf(path, sizeof(path), "dev/%s", devices[i].name);
		MUST(mknod(path, S_IFCHR | 0666, (dev_t)(1 << 8 | devices[i].minor)));
	}
	symlink("/proc/self/fd", "dev/fd");
	symlink("pts/ptmx", "dev/ptmx");
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(umount2(".", MNT_DETACH));
	MUST(chdir("/"));
	for (size_t i = 0; i < sizeof(readonly) / sizeof(readonly[0]); i++)
		if (mount(readonly[i], readonly[i], NULL, MS_BIND | MS_REC, NULL) == 0)
			MUST(mount(NULL, readonly[i], NULL,
				   MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL));
	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++)
		mount("/dev/null", masked[i], NULL, MS_BIND, NULL);
	for (size_t i = 0; i < sizeof(masked_dirs) / sizeof(masked_dirs[0]); i++)
		mount("tmpfs", masked_dirs[i], "tmpfs", MS_RDONLY, "size=0k,nr_inodes=2");
	sethostname("floor", 5);
}

int main(int argc, char **argv)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC,
		.exit_signal = SIGCHLD,
	};
	int cgroups = argc > 2, status;
	int ready[2];
	long pid;

	if (argc < 2)
		return 2;
	MUST(pipe2(ready, O_CLOEXEC));
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		die("clone3");
	if (pid == 0) {
		static char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };

		if (cgroups)
			join_cgroups();
		mounts(argv[1]);
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		execve("/bin/true", (char *const[]){ "true", NULL }, env);
		die("execve");
	}
	MUST(waitpid((pid_t)pid, &status, 0));
	if (cgroups)
		remove_cgroups();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
