/*
 * Tar streams, written: the pax interchange format (POSIX.1-2001, pax(1)), with extended
 * headers only where a plain one cannot say it. Attributes are SCHILY.xattr.* records, holes
 * GNU.sparse 1.0, which GNU tar, libarchive and Go's archive/tar read.
 *
 * (libarchive's writer would do, but linked statically it brings all its formats along.)
 *
 * One thread. Errors: -errno of the write.
 */
#pragma once

#include "base/base.h"

#include <sys/stat.h>

struct tar_xattr {
	const char *name;
	const void *value;
	size_t len;
};

struct tar_extent { /* of data; what is between is holes */
	uint64_t offset, len;
};

struct tar_entry {
	const char *path;
	const char *link;        /* target of a symbolic link; or, with hard_link, an earlier path */
	bool hard_link;
	mode_t mode;             /* with its kind */
	uint64_t uid, gid;
	struct timespec mtime;
	uint64_t size;           /* of a regular file */
	dev_t rdev;
	const struct tar_xattr *xattrs;
	size_t n_xattrs;
	const struct tar_extent *extents; /* sparse: n_extents, else the file is written whole */
	size_t n_extents;
	bool sparse;
};

struct tar_out {
	int fd;
	uint8_t *buffer;
	size_t used;
	uint64_t left;           /* of the entry's data */
	uint64_t pad;
};

void tar_out_init(struct tar_out *t, int fd);
void tar_out_done(struct tar_out *t); /* writes nothing */
/* The header; for a regular file tar_out_data follows until all its data was given (of a sparse
 * one: only the extents). */
int tar_out_entry(struct tar_out *t, const struct tar_entry *e);
int tar_out_data(struct tar_out *t, const void *data, size_t len);
/* Two empty blocks, and all that is in the buffer. */
int tar_out_end(struct tar_out *t);
