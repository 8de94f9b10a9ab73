/*
 * The loop over a layer's entries: names, kinds, markers. What is done to single files is in
 * unpack-file.c. See unpack.h for the invariants; each refusal below names the attack or the
 * mistake that it answers.
 */
#include "image/unpack.h"

#include "image/unpack-file.h"
#include "image/writers.h"
#include "sys/sys.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { BUFFER_SIZE = 256 * 1024 };

#define MARKER ".wh."
#define OPAQUE MARKER MARKER ".opq"

void unpack_result_done(struct unpack_result *r)
{
	free(r->implied);
	free(r->links);
	free(r->sums.files);
	arena_done(&r->arena);
	*r = (struct unpack_result)UNPACK_RESULT_INIT;
}

int unpack_refuse(struct unpack *u, const char *why)
{
	return err_set(u->err, ERR_INVALID, "entry \"%.300s\": %s", u->entry, why);
}

/* ---- names ---- */

/*
 * The name without leading "/" and "./", doubled and trailing slashes; "" is the root. ".."
 * is refused and not resolved: no honest tool writes it.
 */
static int clean_name(struct unpack *u, const char *name, char out[PATH_MAX])
{
	size_t n = 0;

	for (const char *p = name; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && memcmp(p, "..", 2) == 0)
			return unpack_refuse(u, "has \"..\" in its name");
		if (len > NAME_MAX || n + len + 2 > PATH_MAX)
			return unpack_refuse(u, "has too long a name");
		if (len && !(len == 1 && *p == '.')) {
			if (n)
				out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len;
		while (*p == '/')
			p++;
	}
	out[n] = '\0';
	return 0;
}

/* Splits path at its last slash in place: the parent, or "" for the root. */
static char *split(char *path, const char **ret_parent)
{
	char *slash = strrchr(path, '/');

	*ret_parent = slash ? path : "";
	if (!slash)
		return path;
	*slash = '\0';
	return slash + 1;
}

/* Where a directory really is, below the layer's root: links on the way have been followed. */
int unpack_real_path(struct unpack *u, int fd, const char *name, char **ret)
{
	char link[SYS_FD_PATH_MAX], root[PATH_MAX], path[PATH_MAX];
	ssize_t n = readlink(sys_fd_path(u->root, link), root, sizeof(root) - 1);
	ssize_t m = readlink(sys_fd_path(fd, link), path, sizeof(path) - 1);

	if (n < 0 || m < n)
		return -errno;
	path[m] = '\0';
	*ret = arena_printf(&u->result->arena, "%s%s%s", path + n + (m > n), m > n && *name ? "/" : "", name);
	return 0;
}

int unpack_bound_names(struct unpack *u)
{
	if (u->result->arena.used + u->times_arena.used <= UNPACK_NAMES_MAX)
		return 0;
	return err_set(u->err, ERR_LIMIT, "entry \"%.300s\": too many directories in this layer", u->entry);
}

/* dir/name, or dir itself with "", was made because something lies in it. */
static int note_implied(struct unpack *u, int dir, const char *name)
{
	struct unpack_result *res = u->result;
	char *path;
	int r = unpack_real_path(u, dir, name, &path);

	if (r < 0)
		return err_sys(u->err, r, "entry \"%.300s\": name of its parent", u->entry);
	if ((res->n_implied & (res->n_implied - 1)) == 0)
		res->implied = mem_grow(res->implied, res->n_implied ? 2 * res->n_implied : 1,
					sizeof(*res->implied));
	res->implied[res->n_implied++] = path;
	res->inodes++;
	res->bytes += 4096;
	return unpack_bound_names(u);
}

/* Makes `name` in dir, because something lies in it. Root's, whatever a set-group-id bit above hands down. */
static int make_implied(struct unpack *u, int dir, const char *name)
{
	if (mkdirat(dir, name, 0755) < 0)
		return err_sys(u->err, errno, "entry \"%.300s\": mkdir %s", u->entry, name);
	if (fchownat(dir, name, 0, 0, AT_SYMLINK_NOFOLLOW) < 0 || fchmodat(dir, name, 0755, 0) < 0)
		return err_sys(u->err, errno, "entry \"%.300s\": owner and mode of %s", u->entry, name);
	return note_implied(u, dir, name);
}

/*
 * The parent step by step, where a part of it is missing. Each step is opened from the root
 * again, so links are followed with the layer as "/".
 */
static int make_parents(struct unpack *u, const char *parent, int *ret_fd)
{
	autofd int dir = -EBADF;
	char path[PATH_MAX];
	int r;

	r = sys_open_in(u->root, "", O_PATH | O_DIRECTORY, 0, &dir);
	for (const char *p = parent; r == 0 && *p;) {
		size_t len = strcspn(p, "/");
		size_t n = (size_t)(p - parent) + len;
		const char *name = path + (p - parent);
		int fd = -EBADF;
		struct stat st;

		memcpy(path, parent, n);
		path[n] = '\0';
		r = sys_open_in(u->root, path, O_PATH | O_DIRECTORY, 0, &fd);
		if (r == -ENOTDIR && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    unpack_is_whiteout(&st)) {
			/* removed below and made anew by this layer */
			if (unlinkat(dir, name, 0) < 0)
				return err_sys(u->err, errno, "entry \"%.300s\": replace marker", u->entry);
			r = make_implied(u, dir, name);
			if (r == 0)
				r = unpack_set_opaque(u, dir, name);
			if (r < 0)
				return r;
			r = sys_open_in(u->root, path, O_PATH | O_DIRECTORY, 0, &fd);
		} else if (r == -ENOENT && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			/* a link of this layer into a directory of a layer below: made here, in root */
			r = sys_mkdir_in(u->root, path, 0755, &fd);
			if (r == 0 && (r = note_implied(u, fd, "")) < 0) {
				fd_drop(&fd);
				return r;
			}
		} else if (r == -ENOENT) {
			r = make_implied(u, dir, name);
			if (r < 0)
				return r;
			r = sys_open_in(u->root, path, O_PATH | O_DIRECTORY, 0, &fd);
		}
		if (r < 0)
			break;
		fd_drop(&dir);
		dir = fd;
		p += len;
		while (*p == '/')
			p++;
	}
	if (r == -ENOTDIR)
		return unpack_refuse(u, "its parent is not a directory");
	if (r < 0)
		return err_sys(u->err, r, "entry \"%.300s\": open its parent", u->entry);
	*ret_fd = take_fd(&dir);
	return 0;
}

/*
 * The directory that the entry lies in. Entries of one directory follow each other, so the
 * last one is kept; it is forgotten when an entry replaces anything, since that may have
 * been a part of it.
 */
static int open_parent(struct unpack *u, const char *parent)
{
	struct stat st;
	int fd, r;

	if (u->parent_fd >= 0 && strcmp(u->parent, parent) == 0)
		return 0;
	unpack_forget_parent(u);
	r = sys_open_in(u->root, parent, O_PATH | O_DIRECTORY, 0, &fd);
	if (r == -ENOENT || r == -ENOTDIR)
		r = make_parents(u, parent, &fd);
	else if (r < 0)
		r = err_sys(u->err, r, "entry \"%.300s\": open its parent", u->entry);
	if (r < 0)
		return r;
	u->parent_fd = fd;
	snprintf(u->parent, sizeof(u->parent), "%s", parent);
	u->parent_setgid = fstat(fd, &st) < 0 || (st.st_mode & S_ISGID);
	return 0;
}

/* ---- entries ---- */

/*
 * `name` is gone in the layers below. What this layer has put there itself stays, but then
 * nothing of the layers below may show through it.
 */
static int put_marker(struct unpack *u, const char *name)
{
	struct stat st;

	if (!*name || str_eq(name, ".") || str_eq(name, "..") || str_skip_prefix(name, MARKER))
		return unpack_refuse(u, "is a marker for a name that cannot be");
	if (fstatat(u->parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISDIR(st.st_mode) ? unpack_set_opaque(u, u->parent_fd, name) : 0;
	if (mknodat(u->parent_fd, name, S_IFCHR | 0000, makedev(0, 0)) < 0)
		return err_sys(u->err, errno, "entry \"%.300s\": make marker", u->entry);
	u->result->inodes++;
	return 0;
}

static int one_entry(struct unpack *u, struct archive_entry *e)
{
	const char *raw = archive_entry_pathname(e), *link = archive_entry_hardlink(e), *parent, *name;
	char path[PATH_MAX], target[PATH_MAX];
	int type = archive_entry_filetype(e), r;

	u->entry = raw ? raw : "";
	if (!raw)
		return unpack_refuse(u, "its name cannot be read");
	r = clean_name(u, raw, path);
	if (r < 0)
		return r;
	if (!*path) {
		if (link || type != AE_IFDIR)
			return unpack_refuse(u, "the root of a layer must be a directory");
		u->result->has_root = true;
		return unpack_metadata_of_root(u, e);
	}
	if (strstr(path, "/" MARKER) || str_skip_prefix(path, MARKER)) {
		char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;

		/* AUFS kept notes of its own under such names: nothing of the tree */
		if (strstr(path, MARKER MARKER) && !str_eq(base, OPAQUE))
			return 0;
		if (!str_skip_prefix(base, MARKER) || strstr(path, MARKER) != base)
			return unpack_refuse(u, "lies in a marker");
		if (link || type != AE_IFREG)
			return unpack_refuse(u, "a marker must be a regular file");
		name = split(path, &parent);
		r = open_parent(u, parent);
		if (r < 0)
			return r;
		return str_eq(name, OPAQUE) ? unpack_set_opaque(u, u->parent_fd, ".") :
					      put_marker(u, name + strlen(MARKER));
	}
	name = split(path, &parent);
	r = open_parent(u, parent);
	if (r < 0)
		return r;
	if (link) {
		r = clean_name(u, link, target);
		return r < 0 ? r : unpack_hardlink(u, name, target);
	}
	switch (type) {
	case AE_IFREG: return unpack_regular(u, e, name);
	case AE_IFDIR: return unpack_directory(u, e, name, parent);
	case AE_IFLNK: return unpack_symlink(u, e, name);
	case AE_IFCHR:
	case AE_IFBLK:
	case AE_IFIFO: return unpack_special(u, e, name);
	default: return unpack_refuse(u, "is of a kind that has no place in a layer");
	}
}

/* ---- the archive ---- */

static la_ssize_t feed(struct archive *a, void *user, const void **ret)
{
	struct unpack *u = user;
	ssize_t n = source_next(u->tar, ret, u->buffer, BUFFER_SIZE, &u->source_err);

	u->ended = n == 0;
	if (n < 0) {
		archive_set_error(a, EIO, "%s", u->source_err.text);
		return ARCHIVE_FATAL;
	}
	return n;
}

static int archive_failed(struct unpack *u, struct archive *a)
{
	/* the stream below failed: its own words and kind */
	if (u->source_err.kind != ERR_NONE) {
		if (u->err)
			*u->err = u->source_err;
		return -EIO;
	}
	return err_set(u->err, ERR_CORRUPT, "not a valid tar archive%s%.300s: %s",
		       *u->entry ? ", behind " : "", u->entry,
		       archive_error_string(a) ? archive_error_string(a) : "");
}

static int entries(struct unpack *u, struct archive *a)
{
	const uint64_t max = u->limits.layer_entries;

	for (uint64_t n = 0;; n++) {
		struct archive_entry *e;
		int code = archive_read_next_header(a, &e), r;

		u->entry = u->last;
		if (code == ARCHIVE_EOF)
			return 0;
		if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
			return archive_failed(u, a);
		if (n >= max)
			return err_set(u->err, ERR_LIMIT, "has more than %" PRIu64 " entries", max);
		u->archive = a;
		r = one_entry(u, e);
		if (r < 0 || u->unpadded)
			return r;
		snprintf(u->last, sizeof(u->last), "%s", u->entry);
	}
}

static int with_archive(struct unpack *u)
{
	struct archive *a = archive_read_new();
	int r;

	if (!a)
		return err_sys(u->err, ENOMEM, "libarchive");
	archive_read_support_format_tar(a);
	archive_read_support_format_empty(a);
	if (archive_read_open(a, u, NULL, feed, NULL) != ARCHIVE_OK)
		r = archive_failed(u, a);
	else
		r = entries(u, a);
	archive_read_free(a);
	return r;
}

/*
 * Names are bytes: in a UTF-8 locale libarchive passes them through as they are. Made once;
 * each thread uses it only while it unpacks.
 */
static locale_t utf8;

static void make_locale(void)
{
	utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

int unpack_layer(int dirfd, struct source *tar, const struct image_limits *limits, struct unpack_result *ret,
		 struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct unpack u = { .root = dirfd, .tar = tar, .limits = *limits, .result = ret, .err = err,
			    .entry = "", .parent_fd = -EBADF, .source_err = ERR_INIT };
	locale_t before;
	int r;

	pthread_once(&once, make_locale);
	if (!tar->next)
		u.buffer = mem_new(BUFFER_SIZE, 1);
	ret->inodes = 1;
	ret->bytes = 4096;
	u.writers = writers_new();
	before = uselocale(utf8);
	r = with_archive(&u);
	uselocale(before);
	if (r == 0)
		r = writers_end(u.writers, ret, err);
	writers_free(u.writers);
	unpack_forget_parent(&u);
	if (r == 0)
		r = source_drain(tar, err);
	if (r == 0)
		r = unpack_set_times(&u);
	arena_done(&u.times_arena);
	free(u.times);
	free(u.buffer);
	return r;
}
