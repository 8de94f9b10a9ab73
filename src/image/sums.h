/*
 * What a layer's tree was when it was unpacked, so that damage can be found later without the
 * blob: a line for each name with kind, mode, owner, size, time, and checksums of content and
 * attributes.
 *
 * The checksum is CRC-64: it finds every flipped bit and every changed run of up to 64, costs
 * next to nothing beside the two digests of a pull, and claims nothing against somebody who
 * can write to the store, who is root. Contents are summed as they are written; the rest is
 * one walk over the new tree, which is in memory still. Lines are in the order of the walk
 * (sorted names, a directory before what is in it), so checking needs no memory for the list.
 */
#pragma once

#include "base/base.h"

/* Content that was summed while it was written, by inode. */
struct sums_known {
	struct sums_file {
		uint64_t inode, sum;
	} *files;
	size_t n;
	bool unsure; /* something was replaced, and inodes are used again: all is read */
};

enum { SUMS_KNOWN_MAX = 256 * 1024 }; /* 4 MiB; what is beyond is read again */

uint64_t sums_add(uint64_t sum, const void *data, size_t len);
uint64_t sums_add_zeros(uint64_t sum, uint64_t n);
void sums_know(struct sums_known *k, uint64_t inode, uint64_t sum);

/* Blocks; sorts *known (NULL: nothing is). Written to out_fd from where it stands. */
int sums_write(int dirfd, struct sums_known *known, int out_fd, struct err *err);

/* what: "content", "mode", "missing", "not part of it", …; path from the layer's root. */
typedef void (*sums_damage_fn)(const char *path, const char *what, void *user);

/* Reads the whole tree and tells of each name that is not as it was. CORRUPT for a list that
 * is none (it ends with a line that says that it is whole). */
int sums_check(int dirfd, int list_fd, sums_damage_fn fn, void *user, struct err *err);
