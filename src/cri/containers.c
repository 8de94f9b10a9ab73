/*
 * The containers' RPCs, but for stats. Status and lists are built and packed under
 * pod_lock, with the strings of the records themselves.
 */
#include "cri/call.h"
#include "cri/configs.h"
#include "cri/filter.h"
#include "image/image.h"

CRI_METHOD(create_container)
{
	static const struct wire_path path = { NULL, "config" };
	const Runtime__V1__CreateContainerRequest *req = request;
	struct pod_container_config config = { 0 };
	int r;

	if (str_empty(req->pod_sandbox_id))
		return wire_wrong(NULL, "pod_sandbox_id", err, "required");
	if (!req->config)
		return wire_wrong(&path, NULL, err, "required");
	cri_subject(c, "%s in %s", req->config->metadata ? req->config->metadata->name : "?", req->pod_sandbox_id);
	r = wire_read(&cri_container_config, req->config, &path, &c->arena, &config, err);
	if (r < 0)
		return r;
	c->wait = pod_container_create(c->cri->settings.pods, req->pod_sandbox_id, &config, cri_operation_done, c);
	return 0;
}

CRI_FINISH(create_container)
{
	Runtime__V1__CreateContainerResponse *res = CRI_NEW(c, create_container_response);

	c->result = res->container_id = arena_strdup(&c->arena, r->id);
	cri_reply(c, res);
}

CRI_METHOD(start_container)
{
	const Runtime__V1__StartContainerRequest *req = request;

	cri_subject(c, "%s", req->container_id);
	c->wait = pod_container_start(c->cri->settings.pods, req->container_id, cri_operation_done, c);
	return 0;
}

CRI_METHOD(stop_container)
{
	const Runtime__V1__StopContainerRequest *req = request;

	cri_subject(c, "%s", req->container_id);
	if (req->timeout < 0)
		return wire_wrong(NULL, "timeout", err, "%lld is negative", (long long)req->timeout);
	c->wait = pod_container_stop(c->cri->settings.pods, req->container_id, req->timeout, cri_operation_done, c);
	return 0;
}

CRI_METHOD(remove_container)
{
	const Runtime__V1__RemoveContainerRequest *req = request;

	cri_subject(c, "%s", req->container_id);
	c->wait = pod_container_remove(c->cri->settings.pods, req->container_id, cri_operation_done, c);
	return 0;
}

CRI_METHOD(reopen_container_log)
{
	const Runtime__V1__ReopenContainerLogRequest *req = request;

	cri_subject(c, "%s", req->container_id);
	c->wait = pod_container_log_reopen(c->cri->settings.pods, req->container_id, cri_operation_done, c);
	return 0;
}

CRI_METHOD(update_container_resources)
{
	static const struct wire_path path = { NULL, "linux" };
	const Runtime__V1__UpdateContainerResourcesRequest *req = request;
	struct pod_resources change = { 0 };
	int r;

	cri_subject(c, "%s", req->container_id);
	if (req->windows)
		return wire_wrong(NULL, "windows", err, "this is Linux");
	if (!req->linux)
		return wire_wrong(&path, NULL, err, "required");
	r = wire_read(&cri_resources, req->linux, &path, &c->arena, &change, err);
	if (r < 0)
		return r;
	c->wait = pod_container_update(c->cri->settings.pods, req->container_id, &change, cri_operation_done, c);
	return 0;
}

CRI_METHOD(checkpoint_container)
{
	const Runtime__V1__CheckpointContainerRequest *req = request;

	cri_subject(c, "%s", req->container_id);
	if (str_empty(req->location))
		return wire_wrong(NULL, "location", err, "required");
	if (req->timeout < 0)
		return wire_wrong(NULL, "timeout", err, "%lld is negative", (long long)req->timeout);
	c->wait = pod_container_checkpoint(c->cri->settings.pods, req->container_id, req->location, req->timeout,
					   cri_operation_done, c);
	return 0;
}

CRI_METHOD(exec_sync)
{
	const Runtime__V1__ExecSyncRequest *req = request;

	cri_subject(c, "%s", req->container_id);
	if (!req->n_cmd)
		return wire_wrong(NULL, "cmd", err, "required");
	if (req->timeout < 0)
		return wire_wrong(NULL, "timeout", err, "%lld is negative", (long long)req->timeout);
	c->wait = pod_container_exec(c->cri->settings.pods, req->container_id, req->cmd, req->n_cmd, req->timeout,
				     cri_operation_done, c);
	return 0;
}

CRI_FINISH(exec_sync)
{
	Runtime__V1__ExecSyncResponse *res = CRI_NEW(c, exec_sync_response);

	if (r->out)
		res->stdout = (ProtobufCBinaryData){ r->out->len, r->out->data };
	if (r->err)
		res->stderr = (ProtobufCBinaryData){ r->err->len, r->err->data };
	res->exit_code = r->exit_code;
	cri_reply(c, res);
}

/* ---- status and lists ---- */

static Runtime__V1__ContainerMetadata *metadata(struct cri_call *c, const struct pod_container_config *config)
{
	Runtime__V1__ContainerMetadata *meta = CRI_NEW(c, container_metadata);

	meta->name = config->name;
	meta->attempt = config->attempt;
	return meta;
}

bool cri_container_named_by_id(const struct pod_container *container)
{
	const char *name = container->config->image;

	return str_skip_prefix(name, "sha256:") || strlen(name) == ID_LEN || name[0] == '/';
}

/* A kubelet creates by the image's id, a restore by the path of an archive; people want to read its name: the tag that was asked for
 * if it is still the image's, else its first tag, else its first digest. */
static const char *image_name(struct cri_call *c, const struct pod_container *container)
{
	struct image *img;
	const char *name = container->config->image;

	if (!cri_container_named_by_id(container))
		return name;
	if (image_get(c->cri->settings.images, container->image_id, &img, NULL) < 0)
		return name;
	if (img->n_repo_tags)
		name = arena_strdup(&c->arena, img->repo_tags[0]);
	else if (img->n_repo_digests)
		name = arena_strdup(&c->arena, img->repo_digests[0]);
	image_unref(img);
	return name;
}

static Runtime__V1__ImageSpec *image_spec(struct cri_call *c, const struct pod_container *container)
{
	const struct pod_container_config *config = container->config;
	Runtime__V1__ImageSpec *spec = CRI_NEW(c, image_spec);

	spec->image = (char *)image_name(c, container);
	spec->user_specified_image = config->user_image ? config->user_image : (char *)"";
	wire_put_map(&runtime__v1__image_spec__annotations_entry__descriptor, config->image_annotations,
		     config->n_image_annotations, &c->arena, &spec->annotations, &spec->n_annotations);
	return spec;
}

#define TEXT(s) ((s) ? (char *)(s) : (char *)"")

static Runtime__V1__ContainerUser *user(struct cri_call *c, const struct pod_container *container)
{
	Runtime__V1__ContainerUser *u = CRI_NEW(c, container_user);

	u->linux = CRI_NEW(c, linux_container_user);
	u->linux->uid = container->uid;
	u->linux->gid = container->gid;
	u->linux->n_supplemental_groups = container->n_groups;
	u->linux->supplemental_groups = arena_new(&c->arena, container->n_groups + 1, sizeof(int64_t));
	for (size_t i = 0; i < container->n_groups; i++)
		u->linux->supplemental_groups[i] = container->groups[i];
	return u;
}

Runtime__V1__ContainerStatus *cri_container_status_of(struct cri_call *c, const struct pod_container *container)
{
	const struct pod_container_config *config = container->config;
	Runtime__V1__ContainerStatus *st = CRI_NEW(c, container_status);

	st->id = (char *)container->id;
	st->metadata = metadata(c, config);
	st->state = (Runtime__V1__ContainerState)container->state;
	st->created_at = container->created_at;
	st->started_at = container->started_at;
	st->finished_at = container->finished_at;
	st->exit_code = container->exit_code;
	st->image = image_spec(c, container);
	st->image_ref = TEXT(container->image_ref);
	st->image_id = TEXT(container->image_id);
	st->reason = TEXT(container->reason);
	st->message = TEXT(container->message);
	wire_put_map(&runtime__v1__container_status__labels_entry__descriptor, config->labels, config->n_labels,
		     &c->arena, &st->labels, &st->n_labels);
	wire_put_map(&runtime__v1__container_status__annotations_entry__descriptor, config->annotations,
		     config->n_annotations, &c->arena, &st->annotations, &st->n_annotations);
	st->n_mounts = config->n_mounts;
	st->mounts = arena_new(&c->arena, config->n_mounts + 1, sizeof(*st->mounts));
	for (size_t i = 0; i < config->n_mounts; i++)
		st->mounts[i] = wire_write(&cri_mount, &config->mounts[i], &c->arena);
	st->log_path = TEXT(container->log_path);
	st->resources = CRI_NEW(c, container_resources);
	st->resources->linux = wire_write(&cri_resources, &config->resources, &c->arena);
	st->user = user(c, container);
	st->stop_signal = (Runtime__V1__Signal)cri_signal_of(container->stop_signal);
	return st;
}

CRI_METHOD(container_status)
{
	const Runtime__V1__ContainerStatusRequest *req = request;
	struct pod_manager *pods = c->cri->settings.pods;
	Runtime__V1__ContainerStatusResponse *res = CRI_NEW(c, container_status_response);
	struct pod_container *container;

	cri_subject(c, "%s", req->container_id);
	pod_lock(pods);
	container = pod_container_find(pods, req->container_id, err);
	if (!container) {
		pod_unlock(pods);
		return -ENOENT;
	}
	if (!container->visible) {
		pod_unlock(pods);
		return err_set(err, ERR_NOT_FOUND, "container %s is still being created", req->container_id);
	}
	res->status = cri_container_status_of(c, container);
	if (req->verbose)
		cri_put_info(c, &runtime__v1__container_status_response__info_entry__descriptor, "info",
			     cri_container_info(c, container), &res->info, &res->n_info);
	cri_reply(c, res);
	pod_unlock(pods);
	return 0;
}

Runtime__V1__Container *cri_container_item(struct cri_call *c, const struct pod_container *container)
{
	const struct pod_container_config *config = container->config;
	Runtime__V1__Container *item = CRI_NEW(c, container);

	item->id = (char *)container->id;
	item->pod_sandbox_id = container->pod->id;
	item->metadata = metadata(c, config);
	item->image = image_spec(c, container);
	item->image_ref = TEXT(container->image_ref);
	item->image_id = TEXT(container->image_id);
	item->state = (Runtime__V1__ContainerState)container->state;
	item->created_at = container->created_at;
	wire_put_map(&runtime__v1__container__labels_entry__descriptor, config->labels, config->n_labels,
		     &c->arena, &item->labels, &item->n_labels);
	wire_put_map(&runtime__v1__container__annotations_entry__descriptor, config->annotations,
		     config->n_annotations, &c->arena, &item->annotations, &item->n_annotations);
	return item;
}
