/*
 * caisson.v1.Images: what CRI has no call for. All of it on worker threads. Paths are the
 * daemon's own host's, and who may use the socket is root there.
 */
#include "cri/call.h"

#include "image/diff.h"
#include "image/image.h"

#include "caisson.pb-c.h"

#include <malloc.h>
#include <sys/stat.h>

#define OWN_NEW(c, type) wire_new(&caisson__v1__##type##__descriptor, &(c)->arena)

static int required(const char *value, const char *field, struct err *err)
{
	return str_empty(value) ? wire_wrong(NULL, field, err, "required") : 0;
}

CRI_METHOD(import)
{
	const Caisson__V1__ImportRequest *req = request;
	Caisson__V1__ImportResponse *res = wire_new(&caisson__v1__import_response__descriptor, &c->arena);
	struct image_table *images = c->cri->settings.images;
	const char *name = *req->name ? req->name : NULL, *which = *req->which ? req->which : NULL;
	CLEANUP(image_imported_done) struct image_imported done = IMAGE_IMPORTED_INIT;
	struct stat st;
	int r;

	cri_subject(c, "%s", req->path);
	if (req->path[0] != '/')
		return wire_wrong(NULL, "path", err, "%s is no absolute path", req->path);
	if (stat(req->path, &st) < 0)
		return err_sys(err, errno, "import %s", req->path);
	r = S_ISDIR(st.st_mode) ? image_import_layout(images, req->path, which, name, &done, err)
				: image_import_archive(images, req->path, which, name, &done, err);
	malloc_trim(0);
	if (r < 0)
		return r;
	res->image_ids = arena_new(&c->arena, done.n + 1, sizeof(*res->image_ids));
	for (size_t i = 0; i < done.n; i++)
		res->image_ids[res->n_image_ids++] = arena_strdup(&c->arena, done.ids[i]);
	c->result = res->image_id = res->image_ids[0];
	cri_reply(c, res);
	return 0;
}

CRI_METHOD(tag)
{
	const Caisson__V1__TagRequest *req = request;
	Caisson__V1__TagResponse *res = OWN_NEW(c, tag_response);
	char canonical[REFERENCE_TEXT_MAX];
	struct reference ref;
	int r;

	cri_subject(c, "%s %s", req->image, req->name);
	if ((r = required(req->image, "image", err)) < 0 || (r = required(req->name, "name", err)) < 0)
		return r;
	r = image_tag(c->cri->settings.images, req->image, req->name, err);
	if (r < 0)
		return err_wrap(err, r, "tag %s", req->image);
	if (reference_parse(req->name, &ref, NULL) == 0)
		c->result = res->name = arena_strdup(&c->arena, reference_format(&ref, canonical));
	cri_reply(c, res);
	return 0;
}

static void copy_names(struct cri_call *c, char **names, size_t n, Caisson__V1__UntagResponse *res)
{
	for (size_t i = 0; i < n; i++)
		res->untagged[res->n_untagged++] = arena_strdup(&c->arena, names[i]);
}

/* A name that is not the last tag goes alone. With the last one, or by id, the image does. */
CRI_METHOD(untag)
{
	const Caisson__V1__UntagRequest *req = request;
	Caisson__V1__UntagResponse *res = OWN_NEW(c, untag_response);
	struct image_table *images = c->cri->settings.images;
	char canonical[REFERENCE_TEXT_MAX] = "";
	struct reference ref;
	struct image *img;
	bool tag, digest;
	int r;

	cri_subject(c, "%s", req->name);
	r = required(req->name, "name", err);
	if (r == 0)
		r = image_get(images, req->name, &img, err);
	if (r < 0)
		return r;
	if (reference_parse(req->name, &ref, NULL) == 0)
		reference_format(&ref, canonical);
	tag = str_in(canonical, (const char *const *)img->repo_tags, img->n_repo_tags);
	digest = str_in(canonical, (const char *const *)img->repo_digests, img->n_repo_digests);
	res->untagged = arena_new(&c->arena, img->n_repo_tags + img->n_repo_digests + 1, sizeof(char *));
	if ((tag && img->n_repo_tags > 1) || (digest && img->n_repo_tags + img->n_repo_digests > 1)) {
		res->untagged[res->n_untagged++] = arena_strdup(&c->arena, canonical);
		r = image_untag(images, canonical, err);
	} else {
		copy_names(c, img->repo_tags, img->n_repo_tags, res);
		copy_names(c, img->repo_digests, img->n_repo_digests, res);
		c->result = res->removed = arena_strdup(&c->arena, img->id);
		r = image_remove(images, img->id, err);
	}
	image_unref(img);
	if (r == 0)
		cri_reply(c, res);
	return r;
}

CRI_METHOD(prune)
{
	CLEANUP(image_collected_done) struct image_collected done = IMAGE_COLLECTED_INIT;
	const Caisson__V1__PruneRequest *req = request;
	Caisson__V1__PruneResponse *res = OWN_NEW(c, prune_response);
	const struct image_collect what = { .untagged_only = !req->all, .dry_run = req->dry_run };
	int r = image_collect(c->cri->settings.images, &what, &done, err);

	if (r < 0)
		return r;
	res->images = arena_new(&c->arena, done.n + 1, sizeof(*res->images));
	for (size_t i = 0; i < done.n; i++) {
		Caisson__V1__PrunedImage *m = OWN_NEW(c, pruned_image);

		m->id = arena_strdup(&c->arena, done.ids[i]);
		m->name = arena_strdup(&c->arena, done.names[i]);
		res->images[res->n_images++] = m;
	}
	res->bytes = done.bytes;
	cri_reply(c, res);
	return 0;
}

CRI_METHOD(export)
{
	const Caisson__V1__ExportRequest *req = request;
	Caisson__V1__ExportResponse *res = OWN_NEW(c, export_response);
	const size_t n = 1 + req->n_more;
	const char **names = arena_new(&c->arena, n, sizeof(*names));
	struct image_exported *done = arena_new(&c->arena, n, sizeof(*done));
	struct image_export what = { .names = names, .n_names = n, .path = req->path, .directory = req->directory };
	int r;

	cri_subject(c, "%s %s", req->image, req->path);
	names[0] = req->image;
	for (size_t i = 1; i < n; i++)
		names[i] = req->more[i - 1];
	for (size_t i = 0; i < n; i++)
		if ((r = required(names[i], "image", err)) < 0)
			return r;
	if (req->path[0] != '/')
		return wire_wrong(NULL, "path", err, "%s is no absolute path", req->path);
	if (str_eq(req->format, "docker"))
		what.format = IMAGE_EXPORT_DOCKER;
	else if (*req->format && !str_eq(req->format, "oci"))
		return wire_wrong(NULL, "format", err, "%s is neither oci nor docker", req->format);
	r = image_export(c->cri->settings.images, &what, done, err);
	malloc_trim(0);
	if (r < 0)
		return r;
	c->result = res->image_id = done[0].id;
	res->digest = done[0].digest;
	res->made_anew = done[0].made_anew;
	res->more = arena_new(&c->arena, n, sizeof(*res->more));
	for (size_t i = 1; i < n; i++) {
		Caisson__V1__Exported *m = OWN_NEW(c, exported);

		m->image_id = done[i].id;
		m->digest = done[i].digest;
		m->made_anew = done[i].made_anew;
		res->more[res->n_more++] = m;
	}
	cri_reply(c, res);
	return 0;
}

enum { DAMAGE_MAX = 10000 };

struct damages {
	struct cri_call *c;
	Caisson__V1__VerifyResponse *res;
};

static void add_damage(const char *image, const char *layer, const char *path, const char *what, void *user)
{
	struct damages *d = user;
	Caisson__V1__Damage *m;

	if (d->res->found++ >= DAMAGE_MAX)
		return;
	m = OWN_NEW(d->c, damage);
	m->image = arena_strdup(&d->c->arena, image);
	m->layer = arena_strdup(&d->c->arena, layer);
	m->path = arena_strdup(&d->c->arena, path);
	m->what = arena_strdup(&d->c->arena, what);
	d->res->damage[d->res->n_damage++] = m;
}

/* Damage is the answer, also when it could not be repaired: then it says why. */
CRI_METHOD(verify)
{
	const Caisson__V1__VerifyRequest *req = request;
	Caisson__V1__VerifyResponse *res = OWN_NEW(c, verify_response);
	const struct image_verify what = { .name = *req->image ? req->image : NULL, .repair = req->repair };
	struct damages d = { c, res };
	struct image_verified done;
	int r;

	cri_subject(c, "%s", *req->image ? req->image : "all images");
	res->damage = arena_new(&c->arena, DAMAGE_MAX, sizeof(*res->damage));
	r = image_verify(c->cri->settings.images, &what, add_damage, &d, &done, err);
	malloc_trim(0);
	if (r < 0 && !done.damaged)
		return r;
	if (r < 0)
		res->failure = arena_strdup(&c->arena, err->text);
	res->layers = done.layers;
	res->damaged = done.damaged;
	res->repaired = done.repaired;
	err_clear(err);
	cri_reply(c, res);
	return 0;
}

struct changes {
	struct cri_call *c;
	Caisson__V1__Change **list;
	size_t n;
};

static int add_change(char kind, const char *path, void *user)
{
	struct changes *l = user;
	Caisson__V1__Change *m = OWN_NEW(l->c, change);

	m->kind = arena_printf(&l->c->arena, "%c", kind);
	m->path = arena_strdup(&l->c->arena, path);
	if ((l->n & (l->n - 1)) == 0)
		l->list = mem_grow(l->list, l->n ? 2 * l->n : 1, sizeof(*l->list));
	l->list[l->n++] = m;
	return 0;
}

CRI_METHOD(diff)
{
	const Caisson__V1__DiffRequest *req = request;
	Caisson__V1__DiffResponse *res = OWN_NEW(c, diff_response);
	struct image_table *images = c->cri->settings.images;
	struct changes l = { .c = c };
	int r;

	cri_subject(c, "%s", *req->container ? req->container : req->image);
	r = *req->container ? 0 : required(req->from, "from", err);
	if (r == 0 && !*req->container)
		r = required(req->image, "image", err);
	if (r < 0)
		return r;
	r = *req->container ? image_diff_snapshot(images, req->container, add_change, &l, err) :
			      image_diff(images, req->from, req->image, add_change, &l, err);
	if (r == 0) {
		res->changes = arena_new(&c->arena, l.n + 1, sizeof(*res->changes));
		if (l.n)
			memcpy(res->changes, l.list, l.n * sizeof(*l.list));
		res->n_changes = l.n;
		cri_reply(c, res);
	}
	free(l.list);
	return r;
}
