/*
 * Blobs by digest. A file in blobs/sha256 is complete once it has its name; it counts only
 * when meta.db names it too, which happens when an image is published after the sync.
 */
#include "store/inner.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

const char *blob_name(const char *digest)
{
	const char *hex = str_skip_prefix(digest, "sha256:");

	return hex && strspn(hex, "0123456789abcdef") == 64 && !hex[64] ? hex : "";
}

static int check(const char *digest, struct err *err)
{
	return *blob_name(digest) ? 0 : err_set(err, ERR_INVALID, "blob \"%.80s\": not a sha256 digest",
						digest);
}

/* From here on the lease keeps it. */
static void hold_blob(struct store_lease *l, const char *digest)
{
	WITH_LOCK(l->store);
	l->blobs = mem_grow(l->blobs, l->n_blobs + 1, sizeof(*l->blobs));
	snprintf(l->blobs[l->n_blobs++], sizeof(*l->blobs), "%s", digest);
}

/* What has that name may be damaged, or no file at all: it gives way to what was just seen to be right. */
static int make_way(struct store_lease *l, const char *name)
{
	struct stat st;

	WITH_LOCK(l->store);
	l->dirty = true;
	if (fstatat(l->store->blobs_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return sys_remove_tree(l->store->blobs_fd, name);
	return 0;
}

int store_blob_put(struct store_lease *l, const char *digest, const void *data, size_t len, struct err *err)
{
	CLEANUP(buf_done) struct buf there = BUF_INIT(len + 1);
	struct store *s = l->store;
	int r = check(digest, err);

	if (r < 0)
		return r;
	hold_blob(l, digest);
	if (sys_file_read(s->blobs_fd, blob_name(digest), there.max, &there) == 0 && there.len == len &&
	    memcmp(there.data, data, len) == 0)
		return 0;
	r = make_way(l, blob_name(digest));
	if (r == 0)
		r = sys_file_replace(s->blobs_fd, blob_name(digest), data, len, 0600, false);
	return r < 0 ? err_sys(err, r, "write blob %s", digest) : 0;
}

int store_blob_get(struct store *s, const char *digest, struct buf *out, struct err *err)
{
	int r = check(digest, err);

	if (r < 0)
		return r;
	r = sys_file_read(s->blobs_fd, blob_name(digest), out->max, out);
	return r < 0 ? err_sys(err, r, "blob %s", digest) : 0;
}

int store_blob_open(struct store *s, const char *digest, int *ret_fd, struct err *err)
{
	int fd, r = check(digest, err);

	if (r < 0)
		return r;
	fd = openat(s->blobs_fd, blob_name(digest), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "blob %s", digest);
	*ret_fd = fd;
	return 0;
}

int store_blob_remove(struct store *s, const char *digest, struct err *err)
{
	int r = check(digest, err);

	if (r < 0)
		return r;
	WITH_LOCK(s);
	if (unlinkat(s->blobs_fd, blob_name(digest), 0) < 0 && errno != ENOENT)
		return err_sys(err, errno, "remove blob %s", digest);
	return 0;
}

int store_blob_stage(struct store *s, int *ret_fd, struct err *err)
{
	int fd = openat(s->blobs_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(err, errno, "make a file in %s/blobs", s->root);
	*ret_fd = fd;
	return 0;
}

int store_blob_commit(struct store_lease *l, const char *digest, int fd, struct err *err)
{
	struct store *s = l->store;
	char path[SYS_FD_PATH_MAX], new[STORE_DIGEST_MAX + 16];
	int r = check(digest, err);

	if (r < 0)
		return r;
	hold_blob(l, digest);
	r = make_way(l, blob_name(digest));
	if (r < 0)
		return err_sys(err, r, "name blob %s", digest);
	/* a name of its own until it takes the place of whatever is there */
	snprintf(new, sizeof(new), "%s.%d", blob_name(digest), fd);
	unlinkat(s->blobs_fd, new, 0);
	if (linkat(AT_FDCWD, sys_fd_path(fd, path), s->blobs_fd, new, AT_SYMLINK_FOLLOW) < 0)
		return err_sys(err, errno, "name blob %s", digest);
	if (renameat(s->blobs_fd, new, s->blobs_fd, blob_name(digest)) < 0) {
		r = -errno;
		unlinkat(s->blobs_fd, new, 0);
		return err_sys(err, r, "name blob %s", digest);
	}
	return 0;
}
