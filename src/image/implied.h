/*
 * Directories that a layer implies, made to agree with the layers below.
 *
 * A layer may hold "tmp/x" without an entry for "tmp". Unpacked alone, it gets a directory
 * tmp of our making, which overlay would show instead of the mode and owner that a layer
 * below gave it; and where that layer has a symbolic link ("lib" → "usr/lib"), our directory
 * would hide the link. So, when all layers of an image are there, each implied directory is
 * looked up below, as overlay would: a directory gives its metadata; a link moves the content
 * to where it points.
 */
#pragma once

#include "image/fetch.h"

/* Bottom first. Only layers that were fetched fresh are changed. Hard links to files of the
 * layers below (linked.h) are made here too, since they may need directories. */
int implied_finish(struct image_table *t, struct fetched **layers, size_t n, struct err *err);

/* For linked.c: makes the directory `path` of a layer and notes each one that was missing. */
int implied_make_path(int layer, const char *path, struct unpack_result *res, int *ret_fd);
