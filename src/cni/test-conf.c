#include "cni/conf.h"
#include "cni/result.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void test_a_list_and_a_single_plugin_read_the_same(void **state)
{
	static const char *const texts[] = {
		"{\"cniVersion\":\"1.0.0\",\"name\":\"net\",\"plugins\":[{\"type\":\"bridge\",\"ipam\":"
		"{\"type\":\"host-local\"}}]}",
		"{\"cniVersion\":\"1.0.0\",\"name\":\"net\",\"type\":\"bridge\",\"ipam\":{\"type\":\"host-local\"}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		struct cni_conf conf;

		assert_int_equal(cni_conf_read(texts[i], strlen(texts[i]), &a, &conf, &err), 0);
		assert_string_equal(conf.name, "net");
		assert_int_equal(conf.n_versions, 1);
		assert_int_equal(conf.n_plugins, 1);
		assert_string_equal(conf.plugins[0].type, "bridge");
		assert_string_equal(conf.plugins[0].ipam, "host-local");
	}
}

static void test_what_is_wrong_in_a_list_is_named(void **state)
{
	static const struct {
		const char *text, *says;
		enum err_kind kind;
	} rows[] = {
		{ "{", "", ERR_INVALID },
		{ "{\"plugins\":[{\"type\":\"a\"}]}", "name: missing", ERR_INVALID },
		{ "{\"name\":\"a b\",\"type\":\"x\"}", "\"a b\" is no network name", ERR_INVALID },
		{ "{\"name\":\"n\"}", "neither \"plugins\" nor \"type\"", ERR_INVALID },
		{ "{\"name\":\"n\",\"plugins\":[]}", "at least one plugin", ERR_INVALID },
		{ "{\"name\":\"n\",\"plugins\":{}}", "at least one plugin", ERR_INVALID },
		{ "{\"name\":\"n\",\"plugins\":[{}]}", "plugins[0]: type: missing", ERR_INVALID },
		{ "{\"name\":\"n\",\"plugins\":[{\"type\":\"../sh\"}]}", "\"../sh\" is no plugin name", ERR_INVALID },
		{ "{\"name\":\"n\",\"plugins\":[{\"type\":\"a\",\"ipam\":{\"type\":\"/x\"}}]}", "ipam.type",
		  ERR_INVALID },
		{ "{\"cniVersion\":\"9.0.0\",\"name\":\"n\",\"type\":\"x\"}", "\"9.0.0\" is not known",
		  ERR_UNSUPPORTED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		struct cni_conf conf;

		assert_true(cni_conf_read(rows[i].text, strlen(rows[i].text), &a, &conf, &err) < 0);
		assert_int_equal(err.kind, rows[i].kind);
		if (!strstr(err.text, rows[i].says))
			fail_msg("\"%s\" does not say \"%s\"", err.text, rows[i].says);
	}
}

static void test_a_plugin_gets_what_the_runtime_owns(void **state)
{
	static const char text[] =
		"{\"cniVersion\":\"0.4.0\",\"name\":\"net\",\"plugins\":[{\"type\":\"portmap\",\"name\":\"other\","
		"\"cniVersion\":\"0.1.0\",\"prevResult\":{\"a\":1},\"runtimeConfig\":{\"b\":2},\"mine\":[1,2],"
		"\"capabilities\":{\"portMappings\":true,\"dns\":false,\"bandwidth\":true}}]}";
	struct cni_port ports[] = { { CNI_UDP, 53, 5353, "127.0.0.1" }, { CNI_TCP, 80, 0, NULL } };
	char *server = "10.0.0.1";
	struct cni_pod pod = { .ports = ports, .n_ports = 2, .dns_servers = &server, .n_dns_servers = 1 };
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct cni_conf conf;
	char *caps, *input;

	(void)state;
	assert_int_equal(cni_conf_read(text, strlen(text), &a, &conf, &err), 0);
	assert_int_equal(cni_conf_capabilities(&pod, &a, &caps, &err), 0);
	assert_int_equal(cni_conf_input(&conf, conf.plugins, caps, "{\"ips\":[]}", &a, &input, &err), 0);
	assert_non_null(strstr(input, "\"name\":\"net\""));
	assert_non_null(strstr(input, "\"cniVersion\":\"0.4.0\""));
	assert_non_null(strstr(input, "\"mine\":[1,2]"));
	assert_non_null(strstr(input, "\"prevResult\":{\"ips\":[]}"));
	assert_non_null(strstr(input, "\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":5353,\"containerPort\":53,"
				      "\"protocol\":\"udp\",\"hostIP\":\"127.0.0.1\"}]}"));
	assert_null(strstr(input, "other"));
	/* without a previous result none is invented, and the file's is not believed */
	assert_int_equal(cni_conf_input(&conf, conf.plugins, caps, NULL, &a, &input, &err), 0);
	assert_null(strstr(input, "prevResult"));
}

static void test_bad_pod_fields_are_refused(void **state)
{
	static const struct {
		struct cni_port port;
		struct json_kv annotation;
		const char *says;
	} rows[] = {
		{ { CNI_TCP, 80, 70000, NULL }, { "a", "b" }, "70000" },
		{ { CNI_TCP, 0, 80, NULL }, { "a", "b" }, "not a port" },
		{ { 7, 80, 80, NULL }, { "a", "b" }, "protocol 7" },
		{ { CNI_TCP, 80, 80, "host" }, { "a", "b" }, "\"host\" is no host address" },
		{ { CNI_TCP, 80, 80, "::1" }, { "kubernetes.io/egress-bandwidth", "fast" }, "\"fast\"" },
		{ { CNI_TCP, 80, 80, "::1" }, { "kubernetes.io/ingress-bandwidth", "0" }, "\"0\"" },
		{ { CNI_TCP, 80, 80, "::1" }, { "kubernetes.io/ingress-bandwidth", "10M" }, NULL },
		{ { CNI_TCP, 80, 80, "::1" }, { "kubernetes.io/ingress-bandwidth", "16Gi" }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct cni_pod pod = { .ports = &rows[i].port, .n_ports = 1, .annotations = &rows[i].annotation,
				       .n_annotations = 1 };
		struct err err = ERR_INIT;
		char *caps;
		int r = cni_conf_capabilities(&pod, &a, &caps, &err);

		assert_int_equal(r < 0, rows[i].says != NULL);
		if (rows[i].says)
			assert_non_null(strstr(err.text, rows[i].says));
	}
}

static void test_versions_are_negotiated_down(void **state)
{
	static const char text[] = "{\"cniVersion\":\"1.0.0\",\"cniVersions\":[\"0.4.0\",\"1.1.0\",\"9.9.9\"],"
				   "\"name\":\"n\",\"type\":\"x\"}";
	static const char some[] = "{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"0.3.1\",\"0.4.0\"]}";
	static const char none[] = "{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"0.1.0\"]}";
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct cni_conf conf;

	(void)state;
	assert_int_equal(cni_conf_read(text, strlen(text), &a, &conf, &err), 0);
	assert_int_equal(conf.n_versions, 3);
	assert_string_equal(conf.versions[0], "1.1.0");
	assert_int_equal(cni_conf_negotiate(&conf, "x", some, strlen(some), &err), 0);
	assert_int_equal(conf.n_versions, 1);
	assert_string_equal(conf.versions[0], "0.4.0");
	assert_true(cni_conf_negotiate(&conf, "x", none, strlen(none), &err) < 0);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	assert_true(cni_conf_version_cmp("0.3.1", "0.4.0") < 0);
	assert_true(cni_conf_version_cmp("1.1.0", "0.4.0") > 0);
}

static void test_results_of_all_versions_give_the_pods_addresses(void **state)
{
	static const struct {
		const char *text, *first;
		size_t n;
	} rows[] = {
		{ "{\"interfaces\":[{\"name\":\"br0\"},{\"name\":\"veth1\"},{\"name\":\"eth0\",\"sandbox\":\"/n\"}],"
		  "\"ips\":[{\"address\":\"10.0.0.5/16\",\"gateway\":\"10.0.0.1\",\"interface\":2},"
		  "{\"address\":\"fd00::5/64\",\"interface\":2},{\"address\":\"10.0.0.1/16\",\"interface\":0}]}",
		  "10.0.0.5", 2 },
		{ "{\"cniVersion\":\"0.4.0\",\"ips\":[{\"version\":\"4\",\"address\":\"10.0.0.6/24\"}]}", "10.0.0.6", 1 },
		{ "{\"cniVersion\":\"0.2.0\",\"ip4\":{\"ip\":\"10.0.0.7/24\",\"routes\":[{\"dst\":\"0.0.0.0/0\"}]},"
		  "\"ip6\":{\"ip\":\"fd00::7/64\"}}", "10.0.0.7", 2 },
		{ "{\"cniVersion\":\"1.0.0\"}", NULL, 0 },
		{ "{\"ips\":[{\"address\":\"10.0.0.8/24\",\"interface\":-1}]}", "10.0.0.8", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		struct cni_result res;

		if (cni_result_read(rows[i].text, strlen(rows[i].text), "eth0", &a, &res, &err) < 0)
			fail_msg("%s", err.text);
		assert_int_equal(res.n_pod_ips, rows[i].n);
		if (rows[i].first)
			assert_string_equal(res.pod_ips[0], rows[i].first);
	}
}

static void test_results_that_lie_are_refused(void **state)
{
	static const char *const rows[] = {
		"", "[]", "null", "\"x\"", "{\"ips\":{}}", "{\"ips\":[{\"address\":\"10.0.0.300/8\"}]}",
		"{\"ips\":[{\"address\":\"10.0.0.3/33\"}]}", "{\"ips\":[{\"address\":\"10.0.0.3/\"}]}",
		"{\"ips\":[{\"address\":\"10.0.0.3/8\",\"interface\":0}]}", "{\"ips\":[{}]}",
		"{\"interfaces\":[{\"name\":7}]}", "{\"ip4\":{\"ip\":\"nowhere\"}}", "{\"ips\":[],\"ips\":[]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		struct cni_result res;

		assert_true(cni_result_read(rows[i], strlen(rows[i]), "eth0", &a, &res, &err) < 0);
		assert_non_null(strstr(err.text, "result"));
	}
}

static void test_error_objects_become_errors(void **state)
{
	static const struct {
		const char *text, *says;
		enum err_kind kind;
	} rows[] = {
		{ "{\"code\":11,\"msg\":\"busy\",\"details\":\"lock\"}", "plugin: busy: lock", ERR_UNAVAILABLE },
		{ "{\"code\":7}", "plugin: invalid network configuration", ERR_INVALID },
		{ "{\"code\":999,\"msg\":\"no IP addresses available\"}", "plugin: no IP addresses available",
		  ERR_INTERNAL },
		{ "{\"code\":123}", "plugin: failed with code 123", ERR_INTERNAL },
		{ "{\"msg\":\"no code\"}", NULL, ERR_NONE },
		{ "panic: oh", NULL, ERR_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = ERR_INIT;
		int r = cni_result_error(rows[i].text, strlen(rows[i].text), "plugin", &err);

		assert_int_equal(r < 0, rows[i].says != NULL);
		assert_int_equal(err.kind, rows[i].kind);
		if (rows[i].says)
			assert_string_equal(err.text, rows[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_list_and_a_single_plugin_read_the_same),
		cmocka_unit_test(test_what_is_wrong_in_a_list_is_named),
		cmocka_unit_test(test_a_plugin_gets_what_the_runtime_owns),
		cmocka_unit_test(test_bad_pod_fields_are_refused),
		cmocka_unit_test(test_versions_are_negotiated_down),
		cmocka_unit_test(test_results_of_all_versions_give_the_pods_addresses),
		cmocka_unit_test(test_results_that_lie_are_refused),
		cmocka_unit_test(test_error_objects_become_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
