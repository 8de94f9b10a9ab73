/*
 * The state of a container, as `state` prints it and hooks get it on stdin (runtime.md).
 */
#pragma once

#include "json/json.h"

struct oci_state {
	char *oci_version, *id;
	char *status; /* creating created running stopped (and paused, as runc says) */
	int32_t pid;  /* 0: no process; omitted then */
	char *bundle;
	struct json_kv *annotations;
	size_t n_annotations;
};

extern const struct json_type oci_state_type;

/* What a seccomp agent gets with the listener (config-linux.md, "The Container Process State"). */
struct oci_process_state {
	char *oci_version;
	char **fds; /* names of the descriptors that come with it, in order: "seccompFd" */
	size_t n_fds;
	int32_t pid;
	char *metadata;
	struct oci_state state;
};

extern const struct json_type oci_process_state_type;
