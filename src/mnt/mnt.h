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
	const char *idmap_maps; /* "uids=0-1-10;gids=0-1-10", or NULL: mnt_idmap_parse */
	/* a link is what is meant, not what it leads to: made again at the target (if the source is
	 * one), bound as the source, mounted over at the target */
	bool copy_link, source_link, target_link;
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

/*
 * The maps of "idmap=uids=INSIDE-OUTSIDE-SIZE#…;gids=…", as crun has them. A range that begins with
 * "@" counts OUTSIDE from the ids of the container's own user namespace, whose maps are `own`.
 * INVALID. In the arena; pure; hostile.
 */
struct mnt_idmap {
	const struct ns_id_map *uids, *gids;
	size_t n_uids, n_gids;
};
int mnt_idmap_parse(const char *text, const struct mnt_idmap *own, struct arena *a, struct mnt_idmap *ret,
		    struct err *err);

/* ---- overlays ----------------------------------------------------------------------- */

/* What overlay stacks at most (fs/overlayfs, OVL_MAX_STACK). */
enum { MNT_LOWERS_MAX = 500 };

struct mnt_overlay {
	const char *const *lowers;  /* top first, absolute; up to 500 */
	size_t n_lowers;
	const char *upper, *work;   /* NULL both: read-only */
	bool is_volatile;           /* no sync of the upper directory, ever (Linux 5.10) */
	const char *label;          /* SELinux context as a mount option ("context=…"), or NULL */
	uint64_t attrs;             /* MOUNT_ATTR_* of the mount */
	int userns_fd;              /* the lowers are seen through its maps (idmapped); -EBADF: as they are.
				     * The upper directory belongs to the mapped ids already. */
	const char *subdir;         /* this directory or file of it alone; NULL or "": the whole */
};

#define MNT_OVERLAY_INIT { .userns_fd = -EBADF }

/*
 * A detached mount of it; nothing shows in any mount table. Any process with the privileges
 * of a mount, not a [child]; may clone a process that shares its descriptors, so a threaded
 * one sets neither userns_fd nor subdir on a kernel before 6.15. Linux 6.5 and later; before, a
 * root overlay is made by the child (mnt_enter), without id maps. Errors name the layer or
 * the sub path: UNSUPPORTED where the layers' file system has no idmapped mounts, NOT_FOUND
 * for a sub path that is not there. The sub path is hostile, and so are links in the layers:
 * it is resolved with the overlay as "/".
 */
int mnt_overlay_open(const struct mnt_overlay *o, int *ret_fd, struct err *err);

/*
 * The options of an overlay: 1 with *ret in the arena; 0 where they say what struct
 * mnt_overlay cannot, which is then for the kernel; negative for what is no overlay. Layers:
 * "lowerdir=" as in overlayfs.rst, or one "lowerdir+=" a layer, topmost first, as fsconfig has
 * it. "X-mount.subdir=" as in mount(8). Pure; hostile.
 */
int mnt_overlay_parse(const char *const *data, size_t n, struct arena *a, const struct mnt_overlay **ret,
		      struct err *err);

/* ---- the plan ----------------------------------------------------------------------- */

enum mnt_kind {
	MNT_BIND, MNT_FS, MNT_OVERLAY, MNT_CGROUP, MNT_REMOUNT,
	MNT_LINK, /* no mount: a symbolic link is made */
};

struct mnt_entry {
	enum mnt_kind kind;
	const char *target, *type, *source;
	struct mnt_options options;
	const char *link;                    /* of MNT_LINK: what is in it */
	const struct mnt_overlay *overlay;   /* of MNT_OVERLAY: made by the parent, as the root's is */
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
	const struct ns_id_map *lower_uids, *lower_gids; /* the lowers are idmapped; n 0: they are not */
	size_t n_lower_uids, n_lower_gids;
	bool is_volatile;
	bool root_readonly, no_pivot;
	uint64_t propagation; /* of the container's root; 0: slave */
	bool propagation_rec; /* said so; holds for what is mounted without a word of its own */

	struct mnt_entry *entries;
	size_t n_entries, cap_entries;
	const struct mnt_device *devices;
	size_t n_devices;
	bool setup_dev; /* default links, ptmx: /dev is the container's own */
	struct mnt_idmap own; /* the maps of the container's user namespace, where it makes one */
	bool bind_devices; /* mknod is not possible: user namespace */
	const char *const *masked, *const *readonly;
	size_t n_masked, n_readonly;
	const struct mnt_cgroup *cgroups;
	size_t n_cgroups;
	bool cgroup_v2, cgroup_own; /* own: the container has a cgroup namespace */
	const char *cwd; /* made when missing; NULL for none */
	const char *label; /* SELinux context of the file systems made here: "context=…", or NULL */

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
/* The mounts alone: for a root that is there already, as root_fd. Then mnt_apply for each [child]. */
int mnt_plan_open_entries(struct mnt_plan *plan, struct err *err);

/* All [child], in this order. */
int mnt_enter(struct mnt_plan *plan, struct err *err);
/* The same with the root attached at a directory instead of over "/": for a tree that is
 * only looked at. An overlay of an old kernel is mounted on the plan's root, whatever `at`. */
int mnt_enter_at(struct mnt_plan *plan, int at, struct err *err);
int mnt_apply(struct mnt_plan *plan, size_t i, struct err *err);
int mnt_apply_devices(struct mnt_plan *plan, struct err *err);
/* Bind of a terminal to /dev/console: fd is a detached mount, or a slave to be cloned. */
int mnt_apply_console(struct mnt_plan *plan, int slave_fd, int detached_fd, struct err *err);
int mnt_apply_masks(struct mnt_plan *plan, struct err *err);
/* Working directory, read-only root. */
int mnt_finish(struct mnt_plan *plan, struct err *err);
int mnt_pivot(struct mnt_plan *plan, struct err *err);
