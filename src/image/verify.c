/*
 * Looking for damage, and mending it. Mending is a pull: a damaged layer is condemned, so that
 * the pull does not find it, fetches it, and publishes it in its place; everything else is
 * there and is not fetched.
 */
#include "image/digest.h"
#include "image/sums.h"
#include "image/table.h"

#include <stdio.h>
#include <unistd.h>

struct verifying {
	struct image_table *table;
	const struct image_verify *what;
	struct image *img;
	const char *layer;
	size_t found; /* in this layer */
	image_damage_fn fn;
	void *user;
	struct image_verified *ret;
	struct map seen; /* layers, by number: images share them */
	struct arena arena;
	struct err *err;
};

static void on_damage(const char *path, const char *what, void *user)
{
	struct verifying *v = user;

	v->found++;
	v->fn(v->img->id, v->layer, path, what, v->user);
}

static int check_layer(struct verifying *v, const struct store_layer *l)
{
	autofd int dir = -EBADF, list = -EBADF;
	struct err why = ERR_INIT;
	int r;

	v->layer = l->digest;
	v->found = 0;
	v->ret->layers++;
	if (store_layer_open(v->table->store, l->id, &dir, NULL) < 0) {
		on_damage("", "its directory is missing", v);
		return 0;
	}
	r = store_layer_sums(v->table->store, l->id, false, &list, &why);
	if (r == 0)
		r = sums_check(dir, list, on_damage, v, &why);
	if (r < 0)
		on_damage("", why.kind == ERR_NOT_FOUND ? "it cannot be checked: it has no checksums" :
			  why.text, v);
	return 0;
}

static void check_document(struct verifying *v, const char *digest, size_t max)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(max);
	char now[DIGEST_TEXT];

	v->layer = digest;
	v->found = 0;
	v->ret->layers++;
	if (store_blob_get(v->table->store, digest, &text, NULL) < 0)
		on_damage("", "missing", v);
	else if (!str_eq(digest_of(text.data, text.len, now), digest))
		on_damage("", "content", v);
}

/* Seen for the first time? An image's layers may be another's. */
static bool first(struct verifying *v, const char *key)
{
	if (map_get(&v->seen, key))
		return false;
	map_put(&v->seen, arena_strdup(&v->arena, key), v);
	return true;
}

/* Its layers, with what is damaged condemned when it is to be mended. *ret: how many were. */
static int check_image(struct verifying *v, size_t *ret)
{
	const char *documents[] = { v->img->id, v->img->manifest_digest };
	struct store_lease *lease = store_lease_new(v->table->store);
	autofree struct store_layer *layers = NULL;
	size_t n = 0;
	int r;

	*ret = 0;
	{
		WITH_MUTEX(&v->table->change);
		r = store_image_layers(v->table->store, v->img->id, &layers, &n, v->err);
		for (size_t i = 0; r == 0 && i < n; i++)
			store_layer_hold(lease, layers[i].id);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(documents); i++) {
		if (!first(v, documents[i]))
			continue;
		check_document(v, documents[i], OCI_IMAGE_CONFIG_MAX);
		*ret += v->found > 0;
		if (v->found && v->what->repair)
			r = store_blob_remove(v->table->store, documents[i], v->err);
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%lld", (long long)layers[i].id);
		if (!first(v, key))
			continue;
		r = check_layer(v, &layers[i]);
		*ret += v->found > 0;
		if (r == 0 && v->found && v->what->repair)
			r = store_layer_condemn(v->table->store, layers[i].id, v->err);
	}
	v->ret->damaged += *ret;
	store_lease_free(lease);
	return r;
}

static int mend(struct verifying *v)
{
	autofree char *id = NULL;
	struct image_pull pull = { 0 };
	int r = -ENOENT;

	if (!v->img->n_repo_digests)
		return err_set(v->err, ERR_UNSUPPORTED,
			       "repair %s: it has no name in a registry: import it again", v->img->id);
	for (size_t i = 0; r < 0 && i < v->img->n_repo_digests; i++) {
		pull.name = v->img->repo_digests[i];
		err_clear(v->err);
		r = image_pull(v->table, &pull, &id, v->err);
	}
	return r < 0 ? err_wrap(v->err, r, "repair") : 0;
}

static int verify_one(struct verifying *v, struct image *img)
{
	size_t damaged;
	int r;

	v->img = img;
	r = check_image(v, &damaged);
	if (r == 0 && damaged && v->what->repair) {
		r = mend(v);
		if (r == 0)
			v->ret->repaired += damaged;
	}
	return r;
}

int image_verify(struct image_table *t, const struct image_verify *what, image_damage_fn fn, void *user,
		 struct image_verified *ret, struct err *err)
{
	struct err own = ERR_INIT;
	struct verifying v = { .table = t, .what = what, .fn = fn, .user = user, .ret = ret, .err = &own };
	struct image **list = NULL;
	size_t n = 0;
	int r = 0;

	*ret = (struct image_verified){ 0 };
	if (what->name) {
		list = mem_new(1, sizeof(*list));
		r = image_get(t, what->name, &list[0], &own);
		n = r == 0;
	} else {
		image_list(t, &list, &n);
	}
	/* one that cannot be mended does not keep the others from it */
	for (size_t i = 0; i < n; i++) {
		struct err before = own;
		int one = verify_one(&v, list[i]);

		if (r < 0)
			own = before;
		else
			r = one;
	}
	image_list_free(list, n);
	map_done(&v.seen);
	arena_done(&v.arena);
	if (r < 0 && err)
		*err = own;
	return r;
}
