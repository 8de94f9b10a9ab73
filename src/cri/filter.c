/*
 * Filters of lists: filter.h. Pure, no allocation.
 */
#include "cri/filter.h"

bool cri_filter_id(const char *wanted, const char *id)
{
	return str_empty(wanted) || str_skip_prefix(id, wanted);
}

bool cri_filter_labels(void *const *wanted, size_t n_wanted, const struct json_kv *labels, size_t n_labels)
{
	for (size_t i = 0; i < n_wanted; i++) {
		const struct wire_entry *want = wanted[i];
		bool found = false;

		for (size_t j = 0; j < n_labels && !found; j++)
			found = str_eq(labels[j].key, want->key) && str_eq(labels[j].value, want->value);
		if (!found)
			return false;
	}
	return true;
}

#define SELECTED(filter, config) \
	cri_filter_labels((void *const *)(filter)->label_selector, (filter)->n_label_selector, \
			  (config)->labels, (config)->n_labels)

bool cri_filter_pod(const Runtime__V1__PodSandboxFilter *filter, const struct pod_sandbox *pod)
{
	if (!filter)
		return true;
	return cri_filter_id(filter->id, pod->id) &&
	       (!filter->state || (int)filter->state->state == (int)pod->state) && SELECTED(filter, pod->config);
}

bool cri_filter_container(const Runtime__V1__ContainerFilter *filter, const struct pod_container *c)
{
	if (!filter)
		return true;
	return cri_filter_id(filter->id, c->id) && cri_filter_id(filter->pod_sandbox_id, c->pod->id) &&
	       (!filter->state || (int)filter->state->state == (int)c->state) && SELECTED(filter, c->config);
}

bool cri_filter_container_stats(const Runtime__V1__ContainerStatsFilter *filter, const struct pod_container *c)
{
	if (!filter)
		return true;
	return cri_filter_id(filter->id, c->id) && cri_filter_id(filter->pod_sandbox_id, c->pod->id) &&
	       SELECTED(filter, c->config);
}

bool cri_filter_pod_stats(const Runtime__V1__PodSandboxStatsFilter *filter, const struct pod_sandbox *pod)
{
	if (!filter)
		return true;
	return cri_filter_id(filter->id, pod->id) && SELECTED(filter, pod->config);
}
