/*
 * ListMetricDescriptors, ListPodSandboxMetrics: the table and the samples of metrics.h as CRI's
 * messages. Worker threads, but for the descriptors.
 */
#include "cri/call.h"
#include "cri/metrics.h"

CRI_METHOD(list_metric_descriptors)
{
	Runtime__V1__ListMetricDescriptorsResponse *res = CRI_NEW(c, list_metric_descriptors_response);

	res->descriptors = arena_new(&c->arena, cri_n_metrics, sizeof(*res->descriptors));
	for (size_t i = 0; i < cri_n_metrics; i++) {
		const struct cri_metric *m = &cri_metrics[i];
		Runtime__V1__MetricDescriptor *d = CRI_NEW(c, metric_descriptor);

		d->name = (char *)m->name;
		d->help = (char *)m->help;
		d->n_label_keys = cri_metric_labels(m);
		d->label_keys = arena_new(&c->arena, d->n_label_keys, sizeof(char *));
		for (size_t k = 0; k < d->n_label_keys; k++)
			d->label_keys[k] = (char *)(k < METRIC_BASE ? cri_metric_base[k] : m->own[k - METRIC_BASE]);
		res->descriptors[res->n_descriptors++] = d;
	}
	cri_reply(c, res);
	return 0;
}

/* Samples of one pod on their way into its message. */
struct collector {
	struct cri_call *call;
	Runtime__V1__PodSandboxMetrics *message;
	size_t cap_metrics, cap_containers, cap_container_metrics;
};

/* A list that doubles, in the arena. */
static void append(struct arena *a, void ***list, size_t *n, size_t *cap, void *item)
{
	if (*n == *cap) {
		void **larger = arena_new(a, *cap ? *cap * 2 : 64, sizeof(void *));

		if (*n)
			memcpy(larger, *list, *n * sizeof(void *));
		*list = larger;
		*cap = *cap ? *cap * 2 : 64;
	}
	(*list)[(*n)++] = item;
}

static void collect(const struct cri_sample *sample, void *user)
{
	struct collector *col = user;
	struct cri_call *c = col->call;
	Runtime__V1__PodSandboxMetrics *pod = col->message;
	Runtime__V1__ContainerMetrics *container;
	Runtime__V1__Metric *m = CRI_NEW(c, metric);

	m->name = (char *)sample->metric->name;
	m->timestamp = sample->at;
	m->metric_type = sample->metric->counter ? RUNTIME__V1__METRIC_TYPE__COUNTER : RUNTIME__V1__METRIC_TYPE__GAUGE;
	m->n_label_values = cri_metric_labels(sample->metric);
	m->label_values = arena_new(&c->arena, m->n_label_values, sizeof(char *));
	for (size_t i = 0; i < m->n_label_values; i++)
		m->label_values[i] = arena_strdup(&c->arena, sample->labels[i] ? sample->labels[i] : "");
	m->value = CRI_NEW(c, uint64_value);
	m->value->value = sample->value / sample->metric->per; /* CRI has whole numbers only */
	if (!sample->container_id) {
		append(&c->arena, (void ***)&pod->metrics, &pod->n_metrics, &col->cap_metrics, m);
		return;
	}
	container = pod->n_container_metrics ? pod->container_metrics[pod->n_container_metrics - 1] : NULL;
	if (!container || !str_eq(container->container_id, sample->container_id)) {
		container = CRI_NEW(c, container_metrics);
		container->container_id = arena_strdup(&c->arena, sample->container_id);
		append(&c->arena, (void ***)&pod->container_metrics, &pod->n_container_metrics, &col->cap_containers,
		       container);
		col->cap_container_metrics = 0;
	}
	append(&c->arena, (void ***)&container->metrics, &container->n_metrics, &col->cap_container_metrics, m);
}

Runtime__V1__PodSandboxMetrics *cri_pod_metrics_of(struct cri_call *c, const char *id, struct err *err)
{
	struct collector col = { .call = c, .message = CRI_NEW(c, pod_sandbox_metrics) };

	col.message->pod_sandbox_id = arena_strdup(&c->arena, id);
	return cri_measure_pod(c->cri, id, collect, &col, err) < 0 ? NULL : col.message;
}
