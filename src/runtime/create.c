/*
 * create: the caller's side. Runs in the process that called runtime_create, which has one
 * thread. The child starts at once and makes its mounts while the parent sets limits and
 * compiles the filter. run is create whose child is not left to wait for somebody to start it.
 */
#include "runtime/creation.h"

#include "runtime/hook.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* The socket at which init waits for start: in our directory, which only we can write. */
static int listen_for_start(int dir, int *ret, struct err *err)
{
	autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (fd < 0)
		return err_sys(err, errno, "socket");
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/start.sock", dir);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0)
		return err_sys(err, errno, "make start.sock");
	*ret = take_fd(&fd);
	return 0;
}

static int prepare(struct creation *c, bool start, struct err *err)
{
	const struct runtime_create *what = c->what;
	struct child *h = &c->child;
	int r;

	r = parent_open_proc(&h->procfd, err);
	if (r == 0 && !start)
		r = listen_for_start(c->dir, &h->listen, err);
	if (r == 0 && c->plan.has_mnt) {
		if (c->plan.ns_fd[NS_USER] >= 0)
			c->plan.mnt.userns_fd = c->plan.ns_fd[NS_USER];
		r = mnt_plan_open(&c->plan.mnt, err);
	}
	if (r < 0)
		return r;
	if (what->terminal >= 0) {
		/* of our mount namespace: the child can attach a clone, but not make one */
		r = sys_clone_tree(what->terminal, "", 0, &h->terminal_mount);
		if (r < 0)
			return err_sys(err, r, "clone the terminal");
	}
	if (c->plan.has_seccomp) {
		c->shared = parent_share_filter();
		if (!c->shared)
			return err_sys(err, errno, "share memory for the seccomp filter");
	}
	r = sync_pair(&c->sync, &h->sync);
	return r < 0 ? err_sys(err, r, "socketpair") : 0;
}

static int clone_child(struct creation *c, struct err *err)
{
	struct runtime_plan *plan = &c->plan;
	unsigned kinds = plan->ns_new & ~(1U << NS_CGROUP | 1U << NS_TIME);
	uint64_t flags = ns_flags(kinds);
	bool between = plan->ns_join & 1U << NS_USER;
	int join[NS_KINDS];

	/* a pid namespace is one of birth. The others the child can enter itself, but beside a user
	 * namespace of its own it has no right to any more */
	for (int k = 0; k < NS_KINDS; k++)
		join[k] = k == NS_PID || plan->ns_new & 1U << NS_USER ? plan->ns_fd[k] : -EBADF;
	c->child.parent_end = c->sync;
	c->pid = parent_clone(between ? NULL : join, between ? 0 : flags, c->cgroup, NULL, &c->child.entry,
			      &c->pidfd, err);
	if (c->pid == 0 && between)
		child_run_between(&c->child, flags);
	if (c->pid == 0)
		child_run(&c->child);
	if (c->pid < 0)
		return c->pid;
	fd_drop(&c->child.sync);
	return 0;
}

/* The one in between says who the real one is, and ends. */
static int meet_init(struct creation *c, struct err *err)
{
	struct sync_msg m;
	int r, status;

	if (!(c->plan.ns_join & 1U << NS_USER))
		return 0;
	r = sync_recv(c->sync, &m, NULL, NULL);
	if (r < 0 || m.type != SYNC_INIT_PID)
		return parent_child_error(&m, r, c->pidfd, err);
	sys_pidfd_wait(c->pidfd, &status);
	fd_drop(&c->pidfd);
	c->pid = m.value;
	r = sys_pidfd_open(c->pid, &c->pidfd);
	return r < 0 ? err_sys(err, r, "the container's process went away") : 0;
}

/* From the child's first step to its last before execve. */
static int accompany(struct creation *c, struct err *err)
{
	bool has_user = (c->plan.ns_new | c->plan.ns_join) & 1U << NS_USER;
	struct sync_msg m;
	int r;

	if (c->plan.ns_new & 1U << NS_USER) {
		r = ns_maps_write(c->pid, c->plan.uids, c->plan.n_uids, c->plan.gids, c->plan.n_gids, false);
		if (r < 0)
			return err_sys(err, r, "write the id maps");
		r = sync_send(c->sync, SYNC_MAPS, 0, NULL, 0);
		if (r < 0)
			return err_sys(err, r, "the container's process went away");
	}
	r = meet_init(c, err);
	if (r == 0)
		r = creation_devices(c, err);
	if (r == 0)
		r = creation_rdt(c, err);
	if (r == 0)
		parent_give_streams(has_user ? c->pid : 0, c->plan.process.uid);
	if (r == 0 && c->cgroup)
		r = cgroup_apply(c->cgroup, &c->plan.cgroup, err);
	if (r == 0)
		r = parent_set_oom_score(c->pid, c->plan.process.oom_score_adj, err);
	if (r == 0)
		r = creation_filter(c, err);
	if (r < 0)
		return r;
	/* the last one; where there are hooks, one more comes before it */
	if (!c->config.hooks || !(c->config.hooks->n_prestart || c->config.hooks->n_create_runtime ||
				  c->config.hooks->n_create_container))
		sync_send(c->sync, SYNC_GO, 0, NULL, 0);
	for (;;) {
		autofd int fd = -EBADF;
		size_t n_fds = 1;

		r = sync_recv(c->sync, &m, &fd, &n_fds);
		if (r == 0 && m.type == SYNC_LISTENER) {
			r = parent_pass_listener(&c->record, RECORD_CREATING, c->pid, fd, err);
			if (r < 0)
				return r;
			continue;
		}
		if (r == 0 && m.type == SYNC_WARNING) {
			runtime_warn("%s", m.err.text);
			continue;
		}
		if (r == 0 && m.type == SYNC_CREATED)
			return 0;
		if (r < 0 || m.type != SYNC_HOOKS)
			return parent_child_error(&m, r, c->pidfd, err);
		r = creation_hooks(c, err);
		if (r < 0)
			return r;
		/* one for what comes behind the hooks, one for the last wait */
		r = sync_send(c->sync, SYNC_GO, 0, NULL, 0);
		if (r < 0)
			return err_sys(err, r, "the container's process went away");
		sync_send(c->sync, SYNC_GO, 0, NULL, 0);
	}
}

static int create(struct creation *c, bool start, struct err *err)
{
	struct child *h = &c->child;
	int r;

	r = prepare(c, start, err);
	if (r == 0)
		r = creation_cgroup(c, err);
	if (r < 0)
		return r;
	h->plan = &c->plan;
	h->process = &c->plan.process;
	h->console_socket = c->what->console_socket;
	h->terminal = c->what->terminal;
	h->preserve_fds = c->what->preserve_fds;
	h->filter = c->shared;
	h->hooks = c->config.hooks;
	record_oci_state(&c->record, RECORD_CREATING, &h->state);
	r = clone_child(c, err);
	if (r == 0)
		r = accompany(c, err);
	if (r == 0)
		r = creation_record(c, err);
	if (r < 0)
		return r;
	r = sync_send(c->sync, SYNC_RECORDED, 0, NULL, 0);
	return r < 0 ? err_sys(err, r, "the container's process went away") : 0;
}

/* 1, with `start` only: it was created, and could not be started. */
static int make(const struct runtime_create *what, bool start, pid_t *ret_pid, struct err *err)
{
	CLEANUP(creation_done) struct creation c = CREATION_INIT;
	int r = creation_open(&c, what, err);

	if (r < 0)
		return r;
	r = create(&c, start, err);
	if (r < 0) {
		creation_undo(&c);
		return r;
	}
	*ret_pid = c.pid;
	if (!start)
		return 0;
	r = parent_await_program(&c.record, c.pidfd, c.sync, err);
	if (r == 0)
		r = parent_poststart(&c.record, c.pidfd, &c.child.output, err);
	return r < 0;
}

int runtime_create(const struct runtime_create *what, pid_t *ret_pid, struct err *err)
{
	return make(what, false, ret_pid, err);
}

int runtime_run(const struct runtime_create *what, pid_t *ret_pid, struct err *err)
{
	struct err ignored = ERR_INIT;
	int r = make(what, true, ret_pid, err);

	if (r <= 0)
		return r;
	/* not before the lock on the record is given back */
	runtime_delete(what->root, what->id, true, &ignored);
	return err && err->number ? -err->number : -EIO;
}
