/*
 * Opening and closing: directories, the lock on the root, and the sweep that makes true what
 * the room promises: what meta.db does not name does not exist.
 *
 * The sweep reads only the top of each directory, never a tree; what it finds without a name
 * goes to the trash.
 */
#include "store/inner.h"
#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static int open_dir(struct store *s, const char *name, int *ret_fd, struct err *err)
{
	if (mkdirat(s->root_fd, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "mkdir %s/%s", s->root, name);
	*ret_fd = openat(s->root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? err_sys(err, errno, "open %s/%s", s->root, name) : 0;
}

/* Held by the open file, so it goes with the process, however that ends. */
static int lock_root(struct store *s, struct err *err)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	s->lock_fd = openat(s->root_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return err_sys(err, errno, "open %s/lock", s->root);
	if (fcntl(s->lock_fd, F_OFD_SETLK, &whole) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ?
		       err_set(err, ERR_STATE, "%s is in use by another daemon", s->root) :
		       err_sys(err, errno, "lock %s", s->root);
}

/*
 * A damaged meta.db is replaced by its copy (copy.c). Where that is damaged too, or not there,
 * nothing says which layers and snapshots running containers stand on. So nothing is swept or
 * reused: all of it moves together to damaged-<time>/, mounts go on (they hold the directories,
 * not the names), and a human decides.
 */
enum { AWAY_MAX = 64, DATABASE_FILES = 3 };

static const char *const away_names[] = { "meta.db", "meta.db-wal", "meta.db-shm", "layers", "snapshots", "blobs",
					  "sums" };

/* Into damaged-<time>/, which is away. */
static int move_away(struct store *s, const char *const *names, size_t n, char away[AWAY_MAX], struct err *err)
{
	autofd int dir = -EBADF;

	snprintf(away, AWAY_MAX, "damaged-%lld", (long long)(time_now_real() / NSEC_PER_SEC));
	if (mkdirat(s->root_fd, away, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "mkdir %s/%s", s->root, away);
	dir = openat(s->root_fd, away, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, errno, "open %s/%s", s->root, away);
	for (size_t i = 0; i < n; i++)
		if (renameat(s->root_fd, names[i], dir, names[i]) < 0 && errno != ENOENT)
			return err_sys(err, errno, "move %s/%s to %s", s->root, names[i], away);
	return 0;
}

/*
 * A directory, a device or a link to nowhere in the place of a file of ours is put aside: then the
 * file is missing, which has its own ways. A link to a file is its administrator's business.
 */
static int put_aside_odd(struct store *s, struct buf *note, struct err *err)
{
	static const char *const files[] = { "lock", "meta.db", "meta.db-wal", "meta.db-shm", "meta.db.copy",
					     "meta.db.copy.new" };
	char away[AWAY_MAX];
	int r;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct stat st;

		if (fstatat(s->root_fd, files[i], &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    (fstatat(s->root_fd, files[i], &st, i ? 0 : AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)))
			continue;
		r = move_away(s, &files[i], 1, away, err);
		if (r < 0)
			return r;
		if (note)
			buf_printf(note, "%s/%s is damaged (it is no file): it was set aside in %s/%s\n", s->root, files[i],
				   s->root, away);
	}
	return 0;
}

static bool is_lost(struct store *s)
{
	struct stat st;

	return (fstatat(s->root_fd, "meta.db", &st, AT_SYMLINK_NOFOLLOW) < 0 ? errno == ENOENT : st.st_size == 0) &&
	       faccessat(s->root_fd, "meta.db.copy", F_OK, 0) == 0;
}

static int open_db(struct store *s, struct buf *note, struct err *err)
{
	autofree char *path = mem_printf("%s/meta.db", s->root);
	char away[AWAY_MAX], why[256];
	bool damaged;
	int r;

	/* an empty file would be a new database, without a word */
	if (is_lost(s))
		r = err_set(err, ERR_CORRUPT, "it is empty or not there");
	else if ((r = db_open(s, path, &damaged, err)) == 0 && copy_is_newer(s))
		r = err_set(err, ERR_CORRUPT, "it lacks what its copy has");
	else if (r == 0 || !damaged)
		return r;
	db_close(s);
	snprintf(why, sizeof(why), "%.200s", err->text);
	r = move_away(s, away_names, DATABASE_FILES, away, err);
	if (r < 0)
		return r;
	if (copy_take(s) > 0) {
		err_clear(err);
		r = db_open(s, path, &damaged, err);
		if (r == 0 && note)
			buf_printf(note, "%s/meta.db is damaged (%s): it was set aside in %s/%s, and its copy taken\n",
				   s->root, why, s->root, away);
		if (r == 0 || !damaged)
			return s->restored = true, r;
		db_close(s);
	}
	r = move_away(s, away_names, ARRAY_LEN(away_names), away, err);
	if (r < 0)
		return r;
	if (note)
		buf_printf(note,
			   "%s/meta.db is damaged (%s), and there is no copy: it was set aside with its layers and "
			   "snapshots in %s/%s\n",
			   s->root, why, s->root, away);
	err_clear(err);
	return db_open(s, path, &damaged, err);
}

/* 1 when meta.db names it, 0 when not, negative on failure. */
typedef int (*named_fn)(struct store *s, const char *name, struct err *err);

static int layer_named(struct store *s, const char *name, struct err *err)
{
	sqlite3_stmt *stmt;
	int64_t id;
	int r;

	if (str_to_i64(name, 10, &id) < 0)
		return 0;
	if (id >= s->next_layer)
		s->next_layer = id + 1;
	if (id == 0)
		return 1;
	r = db_get(s, err, &stmt, "SELECT 1 FROM layer WHERE id = ?", "i", id);
	if (r > 0)
		db_reset(stmt);
	return r;
}

static int snapshot_named(struct store *s, const char *name, struct err *err)
{
	sqlite3_stmt *stmt;
	int r = db_get(s, err, &stmt, "SELECT 1 FROM snapshot WHERE id = ?", "s", name);

	if (r > 0)
		db_reset(stmt);
	return r;
}

static int blob_named(struct store *s, const char *name, struct err *err)
{
	sqlite3_stmt *stmt;
	int r = db_get(s, err, &stmt, "SELECT 1 FROM blob WHERE digest = 'sha256:' || ?", "s", name);

	if (r > 0)
		db_reset(stmt);
	return r;
}

static int sweep(struct store *s, int dirfd, named_fn named, struct err *err)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		r = err_sys(err, errno, "read a directory of %s", s->root);
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r >= 0 && (e = readdir(dir))) {
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		r = named(s, e->d_name, err);
		/* no container stands on a blob, and one that was never synced would be taken for whole */
		if (r == 0 && (!s->restored || dirfd == s->blobs_fd)) {
			r = trash_put(s, dirfd, e->d_name);
			if (r < 0)
				err_sys(err, r, "sweep %s from %s", e->d_name, s->root);
		}
	}
	closedir(dir);
	return r < 0 ? r : 0;
}

static int open_all(struct store *s, struct buf *note, struct err *err)
{
	sqlite3_stmt *stmt;
	int r;

	r = sys_mkdir_p(s->root, 0700);
	if (r < 0)
		return err_sys(err, r, "mkdir %s", s->root);
	s->root_fd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root_fd < 0)
		return err_sys(err, errno, "open %s", s->root);
	r = put_aside_odd(s, note, err);
	if (r < 0)
		return r;
	r = lock_root(s, err);
	if (r < 0)
		return r;
	reserve_give(s);
	r = open_db(s, note, err);
	reserve_log(s);
	if (r == 0)
		r = heal_rows(s, note, err);
	if (r < 0)
		return r;
	if ((r = open_dir(s, "layers", &s->layers_fd, err)) < 0 ||
	    (r = open_dir(s, "snapshots", &s->snapshots_fd, err)) < 0 ||
	    (r = open_dir(s, "sums", &s->sums_fd, err)) < 0 ||
	    (r = open_dir(s, "trash", &s->trash_fd, err)) < 0)
		return r;
	if (mkdirat(s->root_fd, "blobs", 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "mkdir %s/blobs", s->root);
	r = open_dir(s, "blobs/sha256", &s->blobs_fd, err);
	if (r < 0)
		return r;
	/* what an image without layers stands on, and a view of a single layer */
	if (mkdirat(s->layers_fd, "0", 0755) < 0 && errno != EEXIST)
		return err_sys(err, errno, "mkdir %s/layers/0", s->root);
	r = db_get(s, err, &stmt, "SELECT max(id) FROM layer", "");
	if (r < 0)
		return r;
	s->next_layer = sqlite3_column_int64(stmt, 0) + 1;
	db_reset(stmt);
	/* the trash counter only has to differ from what is there: RENAME_NOREPLACE finds out */
	if ((r = sweep(s, s->layers_fd, layer_named, err)) < 0 ||
	    (r = sweep(s, s->sums_fd, layer_named, err)) < 0 ||
	    (r = sweep(s, s->snapshots_fd, snapshot_named, err)) < 0 ||
	    (r = sweep(s, s->blobs_fd, blob_named, err)) < 0)
		return r;
	if (s->restored && (r = copy_prune(s, err)) < 0)
		return r;
	if (faccessat(s->root_fd, "meta.db.copy", F_OK, 0) < 0) {
		WITH_LOCK(s);
		s->changes_seen = -1; /* all of it */
		copy_want_locked(s);
	}
	reserve_take(s);
	trash_start(s);
	return 0;
}

int store_open(const char *root, const struct store_options *options, struct store **ret, struct buf *note,
	       struct err *err)
{
	struct err own = ERR_INIT;
	struct store *s;
	int r;

	if (root[0] != '/')
		return err_set(err, ERR_INVALID, "open store: \"%s\" is not an absolute path", root);
	s = mem_new(1, sizeof(*s));
	s->root = mem_strdup(root);
	if (options)
		s->options = *options;
	s->root_fd = s->lock_fd = s->layers_fd = s->blobs_fd = s->snapshots_fd = s->sums_fd = s->trash_fd =
		s->index_fd = -EBADF;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->trash_cond, NULL);
	pthread_cond_init(&s->copy_cond, NULL);
	list_init(&s->leases);
	r = open_all(s, note, &own);
	if (r < 0) {
		store_close(s);
		if (err)
			*err = own;
		return err_wrap(err, r, "open store");
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	assert(list_empty(&s->leases));
	trash_stop(s);
	copy_stop(s);
	db_close(s);
	fd_drop(&s->index_fd);
	/* the log's space is free now */
	if (s->root_fd >= 0)
		reserve_take(s);
	fd_drop(&s->trash_fd);
	fd_drop(&s->snapshots_fd);
	fd_drop(&s->sums_fd);
	fd_drop(&s->blobs_fd);
	fd_drop(&s->layers_fd);
	fd_drop(&s->lock_fd);
	fd_drop(&s->root_fd);
	pthread_cond_destroy(&s->trash_cond);
	pthread_cond_destroy(&s->copy_cond);
	pthread_mutex_destroy(&s->mutex);
	free(s->root);
	free(s);
}

const char *store_root(const struct store *s)
{
	return s->root;
}

bool store_keeps_blobs(const struct store *s)
{
	return s->options.keep_blobs;
}

int store_usage(struct store *s, uint64_t *ret_bytes, uint64_t *ret_inodes, struct err *err)
{
	sqlite3_stmt *stmt;
	int r;

	WITH_LOCK(s);
	r = db_get(s, err, &stmt,
		   "SELECT (SELECT coalesce(sum(bytes), 0) FROM layer)"
		   " + (SELECT coalesce(sum((size + 4095) / 4096 * 4096), 0) FROM blob),"
		   " (SELECT coalesce(sum(inodes), 0) FROM layer) + (SELECT count(*) FROM blob)",
		   "");
	if (r < 0)
		return r;
	*ret_bytes = (uint64_t)sqlite3_column_int64(stmt, 0);
	*ret_inodes = (uint64_t)sqlite3_column_int64(stmt, 1);
	db_reset(stmt);
	return 0;
}
