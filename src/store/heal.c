/*
 * Checksums of the documents in meta.db. SQLite finds a page that cannot be; a changed bit inside of a
 * text it takes for the text, and a record with another pid or address in it is worse than none. So
 * each document has a checksum beside it, and what does not fit is replaced at the next start by the
 * same row of the copy (copy.c). Where that does not fit either, a record changes its kind to
 * "<kind>.damaged", and an image loses its names and is pulled again.
 *
 * The sum is against accidents, not against enemies: whoever writes to this file is root.
 */
#include "store/inner.h"

static uint64_t mix(uint64_t h, const char *s)
{
	/* FNV-1a: each step is a bijection, so that no change of a single byte goes unnoticed */
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return (h ^ 0xff) * UINT64_C(0x100000001b3);
}

int64_t sum_of(const char *table, const char *id, const char *doc)
{
	int64_t sum = (int64_t)mix(mix(mix(UINT64_C(0xcbf29ce484222325), table), id), doc);

	return sum ? sum : 1;
}

struct bad_row {
	char *kind, *id; /* kind "image": of that table */
};

/* What is in these tables is read once, and changed after. */
static const struct summed {
	const char *all;  /* kind, id, doc, sum */
	const char *copy; /* doc, sum of one */
	const char *heal, *set_aside;
	const char *done; /* said of what was set aside */
} tables[] = {
	{ "SELECT kind, id, doc, sum FROM record",
	  "SELECT doc, sum FROM record WHERE kind = ? AND id = ?",
	  "UPDATE record SET doc = ?, sum = ? WHERE kind = ? AND id = ?",
	  "UPDATE OR REPLACE record SET kind = kind || '.damaged', sum = 0 WHERE kind = ? AND id = ?", "set aside" },
	{ "SELECT 'image', id, doc, sum FROM image",
	  "SELECT doc, sum FROM image WHERE 'image' = ? AND id = ?",
	  "UPDATE image SET doc = ?, sum = ? WHERE 'image' = ? AND id = ?",
	  "DELETE FROM image WHERE 'image' = ? AND id = ?", "unnamed" },
};

static int find_bad(struct store *s, const char *sql, struct arena *a, struct bad_row **ret, size_t *ret_n,
		    struct err *err)
{
	struct bad_row *bad = NULL;
	sqlite3_stmt *stmt;
	size_t n = 0;
	int r;

	for (r = db_get(s, err, &stmt, sql, ""); r > 0; r = db_next(s, stmt, err)) {
		int64_t sum = sqlite3_column_int64(stmt, 3);

		/* 0: it was written before there were sums, or lies aside already */
		if (!sum || sum == sum_of(db_text(stmt, 0), db_text(stmt, 1), db_text(stmt, 2)))
			continue;
		bad = mem_grow(bad, n + 1, sizeof(*bad));
		bad[n++] = (struct bad_row){ arena_strdup(a, db_text(stmt, 0)), arena_strdup(a, db_text(stmt, 1)) };
	}
	*ret = bad;
	*ret_n = n;
	return r;
}

/* The document as the copy has it, if it is whole there; else NULL. */
static char *of_copy(sqlite3 *copy, const char *sql, const struct bad_row *row, struct arena *a)
{
	sqlite3_stmt *stmt = NULL;
	char *doc = NULL;

	if (!copy || sqlite3_prepare_v2(copy, sql, -1, &stmt, NULL) != SQLITE_OK)
		return NULL;
	sqlite3_bind_text(stmt, 1, row->kind, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, row->id, -1, SQLITE_STATIC);
	if (sqlite3_step(stmt) == SQLITE_ROW &&
	    sqlite3_column_int64(stmt, 1) == sum_of(row->kind, row->id, db_text(stmt, 0)))
		doc = arena_strdup(a, db_text(stmt, 0));
	sqlite3_finalize(stmt);
	return doc;
}

static int heal_row(struct store *s, const struct summed *t, sqlite3 *copy, const struct bad_row *row,
		    struct arena *a, struct buf *note, struct err *err)
{
	char *doc = of_copy(copy, t->copy, row, a);
	int r;

	if (doc) {
		r = db_run(s, err, t->heal, "siss", doc, sum_of(row->kind, row->id, doc), row->kind, row->id);
		if (r == 0 && note)
			buf_printf(note, "%s record %s of meta.db was damaged, and its copy taken\n", row->kind, row->id);
		return r;
	}
	r = db_run(s, err, t->set_aside, "ss", row->kind, row->id);
	if (r == 0 && note)
		buf_printf(note, "%s record %s is damaged and %s: its checksum is wrong, also in the copy\n", row->kind,
			   row->id, t->done);
	return r;
}

static int heal_table(struct store *s, const struct summed *t, struct buf *note, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofree struct bad_row *bad = NULL;
	sqlite3 *copy;
	size_t n = 0;
	int r = find_bad(s, t->all, &a, &bad, &n, err);

	if (r < 0 || !n)
		return r;
	copy = copy_open(s);
	for (size_t i = 0; i < n && r == 0; i++)
		r = heal_row(s, t, copy, &bad[i], &a, note, err);
	sqlite3_close(copy);
	return r;
}

int heal_rows(struct store *s, struct buf *note, struct err *err)
{
	int r = db_begin(s, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(tables) && r == 0; i++)
		r = heal_table(s, &tables[i], note, err);
	if (r == 0)
		r = image_drop_orphans(s, err);
	return db_end(s, r, err);
}
