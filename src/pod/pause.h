/*
 * The process that holds a pod's namespaces: what it is started from, and its config.json.
 */
#pragma once

#include "oci/oci.h"
#include "pod/manager.h"

#define POD_PAUSE_NAME "caisson-pause"

/* <state>/pause: a directory that holds the pause program and empty mount points, the root
 * of every pause container, read-only there. Replaced at each start of the daemon. */
int pod_pause_install(struct pod_manager *m, struct err *err);

/* The bundle's document. No I/O; strings are borrowed or in the arena. */
int pod_pause_spec(const struct pod_manager *m, const struct pod_sandbox *p, const char *hostname,
		   struct arena *a, struct oci_config *ret, struct err *err);
