/* What the files of mnt share among themselves. All [child]. */
#pragma once

#include "mnt/mnt.h"

/* mnt_overlay_open by a process in a mount namespace of its own, whatever the kernel. */
int mnt_overlay_open_beside(const struct mnt_overlay *o, int *ret_fd, struct err *err);

/* O_PATH descriptor of an entry's target, made when it is missing. */
int mnt_target_open(struct mnt_plan *plan, const struct mnt_entry *e, int *ret_fd, struct err *err);

/* The link of an MNT_LINK entry, made unless the same is there. */
int mnt_link_make(struct mnt_plan *plan, const struct mnt_entry *e, struct err *err);

/* A new file system of that type as a detached mount. data as in fsconfig(2). */
int mnt_fs_make(const char *type, const char *source, const char *const *data, size_t n, const char *label,
		uint64_t attrs, int *ret_fd, struct err *err);

/* "context=…" and its kin, into a file system that is being configured. */
int mnt_fs_label(int fs, const char *label);

/* Copies what the directory target holds into a new mount, which is not attached yet. */
int mnt_copy_up(int target, int mount, struct err *err);

int mnt_apply_cgroup(struct mnt_plan *plan, struct mnt_entry *e, int target, struct err *err);

/* Where a mount is looked up relative to: a mount of proc or sysfs kept open, if path lies
 * below one; *path then is the rest. */
int mnt_pseudo_base(const struct mnt_plan *plan, const char **path);
