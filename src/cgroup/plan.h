/*
 * What plan.c (single values) and plan-lists.c (lists and texts) share: a plan that grows.
 */
#pragma once

#include "cgroup/driver.h"

struct cgroup_planner {
	const struct cgroup_host *host;
	const struct cgroup_limits *limits;
	struct arena *arena;
	struct cgroup_write *writes;
	size_t n, cap;
	uint32_t v2_controllers;
};

bool cgroup_planner_is_optional(const struct cgroup_planner *p, enum cgroup_limit limit);
/* The hierarchy of a controller: 1 and *ret_h; 0 when it lacks and the limit is optional. */
int cgroup_planner_find(const struct cgroup_planner *p, enum cgroup_limit limit, enum cgroup_controller c,
			const char *name, int *ret_h, struct err *err);
/* file and value are literals or in the arena; the result is valid until the next call */
struct cgroup_write *cgroup_planner_add(struct cgroup_planner *p, int h, enum cgroup_limit limit,
					enum cgroup_controller c, const char *file, const char *value);

int cgroup_plan_cpuset(struct cgroup_planner *p, struct err *err);
int cgroup_plan_io(struct cgroup_planner *p, struct err *err);
int cgroup_plan_hugetlb(struct cgroup_planner *p, struct err *err);
int cgroup_plan_network_rdma(struct cgroup_planner *p, struct err *err);
int cgroup_plan_unified(struct cgroup_planner *p, struct err *err);
int cgroup_plan_devices(struct cgroup_planner *p, struct err *err); /* checks only */
