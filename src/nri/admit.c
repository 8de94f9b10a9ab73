/*
 * From a registered plugin to one that hears events: Configure outside of the turn, then in one
 * turn Synchronize and its place in the list, so that nothing is missed and nothing comes twice.
 */
#include "nri/message.h"
#include "nri/plugin.h"

#include <stdio.h>

/* One message of Synchronize; a plugin may be told of thousands of containers. */
enum { SYNC_MAX = 2 << 20 };

static int configure(struct nri_plugin *p, struct err *err)
{
	NRI(ConfigureRequest) req = NRI__PKG__API__V1ALPHA1__CONFIGURE_REQUEST__INIT;
	CLEANUP(buf_done) struct buf in = BUF_INIT(TTRPC_DATA_MAX - 1024), out = BUF_INIT(TTRPC_DATA_MAX);
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *answer = NULL;
	const uint32_t all = (1u << (NRI_EVENTS - 1)) - 1;
	uint32_t events;
	int r;

	req.config = p->config ? p->config : (char *)"";
	req.runtime_name = (char *)"caisson";
	req.runtime_version = (char *)CAISSON_VERSION;
	req.registration_timeout = p->n->settings.registration_timeout / NSEC_PER_MSEC;
	req.request_timeout = p->n->settings.request_timeout / NSEC_PER_MSEC;
	req.nri_version = (char *)"v0.12.0";
	r = rpc_pb_pack(&req.base, &in, err);
	if (r == 0)
		r = nri_plugin_call(p, "Configure", &in, &out, err);
	if (r == 0)
		r = nri_plugin_answer(p, NRI_TYPE(configure_response), &out, &answer);
	if (r)
		return r < 0 ? r : err_set(err, ERR_UNAVAILABLE, "Configure: no answer");
	events = (uint32_t)((const NRI(ConfigureResponse) *)answer)->events;
	if (events & ~all)
		return err_set(err, ERR_INVALID, "it asks for events that do not exist: 0x%x", events & ~all);
	p->events = events ? events : all;
	return 0;
}

struct sync {
	NRI(SynchronizeRequest) req;
	size_t bytes;
	struct arena *a;
	struct nri_result *ret;
};

static int send_part(struct nri_plugin *p, struct sync *s, bool more, struct err *err)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(TTRPC_DATA_MAX - 1024), out = BUF_INIT(TTRPC_DATA_MAX);
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *answer = NULL;
	const NRI(SynchronizeResponse) *res;
	int r;

	s->req.more = more;
	r = rpc_pb_pack(&s->req.base, &in, err);
	if (r == 0)
		r = nri_plugin_call(p, "Synchronize", &in, &out, err);
	if (r == 0)
		r = nri_plugin_answer(p, NRI_TYPE(synchronize_response), &out, &answer);
	if (r)
		return r < 0 ? r : err_set(err, ERR_UNAVAILABLE, "Synchronize: no answer");
	res = (const void *)answer;
	if (more && (!res->more || res->n_update))
		return err_set(err, ERR_UNSUPPORTED, "Synchronize: it does not take more than one message");
	for (size_t i = 0; i < res->n_update && !more; i++) {
		const NRI(ContainerUpdate) *u = res->update[i];
		struct nri_result *ret = s->ret;
		struct oci_resources *to = arena_new(s->a, 1, sizeof(*to));

		if (i == 0)
			ret->updates = arena_new(s->a, res->n_update, sizeof(*ret->updates));
		if (u->linux && u->linux->resources &&
		    nri_read_resources(u->linux->resources, s->a, to, err) < 0)
			return -EINVAL;
		ret->updates[ret->n_updates++] = (struct nri_update){
			arena_strdup(s->a, u->container_id), to, u->ignore_failure, p->name,
		};
	}
	s->req.n_pods = s->req.n_containers = 0;
	s->bytes = 0;
	return 0;
}

static int room_for(struct nri_plugin *p, struct sync *s, const ProtobufCMessage *one, struct err *err)
{
	size_t size = protobuf_c_message_get_packed_size(one) + 16;
	int r = s->bytes && s->bytes + size > SYNC_MAX ? send_part(p, s, true, err) : 0;

	s->bytes += size;
	return r;
}

/* Under the turn. */
static int synchronize(struct nri_plugin *p, struct arena *a, struct nri_result *ret, struct err *err)
{
	struct sync s = { .req = NRI__PKG__API__V1ALPHA1__SYNCHRONIZE_REQUEST__INIT, .a = a, .ret = ret };
	const struct nri_host *host = &p->n->settings.host;
	struct nri_listing list = { 0 };
	int r = 0;

	host->list(a, &list, host->user);
	s.req.pods = arena_new(a, list.n_pods + 1, sizeof(*s.req.pods));
	s.req.containers = arena_new(a, list.n_containers + 1, sizeof(*s.req.containers));
	for (size_t i = 0; i < list.n_pods && r == 0; i++) {
		NRI(PodSandbox) *pod = nri_write_pod(&list.pods[i], a);

		r = room_for(p, &s, &pod->base, err);
		s.req.pods[s.req.n_pods++] = pod;
	}
	for (size_t i = 0; i < list.n_containers && r == 0; i++) {
		NRI(Container) *c = nri_write_container(&list.containers[i], a);

		r = room_for(p, &s, &c->base, err);
		s.req.containers[s.req.n_containers++] = c;
	}
	return r < 0 ? r : send_part(p, &s, false, err);
}

/* Under the turn; its place is by index, behind those of the same. */
static int enter(struct nri_plugin *p, struct err *err)
{
	struct nri *n = p->n;
	size_t at = n->n_active;

	if (n->n_active >= NRI_PLUGINS_MAX)
		return err_set(err, ERR_LIMIT, "there are %d plugins already", NRI_PLUGINS_MAX);
	n->active = mem_grow(n->active, n->n_active + 1, sizeof(struct nri_plugin *));
	while (at > 0 && strncmp(n->active[at - 1]->name, p->name, 2) > 0) {
		n->active[at] = n->active[at - 1];
		at--;
	}
	n->active[at] = p;
	n->n_active++;
	p->admitted = true;
	atomic_fetch_add(&p->refs, 1);
	return 0;
}

int nri_admit(struct nri_plugin *p, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct nri *n = p->n;
	const struct nri_host *host = &n->settings.host;
	struct nri_result result = { 0 };
	int r = configure(p, err);

	if (r < 0)
		return r;
	nri_begin(n);
	r = synchronize(p, &a, &result, err);
	if (r == 0)
		r = enter(p, err);
	nri_end(n);
	if (r < 0)
		return r;
	nri_say(n, LOG_INFO, "NRI plugin %s is registered", p->name);
	for (size_t i = 0; i < result.n_updates; i++) {
		struct err e = ERR_INIT;

		if (host->update(&result.updates[i], host->user, &e) < 0)
			nri_say(n, LOG_WARN, "NRI plugin %s: update of container %s: %s", p->name,
				result.updates[i].id, e.text);
	}
	return 0;
}
