/*
 * The child's part: new file systems are made and everything is attached, in the order of
 * the plan. [child]: no allocation, no locks; the process has one thread and a mount
 * namespace of its own.
 */
#include "mnt/internal.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

int mnt_fs_label(int fs, const char *label)
{
	const char *eq = strchr(label, '=');
	char key[16];

	if (!eq || (size_t)(eq - label) >= sizeof(key))
		return -EINVAL;
	memcpy(key, label, (size_t)(eq - label));
	key[eq - label] = '\0';
	return sys_fsconfig(fs, key, eq + 1);
}

int mnt_fs_make(const char *type, const char *source, const char *const *data, size_t n, const char *label,
		uint64_t attrs, int *ret_fd, struct err *err)
{
	int fs = -EBADF, r;

	r = sys_fsopen(type, &fs);
	if (r < 0)
		return err_sysk(err, r == -ENODEV ? ERR_UNSUPPORTED : err_kind_of(r), r, "file system %s",
				type);
	if (!str_empty(source))
		sys_fsconfig(fs, "source", source);
	for (size_t i = 0; i < n; i++) {
		char key[256], why[256];
		const char *eq = strchr(data[i], '=');
		size_t len = eq ? (size_t)(eq - data[i]) : strlen(data[i]);

		memcpy(key, data[i], len);
		key[len] = '\0';
		r = sys_fsconfig(fs, key, eq ? eq + 1 : NULL);
		if (r < 0) {
			sys_fs_message(fs, why, sizeof(why));
			r = err_sysk(err, ERR_INVALID, r, "option \"%s\"%s%s", data[i], *why ? ": " : "",
				     why);
			close(fs);
			return r;
		}
	}
	if (label) {
		r = mnt_fs_label(fs, label);
		if (r < 0) {
			close(fs);
			return err_sys(err, r, "option %s", label);
		}
	}
	r = sys_fsmount(fs, attrs, ret_fd);
	if (r < 0) {
		char why[256];

		sys_fs_message(fs, why, sizeof(why));
		r = err_sys(err, r, "%s%s%s", type, *why ? ": " : "", why);
	}
	close(fs);
	return r;
}

/*
 * A late overlay (kernels before 6.5): mount(2) on the host's "/" would shadow what is still
 * needed, so it goes on the directory that the specification calls the root. Layers are
 * named by descriptors, which keeps the one page of options long enough for all of them;
 * overlay takes only directories of the mount namespace it is mounted in, so they are
 * opened here.
 */
static int mount_late_overlay(struct mnt_plan *plan, struct err *err)
{
	char data[4096];
	size_t len = sizeof("lowerdir=") - 1;

	memcpy(data, "lowerdir=", len);
	for (size_t i = 0; i < plan->n_lowers; i++) {
		plan->overlay_fds[i] = open(plan->lowers[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (plan->overlay_fds[i] < 0)
			return err_sys(err, errno, "layer %s", plan->lowers[i]);
		if (i)
			data[len++] = ':';
		sys_fd_path(plan->overlay_fds[i], data + len);
		len += strlen(data + len);
		if (len + SYS_FD_PATH_MAX + 1 >= sizeof(data))
			return err_set(err, ERR_LIMIT, "too many layers for this kernel's overlay");
	}
	data[len] = '\0';
	if (plan->upper) {
		static const char *const words[] = { ",upperdir=", NULL, ",workdir=", NULL, ",index=off",
						     ",volatile" };

		for (size_t i = 0; i < ARRAY_LEN(words); i++) {
			const char *w = i == 1 ? plan->upper : i == 3 ? plan->work : words[i];

			if (i == 5 && !plan->is_volatile)
				continue;
			/* a comma or colon in a path would end it; our own stores have none */
			if ((i == 1 || i == 3) && strpbrk(w, ",:\\"))
				return err_set(err, ERR_UNSUPPORTED,
					       "%s: this kernel's overlay takes no such "
					       "character in a path", w);
			if (len + strlen(w) + 1 >= sizeof(data))
				return err_set(err, ERR_LIMIT, "overlay: paths are too long");
			memcpy(data + len, w, strlen(w) + 1);
			len += strlen(w);
		}
	}
	if (mount("overlay", plan->root, "overlay", 0, data) < 0)
		return err_sys(err, errno, "overlay on %s", plan->root);
	plan->root_fd = open(plan->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return plan->root_fd < 0 ? err_sys(err, errno, "%s", plan->root) : 0;
}

static int enter(struct mnt_plan *plan, int at, struct err *err)
{
	int r;

	/* nothing of what follows may travel back to where this namespace was copied from */
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return err_sys(err, errno, "make the mount namespace private");
	plan->null_fd = open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (plan->null_fd < 0)
		return err_sys(err, errno, "/dev/null");
	if (plan->overlay_late)
		return mount_late_overlay(plan, err);
	r = sys_attach_mount(plan->root_fd, at);
	return r < 0 ? err_sys(err, r, "attach the root") : 0;
}

int mnt_enter_at(struct mnt_plan *plan, int at, struct err *err)
{
	int r = enter(plan, at, err);

	if (r < 0)
		return err_wrap(err, r, "rootfs");
	plan->root_attached = true;
	return 0;
}

int mnt_enter(struct mnt_plan *plan, struct err *err)
{
	int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), r;

	if (top < 0)
		return err_wrap(err, err_sys(err, errno, "/"), "rootfs");
	r = mnt_enter_at(plan, top, err);
	close(top);
	return r;
}

static int apply_fs(struct mnt_plan *plan, struct mnt_entry *e, int target, struct err *err)
{
	const struct mnt_options *o = &e->options;
	uint64_t attrs = o->set | o->rec_set;
	int fd = -EBADF, r;

	r = mnt_fs_make(e->type, e->source, o->data, o->n_data,
			e->pseudo || str_eq(e->type, "mqueue") ? NULL : plan->label,
			o->copy_up ? attrs & ~(uint64_t)MOUNT_ATTR_RDONLY : attrs, &fd, err);
	if (r == 0 && o->copy_up)
		r = mnt_copy_up(target, fd, err);
	if (r == 0 && o->copy_up && attrs & MOUNT_ATTR_RDONLY) {
		r = sys_mount_setattr(fd, 0, MOUNT_ATTR_RDONLY, 0, 0, -EBADF);
		if (r < 0)
			err_sys(err, r, "make it read-only");
	}
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	if (o->propagation) {
		r = sys_mount_setattr(fd, 0, 0, 0, o->propagation, -EBADF);
		if (r < 0) {
			close(fd);
			return err_sys(err, r, "set its propagation");
		}
	}
	r = sys_attach_mount(fd, target);
	if (r < 0) {
		close(fd);
		return err_sys(err, r, "attach");
	}
	/* kept: masks are walked from it, and terminals are made in it */
	e->fd = fd;
	if (str_eq(e->type, "devpts") && plan->pts_fd < 0)
		plan->pts_fd = fd;
	return 0;
}

static int apply_overlay(struct mnt_entry *e, int target, struct err *err)
{
	int r = 0;

	if (e->options.propagation)
		r = sys_mount_setattr(e->fd, 0, 0, 0, e->options.propagation, -EBADF);
	if (r < 0)
		return err_sys(err, r, "set its propagation");
	r = sys_attach_mount(e->fd, target);
	close(e->fd);
	e->fd = -EBADF;
	return r < 0 ? err_sys(err, r, "attach") : 0;
}

static int apply_remount(struct mnt_entry *e, int target, struct err *err)
{
	const struct mnt_options *o = &e->options;
	int r;

	r = sys_mount_setattr(target, 0, o->set, o->clear, o->propagation, -EBADF);
	if (r == 0 && (o->rec_set || o->rec_clear))
		r = sys_mount_setattr(target, AT_RECURSIVE, o->rec_set, o->rec_clear, 0, -EBADF);
	if (r == -EINVAL)
		return err_sys(err, r, "remount (is something mounted there?)");
	return r < 0 ? err_sys(err, r, "remount") : 0;
}

static int apply(struct mnt_plan *plan, struct mnt_entry *e, struct err *err)
{
	int target = -EBADF, r;

	if (e->kind == MNT_LINK)
		return mnt_link_make(plan, e, err);
	r = mnt_target_open(plan, e, &target, err);
	if (r < 0)
		return r;
	switch (e->kind) {
	case MNT_BIND:
		r = sys_attach_mount(e->fd, target);
		if (r < 0)
			err_sys(err, r, "attach");
		close(e->fd);
		e->fd = -EBADF;
		break;
	case MNT_OVERLAY: r = apply_overlay(e, target, err); break;
	case MNT_FS: r = apply_fs(plan, e, target, err); break;
	case MNT_CGROUP: r = mnt_apply_cgroup(plan, e, target, err); break;
	case MNT_REMOUNT: r = apply_remount(e, target, err); break;
	case MNT_LINK: break;
	}
	close(target);
	return r;
}

int mnt_apply(struct mnt_plan *plan, size_t i, struct err *err)
{
	int r = apply(plan, &plan->entries[i], err);

	return r < 0 ? err_wrap(err, r, "mount %s", plan->entries[i].target) : 0;
}
