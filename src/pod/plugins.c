/*
 * See the header. What is told is copied under the manager's lock first; config.json is read
 * outside of it.
 */
#include "pod/plugins.h"

#include "pod/spec.h"

#include <fcntl.h>

/* ---- what they see ---- */

static struct json_kv *copy_map(const struct json_kv *from, size_t n, struct arena *a)
{
	struct json_kv *to = arena_new(a, n + 1, sizeof(*to));

	for (size_t i = 0; i < n; i++)
		to[i] = (struct json_kv){ arena_strdup(a, from[i].key), arena_strdup(a, from[i].value) };
	return to;
}

/* What plugins have not asked for cannot be refused here: NULL for limits that make no sense. */
static const struct oci_resources *limits(struct pod_manager *m, const struct pod_resources *r,
					  struct arena *a)
{
	struct oci_resources *out = arena_new(a, 1, sizeof(*out));
	struct pod_resources *copy;

	if (!r || pod_resources_copy(r, a, &copy, NULL) < 0 ||
	    pod_resources_oci(&m->host, copy, a, out, NULL) < 0)
		return NULL;
	return out;
}

/* Under the lock. */
static void see_pod(const struct pod_sandbox *p, struct arena *a, struct nri_pod *ret)
{
	static const char *const kinds[] = { "uts", "ipc", "pid" };
	const struct pod_config *c = p->config;
	char **ips = arena_new(a, p->n_ips + 1, sizeof(char *));
	struct oci_namespace *ns = arena_new(a, ARRAY_LEN(kinds) + 1, sizeof(*ns));
	size_t n = 0;

	for (size_t i = 0; i < p->n_ips; i++)
		ips[i] = arena_strdup(a, p->ips[i]);
	if (p->netns)
		ns[n++] = (struct oci_namespace){ arena_strdup(a, "network"), arena_strdup(a, p->netns) };
	for (size_t i = 0; i < ARRAY_LEN(kinds) && p->pid; i++)
		ns[n++] = (struct oci_namespace){
			arena_strdup(a, kinds[i]), arena_printf(a, "/proc/%d/ns/%s", (int)p->pid, kinds[i]),
		};
	*ret = (struct nri_pod){
		.id = arena_strdup(a, p->id), .name = arena_strdup(a, c->name), .uid = arena_strdup(a,
												    c->uid),
		.ns = arena_strdup(a, c->ns), .handler = arena_strdup(a, c->handler ? c->handler : ""),
		.labels = copy_map(c->labels, c->n_labels, a), .n_labels = c->n_labels,
		.annotations = copy_map(c->annotations, c->n_annotations,
					a), .n_annotations = c->n_annotations,
		.overhead = limits(p->priv->m, c->overhead, a),
		.pod_resources = limits(p->priv->m, c->resources, a),
		.cgroup_parent = arena_strdup(a, c->cgroup_parent),
		.cgroups_path = arena_strdup(a, p->cgroup_path), .namespaces = ns, .n_namespaces = n,
		.pid = (uint32_t)p->pid, .ips = ips, .n_ips = p->n_ips,
	};
}

static enum nri_state state_of(const struct pod_container *c)
{
	static const enum nri_state states[] = {
		[POD_CREATED] = NRI_CREATED, [POD_RUNNING] = NRI_RUNNING, [POD_EXITED] = NRI_STOPPED,
		[POD_UNKNOWN] = NRI_UNKNOWN,
	};

	return states[c->state];
}

static char **copy_strings(char *const *list, size_t n, struct arena *a)
{
	char **copy = arena_new(a, n + 1, sizeof(*copy));

	for (size_t i = 0; i < n; i++)
		copy[i] = arena_strdup(a, list[i]);
	return copy;
}

static enum nri_profile seccomp_of(const struct pod_container_config *config)
{
	static const enum nri_profile profiles[] = {
		[POD_PROFILE_UNSET] = NRI_UNCONFINED, [POD_PROFILE_RUNTIME_DEFAULT] = NRI_RUNTIME_DEFAULT,
		[POD_PROFILE_UNCONFINED] = NRI_UNCONFINED, [POD_PROFILE_LOCALHOST] = NRI_LOCALHOST,
	};

	return config->security.privileged ? NRI_UNCONFINED : profiles[config->security.seccomp.kind];
}

/* Under the lock. */
static void see_container(const struct pod_container *c, struct arena *a, struct nri_container *ret)
{
	const struct pod_container_config *config = c->config;

	*ret = (struct nri_container){
		.id = arena_strdup(a, c->id), .pod_id = arena_strdup(a, c->pod->id),
		.name = arena_strdup(a, config->name), .state = state_of(c),
		.labels = copy_map(config->labels, config->n_labels, a), .n_labels = config->n_labels,
		.annotations = copy_map(config->annotations, config->n_annotations, a),
		.n_annotations = config->n_annotations, .pid = (uint32_t)c->pid, .created_at = c->created_at,
		.started_at = c->started_at, .finished_at = c->finished_at, .exit_code = c->exit_code,
		.reason = arena_strdup(a, c->reason), .message = arena_strdup(a, c->message),
		.image = arena_strdup(a, config->user_image && *config->user_image ? config->user_image :
										     config->image),
		.image_digest = arena_strdup(a, c->image_ref), .image_id = arena_strdup(a, c->image_id),
		.cdi_devices = copy_strings(config->cdi_devices, config->n_cdi_devices, a),
		.n_cdi_devices = config->n_cdi_devices, .seccomp = seccomp_of(config),
		.seccomp_path = arena_strdup(a, config->security.seccomp.localhost),
	};
}

/* One whose config.json cannot be read is told without it. */
static void see_config(const char *dir, struct arena *a, struct nri_container *ret)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX);
	struct oci_config *config = arena_new(a, 1, sizeof(*config));

	if (sys_file_read(AT_FDCWD, arena_printf(a, "%s/config.json", dir), OCI_CONFIG_MAX, &text) == 0 &&
	    oci_config_read(text.data, text.len, a, config, NULL) == 0)
		ret->config = config;
}

struct seen {
	struct arena a;
	struct nri_pod pod;
	struct nri_container container;
};

static void seen_done(struct seen *s)
{
	arena_done(&s->a);
}

static void see(struct seen *s, struct pod_sandbox *p, struct pod_container *c, bool with_config)
{
	struct pod_manager *m = p->priv->m;

	pod_lock(m);
	see_pod(p, &s->a, &s->pod);
	if (c)
		see_container(c, &s->a, &s->container);
	pod_unlock(m);
	if (c && with_config)
		see_config(c->dir, &s->a, &s->container);
}

/* ---- what exists, for one that comes later ---- */

static void on_list(struct arena *a, struct nri_listing *ret, void *user)
{
	struct pod_manager *m = user;
	char **dirs;

	pod_lock(m);
	ret->pods = arena_new(a, m->pods.n + 1, sizeof(*ret->pods));
	ret->containers = arena_new(a, m->containers.n + 1, sizeof(*ret->containers));
	dirs = arena_new(a, m->containers.n + 1, sizeof(*dirs));
	list_for_each(priv, &m->order, struct pod_sandbox_private, link) {
		if (!priv->told || priv->removed)
			continue;
		see_pod(priv->pod, a, &ret->pods[ret->n_pods++]);
		list_for_each(c, &priv->pod->containers, struct pod_container, link) {
			if (!c->priv->told || c->priv->told_stop || c->state == POD_EXITED)
				continue;
			dirs[ret->n_containers] = arena_strdup(a, c->dir);
			see_container(c, a, &ret->containers[ret->n_containers++]);
		}
	}
	pod_unlock(m);
	for (size_t i = 0; i < ret->n_containers; i++)
		see_config(dirs[i], a, &ret->containers[i]);
}

int pod_plugins_start(struct pod_manager *m, const struct nri_settings *settings, struct err *err)
{
	struct nri_settings s;

	m->settings.nri = NULL;
	if (!settings)
		return 0;
	s = *settings;
	s.host = (struct nri_host){ .list = on_list, .update = pod_wish_update, .evict = pod_wish_evict, .user = m };
	m->settings.nri = memcpy(arena_new(&m->arena, 1, sizeof(s)), &s, sizeof(s));
	/* what an earlier daemon made was told of then, or is told of by the synchronization */
	pod_lock(m);
	list_for_each(priv, &m->order, struct pod_sandbox_private, link) {
		priv->told = priv->pod->visible;
		priv->told_stop = priv->torn_down;
		list_for_each(c, &priv->pod->containers, struct pod_container, link) {
			c->priv->told = c->visible;
			c->priv->told_stop = c->state == POD_EXITED;
		}
	}
	pod_unlock(m);
	return nri_start(m->loop, &s, &m->nri, err);
}

/* ---- events ---- */

int pod_plugins_run(struct pod_sandbox *p, struct err *err)
{
	CLEANUP(seen_done) struct seen s = { .a = ARENA_INIT };
	struct pod_manager *m = p->priv->m;
	int r = 0;

	if (!m->nri)
		return 0;
	nri_begin(m->nri);
	p->priv->told = true;
	if (nri_has_plugins(m->nri)) {
		see(&s, p, NULL, false);
		r = nri_tell(m->nri, NRI_RUN_POD_SANDBOX, &s.pod, NULL, err);
	}
	nri_end(m->nri);
	return r;
}

int pod_plugins_update_pod(struct pod_sandbox *p, const struct pod_resources *overhead,
			   const struct pod_resources *resources, struct err *err)
{
	CLEANUP(seen_done) struct seen s = { .a = ARENA_INIT };
	struct pod_manager *m = p->priv->m;
	int r = 0;

	if (!m->nri)
		return 0;
	nri_begin(m->nri);
	if (p->priv->told && nri_has_plugins(m->nri)) {
		see(&s, p, NULL, false);
		r = nri_update_pod(m->nri, &s.pod, limits(m, overhead, &s.a), limits(m, resources, &s.a),
				   err);
	}
	nri_end(m->nri);
	return r;
}

/* What has happened: once, and an error is a line in the log. `mark`: a flag that says it was told. */
static void tell_after(struct pod_sandbox *p, struct pod_container *c, enum nri_event event, bool *mark,
		       bool unmark)
{
	CLEANUP(seen_done) struct seen s = { .a = ARENA_INIT };
	struct pod_manager *m = p->priv->m;
	struct err err = ERR_INIT;
	int r = 0;

	if (!m->nri)
		return;
	nri_begin(m->nri);
	if ((c ? c->priv->told : p->priv->told) && !(mark && *mark)) {
		if (nri_has_plugins(m->nri)) {
			see(&s, p, c, true);
			r = nri_tell(m->nri, event, &s.pod, c ? &s.container : NULL, &err);
		}
		if (mark)
			*mark = true;
		if (unmark)
			*(c ? &c->priv->told : &p->priv->told) = false;
	}
	nri_end(m->nri);
	if (r < 0)
		pod_plugins_say(m, c ? "container" : "pod", c ? c->id : p->id, &err);
}

void pod_plugins_after(enum nri_event event, struct pod_container *c)
{
	tell_after(c->pod, c, event, NULL, false);
}

void pod_plugins_after_pod(enum nri_event event, struct pod_sandbox *p)
{
	tell_after(p, NULL, event, NULL, false);
}

void pod_plugins_stopped_pod(struct pod_sandbox *p)
{
	tell_after(p, NULL, NRI_STOP_POD_SANDBOX, &p->priv->told_stop, false);
}

void pod_plugins_removed_pod(struct pod_sandbox *p)
{
	tell_after(p, NULL, NRI_REMOVE_POD_SANDBOX, NULL, true);
}

void pod_plugins_removed(struct pod_container *c)
{
	tell_after(c->pod, c, NRI_REMOVE_CONTAINER, NULL, true);
}

int pod_plugins_create(struct pod_container *c, struct oci_config *config, struct arena *a, char ***ret_cdi,
		       size_t *ret_n_cdi, struct err *err)
{
	CLEANUP(seen_done) struct seen s = { .a = ARENA_INIT };
	struct pod_manager *m = c->priv->m;
	struct nri_result result = { 0 };
	int32_t score;
	int r = 0;

	if (!m->nri)
		return 0;
	nri_begin(m->nri);
	c->priv->told = true;
	if (nri_has_plugins(m->nri)) {
		score = config->process->oom_score_adj ? *config->process->oom_score_adj : 0;
		see(&s, c->pod, c, false);
		s.container.config = config;
		r = nri_create(m->nri, &s.pod, &s.container, config, a, &result, err);
		if (r == 0)
			r = pod_wish_limits(c, config, score, err);
	}
	nri_end(m->nri);
	if (r < 0)
		return r;
	*ret_cdi = result.cdi_devices;
	*ret_n_cdi = result.n_cdi_devices;
	return pod_wishes(m, &result, err);
}

int pod_plugins_update(struct pod_container *c, struct pod_resources *change, struct oci_resources *extra,
		       struct arena *a, struct err *err)
{
	CLEANUP(seen_done) struct seen s = { .a = ARENA_INIT };
	struct pod_manager *m = c->priv->m;
	struct nri_result result = { 0 };
	struct oci_resources wanted = { 0 };
	bool asked = false;
	int r = 0;

	if (!m->nri)
		return 0;
	nri_begin(m->nri);
	if (c->priv->told && nri_has_plugins(m->nri)) {
		asked = true;
		see(&s, c->pod, c, true);
		r = pod_resources_oci(&m->host, change, a, &wanted, err);
		if (r == 0)
			r = nri_update(m->nri, &s.pod, &s.container, &wanted, a, &result, err);
	}
	nri_end(m->nri);
	if (r < 0 || !asked)
		return r;
	pod_wish_split(&wanted, a, change, extra);
	return pod_wishes(m, &result, err);
}

int pod_plugins_starting(struct pod_container *c, struct err *err)
{
	CLEANUP(seen_done) struct seen s = { .a = ARENA_INIT };
	struct pod_manager *m = c->priv->m;
	int r = 0;

	if (!m->nri)
		return 0;
	nri_begin(m->nri);
	if (c->priv->told && nri_has_plugins(m->nri)) {
		see(&s, c->pod, c, true);
		r = nri_tell(m->nri, NRI_START_CONTAINER, &s.pod, &s.container, err);
	}
	nri_end(m->nri);
	return r;
}

void pod_plugins_stopped(struct pod_container *c)
{
	CLEANUP(seen_done) struct seen s = { .a = ARENA_INIT };
	struct pod_manager *m = c->priv->m;
	struct nri_result result = { 0 };
	struct err err = ERR_INIT;
	int r = 0;

	if (!m->nri)
		return;
	nri_begin(m->nri);
	if (c->priv->told && !c->priv->told_stop && pod_container_in(c, POD_EXITED)) {
		if (nri_has_plugins(m->nri)) {
			see(&s, c->pod, c, true);
			r = nri_stop(m->nri, &s.pod, &s.container, &s.a, &result, &err);
		}
		c->priv->told_stop = true;
	}
	nri_end(m->nri);
	if (r == 0)
		r = pod_wishes(m, &result, &err);
	if (r < 0)
		pod_plugins_say(m, "container", c->id, &err);
}
