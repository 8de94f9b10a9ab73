#include "shim/mounts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <cmocka.h>

static void overlay_options_become_a_runtime_overlay(void **state)
{
	static const struct {
		const char *options[5];
		int r;
		const char *lowers; /* joined by a blank */
		const char *upper, *work;
		bool is_volatile;
		unsigned n_uids, outside;
	} rows[] = {
		{ { "lowerdir=/a" }, 1, "/a", NULL, NULL, false },
		{ { "lowerdir=/a:/b:/c", "upperdir=/u", "workdir=/w" }, 1, "/a /b /c", "/u", "/w", false },
		{ { "index=off", "workdir=/w", "upperdir=/u", "lowerdir=/b:/a", "volatile" }, 1, "/b /a", "/u", "/w",
		  true },
		{ { "lowerdir=/a\\:b:/c\\\\d" }, 1, "/a:b /c\\d", NULL, NULL, false },
		{ { "lowerdir=/a:/b", "uidmap=0:100000:65536", "gidmap=0:100000:65536" }, 1, "/a /b", NULL, NULL,
		  false, 1, 100000 },
		{ { "lowerdir=/a:/b", "uidmap=0:7:1,1:9:5", "gidmap=0:1:1", "ro" }, 1, "/a /b", NULL, NULL, false,
		  2, 7 },
		/* what only the kernel's own mount can say */
		{ { "lowerdir=/a", "userxattr" }, 0 },
		{ { "lowerdir=/a::/data" }, 0 },
		/* what is wrong */
		{ { NULL }, -1 },
		{ { "lowerdir=" }, -1 },
		{ { "lowerdir=a" }, -1 },
		{ { "lowerdir=/a:" }, -1 },
		{ { "lowerdir=/a", "lowerdir=/b" }, -1 },
		{ { "lowerdir=/a", "upperdir=/u" }, -1 },
		{ { "lowerdir=/a", "uidmap=0:1:1" }, -1 },
		{ { "lowerdir=/a", "uidmap=0:1", "gidmap=0:1:1" }, -1 },
		{ { "lowerdir=/a", "uidmap=0:1:1:1", "gidmap=0:1:1" }, -1 },
		{ { "lowerdir=/a", "uidmap=0:1:1,0:5:1", "gidmap=0:1:1" }, -1 },
		{ { "lowerdir=/a", "uidmap=", "gidmap=" }, -1 },
		{ { "lowerdir=/a", "X-mount.subdir=b" }, -1 },
		{ { "lowerdir=/a", "upperdir=u", "workdir=/w" }, -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		CLEANUP(buf_done) struct buf joined = BUF_INIT(4096);
		struct runtime_overlay o = { 0 };
		struct err err = ERR_INIT;
		size_t n = 0;
		int r;

		while (n < 5 && rows[i].options[n])
			n++;
		r = rootfs_parse_overlay(rows[i].options, n, &a, &o, &err);
		assert_int_equal(r < 0 ? -1 : r, rows[i].r);
		assert_int_equal(err.kind != ERR_NONE, r < 0);
		if (r != 1)
			continue;
		for (size_t k = 0; k < o.n_lowers; k++)
			buf_printf(&joined, "%s%s", k ? " " : "", o.lowers[k]);
		assert_string_equal(buf_text(&joined), rows[i].lowers);
		assert_true(str_eq(o.upper, rows[i].upper) && str_eq(o.work, rows[i].work));
		assert_int_equal(o.is_volatile, rows[i].is_volatile);
		assert_int_equal(o.n_uids, rows[i].n_uids);
		if (o.n_uids)
			assert_int_equal(o.uids[0].outside, rows[i].outside);
	}
}

static void mount_options_become_flags_and_data(void **state)
{
	static const struct {
		const char *options[4];
		int r;
		unsigned long flags;
		const char *data;
	} rows[] = {
		{ { "ro", "rbind" }, 0, MS_RDONLY | MS_BIND | MS_REC, NULL },
		{ { "nosuid", "suid", "nodev" }, 0, MS_NODEV, NULL },
		{ { "size=1m", "noexec", "mode=700" }, 0, MS_NOEXEC, "size=1m,mode=700" },
		{ { "loop" }, -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		unsigned long flags = 0;
		char *data = NULL;
		size_t n = 0;
		int r;

		while (n < 4 && rows[i].options[n])
			n++;
		r = rootfs_parse_options(rows[i].options, n, &a, &flags, &data, NULL);
		assert_int_equal(r < 0 ? -1 : r, rows[i].r);
		if (r < 0)
			continue;
		assert_int_equal(flags, rows[i].flags);
		assert_true(str_eq(data, rows[i].data));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overlay_options_become_a_runtime_overlay),
		cmocka_unit_test(mount_options_become_flags_and_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
