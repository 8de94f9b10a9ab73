/*
 * Snapshots: the list of layers and the writable directory of one container. The layers are
 * written down with the snapshot itself, so the image may go; the directories are made
 * before the row, so a row always has them.
 */
#include "store/inner.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

void store_snapshot_done(struct store_snapshot *snap)
{
	for (size_t i = 0; i < snap->n_lowers; i++)
		free(snap->lowers[i]);
	free(snap->lowers);
	free(snap->upper);
	free(snap->work);
	*snap = (struct store_snapshot)STORE_SNAPSHOT_INIT;
}

/* Topmost first. Under the lock. */
static int read_snapshot(struct store *s, const char *id, struct store_snapshot *ret, struct err *err)
{
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT;
	sqlite3_stmt *stmt;
	bool read_only;
	int r;

	r = db_get(s, err, &stmt, "SELECT read_only FROM snapshot WHERE id = ?", "s", id);
	if (r <= 0)
		return r < 0 ? r : err_sysk(err, ERR_NOT_FOUND, ENOENT, "snapshot %s", id);
	read_only = sqlite3_column_int(stmt, 0);
	db_reset(stmt);
	r = db_get(s, err, &stmt,
		   "SELECT layer FROM snapshot_layer WHERE snapshot = ? ORDER BY position DESC", "s", id);
	for (; r > 0; r = db_next(s, stmt, err)) {
		autofree char *lower = mem_printf("%s/layers/%" PRId64, s->root,
						  (int64_t)sqlite3_column_int64(stmt, 0));

		/* a layer that an image has twice counts where it is topmost, which hides all that
		 * the lower one could add or remove; overlay takes no directory twice */
		if (str_in(lower, (const char *const *)snap.lowers, snap.n_lowers))
			continue;
		snap.lowers = mem_grow(snap.lowers, snap.n_lowers + 1, sizeof(*snap.lowers));
		snap.lowers[snap.n_lowers++] = take_ptr(&lower);
	}
	if (r < 0)
		return r;
	while (snap.n_lowers < (read_only ? 2 : 1)) {
		snap.lowers = mem_grow(snap.lowers, snap.n_lowers + 1, sizeof(*snap.lowers));
		snap.lowers[snap.n_lowers++] = mem_printf("%s/layers/0", s->root);
	}
	if (!read_only) {
		snap.upper = mem_printf("%s/snapshots/%s/upper", s->root, id);
		snap.work = mem_printf("%s/snapshots/%s/work", s->root, id);
	}
	*ret = snap;
	snap = (struct store_snapshot)STORE_SNAPSHOT_INIT;
	return 0;
}

/* The image of the snapshot is in use at this moment. */
static int image_used(struct store *s, const char *snapshot, struct err *err)
{
	return db_run(s, err,
		      "UPDATE image SET used = ? WHERE id = (SELECT image FROM snapshot WHERE id = ?)",
		      "is", time_now_real(), snapshot);
}

static int insert_rows(struct store *s, const char *image_id, const char *id, bool read_only, struct err *err)
{
	sqlite3_stmt *stmt;
	int r = db_get(s, err, &stmt, "SELECT 1 FROM image WHERE id = ?", "s", image_id);

	if (r <= 0)
		return r < 0 ? r : err_sysk(err, ERR_NOT_FOUND, ENOENT, "image %s", image_id);
	db_reset(stmt);
	r = db_get(s, err, &stmt, "SELECT 1 FROM snapshot WHERE id = ?", "s", id);
	if (r > 0) {
		db_reset(stmt);
		return err_sysk(err, ERR_EXISTS, EEXIST, "snapshot %s", id);
	}
	if (r == 0)
		r = db_run(s, err, "INSERT INTO snapshot(id, image, read_only) VALUES(?, ?, ?)", "ssi", id,
			   image_id, (int64_t)read_only);
	if (r == 0)
		r = image_used(s, id, err);
	if (r == 0)
		r = db_run(s, err,
			   "INSERT INTO snapshot_layer(snapshot, position, layer)"
			   " SELECT ?, position, layer FROM image_layer WHERE image = ?",
			   "ss", id, image_id);
	return r;
}

/* The layer that says what "/" is like: the topmost that does, else 0. */
static int find_root(struct store *s, const char *id, int64_t *ret, struct err *err)
{
	sqlite3_stmt *stmt;
	int r = db_get(s, err, &stmt,
		       "SELECT layer FROM snapshot_layer JOIN layer ON layer.id = layer"
		       " WHERE snapshot = ? AND has_root ORDER BY position DESC LIMIT 1",
		       "s", id);

	*ret = 0;
	if (r > 0) {
		*ret = sqlite3_column_int64(stmt, 0);
		db_reset(stmt);
	}
	return r < 0 ? r : 0;
}

/* upper gets the owner and mode of "/", shifted for a user namespace. */
static int make_dirs(struct store *s, const char *id, int64_t root_layer,
		     const struct store_snapshot_options *options, struct err *err)
{
	autofd int dir = -EBADF, upper = -EBADF;
	char name[LAYER_NAME_MAX];
	struct stat st;

	if (mkdirat(s->snapshots_fd, id, 0700) < 0)
		return err_sys(err, errno, "mkdir %s/snapshots/%s", s->root, id);
	dir = openat(s->snapshots_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, errno, "open %s/snapshots/%s", s->root, id);
	if (options->read_only)
		return 0;
	if (fstatat(s->layers_fd, layer_name(root_layer, name), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, errno, "stat %s/layers/%s", s->root, name);
	if (mkdirat(dir, "upper", 0700) < 0 || mkdirat(dir, "work", 0700) < 0)
		return err_sys(err, errno, "mkdir in %s/snapshots/%s", s->root, id);
	upper = openat(dir, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (upper < 0 || fchown(upper, st.st_uid + options->map_uid, st.st_gid + options->map_gid) < 0 ||
	    fchmod(upper, st.st_mode & 07777) < 0)
		return err_sys(err, errno, "prepare %s/snapshots/%s/upper", s->root, id);
	return 0;
}

int store_snapshot_prepare(struct store *s, const char *image_id, const char *id,
			   const struct store_snapshot_options *options, struct store_snapshot *ret,
				   struct err *err)
{
	static const struct store_snapshot_options defaults;
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT;
	int64_t root_layer;
	int r;

	if (!options)
		options = &defaults;
	if (!str_is_id(id, 128))
		return err_set(err, ERR_INVALID, "snapshot \"%.100s\": not an id", id);
	r = fault_point("snapshot.prepare");
	if (r < 0)
		return err_sys(err, r, "snapshot %s", id);
	WITH_LOCK(s);
	r = db_begin(s, err);
	if (r < 0)
		return r;
	r = insert_rows(s, image_id, id, options->read_only, err);
	if (r == 0)
		r = read_snapshot(s, id, &snap, err);
	if (r == 0)
		r = find_root(s, id, &root_layer, err);
	if (r == 0) {
		/* no row named it until now, so what lies there is left over */
		trash_put_locked(s, s->snapshots_fd, id);
		r = make_dirs(s, id, root_layer, options, err);
		r = db_end(s, r, err);
		if (r < 0) {
			trash_put_locked(s, s->snapshots_fd, id);
			return err_wrap(err, r, "snapshot %s", id);
		}
		*ret = snap;
		snap = (struct store_snapshot)STORE_SNAPSHOT_INIT;
		return 0;
	}
	return db_end(s, r, err);
}

int store_snapshot_get(struct store *s, const char *id, struct store_snapshot *ret, struct err *err)
{
	WITH_LOCK(s);
	return read_snapshot(s, id, ret, err);
}

int store_snapshot_remove(struct store *s, const char *id, struct err *err)
{
	CLEANUP(garbage_done) struct garbage g = GARBAGE_INIT;
	int r;

	if (!str_is_id(id, 128))
		return 0;
	{
		WITH_LOCK(s);
		r = db_begin(s, err);
		if (r < 0)
			return r;
		r = image_used(s, id, err);
		if (r == 0)
			r = db_run(s, err, "DELETE FROM snapshot_layer WHERE snapshot = ?", "s", id);
		if (r == 0)
			r = db_run(s, err, "DELETE FROM snapshot WHERE id = ?", "s", id);
		if (r == 0)
			r = garbage_collect(s, &g, err);
		r = db_end(s, r, err);
		if (r < 0)
			return r;
	}
	r = fault_point("snapshot.remove");
	if (r == 0)
		r = trash_put(s, s->snapshots_fd, id);
	if (r < 0)
		return err_sys(err, r, "remove snapshot %s", id);
	return garbage_discard(s, &g, err);
}
