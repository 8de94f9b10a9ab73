/* Any bytes as manifest.json of `docker save`: an error with words, or images whose fields are all there. */
#include "image/docker-manifest.h"

#include "oci/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct docker_images list;

	if (docker_manifest_read(data, size, &a, &list, &err) < 0) {
		assert(err.kind != ERR_NONE && err.text[0]);
		return 0;
	}
	for (size_t i = 0; i < list.n_images; i++) {
		const struct docker_image *d = &list.images[i];

		assert(d->config && d->n_layers <= OCI_LAYERS_MAX);
		for (size_t k = 0; k < d->n_tags; k++)
			assert(d->tags[k]);
		for (size_t k = 0; k < d->n_layers; k++)
			assert(d->layers[k]);
	}
	return 0;
}
