/*
 * Masks, the last attributes of the root, and leaving the old tree. [child]
 */
#include "mnt/internal.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

int mnt_pseudo_base(const struct mnt_plan *plan, const char **path)
{
	for (size_t i = 0; i < plan->n_entries; i++) {
		const struct mnt_entry *e = &plan->entries[i];
		const char *rest = e->pseudo && e->fd >= 0 ? str_skip_prefix(*path, e->target) : NULL;

		if (rest && *rest == '/') {
			*path = rest;
			return e->fd;
		}
	}
	return -EBADF;
}

/* 1: there is nothing at path, which is fine. */
static int open_to_cover(const struct mnt_plan *plan, const char *path, int *ret_fd)
{
	int base = mnt_pseudo_base(plan, &path), r;

	/* within proc and sysfs no name that is worth masking is a link */
	if (base >= 0)
		r = sys_open_beneath(base, path, O_PATH | O_NOFOLLOW, 0, ret_fd);
	else
		r = sys_open_in(plan->root_fd, path, O_PATH, 0, ret_fd);
	return r == -ENOENT || r == -ENOTDIR ? 1 : r;
}

static int check_null(int fd, struct err *err)
{
	struct stat st;

	/* a /dev/null that is something else would unmask what it covers (CVE-2025-31133) */
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "/dev/null");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return err_set(err, ERR_DENIED, "the host's /dev/null is not the null device");
	return 0;
}

static int mask(struct mnt_plan *plan, const char *path, int *empty_fd, struct err *err)
{
	int target = -EBADF, fd = -EBADF, r;
	struct stat st;

	r = open_to_cover(plan, path, &target);
	if (r == 1)
		return 0;
	if (r < 0)
		return err_sys(err, r, "open");
	if (fstat(target, &st) < 0) {
		r = err_sys(err, errno, "stat");
	} else if (S_ISDIR(st.st_mode)) {
		static const char *const data[] = { "nr_inodes=2", "size=0", "mode=755" };

		/* one empty directory serves all masked directories */
		if (*empty_fd < 0)
			r = mnt_fs_make("tmpfs", "tmpfs", data, 1, plan->label,
					MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
					MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &fd, err);
		else
			r = sys_clone_tree(*empty_fd, "", 0, &fd);
		if (r < 0 && *empty_fd >= 0)
			err_sys(err, r, "clone the empty directory");
	} else {
		r = sys_clone_tree(plan->null_fd, "", 0, &fd);
		if (r < 0)
			err_sys(err, r, "clone /dev/null");
	}
	if (r == 0) {
		r = sys_attach_mount(fd, target);
		if (r < 0)
			err_sys(err, r, "attach");
	}
	close(target);
	if (r == 0 && S_ISDIR(st.st_mode) && *empty_fd < 0)
		*empty_fd = fd;
	else if (fd >= 0)
		close(fd);
	return r;
}

static int make_readonly(struct mnt_plan *plan, const char *path, struct err *err)
{
	int target = -EBADF, fd = -EBADF, r;

	r = open_to_cover(plan, path, &target);
	if (r == 1)
		return 0;
	if (r < 0)
		return err_sys(err, r, "open");
	r = sys_clone_tree(target, "", AT_RECURSIVE, &fd);
	if (r == 0)
		r = sys_mount_setattr(fd, 0, MOUNT_ATTR_RDONLY, 0, 0, -EBADF);
	if (r == 0)
		r = sys_attach_mount(fd, target);
	close(target);
	if (fd >= 0)
		close(fd);
	return r < 0 ? err_sys(err, r, "cover it by itself") : 0;
}

int mnt_apply_masks(struct mnt_plan *plan, struct err *err)
{
	int empty = -EBADF, r = 0;

	for (size_t i = 0; r == 0 && i < plan->n_readonly; i++) {
		r = make_readonly(plan, plan->readonly[i], err);
		if (r < 0)
			err_wrap(err, r, "read-only path %s", plan->readonly[i]);
	}
	if (r == 0 && plan->n_masked)
		r = check_null(plan->null_fd, err);
	for (size_t i = 0; r == 0 && i < plan->n_masked; i++) {
		r = mask(plan, plan->masked[i], &empty, err);
		if (r < 0)
			err_wrap(err, r, "masked path %s", plan->masked[i]);
	}
	if (empty >= 0)
		close(empty);
	return r;
}

int mnt_finish(struct mnt_plan *plan, struct err *err)
{
	int fd = -EBADF, r;

	if (plan->cwd) {
		r = sys_open_in(plan->root_fd, plan->cwd, O_PATH | O_DIRECTORY, 0, &fd);
		if (r == -ENOENT)
			r = sys_mkdir_in(plan->root_fd, plan->cwd, 0755, &fd);
		/* any other trouble with it is for whoever changes into it */
		if (r == 0)
			close(fd);
	}
	if (!plan->root_readonly)
		return 0;
	r = sys_mount_setattr(plan->root_fd, 0, MOUNT_ATTR_RDONLY, 0, 0, -EBADF);
	return r < 0 ? err_sys(err, r, "rootfs: make it read-only") : 0;
}

/* The root's own propagation. Not that of the mounts on it, which have said theirs, and not
 * before the pivot, which takes no shared root. */
static int set_propagation(struct mnt_plan *plan, struct err *err)
{
	int r = 0;

	if (plan->propagation)
		r = sys_mount_setattr(plan->root_fd, 0, 0, 0, plan->propagation, -EBADF);
	return r < 0 ? err_sys(err, r, "rootfs: set its propagation") : 0;
}

int mnt_pivot(struct mnt_plan *plan, struct err *err)
{
	if (fchdir(plan->root_fd) < 0)
		return err_sys(err, errno, "change into the root");
	if (plan->no_pivot) {
		/* an initramfs can't be pivoted away; our root is over it already (mnt_enter) */
		if (chroot(".") < 0)
			return err_sys(err, errno, "chroot");
	} else {
		/* both the same: the old root ends up on top of the new one, from where it is taken
		 * off (pivot_root(2), notes); no directory for it is needed inside */
		if (syscall(SYS_pivot_root, ".", ".") < 0)
			return err_sys(err, errno, "pivot_root");
		if (umount2(".", MNT_DETACH) < 0)
			return err_sys(err, errno, "take the old root off");
	}
	if (chdir("/") < 0)
		return err_sys(err, errno, "change into the root");
	return set_propagation(plan, err);
}
