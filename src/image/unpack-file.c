/*
 * Making single files of a layer. `name` is one component in a descriptor that was reached
 * safely, and is never followed, so everything here is about getting the file itself right:
 * owner before mode (chown clears set-id bits), both before xattrs (chown clears
 * security.capability), times last.
 */
#include "image/unpack-file.h"

#include "sys/sys.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/xattr.h>

int unpack_failed(struct unpack *u, int errnum, const char *what)
{
	return err_sys(u->err, errnum, "entry \"%.300s\": %s", u->entry, what);
}

void unpack_forget_parent(struct unpack *u)
{
	fd_drop(&u->parent_fd);
}

/*
 * Removes what this layer has put there before. *ret_shadow: it was no directory, so what
 * lies below in other layers had gone: a directory in its place must be opaque.
 */
int unpack_clear_place(struct unpack *u, const char *name, bool *ret_shadow)
{
	struct stat st;
	int r;

	*ret_shadow = false;
	if (fstatat(u->parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : unpack_failed(u, errno, "stat");
	u->result->sums.unsure = true;
	*ret_shadow = !S_ISDIR(st.st_mode);
	if (!S_ISDIR(st.st_mode))
		return unlinkat(u->parent_fd, name, 0) < 0 ? unpack_failed(u, errno,
									   "replace an earlier entry") : 0;
	/* its descriptor may be the kept parent of entries below it, but not this one */
	r = sys_remove_tree(u->parent_fd, name);
	return r < 0 ? unpack_failed(u, r, "replace an earlier directory") : 0;
}

struct timespec unpack_mtime(struct archive_entry *e)
{
	if (!archive_entry_mtime_is_set(e))
		return (struct timespec){ 0, 0 };
	return (struct timespec){ archive_entry_mtime(e), archive_entry_mtime_nsec(e) };
}

/* ---- metadata ---- */

static bool xattr_wanted(const char *name)
{
	/* markers are ours to set, and labels belong to the node's policy */
	if (str_skip_prefix(name, "trusted.overlay.") || str_skip_prefix(name, "user.overlay.") ||
	    str_eq(name, "security.selinux"))
		return false;
	return str_skip_prefix(name, "user.") || str_skip_prefix(name, "trusted.") ||
		str_skip_prefix(name, "security.") ||
	       str_eq(name, "system.posix_acl_access") || str_eq(name, "system.posix_acl_default");
}

/* path: /proc/self/fd/N; with an O_PATH descriptor that is the file itself, link or not. */
static int set_xattrs(struct unpack *u, struct archive_entry *e, const char *path)
{
	const char *name;
	const void *value;
	size_t size;

	if (!archive_entry_xattr_count(e))
		return 0;
	archive_entry_xattr_reset(e);
	while (archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK) {
		if (!xattr_wanted(name) || setxattr(path, name, value, size, 0) == 0)
			continue;
		/* user.* does not exist on links and devices; a file system may have none at all.
		 * A lost capability would be a program that fails at its first use. */
		if ((errno == EPERM || errno == EOPNOTSUPP) && !str_eq(name, "security.capability"))
			continue;
		return err_sys(u->err, errno, "entry \"%.300s\": set xattr %.100s", u->entry, name);
	}
	return 0;
}

bool unpack_owner_differs(const struct unpack *u, struct archive_entry *e)
{
	/* what is made here belongs to 0:0, unless the directory hands its group down */
	return archive_entry_uid(e) || archive_entry_gid(e) || u->parent_setgid;
}

int unpack_check_owner(struct unpack *u, struct archive_entry *e)
{
	int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);

	/* -1 would mean "leave" to chown */
	return uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX ?
		       err_set(u->err, ERR_INVALID,
			       "entry \"%.300s\": owner %" PRId64 ":%" PRId64 " is no user id", u->entry,
			       uid, gid) :
		       0;
}

/* For a descriptor that can be written through: files, directories. */
int unpack_metadata(struct unpack *u, struct archive_entry *e, int fd, bool owner, bool times)
{
	struct timespec t[2] = { { 0, UTIME_OMIT }, unpack_mtime(e) };
	char path[SYS_FD_PATH_MAX];
	int r;

	if (owner && fchown(fd, (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e)) < 0)
		return unpack_failed(u, errno, "chown");
	if (fchmod(fd, archive_entry_perm(e)) < 0)
		return unpack_failed(u, errno, "chmod");
	r = set_xattrs(u, e, sys_fd_path(fd, path));
	if (r < 0)
		return r;
	return times && futimens(fd, t) < 0 ? unpack_failed(u, errno, "set times") : 0;
}

/* For links, devices and FIFOs, which must not be opened. */
static int set_metadata_at(struct unpack *u, struct archive_entry *e, const char *name, bool mode)
{
	struct timespec t[2] = { { 0, UTIME_OMIT }, unpack_mtime(e) };
	char path[SYS_FD_PATH_MAX];
	int r;

	if (unpack_owner_differs(u, e) &&
	    fchownat(u->parent_fd, name, (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e),
		     AT_SYMLINK_NOFOLLOW) < 0)
		return unpack_failed(u, errno, "chown");
	/* only for what was just made and is no link: fchmodat follows */
	if (mode && fchmodat(u->parent_fd, name, archive_entry_perm(e), 0) < 0)
		return unpack_failed(u, errno, "chmod");
	if (archive_entry_xattr_count(e)) {
		autofd int fd = openat(u->parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0)
			return unpack_failed(u, errno, "open");
		r = set_xattrs(u, e, sys_fd_path(fd, path));
		if (r < 0)
			return r;
	}
	return utimensat(u->parent_fd, name, t, AT_SYMLINK_NOFOLLOW) < 0 ? unpack_failed(u, errno,
											 "set times") : 0;
}

int unpack_set_opaque(struct unpack *u, int dirfd, const char *name)
{
	char path[SYS_FD_PATH_MAX];
	autofd int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || setxattr(sys_fd_path(fd, path), "trusted.overlay.opaque", "y", 1, 0) < 0)
		return unpack_failed(u, errno, "mark the directory opaque");
	return 0;
}

/* ---- kinds ---- */

static int note_times(struct unpack *u, int fd, struct archive_entry *e)
{
	char link[SYS_FD_PATH_MAX], root[PATH_MAX], path[PATH_MAX];
	ssize_t n = readlink(sys_fd_path(u->root, link), root, sizeof(root) - 1);
	ssize_t m = readlink(sys_fd_path(fd, link), path, sizeof(path) - 1);

	if (n < 0 || m < n)
		return unpack_failed(u, errno ? errno : EIO, "its place");
	path[m] = '\0';
	if ((u->n_times & (u->n_times - 1)) == 0)
		u->times = mem_grow(u->times, u->n_times ? 2 * u->n_times : 1, sizeof(*u->times));
	u->times[u->n_times].path = arena_strdup(&u->times_arena, path + n + (m > n));
	u->times[u->n_times++].mtime = unpack_mtime(e);
	return 0;
}

/* A listed implied directory that gets its own entry later is implied no more. */
static void drop_implied(struct unpack *u, const char *path)
{
	struct unpack_result *res = u->result;

	for (size_t i = 0; i < res->n_implied; i++)
		if (str_eq(res->implied[i], path)) {
			memmove(&res->implied[i], &res->implied[i + 1],
				(--res->n_implied - i) * sizeof(*res->implied));
			return;
		}
}

int unpack_directory(struct unpack *u, struct archive_entry *e, const char *name, const char *parent)
{
	autofd int fd = -EBADF;
	bool shadow = false;
	struct stat st;
	int r;

	if (mkdirat(u->parent_fd, name, 0700) == 0) {
		u->result->inodes++;
		u->result->bytes += 4096;
	} else if (errno != EEXIST) {
		return unpack_failed(u, errno, "mkdir");
	} else if (fstatat(u->parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return unpack_failed(u, errno, "stat");
	} else if (!S_ISDIR(st.st_mode)) {
		r = unpack_clear_place(u, name, &shadow);
		if (r < 0)
			return r;
		if (mkdirat(u->parent_fd, name, 0700) < 0)
			return unpack_failed(u, errno, "mkdir");
	}
	fd = openat(u->parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return unpack_failed(u, errno, "open");
	if (shadow && (r = unpack_set_opaque(u, u->parent_fd, name)) < 0)
		return r;
	/* an existing one may belong to anyone */
	if ((r = unpack_check_owner(u, e)) < 0 || (r = unpack_metadata(u, e, fd, true, false)) < 0 ||
	    (r = note_times(u, fd, e)) < 0)
		return r;
	drop_implied(u, u->times[u->n_times - 1].path);
	if (u->times_arena.used + u->result->arena.used > UNPACK_NAMES_MAX)
		return err_set(u->err, ERR_LIMIT, "entry \"%.300s\": too many directories in this layer",
			       u->entry);
	return 0;
}

int unpack_metadata_of_root(struct unpack *u, struct archive_entry *e)
{
	autofd int fd = openat(u->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return unpack_failed(u, errno, "open");
	if ((r = unpack_check_owner(u, e)) < 0 || (r = unpack_metadata(u, e, fd, true, false)) < 0)
		return r;
	unpack_forget_parent(u); /* its setgid bit may have changed */
	return note_times(u, fd, e);
}

int unpack_symlink(struct unpack *u, struct archive_entry *e, const char *name)
{
	const char *target = archive_entry_symlink(e);
	bool shadow;
	int r;

	if (str_empty(target))
		return err_set(u->err, ERR_INVALID, "entry \"%.300s\": a symbolic link without a target",
			       u->entry);
	r = unpack_check_owner(u, e);
	if (r < 0)
		return r;
	if (symlinkat(target, u->parent_fd, name) < 0) {
		if (errno != EEXIST)
			return unpack_failed(u, errno, "symlink");
		r = unpack_clear_place(u, name, &shadow);
		if (r < 0)
			return r;
		if (symlinkat(target, u->parent_fd, name) < 0)
			return unpack_failed(u, errno, "symlink");
	}
	u->result->inodes++;
	return set_metadata_at(u, e, name, false);
}

int unpack_special(struct unpack *u, struct archive_entry *e, const char *name)
{
	mode_t mode = (mode_t)archive_entry_filetype(e) | (archive_entry_perm(e) & 0777);
	dev_t dev = archive_entry_filetype(e) == AE_IFIFO ? 0 : archive_entry_rdev(e);
	bool shadow;
	int r = unpack_check_owner(u, e);

	if (r < 0)
		return r;
	if (mknodat(u->parent_fd, name, mode, dev) < 0) {
		if (errno != EEXIST)
			return unpack_failed(u, errno, "mknod");
		r = unpack_clear_place(u, name, &shadow);
		if (r < 0)
			return r;
		if (mknodat(u->parent_fd, name, mode, dev) < 0)
			return unpack_failed(u, errno, "mknod");
	}
	u->result->inodes++;
	return set_metadata_at(u, e, name, true);
}

int unpack_hardlink(struct unpack *u, const char *name, const char *target)
{
	autofd int dir = -EBADF;
	const char *slash = strrchr(target, '/');
	char parent[PATH_MAX];
	struct stat st, there;
	bool shadow;
	int r;

	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - target) : 0, target);
	r = sys_open_in(u->root, parent, O_PATH | O_DIRECTORY, 0, &dir);
	if (r == 0 && fstatat(dir, slash ? slash + 1 : target, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == -ENOENT || r == -ENOTDIR)
		return unpack_link_later(u, name, target, dir);
	if (r < 0)
		return unpack_failed(u, r, "open the target of the hard link");
	if (S_ISDIR(st.st_mode) || unpack_is_whiteout(&st))
		return err_set(u->err, ERR_INVALID,
			       "entry \"%.300s\": a hard link to \"%.300s\", which is no file", u->entry,
			       target);
	if (fstatat(u->parent_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0) {
		if (there.st_dev == st.st_dev && there.st_ino == st.st_ino)
			return 0; /* a link to itself must not remove itself */
		r = unpack_clear_place(u, name, &shadow);
		if (r < 0)
			return r;
	}
	if (linkat(dir, slash ? slash + 1 : target, u->parent_fd, name, 0) < 0)
		return unpack_failed(u, errno, "link");
	return unpack_link_again(u, name, st.st_ino);
}

/* Deepest last made is first set: order does not matter, since times of a directory do not
 * change when those of its children are set. */
int unpack_set_times(struct unpack *u)
{
	for (size_t i = 0; i < u->n_times; i++) {
		struct timespec t[2] = { { 0, UTIME_OMIT }, u->times[i].mtime };
		autofd int fd = -EBADF;
		int r = sys_open_beneath(u->root, u->times[i].path, O_RDONLY | O_DIRECTORY, 0, &fd);

		/* replaced by a later entry */
		if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
			continue;
		if (r < 0 || futimens(fd, t) < 0)
			return err_sys(u->err, r < 0 ? r : errno, "set times of %.300s", u->times[i].path);
	}
	return 0;
}
