/*
 * Limits that are lists or texts → writes: CPU sets, devices, page sizes, interfaces, and
 * the v2 files that users name themselves. Pure, as plan.c.
 */
#include "cgroup/plan.h"

#include <ctype.h>
#include <inttypes.h>

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

int cgroup_plan_cpuset(struct cgroup_planner *p, struct err *err)
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
			return err_set(err, ERR_INVALID, "cgroup cpuset: \"%s\" is no valid %s", text,
				       sets[i].name);
		r = cgroup_planner_find(p, sets[i].limit, CGROUP_CPUSET, sets[i].name, &h, err);
		if (r < 0)
			return r;
		if (r > 0)
			cgroup_planner_add(p, h, sets[i].limit, CGROUP_CPUSET, sets[i].file,
					   arena_strdup(p->arena, text));
	}
	return 0;
}

/*
 * The kernel has blkio.weight with one scheduler and blkio.bfq.weight with another (io.weight
 * and io.bfq.weight in v2): the second is written only where the first lacks.
 */
static void plan_weight(struct cgroup_planner *p, int h, enum cgroup_limit limit, const char *device,
			uint64_t weight)
{
	bool v2 = p->host->hierarchies[h].version == 2;
	const char *suffix = v2 || !*device ? "" : "_device", *prefix = v2 && !*device ? "default " : device;
	struct cgroup_write *w;

	w = cgroup_planner_add(p, h, limit, CGROUP_IO,
			       arena_printf(p->arena, v2 ? "io.bfq.weight%s" : "blkio.bfq.weight%s", suffix),
			       arena_printf(p->arena, "%s%" PRIu64, prefix, weight));
	w->flags |= CGROUP_WRITE_OR_NEXT;
	/* io.weight has another scale: 10 … 1000 becomes 1 … 10000 */
	cgroup_planner_add(p, h, limit, CGROUP_IO,
			   arena_printf(p->arena, v2 ? "io.weight%s" : "blkio.weight%s", suffix),
			   arena_printf(p->arena, "%s%" PRIu64, prefix,
					v2 ? 1 + (weight - 10) * 9999 / 990 : weight));
}

static const char *device_text(struct cgroup_planner *p, const struct cgroup_io_limit *d)
{
	return arena_printf(p->arena, "%" PRId64 ":%" PRId64 " ", d->major, d->minor);
}

static int plan_weight_of(struct cgroup_planner *p, enum cgroup_limit limit, const char *device,
			  uint64_t weight, struct err *err)
{
	int h, r;

	if (weight < 10 || weight > 1000)
		return err_set(err, ERR_INVALID, "cgroup io: %" PRIu64 " is no valid weight (10 to 1000)",
			       weight);
	r = cgroup_planner_find(p, limit, CGROUP_IO, *device ? "device weight" : "weight", &h, err);
	if (r > 0)
		plan_weight(p, h, limit, device, weight);
	return r < 0 ? r : 0;
}

static int plan_throttle(struct cgroup_planner *p, size_t t, const struct cgroup_io_limit *d, struct err *err)
{
	char *device = arena_printf(p->arena, "%" PRId64 ":%" PRId64, d->major, d->minor);
	char *value = arena_printf(p->arena, "%" PRIu64, d->value);
	int h, r = cgroup_planner_find(p, throttles[t].limit, CGROUP_IO, throttles[t].name, &h, err);

	if (r <= 0)
		return r;
	if (p->host->hierarchies[h].version == 1)
		cgroup_planner_add(p, h, throttles[t].limit, CGROUP_IO, throttles[t].v1,
				   arena_printf(p->arena, "%s %s", device, value));
	else
		cgroup_planner_add(p, h, throttles[t].limit, CGROUP_IO, "io.max",
				   arena_printf(p->arena, "%s %s=%s", device, throttles[t].v2_key,
						d->value ? value : "max"));
	return 0;
}

int cgroup_plan_io(struct cgroup_planner *p, struct err *err)
{
	const struct cgroup_limits *l = p->limits;
	const struct {
		const struct cgroup_io_limit *list;
		size_t n;
	} lists[] = {
		{ l->io_read_bps, l->n_io_read_bps },
		{ l->io_write_bps, l->n_io_write_bps },
		{ l->io_read_iops, l->n_io_read_iops },
		{ l->io_write_iops, l->n_io_write_iops },
	};
	int r = 0;

	if (l->set & CGROUP_BIT(CGROUP_IO_WEIGHT) && l->value[CGROUP_IO_WEIGHT])
		r = plan_weight_of(p, CGROUP_IO_WEIGHT, "", (uint64_t)l->value[CGROUP_IO_WEIGHT], err);
	for (size_t i = 0; r == 0 && i < l->n_io_weight_device; i++) {
		const struct cgroup_io_limit *d = &l->io_weight_device[i];

		if (d->value)
			r = plan_weight_of(p, CGROUP_IO_WEIGHT_DEVICE, device_text(p, d), d->value, err);
	}
	for (size_t t = 0; t < ARRAY_LEN(throttles); t++)
		for (size_t i = 0; r == 0 && i < lists[t].n; i++)
			r = plan_throttle(p, t, &lists[t].list[i], err);
	return r;
}

static bool is_page_size(const char *s)
{
	size_t n = s ? strspn(s, "0123456789") : 0;

	return n && n < 8 && s[n] && strchr("KMG", s[n]) && s[n + 1] == 'B' && !s[n + 2];
}

int cgroup_plan_hugetlb(struct cgroup_planner *p, struct err *err)
{
	for (size_t i = 0; i < p->limits->n_hugetlb; i++) {
		const struct cgroup_named_limit *l = &p->limits->hugetlb[i];
		const char *value = arena_printf(p->arena, "%" PRIu64, l->value), *suffix;
		struct cgroup_write *w;
		int h, r;

		if (!is_page_size(l->name))
			return err_set(err, ERR_INVALID, "cgroup hugetlb: \"%s\" is no page size",
				       l->name ? l->name : "");
		r = cgroup_planner_find(p, CGROUP_HUGETLB_LIMIT, CGROUP_HUGETLB, "huge page limit", &h, err);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		suffix = p->host->hierarchies[h].version == 1 ? "limit_in_bytes" : "max";
		cgroup_planner_add(p, h, CGROUP_HUGETLB_LIMIT, CGROUP_HUGETLB,
				   arena_printf(p->arena, "hugetlb.%s.%s", l->name, suffix), value);
		/* reservations are counted apart: without it mmap would succeed and the fault kill */
		w = cgroup_planner_add(p, h, CGROUP_HUGETLB_LIMIT, CGROUP_HUGETLB,
				       arena_printf(p->arena, "hugetlb.%s.rsvd.%s", l->name, suffix), value);
		w->flags |= CGROUP_WRITE_MISSING_OK;
	}
	return 0;
}

int cgroup_plan_network_rdma(struct cgroup_planner *p, struct err *err)
{
	const struct cgroup_limits *l = p->limits;
	int h, r;

	for (size_t i = 0; i < l->n_net_priority; i++) {
		const struct cgroup_named_limit *n = &l->net_priority[i];

		if (str_empty(n->name) || strpbrk(n->name, " \t\n/"))
			return err_set(err, ERR_INVALID, "cgroup net_prio: \"%s\" is no network interface",
				       n->name ? n->name : "");
		r = cgroup_planner_find(p, CGROUP_NET_PRIORITY, CGROUP_NET_PRIO, "network priority", &h, err);
		if (r < 0)
			return r;
		if (r > 0)
			cgroup_planner_add(p, h, CGROUP_NET_PRIORITY, CGROUP_NET_PRIO, "net_prio.ifpriomap",
			    arena_printf(p->arena, "%s %" PRIu64, n->name, n->value));
	}
	for (size_t i = 0; i < l->n_rdma; i++) {
		const struct cgroup_rdma_limit *d = &l->rdma[i];
		CLEANUP(buf_done) struct buf value = BUF_INIT(512);

		if (str_empty(d->name) || strpbrk(d->name, " \t\n/"))
			return err_set(err, ERR_INVALID, "cgroup rdma: \"%s\" is no device",
				       d->name ? d->name : "");
		r = cgroup_planner_find(p, CGROUP_RDMA_LIMIT, CGROUP_RDMA, "RDMA limit", &h, err);
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
		cgroup_planner_add(p, h, CGROUP_RDMA_LIMIT, CGROUP_RDMA, "rdma.max",
		    arena_strdup(p->arena, buf_text(&value)));
	}
	return 0;
}

/* Files of the core that are limits; the others (cgroup.procs…) would change who is inside. */
static const char *const core_limits[] = { "cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure" };

int cgroup_plan_unified(struct cgroup_planner *p, struct err *err)
{
	for (size_t i = 0; i < p->limits->n_unified; i++) {
		const struct cgroup_text *u = &p->limits->unified[i];
		const char *dot = strchr(u->file, '.');
		enum cgroup_controller c = CGROUP_CONTROLLERS;
		char name[32];

		if (!dot || dot == u->file || strchr(u->file, '/') || (size_t)(dot - u->file) >= sizeof(name))
			return err_set(err, ERR_INVALID, "cgroup unified: \"%s\" is no cgroup v2 file",
				       u->file);
		memcpy(name, u->file, (size_t)(dot - u->file));
		name[dot - u->file] = '\0';
		if (str_eq(name, "cgroup")) {
			if (!str_in(u->file, core_limits, ARRAY_LEN(core_limits)))
				return err_set(err, ERR_INVALID, "cgroup unified: %s is not a limit",
					       u->file);
			if (p->host->v2 < 0)
				return err_set(err, ERR_UNSUPPORTED,
					       "cgroup unified: %s: no cgroup v2 is mounted", u->file);
			cgroup_planner_add(p, p->host->v2, CGROUP_UNIFIED, c, arena_strdup(p->arena, u->file),
			    arena_strdup(p->arena, u->value));
			continue;
		}
		for (int k = 0; k < CGROUP_CONTROLLERS; k++)
			if (str_eq(cgroup_controller_name((enum cgroup_controller)k, 2), name))
				c = (enum cgroup_controller)k;
		if (p->host->v2 < 0 || c == CGROUP_CONTROLLERS ||
		    !(p->host->hierarchies[p->host->v2].controllers & UINT32_C(1) << c)) {
			if (cgroup_planner_is_optional(p, CGROUP_UNIFIED))
				continue;
			return err_set(err, ERR_UNSUPPORTED,
				       "cgroup %s: %s cannot be set: the controller is not in cgroup v2 here",
				       name, u->file);
		}
		cgroup_planner_add(p, p->host->v2, CGROUP_UNIFIED, c, arena_strdup(p->arena, u->file),
		    arena_strdup(p->arena, u->value));
	}
	return 0;
}

int cgroup_plan_devices(struct cgroup_planner *p, struct err *err)
{
	const struct cgroup_limits *l = p->limits;

	for (size_t i = 0; i < l->n_devices; i++) {
		const struct cgroup_device *d = &l->devices[i];

		if (!d->type || !strchr("abc", d->type))
			return err_set(err, ERR_INVALID, "cgroup devices: '%c' is no device type (a, b, c)",
				       isprint((unsigned char)d->type) ? d->type : '?');
		if (d->major < -1 || d->minor < -1 || d->major > UINT32_MAX || d->minor > UINT32_MAX)
			return err_set(err, ERR_INVALID,
				       "cgroup devices: %" PRId64 ":%" PRId64 " is no device number",
				       d->major, d->minor);
	}
	if (l->n_devices && p->host->of[CGROUP_DEVICES] < 0 && p->host->v2 < 0 &&
	    !cgroup_planner_is_optional(p, CGROUP_DEVICE_RULES))
		return err_set(err, ERR_UNSUPPORTED,
			       "cgroup devices: the rules cannot be set: the controller is not mounted");
	return 0;
}
