/*
 * config — the daemon's configuration file.
 *
 * One YAML file, every key with a default, the file itself optional. packaging/config.yaml
 * lists every key with its default and is read by this room's test, so that it stays true.
 *
 *	CLEANUP(arena_done) struct arena a = ARENA_INIT;
 *	struct config config;
 *	r = config_read("/etc/caisson/config.yaml", text, len, &a, &config, err);
 *
 * config_read first fills in the defaults, then what the text says. It is strict: an unknown
 * key, a key given twice, a wrong type, a relative path where an absolute one is needed are
 * refused, always as `<name>:<line>: <key>: what is wrong`, kind INVALID. An empty value
 * (`key:` or `~`) leaves the default.
 *
 * Strings are never NULL: what was not given and has no default is "". All memory comes from
 * the arena. Pure: no I/O, any thread. The text is root's own file, but it is bounded
 * (CONFIG_MAX) and fuzzed all the same. Aliases (`*x`) work and are not expanded, so they
 * cannot blow up.
 */
#pragma once

#include "base/base.h"

enum { CONFIG_MAX = 256 * 1024 };

struct config_cni {
	char *conf_dir;
	char **bin_dirs;
	size_t n_bin_dirs;
	char *default_bridge;  /* the network that serves where conf_dir has none; "": none */
	char *default_subnet;
	uint32_t plugins_max;  /* at once, in the whole daemon */
	int64_t timeout;       /* ns, of one plugin chain */
};

struct config_image_limits { /* of what a registry may make us unpack */
	uint64_t layer_size;    /* bytes of one layer, unpacked */
	uint64_t layer_entries;
	uint64_t layer_ratio;   /* unpacked to compressed */
	uint64_t layers;        /* of one image */
};

struct config_images {
	char **insecure_registries; /* hosts asked by plain HTTP, or by TLS without verification */
	size_t n_insecure_registries;
	char *ca;              /* PEM file with the authorities to trust instead of the system's */
	char **pinned;         /* references that the kubelet shall not remove */
	size_t n_pinned;
	bool keep_blobs;       /* keep compressed layers after they are unpacked */
	uint32_t image_gc_high, image_gc_low; /* percent of the disk; high 0: never */
	struct config_image_limits limits;
	int64_t connect_timeout, stall_timeout; /* ns */
	uint32_t parallel;     /* layers fetched at once in one pull */
	char **hosts_dirs;     /* directories with <registry>/hosts.toml */
	size_t n_hosts_dirs;
	char **auth_files;     /* docker's config.json, podman's auth.json */
	size_t n_auth_files;
};

/* One place to ask for images: a mirror, or the registry itself. */
struct config_registry_host {
	char *url;             /* "https://host:port/path", "host:port" */
	char **capabilities;   /* of "pull", "resolve"; none: both */
	size_t n_capabilities;
	char **ca;             /* PEM files, besides the system's authorities */
	size_t n_ca;
	char *client_cert, *client_key; /* PEM files; no key: it is in the first */
	bool skip_verify;      /* any certificate */
	bool override_path;    /* the path of the URL has its /v2 */
	char **headers;        /* pairs of name and value, sent with every request */
	size_t n_headers;
	char **rewrite;        /* pairs of a repository's beginning and what replaces it */
	size_t n_rewrite;
	int64_t dial_timeout;  /* ns; 0: connect_timeout */
};

struct config_registry {
	char *name;            /* as in image names: "docker.io"; "_default" for those not named */
	struct config_registry_host *mirrors;
	size_t n_mirrors;
	struct config_registry_host server; /* the registry itself; url "": as its name says */
	bool fallback;         /* ask it when no mirror had the image */
};

struct config_pods {
	char *cgroup_parent;   /* for pods that name none */
	int cgroup_driver;     /* 0 cgroupfs, 1 systemd */
	int cpu_weight;        /* enum cgroup_weight_curve: 0 linear, 1 quadratic */
	char *seccomp_profile_root;
	char *criu;            /* "": of PATH */
	char **cdi_spec_dirs;  /* later ones win */
	size_t n_cdi_spec_dirs;
};

struct config_streaming {
	char *address;         /* IPv4 or IPv6; whoever gets a URL must be able to reach it */
	uint32_t port;         /* 0: any free one */
	int64_t url_timeout;   /* so long a URL waits to be used */
	int64_t idle_timeout;  /* so long a connection lives on which no byte goes either way; 0: for ever */
};

struct config_nri {
	bool enabled;
	char *socket;          /* "": no external plugins */
	char *plugin_dir;      /* "": none are started */
	char *config_dir;
	int64_t registration_timeout, request_timeout; /* ns */
};

struct config_metrics {
	char *address;         /* a loopback address */
	uint32_t port;         /* 0: no endpoint */
};

struct config {
	char *root, *state;
	char *address;         /* "": caisson.sock in the state directory, wherever that ends up to be */
	int log_level;         /* enum log_level */
	char *shim_binary, *pause_binary; /* "": found beside the daemon */
	struct config_cni cni;
	struct config_images images;
	struct config_pods pods;
	struct config_streaming streaming;
	struct config_metrics metrics;
	struct config_registry *registries;
	size_t n_registries;
	struct config_nri nri;
};

/* `name` is what errors call the text. len 0: the defaults alone. */
int config_read(const char *name, const void *text, size_t len, struct arena *a, struct config *ret,
		struct err *err);
