/*
 * What changed: between a container's writable layer and its image, or between two images.
 *
 * A container's layer may change while it is read, and its owner may build it to hurt:
 * descriptors only, nothing is followed, depth and the number of lines are bounded.
 */
#pragma once

#include "image/image.h"

enum { IMAGE_DIFF_MAX = 1000000 };

/* kind: 'A' added, 'C' changed, 'D' deleted, as docker says it; path from "/". On the calling thread. */
typedef int (*image_diff_fn)(char kind, const char *path, void *user);

/* The writable layer of a snapshot (a container's id) against what lies below it. NOT_FOUND. */
int image_diff_snapshot(struct image_table *t, const char *id, image_diff_fn fn, void *user, struct err *err);
/* From image `base` to image `name`: kinds, modes, owners, sizes, times, targets; not contents. */
int image_diff(struct image_table *t, const char *base, const char *name, image_diff_fn fn, void *user,
	       struct err *err);
