/*
 * UpdateContainers: done on a worker, outside of any turn, so that a plugin may ask from inside
 * an event. What could not be done is answered as a list, unless the plugin does not care.
 */
#include "nri/request.h"

#include "nri/message.h"
#include "nri/plugin.h"

struct request {
	struct nri_plugin *plugin;
	struct ttrpc_call *call;
	const NRI(UpdateContainersRequest) *req;
	NRI(ContainerUpdate) **failed;
	size_t n_failed;
};

static void request_work(void *user)
{
	struct request *r = user;
	struct nri *n = r->plugin->n;
	const struct nri_host *host = &n->settings.host;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;

	for (size_t i = 0; i < r->req->n_update; i++) {
		NRI(ContainerUpdate) *u = r->req->update[i];
		struct oci_resources resources = { 0 };
		struct nri_update update = {
			.id = u->container_id, .resources = &resources, .ignore_failure = u->ignore_failure,
			.plugin = r->plugin->name,
		};
		struct err err = ERR_INIT;
		int res = 0;

		if (u->linux && u->linux->resources)
			res = nri_read_resources(u->linux->resources, &a, &resources, &err);
		if (res == 0)
			res = host->update(&update, host->user, &err);
		if (res == 0)
			continue;
		nri_say(n, LOG_WARN, "NRI plugin %s: update of container %s: %s", r->plugin->name,
			u->container_id,
			err.text);
		if (!u->ignore_failure)
			r->failed[r->n_failed++] = u;
	}
	for (size_t i = 0; i < r->req->n_evict; i++) {
		struct nri_eviction evict = {
			.id = r->req->evict[i]->container_id,
			.reason = nri_text(r->req->evict[i]->reason, &a),
			.plugin = r->plugin->name,
		};
		struct err err = ERR_INIT;

		if (host->evict(&evict, host->user, &err) < 0)
			nri_say(n, LOG_WARN, "NRI plugin %s: eviction of container %s: %s", r->plugin->name,
				evict.id, err.text);
	}
	nri_work_end(n);
}

static void request_done(void *user)
{
	struct request *r = user;
	NRI(UpdateContainersResponse) res = NRI__PKG__API__V1ALPHA1__UPDATE_CONTAINERS_RESPONSE__INIT;

	res.failed = r->failed;
	res.n_failed = r->n_failed;
	ttrpc_call_reply_pb(r->call, &res.base);
	r->plugin->n_requests--;
	nri_plugin_unref(r->plugin);
	free(r->failed);
	free(r);
}

void nri_on_update_containers(struct ttrpc_call *call, const void *request, void *user)
{
	const NRI(UpdateContainersRequest) *req = request;
	struct nri_plugin *p = user;
	struct request *r;

	if (!p->registered)
		return ttrpc_call_fail_text(call, RPC_FAILED_PRECONDITION, "not registered");
	if (p->n_requests >= NRI_REQUESTS_MAX)
		return ttrpc_call_fail_text(call, RPC_RESOURCE_EXHAUSTED,
					    "%u requests of this plugin run already",
					    p->n_requests);
	r = mem_new(1, sizeof(*r));
	r->plugin = p;
	r->call = call;
	r->req = req;
	r->failed = mem_new(req->n_update + 1, sizeof(*r->failed));
	atomic_fetch_add(&p->refs, 1);
	p->n_requests++;
	if (nri_work(p->n, request_work, request_done, r) < 0) {
		ttrpc_call_fail_text(call, RPC_UNAVAILABLE, "no thread for it");
		p->n_requests--;
		nri_plugin_unref(p);
		free(r->failed);
		free(r);
	}
}
