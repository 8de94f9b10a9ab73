/*
 * What is told of pulls while they run: stage, layers and bytes of each, and the numbers of all of them.
 */
#include "image/pull.h"

#include <stdio.h>

struct image_progress pull_progress(const struct pull *p)
{
	struct image_progress g = { .stage = "resolving" };
	const struct install *in = p->install;
	struct image_layer_progress *each;

	if (!in)
		return g;
	g.stage = atomic_load(&in->stage);
	g.layers = in->resolved->manifest.n_layers;
	g.each = each = mem_new(g.layers + 1, sizeof(*each));
	for (size_t i = 0; i < g.layers; i++) {
		const struct oci_descriptor *d = &in->resolved->manifest.layers[i];
		const char *state = atomic_load(&in->layers[i].state);
		bool done = state && !str_eq(state, "fetching");

		each[i] = (struct image_layer_progress){
			mem_strdup(d->digest), state ? state : "waiting", atomic_load(&in->layers[i].done),
			(uint64_t)d->size,
		};
		if (done || each[i].done > each[i].total)
			each[i].done = each[i].total;
		g.layers_done += done;
		g.done += each[i].done;
		g.total += each[i].total;
	}
	return g;
}

void pull_progress_done(struct image_progress *g)
{
	for (size_t i = 0; g->each && i < g->layers; i++)
		free((char *)g->each[i].digest);
	free((void *)g->each);
}

void pull_describe(const struct pull *p, char *out, size_t size)
{
	struct image_progress now = pull_progress(p);
	int64_t since = p->install ? atomic_load(&p->install->since) : 0;
	int n;

	n = snprintf(out, size, "%s (for %lld s)", now.stage,
		     (long long)((time_now_mono() - (since ? since : p->since)) / NSEC_PER_SEC));
	if (now.layers && n > 0 && (size_t)n < size)
		snprintf(out + n, size - (size_t)n, ", %zu of %zu layers, %llu of %llu bytes", now.layers_done,
			 now.layers, (unsigned long long)now.done, (unsigned long long)now.total);
	pull_progress_done(&now);
}

void image_pulls(struct image_table *t, struct image_pull_state **ret, size_t *ret_n)
{
	size_t n = 0;

	WITH_MUTEX(&t->mutex);
	list_for_each(p, &t->pulls, struct pull, link)
		n++;
	*ret = mem_new(n + 1, sizeof(**ret));
	*ret_n = 0;
	list_for_each(p, &t->pulls, struct pull, link) {
		struct image_pull_state *s = &(*ret)[(*ret_n)++];

		reference_format(&p->ref, s->name);
		s->began = p->began;
		s->waiters = p->waiters;
		s->progress = pull_progress(p);
	}
}

void image_pulls_free(struct image_pull_state *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pull_progress_done(&list[i].progress);
	free(list);
}

void image_counters(struct image_table *t, struct image_counters *ret)
{
	*ret = (struct image_counters){
		.begun = atomic_load(&t->counters.begun),
		.joined = atomic_load(&t->counters.joined),
		.done = atomic_load(&t->counters.done),
		.failed = atomic_load(&t->counters.failed),
		.cancelled = atomic_load(&t->counters.cancelled),
		.layers_fetched = atomic_load(&t->counters.layers_fetched),
		.layers_joined = atomic_load(&t->counters.layers_joined),
		.bytes_fetched = atomic_load(&t->counters.bytes_fetched),
		.bytes_resumed = atomic_load(&t->counters.bytes_resumed),
	};
	registry_counters(t->registry, &ret->requests, &ret->retries);
	WITH_MUTEX(&t->mutex);
	list_for_each(p, &t->pulls, struct pull, link)
		ret->running++;
}
