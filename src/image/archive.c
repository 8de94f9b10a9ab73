/*
 * Writing by tar-write.h, from descriptors of what is there; reading by libarchive; unpacking is the
 * layers' (unpack.c).
 */
#include "image/archive.h"

#include "image/image.h"
#include "image/source.h"
#include "image/tar-write.h"
#include "image/unpack.h"
#include "sys/sys.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum { COPY_SIZE = 128 * 1024, DEPTH_MAX = 512, XATTR_MAX = 64 * 1024, XATTRS_MAX = 256 };

struct archive_writer {
	char *path, *temporary;
	int fd;
	struct tar_out tar;
	struct arena arena; /* names of files that have more than one */
	struct map links;
	char **hidden;
	size_t n_hidden;
};

struct link {
	char *key, *name;
};

static int write_failed(struct archive_writer *w, int r, struct err *err)
{
	return err_sys(err, r, "write %s", w->path);
}

int archive_create(const char *path, struct archive_writer **ret, struct err *err)
{
	struct archive_writer *w = mem_new(1, sizeof(*w));

	w->path = mem_strdup(path);
	w->temporary = mem_printf("%s.part-%d", path, (int)getpid());
	w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (w->fd < 0) {
		int r = err_sys(err, errno, "make %s", w->temporary);

		free(take_ptr(&w->temporary));
		archive_abandon(w);
		return r;
	}
	tar_out_init(&w->tar, w->fd);
	*ret = w;
	return 0;
}

void archive_abandon(struct archive_writer *w)
{
	if (!w)
		return;
	if (w->temporary)
		unlink(w->temporary);
	tar_out_done(&w->tar);
	fd_drop(&w->fd);
	map_done(&w->links);
	arena_done(&w->arena);
	free(w->hidden);
	free(w->temporary);
	free(w->path);
	free(w);
}

int archive_close(struct archive_writer *w, struct err *err)
{
	int r = tar_out_end(&w->tar);

	if (r == 0 && (fsync(w->fd) < 0 || rename(w->temporary, w->path) < 0))
		r = -errno;
	if (r < 0)
		write_failed(w, r, err);
	else
		free(take_ptr(&w->temporary));
	archive_abandon(w);
	return r;
}

static struct tar_entry entry_of(const char *name, const struct stat *st)
{
	return (struct tar_entry){
		.path = name, .mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid, .mtime = st->st_mtim,
		.rdev = st->st_rdev, .size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
	};
}

static int put_header(struct archive_writer *w, const struct tar_entry *e, struct err *err)
{
	int r = tar_out_entry(&w->tar, e);

	return r < 0 ? write_failed(w, r, err) : 0;
}

/* As many bytes as its header said; what grew meanwhile is cut, what shrank is filled with zeroes. */
static int put_content(struct archive_writer *w, const char *name, int fd, uint64_t size, struct err *err)
{
	autofree char *bytes = mem_new(1, COPY_SIZE);
	uint64_t left = size;

	while (left > 0) {
		size_t want = left < COPY_SIZE ? (size_t)left : COPY_SIZE;
		ssize_t n = read(fd, bytes, want);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read %s", name);
		if (n == 0) {
			memset(bytes, 0, want);
			n = (ssize_t)want;
		}
		r = tar_out_data(&w->tar, bytes, (size_t)n);
		if (r < 0)
			return write_failed(w, r, err);
		left -= (uint64_t)n;
	}
	return 0;
}

int archive_add_text(struct archive_writer *w, const char *name, const void *data, size_t len,
		     struct err *err)
{
	struct tar_entry e = { .path = name, .mode = S_IFREG | 0600, .size = len,
			       .mtime.tv_sec = time_now_real() / NSEC_PER_SEC };
	int r = put_header(w, &e, err);

	if (r == 0 && len && (r = tar_out_data(&w->tar, data, len)) < 0)
		write_failed(w, r, err);
	return r;
}

static int add_open_file(struct archive_writer *w, const char *name, const char *path, int fd, struct err *err)
{
	struct tar_entry e;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "%s: no regular file", path);
	e = entry_of(name, &st);
	r = put_header(w, &e, err);
	return r < 0 ? r : put_content(w, path, fd, e.size, err);
}

int archive_add_file(struct archive_writer *w, const char *name, const char *path, struct err *err)
{
	autofd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "open %s", path);
	return add_open_file(w, name, path, fd, err);
}

int archive_add_beneath(struct archive_writer *w, const char *name, const char *dir, const char *path,
			struct err *err)
{
	autofd int base = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -EBADF;
	int r = base < 0 ? -errno : sys_open_beneath(base, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0, &fd);

	if (r == -ENOENT || r == -ELOOP)
		return 0;
	if (r < 0)
		return err_sys(err, r, "open %s/%s", dir, path);
	return add_open_file(w, name, path, fd, err);
}

/* ---- trees ---- */

static void take_xattrs(struct tar_entry *e, int fd, bool layer, struct arena *a)
{
	autofree char *names = mem_new(1, XATTR_MAX), *value = mem_new(1, XATTR_MAX);
	struct tar_xattr *list = arena_new(a, XATTRS_MAX, sizeof(*list));
	char path[SYS_FD_PATH_MAX];
	ssize_t n = listxattr(sys_fd_path(fd, path), names, XATTR_MAX);

	e->xattrs = list;
	for (char *name = names; n > 0 && name < names + n && e->n_xattrs < XATTRS_MAX; name += strlen(name) + 1) {
		ssize_t len;
		void *copy;

		if (str_skip_prefix(name, "trusted.overlay.") || str_eq(name, "security.selinux") ||
		    (!layer && !str_skip_prefix(name, "user.")))
			continue;
		len = getxattr(path, name, value, XATTR_MAX);
		if (len < 0)
			continue;
		copy = arena_new(a, (size_t)len + 1, 1);
		memcpy(copy, value, (size_t)len);
		list[e->n_xattrs++] = (struct tar_xattr){ arena_strdup(a, name), copy, (size_t)len };
	}
}

static bool is_opaque(int fd)
{
	char path[SYS_FD_PATH_MAX], value[4];

	return getxattr(sys_fd_path(fd, path), "trusted.overlay.opaque", value, sizeof(value)) == 1 &&
	       value[0] == 'y';
}

static int put_marker(struct archive_writer *w, const char *dir, const char *name, struct err *err)
{
	autofree char *path = mem_printf("%s.wh.%s", dir, name);

	return archive_add_text(w, path, "", 0, err);
}

/* The name under which the file is in the archive already, or NULL and it is noted. */
static const char *known(struct archive_writer *w, const struct stat *st, const char *name)
{
	char *key = arena_printf(&w->arena, "%llu:%llu", (unsigned long long)st->st_dev,
				 (unsigned long long)st->st_ino);
	struct link *l = map_get(&w->links, key);

	if (l)
		return l->name;
	l = arena_new(&w->arena, 1, sizeof(*l));
	*l = (struct link){ key, arena_strdup(&w->arena, name) };
	map_put(&w->links, key, l);
	return NULL;
}

/* The entry behind the O_PATH descriptor. */
static int put_entry(struct archive_writer *w, const char *name, int fd, const struct stat *st, bool layer,
		     struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct tar_entry e = entry_of(name, st);
	char link[SYS_FD_PATH_MAX], target[PATH_MAX];
	int r;

	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(fd, "", target, sizeof(target) - 1);

		target[n < 0 ? 0 : n] = '\0';
		e.link = target;
	} else {
		take_xattrs(&e, fd, layer, &a);
	}
	if (!S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode) && st->st_nlink > 1 && (e.link = known(w, st, name))) {
		e.hard_link = true;
		e.size = 0;
	}
	r = put_header(w, &e, err);
	if (r == 0 && e.size) {
		autofd int in = open(sys_fd_path(fd, link), O_RDONLY | O_CLOEXEC);

		r = in < 0 ? err_sys(err, errno, "open %s", name) : put_content(w, name, in, e.size, err);
	}
	return r;
}

static int put_dir(struct archive_writer *w, const char *prefix, int dirfd, bool layer, int depth,
		   struct err *err)
{
	int scan = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = scan < 0 ? NULL : fdopendir(scan);
	struct dirent *d;

	if (!dir)
		return err_sys(err, errno, "read directory %s", prefix);
	if (depth > DEPTH_MAX)
		r = err_set(err, ERR_LIMIT, "%s: nested too deeply", prefix);
	if (r == 0 && layer && is_opaque(dirfd))
		r = put_marker(w, prefix, ".wh..opq", err);
	while (r == 0 && (d = readdir(dir))) {
		autofd int fd = -EBADF;
		autofree char *name = mem_printf("%s%s", prefix, d->d_name);
		struct stat st;

		if (str_eq(d->d_name, ".") || str_eq(d->d_name, ".."))
			continue;
		fd = openat(dirfd, d->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0) {
			r = errno == ENOENT ? 0 : err_sys(err, errno, "open %s", name);
			continue;
		}
		if (layer && S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0)) {
			w->hidden = mem_grow(w->hidden, w->n_hidden + 1, sizeof(char *));
			w->hidden[w->n_hidden++] = arena_printf(&w->arena, "/%s", name);
			r = put_marker(w, prefix, d->d_name, err);
		} else if (!S_ISSOCK(st.st_mode)) {
			r = put_entry(w, name, fd, &st, layer, err);
			if (r == 0 && S_ISDIR(st.st_mode)) {
				autofree char *below = mem_printf("%s/", name);

				r = put_dir(w, below, fd, layer, depth + 1, err);
			}
		}
	}
	closedir(dir);
	return r;
}

char *const *archive_hidden(const struct archive_writer *w, size_t *ret_n)
{
	*ret_n = w->n_hidden;
	return w->hidden;
}

int archive_add_tree(struct archive_writer *w, const char *prefix, const char *path, bool layer,
		     struct err *err)
{
	autofree char *below = *prefix ? mem_printf("%s/", prefix) : mem_strdup("");
	autofd int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "open %s", path);
	if (*prefix)
		r = put_entry(w, prefix, fd, &st, layer, err);
	return r < 0 ? r : put_dir(w, below, fd, layer, 0, err);
}

/* ---- reading ---- */

struct reader {
	struct source *from;
	struct err *err;
	char bytes[8192];
};

static la_ssize_t read_more(struct archive *ar, void *user, const void **ret)
{
	struct reader *r = user;
	ssize_t n = source_read(r->from, r->bytes, sizeof(r->bytes), r->err);

	*ret = r->bytes;
	if (n < 0)
		archive_set_error(ar, EIO, "%s", r->err ? r->err->text : "read");
	return n;
}

static int find_text(struct archive *ar, const char *path, const char *name, struct buf *out, struct err *err)
{
	struct archive_entry *e;
	char bytes[8192];
	la_ssize_t n;
	int next;

	while ((next = archive_read_next_header(ar, &e)) >= ARCHIVE_WARN && next != ARCHIVE_EOF) {
		const char *entry = archive_entry_pathname(e);

		if (!entry || !str_eq(str_skip_prefix(entry, "./") ? entry + 2 : entry, name))
			continue;
		while ((n = archive_read_data(ar, bytes, sizeof(bytes))) > 0)
			if (buf_append(out, bytes, (size_t)n) < 0)
				return err_set(err, ERR_LIMIT, "%s: %s is larger than %zu bytes", path, name,
					       out->max);
		if (n == 0)
			return 0;
		next = ARCHIVE_FATAL;
		break;
	}
	if (next < ARCHIVE_WARN)
		return err_set(err, ERR_INVALID, "%s: no tar archive: %.300s", path,
			       archive_error_string(ar));
	return err_set(err, ERR_NOT_FOUND, "%s: has no %s", path, name);
}

int archive_read_text(const char *path, const char *name, struct buf *out, struct err *err)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct err read_err = ERR_INIT;
	struct reader reader = { .err = &read_err };
	struct source_inflate *inflate;
	struct source_fd file;
	struct archive *ar;
	int r;

	if (fd < 0)
		return err_sys(err, errno, "open %s", path);
	source_fd_init(&file, fd, path);
	inflate = source_inflate_new(&file.source, UINT64_C(64) << 30, 1000);
	reader.from = source_inflate_source(inflate);
	ar = archive_read_new();
	archive_read_support_format_tar(ar);
	r = archive_read_open(ar, &reader, NULL, read_more, NULL) == ARCHIVE_OK ?
		    find_text(ar, path, name, out, err) :
		    err_set(err, ERR_INVALID, "%s: no tar archive: %.300s", path, archive_error_string(ar));
	archive_read_free(ar);
	source_inflate_free(inflate);
	return r;
}

int archive_extract(const char *path, const char *dir, struct err *err)
{
	const struct image_limits limits = {
		.layer_bytes = UINT64_C(64) << 30, .layer_entries = 4000000, .layer_ratio = 1000,
	};
	struct unpack_result result = UNPACK_RESULT_INIT;
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	autofd int into = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct source_inflate *inflate;
	struct source_fd file;
	int r;

	if (fd < 0)
		return err_sys(err, errno, "open %s", path);
	if (into < 0)
		return err_sys(err, errno, "open %s", dir);
	source_fd_init(&file, fd, path);
	inflate = source_inflate_new(&file.source, limits.layer_bytes, limits.layer_ratio);
	r = unpack_layer(into, source_inflate_source(inflate), &limits, &result, err);
	source_inflate_free(inflate);
	unpack_result_done(&result);
	return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}
