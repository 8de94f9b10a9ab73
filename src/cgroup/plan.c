/*
 * Limits → writes. Nothing here touches the kernel: the host is a table, the result is a
 * list, so every conversion between the scales of v1 and v2 is tested without privilege.
 */
#include "cgroup/driver.h"

#include <ctype.h>
#include <inttypes.h>
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
	{ CGROUP_CPU_SHARES, CGROUP_CPU, "CPU shares", "cpu.shares", "cpu.weight", WEIGHT, 0, true, 0, INT64_MAX },
	{ CGROUP_CPU_IDLE, CGROUP_CPU, "CPU idle", "cpu.idle", "cpu.idle", PLAIN, 0, false, 0, 1 },
	{ CGROUP_CPU_PERIOD, CGROUP_CPU, "CPU period", "cpu.cfs_period_us", NULL, PLAIN, GROUP_CPU, true, 1000, 1000000 },
	{ CGROUP_CPU_QUOTA, CGROUP_CPU, "CPU quota", "cpu.cfs_quota_us", NULL, PLAIN, GROUP_CPU, true, -1, INT64_MAX },
	{ CGROUP_CPU_BURST, CGROUP_CPU, "CPU burst", "cpu.cfs_burst_us", "cpu.max.burst", PLAIN, GROUP_CPU, false, 0, INT64_MAX },
	{ CGROUP_CPU_RT_PERIOD, CGROUP_CPU, "CPU realtime period", "cpu.rt_period_us", NULL, PLAIN, GROUP_RT, true, 1, INT64_MAX },
	{ CGROUP_CPU_RT_RUNTIME, CGROUP_CPU, "CPU realtime runtime", "cpu.rt_runtime_us", NULL, PLAIN, GROUP_RT, true, -1, INT64_MAX },
	{ CGROUP_MEMORY_LIMIT, CGROUP_MEMORY, "memory limit", "memory.limit_in_bytes", "memory.max", MAX, GROUP_MEMORY, true, -1, INT64_MAX },
	{ CGROUP_MEMORY_SWAP, CGROUP_MEMORY, "memory and swap limit", "memory.memsw.limit_in_bytes", NULL, MAX, GROUP_MEMORY, true, -1, INT64_MAX },
	{ CGROUP_MEMORY_RESERVATION, CGROUP_MEMORY, "memory reservation", "memory.soft_limit_in_bytes", "memory.low", MAX, 0, true, -1, INT64_MAX },
	{ CGROUP_MEMORY_KERNEL_TCP, CGROUP_MEMORY, "kernel TCP memory limit", "memory.kmem.tcp.limit_in_bytes", NULL, MAX, 0, true, -1, INT64_MAX },
	{ CGROUP_MEMORY_SWAPPINESS, CGROUP_MEMORY, "memory swappiness", "memory.swappiness", NULL, PLAIN, 0, false, 0, 100 },
	{ CGROUP_MEMORY_NO_OOM_KILL, CGROUP_MEMORY, "disabling the OOM killer", "memory.oom_control", NULL, PLAIN, 0, true, 0, 1 },
	{ CGROUP_PIDS_LIMIT, CGROUP_PIDS, "pids limit", "pids.max", "pids.max", MAX, 0, true, -1, INT64_MAX },
	{ CGROUP_NET_CLASS_ID, CGROUP_NET_CLS, "network class", "net_cls.classid", NULL, PLAIN, 0, true, 0, UINT32_MAX },
};

static const struct {
	enum cgroup_limit limit;
	const char *v1, *v2_key;
	const char *name;
} throttles[] = {
	{ CGROUP_IO_READ_BPS, "blkio.throttle.read_bps_device", "rbps", "read bandwidth" },
	{ CGROUP_IO_WRITE_BPS, "blkio.throttle.write_bps_device", "wbps", "write bandwidth" },
	{ CGROUP_IO_READ_IOPS, "blkio.throttle.read_iops_device", "riops", "read operations" },
	{ CGROUP_IO_WRITE_IOPS, "blkio.throttle.write_iops_device", "wiops", "write operations" },
};

struct planner {
	const struct cgroup_host *host;
	const struct cgroup_limits *limits;
	struct arena *arena;
	struct cgroup_write *writes;
	size_t n, cap;
	uint32_t v2_controllers;
};

static bool is_optional(const struct planner *p, enum cgroup_limit limit)
{
	return p->limits->optional & CGROUP_BIT(limit);
}

static struct cgroup_write *add(struct planner *p, int h, enum cgroup_limit limit, enum cgroup_controller c,
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
	*w = (struct cgroup_write){ .hierarchy = (int8_t)h, .limit = limit, .controller = (uint8_t)c, .file = file,
				    .value = value };
	if (is_optional(p, limit))
		w->flags |= CGROUP_WRITE_OPTIONAL;
	if (p->host->hierarchies[h].version == 2 && c < CGROUP_CONTROLLERS)
		p->v2_controllers |= UINT32_C(1) << c;
	return w;
}

/* The hierarchy of a controller: 1 and *ret_h; 0 when it lacks and the limit is optional. */
static int find(const struct planner *p, enum cgroup_limit limit, enum cgroup_controller c, const char *name,
		int *ret_h, struct err *err)
{
	int h = p->host->of[c];

	if (h >= 0) {
		*ret_h = h;
		return 1;
	}
	if (is_optional(p, limit))
		return 0;
	return err_set(err, ERR_UNSUPPORTED, "cgroup %s: the %s cannot be set: the controller is not mounted",
		       cgroup_controller_name(c, p->host->mode == CGROUP_V2 ? 2 : 1), name);
}

/* 1 … 10000 from 2 … 262144, the line through both ends. */
static int64_t weight_of_shares(int64_t shares)
{
	if (shares < 2)
		shares = 2;
	if (shares > 262144)
		shares = 262144;
	return 1 + (shares - 2) * 9999 / 262142;
}

static bool is_given(const struct cgroup_limits *l, const struct row *row)
{
	return l->set & CGROUP_BIT(row->limit) && !(row->zero_unset && l->value[row->limit] == 0);
}

static const char *number(struct planner *p, int64_t v, enum form form)
{
	if (form == MAX && v < 0)
		return "max";
	return arena_printf(p->arena, "%" PRId64, form == WEIGHT ? weight_of_shares(v) : v);
}

/* swap in OCI and v1 is memory + swap; v2 limits swap alone. */
static int plan_v2_swap(struct planner *p, int h, struct err *err)
{
	const struct cgroup_limits *l = p->limits;
	int64_t swap = l->value[CGROUP_MEMORY_SWAP];
	int64_t memory = l->set & CGROUP_BIT(CGROUP_MEMORY_LIMIT) ? l->value[CGROUP_MEMORY_LIMIT] : 0;
	struct cgroup_write *w;

	if (swap < 0) {
		w = add(p, h, CGROUP_MEMORY_SWAP, CGROUP_MEMORY, "memory.swap.max", "max");
	} else {
		if (memory <= 0)
			return err_set(err, ERR_INVALID, "cgroup memory: a memory and swap limit of %" PRId64
				       " needs a memory limit", swap);
		w = add(p, h, CGROUP_MEMORY_SWAP, CGROUP_MEMORY, "memory.swap.max",
			arena_printf(p->arena, "%" PRId64, swap - memory));
	}
	/* without swap accounting nothing is lost unless some swap was to be allowed */
	if (swap < 0 || swap == memory)
		w->flags |= CGROUP_WRITE_MISSING_OK;
	return 0;
}

static void plan_v2_cpu_max(struct planner *p, int h)
{
	const struct cgroup_limits *l = p->limits;
	int64_t quota = l->set & CGROUP_BIT(CGROUP_CPU_QUOTA) ? l->value[CGROUP_CPU_QUOTA] : 0;
	int64_t period = l->set & CGROUP_BIT(CGROUP_CPU_PERIOD) ? l->value[CGROUP_CPU_PERIOD] : 0;
	struct cgroup_write *w;

	if (!quota) {
		w = add(p, h, CGROUP_CPU_PERIOD, CGROUP_CPU, "cpu.max", number(p, period, PLAIN));
		w->flags |= CGROUP_WRITE_KEEP_QUOTA;
	} else if (!period) {
		w = add(p, h, CGROUP_CPU_QUOTA, CGROUP_CPU, "cpu.max", number(p, quota, MAX));
	} else {
		w = add(p, h, CGROUP_CPU_QUOTA, CGROUP_CPU, "cpu.max",
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

static int plan_values(struct planner *p, struct err *err)
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
		r = find(p, row->limit, row->controller, row->name, &h, err);
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
				w = add(p, h, row->limit, row->controller, row->v2, number(p, v, row->v2_form));
				w->group = row->group;
			} else if (!is_optional(p, row->limit)) {
				return err_set(err, ERR_UNSUPPORTED, "cgroup %s: the %s does not exist in cgroup v2",
					       cgroup_controller_name(row->controller, 2), row->name);
			}
			continue;
		}
		w = add(p, h, row->limit, row->controller, row->v1,
			row->limit == CGROUP_PIDS_LIMIT ? number(p, v, MAX) : number(p, v, PLAIN));
		w->group = row->group;
		if (row->limit == CGROUP_MEMORY_SWAP &&
		    (v < 0 || (l->set & CGROUP_BIT(CGROUP_MEMORY_LIMIT) && v == l->value[CGROUP_MEMORY_LIMIT])))
			w->flags |= CGROUP_WRITE_MISSING_OK;
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

static int plan_cpuset(struct planner *p, struct err *err)
{
	static const struct {
		enum cgroup_limit limit;
		const char *file, *name;
	} sets[] = {
		{ CGROUP_CPUSET_CPUS, "cpuset.cpus", "CPU set" },
		{ CGROUP_CPUSET_MEMS, "cpuset.mems", "memory node set" },
	};

	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		const char *text = i ? p->limits->mems : p->limits->cpus;
		int h, r;

		if (str_empty(text))
			continue;
		if (text[strspn(text, "0123456789,-")])
			return err_set(err, ERR_INVALID, "cgroup cpuset: \"%s\" is no valid %s", text, sets[i].name);
		r = find(p, sets[i].limit, CGROUP_CPUSET, sets[i].name, &h, err);
		if (r < 0)
			return r;
		if (r > 0)
			add(p, h, sets[i].limit, CGROUP_CPUSET, sets[i].file, arena_strdup(p->arena, text));
	}
	return 0;
}

/* The kernel has blkio.weight with one scheduler and blkio.bfq.weight with another: each
 * file is optional, and writing none of them is an error unless the limit is optional. */
static void plan_weight_v1(struct planner *p, int h, enum cgroup_limit limit, const char *suffix,
			   const char *value)
{
	struct cgroup_write *w;

	w = add(p, h, limit, CGROUP_IO, arena_printf(p->arena, "blkio.bfq.weight%s", suffix), value);
	w->flags |= CGROUP_WRITE_OR_NEXT;
	add(p, h, limit, CGROUP_IO, arena_printf(p->arena, "blkio.weight%s", suffix), value);
}

static void plan_weight_v2(struct planner *p, int h, enum cgroup_limit limit, const char *prefix,
			   uint64_t weight)
{
	struct cgroup_write *w;

	w = add(p, h, limit, CGROUP_IO, "io.bfq.weight", arena_printf(p->arena, "%s%" PRIu64, prefix, weight));
	w->flags |= CGROUP_WRITE_OR_NEXT;
	/* 10 … 1000 becomes 1 … 10000 */
	add(p, h, limit, CGROUP_IO, "io.weight",
	    arena_printf(p->arena, "%s%" PRIu64, prefix, 1 + (weight - 10) * 9999 / 990));
}

static int plan_io(struct planner *p, struct err *err)
{
	const struct cgroup_limits *l = p->limits;
	const struct cgroup_io_limit *lists[] = { l->io_read_bps, l->io_write_bps, l->io_read_iops, l->io_write_iops };
	const size_t counts[] = { l->n_io_read_bps, l->n_io_write_bps, l->n_io_read_iops, l->n_io_write_iops };
	int64_t weight = l->set & CGROUP_BIT(CGROUP_IO_WEIGHT) ? l->value[CGROUP_IO_WEIGHT] : 0;
	int h, r;

	if (weight) {
		if (weight < 10 || weight > 1000)
			return err_set(err, ERR_INVALID, "cgroup io: %" PRId64 " is no valid weight (10 to 1000)", weight);
		r = find(p, CGROUP_IO_WEIGHT, CGROUP_IO, "weight", &h, err);
		if (r < 0)
			return r;
		if (r > 0 && p->host->hierarchies[h].version == 1)
			plan_weight_v1(p, h, CGROUP_IO_WEIGHT, "", number(p, weight, PLAIN));
		else if (r > 0)
			plan_weight_v2(p, h, CGROUP_IO_WEIGHT, "default ", (uint64_t)weight);
	}
	for (size_t i = 0; i < l->n_io_weight_device; i++) {
		const struct cgroup_io_limit *d = &l->io_weight_device[i];
		char *device = arena_printf(p->arena, "%" PRId64 ":%" PRId64 " ", d->major, d->minor);

		if (!d->value)
			continue;
		if (d->value < 10 || d->value > 1000)
			return err_set(err, ERR_INVALID, "cgroup io: %" PRIu64
				       " is no valid weight (10 to 1000) of device %s", d->value, device);
		r = find(p, CGROUP_IO_WEIGHT_DEVICE, CGROUP_IO, "device weight", &h, err);
		if (r < 0)
			return r;
		if (r > 0 && p->host->hierarchies[h].version == 1)
			plan_weight_v1(p, h, CGROUP_IO_WEIGHT_DEVICE, "_device",
				       arena_printf(p->arena, "%s%" PRIu64, device, d->value));
		else if (r > 0)
			plan_weight_v2(p, h, CGROUP_IO_WEIGHT_DEVICE, device, d->value);
	}
	for (size_t t = 0; t < ARRAY_LEN(throttles); t++) {
		for (size_t i = 0; i < counts[t]; i++) {
			const struct cgroup_io_limit *d = &lists[t][i];

			r = find(p, throttles[t].limit, CGROUP_IO, throttles[t].name, &h, err);
			if (r < 0)
				return r;
			if (r > 0 && p->host->hierarchies[h].version == 1)
				add(p, h, throttles[t].limit, CGROUP_IO, throttles[t].v1,
				    arena_printf(p->arena, "%" PRId64 ":%" PRId64 " %" PRIu64, d->major, d->minor, d->value));
			else if (r > 0)
				add(p, h, throttles[t].limit, CGROUP_IO, "io.max",
				    d->value ? arena_printf(p->arena, "%" PRId64 ":%" PRId64 " %s=%" PRIu64, d->major,
							    d->minor, throttles[t].v2_key, d->value)
					     : arena_printf(p->arena, "%" PRId64 ":%" PRId64 " %s=max", d->major,
							    d->minor, throttles[t].v2_key));
		}
	}
	return 0;
}

static bool is_page_size(const char *s)
{
	size_t n = s ? strspn(s, "0123456789") : 0;

	return n && n < 8 && s[n] && strchr("KMG", s[n]) && s[n + 1] == 'B' && !s[n + 2];
}

static int plan_hugetlb(struct planner *p, struct err *err)
{
	for (size_t i = 0; i < p->limits->n_hugetlb; i++) {
		const struct cgroup_named_limit *l = &p->limits->hugetlb[i];
		const char *value = arena_printf(p->arena, "%" PRIu64, l->value);
		struct cgroup_write *w;
		int h, r, version;

		if (!is_page_size(l->name))
			return err_set(err, ERR_INVALID, "cgroup hugetlb: \"%s\" is no page size", l->name ? l->name : "");
		r = find(p, CGROUP_HUGETLB_LIMIT, CGROUP_HUGETLB, "huge page limit", &h, err);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		version = p->host->hierarchies[h].version;
		add(p, h, CGROUP_HUGETLB_LIMIT, CGROUP_HUGETLB,
		    arena_printf(p->arena, "hugetlb.%s.%s", l->name, version == 1 ? "limit_in_bytes" : "max"), value);
		/* reservations are counted apart: without it mmap would succeed and the fault kill */
		w = add(p, h, CGROUP_HUGETLB_LIMIT, CGROUP_HUGETLB,
			arena_printf(p->arena, "hugetlb.%s.rsvd.%s", l->name, version == 1 ? "limit_in_bytes" : "max"),
			value);
		w->flags |= CGROUP_WRITE_MISSING_OK;
	}
	return 0;
}

static int plan_network_rdma(struct planner *p, struct err *err)
{
	const struct cgroup_limits *l = p->limits;
	int h, r;

	for (size_t i = 0; i < l->n_net_priority; i++) {
		const struct cgroup_named_limit *n = &l->net_priority[i];

		if (str_empty(n->name) || strpbrk(n->name, " \t\n/"))
			return err_set(err, ERR_INVALID, "cgroup net_prio: \"%s\" is no network interface",
				       n->name ? n->name : "");
		r = find(p, CGROUP_NET_PRIORITY, CGROUP_NET_PRIO, "network priority", &h, err);
		if (r < 0)
			return r;
		if (r > 0)
			add(p, h, CGROUP_NET_PRIORITY, CGROUP_NET_PRIO, "net_prio.ifpriomap",
			    arena_printf(p->arena, "%s %" PRIu64, n->name, n->value));
	}
	for (size_t i = 0; i < l->n_rdma; i++) {
		const struct cgroup_rdma_limit *d = &l->rdma[i];
		CLEANUP(buf_done) struct buf value = BUF_INIT(512);

		if (str_empty(d->name) || strpbrk(d->name, " \t\n/"))
			return err_set(err, ERR_INVALID, "cgroup rdma: \"%s\" is no device", d->name ? d->name : "");
		r = find(p, CGROUP_RDMA_LIMIT, CGROUP_RDMA, "RDMA limit", &h, err);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		r = buf_printf(&value, "%s", d->name);
		if (r == 0 && d->handles >= 0)
			r = buf_printf(&value, " hca_handle=%" PRId64, d->handles);
		if (r == 0 && d->objects >= 0)
			r = buf_printf(&value, " hca_object=%" PRId64, d->objects);
		if (r < 0)
			return err_set(err, ERR_INVALID, "cgroup rdma: the device name is too long");
		add(p, h, CGROUP_RDMA_LIMIT, CGROUP_RDMA, "rdma.max", arena_strdup(p->arena, buf_text(&value)));
	}
	return 0;
}

/* Files of the core that are limits; the others (cgroup.procs…) would change who is inside. */
static const char *const core_limits[] = { "cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure" };

static int plan_unified(struct planner *p, struct err *err)
{
	for (size_t i = 0; i < p->limits->n_unified; i++) {
		const struct cgroup_text *u = &p->limits->unified[i];
		const char *dot = strchr(u->file, '.');
		enum cgroup_controller c = CGROUP_CONTROLLERS;
		char name[32];

		if (!dot || dot == u->file || strchr(u->file, '/') || (size_t)(dot - u->file) >= sizeof(name))
			return err_set(err, ERR_INVALID, "cgroup unified: \"%s\" is no cgroup v2 file", u->file);
		memcpy(name, u->file, (size_t)(dot - u->file));
		name[dot - u->file] = '\0';
		if (str_eq(name, "cgroup")) {
			if (!str_in(u->file, core_limits, ARRAY_LEN(core_limits)))
				return err_set(err, ERR_INVALID, "cgroup unified: %s is not a limit", u->file);
			if (p->host->v2 < 0)
				return err_set(err, ERR_UNSUPPORTED, "cgroup unified: %s: no cgroup v2 is mounted", u->file);
			add(p, p->host->v2, CGROUP_UNIFIED, c, arena_strdup(p->arena, u->file),
			    arena_strdup(p->arena, u->value));
			continue;
		}
		for (int k = 0; k < CGROUP_CONTROLLERS; k++)
			if (str_eq(cgroup_controller_name((enum cgroup_controller)k, 2), name))
				c = (enum cgroup_controller)k;
		if (p->host->v2 < 0 || c == CGROUP_CONTROLLERS ||
		    !(p->host->hierarchies[p->host->v2].controllers & UINT32_C(1) << c)) {
			if (is_optional(p, CGROUP_UNIFIED))
				continue;
			return err_set(err, ERR_UNSUPPORTED, "cgroup %s: %s cannot be set: the controller is not in cgroup v2 here",
				       name, u->file);
		}
		add(p, p->host->v2, CGROUP_UNIFIED, c, arena_strdup(p->arena, u->file), arena_strdup(p->arena, u->value));
	}
	return 0;
}

static int check_devices(const struct planner *p, struct err *err)
{
	const struct cgroup_limits *l = p->limits;

	for (size_t i = 0; i < l->n_devices; i++) {
		const struct cgroup_device *d = &l->devices[i];

		if (!d->type || !strchr("abc", d->type))
			return err_set(err, ERR_INVALID, "cgroup devices: '%c' is no device type (a, b, c)",
				       isprint((unsigned char)d->type) ? d->type : '?');
		if (d->major < -1 || d->minor < -1 || d->major > UINT32_MAX || d->minor > UINT32_MAX)
			return err_set(err, ERR_INVALID, "cgroup devices: %" PRId64 ":%" PRId64 " is no device number",
				       d->major, d->minor);
	}
	if (l->n_devices && p->host->of[CGROUP_DEVICES] < 0 && p->host->v2 < 0 && !is_optional(p, CGROUP_DEVICE_RULES))
		return err_set(err, ERR_UNSUPPORTED,
			       "cgroup devices: the device rules cannot be set: the controller is not mounted");
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
	static int (*const parts[])(struct planner *p, struct err *err) = {
		plan_cpuset, plan_values, plan_io, plan_hugetlb, plan_network_rdma, plan_unified,
	};
	struct planner p = { .host = host, .limits = limits, .arena = a };
	struct cgroup_device *devices;
	int r = check_memory(limits, err);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(parts); i++)
		r = parts[i](&p, err);
	if (r == 0)
		r = check_devices(&p, err);
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
		.memory_limit = limits->set & CGROUP_BIT(CGROUP_MEMORY_LIMIT) ? limits->value[CGROUP_MEMORY_LIMIT] : 0,
		.v2_controllers = p.v2_controllers,
	};
	return 0;
}
