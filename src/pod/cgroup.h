/*
 * A pod's place in the cgroup tree: below what the client named, or below one that is the
 * daemon's own. What was not there before is remembered in the record (cgroup_made) and
 * removed when the last pod below it goes; what was there is the client's.
 */
#pragma once

#include "pod/manager.h"

/* Sets p->cgroup_path and priv->cgroup_made. INVALID, UNSUPPORTED for systemd's names. */
int pod_cgroup_choose(struct pod_sandbox *p, struct err *err);

/* Removes the directories made for the pod, from its own upwards, as far as they are empty.
 * What another pod still uses becomes that pod's to remove. */
void pod_cgroup_release(struct pod_sandbox *p);

/* Kills everything in the cgroup and removes it: for what no shim answers for. */
int pod_cgroup_destroy(const char *path, struct err *err);
