/*
 * Targets: from a path of the container to a descriptor, walked once. [child]
 */
#include "mnt/internal.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* proc and sysfs: real directories all the way, since masks below them are meant for the
 * place where the name says they are (CVE-2019-19921, CVE-2023-27561). */
static int open_plain(struct mnt_plan *plan, const char *target, int *ret_fd, struct err *err)
{
	int made = -EBADF, r;

	r = sys_open_beneath(plan->root_fd, target, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, ret_fd);
	if (r == -ENOENT) {
		r = sys_mkdir_in(plan->root_fd, target, 0755, &made);
		if (r < 0)
			return err_sys(err, r, "make the directory");
		close(made);
		r = sys_open_beneath(plan->root_fd, target, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, ret_fd);
	}
	if (r == -ELOOP || r == -ENOTDIR || r == -EXDEV)
		return err_sys(err, r, "the target must be an ordinary directory, reached through no link");
	return r < 0 ? err_sys(err, r, "open the target") : 0;
}

static int refuse_procfs(int fd, struct err *err)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return 0;
	return err_set(err, ERR_INVALID, "the target leads into procfs");
}

int mnt_link_make(struct mnt_plan *plan, const struct mnt_entry *e, struct err *err)
{
	const char *name = strrchr(e->target, '/') + 1;
	char parent[PATH_MAX], there[PATH_MAX];
	autofd int dir = -EBADF;
	ssize_t n;
	int r;

	if ((size_t)(name - e->target) > sizeof(parent))
		return err_sys(err, ENAMETOOLONG, "open the target");
	memcpy(parent, e->target, (size_t)(name - e->target) - 1);
	parent[name - e->target - 1] = '\0';
	r = sys_mkdir_in(plan->root_fd, parent, 0755, &dir);
	if (r < 0)
		return err_sys(err, r, "make the directory");
	r = refuse_procfs(dir, err);
	if (r < 0 || symlinkat(e->link, dir, name) == 0)
		return r;
	if (errno != EEXIST)
		return err_sys(err, errno, "make the link");
	n = readlinkat(dir, name, there, sizeof(there));
	if (n < 0 || (size_t)n != strlen(e->link) || memcmp(there, e->link, (size_t)n) != 0)
		return err_sys(err, EEXIST, "make the link to %s", e->link);
	return 0;
}

int mnt_target_open(struct mnt_plan *plan, const struct mnt_entry *e, int *ret_fd, struct err *err)
{
	int r;

	if (e->pseudo)
		return open_plain(plan, e->target, ret_fd, err);
	r = sys_open_in(plan->root_fd, e->target, O_PATH | (e->options.target_link ? O_NOFOLLOW : 0), 0,
			ret_fd);
	if (r == -ENOENT && e->kind != MNT_REMOUNT) {
		if ((e->kind == MNT_BIND || e->kind == MNT_OVERLAY) && !e->is_dir)
			r = sys_mkfile_in(plan->root_fd, e->target, 0755, 0644, ret_fd);
		else
			r = sys_mkdir_in(plan->root_fd, e->target, 0755, ret_fd);
	}
	if (r < 0)
		return err_sys(err, r, "open the target");
	/* by name the plan has checked this already; a link in the rootfs may lead there too */
	if (str_skip_prefix(e->target, "/proc/") || e->kind == MNT_REMOUNT)
		return 0;
	r = refuse_procfs(*ret_fd, err);
	if (r < 0)
		fd_drop(ret_fd);
	return r;
}
