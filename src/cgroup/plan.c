/*
 * Limits → writes. Nothing here touches the kernel: the host is a table, the result is a
 * list, so every conversion between the scales of v1 and v2 is tested without privilege.
 */
#include "cgroup/plan.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { GROUP_NONE, GROUP_CPU, GROUP_RT, GROUP_MEMORY };

/* How a value is written. */
enum form {
	PLAIN,
	MAX,     /* v2: -1 is "max" */
	WEIGHT,  /* cpu.weight from shares */
};

struct row {
	enum cgroup_limit limit;
	enum cgroup_controller controller;
	const char *name;  /* for messages: the limit as users know it */
	const char *v1, *v2;
	enum form v2_form;
	uint8_t group;
	bool zero_unset;   /* 0 is what an unset field looks like in config.json and CRI */
	int64_t min, max;
};

/* In the order of writing. CPU_QUOTA, _PERIOD and MEMORY_SWAP have v2 code of their own below. */
static const struct row rows[] = {
	{ CGROUP_CPU_SHARES, CGROUP_CPU, "CPU shares",
	  "cpu.shares", "cpu.weight", WEIGHT, 0, true, 0, INT64_MAX },
	{ CGROUP_CPU_IDLE, CGROUP_CPU, "CPU idle",
	  "cpu.idle", "cpu.idle", PLAIN, 0, false, 0, 1 },
	{ CGROUP_CPU_PERIOD, CGROUP_CPU, "CPU period",
	  "cpu.cfs_period_us", NULL, PLAIN, GROUP_CPU, true, 1000, 1000000 },
	{ CGROUP_CPU_QUOTA, CGROUP_CPU, "CPU quota",
	  "cpu.cfs_quota_us", NULL, PLAIN, GROUP_CPU, true, -1, INT64_MAX },
	{ CGROUP_CPU_BURST, CGROUP_CPU, "CPU burst",
	  "cpu.cfs_burst_us", "cpu.max.burst", PLAIN, GROUP_CPU, false, 0, INT64_MAX },
	{ CGROUP_CPU_RT_PERIOD, CGROUP_CPU, "CPU realtime period",
	  "cpu.rt_period_us", NULL, PLAIN, GROUP_RT, true, 1, INT64_MAX },
	{ CGROUP_CPU_RT_RUNTIME, CGROUP_CPU, "CPU realtime runtime",
	  "cpu.rt_runtime_us", NULL, PLAIN, GROUP_RT, true, -1, INT64_MAX },
	{ CGROUP_MEMORY_LIMIT, CGROUP_MEMORY, "memory limit",
	  "memory.limit_in_bytes", "memory.max", MAX, GROUP_MEMORY, true, -1, INT64_MAX },
	{ CGROUP_MEMORY_SWAP, CGROUP_MEMORY, "memory and swap limit",
	  "memory.memsw.limit_in_bytes", NULL, MAX, GROUP_MEMORY, true, -1, INT64_MAX },
	{ CGROUP_MEMORY_RESERVATION, CGROUP_MEMORY, "memory reservation",
	  "memory.soft_limit_in_bytes", "memory.low", MAX, 0, true, -1, INT64_MAX },
	{ CGROUP_MEMORY_KERNEL_TCP, CGROUP_MEMORY, "kernel TCP memory limit",
	  "memory.kmem.tcp.limit_in_bytes", NULL, MAX, 0, true, -1, INT64_MAX },
	{ CGROUP_MEMORY_SWAPPINESS, CGROUP_MEMORY, "memory swappiness",
	  "memory.swappiness", NULL, PLAIN, 0, false, 0, 100 },
	{ CGROUP_MEMORY_NO_OOM_KILL, CGROUP_MEMORY, "disabling the OOM killer",
	  "memory.oom_control", NULL, PLAIN, 0, true, 0, 1 },
	{ CGROUP_PIDS_LIMIT, CGROUP_PIDS, "pids limit",
	  "pids.max", "pids.max", MAX, 0, true, -1, INT64_MAX },
	{ CGROUP_NET_CLASS_ID, CGROUP_NET_CLS, "network class",
	  "net_cls.classid", NULL, PLAIN, 0, true, 0, UINT32_MAX },
};

bool cgroup_planner_is_optional(const struct cgroup_planner *p, enum cgroup_limit limit)
{
	return p->limits->optional & CGROUP_BIT(limit);
}

struct cgroup_write *cgroup_planner_add(struct cgroup_planner *p, int h, enum cgroup_limit limit,
					enum cgroup_controller c,
				const char *file, const char *value)
{
	struct cgroup_write *w;

	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 32;
		struct cgroup_write *more = arena_new(p->arena, cap, sizeof(*more));

		if (p->n)
			memcpy(more, p->writes, p->n * sizeof(*more));
		p->writes = more;
		p->cap = cap;
	}
	w = &p->writes[p->n++];
	*w = (struct cgroup_write){
		.hierarchy = (int8_t)h,
		.limit = limit,
		.controller = (uint8_t)c,
		.file = file,
		.value = value,
	};
	if (cgroup_planner_is_optional(p, limit))
		w->flags |= CGROUP_WRITE_OPTIONAL;
	if (p->host->hierarchies[h].version == 2 && c < CGROUP_CONTROLLERS)
		p->v2_controllers |= UINT32_C(1) << c;
	return w;
}

int cgroup_planner_find(const struct cgroup_planner *p, enum cgroup_limit limit, enum cgroup_controller c,
			const char *name,
		int *ret_h, struct err *err)
{
	int h = p->host->of[c];

	if (h >= 0) {
		*ret_h = h;
		return 1;
	}
	if (cgroup_planner_is_optional(p, limit))
		return 0;
	return err_set(err, ERR_UNSUPPORTED, "cgroup %s: the %s cannot be set: the controller is not mounted",
		       cgroup_controller_name(c, p->host->mode == CGROUP_V2 ? 2 : 1), name);
}

int cgroup_weight_curve_find(const char *name, enum cgroup_weight_curve *ret)
{
	static const char *const names[] = { "linear", "quadratic" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_eq(names[i], name)) {
			*ret = (enum cgroup_weight_curve)i;
			return 0;
		}
	}
	return -EINVAL;
}

int64_t cgroup_weight_of_shares(int64_t shares, enum cgroup_weight_curve curve)
{
	double l;

	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;
	if (curve == CGROUP_WEIGHT_LINEAR)
		return 1 + (shares - 2) * 9999 / 262142;
	/* the power of ten whose exponent is the parabola over log2 through (1, 0), (10, 2), (18, 4) */
	l = log2((double)shares);
	return (int64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

static bool is_given(const struct cgroup_limits *l, const struct row *row)
{
	return l->set & CGROUP_BIT(row->limit) && !(row->zero_unset && l->value[row->limit] == 0);
}

static const char *number(struct cgroup_planner *p, int64_t v, enum form form)
{
	if (form == MAX && v < 0)
		return "max";
	return arena_printf(p->arena, "%" PRId64, form == WEIGHT ?
			    cgroup_weight_of_shares(v, p->limits->weight_curve) : v);
}

/* swap in OCI and v1 is memory + swap; v2 limits swap alone. */
static int plan_v2_swap(struct cgroup_planner *p, int h, struct err *err)
{
	const struct cgroup_limits *l = p->limits;
	int64_t swap = l->value[CGROUP_MEMORY_SWAP];
	int64_t memory = l->set & CGROUP_BIT(CGROUP_MEMORY_LIMIT) ? l->value[CGROUP_MEMORY_LIMIT] : 0;
	struct cgroup_write *w;

	if (swap < 0) {
		w = cgroup_planner_add(p, h, CGROUP_MEMORY_SWAP, CGROUP_MEMORY, "memory.swap.max", "max");
	} else {
		if (memory <= 0)
			return err_set(err, ERR_INVALID, "cgroup memory: a memory and swap limit of %" PRId64
				       " needs a memory limit", swap);
		w = cgroup_planner_add(p, h, CGROUP_MEMORY_SWAP, CGROUP_MEMORY, "memory.swap.max",
			arena_printf(p->arena, "%" PRId64, swap - memory));
	}
	/* without swap accounting nothing is lost unless some swap was to be allowed */
	if (swap < 0 || swap == memory)
		w->flags |= CGROUP_WRITE_MISSING_OK;
	return 0;
}

static void plan_v2_cpu_max(struct cgroup_planner *p, int h)
{
	const struct cgroup_limits *l = p->limits;
	int64_t quota = l->set & CGROUP_BIT(CGROUP_CPU_QUOTA) ? l->value[CGROUP_CPU_QUOTA] : 0;
	int64_t period = l->set & CGROUP_BIT(CGROUP_CPU_PERIOD) ? l->value[CGROUP_CPU_PERIOD] : 0;
	struct cgroup_write *w;

	if (!quota) {
		w = cgroup_planner_add(p, h, CGROUP_CPU_PERIOD, CGROUP_CPU, "cpu.max",
				       number(p, period, PLAIN));
		w->flags |= CGROUP_WRITE_KEEP_QUOTA;
	} else if (!period) {
		w = cgroup_planner_add(p, h, CGROUP_CPU_QUOTA, CGROUP_CPU, "cpu.max", number(p, quota, MAX));
	} else {
		w = cgroup_planner_add(p, h, CGROUP_CPU_QUOTA, CGROUP_CPU, "cpu.max",
			arena_printf(p->arena, "%s %" PRId64, number(p, quota, MAX), period));
	}
	w->group = GROUP_CPU;
}

static int check_range(const struct row *row, int64_t v, struct err *err)
{
	if (v < row->min || v > row->max)
		return err_set(err, ERR_INVALID, "cgroup %s: %" PRId64 " is no valid %s",
			       cgroup_controller_name(row->controller, 1), v, row->name);
	return 0;
}

static int plan_values(struct cgroup_planner *p, struct err *err)
{
	const struct cgroup_limits *l = p->limits;
	bool cpu_max_done = false;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		int64_t v = l->value[row->limit];
		struct cgroup_write *w;
		int h, r;

		if (!is_given(l, row))
			continue;
		r = check_range(row, v, err);
		if (r < 0)
			return r;
		r = cgroup_planner_find(p, row->limit, row->controller, row->name, &h, err);
		if (r <= 0) {
			if (r < 0)
				return r;
			continue;
		}
		if (p->host->hierarchies[h].version == 2) {
			if (row->limit == CGROUP_CPU_QUOTA || row->limit == CGROUP_CPU_PERIOD) {
				if (!cpu_max_done)
					plan_v2_cpu_max(p, h);
				cpu_max_done = true;
			} else if (row->limit == CGROUP_MEMORY_SWAP) {
				r = plan_v2_swap(p, h, err);
				if (r < 0)
					return r;
			} else if (row->v2) {
				w = cgroup_planner_add(p, h, row->limit, row->controller, row->v2,
					number(p, v, row->v2_form));
				w->group = row->group;
			} else if (!cgroup_planner_is_optional(p, row->limit)) {
				return err_set(err, ERR_UNSUPPORTED,
					       "cgroup %s: the %s does not exist in cgroup v2",
					       cgroup_controller_name(row->controller, 2), row->name);
			}
			continue;
		}
		w = cgroup_planner_add(p, h, row->limit, row->controller, row->v1,
			row->limit == CGROUP_PIDS_LIMIT ? number(p, v, MAX) : number(p, v, PLAIN));
		w->group = row->group;
		if (row->limit == CGROUP_MEMORY_SWAP &&
		    (v < 0 || (l->set & CGROUP_BIT(CGROUP_MEMORY_LIMIT) &&
			       v == l->value[CGROUP_MEMORY_LIMIT])))
			w->flags |= CGROUP_WRITE_MISSING_OK;
		/* the kernel holds memory below memory + swap: lifting the one lifts the other */
		if (row->limit == CGROUP_MEMORY_LIMIT && v < 0 && !l->value[CGROUP_MEMORY_SWAP]) {
			w = cgroup_planner_add(p, h, CGROUP_MEMORY_SWAP, CGROUP_MEMORY,
					       "memory.memsw.limit_in_bytes", "-1");
			w->group = GROUP_MEMORY;
			w->flags |= CGROUP_WRITE_MISSING_OK;
		}
	}
	return 0;
}

/* memory + swap below memory is refused by the kernel with a bare EINVAL. */
static int check_memory(const struct cgroup_limits *l, struct err *err)
{
	int64_t memory = l->set & CGROUP_BIT(CGROUP_MEMORY_LIMIT) ? l->value[CGROUP_MEMORY_LIMIT] : 0;
	int64_t swap = l->set & CGROUP_BIT(CGROUP_MEMORY_SWAP) ? l->value[CGROUP_MEMORY_SWAP] : 0;

	if (swap > 0 && memory > swap)
		return err_set(err, ERR_INVALID, "cgroup memory: the memory and swap limit %" PRId64
			       " is below the memory limit %" PRId64, swap, memory);
	if (swap > 0 && memory < 0)
		return err_set(err, ERR_INVALID, "cgroup memory: the memory and swap limit %" PRId64
			       " is below the memory limit, which is none", swap);
	return 0;
}

int cgroup_device_access(const char *text, unsigned *ret)
{
	unsigned access = 0;

	for (; text && *text; text++) {
		const char *at = strchr("rwm", *text);

		if (!at)
			return -EINVAL;
		access |= 1U << (at - "rwm");
	}
	*ret = access;
	return 0;
}

int cgroup_plan(const struct cgroup_host *host, const struct cgroup_limits *limits, struct arena *a,
		struct cgroup_plan *ret, struct err *err)
{
	static int (*const parts[])(struct cgroup_planner *p, struct err *err) = {
		cgroup_plan_cpuset, plan_values, cgroup_plan_io, cgroup_plan_hugetlb,
			cgroup_plan_network_rdma,
		cgroup_plan_unified, cgroup_plan_devices,
	};
	struct cgroup_planner p = { .host = host, .limits = limits, .arena = a };
	struct cgroup_device *devices;
	int r = check_memory(limits, err);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(parts); i++)
		r = parts[i](&p, err);
	if (r < 0)
		return r;
	devices = arena_new(a, limits->n_devices, sizeof(*devices));
	if (limits->n_devices)
		memcpy(devices, limits->devices, limits->n_devices * sizeof(*devices));
	*ret = (struct cgroup_plan){
		.writes = p.writes,
		.n_writes = p.n,
		.devices = devices,
		.n_devices = limits->n_devices,
		.check_before_update = limits->check_before_update,
		.memory_limit = limits->set & CGROUP_BIT(CGROUP_MEMORY_LIMIT) ?
			limits->value[CGROUP_MEMORY_LIMIT] : 0,
		.v2_controllers = p.v2_controllers,
	};
	return 0;
}
