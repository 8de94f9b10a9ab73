/*
 * Stats of containers and pods. Runs on worker threads: cgroup files and directories are
 * read, which may block. First everything that is needed from the records is copied under
 * pod_lock, then it is let go, then the kernel is asked.
 *
 * Numbers that the kernel does not give (a controller that is missing, a container that is
 * gone) are left out of the answer, not set to 0.
 */
#include "cri/call.h"
#include "cri/filter.h"
#include "cri/metrics.h"
#include "cri/samples.h"

#include "cgroup/cgroup.h"
#include "store/store.h"

/* ---- copies of records ---- */

struct container_view {
	const char *id, *cgroup_path;
	Runtime__V1__ContainerAttributes *attributes;
};

struct pod_view {
	const char *id, *cgroup_path, *netns; /* netns NULL: the host's network */
	pid_t pid; /* of pause */
	uint64_t pid_ticks;
	Runtime__V1__PodSandboxAttributes *attributes;
	struct container_view *containers;
	size_t n_containers;
};

static struct json_kv *copy_map(struct arena *a, const struct json_kv *kv, size_t n)
{
	struct json_kv *copy = arena_new(a, n + 1, sizeof(*copy));

	for (size_t i = 0; i < n; i++)
		copy[i] = (struct json_kv){ arena_strdup(a, kv[i].key), arena_strdup(a, kv[i].value) };
	return copy;
}

static void view_container(struct cri_call *c, const struct pod_container *container, struct container_view *ret)
{
	const struct pod_container_config *config = container->config;
	Runtime__V1__ContainerAttributes *at = CRI_NEW(c, container_attributes);
	struct arena *a = &c->arena;

	ret->id = at->id = arena_strdup(a, container->id);
	ret->cgroup_path = arena_strdup(a, container->cgroup_path);
	ret->attributes = at;
	at->metadata = CRI_NEW(c, container_metadata);
	at->metadata->name = arena_strdup(a, config->name);
	at->metadata->attempt = config->attempt;
	wire_put_map(&runtime__v1__container_attributes__labels_entry__descriptor,
		     copy_map(a, config->labels, config->n_labels), config->n_labels, a, &at->labels, &at->n_labels);
	wire_put_map(&runtime__v1__container_attributes__annotations_entry__descriptor,
		     copy_map(a, config->annotations, config->n_annotations), config->n_annotations, a,
		     &at->annotations, &at->n_annotations);
}

static void view_pod(struct cri_call *c, const struct pod_sandbox *pod, struct pod_view *ret)
{
	const struct pod_config *config = pod->config;
	Runtime__V1__PodSandboxAttributes *at = CRI_NEW(c, pod_sandbox_attributes);
	struct arena *a = &c->arena;
	size_t n = 0;

	ret->id = at->id = arena_strdup(a, pod->id);
	ret->cgroup_path = arena_strdup(a, pod->cgroup_path);
	ret->netns = arena_strdup(a, pod->netns);
	ret->pid = pod->pid;
	ret->pid_ticks = pod->pid_ticks;
	ret->attributes = at;
	at->metadata = CRI_NEW(c, pod_sandbox_metadata);
	at->metadata->name = arena_strdup(a, config->name);
	at->metadata->uid = arena_strdup(a, config->uid);
	at->metadata->namespace_ = arena_strdup(a, config->ns);
	at->metadata->attempt = config->attempt;
	wire_put_map(&runtime__v1__pod_sandbox_attributes__labels_entry__descriptor,
		     copy_map(a, config->labels, config->n_labels), config->n_labels, a, &at->labels, &at->n_labels);
	wire_put_map(&runtime__v1__pod_sandbox_attributes__annotations_entry__descriptor,
		     copy_map(a, config->annotations, config->n_annotations), config->n_annotations, a,
		     &at->annotations, &at->n_annotations);
	list_for_each(it, &pod->containers, struct pod_container, link)
		n++;
	ret->containers = arena_new(a, n + 1, sizeof(*ret->containers));
	list_for_each(it, &pod->containers, struct pod_container, link)
		if (it->visible)
			view_container(c, it, &ret->containers[ret->n_containers++]);
}

/* ---- numbers ---- */

static Runtime__V1__UInt64Value *number(struct cri_call *c, uint64_t value)
{
	Runtime__V1__UInt64Value *v = CRI_NEW(c, uint64_value);

	v->value = value;
	return v;
}

static Runtime__V1__PsiStats *psi(struct cri_call *c, const struct cgroup_stats *st, const struct cgroup_psi *p)
{
	Runtime__V1__PsiStats *stats;

	if (!(st->have & CGROUP_HAVE_PSI))
		return NULL;
	stats = CRI_NEW(c, psi_stats);
	stats->some = CRI_NEW(c, psi_data);
	stats->some->avg10 = p->some_avg10;
	stats->some->avg60 = p->some_avg60;
	stats->some->avg300 = p->some_avg300;
	stats->some->total = p->some_total_usec * 1000;
	stats->full = CRI_NEW(c, psi_data);
	stats->full->avg10 = p->full_avg10;
	stats->full->avg60 = p->full_avg60;
	stats->full->avg300 = p->full_avg300;
	stats->full->total = p->full_total_usec * 1000;
	return stats;
}

static Runtime__V1__CpuUsage *cpu(struct cri_call *c, const char *id, const struct cgroup_stats *st, int64_t now)
{
	Runtime__V1__CpuUsage *u;
	uint64_t rate;

	if (!(st->have & CGROUP_HAVE_CPU))
		return NULL;
	u = CRI_NEW(c, cpu_usage);
	u->timestamp = now;
	u->usage_core_nano_seconds = number(c, st->cpu_usage_nsec);
	if (cri_samples_rate(c->cri->samples, id, now, st->cpu_usage_nsec, &rate))
		u->usage_nano_cores = number(c, rate);
	u->psi = psi(c, st, &st->psi_cpu);
	return u;
}

static Runtime__V1__MemoryUsage *memory(struct cri_call *c, const struct cgroup_stats *st, int64_t now)
{
	Runtime__V1__MemoryUsage *u;

	if (!(st->have & CGROUP_HAVE_MEMORY))
		return NULL;
	u = CRI_NEW(c, memory_usage);
	u->timestamp = now;
	u->working_set_bytes = number(c, st->memory_working_set);
	u->usage_bytes = number(c, st->memory_usage);
	u->rss_bytes = number(c, st->memory_rss);
	u->page_faults = number(c, st->page_faults);
	u->major_page_faults = number(c, st->major_page_faults);
	if (st->memory_limit != UINT64_MAX)
		u->available_bytes = number(c, st->memory_limit > st->memory_working_set
						       ? st->memory_limit - st->memory_working_set
						       : 0);
	u->psi = psi(c, st, &st->psi_memory);
	return u;
}

static Runtime__V1__SwapUsage *swap(struct cri_call *c, const struct cgroup_stats *st, int64_t now)
{
	Runtime__V1__SwapUsage *u;

	if (!(st->have & CGROUP_HAVE_SWAP))
		return NULL;
	u = CRI_NEW(c, swap_usage);
	u->timestamp = now;
	u->swap_usage_bytes = number(c, st->swap_usage);
	if (st->swap_limit != UINT64_MAX)
		u->swap_available_bytes =
			number(c, st->swap_limit > st->swap_usage ? st->swap_limit - st->swap_usage : 0);
	return u;
}

static Runtime__V1__IoUsage *io(struct cri_call *c, const struct cgroup_stats *st, int64_t now)
{
	Runtime__V1__IoUsage *u;

	if (!(st->have & CGROUP_HAVE_PSI))
		return NULL;
	u = CRI_NEW(c, io_usage);
	u->timestamp = now;
	u->psi = psi(c, st, &st->psi_io);
	return u;
}

/* ---- writable layers ---- */

/*
 * What a container wrote is found by a walk over its files. The first answer waits for one; after
 * that the figure is as old as its timestamp says, and walks go on beside the calls, one after
 * another, so that a container with a million files makes no call slow.
 */
static void measure_layers(void *user)
{
	struct cri *cri = user;
	char *id;

	while ((id = cri_samples_take_due(cri->samples))) {
		struct cri_layer_size size = { .at = time_now_real() };

		if (store_snapshot_usage(cri->settings.store, id, &size.bytes, &size.inodes, NULL) == 0)
			cri_samples_set_layer(cri->samples, id, &size);
		free(id);
	}
}

static void layers_measured(void *user)
{
	struct cri *cri = user;

	cri->open_calls--;
}

static void measure_soon(void *user)
{
	struct cri *cri = user;

	cri->open_calls++; /* the store stays until its end */
	if (event_work(cri->settings.loop, measure_layers, layers_measured, cri) < 0) {
		measure_layers(cri);
		layers_measured(cri);
	}
}

bool cri_layer_size(struct cri *cri, const char *id, int64_t now, struct cri_layer_size *ret)
{
	bool due;

	if (cri_samples_layer(cri->samples, id, now, ret, &due)) {
		if (due)
			event_loop_post(cri->settings.loop, measure_soon, cri);
		return true;
	}
	ret->at = now;
	if (store_snapshot_usage(cri->settings.store, id, &ret->bytes, &ret->inodes, NULL) < 0)
		return false;
	cri_samples_set_layer(cri->samples, id, ret);
	return true;
}

static Runtime__V1__FilesystemUsage *writable_layer(struct cri_call *c, const char *id, int64_t now)
{
	Runtime__V1__FilesystemUsage *u;
	struct cri_layer_size size;

	if (!cri_layer_size(c->cri, id, now, &size))
		return NULL;
	u = CRI_NEW(c, filesystem_usage);
	u->timestamp = size.at;
	u->fs_id = CRI_NEW(c, filesystem_identifier);
	u->fs_id->mountpoint = (char *)store_root(c->cri->settings.store);
	u->used_bytes = number(c, size.bytes);
	u->inodes_used = number(c, size.inodes);
	return u;
}

static Runtime__V1__ContainerStats *stats_of(struct cri_call *c, const struct container_view *view)
{
	Runtime__V1__ContainerStats *stats = CRI_NEW(c, container_stats);
	struct cgroup_stats st;
	int64_t now;

	cri_samples_cgroup(c->cri->samples, view->id, view->cgroup_path, CGROUP_HAVE_CPU | CGROUP_HAVE_MEMORY |
			   CGROUP_HAVE_SWAP | CGROUP_HAVE_PSI, &st);
	now = time_now_real();
	stats->attributes = view->attributes;
	stats->cpu = cpu(c, view->id, &st, now);
	stats->memory = memory(c, &st, now);
	stats->swap = swap(c, &st, now);
	stats->io = io(c, &st, now);
	stats->writable_layer = writable_layer(c, view->id, now);
	return stats;
}

static Runtime__V1__NetworkUsage *network(struct cri_call *c, const struct pod_view *view)
{
	struct metric_interface all[METRIC_INTERFACES_MAX];
	Runtime__V1__NetworkUsage *net;
	size_t n = view->netns ? cri_pod_interfaces(view->pid, view->pid_ticks, all) : 0;

	if (!n)
		return NULL;
	net = CRI_NEW(c, network_usage);
	net->timestamp = time_now_real();
	net->interfaces = arena_new(&c->arena, n, sizeof(*net->interfaces));
	for (size_t i = 0; i < n; i++) {
		Runtime__V1__NetworkInterfaceUsage *u = CRI_NEW(c, network_interface_usage);

		u->name = arena_strdup(&c->arena, all[i].name);
		u->rx_bytes = number(c, all[i].rx_bytes);
		u->rx_errors = number(c, all[i].rx_errors);
		u->tx_bytes = number(c, all[i].tx_bytes);
		u->tx_errors = number(c, all[i].tx_errors);
		net->interfaces[net->n_interfaces++] = u;
		/* the plugins' first one, as the daemon names it */
		if (!net->default_interface || str_eq(all[i].name, "eth0"))
			net->default_interface = u;
	}
	return net;
}

static Runtime__V1__PodSandboxStats *pod_stats_of(struct cri_call *c, const struct pod_view *view)
{
	Runtime__V1__PodSandboxStats *stats = CRI_NEW(c, pod_sandbox_stats);
	Runtime__V1__LinuxPodSandboxStats *own = CRI_NEW(c, linux_pod_sandbox_stats);
	struct cgroup_stats st;
	int64_t now;

	cri_samples_cgroup(c->cri->samples, view->id, view->cgroup_path, CGROUP_HAVE_CPU | CGROUP_HAVE_MEMORY |
			   CGROUP_HAVE_PIDS | CGROUP_HAVE_PSI, &st);
	now = time_now_real();
	stats->attributes = view->attributes;
	stats->linux = own;
	own->cpu = cpu(c, view->id, &st, now);
	own->memory = memory(c, &st, now);
	own->io = io(c, &st, now);
	own->network = network(c, view);
	if (st.have & CGROUP_HAVE_PIDS) {
		own->process = CRI_NEW(c, process_usage);
		own->process->timestamp = now;
		own->process->process_count = number(c, st.pids);
	}
	own->containers = arena_new(&c->arena, view->n_containers + 1, sizeof(*own->containers));
	for (size_t i = 0; i < view->n_containers; i++)
		own->containers[own->n_containers++] = stats_of(c, &view->containers[i]);
	return stats;
}

/* ---- the methods ---- */

Runtime__V1__ContainerStats *cri_container_stats_of(struct cri_call *c, const char *id, struct err *err)
{
	struct pod_manager *pods = c->cri->settings.pods;
	struct pod_container *container;
	struct container_view view;

	pod_lock(pods);
	container = pod_container_find(pods, id, err);
	if (container)
		view_container(c, container, &view);
	pod_unlock(pods);
	return container ? stats_of(c, &view) : NULL;
}

Runtime__V1__PodSandboxStats *cri_pod_stats_of(struct cri_call *c, const char *id, struct err *err)
{
	struct pod_manager *pods = c->cri->settings.pods;
	struct pod_view view = { 0 };
	struct pod_sandbox *pod;

	pod_lock(pods);
	pod = pod_sandbox_find(pods, id, err);
	if (pod)
		view_pod(c, pod, &view);
	pod_unlock(pods);
	return pod ? pod_stats_of(c, &view) : NULL;
}

CRI_METHOD(container_stats)
{
	const Runtime__V1__ContainerStatsRequest *req = request;
	Runtime__V1__ContainerStatsResponse *res = CRI_NEW(c, container_stats_response);

	cri_subject(c, "%s", req->container_id);
	res->stats = cri_container_stats_of(c, req->container_id, err);
	if (!res->stats)
		return -ENOENT;
	cri_reply(c, res);
	return 0;
}

CRI_METHOD(pod_sandbox_stats)
{
	const Runtime__V1__PodSandboxStatsRequest *req = request;
	Runtime__V1__PodSandboxStatsResponse *res = CRI_NEW(c, pod_sandbox_stats_response);

	cri_subject(c, "%s", req->pod_sandbox_id);
	res->stats = cri_pod_stats_of(c, req->pod_sandbox_id, err);
	if (!res->stats)
		return -ENOENT;
	cri_reply(c, res);
	return 0;
}
