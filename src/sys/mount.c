#include "sys/mount.h"

#include "base/mem.h"

#include <fcntl.h>
#include <sys/syscall.h>

static int done(long r, int *ret_fd)
{
	if (r < 0)
		return -errno;
	*ret_fd = (int)r;
	return 0;
}

int sys_fsopen(const char *type, int *ret_fd)
{
	return done(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), ret_fd);
}

int sys_fsconfig(int fsfd, const char *key, const char *value)
{
	long r = value ? syscall(SYS_fsconfig, fsfd, FSCONFIG_SET_STRING, key, value, 0) :
			 syscall(SYS_fsconfig, fsfd, FSCONFIG_SET_FLAG, key, NULL, 0);

	return r < 0 ? -errno : 0;
}

int sys_fsmount(int fsfd, uint64_t attrs, int *ret_fd)
{
	if (syscall(SYS_fsconfig, fsfd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	return done(syscall(SYS_fsmount, fsfd, FSMOUNT_CLOEXEC, attrs), ret_fd);
}

void sys_fs_message(int fsfd, char *out, unsigned long size)
{
	ssize_t n;

	/* one message a read; the last one is the failure */
	out[0] = '\0';
	for (int i = 0; i < 16; i++) {
		char line[512];

		n = read(fsfd, line, sizeof(line) - 1);
		if (n <= 0)
			return;
		line[n] = '\0';
		if (n > 2 && line[1] == ' ' && (unsigned long)n < size) {
			memcpy(out, line + 2, (size_t)n - 1);
			if (n > 2 && out[n - 3] == '\n')
				out[n - 3] = '\0';
		}
	}
}

int sys_clone_tree(int dirfd, const char *path, unsigned flags, int *ret_fd)
{
	return done(syscall(SYS_open_tree, dirfd, path,
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | flags), ret_fd);
}

int sys_attach_mount(int mntfd, int targetfd)
{
	return syscall(SYS_move_mount, mntfd, "", targetfd, "",
		       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ? -errno : 0;
}

int sys_mount_setattr(int mntfd, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation,
		      int userns_fd)
{
	struct mount_attr attr = {
		.attr_set = set | (userns_fd >= 0 ? MOUNT_ATTR_IDMAP : 0),
		.attr_clr = clear,
		.propagation = propagation,
		.userns_fd = userns_fd >= 0 ? (uint64_t)userns_fd : 0,
	};

	return syscall(SYS_mount_setattr, mntfd, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr)) < 0 ?
		       -errno : 0;
}

int sys_umount(const char *path, int flags)
{
	return syscall(SYS_umount2, path, flags) < 0 ? -errno : 0;
}
