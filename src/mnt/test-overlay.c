#include "mnt/internal.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { LAYERS = 300 };

/* Directly, as this kernel may allow, or by a process of its own, as all do. */
typedef int (*opens_fn)(const struct mnt_overlay *o, int *ret_fd, struct err *err);

static char dir[64];
static char *lowers[LAYERS];

static void put(const char *layer, const char *name, const char *text)
{
	autofree char *path = mem_printf("%s/%s", layer, name);
	autofd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* In the topmost layer. */
static int make_sub_paths(void)
{
	autofree char *sub = mem_printf("%s/sub", lowers[0]), *deep = mem_printf("%s/sub/deep", lowers[0]);
	autofd int at = open(lowers[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (mkdir(sub, 0755) < 0 || mkdir(deep, 0755) < 0)
		return -1;
	put(sub, "in", "yes");
	return symlinkat("sub", at, "to-sub") || symlinkat("/sub", at, "absolute") ||
	       symlinkat("../../../..", at, "up") || symlinkat("/etc/passwd", at, "etc-passwd") ||
	       symlinkat("loop", at, "loop") || mkfifoat(at, "fifo", 0600) ? -1 : 0;
}

/* Topmost first, layer i has a file "i" and its own version of "all". */
static int make_layers(void **state)
{
	char text[16];

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/overlay-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	for (int i = 0; i < LAYERS; i++) {
		lowers[i] = mem_printf("%s/%d", dir, i);
		snprintf(text, sizeof(text), "%d", i);
		if (mkdir(lowers[i], 0755) < 0)
			return -1;
		put(lowers[i], text, text);
		put(lowers[i], "all", text);
	}
	return make_sub_paths();
}

static int remove_layers(void **state)
{
	(void)state;
	for (int i = 0; i < LAYERS; i++)
		free(lowers[i]);
	return sys_remove_tree(AT_FDCWD, dir);
}

static bool may_mount(void)
{
	autofd int fs = -EBADF;

	return geteuid() == 0 && sys_fsopen("overlay", &fs) == 0 && sys_fsconfig(fs, "lowerdir+", "/") == 0;
}

#define NEEDS_OVERLAY \
	do { \
		if (!may_mount()) \
			skip(); \
	} while (0)

static void read_file(int root, const char *name, char text[16])
{
	autofd int fd = openat(root, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, text, 15);
	assert_true(n >= 0);
	text[n] = '\0';
}

static void hundreds_of_layers_stack(opens_fn opens)
{
	struct mnt_overlay o = MNT_OVERLAY_INIT;
	struct err err = ERR_INIT;
	autofd int fd = -EBADF;
	char text[16];

	NEEDS_OVERLAY;
	o.lowers = (const char *const *)lowers;
	o.n_lowers = LAYERS;
	if (opens(&o, &fd, &err) < 0)
		fail_msg("%s", err.text);
	read_file(fd, "all", text);
	assert_string_equal(text, "0");
	read_file(fd, "299", text);
	assert_string_equal(text, "299");
	assert_int_equal(openat(fd, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644), -1);
	assert_int_equal(errno, EROFS);
}

static void test_hundreds_of_layers_stack(void **state)
{
	(void)state;
	hundreds_of_layers_stack(mnt_overlay_open);
	hundreds_of_layers_stack(mnt_overlay_open_beside);
}

static void idmapped_layers_show_other_owners_and_stay_as_they_are(opens_fn opens)
{
	const struct ns_id_map map = { 0, 100000, 65536 };
	struct mnt_overlay o = MNT_OVERLAY_INIT;
	struct err err = ERR_INIT;
	autofree char *upper = mem_printf("%s/upper", dir), *work = mem_printf("%s/work", dir);
	autofree char *copy = mem_printf("%s/all", upper), *original = mem_printf("%s/all", lowers[0]);
	autofd int fd = -EBADF, userns = -EBADF, file = -EBADF;
	struct stat st;

	NEEDS_OVERLAY;
	if (ns_user_make(&map, 1, &map, 1, &userns) < 0)
		skip();
	/* once for each way */
	sys_remove_tree(AT_FDCWD, upper);
	sys_remove_tree(AT_FDCWD, work);
	assert_true(mkdir(upper, 0755) == 0 && mkdir(work, 0755) == 0);
	assert_int_equal(chown(upper, 100000, 100000), 0);
	o.lowers = (const char *const *)lowers;
	o.n_lowers = LAYERS;
	o.upper = upper;
	o.work = work;
	o.is_volatile = true;
	o.userns_fd = userns;
	if (opens(&o, &fd, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(fstatat(fd, "all", &st, 0), 0);
	assert_int_equal(st.st_uid, 100000);
	assert_int_equal(st.st_gid, 100000);
	/* what is written is a copy that belongs to the mapped owner on disk */
	file = openat(fd, "all", O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(file >= 0);
	assert_int_equal(write(file, "x", 1), 1);
	assert_int_equal(stat(copy, &st), 0);
	assert_int_equal(st.st_uid, 100000);
	assert_int_equal(stat(original, &st), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_size, 1);
}

static void test_idmapped_layers_show_other_owners_and_stay_as_they_are(void **state)
{
	(void)state;
	idmapped_layers_show_other_owners_and_stay_as_they_are(mnt_overlay_open);
	idmapped_layers_show_other_owners_and_stay_as_they_are(mnt_overlay_open_beside);
}

static void a_single_layer_is_read_only_and_idmapped_too(opens_fn opens)
{
	const struct ns_id_map map = { 0, 70000, 10 };
	struct mnt_overlay o = MNT_OVERLAY_INIT;
	struct err err = ERR_INIT;
	autofd int fd = -EBADF, userns = -EBADF;
	struct stat st;

	NEEDS_OVERLAY;
	if (ns_user_make(&map, 1, &map, 1, &userns) < 0)
		skip();
	o.lowers = (const char *const *)lowers;
	o.n_lowers = 1;
	o.userns_fd = userns;
	if (opens(&o, &fd, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(fstatat(fd, "all", &st, 0), 0);
	assert_int_equal(st.st_uid, 70000);
	assert_int_equal(openat(fd, "all", O_WRONLY | O_CLOEXEC), -1);
	assert_int_equal(errno, EROFS);
}

static void test_a_single_layer_is_read_only_and_idmapped_too(void **state)
{
	(void)state;
	a_single_layer_is_read_only_and_idmapped_too(mnt_overlay_open);
	a_single_layer_is_read_only_and_idmapped_too(mnt_overlay_open_beside);
}

static void a_sub_path_stays_beneath(opens_fn opens)
{
	static const struct {
		const char *subdir;
		int r;
		const char *file; /* what is then there */
	} rows[] = {
		{ "sub", 0, "in" },
		{ "/sub/", 0, "in" },
		{ "sub/deep/..", 0, "in" },
		{ "to-sub", 0, "in" },
		{ "absolute", 0, "in" },  /* a link to /sub: of the image, not of the host */
		{ "../../../sub", 0, "in" },
		{ "up", 0, "sub" },       /* a link to ../../../..: the image's root */
		{ "missing", -ENOENT, NULL },
		{ "etc-passwd", -ENOENT, NULL },
		{ "loop", -ELOOP, NULL },
		{ "fifo", -EINVAL, NULL },
	};
	struct mnt_overlay o = MNT_OVERLAY_INIT;
	struct stat st;

	NEEDS_OVERLAY;
	o.lowers = (const char *const *)lowers;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = ERR_INIT;
		autofd int fd = -EBADF;
		int r;

		o.n_lowers = i % 2 ? 1 : 3;
		o.subdir = rows[i].subdir;
		r = opens(&o, &fd, &err);
		if (r != rows[i].r && !(r < 0 && rows[i].r < 0 && err.number == 0))
			fail_msg("%s: %d %s", rows[i].subdir, r, err.text);
		if (r == 0)
			assert_int_equal(fstatat(fd, rows[i].file, &st, 0), 0);
		if (r == 0)
			assert_int_equal(openat(fd, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644), -1);
	}
}

static void test_a_sub_path_stays_beneath(void **state)
{
	(void)state;
	a_sub_path_stays_beneath(mnt_overlay_open);
	a_sub_path_stays_beneath(mnt_overlay_open_beside);
}

static void test_options_become_an_overlay(void **state)
{
	static const struct {
		const char *options[5];
		int r;
		size_t n_lowers;
		const char *last, *subdir;
	} rows[] = {
		{ { "lowerdir+=/a", "lowerdir+=/b:c" }, 1, 2, "/b:c", NULL },
		{ { "lowerdir=/a:/b", "index=off", "X-mount.subdir=x/y" }, 1, 2, "/b", "x/y" },
		{ { "lowerdir=/a", "userxattr" }, 0 },
		{ { "lowerdir=/a::/b" }, 0 },
		{ { "lowerdir=a" }, -1 },
		{ { "lowerdir=/a", "workdir=/w" }, -1 },
		{ { "lowerdir+=" }, -1 },
		{ { NULL }, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		const struct mnt_overlay *o;
		struct err err = ERR_INIT;
		size_t n = 0;
		int r;

		while (n < 5 && rows[i].options[n])
			n++;
		r = mnt_overlay_parse(rows[i].options, n, &a, &o, &err);
		assert_int_equal(r < 0 ? -1 : r, rows[i].r);
		assert_int_equal(err.kind != ERR_NONE, r < 0);
		if (r != 1)
			continue;
		assert_int_equal(o->n_lowers, rows[i].n_lowers);
		assert_string_equal(o->lowers[o->n_lowers - 1], rows[i].last);
		assert_true(str_eq(o->subdir, rows[i].subdir));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hundreds_of_layers_stack),
		cmocka_unit_test(test_idmapped_layers_show_other_owners_and_stay_as_they_are),
		cmocka_unit_test(test_a_single_layer_is_read_only_and_idmapped_too),
		cmocka_unit_test(test_a_sub_path_stays_beneath),
		cmocka_unit_test(test_options_become_an_overlay),
	};

	return cmocka_run_group_tests(tests, make_layers, remove_layers);
}
