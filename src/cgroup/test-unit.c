/* Names of units, properties from annotations, and limits as properties. No privilege. */
#include "cgroup/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void a_slice_is_a_path_of_slices(void **state)
{
	static const struct {
		const char *slice, *path;
	} cases[] = {
		{ "a.slice", "/a.slice" },
		{ "a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice" },
		{ "kubepods-burstable-podu_1.slice",
		  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podu_1.slice" },
		{ "-.slice", "" },
		{ "", NULL }, { ".slice", NULL }, { "a", NULL }, { "a.scope", NULL }, { "a--b.slice", NULL },
		{ "-a.slice", NULL }, { "a-.slice", NULL }, { "a/b.slice", NULL }, { "../b.slice", NULL },
		{ "a b.slice", NULL }, { "a\n.slice", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		char *path = NULL;
		int r = cgroup_slice_path(cases[i].slice, &a, &path, &err);

		if (!cases[i].path) {
			assert_true(r < 0);
			assert_int_equal(err.kind, ERR_INVALID);
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(path, cases[i].path);
	}
}

static void engines_name_units_by_slice_prefix_and_name(void **state)
{
	static const struct {
		const char *path;
		bool user;
		const char *slice, *unit;
	} cases[] = {
		{ "machine.slice:libpod:abc", false, "machine.slice", "libpod-abc.scope" },
		{ ":docker:abc", false, "system.slice", "docker-abc.scope" },
		{ ":docker:abc", true, "user.slice", "docker-abc.scope" },
		{ "a.slice::abc", false, "a.slice", "abc.scope" },
		{ NULL, false, "system.slice", "caisson-web.scope" },
		{ "", true, "user.slice", "caisson-web.scope" },
		{ "a.slice:x:a-b.slice", false, "a.slice", "a-b.slice" },
		{ "-.slice:x:y", false, "-.slice", "x-y.scope" },
		{ "/a/b", false, NULL, NULL }, { "a.slice:x", false, NULL, NULL },
		{ "a.slice:x:y:z", false, NULL, NULL }, { "a.scope:x:y", false, NULL, NULL },
		{ "a.slice:x:../y", false, NULL, NULL }, { "a.slice:x:y@z", false, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		struct cgroup_unit unit;
		int r = cgroup_unit_parse(cases[i].path, "web", cases[i].user, &a, &unit, &err);

		if (!cases[i].unit) {
			assert_true(r < 0);
			assert_int_equal(err.kind, ERR_INVALID);
			continue;
		}
		if (r < 0)
			fail_msg("%s", err.text);
		assert_string_equal(unit.name, cases[i].unit);
		assert_string_equal(unit.slice, cases[i].slice);
	}
}

static void annotations_set_only_what_is_allowed(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_property p;
	struct err err = ERR_INIT;
	static const char *const refused[] = { "Slice", "PIDs", "Delegate", "MemoryMax", "DevicePolicy",
					       "Wants", "Requires", "Conflicts", "OnFailure", "ExecStart",
					       "", "timeoutStopUSec" };
	static const struct {
		const char *name, *value;
	} broken[] = {
		{ "CollectMode", "inactive" }, { "CollectMode", "'inactive" }, { "CollectMode", "'a' 'b'" },
		{ "TimeoutStopUSec", "'5'" }, { "TimeoutStopUSec", "-5" }, { "TimeoutStopUSec", "" },
		{ "TimeoutStopSec", "9223372036854775807" }, { "DefaultDependencies", "1" },
		{ "After", "'a'" }, { "After", "['a'" }, { "After", "['a' 'b']" }, { "After", "[a]" },
	};

	assert_int_equal(cgroup_property_parse("TimeoutStopUSec", "uint64 123456789", &a, &p, &err), 0);
	assert_string_equal(p.name, "TimeoutStopUSec");
	assert_string_equal(p.type, "t");
	assert_true(p.number == 123456789);
	assert_int_equal(cgroup_property_parse("TimeoutStopSec", "5", &a, &p, &err), 0);
	assert_string_equal(p.name, "TimeoutStopUSec");
	assert_true(p.number == 5000000);
	assert_int_equal(cgroup_property_parse("RuntimeMaxUSec", "uint64 18446744073709551615", &a, &p,
					       &err), 0);
	assert_true(p.number == UINT64_MAX);
	assert_int_equal(cgroup_property_parse("CollectMode", "'inactive-or-failed'", &a, &p, &err), 0);
	assert_string_equal(p.text, "inactive-or-failed");
	assert_int_equal(cgroup_property_parse("DefaultDependencies", "true", &a, &p, &err), 0);
	assert_true(p.number == 1);
	assert_int_equal(cgroup_property_parse("KillSignal", "int32 15", &a, &p, &err), 0);
	assert_int_equal(p.number, 15);
	assert_int_equal(cgroup_property_parse("After", "['a.target', \"b.target\"]", &a, &p, &err), 0);
	assert_int_equal(p.n_texts, 2);
	assert_string_equal(p.texts[1], "b.target");
	assert_int_equal(cgroup_property_parse("Before", "[]", &a, &p, &err), 0);
	assert_int_equal(p.n_texts, 0);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		err_clear(&err);
		assert_true(cgroup_property_parse(refused[i], "'x'", &a, &p, &err) < 0);
		assert_int_equal(err.kind, ERR_DENIED);
	}
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		err_clear(&err);
		if (cgroup_property_parse(broken[i].name, broken[i].value, &a, &p, &err) == 0)
			fail_msg("%s = %s was taken", broken[i].name, broken[i].value);
		assert_int_equal(err.kind, ERR_INVALID);
	}
}

static void parse_host(bool v2, struct arena *a, struct cgroup_host *ret)
{
	struct err err = ERR_INIT;

	if (v2)
		assert_int_equal(cgroup_host_parse("1 1 0:1 / /sys/fs/cgroup rw - cgroup2 x rw\n", "0::/\n",
						   "cpu cpuset memory io pids hugetlb", a, ret, &err), 0);
	else
		assert_int_equal(cgroup_host_parse("1 1 0:1 / /c/cpu rw - cgroup x rw,cpu\n"
						   "1 1 0:1 / /c/m rw - cgroup x rw,memory\n"
						   "1 1 0:1 / /c/d rw - cgroup x rw,devices\n"
						   "1 1 0:1 / /c/b rw - cgroup x rw,blkio\n"
						   "1 1 0:1 / /c/s rw - cgroup x rw,cpuset\n"
						   "1 1 0:1 / /c/p rw - cgroup x rw,pids\n",
						   "1:cpu:/\n2:memory:/\n3:devices:/\n4:blkio:/\n5:cpuset:/\n"
						   "6:pids:/\n", "", a, ret, &err), 0);
}

/* "CPUWeight=20 MemoryMax=max …" in their order. */
static char *text_of(const struct cgroup_plan *plan, struct arena *a)
{
	char *text = arena_strdup(a, "");

	for (size_t i = 0; i < plan->n_properties; i++) {
		const struct cgroup_property *p = &plan->properties[i];
		char *value = arena_strdup(a, "");

		if (str_eq(p->type, "ay"))
			for (size_t k = 0; k < p->n_bytes; k++)
				value = arena_printf(a, "%s%02x", value, p->bytes[k]);
		else if (str_eq(p->type, "s"))
			value = arena_strdup(a, p->text);
		else if (str_eq(p->type, "a(ss)"))
			for (size_t k = 0; k < p->n_texts; k++)
				value = arena_printf(a, "%s%s%s", value, k ? "," : "", p->texts[k]);
		else
			value = p->number == UINT64_MAX ? arena_strdup(a, "max") :
				arena_printf(a, "%llu", (unsigned long long)p->number);
		text = arena_printf(a, "%s%s%s=%s", text, i ? " " : "", p->name, value);
	}
	return text;
}

static void limits_become_properties(void **state)
{
	static const struct cgroup_text unified[] = {
		{ "memory.high", "1000" }, { "pids.max", "max" }, { "cpu.max", "25000 50000" },
		{ "io.max", "8:0 rbps=1" },
	};
	static const struct cgroup_device devices[] = {
		{ false, 'a', -1, -1, 7 }, { true, 'c', 1, 3, 3 }, { true, 'c', -1, -1, 4 },
		{ true, 'c', 136, -1, 7 }, { true, 'b', 8, 0, 1 },
	};
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_limits l = { .cpus = "0-1,9", .mems = "0", .devices = devices,
				   .n_devices = ARRAY_LEN(devices) };
	struct cgroup_plan plan = { 0 };
	struct cgroup_host host;
	struct err err = ERR_INIT;

	cgroup_limits_set(&l, CGROUP_CPU_SHARES, 512);
	cgroup_limits_set(&l, CGROUP_CPU_QUOTA, 33333);
	cgroup_limits_set(&l, CGROUP_CPU_PERIOD, 100000);
	cgroup_limits_set(&l, CGROUP_MEMORY_LIMIT, 1 << 20);
	cgroup_limits_set(&l, CGROUP_MEMORY_SWAP, 3 << 20);
	cgroup_limits_set(&l, CGROUP_MEMORY_RESERVATION, 4096);
	cgroup_limits_set(&l, CGROUP_PIDS_LIMIT, 7);
	cgroup_limits_set(&l, CGROUP_IO_WEIGHT, 1000);
	parse_host(true, &a, &host);
	assert_int_equal(cgroup_unit_limits(&host, &l, &a, &plan, &err), 0);
	assert_string_equal(text_of(&plan, &a),
			    "CPUWeight=20 CPUQuotaPerSecUSec=340000 CPUQuotaPeriodUSec=100000 "
			    "MemoryMax=1048576 MemoryLow=4096 MemorySwapMax=2097152 AllowedCPUs=0302 "
			    "AllowedMemoryNodes=01 TasksMax=7 IOWeight=10000");
	parse_host(false, &a, &host);
	assert_int_equal(cgroup_unit_limits(&host, &l, &a, &plan, &err), 0);
	assert_string_equal(text_of(&plan, &a),
			    "CPUShares=512 CPUQuotaPerSecUSec=340000 CPUQuotaPeriodUSec=100000 "
			    "MemoryLimit=1048576 TasksMax=7 BlockIOWeight=1000 DevicePolicy=strict "
			    "DeviceAllow=/dev/char/1:3,rw,char-*,m,char-pts,rwm,/dev/block/8:0,r");
	/* files by name, and the last word is theirs */
	l = (struct cgroup_limits){ .unified = unified, .n_unified = ARRAY_LEN(unified) };
	cgroup_limits_set(&l, CGROUP_PIDS_LIMIT, 7);
	parse_host(true, &a, &host);
	assert_int_equal(cgroup_unit_limits(&host, &l, &a, &plan, &err), 0);
	assert_string_equal(text_of(&plan, &a), "TasksMax=max MemoryHigh=1000 CPUQuotaPerSecUSec=500000 "
						"CPUQuotaPeriodUSec=50000");
	/* none */
	l = (struct cgroup_limits){ 0 };
	cgroup_limits_set(&l, CGROUP_CPU_QUOTA, -1);
	cgroup_limits_set(&l, CGROUP_MEMORY_LIMIT, -1);
	assert_int_equal(cgroup_unit_limits(&host, &l, &a, &plan, &err), 0);
	assert_string_equal(text_of(&plan, &a),
			    "CPUQuotaPerSecUSec=max CPUQuotaPeriodUSec=100000 MemoryMax=max");
}

static void shares_become_a_weight_by_the_curve_that_was_chosen(void **state)
{
	static const struct {
		int64_t shares, linear, quadratic;
	} cases[] = {
		{ 0, 1, 1 }, { 2, 1, 1 }, { 3, 1, 2 }, { 100, 4, 17 }, { 512, 20, 59 }, { 1024, 39, 100 },
		{ 2048, 79, 174 }, { 10240, 391, 639 }, { 262144, 10000, 10000 }, { 300000, 10000, 10000 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(cgroup_weight_of_shares(cases[i].shares, CGROUP_WEIGHT_LINEAR),
				 cases[i].linear);
		assert_int_equal(cgroup_weight_of_shares(cases[i].shares, CGROUP_WEIGHT_QUADRATIC),
				 cases[i].quadratic);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slice_is_a_path_of_slices),
		cmocka_unit_test(engines_name_units_by_slice_prefix_and_name),
		cmocka_unit_test(annotations_set_only_what_is_allowed),
		cmocka_unit_test(limits_become_properties),
		cmocka_unit_test(shares_become_a_weight_by_the_curve_that_was_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
