/*
 * Trees of cgroups: visiting and removing. Any process.
 *
 * A container may make sub-cgroups of its own where it is allowed to, as deep and as many
 * as it likes, and change them meanwhile: what vanishes under the walk is no error.
 */
#include "cgroup/driver.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { DEPTH_MAX = 512 };

/* The next sub-directory of an open directory, or NULL. cgroupfs fills in d_type. */
static const char *next_child(DIR *dir)
{
	struct dirent *e;

	while ((e = readdir(dir)))
		if (e->d_type == DT_DIR && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return e->d_name;
	return NULL;
}

static int open_dir(int parent, const char *name, DIR **ret)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret = fdopendir(fd);
	if (!*ret) {
		close(fd);
		return -ENOMEM;
	}
	return 0;
}

/* A stack of open directories instead of recursion: its bound is ours, not the thread's. */
int cgroup_walk(int dir, cgroup_walk_fn fn, void *user)
{
	autofree DIR **stack = mem_new(DEPTH_MAX, sizeof(*stack));
	struct stat st;
	size_t n = 0;
	int r;

	/* nlink counts sub-directories here: a leaf, the usual case, is not read at all */
	if (fstatat(dir, "", &st, AT_EMPTY_PATH) == 0 && st.st_nlink == 2)
		return fn(dir, user);
	r = open_dir(dir, ".", &stack[0]);
	if (r < 0)
		return r == -ENOENT || r == -ENODEV ? 0 : r;
	n = 1;
	while (n) {
		const char *name = next_child(stack[n - 1]);

		if (name && r == 0) {
			if (n == DEPTH_MAX) {
				r = -E2BIG;
				continue;
			}
			r = open_dir(dirfd(stack[n - 1]), name, &stack[n]);
			if (r == 0)
				n++;
			else if (r == -ENOENT || r == -ENODEV)
				r = 0;
			continue;
		}
		if (r == 0)
			r = fn(dirfd(stack[n - 1]), user);
		closedir(stack[--n]);
	}
	return r;
}

static bool is_gone(int r)
{
	return r == -ENOENT || r == -ENODEV;
}

/* Takes the descriptor. One frame and one descriptor a level. */
static int remove_below(int fd, int depth)
{
	DIR *d = fdopendir(fd);
	const char *name;
	int r = 0;

	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (name = next_child(d))) {
		if (unlinkat(dirfd(d), name, AT_REMOVEDIR) == 0 || is_gone(-errno))
			continue;
		if (errno != EBUSY && errno != ENOTEMPTY) {
			r = -errno;
			break;
		}
		if (depth == DEPTH_MAX) {
			r = -E2BIG;
			break;
		}
		fd = openat(dirfd(d), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) {
			r = is_gone(-errno) ? 0 : -errno;
			continue;
		}
		r = remove_below(fd, depth + 1);
		if (r == 0 && unlinkat(dirfd(d), name, AT_REMOVEDIR) < 0 && !is_gone(-errno))
			r = -errno;
	}
	closedir(d);
	return r;
}

int cgroup_remove_tree(const char *directory)
{
	int dir, r;

	if (rmdir(directory) == 0 || is_gone(-errno))
		return 0;
	if (errno != EBUSY && errno != ENOTEMPTY)
		return -errno;
	dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return is_gone(-errno) ? 0 : -errno;
	r = remove_below(dir, 0);
	if (r < 0)
		return r;
	return rmdir(directory) == 0 || is_gone(-errno) ? 0 : -errno;
}
