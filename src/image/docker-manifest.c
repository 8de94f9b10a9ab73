/* See docker-manifest.h. */
#include "image/docker-manifest.h"

#include "json/json.h"
#include "oci/image.h"

static const struct json_field image_fields[] = {
	JSON_FIELD(STR, struct docker_image, config, "Config", JSON_REQUIRED),
	JSON_FIELD_LIST(STR_LIST, struct docker_image, tags, "RepoTags", 0),
	JSON_FIELD_LIST(STR_LIST, struct docker_image, layers, "Layers", 0),
};
static const struct json_type image_type = JSON_TYPE("image", struct docker_image, image_fields);

static const struct json_field list_fields[] = {
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct docker_images, images, "images", JSON_REQUIRED, &image_type),
};
static const struct json_type list_type = JSON_TYPE("manifest.json", struct docker_images, list_fields);

int docker_manifest_read(const void *text, size_t len, struct arena *a, struct docker_images *ret,
			 struct err *err)
{
	CLEANUP(buf_done) struct buf whole = BUF_INIT(OCI_MANIFEST_MAX + 32);
	int r;

	*ret = (struct docker_images){ 0 };
	/* the reader takes objects */
	if (buf_puts(&whole, "{\"images\":") < 0 || buf_append(&whole, text, len) < 0 ||
	    buf_puts(&whole, "}") < 0)
		return err_set(err, ERR_LIMIT, "has more than %d bytes", OCI_MANIFEST_MAX);
	r = json_read(&list_type, whole.data, whole.len, a, ret, err);
	for (size_t i = 0; r == 0 && i < ret->n_images; i++)
		if (ret->images[i].n_layers > OCI_LAYERS_MAX)
			r = err_set(err, ERR_LIMIT, "lists %zu layers of one image", ret->images[i].n_layers);
	return r;
}
