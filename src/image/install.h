/* From a resolved image to a published one: all layers, then one commit. */
#pragma once

#include "image/resolve.h"

struct install {
	struct image_table *table;
	struct content *content;
	const struct resolved *resolved;
	const char *const *refs;     /* names to bind */
	size_t n_refs;
	atomic_bool *stop;           /* set by whoever cancels, and by the first failure */
	_Atomic uint64_t bytes_done; /* for progress */
	atomic_size_t layers_done;
	_Atomic(const char *) stage;
};

/* Blocks; runs up to table->parallel layers at a time on threads that end with it. */
int image_install(struct install *in, struct err *err);
