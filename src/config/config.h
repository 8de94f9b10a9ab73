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

/* One registry host, by the name in an image reference ("docker.io", "localhost:5000"). */
struct config_registry {
	char *host;
	char **mirrors;        /* base URLs, tried in order before the host itself */
	size_t n_mirrors;
	bool fallback;         /* after the mirrors, ask the host itself; default true */
	char *ca;              /* PEM file with the authorities to trust instead of the system's */
	char *client_cert, *client_key;
	bool plain_http;
	bool skip_verify;
	char *username, *password;
};

struct config_cni {
	char *conf_dir;
	char **bin_dirs;
	size_t n_bin_dirs;
	char *default_bridge;  /* the network that is made where conf_dir has none; "": none */
	char *default_subnet;
	int64_t timeout;       /* ns, of one plugin chain */
};

struct config_images {
	char **insecure_registries; /* hosts asked without TLS verification, or by plain HTTP */
	size_t n_insecure_registries;
	struct config_registry *registries;
	size_t n_registries;
	bool keep_blobs;       /* keep compressed layers after they are unpacked */
	int64_t pull_timeout;  /* ns without any progress */
	uint32_t concurrency;  /* layers fetched at once in one pull */
};

struct config_pods {
	char *cgroup_parent;   /* for pods that name none */
	char *seccomp_profile_root;
	char *sandbox_image;   /* "": the built-in pause */
};

struct config {
	char *root, *state, *address;
	int log_level;         /* enum log_level */
	char *shim_binary, *pause_binary; /* "": found beside the daemon */
	struct config_cni cni;
	struct config_images images;
	struct config_pods pods;
};

/* `name` is what errors call the text. len 0: the defaults alone. */
int config_read(const char *name, const void *text, size_t len, struct arena *a, struct config *ret,
		struct err *err);
