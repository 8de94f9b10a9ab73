/*
 * The child while it still sees the host: namespaces, names, mounts, pivot_root. [child]
 *
 * A straight list of steps. The order is forced: namespaces that are joined come first,
 * while the rights of the host's root are there; the user namespace last of them; names and
 * sysctls inside their namespaces but through the host's procfs; mounts; then, with nothing
 * of the host needed any more, the old root goes.
 */
#include "runtime/child.h"

#include "runtime/hook.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

void child_fail(struct child *c, const struct err *err)
{
	sync_send_err(c->sync, SYNC_ERROR, err);
	_exit(1);
}

int child_wait(struct child *c, enum sync_type type, struct err *err)
{
	struct sync_msg m;
	int r = sync_recv(c->sync, &m, NULL, NULL);

	/* the parent is gone: nobody is left to tell, and nobody would clean up after us */
	if (r == -EPIPE)
		_exit(1);
	if (r < 0)
		return err_sys(err, r, "wait for the parent");
	return m.type == type ? 0 : err_set(err, ERR_INTERNAL, "unexpected message %u of the parent", m.type);
}

int child_guard(struct child *c, struct err *err)
{
	close(c->parent_end);
	/* what the container may see of us once we are in its namespaces (CVE-2016-9962), and
	 * no life longer than the parent's */
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(err, errno, "prctl");
	umask(0);
	return 0;
}

/* Root of the user namespace just entered: files that are made from here on belong to it. */
int child_become_root(const struct process_plan *p, struct err *err)
{
	if (p->set_groups && syscall(SYS_setgroups, 0, NULL) < 0 && errno != EPERM)
		return err_sys(err, errno, "setgroups");
	if (syscall(SYS_setresgid, 0, 0, 0) < 0)
		return err_sys(err, errno, "become group 0 of the user namespace");
	if (syscall(SYS_setresuid, 0, 0, 0) < 0)
		return err_sys(err, errno, "become user 0 of the user namespace");
	/* a change of user clears it */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(err, errno, "prctl");
	return 0;
}

static int join_all(const struct runtime_plan *plan, struct err *err)
{
	for (int k = NS_NET; k < NS_KINDS; k++) {
		int r;

		if (plan->ns_fd[k] < 0)
			continue;
		r = ns_join(plan->ns_fd[k], (enum ns_kind)k);
		if (r < 0)
			return err_sys(err, r, "join %s namespace %s", ns_types[k].name, plan->ns_path[k]);
	}
	return 0;
}

static int step_user(struct child *c, struct err *err)
{
	struct runtime_plan *plan = c->plan;
	int r;

	if (plan->ns_new & 1U << NS_USER) {
		r = child_wait(c, SYNC_MAPS, err);
		if (r < 0)
			return r;
	}
	if ((plan->ns_new | plan->ns_join) & 1U << NS_USER) {
		/* labels are set through our own files of the host's procfs, which are ours no
		 * longer once we changed user inside */
		if (sec_apparmor_set_exec(c->procfd, c->process->apparmor) < 0)
			return err_set(err, ERR_INTERNAL, "set AppArmor profile %s", c->process->apparmor);
		if (sec_selinux_set_exec(c->procfd, c->process->selinux) < 0)
			return err_set(err, ERR_INTERNAL, "set SELinux label %s", c->process->selinux);
		c->process->apparmor = c->process->selinux = NULL;
		r = child_become_root(c->process, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int step_join(struct child *c, struct err *err)
{
	/* beside a user namespace of our own the parent (or the one between) has joined them */
	if ((c->plan->ns_new | c->plan->ns_join) & 1U << NS_USER)
		return 0;
	return join_all(c->plan, err);
}

static int step_time(struct child *c, struct err *err)
{
	int r;

	if (!(c->plan->ns_new & 1U << NS_TIME))
		return 0;
	r = ns_time_enter_new(c->procfd, c->plan->offsets, c->plan->n_offsets);
	return r < 0 ? err_sys(err, r, "time namespace: set its offsets") : 0;
}

static int step_names(struct child *c, struct err *err)
{
	const struct runtime_plan *plan = c->plan;

	if (plan->hostname && sethostname(plan->hostname, strlen(plan->hostname)) < 0)
		return err_sys(err, errno, "sethostname");
	if (plan->domainname && setdomainname(plan->domainname, strlen(plan->domainname)) < 0)
		return err_sys(err, errno, "setdomainname");
	return 0;
}

static int step_sysctl(struct child *c, struct err *err)
{
	autofd int dir = -EBADF;
	int r;

	if (!c->plan->n_sysctls)
		return 0;
	r = sys_open_beneath(c->procfd, "sys", O_PATH | O_DIRECTORY, 0, &dir);
	if (r < 0)
		return err_sys(err, r, "/proc/sys");
	for (size_t i = 0; i < c->plan->n_sysctls; i++) {
		const struct sysctl_plan *s = &c->plan->sysctls[i];
		autofd int fd = -EBADF;

		r = sys_open_beneath(dir, s->name, O_WRONLY, 0, &fd);
		if (r == 0 && write(fd, s->value, strlen(s->value)) < 0)
			r = -errno;
		if (r < 0)
			return err_sys(err, r, "sysctl %s=%s", s->name, s->value);
	}
	return 0;
}

static int step_loopback(struct child *c, struct err *err)
{
	int r = c->plan->ns_new & 1U << NS_NET ? ns_loopback_up() : 0;

	return r < 0 ? err_sys(err, r, "bring the loopback interface up") : 0;
}

static int step_mounts(struct child *c, struct err *err)
{
	struct mnt_plan *m = &c->plan->mnt;
	int r;

	r = mnt_enter(m, err);
	for (size_t i = 0; r == 0 && i < m->n_entries; i++)
		r = mnt_apply(m, i, err);
	if (r == 0)
		r = mnt_apply_devices(m, err);
	return r;
}

static int step_terminal(struct child *c, struct err *err)
{
	int r;

	if (!c->process->terminal)
		return 0;
	if (c->terminal < 0) {
		r = child_make_terminal(c, err);
		if (r < 0)
			return r;
	}
	if (!c->plan->mnt.setup_dev)
		return 0;
	return mnt_apply_console(&c->plan->mnt, c->slave, c->terminal_mount, err);
}

static int step_masks(struct child *c, struct err *err)
{
	int r = mnt_apply_masks(&c->plan->mnt, err);

	return r < 0 ? r : mnt_finish(&c->plan->mnt, err);
}

int child_enter_cgroup(struct child *c, struct err *err)
{
	size_t at = 0;
	int r;

	if (c->entered)
		return 0;
	c->entered = true;
	r = cgroup_enter(&c->entry, &at);
	return r < 0 ? err_sys(err, r, "enter the cgroup (hierarchy %s)",
			       at < c->entry.n && c->entry.names[at] ? c->entry.names[at] : "v2") : 0;
}

static bool has_early_hooks(const struct oci_hooks *h)
{
	return h && (h->n_prestart || h->n_create_runtime || h->n_create_container);
}

static int step_hooks(struct child *c, struct err *err)
{
	struct oci_state state = c->state;
	int r;

	if (!has_early_hooks(c->hooks))
		return 0;
	/* hooks look at /proc/<pid>/cgroup: the process has to be where it will stay */
	r = child_enter_cgroup(c, err);
	if (r == 0)
		r = sync_send(c->sync, SYNC_HOOKS, 0, NULL, 0);
	if (r == 0)
		r = child_wait(c, SYNC_GO, err);
	if (r < 0)
		return r;
	state.pid = getpid();
	return hooks_run(c->hooks->create_container, c->hooks->n_create_container, "createContainer", &state,
			 &c->output, err);
}

static int step_root(struct child *c, struct err *err)
{
	if (c->plan->has_mnt)
		return mnt_pivot(&c->plan->mnt, err);
	if (chdir(c->plan->rootfs) < 0 || chroot(".") < 0)
		return err_sys(err, errno, "chroot to %s", c->plan->rootfs);
	return 0;
}

static int step_cgroup(struct child *c, struct err *err)
{
	int r = child_enter_cgroup(c, err);

	/* only now: the root of the namespace is where the process is when it is made */
	if (r == 0 && c->plan->ns_new & 1U << NS_CGROUP && unshare(CLONE_NEWCGROUP) < 0)
		r = err_sys(err, errno, "cgroup namespace");
	if (r == 0 && c->delegated >= 0 && write(c->delegated, "0", 1) < 0)
		r = err_sys(err, errno, "enter the delegated cgroup");
	return r;
}

static int start_hooks(struct child *c, struct err *err)
{
	struct oci_state state = c->state;

	if (!c->hooks || !c->hooks->n_start_container)
		return 0;
	state.pid = getpid();
	state.status = (char *)"created";
	return hooks_run(c->hooks->start_container, c->hooks->n_start_container, "startContainer", &state,
			 &c->output, err);
}

/*
 * Until somebody connects to start.sock and says so. What goes wrong from here on is told
 * over that connection; execve closes it, which says that all went well. Only who can reach
 * <root>/<id> can connect, so no more is asked.
 */
static int wait_for_start(struct child *c, struct err *err)
{
	struct sync_msg m;

	close(c->sync);
	c->sync = -EBADF;
	for (;;) {
		int fd = accept4(c->listen, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0)
			return err_sys(err, errno, "wait for start");
		if (sync_recv(fd, &m, NULL, NULL) == 0 && m.type == SYNC_GO) {
			c->sync = fd;
			break;
		}
		close(fd);
	}
	close(c->listen);
	c->listen = -EBADF;
	return start_hooks(c, err);
}

/* Runs with everything done but execve. */
static int created(struct child *c, struct err *err)
{
	int r;

	/* the caller may end as soon as it has recorded us, and start may be another's. Should it
	 * end before that, the wait below ends us. */
	prctl(PR_SET_PDEATHSIG, 0);
	r = sync_send(c->sync, SYNC_CREATED, 0, NULL, 0);
	if (r < 0)
		_exit(1);
	r = child_wait(c, SYNC_RECORDED, err);
	if (r < 0)
		return r;
	/* run: who made us has started us by that as well */
	return c->listen < 0 ? start_hooks(c, err) : wait_for_start(c, err);
}

static const struct {
	int (*run)(struct child *, struct err *);
	bool mounts; /* only with a mount namespace of its own */
} steps[] = {
	{ child_guard, false }, { step_user, false },     { step_join, false },   { step_time, false },
	{ step_names, false },  { step_sysctl, false },   { step_loopback, false }, { step_mounts, true },
	{ step_terminal, true }, { step_masks, true },    { step_hooks, false },  { step_root, false },
	{ step_cgroup, false },
};

void child_run(struct child *c)
{
	struct err err = ERR_INIT;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(steps); i++)
		if (!steps[i].mounts || c->plan->has_mnt)
			r = steps[i].run(c, &err);
	if (r == 0)
		init_become(c, created, &err);
	child_fail(c, &err);
}

void child_run_between(struct child *c, uint64_t flags)
{
	struct runtime_plan *plan = c->plan;
	struct err err = ERR_INIT;
	pid_t pid;
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = join_all(plan, &err);
	if (r == 0 && plan->ns_fd[NS_PID] >= 0) {
		r = ns_join(plan->ns_fd[NS_PID], NS_PID);
		if (r < 0)
			err_sys(&err, r, "join pid namespace %s", plan->ns_path[NS_PID]);
	}
	if (r == 0) {
		r = ns_join(plan->ns_fd[NS_USER], NS_USER);
		if (r < 0)
			err_sys(&err, r, "join user namespace %s", plan->ns_path[NS_USER]);
	}
	if (r < 0)
		child_fail(c, &err);
	/* a sibling of ours: the caller's child, as if nobody had been in between */
	pid = sys_clone3(flags | CLONE_PARENT, 0, -EBADF, NULL);
	if (pid == 0)
		child_run(c);
	if (pid < 0) {
		err_sys(&err, pid, "clone");
		child_fail(c, &err);
	}
	if (sync_send(c->sync, SYNC_INIT_PID, pid, NULL, 0) < 0)
		_exit(1);
	_exit(0);
}
