/*
 * What NRI plugins want of containers beside the event itself: limits and evictions. Limits go the way of
 * UpdateContainerResources, so that status, config.json, record and kernel agree. Worker threads, outside
 * of a plugin's turn.
 */
#include "pod/plugins.h"

void pod_plugins_say(struct pod_manager *m, const char *what, const char *id, const struct err *err)
{
	autofree char *text = mem_printf("NRI: %s %s: %s", what, id, err->text);

	m->settings.nri->say(LOG_WARN, text);
}

static void copy_number(const void *from, int64_t *to)
{
	if (from)
		memcpy(to, from, sizeof(*to));
}

void pod_wish_split(const struct oci_resources *from, struct arena *a, struct pod_resources *cri,
		  struct oci_resources *extra)
{
	*extra = *from;
	if (from->cpu) {
		struct oci_cpu *cpu = memcpy(arena_new(a, 1, sizeof(*cpu)), from->cpu, sizeof(*cpu));

		copy_number(cpu->period, &cri->cpu_period);
		copy_number(cpu->quota, &cri->cpu_quota);
		copy_number(cpu->shares, &cri->cpu_shares);
		cri->cpuset_cpus = cpu->cpus;
		cri->cpuset_mems = cpu->mems;
		cpu->period = cpu->shares = NULL;
		cpu->quota = NULL;
		cpu->cpus = cpu->mems = NULL;
		extra->cpu = cpu;
	}
	if (from->memory) {
		struct oci_memory *mem = memcpy(arena_new(a, 1, sizeof(*mem)), from->memory, sizeof(*mem));
		int64_t swap = 0;

		copy_number(mem->limit, &cri->memory_limit);
		copy_number(mem->swap, &swap);
		/* the same as the limit is what it gets anyway */
		if (swap != cri->memory_limit || cri->memory_swap_limit)
			cri->memory_swap_limit = swap;
		mem->limit = mem->swap = NULL;
		extra->memory = mem;
	}
	cri->hugepages = arena_new(a, from->n_hugepage_limits + 1, sizeof(*cri->hugepages));
	for (size_t i = 0; i < from->n_hugepage_limits; i++)
		cri->hugepages[i] = (struct pod_hugepage){ from->hugepage_limits[i].page_size,
							   from->hugepage_limits[i].limit };
	cri->n_hugepages = from->n_hugepage_limits;
	cri->unified = from->unified;
	cri->n_unified = from->n_unified;
	extra->n_hugepage_limits = extra->n_unified = extra->n_devices = 0;
}

int pod_wish_update(const struct nri_update *u, void *user, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_resources cri = { 0 };
	struct oci_resources extra;
	struct pod_container *c;
	int r = pod_container_get(user, u->id, &c, err);

	if (r < 0)
		return r;
	pod_wish_split(u->resources, &a, &cri, &extra);
	r = pod_container_change(c, &cri, &extra, err);
	pod_container_unref(c);
	return r;
}

int pod_wish_evict(const struct nri_eviction *e, void *user, struct err *err)
{
	struct pod_manager *m = user;
	struct pod_container *c;
	bool running;
	int r = pod_container_get(m, e->id, &c, err);

	if (r < 0)
		return r;
	pod_lock(m);
	if (c->state == POD_RUNNING && !c->priv->evicted)
		c->priv->evicted = arena_printf(&c->priv->arena, "evicted by NRI plugin %s: %.500s",
						e->plugin, e->reason);
	running = c->state == POD_RUNNING;
	if (c->state == POD_CREATED)
		r = err_set(err, ERR_STATE, "it does not run");
	pod_unlock(m);
	if (running)
		r = pod_container_kill(c, err);
	pod_container_unref(c);
	return r;
}

int pod_wishes(struct pod_manager *m, const struct nri_result *result, struct err *err)
{
	int first = 0;

	for (size_t i = 0; i < result->n_updates; i++) {
		struct err e = ERR_INIT;
		int r = pod_wish_update(&result->updates[i], m, &e);

		if (r == 0)
			continue;
		pod_plugins_say(m, "update of container", result->updates[i].id, &e);
		if (!result->updates[i].ignore_failure && first == 0) {
			first = r;
			*err = e;
			err_wrap(err, r, "NRI plugin %s: update of container %s", result->updates[i].plugin,
				 result->updates[i].id);
		}
	}
	for (size_t i = 0; i < result->n_evictions; i++) {
		struct err e = ERR_INIT;

		if (pod_wish_evict(&result->evictions[i], m, &e) < 0)
			pod_plugins_say(m, "eviction of container", result->evictions[i].id, &e);
	}
	return first;
}

int pod_wish_limits(struct pod_container *c, const struct oci_config *config, int32_t score, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_resources now = c->config->resources;
	struct oci_resources extra;

	pod_wish_split(config->linux_->resources, &a, &now, &extra);
	if (config->process->oom_score_adj && *config->process->oom_score_adj != score)
		now.oom_score_adj = *config->process->oom_score_adj;
	return pod_container_limits(c, &now, err);
}
