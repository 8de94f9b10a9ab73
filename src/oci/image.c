/*
 * Field tables of the image documents and the rules that the tables cannot say: what kind a
 * document is, which digests and sizes are acceptable, which entry of an index is ours.
 * Pure functions on hostile text.
 */
#include "oci/image.h"

#include <stdio.h>

static const struct json_field platform_fields[] = {
	JSON_FIELD(STR, struct oci_platform, architecture, "architecture", 0),
	JSON_FIELD(STR, struct oci_platform, os, "os", 0),
	JSON_FIELD(STR, struct oci_platform, os_version, "os.version", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_platform, os_features, "os.features", 0),
	JSON_FIELD(STR, struct oci_platform, variant, "variant", 0),
};
static const struct json_type platform_type = JSON_TYPE("platform", struct oci_platform, platform_fields);

static const struct json_field descriptor_fields[] = {
	JSON_FIELD(STR, struct oci_descriptor, media_type, "mediaType", 0),
	JSON_FIELD(STR, struct oci_descriptor, digest, "digest", JSON_REQUIRED),
	JSON_FIELD(I64, struct oci_descriptor, size, "size", JSON_REQUIRED | JSON_ALWAYS),
	JSON_FIELD_LIST(STR_LIST, struct oci_descriptor, urls, "urls", 0),
	JSON_FIELD_LIST(STR_MAP, struct oci_descriptor, annotations, "annotations", 0),
	JSON_FIELD(STR, struct oci_descriptor, data, "data", 0),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_descriptor, platform, "platform", 0, &platform_type),
	JSON_FIELD(STR, struct oci_descriptor, artifact_type, "artifactType", 0),
};
static const struct json_type descriptor_type = JSON_TYPE("descriptor", struct oci_descriptor,
							  descriptor_fields);

static const struct json_field index_fields[] = {
	JSON_FIELD(I64, struct oci_index, schema_version, "schemaVersion", 0),
	JSON_FIELD(STR, struct oci_index, media_type, "mediaType", 0),
	JSON_FIELD(STR, struct oci_index, artifact_type, "artifactType", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_index, manifests, "manifests", JSON_ALWAYS,
			    &descriptor_type),
	JSON_FIELD_LIST(STR_MAP, struct oci_index, annotations, "annotations", 0),
};
const struct json_type oci_index_type = JSON_TYPE("image index", struct oci_index, index_fields);

static const struct json_field manifest_fields[] = {
	JSON_FIELD(I64, struct oci_manifest, schema_version, "schemaVersion", 0),
	JSON_FIELD(STR, struct oci_manifest, media_type, "mediaType", 0),
	JSON_FIELD(STR, struct oci_manifest, artifact_type, "artifactType", 0),
	JSON_FIELD_OBJ(OBJ, struct oci_manifest, config, "config", JSON_REQUIRED, &descriptor_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_manifest, layers, "layers", JSON_ALWAYS, &descriptor_type),
	JSON_FIELD_LIST(STR_MAP, struct oci_manifest, annotations, "annotations", 0),
};
const struct json_type oci_manifest_type = JSON_TYPE("image manifest", struct oci_manifest, manifest_fields);

/* a set is written as a map of empty objects: only the keys matter */
static const struct json_type key_type = { .name = "key", .size = sizeof(struct oci_key) };

static const struct json_field defaults_fields[] = {
	JSON_FIELD(STR, struct oci_image_defaults, user, "User", 0),
	JSON_FIELD_OBJ_LIST(OBJ_MAP, struct oci_image_defaults, exposed_ports, "ExposedPorts", 0, &key_type),
	JSON_FIELD_LIST(STR_LIST, struct oci_image_defaults, env, "Env", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_image_defaults, entrypoint, "Entrypoint", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_image_defaults, cmd, "Cmd", 0),
	JSON_FIELD_OBJ_LIST(OBJ_MAP, struct oci_image_defaults, volumes, "Volumes", 0, &key_type),
	JSON_FIELD(STR, struct oci_image_defaults, working_dir, "WorkingDir", 0),
	JSON_FIELD_LIST(STR_MAP, struct oci_image_defaults, labels, "Labels", 0),
	JSON_FIELD(STR, struct oci_image_defaults, stop_signal, "StopSignal", 0),
};
static const struct json_type defaults_type = JSON_TYPE("config", struct oci_image_defaults, defaults_fields);

static const struct json_field rootfs_fields[] = {
	JSON_FIELD(STR, struct oci_rootfs, type, "type", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_rootfs, diff_ids, "diff_ids", 0),
};
static const struct json_type rootfs_type = JSON_TYPE("rootfs", struct oci_rootfs, rootfs_fields);

static const struct json_field history_fields[] = {
	JSON_FIELD(STR, struct oci_history, created, "created", 0),
	JSON_FIELD(STR, struct oci_history, created_by, "created_by", 0),
	JSON_FIELD(STR, struct oci_history, author, "author", 0),
	JSON_FIELD(STR, struct oci_history, comment, "comment", 0),
	JSON_FIELD(BOOL, struct oci_history, empty_layer, "empty_layer", 0),
};
static const struct json_type history_type = JSON_TYPE("history", struct oci_history, history_fields);

static const struct json_field image_fields[] = {
	JSON_FIELD(STR, struct oci_image, created, "created", 0),
	JSON_FIELD(STR, struct oci_image, author, "author", 0),
	JSON_FIELD(STR, struct oci_image, architecture, "architecture", 0),
	JSON_FIELD(STR, struct oci_image, variant, "variant", 0),
	JSON_FIELD(STR, struct oci_image, os, "os", 0),
	JSON_FIELD(STR, struct oci_image, os_version, "os.version", 0),
	JSON_FIELD_OBJ(OBJ, struct oci_image, config, "config", 0, &defaults_type),
	JSON_FIELD_OBJ(OBJ, struct oci_image, rootfs, "rootfs", 0, &rootfs_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_image, history, "history", 0, &history_type),
};
const struct json_type oci_image_type = JSON_TYPE("image config", struct oci_image, image_fields);

int oci_digest_valid(const char *s)
{
	const char *hex = str_skip_prefix(s, "sha256:");

	return hex && strspn(hex, "0123456789abcdef") == 64 && !hex[64];
}

static int check_descriptor(const struct oci_descriptor *d, const char *what, struct err *err)
{
	if (!oci_digest_valid(d->digest)) {
		const char *colon = strchr(d->digest, ':');

		if (colon && !str_skip_prefix(d->digest, "sha256:"))
			return err_set(err, ERR_UNSUPPORTED, "%s: digest algorithm %.*s is not supported",
				       what,
				       (int)(colon - d->digest < 32 ? colon - d->digest : 32), d->digest);
		return err_set(err, ERR_INVALID, "%s: \"%.80s\" is not a sha256 digest", what, d->digest);
	}
	if (d->size < 0)
		return err_set(err, ERR_INVALID, "%s: negative size", what);
	return 0;
}

/* ---- kinds ---- */

enum { KIND_SCHEMA1 = -1, KIND_UNKNOWN = -2 };

static const struct {
	const char *media_type;
	int kind;
} kinds[] = {
	{ "application/vnd.oci.image.index.v1+json", OCI_DOC_INDEX },
	{ "application/vnd.docker.distribution.manifest.list.v2+json", OCI_DOC_INDEX },
	{ "application/vnd.oci.image.manifest.v1+json", OCI_DOC_MANIFEST },
	{ "application/vnd.docker.distribution.manifest.v2+json", OCI_DOC_MANIFEST },
	{ "application/vnd.docker.distribution.manifest.v1+json", KIND_SCHEMA1 },
	{ "application/vnd.docker.distribution.manifest.v1+prettyjws", KIND_SCHEMA1 },
};

static int kind_of(const char *media_type)
{
	size_t n = media_type ? strcspn(media_type, "; ") : 0;

	for (size_t i = 0; n && i < ARRAY_LEN(kinds); i++)
		if (strlen(kinds[i].media_type) == n && memcmp(media_type, kinds[i].media_type, n) == 0)
			return kinds[i].kind;
	return KIND_UNKNOWN;
}

struct envelope {
	int64_t schema_version;
	char *media_type, *manifests, *layers, *config, *fs_layers;
};

static const struct json_field envelope_fields[] = {
	JSON_FIELD(I64, struct envelope, schema_version, "schemaVersion", 0),
	JSON_FIELD(STR, struct envelope, media_type, "mediaType", 0),
	JSON_FIELD(RAW, struct envelope, manifests, "manifests", 0),
	JSON_FIELD(RAW, struct envelope, layers, "layers", 0),
	JSON_FIELD(RAW, struct envelope, config, "config", 0),
	JSON_FIELD(RAW, struct envelope, fs_layers, "fsLayers", 0),
};
static const struct json_type envelope_type = JSON_TYPE("manifest", struct envelope, envelope_fields);

static int refuse_schema1(struct err *err)
{
	return err_set(err, ERR_UNSUPPORTED,
		       "this is a Docker schema 1 manifest, a format given up in 2019; push the image "
		       "again with a current tool");
}

int oci_document_kind(const void *text, size_t len, const char *media_type, enum oci_document *ret,
		      struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct envelope e;
	int said = kind_of(media_type), own, r;

	if (len > OCI_MANIFEST_MAX)
		return err_set(err, ERR_LIMIT, "manifest has %zu bytes, more than %d", len, OCI_MANIFEST_MAX);
	r = json_read(&envelope_type, text, len, &a, &e, err);
	if (r < 0)
		return r;
	own = kind_of(e.media_type);
	if (said == KIND_SCHEMA1 || own == KIND_SCHEMA1 || e.schema_version == 1 || e.fs_layers)
		return refuse_schema1(err);
	if (!str_empty(e.media_type) && own == KIND_UNKNOWN)
		return err_set(err, ERR_UNSUPPORTED, "a document of type \"%.100s\" is not an image",
			       e.media_type);
	if (said != KIND_UNKNOWN && own != KIND_UNKNOWN && said != own)
		return err_set(err, ERR_INVALID, "served as \"%.100s\" but calls itself \"%.100s\"",
			       media_type, e.media_type);
	if (own == KIND_UNKNOWN)
		own = said;
	if (own == KIND_UNKNOWN && (e.manifests || e.layers || e.config))
		own = e.manifests ? OCI_DOC_INDEX : OCI_DOC_MANIFEST;
	if (own == KIND_UNKNOWN)
		return err_set(err, ERR_INVALID, "this is neither an image manifest nor an index");
	if (own == OCI_DOC_INDEX ? e.layers || e.config : !!e.manifests)
		return err_set(err, ERR_INVALID, "has the members of a manifest and of an index");
	*ret = (enum oci_document)own;
	return 0;
}

/* ---- reading ---- */

int oci_index_read(const void *text, size_t len, struct arena *a, struct oci_index *ret, struct err *err)
{
	struct oci_index index;
	int r;

	if (len > OCI_MANIFEST_MAX)
		return err_set(err, ERR_LIMIT, "index has %zu bytes, more than %d", len, OCI_MANIFEST_MAX);
	r = json_read(&oci_index_type, text, len, a, &index, err);
	if (r < 0)
		return r;
	if (index.n_manifests > OCI_INDEX_ENTRIES_MAX)
		return err_set(err, ERR_LIMIT, "index lists %zu manifests, more than %d", index.n_manifests,
			       OCI_INDEX_ENTRIES_MAX);
	for (size_t i = 0; i < index.n_manifests; i++) {
		char what[32];

		snprintf(what, sizeof(what), "manifests[%zu]", i);
		r = check_descriptor(&index.manifests[i], what, err);
		if (r < 0)
			return r;
	}
	*ret = index;
	return 0;
}

static const char *const config_types[] = {
	"application/vnd.oci.image.config.v1+json",
	"application/vnd.docker.container.image.v1+json",
};

int oci_manifest_read(const void *text, size_t len, struct arena *a, struct oci_manifest *ret,
		      struct err *err)
{
	struct oci_manifest m;
	int r;

	if (len > OCI_MANIFEST_MAX)
		return err_set(err, ERR_LIMIT, "manifest has %zu bytes, more than %d", len, OCI_MANIFEST_MAX);
	r = json_read(&oci_manifest_type, text, len, a, &m, err);
	if (r < 0)
		return r;
	if (m.schema_version != 2)
		return err_set(err, ERR_INVALID, "schemaVersion is %lld, not 2", (long long)m.schema_version);
	if (!str_in(m.config.media_type, config_types, ARRAY_LEN(config_types)))
		return err_set(err, ERR_UNSUPPORTED,
			       "not an image that can be run: an artifact of type \"%.100s\"",
			       !str_empty(m.artifact_type) ? m.artifact_type :
			       m.config.media_type	   ? m.config.media_type :
							     "");
	r = check_descriptor(&m.config, "config", err);
	if (r < 0)
		return r;
	if (m.config.size > OCI_IMAGE_CONFIG_MAX)
		return err_set(err, ERR_LIMIT, "config has %lld bytes, more than %d",
			       (long long)m.config.size, OCI_IMAGE_CONFIG_MAX);
	if (m.n_layers > OCI_LAYERS_MAX)
		return err_set(err, ERR_LIMIT, "image has %zu layers, more than %d", m.n_layers,
			       OCI_LAYERS_MAX);
	for (size_t i = 0; i < m.n_layers; i++) {
		char what[32];

		snprintf(what, sizeof(what), "layers[%zu]", i);
		r = check_descriptor(&m.layers[i], what, err);
		if (r < 0)
			return r;
	}
	*ret = m;
	return 0;
}

int oci_image_read(const void *text, size_t len, struct arena *a, struct oci_image *ret, struct err *err)
{
	struct oci_image image;
	int r;

	if (len > OCI_IMAGE_CONFIG_MAX)
		return err_set(err, ERR_LIMIT, "config has %zu bytes, more than %d", len,
			       OCI_IMAGE_CONFIG_MAX);
	r = json_read(&oci_image_type, text, len, a, &image, err);
	if (r < 0)
		return r;
	if (image.rootfs.type && !str_eq(image.rootfs.type, "layers"))
		return err_set(err, ERR_UNSUPPORTED, "rootfs.type \"%.40s\" is not \"layers\"",
			       image.rootfs.type);
	if (image.rootfs.n_diff_ids > OCI_LAYERS_MAX)
		return err_set(err, ERR_LIMIT, "image has %zu layers, more than %d", image.rootfs.n_diff_ids,
			       OCI_LAYERS_MAX);
	for (size_t i = 0; i < image.rootfs.n_diff_ids; i++)
		if (!oci_digest_valid(image.rootfs.diff_ids[i]))
			return err_set(err, ERR_INVALID,
				       "rootfs.diff_ids[%zu]: \"%.80s\" is not a sha256 digest", i,
				       image.rootfs.diff_ids[i]);
	*ret = image;
	return 0;
}

static const struct {
	const char *media_type;
	enum oci_compression compression;
	const char *refused; /* why it is not taken, or NULL */
} layer_types[] = {
	{ "application/vnd.oci.image.layer.v1.tar", OCI_PLAIN, NULL },
	{ "application/vnd.oci.image.layer.v1.tar+gzip", OCI_GZIP, NULL },
	{ "application/vnd.oci.image.layer.v1.tar+zstd", OCI_ZSTD, NULL },
	{ "application/vnd.docker.image.rootfs.diff.tar", OCI_PLAIN, NULL },
	{ "application/vnd.docker.image.rootfs.diff.tar.gzip", OCI_GZIP, NULL },
	{ "application/vnd.docker.image.rootfs.diff.tar.zstd", OCI_ZSTD, NULL },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar", OCI_PLAIN, "foreign" },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", OCI_GZIP, "foreign" },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar", OCI_PLAIN, "nondistributable" },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", OCI_GZIP, "nondistributable" },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", OCI_ZSTD, "nondistributable" },
	{ "application/vnd.oci.image.layer.v1.tar+encrypted", OCI_PLAIN, "encrypted" },
	{ "application/vnd.oci.image.layer.v1.tar+gzip+encrypted", OCI_GZIP, "encrypted" },
	{ "application/vnd.oci.image.layer.v1.tar+zstd+encrypted", OCI_ZSTD, "encrypted" },
};

int oci_layer_compression(const struct oci_descriptor *layer, enum oci_compression *ret, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(layer_types); i++) {
		if (!str_eq(layer->media_type, layer_types[i].media_type))
			continue;
		if (layer_types[i].refused)
			return err_set(err, ERR_UNSUPPORTED, "layer %s: %s layers (%s) are not supported",
				       layer->digest, layer_types[i].refused, layer->media_type);
		*ret = layer_types[i].compression;
		return 0;
	}
	return err_set(err, ERR_UNSUPPORTED, "layer %s: unknown layer type \"%.100s\"", layer->digest,
		       layer->media_type ? layer->media_type : "");
}
