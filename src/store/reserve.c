/*
 * Space that is kept for taking things away. On a full disk a removal is a commit before it is a
 * deletion, and a commit is a write; a daemon that cannot start there, or whose images cannot
 * be removed, leaves nobody who could help.
 *
 * Space for meta.db-wal is allocated when the store is opened, so that a commit never needs any: as much
 * as SQLite fills before it begins at the log's start again. The same goes for meta.db-shm, which
 * SQLite maps: it touches each of its pages in a single byte, so with blocks smaller than a page
 * the rest are holes, and a write into one kills the process with SIGBUS on a full disk. As much as
 * both lies in a file that is given up when a store is opened on a disk with less; it is there
 * again once there is space. All only when it can be had, and less on a small disk, on a tiny one nothing.
 */
#include "store/inner.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>

enum { LOG_ROOM = 2304 * 1024, INDEX_ROOM = 64 * 1024, SHARE = 64, DISK_MIN = 32 * 1024 * 1024 };

struct room {
	off_t log, reserve, available;
};

static struct room room_of(const struct store *s)
{
	struct room r = { LOG_ROOM, 0, 0 };
	struct statvfs fs;

	if (fstatvfs(s->root_fd, &fs) < 0 || fs.f_blocks < DISK_MIN / fs.f_frsize)
		return (struct room){ 0, 0, 0 };
	if (fs.f_blocks < (fsblkcnt_t)LOG_ROOM * SHARE / fs.f_frsize)
		r.log = (off_t)(fs.f_blocks * fs.f_frsize / SHARE);
	r.reserve = r.log + 2 * INDEX_ROOM;
	r.available = (off_t)(fs.f_bavail * fs.f_frsize);
	return r;
}

void reserve_give(struct store *s)
{
	const struct room r = room_of(s);

	if (r.available < r.reserve)
		unlinkat(s->root_fd, "reserve", 0);
}

/* Up to its end and beyond: SQLite sees nothing of it. */
static void make_room(int fd, off_t size)
{
	if (fd >= 0 && size > 0)
		(void)!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size);
}

void reserve_log(struct store *s)
{
	autofd int log = openat(s->root_fd, "meta.db-wal", O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	const struct room r = room_of(s);

	make_room(log, r.log);
	/* closing it would drop SQLite's locks on it, as POSIX has it, and another process that opens the
	 * database would then cut it off under our mapping: it stays open as long as the database */
	s->index_fd = openat(s->root_fd, "meta.db-shm", O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	make_room(s->index_fd, r.reserve - r.log);
}

void reserve_take(struct store *s)
{
	const struct room r = room_of(s);
	autofd int fd = -EBADF;

	/* twice that: the last space is for others */
	if (!r.reserve || r.available < 2 * r.reserve)
		return;
	fd = openat(s->root_fd, "reserve", O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && fallocate(fd, 0, 0, r.reserve) < 0)
		unlinkat(s->root_fd, "reserve", 0);
}
