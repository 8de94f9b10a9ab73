/*
 * create: the caller's side. Runs in the process that called runtime_create, which has one
 * thread.
 *
 * Record first, then kernel objects, so that whatever is left when this process is killed
 * can be found. The child starts at once and makes its mounts while the parent sets limits
 * and compiles the filter.
 */
#include "runtime/parent.h"

#include "runtime/hook.h"
#include "runtime/record.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct creation {
	const struct runtime_create *what;
	struct arena arena;
	struct oci_config config;
	struct runtime_plan plan;
	struct record record;
	struct cgroup *cgroup;
	struct sec_filter filter;
	struct shared_filter *shared;
	struct child child;
	int dir, sync, pidfd;
	pid_t pid;
};

static void creation_done(struct creation *c)
{
	struct child *h = &c->child;

	plan_done(&c->plan);
	cgroup_free(c->cgroup);
	sec_filter_done(&c->filter);
	parent_unshare_filter(c->shared);
	cgroup_entry_done(&h->entry);
	fd_drop(&h->sync);
	fd_drop(&h->procfd);
	fd_drop(&h->listen);
	fd_drop(&h->terminal_mount);
	fd_drop(&c->sync);
	fd_drop(&c->pidfd);
	fd_drop(&c->dir);
	arena_done(&c->arena);
}

static int read_config(struct creation *c, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX + 1);
	autofree char *path = c->what->config ? mem_strdup(c->what->config) :
						mem_printf("%s/config.json", c->what->bundle);
	int r = sys_file_read(AT_FDCWD, path, OCI_CONFIG_MAX, &text);

	if (r < 0)
		return err_sys(err, r, "open %s", path);
	return oci_config_read(text.data ? text.data : (const uint8_t *)"", text.len, &c->arena, &c->config,
			       err);
}

static char *owner_name(struct arena *a)
{
	char text[16];

	/* the record wants a name, and the C library's lookups pull in half of it: root it is */
	if (geteuid() == 0)
		return arena_strdup(a, "root");
	snprintf(text, sizeof(text), "%u", geteuid());
	return arena_strdup(a, text);
}

static void fill_record(struct creation *c)
{
	const struct runtime_plan *p = &c->plan;
	struct record *r = &c->record;
	char now[TIME_TEXT_MAX];

	r->id = arena_strdup(&c->arena, c->what->id);
	r->oci_version = c->config.oci_version;
	r->bundle = arena_strdup(&c->arena, c->what->bundle);
	r->rootfs = (char *)p->rootfs;
	r->created = arena_strdup(&c->arena, time_format_rfc3339(time_now_real(), now));
	r->owner = owner_name(&c->arena);
	r->boot_id = arena_strdup(&c->arena, sys_boot_id());
	r->namespaces = p->ns_new | p->ns_join;
	r->chrooted = !p->has_mnt;
	r->has_seccomp = p->has_seccomp;
	r->annotations = c->config.annotations;
	r->n_annotations = c->config.n_annotations;
	r->hooks = c->config.hooks;
	r->process = c->config.process;
	if (!p->cgroup_host)
		return;
	r->cgroup_path = (char *)p->cgroup_path;
	if (*r->cgroup_path == '/')
		return;
	r->cgroup_selves = arena_new(&c->arena, p->cgroup_host->n_hierarchies, sizeof(*r->cgroup_selves));
	for (size_t i = 0; i < p->cgroup_host->n_hierarchies; i++)
		r->cgroup_selves[r->n_cgroup_selves++] =
			(struct json_kv){ p->cgroup_host->hierarchies[i].name,
					  p->cgroup_host->hierarchies[i].self };
}

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

static int prepare(struct creation *c, struct err *err)
{
	const struct runtime_create *what = c->what;
	struct child *h = &c->child;
	int r;

	r = parent_open_proc(&h->procfd, err);
	if (r == 0)
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

static int make_cgroup(struct creation *c, struct err *err)
{
	struct cgroup_config config = CGROUP_CONFIG_INIT;
	uint32_t owner;
	int r;

	if (!c->plan.cgroup_host)
		return 0;
	config.path = c->plan.cgroup_path;
	if (c->plan.ns_new & 1U << NS_USER && ns_maps_find(c->plan.uids, c->plan.n_uids, 0, &owner) == 0)
		config.owner = owner;
	r = cgroup_create(c->plan.cgroup_host, &config, &c->plan.cgroup, &c->cgroup, err);
	if (r < 0)
		return r;
	return cgroup_entry_open(c->cgroup, NULL, &c->child.entry, err);
}

/* Namespaces that are joined beside a user namespace of its own: only here, with the host's
 * rights, can they be entered; and left again. */
static int swap_namespaces(const struct runtime_plan *plan, int *saved, bool back)
{
	for (int k = NS_NET; k <= NS_CGROUP; k++) {
		int r = 0;

		if (plan->ns_fd[k] < 0)
			continue;
		if (!back)
			r = ns_open_pid(getpid(), (enum ns_kind)k, &saved[k]);
		if (r == 0)
			r = ns_join(back ? saved[k] : plan->ns_fd[k], (enum ns_kind)k);
		if (back)
			fd_drop(&saved[k]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int clone_child(struct creation *c, struct err *err)
{
	struct runtime_plan *plan = &c->plan;
	unsigned kinds = plan->ns_new & ~(1U << NS_CGROUP | 1U << NS_TIME);
	uint64_t flags = ns_flags(kinds);
	bool between = plan->ns_join & 1U << NS_USER;
	int saved[NS_KINDS], r = 0;
	bool swap = plan->ns_new & 1U << NS_USER;

	for (size_t i = 0; i < NS_KINDS; i++)
		saved[i] = -EBADF;
	c->child.parent_end = c->sync;
	if (swap)
		r = swap_namespaces(plan, saved, false);
	if (r < 0)
		return err_sys(err, r, "join namespaces");
	if (between)
		c->pid = sys_clone3(0, SIGCHLD, c->child.entry.clone_fd, &c->pidfd);
	else
		c->pid = ns_clone(plan->ns_fd[NS_PID], flags, SIGCHLD, c->child.entry.clone_fd, &c->pidfd);
	if (c->pid == 0 && between)
		child_run_between(&c->child, flags);
	if (c->pid == 0)
		child_run(&c->child);
	if (swap && swap_namespaces(plan, saved, true) < 0)
		abort(); /* hooks and later containers would be made in the wrong namespaces */
	if (c->pid < 0)
		return err_sys(err, c->pid, "clone");
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

static int fill_filter(struct creation *c, struct err *err)
{
	int r;

	if (!c->plan.has_seccomp)
		return 0;
	r = sec_seccomp_compile(&c->plan.seccomp, &c->filter, err);
	if (r == 0)
		r = parent_fill_filter(c->shared, &c->filter, err);
	if (r < 0)
		return err_wrap(err, r, "linux.seccomp");
	/* exec loads the same */
	r = sys_file_replace(c->dir, "seccomp.bpf", c->shared, sizeof(*c->shared) + c->shared->n *
			     sizeof(c->shared->insns[0]), 0600, false);
	return r < 0 ? err_sys(err, r, "write seccomp.bpf") : 0;
}

static int run_early_hooks(struct creation *c, struct err *err)
{
	const struct oci_hooks *h = c->config.hooks;
	struct oci_state state;
	int r;

	record_oci_state(&c->record, RECORD_CREATING, &state);
	state.pid = c->pid;
	r = hooks_run(h->prestart, h->n_prestart, "prestart", &state, err);
	if (r == 0)
		r = hooks_run(h->create_runtime, h->n_create_runtime, "createRuntime", &state, err);
	if (r < 0)
		return r;
	r = sync_send(c->sync, SYNC_GO, 0, NULL, 0);
	return r < 0 ? err_sys(err, r, "the container's process went away") : 0;
}

/* From the child's first step to its last before execve. */
static int accompany(struct creation *c, struct err *err)
{
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
	if (r == 0 && c->cgroup)
		r = cgroup_apply(c->cgroup, &c->plan.cgroup, err);
	if (r == 0)
		r = parent_set_oom_score(c->pid, c->plan.process.oom_score_adj, err);
	if (r == 0)
		r = fill_filter(c, err);
	if (r < 0)
		return r;
	/* the last one; where there are hooks, one more comes before it */
	if (!c->config.hooks || !(c->config.hooks->n_prestart || c->config.hooks->n_create_runtime ||
				  c->config.hooks->n_create_container))
		sync_send(c->sync, SYNC_GO, 0, NULL, 0);
	for (;;) {
		r = sync_recv(c->sync, &m, NULL, NULL);
		if (r == 0 && m.type == SYNC_WARNING) {
			runtime_warn("%s", m.err.text);
			continue;
		}
		if (r == 0 && m.type == SYNC_CREATED)
			return 0;
		if (r < 0 || m.type != SYNC_HOOKS)
			return parent_child_error(&m, r, c->pidfd, err);
		r = run_early_hooks(c, err);
		if (r < 0)
			return r;
		sync_send(c->sync, SYNC_GO, 0, NULL, 0);
	}
}

static int record_created(struct creation *c, struct err *err)
{
	int r;

	c->record.pid = c->pid;
	r = sys_proc_start_time(c->pid, &c->record.start_ticks);
	if (r < 0)
		return err_sys(err, r, "the container's process went away");
	c->record.is_created = true;
	r = record_write(c->dir, &c->record, err);
	if (r == 0)
		r = parent_write_pid_file(c->what->pid_file, c->pid, err);
	if (r < 0)
		return r;
	r = sync_send(c->sync, SYNC_RECORDED, 0, NULL, 0);
	return r < 0 ? err_sys(err, r, "the container's process went away") : 0;
}

static int create(struct creation *c, struct err *err)
{
	struct child *h = &c->child;
	int r;

	r = record_write(c->dir, &c->record, err);
	if (r == 0)
		r = prepare(c, err);
	if (r == 0)
		r = make_cgroup(c, err);
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
	return r < 0 ? r : record_created(c, err);
}

/* After a failed create nothing is left. */
static void undo(struct creation *c)
{
	struct err ignored = ERR_INIT;
	int status;

	if (c->pidfd >= 0) {
		sys_pidfd_signal(c->pidfd, SIGKILL);
		sys_pidfd_wait(c->pidfd, &status);
	}
	if (c->cgroup && cgroup_remove(c->cgroup, true, time_now_mono() + 5 * NSEC_PER_SEC, &ignored) < 0)
		runtime_warn("%s", ignored.text);
	if (c->config.hooks && c->pid > 0) {
		struct oci_state state;

		record_oci_state(&c->record, RECORD_STOPPED, &state);
		hooks_run_all(c->config.hooks->poststop, c->config.hooks->n_poststop, "poststop", &state);
	}
	if (record_remove(c->what->root, c->what->id, &ignored) < 0)
		runtime_warn("%s", ignored.text);
}

int runtime_create(const struct runtime_create *what, pid_t *ret_pid, struct err *err)
{
	CLEANUP(creation_done) struct creation c = {
		.what = what, .dir = -EBADF, .sync = -EBADF, .pidfd = -EBADF, .child = CHILD_INIT,
		.filter = SEC_FILTER_INIT,
	};
	int r;

	r = record_check_id(what->id, err);
	if (r < 0)
		return r;
	mnt_plan_init(&c.plan.mnt, &c.arena);
	for (size_t i = 0; i < NS_KINDS; i++)
		c.plan.ns_fd[i] = -EBADF;
	r = read_config(&c, err);
	if (r == 0)
		r = plan_make(what, &c.config, &c.arena, &c.plan, err);
	if (r == 0 && c.config.hooks)
		r = hooks_check(c.config.hooks, err);
	if (r < 0)
		return r;
	fill_record(&c);
	r = record_new(what->root, what->id, &c.dir, err);
	if (r < 0)
		return r;
	r = create(&c, err);
	if (r < 0) {
		undo(&c);
		return r;
	}
	*ret_pid = c.pid;
	return 0;
}
