/*
 * The SQLite connection of meta.db: opening with its schema, statements kept prepared,
 * errors in our idiom. One connection, guarded by the store's lock.
 *
 * WAL with synchronous=NORMAL: a commit is one write to the log without an fsync, so it
 * survives the death of the process and costs microseconds. db_make_durable syncs the log where
 * more is promised: what images and their names are, and before data is deleted, so that a power
 * loss cannot bring back names of what is gone.
 */
#include "store/inner.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

/* What makes version i + 1 of the schema of version i; a new file goes through all of them. */
static const char *const schema[] = {
	"CREATE TABLE layer(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, diff_id TEXT NOT NULL,"
	" digest TEXT NOT NULL, size INTEGER NOT NULL, bytes INTEGER NOT NULL, inodes INTEGER NOT NULL,"
	" has_root INTEGER NOT NULL);"
	"CREATE TABLE blob(digest TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE image(num INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL);"
	"CREATE TABLE ref(name TEXT PRIMARY KEY, image TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX ref_image ON ref(image);"
	"CREATE TABLE image_layer(image TEXT NOT NULL, position INTEGER NOT NULL, layer INTEGER NOT NULL,"
	" PRIMARY KEY(image, position)) WITHOUT ROWID;"
	"CREATE INDEX image_layer_layer ON image_layer(layer);"
	"CREATE TABLE image_blob(image TEXT NOT NULL, digest TEXT NOT NULL,"
	" PRIMARY KEY(image, digest)) WITHOUT ROWID;"
	"CREATE INDEX image_blob_digest ON image_blob(digest);"
	"CREATE TABLE snapshot(num INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, image TEXT NOT NULL,"
	" read_only INTEGER NOT NULL);"
	"CREATE TABLE snapshot_layer(snapshot TEXT NOT NULL, position INTEGER NOT NULL,"
	" layer INTEGER NOT NULL,"
	" PRIMARY KEY(snapshot, position)) WITHOUT ROWID;"
	"CREATE INDEX snapshot_layer_layer ON snapshot_layer(layer);"
	"CREATE TABLE record(num INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL,"
	" doc TEXT NOT NULL,"
	" UNIQUE(kind, id));"
	"PRAGMA user_version = 1;",

	/* when a container last came or went, or it was pulled */
	"ALTER TABLE image ADD COLUMN used INTEGER NOT NULL DEFAULT 0;"
	"PRAGMA user_version = 2;",

	/* checksums of the documents, 0 for those of before; how many copies were made (copy.c) */
	"ALTER TABLE image ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE record ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE copies(n INTEGER NOT NULL);"
	"INSERT INTO copies VALUES(0);"
	"PRAGMA user_version = 3;",
};

enum { SCHEMA_VERSION = ARRAY_LEN(schema) };

static int db_error(struct store *s, int code, struct err *err)
{
	static const struct {
		int code;
		enum err_kind kind;
		int number;
	} rows[] = {
		{ SQLITE_FULL, ERR_LIMIT, ENOSPC },	 { SQLITE_NOMEM, ERR_LIMIT, ENOMEM },
		{ SQLITE_CORRUPT, ERR_CORRUPT, EBADMSG }, { SQLITE_NOTADB, ERR_CORRUPT, EBADMSG },
		{ SQLITE_PERM, ERR_DENIED, EACCES },	 { SQLITE_READONLY, ERR_DENIED, EROFS },
		{ SQLITE_BUSY, ERR_UNAVAILABLE, EBUSY },
	};
	const char *what = s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code);
	int number;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if ((code & 0xff) == rows[i].code) {
			err_set(err, rows[i].kind, "meta.db: %s", what);
			return -rows[i].number;
		}
	/* what the kernel said, where SQLite kept it; the index beside the log only grows, so there is no space */
	number = (code & 0xff) == SQLITE_IOERR && s->db ? sqlite3_system_errno(s->db) : 0;
	if (!number && code == SQLITE_IOERR_SHMSIZE)
		number = ENOSPC;
	if (number)
		return err_sys(err, number, "meta.db: %s (%d)", what, code);
	err_set(err, ERR_INTERNAL, "meta.db: %s (%d)", what, code);
	return -EIO;
}

static int exec(struct store *s, const char *sql, struct err *err)
{
	int code = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : db_error(s, code, err);
}

static int prepared(struct store *s, const char *sql, sqlite3_stmt **ret, struct err *err)
{
	int code;

	for (size_t i = 0; i < s->n_statements; i++)
		if (s->statements[i].sql == sql) {
			*ret = s->statements[i].stmt;
			return 0;
		}
	assert(s->n_statements < STATEMENTS_MAX);
	code = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
	if (code != SQLITE_OK)
		return db_error(s, code, err);
	s->statements[s->n_statements].sql = sql;
	s->statements[s->n_statements++].stmt = *ret;
	return 0;
}

static void bind(sqlite3_stmt *stmt, const char *types, va_list ap)
{
	for (int i = 1; *types; types++, i++) {
		/* the texts stay valid until the statement is reset: no copy */
		int code;

		if (*types == 's')
			code = sqlite3_bind_text(stmt, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
		else
			code = sqlite3_bind_int64(stmt, i, va_arg(ap, int64_t));
		assert(code == SQLITE_OK);
	}
}

void db_reset(sqlite3_stmt *stmt)
{
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
}

int db_next(struct store *s, sqlite3_stmt *stmt, struct err *err)
{
	int code = sqlite3_step(stmt), r = 1;

	if (code == SQLITE_ROW)
		return 1;
	r = code == SQLITE_DONE ? 0 : db_error(s, code, err);
	db_reset(stmt);
	return r;
}

int db_get(struct store *s, struct err *err, sqlite3_stmt **ret, const char *sql, const char *types, ...)
{
	va_list ap;
	int r = prepared(s, sql, ret, err);

	if (r < 0)
		return r;
	va_start(ap, types);
	bind(*ret, types, ap);
	va_end(ap);
	return db_next(s, *ret, err);
}

int db_run(struct store *s, struct err *err, const char *sql, const char *types, ...)
{
	sqlite3_stmt *stmt;
	va_list ap;
	int r = prepared(s, sql, &stmt, err);

	if (r < 0)
		return r;
	va_start(ap, types);
	bind(stmt, types, ap);
	va_end(ap);
	r = db_next(s, stmt, err);
	if (r > 0)
		db_reset(stmt);
	if (r >= 0)
		copy_want_locked(s);
	return r < 0 ? r : 0;
}

const char *db_text(sqlite3_stmt *stmt, int column)
{
	const unsigned char *text = sqlite3_column_text(stmt, column);

	return text ? (const char *)text : "";
}

int db_begin(struct store *s, struct err *err)
{
	return db_run(s, err, "BEGIN IMMEDIATE", "");
}

int db_end(struct store *s, int r, struct err *err)
{
	if (r >= 0) {
		int e = db_run(s, err, "COMMIT", "");

		if (e == 0)
			return r;
		r = e;
	}
	if (!sqlite3_get_autocommit(s->db))
		db_run(s, NULL, "ROLLBACK", "");
	return r;
}

int db_make_durable(struct store *s, struct err *err)
{
	/* the log carries no locks, so opening and closing it beside SQLite drops none */
	autofd int fd = openat(s->root_fd, "meta.db-wal", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fdatasync(fd) < 0)
		return err_sys(err, errno, "sync meta.db-wal");
	return 0;
}

static int pragma_text(struct store *s, const char *sql, char *out, size_t size, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);

	if (code == SQLITE_OK) {
		code = sqlite3_step(stmt);
		if (code == SQLITE_ROW)
			snprintf(out, size, "%s", db_text(stmt, 0));
	}
	sqlite3_finalize(stmt);
	return code == SQLITE_ROW ? 0 : db_error(s, code == SQLITE_DONE ? SQLITE_CORRUPT : code, err);
}

int db_open(struct store *s, const char *path, bool *ret_damaged, struct err *err)
{
	char text[128];
	int64_t version = 0;
	int code, r;

	*ret_damaged = false;
	code = sqlite3_open_v2(path, &s->db,
			       SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code != SQLITE_OK)
		return db_error(s, code, err);
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, 10000);
	r = pragma_text(s, "PRAGMA user_version", text, sizeof(text), err);
	if (r == 0 && (str_to_i64(text, 10, &version) < 0 || version < 0))
		r = db_error(s, SQLITE_CORRUPT, err);
	if (r == 0 && version > SCHEMA_VERSION)
		return err_set(err, ERR_UNSUPPORTED, "%s has schema %lld, newer than this program's %d", path,
			       (long long)version, SCHEMA_VERSION);
	if (r == 0)
		r = exec(s,
			 "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-1024;"
			 "PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=500",
			 err);
	if (r == 0)
		r = pragma_text(s, "PRAGMA integrity_check(1)", text, sizeof(text), err);
	if (r == 0 && !str_eq(text, "ok"))
		r = db_error(s, SQLITE_CORRUPT, err);
	for (; r == 0 && version < SCHEMA_VERSION; version++) {
		r = exec(s, "BEGIN IMMEDIATE", err);
		if (r == 0)
			r = exec(s, schema[version], err);
		if (r == 0)
			r = exec(s, "COMMIT", err);
	}
	*ret_damaged = r == -EBADMSG;
	return r;
}

void db_close(struct store *s)
{
	for (size_t i = 0; i < s->n_statements; i++)
		sqlite3_finalize(s->statements[i].stmt);
	s->n_statements = 0;
	sqlite3_close(s->db);
	s->db = NULL;
}
