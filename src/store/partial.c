/*
 * Blobs on their way: what has come of a blob that was being pulled lies in partial/<hex> until
 * its layer is published, so that a pull goes on where the last one ended, also after a restart.
 * Nothing here is believed: whoever goes on reads it again from its beginning and digests it.
 *
 * A file belongs to whoever holds its lock; it is never synced, and meta.db knows nothing of it.
 */
#include "store/inner.h"
#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

static int partial_dir(struct store *s, int *ret)
{
	int fd;

	if (mkdirat(s->root_fd, "partial", 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(s->root_fd, "partial", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

int store_partial_open(struct store *s, const char *digest, int *ret_fd, uint64_t *ret_have, struct err *err)
{
	autofd int dir = -EBADF, fd = -EBADF;
	struct stat st, named;
	int r;

	if (!*blob_name(digest))
		return err_set(err, ERR_INVALID, "blob \"%.80s\": not a sha256 digest", digest);
	r = partial_dir(s, &dir);
	if (r < 0)
		return err_sys(err, r, "mkdir %s/partial", s->root);
	fd = openat(dir, blob_name(digest), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, errno, "open %s/partial/%s", s->root, blob_name(digest));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return 0;
	/* it may have been removed between the open and the lock */
	if (fstat(fd, &st) < 0 || fstatat(dir, blob_name(digest), &named, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_ino != named.st_ino)
		return 0;
	*ret_have = (uint64_t)st.st_size;
	*ret_fd = take_fd(&fd);
	return 1;
}

void store_partial_drop(struct store *s, const char *digest)
{
	autofd int dir = -EBADF;

	if (*blob_name(digest) && partial_dir(s, &dir) == 0)
		unlinkat(dir, blob_name(digest), 0);
}

/* Removes what nobody holds and is older than `age`; returns how many bytes that gave back. */
uint64_t store_partial_sweep(struct store *s, int64_t age)
{
	int64_t now = time_now_real();
	uint64_t freed = 0;
	int dir = -EBADF;
	struct dirent *e;
	DIR *d;

	if (faccessat(s->root_fd, "partial", F_OK, 0) < 0 || partial_dir(s, &dir) < 0)
		return 0;
	d = fdopendir(dir);
	if (!d) {
		close(dir);
		return 0;
	}
	while ((e = readdir(d))) {
		autofd int fd = e->d_name[0] == '.' ? -EBADF
						    : openat(dirfd(d), e->d_name,
							     O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ||
		    now - st.st_mtime * NSEC_PER_SEC < age)
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) == 0)
			freed += (uint64_t)st.st_blocks * 512;
	}
	closedir(d);
	return freed;
}
