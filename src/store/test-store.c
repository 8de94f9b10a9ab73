#include "store/store.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char root[64];

static int make_root(void **state)
{
	strcpy(root, "/tmp/test-store-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	return sys_remove_tree(AT_FDCWD, root);
}

static struct store *open_store(void)
{
	CLEANUP(buf_done) struct buf note = BUF_INIT(4096);
	struct err err = ERR_INIT;
	struct store *s = NULL;

	if (store_open(root, NULL, &s, &note, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(buf_text(&note), "");
	return s;
}

static bool exists(const char *fmt, ...)
{
	autofree char *path = NULL;
	va_list ap;

	va_start(ap, fmt);
	assert_true(vasprintf(&path, fmt, ap) > 0);
	va_end(ap);
	return access(path, F_OK) == 0;
}

/* "sha256:" and 64 times the digit */
static const char *digest(char c)
{
	static char out[16][STORE_DIGEST_MAX];
	static int at;
	char *d = out[at = (at + 1) % 16];

	strcpy(d, "sha256:");
	memset(d + 7, c, 64);
	d[71] = '\0';
	return d;
}

/* Publishes image `id` with one layer a character of `layers`, bottom first. */
static void publish(struct store *s, char id, const char *layers, const char *ref)
{
	struct store_lease *l = store_lease_new(s);
	struct store_layer staged[8] = { 0 };
	const char *blob = digest(id);
	struct store_image image = { .id = digest(id), .doc = "{}", .layers = staged,
				     .n_layers = strlen(layers), .blobs = &blob, .n_blobs = 1 };
	struct err err = ERR_INIT;

	for (size_t i = 0; layers[i]; i++) {
		int fd, r = store_layer_find(l, digest(layers[i]), &staged[i], &err);

		assert_true(r >= 0);
		if (r)
			continue;
		assert_int_equal(store_layer_stage(l, &staged[i].id, &fd, &err), 0);
		assert_int_equal(mkdirat(fd, "dir", 0755), 0);
		close(fd);
		strcpy(staged[i].key, digest(layers[i]));
		strcpy(staged[i].diff_id, digest(layers[i]));
		strcpy(staged[i].digest, digest(layers[i]));
		staged[i].bytes = 4096;
		staged[i].inodes = 2;
	}
	assert_int_equal(store_blob_put(l, blob, "{}", 2, &err), 0);
	if (store_image_publish(l, &image, &ref, 1, &err) < 0)
		fail_msg("%s", err.text);
	store_lease_free(l);
}

static int count_record(const char *id, const char *doc, void *user)
{
	struct buf *b = user;

	return buf_printf(b, "%s=%s ", id, doc);
}

static void records_are_kept_in_the_order_of_their_first_put(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(4096), list = BUF_INIT(4096);
	struct store *s = open_store(), *second;
	struct err err = ERR_INIT;

	assert_int_equal(store_record_put(s, "pod", "b", "1", &err), 0);
	assert_int_equal(store_record_put(s, "pod", "a", "2", &err), 0);
	assert_int_equal(store_record_put(s, "container", "b", "x", &err), 0);
	assert_int_equal(store_record_put(s, "pod", "b", "3", &err), 0);
	assert_true(store_open(root, NULL, &second, NULL, &err) < 0);
	assert_int_equal(err.kind, ERR_STATE);
	store_close(s);

	s = open_store();
	assert_int_equal(store_record_get(s, "pod", "b", &out, &err), 0);
	assert_string_equal(buf_text(&out), "3");
	assert_int_equal(store_record_list(s, "pod", count_record, &list, &err), 0);
	assert_string_equal(buf_text(&list), "b=3 a=2 ");
	assert_int_equal(store_record_delete(s, "pod", "b", &err), 0);
	assert_int_equal(store_record_delete(s, "pod", "b", &err), 0);
	assert_true(store_record_get(s, "pod", "b", &out, &err) < 0);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	store_close(s);
}

static void layers_stay_under_a_snapshot_when_their_image_goes(void **state)
{
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT, again =
		STORE_SNAPSHOT_INIT;
	struct store *s = open_store();
	uint64_t bytes, inodes;
	struct err err = ERR_INIT;

	publish(s, 'a', "12", "x:1");
	publish(s, 'b', "13", "y:1");
	assert_int_equal(store_usage(s, &bytes, &inodes, &err), 0);
	assert_int_equal(bytes, 5 * 4096);
	assert_int_equal(inodes, 8);
	assert_int_equal(store_snapshot_prepare(s, digest('a'), "c1", NULL, &snap, &err), 0);
	assert_int_equal(snap.n_lowers, 2);
	assert_true(exists("%s/dir", snap.lowers[0]) && exists("%s", snap.upper) && exists("%s", snap.work));
	assert_true(store_snapshot_prepare(s, digest('a'), "c1", NULL, &again, &err) < 0);
	assert_int_equal(err.kind, ERR_EXISTS);
	assert_true(exists("%s", snap.upper));

	assert_int_equal(store_image_remove(s, digest('a'), &err), 0);
	assert_int_equal(store_image_remove(s, digest('b'), &err), 0);
	store_settle(s);
	assert_true(exists("%s/dir", snap.lowers[0]) && exists("%s/dir", snap.lowers[1]));
	assert_false(exists("%s/layers/3", root));
	assert_false(exists("%s/blobs/sha256/%s", root, digest('a') + 7));
	store_close(s);

	s = open_store();
	assert_int_equal(store_snapshot_get(s, "c1", &again, &err), 0);
	assert_string_equal(again.lowers[0], snap.lowers[0]);
	assert_string_equal(again.upper, snap.upper);
	assert_int_equal(store_snapshot_remove(s, "c1", &err), 0);
	assert_int_equal(store_snapshot_remove(s, "c1", &err), 0);
	store_settle(s);
	assert_false(exists("%s", snap.lowers[0]));
	assert_false(exists("%s/snapshots/c1", root));
	assert_int_equal(store_usage(s, &bytes, &inodes, &err), 0);
	assert_int_equal(bytes + inodes, 0);
	store_close(s);
}

static void what_was_not_published_does_not_exist(void **state)
{
	struct store *s = open_store();
	struct store_lease *l = store_lease_new(s), *other = store_lease_new(s);
	struct store_layer layer;
	struct err err = ERR_INIT;
	int64_t id, kept;
	int fd;

	assert_int_equal(store_layer_stage(l, &id, &fd, &err), 0);
	close(fd);
	assert_int_equal(store_layer_stage(l, &kept, &fd, &err), 0);
	close(fd);
	store_layer_hold(other, kept);
	assert_int_equal(store_blob_put(l, digest('e'), "x", 1, &err), 0);
	assert_int_equal(store_layer_find(other, digest('1'), &layer, &err), 0);
	store_lease_free(l);
	store_settle(s);
	assert_false(exists("%s/layers/%d", root, (int)id));
	assert_false(exists("%s/blobs/sha256/%s", root, digest('e') + 7));
	assert_true(exists("%s/layers/%d", root, (int)kept));
	store_lease_free(other);
	store_close(s);

	/* as a crash would leave it */
	{
		autofree char *layer_dir = mem_printf("%s/layers/77/deep", root);
		autofree char *snap_dir = mem_printf("%s/snapshots/lost/upper", root);
		autofree char *blob = mem_printf("%s/blobs/sha256/half", root);

		assert_int_equal(sys_mkdir_p(layer_dir, 0700), 0);
		assert_int_equal(sys_mkdir_p(snap_dir, 0700), 0);
		assert_int_equal(mkdir(blob, 0700), 0);
	}
	s = open_store();
	store_settle(s);
	assert_false(exists("%s/layers/77", root));
	assert_false(exists("%s/snapshots/lost", root));
	assert_false(exists("%s/blobs/sha256/half", root));
	store_close(s);
}

static void a_removed_image_waits_for_the_lease_that_found_its_layer(void **state)
{
	struct store *s = open_store();
	struct store_lease *l;
	struct store_layer layer;
	struct err err = ERR_INIT;

	publish(s, 'a', "1", "x:1");
	l = store_lease_new(s);
	assert_int_equal(store_layer_find(l, digest('1'), &layer, &err), 1);
	assert_int_equal(store_image_remove(s, digest('a'), &err), 0);
	store_settle(s);
	assert_true(exists("%s/layers/%d", root, (int)layer.id));
	store_lease_free(l);
	store_settle(s);
	assert_false(exists("%s/layers/%d", root, (int)layer.id));
	store_close(s);
}

static int print_image(const char *id, const char *doc, char **refs, size_t n, void *user)
{
	buf_printf(user, "%c", id[7]);
	for (size_t i = 0; i < n; i++)
		buf_printf(user, " %s", refs[i]);
	return buf_puts(user, ";");
}

static void names_move_to_the_image_that_was_published_last(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(4096);
	struct store *s = open_store();
	struct err err = ERR_INIT;

	publish(s, 'b', "", "x:1");
	publish(s, 'a', "1", "x:1");
	publish(s, 'a', "1", "x:2");
	assert_int_equal(store_ref_set(s, "x:3", digest('b'), &err), 0);
	assert_true(store_ref_set(s, "x:3", digest('f'), &err) < 0);
	assert_int_equal(store_image_list(s, print_image, &out, &err), 0);
	assert_string_equal(buf_text(&out), "b x:3;a x:1 x:2;");
	store_close(s);
}

static void a_read_only_snapshot_has_two_lowers_and_no_upper(void **state)
{
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT;
	struct store *s = open_store();
	struct err err = ERR_INIT;

	publish(s, 'a', "1", "x:1");
	assert_int_equal(store_snapshot_prepare(s, digest('a'), "v",
						&(struct store_snapshot_options){ .read_only = true },
						&snap, &err), 0);
	assert_int_equal(snap.n_lowers, 2);
	assert_true(!snap.upper && exists("%s/dir", snap.lowers[0]) && exists("%s", snap.lowers[1]));
	assert_true(store_snapshot_prepare(s, digest('a'), "../x", NULL, &snap, &err) < 0);
	assert_int_equal(err.kind, ERR_INVALID);
	assert_true(store_snapshot_prepare(s, digest('9'), "y", NULL, &snap, &err) < 0);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_false(exists("%s/snapshots/y", root));
	store_close(s);
}

static void usage_counts_hard_links_once_and_follows_nothing(void **state)
{
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT;
	struct store *s = open_store();
	uint64_t bytes, inodes;
	struct err err = ERR_INIT;
	char block[8192] = "x";
	int upper;

	publish(s, 'a', "1", "x:1");
	assert_int_equal(store_snapshot_prepare(s, digest('a'), "c", NULL, &snap, &err), 0);
	upper = open(snap.upper, O_RDONLY | O_DIRECTORY);
	assert_int_equal(sys_file_replace(upper, "f", block, sizeof(block), 0600, false), 0);
	assert_int_equal(linkat(upper, "f", upper, "g", 0), 0);
	assert_int_equal(symlinkat("/usr", upper, "l"), 0);
	close(upper);
	assert_int_equal(store_snapshot_usage(s, "c", &bytes, &inodes, &err), 0);
	assert_int_equal(inodes, 3);
	assert_true(bytes >= 8192 && bytes <= 16384);
	store_close(s);
}

static void hit(const char *name)
{
	autofree char *path = mem_printf("%s/%s", root, name);
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, "this is not a database, not even nearly; it was hit by something", 64), 64);
	close(fd);
}

static void a_damaged_database_is_replaced_by_its_copy(void **state)
{
	CLEANUP(buf_done) struct buf note = BUF_INIT(4096), before = BUF_INIT(4096), out = BUF_INIT(4096);
	struct store *s = open_store();
	struct err err = ERR_INIT;
	autofree char *layers = mem_printf("%s/layers", root);

	publish(s, 'a', "1", "x:1");
	publish(s, 'b', "2", "y:1");
	assert_int_equal(store_image_list(s, print_image, &before, &err), 0);
	store_close(s);
	hit("meta.db");
	assert_int_equal(store_open(root, NULL, &s, &note, &err), 0);
	assert_non_null(strstr(buf_text(&note), "its copy taken"));
	assert_int_equal(store_image_list(s, print_image, &out, &err), 0);
	assert_string_equal(buf_text(&out), buf_text(&before));
	store_close(s);

	/* a layer that went after the copy: its image is not named any more, the other one is */
	hit("meta.db");
	buf_done(&out);
	{
		autofd int fd = open(layers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_int_equal(sys_remove_tree(fd, "1"), 0);
	}
	assert_int_equal(store_open(root, NULL, &s, &note, &err), 0);
	assert_int_equal(store_image_list(s, print_image, &out, &err), 0);
	assert_null(strstr(buf_text(&out), "x:1"));
	assert_non_null(strstr(buf_text(&out), "y:1"));
	publish(s, 'a', "1", "x:1");
	store_close(s);
}

static void a_damaged_database_without_a_copy_is_set_aside_with_all_that_it_named(void **state)
{
	CLEANUP(buf_done) struct buf note = BUF_INIT(4096), out = BUF_INIT(4096);
	struct store *s = open_store();
	struct err err = ERR_INIT;

	publish(s, 'a', "1", "x:1");
	store_close(s);
	hit("meta.db");
	hit("meta.db.copy");
	assert_int_equal(store_open(root, NULL, &s, &note, &err), 0);
	assert_non_null(strstr(buf_text(&note), "there is no copy"));
	assert_int_equal(store_image_list(s, print_image, &out, &err), 0);
	assert_string_equal(buf_text(&out), "");
	publish(s, 'a', "1", "x:1");
	store_close(s);
	s = open_store();
	store_close(s);
}

/* SQL of somebody else's, as damage would have it: behind the store's back. */
static void change(const char *name, const char *sql)
{
	autofree char *path = mem_printf("%s/%s", root, name);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_total_changes(db), 1);
	sqlite3_close(db);
}

static void a_record_that_is_not_what_was_written_is_taken_from_the_copy_or_set_aside(void **state)
{
	static const char hurt[] = "UPDATE record SET doc = '{\"pid\":17}' WHERE id = 'one'";
	CLEANUP(buf_done) struct buf note = BUF_INIT(4096), out = BUF_INIT(4096);
	struct store *s = open_store();
	struct err err = ERR_INIT;

	assert_int_equal(store_record_put(s, "pod", "one", "{\"pid\":16}", &err), 0);
	assert_int_equal(store_record_put(s, "pod", "two", "{\"pid\":18}", &err), 0);
	store_close(s);
	change("meta.db", hurt);
	assert_int_equal(store_open(root, NULL, &s, &note, &err), 0);
	assert_non_null(strstr(buf_text(&note), "pod record one of meta.db was damaged, and its copy taken"));
	assert_int_equal(store_record_get(s, "pod", "one", &out, &err), 0);
	assert_string_equal(buf_text(&out), "{\"pid\":16}");
	store_close(s);

	change("meta.db", hurt);
	change("meta.db.copy", hurt);
	buf_done(&note);
	assert_int_equal(store_open(root, NULL, &s, &note, &err), 0);
	assert_non_null(strstr(buf_text(&note), "pod record one is damaged and set aside"));
	assert_true(store_record_get(s, "pod", "one", &out, NULL) < 0);
	assert_int_equal(store_record_get(s, "pod.damaged", "one", &out, &err), 0);
	assert_int_equal(store_record_get(s, "pod", "two", &out, &err), 0);
	store_close(s);
	s = open_store();
	store_close(s);
}

static void an_image_that_is_not_what_was_written_is_taken_from_the_copy_or_unnamed(void **state)
{
	static const char hurt[] = "UPDATE image SET doc = '{\"a\":1}' WHERE num = 1";
	CLEANUP(buf_done) struct buf note = BUF_INIT(4096), out = BUF_INIT(4096);
	struct store *s = open_store();
	struct err err = ERR_INIT;

	publish(s, 'a', "1", "x:1");
	publish(s, 'b', "2", "y:1");
	store_close(s);
	change("meta.db", hurt);
	assert_int_equal(store_open(root, NULL, &s, &note, &err), 0);
	assert_non_null(strstr(buf_text(&note), "its copy taken"));
	store_close(s);
	change("meta.db", hurt);
	change("meta.db.copy", hurt);
	buf_done(&note);
	assert_int_equal(store_open(root, NULL, &s, &note, &err), 0);
	assert_non_null(strstr(buf_text(&note), "damaged and unnamed"));
	assert_int_equal(store_image_list(s, print_image, &out, &err), 0);
	assert_null(strstr(buf_text(&out), "x:1"));
	assert_non_null(strstr(buf_text(&out), "y:1"));
	publish(s, 'a', "1", "x:1");
	store_close(s);
}

static void a_log_that_lost_its_end_is_noticed_by_the_copy(void **state)
{
	CLEANUP(buf_done) struct buf note = BUF_INIT(4096), out = BUF_INIT(4096);
	autofree char *db = mem_printf("%s/meta.db", root);
	struct store *s = open_store();
	struct err err = ERR_INIT;

	assert_int_equal(store_record_put(s, "pod", "one", "1", &err), 0);
	store_close(s);
	/* all that the log held goes: the database as it was before */
	{
		CLEANUP(buf_done) struct buf whole = BUF_INIT(1 << 20);

		assert_int_equal(sys_file_read(AT_FDCWD, db, 1 << 20, &whole), 0);
		s = open_store();
		assert_int_equal(store_record_put(s, "pod", "two", "2", &err), 0);
		store_close(s);
		assert_int_equal(sys_file_replace(AT_FDCWD, db, whole.data, whole.len, 0600, false), 0);
	}
	assert_int_equal(store_open(root, NULL, &s, &note, &err), 0);
	assert_non_null(strstr(buf_text(&note), "lacks what its copy has"));
	assert_int_equal(store_record_get(s, "pod", "two", &out, &err), 0);
	store_close(s);
}

static void what_is_no_file_is_put_aside(void **state)
{
	static const char *const names[] = { "meta.db", "meta.db-wal", "meta.db-shm", "meta.db.copy", "lock" };
	struct store *s = open_store();
	struct err err = ERR_INIT;

	assert_int_equal(store_record_put(s, "pod", "one", "1", &err), 0);
	store_close(s);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		CLEANUP(buf_done) struct buf note = BUF_INIT(4096), out = BUF_INIT(4096);
		autofree char *path = mem_printf("%s/%s", root, names[i]);

		unlink(path);
		if (i % 2)
			assert_int_equal(symlink("nowhere", path), 0);
		else
			assert_int_equal(mkdir(path, 0700), 0);
		if (store_open(root, NULL, &s, &note, &err) < 0)
			fail_msg("%s: %s", names[i], err.text);
		assert_non_null(strstr(buf_text(&note), names[i]));
		assert_int_equal(store_record_get(s, "pod", "one", &out, &err), 0);
		store_close(s);
	}
}

static void a_newer_database_is_refused_and_untouched(void **state)
{
	struct store *s = open_store();
	struct err err = ERR_INIT;
	autofree char *db = mem_printf("%s/meta.db", root);
	uint8_t version[4] = { 0, 0, 0, 9 };
	int fd;

	store_close(s);
	fd = open(db, O_WRONLY);
	/* user_version in the header of the file: https://www.sqlite.org/fileformat.html 1.3 */
	assert_int_equal(pwrite(fd, version, 4, 60), 4);
	close(fd);
	assert_true(store_open(root, NULL, &s, NULL, &err) < 0);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	assert_true(exists("%s", db));
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

/* SQLite's lock that says the mapped index is in use (byte 128), as another process sees it. */
static void the_index_of_the_log_stays_locked_while_the_store_is_open(void **state)
{
	struct store *s = open_store();
	autofree char *path = mem_printf("%s/meta.db-shm", root);
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 128, .l_len = 1 };
		int fd = open(path, O_RDWR | O_CLOEXEC);

		_exit(fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 ? 2 : lock.l_type == F_UNLCK);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	store_close(s);
}

static void expect_blob(struct store *s, const char *d, const char *text)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(100);
	struct err err = ERR_INIT;

	assert_int_equal(store_blob_get(s, d, &b, &err), 0);
	assert_string_equal(buf_text(&b), text);
}

/* A damaged blob is no reason to keep it: what was fetched again takes its place. */
static void a_blob_takes_the_place_of_a_damaged_one(void **state)
{
	static const char *const damages[] = { "", "right?", "wrong" };
	struct store *s = open_store();
	struct store_lease *l = store_lease_new(s);
	autofree char *path = mem_printf("%s/blobs/sha256/%s", root, digest('e') + 7);
	autofree char *inside = mem_printf("%s/x", path);
	struct err err = ERR_INIT;

	for (int staged = 0; staged < 2; staged++)
		for (size_t i = 0; i <= ARRAY_LEN(damages); i++) {
			if (i < ARRAY_LEN(damages)) {
				assert_int_equal(sys_file_replace(AT_FDCWD, path, damages[i], strlen(damages[i]), 0600,
								  false), 0);
			} else {
				assert_int_equal(unlink(path), 0);
				assert_int_equal(sys_mkdir_p(inside, 0700), 0);
			}
			if (staged) {
				autofd int fd = -EBADF;

				assert_int_equal(store_blob_stage(s, &fd, &err), 0);
				assert_int_equal(write(fd, "right", 5), 5);
				assert_int_equal(store_blob_commit(l, digest('e'), fd, &err), 0);
			} else {
				assert_int_equal(store_blob_put(l, digest('e'), "right", 5, &err), 0);
			}
			expect_blob(s, digest('e'), "right");
		}
	store_lease_free(l);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_blob_takes_the_place_of_a_damaged_one),
		T(records_are_kept_in_the_order_of_their_first_put),
		T(layers_stay_under_a_snapshot_when_their_image_goes),
		T(what_was_not_published_does_not_exist),
		T(a_removed_image_waits_for_the_lease_that_found_its_layer),
		T(names_move_to_the_image_that_was_published_last),
		T(a_read_only_snapshot_has_two_lowers_and_no_upper),
		T(usage_counts_hard_links_once_and_follows_nothing),
		T(a_damaged_database_is_replaced_by_its_copy),
		T(a_damaged_database_without_a_copy_is_set_aside_with_all_that_it_named),
		T(a_record_that_is_not_what_was_written_is_taken_from_the_copy_or_set_aside),
		T(an_image_that_is_not_what_was_written_is_taken_from_the_copy_or_unnamed),
		T(a_log_that_lost_its_end_is_noticed_by_the_copy),
		T(what_is_no_file_is_put_aside),
		T(the_index_of_the_log_stays_locked_while_the_store_is_open),
		T(a_newer_database_is_refused_and_untouched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
