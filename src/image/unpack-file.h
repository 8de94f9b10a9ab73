/* What unpack.c and unpack-file.c share: the state of one unpacking, and single files. */
#pragma once

#include "image/unpack.h"

#include <limits.h>
#include <sys/stat.h>

struct archive;
struct archive_entry;
struct writers;

/* of paths that are remembered until the end */
enum { UNPACK_NAMES_MAX = 32 * 1024 * 1024 };

struct unpack_time {
	char *path; /* as resolved, below the root */
	struct timespec mtime;
};

struct unpack {
	int root;
	struct source *tar;
	uint8_t *buffer;
	struct image_limits limits;
	struct unpack_result *result;
	struct err *err, source_err;
	struct archive *archive;
	struct writers *writers; /* of small files */
	const char *entry;      /* the current one's name, for errors */
	char last[512];         /* the one before */
	int parent_fd;          /* O_PATH, of `parent`, or negative */
	char parent[PATH_MAX];
	bool parent_setgid;
	bool ended;             /* the stream has no more bytes */
	bool unpadded;          /* and had none behind the content of the last file: the last entry */
	uint64_t logical;       /* sizes of all files, holes too */
	/* directories get their times last: whatever is made in them changes them */
	struct unpack_time *times;
	size_t n_times;
	struct arena times_arena;
};

static inline bool unpack_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

void unpack_forget_parent(struct unpack *u);
int unpack_refuse(struct unpack *u, const char *why);
int unpack_failed(struct unpack *u, int errnum, const char *what);
/* Where fd/name really is, below the layer's root: links on the way have been followed. */
int unpack_real_path(struct unpack *u, int fd, const char *name, char **ret);
int unpack_bound_names(struct unpack *u);
/* Removes what this layer has put at `name`. *ret_shadow: it was no directory. */
int unpack_clear_place(struct unpack *u, const char *name, bool *ret_shadow);
/* What the hard link's target, which lies below, needs: its place is held (unpack-link.c). */
int unpack_link_later(struct unpack *u, const char *name, const char *target, int dir);
/* The target is such a place itself: remembered too. */
int unpack_link_again(struct unpack *u, const char *name, uint64_t inode);

/* All make `name` in u->parent_fd, replacing what this layer has put there before. */
int unpack_regular(struct unpack *u, struct archive_entry *e, const char *name);
int unpack_directory(struct unpack *u, struct archive_entry *e, const char *name, const char *parent);
int unpack_symlink(struct unpack *u, struct archive_entry *e, const char *name);
int unpack_special(struct unpack *u, struct archive_entry *e, const char *name);
int unpack_hardlink(struct unpack *u, const char *name, const char *target);

/* Of an entry. */
struct timespec unpack_mtime(struct archive_entry *e);
bool unpack_owner_differs(const struct unpack *u, struct archive_entry *e);
int unpack_check_owner(struct unpack *u, struct archive_entry *e);
/* For a descriptor that can be written through: files, directories. */
int unpack_metadata(struct unpack *u, struct archive_entry *e, int fd, bool owner, bool times);

int unpack_metadata_of_root(struct unpack *u, struct archive_entry *e);
int unpack_set_opaque(struct unpack *u, int dirfd, const char *name);
int unpack_set_times(struct unpack *u);
