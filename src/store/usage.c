/*
 * What a tree occupies. The tree belongs to a running container, which may change it under
 * our feet and build it to hurt: descriptors only, no link is followed, no mount is entered,
 * depth and the list of hard links are bounded. What lies beyond the bounds is not counted.
 */
#include "store/inner.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { DEPTH_MAX = 128, LINKED_MAX = 1 << 18 };

struct walk {
	uint64_t bytes, inodes;
	dev_t dev;
	struct map linked; /* inode numbers of what has several names */
	struct arena names;
};

static bool first_name(struct walk *w, const struct stat *st)
{
	char *key;

	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return true;
	if (w->linked.n >= LINKED_MAX)
		return false;
	key = arena_printf(&w->names, "%llx", (unsigned long long)st->st_ino);
	return map_put(&w->linked, key, key) == 0;
}

static void walk_dir(struct walk *w, int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		close(fd);
		return;
	}
	while ((e = readdir(dir))) {
		struct stat st;
		int sub;

		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != w->dev)
			continue;
		if (first_name(w, &st)) {
			w->bytes += (uint64_t)st.st_blocks * 512;
			w->inodes++;
		}
		if (!S_ISDIR(st.st_mode) || depth >= DEPTH_MAX)
			continue;
		sub = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			walk_dir(w, sub, depth + 1);
	}
	closedir(dir);
}

int store_snapshot_usage(struct store *s, const char *id, uint64_t *ret_bytes, uint64_t *ret_inodes,
			 struct err *err)
{
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT;
	struct walk w = { 0 };
	struct stat st;
	int fd, r = store_snapshot_get(s, id, &snap, err);

	if (r < 0)
		return r;
	if (snap.upper) {
		fd = open(snap.upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0) {
			r = err_sys(err, errno, "open %s", snap.upper);
			if (fd >= 0)
				close(fd);
			return r;
		}
		w.dev = st.st_dev;
		w.bytes = (uint64_t)st.st_blocks * 512;
		w.inodes = 1;
		walk_dir(&w, fd, 0);
		map_done(&w.linked);
		arena_done(&w.names);
	}
	*ret_bytes = w.bytes;
	*ret_inodes = w.inodes;
	return 0;
}
