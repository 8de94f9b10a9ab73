/*
 * Which objects a list's filter means. An absent filter and an empty field mean everything;
 * an id means every object whose id begins with it, so that people can shorten; labels must
 * all be there with exactly these values. Pure.
 */
#pragma once

#include "cri/wire.h"
#include "pod/pod.h"

bool cri_filter_id(const char *wanted, const char *id);
/* labels of the object; `wanted` are a filter's label_selector entries */
bool cri_filter_labels(void *const *wanted, size_t n_wanted, const struct json_kv *labels, size_t n_labels);

/* Under pod_lock. */
bool cri_filter_pod(const Runtime__V1__PodSandboxFilter *filter, const struct pod_sandbox *pod);
bool cri_filter_container(const Runtime__V1__ContainerFilter *filter, const struct pod_container *c);
bool cri_filter_container_stats(const Runtime__V1__ContainerStatsFilter *filter, const struct pod_container *c);
bool cri_filter_pod_stats(const Runtime__V1__PodSandboxStatsFilter *filter, const struct pod_sandbox *pod);
