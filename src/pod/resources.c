/*
 * CRI's LinuxContainerResources → linux.resources and oom_score_adj. Zero means: not given.
 */
#include "pod/spec.h"

static void *boxed(struct arena *a, const void *value, size_t size)
{
	return memcpy(arena_new(a, 1, size), value, size);
}

static int put_cpu(const struct pod_resources *r, struct arena *a, struct oci_resources *res, struct err *err)
{
	struct oci_cpu *cpu = arena_new(a, 1, sizeof(*cpu));

	if (r->cpu_shares < 0 || r->cpu_period < 0)
		return err_set(err, ERR_INVALID, "cpu_shares and cpu_period must not be negative");
	if (r->cpu_shares)
		cpu->shares = boxed(a, &r->cpu_shares, sizeof(uint64_t));
	if (r->cpu_period)
		cpu->period = boxed(a, &r->cpu_period, sizeof(uint64_t));
	if (r->cpu_quota)
		cpu->quota = boxed(a, &r->cpu_quota, sizeof(int64_t));
	cpu->cpus = str_empty(r->cpuset_cpus) ? NULL : r->cpuset_cpus;
	cpu->mems = str_empty(r->cpuset_mems) ? NULL : r->cpuset_mems;
	res->cpu = cpu;
	return 0;
}

static void put_memory(const struct pod_host *host, const struct pod_resources *r, struct arena *a,
		       struct oci_resources *res)
{
	struct oci_memory *mem = arena_new(a, 1, sizeof(*mem));

	if (r->memory_limit)
		mem->limit = boxed(a, &r->memory_limit, sizeof(int64_t));
	if (r->memory_swap_limit)
		mem->swap = boxed(a, &r->memory_swap_limit, sizeof(int64_t));
	else if (r->memory_limit > 0 && host->swap_limit)
		mem->swap = mem->limit; /* together: no swap beyond the limit, as the kubelet expects */
	res->memory = mem;
}

int pod_resources_oci(const struct pod_host *host, const struct pod_resources *r, struct arena *a,
		      struct oci_resources *res, struct err *err)
{
	if (put_cpu(r, a, res, err) < 0)
		return -EINVAL;
	put_memory(host, r, a, res);
	res->hugepage_limits = arena_new(a, r->n_hugepages, sizeof(*res->hugepage_limits));
	for (size_t i = 0; i < r->n_hugepages; i++)
		res->hugepage_limits[res->n_hugepage_limits++] = (struct oci_hugepage_limit){
			.page_size = r->hugepages[i].page_size, .limit = r->hugepages[i].limit,
		};
	if (r->n_unified && !host->cgroup2)
		return err_set(err, ERR_UNSUPPORTED, "linux.resources.unified: %s is a file of cgroup v2, and "
			       "this host has v1", r->unified[0].key);
	res->unified = r->unified;
	res->n_unified = r->n_unified;
	return 0;
}

int pod_resources_score(const struct pod_host *host, const struct pod_resources *r, int32_t *ret, struct err *err)
{
	if (r->oom_score_adj < -1000 || r->oom_score_adj > 1000)
		return err_set(err, ERR_INVALID, "oom_score_adj %lld: not between -1000 and 1000",
			       (long long)r->oom_score_adj);
	/* lower than its own a daemon without CAP_SYS_RESOURCE cannot give */
	*ret = (int32_t)r->oom_score_adj;
	if (*ret < host->oom_score_adj_min)
		*ret = host->oom_score_adj_min;
	return 0;
}

int pod_spec_resources(const struct pod_spec *in, struct arena *a, struct oci_config *c, struct err *err)
{
	const struct pod_resources *r = &in->config->resources;

	c->linux_->resources = arena_new(a, 1, sizeof(*c->linux_->resources));
	c->process->oom_score_adj = arena_new(a, 1, sizeof(int32_t));
	if (pod_resources_oci(in->host, r, a, c->linux_->resources, err) < 0)
		return -EINVAL;
	return pod_resources_score(in->host, r, c->process->oom_score_adj, err);
}

/* ---- changes ---- */

static void merge_hugepages(const struct pod_resources *change, struct arena *a, struct pod_resources *r)
{
	struct pod_hugepage *all = arena_new(a, r->n_hugepages + change->n_hugepages, sizeof(*all));
	size_t n = r->n_hugepages;

	if (n)
		memcpy(all, r->hugepages, n * sizeof(*all));
	for (size_t i = 0; i < change->n_hugepages; i++) {
		size_t at = 0;

		while (at < n && !str_eq(all[at].page_size, change->hugepages[i].page_size))
			at++;
		all[at] = change->hugepages[i];
		n += at == n;
	}
	r->hugepages = all;
	r->n_hugepages = n;
}

static void merge_unified(const struct pod_resources *change, struct arena *a, struct pod_resources *r)
{
	struct json_kv *all = arena_new(a, r->n_unified + change->n_unified, sizeof(*all));
	size_t n = r->n_unified;

	if (n)
		memcpy(all, r->unified, n * sizeof(*all));
	for (size_t i = 0; i < change->n_unified; i++) {
		size_t at = 0;

		while (at < n && !str_eq(all[at].key, change->unified[i].key))
			at++;
		all[at] = change->unified[i];
		n += at == n;
	}
	r->unified = all;
	r->n_unified = n;
}

#define MERGE(member) (r->member = change->member ? change->member : r->member)

void pod_resources_merge(const struct pod_resources *now, const struct pod_resources *change, struct arena *a,
			 struct pod_resources *r)
{
	*r = *now;
	MERGE(cpu_period);
	MERGE(cpu_quota);
	MERGE(cpu_shares);
	MERGE(oom_score_adj);
	r->cpuset_cpus = !str_empty(change->cpuset_cpus) ? change->cpuset_cpus : r->cpuset_cpus;
	r->cpuset_mems = !str_empty(change->cpuset_mems) ? change->cpuset_mems : r->cpuset_mems;
	/* memory and swap are counted together: a new limit without the sum means its own sum */
	if (change->memory_limit)
		r->memory_swap_limit = 0;
	MERGE(memory_limit);
	MERGE(memory_swap_limit);
	merge_hugepages(change, a, r);
	merge_unified(change, a, r);
}

void pod_resources_delta(const struct pod_resources *merged, const struct pod_resources *change,
			 struct pod_resources *r)
{
	*r = *change;
	/* what the kernel checks against each other goes together */
	if (change->cpu_quota || change->cpu_period) {
		r->cpu_quota = merged->cpu_quota;
		r->cpu_period = merged->cpu_period;
	}
	if (change->memory_limit || change->memory_swap_limit) {
		r->memory_limit = merged->memory_limit;
		r->memory_swap_limit = merged->memory_swap_limit;
	}
}
