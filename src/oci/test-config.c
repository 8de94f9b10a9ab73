#include "oci/oci.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* Every member of the specification once, in the order of the tables, so that the text
 * that is written must equal the text that was read. */
static const char full[] =
	"{\"ociVersion\":\"1.2.0\",\"process\":{\"terminal\":true,\"consoleSize\":{\"height\":25,\"width\":80},"
	"\"user\":{\"uid\":0,\"gid\":0,\"umask\":0,\"additionalGids\":[0,5]},\"args\":[\"sh\",\"\"],"
	"\"env\":[\"A=b\"],\"cwd\":\"/\",\"capabilities\":{\"bounding\":[\"CAP_KILL\"],\"effective\":[\"CAP_KILL\"],"
	"\"inheritable\":[\"CAP_KILL\"],\"permitted\":[\"CAP_KILL\"],\"ambient\":[\"CAP_KILL\"]},"
	"\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"hard\":18446744073709551615,\"soft\":0}],"
	"\"noNewPrivileges\":true,\"apparmorProfile\":\"p\",\"oomScoreAdj\":-5,"
	"\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"nice\":-1,\"priority\":2,\"flags\":[\"f\"],\"runtime\":1,"
	"\"deadline\":2,\"period\":3},\"selinuxLabel\":\"l\",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_IDLE\","
	"\"priority\":0},\"execCPUAffinity\":{\"initial\":\"0\",\"final\":\"0-1\"}},"
	"\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"h\",\"domainname\":\"d\","
	"\"mounts\":[{\"destination\":\"/m\",\"type\":\"bind\",\"source\":\"/s\",\"options\":[\"rbind\",\"ro\"],"
	"\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":1}],"
	"\"gidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":1}]}],"
	"\"hooks\":{\"prestart\":[{\"path\":\"/a\",\"args\":[\"a\"],\"env\":[\"X=1\"],\"timeout\":0}],"
	"\"createRuntime\":[{\"path\":\"/b\"}],\"createContainer\":[{\"path\":\"/c\"}],"
	"\"startContainer\":[{\"path\":\"/d\"}],\"poststart\":[{\"path\":\"/e\"}],\"poststop\":[{\"path\":\"/f\"}]},"
	"\"annotations\":{\"z\":\"1\",\"a\":\"\"},"
	"\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":4294967295}],"
	"\"gidMappings\":[{\"containerID\":1,\"hostID\":2,\"size\":3}],\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"},"
	"\"resources\":{\"devices\":[{\"allow\":false,\"type\":\"c\",\"major\":-1,\"minor\":0,\"access\":\"rwm\"}],"
	"\"memory\":{\"limit\":-1,\"reservation\":2,\"swap\":3,\"kernel\":4,\"kernelTCP\":5,\"swappiness\":0,"
	"\"disableOOMKiller\":false,\"useHierarchy\":true,\"checkBeforeUpdate\":true},"
	"\"cpu\":{\"shares\":1,\"quota\":-1,\"burst\":3,\"period\":4,\"realtimeRuntime\":5,\"realtimePeriod\":6,"
	"\"cpus\":\"0-1\",\"mems\":\"0\",\"idle\":1},\"pids\":{\"limit\":0},"
	"\"blockIO\":{\"weight\":10,\"leafWeight\":11,\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":1,"
	"\"leafWeight\":2}],\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":600}],"
	"\"throttleWriteBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":600}],"
	"\"throttleReadIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":600}],"
	"\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":600}]},"
	"\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":9223372036854775808}],"
	"\"network\":{\"classID\":1,\"priorities\":[{\"name\":\"eth0\",\"priority\":0}]},"
	"\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3,\"hcaObjects\":0}},\"unified\":{\"cgroup.max.depth\":\"1\"}},"
	"\"cgroupsPath\":\"/c\",\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\",\"path\":\"/run/n\"}],"
	"\"devices\":[{\"type\":\"c\",\"path\":\"/dev/x\",\"major\":0,\"minor\":3,\"fileMode\":0,\"uid\":0,"
	"\"gid\":0}],\"netDevices\":{\"eth0\":{\"name\":\"c0\"}},"
	"\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,"
	"\"architectures\":[\"SCMP_ARCH_X86_64\"],\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],"
	"\"listenerPath\":\"/l\",\"listenerMetadata\":\"m\",\"syscalls\":[{\"names\":[\"clone\"],"
	"\"action\":\"SCMP_ACT_ALLOW\",\"errnoRet\":0,\"args\":[{\"index\":0,\"value\":18446744073709551615,"
	"\"valueTwo\":1,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}]},\"rootfsPropagation\":\"rslave\","
	"\"maskedPaths\":[\"/proc/kcore\"],\"readonlyPaths\":[\"/proc/sys\"],\"mountLabel\":\"ml\","
	"\"intelRdt\":{\"closID\":\"g\",\"schemata\":[\"L3:0=f\"],\"l3CacheSchema\":\"L3:0=ff\","
	"\"memBwSchema\":\"MB:0=20\",\"enableMonitoring\":true},"
	"\"personality\":{\"domain\":\"LINUX32\",\"flags\":[\"x\"]},"
	"\"timeOffsets\":{\"monotonic\":{\"secs\":-1,\"nanosecs\":0}},"
	"\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0\",\"flags\":[\"MPOL_F_STATIC_NODES\"]}}}";

static void test_every_member_survives_a_round_trip(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	struct err err = ERR_INIT;
	struct oci_config c;

	(void)state;
	if (oci_config_read(full, strlen(full), &a, &c, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(oci_config_write(&c, 0, &out, &err), 0);
	assert_string_equal(buf_text(&out), full);
	assert_string_equal(oci_config_annotation(&c, "z"), "1");
	assert_null(oci_config_annotation(&c, "b"));
	assert_true(c.process->rlimits[0].hard == UINT64_MAX);
}

static void test_what_is_wrong_is_named_by_its_path(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "{}", "ociVersion: missing" },
		{ "{\"ociVersion\":1}", "ociVersion: expected a string, got an integer" },
		{ "{\"ociVersion\":\"1\",\"process\":{\"args\":[]}}", "process.cwd: missing" },
		{ "{\"ociVersion\":\"1\",\"process\":{\"cwd\":\"/\",\"args\":[\"a\",1]}}",
		  "process.args[1]: expected a string, got an integer" },
		{ "{\"ociVersion\":\"1\",\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":-1}}}",
		  "process.user.uid: -1 is out of range" },
		{ "{\"ociVersion\":\"1\",\"mounts\":[{}]}", "mounts[0].destination: missing" },
		{ "{\"ociVersion\":\"1\",\"linux\":{\"resources\":{\"pids\":{\"limit\":\"5\"}}}}",
		  "linux.resources.pids.limit: expected an integer, got a string" },
		{ "{\"ociVersion\":\"1\",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{}]}}",
		  "linux.namespaces[1].type: missing" },
		{ "{\"ociVersion\":\"1\",\"annotations\":{\"k\":{}}}",
		  "annotations.k: expected a string, got an object" },
		{ "{\"ociVersion\":\"1\",\"ociVersion\":\"2\"}", "config.json: line 1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		struct oci_config c;

		assert_true(oci_config_read(rows[i].text, strlen(rows[i].text), &a, &c, &err) < 0);
		assert_int_equal(err.kind, ERR_INVALID);
		if (!strstr(err.text, rows[i].says))
			fail_msg("row %zu: %s", i, err.text);
	}
}

static void test_unknown_members_and_null_are_ignored(void **state)
{
	static const char text[] = "{\"ociVersion\":\"1.9\",\"vm\":{\"x\":[1]},\"linux\":null,"
				   "\"process\":{\"cwd\":\"/\",\"newThing\":true,\"capabilities\":null}}";
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct oci_config c;

	(void)state;
	assert_int_equal(oci_config_read(text, strlen(text), &a, &c, &err), 0);
	assert_null(c.linux_);
	assert_null(c.process->capabilities);
}

static void test_state_reads_as_runtimes_print_it(void **state)
{
	static const struct oci_state s = {
		.oci_version = (char *)"1.2.0", .id = (char *)"c1", .status = (char *)"stopped",
		.bundle = (char *)"/b",
	};
	CLEANUP(buf_done) struct buf out = BUF_INIT(4096);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(json_write(&oci_state_type, &s, 0, &out, &err), 0);
	assert_string_equal(buf_text(&out), "{\"ociVersion\":\"1.2.0\",\"id\":\"c1\",\"status\":\"stopped\","
			    "\"bundle\":\"/b\"}");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_member_survives_a_round_trip),
		cmocka_unit_test(test_what_is_wrong_is_named_by_its_path),
		cmocka_unit_test(test_unknown_members_and_null_are_ignored),
		cmocka_unit_test(test_state_reads_as_runtimes_print_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
