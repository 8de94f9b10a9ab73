/*
 * Every key of the configuration file with its kind and default: the one list that the
 * reader goes by. A new key is one row here and one line in packaging/config.yaml.
 */
#include "config/schema.h"

#define KEY(struct_, member, kind_, def_) \
	{ .name = #member, .kind = CONFIG_##kind_, .offset = offsetof(struct_, member), .def = (def_) }
#define KEY_LIST(struct_, member, kind_, def_)                                            \
	{ .name = #member, .kind = CONFIG_##kind_, .offset = offsetof(struct_, member),   \
	  .n_offset = offsetof(struct_, n_##member), .def = (def_) }
#define SECTION(struct_, keys_) \
	{ .size = sizeof(struct_), .keys = (keys_), .n_keys = ARRAY_LEN(keys_) }

static const struct config_key cni_keys[] = {
	KEY(struct config_cni, conf_dir, PATH, "/etc/cni/net.d"),
	KEY_LIST(struct config_cni, bin_dirs, PATH_LIST, "/opt/cni/bin /usr/lib/cni"),
	KEY(struct config_cni, default_bridge, STR, "caisson0"),
	KEY(struct config_cni, default_subnet, STR, "10.88.0.0/16"),
	KEY(struct config_cni, plugins_max, COUNT, "8"),
	KEY(struct config_cni, timeout, DURATION, "60s"),
};
static const struct config_section cni = SECTION(struct config_cni, cni_keys);

static const struct config_key image_limits_keys[] = {
	KEY(struct config_image_limits, layer_size, SIZE, "64GiB"),
	KEY(struct config_image_limits, layer_entries, NUMBER, "4000000"),
	KEY(struct config_image_limits, layer_ratio, NUMBER, "1000"),
	KEY(struct config_image_limits, layers, NUMBER, "500"),
};
static const struct config_section image_limits = SECTION(struct config_image_limits, image_limits_keys);

static const struct config_key images_keys[] = {
	KEY_LIST(struct config_images, insecure_registries, STR_LIST, ""),
	KEY(struct config_images, ca, PATH, ""),
	KEY_LIST(struct config_images, pinned, STR_LIST, ""),
	KEY(struct config_images, keep_blobs, BOOL, "false"),
	KEY(struct config_images, image_gc_high, PERCENT, "0"),
	KEY(struct config_images, image_gc_low, PERCENT, "0"),
	{ .name = "limits", .kind = CONFIG_SECTION, .offset = offsetof(struct config_images, limits),
	  .section = &image_limits },
	KEY(struct config_images, connect_timeout, DURATION, "10s"),
	KEY(struct config_images, stall_timeout, DURATION, "30s"),
	KEY(struct config_images, parallel, COUNT, "3"),
	KEY_LIST(struct config_images, auth_files, PATH_LIST, "/etc/caisson/auth.json"),
	KEY_LIST(struct config_images, hosts_dirs, PATH_LIST, "/etc/caisson/certs.d /etc/containerd/certs.d"),
};
static const struct config_section images = SECTION(struct config_images, images_keys);

static const struct config_key registry_host_keys[] = {
	KEY(struct config_registry_host, url, STR, ""),
	KEY_LIST(struct config_registry_host, capabilities, STR_LIST, ""),
	KEY_LIST(struct config_registry_host, ca, PATH_LIST, ""),
	KEY(struct config_registry_host, client_cert, PATH, ""),
	KEY(struct config_registry_host, client_key, PATH, ""),
	KEY(struct config_registry_host, skip_verify, BOOL, "false"),
	KEY(struct config_registry_host, override_path, BOOL, "false"),
	KEY_LIST(struct config_registry_host, headers, STR_MAP, NULL),
	KEY_LIST(struct config_registry_host, rewrite, STR_MAP, NULL),
	KEY(struct config_registry_host, dial_timeout, DURATION, NULL),
};
static const struct config_section registry_host = SECTION(struct config_registry_host, registry_host_keys);

static const struct config_key registry_keys[] = {
	{ .name = "mirrors", .kind = CONFIG_SECTION_LIST, .offset = offsetof(struct config_registry, mirrors),
	  .n_offset = offsetof(struct config_registry, n_mirrors), .section = &registry_host },
	{ .name = "server", .kind = CONFIG_SECTION, .offset = offsetof(struct config_registry, server),
	  .section = &registry_host },
	KEY(struct config_registry, fallback, BOOL, "true"),
};
static const struct config_section registry = SECTION(struct config_registry, registry_keys);

static const char *const cgroup_drivers[] = { "cgroupfs", "systemd", NULL };
static const char *const cpu_weights[] = { "linear", "quadratic", NULL };

static const struct config_key pods_keys[] = {
	KEY(struct config_pods, cgroup_parent, PATH, "/caisson"),
	{ .name = "cgroup_driver", .kind = CONFIG_CHOICE, .offset = offsetof(struct config_pods, cgroup_driver),
	  .def = "cgroupfs", .names = cgroup_drivers },
	{ .name = "cpu_weight", .kind = CONFIG_CHOICE, .offset = offsetof(struct config_pods, cpu_weight),
	  .def = "linear", .names = cpu_weights },
	KEY(struct config_pods, seccomp_profile_root, PATH, "/var/lib/kubelet/seccomp"),
	KEY(struct config_pods, criu, PATH, ""),
	KEY_LIST(struct config_pods, cdi_spec_dirs, PATH_LIST, "/etc/cdi /var/run/cdi"),
};
static const struct config_section pods = SECTION(struct config_pods, pods_keys);

static const struct config_key streaming_keys[] = {
	KEY(struct config_streaming, address, STR, "127.0.0.1"),
	KEY(struct config_streaming, port, PORT, "0"),
	KEY(struct config_streaming, url_timeout, DURATION, "60s"),
	KEY(struct config_streaming, idle_timeout, DURATION, "4h"),
};
static const struct config_section streaming = SECTION(struct config_streaming, streaming_keys);

static const struct config_key nri_keys[] = {
	KEY(struct config_nri, enabled, BOOL, "true"),
	KEY(struct config_nri, socket, PATH, "/var/run/nri/nri.sock"),
	KEY(struct config_nri, plugin_dir, PATH, "/opt/nri/plugins"),
	KEY(struct config_nri, config_dir, PATH, "/etc/nri/conf.d"),
	KEY(struct config_nri, registration_timeout, DURATION, "5s"),
	KEY(struct config_nri, request_timeout, DURATION, "2s"),
};
static const struct config_section nri = SECTION(struct config_nri, nri_keys);

static const struct config_key metrics_keys[] = {
	KEY(struct config_metrics, address, STR, "127.0.0.1"),
	KEY(struct config_metrics, port, PORT, "0"),
};
static const struct config_section metrics = SECTION(struct config_metrics, metrics_keys);

/* in the order of enum log_level */
static const char *const levels[] = { "error", "warn", "info", "debug", NULL };

static const struct config_key top_keys[] = {
	KEY(struct config, root, PATH, "/var/lib/caisson"),
	KEY(struct config, state, PATH, "/run/caisson"),
	KEY(struct config, address, PATH, ""),
	{ .name = "log_level", .kind = CONFIG_CHOICE, .offset = offsetof(struct config, log_level),
	 .def = "info",
	  .names = levels },
	KEY(struct config, shim_binary, PATH, ""),
	KEY(struct config, pause_binary, PATH, ""),
	{ .name = "cni", .kind = CONFIG_SECTION, .offset = offsetof(struct config, cni), .section = &cni },
	{ .name = "images", .kind = CONFIG_SECTION, .offset = offsetof(struct config, images),
	 .section = &images },
	{ .name = "pods", .kind = CONFIG_SECTION, .offset = offsetof(struct config, pods), .section = &pods },
	{ .name = "streaming", .kind = CONFIG_SECTION, .offset = offsetof(struct config, streaming),
	  .section = &streaming },
	{ .name = "metrics", .kind = CONFIG_SECTION, .offset = offsetof(struct config, metrics),
	  .section = &metrics },
	{ .name = "registries", .kind = CONFIG_SECTION_MAP, .offset = offsetof(struct config, registries),
	  .n_offset = offsetof(struct config, n_registries), .section = &registry },
	{ .name = "nri", .kind = CONFIG_SECTION, .offset = offsetof(struct config, nri), .section = &nri },
};

const struct config_section config_schema = SECTION(struct config, top_keys);
