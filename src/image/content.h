/*
 * Where the parts of an image come from: a registry or a layout on disk. All of it is
 * hostile: whoever reads checks digests and sizes. Functions may be called from several
 * threads at once, each source is read by one.
 */
#pragma once

#include "image/source.h"
#include "oci/image.h"

struct content {
	/* The manifest or index of a tag or digest, appended; type: what the server calls it. */
	int (*manifest)(struct content *c, const char *reference, struct buf *out, char type[128],
			struct err *err);
	/* A source for the blob from a byte on, which blob_close ends. */
	int (*blob_open)(struct content *c, const struct oci_descriptor *d, uint64_t offset,
			 struct source **ret,
			 struct err *err);
	void (*blob_close)(struct content *c, struct source *s);
	/* What s gave was not what it should be: true when asking again may give something else.
	 * NULL: it never does. */
	bool (*distrust)(struct content *c, struct source *s);
	bool resumes; /* it is far away: what has come is worth keeping */
};
