/*
 * What is said of the runtime as a whole: Version, Status, RuntimeConfig.
 */
#include "cri/call.h"

#include "cni/cni.h"
#include "stream/stream.h"

CRI_METHOD(version)
{
	Runtime__V1__VersionResponse *res = CRI_NEW(c, version_response);

	/* kubeRuntimeAPIVersion: a constant of the interface's own since its beginning */
	res->version = (char *)"0.1.0";
	res->runtime_name = (char *)"caisson";
	res->runtime_version = (char *)CAISSON_VERSION;
	res->runtime_api_version = (char *)"v1";
	cri_reply(c, res);
	return 0;
}

static Runtime__V1__RuntimeCondition *condition(struct cri_call *c, const char *type, bool status,
						const char *reason, const char *message)
{
	Runtime__V1__RuntimeCondition *cond = CRI_NEW(c, runtime_condition);

	cond->type = (char *)type;
	cond->status = status;
	cond->reason = (char *)reason;
	cond->message = (char *)message;
	return cond;
}

/* the default handler goes by the empty name */
static void put_handlers(struct cri_call *c, Runtime__V1__StatusResponse *res)
{
	static const char *const names[] = { "", "caisson" };
	bool user_namespaces = pod_user_namespaces(c->cri->settings.pods);

	res->n_runtime_handlers = ARRAY_LEN(names);
	res->runtime_handlers = arena_new(&c->arena, ARRAY_LEN(names), sizeof(*res->runtime_handlers));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		Runtime__V1__RuntimeHandler *handler = CRI_NEW(c, runtime_handler);

		handler->name = (char *)names[i];
		handler->features = CRI_NEW(c, runtime_handler_features);
		handler->features->recursive_read_only_mounts = true;
		handler->features->user_namespaces = user_namespaces;
		res->runtime_handlers[i] = handler;
	}
}

CRI_METHOD(status)
{
	const Runtime__V1__StatusRequest *req = request;
	Runtime__V1__StatusResponse *res = CRI_NEW(c, status_response);
	struct cni_status net;
	const char *text;

	cni_status(c->cri->settings.cni, &net);
	res->status = CRI_NEW(c, runtime_status);
	res->status->n_conditions = 2;
	res->status->conditions = arena_new(&c->arena, 2, sizeof(*res->status->conditions));
	res->status->conditions[0] = condition(c, "RuntimeReady", true, "", "");
	res->status->conditions[1] = condition(c, "NetworkReady", net.ready, net.reason, net.message);
	put_handlers(c, res);
	res->features = CRI_NEW(c, runtime_features);
	res->features->supplemental_groups_policy = true;
	res->features->user_namespaces_host_network = pod_user_namespaces(c->cri->settings.pods);
	res->features->mount_options = true;
	if (req->verbose) {
		CLEANUP(buf_done) struct buf network = BUF_INIT(4096);

		buf_puts(&network, "{\"network\":");
		json_put_string(&network, net.network);
		buf_puts(&network, ",\"source\":");
		json_put_string(&network, net.source);
		buf_puts(&network, "}");
		text = arena_strdup(&c->arena, buf_text(&network));
#define INFO(key, value) \
	cri_put_info(c, &runtime__v1__status_response__info_entry__descriptor, key, value, &res->info, &res->n_info)
		INFO("config", c->cri->settings.config);
		INFO("cni", text);
		if (c->cri->streams)
			INFO("streaming", arena_printf(&c->arena, "{\"address\":\"%s\",\"port\":%u}",
						       c->cri->stream_address,
						       stream_server_port(c->cri->streams)));
		INFO("findings", c->cri->settings.findings);
		/* plain words where containerd has plain words: tools print them as they are */
		INFO("lastCNILoadStatus", net.ready ? "OK" : arena_strdup(&c->arena, net.message));
#undef INFO
	}
	cri_reply(c, res);
	return 0;
}

CRI_METHOD(runtime_config)
{
	Runtime__V1__RuntimeConfigResponse *res = CRI_NEW(c, runtime_config_response);

	res->linux = CRI_NEW(c, linux_runtime_configuration);
	res->linux->cgroup_driver = c->cri->settings.systemd_cgroup ? RUNTIME__V1__CGROUP_DRIVER__SYSTEMD :
								      RUNTIME__V1__CGROUP_DRIVER__CGROUPFS;
	cri_reply(c, res);
	return 0;
}

/* The kubelet says the node's pod CIDR here. Networks come from CNI's configuration, which
 * whoever installs the network plugin writes; nothing is to be done. */
CRI_METHOD(update_runtime_config)
{
	cri_reply(c, CRI_NEW(c, update_runtime_config_response));
	return 0;
}
