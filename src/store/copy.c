/*
 * A second copy of meta.db. What that file says cannot be had from anywhere else: which layers an
 * image is, its names, what a running container stands on. So meta.db.copy is made COPY_DELAY
 * after the first change that it lacks, and when the store is closed, by a thread that lives
 * only while there is something to copy and has connections of its own: nobody waits for it.
 *
 * A meta.db that is found damaged at a start is replaced by the copy. What the last moments had
 * made is then on disk and not named: it stays until the start after that, since a container may
 * stand on it. What they had removed is named and not on disk: such images are unnamed at once.
 *
 * Each copy has a number, which is in meta.db first: a copy with a higher one shows that the end of
 * meta.db's log was lost.
 *
 * The copy is synced before it gets its name, so it is whole, or the one before.
 */
#include "store/inner.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { COPY_DELAY = 2, COPY_STACK = 256 * 1024 };

static int copy_into(sqlite3 *to, sqlite3 *from)
{
	sqlite3_backup *b;

	sqlite3_busy_timeout(from, 5000);
	if (sqlite3_exec(to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-64", NULL, NULL, NULL))
		return -EIO;
	b = sqlite3_backup_init(to, "main", from, "main");
	if (!b)
		return -EIO;
	sqlite3_backup_step(b, -1);
	return sqlite3_backup_finish(b) == SQLITE_OK ? 0 : -EIO;
}

/* The next copy's number, in meta.db before it is in the copy: see copy_is_newer. */
static void number_copy(struct store *s)
{
	WITH_LOCK(s);
	if (!sqlite3_get_autocommit(s->db))
		return;
	db_run(s, NULL, "UPDATE copies SET n = n + 1", "");
	s->changes_seen = sqlite3_total_changes(s->db);
	s->copy_wanted = false;
}

/* What fails leaves the copy of before, and the next change tries again. */
static void make_copy(struct store *s)
{
	autofree char *path = mem_printf("%s/meta.db", s->root), *new = mem_printf("%s/meta.db.copy.new", s->root);
	sqlite3 *from = NULL, *to = NULL;
	autofd int fd = -EBADF;
	int r = -EIO;

	number_copy(s);
	unlinkat(s->root_fd, "meta.db.copy.new", 0);
	if (sqlite3_open_v2(path, &from, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
	    sqlite3_open_v2(new, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) ==
		    SQLITE_OK)
		r = copy_into(to, from);
	sqlite3_close(to);
	sqlite3_close(from);
	/* a copy that has more than a power loss leaves of the log would look like a log that was cut off */
	if (r == 0)
		r = db_make_durable(s, NULL);
	if (r == 0) {
		fd = openat(s->root_fd, "meta.db.copy.new", O_RDONLY | O_CLOEXEC);
		r = fd < 0 || fdatasync(fd) < 0 ? -errno : 0;
	}
	if (r < 0 || renameat(s->root_fd, "meta.db.copy.new", s->root_fd, "meta.db.copy") < 0)
		unlinkat(s->root_fd, "meta.db.copy.new", 0);
}

static void *copy_thread(void *user)
{
	struct store *s = user;

	pthread_mutex_lock(&s->mutex);
	while (s->copy_wanted) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += COPY_DELAY;
		while (!s->closing && pthread_cond_timedwait(&s->copy_cond, &s->mutex, &until) == 0)
			;
		s->copy_wanted = false;
		pthread_mutex_unlock(&s->mutex);
		make_copy(s);
		pthread_mutex_lock(&s->mutex);
	}
	s->copy_running = false;
	pthread_cond_broadcast(&s->copy_cond);
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

void copy_want_locked(struct store *s)
{
	int64_t changes = sqlite3_total_changes(s->db);
	pthread_attr_t attr;
	pthread_t thread;

	if (changes == s->changes_seen || !sqlite3_get_autocommit(s->db))
		return;
	s->changes_seen = changes;
	s->copy_wanted = true;
	if (s->copy_running || s->closing)
		return;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, COPY_STACK);
	/* without a thread the next change tries again, or the end does it */
	s->copy_running = pthread_create(&thread, &attr, copy_thread, s) == 0;
	pthread_attr_destroy(&attr);
}

void copy_stop(struct store *s)
{
	bool wanted;

	{
		WITH_LOCK(s);
		pthread_cond_broadcast(&s->copy_cond);
		while (s->copy_running)
			pthread_cond_wait(&s->copy_cond, &s->mutex);
		wanted = s->copy_wanted;
	}
	if (wanted)
		make_copy(s);
}

/* ---- after a damage ---- */

int copy_take(struct store *s)
{
	return renameat(s->root_fd, "meta.db.copy", s->root_fd, "meta.db") < 0 ? -errno : 1;
}

sqlite3 *copy_open(const struct store *s)
{
	CLEANUP(buf_done) struct buf uri = BUF_INIT(8192);
	sqlite3 *copy = NULL;

	/* immutable: it has no log, and none is to be made beside it */
	buf_puts(&uri, "file:");
	for (const char *c = s->root; *c; c++)
		if (strchr("?#%", *c))
			buf_printf(&uri, "%%%02x", (unsigned)*c);
		else
			buf_append(&uri, c, 1);
	if (buf_puts(&uri, "/meta.db.copy?immutable=1") == 0 &&
	    sqlite3_open_v2(buf_text(&uri), &copy,
			    SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL) == SQLITE_OK)
		return copy;
	sqlite3_close(copy);
	return NULL;
}

static int64_t number_of(sqlite3 *db)
{
	sqlite3_stmt *stmt = NULL;
	int64_t n = -1;

	if (db && sqlite3_prepare_v2(db, "SELECT n FROM copies", -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return n;
}

/*
 * A log (meta.db-wal) whose end is lost leaves a database that is whole, and older. Each copy has a
 * number that was committed to meta.db before, so a copy with a higher one proves the loss.
 */
bool copy_is_newer(struct store *s)
{
	sqlite3 *copy = copy_open(s);
	bool newer = number_of(copy) > number_of(s->db);

	sqlite3_close(copy);
	return newer;
}

/* The first row whose data is not there: 1 and its name; 0 for none. */
static int find_missing(struct store *s, const char *sql, int dirfd, char *out, size_t size, struct err *err)
{
	sqlite3_stmt *stmt;
	int r = db_get(s, err, &stmt, sql, "");

	while (r > 0) {
		if (faccessat(dirfd, db_text(stmt, 0), F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
			snprintf(out, size, "%s", db_text(stmt, 0));
			db_reset(stmt);
			return 1;
		}
		r = db_next(s, stmt, err);
	}
	return r;
}

static int drop_images(struct store *s, const char *select, const char *name, const char *drop, struct err *err)
{
	int r = db_run(s, err, select, "s", name);

	if (r == 0)
		r = image_drop_orphans(s, err);
	return r < 0 ? r : db_run(s, err, drop, "s", name);
}

int copy_prune(struct store *s, struct err *err)
{
	char name[STORE_DIGEST_MAX];
	int r;

	while ((r = find_missing(s, "SELECT CAST(id AS TEXT) FROM layer", s->layers_fd, name, sizeof(name), err)) > 0) {
		r = drop_images(s,
				"DELETE FROM image WHERE id IN "
				"(SELECT image FROM image_layer WHERE layer = CAST(? AS INTEGER))",
				name, "DELETE FROM layer WHERE id = CAST(? AS INTEGER)", err);
		if (r < 0)
			return r;
	}
	while (r == 0 && (r = find_missing(s, "SELECT substr(digest, 8) FROM blob", s->blobs_fd, name, sizeof(name),
					   err)) > 0)
		r = drop_images(s,
				"DELETE FROM image WHERE id IN (SELECT image FROM image_blob WHERE digest = 'sha256:' || ?)",
				name, "DELETE FROM blob WHERE digest = 'sha256:' || ?", err);
	return r;
}
