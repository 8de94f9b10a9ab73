#include "mnt/mnt.h"

#include "sys/mount.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <cmocka.h>

static size_t split(char *text, const char **words)
{
	size_t n = 0;
	char *save = NULL;

	for (char *w = strtok_r(text, ",", &save); w; w = strtok_r(NULL, ",", &save))
		words[n++] = w;
	return n;
}

static void test_options_become_attributes(void **state)
{
	static const struct {
		const char *text;
		uint64_t set, clear, rec_set, rec_clear, propagation;
		bool bind, rec;
		size_t n_data;
	} rows[] = {
		{ "bind,ro", MOUNT_ATTR_RDONLY, 0, 0, 0, 0, true, false, 0 },
		{ "rbind,rprivate", 0, 0, 0, 0, MS_PRIVATE, true, true, 0 },
		{ "ro,rw", 0, MOUNT_ATTR_RDONLY, 0, 0, 0, false, false, 0 },
		{ "rw,ro", MOUNT_ATTR_RDONLY, 0, 0, 0, 0, false, false, 0 },
		{ "rbind,rro,rnosuid", 0, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, 0, 0, true, true, 0 },
		{ "nosuid,noexec,nodev", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV, 0, 0, 0, 0,
		  false,
		  false, 0 },
		{ "noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, 0, 0, 0, false,
		  false, 0 },
		{ "noatime,strictatime", MOUNT_ATTR_STRICTATIME,
		  MOUNT_ATTR__ATIME, 0, 0, 0, false, false, 0 },
		{ "noatime,relatime", 0, MOUNT_ATTR__ATIME, 0, 0, 0, false, false, 0 },
		{ "mode=755,size=64k,newinstance,sync", 0, 0, 0, 0, 0, false, false, 4 },
		{ "defaults,rslave", 0, 0, 0, 0, MS_SLAVE, false, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		char text[256];
		const char *words[32];
		struct mnt_options o;
		struct err err = ERR_INIT;

		snprintf(text, sizeof(text), "%s", rows[i].text);
		assert_int_equal(mnt_options_parse(words, split(text, words), &a, &o, &err), 0);
		if (o.set != rows[i].set || o.clear != rows[i].clear || o.rec_set != rows[i].rec_set ||
		    o.rec_clear != rows[i].rec_clear || o.propagation != rows[i].propagation ||
		    o.bind != rows[i].bind || o.bind_rec != rows[i].rec || o.n_data != rows[i].n_data)
			fail_msg("%s: set %lx clear %lx", rows[i].text, (long)o.set, (long)o.clear);
	}
}

static void test_mounts_are_checked_before_anything_is_done(void **state)
{
	static const struct ns_id_map own[] = { { 0, 1000, 5 } };
	static const struct {
		const char *target, *type, *source, *options;
		const char *says; /* NULL: accepted */
	} rows[] = {
		{ "/proc", "proc", "proc", "", NULL },
		{ "proc/", "proc", "proc", "", NULL },
		{ "/data", "bind", "rel/dir", "rbind,ro", NULL },
		{ "/data", "none", "/x", "bind", NULL },
		{ "/data", "", "/x", "rbind", NULL },
		{ "/proc/cpuinfo", "bind", "/lxcfs/cpuinfo", "bind", NULL },
		{ "/proc", "bind", "/proc", "rbind", NULL },
		{ "", "tmpfs", "", "", "no destination" },
		{ "/", "tmpfs", "", "", "is the root itself" },
		{ "/a/..", "tmpfs", "", "", "is the root itself" },
		{ "/data", "bind", "", "bind", "needs a source" },
		{ "/data", "", "", "ro", "no type" },
		{ "/proc/sys", "bind", "/x", "bind", "inside /proc" },
		{ "/x/../proc/self/attr", "tmpfs", "", "", "inside /proc" },
		{ "/proc", "tmpfs", "", "", "inside /proc" },
		{ "/data", "ext4", "/dev/x", "idmap", "only bind mounts" },
		{ "/data", "ext4", "/dev/x", "tmpcopyup", "is for tmpfs" },
		{ "/data", "tmpfs", "", "tmpcopyup", NULL },
		{ "/data", "tmpfs", "", "=x", "no name" },
		{ "/data", "", "/x", "bind,idmap=uids=0-1-10#10-21-3;gids=0-100-10", NULL },
		{ "/data", "", "/x", "bind,ridmap=gids=@0-0-5;uids=0-1-1", NULL },
		{ "/data", "", "/x", "bind,idmap=uids=@0-9-1;gids=0-1-1", "9 is no id of the container's" },
		{ "/data", "", "/x", "bind,idmap=uids=0-1-10", "go together" },
		{ "/data", "", "/x", "bind,idmap=", "is not uids=" },
		{ "/data", "", "/x", "bind,idmap=uids=0-1-1;uids=0-1-1", "each once" },
		{ "/data", "", "/x", "bind,idmap=uids=0-1;gids=0-1-1", "uids[0] is not INSIDE-OUTSIDE-SIZE" },
		{ "/data", "", "/x", "bind,idmap=uids=0-1-99999999999;gids=0-1-1", "uids[0] is not" },
		{ "/data", "", "/x", "bind,idmap=uids=0-1-2#1-9-1;gids=0-1-1", "uids[1]: empty, or overlaps" },
		{ "/data", "", "/x", "bind,idmap=uids=0-1-0;gids=0-1-1", "uids[0]: empty" },
		{ "/data", "tmpfs", "", "idmap=uids=0-1-1;gids=0-1-1", "only bind mounts" },
		{ "/data", "", "/x", "bind,copy-symlink", NULL },
		{ "/data", "", "/x", "bind,src-nofollow,dest-nofollow", NULL },
		{ "/data", "", "/x", "bind,copy-symlink,src-nofollow", "neither src-nofollow" },
		{ "/data", "tmpfs", "", "dest-nofollow", "are for bind mounts" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		char text[256];
		const char *words[32];
		struct mnt_plan plan;
		struct err err = ERR_INIT;
		struct mnt_spec spec = { .target = rows[i].target, .type = rows[i].type,
					 .source = rows[i].source };
		int r;

		snprintf(text, sizeof(text), "%s", rows[i].options);
		spec.options = words;
		spec.n_options = split(text, words);
		mnt_plan_init(&plan, &a);
		plan.own = (struct mnt_idmap){ own, own, 1, 1 };
		r = mnt_plan_add(&plan, &spec, "/bundle", &err);
		if ((r < 0) != (rows[i].says != NULL) || (r < 0 && !strstr(err.text, rows[i].says)))
			fail_msg("row %zu: %d %s", i, r, err.text);
	}
}

static void test_maps_of_an_option_count_from_the_containers_own(void **state)
{
	static const struct ns_id_map own[] = { { 0, 0, 1 }, { 1, 2, 1000 } };
	const struct mnt_idmap container = { own, own, 2, 2 };
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct mnt_idmap got;

	(void)state;
	assert_int_equal(mnt_idmap_parse("uids=@1-3-10#50-60-2;gids=0-100-10", &container, &a, &got, &err), 0);
	assert_int_equal(got.n_uids, 2);
	assert_int_equal(got.n_gids, 1);
	assert_memory_equal(got.uids, ((struct ns_id_map[]){ { 1, 4, 10 }, { 50, 60, 2 } }), 2 * sizeof(*own));
	assert_memory_equal(got.gids, (&(struct ns_id_map){ 0, 100, 10 }), sizeof(*own));
}

static void test_a_plan_prints_as_what_will_be_done(void **state)
{
	static const char *const proc_options[] = { "nosuid", "noexec" };
	static const char *const tmp_options[] = { "mode=755", "size=64k" };
	static const char *const bind_options[] = { "rbind", "ro", "rslave" };
	static const char *const masked[] = { "/proc/kcore" };
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(8192);
	struct err err = ERR_INIT;
	struct mnt_plan plan;
	const struct mnt_spec specs[] = {
		{ .target = "/proc", .type = "proc", .source = "proc", .options = proc_options,
		  .n_options = 2 },
		{ .target = "/dev/", .type = "tmpfs", .source = "tmpfs", .options = tmp_options,
		  .n_options = 2 },
		{ .target = "/data", .type = "bind", .source = "vol", .options = bind_options,
		  .n_options = 3 },
	};

	(void)state;
	mnt_plan_init(&plan, &a);
	plan.root = "/b/rootfs";
	plan.root_readonly = true;
	plan.masked = masked;
	plan.n_masked = 1;
	for (size_t i = 0; i < ARRAY_LEN(specs); i++)
		assert_int_equal(mnt_plan_add(&plan, &specs[i], "/b", &err), 0);
	assert_int_equal(mnt_plan_check(&plan, &err), 0);
	assert_true(plan.setup_dev);
	mnt_plan_print(&plan, &out);
	assert_string_equal(buf_text(&out), "root /b/rootfs ro slave\n"
			    "mount /proc type proc: nosuid noexec\n"
			    "mount /dev type tmpfs data: mode=755,size=64k\n"
			    "rbind /data from /b/vol: ro rslave\n"
			    "mask /proc/kcore\npivot_root\n");
	mnt_plan_done(&plan);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_become_attributes),
		cmocka_unit_test(test_mounts_are_checked_before_anything_is_done),
		cmocka_unit_test(test_maps_of_an_option_count_from_the_containers_own),
		cmocka_unit_test(test_a_plan_prints_as_what_will_be_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
