/* Any bytes as each of the image documents. */
#include "oci/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct oci_manifest manifest;
	struct oci_index index;
	struct oci_image image;
	enum oci_document kind;
	enum oci_compression compression;
	struct err err = ERR_INIT;

	oci_document_kind(data, size, NULL, &kind, &err);
	if (oci_index_read(data, size, &a, &index, &err) == 0) {
		const struct oci_descriptor *d = oci_index_choose(&index, oci_host_platform(), &err);

		assert(!d || oci_digest_valid(d->digest));
	}
	if (oci_manifest_read(data, size, &a, &manifest, &err) == 0)
		for (size_t i = 0; i < manifest.n_layers; i++) {
			assert(oci_digest_valid(manifest.layers[i].digest));
			oci_layer_compression(&manifest.layers[i], &compression, &err);
		}
	if (oci_image_read(data, size, &a, &image, &err) == 0)
		for (size_t i = 0; i < image.rootfs.n_diff_ids; i++)
			assert(oci_digest_valid(image.rootfs.diff_ids[i]));
	return 0;
}
