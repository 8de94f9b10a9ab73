/*
 * The table of images in memory: looking up, listing, removing, tagging. It is a copy of
 * what the store says, made anew after each change; an image that did not change keeps its
 * struct, so a reload costs a few rows and no parsing.
 */
#include "image/table.h"

#include <stdio.h>

enum { PREFIX_MIN = 3, PARALLEL = 3 };
/* how long what a pull has left waits for the next one */
#define PARTIAL_AGE (7 * 24 * 3600 * NSEC_PER_SEC)

static const struct image_limits default_limits = {
	.layer_bytes = UINT64_C(64) << 30,
	.layer_entries = 4000000,
	.layer_ratio = 1000,
	.layers = 500,
};

static void take_limits(struct image_limits *to, const struct image_limits *from)
{
	*to = default_limits;
	if (from->layer_bytes)
		to->layer_bytes = from->layer_bytes;
	if (from->layer_entries)
		to->layer_entries = from->layer_entries;
	if (from->layer_ratio)
		to->layer_ratio = from->layer_ratio;
	if (from->layers)
		to->layers = from->layers;
}

static struct registry_settings registry_settings_of(const struct image_settings *s)
{
	return (struct registry_settings){
		.insecure = s->insecure,
		.n_insecure = s->n_insecure,
		.ca_file = s->ca_file,
		.connect_timeout = s->connect_timeout,
		.stall_timeout = s->stall_timeout,
		.registries = s->registries,
		.n_registries = s->n_registries,
		.hosts_dirs = s->hosts_dirs,
		.n_hosts_dirs = s->n_hosts_dirs,
		.auth_files = s->auth_files,
		.n_auth_files = s->n_auth_files,
	};
}

void image_table_configure(struct image_table *t, const struct image_settings *settings)
{
	struct registry_settings rs = registry_settings_of(settings);

	registry_configure(t->registry, &rs);
}

int image_table_new(struct store *store, const struct image_settings *settings, struct image_table **ret,
		    struct buf *note, struct err *err)
{
	static const struct image_settings defaults;
	struct image_table *t = mem_new(1, sizeof(*t));
	struct registry_settings rs;
	pthread_condattr_t attr;
	int r;

	if (!settings)
		settings = &defaults;
	t->store = store;
	pthread_mutex_init(&t->mutex, NULL);
	pthread_mutex_init(&t->change, NULL);
	pthread_mutex_init(&t->implied, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->cond, &attr);
	pthread_condattr_destroy(&attr);
	list_init(&t->pulls);
	list_init(&t->layers);
	t->parallel = settings->parallel ? settings->parallel : PARALLEL;
	take_limits(&t->limits, &settings->limits);
	t->gc_high = settings->gc_high;
	t->gc_low = settings->gc_low;
	t->collected = settings->collected;
	t->collected_user = settings->user;
	t->pinned = mem_new(settings->n_pinned + 1, sizeof(char *));
	for (size_t i = 0; i < settings->n_pinned; i++) {
		char canonical[REFERENCE_TEXT_MAX];
		struct reference ref;

		r = reference_parse(settings->pinned[i], &ref, err);
		if (r < 0) {
			image_table_free(t);
			return err_wrap(err, r, "pinned images");
		}
		t->pinned[t->n_pinned++] = mem_strdup(reference_format(&ref, canonical));
	}
	rs = registry_settings_of(settings);
	store_partial_sweep(store, PARTIAL_AGE);
	r = registry_new(&rs, &t->registry, err);
	if (r == 0)
		r = image_table_reload(t, note, err);
	if (r < 0) {
		image_table_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

static void drop_images(struct image **images, size_t n)
{
	for (size_t i = 0; i < n; i++)
		image_unref(images[i]);
	free(images);
}

/* ---- reload ---- */

struct reload {
	struct image_table *table;
	struct image **images;
	size_t n;
	struct buf *note;
};

static bool unchanged(const struct image *img, const char *doc, char **refs, size_t n_refs)
{
	size_t tags = 0, digests = 0;

	if (!str_eq(img->priv->doc, doc) || img->n_repo_tags + img->n_repo_digests != n_refs)
		return false;
	/* both lists are sorted as the store sorts them */
	for (size_t i = 0; i < n_refs; i++) {
		bool digest = strchr(refs[i], '@');

		if (digest ? digests >= img->n_repo_digests : tags >= img->n_repo_tags)
			return false;
		if (!str_eq(refs[i], digest ? img->repo_digests[digests++] : img->repo_tags[tags++]))
			return false;
	}
	return true;
}

static int reload_one(const char *id, const char *doc, char **refs, size_t n_refs, void *user)
{
	struct reload *l = user;
	struct image *img = NULL;
	struct err err = ERR_INIT;

	{
		WITH_MUTEX(&l->table->mutex);
		img = map_get(&l->table->names, id);
		img = img && unchanged(img, doc, refs, n_refs) ? image_ref(img) : NULL;
	}
	/* one damaged image is set aside, the others go on */
	if (!img && image_build(l->table, id, doc, refs, n_refs, &img, &err) < 0) {
		if (l->note)
			buf_printf(l->note, "%simage %s cannot be read: %s", l->note->len ? "; " : "", id,
				   err.text);
		return 0;
	}
	if ((l->n & (l->n - 1)) == 0)
		l->images = mem_grow(l->images, l->n ? 2 * l->n : 1, sizeof(*l->images));
	l->images[l->n++] = img;
	return 0;
}

static void put_names(struct map *names, struct image *img)
{
	map_put(names, img->id, img);
	for (size_t i = 0; i < img->n_repo_tags; i++)
		map_put(names, img->repo_tags[i], img);
	for (size_t i = 0; i < img->n_repo_digests; i++)
		map_put(names, img->repo_digests[i], img);
}

int image_table_reload(struct image_table *t, struct buf *note, struct err *err)
{
	struct reload l = { t, NULL, 0, note };
	struct map names = MAP_INIT, old_names;
	struct image **old;
	uint64_t bytes = 0, inodes = 0;
	size_t n_old;
	int r = store_image_list(t->store, reload_one, &l, err);

	if (r == 0)
		r = store_usage(t->store, &bytes, &inodes, err);
	if (r < 0) {
		drop_images(l.images, l.n);
		return r;
	}
	for (size_t i = 0; i < l.n; i++)
		put_names(&names, l.images[i]);
	{
		WITH_MUTEX(&t->mutex);
		old = t->images;
		n_old = t->n_images;
		old_names = t->names;
		t->images = l.images;
		t->n_images = l.n;
		t->names = names;
		t->used_bytes = bytes;
		t->used_inodes = inodes;
		t->version++;
	}
	map_done(&old_names);
	drop_images(old, n_old);
	return 0;
}

void image_table_free(struct image_table *t)
{
	if (!t)
		return;
	image_pulls_end(t);
	drop_images(t->images, t->n_images);
	map_done(&t->names);
	registry_free(t->registry);
	for (size_t i = 0; i < t->n_pinned; i++)
		free(t->pinned[i]);
	free(t->pinned);
	pthread_cond_destroy(&t->cond);
	pthread_mutex_destroy(&t->implied);
	pthread_mutex_destroy(&t->change);
	pthread_mutex_destroy(&t->mutex);
	free(t);
}

/* ---- looking up ---- */

uint64_t image_table_version(const struct image_table *t)
{
	return t->version;
}

/* Under the mutex: 1 found, 0 none, -ENOTUNIQ. */
static int by_prefix(struct image_table *t, const char *hex, struct image **ret)
{
	size_t len = strlen(hex);
	int found = 0;

	if (len < PREFIX_MIN || len > 64 || strspn(hex, "0123456789abcdef") != len)
		return 0;
	for (size_t i = 0; i < t->n_images; i++)
		if (strncmp(t->images[i]->id + strlen("sha256:"), hex, len) == 0) {
			if (found++)
				return -ENOTUNIQ;
			*ret = t->images[i];
		}
	return found;
}

int image_get(struct image_table *t, const char *name, struct image **ret, struct err *err)
{
	char canonical[REFERENCE_TEXT_MAX];
	const char *hex = str_skip_prefix(name, "sha256:");
	struct image *img = NULL;
	struct reference ref;
	struct err why = ERR_INIT;
	bool valid;
	int r = 0;

	valid = reference_parse(name, &ref, &why) == 0;
	WITH_MUTEX(&t->mutex);
	if (valid)
		img = map_get(&t->names, reference_format(&ref, canonical));
	if (!img)
		r = by_prefix(t, hex ? hex : name ? name : "", &img);
	if (r < 0)
		return err_set(err, ERR_INVALID, "image %s: several ids begin like this", name);
	if (img) {
		*ret = image_ref(img);
		return 0;
	}
	if (!valid && !oci_digest_valid(name) && !(strlen(name) == 64 &&
						   strspn(name, "0123456789abcdef") == 64)) {
		if (err)
			*err = why;
		return -EINVAL;
	}
	return err_sysk(err, ERR_NOT_FOUND, ENOENT, "image %s", name);
}

void image_list(struct image_table *t, struct image ***ret, size_t *ret_n)
{
	WITH_MUTEX(&t->mutex);
	*ret = mem_new(t->n_images + 1, sizeof(**ret));
	for (size_t i = 0; i < t->n_images; i++)
		(*ret)[i] = image_ref(t->images[i]);
	*ret_n = t->n_images;
}

void image_list_free(struct image **list, size_t n)
{
	drop_images(list, n);
}

void image_fs_usage(struct image_table *t, uint64_t *ret_bytes, uint64_t *ret_inodes)
{
	WITH_MUTEX(&t->mutex);
	*ret_bytes = t->used_bytes;
	*ret_inodes = t->used_inodes;
}

/* ---- changing ---- */

int image_remove(struct image_table *t, const char *name, struct err *err)
{
	struct image *img = NULL;
	struct err why = ERR_INIT;
	int r;

	WITH_MUTEX(&t->change);
	r = image_get(t, name, &img, &why);
	if (r < 0) {
		if (why.kind == ERR_NOT_FOUND)
			return 0;
		if (err)
			*err = why;
		return r;
	}
	r = store_image_remove(t->store, img->id, err);
	if (r == 0)
		r = image_table_reload(t, NULL, err);
	image_unref(img);
	return r < 0 ? err_wrap(err, r, "remove image %s", name) : 0;
}

int image_tag(struct image_table *t, const char *name, const char *new_ref, struct err *err)
{
	char canonical[REFERENCE_TEXT_MAX];
	struct image *img = NULL;
	struct reference ref;
	int r = reference_parse(new_ref, &ref, err);

	if (r < 0)
		return r;
	if (*ref.digest)
		return err_set(err, ERR_INVALID, "tag %s: a digest cannot be given, only found", new_ref);
	WITH_MUTEX(&t->change);
	r = image_get(t, name, &img, err);
	if (r < 0)
		return r;
	r = store_ref_set(t->store, reference_format(&ref, canonical), img->id, err);
	if (r == 0)
		r = image_table_reload(t, NULL, err);
	image_unref(img);
	return r;
}

static struct image *by_name(struct image_table *t, const char *canonical)
{
	struct image *img;

	WITH_MUTEX(&t->mutex);
	img = map_get(&t->names, canonical);
	return img ? image_ref(img) : NULL;
}

int image_untag(struct image_table *t, const char *ref, struct err *err)
{
	char canonical[REFERENCE_TEXT_MAX];
	struct reference parsed;
	struct image *img = NULL;
	int r = reference_parse(ref, &parsed, err);

	if (r < 0)
		return r;
	reference_format(&parsed, canonical);
	WITH_MUTEX(&t->change);
	img = by_name(t, canonical);
	if (!img)
		return err_sysk(err, ERR_NOT_FOUND, ENOENT, "image %s", ref);
	if (img->n_repo_tags + img->n_repo_digests == 1)
		r = store_image_remove(t->store, img->id, err);
	else
		r = store_ref_remove(t->store, canonical, err);
	if (r == 0)
		r = image_table_reload(t, NULL, err);
	image_unref(img);
	return r;
}
