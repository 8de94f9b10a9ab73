/*
 * A CDI specification: the document. No I/O. Private to cdi.
 */
#pragma once

#include "cdi/cdi.h"

struct cdi_node {
	char *path, *host_path, *type, *permissions;
	int64_t major, minor;
	uint32_t *file_mode, *uid, *gid;
};

struct cdi_mount {
	char *host_path, *container_path, *type;
	char **options;
	size_t n_options;
};

struct cdi_hook {
	char *name, *path;
	char **args, **env;
	size_t n_args, n_env;
	int32_t *timeout;
};

struct cdi_net_device {
	char *host_name, *name;
};

struct cdi_rdt {
	char *clos_id, *l3_cache_schema, *mem_bw_schema;
	char **schemata;
	size_t n_schemata;
	bool enable_monitoring;
};

struct cdi_edits {
	char **env;
	size_t n_env;
	struct cdi_node *nodes;
	size_t n_nodes;
	struct cdi_net_device *net_devices;
	size_t n_net_devices;
	struct cdi_hook *hooks;
	size_t n_hooks;
	struct cdi_mount *mounts;
	size_t n_mounts;
	struct cdi_rdt *rdt;
	uint32_t *gids;
	size_t n_gids;
};

struct cdi_device {
	char *name;
	struct json_kv *annotations;
	size_t n_annotations;
	struct cdi_edits edits;
};

struct cdi_spec {
	char *version, *kind; /* "vendor.com/class" */
	struct json_kv *annotations;
	size_t n_annotations;
	struct cdi_device *devices;
	size_t n_devices;
	struct cdi_edits edits; /* of every device */
};

/* JSON, or YAML. Checked: versions, names, values; a feature that is newer than the version that the
 * document claims is refused. */
int cdi_spec_read(const void *text, size_t len, bool yaml, struct arena *a, struct cdi_spec *ret,
		  struct err *err);

/* Into config.json. Looks at the host's device nodes. */
int cdi_edits_apply(const struct cdi_edits *e, struct oci_config *config, struct arena *a, struct err *err);
