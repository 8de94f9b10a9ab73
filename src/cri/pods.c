/*
 * The pod sandboxes' RPCs. Status and lists are built and packed under pod_lock, with the
 * strings of the records themselves.
 */
#include "cri/call.h"
#include "cri/configs.h"
#include "cri/filter.h"

CRI_METHOD(run_pod_sandbox)
{
	static const struct wire_path path = { NULL, "config" };
	const Runtime__V1__RunPodSandboxRequest *req = request;
	struct pod_config config = { 0 };
	int r;

	if (!req->config)
		return wire_wrong(&path, NULL, err, "required");
	if (req->config->metadata)
		cri_subject(c, "%s/%s", req->config->metadata->namespace_, req->config->metadata->name);
	r = wire_read(&cri_pod_config, req->config, &path, &c->arena, &config, err);
	if (r < 0)
		return r;
	config.handler = req->runtime_handler;
	c->wait = pod_sandbox_run(c->cri->settings.pods, &config, cri_operation_done, c);
	return 0;
}

CRI_FINISH(run_pod_sandbox)
{
	Runtime__V1__RunPodSandboxResponse *res = CRI_NEW(c, run_pod_sandbox_response);

	c->result = res->pod_sandbox_id = arena_strdup(&c->arena, r->id);
	cri_reply(c, res);
}

CRI_METHOD(stop_pod_sandbox)
{
	const Runtime__V1__StopPodSandboxRequest *req = request;

	cri_subject(c, "%s", req->pod_sandbox_id);
	c->wait = pod_sandbox_stop(c->cri->settings.pods, req->pod_sandbox_id, cri_operation_done, c);
	return 0;
}

CRI_METHOD(remove_pod_sandbox)
{
	const Runtime__V1__RemovePodSandboxRequest *req = request;

	cri_subject(c, "%s", req->pod_sandbox_id);
	c->wait = pod_sandbox_remove(c->cri->settings.pods, req->pod_sandbox_id, cri_operation_done, c);
	return 0;
}

CRI_METHOD(update_pod_sandbox_resources)
{
	static const struct wire_path at_overhead = { NULL, "overhead" }, at_resources = { NULL,
	"resources" };
	const Runtime__V1__UpdatePodSandboxResourcesRequest *req = request;
	struct pod_resources overhead = { 0 }, resources = { 0 };
	int r = 0;

	cri_subject(c, "%s", req->pod_sandbox_id);
	if (req->overhead)
		r = wire_read(&cri_resources, req->overhead, &at_overhead, &c->arena, &overhead, err);
	if (r == 0 && req->resources)
		r = wire_read(&cri_resources, req->resources, &at_resources, &c->arena, &resources, err);
	if (r < 0)
		return r;
	c->wait = pod_sandbox_update(c->cri->settings.pods, req->pod_sandbox_id,
				     req->overhead ? &overhead : NULL,
				     req->resources ? &resources : NULL, cri_operation_done, c);
	return 0;
}

static Runtime__V1__PodSandboxMetadata *metadata(struct cri_call *c, const struct pod_config *config)
{
	Runtime__V1__PodSandboxMetadata *meta = CRI_NEW(c, pod_sandbox_metadata);

	meta->name = config->name;
	meta->uid = config->uid;
	meta->namespace_ = config->ns;
	meta->attempt = config->attempt;
	return meta;
}

static Runtime__V1__PodSandboxNetworkStatus *network(struct cri_call *c, const struct pod_sandbox *pod)
{
	Runtime__V1__PodSandboxNetworkStatus *net = CRI_NEW(c, pod_sandbox_network_status);

	if (!pod->n_ips)
		return net;
	net->ip = pod->ips[0];
	net->n_additional_ips = pod->n_ips - 1;
	net->additional_ips = arena_new(&c->arena, pod->n_ips, sizeof(*net->additional_ips));
	for (size_t i = 1; i < pod->n_ips; i++) {
		net->additional_ips[i - 1] = CRI_NEW(c, pod_ip);
		net->additional_ips[i - 1]->ip = pod->ips[i];
	}
	return net;
}

Runtime__V1__PodSandboxStatus *cri_pod_status_of(struct cri_call *c, const struct pod_sandbox *pod)
{
	const struct pod_config *config = pod->config;
	Runtime__V1__PodSandboxStatus *st = CRI_NEW(c, pod_sandbox_status);

	st->id = (char *)pod->id;
	st->metadata = metadata(c, config);
	st->state = (Runtime__V1__PodSandboxState)pod->state;
	st->created_at = pod->created_at;
	st->network = network(c, pod);
	st->linux = CRI_NEW(c, linux_pod_sandbox_status);
	st->linux->namespaces = CRI_NEW(c, namespace);
	st->linux->namespaces->options =
		wire_write(&cri_namespaces, &config->security.namespaces, &c->arena);
	wire_put_map(&runtime__v1__pod_sandbox_status__labels_entry__descriptor, config->labels,
		     config->n_labels,
		     &c->arena, &st->labels, &st->n_labels);
	wire_put_map(&runtime__v1__pod_sandbox_status__annotations_entry__descriptor, config->annotations,
		     config->n_annotations, &c->arena, &st->annotations, &st->n_annotations);
	st->runtime_handler = config->handler ? config->handler : (char *)"";
	return st;
}

CRI_METHOD(checkpoint_pod)
{
	const Runtime__V1__CheckpointPodRequest *req = request;

	cri_subject(c, "%s", req->pod_sandbox_id);
	if (str_empty(req->output_path))
		return wire_wrong(NULL, "output_path", err, "required");
	if (req->n_options)
		return err_set(err, ERR_UNSUPPORTED, "options: %s is not known", req->options[0]->key);
	c->wait = pod_sandbox_checkpoint(c->cri->settings.pods, req->pod_sandbox_id, req->output_path,
					 req->container_ids, req->n_container_ids, cri_operation_done, c);
	return 0;
}

CRI_METHOD(restore_pod)
{
	static const struct wire_path pod_path = { NULL, "config" }, list_path = { NULL,
	"container_configs" };
	const Runtime__V1__RestorePodRequest *req = request;
	struct pod_container_config *containers = arena_new(&c->arena, req->n_container_configs + 1,
							    sizeof(*containers));
	struct pod_config config = { 0 };
	int r = 0;

	cri_subject(c, "%s", req->checkpoint_path);
	if (req->checkpoint_path[0] != '/')
		return wire_wrong(NULL, "checkpoint_path", err, "an absolute path is required");
	if (req->n_options)
		return err_set(err, ERR_UNSUPPORTED, "options: %s is not known", req->options[0]->key);
	if (req->config)
		r = wire_read(&cri_pod_config, req->config, &pod_path, &c->arena, &config, err);
	for (size_t i = 0; i < req->n_container_configs && r == 0; i++)
		r = wire_read(&cri_container_config, req->container_configs[i], &list_path, &c->arena,
			      &containers[i],
			      err);
	if (r < 0)
		return r;
	config.handler = req->runtime_handler;
	c->wait = pod_sandbox_restore(c->cri->settings.pods, req->checkpoint_path,
				      req->config ? &config : NULL,
				      containers, req->n_container_configs, cri_operation_done, c);
	return 0;
}

/* The operation's output: a name and an id, a line each. */
CRI_FINISH(restore_pod)
{
	Runtime__V1__RestorePodResponse *res = CRI_NEW(c, restore_pod_response);
	char *at = arena_strdup(&c->arena, buf_text(r->out));
	size_t lines = 0;

	for (const char *p = at; *p; p++)
		lines += *p == '\n';
	c->result = res->pod_sandbox_id = arena_strdup(&c->arena, r->id);
	res->restored_containers = arena_new(&c->arena, lines / 2 + 1, sizeof(*res->restored_containers));
	while (*at) {
		Runtime__V1__RestoredContainer *one = CRI_NEW(c, restored_container);

		one->name = strsep(&at, "\n");
		one->container_id = strsep(&at, "\n");
		res->restored_containers[res->n_restored_containers++] = one;
	}
	cri_reply(c, res);
}

CRI_METHOD(pod_sandbox_status)
{
	const Runtime__V1__PodSandboxStatusRequest *req = request;
	struct pod_manager *pods = c->cri->settings.pods;
	Runtime__V1__PodSandboxStatusResponse *res = CRI_NEW(c, pod_sandbox_status_response);
	struct pod_sandbox *pod;

	cri_subject(c, "%s", req->pod_sandbox_id);
	pod_lock(pods);
	pod = pod_sandbox_find(pods, req->pod_sandbox_id, err);
	if (!pod) {
		pod_unlock(pods);
		return -ENOENT;
	}
	if (!pod->visible) {
		pod_unlock(pods);
		return err_set(err, ERR_NOT_FOUND, "pod %s is still being created", req->pod_sandbox_id);
	}
	res->status = cri_pod_status_of(c, pod);
	res->timestamp = time_now_real();
	if (req->verbose)
		cri_put_info(c, &runtime__v1__pod_sandbox_status_response__info_entry__descriptor, "info",
			     cri_pod_info(c, pod), &res->info, &res->n_info);
	cri_reply(c, res);
	pod_unlock(pods);
	return 0;
}

Runtime__V1__PodSandbox *cri_pod_item(struct cri_call *c, const struct pod_sandbox *pod)
{
	const struct pod_config *config = pod->config;
	Runtime__V1__PodSandbox *item = CRI_NEW(c, pod_sandbox);

	item->id = (char *)pod->id;
	item->metadata = metadata(c, config);
	item->state = (Runtime__V1__PodSandboxState)pod->state;
	item->created_at = pod->created_at;
	wire_put_map(&runtime__v1__pod_sandbox__labels_entry__descriptor, config->labels, config->n_labels,
		     &c->arena, &item->labels, &item->n_labels);
	wire_put_map(&runtime__v1__pod_sandbox__annotations_entry__descriptor, config->annotations,
		     config->n_annotations, &c->arena, &item->annotations, &item->n_annotations);
	item->runtime_handler = config->handler ? config->handler : (char *)"";
	return item;
}

char **cri_pod_ids(struct cri *cri, struct arena *a, size_t *ret_n)
{
	struct pod_manager *pods = cri->settings.pods;
	size_t n = 0;
	char **ids;

	pod_lock(pods);
	for (struct pod_sandbox *pod = NULL; (pod = pod_sandbox_next(pods, pod));)
		n++;
	ids = arena_new(a, n + 1, sizeof(*ids));
	n = 0;
	for (struct pod_sandbox *pod = NULL; (pod = pod_sandbox_next(pods, pod));)
		ids[n++] = arena_strdup(a, pod->id);
	pod_unlock(pods);
	*ret_n = n;
	return ids;
}
