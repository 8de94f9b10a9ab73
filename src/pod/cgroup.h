/*
 * A pod's place in the cgroup tree: below what the client named, or below one that is the
 * daemon's own. What was not there before is remembered in the record (cgroup_made) and
 * removed when the last pod below it goes; what was there is the client's.
 */
#pragma once

#include "pod/manager.h"

/*
 * With the systemd driver a pod is a slice and its containers are scopes in it. Their paths
 * are kept as they are in the tree, ".slice" and ".scope" at the end, so that everything that
 * only looks or kills needs not know. A pod stays what it was made as.
 */

/* Whether systemd is asked for it. */
static inline bool pod_cgroup_is_unit(const char *path)
{
	return str_has_suffix(path, ".slice") || str_has_suffix(path, ".scope");
}

/* The path of a container's cgroup below its pod's. */
char *pod_cgroup_below(const char *pod_path, const char *id, struct arena *a);
/* The path as linux.cgroupsPath asks for it: "slice:prefix:name" where it is a scope. */
char *pod_cgroup_request(const char *path, struct arena *a);

/* Sets p->cgroup_path and priv->cgroup_made. INVALID for a name that is not the driver's. */
int pod_cgroup_choose(struct pod_sandbox *p, struct err *err);

/* Removes the directories made for the pod, from its own upwards, as far as they are empty.
 * What another pod still uses becomes that pod's to remove. */
void pod_cgroup_release(struct pod_sandbox *p);

/* Whether the kernel has killed for memory in there. */
bool pod_cgroup_oom_killed(const char *path);

/* Kills everything in the cgroup and removes it: for what no shim answers for. */
int pod_cgroup_destroy(const char *path, struct err *err);
