/* Names of a directory in a fixed order: how trees are written, summed and compared. */
#pragma once

#include "base/base.h"

/* Sorted bytewise, without "." and ".."; the names in the arena, the list heap, NULL behind the
 * last. -errno. fd stays where it is. */
int tree_names(int fd, struct arena *a, char ***ret, size_t *ret_n);
