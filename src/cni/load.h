/* The configuration in force. Inside the room only. */
#pragma once

#include "cni/conf.h"
#include "cni/plugin.h"

/* One configuration as it was loaded; immutable but for `negotiated` and the versions. */
struct cni_net {
	unsigned refs;       /* under cni->lock */
	struct arena arena;
	char *source;        /* path of the file, or "embedded default" */
	char *signature;     /* of the file that it came from */
	bool embedded;
	struct err broken;   /* kind ERR_NONE when conf is good */
	struct cni_conf conf;
	bool negotiated;     /* under cni->lock, as is conf.versions before */
};

struct cni {
	char *conf_dir;
	char *bridge, *subnet; /* of the embedded default */
	struct cni_bin_dirs bins;
	char *default_conf;  /* JSON of the embedded default, NULL if none is wanted */
	char *default_name;  /* its name */
	struct cni_slots slots;
	pthread_mutex_t lock; /* guards net and masquerades; never held across anything that blocks */
	struct cni_net *net;
	bool masquerades;    /* the rule of the embedded default was made by this daemon */
	struct arena arena;
};

/* The configuration as the directory is now, with a reference. Never NULL. */
struct cni_net *cni_net_get(struct cni *cni);
void cni_net_put(struct cni *cni, struct cni_net *net);
/* 0 when a pod can be attached to it now; else UNAVAILABLE or what is wrong with the file, and
 * a reason word for CRI. */
int cni_net_check(struct cni *cni, const struct cni_net *net, const char **ret_reason, struct err *err);

/* default.c: an IPv4 or IPv6 network in CIDR form, with room for pods: 4, 6 or -EINVAL. */
int cni_subnet_read(const char *subnet, uint8_t address[16], uint32_t *ret_bits);
/* default.c: the text of the embedded default. */
int cni_default_conf(const struct cni_settings *settings, struct arena *a, char **ret, struct err *err);

/* default.c: pods of the embedded default, whose conf this is, are masqueraded: by a rule of ours
 * for all of them, or by the bridge plugin's for each, which conf then says. */
void cni_default_masquerade(struct cni *cni, struct cni_conf *conf, struct arena *a);
