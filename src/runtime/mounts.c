/*
 * Mounts into a container that runs, and out of it again: crun's `mounts`. Runs in the caller;
 * what happens in the container's mount namespace is done by a child that joins it.
 *
 * The container is hostile by then. A target is walked once from its root, by descriptor, as at
 * create. Where something is unmounted nothing below procfs and sysfs is taken: that is where the
 * masks are, and a link may lead there.
 */
#include "mnt/mnt.h"
#include "ns/ns.h"
#include "runtime/parent.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct change {
	struct arena arena;
	struct record record;
	struct mnt_plan plan;
	bool remove;
	int dir, init, userns;
};

static void change_done(struct change *c)
{
	mnt_plan_done(&c->plan);
	fd_drop(&c->userns);
	fd_drop(&c->init);
	fd_drop(&c->dir);
	arena_done(&c->arena);
}

/* ---- in the container's mount namespace [child] ---- */

static int unmount(const struct change *c, const char *target, struct err *err)
{
	const char *name = strrchr(target, '/') + 1;
	char parent[PATH_MAX];
	int dir = -EBADF, r;
	struct statfs fs;

	if ((size_t)(name - target) > sizeof(parent))
		return err_sys(err, ENAMETOOLONG, "%s", target);
	memcpy(parent, target, (size_t)(name - target) - 1);
	parent[name - target - 1] = '\0';
	r = sys_open_in(c->plan.root_fd, parent, O_PATH | O_DIRECTORY, 0, &dir);
	if (r == 0 && fstatfs(dir, &fs) < 0)
		r = -errno;
	if (r < 0)
		return err_sys(err, r, "open the directory that it is in");
	if (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC)
		return err_set(err, ERR_DENIED, "it is in procfs or sysfs");
	if (fchdir(dir) < 0 || umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		r = err_sys(err, errno, "unmount%s", errno == EINVAL ? " (is something mounted there?)" : "");
	close(dir);
	return r;
}

static int change_all(struct change *c, struct err *err)
{
	/* new file systems belong to the container's user namespace, as those of create do */
	int flags = CLONE_NEWNS | (c->userns >= 0 ? CLONE_NEWUSER : 0), r = 0;

	/* from here on the container's root may look at us, where it sees us */
	prctl(PR_SET_DUMPABLE, 0);
	umask(0);
	if (setns(c->init, flags) < 0)
		return err_sys(err, errno, "join the container's mount namespace");
	/* what is made belongs to the container's root, where it has one */
	if (c->userns >= 0 && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) && errno != EINVAL)
		return err_sys(err, errno, "become the container's root");
	c->plan.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->plan.root_fd < 0)
		return err_sys(err, errno, "open the container's root");
	for (size_t i = 0; r == 0 && i < c->plan.n_entries; i++) {
		const char *target = c->plan.entries[i].target;

		r = c->remove ? unmount(c, target, err) : mnt_apply(&c->plan, i, err);
		if (r < 0 && c->remove)
			err_wrap(err, r, "mount %s", target);
	}
	return r;
}

static void child(struct change *c, int sync)
{
	struct err err = ERR_INIT;

	if (change_all(c, &err) < 0)
		sync_send_err(sync, SYNC_ERROR, &err);
	else
		sync_send(sync, SYNC_CREATED, 0, NULL, 0);
	_exit(0);
}

/* ---- the caller ---- */

static int open_container(struct change *c, const char *root, const char *id, struct err *err)
{
	enum record_status status;
	char path[40];
	int r = record_open(root, id, &c->arena, &c->dir, &c->record, err);

	if (r < 0)
		return r;
	status = record_status(&c->record, c->dir, &c->init);
	if (status == RECORD_STOPPED || status == RECORD_CREATING)
		return err_set(err, ERR_STATE, "cannot change the mounts of a %s container",
			       record_status_name(status));
	if (c->record.chrooted || !(c->record.namespaces & 1U << NS_MNT))
		return err_set(err, ERR_UNSUPPORTED, "the container has no mount namespace of its own");
	if (c->record.namespaces & 1U << NS_USER) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", c->record.pid);
		c->userns = open(path, O_RDONLY | O_CLOEXEC);
		if (c->userns < 0)
			return err_sys(err, errno, "%s", path);
	}
	c->plan.userns_fd = c->userns;
	return 0;
}

static int plan_one(struct change *c, const struct oci_mount *m, struct err *err)
{
	struct mnt_spec spec = {
		.target = m->destination, .type = m->type, .source = m->source,
		.options = (const char *const *)m->options, .n_options = m->n_options,
		/* the two structs are the same three numbers */
		.uids = (const struct ns_id_map *)m->uid_mappings, .n_uids = m->n_uid_mappings,
		.gids = (const struct ns_id_map *)m->gid_mappings, .n_gids = m->n_gid_mappings,
	};
	/* a mount that goes is named by its target alone */
	struct mnt_spec target = { .target = m->destination, .type = "tmpfs" };
	int r = mnt_plan_add(&c->plan, c->remove ? &target : &spec, c->record.bundle, err);

	if (r == 0 && c->plan.entries[c->plan.n_entries - 1].kind == MNT_CGROUP)
		return err_set(err, ERR_UNSUPPORTED, "type %s: cgroups are mounted by create only", m->type);
	return r;
}

static int apply(struct change *c, struct err *err)
{
	autofd int sync = -EBADF, sync_child = -EBADF, pidfd = -EBADF;
	struct sync_msg m;
	int r = sync_pair(&sync, &sync_child), status;
	pid_t pid;

	if (r < 0)
		return err_sys(err, r, "socketpair");
	pid = sys_clone3(0, SIGCHLD, -EBADF, &pidfd);
	if (pid < 0)
		return err_sys(err, pid, "clone");
	if (pid == 0)
		child(c, sync_child);
	fd_drop(&sync_child);
	r = sync_recv(sync, &m, NULL, NULL);
	if (r < 0 || m.type != SYNC_CREATED)
		return parent_child_error(&m, r, pidfd, err);
	sys_pidfd_wait(pidfd, &status);
	return 0;
}

int runtime_mounts(const char *root, const char *id, const struct oci_mount *mounts, size_t n, bool remove,
		   struct err *err)
{
	CLEANUP(change_done) struct change c = { .remove = remove, .dir = -EBADF, .init = -EBADF, .userns = -EBADF };
	int r;

	mnt_plan_init(&c.plan, &c.arena);
	r = open_container(&c, root, id, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = plan_one(&c, &mounts[i], err);
		if (r < 0)
			err_wrap(err, r, "mounts[%zu]", i);
	}
	if (r == 0 && !remove)
		r = mnt_plan_open_entries(&c.plan, err);
	return r < 0 ? r : apply(&c, err);
}
