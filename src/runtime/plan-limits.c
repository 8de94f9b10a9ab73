/*
 * Spec → plan: resources as cgroup limits. Pure.
 */
#include "runtime/plan.h"

#define SET(which, cell) \
	do { if (cell) cgroup_limits_set(ret, which, (int64_t)*(cell)); } while (0)

static int rule(const struct oci_device_rule *d, size_t i, struct cgroup_device *ret, struct err *err)
{
	const char *type = str_empty(d->type) ? "a" : d->type;

	*ret = (struct cgroup_device){ .allow = d->allow, .type = type[0], .major = d->major ? *d->major : -1,
				       .minor = d->minor ? *d->minor : -1 };
	if (type[1] || !strchr("abc", type[0]))
		return err_set(err, ERR_INVALID,
			       "linux.resources.devices[%zu].type: \"%s\" is none of a, b, c", i, type);
	if (str_empty(d->access))
		ret->access = CGROUP_DEVICE_READ | CGROUP_DEVICE_WRITE | CGROUP_DEVICE_MKNOD;
	else if (cgroup_device_access(d->access, &ret->access) < 0)
		return err_set(err, ERR_INVALID,
			       "linux.resources.devices[%zu].access: \"%s\" has other letters than "
			       "rwm", i, d->access);
	if (type[0] == 'a')
		ret->access = CGROUP_DEVICE_READ | CGROUP_DEVICE_WRITE | CGROUP_DEVICE_MKNOD;
	return 0;
}

/* Everything is denied but what the document allows and what every container has: any
 * node may be made, the default devices and terminals be used. */
static int device_rules(const struct oci_resources *r, struct arena *a, struct cgroup_limits *ret,
			struct err *err)
{
	enum { RWM = CGROUP_DEVICE_READ | CGROUP_DEVICE_WRITE | CGROUP_DEVICE_MKNOD };
	static const struct cgroup_device first = { false, 'a', -1, -1, RWM };
	static const struct cgroup_device last[] = {
		{ true, 'c', -1, -1, CGROUP_DEVICE_MKNOD }, { true, 'b', -1, -1, CGROUP_DEVICE_MKNOD },
		{ true, 'c', 1, 3, RWM }, { true, 'c', 1, 5, RWM }, { true, 'c', 1, 7, RWM },
		{ true, 'c', 1, 8, RWM }, { true, 'c', 1, 9, RWM }, { true, 'c', 5, 0, RWM },
		{ true, 'c', 5, 2, RWM }, { true, 'c', 136, -1, RWM },
	};
	size_t n_given = r ? r->n_devices : 0, n = 0;
	struct cgroup_device *list = arena_new(a, n_given + 1 + ARRAY_LEN(last), sizeof(*list));

	list[n++] = first;
	for (size_t i = 0; i < n_given; i++) {
		int e = rule(&r->devices[i], i, &list[n], err);

		if (e < 0)
			return e;
		/* "all" after which nothing before counts */
		if (list[n].type == 'a') {
			list[0] = list[n];
			n = 0;
		}
		n++;
	}
	if (!(list[0].allow && n == 1)) {
		memcpy(list + n, last, sizeof(last));
		n += ARRAY_LEN(last);
	}
	ret->devices = list;
	ret->n_devices = n;
	return 0;
}

static struct cgroup_io_limit *throttles(const struct oci_throttle_device *d, size_t n, struct arena *a)
{
	struct cgroup_io_limit *out = n ? arena_new(a, n, sizeof(*out)) : NULL;

	for (size_t i = 0; i < n; i++)
		out[i] = (struct cgroup_io_limit){ d[i].major, d[i].minor, d[i].rate };
	return out;
}

static void block_io(const struct oci_block_io *b, struct arena *a, struct cgroup_limits *ret)
{
	struct cgroup_io_limit *weights;

	SET(CGROUP_IO_WEIGHT, b->weight);
	weights = b->n_weight_device ? arena_new(a, b->n_weight_device, sizeof(*weights)) : NULL;
	for (size_t i = 0; i < b->n_weight_device; i++)
		if (b->weight_device[i].weight)
			weights[ret->n_io_weight_device++] =
				(struct cgroup_io_limit){ b->weight_device[i].major,
							  b->weight_device[i].minor,
							  *b->weight_device[i].weight };
	ret->io_weight_device = weights;
	ret->io_read_bps = throttles(b->throttle_read_bps, ret->n_io_read_bps = b->n_throttle_read_bps, a);
	ret->io_write_bps = throttles(b->throttle_write_bps, ret->n_io_write_bps = b->n_throttle_write_bps,
				      a);
	ret->io_read_iops = throttles(b->throttle_read_iops, ret->n_io_read_iops = b->n_throttle_read_iops,
				      a);
	ret->io_write_iops = throttles(b->throttle_write_iops,
				       ret->n_io_write_iops = b->n_throttle_write_iops, a);
}

static void network(const struct oci_network *o, struct arena *a, struct cgroup_limits *ret)
{
	struct cgroup_named_limit *list = o->n_priorities ? arena_new(a, o->n_priorities, sizeof(*list)) :
			NULL;

	SET(CGROUP_NET_CLASS_ID, o->class_id);
	for (size_t i = 0; i < o->n_priorities; i++)
		list[i] = (struct cgroup_named_limit){ o->priorities[i].name, o->priorities[i].priority };
	ret->net_priority = list;
	ret->n_net_priority = o->n_priorities;
}

static void lists(const struct oci_resources *r, struct arena *a, struct cgroup_limits *ret)
{
	struct cgroup_named_limit *huge = NULL;
	struct cgroup_rdma_limit *rdma = NULL;
	struct cgroup_text *unified = NULL;

	if (r->n_hugepage_limits)
		huge = arena_new(a, r->n_hugepage_limits, sizeof(*huge));
	for (size_t i = 0; i < r->n_hugepage_limits; i++)
		huge[i] = (struct cgroup_named_limit){ r->hugepage_limits[i].page_size,
						       r->hugepage_limits[i].limit };
	if (r->n_rdma)
		rdma = arena_new(a, r->n_rdma, sizeof(*rdma));
	for (size_t i = 0; i < r->n_rdma; i++)
		rdma[i] = (struct cgroup_rdma_limit){ r->rdma[i].name,
						      r->rdma[i].hca_handles ?
								(int64_t)*r->rdma[i].hca_handles : -1,
						      r->rdma[i].hca_objects ?
								(int64_t)*r->rdma[i].hca_objects : -1 };
	if (r->n_unified)
		unified = arena_new(a, r->n_unified, sizeof(*unified));
	for (size_t i = 0; i < r->n_unified; i++)
		unified[i] = (struct cgroup_text){ r->unified[i].key, r->unified[i].value };
	ret->hugetlb = huge;
	ret->n_hugetlb = r->n_hugepage_limits;
	ret->rdma = rdma;
	ret->n_rdma = r->n_rdma;
	ret->unified = unified;
	ret->n_unified = r->n_unified;
}

/* Entries that say nothing, which the specification forbids. */
static int check_entries(const struct oci_resources *r, struct err *err)
{
	for (size_t i = 0; i < r->n_rdma; i++)
		if (!r->rdma[i].hca_handles && !r->rdma[i].hca_objects)
			return err_set(err, ERR_INVALID,
				       "linux.resources.rdma.%s: needs hcaHandles, hcaObjects or both",
				       r->rdma[i].name);
	for (size_t i = 0; r->block_io && i < r->block_io->n_weight_device; i++)
		if (!r->block_io->weight_device[i].weight && !r->block_io->weight_device[i].leaf_weight)
			return err_set(err, ERR_INVALID,
				       "linux.resources.blockIO.weightDevice[%zu]: needs weight, leafWeight or both", i);
	return 0;
}

int plan_limits(const struct oci_resources *r, bool creating, struct arena *a, struct cgroup_limits *ret,
		struct err *err)
{
	int e;

	memset(ret, 0, sizeof(*ret));
	if (creating || (r && r->n_devices)) {
		e = device_rules(r, a, ret, err);
		if (e < 0)
			return e;
		/* a host without the controller (v1, not mounted) has no rules to give */
		ret->optional |= CGROUP_BIT(CGROUP_DEVICE_RULES);
	}
	if (!r)
		return 0;
	e = check_entries(r, err);
	if (e < 0)
		return e;
	if (r->memory) {
		const struct oci_memory *m = r->memory;

		SET(CGROUP_MEMORY_LIMIT, m->limit);
		SET(CGROUP_MEMORY_SWAP, m->swap);
		SET(CGROUP_MEMORY_RESERVATION, m->reservation);
		SET(CGROUP_MEMORY_KERNEL_TCP, m->kernel_tcp);
		SET(CGROUP_MEMORY_SWAPPINESS, m->swappiness);
		SET(CGROUP_MEMORY_NO_OOM_KILL, m->disable_oom_killer);
		ret->check_before_update = m->check_before_update && *m->check_before_update;
	}
	if (r->cpu) {
		const struct oci_cpu *c = r->cpu;

		SET(CGROUP_CPU_SHARES, c->shares);
		SET(CGROUP_CPU_QUOTA, c->quota);
		SET(CGROUP_CPU_PERIOD, c->period);
		SET(CGROUP_CPU_BURST, c->burst);
		SET(CGROUP_CPU_IDLE, c->idle);
		SET(CGROUP_CPU_RT_PERIOD, c->realtime_period);
		SET(CGROUP_CPU_RT_RUNTIME, c->realtime_runtime);
		ret->cpus = c->cpus;
		ret->mems = c->mems;
	}
	if (r->pids)
		cgroup_limits_set(ret, CGROUP_PIDS_LIMIT, r->pids->limit);
	if (r->block_io)
		block_io(r->block_io, a, ret);
	if (r->network)
		network(r->network, a, ret);
	lists(r, a, ret);
	return 0;
}
