/*
 * What creating and restoring a container share: config.json read and planned, the record,
 * the cgroup, the filter, hooks, and undoing all of it. Runs in the caller, which has one
 * thread.
 *
 * Record first, then kernel objects, so that whatever is left when this process is killed
 * can be found.
 */
#include "runtime/creation.h"

#include "runtime/hook.h"
#include "runtime/rdt.h"
#include "runtime/rootless.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

void creation_done(struct creation *c)
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
	fd_drop(&h->delegated);
	hooks_output_done(&h->output);
	fd_drop(&c->sync);
	fd_drop(&c->pidfd);
	fd_drop(&c->netns);
	fd_drop(&c->dir);
	arena_done(&c->arena);
}

int runtime_config_read(const struct runtime_create *what, struct runtime_config *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX + 1);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofree char *path = what->config ? mem_strdup(what->config) :
					     mem_printf("%s/config.json", what->bundle);
	int r = sys_file_read(AT_FDCWD, path, OCI_CONFIG_MAX, &text);

	if (r < 0)
		return err_sys(err, r, "open %s", path);
	r = oci_config_read(text.data ? text.data : (const uint8_t *)"", text.len, &a, &ret->config, err);
	if (r < 0)
		return r;
	ret->arena = a;
	a = (struct arena)ARENA_INIT;
	return 0;
}

void runtime_config_done(struct runtime_config *c)
{
	arena_done(&c->arena);
}

static int take_config(struct creation *c, struct err *err)
{
	struct runtime_config now = RUNTIME_CONFIG_INIT, *read = c->what->read;
	int r = 0;

	if (!read) {
		read = &now;
		r = runtime_config_read(c->what, read, err);
	}
	if (r < 0)
		return r;
	arena_adopt(&c->arena, &read->arena);
	c->config = read->config;
	return 0;
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
	r->boot_id = arena_strdup(&c->arena, sys_boot_id());
	r->namespaces = p->ns_new | p->ns_join;
	r->joined = p->ns_join;
	r->chrooted = !p->has_mnt;
	r->has_seccomp = p->has_seccomp;
	r->listener_path = (char *)p->listener_path;
	r->listener_metadata = (char *)p->listener_metadata;
	r->annotations = c->config.annotations;
	r->n_annotations = c->config.n_annotations;
	r->hooks = c->config.hooks;
	r->intel_rdt = c->config.linux_->intel_rdt;
	r->personality = c->config.linux_->personality;
	r->memory_policy = c->config.linux_->memory_policy;
	r->process = c->config.process;
	if (!p->cgroup_host)
		return;
	r->cgroup_path = (char *)p->cgroup_path;
	if (p->cgroup_sub || p->cgroup_delegate)
		r->cgroup_below = arena_printf(&c->arena, "%s%s%s", p->cgroup_sub ? p->cgroup_sub : "",
					       p->cgroup_sub && p->cgroup_delegate ? "/" : "",
					       p->cgroup_delegate ? p->cgroup_delegate : "");
	if (p->is_systemd) {
		r->systemd_unit = (char *)p->unit.name;
		r->systemd_user = p->unit.user;
	}
	if (*r->cgroup_path == '/')
		return;
	r->cgroup_selves = arena_new(&c->arena, p->cgroup_host->n_hierarchies, sizeof(*r->cgroup_selves));
	for (size_t i = 0; i < p->cgroup_host->n_hierarchies; i++)
		r->cgroup_selves[r->n_cgroup_selves++] =
			(struct json_kv){ p->cgroup_host->hierarchies[i].name,
					  p->cgroup_host->hierarchies[i].self };
}

int creation_open(struct creation *c, const struct runtime_create *what, struct err *err)
{
	int r = record_check_id(what->id, err);

	if (r < 0)
		return r;
	c->what = what;
	mnt_plan_init(&c->plan.mnt, &c->arena);
	for (size_t i = 0; i < NS_KINDS; i++)
		c->plan.ns_fd[i] = -EBADF;
	r = take_config(c, err);
	c->record.owner = owner_name(&c->arena); /* later we may be another */
	if (r == 0)
		r = rootless_enter(&c->config, &c->arena, err);
	if (r == 0)
		r = plan_make(what, &c->config, &c->arena, &c->plan, err);
	if (r == 0 && c->config.hooks)
		r = hooks_check(c->config.hooks, err);
	if (r < 0)
		return r;
	fill_record(c);
	if (c->config.hooks)
		r = hooks_output_open(c->config.annotations, c->config.n_annotations, &c->child.output, err);
	if (r == 0)
		r = record_new(what->root, what->id, &c->dir, err);
	if (r < 0)
		return r;
	r = record_write(c->dir, &c->record, err);
	if (r < 0)
		creation_undo(c);
	return r;
}

/* A cgroup below, which belongs to whom the container's own does. */
static int cgroup_below(const struct cgroup *cg, const char *name, uint32_t owner, struct cgroup **ret, struct err *err)
{
	int r = cgroup_create_sub(cg, name, ret, err);

	return r == 0 && owner != (uint32_t)-1 ? cgroup_give(*ret, owner, err) : r;
}

/* The child goes to `sub` at once, and to the delegated one when its cgroup namespace is made: so
 * the root of that is what the container may manage. */
static int enter_below(struct creation *c, uint32_t owner, struct err *err)
{
	CLEANUP(cgroup_freep) struct cgroup *sub = NULL, *delegated = NULL;
	const struct runtime_plan *p = &c->plan;
	int r = p->cgroup_sub ? cgroup_below(c->cgroup, p->cgroup_sub, owner, &sub, err) : 0;

	if (r == 0)
		r = cgroup_entry_open(c->cgroup, sub, &c->child.entry, err);
	if (r == 0 && p->cgroup_delegate)
		r = cgroup_below(sub ? sub : c->cgroup, p->cgroup_delegate, owner, &delegated, err);
	if (r == 0 && delegated)
		r = cgroup_procs_open(delegated, &c->child.delegated, err);
	return r;
}

int creation_cgroup(struct creation *c, struct err *err)
{
	struct cgroup_config config = CGROUP_CONFIG_INIT;
	uint32_t owner = (uint32_t)-1;
	int r;

	if (!c->plan.cgroup_host)
		return 0;
	config.path = c->plan.cgroup_path;
	if (c->plan.is_systemd) {
		config.driver = &cgroup_driver_systemd;
		config.unit = &c->plan.unit;
	}
	if (c->plan.ns_new & 1U << NS_USER && ns_maps_find(c->plan.uids, c->plan.n_uids, 0, &owner) == 0)
		config.owner = owner;
	else
		owner = (uint32_t)-1;
	r = cgroup_create(c->plan.cgroup_host, &config, &c->plan.cgroup, &c->cgroup, err);
	if (r < 0)
		return r;
	return enter_below(c, owner, err);
}

/* The container's network. One that it joins is known before it is there: its process goes in
 * by itself, later than the parent comes here. */
static int open_network(struct creation *c)
{
	int joined = c->plan.ns_fd[NS_NET];

	if (joined < 0)
		return ns_open_pid(c->pid, NS_NET, &c->netns);
	c->netns = fcntl(joined, F_DUPFD_CLOEXEC, 3);
	return c->netns < 0 ? -errno : 0;
}

int creation_devices(struct creation *c, struct err *err)
{
	int r = c->plan.n_net_devices ? open_network(c) : 0;

	if (r < 0)
		return err_sys(err, r, "linux.netDevices: the container's network namespace");
	for (size_t i = 0; i < c->plan.n_net_devices; i++) {
		struct device_plan *d = &c->plan.net_devices[i];

		r = ns_device_move(-EBADF, d->host_name, c->netns, d->name, true, &d->device);
		if (r == -EEXIST)
			return err_sys(err, r, "linux.netDevices.%s: the container has a device %s", d->host_name,
				       d->name);
		if (r < 0)
			return err_sys(err, r, "linux.netDevices.%s: move it into the container", d->host_name);
	}
	return 0;
}

/* The process may be gone, and devices that are not of hardware would go with its namespace: our
 * descriptor keeps it. */
static void devices_back(struct creation *c)
{
	int r;

	if (c->netns < 0)
		return;
	for (size_t i = 0; i < c->plan.n_net_devices; i++) {
		const struct device_plan *d = &c->plan.net_devices[i];
		struct ns_device back = { .moved = false };

		if (!d->device.moved)
			continue;
		r = ns_device_move(c->netns, d->device.name, -EBADF, d->host_name, d->device.was_up, &back);
		if (r < 0)
			runtime_warn("linux.netDevices.%s: move it back: %s", d->host_name, strerrordesc_np(-r));
	}
}

int creation_rdt(struct creation *c, struct err *err)
{
	autofd int dir = -EBADF;
	int r = c->record.intel_rdt ? rdt_open(&dir, err) : 0;

	if (r < 0 || !c->record.intel_rdt)
		return r;
	return rdt_join(dir, c->record.intel_rdt, c->record.id, c->pid, &c->record.intel_rdt_made, err);
}

int creation_filter(struct creation *c, struct err *err)
{
	int r;

	if (!c->plan.has_seccomp)
		return 0;
	if (c->plan.raw_filter)
		r = sec_filter_copy(c->plan.raw_filter, c->plan.n_raw_filter, &c->filter);
	else
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

int creation_hooks(struct creation *c, struct err *err)
{
	const struct oci_hooks *h = c->config.hooks;
	struct oci_state state;
	int r;

	if (!h)
		return 0;
	record_oci_state(&c->record, RECORD_CREATING, &state);
	state.pid = c->pid;
	r = hooks_run(h->prestart, h->n_prestart, "prestart", &state, &c->child.output, err);
	if (r == 0)
		r = hooks_run(h->create_runtime, h->n_create_runtime, "createRuntime", &state, &c->child.output,
			      err);
	return r;
}

int creation_record(struct creation *c, struct err *err)
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
	if (r == 0 && c->plan.pidfd_receiver)
		r = parent_pass_pidfd(c->plan.pidfd_receiver, c->pidfd, err);
	return r;
}

/* After a failed create nothing is left. */
void creation_undo(struct creation *c)
{
	struct err ignored = ERR_INIT;
	int status;

	if (c->pid > 0)
		devices_back(c);
	if (c->pidfd >= 0) {
		sys_pidfd_signal(c->pidfd, SIGKILL);
		sys_pidfd_wait(c->pidfd, &status);
	}
	if (c->cgroup && cgroup_remove(c->cgroup, true, time_now_mono() + 5 * NSEC_PER_SEC, &ignored) < 0)
		runtime_warn("%s", ignored.text);
	if (c->config.hooks && c->pid > 0) {
		struct oci_state state;

		record_oci_state(&c->record, RECORD_STOPPED, &state);
		hooks_run_all(c->config.hooks->poststop, c->config.hooks->n_poststop, "poststop", &state,
			      &c->child.output);
	}
	record_leave_rdt(&c->record);
	if (record_remove(c->what->root, c->what->id, &ignored) < 0)
		runtime_warn("%s", ignored.text);
}
