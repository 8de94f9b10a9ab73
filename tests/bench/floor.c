/*
 * floor — the least that `run true` can cost.
 *
 * Makes the kernel objects that the default config.json asks for and nothing else: six
 * namespaces, one cgroup in each v1 hierarchy (or one in v2) with its device rules (v1 only),
 * the default mounts, devices and links, masked and read-only paths, pivot_root, a read-only root,
 * the limit and the capabilities, the seccomp filter, execve, wait, and the removal of the cgroups.
 * No parsing, no checks, no state, no hooks, and nothing that config.json does not name: the
 * loopback device stays down, the session and the keyring are the caller's. Every path is fixed;
 * ROOTFS and a file with a compiled filter are the only arguments.
 *
 *	floor ROOTFS [FILTER]
 *
 * What a runtime costs beyond this is its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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

/* As in the benchmark's config.json: one level below another, which stays. */
#define ABOVE "caisson-floor"
#define CGROUP ABOVE "/c"

static const char *hierarchies[] = { "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids",
				     "systemd", "unified" };
static size_t n_hierarchies = sizeof(hierarchies) / sizeof(hierarchies[0]);

static void device_rules(void)
{
	static const char *const rules[] = { "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm",
					     "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm" };
	int fd = open("/sys/fs/cgroup/devices/" CGROUP "/devices.deny", O_WRONLY);

	if (fd < 0)
		return; /* cgroup v2 */
	MUST(write(fd, "a *:* rwm", 9));
	close(fd);
	MUST(fd = open("/sys/fs/cgroup/devices/" CGROUP "/devices.allow", O_WRONLY));
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		MUST(write(fd, rules[i], strlen(rules[i])));
	close(fd);
}

/* A new cpuset has nothing, and nobody can enter it. */
static void fill_cpuset(const char *cgroup)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	char path[200], value[256];
	ssize_t n;
	int fd;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup/cpuset/%s", files[i]);
		MUST(fd = open(path, O_RDONLY));
		MUST(n = read(fd, value, sizeof(value)));
		close(fd);
		snprintf(path, sizeof(path), "/sys/fs/cgroup/cpuset/%s/%s", cgroup, files[i]);
		MUST(fd = open(path, O_WRONLY));
		MUST(write(fd, value, (size_t)n));
		close(fd);
	}
}

/* Once for all rounds. */
static int make_above(const char *hierarchy)
{
	char path[200];

	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/" ABOVE, hierarchy);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -1;
	if (strcmp(hierarchy, "cpuset") == 0)
		fill_cpuset(ABOVE);
	return 0;
}

static void join_cgroups(void)
{
	char path[200];

	for (size_t i = 0; i < n_hierarchies; i++) {
		int fd, v2;

		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/" CGROUP, hierarchies[i]);
		if (mkdir(path, 0755) < 0 && errno != EEXIST &&
		    (errno != ENOENT || make_above(hierarchies[i]) < 0 || mkdir(path, 0755) < 0))
			continue;
		if (strcmp(hierarchies[i], "cpuset") == 0)
			fill_cpuset(CGROUP);
		/* v1: a thread that moves itself waits for nobody; cgroup.procs takes a lock against all
		 * forks and waits for the kernel's readers, some 8 ms */
		v2 = n_hierarchies == 1 || strcmp(hierarchies[i], "unified") == 0;
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/" CGROUP "/%s", hierarchies[i],
			 v2 ? "cgroup.procs" : "tasks");
		fd = open(path, O_WRONLY);
		if (fd < 0)
			continue; /* no cgroup file system is mounted there */
		MUST(write(fd, "0", 1));
		close(fd);
	}
	device_rules();
}

static void cgroup_mounts(const char *root)
{
	char from[200], to[300];

	if (n_hierarchies == 1) {
		MUST(mount("cgroup", "sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL));
		return;
	}
	MUST(mount("cgroup", "sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=755"));
	for (size_t i = 0; i < n_hierarchies; i++) {
		snprintf(from, sizeof(from), "/sys/fs/cgroup/%s/" CGROUP, hierarchies[i]);
		snprintf(to, sizeof(to), "%s/sys/fs/cgroup/%s", root, hierarchies[i]);
		if (access(from, F_OK) < 0)
			continue;
		MUST(mkdir(to, 0755));
		MUST(mount(from, to, NULL, MS_BIND, NULL));
		MUST(mount(NULL, to, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL));
	}
	MUST(mount(NULL, "sys/fs/cgroup", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=755"));
}

static void attach(int fd)
{
	static struct sock_filter insns[4096];
	struct sock_fprog program = { .filter = insns };
	ssize_t n;

	MUST(n = read(fd, insns, sizeof(insns)));
	close(fd);
	program.len = (unsigned short)((size_t)n / sizeof(insns[0]));
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

static void remove_cgroups(void)
{
	char path[200];

	for (size_t i = 0; i < n_hierarchies; i++) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/" CGROUP, hierarchies[i]);
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
		{ "dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5", MS_NOSUID | MS_NOEXEC },
		{ "dev/shm", "tmpfs", "mode=1777,size=65536k", MS_NOSUID | MS_NOEXEC | MS_NODEV },
		{ "dev/mqueue", "mqueue", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV },
		{ "sys", "sysfs", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY },
	};
	static const struct {
		const char *name;
		int major, minor;
	} devices[] = { { "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 }, { "random", 1, 8 },
			{ "urandom", 1, 9 }, { "tty", 5, 0 } };
	static const char *const links[][2] = {
		{ "/proc/self/fd", "fd" },       { "/proc/self/fd/0", "stdin" },
		{ "/proc/self/fd/1", "stdout" }, { "/proc/self/fd/2", "stderr" },
		{ "pts/ptmx", "ptmx" },
	};
	static const char *const readonly[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };
	static const char *const masked[] = { "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats",
						"proc/sched_debug", "proc/timer_list", "proc/timer_stats" };
	static const char *const masked_dirs[] = { "proc/acpi", "proc/asound", "proc/scsi",
						   "sys/devices/virtual/powercap", "sys/firmware" };
	const char *empty = NULL; /* a mounted one: it serves the others too */

	MUST(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	MUST(mount(root, root, NULL, MS_BIND | MS_REC, NULL));
	MUST(chdir(root));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		mkdir(rows[i].target, 0755);
		MUST(mount(rows[i].type, rows[i].target, rows[i].type, rows[i].flags, rows[i].data));
	}
	cgroup_mounts(root);
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		char path[40];

		snprintf(path, sizeof(path), "dev/%s", devices[i].name);
		MUST(mknod(path, S_IFCHR | 0666, (dev_t)(devices[i].major << 8 | devices[i].minor)));
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		char path[40];

		snprintf(path, sizeof(path), "dev/%s", links[i][1]);
		MUST(symlink(links[i][0], path));
	}
	MUST(mount(NULL, root, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(umount2(".", MNT_DETACH));
	MUST(chdir("/"));
	for (size_t i = 0; i < sizeof(readonly) / sizeof(readonly[0]); i++)
		if (mount(readonly[i], readonly[i], NULL, MS_BIND | MS_REC, NULL) == 0)
			MUST(mount(NULL, readonly[i], NULL,
				   MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL));
	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++)
		mount("/dev/null", masked[i], NULL, MS_BIND, NULL);
	for (size_t i = 0; i < sizeof(masked_dirs) / sizeof(masked_dirs[0]); i++) {
		if (empty)
			mount(empty, masked_dirs[i], NULL, MS_BIND, NULL);
		else if (mount("tmpfs", masked_dirs[i], "tmpfs", MS_RDONLY, "nr_inodes=2") == 0)
			empty = masked_dirs[i];
	}
	sethostname("floor", 5);
}

static void limit(void)
{
	struct rlimit files = { 1024, 1024 };
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	const unsigned keep = 1U << CAP_AUDIT_WRITE | 1U << CAP_KILL | 1U << CAP_NET_BIND_SERVICE;
	struct __user_cap_data_struct sets[2] = { { keep, keep, 0 } };

	MUST(setrlimit(RLIMIT_NOFILE, &files));
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (cap >= 32 || !(keep & 1U << cap))
			MUST(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0));
	MUST(syscall(SYS_capset, &header, sets));
}

int main(int argc, char **argv)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC,
		.exit_signal = SIGCHLD,
	};
	int status, filter = -1;
	long pid;

	if (argc < 2)
		return 2;
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0) {
		hierarchies[0] = ".";
		n_hierarchies = 1;
	}
	if (argc > 2)
		MUST(filter = open(argv[2], O_RDONLY | O_CLOEXEC));
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		die("clone3");
	if (pid == 0) {
		static char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };

		join_cgroups();
		MUST(unshare(CLONE_NEWCGROUP));
		mounts(argv[1]);
		limit();
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		if (filter >= 0)
			attach(filter);
		execve("/bin/true", (char *const[]){ "true", NULL }, env);
		die("execve");
	}
	MUST(waitpid((pid_t)pid, &status, 0));
	remove_cgroups();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
