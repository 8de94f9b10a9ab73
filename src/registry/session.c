/*
 * One pull's view of one repository: the hosts that may have it, in their order. A request goes
 * to the first that can do it and, when that fails, to the next; a host that could not be
 * reached is asked last from then on, so that a dead mirror costs its time once.
 */
#include "registry/session.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

int registry_new(const struct registry_settings *settings, struct registry **ret, struct err *err)
{
	struct registry *reg = mem_new(1, sizeof(*reg));

	pthread_mutex_init(&reg->mutex, NULL);
	pool_init(&reg->pool);
	reg->policy = policy_new(settings);
	*ret = reg;
	return 0;
}

void registry_configure(struct registry *reg, const struct registry_settings *settings)
{
	struct policy *fresh = policy_new(settings), *old;

	pthread_mutex_lock(&reg->mutex);
	old = reg->policy;
	reg->policy = fresh;
	pthread_mutex_unlock(&reg->mutex);
	policy_unref(old);
}

void registry_counters(const struct registry *reg, uint64_t *ret_requests, uint64_t *ret_retries)
{
	*ret_requests = atomic_load(&reg->pool.requests);
	*ret_retries = atomic_load(&reg->pool.retries);
}

void registry_free(struct registry *reg)
{
	if (!reg)
		return;
	policy_unref(reg->policy);
	pool_done(&reg->pool);
	pthread_mutex_destroy(&reg->mutex);
	free(reg);
}

static const char *copy(struct arena *a, const char *s)
{
	return s ? arena_strdup(a, s) : "";
}

/* Is this the host that the caller's credentials are for? */
static bool is_for(const struct endpoint *e, const char *server)
{
	struct host named = { .next = NULL };

	if (str_empty(server))
		return !e->host->mirror;
	if (host_set_url(&named, server, false, &e->session->arena, NULL) < 0)
		return false;
	if (str_eq(named.name, "index.docker.io") || str_eq(named.name, "docker.io"))
		named.name = (char *)"registry-1.docker.io";
	return str_eq(named.name, e->host->name);
}

static int take_credentials(struct endpoint *e, const struct registry_credentials *c, struct err *err)
{
	struct arena *a = &e->session->arena;
	struct credentials *to = &e->credentials;
	int r = 0;

	*to = (struct credentials){ "", "", "", "", "" };
	if (!c || !is_for(e, c->server) ||
	    (str_empty(c->username) && str_empty(c->auth) && str_empty(c->identity_token) &&
	     str_empty(c->registry_token)))
		return 0;
	*to = (struct credentials){ copy(a, c->username), copy(a, c->password), copy(a, c->identity_token),
				    copy(a, c->registry_token), "the request" };
	e->looked_up = true;
	if (!*to->username && !str_empty(c->auth))
		r = credentials_split(c->auth, a, &to->username, &to->password, err);
	if (*to->registry_token) {
		e->authorization = mem_printf("Bearer %s", to->registry_token);
		e->generation = 1;
	}
	return r < 0 ? err_wrap(err, r, "credentials") : 0;
}

static int add_endpoints(struct registry_session *s, const struct registry_credentials *credentials,
			 struct err *err)
{
	struct endpoint *e;
	struct host *hosts;
	int r = hosts_choose(s->policy, s->registry, &s->arena, &hosts, err);

	if (r < 0)
		return r;
	for (struct host *h = hosts; h; h = h->next)
		s->n_endpoints++;
	e = s->endpoints = arena_new(&s->arena, s->n_endpoints, sizeof(*e));
	for (struct host *h = hosts; h && r == 0; h = h->next, e++) {
		e->session = s;
		e->host = h;
		e->repository = host_repository(h, s->repository, &s->arena);
		e->query = h->mirror ? arena_printf(&s->arena, "?ns=%s", s->registry) : "";
		r = take_credentials(e, credentials, err);
	}
	return r;
}

int registry_session_new(struct registry *reg, const char *host, const char *repository,
			 const struct registry_credentials *credentials, const atomic_bool *cancel,
			 struct registry_session **ret, struct err *err)
{
	struct registry_session *s = mem_new(1, sizeof(*s));
	int r;

	s->reg = reg;
	pool_session(&reg->pool, 1);
	pthread_mutex_lock(&reg->mutex);
	s->policy = policy_ref(reg->policy);
	pthread_mutex_unlock(&reg->mutex);
	s->registry = arena_strdup(&s->arena, host);
	s->repository = arena_strdup(&s->arena, repository);
	s->cancel = cancel;
	pthread_mutex_init(&s->mutex, NULL);
	r = add_endpoints(s, credentials, err);
	if (r < 0) {
		registry_session_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void registry_session_free(struct registry_session *s)
{
	struct arena a;

	if (!s)
		return;
	for (size_t i = 0; i < s->n_endpoints; i++)
		free(s->endpoints[i].authorization);
	policy_unref(s->policy);
	pool_session(&s->reg->pool, -1);
	pthread_mutex_destroy(&s->mutex);
	a = s->arena;
	free(s);
	arena_done(&a);
}

/* ---- the order of asking ---- */

enum { TRIED_MAX = HOSTS_MAX };

/* The next one to ask that was not tried: those that are up first, each in its order. */
static struct endpoint *next_endpoint(struct registry_session *s, bool resolve, const struct endpoint *last,
				      bool tried[TRIED_MAX])
{
	struct endpoint *found = NULL;
	int best = INT_MAX;

	pthread_mutex_lock(&s->mutex);
	for (size_t i = 0; i < s->n_endpoints; i++) {
		struct endpoint *e = &s->endpoints[i];

		if (tried[i] || !(resolve ? e->host->resolve : e->host->pull || e->host->resolve))
			continue;
		if (e->down + 2 * (e == last) < best) {
			best = e->down + 2 * (e == last);
			found = e;
		}
	}
	pthread_mutex_unlock(&s->mutex);
	if (found)
		tried[found - s->endpoints] = true;
	return found;
}

void session_set_down(struct endpoint *e)
{
	pthread_mutex_lock(&e->session->mutex);
	e->down = true;
	pthread_mutex_unlock(&e->session->mutex);
}

int session_nap(const atomic_bool *cancel, int64_t ns, struct err *err)
{
	int64_t until = time_now_mono() + ns;

	for (;;) {
		int64_t left = until - time_now_mono();

		if (cancel && atomic_load(cancel))
			return err_set(err, ERR_CANCELLED, "cancelled");
		if (left <= 0)
			return 0;
		if (left > 200 * NSEC_PER_MSEC)
			left = 200 * NSEC_PER_MSEC;
		nanosleep(&(struct timespec){ 0, left }, NULL);
	}
}

/* What one host said, in the list of what all said. */
static void add_failure(struct buf *all, struct endpoint *e, const struct err *err)
{
	char address[300];

	endpoint_address(e, address, sizeof(address));
	buf_printf(all, "%s%s: %s", all->len ? "; " : "", address, err->text);
}

int session_ask(struct registry_session *s, const struct endpoint_request *req, bool resolve,
		const char *what,
		const struct endpoint *last, struct endpoint **ret_endpoint, struct transfer **ret,
		const struct transfer_answer **ret_answer, struct err *err)
{
	CLEANUP(buf_done) struct buf all = BUF_INIT(HOSTS_MAX * ERR_TEXT_MAX);
	bool tried[TRIED_MAX] = { false };
	struct endpoint *e;
	size_t n = 0;
	int r = -EINVAL;

	while ((e = next_endpoint(s, resolve, last, tried))) {
		struct err one = ERR_INIT;

		r = endpoint_get(e, req, ret, ret_answer, &one);
		if (r == 0) {
			*ret_endpoint = e;
			return 0;
		}
		if (one.kind == ERR_CANCELLED) {
			if (err)
				*err = one;
			return r;
		}
		if (one.kind == ERR_UNAVAILABLE)
			session_set_down(e);
		add_failure(&all, e, &one);
		/* the last word is that of the registry itself, or of the last mirror */
		if (err)
			*err = one;
		n++;
	}
	if (!n)
		return err_set(err, ERR_INVALID, "%s: none of its hosts may %s", s->registry,
			       resolve ? "resolve tags" : "be pulled from");
	if (s->n_endpoints == 1)
		return err_wrap(err, r, "%s: %s", s->endpoints[0].host->name, what);
	if (err)
		snprintf(err->text, sizeof(err->text), "%s: %s: %.800s", s->registry, what, buf_text(&all));
	return r;
}

/* ---- what a pull needs ---- */

static const char manifest_types[] = "application/vnd.oci.image.index.v1+json, "
				     "application/vnd.docker.distribution.manifest.list.v2+json, "
				     "application/vnd.oci.image.manifest.v1+json, "
				     "application/vnd.docker.distribution.manifest.v2+json";

/* A reference by digest may come from a host that is not trusted with tags: it is checked. */
static bool is_tag(const char *reference)
{
	return !strchr(reference, ':');
}

int registry_manifest_get(struct registry_session *s, const char *reference, struct buf *out,
			  char type[REGISTRY_TYPE_MAX], struct err *err)
{
	autofree char *path = mem_printf("manifests/%s", reference), *what = mem_printf("manifest %s",
											reference);
	struct endpoint_request req = { .path = path, .accept = manifest_types };
	const struct transfer_answer *answer;
	struct endpoint *e;
	struct transfer *t;
	int r = pool_permit(&s->reg->pool, s->cancel, err);

	if (r < 0)
		return r;
	r = session_ask(s, &req, is_tag(reference), what, NULL, &e, &t, &answer, err);
	if (r < 0) {
		pool_permit_return(&s->reg->pool);
		return r;
	}
	snprintf(type, REGISTRY_TYPE_MAX, "%s", answer->type);
	r = transfer_read_all(t, out, err);
	transfer_free(t);
	pool_permit_return(&s->reg->pool);
	return r < 0 ? err_wrap(err, r, "%s: %s", e->host->name, what) : 0;
}

/* ---- explanation ---- */

static const char *capabilities(const struct host *h)
{
	return h->pull && h->resolve ? "pull, resolve" : h->pull ? "pull" : h->resolve ? "resolve" : "none";
}

/* Asks one host for the manifest, and says what came. */
static int explain_one(struct endpoint *e, const char *reference, struct registry_step *step)
{
	autofree char *path = mem_printf("manifests/%s", reference);
	struct endpoint_request req = { .path = path, .accept = manifest_types };
	const struct transfer_answer *answer;
	int64_t began = time_now_mono();
	struct transfer *t;
	int r = endpoint_get(e, &req, &t, &answer, &step->err);

	step->duration = time_now_mono() - began;
	if (r == 0) {
		snprintf(step->type, sizeof(step->type), "%s", answer->type);
		snprintf(step->protocol, sizeof(step->protocol), "%s", answer->protocol);
		transfer_free(t);
	}
	return r;
}

int registry_explain(struct registry_session *s, const char *reference, struct registry_step **ret,
		     size_t *ret_n,
		     struct err *err)
{
	struct registry_step *steps = mem_new(s->n_endpoints + 1, sizeof(*steps));
	bool found = false;

	for (size_t i = 0; i < s->n_endpoints; i++) {
		struct endpoint *e = &s->endpoints[i];
		struct registry_step *step = &steps[i];

		step->mirror = e->host->mirror;
		snprintf(step->repository, sizeof(step->repository), "%s", e->repository);
		snprintf(step->source, sizeof(step->source), "%s", e->host->source);
		snprintf(step->capabilities, sizeof(step->capabilities), "%s", capabilities(e->host));
		if (found) {
			step->outcome = REGISTRY_NOT_NEEDED;
		} else if (!(is_tag(reference) ? e->host->resolve : e->host->pull || e->host->resolve)) {
			step->outcome = REGISTRY_NOT_ALLOWED;
		} else if (explain_one(e, reference, step) == 0) {
			step->outcome = REGISTRY_HAS;
			found = true;
		} else {
			step->outcome = REGISTRY_FAILED;
			if (step->err.kind == ERR_CANCELLED) {
				if (err)
					*err = step->err;
				free(steps);
				return -ECANCELED;
			}
		}
		endpoint_address(e, step->address, sizeof(step->address));
		snprintf(step->credentials, sizeof(step->credentials), "%s", e->credentials.source);
	}
	*ret = steps;
	*ret_n = s->n_endpoints;
	return 0;
}
