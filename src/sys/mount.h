/*
 * The descriptor-based mount API (fsopen(2), open_tree(2), move_mount(2),
 * mount_setattr(2)). A mount is made detached, configured, and only then attached to a
 * target that is itself a descriptor, so no path of the container is looked up twice.
 * All [child].
 */
#pragma once

#include <linux/mount.h>
#include <stdint.h>

/* A configuration context of a file system type. */
int sys_fsopen(const char *type, int *ret_fd);
/* One option: key=value, or a flag when value is NULL. */
int sys_fsconfig(int fsfd, const char *key, const char *value);
/* FSCONFIG_CMD_CREATE, then fsmount: a detached mount with MOUNT_ATTR_* attrs. */
int sys_fsmount(int fsfd, uint64_t attrs, int *ret_fd);
/* The kernel's own words about the last failure of this context ("e overlay: …"), or "". */
void sys_fs_message(int fsfd, char *out, unsigned long size);

/* OPEN_TREE_CLONE, recursive with AT_RECURSIVE: a detached copy of the tree at path. */
int sys_clone_tree(int dirfd, const char *path, unsigned flags, int *ret_fd);
/* Attaches a detached mount on the target descriptor (O_PATH). */
int sys_attach_mount(int mntfd, int targetfd);
/* set and clear are MOUNT_ATTR_*; propagation MS_SHARED…, 0 to leave; userns_fd < 0 for no idmap. */
int sys_mount_setattr(int mntfd, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation,
		      int userns_fd);

/* umount2(2). This header hides libc's <sys/mount.h> from our files, so the flags are here. */
enum { SYS_UMOUNT_DETACH = 2, SYS_UMOUNT_NOFOLLOW = 8 };
int sys_umount(const char *path, int flags);
