/*
 * Path walking on openat2(2). Invariant: every descriptor that leaves this file was
 * reached in one walk from the root descriptor that the caller gave.
 */
#include "sys/path.h"

#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int walk(int rootfd, const char *path, int flags, mode_t mode, uint64_t resolve, int *ret_fd)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
		.resolve = resolve | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	while (*path == '/')
		path++;
	if (!*path)
		path = ".";
	/* -EAGAIN: a rename or mount happened while ".." was walked; try again, not for ever,
	 * since whoever renames may do so on purpose */
	for (int tries = 0; tries < 128; tries++) {
		fd = syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
		if (fd >= 0) {
			*ret_fd = (int)fd;
			return 0;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -EAGAIN;
}

int sys_open_in(int rootfd, const char *path, int flags, mode_t mode, int *ret_fd)
{
	return walk(rootfd, path, flags, mode, RESOLVE_IN_ROOT, ret_fd);
}

int sys_open_beneath(int rootfd, const char *path, int flags, mode_t mode, int *ret_fd)
{
	return walk(rootfd, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, ret_fd);
}

enum { LINKS_MAX = 40 };

/* Puts the target of the link `name` in parent (inside root) in front of `rest`. */
static int splice_link(int parent, const char *name, const char *rest, char out[PATH_MAX])
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(parent, name, target, sizeof(target) - 1);
	int len;

	if (n < 0)
		return -errno;
	target[n] = '\0';
	len = snprintf(out, PATH_MAX, "%s%s%s", target, *rest ? "/" : "", rest);
	return len < 0 || len >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/*
 * Component by component, with the kernel doing each step from a descriptor. What exists
 * is opened as in a chroot; what is missing is made by mkdirat in the descriptor just
 * reached, so that no link can be slipped in between: a link that appears after mkdirat
 * failed with EEXIST is walked like any other, inside root.
 *
 * ".." cannot be taken from a descriptor with RESOLVE_IN_ROOT relative to `dir` (the kernel
 * would stop at dir), so the path walked so far is kept as text and re-walked from root.
 */
static __attribute__((noinline)) int mkdir_all(int rootfd, const char *path, mode_t mode, int *ret_fd)
{
	char todo[PATH_MAX], done[PATH_MAX] = "", next[PATH_MAX];
	int links = 0;
	autofd int dir = -EBADF;
	int r;

	if (strlen(path) >= sizeof(todo))
		return -ENAMETOOLONG;
	memcpy(todo, path, strlen(path) + 1);
	r = sys_open_in(rootfd, "", O_PATH | O_DIRECTORY, 0, &dir);
	if (r < 0)
		return r;
	for (;;) {
		char *p = todo, *slash, name[NAME_MAX + 1];
		const char *rest;
		struct stat st;
		int fd = -EBADF;
		size_t n;

		while (*p == '/')
			p++;
		if (!*p)
			break;
		slash = strchrnul(p, '/');
		n = (size_t)(slash - p);
		if (n > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, p, n);
		name[n] = '\0';
		rest = *slash ? slash + 1 : "";
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
			if (name[1]) {
				char *last = strrchr(done, '/');

				if (last)
					*last = '\0';
				else
					done[0] = '\0';
				r = sys_open_in(rootfd, done, O_PATH | O_DIRECTORY, 0, &fd);
				if (r < 0)
					return r;
				fd_drop(&dir);
				dir = fd;
			}
			memmove(todo, rest, strlen(rest) + 1);
			continue;
		}
		if (mkdirat(dir, name, mode) == 0) {
			/* openat2 with RESOLVE_BENEATH: what we made, not what replaced it */
		} else if (errno != EEXIST) {
			return -errno;
		}
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		if (S_ISLNK(st.st_mode)) {
			if (++links > LINKS_MAX)
				return -ELOOP;
			r = splice_link(dir, name, rest, next);
			if (r < 0)
				return r;
			memcpy(todo, next, strlen(next) + 1);
			if (todo[0] == '/') {
				done[0] = '\0';
				r = sys_open_in(rootfd, "", O_PATH | O_DIRECTORY, 0, &fd);
				if (r < 0)
					return r;
				fd_drop(&dir);
				dir = fd;
			}
			continue;
		}
		r = sys_open_beneath(dir, name, O_PATH | O_DIRECTORY, 0, &fd);
		if (r < 0)
			return r;
		fd_drop(&dir);
		dir = fd;
		n = strlen(done);
		if ((size_t)snprintf(done + n, sizeof(done) - n, "%s%s", n ? "/" : "", name) >= sizeof(done) - n)
			return -ENAMETOOLONG;
		memmove(todo, rest, strlen(rest) + 1);
	}
	*ret_fd = take_fd(&dir);
	return 0;
}

/*
 * What is mostly wanted: what is above is there, and the last component is not. The same three steps
 * that mkdir_all comes to then, without its walk and its twelve kilobytes of stack. 1: something
 * else, and nothing was done.
 */
static int mkdir_last(int rootfd, const char *path, mode_t mode, int *ret_fd)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	autofd int dir = -EBADF;
	char parent[256];
	size_t n = (size_t)(name - path);

	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || n >= sizeof(parent))
		return 1;
	memcpy(parent, path, n);
	parent[n] = '\0';
	if (sys_open_in(rootfd, parent, O_PATH | O_DIRECTORY, 0, &dir) < 0 || mkdirat(dir, name, mode) < 0)
		return 1;
	return sys_open_beneath(dir, name, O_PATH | O_DIRECTORY, 0, ret_fd);
}

int sys_mkdir_in(int rootfd, const char *path, mode_t mode, int *ret_fd)
{
	int r = mkdir_last(rootfd, path, mode, ret_fd);

	return r == 1 ? mkdir_all(rootfd, path, mode, ret_fd) : r;
}

int sys_mkfile_in(int rootfd, const char *path, mode_t dir_mode, mode_t mode, int *ret_fd)
{
	char parent[PATH_MAX], target[PATH_MAX], name[NAME_MAX + 1];
	const char *now = path;

	for (int links = 0; links <= LINKS_MAX; links++) {
		autofd int dir = -EBADF, made = -EBADF;
		const char *slash;
		ssize_t n;
		int r;

		r = sys_open_in(rootfd, now, O_PATH, 0, ret_fd);
		if (r != -ENOENT)
			return r;
		slash = strrchr(now, '/');
		if (strlen(slash ? slash + 1 : now) > NAME_MAX || strlen(now) >= sizeof(parent))
			return -ENAMETOOLONG;
		snprintf(name, sizeof(name), "%s", slash ? slash + 1 : now);
		if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			return -EISDIR;
		memmove(parent, now, slash ? (size_t)(slash - now) : 0);
		parent[slash ? slash - now : 0] = '\0';
		r = sys_mkdir_in(rootfd, parent, dir_mode, &dir);
		if (r < 0)
			return r;
		r = sys_open_beneath(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, mode, &made);
		if (r == 0)
			return sys_open_beneath(dir, name, O_PATH | O_NOFOLLOW, 0, ret_fd);
		if (r != -EEXIST && r != -ELOOP)
			return r;
		/* a dangling link: its target is what has to be made, inside root */
		n = readlinkat(dir, name, target, sizeof(target) - 1);
		if (n < 0)
			return -errno;
		target[n] = '\0';
		if (target[0] != '/') {
			size_t len = strlen(parent);

			if (len + 1 + (size_t)n >= sizeof(parent))
				return -ENAMETOOLONG;
			memmove(target + len + 1, target, (size_t)n + 1);
			memcpy(target, parent, len);
			target[len] = '/';
		}
		memcpy(parent, target, strlen(target) + 1);
		now = parent;
	}
	return -ELOOP;
}

int sys_mkdir_p(const char *path, mode_t mode)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (!len || len >= sizeof(part))
		return len ? -ENAMETOOLONG : -ENOENT;
	memcpy(part, path, len + 1);
	for (char *p = part + 1;; p++) {
		bool end = !*p;

		if (*p != '/' && !end)
			continue;
		*p = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return -errno;
		if (end)
			break;
		*p = '/';
	}
	return 0;
}

/* Empties the directory `fd`; directories that are not empty move up into `top`. */
static int flatten(int fd, int top, uint64_t *counter)
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (errno = 0, e = readdir(dir)) {
		char moved[24];

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (e->d_type != DT_DIR && unlinkat(dirfd(dir), e->d_name, 0) == 0)
			continue;
		if (unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			continue;
		if (errno == ENOTDIR && unlinkat(dirfd(dir), e->d_name, 0) == 0)
			continue;
		if (errno != ENOTEMPTY && errno != EEXIST) {
			r = -errno;
			break;
		}
		do {
			snprintf(moved, sizeof(moved), ".rm-%" PRIx64, (*counter)++);
			r = renameat2(dirfd(dir), e->d_name, top, moved, RENAME_NOREPLACE) < 0 ? -errno : 0;
		} while (r == -EEXIST);
		if (r < 0 && r != -ENOENT)
			break;
		r = 0;
	}
	closedir(dir);
	return r;
}

/*
 * Without recursion and with three descriptors whatever the depth: a directory that is not
 * empty is renamed into the top one and emptied there in a later round. Each directory
 * moves at most once. A mount point cannot be renamed or removed (-EBUSY), so the walk
 * never enters another mount.
 */
int sys_remove_tree(int dirfd, const char *name)
{
	uint64_t counter = 0;
	struct stat st;
	autofd int top = -EBADF;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(dirfd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	top = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (top < 0)
		return -errno;
	for (;;) {
		bool found = false;
		struct dirent *e;
		DIR *dir;
		int r, fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return -errno;
		dir = fdopendir(fd);
		if (!dir) {
			close(fd);
			return -ENOMEM;
		}
		r = 0;
		while (r == 0 && (e = readdir(dir))) {
			if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
				continue;
			found = true;
			if (e->d_type != DT_DIR && unlinkat(top, e->d_name, 0) == 0)
				continue;
			fd = openat(top, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (fd < 0) {
				r = errno == ENOENT ? 0 : -errno;
				continue;
			}
			r = flatten(fd, top, &counter);
			if (r == 0 && unlinkat(top, e->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT &&
			    errno != ENOTEMPTY)
				r = -errno;
		}
		closedir(dir);
		if (r < 0)
			return r;
		if (!found)
			break;
	}
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

char *sys_fd_path(int fd, char out[SYS_FD_PATH_MAX])
{
	char digits[12];
	size_t n = 0, at = sizeof("/proc/self/fd/") - 1;
	unsigned v = (unsigned)fd;

	/* by hand: stdio may lock, and a cloned child calls this */
	memcpy(out, "/proc/self/fd/", at);
	do
		digits[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		out[at++] = digits[--n];
	out[at] = '\0';
	return out;
}
