/* Configurations: what a client asked for survives the copy and the record to the letter. */
#include "pod/manager.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int64_t uid = 1000;
static struct json_kv labels[] = { { "app", "web" }, { "tier", "front \"end\"\n" } };
static char *searches[] = { "a.example", "b.example" };
static struct pod_port ports[] = { { 1, 53, 5353, "127.0.0.1" }, { 0, 80, 8080, NULL } };
static int64_t groups[] = { 1, 2, 3 };
static char *caps[] = { "ALL" };

static void a_pod_survives_the_copy(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_resources overhead = { .cpu_shares = 7, .memory_limit = 1 << 30 };
	struct pod_config c = {
		.name = "web", .uid = "u1", .ns = "default", .attempt = 3, .hostname = "", .labels = labels,
		.n_labels = 2, .dns_searches = searches, .n_dns_searches = 2, .ports = ports, .n_ports = 2,
		.cgroup_parent = "/kubepods/pod1", .overhead = &overhead,
		.security = {
			.namespaces = { .network = POD_NS_NODE, .pid = POD_NS_CONTAINER,
				.user = POD_NS_NODE },
			.run_as_user = &uid, .supplemental_groups = groups, .n_supplemental_groups = 3,
			.seccomp = { POD_PROFILE_LOCALHOST, "/p.json" },
		},
	};
	struct pod_config *copy = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(pod_config_copy(&c, &a, &copy, &err), 0);
	assert_string_equal(copy->name, "web");
	assert_int_equal(copy->attempt, 3);
	assert_string_equal(copy->hostname, "");
	assert_int_equal(copy->n_labels, 2);
	assert_string_equal(copy->labels[1].value, labels[1].value);
	assert_string_equal(copy->dns_searches[1], "b.example");
	assert_int_equal(copy->n_ports, 2);
	assert_int_equal(copy->ports[0].protocol, 1);
	assert_int_equal(copy->ports[1].host_port, 8080);
	assert_null(copy->ports[1].host_ip);
	assert_int_equal(copy->overhead->memory_limit, 1 << 30);
	assert_null(copy->resources);
	assert_int_equal(copy->security.namespaces.network, POD_NS_NODE);
	assert_int_equal(copy->security.namespaces.user, POD_NS_NODE);
	assert_int_equal(*copy->security.run_as_user, 1000);
	assert_null(copy->security.run_as_group);
	assert_int_equal(copy->security.supplemental_groups[2], 3);
	assert_string_equal(copy->security.seccomp.localhost, "/p.json");
}

static void a_container_survives_the_copy(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_env envs[] = { { "A", "1=2" }, { "B", "" } };
	struct pod_mount mounts[] = {
		{ .container_path = "/d", .host_path = "/h", .readonly = true, .propagation = 2 },
	};
	struct pod_device devices[] = { { "/dev/a", "/dev/null", "rw" } };
	struct pod_container_config c = {
		.name = "c", .image = "busybox", .envs = envs, .n_envs = 2, .mounts = mounts, .n_mounts = 1,
		.devices = devices, .n_devices = 1, .tty = true, .stop_signal = 3,
		.resources = { .memory_limit = INT64_MAX, .oom_score_adj = -999 },
		.security = { .privileged = true, .cap_drop = caps, .n_cap_drop = 1 },
	};
	struct pod_container_config *copy = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(pod_container_config_copy(&c, &a, &copy, &err), 0);
	assert_string_equal(copy->envs[0].value, "1=2");
	assert_string_equal(copy->envs[1].value, "");
	assert_true(copy->mounts[0].readonly);
	assert_int_equal(copy->mounts[0].propagation, 2);
	assert_string_equal(copy->devices[0].permissions, "rw");
	assert_true(copy->tty && copy->security.privileged);
	assert_int_equal(copy->resources.memory_limit, INT64_MAX);
	assert_int_equal(copy->resources.oom_score_adj, -999);
	assert_string_equal(copy->security.cap_drop[0], "ALL");
	assert_int_equal(copy->n_args, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_survives_the_copy),
		cmocka_unit_test(a_container_survives_the_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
