/* What the daemon knows about registries: which hosts a pull would ask, and what they say. */
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
		h->text = arena_strdup(&c->arena, s->outcome == REGISTRY_HAS ? s->type : s->err.text);
		h->found = s->outcome == REGISTRY_HAS;
		h->nanoseconds = s->duration;
		res->hosts[res->n_hosts++] = h;
	}
	cri_reply(c, res);
	return 0;
}
