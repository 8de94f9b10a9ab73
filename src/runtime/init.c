/*
 * The last part, inside the container: from a process of ours to the program. [child]
 *
 * Nothing below /proc is opened by path here, and no descriptor of the host stays open when
 * the working directory and the program are looked up, so a path that leads through
 * /proc/self/fd finds nothing (CVE-2024-21626).
 */
#include "runtime/child.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

static int session(struct child *c, struct err *err)
{
	int tty = c->terminal >= 0 ? c->terminal : c->slave;

	/* a leader of a session already where exec was forked from one: no error */
	if (setsid() < 0 && errno != EPERM)
		return err_sys(err, errno, "setsid");
	if (!c->process->terminal)
		return 0;
	if (ioctl(tty, TIOCSCTTY, 0) < 0)
		return err_sys(err, errno, "make the terminal the controlling one");
	if (c->terminal >= 0 && c->process->rows) {
		struct winsize size = { .ws_row = c->process->rows, .ws_col = c->process->columns };

		ioctl(tty, TIOCSWINSZ, &size);
	}
	for (int fd = 0; fd < 3; fd++)
		if (dup2(tty, fd) < 0)
			return err_sys(err, errno, "put the terminal on descriptor %d", fd);
	return fchown(0, c->process->uid, (gid_t)-1) < 0 && errno != EPERM && errno != EINVAL &&
			errno != EROFS ?
		       err_sys(err, errno, "give the terminal to the user") : 0;
}

static int keyring(struct child *c, struct err *err)
{
	int r;

	if (!c->process->new_keyring)
		return 0;
	r = sec_selinux_set_keycreate(c->procfd, c->process->selinux);
	if (r < 0)
		return err_sys(err, r, "label the session keyring %s", c->process->selinux);
	/* a kernel without keyrings, or a filter around us that forbids them, needs none */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EPERM)
		return err_sys(err, errno, "join a new session keyring");
	return 0;
}

/* struct sched_attr of sched_setattr(2), whose header and the C library's exclude each other. */
struct scheduler_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static int scheduling(const struct process_plan *p, struct err *err)
{
	enum { IOPRIO_WHO_PROCESS = 1, CLASS_SHIFT = 13 };

	if (p->memory_mode >= 0 &&
	    syscall(SYS_set_mempolicy, p->memory_mode, p->memory_nodes.bits, p->memory_nodes.n + 1) < 0)
		return err_sysk(err, errno == ENOSYS ? ERR_UNSUPPORTED : err_kind_of(errno), errno,
				"linux.memoryPolicy");
	if (p->personality >= 0 && personality((unsigned long)p->personality) < 0)
		return err_sys(err, errno, "personality");
	if (p->io_priority && syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
				      p->io_class << CLASS_SHIFT | p->io_priority->priority) < 0)
		return err_sys(err, errno, "process.ioPriority");
	if (p->scheduler) {
		struct scheduler_attr attr = {
			.size = sizeof(attr),
			.policy = (uint32_t)p->scheduler_policy,
			.flags = p->scheduler_flags,
			.nice = p->scheduler->nice,
			.priority = (uint32_t)p->scheduler->priority,
			.runtime = p->scheduler->runtime,
			.deadline = p->scheduler->deadline,
			.period = p->scheduler->period,
		};

		if (syscall(SYS_sched_setattr, 0, &attr, 0) < 0)
			return err_sys(err, errno, "process.scheduler");
	}
	return 0;
}

static int limits(struct child *c, struct err *err)
{
	const struct process_plan *p = c->process;
	size_t at = 0;
	int r = sec_rlimits_apply(p->rlimits, p->n_rlimits, &at);

	if (r < 0)
		return err_sys(err, r, "error setting rlimit %s", sec_rlimit_name(p->rlimits[at].resource));
	return 0;
}

static int labels(struct child *c, struct err *err)
{
	int r = sec_apparmor_set_exec(c->procfd, c->process->apparmor);

	if (r < 0)
		return err_sys(err, r, "AppArmor profile %s", c->process->apparmor);
	r = sec_selinux_set_exec(c->procfd, c->process->selinux);
	return r < 0 ? err_sys(err, r, "SELinux label %s", c->process->selinux) : 0;
}

/* HOME as the container's own /etc/passwd has it; "/" when it doesn't say. */
static void find_home(struct process_plan *p)
{
	static char home[512] = "HOME=";
	char text[16384];
	int fd, root;
	size_t len = 0;

	if (p->has_home)
		return;
	p->envp[p->n_env] = home;
	home[5] = '/';
	home[6] = '\0';
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return;
	/* O_NONBLOCK: it may be a fifo */
	if (sys_open_in(root, "/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd) == 0) {
		ssize_t n;

		while (len < sizeof(text) && (n = read(fd, text + len, sizeof(text) - len)) > 0)
			len += (size_t)n;
		passwd_home(text, len, p->uid, home + 5, sizeof(home) - 5);
		close(fd);
	}
	close(root);
}

/* All descriptors go but 0, 1, 2, those to be preserved, the two that we talk over, and where hooks
 * that are still to run write to. */
static int close_others(struct child *c, struct err *err)
{
	unsigned first = 3 + (unsigned)c->preserve_fds;
	bool hooks = c->hooks && c->hooks->n_start_container;
	int keep[] = { c->sync, c->listen, hooks ? c->output.out : -EBADF, hooks ? c->output.err : -EBADF };

	for (size_t i = 1; i < ARRAY_LEN(keep); i++) /* ascending */
		for (size_t k = i; k > 0 && keep[k] < keep[k - 1]; k--) {
			int other = keep[k];

			keep[k] = keep[k - 1];
			keep[k - 1] = other;
		}
	for (size_t i = 0; i < ARRAY_LEN(keep); i++) {
		if (keep[i] < 0 || (unsigned)keep[i] < first)
			continue;
		if ((unsigned)keep[i] > first && syscall(SYS_close_range, first, keep[i] - 1, 0) < 0)
			return err_sys(err, errno, "close_range");
		first = (unsigned)keep[i] + 1;
	}
	if (syscall(SYS_close_range, first, ~0U, 0) < 0)
		return err_sys(err, errno, "close_range");
	/* those to be preserved lose their close-on-exec */
	for (int fd = 3; fd < 3 + c->preserve_fds; fd++)
		if (fd != c->sync && fd != c->listen && fcntl(fd, F_SETFD, 0) < 0)
			return err_sys(err, errno, "preserve descriptor %d", fd);
	c->procfd = c->master = c->slave = c->terminal = c->console_socket = -EBADF;
	return 0;
}

static int change_dir(const char *cwd)
{
	int root, fd, r;

	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	/* links are followed inside the root, magic links are not */
	r = sys_open_in(root, cwd, O_PATH | O_DIRECTORY, 0, &fd);
	close(root);
	if (r < 0)
		return r;
	r = fchdir(fd) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int check_cwd(struct err *err)
{
	char path[4096];

	/* "(unreachable)/…": outside of the root, however it got there */
	if (syscall(SYS_getcwd, path, sizeof(path)) < 0 ? errno != ERANGE : path[0] != '/')
		return err_set(err, ERR_DENIED,
			       "current working directory is outside of container mount namespace "
			       "root -- possible container breakout detected");
	return 0;
}

static int identity(struct child *c, struct err *err)
{
	const struct process_plan *p = c->process;
	int r;

	r = sec_caps_drop_bounding(&p->caps, p->kernel_caps);
	if (r < 0)
		return err_sys(err, r, "drop the bounding set");
	r = sec_caps_keep(true);
	if (r < 0)
		return err_sys(err, r, "keep capabilities");
	/* the system calls themselves: the library's functions tell other threads, and lock */
	if (p->set_groups && syscall(SYS_setgroups, p->n_groups, p->groups) < 0)
		return err_sys(err, errno, "setgroups");
	if (syscall(SYS_setresgid, p->gid, p->gid, p->gid) < 0)
		return err_sys(err, errno, "setgid %u", p->gid);
	if (syscall(SYS_setresuid, p->uid, p->uid, p->uid) < 0)
		return err_sys(err, errno, "setuid %u", p->uid);
	return 0;
}

/* ---- the program ---- */

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static int can_execute(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return syscall(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* argv[0] as the shell would find it; the error texts are what people's scripts know. */
static int find_program(const struct process_plan *p, char *out, size_t size, struct err *err)
{
	const char *name = p->argv[0], *path = p->path ? p->path : default_path;
	int denied = 0, r;

	if (strchr(name, '/')) {
		if (strlen(name) >= size)
			return err_sys(err, ENAMETOOLONG, "exec: \"%s\"", name);
		memcpy(out, name, strlen(name) + 1);
		r = can_execute(name);
		if (r == -ENOENT || r == -ENOTDIR)
			return err_sys(err, r, "exec: \"%s\": stat %s", name, name);
		if (r == -EISDIR)
			return err_sysk(err, ERR_DENIED, r, "exec: \"%s\"", name);
		return r < 0 ? err_sys(err, r, "exec: \"%s\"", name) : 0;
	}
	while (path) {
		const char *colon = strchr(path, ':');
		int len = colon ? (int)(colon - path) : (int)strlen(path);

		if ((size_t)snprintf(out, size, "%.*s%s%s", len, path, len ? "/" : "./", name) < size) {
			r = can_execute(out);
			if (r == 0)
				return 0;
			if (r == -EACCES)
				denied = r;
		}
		path = colon ? colon + 1 : NULL;
	}
	if (denied)
		return err_sys(err, denied, "exec: \"%s\"", name);
	return err_set(err, ERR_NOT_FOUND, "exec: \"%s\": executable file not found in $PATH", name);
}

static int filter(struct child *c, struct err *err)
{
	struct sec_filter f;
	int listener = -EBADF, r;

	if (!c->filter)
		return 0;
	f = (struct sec_filter){ .insns = (struct sock_filter *)c->filter->insns, .n = c->filter->n,
				 .flags = c->filter->flags & ~(unsigned)SECCOMP_FILTER_FLAG_NEW_LISTENER,
				 .notify = c->filter->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER };
	r = sec_filter_apply(&f, &listener);
	if (r < 0)
		return err_sys(err, r, "load the seccomp filter");
	if (listener < 0)
		return 0;
	/* from here on system calls may wait for the agent, who gets it from the parent */
	r = sync_send(c->sync, SYNC_LISTENER, 0, &listener, 1);
	if (r < 0)
		return err_sys(err, r, "hand the seccomp listener over");
	close(listener);
	return 0;
}

/* An event loop's signalfd mask and a daemon's ignored signals are not the program's. */
static void reset_signals(void)
{
	/* the kernel's struct sigaction, all zero: SIG_DFL. The library's call refuses the signals
	 * that it keeps for itself, and somebody may have left just those ignored. */
	static const unsigned long dfl[4];
	sigset_t none;

	for (int s = 1; s < _NSIG; s++)
		if (s != SIGKILL && s != SIGSTOP)
			syscall(SYS_rt_sigaction, s, dfl, NULL, _NSIG / 8);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int become(struct child *c, int (*created)(struct child *, struct err *), struct err *err)
{
	struct process_plan *p = c->process;
	char program[4096];
	int r, r_cwd;

	r = keyring(c, err);
	if (r == 0)
		r = session(c, err);
	if (r == 0)
		r = scheduling(p, err);
	if (r == 0)
		r = limits(c, err);
	if (r == 0)
		r = labels(c, err);
	/* limits are in force, hooks were run, the filter is compiled */
	if (r == 0)
		r = child_wait(c, SYNC_GO, err);
	if (r == 0)
		r = close_others(c, err);
	if (r < 0)
		return r;
	reset_signals();
	r_cwd = change_dir(p->cwd);
	if (!p->no_new_privs)
		r = filter(c, err);
	if (r == 0)
		r = identity(c, err);
	if (r < 0)
		return r;
	/* what root may not enter (a network file system), its owner may */
	if (r_cwd < 0 && (r_cwd = change_dir(p->cwd)) < 0)
		return err_sys(err, r_cwd, "chdir to cwd (\"%s\") set in config.json failed", p->cwd);
	r = check_cwd(err);
	if (r < 0)
		return r;
	r = sec_caps_apply(&p->caps, p->kernel_caps);
	if (r < 0)
		return err_sys(err, r, "set capabilities");
	find_home(p);
	r = find_program(p, program, sizeof(program), err);
	if (r < 0)
		return r;
	umask(p->umask);
	r = created(c, err);
	if (r < 0)
		return r;
	prctl(PR_SET_PDEATHSIG, 0);
	if (p->no_new_privs) {
		r = sec_no_new_privs();
		if (r < 0)
			return err_sys(err, r, "no_new_privs");
		r = filter(c, err);
		if (r < 0)
			return r;
	}
	execve(program, p->argv, p->envp);
	return err_sys(err, errno, "exec %s", program);
}

int init_become(struct child *c, int (*created)(struct child *, struct err *), struct err *err)
{
	return become(c, created, err);
}
