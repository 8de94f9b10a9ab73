/*
 * One layer: a tar stream becomes a directory that overlay can stack.
 *
 * The stream is hostile. Invariants, whatever it holds:
 *
 *  - Nothing outside the layer's directory is opened, made, linked or changed. Each name is
 *    resolved by openat2 from the directory's descriptor with RESOLVE_IN_ROOT: a parent that
 *    is a symbolic link of the same layer is followed as if the layer were "/", ".." in a
 *    name is refused, an absolute name is taken from the layer's root. The last component is
 *    never followed.
 *  - A hard link reaches what this layer has already made. One to a file that it does not
 *    have, and has not hidden, is for the layers below to say: an empty file holds its place,
 *    and it is listed for image/linked.h.
 *  - Markers become overlay's own: ".wh.x" a character device 0/0 named x, ".wh..wh..opq" the
 *    attribute trusted.overlay.opaque=y; an entry cannot set trusted.overlay.* itself.
 *    Markers speak of layers below only, wherever they stand in the stream. Where an entry
 *    replaces a file or marker of the same layer by a directory, the directory is opaque,
 *    as what lay below had gone.
 *  - Entries, bytes and the memory for names are bounded.
 *
 * Owners, modes, times (to the nanosecond), xattrs (user.*, security.* but SELinux labels,
 * trusted.*, POSIX ACLs), hard links, sparse files, devices and FIFOs are kept. The last of
 * several entries of one name wins.
 *
 * A directory that only exists because something lies in it is an implied one: its mode,
 * its owner and whether it is a directory at all are for the layers below to say. They are
 * listed, parents first, for image/implied.h.
 *
 * Names are made by the calling thread in the order of the stream; small files are filled by threads that end
 * with the call (image/writers.h).
 *
 * Runs on a worker thread with CAP_SYS_ADMIN (trusted.*), CAP_CHOWN, CAP_MKNOD and so on:
 * root. Blocks. Changes no process-wide state (umask, cwd, locale).
 */
#pragma once

#include "image/image.h"
#include "image/source.h"
#include "image/sums.h"

/* A hard link to a file of a layer below. */
struct unpack_link {
	char *path, *target; /* without leading slash; path as resolved in this layer */
	uint64_t inode;      /* of the empty file that holds its place */
	bool done;
};

struct unpack_result {
	uint64_t bytes, inodes; /* allocated */
	bool has_root;          /* an entry for "/" gave its owner and mode */
	char **implied;         /* paths without leading slash */
	size_t n_implied;
	struct unpack_link *links;
	size_t n_links;
	struct sums_known sums; /* of what was written */
	struct arena arena;     /* holds the paths */
};

#define UNPACK_RESULT_INIT { .arena = ARENA_INIT }

/* The tree is only itself over the layers that it was unpacked for. */
static inline bool unpack_depends(const struct unpack_result *r)
{
	return r->n_implied || r->n_links;
}

void unpack_result_done(struct unpack_result *r);

/*
 * Reads tar to the end of its stream (beyond the end of the archive too) and fills the
 * empty directory dirfd. Errors name the entry: INVALID for what is refused, CORRUPT for what
 * is no tar, LIMIT for bounds and a full disk. What was unpacked before stays: the caller
 * throws the directory away.
 */
int unpack_layer(int dirfd, struct source *tar, const struct image_limits *limits, struct unpack_result *ret,
		 struct err *err);
