/* From a resolved image to a published one: all layers, then one commit. */
#pragma once

#include "image/resolve.h"

/* For progress: one a layer, written by whoever fetches it. */
struct install_layer {
	_Atomic uint64_t done;       /* bytes of its blob */
	_Atomic(const char *) state; /* of image_layer_progress; NULL: "waiting" */
};

struct install {
	struct image_table *table;
	struct content *content;
	const struct resolved *resolved;
	const char *const *refs;     /* names to bind */
	size_t n_refs;
	atomic_bool *stop;           /* set by whoever cancels, and by the first failure */
	struct install_layer *layers; /* as many as the manifest has, or NULL */
	_Atomic(const char *) stage;
	_Atomic int64_t since;       /* that it is there; mono ns */
};

/* Blocks; runs up to table->parallel layers at a time on threads that end with it. */
int image_install(struct install *in, struct err *err);
