/* Records of other rooms: rows of (kind, id, doc). Putting again keeps the row's place. */
#include "store/inner.h"

int store_record_put(struct store *s, const char *kind, const char *id, const char *doc, struct err *err)
{
	int r = fault_point("record.%s.put", kind);

	if (r < 0)
		return err_sys(err, r, "record %s %s", kind, id);
	{
		WITH_LOCK(s);
		r = db_run(s, err,
			   "INSERT INTO record(kind, id, doc, sum) VALUES(?, ?, ?, ?)"
			   " ON CONFLICT(kind, id) DO UPDATE SET doc = excluded.doc, sum = excluded.sum",
			   "sssi", kind, id, doc, sum_of(kind, id, doc));
	}
	(void)fault_point("record.%s.put-done", kind);
	return r;
}

int store_record_get(struct store *s, const char *kind, const char *id, struct buf *out, struct err *err)
{
	sqlite3_stmt *stmt;
	int r;

	WITH_LOCK(s);
	r = db_get(s, err, &stmt, "SELECT doc FROM record WHERE kind = ? AND id = ?", "ss", kind, id);
	if (r < 0)
		return r;
	if (r == 0)
		return err_sysk(err, ERR_NOT_FOUND, ENOENT, "record %s %s", kind, id);
	r = buf_puts(out, db_text(stmt, 0));
	db_reset(stmt);
	return r < 0 ? err_sys(err, r, "record %s %s", kind, id) : 0;
}

int store_record_delete(struct store *s, const char *kind, const char *id, struct err *err)
{
	int r = fault_point("record.%s.delete", kind);

	if (r < 0)
		return err_sys(err, r, "record %s %s", kind, id);
	WITH_LOCK(s);
	return db_run(s, err, "DELETE FROM record WHERE kind = ? AND id = ?", "ss", kind, id);
}

int store_sync(struct store *s, struct err *err)
{
	return db_make_durable(s, err);
}

struct pair {
	char *id, *doc;
};

static int pairs_read(struct store *s, struct arena *a, sqlite3_stmt *stmt, int r, struct pair **ret,
		      size_t *ret_n, struct err *err)
{
	struct pair *pairs = NULL;
	size_t n = 0;

	for (; r > 0; r = db_next(s, stmt, err)) {
		if ((n & (n - 1)) == 0)
			pairs = mem_grow(pairs, n ? 2 * n : 1, sizeof(*pairs));
		pairs[n].id = arena_strdup(a, db_text(stmt, 0));
		pairs[n++].doc = arena_strdup(a, db_text(stmt, 1));
	}
	*ret = pairs;
	*ret_n = n;
	return r;
}

static int pairs_call(const struct pair *pairs, size_t n, store_record_fn fn, void *user)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = fn(pairs[i].id, pairs[i].doc, user);
	return r < 0 ? r : 0;
}

int store_record_list(struct store *s, const char *kind, store_record_fn fn, void *user, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofree struct pair *pairs = NULL;
	size_t n = 0;
	int r;

	{
		sqlite3_stmt *stmt;

		WITH_LOCK(s);
		r = db_get(s, err, &stmt, "SELECT id, doc FROM record WHERE kind = ? ORDER BY num", "s",
			   kind);
		r = pairs_read(s, &a, stmt, r, &pairs, &n, err);
	}
	return r < 0 ? r : pairs_call(pairs, n, fn, user);
}

int store_snapshot_list(struct store *s, store_record_fn fn, void *user, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofree struct pair *pairs = NULL;
	size_t n = 0;
	int r;

	{
		sqlite3_stmt *stmt;

		WITH_LOCK(s);
		r = db_get(s, err, &stmt, "SELECT id, image FROM snapshot ORDER BY num", "");
		r = pairs_read(s, &a, stmt, r, &pairs, &n, err);
	}
	return r < 0 ? r : pairs_call(pairs, n, fn, user);
}
