/*
 * Mounts of type cgroup. [child]
 *
 * The container sees its own cgroup as a bind of the directory that it is in, whether it
 * has a cgroup namespace or not: the same view, and nothing has to wait until the process
 * is inside. Only v2 without a namespace shows the whole hierarchy, since the paths in
 * /proc/self/cgroup start at its root. A container without a cgroup sees an empty directory.
 */
#include "mnt/internal.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int bind_one(const struct mnt_entry *e, const char *path, int target, struct err *err)
{
	const struct mnt_options *o = &e->options;
	int fd = -EBADF, r;

	r = sys_clone_tree(AT_FDCWD, path, 0, &fd);
	if (r < 0)
		return err_sys(err, r, "%s", path);
	r = sys_mount_setattr(fd, 0, o->set | o->rec_set, o->clear | o->rec_clear, MS_PRIVATE, -EBADF);
	if (r == 0)
		r = sys_attach_mount(fd, target);
	close(fd);
	return r < 0 ? err_sys(err, r, "%s", path) : 0;
}

static int apply_v1(struct mnt_plan *plan, struct mnt_entry *e, int target, struct err *err)
{
	static const char *const data[] = { "mode=755" };
	const struct mnt_options *o = &e->options;
	int top = -EBADF, r;

	r = mnt_fs_make("tmpfs", "tmpfs", data, ARRAY_LEN(data), plan->label,
			o->set & ~(uint64_t)MOUNT_ATTR_RDONLY,
			&top, err);
	if (r < 0)
		return r;
	r = sys_attach_mount(top, target);
	if (r < 0) {
		close(top);
		return err_sys(err, r, "attach");
	}
	for (size_t i = 0; r == 0 && i < plan->n_cgroups; i++) {
		const struct mnt_cgroup *c = &plan->cgroups[i];
		int dir = -EBADF;

		if (mkdirat(top, c->name, 0755) < 0) {
			r = err_sys(err, errno, "make %s", c->name);
			break;
		}
		r = sys_open_beneath(top, c->name, O_PATH | O_DIRECTORY, 0, &dir);
		if (r < 0) {
			err_sys(err, r, "open %s", c->name);
			break;
		}
		r = bind_one(e, c->path, dir, err);
		close(dir);
		for (size_t l = 0; r == 0 && l < c->n_links; l++)
			if (symlinkat(c->name, top, c->links[l]) < 0 && errno != EEXIST)
				r = err_sys(err, errno, "link %s", c->links[l]);
	}
	if (r == 0 && o->set & MOUNT_ATTR_RDONLY) {
		r = sys_mount_setattr(top, 0, MOUNT_ATTR_RDONLY, 0, 0, -EBADF);
		if (r < 0)
			err_sys(err, r, "make it read-only");
	}
	close(top);
	return r;
}

/* Whoever has no cgroup has none to see: the host's would tell who else is there. */
static int apply_none(const struct mnt_plan *plan, const struct mnt_entry *e, int target, struct err *err)
{
	static const char *const data[] = { "mode=555", "size=4k" };
	int fd = -EBADF, r;

	r = mnt_fs_make("tmpfs", "tmpfs", data, ARRAY_LEN(data), plan->label,
			e->options.set | MOUNT_ATTR_RDONLY, &fd, err);
	if (r < 0)
		return r;
	r = sys_attach_mount(fd, target);
	close(fd);
	return r < 0 ? err_sys(err, r, "attach") : 0;
}

int mnt_apply_cgroup(struct mnt_plan *plan, struct mnt_entry *e, int target, struct err *err)
{
	int fd = -EBADF, r;

	if (!plan->n_cgroups)
		return apply_none(plan, e, target, err);
	if (!plan->cgroup_v2)
		return apply_v1(plan, e, target, err);
	if (plan->cgroup_own)
		return bind_one(e, plan->cgroups[0].path, target, err);
	r = mnt_fs_make("cgroup2", "cgroup", NULL, 0, NULL, e->options.set | e->options.rec_set, &fd, err);
	if (r < 0)
		return r;
	r = sys_attach_mount(fd, target);
	close(fd);
	return r < 0 ? err_sys(err, r, "attach") : 0;
}
