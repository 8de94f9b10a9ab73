/*
 * A cgroup's figures as containerd wants them in StatsResponse: io.containerd.cgroups.v1.Metrics
 * or .v2.Metrics, whichever the host is. No I/O, any thread.
 */
#pragma once

#include "cgroup/cgroup.h"

/* Appends the packed message; *ret_type is its name. */
int stats_pack(const struct cgroup_stats *s, bool v2, uint64_t oom_kills, struct buf *out,
	       const char **ret_type, struct err *err);
