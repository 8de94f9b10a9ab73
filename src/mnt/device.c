/*
 * /dev: nodes, links, the terminal. [child]
 *
 * Nodes are made by mknod in the container's own /dev. Where the kernel does not allow
 * that (a user namespace), the host's node is bound over an empty file, after its number
 * was compared: a node of another device under that name is refused, not bound.
 */
#include "mnt/internal.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int bind_device(struct mnt_plan *plan, const struct mnt_device *d, struct err *err)
{
	int target = -EBADF, source, fd = -EBADF, r;
	struct stat st;

	/* the host's path: this process still has the old root */
	source = open(d->path, O_PATH | O_CLOEXEC);
	if (source < 0)
		return err_sys(err, errno, "open the host's");
	if (fstat(source, &st) < 0 || (st.st_mode & S_IFMT) != d->type ||
	    st.st_rdev != makedev(d->major, d->minor)) {
		close(source);
		return err_set(err, ERR_INVALID, "the host's is not device %u:%u", d->major, d->minor);
	}
	r = sys_clone_tree(source, "", 0, &fd);
	close(source);
	if (r < 0)
		return err_sys(err, r, "clone the host's");
	r = sys_mkfile_in(plan->root_fd, d->path, 0755, 0644, &target);
	if (r == 0) {
		r = sys_attach_mount(fd, target);
		close(target);
	}
	close(fd);
	return r < 0 ? err_sys(err, r, "bind") : 0;
}

/* The directory of path, made if missing, as a descriptor; *ret_name is its last part. */
static int open_parent(struct mnt_plan *plan, const char *path, int *ret_dir, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char parent[256];
	int r;

	if ((size_t)(slash - path) >= sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, path, (size_t)(slash - path));
	parent[slash - path] = '\0';
	*ret_name = slash + 1;
	r = sys_open_in(plan->root_fd, parent, O_PATH | O_DIRECTORY, 0, ret_dir);
	return r == -ENOENT ? sys_mkdir_in(plan->root_fd, parent, 0755, ret_dir) : r;
}

static int make_device(struct mnt_plan *plan, const struct mnt_device *d, int dev_fd, struct err *err)
{
	const char *name = str_skip_prefix(d->path, "/dev/");
	int dir = dev_fd, r;
	struct stat st;

	if (plan->bind_devices)
		return bind_device(plan, d, err);
	if (!name || strchr(name, '/')) {
		r = open_parent(plan, d->path, &dir, &name);
		if (r < 0)
			return err_sys(err, r, "open its directory");
	}
	r = mknodat(dir, name, d->type | d->mode, makedev(d->major, d->minor)) < 0 ? -errno : 0;
	if (r == 0 && (d->uid || d->gid) && fchownat(dir, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == -EEXIST) {
		/* what is there already must be the same device, not a link to another */
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & S_IFMT) == d->type &&
		    (S_ISFIFO(d->type) || st.st_rdev == makedev(d->major, d->minor)))
			r = 0;
	}
	if (dir != dev_fd)
		close(dir);
	if (r == -EPERM)
		return bind_device(plan, d, err);
	return r < 0 ? err_sys(err, r, "make the node") : 0;
}

static int make_links(int dev, bool pts, struct err *err)
{
	static const struct {
		const char *name, *to;
	} links[] = {
		{ "fd", "/proc/self/fd" },         { "stdin", "/proc/self/fd/0" },
		{ "stdout", "/proc/self/fd/1" },   { "stderr", "/proc/self/fd/2" },
		{ "core", "/proc/kcore" },         { "ptmx", "pts/ptmx" },
	};

	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		if (i == ARRAY_LEN(links) - 1 && !pts)
			continue;
		if (symlinkat(links[i].to, dev, links[i].name) < 0 && errno != EEXIST)
			return err_sys(err, errno, "link /dev/%s", links[i].name);
	}
	return 0;
}

int mnt_apply_devices(struct mnt_plan *plan, struct err *err)
{
	int dev = -EBADF, r;

	if (!plan->setup_dev)
		return 0;
	r = sys_open_in(plan->root_fd, "/dev", O_PATH | O_DIRECTORY, 0, &dev);
	if (r == -ENOENT)
		r = sys_mkdir_in(plan->root_fd, "/dev", 0755, &dev);
	if (r < 0)
		return err_sys(err, r, "/dev");
	for (size_t i = 0; r == 0 && i < plan->n_devices; i++) {
		r = make_device(plan, &plan->devices[i], dev, err);
		if (r < 0)
			err_wrap(err, r, "device %s", plan->devices[i].path);
	}
	if (r == 0)
		r = make_links(dev, plan->pts_fd >= 0, err);
	close(dev);
	return r;
}

/* /dev/console itself, never what a link of that name leads to (CVE-2025-52565). */
static int open_console(struct mnt_plan *plan, int *ret)
{
	int dev = -EBADF, made = -EBADF, r;

	r = sys_open_in(plan->root_fd, "/dev", O_PATH | O_DIRECTORY, 0, &dev);
	if (r < 0)
		return r;
	r = sys_open_beneath(dev, "console", O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0600, &made);
	if (r == 0)
		close(made);
	if (r == 0 || r == -EEXIST)
		r = sys_open_beneath(dev, "console", O_PATH, 0, ret);
	close(dev);
	return r;
}

int mnt_apply_console(struct mnt_plan *plan, int slave_fd, int detached_fd, struct err *err)
{
	int target = -EBADF, fd = detached_fd, r;

	if (slave_fd >= 0) {
		r = sys_clone_tree(slave_fd, "", 0, &fd);
		if (r < 0)
			return err_sys(err, r, "/dev/console: clone the terminal");
	}
	r = open_console(plan, &target);
	if (r == 0) {
		r = sys_attach_mount(fd, target);
		close(target);
	}
	if (slave_fd >= 0)
		close(fd);
	return r < 0 ? err_sys(err, r, "/dev/console") : 0;
}
