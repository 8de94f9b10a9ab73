/*
 * mnt — the file system of one container: what is mounted where, built as data, then done.
 *
 *	struct mnt_plan plan = MNT_PLAN_INIT;             // lists live in the caller's arena
 *	mnt_plan_set_root(&plan, …), mnt_plan_add(&plan, &spec, err) …     pure: no I/O
 *	mnt_plan_print(&plan, &out);                                        pure
 *	mnt_plan_open(&plan, err);       parent: detached mounts of all that exists outside
 *	--- clone3(CLONE_NEWNS) ---
 *	mnt_enter(&plan, err);           [child] own propagation, root attached over "/"
 *	mnt_apply(&plan, i, err) for each entry, in order                   [child]
 *	mnt_apply_devices, mnt_apply_masks, mnt_finish                      [child]
 *	mnt_pivot(&plan, err);           [child] the old tree is gone
 *	---
 *	mnt_plan_done(&plan);            closes what is open
 *
 * Only the descriptor-based mount API is used. Every mount is made detached and attached to
 * a target that was reached by one openat2(2) walk from the descriptor of the root, so
 * nothing that the rootfs or a volume contains (links, renames during the walk) leads
 * outside, and no path is looked up twice. Bind sources are opened by the parent: they are
 * the caller's paths, may lie where the container's user can't go, and get their
 * propagation cut before the child sees them. proc and sysfs are mounted only on real
 * directories (no link in any component); masked and read-only paths below them are walked
 * from the descriptor of that very mount, never from the root again.
 *
 * Context: mnt_plan_open in the parent, with the privileges of a mount; [child] functions
 * between clone and exec: no allocation, errors as struct err. Hostile: the rootfs, volumes,
 * and all texts of the specs.
 *
 * Sources: mount_setattr(2), open_tree(2), move_mount(2), fsopen(2), pivot_root(2),
 * mount_namespaces(7), the option list of the OCI runtime specification.
 */
#pragma once

#include "base/base.h"
#include "ns/ns.h"

#include <sys/types.h>

/* ---- options ------------------------------------------------------------------------ */

/* Options of one mount, parsed. MOUNT_ATTR_* for the top mount and for the whole tree,
 * MS_* propagation, and what is left: data of the file system, in order. */
struct mnt_options {
	uint64_t set, clear;         /* of the mount itself */
	uint64_t rec_set, rec_clear; /* of it and all below (rro, rnosuid, …) */
	uint64_t propagation;        /* MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE; 0: not said */
	bool propagation_rec;
	bool bind, bind_rec, remount, copy_up;
	bool idmap, idmap_rec;
	const char **data; /* "size=64m", "sync" */
	size_t n_data;
};

/* INVALID for what is contradictory. Unknown words go to data: the file system knows. */
int mnt_options_parse(const char *const *words, size_t n, struct arena *a, struct mnt_options *ret,
		      struct err *err);
/* "rslave" …: MS_* in *ret, recursion in *ret_rec: 0 or -EINVAL. */
int mnt_propagation_parse(const char *word, uint64_t *ret, bool *ret_rec);

/* All option names, for `features`. */
const char *mnt_option_name(size_t i); /* NULL behind the last */

/* ---- the plan ----------------------------------------------------------------------- */

enum mnt_kind { MNT_BIND, MNT_FS, MNT_CGROUP, MNT_REMOUNT };

struct mnt_entry {
	enum mnt_kind kind;
	const char *target, *type, *source;
	struct mnt_options options;
	const struct ns_id_map *uids, *gids; /* of an idmapped mount */
	size_t n_uids, n_gids;
	bool pseudo;    /* proc, sysfs: the target must be a plain directory */
	bool optional;  /* a missing source is skipped */
	int fd;         /* detached, from the parent; after apply of proc and sysfs: the mount */
	bool is_dir;
	int userns_fd;
};

struct mnt_device {
	const char *path;
	mode_t type; /* S_IFCHR, S_IFBLK, S_IFIFO */
	unsigned major, minor;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

/* One directory of a cgroup mount: in v1 each hierarchy, in v2 the only one, name "". */
struct mnt_cgroup {
	const char *name; /* of the directory below the mount point */
	const char *path; /* absolute on the host: the container's cgroup */
	const char *const *links; /* further names for it ("cpu" for "cpu,cpuacct") */
	size_t n_links;
};

struct mnt_plan {
	struct arena *arena;

	/* the root: a directory, or an overlay that is mounted for the container alone */
	const char *root;
	const char *const *lowers; /* top first */
	size_t n_lowers;
	const char *upper, *work;
	bool is_volatile;
	bool root_readonly, no_pivot;
	uint64_t propagation; /* of the container's root; 0: slave */
	bool propagation_rec; /* said so; holds for what is mounted without a word of its own */

	struct mnt_entry *entries;
	size_t n_entries, cap_entries;
	const struct mnt_device *devices;
	size_t n_devices;
	bool setup_dev; /* default links, ptmx: /dev is the container's own */
	bool bind_devices; /* mknod is not possible: user namespace */
	const char *const *masked, *const *readonly;
	size_t n_masked, n_readonly;
	const struct mnt_cgroup *cgroups;
	size_t n_cgroups;
	bool cgroup_v2, cgroup_own; /* own: the container has a cgroup namespace */
	const char *cwd; /* made when missing; NULL for none */
	const char *label; /* SELinux context of the file systems made here, or NULL */

	/* open while the plan is applied */
	int root_fd;     /* the root mount */
	bool root_attached;
	bool overlay_late; /* this kernel's overlay needs mount(2): done by the child */
	int overlay_fds[128];
	int null_fd;     /* /dev/null of the host, verified; in the child's mount namespace */
	int userns_fd;   /* for "idmap" without maps of its own: the container's; borrowed */
	int pts_fd;      /* the container's devpts mount, when there is one; borrowed of its entry */
};

void mnt_plan_init(struct mnt_plan *plan, struct arena *a);
void mnt_plan_done(struct mnt_plan *plan);

struct mnt_spec {
	const char *target, *type, *source;
	const char *const *options;
	size_t n_options;
	const struct ns_id_map *uids, *gids;
	size_t n_uids, n_gids;
};

/* Checks and appends. INVALID, UNSUPPORTED. Texts are borrowed. `bundle` is what relative
 * sources count from. */
int mnt_plan_add(struct mnt_plan *plan, const struct mnt_spec *spec, const char *bundle, struct err *err);
/* Checks that hold over all entries: call once, after the last mnt_plan_add. */
int mnt_plan_check(struct mnt_plan *plan, struct err *err);

/* One line an action, in order, as `--dry-run` and `explain` show it. */
int mnt_plan_print(const struct mnt_plan *plan, struct buf *out);

/* Parent. Errors name source and destination. */
int mnt_plan_open(struct mnt_plan *plan, struct err *err);

/* All [child], in this order. */
int mnt_enter(struct mnt_plan *plan, struct err *err);
int mnt_apply(struct mnt_plan *plan, size_t i, struct err *err);
int mnt_apply_devices(struct mnt_plan *plan, struct err *err);
/* Bind of a terminal to /dev/console: fd is a detached mount, or a slave to be cloned. */
int mnt_apply_console(struct mnt_plan *plan, int slave_fd, int detached_fd, struct err *err);
int mnt_apply_masks(struct mnt_plan *plan, struct err *err);
/* Working directory, read-only root. */
int mnt_finish(struct mnt_plan *plan, struct err *err);
int mnt_pivot(struct mnt_plan *plan, struct err *err);
