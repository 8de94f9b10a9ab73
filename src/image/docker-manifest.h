/* manifest.json of `docker save` (image/docker-archive.h), without I/O: hostile bytes in, images out. */
#pragma once

#include "base/base.h"

struct docker_images {
	struct docker_image {
		char *config;          /* path in the archive */
		char **tags, **layers; /* names, "repository:tag"; paths */
		size_t n_tags, n_layers;
	} *images;
	size_t n_images;
};

/* What it gives lives in the arena. INVALID, CORRUPT; LIMIT for more layers than an image can have. */
int docker_manifest_read(const void *text, size_t len, struct arena *a, struct docker_images *ret,
			 struct err *err);
