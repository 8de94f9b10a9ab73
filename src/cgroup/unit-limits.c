/*
 * Limits → properties of a systemd unit. Pure, as plan.c.
 *
 * systemd writes the same files as plan.c does. It is told so that it does not write others:
 * after a daemon-reload every attribute that it knows goes back to what it was told.
 * Throttles and weights of single devices, huge pages, RDMA and the rest have no property,
 * or one that needs the device to exist; systemd leaves those files alone.
 */
#include "cgroup/plan.h"

#include <inttypes.h>
#include <stdio.h>

enum { PROPERTIES_MAX = 64, CPUS_MAX = 8192 };

struct properties {
	const struct cgroup_host *host;
	const struct cgroup_limits *limits;
	struct arena *arena;
	struct cgroup_property *list;
	size_t n;
};

static struct cgroup_property *add(struct properties *p, const char *name, const char *type)
{
	assert(p->n < PROPERTIES_MAX);
	p->list[p->n] = (struct cgroup_property){ .name = name, .type = type };
	return &p->list[p->n++];
}

static void add_number(struct properties *p, const char *name, uint64_t v)
{
	/* a later one replaces an earlier one: `unified` is the last word */
	for (size_t i = 0; i < p->n; i++) {
		if (str_eq(p->list[i].name, name)) {
			p->list[i].number = v;
			return;
		}
	}
	add(p, name, "t")->number = v;
}

static bool get(const struct properties *p, enum cgroup_limit limit, int64_t *ret)
{
	*ret = p->limits->value[limit];
	return p->limits->set & CGROUP_BIT(limit) && *ret != 0;
}

static int version_of(const struct properties *p, enum cgroup_controller c)
{
	return p->host->of[c] < 0 ? 0 : p->host->hierarchies[p->host->of[c]].version;
}

static uint64_t or_infinity(int64_t v)
{
	return v < 0 ? UINT64_MAX : (uint64_t)v;
}

/* systemd takes a time in each second and rounds up to a hundredth; so do we, and the file
 * has the exact figure. */
static void add_quota(struct properties *p, int64_t quota, int64_t period)
{
	uint64_t per_second = UINT64_MAX;

	if (period <= 0)
		period = 100000;
	if (quota > 0 && quota <= INT64_MAX / 1000000)
		per_second = ((uint64_t)quota * 1000000 / (uint64_t)period + 9999) / 10000 * 10000;
	add_number(p, "CPUQuotaPerSecUSec", per_second);
	add_number(p, "CPUQuotaPeriodUSec", (uint64_t)period);
}

static void cpu(struct properties *p)
{
	int64_t v, quota, period;

	if (!version_of(p, CGROUP_CPU))
		return;
	if (get(p, CGROUP_CPU_SHARES, &v)) {
		if (version_of(p, CGROUP_CPU) == 1)
			add_number(p, "CPUShares", v < 2 ? 2 : v > 262144 ? 262144 : (uint64_t)v);
		else
			add_number(p, "CPUWeight",
				   (uint64_t)cgroup_weight_of_shares(v, p->limits->weight_curve));
	}
	if (get(p, CGROUP_CPU_QUOTA, &quota) | get(p, CGROUP_CPU_PERIOD, &period))
		if (quota)
			add_quota(p, quota, period);
}

static void memory(struct properties *p)
{
	int64_t v, limit;

	if (!version_of(p, CGROUP_MEMORY))
		return;
	if (version_of(p, CGROUP_MEMORY) == 1) {
		if (get(p, CGROUP_MEMORY_LIMIT, &v))
			add_number(p, "MemoryLimit", or_infinity(v));
		return;
	}
	if (get(p, CGROUP_MEMORY_LIMIT, &limit))
		add_number(p, "MemoryMax", or_infinity(limit));
	if (get(p, CGROUP_MEMORY_RESERVATION, &v))
		add_number(p, "MemoryLow", or_infinity(v));
	if (get(p, CGROUP_MEMORY_SWAP, &v) && (v < 0 || (limit > 0 && v >= limit)))
		add_number(p, "MemorySwapMax", v < 0 ? UINT64_MAX : (uint64_t)(v - limit));
}

/* "0-3,5" as bits, lowest first. False when it is no such list. */
static bool bits_of(const char *text, struct arena *a, const uint8_t **ret, size_t *ret_n)
{
	uint8_t *bits = arena_new(a, CPUS_MAX / 8, 1);
	size_t n = 0;

	for (const char *p = text; *p;) {
		unsigned from, to;
		int used = 0;

		if (sscanf(p, "%u-%u%n", &from, &to, &used) != 2 || !used) {
			if (sscanf(p, "%u%n", &from, &used) != 1)
				return false;
			to = from;
		}
		if (from > to || to >= CPUS_MAX)
			return false;
		for (unsigned i = from; i <= to; i++)
			bits[i / 8] |= (uint8_t)(1 << i % 8);
		if (n < to / 8 + 1)
			n = to / 8 + 1;
		p += used;
		if (*p == ',')
			p++;
		else if (*p)
			return false;
	}
	*ret = bits;
	*ret_n = n;
	return true;
}

static void add_bits(struct properties *p, const char *name, const char *text)
{
	struct cgroup_property *property;
	const uint8_t *bits;
	size_t n;

	/* what is no list is refused by the plan of the files; v1's cpuset is not systemd's */
	if (str_empty(text) || version_of(p, CGROUP_CPUSET) != 2 || !bits_of(text, p->arena, &bits, &n))
		return;
	property = add(p, name, "ay");
	property->bytes = bits;
	property->n_bytes = n;
}

static void pids_io(struct properties *p)
{
	int64_t v;

	if (version_of(p, CGROUP_PIDS) && get(p, CGROUP_PIDS_LIMIT, &v))
		add_number(p, "TasksMax", or_infinity(v));
	if (get(p, CGROUP_IO_WEIGHT, &v) && v >= 10 && v <= 1000) {
		if (version_of(p, CGROUP_IO) == 1)
			add_number(p, "BlockIOWeight", (uint64_t)v);
		else if (version_of(p, CGROUP_IO) == 2)
			add_number(p, "IOWeight", (uint64_t)(1 + (v - 10) * 9999 / 990));
	}
}

/* ---- v2 files that users name themselves ------------------------------------------------------- */

static const struct {
	const char *file, *property;
} unified_files[] = {
	{ "cpu.weight", "CPUWeight" },     { "memory.high", "MemoryHigh" },
	{ "memory.low", "MemoryLow" },     { "memory.max", "MemoryMax" },
	{ "memory.min", "MemoryMin" },     { "memory.swap.max", "MemorySwapMax" },
	{ "pids.max", "TasksMax" },
};

static void unified(struct properties *p)
{
	for (size_t i = 0; i < p->limits->n_unified; i++) {
		const struct cgroup_text *u = &p->limits->unified[i];
		uint64_t v;

		for (size_t k = 0; k < ARRAY_LEN(unified_files); k++) {
			if (!str_eq(u->file, unified_files[k].file))
				continue;
			if (str_eq(u->value, "max"))
				add_number(p, unified_files[k].property, UINT64_MAX);
			else if (str_to_u64(u->value, 10, &v) == 0)
				add_number(p, unified_files[k].property, v);
		}
		if (str_eq(u->file, "cpu.max")) {
			long long quota, period = 100000;

			if (str_skip_prefix(u->value, "max"))
				add_quota(p, -1, 0);
			else if (sscanf(u->value, "%lld %lld", &quota, &period) >= 1 && quota > 0)
				add_quota(p, quota, period);
		}
		if (str_eq(u->file, "cpuset.cpus") && str_empty(p->limits->cpus))
			add_bits(p, "AllowedCPUs", u->value);
		if (str_eq(u->file, "cpuset.mems") && str_empty(p->limits->mems))
			add_bits(p, "AllowedMemoryNodes", u->value);
	}
}

/* ---- devices --------------------------------------------------------------------------------- */

/*
 * v1 only: there systemd owns devices.list and would open it to everything when it looks at
 * the unit again. In v2 our BPF program stands beside systemd's and both have to agree.
 */
static void devices(struct properties *p)
{
	const struct cgroup_limits *l = p->limits;
	struct cgroup_property *property;
	const char **texts;
	size_t n = 0;

	if (!l->n_devices || version_of(p, CGROUP_DEVICES) != 1)
		return;
	if (l->devices[0].allow && l->devices[0].type == 'a') {
		add(p, "DevicePolicy", "s")->text = "auto";
		return;
	}
	add(p, "DevicePolicy", "s")->text = "strict";
	texts = arena_new(p->arena, l->n_devices * 2 + 1, sizeof(*texts));
	for (size_t i = 0; i < l->n_devices; i++) {
		const struct cgroup_device *d = &l->devices[i];
		char access[4] = "";
		size_t k = 0;

		for (unsigned b = 0; b < 3; b++)
			if (d->access & 1U << b)
				access[k++] = "rwm"[b];
		/* a class of majors has no path; only the kernel's own name for it, which may differ */
		if (!d->allow || d->type == 'a' || (d->major >= 0 && d->minor < 0 && d->major != 136))
			continue;
		if (d->major < 0)
			texts[n++] = d->type == 'c' ? "char-*" : "block-*";
		else if (d->minor < 0)
			texts[n++] = "char-pts";
		else
			texts[n++] = arena_printf(p->arena, "/dev/%s/%" PRId64 ":%" PRId64,
						  d->type == 'c' ? "char" : "block", d->major, d->minor);
		texts[n++] = arena_strdup(p->arena, access);
	}
	property = add(p, "DeviceAllow", "a(ss)");
	property->texts = texts;
	property->n_texts = n;
}

int cgroup_unit_limits(const struct cgroup_host *host, const struct cgroup_limits *limits, struct arena *a,
		       struct cgroup_plan *plan, struct err *err)
{
	struct properties p = { .host = host, .limits = limits, .arena = a };

	p.list = arena_new(a, PROPERTIES_MAX, sizeof(*p.list));
	cpu(&p);
	memory(&p);
	add_bits(&p, "AllowedCPUs", limits->cpus);
	add_bits(&p, "AllowedMemoryNodes", limits->mems);
	pids_io(&p);
	devices(&p);
	unified(&p);
	plan->properties = p.list;
	plan->n_properties = p.n;
	return 0;
}
