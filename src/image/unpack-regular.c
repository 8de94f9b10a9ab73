/*
 * Regular files of a layer: names here, in the order of the stream; the content of small ones goes to the
 * writers (writers.h), that of large ones is written as it comes.
 */
#include "image/unpack-file.h"

#include "image/writers.h"
#include "sys/sys.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <inttypes.h>

enum { WRITE_BACK = 8 * 1024 * 1024 };

/*
 * The disk works while the rest of a large file comes, so that the sync of publishing finds little
 * of it. Only begins, without a commit of the journal; what cannot be begun is that sync's matter.
 */
static int64_t write_back(int fd, int64_t from, int64_t to)
{
	if (to - from < WRITE_BACK)
		return from;
	sync_file_range(fd, from, to - from, SYNC_FILE_RANGE_WRITE);
	return to;
}

/* The announced size is the layer's, holes too. */
static int check_size(struct unpack *u, struct archive_entry *e)
{
	int64_t size = archive_entry_size(e);

	if (size < 0 || (uint64_t)size > u->limits.layer_bytes - u->logical)
		return err_set(u->err, ERR_LIMIT,
			       "entry \"%.300s\": the layer has more than %" PRIu64 " bytes", u->entry,
			       u->limits.layer_bytes);
	u->logical += (uint64_t)size;
	return 0;
}

/* code: what the archive said in the place of data, behind `end` of `size` bytes. */
static int content_ended(struct unpack *u, int code, int64_t end, int64_t size)
{
	/* umoci's insert ends a layer behind the last byte of the last file, without padding to a
	 * block and without a trailer. Nothing of the content is missing, and everybody takes it. */
	u->unpadded = code != ARCHIVE_EOF && u->ended && u->source_err.kind == ERR_NONE && end == size;
	if (code == ARCHIVE_EOF || u->unpadded)
		return 0;
	if (u->source_err.kind != ERR_NONE) {
		if (u->err)
			*u->err = u->source_err;
		return -EIO;
	}
	return err_set(u->err, ERR_CORRUPT, "entry \"%.300s\": %s", u->entry,
		       archive_error_string(u->archive));
}

static int write_data(struct unpack *u, struct archive_entry *e, int fd, uint64_t *ret_sum)
{
	int64_t size = archive_entry_size(e), end = 0, begun = 0;
	uint64_t sum = 0;
	const void *data;
	int64_t at;
	size_t len;
	int code, r;

	while ((code = archive_read_data_block(u->archive, &data, &len, &at)) == ARCHIVE_OK) {
		sum = sums_add(sums_add_zeros(sum, at > end ? (uint64_t)(at - end) : 0), data, len);
		while (len) {
			ssize_t n = pwrite(fd, data, len, at);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return unpack_failed(u, errno, "write");
			data = (const char *)data + n;
			len -= (size_t)n;
			at += n;
		}
		end = at;
		begun = write_back(fd, begun, end);
	}
	r = content_ended(u, code, end, size);
	if (r < 0)
		return r;
	if (end < size && ftruncate(fd, size) < 0)
		return unpack_failed(u, errno, "set its size");
	*ret_sum = sums_add_zeros(sum, end < size ? (uint64_t)(size - end) : 0);
	return 0;
}

static int fill_large(struct unpack *u, struct archive_entry *e, int fd)
{
	uint64_t sum = 0;
	struct stat st;
	int r;

	if ((r = write_data(u, e, fd, &sum)) < 0 ||
	    (r = unpack_metadata(u, e, fd, unpack_owner_differs(u, e), true)) < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return unpack_failed(u, errno, "stat");
	u->result->bytes += (uint64_t)st.st_blocks * 512;
	sums_know(&u->result->sums, st.st_ino, sum);
	return 0;
}

/* Small, without holes and attributes: the rest is for the writers. */
static bool is_small(struct archive_entry *e)
{
	return archive_entry_size(e) <= WRITERS_SMALL && !archive_entry_sparse_count(e) &&
	       !archive_entry_xattr_count(e);
}

static int fill_small(struct unpack *u, struct archive_entry *e, int *fd)
{
	const struct writers_file f = {
		.fd = *fd, .name = u->entry, .size = (size_t)archive_entry_size(e), .mode = archive_entry_perm(e),
		.uid = (uid_t)archive_entry_uid(e), .gid = (gid_t)archive_entry_gid(e),
		.chown = unpack_owner_differs(u, e), .mtime = unpack_mtime(e),
	};
	int64_t at, end = 0;
	const void *data;
	uint8_t *room;
	size_t len;
	int code, r = writers_room(u->writers, f.size, &room, u->err);

	if (r < 0)
		return r;
	while ((code = archive_read_data_block(u->archive, &data, &len, &at)) == ARCHIVE_OK) {
		/* in order and without holes, as its header said */
		if (at != end || len > f.size - (size_t)end)
			return err_set(u->err, ERR_CORRUPT, "entry \"%.300s\": its content is out of order", u->entry);
		memcpy(room + end, data, len);
		end += (int64_t)len;
	}
	r = content_ended(u, code, end, (int64_t)f.size);
	if (r < 0)
		return r;
	memset(room + end, 0, f.size - (size_t)end);
	writers_put(u->writers, &f);
	*fd = -EBADF;
	return 0;
}

int unpack_regular(struct unpack *u, struct archive_entry *e, const char *name)
{
	const int flags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC;
	/* what a umask and set-id bits want else comes behind the owner */
	const mode_t mode = archive_entry_perm(e) & 0777;
	autofd int fd = -EBADF;
	bool shadow;
	int r;

	if ((r = unpack_check_owner(u, e)) < 0 || (r = check_size(u, e)) < 0)
		return r;
	fd = openat(u->parent_fd, name, flags, mode);
	if (fd < 0 && errno == EEXIST) {
		r = unpack_clear_place(u, name, &shadow);
		if (r < 0)
			return r;
		fd = openat(u->parent_fd, name, flags, mode);
	}
	if (fd < 0)
		return unpack_failed(u, errno, "create");
	u->result->inodes++;
	return is_small(e) ? fill_small(u, e, &fd) : fill_large(u, e, fd);
}
