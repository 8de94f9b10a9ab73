/* See bundle.h. */
#include "image/bundle.h"

#include "image/tar-write.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024 };

struct bundle {
	char *path, *partial; /* partial: NULL for a descriptor's name */
	int dir;              /* of a directory; negative for a tar file */
	bool made, finished;
	int fd;
	struct tar_out tar;
	bool is_tar;
	struct map names;
	struct arena arena;
};

static int open_dir(struct bundle *b, struct err *err)
{
	b->made = mkdir(b->path, 0755) == 0;
	if (!b->made && errno != EEXIST)
		return err_sys(err, errno, "mkdir %s", b->path);
	b->dir = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->dir < 0)
		return err_sys(err, errno, "open %s", b->path);
	/* rmdir says whether it is empty, and a directory of nobody else is made again at once */
	if (!b->made && rmdir(b->path) < 0)
		return err_sysk(err, ERR_EXISTS, errno, "%s", b->path);
	if (!b->made) {
		fd_drop(&b->dir);
		return open_dir(b, err);
	}
	return 0;
}

static int open_tar(struct bundle *b, struct err *err)
{
	if (str_skip_prefix(b->path, "/proc/")) {
		b->fd = open(b->path, O_WRONLY | O_CLOEXEC);
	} else {
		b->partial = mem_printf("%s.partial", b->path);
		b->fd = open(b->partial, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	}
	if (b->fd < 0)
		return err_sys(err, errno, "open %s", b->partial ? b->partial : b->path);
	tar_out_init(&b->tar, b->fd);
	b->is_tar = true;
	return 0;
}

int bundle_new(const char *path, bool directory, struct bundle **ret, struct err *err)
{
	struct bundle *b = mem_new(1, sizeof(*b));
	int r;

	b->path = mem_strdup(path);
	b->dir = b->fd = -EBADF;
	r = directory ? open_dir(b, err) : open_tar(b, err);
	if (r < 0) {
		bundle_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

static int tar_failed(struct bundle *b, const char *name, int r, struct err *err)
{
	return err_sys(err, r, "write %s to %s", name, b->path);
}

static int begin_tar(struct bundle *b, const char *name, uint64_t size, struct err *err)
{
	const struct tar_entry e = { .path = name, .mode = S_IFREG | 0644, .size = size };
	int r = tar_out_entry(&b->tar, &e);

	return r < 0 ? tar_failed(b, name, r, err) : 0;
}

static int begin_file(struct bundle *b, const char *name, int *ret_fd, struct err *err)
{
	autofd int dir = -EBADF;
	char parent[256];
	int r = 0;

	if (strrchr(name, '/')) {
		snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(name, '/') - name), name);
		r = sys_mkdir_in(b->dir, parent, 0755, &dir);
		if (r == -EEXIST)
			r = 0;
	}
	if (r == 0)
		r = sys_open_beneath(b->dir, name, O_WRONLY | O_CREAT | O_EXCL, 0644, ret_fd);
	return r < 0 ? err_sys(err, r, "make %s/%s", b->path, name) : 0;
}

/* from: a descriptor, or text when it is negative. */
static int put(struct bundle *b, const char *name, int from, const void *text, uint64_t size, struct err *err)
{
	autofree uint8_t *chunk = mem_new(CHUNK, 1);
	autofd int to = -EBADF;
	int r;

	if (map_get(&b->names, name))
		return 0;
	map_put(&b->names, arena_strdup(&b->arena, name), b);
	r = b->is_tar ? begin_tar(b, name, size, err) : begin_file(b, name, &to, err);
	for (uint64_t at = 0; r == 0 && at < size;) {
		size_t want = size - at > CHUNK ? CHUNK : (size_t)(size - at);
		const void *data = from < 0 ? (const uint8_t *)text + at : chunk;
		ssize_t n = from < 0 ? (ssize_t)want : pread(from, chunk, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, "read %s", name);
		if (b->is_tar && (r = tar_out_data(&b->tar, data, (size_t)n)) < 0)
			return tar_failed(b, name, r, err);
		if (!b->is_tar && (r = sys_write_all(to, data, (size_t)n)) < 0)
			return err_sys(err, r, "write %s/%s", b->path, name);
		at += (uint64_t)n;
	}
	return r;
}

int bundle_put(struct bundle *b, const char *name, int fd, uint64_t size, struct err *err)
{
	return put(b, name, fd, NULL, size, err);
}

int bundle_put_text(struct bundle *b, const char *name, const void *text, size_t len, struct err *err)
{
	return put(b, name, -EBADF, text, len, err);
}

int bundle_finish(struct bundle *b, struct err *err)
{
	int r = b->is_tar ? tar_out_end(&b->tar) : 0;

	if (r < 0)
		return tar_failed(b, "the end", r, err);
	if (b->partial && rename(b->partial, b->path) < 0)
		return err_sys(err, errno, "rename %s", b->partial);
	b->finished = true;
	return 0;
}

void bundle_free(struct bundle *b)
{
	if (!b)
		return;
	tar_out_done(&b->tar);
	if (!b->finished && b->partial && b->fd >= 0)
		unlink(b->partial);
	if (!b->finished && b->made)
		sys_remove_tree(AT_FDCWD, b->path);
	fd_drop(&b->dir);
	fd_drop(&b->fd);
	map_done(&b->names);
	arena_done(&b->arena);
	free(b->path);
	free(b->partial);
	free(b);
}
