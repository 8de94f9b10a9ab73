/*
 * The documents of the OCI image specification and their Docker schema 2 twins: index
 * (manifest list), manifest, config, the files of an image layout.
 *
 * One arena holds everything that a struct points to. Input is hostile: sizes are bounded
 * by OCI_MANIFEST_MAX and OCI_IMAGE_CONFIG_MAX before parsing, and the _read functions check
 * what readers rely upon: digests are "sha256:" and 64 lower-case digits, sizes are not
 * negative, lists are within their bounds. Unknown members are ignored, as the
 * specification demands. No I/O; any thread.
 *
 * https://github.com/opencontainers/image-spec (v1.1): image-index.md, manifest.md, config.md
 */
#pragma once

#include "json/json.h"

enum {
	OCI_MANIFEST_MAX = 4 * 1024 * 1024,
	OCI_IMAGE_CONFIG_MAX = 8 * 1024 * 1024,
	OCI_INDEX_ENTRIES_MAX = 1024,
	OCI_LAYERS_MAX = 1000,
};

struct oci_platform {
	char *architecture, *os, *os_version, *variant;
	char **os_features;
	size_t n_os_features;
};

struct oci_descriptor {
	char *media_type, *digest, *artifact_type, *data;
	int64_t size;
	char **urls;
	size_t n_urls;
	struct json_kv *annotations;
	size_t n_annotations;
	struct oci_platform *platform;
};

struct oci_index {
	int64_t schema_version;
	char *media_type, *artifact_type;
	struct oci_descriptor *manifests;
	size_t n_manifests;
	struct json_kv *annotations;
	size_t n_annotations;
};

struct oci_manifest {
	int64_t schema_version;
	char *media_type, *artifact_type;
	struct oci_descriptor config;
	struct oci_descriptor *layers; /* bottom first */
	size_t n_layers;
	struct json_kv *annotations;
	size_t n_annotations;
};

struct oci_key {
	char *key; /* "80/tcp", "/data": a set written as a map of empty objects */
};

struct oci_image_defaults {
	char *user, *working_dir, *stop_signal;
	char **env, **entrypoint, **cmd;
	size_t n_env, n_entrypoint, n_cmd;
	struct oci_key *exposed_ports, *volumes;
	size_t n_exposed_ports, n_volumes;
	struct json_kv *labels;
	size_t n_labels;
};

struct oci_history {
	char *created, *created_by, *author, *comment;
	bool empty_layer;
};

struct oci_rootfs {
	char *type;
	char **diff_ids;
	size_t n_diff_ids;
};

struct oci_image {
	char *created, *author, *architecture, *variant, *os, *os_version;
	struct oci_image_defaults config;
	struct oci_rootfs rootfs;
	struct oci_history *history;
	size_t n_history;
};

extern const struct json_type oci_index_type;
extern const struct json_type oci_manifest_type;
extern const struct json_type oci_image_type;

enum oci_document { OCI_DOC_INDEX, OCI_DOC_MANIFEST };

/*
 * What the document is. `media_type` is what the server or the descriptor said, NULL or ""
 * when it said nothing; the document's own mediaType must not contradict it (an attack:
 * one digest, two readings). Refused by name: schema 1 (UNSUPPORTED), anything unknown.
 */
int oci_document_kind(const void *text, size_t len, const char *media_type, enum oci_document *ret,
		      struct err *err);

int oci_index_read(const void *text, size_t len, struct arena *a, struct oci_index *ret, struct err *err);
/* Also refuses what no container can run: artifacts, by their type. */
int oci_manifest_read(const void *text, size_t len, struct arena *a, struct oci_manifest *ret,
		      struct err *err);
int oci_image_read(const void *text, size_t len, struct arena *a, struct oci_image *ret, struct err *err);

enum oci_compression { OCI_PLAIN, OCI_GZIP, OCI_ZSTD };

/* UNSUPPORTED by name for layers of other kinds (foreign, encrypted, unknown). */
int oci_layer_compression(const struct oci_descriptor *layer, enum oci_compression *ret, struct err *err);

struct oci_host_platform {
	const char *os, *architecture, *variant; /* of this machine: "linux", "amd64", "v2" */
};

const struct oci_host_platform *oci_host_platform(void);

/*
 * The best entry for the platform, whatever the order: exact variant before a lower one
 * before none; the first of equals. Entries without a platform come last; attestations and
 * artifacts (platform unknown/unknown) never. NULL and NOT_FOUND with the list of what is
 * offered.
 */
const struct oci_descriptor *oci_index_choose(const struct oci_index *index,
					      const struct oci_host_platform *host, struct err *err);

/* -1: not for this host; 0: does not say; else higher is better. */
int oci_platform_rank(const struct oci_platform *p, const struct oci_host_platform *host);

/* 1 for "sha256:" and 64 lower-case hexadecimal digits. */
int oci_digest_valid(const char *s);
