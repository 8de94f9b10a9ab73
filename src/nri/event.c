/*
 * Events, to each plugin that wants them, in the order of their indices; under the turn.
 */
#include "nri/adjust.h"
#include "nri/plugin.h"

static const char *const methods[NRI_EVENTS] = {
	[NRI_RUN_POD_SANDBOX] = "RunPodSandbox",
	[NRI_STOP_POD_SANDBOX] = "StopPodSandbox",
	[NRI_REMOVE_POD_SANDBOX] = "RemovePodSandbox",
	[NRI_CREATE_CONTAINER] = "CreateContainer",
	[NRI_POST_CREATE_CONTAINER] = "PostCreateContainer",
	[NRI_START_CONTAINER] = "StartContainer",
	[NRI_POST_START_CONTAINER] = "PostStartContainer",
	[NRI_UPDATE_CONTAINER] = "UpdateContainer",
	[NRI_POST_UPDATE_CONTAINER] = "PostUpdateContainer",
	[NRI_STOP_CONTAINER] = "StopContainer",
	[NRI_REMOVE_CONTAINER] = "RemoveContainer",
	[NRI_UPDATE_POD_SANDBOX] = "UpdatePodSandbox",
	[NRI_POST_UPDATE_POD_SANDBOX] = "PostUpdatePodSandbox",
	[NRI_VALIDATE_CONTAINER_ADJUSTMENT] = "ValidateContainerAdjustment",
};

/* What there was before each event had a method of its own; these carry nothing else. */
#define BY_STATE_CHANGE                                                                             \
	(1u << (NRI_RUN_POD_SANDBOX - 1) | 1u << (NRI_STOP_POD_SANDBOX - 1) |                       \
	 1u << (NRI_REMOVE_POD_SANDBOX - 1) | 1u << (NRI_POST_CREATE_CONTAINER - 1) |               \
	 1u << (NRI_START_CONTAINER - 1) | 1u << (NRI_POST_START_CONTAINER - 1) |                   \
	 1u << (NRI_POST_UPDATE_CONTAINER - 1) | 1u << (NRI_REMOVE_CONTAINER - 1) |                 \
	 1u << (NRI_POST_UPDATE_POD_SANDBOX - 1))

/* All requests have the pod as field 1 and the container as field 2, and one has the message's bytes. */
struct subject {
	struct arena a;
	NRI(PodSandbox) *pod;
	NRI(Container) *container;
	struct buf bytes, state_change;
};

#define SUBJECT_INIT \
	{ ARENA_INIT, NULL, NULL, BUF_INIT(TTRPC_DATA_MAX - 1024), BUF_INIT(TTRPC_DATA_MAX - 1024) }

static void subject_done(struct subject *s)
{
	arena_done(&s->a);
	buf_done(&s->bytes);
	buf_done(&s->state_change);
}

static void subject_set(struct subject *s, const struct nri_pod *pod, const struct nri_container *container)
{
	s->pod = pod ? nri_write_pod(pod, &s->a) : NULL;
	s->container = container ? nri_write_container(container, &s->a) : NULL;
}

static int subject_pack(struct subject *s, struct err *err)
{
	NRI(StartContainerRequest) req = NRI__PKG__API__V1ALPHA1__START_CONTAINER_REQUEST__INIT;

	req.pod = s->pod;
	req.container = s->container;
	return rpc_pb_pack(&req.base, &s->bytes, err);
}

static int state_change(struct nri_plugin *p, enum nri_event event, struct subject *s, struct err *err)
{
	NRI(StateChangeEvent) req = NRI__PKG__API__V1ALPHA1__STATE_CHANGE_EVENT__INIT;
	int r = 0;

	req.event = (NRI(Event))event;
	req.pod = s->pod;
	req.container = s->container;
	if (!s->state_change.len)
		r = rpc_pb_pack(&req.base, &s->state_change, err);
	return r < 0 ? r : nri_plugin_call(p, "StateChange", &s->state_change, NULL, err);
}

/* One event to one plugin, if it wants it: 0 answered, 1 there is no answer, negative refused. */
static int deliver(struct nri_plugin *p, enum nri_event event, struct subject *s, const struct buf *bytes,
		   struct buf *out, struct err *err)
{
	uint32_t bit = 1u << (event - 1);
	int r;

	if (!nri_plugin_wants(p, event))
		return 1;
	if (!(p->by_state_change & bit)) {
		r = nri_plugin_call(p, methods[event], bytes, out, err);
		if (r >= 0 || err->kind != ERR_UNSUPPORTED)
			return r;
		err_clear(err);
		if (!(bit & BY_STATE_CHANGE)) {
			p->events &= ~bit; /* it asked for everything, and has not that */
			return 1;
		}
		p->by_state_change |= bit;
	}
	r = state_change(p, event, s, err);
	if (r < 0 && err->kind == ERR_UNSUPPORTED) {
		err_clear(err);
		p->events &= ~bit;
		return 1;
	}
	return r < 0 ? r : 1;
}

static bool anybody(const struct nri *n, enum nri_event event)
{
	for (size_t i = 0; i < n->n_active; i++)
		if (nri_plugin_wants(n->active[i], event))
			return true;
	return false;
}

int nri_tell(struct nri *n, enum nri_event event, const struct nri_pod *pod,
	     const struct nri_container *container, struct err *err)
{
	/* what can be refused; the rest has happened, and all are told of it */
	bool refusable = event == NRI_RUN_POD_SANDBOX || event == NRI_START_CONTAINER;
	CLEANUP(subject_done) struct subject s = SUBJECT_INIT;
	int r = 0, first = 0;

	if (!anybody(n, event))
		return 0;
	subject_set(&s, pod, container);
	first = subject_pack(&s, err);
	for (size_t i = 0; i < n->n_active && (first == 0 || !refusable); i++) {
		struct err own = ERR_INIT;

		r = deliver(n->active[i], event, &s, &s.bytes, NULL, &own);
		if (r < 0 && first == 0) {
			first = r;
			if (err)
				*err = own;
		}
	}
	return first;
}

int nri_update_pod(struct nri *n, const struct nri_pod *pod, const struct oci_resources *overhead,
		   const struct oci_resources *resources, struct err *err)
{
	CLEANUP(subject_done) struct subject s = SUBJECT_INIT;
	NRI(UpdatePodSandboxRequest) req = NRI__PKG__API__V1ALPHA1__UPDATE_POD_SANDBOX_REQUEST__INIT;
	int r;

	if (!anybody(n, NRI_UPDATE_POD_SANDBOX))
		return 0;
	subject_set(&s, pod, NULL);
	req.pod = s.pod;
	req.overhead_linux_resources = nri_write_resources(overhead, &s.a);
	req.linux_resources = nri_write_resources(resources, &s.a);
	r = rpc_pb_pack(&req.base, &s.bytes, err);
	for (size_t i = 0; i < n->n_active && r >= 0; i++)
		r = deliver(n->active[i], NRI_UPDATE_POD_SANDBOX, &s, &s.bytes, NULL, err);
	return r < 0 ? r : 0;
}

/* ---- updates and evictions that come with an answer ---- */

struct collect {
	struct nri_owners owners;
	struct arena *a;
	const char *id;                  /* the container of the event */
	struct oci_resources *resources; /* UpdateContainer: what it will get */
	bool creating;
	struct nri_result *ret;
};

#define COLLECT_INIT(...) { .owners = NRI_OWNERS_INIT, __VA_ARGS__ }

static void collect_done(struct collect *c)
{
	nri_owners_done(&c->owners);
}

static struct nri_update *update_of(struct collect *c, const char *id, const char *plugin, bool ignore)
{
	struct nri_result *ret = c->ret;

	for (size_t i = 0; i < ret->n_updates; i++) {
		if (str_eq(ret->updates[i].id, id)) {
			ret->updates[i].ignore_failure &= ignore;
			return &ret->updates[i];
		}
	}
	ret->updates = nri_adjust_room(c->a, ret->updates, ret->n_updates, 1, sizeof(*ret->updates));
	ret->updates[ret->n_updates] = (struct nri_update){
		.id = arena_strdup(c->a, id), .ignore_failure = ignore, .plugin = arena_strdup(c->a, plugin),
		.resources = arena_new(c->a, 1, sizeof(struct oci_resources)),
	};
	return &ret->updates[ret->n_updates++];
}

static int collect_updates(struct collect *c, const char *plugin, NRI(ContainerUpdate) *const *list, size_t n,
			   struct err *err)
{
	if (n > NRI_LIST_MAX)
		return err_set(err, ERR_INVALID, "NRI plugin %s: more than %d updates", plugin, NRI_LIST_MAX);
	for (size_t i = 0; i < n; i++) {
		const NRI(ContainerUpdate) *u = list[i];
		bool own = str_eq(u->container_id, c->id);
		struct oci_resources copy = { 0 };
		struct nri_update *to = NULL;
		int r;

		if (own && c->creating)
			return err_set(err, ERR_INVALID,
				       "NRI plugin %s: an update of container %s, which is only "
				       "being created", plugin, u->container_id);
		if (!own || !c->resources)
			to = update_of(c, u->container_id, plugin, u->ignore_failure);
		if (!u->linux || !u->linux->resources)
			continue;
		copy = to ? *to->resources : *c->resources;
		r = nri_apply_resources(u->linux->resources, &c->owners, u->container_id, plugin, true, c->a,
					&copy,
					err);
		if (r < 0 && !u->ignore_failure)
			return r;
		if (r < 0) {
			err_clear(err);
		} else if (to) {
			to->resources = memcpy(arena_new(c->a, 1, sizeof(copy)), &copy, sizeof(copy));
		} else {
			*c->resources = copy;
		}
	}
	return 0;
}

static int collect_evictions(struct collect *c, const char *plugin, NRI(ContainerEviction) *const *list,
			     size_t n,
			     struct err *err)
{
	struct nri_result *ret = c->ret;

	if (n > NRI_LIST_MAX)
		return err_set(err, ERR_INVALID, "NRI plugin %s: more than %d evictions", plugin,
			       NRI_LIST_MAX);
	ret->evictions = nri_adjust_room(c->a, ret->evictions, ret->n_evictions, n, sizeof(*ret->evictions));
	for (size_t i = 0; i < n; i++)
		ret->evictions[ret->n_evictions++] = (struct nri_eviction){
			arena_strdup(c->a, list[i]->container_id), nri_text(list[i]->reason, c->a),
			arena_strdup(c->a, plugin),
		};
	return 0;
}

/* ---- CreateContainer ---- */

/* Everything that plugins asked for, to those who may say no. */
static int validate(struct nri *n, struct subject *s, struct collect *c, const struct buf *adjustments,
		    struct err *err)
{
	NRI(ValidateContainerAdjustmentRequest) req =
		NRI__PKG__API__V1ALPHA1__VALIDATE_CONTAINER_ADJUSTMENT_REQUEST__INIT;
	CLEANUP(buf_done) struct buf bytes = BUF_INIT(TTRPC_DATA_MAX - 1024);
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *all = NULL;
	int r = 0;

	if (!anybody(n, NRI_VALIDATE_CONTAINER_ADJUSTMENT))
		return 0;
	/* messages one after the other are one message: lists add up, values follow the last */
	r = rpc_pb_unpack(NRI_TYPE(container_adjustment), adjustments->data, adjustments->len, &all, err);
	if (r < 0)
		return r;
	req.pod = s->pod;
	req.container = s->container;
	req.adjust = (NRI(ContainerAdjustment) *)all;
	req.owners = nri_owners_write(&c->owners, &s->a);
	req.plugins = arena_new(&s->a, n->n_active + 1, sizeof(*req.plugins));
	for (size_t i = 0; i < n->n_active; i++) {
		NRI(PluginInstance) *p = nri_pb_new(&s->a, NRI_TYPE(plugin_instance));

		p->index = arena_strndup(&s->a, n->active[i]->name, 2);
		p->name = arena_strdup(&s->a, n->active[i]->name + 3);
		req.plugins[req.n_plugins++] = p;
	}
	req.update = arena_new(&s->a, c->ret->n_updates + 1, sizeof(*req.update));
	for (size_t i = 0; i < c->ret->n_updates; i++) {
		NRI(ContainerUpdate) *u = nri_pb_new(&s->a, NRI_TYPE(container_update));

		u->container_id = c->ret->updates[i].id;
		u->ignore_failure = c->ret->updates[i].ignore_failure;
		u->linux = nri_pb_new(&s->a, NRI_TYPE(linux_container_update));
		u->linux->resources = nri_write_resources(c->ret->updates[i].resources, &s->a);
		req.update[req.n_update++] = u;
	}
	r = rpc_pb_pack(&req.base, &bytes, err);
	for (size_t i = 0; i < n->n_active && r >= 0; i++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(TTRPC_DATA_MAX);
		CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *answer = NULL;
		const NRI(ValidateContainerAdjustmentResponse) *res;
		struct nri_plugin *p = n->active[i];
		bool asked = nri_plugin_wants(p, NRI_VALIDATE_CONTAINER_ADJUSTMENT);

		r = deliver(p, NRI_VALIDATE_CONTAINER_ADJUSTMENT, s, &bytes, &out, err);
		if (r == 0)
			r = nri_plugin_answer(p, NRI_TYPE(validate_container_adjustment_response), &out,
					      &answer);
		/* who guards something and cannot be asked has not agreed */
		if (r == 1 && asked && p->closed)
			return err_set(err, ERR_UNAVAILABLE,
				       "NRI plugin %s: it validates adjustments and gave no "
				       "answer", p->name);
		if (r)
			continue;
		res = (const void *)answer;
		if (res->reject)
			return err_set(err, ERR_INVALID, "NRI plugin %s rejected the adjustment: %.500s",
				       p->name,
				       *res->reason ? nri_text(res->reason, &s->a) : "no reason given");
	}
	return r < 0 ? r : 0;
}

static int create_one(struct nri_plugin *p, struct subject *s, struct collect *c, struct nri_adjust *ad,
		      struct buf *adjustments, struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(TTRPC_DATA_MAX);
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *answer = NULL;
	const NRI(CreateContainerResponse) *res;
	int r = deliver(p, NRI_CREATE_CONTAINER, s, &s->bytes, &out, err);

	if (r == 0)
		r = nri_plugin_answer(p, NRI_TYPE(create_container_response), &out, &answer);
	if (r)
		return r;
	res = (const void *)answer;
	ad->plugin = p->name;
	if (res->adjust) {
		r = nri_adjust_apply(ad, res->adjust, err);
		if (r == 0)
			r = rpc_pb_pack(&res->adjust->base, adjustments, err);
	}
	if (r == 0)
		r = collect_updates(c, p->name, res->update, res->n_update, err);
	if (r == 0)
		r = collect_evictions(c, p->name, res->evict, res->n_evict, err);
	return r;
}

int nri_create(struct nri *n, const struct nri_pod *pod, const struct nri_container *container,
	       struct oci_config *config, struct arena *a, struct nri_result *ret, struct err *err)
{
	CLEANUP(collect_done) struct collect c =
		COLLECT_INIT(.a = a, .id = container->id, .creating = true, .ret = ret);
	CLEANUP(buf_done) struct buf adjustments = BUF_INIT(TTRPC_DATA_MAX);
	CLEANUP(subject_done) struct subject asked = SUBJECT_INIT;
	struct nri_adjust ad = { .owners = &c.owners, .id = container->id, .a = a, .config = config };
	struct nri_container seen = *container;
	int r = 0;

	if (!anybody(n, NRI_CREATE_CONTAINER) && !anybody(n, NRI_VALIDATE_CONTAINER_ADJUSTMENT))
		return 0;
	subject_set(&asked, pod, container); /* as it was asked for: for the validators */
	r = subject_pack(&asked, err);
	for (size_t i = 0; i < n->n_active && r >= 0; i++) {
		/* each sees what those before it made of it */
		CLEANUP(subject_done) struct subject s = SUBJECT_INIT;

		if (!nri_plugin_wants(n->active[i], NRI_CREATE_CONTAINER))
			continue;
		seen.config = config;
		subject_set(&s, pod, &seen);
		r = subject_pack(&s, err);
		if (r == 0)
			r = create_one(n->active[i], &s, &c, &ad, &adjustments, err);
	}
	if (r >= 0)
		r = validate(n, &asked, &c, &adjustments, err);
	ret->cdi_devices = ad.cdi;
	ret->n_cdi_devices = ad.n_cdi;
	return r < 0 ? r : 0;
}

/* ---- UpdateContainer, StopContainer ---- */

int nri_update(struct nri *n, const struct nri_pod *pod, const struct nri_container *container,
	       struct oci_resources *resources, struct arena *a, struct nri_result *ret, struct err *err)
{
	CLEANUP(collect_done) struct collect c =
		COLLECT_INIT(.a = a, .id = container->id, .resources = resources, .ret = ret);
	int r = 0;

	for (size_t i = 0; i < n->n_active && r >= 0; i++) {
		CLEANUP(subject_done) struct subject s = SUBJECT_INIT;
		CLEANUP(buf_done) struct buf out = BUF_INIT(TTRPC_DATA_MAX);
		CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *answer = NULL;
		NRI(UpdateContainerRequest) req = NRI__PKG__API__V1ALPHA1__UPDATE_CONTAINER_REQUEST__INIT;
		const NRI(UpdateContainerResponse) *res;
		struct nri_plugin *p = n->active[i];

		if (!nri_plugin_wants(p, NRI_UPDATE_CONTAINER))
			continue;
		subject_set(&s, pod, container);
		req.pod = s.pod;
		req.container = s.container;
		req.linux_resources = nri_write_resources(resources, &s.a);
		r = rpc_pb_pack(&req.base, &s.bytes, err);
		if (r == 0)
			r = deliver(p, NRI_UPDATE_CONTAINER, &s, &s.bytes, &out, err);
		if (r == 0)
			r = nri_plugin_answer(p, NRI_TYPE(update_container_response), &out, &answer);
		if (r)
			continue;
		res = (const void *)answer;
		r = collect_updates(&c, p->name, res->update, res->n_update, err);
		if (r == 0)
			r = collect_evictions(&c, p->name, res->evict, res->n_evict, err);
	}
	return r < 0 ? r : 0;
}

int nri_stop(struct nri *n, const struct nri_pod *pod, const struct nri_container *container, struct arena *a,
	     struct nri_result *ret, struct err *err)
{
	CLEANUP(collect_done) struct collect c = COLLECT_INIT(.a = a, .id = container->id, .ret = ret);
	CLEANUP(subject_done) struct subject s = SUBJECT_INIT;
	int r = 0, first = 0;

	if (!anybody(n, NRI_STOP_CONTAINER))
		return 0;
	subject_set(&s, pod, container);
	first = subject_pack(&s, err);
	/* it has stopped: all are told, whatever one of them says to it */
	for (size_t i = 0; i < n->n_active && s.bytes.len; i++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(TTRPC_DATA_MAX);
		CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *answer = NULL;
		const NRI(StopContainerResponse) *res;
		struct nri_plugin *p = n->active[i];
		struct err own = ERR_INIT;

		r = deliver(p, NRI_STOP_CONTAINER, &s, &s.bytes, &out, &own);
		if (r == 0)
			r = nri_plugin_answer(p, NRI_TYPE(stop_container_response), &out, &answer);
		res = (const void *)answer;
		if (r == 0)
			r = collect_updates(&c, p->name, res->update, res->n_update, &own);
		if (r < 0 && first == 0) {
			first = r;
			*err = own;
		}
	}
	return first;
}
