/* Paths, layouts and limits as writes: all without touching a cgroup. */
#include "cgroup/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const char v1_mounts[] =
	"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
	"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
	"33 31 0:30 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	"34 31 0:31 / /mnt/with\\040space rw master:1 propagate_from:2 - cgroup x rw,name=systemd\n"
	"35 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	"36 31 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
	"37 31 0:33 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n"
	"38 31 0:33 / /sys/fs/cgroup/hugetlb rw - cgroup cgroup rw,hugetlb\n";
static const char v1_self[] =
	"9:name=systemd:/user.slice\n8:pids:/\n7:blkio:/\n6:hugetlb:/\n4:memory:/docker/x/inner\n"
			      "2:cpu,cpuacct:/a (deleted)\n0::/\n";

static const char v2_mounts[] = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
static const char v2_self[] = "0::/system.slice/x.service\n";

struct fixture {
	struct arena arena;
	struct cgroup_host v1, v2;
	struct err err;
};

static int setup(void **state)
{
	struct fixture *f = mem_new(1, sizeof(*f));

	assert_int_equal(cgroup_host_parse(v1_mounts, v1_self, "hugetlb", &f->arena, &f->v1, &f->err), 0);
	assert_int_equal(cgroup_host_parse(v2_mounts, v2_self, "cpuset cpu io memory hugetlb pids rdma\n",
					   &f->arena,
					   &f->v2, &f->err), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	arena_done(&f->arena);
	free(f);
	return 0;
}

static void layouts_are_told_apart(void **state)
{
	struct fixture *f = *state;
	struct cgroup_host plain;

	assert_int_equal(f->v1.mode, CGROUP_HYBRID);
	assert_int_equal(f->v2.mode, CGROUP_V2);
	assert_string_equal(f->v1.hierarchies[f->v1.of[CGROUP_CPUACCT]].name, "cpu,cpuacct");
	assert_int_equal(f->v1.of[CGROUP_CPU], f->v1.of[CGROUP_CPUACCT]);
	assert_int_equal(f->v1.of[CGROUP_DEVICES], -1);
	assert_int_equal(f->v1.processes, f->v1.of[CGROUP_PIDS]);
	assert_string_equal(f->v1.hierarchies[0].mount, "/mnt/with space");
	assert_string_equal(f->v1.hierarchies[0].self, "/user.slice");
	/* the mount begins at /docker/x, so what the kernel calls /docker/x/inner is /inner there */
	assert_string_equal(f->v1.hierarchies[f->v1.of[CGROUP_MEMORY]].self, "/inner");
	assert_string_equal(f->v1.hierarchies[f->v1.of[CGROUP_CPU]].self, "/a");
	assert_int_equal(f->v1.hierarchies[f->v1.v2].version, 2);

	assert_int_equal(cgroup_host_parse(v1_mounts, "4:memory:/x\n", "", &f->arena, &plain, &f->err), 0);
	assert_int_equal(plain.mode, CGROUP_V1);
	assert_int_equal(plain.v2, -1);
	assert_true(cgroup_host_parse("", v1_self, "", &f->arena, &plain, &f->err) < 0);
	assert_int_equal(f->err.kind, ERR_UNSUPPORTED);
}

static void paths_that_could_leave_the_tree_are_refused(void **state)
{
	static const char *const bad[] = { "", "/", "//", "/.", "..", "/../x", "/a/../b", "/a/..", "a\nb",
					   "/a\x7f" };
	static const char *const good[] = { "/a", "a", "/kubepods/burstable/pod1/c1", "/a/..b/c",
					    "/a.slice/b:c" };
	char longest[CGROUP_PATH_MAX + 2];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(cgroup_path_check(bad[i], NULL) < 0);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(cgroup_path_check(good[i], NULL), 0);
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_true(cgroup_path_check(longest, NULL) < 0);
	assert_true(cgroup_path_check(NULL, NULL) < 0);
}

static const char *written(const struct cgroup_plan *p, const char *file)
{
	for (size_t i = 0; i < p->n_writes; i++)
		if (str_eq(p->writes[i].file, file))
			return p->writes[i].value;
	return NULL;
}

static void one_limit_is_written_in_the_words_of_each_version(void **state)
{
	static const struct {
		enum cgroup_limit limit;
		int64_t value;
		const char *v1, *v1_text, *v2, *v2_text;
	} table[] = {
		{ CGROUP_CPU_SHARES, 2, "cpu.shares", "2", "cpu.weight", "1" },
		{ CGROUP_CPU_SHARES, 1024, "cpu.shares", "1024", "cpu.weight", "39" },
		{ CGROUP_CPU_SHARES, 262144, "cpu.shares", "262144", "cpu.weight", "10000" },
		{ CGROUP_CPU_SHARES, 0, "cpu.shares", NULL, "cpu.weight", NULL },
		{ CGROUP_CPU_QUOTA, 50000, "cpu.cfs_quota_us", "50000", "cpu.max", "50000" },
		{ CGROUP_CPU_QUOTA, -1, "cpu.cfs_quota_us", "-1", "cpu.max", "max" },
		{ CGROUP_CPU_BURST, 0, "cpu.cfs_burst_us", "0", "cpu.max.burst", "0" },
		{ CGROUP_CPU_IDLE, 1, "cpu.idle", "1", "cpu.idle", "1" },
		{ CGROUP_MEMORY_LIMIT, 4096, "memory.limit_in_bytes", "4096", "memory.max", "4096" },
		{ CGROUP_MEMORY_LIMIT, -1, "memory.limit_in_bytes", "-1", "memory.max", "max" },
		{ CGROUP_MEMORY_RESERVATION, 9, "memory.soft_limit_in_bytes", "9", "memory.low", "9" },
		{ CGROUP_MEMORY_SWAP, -1, "memory.memsw.limit_in_bytes", "-1", "memory.swap.max", "max" },
		{ CGROUP_PIDS_LIMIT, -1, "pids.max", "max", "pids.max", "max" },
		{ CGROUP_PIDS_LIMIT, 7, "pids.max", "7", "pids.max", "7" },
		{ CGROUP_IO_WEIGHT, 10, "blkio.weight", "10", "io.weight", "default 1" },
		{ CGROUP_IO_WEIGHT, 1000, "blkio.bfq.weight", "1000", "io.weight", "default 10000" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct cgroup_limits l = { 0 };
		struct cgroup_plan p;
		const char *text;

		cgroup_limits_set(&l, table[i].limit, table[i].value);
		assert_int_equal(cgroup_plan(&f->v1, &l, &f->arena, &p, &f->err), 0);
		text = written(&p, table[i].v1);
		assert_true(str_eq(text, table[i].v1_text));
		assert_int_equal(cgroup_plan(&f->v2, &l, &f->arena, &p, &f->err), 0);
		text = written(&p, table[i].v2);
		assert_true(str_eq(text, table[i].v2_text));
	}
}

static void quota_and_period_are_one_write_in_v2(void **state)
{
	struct fixture *f = *state;
	struct cgroup_limits l = { 0 };
	struct cgroup_plan p;

	cgroup_limits_set(&l, CGROUP_CPU_PERIOD, 20000);
	assert_int_equal(cgroup_plan(&f->v2, &l, &f->arena, &p, &f->err), 0);
	assert_int_equal(p.n_writes, 1);
	assert_true(p.writes[0].flags & CGROUP_WRITE_KEEP_QUOTA);
	cgroup_limits_set(&l, CGROUP_CPU_QUOTA, 1000);
	assert_int_equal(cgroup_plan(&f->v2, &l, &f->arena, &p, &f->err), 0);
	assert_int_equal(p.n_writes, 1);
	assert_string_equal(p.writes[0].value, "1000 20000");
	assert_int_equal(p.v2_controllers, 1 << CGROUP_CPU);
}

static void swap_is_counted_with_memory_in_v1_and_alone_in_v2(void **state)
{
	struct fixture *f = *state;
	struct cgroup_limits l = { 0 };
	struct cgroup_plan p;

	cgroup_limits_set(&l, CGROUP_MEMORY_LIMIT, 1000);
	cgroup_limits_set(&l, CGROUP_MEMORY_SWAP, 1500);
	assert_int_equal(cgroup_plan(&f->v1, &l, &f->arena, &p, &f->err), 0);
	assert_string_equal(written(&p, "memory.memsw.limit_in_bytes"), "1500");
	assert_int_equal(p.writes[0].group, p.writes[1].group);
	assert_int_equal(cgroup_plan(&f->v2, &l, &f->arena, &p, &f->err), 0);
	assert_string_equal(written(&p, "memory.swap.max"), "500");
	/* a kernel that does not count swap loses nothing when none was to be allowed */
	cgroup_limits_set(&l, CGROUP_MEMORY_SWAP, 1000);
	assert_int_equal(cgroup_plan(&f->v1, &l, &f->arena, &p, &f->err), 0);
	assert_true(p.writes[1].flags & CGROUP_WRITE_MISSING_OK);
	cgroup_limits_set(&l, CGROUP_MEMORY_SWAP, 999);
	assert_true(cgroup_plan(&f->v1, &l, &f->arena, &p, &f->err) < 0);
	assert_int_equal(f->err.kind, ERR_INVALID);
}

static void a_limit_without_its_controller_is_named(void **state)
{
	struct fixture *f = *state;
	struct cgroup_limits l = { .cpus = "0" };
	struct cgroup_plan p;

	assert_true(cgroup_plan(&f->v1, &l, &f->arena, &p, &f->err) < 0);
	assert_int_equal(f->err.kind, ERR_UNSUPPORTED);
	assert_string_equal(f->err.text,
			    "cgroup cpuset: the CPU set cannot be set: the controller is not mounted");
	l.optional = CGROUP_BIT(CGROUP_CPUSET_CPUS);
	assert_int_equal(cgroup_plan(&f->v1, &l, &f->arena, &p, &f->err), 0);
	assert_int_equal(p.n_writes, 0);
	l = (struct cgroup_limits){ 0 };
	cgroup_limits_set(&l, CGROUP_MEMORY_SWAPPINESS, 10);
	err_clear(&f->err);
	assert_true(cgroup_plan(&f->v2, &l, &f->arena, &p, &f->err) < 0);
	assert_string_equal(f->err.text, "cgroup memory: the memory swappiness does not exist in cgroup v2");
}

static void nonsense_is_refused_before_anything_is_written(void **state)
{
	static const struct cgroup_text bad[] = {
		{ "cgroup.procs", "1" }, { "../x.y", "1" }, { "memory", "1" }, { ".x", "1" },
		{ "cgroup.kill", "1" },
		{ "memory.max/../..", "1" },
	};
	static const struct cgroup_named_limit pages[] = { { "2MB/..", 1 }, { "", 1 }, { "MB", 1 } };
	struct fixture *f = *state;
	struct cgroup_plan p;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct cgroup_limits l = { .unified = &bad[i], .n_unified = 1 };

		assert_true(cgroup_plan(&f->v2, &l, &f->arena, &p, &f->err) < 0);
		assert_int_equal(f->err.kind, ERR_INVALID);
	}
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		struct cgroup_limits l = { .hugetlb = &pages[i], .n_hugetlb = 1 };

		assert_true(cgroup_plan(&f->v2, &l, &f->arena, &p, &f->err) < 0);
	}
	assert_true(cgroup_plan(&f->v2, &(struct cgroup_limits){ .cpus = "0;1" }, &f->arena, &p,
				&f->err) < 0);
	for (int64_t v = -2; v < 0; v++) {
		struct cgroup_limits l = { 0 };

		cgroup_limits_set(&l, CGROUP_CPU_PERIOD, v);
		assert_true(cgroup_plan(&f->v2, &l, &f->arena, &p, &f->err) < 0);
	}
}

static void lists_become_one_write_for_each_device(void **state)
{
	static const struct cgroup_io_limit io[] = { { 8, 0, 1000 }, { 8, 16, 0 } };
	static const struct cgroup_named_limit pages[] = { { "2MB", 4194304 } };
	static const struct cgroup_rdma_limit rdma[] = { { "mlx5_1", 3, -1 } };
	static const struct cgroup_text unified[] = { { "memory.high", "max" }, { "cgroup.max.depth", "3" } };
	struct fixture *f = *state;
	struct cgroup_limits l = { .io_read_bps = io, .n_io_read_bps = 2, .hugetlb = pages, .n_hugetlb = 1 };
	struct cgroup_plan p;

	assert_int_equal(cgroup_plan(&f->v1, &l, &f->arena, &p, &f->err), 0);
	assert_string_equal(p.writes[0].file, "blkio.throttle.read_bps_device");
	assert_string_equal(p.writes[0].value, "8:0 1000");
	assert_string_equal(p.writes[1].value, "8:16 0");
	/* the hybrid host has huge pages in its v2 part, as its own line of /proc/self/cgroup says v1 too */
	assert_non_null(written(&p, f->v1.hierarchies[f->v1.of[CGROUP_HUGETLB]].version == 2 ?
				"hugetlb.2MB.max" :
				"hugetlb.2MB.limit_in_bytes"));
	l.rdma = rdma;
	l.n_rdma = 1;
	l.unified = unified;
	l.n_unified = 2;
	assert_int_equal(cgroup_plan(&f->v2, &l, &f->arena, &p, &f->err), 0);
	assert_string_equal(p.writes[0].value, "8:0 rbps=1000");
	assert_string_equal(p.writes[1].value, "8:16 rbps=max");
	assert_string_equal(written(&p, "hugetlb.2MB.rsvd.max"), "4194304");
	assert_string_equal(written(&p, "rdma.max"), "mlx5_1 hca_handle=3");
	assert_string_equal(written(&p, "memory.high"), "max");
	assert_string_equal(written(&p, "cgroup.max.depth"), "3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(layouts_are_told_apart, setup, teardown),
		cmocka_unit_test(paths_that_could_leave_the_tree_are_refused),
		cmocka_unit_test_setup_teardown(one_limit_is_written_in_the_words_of_each_version, setup,
						teardown),
		cmocka_unit_test_setup_teardown(quota_and_period_are_one_write_in_v2, setup, teardown),
		cmocka_unit_test_setup_teardown(swap_is_counted_with_memory_in_v1_and_alone_in_v2, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_limit_without_its_controller_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_is_refused_before_anything_is_written, setup,
						teardown),
		cmocka_unit_test_setup_teardown(lists_become_one_write_for_each_device, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
