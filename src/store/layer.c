/*
 * Leases and layers. A lease is memory only: when the process dies, whatever it held is
 * either named by meta.db or swept. Numbers of layers only grow while the store is open, so
 * a number never means two trees.
 */
#include "store/inner.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

char *layer_name(int64_t id, char out[LAYER_NAME_MAX])
{
	snprintf(out, LAYER_NAME_MAX, "%" PRId64, id);
	return out;
}

bool lease_holds_layer(const struct store *s, int64_t id)
{
	list_for_each(l, &s->leases, struct store_lease, link)
		for (size_t i = 0; i < l->n_layers; i++)
			if (l->layers[i] == id)
				return true;
	return false;
}

bool lease_holds_blob(const struct store *s, const char *digest)
{
	list_for_each(l, &s->leases, struct store_lease, link)
		for (size_t i = 0; i < l->n_blobs; i++)
			if (strcmp(l->blobs[i], digest) == 0)
				return true;
	return false;
}

struct store_lease *store_lease_new(struct store *s)
{
	struct store_lease *l = mem_new(1, sizeof(*l));

	l->store = s;
	WITH_LOCK(s);
	list_append(&s->leases, &l->link);
	return l;
}

static void hold_layer(struct store_lease *l, int64_t id)
{
	l->layers = mem_grow(l->layers, l->n_layers + 1, sizeof(*l->layers));
	l->layers[l->n_layers++] = id;
}

void store_layer_hold(struct store_lease *l, int64_t id)
{
	WITH_LOCK(l->store);
	hold_layer(l, id);
	l->dirty = true;
}

/* Layers and blobs that this lease staged, that no other holds and no row names. */
static int lease_garbage(struct store *s, struct store_lease *l, struct garbage *g)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < l->n_layers; i++) {
		sqlite3_stmt *stmt;

		if (lease_holds_layer(s, l->layers[i]))
			continue;
		r = db_get(s, NULL, &stmt, "SELECT 1 FROM layer WHERE id = ?", "i", l->layers[i]);
		if (r > 0)
			db_reset(stmt);
		if (r != 0)
			continue;
		g->layers = mem_grow(g->layers, g->n_layers + 1, sizeof(*g->layers));
		g->layers[g->n_layers++] = l->layers[i];
	}
	for (size_t i = 0; r >= 0 && i < l->n_blobs; i++) {
		sqlite3_stmt *stmt;

		if (lease_holds_blob(s, l->blobs[i]))
			continue;
		r = db_get(s, NULL, &stmt, "SELECT 1 FROM blob WHERE digest = ?", "s", l->blobs[i]);
		if (r > 0)
			db_reset(stmt);
		/* under the lock, so that store_blob_put of another lease sees it or not at all */
		if (r == 0)
			unlinkat(s->blobs_fd, blob_name(l->blobs[i]), 0);
	}
	return r;
}

void store_lease_free(struct store_lease *l)
{
	CLEANUP(garbage_done) struct garbage staged = GARBAGE_INIT, unnamed = GARBAGE_INIT;
	struct store *s;
	int r;

	if (!l)
		return;
	s = l->store;
	{
		WITH_LOCK(s);
		list_remove(&l->link);
		lease_garbage(s, l, &staged);
		/* an image may have been removed while this lease held its layers */
		r = db_begin(s, NULL);
		if (r == 0) {
			r = garbage_collect(s, &unnamed, NULL);
			r = db_end(s, r, NULL);
		}
	}
	for (size_t i = 0; i < staged.n_layers; i++)
		trash_layer(s, staged.layers[i]);
	if (r == 0)
		garbage_discard(s, &unnamed, NULL);
	free(l->layers);
	free(l->blobs);
	free(l);
}

static void layer_read(sqlite3_stmt *stmt, struct store_layer *ret)
{
	struct store_layer l = { .id = sqlite3_column_int64(stmt, 0) };

	snprintf(l.key, sizeof(l.key), "%s", db_text(stmt, 1));
	snprintf(l.diff_id, sizeof(l.diff_id), "%s", db_text(stmt, 2));
	snprintf(l.digest, sizeof(l.digest), "%s", db_text(stmt, 3));
	l.size = (uint64_t)sqlite3_column_int64(stmt, 4);
	l.bytes = (uint64_t)sqlite3_column_int64(stmt, 5);
	l.inodes = (uint64_t)sqlite3_column_int64(stmt, 6);
	l.has_root = sqlite3_column_int(stmt, 7);
	*ret = l;
}

int store_layer_find(struct store_lease *l, const char *key, struct store_layer *ret, struct err *err)
{
	struct store *s = l->store;
	sqlite3_stmt *stmt;
	int r;

	WITH_LOCK(s);
	r = db_get(s, err, &stmt,
		   "SELECT id, key, diff_id, digest, size, bytes, inodes, has_root FROM layer WHERE key = ?",
		   "s", key);
	if (r > 0) {
		layer_read(stmt, ret);
		db_reset(stmt);
		hold_layer(l, ret->id);
	}
	return r;
}

int store_image_layers(struct store *s, const char *id, struct store_layer **ret, size_t *ret_n,
		       struct err *err)
{
	autofree struct store_layer *layers = NULL;
	sqlite3_stmt *stmt;
	size_t n = 0;
	int r;

	WITH_LOCK(s);
	r = db_get(s, err, &stmt, "SELECT 1 FROM image WHERE id = ?", "s", id);
	if (r <= 0)
		return r < 0 ? r : err_sysk(err, ERR_NOT_FOUND, ENOENT, "image %s", id);
	db_reset(stmt);
	r = db_get(s, err, &stmt,
		   "SELECT layer.id, key, diff_id, digest, size, bytes, inodes, has_root FROM image_layer"
		   " JOIN layer ON layer.id = image_layer.layer WHERE image = ? ORDER BY position",
		   "s", id);
	for (; r > 0; r = db_next(s, stmt, err)) {
		layers = mem_grow(layers, n + 1, sizeof(*layers));
		layer_read(stmt, &layers[n++]);
	}
	if (r < 0)
		return r;
	*ret = take_ptr(&layers);
	*ret_n = n;
	return 0;
}

int store_layer_stage(struct store_lease *l, int64_t *ret_id, int *ret_dirfd, struct err *err)
{
	struct store *s = l->store;
	char name[LAYER_NAME_MAX];
	int64_t id;
	int fd;

	WITH_LOCK(s);
	id = s->next_layer++;
	layer_name(id, name);
	if (mkdirat(s->layers_fd, name, 0755) < 0)
		return err_sys(err, errno, "mkdir %s/layers/%s", s->root, name);
	/* lost to a crash it is swept, so the number may be used before the lease knows */
	hold_layer(l, id);
	l->dirty = true;
	fd = openat(s->layers_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "open %s/layers/%s", s->root, name);
	/* mkdir was subject to the umask */
	if (fchmod(fd, 0755) < 0) {
		int r = err_sys(err, errno, "chmod %s/layers/%s", s->root, name);

		close(fd);
		return r;
	}
	*ret_id = id;
	*ret_dirfd = fd;
	return 0;
}

int store_layer_open(struct store *s, int64_t id, int *ret_dirfd, struct err *err)
{
	char name[LAYER_NAME_MAX];

	*ret_dirfd = openat(s->layers_fd, layer_name(id, name),
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_dirfd < 0 ? err_sys(err, errno, "open %s/layers/%s", s->root, name) : 0;
}

int store_layer_sums(struct store *s, int64_t id, bool make, int *ret_fd, struct err *err)
{
	const int flags = make ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY;
	char name[LAYER_NAME_MAX];

	*ret_fd = openat(s->sums_fd, layer_name(id, name), flags | O_NOFOLLOW | O_CLOEXEC, 0600);
	return *ret_fd < 0 ? err_sys(err, errno, "open %s/sums/%s", s->root, name) : 0;
}

int store_layer_condemn(struct store *s, int64_t id, struct err *err)
{
	char name[LAYER_NAME_MAX];

	WITH_LOCK(s);
	return db_run(s, err, "UPDATE layer SET key = 'damaged-' || ? WHERE id = ?", "si",
		      layer_name(id, name), id);
}

/* ---- garbage ---- */

void garbage_done(struct garbage *g)
{
	free(g->layers);
	free(g->blobs);
}

int garbage_collect(struct store *s, struct garbage *g, struct err *err)
{
	sqlite3_stmt *stmt;
	int r;

	r = db_get(s, err, &stmt,
		   "SELECT id FROM layer WHERE NOT EXISTS (SELECT 1 FROM image_layer WHERE layer = layer.id)"
		   " AND NOT EXISTS (SELECT 1 FROM snapshot_layer WHERE layer = layer.id)",
		   "");
	for (; r > 0; r = db_next(s, stmt, err)) {
		int64_t id = sqlite3_column_int64(stmt, 0);

		if (lease_holds_layer(s, id))
			continue;
		g->layers = mem_grow(g->layers, g->n_layers + 1, sizeof(*g->layers));
		g->layers[g->n_layers++] = id;
	}
	if (r < 0)
		return r;
	r = db_get(s, err, &stmt,
		   "SELECT digest FROM blob WHERE NOT EXISTS"
		   " (SELECT 1 FROM image_blob WHERE digest = blob.digest)", "");
	for (; r > 0; r = db_next(s, stmt, err)) {
		const char *digest = db_text(stmt, 0);

		if (lease_holds_blob(s, digest))
			continue;
		g->blobs = mem_grow(g->blobs, g->n_blobs + 1, sizeof(*g->blobs));
		snprintf(g->blobs[g->n_blobs++], sizeof(*g->blobs), "%s", digest);
	}
	for (size_t i = 0; r == 0 && i < g->n_layers; i++)
		r = db_run(s, err, "DELETE FROM layer WHERE id = ?", "i", g->layers[i]);
	for (size_t i = 0; r == 0 && i < g->n_blobs; i++)
		r = db_run(s, err, "DELETE FROM blob WHERE digest = ?", "s", g->blobs[i]);
	return r;
}

int garbage_discard(struct store *s, const struct garbage *g, struct err *err)
{
	char name[LAYER_NAME_MAX];
	int r;

	if (!g->n_layers && !g->n_blobs)
		return 0;
	r = db_make_durable(s, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < g->n_layers; i++) {
		r = trash_layer(s, g->layers[i]);
		if (r < 0)
			return err_sys(err, r, "remove layer %s", layer_name(g->layers[i], name));
	}
	for (size_t i = 0; i < g->n_blobs; i++) {
		sqlite3_stmt *stmt;

		/* a pull may have put the same blob again meanwhile */
		WITH_LOCK(s);
		if (lease_holds_blob(s, g->blobs[i]))
			continue;
		r = db_get(s, err, &stmt, "SELECT 1 FROM blob WHERE digest = ?", "s", g->blobs[i]);
		if (r < 0)
			return r;
		if (r > 0)
			db_reset(stmt);
		else if (unlinkat(s->blobs_fd, blob_name(g->blobs[i]), 0) < 0 && errno != ENOENT)
			return err_sys(err, errno, "remove blob %s", g->blobs[i]);
	}
	return 0;
}
