/*
 * An overlay as a detached mount, several hundred layers deep, its layers idmapped where a
 * user namespace wants it, or one directory of it alone.
 *
 * Layers are idmapped by a detached clone of the directory that holds them: one mount for
 * all layers of a store, and no file is copied or changed. The overlay makes private clones
 * of its layers when it is created, so the descriptors are closed at once.
 *
 * Before Linux 6.15 a detached mount serves neither as a layer nor as the source of another
 * clone: it has to be attached in the mount namespace of whoever asks. There a process that
 * shares our descriptors does it in a mount namespace of its own, which ends with it; what
 * it leaves is the descriptor. The host's mount table sees none of this.
 */
#include "mnt/internal.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { FSCONFIG_STRING_MAX = 255 };

/* A directory that holds layers, cloned and idmapped. */
struct mapped {
	const char *dir;
	size_t len;
	int fd;
};

struct making {
	const struct mnt_overlay *o;
	int top;               /* where to attach what must be attached; negative: nowhere */
	struct mapped *mapped;
	size_t n_mapped;
	struct err *err;
};

/*
 * Asked before the kernel is given anything to do: an overlay that fails for its layers has already
 * left "volatile" in its workdir, where no second one is made.
 */
static int serves_detached(int mount)
{
	autofd int clone = -EBADF;

	return sys_clone_tree(mount, "", 0, &clone);
}

static int map_dir(struct making *m, const char *dir, size_t len, int *ret_fd)
{
	autofree char *path = len ? mem_printf("%.*s", (int)len, dir) : mem_strdup("/");
	autofd int fd = -EBADF;
	int r;

	for (size_t i = 0; i < m->n_mapped; i++)
		if (m->mapped[i].len == len && memcmp(m->mapped[i].dir, dir, len) == 0) {
			*ret_fd = m->mapped[i].fd;
			return 0;
		}
	r = sys_clone_tree(AT_FDCWD, path, 0, &fd);
	if (r < 0)
		return err_sys(m->err, r, "layers in %s", path);
	r = sys_mount_setattr(fd, 0, 0, 0, MS_PRIVATE, m->o->userns_fd);
	if (r < 0)
		return err_sysk(m->err, r == -EINVAL ? ERR_UNSUPPORTED : err_kind_of(r), r,
				"idmap the layers in %s (their file system must support it)", path);
	if (m->top >= 0 && (r = sys_attach_mount(fd, m->top)) < 0)
		return err_sys(m->err, r, "attach the idmapped layers in %s", path);
	if (m->top < 0 && (r = serves_detached(fd)) < 0)
		return err_sys(m->err, r, "layers in %s as a detached mount", path);
	m->mapped = mem_grow(m->mapped, m->n_mapped + 1, sizeof(*m->mapped));
	m->mapped[m->n_mapped++] = (struct mapped){ dir, len, *ret_fd = take_fd(&fd) };
	return 0;
}

/* What fsconfig takes for the directory; *fd is to be kept open until it has. */
static int short_path(struct making *m, const char *path, bool lower, char out[FSCONFIG_STRING_MAX + 1],
		      int *fd)
{
	const char *slash = strrchr(path, '/');
	int dir = -EBADF, r;

	if (!slash || !slash[1])
		return err_set(m->err, ERR_INVALID, "\"%s\" is no absolute path of a directory", path);
	if (lower && m->o->userns_fd >= 0) {
		r = map_dir(m, path, (size_t)(slash - path), &dir);
		if (r < 0)
			return r;
		if (snprintf(out, FSCONFIG_STRING_MAX + 1, "/proc/self/fd/%d%s", dir, slash) >
		    FSCONFIG_STRING_MAX)
			return err_set(m->err, ERR_LIMIT, "layer %s: the name is too long", path);
		return 0;
	}
	if (strlen(path) <= FSCONFIG_STRING_MAX) {
		strcpy(out, path);
		return 0;
	}
	*fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return err_sys(m->err, errno, "%s", path);
	sys_fd_path(*fd, out);
	return 0;
}

static int option(struct making *m, int fs, const char *key, const char *value)
{
	char why[256];
	int r = sys_fsconfig(fs, key, value);

	if (r == 0)
		return 0;
	sys_fs_message(fs, why, sizeof(why));
	return err_sys(m->err, r, "overlay option %s%s%s%s%s", key, value ? "=" : "", value ? value : "",
		       *why ? ": " : "", why);
}

static int dir_option(struct making *m, int fs, const char *key, const char *path, bool lower)
{
	char text[FSCONFIG_STRING_MAX + 1];
	autofd int fd = -EBADF;
	int r = short_path(m, path, lower, text, &fd);

	return r < 0 ? r : option(m, fs, key, text);
}

/*
 * Where the kernel cannot make its directories in workdir it mounts read-only all the same, with a
 * line in its log (ovl_make_workdir). Why it could not, a directory of our own tells.
 */
static int is_writable(struct making *m, int fd)
{
	autofree char *probe = mem_printf("%s/probe", m->o->work);
	struct statfs fs;
	int why = EROFS;

	if ((m->o->attrs & MOUNT_ATTR_RDONLY) || fstatfs(fd, &fs) < 0 || !(fs.f_flags & ST_RDONLY))
		return 0;
	if (mkdir(probe, 0700) < 0)
		why = errno;
	else
		rmdir(probe);
	return err_sys(m->err, why, "overlay: make a directory in %s", m->o->work);
}

static int make_overlay(struct making *m, uint64_t attrs, int *ret_fd)
{
	const struct mnt_overlay *o = m->o;
	autofd int fs = -EBADF;
	char why[256];
	int r = sys_fsopen("overlay", &fs);

	if (r < 0)
		return err_sys(m->err, r, "file system overlay");
	sys_fsconfig(fs, "source", "overlay");
	for (size_t i = 0; i < o->n_lowers; i++) {
		r = dir_option(m, fs, "lowerdir+", o->lowers[i], true);
		if (r < 0)
			return err_wrap(m->err, r, "layer %s", o->lowers[i]);
	}
	if (o->upper) {
		r = dir_option(m, fs, "upperdir", o->upper, false);
		if (r == 0)
			r = dir_option(m, fs, "workdir", o->work, false);
		if (r == 0 && o->is_volatile)
			r = option(m, fs, "volatile", NULL);
		if (r == 0)
			r = option(m, fs, "index", "off");
	}
	if (r < 0)
		return r;
	if (o->label) {
		r = mnt_fs_label(fs, o->label);
		if (r < 0)
			return err_sys(m->err, r, "overlay option %s", o->label);
	}
	r = sys_fsmount(fs, attrs, ret_fd);
	if (r < 0) {
		sys_fs_message(fs, why, sizeof(why));
		return err_sys(m->err, r, "overlay%s%s", *why ? ": " : "", why);
	}
	if (o->upper && (r = is_writable(m, *ret_fd)) < 0)
		fd_drop(ret_fd);
	return r;
}

/* Overlay takes no single layer without an upper: then it is that directory, read-only. */
static int clone_layer(struct making *m, uint64_t attrs, int *ret_fd)
{
	autofd int fd = -EBADF;
	int r = sys_clone_tree(AT_FDCWD, m->o->lowers[0], 0, &fd);

	if (r == 0)
		r = sys_mount_setattr(fd, 0, attrs, 0, MS_PRIVATE, m->o->userns_fd);
	if (r < 0)
		return err_sys(m->err, r, "layer %s", m->o->lowers[0]);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Links in it are followed as if the overlay were "/"; it never leads out. */
static int take_subdir(struct making *m, uint64_t attrs, int whole, int *ret_fd)
{
	autofd int at = -EBADF, fd = -EBADF;
	struct stat st;
	int r;

	if (m->top >= 0 && (r = sys_attach_mount(whole, m->top)) < 0)
		return err_sys(m->err, r, "attach the overlay");
	r = sys_open_in(whole, m->o->subdir, O_PATH, 0, &at);
	if (r < 0)
		return err_sys(m->err, r, "sub path \"%s\"", m->o->subdir);
	if (fstat(at, &st) < 0)
		return err_sys(m->err, errno, "sub path \"%s\"", m->o->subdir);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return err_set(m->err, ERR_INVALID, "sub path \"%s\" is neither a directory nor a file",
			       m->o->subdir);
	r = sys_clone_tree(at, "", 0, &fd);
	if (r == 0)
		r = sys_mount_setattr(fd, 0, attrs, 0, MS_PRIVATE, -EBADF);
	if (r < 0)
		return err_sys(m->err, r, "clone the sub path \"%s\"", m->o->subdir);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int make(const struct mnt_overlay *o, int top, int *ret_fd, struct err *err)
{
	struct making m = { .o = o, .top = top, .err = err };
	uint64_t attrs = o->attrs | (o->upper ? 0 : MOUNT_ATTR_RDONLY);
	autofd int whole = -EBADF;
	int r;

	if (o->n_lowers == 1 && !o->upper)
		r = clone_layer(&m, attrs, &whole);
	else
		r = make_overlay(&m, attrs, &whole);
	for (size_t i = 0; i < m.n_mapped; i++)
		close(m.mapped[i].fd);
	free(m.mapped);
	if (r < 0)
		return r;
	if (!str_empty(o->subdir))
		return take_subdir(&m, attrs, whole, ret_fd);
	*ret_fd = take_fd(&whole);
	return 0;
}

/* ---- where mounts must be attached ---- */

struct answer {
	int r, fd;
	struct err err;
};

static int make_attached(const struct mnt_overlay *o, int *ret_fd, struct err *err)
{
	autofd int top = -EBADF;

	/* nothing of it may travel to where this namespace was copied from */
	if (mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0)
		return err_sys(err, errno, "make the mount namespace private");
	top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return err_sys(err, errno, "/");
	return make(o, top, ret_fd, err);
}

int mnt_overlay_open_beside(const struct mnt_overlay *o, int *ret_fd, struct err *err)
{
	autofd int rd = -EBADF, wr = -EBADF, pidfd = -EBADF;
	struct answer a = { .r = -EIO, .fd = -EBADF, .err = ERR_INIT };
	ssize_t n;
	pid_t pid;
	int r = sys_pipe(0, &rd, &wr), status;

	if (r < 0)
		return err_sys(err, r, "pipe");
	pid = sys_clone3(CLONE_NEWNS | CLONE_FILES, SIGCHLD, -EBADF, &pidfd);
	if (pid < 0)
		return err_sys(err, pid, "clone into a mount namespace");
	if (pid == 0) {
		a.r = make_attached(o, &a.fd, &a.err);
		n = write(wr, &a, sizeof(a));
		_exit(n == sizeof(a) ? 0 : 1);
	}
	sys_pidfd_wait(pidfd, &status);
	/* one small write, complete or not there; both ends are ours, so it is looked at after the end */
	if (fcntl(rd, F_SETFL, O_NONBLOCK) < 0 || read(rd, &a, sizeof(a)) != sizeof(a))
		return err_set(err, ERR_INTERNAL, "overlay: the process that makes it has died");
	if (a.r < 0) {
		if (err)
			*err = a.err;
		return a.r;
	}
	*ret_fd = a.fd;
	return 0;
}

int mnt_overlay_open(const struct mnt_overlay *o, int *ret_fd, struct err *err)
{
	struct err own = ERR_INIT;
	int r = make(o, -EBADF, ret_fd, &own);

	if (r == -EINVAL && (o->userns_fd >= 0 || !str_empty(o->subdir))) {
		own = (struct err)ERR_INIT;
		r = mnt_overlay_open_beside(o, ret_fd, &own);
	}
	if (r < 0 && err)
		*err = own;
	return r;
}
