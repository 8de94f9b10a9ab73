/*
 * The parent's part: everything that exists outside becomes a detached mount, with its
 * attributes, before the child is made. Nothing here shows in any mount table.
 *
 * A clone of a shared mount is a peer of it. So that nothing done inside the container
 * travels back, the clone becomes a slave at once, unless the container's root was asked
 * to be shared: then "rshared" means what it means for the host.
 */
#include "mnt/mnt.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int open_userns(struct mnt_plan *plan, struct mnt_entry *e, struct err *err)
{
	int r;

	if (!e->n_uids)
		return plan->userns_fd < 0 ? err_set(err, ERR_INVALID,
						     "idmap: without uidMappings the container "
						     "needs a user namespace") : 0;
	r = ns_user_make(e->uids, e->n_uids, e->gids, e->n_gids, &e->userns_fd);
	return r < 0 ? err_sys(err, r, "make a user namespace for the mappings") : 0;
}

/* Attributes and propagation of a detached tree, in as few calls as they allow. */
static int set_attributes(struct mnt_plan *plan, const struct mnt_entry *e, int fd, struct err *err)
{
	const struct mnt_options *o = &e->options;
	uint64_t first = plan->propagation == MS_SHARED ? o->propagation :
			 plan->propagation == MS_PRIVATE || plan->propagation == MS_UNBINDABLE ? MS_PRIVATE :
			 MS_SLAVE;
	unsigned rec = o->bind_rec ? AT_RECURSIVE : 0;
	bool one_call = !rec || (!o->set && !o->clear);
	int r;

	if (first || o->rec_set || o->rec_clear || (one_call && (o->set || o->clear))) {
		r = sys_mount_setattr(fd, rec | (o->rec_set | o->rec_clear ? AT_RECURSIVE : 0),
				      o->rec_set | (one_call ? o->set : 0),
				      o->rec_clear | (one_call ? o->clear : 0), first, -EBADF);
		if (r < 0)
			return err_sys(err, r, "set its attributes");
	}
	if (!one_call) {
		r = sys_mount_setattr(fd, 0, o->set, o->clear, 0, -EBADF);
		if (r < 0)
			return err_sys(err, r, "set its attributes");
	}
	if (o->propagation && o->propagation != first) {
		r = sys_mount_setattr(fd, o->propagation_rec ? AT_RECURSIVE : 0, 0, 0, o->propagation,
				      -EBADF);
		if (r < 0)
			return err_sys(err, r, "set its propagation");
	}
	return 0;
}

/* 1: the source is a link, which is made again inside instead of a mount. */
static int read_link(struct mnt_plan *plan, struct mnt_entry *e, struct err *err)
{
	char text[PATH_MAX];
	ssize_t n = readlink(e->source, text, sizeof(text));

	if (n < 0 && errno == EINVAL)
		return 0;
	if (n < 0)
		return err_sys(err, errno, "source %s", e->source);
	if ((size_t)n == sizeof(text))
		return err_sys(err, ENAMETOOLONG, "source %s", e->source);
	e->kind = MNT_LINK;
	e->link = arena_strndup(plan->arena, text, (size_t)n);
	return 1;
}

static int open_bind(struct mnt_plan *plan, struct mnt_entry *e, struct err *err)
{
	const struct mnt_options *o = &e->options;
	struct statfs fs;
	struct stat st;
	unsigned flags;
	int r;

	r = o->copy_link ? read_link(plan, e, err) : 0;
	if (r)
		return r < 0 ? r : 0;
	flags = (o->bind_rec ? AT_RECURSIVE : 0) | (o->source_link ? AT_SYMLINK_NOFOLLOW : 0);
	r = sys_clone_tree(AT_FDCWD, e->source, flags, &e->fd);
	if (r < 0)
		return err_sys(err, r, "source %s", e->source);
	if (fstat(e->fd, &st) < 0)
		return err_sys(err, errno, "source %s", e->source);
	e->is_dir = S_ISDIR(st.st_mode);
	if (str_eq(e->target, "/proc") && (fstatfs(e->fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC))
		return err_set(err, ERR_INVALID, "source %s is not a procfs", e->source);
	if (o->idmap) {
		r = open_userns(plan, e, err);
		if (r < 0)
			return r;
		r = sys_mount_setattr(e->fd, o->idmap_rec ? AT_RECURSIVE : 0, 0, 0, 0,
				      e->userns_fd >= 0 ? e->userns_fd : plan->userns_fd);
		if (r < 0)
			return err_sysk(err, r == -EINVAL ? ERR_UNSUPPORTED : err_kind_of(r), r,
					"idmap source %s (its file system must support it)", e->source);
	}
	return set_attributes(plan, e, e->fd, err);
}

/* An overlay for its whole entry: an image as a volume. */
static int open_overlay_entry(struct mnt_plan *plan, struct mnt_entry *e, struct err *err)
{
	struct mnt_overlay o = *e->overlay;
	struct stat st;
	int r;

	o.attrs = e->options.set | e->options.rec_set;
	o.label = plan->label;
	if (e->options.idmap) {
		r = open_userns(plan, e, err);
		if (r < 0)
			return r;
		o.userns_fd = e->userns_fd >= 0 ? e->userns_fd : plan->userns_fd;
	}
	r = mnt_overlay_open(&o, &e->fd, err);
	if (r < 0)
		return r;
	if (fstat(e->fd, &st) < 0)
		return err_sys(err, errno, "stat");
	e->is_dir = S_ISDIR(st.st_mode);
	return 0;
}

/* ---- root ---- */

/* Before Linux 6.5 an overlay takes all layers in one string, which fsconfig cuts at 256
 * bytes: there the child mounts it with mount(2), in its own mount namespace. */
static int overlay_needs_mount(void)
{
	autofd int fs = -EBADF;
	int r = sys_fsopen("overlay", &fs);

	if (r < 0)
		return r;
	r = sys_fsconfig(fs, "lowerdir+", "/");
	return r == -EINVAL ? 1 : 0;
}

static int open_overlay(struct mnt_plan *plan, struct err *err)
{
	struct mnt_overlay o = {
		.lowers = plan->lowers, .n_lowers = plan->n_lowers, .upper = plan->upper, .work = plan->work,
		.is_volatile = plan->is_volatile, .label = plan->label, .userns_fd = -EBADF,
	};
	autofd int userns = -EBADF;
	int r;

	r = overlay_needs_mount();
	if (r < 0)
		return err_sys(err, r, "file system overlay");
	plan->overlay_late = r;
	if (plan->overlay_late && plan->n_lower_uids)
		return err_set(err, ERR_UNSUPPORTED, "idmapped layers need Linux 6.5 or later");
	if (plan->overlay_late && plan->n_lowers > ARRAY_LEN(plan->overlay_fds))
		return err_set(err, ERR_LIMIT, "%zu layers are more than the %zu that this kernel takes",
			       plan->n_lowers, ARRAY_LEN(plan->overlay_fds));
	if (plan->overlay_late)
		return 0;
	if (plan->n_lower_uids) {
		r = ns_user_make(plan->lower_uids, plan->n_lower_uids, plan->lower_gids, plan->n_lower_gids,
				 &userns);
		if (r < 0)
			return err_sys(err, r, "make a user namespace for the mappings of the layers");
		o.userns_fd = userns;
	}
	return mnt_overlay_open(&o, &plan->root_fd, err);
}

static int open_root(struct mnt_plan *plan, struct err *err)
{
	struct stat st;
	int r;

	if (plan->n_lowers)
		return open_overlay(plan, err);
	/* recursive: mounts below the directory are part of the container's tree */
	r = sys_clone_tree(AT_FDCWD, plan->root, AT_RECURSIVE, &plan->root_fd);
	if (r < 0)
		return err_sys(err, r, "%s", plan->root);
	if (fstat(plan->root_fd, &st) < 0)
		return err_sys(err, errno, "%s", plan->root);
	if (!S_ISDIR(st.st_mode))
		return err_sys(err, ENOTDIR, "%s", plan->root);
	/* always cut off: what is mounted on it must not travel to the host. When the root is
	 * to be shared, mnt_finish makes it so, as a peer group of its own. */
	r = sys_mount_setattr(plan->root_fd, AT_RECURSIVE, 0, 0, MS_SLAVE, -EBADF);
	return r < 0 ? err_sys(err, r, "%s: set its propagation", plan->root) : 0;
}

int mnt_plan_open_entries(struct mnt_plan *plan, struct err *err)
{
	int r;

	for (size_t i = 0; i < plan->n_entries; i++) {
		struct mnt_entry *e = &plan->entries[i];

		if (e->kind != MNT_BIND && e->kind != MNT_OVERLAY)
			continue;
		r = e->kind == MNT_BIND ? open_bind(plan, e, err) : open_overlay_entry(plan, e, err);
		if (r < 0)
			return err_wrap(err, r, "mount %s", e->target);
	}
	return 0;
}

int mnt_plan_open(struct mnt_plan *plan, struct err *err)
{
	int r = open_root(plan, err);

	return r < 0 ? err_wrap(err, r, "rootfs") : mnt_plan_open_entries(plan, err);
}
