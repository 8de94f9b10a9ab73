/*
 * See implied.h. Works on staged layers, which nobody reads yet; one at a time (t->implied),
 * since pulls share them, and doing it twice changes nothing.
 *
 * Everything in a layer is hostile here too: paths are walked by descriptor, component by
 * component, never through links; the number of moves is bounded.
 */
#include "image/implied.h"

#include "image/linked.h"
#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum { MOVES_MAX = 1000, XATTR_MAX = 64 * 1024, DEPTH_MAX = 64 };

enum below { NOTHING, DIRECTORY, LINK };

static bool is_opaque(int fd)
{
	char path[SYS_FD_PATH_MAX], value[4];

	return getxattr(sys_fd_path(fd, path), "trusted.overlay.opaque", value, sizeof(value)) > 0;
}

/*
 * What `path` is in one layer. 1: decided, *ret says what, with *ret_fd a directory or
 * target its link. 0: the layer says nothing and those below it may.
 */
static int look_in(int layer, const char *path, enum below *ret, int *ret_fd, char target[PATH_MAX])
{
	autofd int dir = fcntl(layer, F_DUPFD_CLOEXEC, 0);
	bool opaque = false;

	*ret = NOTHING;
	if (dir < 0)
		return -errno;
	for (const char *p = path;;) {
		size_t len = strcspn(p, "/");
		char name[NAME_MAX + 1];
		struct stat st;
		ssize_t n;
		int fd;

		if (len > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, p, len);
		name[len] = '\0';
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? opaque : -errno;
		if (S_ISLNK(st.st_mode) && !p[len]) {
			n = readlinkat(dir, name, target, PATH_MAX - 1);
			if (n < 0)
				return -errno;
			target[n] = '\0';
			*ret = LINK;
			return 1;
		}
		if (!S_ISDIR(st.st_mode))
			return 1; /* a file or marker: nothing of that name shows through */
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		close(dir);
		dir = fd;
		opaque = opaque || is_opaque(dir);
		if (!p[len]) {
			*ret = DIRECTORY;
			*ret_fd = take_fd(&dir);
			return 1;
		}
		p += len + 1;
	}
}

static int look_below(const int *fds, size_t n, const char *path, enum below *ret, int *ret_fd,
		      char target[PATH_MAX])
{
	int r = 0;

	*ret = NOTHING;
	while (n-- && r == 0)
		r = look_in(fds[n], path, ret, ret_fd, target);
	return r < 0 ? r : 0;
}

/* As unpacking does: what this file system does not take of user.* is no reason to fail, a full one is. */
static int copy_xattrs(int from, int to)
{
	char from_path[SYS_FD_PATH_MAX], to_path[SYS_FD_PATH_MAX];
	autofree char *value = mem_new(XATTR_MAX, 1), *names = mem_new(XATTR_MAX, 1);
	ssize_t n = listxattr(sys_fd_path(from, from_path), names, XATTR_MAX);

	sys_fd_path(to, to_path);
	for (const char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
		ssize_t len;

		if (str_skip_prefix(name, "trusted.overlay.") || str_eq(name, "security.selinux"))
			continue;
		len = getxattr(from_path, name, value, XATTR_MAX);
		if (len < 0 || (setxattr(to_path, name, value, (size_t)len, 0) < 0 && errno != EPERM &&
				errno != EOPNOTSUPP))
			return -errno;
	}
	return n < 0 && errno != EOPNOTSUPP ? -errno : 0;
}

static int copy_metadata(int layer, const char *path, int from)
{
	autofd int fd = -EBADF;
	struct stat st;
	int r = sys_open_beneath(layer, path, O_RDONLY | O_DIRECTORY, 0, &fd);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (fstat(from, &st) < 0 || fchown(fd, st.st_uid, st.st_gid) < 0 ||
	    fchmod(fd, st.st_mode & 07777) < 0)
		return -errno;
	r = copy_xattrs(from, fd);
	if (r < 0)
		return r;
	return futimens(fd, (struct timespec[2]){ st.st_atim, st.st_mtim }) < 0 ? -errno : 0;
}

/* ---- moving content to where a link below points ---- */

/* What `target`, found at the link `path`, names from the root; -EINVAL beyond it or for "". */
static int resolve_link(const char *path, const char *target, char out[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t n = 0;

	if (target[0] != '/' && slash) {
		n = (size_t)(slash - path);
		memcpy(out, path, n);
	}
	for (const char *p = target; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && memcmp(p, "..", 2) == 0) {
			while (n && out[n - 1] != '/')
				n--;
			n -= n > 0;
		} else if (len && !(len == 1 && *p == '.')) {
			if (n + len + 2 > PATH_MAX)
				return -ENAMETOOLONG;
			if (n)
				out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len + (p[len] == '/');
	}
	out[n] = '\0';
	return n ? 0 : -EINVAL;
}

static void note(struct unpack_result *res, const char *path)
{
	if ((res->n_implied & (res->n_implied - 1)) == 0)
		res->implied = mem_grow(res->implied, res->n_implied ? 2 * res->n_implied : 1,
					sizeof(*res->implied));
	res->implied[res->n_implied++] = arena_strdup(&res->arena, path);
}

int implied_make_path(int layer, const char *path, struct unpack_result *res, int *ret_fd)
{
	char part[PATH_MAX];

	for (const char *end = path;; end++) {
		int r;

		end += strcspn(end, "/");
		memcpy(part, path, (size_t)(end - path));
		part[end - path] = '\0';
		if (mkdirat(layer, part, 0755) == 0)
			note(res, part);
		else if (errno != EEXIST)
			return -errno;
		if (*end)
			continue;
		/* no component may be a link of this layer: then its own content decides */
		r = sys_open_beneath(layer, path, O_RDONLY | O_DIRECTORY, 0, ret_fd);
		return r;
	}
}

/* Moves all entries of `from` into `to`; what is in both as directories is merged. */
static int merge(int from, int to, int depth)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	if (depth > DEPTH_MAX)
		r = -ELOOP;
	while (r == 0 && (e = readdir(dir))) {
		autofd int a = -EBADF, b = -EBADF;

		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		if (renameat2(from, e->d_name, to, e->d_name, RENAME_NOREPLACE) == 0)
			continue;
		if (errno != EEXIST) {
			r = -errno;
			break;
		}
		a = openat(from, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		b = openat(to, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (a >= 0 && b >= 0) {
			r = merge(a, b, depth + 1);
			if (r == 0 && unlinkat(from, e->d_name, AT_REMOVEDIR) < 0)
				r = -errno;
		} else {
			r = sys_remove_tree(to, e->d_name);
			if (r == 0 && renameat(from, e->d_name, to, e->d_name) < 0)
				r = -errno;
		}
	}
	closedir(dir);
	return r;
}

static int move_content(int layer, const char *path, const char *target, struct unpack_result *res)
{
	autofd int from = -EBADF, to = -EBADF;
	char where[PATH_MAX], slashed[PATH_MAX];
	size_t len = strlen(path), n = res->n_implied;
	int r = resolve_link(path, target, where);

	/* a link to the root or above, or into itself: our directory hides it */
	if (r < 0 || (strncmp(where, path, len) == 0 && (!where[len] || where[len] == '/')))
		return 0;
	r = sys_open_beneath(layer, path, O_RDONLY | O_DIRECTORY, 0, &from);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = implied_make_path(layer, where, res, &to);
	if (r == -ELOOP || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return r;
	r = merge(from, to, 0);
	if (r == 0 && is_opaque(from)) {
		char name[SYS_FD_PATH_MAX];

		r = setxattr(sys_fd_path(to, name), "trusted.overlay.opaque", "y", 1, 0) < 0 ? -errno : 0;
	}
	if (r == 0 && unlinkat(layer, path, AT_REMOVEDIR) < 0)
		r = -errno;
	/* what was implied below it is so in its new place */
	snprintf(slashed, sizeof(slashed), "%s/", path);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const char *rest = str_skip_prefix(res->implied[i], slashed);
		autofree char *moved = rest ? mem_printf("%s/%s", where, rest) : NULL;

		if (moved)
			note(res, moved);
	}
	return r;
}

static int finish_implied(int layer, const int *below, size_t n_below, struct unpack_result *res,
			struct err *err)
{
	size_t moves = 0;

	/* the list grows while it is walked */
	for (size_t i = 0; i < res->n_implied; i++) {
		const char *path = res->implied[i];
		char target[PATH_MAX];
		autofd int fd = -EBADF;
		enum below what;
		int r = *path ? look_below(below, n_below, path, &what, &fd, target) : 0;

		if (!*path)
			continue;
		if (r == 0 && what == DIRECTORY)
			r = copy_metadata(layer, path, fd);
		else if (r == 0 && what == LINK && moves++ < MOVES_MAX)
			r = move_content(layer, path, target, res);
		if (r < 0)
			return err_sys(err, r, "directory \"%.300s\" that a layer implies", path);
	}
	return 0;
}

/* Links first: the directories that they need are looked up with the others. */
static int finish_layer(struct image_table *t, struct fetched *l, const int *fds, const int64_t *ids,
			size_t n,
			struct err *err)
{
	const struct linked_stack below = { fds, ids, n };
	int r = linked_finish(fds[n], &below, &l->unpacked, t->limits.layer_bytes, err);

	if (r == 0)
		r = finish_implied(fds[n], fds, n, &l->unpacked, err);
	l->layer.bytes = l->unpacked.bytes;
	l->layer.inodes = l->unpacked.inodes;
	if (r == 0)
		r = fetched_sum(l, err);
	return r < 0 ? err_wrap(err, r, "layer %s", l->layer.digest) : 0;
}

int implied_finish(struct image_table *t, struct fetched **layers, size_t n, struct err *err)
{
	autofree int *fds = NULL;
	autofree int64_t *ids = mem_new(n + 1, sizeof(*ids));
	size_t opened = 0;
	bool needed = false;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		needed = needed || (layers[i]->fresh && unpack_depends(&layers[i]->unpacked));
	if (!needed)
		return 0;
	fds = mem_new(n, sizeof(*fds));
	WITH_MUTEX(&t->implied);
	for (; r == 0 && opened < n; opened++) {
		fds[opened] = -EBADF;
		ids[opened] = layers[opened]->layer.id;
		r = store_layer_open(t->store, ids[opened], &fds[opened], err);
		if (r == 0 && layers[opened]->fresh && unpack_depends(&layers[opened]->unpacked))
			r = finish_layer(t, layers[opened], fds, ids, opened, err);
	}
	for (size_t i = 0; i < opened; i++)
		fd_drop(&fds[i]);
	return r;
}
