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
