/*
 * One name of a layer in the list of its checksums (image/sums.h), as a line:
 *
 *	MODE UID GID SIZE RDEV SECONDS.NANOSECONDS CONTENT ATTRIBUTES PATH
 *
 * The mode in octal with the kind, the two checksums in hexadecimal, all else decimal. In the path
 * a newline and a backslash are three octal digits behind a backslash. No I/O; a list may have been
 * damaged, so a line is read strictly.
 */
#pragma once

#include "base/base.h"

struct sums_line {
	char *path;
	unsigned mode;
	uint32_t uid, gid;
	uint64_t size, rdev, content, attributes;
	int64_t mtime;
	uint32_t mtime_ns;
};

/* With its newline. */
int sums_line_put(struct buf *b, const struct sums_line *l);
/* Without its newline; text is changed and l->path points into it. -EINVAL for what is no line. */
int sums_line_get(char *text, struct sums_line *l);
