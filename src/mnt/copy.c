/*
 * tmpcopyup: a new tmpfs begins with what its mount point held. [child]
 *
 * What is copied is hostile only as far as it is the container's own: names are taken one
 * component at a time from directory descriptors, no link is followed, and depth is bounded
 * by the stack that a level takes. Owners and modes are kept; extended attributes are not.
 */
#include "mnt/internal.h"

#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { DEPTH_MAX = 64, BATCH = 4096 };

struct entry {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static int copy_tree(int from, int to, int depth);

static int copy_file(int from, const char *name, int to, const struct stat *st)
{
	int in = -EBADF, out = -EBADF, r;
	ssize_t n = 0;

	r = sys_open_beneath(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, &in);
	if (r == 0)
		r = sys_open_beneath(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &out);
	while (r == 0 && (n = sendfile(out, in, NULL, 1 << 20)) > 0)
		;
	if (n < 0)
		r = -errno;
	/* the owner first: changing it takes set-user-id away */
	if (r == 0 && (fchown(out, st->st_uid, st->st_gid) < 0 || fchmod(out, st->st_mode & 07777) < 0))
		r = -errno;
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return r;
}

static int copy_dir(int from, const char *name, int to, const struct stat *st, int depth)
{
	int in = -EBADF, out = -EBADF, r;

	if (depth >= DEPTH_MAX)
		return -ELOOP;
	if (mkdirat(to, name, 0700) < 0)
		return -errno;
	r = sys_open_beneath(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &in);
	if (r == 0)
		r = sys_open_beneath(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &out);
	if (r == 0)
		r = copy_tree(in, out, depth + 1);
	if (r == 0 && (fchown(out, st->st_uid, st->st_gid) < 0 || fchmod(out, st->st_mode & 07777) < 0))
		r = -errno;
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return r;
}

static int copy_link(int from, const char *name, int to, const struct stat *st)
{
	char target[4096];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (symlinkat(target, to, name) < 0)
		return -errno;
	return fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_one(int from, const char *name, int to, int depth)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR: return copy_dir(from, name, to, &st, depth);
	case S_IFREG: return copy_file(from, name, to, &st);
	case S_IFLNK: return copy_link(from, name, to, &st);
	case S_IFSOCK: return 0; /* nobody listens on a copy */
	}
	if (mknodat(to, name, st.st_mode, st.st_rdev) < 0 ||
	    fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int copy_tree(int from, int to, int depth)
{
	char batch[BATCH] __attribute__((aligned(8)));
	long n;

	while ((n = syscall(SYS_getdents64, from, batch, sizeof(batch))) > 0)
		for (long at = 0; at < n;) {
			const struct entry *e = (const struct entry *)(batch + at);
			int r;

			at += e->reclen;
			if (str_eq(e->name, ".") || str_eq(e->name, ".."))
				continue;
			r = copy_one(from, e->name, to, depth);
			if (r < 0)
				return r;
		}
	return n < 0 ? -errno : 0;
}

int mnt_copy_up(int target, int mount, struct err *err)
{
	struct stat st;
	int in, r;

	in = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (in < 0)
		return err_sys(err, errno, "open what it covers");
	r = fstat(in, &st) < 0 ? -errno : copy_tree(in, mount, 0);
	close(in);
	return r < 0 ? err_sys(err, r, "copy what it covers") : 0;
}
