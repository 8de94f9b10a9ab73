/*
 * A further process in a running container: the caller's side and the child's.
 *
 * One clone, or two where only a process between can go there (ns_clone): the child is born in
 * the container's pid namespace; it enters all other namespaces by one setns(2) on init's pidfd, so
 * they are of the very process that the record means.
 */
#include "runtime/parent.h"
#include "runtime/record.h"
#include "runtime/rootless.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* ---- the child ---- */

static int join(struct child *c, struct err *err)
{
	if (setns(c->target, (int)c->join) < 0)
		return err_sys(err, errno, "join the container's namespaces");
	if (c->root >= 0 && (fchdir(c->root) < 0 || chroot(".") < 0))
		return err_sys(err, errno, "chroot to the container's root");
	return c->join & CLONE_NEWUSER ? child_become_root(c->process, err) : 0;
}

static int labels_before_user(struct child *c, struct err *err)
{
	struct process_plan *p = c->process;
	int r;

	if (!(c->join & CLONE_NEWUSER))
		return 0;
	r = sec_apparmor_set_exec(c->procfd, p->apparmor);
	if (r == 0)
		r = sec_selinux_set_exec(c->procfd, p->selinux);
	p->apparmor = p->selinux = NULL;
	return r < 0 ? err_sys(err, r, "set the LSM label") : 0;
}

static int nothing_more(struct child *c, struct err *err)
{
	return 0;
}

static int set_cpus(const struct bits_plan *cpus, const char *name, struct err *err)
{
	if (syscall(SYS_sched_setaffinity, 0, cpus->n / 8, cpus->bits) < 0)
		return err_sys(err, errno, "process.execCPUAffinity.%s", name);
	return 0;
}

void child_run_exec(struct child *c)
{
	struct err err = ERR_INIT;
	int r;

	r = child_guard(c, &err);
	if (r == 0)
		r = labels_before_user(c, &err);
	if (r == 0)
		r = child_enter_cgroup(c, &err);
	if (r == 0 && c->process->cpus_final.n)
		r = set_cpus(&c->process->cpus_final, "final", &err);
	if (r == 0 && c->join)
		r = join(c, &err);
	if (r == 0 && c->process->terminal && c->terminal < 0)
		r = child_make_terminal(c, &err);
	if (r == 0)
		init_become(c, nothing_more, &err);
	child_fail(c, &err);
}

/* ---- the caller ---- */

struct execution {
	const struct runtime_exec *what;
	struct arena arena;
	struct record record;
	struct process_plan process;
	struct cgroup *cgroup, *sub;
	struct shared_filter *filter; /* mapped from the file: read only */
	size_t filter_size;
	struct child child;
	int dir, sync, pidfd, init;
	bool stays; /* we are in the container's user namespace */
	pid_t pid;
};

static void execution_done(struct execution *e)
{
	struct child *h = &e->child;

	cgroup_entry_done(&h->entry);
	cgroup_free(e->sub);
	cgroup_free(e->cgroup);
	if (e->filter)
		munmap(e->filter, e->filter_size);
	fd_drop(&h->sync);
	fd_drop(&h->procfd);
	fd_drop(&h->root);
	fd_drop(&e->sync);
	fd_drop(&e->pidfd);
	fd_drop(&e->init);
	fd_drop(&e->dir);
	arena_done(&e->arena);
}

static int map_filter(struct execution *e, struct err *err)
{
	struct stat st;
	autofd int fd = -EBADF;
	void *p;

	if (!e->record.has_seccomp)
		return 0;
	fd = openat(e->dir, "seccomp.bpf", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "open seccomp.bpf");
	if ((size_t)st.st_size < sizeof(struct shared_filter))
		return err_set(err, ERR_CORRUPT, "seccomp.bpf is too short");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(err, errno, "map seccomp.bpf");
	e->filter = p;
	e->filter_size = (size_t)st.st_size;
	if (sizeof(*e->filter) + e->filter->n * sizeof(e->filter->insns[0]) != e->filter_size)
		return err_set(err, ERR_CORRUPT, "seccomp.bpf has the wrong size");
	return 0;
}

static int open_target(struct execution *e, struct err *err)
{
	enum record_status status;
	int r;

	r = record_peek(e->what->root, e->what->id, &e->arena, &e->dir, &e->record, err);
	if (r < 0)
		return r;
	status = record_status(&e->record, e->dir, &e->init);
	if (status == RECORD_STOPPED || status == RECORD_CREATING)
		return err_set(err, ERR_STATE, "cannot exec in a %s container", record_status_name(status));
	if (status == RECORD_PAUSED && !e->what->ignore_paused)
		return err_set(err, ERR_STATE,
			       "cannot exec in a paused container (use --ignore-paused to override)");
	r = rootless_join(&e->record, e->init, err);
	e->stays = r > 0;
	return r < 0 ? r : 0;
}

static int open_cgroup(struct execution *e, struct err *err)
{
	int r;

	if (!e->record.cgroup_path)
		return 0;
	r = record_cgroup(&e->record, &e->arena, &e->cgroup, err);
	if (r == 0 && e->what->cgroup)
		r = cgroup_create_sub(e->cgroup, e->what->cgroup, &e->sub, err);
	for (size_t i = 0; r == 0 && i < e->what->n_cgroups; i++)
		r = cgroup_open_sub(e->cgroup, e->what->cgroups[i].controllers, e->what->cgroups[i].path, &e->sub, err);
	if (r == 0 && !e->sub && e->record.cgroup_below)
		r = cgroup_open_sub(e->cgroup, NULL, e->record.cgroup_below, &e->sub, err);
	if (r == 0)
		r = cgroup_entry_open(e->cgroup, e->sub, &e->child.entry, err);
	return r;
}

static int prepare(struct execution *e, struct err *err)
{
	struct child *h = &e->child;
	const struct oci_linux l = { .personality = e->record.personality,
				     .memory_policy = e->record.memory_policy };
	char path[32];
	int r;

	r = plan_process(e->what->process, &l, &e->arena, &e->process, err);
	if (r < 0)
		return r;
	plan_groups(e->record.annotations, e->record.n_annotations, &e->process);
	/* by the one that the process will be in: ours, unless the child joins another */
	if ((e->stays || (!(e->record.namespaces & 1U << NS_USER) && !ns_user_is_initial())) &&
	    plan_denied_groups(&e->process, err) < 0)
		return -EINVAL;
	e->process.new_keyring = false; /* the container's session keyring is not ours to replace */
	if (e->process.terminal && e->what->console_socket < 0 && e->what->terminal < 0)
		return err_set(err, ERR_INVALID,
			       "process.terminal: cannot allocate tty if runtime will detach without "
			       "setting console socket");
	r = parent_open_proc(&h->procfd, err);
	if (r == 0)
		r = open_cgroup(e, err);
	if (r == 0)
		r = map_filter(e, err);
	if (r < 0)
		return r;
	if (e->record.chrooted) {
		snprintf(path, sizeof(path), "/proc/%d/root", e->record.pid);
		h->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (h->root < 0)
			return err_sys(err, errno, "open the container's root");
	}
	r = sync_pair(&e->sync, &h->sync);
	return r < 0 ? err_sys(err, r, "socketpair") : 0;
}

/* The first CPUs are those that the process is born on: the caller's, for that moment. */
static int clone_child(struct execution *e, struct err *err)
{
	const struct bits_plan *cpus = &e->process.cpus_initial;
	unsigned long own[8192 / 8 / sizeof(long)];
	int join[NS_KINDS];
	long size = cpus->n ? syscall(SYS_sched_getaffinity, 0, sizeof(own), own) : 0;

	for (int k = 0; k < NS_KINDS; k++)
		join[k] = k == NS_PID && e->record.namespaces & 1U << NS_PID ? e->init : -EBADF;
	if (cpus->n && set_cpus(cpus, "initial", err) < 0)
		return -EINVAL;
	e->pid = parent_clone(join, 0, e->cgroup, e->sub, &e->child.entry, &e->pidfd, err);
	if (e->pid == 0)
		child_run_exec(&e->child);
	if (size > 0)
		syscall(SYS_sched_setaffinity, 0, size, own);
	return e->pid < 0 ? e->pid : 0;
}

static int start(struct execution *e, struct err *err)
{
	struct child *h = &e->child;
	unsigned kinds = e->record.namespaces & ~(1U << NS_PID);
	struct sync_msg m;
	int r;

	h->process = &e->process;
	h->parent_end = e->sync;
	h->console_socket = e->what->console_socket;
	h->terminal = e->what->terminal;
	h->preserve_fds = e->what->preserve_fds;
	h->filter = e->filter;
	h->target = e->init;
	h->join = ns_flags(kinds);
	parent_give_streams(kinds & 1U << NS_USER ? e->record.pid : 0, e->process.uid);
	r = clone_child(e, err);
	if (r < 0)
		return r;
	fd_drop(&h->sync);
	r = parent_set_oom_score(e->pid, e->process.oom_score_adj, err);
	if (r == 0)
		r = parent_write_pid_file(e->what->pid_file, e->pid, err);
	if (r < 0)
		return r;
	sync_send(e->sync, SYNC_GO, 0, NULL, 0);
	/* the end of the stream: execve closed it. A process killed before that closes it too,
	 * and its exit status says so to whoever waits for it. */
	for (;;) {
		autofd int fd = -EBADF;
		size_t n_fds = 1;

		r = sync_recv(e->sync, &m, &fd, &n_fds);
		if (r == -EPIPE)
			return 0;
		if (r < 0 || m.type != SYNC_LISTENER)
			return parent_child_error(&m, r, e->pidfd, err);
		r = parent_pass_listener(&e->record, RECORD_RUNNING, e->pid, fd, err);
		if (r < 0)
			return r;
	}
}

int runtime_exec(const struct runtime_exec *what, pid_t *ret_pid, struct err *err)
{
	CLEANUP(execution_done) struct execution e = {
		.what = what, .dir = -EBADF, .sync = -EBADF, .pidfd = -EBADF, .init = -EBADF,
				.child = CHILD_INIT,
	};
	int r, status;

	r = open_target(&e, err);
	if (r == 0)
		r = prepare(&e, err);
	if (r == 0)
		r = start(&e, err);
	if (r < 0) {
		if (e.pidfd >= 0) {
			sys_pidfd_signal(e.pidfd, SIGKILL);
			sys_pidfd_wait(e.pidfd, &status);
		}
		return r;
	}
	*ret_pid = e.pid;
	return 0;
}
