/*
 * Limits: the protocol's LinuxResources and OCI's, by one table of the values that are there or not.
 */
#include "nri/owners.h"

#include <stdio.h>

enum { LIMITS_MAX = 256 }; /* of one kind: huge page sizes, unified keys, device rules */

enum kind { I64, U64, BOOL };

struct value {
	size_t pb, oci; /* offsets of the two pointers */
	enum kind kind;
	int field;
	const char *name;
};

#define FIELD(name) NRI__PKG__API__V1ALPHA1__FIELD__##name
#define VALUE(pb_, oci_, member, kind_, field_) \
	{ offsetof(NRI(pb_), member), offsetof(struct oci_, member), kind_, FIELD(field_), #member }

static const struct value memory_values[] = {
	VALUE(LinuxMemory, oci_memory, limit, I64, MemLimit),
	VALUE(LinuxMemory, oci_memory, reservation, I64, MemReservation),
	VALUE(LinuxMemory, oci_memory, swap, I64, MemSwapLimit),
	VALUE(LinuxMemory, oci_memory, kernel, I64, MemKernelLimit),
	VALUE(LinuxMemory, oci_memory, kernel_tcp, I64, MemTCPLimit),
	VALUE(LinuxMemory, oci_memory, swappiness, U64, MemSwappiness),
	VALUE(LinuxMemory, oci_memory, disable_oom_killer, BOOL, MemDisableOomKiller),
	VALUE(LinuxMemory, oci_memory, use_hierarchy, BOOL, MemUseHierarchy),
};

static const struct value cpu_values[] = {
	VALUE(LinuxCPU, oci_cpu, shares, U64, CPUShares),
	VALUE(LinuxCPU, oci_cpu, quota, I64, CPUQuota),
	VALUE(LinuxCPU, oci_cpu, period, U64, CPUPeriod),
	VALUE(LinuxCPU, oci_cpu, realtime_runtime, I64, CPURealtimeRuntime),
	VALUE(LinuxCPU, oci_cpu, realtime_period, U64, CPURealtimePeriod),
};

void *nri_pb_new(struct arena *a, const ProtobufCMessageDescriptor *type)
{
	void *m = arena_new(a, 1, type->sizeof_message);

	protobuf_c_message_init(type, m);
	return m;
}

static void *pointer(const void *object, size_t offset)
{
	void *p;

	memcpy(&p, (const char *)object + offset, sizeof(p));
	return p;
}

static void set_pointer(void *object, size_t offset, void *p)
{
	memcpy((char *)object + offset, &p, sizeof(p));
}

/* ---- to the plugin ---- */

static void *write_value(const struct value *v, const void *from, struct arena *a)
{
	if (v->kind == I64) {
		NRI(OptionalInt64) *o = nri_pb_new(a, NRI_TYPE(optional_int64));

		memcpy(&o->value, from, sizeof(int64_t));
		return o;
	}
	if (v->kind == U64) {
		NRI(OptionalUInt64) *o = nri_pb_new(a, NRI_TYPE(optional_uint64));

		memcpy(&o->value, from, sizeof(uint64_t));
		return o;
	}
	NRI(OptionalBool) *o = nri_pb_new(a, NRI_TYPE(optional_bool));

	o->value = *(const bool *)from;
	return o;
}

static void write_values(const struct value *table, size_t n, const void *from, void *to, struct arena *a)
{
	for (size_t i = 0; i < n; i++) {
		const void *value = pointer(from, table[i].oci);

		if (value)
			set_pointer(to, table[i].pb, write_value(&table[i], value, a));
	}
}

static NRI(OptionalInt64) *optional(const int64_t *value, struct arena *a)
{
	NRI(OptionalInt64) *o;

	if (!value)
		return NULL;
	o = nri_pb_new(a, NRI_TYPE(optional_int64));
	o->value = *value;
	return o;
}

static void write_lists(const struct oci_resources *r, NRI(LinuxResources) *out, struct arena *a)
{
	out->hugepage_limits = arena_new(a, r->n_hugepage_limits + 1, sizeof(*out->hugepage_limits));
	for (size_t i = 0; i < r->n_hugepage_limits; i++) {
		NRI(HugepageLimit) *h = nri_pb_new(a, NRI_TYPE(hugepage_limit));

		h->page_size = r->hugepage_limits[i].page_size;
		h->limit = r->hugepage_limits[i].limit;
		out->hugepage_limits[out->n_hugepage_limits++] = h;
	}
	out->unified = arena_new(a, r->n_unified + 1, sizeof(*out->unified));
	for (size_t i = 0; i < r->n_unified; i++) {
		NRI(LinuxResources__UnifiedEntry) *e = nri_pb_new(a,
								  NRI_TYPE(linux_resources__unified_entry));

		e->key = r->unified[i].key;
		e->value = r->unified[i].value;
		out->unified[out->n_unified++] = e;
	}
	out->devices = arena_new(a, r->n_devices + 1, sizeof(*out->devices));
	for (size_t i = 0; i < r->n_devices; i++) {
		const struct oci_device_rule *rule = &r->devices[i];
		NRI(LinuxDeviceCgroup) *d = nri_pb_new(a, NRI_TYPE(linux_device_cgroup));

		d->allow = rule->allow;
		d->type = rule->type;
		d->major = optional(rule->major, a);
		d->minor = optional(rule->minor, a);
		d->access = rule->access;
		out->devices[out->n_devices++] = d;
	}
}

NRI(LinuxResources) *nri_write_resources(const struct oci_resources *r, struct arena *a)
{
	NRI(LinuxResources) *out;

	if (!r)
		return NULL;
	out = nri_pb_new(a, NRI_TYPE(linux_resources));
	out->memory = nri_pb_new(a, NRI_TYPE(linux_memory));
	out->cpu = nri_pb_new(a, NRI_TYPE(linux_cpu));
	if (r->memory)
		write_values(memory_values, ARRAY_LEN(memory_values), r->memory, out->memory, a);
	if (r->cpu) {
		write_values(cpu_values, ARRAY_LEN(cpu_values), r->cpu, out->cpu, a);
		out->cpu->cpus = r->cpu->cpus;
		out->cpu->mems = r->cpu->mems;
	}
	if (r->pids) {
		out->pids = nri_pb_new(a, NRI_TYPE(linux_pids));
		out->pids->limit = r->pids->limit;
	}
	write_lists(r, out, a);
	return out;
}

/* ---- from the plugin ---- */

struct apply {
	struct nri_owners *owners;
	const char *id, *plugin;
	struct arena *a;
	struct err *err;
};

static int claim(const struct apply *ap, int field, const char *key)
{
	return nri_claim(ap->owners, ap->id, field, key, ap->plugin, ap->err);
}

static int wrong(const struct apply *ap, const char *what, const char *why)
{
	return err_set(ap->err, ERR_INVALID, "NRI plugin %s: %s: %s", ap->plugin, what, why);
}

static void *read_value(const struct value *v, const void *from, struct arena *a)
{
	union {
		int64_t i;
		uint64_t u;
		bool b;
	} *out = arena_new(a, 1, sizeof(*out));

	if (v->kind == I64)
		out->i = ((const NRI(OptionalInt64) *)from)->value;
	else if (v->kind == U64)
		out->u = ((const NRI(OptionalUInt64) *)from)->value;
	else
		out->b = ((const NRI(OptionalBool) *)from)->value;
	return out;
}

static int apply_values(const struct apply *ap, const struct value *table, size_t n, const void *from,
			void *to)
{
	for (size_t i = 0; i < n; i++) {
		const void *value = pointer(from, table[i].pb);

		if (!value)
			continue;
		if (claim(ap, table[i].field, NULL) < 0)
			return -EINVAL;
		set_pointer(to, table[i].oci, read_value(&table[i], value, ap->a));
	}
	return 0;
}

static int apply_memory(const struct apply *ap, const NRI(LinuxMemory) *m, struct oci_resources *into)
{
	struct oci_memory *copy = arena_new(ap->a, 1, sizeof(*copy));
	bool had_swap = into->memory && into->memory->swap;

	if (into->memory)
		*copy = *into->memory;
	into->memory = copy;
	if (apply_values(ap, memory_values, ARRAY_LEN(memory_values), m, copy) < 0)
		return -EINVAL;
	/* memory and swap together are never less than memory */
	if (m->limit && !m->swap && had_swap)
		copy->swap = copy->limit;
	return 0;
}

static int apply_cpu(const struct apply *ap, const NRI(LinuxCPU) *c, struct oci_resources *into)
{
	struct oci_cpu *copy = arena_new(ap->a, 1, sizeof(*copy));

	if (into->cpu)
		*copy = *into->cpu;
	into->cpu = copy;
	if (apply_values(ap, cpu_values, ARRAY_LEN(cpu_values), c, copy) < 0)
		return -EINVAL;
	if (!str_empty(c->cpus)) {
		if (claim(ap, FIELD(CPUSetCPUs), NULL) < 0)
			return -EINVAL;
		copy->cpus = arena_strdup(ap->a, c->cpus);
	}
	if (!str_empty(c->mems)) {
		if (claim(ap, FIELD(CPUSetMems), NULL) < 0)
			return -EINVAL;
		copy->mems = arena_strdup(ap->a, c->mems);
	}
	return 0;
}

static int apply_hugepages(const struct apply *ap, const NRI(LinuxResources) *from,
			   struct oci_resources *into)
{
	struct oci_hugepage_limit *all;
	size_t n = into->n_hugepage_limits;

	if (!from->n_hugepage_limits)
		return 0;
	if (from->n_hugepage_limits > LIMITS_MAX)
		return wrong(ap, "hugepage_limits", "too many");
	all = arena_new(ap->a, n + from->n_hugepage_limits, sizeof(*all));
	if (n)
		memcpy(all, into->hugepage_limits, n * sizeof(*all));
	for (size_t i = 0; i < from->n_hugepage_limits; i++) {
		const NRI(HugepageLimit) *h = from->hugepage_limits[i];
		size_t at = 0;

		if (str_empty(h->page_size))
			return wrong(ap, "hugepage_limits", "no page_size");
		if (claim(ap, FIELD(HugepageLimits), h->page_size) < 0)
			return -EINVAL;
		while (at < n && !str_eq(all[at].page_size, h->page_size))
			at++;
		n += at == n;
		all[at] = (struct oci_hugepage_limit){ arena_strdup(ap->a, h->page_size), h->limit };
	}
	into->hugepage_limits = all;
	into->n_hugepage_limits = n;
	return 0;
}

static int apply_unified(const struct apply *ap, const NRI(LinuxResources) *from, struct oci_resources *into)
{
	struct json_kv *all;
	size_t n = into->n_unified;

	if (!from->n_unified)
		return 0;
	if (from->n_unified > LIMITS_MAX)
		return wrong(ap, "unified", "too many");
	all = arena_new(ap->a, n + from->n_unified, sizeof(*all));
	if (n)
		memcpy(all, into->unified, n * sizeof(*all));
	for (size_t i = 0; i < from->n_unified; i++) {
		const char *key = from->unified[i]->key;
		size_t at = 0;

		if (str_empty(key))
			return wrong(ap, "unified", "no key");
		if (claim(ap, FIELD(CgroupsUnified), key) < 0)
			return -EINVAL;
		while (at < n && !str_eq(all[at].key, key))
			at++;
		n += at == n;
		all[at] = (struct json_kv){ arena_strdup(ap->a, key),
		arena_strdup(ap->a, from->unified[i]->value) };
	}
	into->unified = all;
	into->n_unified = n;
	return 0;
}

static int64_t *number(const NRI(OptionalInt64) *o, struct arena *a)
{
	return o ? memcpy(arena_new(a, 1, sizeof(int64_t)), &o->value, sizeof(int64_t)) : NULL;
}

static int apply_rules(const struct apply *ap, const NRI(LinuxResources) *from, struct oci_resources *into)
{
	struct oci_device_rule *all;
	size_t n = into->n_devices;

	if (!from->n_devices)
		return 0;
	if (from->n_devices > LIMITS_MAX)
		return wrong(ap, "resources.devices", "too many");
	all = arena_new(ap->a, n + from->n_devices, sizeof(*all));
	if (n)
		memcpy(all, into->devices, n * sizeof(*all));
	for (size_t i = 0; i < from->n_devices; i++) {
		const NRI(LinuxDeviceCgroup) *d = from->devices[i];

		if (*d->type && !str_eq(d->type, "a") && !str_eq(d->type, "b") && !str_eq(d->type, "c"))
			return wrong(ap, "resources.devices", "a type that is none of a, b, c");
		if (d->access[strspn(d->access, "rwm")])
			return wrong(ap, "resources.devices", "access is not of rwm");
		all[n++] = (struct oci_device_rule){
			.allow = d->allow, .type = arena_strdup(ap->a, *d->type ? d->type : "a"),
			.major = number(d->major, ap->a), .minor = number(d->minor, ap->a),
			.access = arena_strdup(ap->a, *d->access ? d->access : "rwm"),
		};
	}
	into->devices = all;
	into->n_devices = n;
	return 0;
}

int nri_apply_resources(const NRI(LinuxResources) *from, struct nri_owners *owners, const char *id,
			const char *plugin, bool update, struct arena *a, struct oci_resources *into,
			struct err *err)
{
	const struct apply ap = { owners, id, plugin, a, err };
	int r = 0;

	if (from->memory)
		r = apply_memory(&ap, from->memory, into);
	if (r == 0 && from->cpu)
		r = apply_cpu(&ap, from->cpu, into);
	if (r == 0)
		r = apply_hugepages(&ap, from, into);
	if (r == 0)
		r = apply_unified(&ap, from, into);
	if (r == 0 && !update)
		r = apply_rules(&ap, from, into);
	if (r == 0 && from->pids) {
		r = claim(&ap, FIELD(PidsLimit), NULL);
		into->pids = arena_new(a, 1, sizeof(*into->pids));
		into->pids->limit = from->pids->limit;
	}
	if (r == 0 && from->blockio_class && !str_empty(from->blockio_class->value))
		return err_set(err, ERR_UNSUPPORTED,
			       "NRI plugin %s: blockio_class %s: no classes are configured "
			       "on this node", plugin, from->blockio_class->value);
	return r;
}
