/*
 * For LD_PRELOAD: the file system of $ROOT has no space at one call. Of all calls of the process that may need
 * space there, in whatever thread, the $NO_SPACE'th fails with ENOSPC, and with $NO_SPACE_STAYS all behind it.
 * How many there were is written to $NO_SPACE_COUNT when the process ends; which one failed too.
 *
 * Calls are made by syscall(2), so that nothing of the library's is needed.
 */
#undef _FILE_OFFSET_BITS /* both names of each call are wanted */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_ulong calls;
static const char *failed = "-";

static bool on_root(int fd, const char *path)
{
	static dev_t root;
	struct stat st;

	if (!root && getenv("ROOT") && stat(getenv("ROOT"), &st) == 0)
		root = st.st_dev;
	if (fd == AT_FDCWD || (path && *path == '/'))
		return getenv("ROOT") && strncmp(path, getenv("ROOT"), strlen(getenv("ROOT"))) == 0;
	return fstat(fd, &st) == 0 && st.st_dev == root && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

/* Does this call fail? */
static bool full(const char *name, int fd, const char *path)
{
	unsigned long at = getenv("NO_SPACE") ? strtoul(getenv("NO_SPACE"), NULL, 10) : 0, n;
	int saved = errno;

	if (!on_root(fd, path)) {
		errno = saved;
		return false;
	}
	errno = saved;
	n = atomic_fetch_add(&calls, 1) + 1;
	if (!at || (getenv("NO_SPACE_STAYS") ? n < at : n != at))
		return false;
	if (n == at)
		failed = name;
	errno = ENOSPC;
	return true;
}

__attribute__((destructor)) static void tell(void)
{
	const char *path = getenv("NO_SPACE_COUNT");
	FILE *f = path ? fopen(path, "w") : NULL;

	if (!f)
		return;
	fprintf(f, "%lu %s\n", atomic_load(&calls), failed);
	fclose(f);
}

#define CALL(fd, path, number, ...) (full(__func__, fd, path) ? -1 : syscall(number, __VA_ARGS__))

ssize_t write(int fd, const void *buf, size_t n) { return CALL(fd, NULL, SYS_write, fd, buf, n); }
ssize_t writev(int fd, const struct iovec *v, int n) { return CALL(fd, NULL, SYS_writev, fd, v, n); }
ssize_t pwrite(int fd, const void *buf, size_t n, off_t at) { return CALL(fd, NULL, SYS_pwrite64, fd, buf, n, at); }
ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t at) { return CALL(fd, NULL, SYS_pwrite64, fd, buf, n, at); }
int ftruncate(int fd, off_t size) { return (int)CALL(fd, NULL, SYS_ftruncate, fd, size); }
int ftruncate64(int fd, off64_t size) { return (int)CALL(fd, NULL, SYS_ftruncate, fd, size); }
int fallocate(int fd, int mode, off_t at, off_t len) { return (int)CALL(fd, NULL, SYS_fallocate, fd, mode, at, len); }
int fallocate64(int fd, int mode, off64_t at, off64_t len)
{
	return (int)CALL(fd, NULL, SYS_fallocate, fd, mode, at, len);
}
int posix_fallocate(int fd, off_t at, off_t len)
{
	return full(__func__, fd, NULL) || syscall(SYS_fallocate, fd, 0, at, len) < 0 ? errno : 0;
}
int posix_fallocate64(int fd, off64_t at, off64_t len) { return posix_fallocate(fd, at, len); }
int syncfs(int fd) { return (int)CALL(fd, NULL, SYS_syncfs, fd); }
int mkdirat(int fd, const char *path, mode_t mode) { return (int)CALL(fd, path, SYS_mkdirat, fd, path, mode); }
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
int mknodat(int fd, const char *path, mode_t mode, dev_t dev)
{
	return (int)CALL(fd, path, SYS_mknodat, fd, path, mode, dev);
}
int symlinkat(const char *to, int fd, const char *path) { return (int)CALL(fd, path, SYS_symlinkat, to, fd, path); }
int linkat(int from, const char *old, int fd, const char *path, int flags)
{
	return (int)CALL(fd, path, SYS_linkat, from, old, fd, path, flags);
}
int renameat2(int from, const char *old, int fd, const char *path, unsigned flags)
{
	return (int)CALL(fd, path, SYS_renameat2, from, old, fd, path, flags);
}
int renameat(int from, const char *old, int fd, const char *path) { return renameat2(from, old, fd, path, 0); }
int rename(const char *old, const char *path) { return renameat2(AT_FDCWD, old, AT_FDCWD, path, 0); }
int fsetxattr(int fd, const char *name, const void *value, size_t n, int flags)
{
	return (int)CALL(fd, NULL, SYS_fsetxattr, fd, name, value, n, flags);
}

/* The room sets attributes by /proc/self/fd. */
int setxattr(const char *path, const char *name, const void *value, size_t n, int flags)
{
	int fd = -1;

	if (sscanf(path, "/proc/self/fd/%d", &fd) == 1 && full(__func__, fd, NULL))
		return -1;
	return (int)syscall(SYS_setxattr, path, name, value, n, flags);
}

ssize_t copy_file_range(int from, off64_t *at_from, int to, off64_t *at_to, size_t n, unsigned flags)
{
	return CALL(to, NULL, SYS_copy_file_range, from, at_from, to, at_to, n, flags);
}

/* What only opens needs no space. */
static int opened(int dir, const char *path, int flags, mode_t mode)
{
	if ((flags & (O_CREAT | O_TMPFILE)) && (flags & O_ACCMODE) != O_RDONLY && full("open", dir, path))
		return -1;
	return (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define OPEN(name, dir, parameters)                  \
	int name parameters                          \
	{                                            \
		va_list more;                        \
		mode_t mode;                         \
						     \
		va_start(more, flags);               \
		mode = va_arg(more, mode_t);         \
		va_end(more);                        \
		return opened(dir, path, flags, mode); \
	}

OPEN(open, AT_FDCWD, (const char *path, int flags, ...))
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...))
OPEN(openat, dir, (int dir, const char *path, int flags, ...))
OPEN(openat64, dir, (int dir, const char *path, int flags, ...))
