#include "image/linked.h"
#include "sys/sys.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <cmocka.h>

/* One entry of an archive to be. type: f file, d directory, l symbolic link, h hard link,
 * c character device 1:3, p FIFO. data: content or target. */
struct item {
	char type;
	const char *name, *data;
	int mode; /* 0: 0644, 0755 for directories */
};

static char base[64], layer[80];
static int layer_fd = -1;
static const struct image_limits limits = { .layer_bytes = 1 << 20, .layer_entries = 100,
					    .layer_ratio = 100 };

static int set_up(void **state)
{
	strcpy(base, "/tmp/test-unpack-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	snprintf(layer, sizeof(layer), "%s/layer", base);
	if (mkdir(layer, 0755) < 0)
		return -1;
	layer_fd = open(layer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return layer_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	close(layer_fd);
	return sys_remove_tree(AT_FDCWD, base);
}

static void put(struct archive *a, const struct item *it)
{
	struct archive_entry *e = archive_entry_new();
	size_t len = it->type == 'f' && it->data ? strlen(it->data) : 0;

	archive_entry_set_pathname(e, it->name);
	archive_entry_set_perm(e, it->mode ? it->mode : it->type == 'd' ? 0755 : 0644);
	archive_entry_set_uid(e, 1000);
	archive_entry_set_gid(e, 2000);
	archive_entry_set_mtime(e, 1234567890, 123456789);
	archive_entry_set_filetype(e, it->type == 'd' ? AE_IFDIR : it->type == 'l' ? AE_IFLNK :
				      it->type == 'c' ? AE_IFCHR : it->type == 'p' ? AE_IFIFO : AE_IFREG);
	if (it->type == 'l')
		archive_entry_set_symlink(e, it->data);
	if (it->type == 'h')
		archive_entry_set_hardlink(e, it->data);
	if (it->type == 'c')
		archive_entry_set_rdev(e, makedev(1, 3));
	if (it->type == 'x') {
		archive_entry_xattr_add_entry(e, "user.kept", "1", 1);
		archive_entry_xattr_add_entry(e, "trusted.overlay.redirect", "/../../etc", 10);
		archive_entry_xattr_add_entry(e, "security.capability",
					      "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	}
	archive_entry_set_size(e, (la_int64_t)len);
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	if (len)
		assert_int_equal(archive_write_data(a, it->data, len), (la_ssize_t)len);
	archive_entry_free(e);
}

static uint8_t tar[8 << 20];

static size_t make_tar(const struct item *items, size_t n)
{
	struct archive *a = archive_write_new();
	size_t used = 0;

	archive_write_set_format_pax(a);
	archive_write_set_options(a, "hdrcharset=BINARY");
	assert_int_equal(archive_write_open_memory(a, tar, sizeof(tar), &used), ARCHIVE_OK);
	for (size_t i = 0; i < n && items[i].type; i++)
		put(a, &items[i]);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
	return used;
}

static int unpack_bytes(size_t len, struct unpack_result *res, struct err *err)
{
	struct source_mem mem;

	source_mem_init(&mem, tar, len);
	return unpack_layer(layer_fd, &mem.source, &limits, res, err);
}

static void unpack_well(const struct item *items, size_t n, struct unpack_result *res)
{
	struct err err = ERR_INIT;

	if (unpack_bytes(make_tar(items, n), res, &err) < 0)
		fail_msg("%s", err.text);
}

/* "d 755", "f 644 content", "l target", "w" (whiteout), "-" (nothing), "c", "p"; "!" opaque */
static const char *look(const char *name)
{
	static char out[300];
	char text[200] = "", value[4], path[200];
	struct stat st;
	ssize_t n;

	if (fstatat(layer_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return "-";
	snprintf(path, sizeof(path), "%s/%s", layer, name);
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR:
		snprintf(out, sizeof(out), "d %o%s", st.st_mode & 07777,
			 lgetxattr(path, "trusted.overlay.opaque", value, sizeof(value)) == 1 ? " !" : "");
		break;
	case S_IFREG:
		sys_file_read_text(layer_fd, name, text, sizeof(text));
		snprintf(out, sizeof(out), "f %o %s", st.st_mode & 07777, text);
		break;
	case S_IFLNK:
		n = readlinkat(layer_fd, name, text, sizeof(text) - 1);
		snprintf(out, sizeof(out), "l %.*s", (int)n, text);
		break;
	case S_IFCHR:
		return st.st_rdev ? "c" : "w";
	case S_IFIFO:
		return "p";
	}
	return out;
}

static void kinds_owners_modes_times_and_xattrs_are_kept(void **state)
{
	static const struct item items[] = {
		{ 'd', "./", NULL, 0711 },       { 'd', "a", NULL, 02755 },
		     { 'f', "a/f", "hello", 04755 },
		{ 'h', "a/h", "a/f" },		 { 'l', "a/l", "/etc/passwd" }, { 'c', "null", NULL, 0666 },
		{ 'p', "fifo", NULL, 0600 },     { 'x', "x", NULL, 0755 },
		      { 'f', "gr\xc3\xbc\xc3\x9f", "utf8" },
		{ 'f', "latin\xfc", "bytes" },	 { 'f', "/abs/olute", "in" },	 { 'f', ".//./dot", "s" },
	};
	CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;
	struct stat st, st2;
	char value[64], path[200];

	unpack_well(items, ARRAY_LEN(items), &res);
	assert_string_equal(look("."), "d 711");
	assert_true(res.has_root);
	assert_string_equal(look("a"), "d 2755");
	assert_string_equal(look("a/f"), "f 4755 hello");
	assert_string_equal(look("a/l"), "l /etc/passwd");
	assert_string_equal(look("null"), "c");
	assert_string_equal(look("fifo"), "p");
	assert_string_equal(look("gr\xc3\xbc\xc3\x9f"), "f 644 utf8");
	assert_string_equal(look("latin\xfc"), "f 644 bytes");
	assert_string_equal(look("abs/olute"), "f 644 in");
	assert_string_equal(look("dot"), "f 644 s");
	assert_int_equal(fstatat(layer_fd, "a/f", &st, 0), 0);
	assert_int_equal(fstatat(layer_fd, "a/h", &st2, 0), 0);
	assert_int_equal(st.st_ino, st2.st_ino);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(st.st_gid, 2000);
	for (int i = 0; i < 5; i++) {
		static const char *const names[] = { "a/f", "a/l", "a", "fifo", "." };

		assert_int_equal(fstatat(layer_fd, names[i], &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(st.st_mtim.tv_sec, 1234567890);
		assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	}
	snprintf(path, sizeof(path), "%s/x", layer);
	assert_int_equal(getxattr(path, "user.kept", value, sizeof(value)), 1);
	assert_int_equal(getxattr(path, "security.capability", value, sizeof(value)), 20);
	assert_int_equal(getxattr(path, "trusted.overlay.redirect", value, sizeof(value)), -1);
	assert_int_equal(res.n_implied, 1);
	assert_string_equal(res.implied[0], "abs");
}

static void markers_become_overlays_own_wherever_they_stand(void **state)
{
	static const struct item items[] = {
		{ 'd', "d" },		  { 'f', "d/.wh.gone" },	    { 'f', ".wh.top" },
		{ 'd', "o" },		  { 'f', "o/new", "n" },	    { 'f', "o/.wh..wh..opq" },
		{ 'd', "kept" },	  { 'f', "kept/in", "1" },	    { 'f', ".wh.kept" },
		{ 'f', ".wh.again" },	  { 'd', "again" },		    { 'f', "again/x", "2" },
		{ 'f', ".wh.deep" },	  { 'f', "deep/er/x", "3" },	    { 'f', "file", "4" },
		{ 'f', ".wh.file" },	  { 'f', ".wh..wh.aufs", "" },	    { 'd', ".wh..wh.plnk" },
		{ 'f', ".wh..wh.plnk/1", "x" }, { 'f', "turn", "5" },	    { 'd', "turn" },
	};
	CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;

	unpack_well(items, ARRAY_LEN(items), &res);
	assert_string_equal(look("d/gone"), "w");
	assert_string_equal(look("top"), "w");
	assert_string_equal(look("o"), "d 755 !");
	assert_string_equal(look("o/new"), "f 644 n");
	assert_string_equal(look("kept"), "d 755 !");
	assert_string_equal(look("kept/in"), "f 644 1");
	assert_string_equal(look("again"), "d 755 !");
	assert_string_equal(look("again/x"), "f 644 2");
	assert_string_equal(look("deep"), "d 755 !");
	assert_string_equal(look("deep/er"), "d 755");
	assert_string_equal(look("file"), "f 644 4");
	assert_string_equal(look("turn"), "d 755 !");
	assert_string_equal(look(".wh..wh.aufs"), "-");
	assert_string_equal(look(".wh..wh.plnk"), "-");
}

static void the_last_entry_of_a_name_wins(void **state)
{
	static const struct item items[] = {
		{ 'f', "a", "1" },     { 'f', "a", "2", 0600 }, { 'd', "b" },       { 'f', "b/c", "x" },
		{ 'f', "b", "3" },
		{ 'l', "l", "b" },     { 'f', "l", "4" },	{ 'd', "d", NULL, 0700 }, { 'f', "d/e", "5" },
		{ 'd', "d", NULL, 0711 }, { 'f', "f", "6" },    { 'h', "f", "f" },    { 'f', "g", "7" },
		{ 'h', "g", "a" },
	};
	CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;

	unpack_well(items, ARRAY_LEN(items), &res);
	assert_string_equal(look("a"), "f 600 2");
	assert_string_equal(look("b"), "f 644 3");
	assert_string_equal(look("l"), "f 644 4");
	assert_string_equal(look("d"), "d 711");
	assert_string_equal(look("d/e"), "f 644 5");
	assert_string_equal(look("f"), "f 644 6");
	assert_string_equal(look("g"), "f 600 2");
}

static void links_of_the_layer_are_followed_inside_it_only(void **state)
{
	static const struct item items[] = {
		{ 'd', "usr/lib" },        { 'l', "lib", "usr/lib" }, { 'f', "lib/x", "1" },
		     { 'l', "up", "../../../../.." },
		{ 'f', "up/y", "2" },      { 'l', "abs", "/etc" },    { 'f', "abs/passwd", "3" },
		{ 'l', "dang", "/no/where" },
		{ 'f', "dang/z", "4" },	   { 'h', "hard", "abs/passwd" },
	};
	CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;

	unpack_well(items, ARRAY_LEN(items), &res);
	assert_string_equal(look("usr/lib/x"), "f 644 1");
	assert_string_equal(look("lib"), "l usr/lib");
	assert_string_equal(look("y"), "f 644 2");
	assert_string_equal(look("etc/passwd"), "f 644 3");
	assert_string_equal(look("no/where/z"), "f 644 4");
	assert_string_equal(look("hard"), "f 644 3");
}

static void what_would_leave_the_layer_is_refused(void **state)
{
	static const struct {
		struct item items[4];
		enum err_kind kind;
		const char *says;
	} rows[] = {
		{ { { 'f', "../evil", "x" } }, ERR_INVALID, ".." },
		{ { { 'f', "a/../../evil", "x" } }, ERR_INVALID, ".." },
		{ { { 'f', "a/..", "x" } }, ERR_INVALID, ".." },
		{ { { 'h', "p", "p" } }, ERR_INVALID, "not there" },
		{ { { 'h', "p", "/" } }, ERR_INVALID, "root" },
		{ { { 'f', ".wh.gone", "" }, { 'h', "p", "gone/x" } }, ERR_INVALID, "not there" },
		{ { { 'f', "o/.wh..wh..opq", "" }, { 'h', "p", "o/x" } }, ERR_INVALID, "not there" },
		{ { { 'h', "p", "../../etc/passwd" } }, ERR_INVALID, ".." },
		{ { { 'd', "d" }, { 'h', "p", "d" } }, ERR_INVALID, "no file" },
		{ { { 'f', "f", "x" }, { 'f', "f/g", "y" } }, ERR_INVALID, "not a directory" },
		{ { { 'l', "loop", "loop" }, { 'f', "loop/x", "y" } }, ERR_INVALID, "parent" },
		{ { { 'f', ".wh.", "" } }, ERR_INVALID, "marker" },
		{ { { 'f', ".wh..", "" } }, ERR_INVALID, "marker" },
		{ { { 'f', ".wh...", "" } }, ERR_INVALID, "marker" },
		{ { { 'd', ".wh.dir" } }, ERR_INVALID, "regular" },
		{ { { 'f', ".wh.dir/x", "" } }, ERR_INVALID, "in a marker" },
		{ { { 'l', ".wh.x", "y" } }, ERR_INVALID, "regular" },
		{ { { 'h', ".wh.x", "y" } }, ERR_INVALID, "regular" },
		{ { { 'l', "/", "y" } }, ERR_INVALID, "root" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;
		struct err err = ERR_INIT;
		int r = unpack_bytes(make_tar(rows[i].items, 4), &res, &err);

		if (r >= 0 || err.kind != rows[i].kind || !strstr(err.text, rows[i].says) ||
		    !strstr(err.text, "entry"))
			fail_msg("row %zu: %d %s", i, r, err.text);
		assert_int_equal(faccessat(AT_FDCWD, "/tmp/evil", F_OK, 0), -1);
		assert_int_equal(tear_down(NULL), 0);
		assert_int_equal(set_up(NULL), 0);
	}
}

/* A directory of its own beside the layer: what lies below. */
static int make_below(const struct item *items, size_t n)
{
	CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;
	char path[96];
	int mine = layer_fd, fd;

	snprintf(path, sizeof(path), "%s/below", base);
	assert_int_equal(mkdir(path, 0755), 0);
	fd = layer_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unpack_well(items, n, &res);
	layer_fd = mine;
	return fd;
}

/* What is copied counts as unpacked. */
static void wrong_size(const struct linked_stack *stack)
{
	CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;
	static const struct item one = { 'h', "large", "usr/lib/one" };
	struct err err = ERR_INIT;

	unpack_well(&one, 1, &res);
	assert_true(linked_finish(layer_fd, stack, &res, res.bytes + 2, &err) < 0);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_int_equal(unlinkat(layer_fd, "large", 0), 0);
}

static void hard_links_to_layers_below_become_copies(void **state)
{
	static const struct item below_items[] = {
		{ 'd', "usr", NULL, 0700 }, { 'd', "usr/lib" }, { 'f', "usr/lib/one", "one", 04755 },
		{ 'l', "lib", "usr/lib" }, { 'l', "out", "/etc" }, { 'x', "x", NULL }, { 'p', "fifo", NULL },
		{ 'f', "empty", NULL }, { 'd', "dir" },
	};
	static const struct item items[] = {
		{ 'h', "a", "lib/one" }, { 'h', "b", "a" }, { 'h', "replaced", "x" }, { 'f', "replaced",
										       "mine" },
		{ 'h', "x2", "x" }, { 'h', "f2", "fifo" }, { 'h', "l2", "lib" }, { 'h', "e2", "/empty" },
		{ 'h', "sub/s", "usr/lib/one" }, { 'h', "wh", "empty" }, { 'f', ".wh.wh", "" },
	};
	static const struct {
		const char *target, *says;
	} wrong[] = {
		{ "missing", "no layer has" }, { "dir", "no file" }, { "out/passwd", "no layer has" },
		{ "/etc/passwd", "no layer has" },
	};
	CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;
	autofd int below = make_below(below_items, ARRAY_LEN(below_items));
	const int64_t id = 1;
	const struct linked_stack stack = { &below, &id, 1 };
	struct err err = ERR_INIT;
	struct stat a, b;

	wrong_size(&stack);
	unpack_well(items, ARRAY_LEN(items), &res);
	assert_true(unpack_depends(&res));
	for (int twice = 0; twice < 2; twice++)
		if (linked_finish(layer_fd, &stack, &res, 1 << 20, &err) < 0)
			fail_msg("%s", err.text);
	assert_string_equal(look("a"), "f 4755 one");
	assert_string_equal(look("sub/s"), "f 4755 one");
	assert_string_equal(look("replaced"), "f 644 mine");
	assert_string_equal(look("e2"), "f 644 ");
	assert_string_equal(look("f2"), "p");
	assert_string_equal(look("l2"), "l usr/lib");
	assert_true(fstatat(layer_fd, "a", &a, 0) == 0 && fstatat(layer_fd, "b", &b, 0) == 0);
	assert_true(a.st_ino == b.st_ino && a.st_uid == 1000 && a.st_mtim.tv_nsec == 123456789);
	assert_true(res.n_implied >= 2);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		CLEANUP(unpack_result_done) struct unpack_result bad = UNPACK_RESULT_INIT;
		struct item one = { 'h', "bad", wrong[i].target };

		unpack_well(&one, 1, &bad);
		err = (struct err)ERR_INIT;
		assert_true(linked_finish(layer_fd, &stack, &bad, 1 << 20, &err) < 0);
		if (!strstr(err.text, wrong[i].says))
			fail_msg("%s: %s", wrong[i].target, err.text);
		assert_int_equal(unlinkat(layer_fd, "bad", 0), 0);
	}
}

enum { MANY = 900 };

/* Whatever follows a file that a thread still fills: the order of the stream counts. */
static void small_files_are_filled_while_others_replace_hide_and_link_to_them(void **state)
{
	static const struct image_limits wide = { .layer_bytes = 1 << 24, .layer_entries = 10000,
						  .layer_ratio = 100 };
	CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;
	autofree struct item *items = mem_new(5 * MANY, sizeof(*items));
	autofree char *names = mem_new(5 * MANY, 32);
	struct err err = ERR_INIT;
	struct source_mem mem;
	size_t n = 0, files = 0;
	char name[32], want[64];

	for (int i = 0; i < MANY; i++) {
		char *dir = names + n * 32;

		snprintf(dir, 32, "d%d/f", i / 100);
		for (int k = 0; k < 5; k++)
			snprintf(names + (n + (size_t)k) * 32, 32, k == 2 ? "d%d/h%d" : k == 4 ? "d%d/.wh.f%d" : "d%d/f%d",
				 i / 100, i);
		items[n] = (struct item){ 'f', dir, "first", 0600 };
		items[n + 1] = (struct item){ i % 2 ? 'f' : 'd', dir, "second", 04755 };
		items[n + 2] = (struct item){ i % 2 ? 'h' : 'f', dir + 2 * 32, i % 2 ? dir : "", 0644 };
		items[n + 3] = (struct item){ i % 3 ? 'l' : 'f', dir, "third", 0640 };
		items[n + 4] = (struct item){ 'f', dir + 4 * 32, "" };
		n += 5;
	}
	source_mem_init(&mem, tar, make_tar(items, n));
	if (unpack_layer(layer_fd, &mem.source, &wide, &res, &err) < 0)
		fail_msg("%s", err.text);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "d%d/f%d", i / 100, i);
		assert_string_equal(look(name), i % 3 ? "l third" : "f 640 third");
		snprintf(name, sizeof(name), "d%d/h%d", i / 100, i);
		snprintf(want, sizeof(want), i % 2 ? "f 4755 second" : "f 644 ");
		assert_string_equal(look(name), want);
		files += 1 + (i % 2) + !(i % 2);
	}
	assert_true(res.sums.unsure && res.sums.n >= files);
}

/* What fails behind the back of whoever reads the stream fails the layer, by the entry's name. */
static void a_full_disk_is_told_with_the_name_of_a_small_file(void **state)
{
	CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;
	static const struct image_limits wide = { .layer_bytes = 1 << 24, .layer_entries = 10000,
						  .layer_ratio = 100 };
	struct item items[200];
	char names[200][8], content[3000];
	struct err err = ERR_INIT;
	struct source_mem mem;
	int fd, r;

	memset(content, 'x', sizeof(content) - 1);
	content[sizeof(content) - 1] = '\0';
	for (int i = 0; i < 200; i++) {
		snprintf(names[i], sizeof(names[i]), "n%d", i);
		items[i] = (struct item){ 'f', names[i], content };
	}
	assert_int_equal(mount("none", layer, "tmpfs", 0, "size=128k"), 0);
	fd = open(layer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	source_mem_init(&mem, tar, make_tar(items, 200));
	r = unpack_layer(fd, &mem.source, &wide, &res, &err);
	close(fd);
	assert_int_equal(umount(layer), 0); /* no descriptor was left open */
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_non_null(strstr(err.text, "entry \"n"));
	assert_non_null(strstr(err.text, "write"));
}

static void bounds_and_damage_stop_it(void **state)
{
	static const struct item one[] = { { 'f', "f", "some content that spans" } };
	CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;
	struct err err = ERR_INIT;
	struct item many[120];
	char names[120][8];
	size_t len;

	for (int i = 0; i < 120; i++) {
		snprintf(names[i], sizeof(names[i]), "n%d", i);
		many[i] = (struct item){ 'f', names[i], "x" };
	}
	assert_true(unpack_bytes(make_tar(many, 120), &res, &err) < 0);
	assert_int_equal(err.kind, ERR_LIMIT);

	len = make_tar(one, 1);
	for (size_t cut = 1; cut < 600; cut += 97) {
		assert_true(unpack_bytes(cut, &res, &err) < 0);
		assert_int_equal(err.kind, ERR_CORRUPT);
	}
	memset(tar, 'A', len);
	assert_true(unpack_bytes(len, &res, &err) < 0);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_int_equal(unpack_bytes(0, &res, &err), 0);
}

static void a_missing_end_is_no_damage_but_a_missing_byte_is(void **state)
{
	static const char content[] = "some content that spans";
	static const struct item rows[] = { { 'f', "a", "x" }, { 'f', "f", content } };
	CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;
	struct err err = ERR_INIT;
	size_t len = make_tar(rows, 2), end;
	char text[64];

	end = (size_t)((char *)memmem(tar, len, content, strlen(content)) - (char *)tar) + strlen(content);
	assert_true(unpack_bytes(end - 1, &res, &err) < 0);
	assert_int_equal(err.kind, ERR_CORRUPT);
	err_clear(&err);
	assert_int_equal(unpack_bytes(end, &res, &err), 0);
	assert_int_equal(sys_file_read_text(layer_fd, "f", text, sizeof(text)), strlen(content));
	assert_string_equal(text, content);
}

static void holes_stay_holes(void **state)
{
	CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();
	size_t used = 0;
	struct stat st;
	struct err err = ERR_INIT;
	char block[4096] = "x";

	archive_write_set_format_pax(a);
	assert_int_equal(archive_write_open_memory(a, tar, sizeof(tar), &used), ARCHIVE_OK);
	archive_entry_set_pathname(e, "sparse");
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0644);
	archive_entry_set_size(e, 1000000);
	archive_entry_sparse_add_entry(e, 0, 4096);
	archive_entry_sparse_add_entry(e, 500 * 1024, 4096);
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, block, 4096), 4096);
	for (int i = 0; i < 124; i++) {
		char zero[4096] = "";

		archive_write_data(a, zero, 4096);
	}
	assert_int_equal(archive_write_data(a, block, 4096), 4096);
	for (int i = 126; i < 245; i++) {
		char zero[4096] = "";

		archive_write_data(a, zero, 4096);
	}
	archive_entry_free(e);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
	if (unpack_bytes(used, &res, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(fstatat(layer_fd, "sparse", &st, 0), 0);
	assert_int_equal(st.st_size, 1000000);
	assert_true(st.st_blocks * 512 <= 64 * 1024);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(kinds_owners_modes_times_and_xattrs_are_kept),
		T(markers_become_overlays_own_wherever_they_stand),
		T(the_last_entry_of_a_name_wins),
		T(links_of_the_layer_are_followed_inside_it_only),
		T(what_would_leave_the_layer_is_refused),
		T(hard_links_to_layers_below_become_copies),
		T(small_files_are_filled_while_others_replace_hide_and_link_to_them),
		T(a_full_disk_is_told_with_the_name_of_a_small_file),
		T(bounds_and_damage_stop_it),
		T(a_missing_end_is_no_damage_but_a_missing_byte_is),
		T(holes_stay_holes),
	};

	if (geteuid() != 0) {
		puts("SKIP: needs root for owners, devices and trusted.* attributes");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
