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

static void put_memory(const struct pod_spec *in, const struct pod_resources *r, struct arena *a,
		       struct oci_resources *res)
{
	struct oci_memory *mem = arena_new(a, 1, sizeof(*mem));

	if (r->memory_limit)
		mem->limit = boxed(a, &r->memory_limit, sizeof(int64_t));
	if (r->memory_swap_limit)
		mem->swap = boxed(a, &r->memory_swap_limit, sizeof(int64_t));
	else if (r->memory_limit > 0 && in->host->swap_limit)
		mem->swap = mem->limit; /* together: no swap beyond the limit, as the kubelet expects */
	res->memory = mem;
}

int pod_spec_resources(const struct pod_spec *in, struct arena *a, struct oci_config *c, struct err *err)
{
	const struct pod_resources *r = &in->config->resources;
	struct oci_resources *res = arena_new(a, 1, sizeof(*res));
	int32_t *score = arena_new(a, 1, sizeof(*score));

	c->linux_->resources = res;
	if (put_cpu(r, a, res, err) < 0)
		return -EINVAL;
	put_memory(in, r, a, res);
	res->hugepage_limits = arena_new(a, r->n_hugepages, sizeof(*res->hugepage_limits));
	for (size_t i = 0; i < r->n_hugepages; i++)
		res->hugepage_limits[res->n_hugepage_limits++] = (struct oci_hugepage_limit){
			.page_size = r->hugepages[i].page_size, .limit = r->hugepages[i].limit,
		};
	if (in->host->cgroup2) {
		res->unified = r->unified;
		res->n_unified = r->n_unified;
	}
	if (r->oom_score_adj < -1000 || r->oom_score_adj > 1000)
		return err_set(err, ERR_INVALID, "oom_score_adj %lld: not between -1000 and 1000",
			       (long long)r->oom_score_adj);
	/* lower than its own a daemon without CAP_SYS_RESOURCE cannot give */
	*score = (int32_t)r->oom_score_adj;
	if (*score < in->host->oom_score_adj_min)
		*score = in->host->oom_score_adj_min;
	c->process->oom_score_adj = score;
	return 0;
}
