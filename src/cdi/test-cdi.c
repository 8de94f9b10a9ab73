#include "cdi/spec.h"

#include "cdi/yaml.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* Two directories of specifications, and a configuration to be edited. */
struct fixture {
	char dir[64];
	char *dirs[2];
	struct arena a;
	struct oci_process process;
	struct oci_linux l;
	struct oci_config config;
	struct err err;
};

static int setup(void **state)
{
	struct fixture *f = mem_new(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/caisson-cdi-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->dirs[0] = mem_printf("%s/etc", f->dir);
	f->dirs[1] = mem_printf("%s/run", f->dir);
	f->config.process = &f->process;
	f->config.linux_ = &f->l;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sys_remove_tree(AT_FDCWD, f->dir);
	arena_done(&f->a);
	free(f->dirs[0]);
	free(f->dirs[1]);
	free(f);
	return 0;
}

static void put(struct fixture *f, int dir, const char *name, const char *text)
{
	autofree char *path = mem_printf("%s/%s", f->dirs[dir], name);

	assert_int_equal(sys_mkdir_p(f->dirs[dir], 0755), 0);
	assert_int_equal(sys_file_replace(AT_FDCWD, path, text, strlen(text), 0644, false), 0);
}

static int inject(struct fixture *f, char *a, char *b)
{
	char *names[] = { a, b };

	err_clear(&f->err);
	return cdi_inject((const char *const *)f->dirs, 2, names, b ? 2 : 1, &f->config, &f->a, &f->err);
}

/* One device "d" of vendor.com/net whose edits, of that version, are the text. */
static char *one(const char *version, const char *edits)
{
	return mem_printf("{\"cdiVersion\": \"%s\", \"kind\": \"vendor.com/net\", \"devices\": [{\"name\": \"d\", "
			  "\"containerEdits\": %s}]}", version, edits);
}

static char device[] = "vendor.com/net=d", other[] = "vendor.com/net=e";

static void every_edit_is_applied(void **state)
{
	struct fixture *f = *state;
	char *env[] = { mem_strdup("A=old"), mem_strdup("B=1") };
	struct oci_mount mounts[] = { { .destination = (char *)"/data/sub" },
	{ .destination = (char *)"/x" } };

	f->process.env = env;
	f->process.n_env = 2;
	f->process.user.uid = 1000;
	f->config.mounts = mounts;
	f->config.n_mounts = 2;
	put(f, 0, "v.yaml",
	    "cdiVersion: 1.1.0\n"
	    "kind: vendor.com/net\n"
	    "containerEdits:\n"
	    "  env: [\"ALL=1\"]\n"
	    "devices:\n"
	    "- name: d\n"
	    "  containerEdits:\n"
	    "    env:\n    - A=new\n    - C=3\n"
	    "    deviceNodes:\n"
	    "    - path: /dev/card\n      hostPath: /dev/null\n      permissions: rw\n      fileMode: 0640\n"
	    "    mounts:\n"
	    "    - hostPath: /lib/v\n      containerPath: /data\n      options: [ro, rbind]\n"
	    "    hooks:\n"
	    "    - hookName: createContainer\n      path: /bin/v\n      args: [v, -x]\n      timeout: 5\n"
	    "    netDevices:\n    - hostInterfaceName: eth7\n      name: net0\n"
	    "    intelRdt:\n      closID: class\n      schemata: [\"L3:0=f\"]\n"
	    "    additionalGids: [44, 0, 44]\n"
	    "- name: e\n"
	    "  containerEdits:\n    env: [E=1]\n");
	assert_int_equal(inject(f, device, other), 0);
	assert_int_equal(f->process.n_env, 5);
	assert_string_equal(f->process.env[0], "A=new");
	assert_string_equal(f->process.env[2], "ALL=1"); /* once, though two devices bring it */
	assert_string_equal(f->process.env[4], "E=1");
	assert_int_equal(f->l.n_devices, 1);
	assert_string_equal(f->l.devices[0].path, "/dev/card");
	assert_string_equal(f->l.devices[0].type, "c");
	assert_int_equal(*f->l.devices[0].major, 1);
	assert_int_equal(*f->l.devices[0].minor, 3);
	assert_int_equal(*f->l.devices[0].file_mode, 0640);
	assert_int_equal(*f->l.devices[0].uid, 1000);
	assert_null(f->l.devices[0].gid);
	assert_int_equal(f->l.resources->n_devices, 1);
	assert_string_equal(f->l.resources->devices[0].access, "rw");
	/* in front of what it would hide */
	assert_int_equal(f->config.n_mounts, 3);
	assert_string_equal(f->config.mounts[0].destination, "/data");
	assert_string_equal(f->config.mounts[1].destination, "/data/sub");
	assert_int_equal(f->config.hooks->n_create_container, 1);
	assert_int_equal(*f->config.hooks->create_container[0].timeout, 5);
	assert_string_equal(f->l.net_devices[0].host_name, "eth7");
	assert_string_equal(f->l.net_devices[0].name, "net0");
	assert_string_equal(f->l.intel_rdt->clos_id, "class");
	assert_int_equal(f->process.user.n_additional_gids, 1);
	free(env[0]);
	free(env[1]);
}

static void a_later_directory_wins_and_a_conflict_is_nobodys(void **state)
{
	struct fixture *f = *state;
	autofree char *etc = one("0.3.0", "{\"env\": [\"FROM=etc\"]}");
	autofree char *run = one("0.3.0", "{\"env\": [\"FROM=run\"]}");

	put(f, 0, "a.json", etc);
	put(f, 0, "b.json", etc);
	assert_true(inject(f, device, NULL) < 0);
	assert_int_equal(f->err.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(f->err.text, "/etc/a.json and "));
	put(f, 1, "c.json", run);
	assert_int_equal(inject(f, device, NULL), 0);
	assert_string_equal(f->process.env[0], "FROM=run");
}

static void what_is_not_there_is_named_with_the_file_that_is_wrong(void **state)
{
	struct fixture *f = *state;

	assert_true(inject(f, device, NULL) < 0);
	assert_string_equal(f->err.text, "CDI device vendor.com/net=d: no specification has it");
	put(f, 0, "bad.yaml", "kind: [\n");
	put(f, 0, "ignored.txt", "not one");
	assert_true(inject(f, device, NULL) < 0);
	assert_non_null(strstr(f->err.text, "/etc/bad.yaml: line 2"));
}

static void what_is_wrong_is_refused(void **state)
{
	static const struct {
		const char *version, *edits, *says;
	} rows[] = {
		{ "0.2.9", "{\"env\": [\"A=1\"]}", "cdiVersion \"0.2.9\"" },
		{ "1.0.0", "{\"netDevices\": [{\"hostInterfaceName\": \"a\", \"name\": \"b\"}]}",
		"came with 1.1.0" },
		{ "0.6.0", "{\"additionalGids\": [5]}", "came with 0.7.0" },
		{ "0.4.0", "{\"deviceNodes\": [{\"path\": \"/dev/x\", \"hostPath\": \"/dev/null\"}]}",
		  "came with 0.5.0" },
		{ "0.3.0",
		"{\"mounts\": [{\"hostPath\": \"/a\", \"containerPath\": \"/b\", \"type\": \"bind\"}]}",
		  "came with 0.4.0" },
		{ "0.3.0", "{}", "no containerEdits" },
		{ "0.3.0", "{\"env\": [\"=x\"]}", "not NAME=value" },
		{ "0.3.0", "{\"hooks\": [{\"hookName\": \"never\", \"path\": \"/x\"}]}", "is no hook" },
		{ "0.3.0", "{\"hooks\": [{\"hookName\": \"prestart\", \"path\": \"x\"}]}", "not absolute" },
		{ "0.3.0", "{\"deviceNodes\": [{\"path\": \"/dev/x\", \"type\": \"q\"}]}",
		"none of b, c, u, p" },
		{ "0.3.0", "{\"deviceNodes\": [{\"path\": \"/dev/x\", \"permissions\": \"rq\"}]}",
		"not of rwm" },
		{ "0.3.0", "{\"deviceNodes\": [{\"path\": \"/dev/no-such-node\"}]}",
		"device node /dev/no-such-node" },
		{ "0.3.0", "{\"deviceNodes\": [{\"path\": \"/dev/null\", \"type\": \"b\"}]}",
		"the host's is c" },
		{ "0.3.0", "{\"mounts\": [{\"hostPath\": \"/a\", \"containerPath\": \"b\"}]}",
		"not absolute" },
		{ "0.7.0", "{\"intelRdt\": {\"closID\": \"a/b\"}}", "closID" },
		{ "0.3.0", "{\"env\": 5}", "expected an array" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		autofree char *text = one(rows[i].version, rows[i].edits);

		put(f, 0, "one.json", text);
		assert_true(inject(f, device, NULL) < 0);
		if (!strstr(f->err.text, rows[i].says))
			fail_msg("row %zu: %s", i, f->err.text);
		assert_non_null(strstr(f->err.text, device));
	}
}

static void names_have_a_shape(void **state)
{
	static const char *const good[] = { "v/c=d", "vendor.com/gpu=0", "a.b-c_d/e.f=x:y.z-1_2" };
	static const char *const bad[] = { "",	     "v",     "v/c",   "v/c=",	 "/c=d",  "v/=d",
	"1v/c=d",
					   "v/c=-d", "v/c=d-", "v-/c=d", "v/c/d=e", "v/c=d e", "v/c=\xc3\xa9" };

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(cdi_name_check(good[i], NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(cdi_name_check(bad[i], NULL) < 0);
}

static void annotations_ask_for_devices_once_each(void **state)
{
	const struct json_kv annotations[] = {
		{ (char *)"cdi.k8s.io/plugin_a", (char *)"v/c=1,v/c=2" },
		{ (char *)"other", (char *)"v/c=3" },
		{ (char *)"cdi.k8s.io/plugin_b", (char *)"v/c=2" },
	};
	const struct json_kv wrong[] = { { (char *)"cdi.k8s.io/x", (char *)"v/c=1,," } };
	struct fixture *f = *state;
	char **list = NULL;
	size_t n = 0;

	assert_int_equal(cdi_of_annotations(annotations, 3, &f->a, &list, &n, &f->err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(list[1], "v/c=2");
	assert_true(cdi_of_annotations(wrong, 1, &f->a, &list, &n, &f->err) < 0);
	assert_non_null(strstr(f->err.text, "annotation cdi.k8s.io/x"));
}

static void yaml_that_multiplies_ends_at_the_bound(void **state)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	struct err err = ERR_INIT;

	buf_puts(&text, "a: &a [x,x,x,x,x,x,x,x,x,x]\n");
	for (char c = 'b'; c < 'k'; c++)
		buf_printf(&text, "%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c - 1, c - 1,
			   c - 1,
			   c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
	assert_true(cdi_yaml_to_json(text.data, text.len, &out, &err) < 0);
	assert_int_equal(err.kind, ERR_LIMIT);
	err_clear(&err);
	assert_true(cdi_yaml_to_json("a: &a [*a]", 10, &out, &err) < 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_edit_is_applied),
		TEST(a_later_directory_wins_and_a_conflict_is_nobodys),
		TEST(what_is_not_there_is_named_with_the_file_that_is_wrong),
		TEST(what_is_wrong_is_refused),
		cmocka_unit_test(names_have_a_shape),
		TEST(annotations_ask_for_devices_once_each),
		cmocka_unit_test(yaml_that_multiplies_ends_at_the_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
