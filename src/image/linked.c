/*
 * See linked.h. The layer is staged: nobody reads it yet. The overlay holds hostile trees, so
 * its files are reached by descriptor, with it as "/", and opened only when they are regular.
 */
#include "image/linked.h"

#include "image/implied.h"
#include "mnt/mnt.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { XATTR_MAX = 64 * 1024, COPY_MAX = 1 << 30 };

static bool stacked(const struct linked_stack *s, size_t from, int64_t id)
{
	for (size_t i = from; i < s->n; i++)
		if (s->ids[i] == id)
			return true;
	return false;
}

static int open_below(const struct linked_stack *s, int *ret_fd, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const char **lowers = arena_new(&a, s->n + 1, sizeof(*lowers));
	struct mnt_overlay o = MNT_OVERLAY_INIT;

	o.lowers = lowers;
	for (size_t i = s->n; i--;) {
		char *path;

		/* a layer that is there twice counts where it is topmost */
		if (stacked(s, i + 1, s->ids[i]))
			continue;
		path = arena_new(&a, SYS_FD_PATH_MAX, 1);
		lowers[o.n_lowers++] = sys_fd_path(s->layers[i], path);
	}
	return mnt_overlay_open(&o, ret_fd, err);
}

/* ---- copying ---- */

static int copy_attributes(int from, int to)
{
	char a[SYS_FD_PATH_MAX], b[SYS_FD_PATH_MAX], names[8192];
	autofree char *value = mem_new(XATTR_MAX, 1);
	ssize_t n = listxattr(sys_fd_path(from, a), names, sizeof(names));

	sys_fd_path(to, b);
	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (const char *name = names; name < names + n; name += strlen(name) + 1) {
		ssize_t len = getxattr(a, name, value, XATTR_MAX);

		if (str_skip_prefix(name, "trusted.overlay.") || str_eq(name, "security.selinux"))
			continue;
		if (len < 0 || setxattr(b, name, value, (size_t)len, 0) < 0)
			return -errno;
	}
	return 0;
}

/* Data only, holes stay holes. */
static int copy_data(int from, int to, off_t size)
{
	off_t at = 0;

	while (at < size) {
		off_t data = lseek(from, at, SEEK_DATA), end;

		if (data < 0 && errno == ENXIO)
			break;
		end = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (data < 0 || end < 0)
			return -errno;
		for (at = data; at < end;) {
			off_t in = at, out = at;
			ssize_t n = copy_file_range(from, &in, to, &out,
						    end - at > COPY_MAX ? COPY_MAX : (size_t)(end - at), 0);

			if (n == 0 || (n < 0 && (errno == EXDEV || errno == EOPNOTSUPP || errno == EINVAL))) {
				char chunk[65536];
				size_t want = (size_t)(end - at);

				n = pread(from, chunk, want > sizeof(chunk) ? sizeof(chunk) : want, at);
				if (n == 0)
					return -EIO; /* nobody may change a published layer */
				if (n > 0)
					n = pwrite(to, chunk, (size_t)n, at);
			}
			if (n < 0 && errno != EINTR)
				return -errno;
			at += n > 0 ? n : 0;
		}
	}
	return ftruncate(to, size) < 0 ? -errno : 0;
}

/* from: O_PATH in the overlay; to: the held place, open for writing. */
static int copy_regular(int from, int to, const struct stat *st, uint64_t *ret_bytes)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, st->st_mtim };
	char path[SYS_FD_PATH_MAX];
	autofd int fd = open(sys_fd_path(from, path), O_RDONLY | O_CLOEXEC);
	struct stat now;
	int r;

	if (fd < 0)
		return -errno;
	r = copy_data(fd, to, st->st_size);
	if (r < 0)
		return r;
	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return -errno;
	r = copy_attributes(fd, to);
	if (r < 0)
		return r;
	if (futimens(to, times) < 0 || fstat(to, &now) < 0)
		return -errno;
	*ret_bytes = (uint64_t)now.st_blocks * 512;
	return 0;
}

/* A directory has its times from its own entry, not from what is made in it afterwards. */
static int keep_times(int dir, const struct stat *st)
{
	return futimens(dir, (struct timespec[2]){ st->st_atim, st->st_mtim }) < 0 ? -errno : 0;
}

/* A link, device or FIFO in the place of `name`. */
static int copy_node(int from, const struct stat *st, int dir, const char *name)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, st->st_mtim };
	autofd int fd = -EBADF;
	char target[PATH_MAX];
	struct stat before;
	ssize_t n;
	int r;

	if (fstat(dir, &before) < 0 || unlinkat(dir, name, 0) < 0)
		return -errno;
	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(from, "", target, sizeof(target) - 1);
		if (n < 0)
			return -errno;
		target[n] = '\0';
		if (symlinkat(target, dir, name) < 0)
			return -errno;
	} else if (mknodat(dir, name, st->st_mode & (S_IFMT | 0777), st->st_rdev) < 0) {
		return -errno;
	}
	if (fchownat(dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (!S_ISLNK(st->st_mode) && fchmodat(dir, name, st->st_mode & 07777, 0) < 0))
		return -errno;
	fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = copy_attributes(from, fd);
	if (r < 0 && r != -EPERM)
		return r;
	if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return keep_times(dir, &before);
}

/* ---- one link ---- */

static int open_dir_of(int layer, const char *path, int *ret_fd, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];

	*ret_name = slash ? slash + 1 : path;
	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 0, path);
	if (!*parent) {
		*ret_fd = fcntl(layer, F_DUPFD_CLOEXEC, 0);
		return *ret_fd < 0 ? -errno : 0;
	}
	return sys_open_beneath(layer, parent, O_RDONLY | O_DIRECTORY, 0, ret_fd);
}

/* The target's own name in this layer, so that both names are one file. */
static int name_target(int layer, int dir, const char *name, const char *target, struct unpack_result *res)
{
	const char *slash = strrchr(target, '/'), *last;
	autofd int to = -EBADF;
	char parent[PATH_MAX];
	struct stat st;
	int r = 0;

	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - target) : 0, target);
	if (*parent)
		r = implied_make_path(layer, parent, res, &to);
	fd_drop(&to);
	if (r == 0)
		r = open_dir_of(layer, target, &to, &last);
	/* something of this layer is in the way: there the layer has spoken */
	if (r == -ELOOP || r == -ENOTDIR)
		return 0;
	if (r < 0 || fstat(to, &st) < 0)
		return r < 0 ? r : -errno;
	if (linkat(dir, name, to, last, 0) < 0)
		return errno == EEXIST ? 0 : -errno;
	return keep_times(to, &st);
}

static int wrong(struct err *err, const struct unpack_link *l, const char *why)
{
	return err_set(err, ERR_INVALID, "entry \"%.300s\": a hard link to \"%.300s\", which %s", l->path,
		       l->target, why);
}

static int make_link(int layer, int below, struct unpack_link *l, struct unpack_result *res,
		     uint64_t max_bytes, struct err *err)
{
	autofd int dir = -EBADF, held = -EBADF, from = -EBADF;
	uint64_t bytes = 0;
	const char *name;
	struct stat st, now;
	int r = open_dir_of(layer, l->path, &dir, &name);

	if (r == 0 && fstatat(dir, name, &now, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	/* a later entry took the place, or its directory's */
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || (r == 0 && now.st_ino != l->inode))
		return 0;
	if (r == 0)
		r = sys_open_in(below, l->target, O_PATH | O_NOFOLLOW, 0, &from);
	if (r == -ENOENT || r == -ENOTDIR)
		return wrong(err, l, "no layer has");
	if (r < 0 || fstat(from, &st) < 0)
		return err_sys(err, r < 0 ? r : errno, "hard link \"%.300s\" to \"%.300s\"", l->path,
			       l->target);
	if (S_ISDIR(st.st_mode) || (S_ISCHR(st.st_mode) && !st.st_rdev))
		return wrong(err, l, "is no file");
	if (!S_ISREG(st.st_mode)) {
		r = copy_node(from, &st, dir, name);
	} else if (now.st_size == 0) {
		if ((uint64_t)st.st_size > max_bytes)
			return err_set(err, ERR_LIMIT,
				       "entry \"%.300s\": with what it links to the layer is too large",
					       l->path);
		held = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
		r = held < 0 ? -errno : copy_regular(from, held, &st, &bytes);
	}
	if (r == 0)
		r = name_target(layer, dir, name, l->target, res);
	res->bytes += bytes;
	return r < 0 ? err_sys(err, r, "hard link \"%.300s\" to \"%.300s\"", l->path, l->target) : 0;
}

int linked_finish(int layer, const struct linked_stack *below, struct unpack_result *res, uint64_t max_bytes,
		  struct err *err)
{
	autofd int fd = -EBADF;
	int r = 0;

	for (size_t i = 0; r == 0 && i < res->n_links; i++) {
		struct unpack_link *l = &res->links[i];

		if (l->done)
			continue;
		if (!below->n)
			return wrong(err, l, "no layer has");
		if (fd < 0)
			r = open_below(below, &fd, err);
		if (r == 0)
			r = make_link(layer, fd, l, res, max_bytes > res->bytes ? max_bytes - res->bytes : 0,
				      err);
		l->done = r == 0;
	}
	return r;
}
