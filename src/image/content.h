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
	/* A source for the blob, which blob_close ends. */
	int (*blob_open)(struct content *c, const char *digest, struct source **ret, struct err *err);
	void (*blob_close)(struct content *c, struct source *s);
};
