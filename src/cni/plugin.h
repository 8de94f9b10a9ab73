/* Running one plugin: found in the binary directories, under a deadline, few at a time. Inside the room only. */
#pragma once

#include "cni/cni.h"

#include <pthread.h>

/* How many plugins may run at once. Waiting counts against the caller's deadline. */
struct cni_slots {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	unsigned max, used;
};

void cni_slots_init(struct cni_slots *s, unsigned max);
void cni_slots_done(struct cni_slots *s);

struct cni_bin_dirs {
	char **dirs;
	size_t n;
	char *path; /* CNI_PATH: joined by ':' */
};

/* The plugin's file, or -ENOENT. path: PATH_MAX bytes. */
int cni_plugin_find(const struct cni_bin_dirs *bins, const char *type, char *path, size_t size);

struct cni_plugin_call {
	struct cni_slots *slots;
	const struct cni_bin_dirs *bins;
	const char *command; /* "ADD" */
	const char *type;
	const char *network; /* for the error's text */
	const char *container_id, *netns, *ifname, *args; /* NULL: not in the environment (VERSION) */
	const char *input;
	int64_t deadline;
};

/* out gets what it printed on success. The error names plugin, network and command. */
int cni_plugin_run(const struct cni_plugin_call *call, struct buf *out, struct err *err);
