#include "runtime/child.h"
#include "runtime/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define HEAD "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},"
#define PROCESS "\"process\":{\"cwd\":\"/\",\"args\":[\"true\"]},"
#define OK_LINUX "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"uts\"}]}}"

static int make(const char *text, struct arena *a, struct oci_config *c, struct runtime_plan *plan,
		struct err *err)
{
	struct runtime_create what = RUNTIME_CREATE_INIT;
	int r = oci_config_read(text, strlen(text), a, c, err);

	what.root = "/nowhere";
	what.id = "c1";
	what.bundle = "/bundle";
	what.force_cgroup_less = true;
	return r < 0 ? r : plan_make(&what, c, a, plan, err);
}

static void test_what_can_not_work_is_refused_by_its_path(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "{\"ociVersion\":\"2.0.0\"}", "ociVersion: \"2.0.0\" is not 1.x" },
		{ "{\"ociVersion\":\"1.0\"}", "ociVersion: \"1.0\" is no version" },
		{ "{\"ociVersion\":\"1.0.0-\"}", "is no version" },
		{ "{\"ociVersion\":\"1.0.0 x\"}", "is no version" },
		{ "{\"ociVersion\":\"1.0.0-rc.1+x\"}", "linux: missing" },
		{ HEAD PROCESS "\"annotations\":{\"\":\"x\"}," OK_LINUX, "annotations: a key must not be empty" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"maskedPaths\":[\"proc/keys\"]}}",
		  "linux.maskedPaths[0]: \"proc/keys\" is not absolute" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"readonlyPaths\":[\"/a\",\"\"]}}",
		  "linux.readonlyPaths[1]" },
		{ HEAD PROCESS "\"linux\":{\"intelRdt\":{\"memBwSchema\":\"L3:0=1\"}}}", "linux.intelRdt.memBwSchema" },
		{ HEAD PROCESS "\"linux\":{\"netDevices\":{\"eth0\":{}}}}", "without a private network namespace" },
		{ HEAD OK_LINUX, "process: missing" },
		{ HEAD "\"process\":{\"cwd\":\"/\",\"args\":[]}," OK_LINUX, "process.args" },
		{ HEAD "\"process\":{\"cwd\":\"x\",\"args\":[\"a\"]}," OK_LINUX, "process.cwd" },
		{ HEAD "\"process\":{\"cwd\":\"/\",\"args\":[\"a\"],\"env\":[\"X\"]}," OK_LINUX,
		  "process.env[0]" },
		{ HEAD "\"process\":{\"cwd\":\"/\",\"args\":[\"a\"],\"terminal\":true}," OK_LINUX,
		  "process.terminal" },
		{ HEAD "\"process\":{\"cwd\":\"/\",\"args\":[\"a\"],\"rlimits\":[{\"type\":\"RLIMIT_X\",\"soft\":1,"
		       "\"hard\":1}]}," OK_LINUX, "process.rlimits[0].type" },
		{ HEAD "\"process\":{\"cwd\":\"/\",\"args\":[\"a\"],\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":2,"
		       "\"hard\":1}]}," OK_LINUX, "process.rlimits" },
		{ HEAD "\"process\":{\"cwd\":\"/\",\"args\":[\"a\"],\"oomScoreAdj\":1001}," OK_LINUX,
		  "oomScoreAdj" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"net\"}]}}",
		  "linux.namespaces[0].type" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}}",
		  "linux.namespaces[1]: a second pid" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"pid\",\"path\":\"/dev/null\"}]}}",
		  "/dev/null is not a pid namespace" },
		{ HEAD PROCESS "\"hostname\":\"x\",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}",
		  "hostname" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\"}]}}",
		  "uidMappings" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],"
		       "\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}}}", "needs a network namespace" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],"
		       "\"sysctl\":{\"vm.swappiness\":\"1\"}}}", "not in a separate kernel namespace" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"ipc\"}],"
		       "\"sysctl\":{\"kernel.shmmaxx\":\"1\"}}}", "not in a separate kernel namespace" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"network\"}],"
		       "\"sysctl\":{\"net/../../vm/swappiness\":\"1\"}}}", "is not a name" },
		{ HEAD PROCESS "\"linux\":{\"maskedPaths\":[\"/proc/kcore\"]}}", "private MNT namespace" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"rootfsPropagation\":\"x\"}}",
		  "rootfsPropagation" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"devices\":[{\"type\":\"x\","
		       "\"path\":\"/dev/x\"}]}}", "linux.devices[0].type" },
		{ HEAD PROCESS "\"mounts\":[{\"destination\":\"/proc/1\",\"type\":\"tmpfs\"}]," OK_LINUX,
		  "mounts[0]: mount /proc/1: a mount inside /proc" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"timeOffsets\":{\"monotonic\":{}}}}",
		  "needs a new time namespace" },
		{ HEAD PROCESS "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"seccomp\":{\"defaultAction\":\"X\"}}}",
		  "linux.seccomp.defaultAction" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		struct runtime_plan plan;
		struct oci_config c;

		if (make(rows[i].text, &a, &c, &plan, &err) == 0 || !strstr(err.text, rows[i].says))
			fail_msg("row %zu: %s", i, err.text);
	}
}

static void test_a_plan_holds_what_the_child_needs(void **state)
{
	static const char text[] = HEAD
		"\"process\":{\"cwd\":\"/w\",\"args\":[\"sh\",\"-c\",\"x\"],\"env\":[\"PATH=/a:/b\",\"X=\"],"
		"\"user\":{\"uid\":5,\"gid\":6,\"umask\":63,\"additionalGids\":[7]}},\"hostname\":\"h\","
		"\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"network\"}],"
		"\"sysctl\":{\"net.ipv4.conf.eth0/1.forwarding\":\"1\"}}}";
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct runtime_plan plan;
	struct oci_config c;

	(void)state;
	if (make(text, &a, &c, &plan, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(plan.ns_new, 1 << NS_MNT | 1 << NS_UTS | 1 << NS_NET);
	assert_string_equal(plan.sysctls[0].name, "net/ipv4/conf/eth0.1/forwarding");
	assert_string_equal(plan.process.path, "/a:/b");
	assert_false(plan.process.has_home);
	assert_null(plan.process.envp[2]);
	assert_null(plan.process.envp[3]);
	assert_int_equal(plan.process.umask, 077);
	assert_string_equal(plan.rootfs, "/bundle/rootfs");
	assert_int_equal(plan.mnt.n_devices, 6);
	plan_done(&plan);
}

static void test_the_home_of_a_user_is_found_in_any_passwd(void **state)
{
	static const struct {
		const char *text;
		uid_t uid;
		const char *home;
	} rows[] = {
		{ "root:x:0:0:root:/root:/bin/sh\nu:x:5:5::/home/u:\n", 5, "/home/u" },
		{ "root:x:0:0:root:/root", 0, "/root" },
		{ "root:x:0:0:root:/root", 1, NULL },
		{ "root:x:0", 0, NULL },
		{ "a:b:99999999999:0::/x\n::::::\n", 0, NULL },
		{ "a:x:0:0:::", 0, NULL },
		{ "", 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char home[32] = "";
		int r = passwd_home(rows[i].text, strlen(rows[i].text), rows[i].uid, home, sizeof(home));

		assert_int_equal(r, rows[i].home ? 0 : -ENOENT);
		if (rows[i].home)
			assert_string_equal(home, rows[i].home);
	}
}

static void test_a_damaged_record_is_corrupt_and_says_so(void **state)
{
	static const char *const rows[] = {
		"", "{", "{}", "{\"version\":1,\"id\":\"../x\",\"ociVersion\":\"1\",\"bundle\":\"/\",\"bootId\":\"\"}",
		"{\"version\":1,\"id\":\"x\",\"ociVersion\":\"1\",\"bundle\":\"/\",\"bootId\":\"\",\"pid\":-1}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		struct record r;

		assert_true(record_parse(rows[i], strlen(rows[i]), &a, &r, &err) < 0);
		assert_int_equal(err.kind, ERR_CORRUPT);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_can_not_work_is_refused_by_its_path),
		cmocka_unit_test(test_a_plan_holds_what_the_child_needs),
		cmocka_unit_test(test_the_home_of_a_user_is_found_in_any_passwd),
		cmocka_unit_test(test_a_damaged_record_is_corrupt_and_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
