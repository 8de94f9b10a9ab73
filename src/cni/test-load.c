/* Which configuration serves, with directories of our own and plugins that are shell scripts. */
#include "cni/cni.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

struct fixture {
	char dir[64], conf[96], bin[96];
	const char *bins[1];
	struct cni *cni;
};

static void put(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(sys_file_replace(AT_FDCWD, path, text, strlen(text), mode, false), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void drop(const char *dir, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

static int setup(void **state)
{
	struct fixture *f = mem_new(1, sizeof(*f));
	struct cni_settings s = { .bin_dirs = f->bins, .n_bin_dirs = 1, .data_dir = "/nowhere", .plugins_max = 2 };

	snprintf(f->dir, sizeof(f->dir), "/tmp/test-cni-load.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->conf, sizeof(f->conf), "%s/net.d", f->dir);
	snprintf(f->bin, sizeof(f->bin), "%s/bin", f->dir);
	assert_int_equal(mkdir(f->bin, 0755), 0);
	f->bins[0] = f->bin;
	s.conf_dir = f->conf;
	assert_int_equal(cni_new(&s, &f->cni, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	cni_free(f->cni);
	assert_int_equal(sys_remove_tree(AT_FDCWD, f->dir), 0);
	free(f);
	return 0;
}

static void test_status_says_what_is_missing_and_follows_the_directory(void **state)
{
	struct fixture *f = *state;
	struct cni_status st;

	/* no directory, no plugins: all three are named, and where they were looked for */
	cni_status(f->cni, &st);
	assert_false(st.ready);
	assert_string_equal(st.reason, "NetworkPluginNotReady");
	assert_non_null(strstr(st.message, "bridge, host-local, portmap"));
	assert_non_null(strstr(st.message, f->bin));
	assert_non_null(strstr(st.message, f->conf));

	put(f->bin, "bridge", "", 0755);
	put(f->bin, "host-local", "", 0755);
	put(f->bin, "portmap", "", 0644); /* not executable: not there */
	cni_status(f->cni, &st);
	assert_false(st.ready);
	assert_null(strstr(st.message, "bridge"));
	put(f->bin, "portmap", "", 0755);
	cni_status(f->cni, &st);
	assert_true(st.ready);
	assert_string_equal(st.source, "embedded default");
	assert_string_equal(st.network, "caisson");

	/* a file takes over */
	assert_int_equal(mkdir(f->conf, 0755), 0);
	put(f->conf, "20-b.conflist", "{\"cniVersion\":\"1.0.0\",\"name\":\"b\",\"plugins\":[{\"type\":\"bridge\"}]}",
	    0644);
	put(f->conf, "README", "nothing", 0644);
	put(f->conf, ".10-tmp.conf", "{", 0644);
	cni_status(f->cni, &st);
	assert_true(st.ready);
	assert_string_equal(st.network, "b");

	/* an invalid one in front of it is not stepped over */
	put(f->conf, "10-a.conf", "{\"name\":\"a\"", 0644);
	cni_status(f->cni, &st);
	assert_false(st.ready);
	assert_string_equal(st.reason, "NetworkConfigInvalid");
	assert_non_null(strstr(st.message, "10-a.conf"));

	/* mended in place */
	put(f->conf, "10-a.conf", "{\"name\":\"a\",\"type\":\"nosuch\"}", 0644);
	cni_status(f->cni, &st);
	assert_false(st.ready);
	assert_string_equal(st.reason, "NetworkPluginNotReady");
	assert_non_null(strstr(st.message, "10-a.conf"));
	assert_non_null(strstr(st.message, "nosuch"));

	drop(f->conf, "10-a.conf");
	cni_status(f->cni, &st);
	assert_true(st.ready);
	assert_string_equal(st.network, "b");
}

static void test_without_a_default_an_empty_directory_is_said(void **state)
{
	struct fixture *f = *state;
	struct cni_settings s = { .conf_dir = f->conf, .bridge = "" };
	struct cni_status st;
	struct cni *bare;

	assert_int_equal(cni_new(&s, &bare, NULL), 0);
	cni_status(bare, &st);
	assert_false(st.ready);
	assert_string_equal(st.reason, "NetworkPluginNotReady");
	assert_non_null(strstr(st.message, f->conf));
	assert_int_equal(cni_default_leave(bare, NULL), 0);
	cni_free(bare);
}

static struct cni_pod pod(void)
{
	return (struct cni_pod){ .id = "abc", .netns = "/nowhere/netns", .name = "web", .ns = "default", .uid = "u" };
}

/* A plugin that notes what it was asked into <name>.log beside itself and then does `does`. */
static void script(struct fixture *f, const char *name, const char *does)
{
	autofree char *text = mem_printf("#!/bin/sh\ncat > '%s/%s.in'\n"
					 "echo \"$CNI_COMMAND %s $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS\" >> '%s/log'\n"
					 "%s\n", f->dir, name, name, f->dir, does);

	put(f->bin, name, text, 0755);
}

static void read_file(struct fixture *f, const char *name, struct buf *b)
{
	char path[256];

	buf_done(b);
	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	assert_int_equal(sys_file_read(AT_FDCWD, path, 65536, b), 0);
}

#define RESULT "echo '{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.9.8.7/24\"}],\"by\":\"one\"}'"

static void chain(struct fixture *f, struct arena *a, struct cni_attachment *at)
{
	struct cni_pod p = pod();
	struct err err = ERR_INIT;

	mkdir(f->conf, 0755);
	put(f->conf, "10-a.conflist",
	    "{\"cniVersion\":\"1.0.0\",\"name\":\"net\",\"plugins\":[{\"type\":\"one\"},{\"type\":\"two\"}]}", 0644);
	if (cni_attach_prepare(f->cni, &p, a, at, &err) < 0)
		fail_msg("%s", err.text);
}

static int64_t in_seconds(int s)
{
	return time_now_mono() + s * NSEC_PER_SEC;
}

static void test_results_are_chained_and_del_runs_in_reverse(void **state)
{
	struct fixture *f = *state;
	CLEANUP(arena_done) struct arena a = ARENA_INIT, b = ARENA_INIT;
	CLEANUP(buf_done) struct buf text = BUF_INIT(65536), record = BUF_INIT(65536);
	struct cni_attachment at, again;
	struct cni_result res;
	struct err err = ERR_INIT;

	script(f, "one", "[ $CNI_COMMAND = DEL ] || " RESULT);
	script(f, "two", "[ $CNI_COMMAND = ADD ] && " RESULT " || true");
	chain(f, &a, &at);
	if (cni_attach_add(f->cni, &at, in_seconds(20), &a, &res, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(res.n_pod_ips, 1);
	assert_string_equal(res.pod_ips[0], "10.9.8.7");
	read_file(f, "two.in", &text);
	assert_non_null(strstr(buf_text(&text), "\"by\":\"one\""));

	/* through a record, with the files gone and changed in between */
	assert_int_equal(json_write(&cni_attachment_type, &at, 0, &record, &err), 0);
	drop(f->conf, "10-a.conflist");
	assert_int_equal(json_read(&cni_attachment_type, record.data, record.len, &b, &again, &err), 0);
	assert_int_equal(cni_attach_check(f->cni, &again, in_seconds(20), &err), 0);
	assert_int_equal(cni_attach_del(f->cni, &again, in_seconds(20), &err), 0);
	read_file(f, "log", &text);
	assert_string_equal(buf_text(&text),
		"ADD one abc /nowhere/netns eth0 IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"
		"K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u\n"
		"ADD two abc /nowhere/netns eth0 IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"
		"K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u\n"
		"CHECK one abc /nowhere/netns eth0 IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"
		"K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u\n"
		"CHECK two abc /nowhere/netns eth0 IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"
		"K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u\n"
		/* the namespace does not exist: DEL gets none, as after a reboot */
		"DEL two abc  eth0 IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"
		"K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u\n"
		"DEL one abc  eth0 IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"
		"K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u\n");
}

static void test_a_plugin_that_fails_is_named(void **state)
{
	static const struct {
		const char *does, *says;
		enum err_kind kind;
	} rows[] = {
		{ "echo '{\"code\":11,\"msg\":\"pool is empty\"}'; exit 1",
		  "CNI plugin two (network \"net\"): ADD: pool is empty", ERR_UNAVAILABLE },
		{ "echo oh >&2; echo no >&2; exit 3", "CNI plugin two (network \"net\"): ADD: exit status 3: no",
		  ERR_INTERNAL },
		{ "kill -9 $$", "CNI plugin two (network \"net\"): ADD: killed by signal 9 (Killed)", ERR_INTERNAL },
		{ "echo rubbish", "CNI plugin two (network \"net\"): ADD: result", ERR_INVALID },
		{ "true", "CNI plugin two (network \"net\"): ADD: result", ERR_INVALID },
		{ "head -c 3000000 /dev/zero", "CNI plugin two (network \"net\"): ADD: printed more than", ERR_LIMIT },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct cni_attachment at;
		struct cni_result res;
		struct err err = ERR_INIT;

		script(f, "one", RESULT);
		script(f, "two", rows[i].does);
		chain(f, &a, &at);
		assert_true(cni_attach_add(f->cni, &at, in_seconds(20), &a, &res, &err) < 0);
		assert_null(at.result);
		assert_int_equal(err.kind, rows[i].kind);
		if (strncmp(err.text, rows[i].says, strlen(rows[i].says)) != 0)
			fail_msg("\"%s\" does not begin with \"%s\"", err.text, rows[i].says);
	}
}

static void test_del_goes_on_and_says_the_first_failure(void **state)
{
	struct fixture *f = *state;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf text = BUF_INIT(65536);
	struct cni_attachment at;
	struct err err = ERR_INIT;

	script(f, "one", "true");
	script(f, "two", "exec sleep 100");
	chain(f, &a, &at);
	assert_true(cni_attach_del(f->cni, &at, in_seconds(2), &err) < 0);
	assert_int_equal(err.kind, ERR_TIMEOUT);
	assert_non_null(strstr(err.text, "CNI plugin two (network \"net\"): DEL:"));
	read_file(f, "log", &text);
	assert_non_null(strstr(buf_text(&text), "DEL one"));
}

static void test_pod_names_cannot_forge_arguments(void **state)
{
	struct fixture *f = *state;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cni_attachment at;
	struct cni_pod p = pod();
	struct err err = ERR_INIT;

	script(f, "one", "true");
	script(f, "two", "true");
	chain(f, &a, &at);
	p.name = "web;K8S_POD_NAMESPACE=kube-system";
	assert_true(cni_attach_prepare(f->cni, &p, &a, &at, &err) < 0);
	assert_non_null(strstr(err.text, "pod name \"web;"));
	p = pod();
	p.ifname = "much-too-long-for-a-name";
	assert_true(cni_attach_prepare(f->cni, &p, &a, &at, &err) < 0);
	p = pod();
	p.id = "../x";
	assert_true(cni_attach_prepare(f->cni, &p, &a, &at, &err) < 0);
}

static void test_settings_are_checked(void **state)
{
	static const struct cni_settings rows[] = {
		{ .data_dir = NULL },
		{ .data_dir = "relative" },
		{ .data_dir = "/d", .bridge = "bridge-name-too-long" },
		{ .data_dir = "/d", .bridge = "a/b" },
		{ .data_dir = "/d", .subnet = "10.0.0.0" },
		{ .data_dir = "/d", .subnet = "10.0.0.0/31" },
		{ .data_dir = "/d", .subnet = "ten/8" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = ERR_INIT;
		struct cni *cni;

		assert_true(cni_new(&rows[i], &cni, &err) < 0);
		assert_int_equal(err.kind, ERR_INVALID);
	}
}

static bool there(const struct fixture *f, const char *name)
{
	autofree char *path = mem_printf("%s/data/%s", f->dir, name);

	return access(path, F_OK) == 0;
}

static void test_addresses_of_an_earlier_boot_are_free_again(void **state)
{
	struct fixture *f = *state;
	autofree char *data = mem_printf("%s/data", f->dir), *net = mem_printf("%s/caisson", data);
	autofree char *lease = mem_printf("%s/10.88.0.2", net), *boot = mem_printf("%s/boot", data);
	static const char earlier[] = "11111111-2222-4333-8444-555555555555\n";

	assert_int_equal(sys_mkdir_p(net, 0755), 0);
	assert_int_equal(sys_file_replace(AT_FDCWD, lease, "x\r\neth0", 7, 0644, false), 0);
	/* who gave it out, and when, is not known: it stays */
	assert_int_equal(cni_leases_of_this_boot(data, NULL), 0);
	assert_true(there(f, "caisson/10.88.0.2"));
	assert_int_equal(cni_leases_of_this_boot(data, NULL), 0);
	assert_true(there(f, "caisson/10.88.0.2"));
	assert_int_equal(sys_file_replace(AT_FDCWD, boot, earlier, strlen(earlier), 0644, false), 0);
	assert_int_equal(cni_leases_of_this_boot(data, NULL), 1);
	assert_false(there(f, "caisson"));
	assert_true(there(f, "boot"));
	assert_int_equal(cni_leases_of_this_boot(data, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_status_says_what_is_missing_and_follows_the_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_results_are_chained_and_del_runs_in_reverse, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_plugin_that_fails_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(test_del_goes_on_and_says_the_first_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pod_names_cannot_forge_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_a_default_an_empty_directory_is_said, setup, teardown),
		cmocka_unit_test(test_settings_are_checked),
		cmocka_unit_test_setup_teardown(test_addresses_of_an_earlier_boot_are_free_again, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
