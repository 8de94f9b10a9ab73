/*
 * Hard links to files of layers below, made when all layers of an image are there.
 *
 * A tool that applies layers to one merged tree makes such a link by copying the file up:
 * both names are then one file of this layer. So it is here: the file that the layers below
 * show at the target is copied to the place that was held for it, content, owner, mode,
 * times, attributes and holes, and gets the target's name in this layer too, unless this
 * layer has put something there. The layers below are seen through an overlay of them that
 * nobody else can see, so links, whiteouts and opaque directories mean what they will mean
 * to the container.
 */
#pragma once

#include "image/unpack.h"

struct linked_stack {
	const int *layers; /* directories of the layers below, bottom first */
	const int64_t *ids;
	size_t n;
};

/*
 * Directories that are made for a target are appended to the implied ones of *res, so this
 * comes before those are looked up; bytes and inodes grow by what is copied. Twice changes
 * nothing. INVALID, with the names, for a link to what no layer has or what is a directory;
 * LIMIT for a full disk and for more than max_bytes.
 */
int linked_finish(int layer, const struct linked_stack *below, struct unpack_result *res, uint64_t max_bytes,
		  struct err *err);
