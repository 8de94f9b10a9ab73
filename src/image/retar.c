/* See retar.h. One directory at a time is held as a sorted list of names. */
#include "image/retar.h"

#include "image/tar-write.h"
#include "image/tree.h"
#include "image/unpack-file.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { DEPTH_MAX = 1000, XATTR_MAX = 64 * 1024, CHUNK = 256 * 1024 };

struct retar {
	struct tar_out out;
	struct map linked; /* inode → first name, for what has several */
	struct arena names;
	uint8_t *chunk;
	struct err *err;
};

static int failed(struct retar *t, const char *path, int errnum)
{
	return err_sys(t->err, errnum, "\"%.300s\"", path);
}

/* In the arena. Overlay's own are not written; *ret_opaque tells of one. */
static void read_xattrs(int fd, struct arena *a, struct tar_entry *e, bool *ret_opaque)
{
	char path[SYS_FD_PATH_MAX], names[8192];
	ssize_t n = listxattr(sys_fd_path(fd, path), names, sizeof(names));
	struct tar_xattr *list = NULL;

	for (const char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
		autofree char *value = mem_new(XATTR_MAX, 1);
		ssize_t len = getxattr(path, name, value, XATTR_MAX);
		char *copy;

		*ret_opaque = *ret_opaque || str_eq(name, "trusted.overlay.opaque");
		if (len < 0 || str_skip_prefix(name, "trusted.overlay.") || str_eq(name, "security.selinux"))
			continue;
		if (!list)
			list = arena_new(a, sizeof(names) / 2, sizeof(*list));
		copy = arena_new(a, (size_t)len + 1, 1);
		memcpy(copy, value, (size_t)len);
		list[e->n_xattrs++] = (struct tar_xattr){ arena_strdup(a, name), copy, (size_t)len };
	}
	e->xattrs = list;
}

/* Where data is, so that holes are not written out. Heap. */
static int read_extents(int fd, off_t size, struct tar_extent **ret, size_t *ret_n)
{
	off_t at = 0;

	while (at < size) {
		off_t data = lseek(fd, at, SEEK_DATA), end;

		if (data < 0 && errno == ENXIO)
			break;
		end = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (end < 0)
			return -errno;
		if ((*ret_n & (*ret_n - 1)) == 0)
			*ret = mem_grow(*ret, *ret_n ? 2 * *ret_n : 1, sizeof(**ret));
		(*ret)[(*ret_n)++] = (struct tar_extent){ (uint64_t)data, (uint64_t)(end - data) };
		at = end;
	}
	return 0;
}

static int put_data(struct retar *t, const char *path, int fd, uint64_t from, uint64_t end)
{
	while (from < end) {
		size_t want = end - from > CHUNK ? CHUNK : (size_t)(end - from);
		ssize_t n = pread(fd, t->chunk, want, (off_t)from);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return failed(t, path, n < 0 ? errno : EIO);
		r = tar_out_data(&t->out, t->chunk, (size_t)n);
		if (r < 0)
			return failed(t, path, r);
		from += (uint64_t)n;
	}
	return 0;
}

static int put_regular(struct retar *t, struct tar_entry *e, int at, const struct stat *st)
{
	char name[SYS_FD_PATH_MAX];
	autofd int fd = open(sys_fd_path(at, name), O_RDONLY | O_CLOEXEC);
	autofree struct tar_extent *extents = NULL;
	int r = 0;

	if (fd < 0)
		return failed(t, e->path, errno);
	e->size = (uint64_t)st->st_size;
	e->sparse = st->st_blocks * 512 < st->st_size;
	if (e->sparse) {
		r = read_extents(fd, st->st_size, &extents, &e->n_extents);
		e->extents = extents;
	}
	if (r == 0)
		r = tar_out_entry(&t->out, e);
	if (r < 0)
		return failed(t, e->path, r);
	if (!e->sparse)
		return put_data(t, e->path, fd, 0, e->size);
	for (size_t i = 0; r == 0 && i < e->n_extents; i++)
		r = put_data(t, e->path, fd, extents[i].offset, extents[i].offset + extents[i].len);
	return r;
}

static int put_marker(struct retar *t, const char *dir, const char *name, const struct stat *st)
{
	autofree char *path = mem_printf("%s%s.wh.%s", dir, *dir ? "/" : "", name);
	const struct tar_entry e = { .path = path, .mode = S_IFREG | 0644, .mtime = { st->st_mtim.tv_sec,
										     0 } };
	int r = tar_out_entry(&t->out, &e);

	return r < 0 ? failed(t, path, r) : 0;
}

/* The earlier name of the same file, or NULL when this is the first. */
static const char *earlier_name(struct retar *t, const char *path, const struct stat *st)
{
	char key[40];
	const char *first;

	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return NULL;
	snprintf(key, sizeof(key), "%llx", (unsigned long long)st->st_ino);
	first = map_get(&t->linked, key);
	if (!first)
		map_put(&t->linked, arena_strdup(&t->names, key), arena_strdup(&t->names, path));
	return first;
}

static int put_one(struct retar *t, const char *path, int fd, const struct stat *st, bool *ret_opaque)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct tar_entry e = { .path = S_ISDIR(st->st_mode) ? arena_printf(&a, "%s/", *path ? path : ".") :
			      path,
			       .mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid,
				       .mtime = st->st_mtim,
			       .rdev = st->st_rdev };
	char target[PATH_MAX];
	ssize_t n;
	int r;

	read_xattrs(fd, &a, &e, ret_opaque);
	e.link = earlier_name(t, path, st);
	e.hard_link = e.link;
	if (!e.hard_link && S_ISREG(st->st_mode))
		return put_regular(t, &e, fd, st);
	if (!e.hard_link && S_ISLNK(st->st_mode)) {
		n = readlinkat(fd, "", target, sizeof(target) - 1);
		if (n < 0)
			return failed(t, path, errno);
		target[n] = '\0';
		e.link = target;
	}
	r = tar_out_entry(&t->out, &e);
	return r < 0 ? failed(t, path, r) : 0;
}

static int put_dir(struct retar *t, int fd, const char *path, int depth)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofree char **names = NULL;
	size_t n = 0;
	int r = tree_names(fd, &a, &names, &n);

	if (r < 0)
		return failed(t, path, r);
	if (depth > DEPTH_MAX)
		return failed(t, path, ELOOP);
	for (size_t i = 0; r == 0 && i < n; i++) {
		autofree char *child = mem_printf("%s%s%s", path, *path ? "/" : "", names[i]);
		autofd int at = openat(fd, names[i], O_PATH | O_NOFOLLOW | O_CLOEXEC), sub = -EBADF;
		bool opaque = false;
		struct stat st;

		if (at < 0 || fstat(at, &st) < 0)
			return failed(t, child, errno);
		if (unpack_is_whiteout(&st)) {
			r = put_marker(t, path, names[i], &st);
			continue;
		}
		r = put_one(t, child, at, &st, &opaque);
		if (r == 0 && opaque)
			r = put_marker(t, child, ".wh..opq", &st);
		if (r < 0 || !S_ISDIR(st.st_mode))
			continue;
		sub = openat(fd, names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = sub < 0 ? failed(t, child, errno) : put_dir(t, sub, child, depth + 1);
	}
	return r;
}

static int put_root(struct retar *t, int dirfd)
{
	bool opaque;
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return failed(t, "/", errno);
	return put_one(t, "", dirfd, &st, &opaque);
}

int retar_layer(int dirfd, bool root, int out_fd, struct err *err)
{
	struct retar t = { .err = err };
	int r = 0;

	tar_out_init(&t.out, out_fd);
	t.chunk = mem_new(CHUNK, 1);
	if (root)
		r = put_root(&t, dirfd);
	if (r == 0)
		r = put_dir(&t, dirfd, "", 0);
	if (r == 0 && (r = tar_out_end(&t.out)) < 0)
		err_sys(err, r, "write the archive");
	tar_out_done(&t.out);
	map_done(&t.linked);
	arena_done(&t.names);
	free(t.chunk);
	return r;
}
