/*
 * Configuration lists as values: read, normalised, turned into what one plugin gets on stdin.
 * Inside the room only. No I/O, any thread; text is hostile as far as its form goes.
 */
#pragma once

#include "cni/cni.h"

struct cni_plugin {
	char *type;        /* a file name: no '/' */
	char *ipam;        /* type of its IPAM plugin, NULL if none */
	char *conf;        /* the plugin's own object: JSON */
};

struct cni_conf {
	char *name;
	char **versions;   /* what the list allows and we know, newest first; at least one */
	size_t n_versions;
	bool disable_check;
	struct cni_plugin *plugins;
	size_t n_plugins;
};

/* A list ("plugins" is there) or a single plugin's configuration ("type" is there). */
int cni_conf_read(const char *text, size_t len, struct arena *a, struct cni_conf *ret, struct err *err);

/* The list again, at one cniVersion: what an attachment keeps. */
char *cni_conf_write(const struct cni_conf *conf, const char *version, struct arena *a);

/* The first plugin masquerades, whatever its configuration said. Its plugins are copied into a. */
void cni_conf_set_ipmasq(struct cni_conf *conf, struct arena *a);

/* stdin of one plugin. capabilities and prev_result may be NULL; they are JSON made by us or
 * checked by cni_result_read. */
int cni_conf_input(const struct cni_conf *conf, const struct cni_plugin *plugin, const char *capabilities,
		   const char *prev_result, struct arena *a, char **ret, struct err *err);

/* What the pod offers to plugins with capabilities, as one JSON object. */
int cni_conf_capabilities(const struct cni_pod *pod, struct arena *a, char **ret, struct err *err);

/* Below, equal, above: <0, 0, >0. Both are of the known versions. */
int cni_conf_version_cmp(const char *a, const char *b);
/* The newest version of conf that is in the plugin's answer to VERSION; drops the others from
 * conf->versions. UNSUPPORTED when none is left. */
int cni_conf_negotiate(struct cni_conf *conf, const char *type, const char *answer, size_t len,
		       struct err *err);
