/*
 * Images: publish, names, removal. Each is one transaction, and on the disk when it is answered for.
 * Publishing syncs the file system once before it names anything; removing unnames first and
 * moves the data afterwards.
 */
#include "store/inner.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static int image_exists(struct store *s, const char *id, struct err *err)
{
	sqlite3_stmt *stmt;
	int r = db_get(s, err, &stmt, "SELECT 1 FROM image WHERE id = ?", "s", id);

	if (r > 0)
		db_reset(stmt);
	return r;
}

/* The number of the published layer with that key; names the staged one when there is none. */
static int publish_layer(struct store *s, const struct store_layer *layer, int64_t *ret_id, struct err *err)
{
	sqlite3_stmt *stmt;
	int r = db_get(s, err, &stmt, "SELECT id FROM layer WHERE key = ?", "s", layer->key);

	if (r < 0)
		return r;
	if (r > 0) {
		*ret_id = sqlite3_column_int64(stmt, 0);
		db_reset(stmt);
		return 0;
	}
	*ret_id = layer->id;
	return db_run(s, err,
		      "INSERT INTO layer(id, key, diff_id, digest, size, bytes, inodes, has_root)"
		      " VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
		      "isssiiii", layer->id, layer->key, layer->diff_id, layer->digest, (int64_t)layer->size,
		      (int64_t)layer->bytes, (int64_t)layer->inodes, (int64_t)layer->has_root);
}

static int publish_blob(struct store *s, const char *image, const char *digest, struct err *err)
{
	struct stat st;
	int r;

	if (fstatat(s->blobs_fd, blob_name(digest), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, errno, "blob %s", digest);
	r = db_run(s, err, "INSERT OR IGNORE INTO blob(digest, size) VALUES(?, ?)", "si", digest,
		   (int64_t)st.st_size);
	if (r < 0)
		return r;
	return db_run(s, err, "INSERT OR IGNORE INTO image_blob(image, digest) VALUES(?, ?)", "ss", image,
		      digest);
}

/* Layers that were found damaged make room for what was fetched in their place, wherever they are. */
static int replace_condemned(struct store *s, const struct store_image *image, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < image->n_layers; i++) {
		sqlite3_stmt *stmt;
		int64_t old, id;

		r = db_get(s, err, &stmt,
			   "SELECT layer FROM image_layer JOIN layer ON layer.id = layer"
			   " WHERE image = ? AND position = ? AND key = 'damaged-' || layer", "si", image->id,
			   (int64_t)i);
		if (r <= 0)
			continue;
		old = sqlite3_column_int64(stmt, 0);
		db_reset(stmt);
		r = publish_layer(s, &image->layers[i], &id, err);
		if (r == 0)
			r = db_run(s, err, "UPDATE image_layer SET layer = ? WHERE layer = ?", "ii", id, old);
	}
	return r < 0 ? r : 0;
}

static int publish_rows(struct store *s, const struct store_image *image, const char *const *refs,
			size_t n_refs, struct err *err)
{
	int r = image_exists(s, image->id, err);

	if (r == 0)
		for (size_t i = 0; i < image->n_layers; i++) {
			int64_t id;

			r = publish_layer(s, &image->layers[i], &id, err);
			if (r == 0)
				r = db_run(s, err,
					   "INSERT INTO image_layer(image, position, layer) VALUES(?, ?, ?)",
					   "sii", image->id, (int64_t)i, id);
			if (r < 0)
				return r;
		}
	else if (r > 0)
		r = replace_condemned(s, image, err);
	if (r < 0)
		return r;
	r = db_run(s, err,
		   "INSERT INTO image(id, doc, used, sum) VALUES(?, ?, ?, ?)"
		   " ON CONFLICT(id) DO UPDATE SET doc = excluded.doc, used = excluded.used, sum = excluded.sum",
		   "ssii", image->id, image->doc, time_now_real(), sum_of("image", image->id, image->doc));
	for (size_t i = 0; r == 0 && i < image->n_blobs; i++)
		r = publish_blob(s, image->id, image->blobs[i], err);
	for (size_t i = 0; r == 0 && i < n_refs; i++)
		r = db_run(s, err, "INSERT OR REPLACE INTO ref(name, image) VALUES(?, ?)", "ss", refs[i],
			   image->id);
	return r;
}

int store_image_publish(struct store_lease *l, const struct store_image *image, const char *const *refs,
			size_t n_refs, struct err *err)
{
	struct store *s = l->store;
	int r;

	r = fault_point("image.publish");
	if (r < 0)
		return err_sys(err, r, "publish an image");
	if (l->dirty && syncfs(s->root_fd) < 0)
		return err_sys(err, errno, "sync %s", s->root);
	{
		WITH_LOCK(s);
		r = db_begin(s, err);
		if (r == 0)
			r = db_end(s, publish_rows(s, image, refs, n_refs, err), err);
	}
	/* what was answered for is not fetched again after a power loss */
	return r < 0 ? r : db_make_durable(s, err);
}

static int ref_insert(struct store *s, const char *ref, const char *image_id, struct err *err)
{
	int r;

	WITH_LOCK(s);
	r = image_exists(s, image_id, err);
	if (r <= 0)
		return r < 0 ? r : err_sysk(err, ERR_NOT_FOUND, ENOENT, "image %s", image_id);
	return db_run(s, err, "INSERT OR REPLACE INTO ref(name, image) VALUES(?, ?)", "ss", ref, image_id);
}

int store_ref_set(struct store *s, const char *ref, const char *image_id, struct err *err)
{
	int r = ref_insert(s, ref, image_id, err);

	return r < 0 ? r : db_make_durable(s, err);
}

int store_ref_remove(struct store *s, const char *ref, struct err *err)
{
	int r;

	{
		WITH_LOCK(s);
		r = db_run(s, err, "DELETE FROM ref WHERE name = ?", "s", ref);
	}
	return r < 0 ? r : db_make_durable(s, err);
}

int image_drop_orphans(struct store *s, struct err *err)
{
	int r = db_run(s, err, "DELETE FROM ref WHERE image NOT IN (SELECT id FROM image)", "");

	if (r == 0)
		r = db_run(s, err, "DELETE FROM image_blob WHERE image NOT IN (SELECT id FROM image)", "");
	if (r == 0)
		r = db_run(s, err, "DELETE FROM image_layer WHERE image NOT IN (SELECT id FROM image)", "");
	return r;
}

static int remove_rows(struct store *s, const char *id, struct garbage *g, struct err *err)
{
	int r;

	if ((r = db_run(s, err, "DELETE FROM ref WHERE image = ?", "s", id)) < 0 ||
	    (r = db_run(s, err, "DELETE FROM image_layer WHERE image = ?", "s", id)) < 0 ||
	    (r = db_run(s, err, "DELETE FROM image_blob WHERE image = ?", "s", id)) < 0 ||
	    (r = db_run(s, err, "DELETE FROM image WHERE id = ?", "s", id)) < 0)
		return r;
	return garbage_collect(s, g, err);
}

int store_image_remove(struct store *s, const char *id, struct err *err)
{
	CLEANUP(garbage_done) struct garbage g = GARBAGE_INIT;
	int r;

	{
		WITH_LOCK(s);
		r = db_begin(s, err);
		if (r < 0)
			return r;
		r = db_end(s, remove_rows(s, id, &g, err), err);
	}
	if (r == 0)
		r = db_make_durable(s, err);
	return r < 0 ? r : garbage_discard(s, &g, err);
}

#define IDLE " used < ? AND NOT EXISTS (SELECT 1 FROM snapshot WHERE snapshot.image = image.id)"

int store_image_idle(struct store *s, int64_t before, char ***ret, struct err *err)
{
	sqlite3_stmt *stmt;
	char **ids = NULL;
	size_t n = 0;
	int r;

	WITH_LOCK(s);
	r = db_get(s, err, &stmt, "SELECT id FROM image WHERE" IDLE " ORDER BY used, num", "i", before);
	for (; r > 0; r = db_next(s, stmt, err)) {
		ids = mem_grow(ids, n + 2, sizeof(*ids));
		ids[n++] = mem_strdup(db_text(stmt, 0));
		ids[n] = NULL;
	}
	*ret = ids ? ids : mem_new(1, sizeof(*ids));
	return r;
}

int store_image_remove_idle(struct store *s, const char *id, int64_t before, struct err *err)
{
	CLEANUP(garbage_done) struct garbage g = GARBAGE_INIT;
	sqlite3_stmt *stmt;
	int r;

	{
		WITH_LOCK(s);
		r = db_begin(s, err);
		if (r < 0)
			return r;
		r = db_get(s, err, &stmt, "SELECT 1 FROM image WHERE id = ? AND" IDLE, "si", id, before);
		if (r > 0) {
			db_reset(stmt);
			r = remove_rows(s, id, &g, err);
			r = r < 0 ? r : 1;
		}
		r = db_end(s, r, err);
	}
	if (r > 0) {
		int e = garbage_discard(s, &g, err);

		return e < 0 ? e : 1;
	}
	return r;
}

struct row {
	char *id, *doc, **refs;
	size_t n_refs;
};

static int read_rows(struct store *s, struct arena *a, struct row **ret, size_t *ret_n, struct err *err)
{
	sqlite3_stmt *stmt;
	int r;

	WITH_LOCK(s);
	r = db_get(s, err, &stmt, "SELECT id, doc FROM image ORDER BY num", "");
	for (; r > 0; r = db_next(s, stmt, err)) {
		if ((*ret_n & (*ret_n - 1)) == 0)
			*ret = mem_grow(*ret, *ret_n ? 2 * *ret_n : 1, sizeof(**ret));
		(*ret)[(*ret_n)++] = (struct row){ arena_strdup(a, db_text(stmt, 0)),
						   arena_strdup(a, db_text(stmt, 1)), NULL, 0 };
	}
	for (size_t i = 0; r == 0 && i < *ret_n; i++) {
		struct row *row = &(*ret)[i];

		r = db_get(s, err, &stmt, "SELECT name FROM ref WHERE image = ? ORDER BY name", "s", row->id);
		for (; r > 0; r = db_next(s, stmt, err)) {
			row->refs = mem_grow(row->refs, row->n_refs + 1, sizeof(*row->refs));
			row->refs[row->n_refs++] = arena_strdup(a, db_text(stmt, 0));
		}
	}
	return r;
}

int store_image_list(struct store *s, store_image_fn fn, void *user, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofree struct row *rows = NULL;
	size_t n = 0;
	int r = read_rows(s, &a, &rows, &n, err);

	for (size_t i = 0; i < n; i++) {
		if (r >= 0)
			r = fn(rows[i].id, rows[i].doc, rows[i].refs, rows[i].n_refs, user);
		free(rows[i].refs);
	}
	return r < 0 ? r : 0;
}
