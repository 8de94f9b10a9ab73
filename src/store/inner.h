/*
 * What the files of the store share and nobody else sees.
 *
 * One lock, s->mutex, guards the connection, the leases and the trash; it is held for
 * rows and renames, never while a tree is written, synced or deleted.
 */
#pragma once

#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

enum { STATEMENTS_MAX = 64 };

struct store {
	char *root;
	struct store_options options;
	int root_fd, lock_fd, layers_fd, blobs_fd, snapshots_fd, sums_fd, trash_fd;
	int index_fd; /* of meta.db-shm: reserve.c */
	pthread_mutex_t mutex;
	sqlite3 *db;
	struct {
		const char *sql; /* by address: all SQL is string literals */
		sqlite3_stmt *stmt;
	} statements[STATEMENTS_MAX];
	size_t n_statements;
	int64_t next_layer;
	struct list leases;
	/* trash.c */
	pthread_cond_t trash_cond;
	bool trash_running, trash_wanted;
	atomic_bool closing; /* looked at without the lock too */
	uint64_t trash_counter;
	/* copy.c */
	pthread_cond_t copy_cond;
	bool copy_running, copy_wanted, restored; /* restored: meta.db was the copy at this start */
	int64_t changes_seen;
};

struct store_lease {
	struct store *store;
	struct list link;
	int64_t *layers;
	size_t n_layers;
	char (*blobs)[STORE_DIGEST_MAX];
	size_t n_blobs;
	bool dirty; /* holds data that may not be on disk yet */
};

static inline void unlock_ptr(pthread_mutex_t **m)
{
	pthread_mutex_unlock(*m);
}

static inline pthread_mutex_t *lock(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}

/* Holds the mutex until the end of the block. */
#define WITH_LOCK(s) \
	CLEANUP(unlock_ptr) __attribute__((unused)) pthread_mutex_t *held = lock(&(s)->mutex)

/*
 * db.c: statements under the lock. types: "s" const char *, "i" int64_t, one for each "?".
 * db_get leaves the statement on its first row (1) or reset (0); db_next goes on. The
 * statement is borrowed and must be run to its end or given to db_reset.
 */
int db_open(struct store *s, const char *path, bool *ret_damaged, struct err *err);
void db_close(struct store *s);
int db_run(struct store *s, struct err *err, const char *sql, const char *types, ...);
int db_get(struct store *s, struct err *err, sqlite3_stmt **ret, const char *sql, const char *types, ...);
int db_next(struct store *s, sqlite3_stmt *stmt, struct err *err);
void db_reset(sqlite3_stmt *stmt);
/* Column as text that is never NULL, borrowed until the next step. */
const char *db_text(sqlite3_stmt *stmt, int column);
int db_begin(struct store *s, struct err *err);
/* Commits when r is 0, rolls back else; returns r or the failure of the commit. */
int db_end(struct store *s, int r, struct err *err);
/* What was committed survives a power loss once this returned. Not under the lock. */
int db_make_durable(struct store *s, struct err *err);

/* What a transaction found unreferenced and unnamed: to be moved to the trash after it. */
struct garbage {
	int64_t *layers;
	size_t n_layers;
	char (*blobs)[STORE_DIGEST_MAX];
	size_t n_blobs;
};
#define GARBAGE_INIT { NULL, 0, NULL, 0 }
void garbage_done(struct garbage *g);
/* Inside a transaction: unnames layers and blobs that nothing refers to and no lease holds. */
int garbage_collect(struct store *s, struct garbage *g, struct err *err);
/* After the commit, without the lock: makes the commit durable, then moves the data away. */
int garbage_discard(struct store *s, const struct garbage *g, struct err *err);

/* trash.c: moves dirfd/name away for later deletion; a missing one is fine. Any time. */
int trash_put(struct store *s, int dirfd, const char *name);
int trash_put_locked(struct store *s, int dirfd, const char *name); /* under the lock */
/* A layer with its checksums. Any time, not under the lock. */
int trash_layer(struct store *s, int64_t id);
void trash_start(struct store *s);
void trash_stop(struct store *s);

/*
 * reserve.c: space for removals on a full disk. give before meta.db is opened, log behind that, take
 * when there may be space again: at the end of opening and closing, and behind a deletion.
 */
void reserve_give(struct store *s);
void reserve_log(struct store *s);
void reserve_take(struct store *s);

/* image.c: names, blobs and layers of images whose row is gone; under the lock. */
int image_drop_orphans(struct store *s, struct err *err);

/* heal.c: the checksum of a document, never 0. */
int64_t sum_of(const char *table, const char *id, const char *doc);
/* Rows whose document is not what its checksum says: as the copy has them, else set aside. */
int heal_rows(struct store *s, struct buf *note, struct err *err);

/* copy.c. After each change, under the lock. */
void copy_want_locked(struct store *s);
/* After trash_stop; the copy has everything. */
void copy_stop(struct store *s);
/* The copy becomes meta.db: 1, -ENOENT without one. No connection is open. */
int copy_take(struct store *s);
/* A connection to the copy, to be closed by the caller; NULL when there is none that can be read. */
sqlite3 *copy_open(const struct store *s);
/* meta.db lacks what its copy has: the end of the log was lost. */
bool copy_is_newer(struct store *s);
/* Unnames images whose data went after the copy was made. */
int copy_prune(struct store *s, struct err *err);

/* layer.c, under the lock */
bool lease_holds_layer(const struct store *s, int64_t id);
bool lease_holds_blob(const struct store *s, const char *digest);

enum { LAYER_NAME_MAX = 24 };
char *layer_name(int64_t id, char out[LAYER_NAME_MAX]);
/* blob.c: the file's name, "" for what is no digest. */
const char *blob_name(const char *digest);
