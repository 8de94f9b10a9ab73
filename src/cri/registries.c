/*
 * Pulls as they run, their counters, and what the daemon knows about registries: which hosts a
 * pull would ask, and what they say.
 */
#include "cri/call.h"

#include "image/image.h"
#include "registry/registry.h"

#include "caisson.pb-c.h"

CRI_METHOD(explain)
{
	static const char *const outcomes[] = {
		[REGISTRY_HAS] = "has it",
		[REGISTRY_FAILED] = "failed",
		[REGISTRY_NOT_ALLOWED] = "not asked: its capabilities do not include this",
		[REGISTRY_NOT_NEEDED] = "not asked: one before it has the image",
	};
	const Caisson__V1__ExplainRequest *req = request;
	Caisson__V1__ExplainResponse *res = wire_new(&caisson__v1__explain_response__descriptor, &c->arena);
	struct image_pull pull = { .name = req->image, .cancel = c->cancel };
	autofree struct registry_step *steps = NULL;
	size_t n = 0;
	int r;

	cri_subject(c, "%s", req->image);
	if (!*req->image)
		return wire_wrong(NULL, "image", err, "required");
	r = image_explain(c->cri->settings.images, &pull, &steps, &n, err);
	if (r < 0)
		return r;
	res->hosts = arena_new(&c->arena, n + 1, sizeof(*res->hosts));
	for (size_t i = 0; i < n; i++) {
		Caisson__V1__ExplainedHost *h = wire_new(&caisson__v1__explained_host__descriptor, &c->arena);
		const struct registry_step *s = &steps[i];

		h->address = arena_strdup(&c->arena, s->address);
		h->repository = arena_strdup(&c->arena, s->repository);
		h->source = arena_strdup(&c->arena, s->source);
		h->credentials = arena_strdup(&c->arena, s->credentials);
		h->capabilities = arena_strdup(&c->arena, s->capabilities);
		h->mirror = s->mirror;
		h->outcome = (char *)outcomes[s->outcome];
		h->text = s->outcome == REGISTRY_HAS ? arena_printf(&c->arena, "%s, %s", s->type, s->protocol)
						     : arena_strdup(&c->arena, s->err.text);
		h->found = s->outcome == REGISTRY_HAS;
		h->nanoseconds = s->duration;
		res->hosts[res->n_hosts++] = h;
	}
	cri_reply(c, res);
	return 0;
}

static Caisson__V1__Pull *message_of(struct cri_call *c, const struct image_pull_state *s)
{
	Caisson__V1__Pull *m = wire_new(&caisson__v1__pull__descriptor, &c->arena);
	const struct image_progress *g = &s->progress;

	m->image = arena_strdup(&c->arena, s->name);
	m->stage = arena_strdup(&c->arena, g->stage);
	m->began_at = s->began;
	m->waiters = s->waiters;
	m->done = g->done;
	m->total = g->total;
	m->layers = arena_new(&c->arena, g->layers + 1, sizeof(*m->layers));
	for (size_t i = 0; i < g->layers; i++) {
		Caisson__V1__PullLayer *l = wire_new(&caisson__v1__pull_layer__descriptor, &c->arena);

		l->digest = arena_strdup(&c->arena, g->each[i].digest);
		l->state = arena_strdup(&c->arena, g->each[i].state);
		l->done = g->each[i].done;
		l->total = g->each[i].total;
		m->layers[m->n_layers++] = l;
	}
	return m;
}

CRI_METHOD(pulls)
{
	const Caisson__V1__PullsRequest *req = request;
	Caisson__V1__PullsResponse *res = wire_new(&caisson__v1__pulls_response__descriptor, &c->arena);
	char wanted[REFERENCE_TEXT_MAX] = "";
	struct image_pull_state *list;
	struct reference ref;
	size_t n;

	if (*req->image) {
		int r = reference_parse(req->image, &ref, err);

		if (r < 0)
			return r;
		reference_format(&ref, wanted);
	}
	image_pulls(c->cri->settings.images, &list, &n);
	res->pulls = arena_new(&c->arena, n + 1, sizeof(*res->pulls));
	for (size_t i = 0; i < n; i++)
		if (!*wanted || str_eq(wanted, list[i].name))
			res->pulls[res->n_pulls++] = message_of(c, &list[i]);
	image_pulls_free(list, n);
	cri_reply(c, res);
	return 0;
}

int cri_image_metrics(struct image_table *images, struct buf *out)
{
	static const struct {
		const char *name, *kind, *help;
		size_t offset;
	} rows[] = {
#define ROW(member, name_, kind_, help_) \
	{ "caisson_" name_, kind_, help_, offsetof(struct image_counters, member) }
		ROW(running, "image_pulls_running", "gauge", "Pulls that run now."),
		ROW(begun, "image_pulls_begun_total", "counter", "Pulls that were begun."),
		ROW(joined, "image_pulls_joined_total", "counter", "Callers that found their pull running."),
		ROW(done, "image_pulls_done_total", "counter", "Pulls that succeeded."),
		ROW(failed, "image_pulls_failed_total", "counter", "Pulls that failed."),
		ROW(cancelled, "image_pulls_cancelled_total", "counter",
		    "Pulls that nobody waited for any more."),
		ROW(layers_fetched, "image_layers_fetched_total", "counter", "Layers fetched and unpacked."),
		ROW(layers_joined, "image_layers_joined_total", "counter",
		    "Layers another pull was fetching."),
		ROW(bytes_fetched, "image_bytes_fetched_total", "counter",
		    "Bytes of layers from registries."),
		ROW(bytes_resumed, "image_bytes_resumed_total", "counter",
		    "Bytes an earlier pull had fetched."),
		ROW(requests, "registry_requests_total", "counter", "Requests to registries."),
		ROW(retries, "registry_retries_total", "counter", "Transfers that broke off and went on."),
#undef ROW
	};
	struct image_counters counters;
	int r = 0;

	image_counters(images, &counters);
	for (size_t i = 0; i < ARRAY_LEN(rows) && r >= 0; i++) {
		const void *at = (const char *)&counters + rows[i].offset;

		r = buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", rows[i].name, rows[i].help,
			       rows[i].name, rows[i].kind, rows[i].name,
			       (unsigned long long)*(const uint64_t *)at);
	}
	return r;
}
