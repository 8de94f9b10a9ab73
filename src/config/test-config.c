/* The configuration: defaults, what packaging/config.yaml promises, and how errors read. */
#include "config/config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static int read_text(const char *text, struct arena *a, struct config *config, struct err *err)
{
	return config_read("c.yaml", text, strlen(text), a, config, err);
}

static void an_empty_file_gives_the_defaults(void **state)
{
	static const char *const texts[] = { "", "# nothing\n", "---\n", "root:\ncni: ~\n" };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		struct config c;

		assert_int_equal(read_text(texts[i], &a, &c, &err), 0);
		assert_string_equal(c.root, "/var/lib/caisson");
		assert_string_equal(c.address, "");
		assert_int_equal(c.log_level, LOG_INFO);
		assert_int_equal(c.cni.n_bin_dirs, 2);
		assert_string_equal(c.cni.bin_dirs[1], "/usr/lib/cni");
		assert_int_equal(c.cni.timeout, 60 * NSEC_PER_SEC);
		assert_string_equal(c.shim_binary, "");
	}
}

static void every_kind_of_value_is_read(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct config c;

	assert_int_equal(read_text("state: /run/x\n"
				   "log_level: debug\n"
				   "cni: {timeout: 1500ms, bin_dirs: [/a]}\n"
				   "images:\n"
				   "  insecure_registries: [localhost:5000]\n"
				   "  parallel: 8\n"
				   "  image_gc_low: 70\n"
				   "  limits: {layer_size: 3GiB, layer_ratio: 50}\n"
				   "  keep_blobs: true\n"
				   "  pinned: [a, 'b:1']\n",
				   &a, &c, &err),
			 0);
	assert_string_equal(c.state, "/run/x");
	assert_int_equal(c.log_level, LOG_DEBUG);
	assert_int_equal(c.cni.timeout, 1500 * NSEC_PER_MSEC);
	assert_int_equal(c.cni.n_bin_dirs, 1);
	assert_int_equal(c.images.parallel, 8);
	assert_int_equal(c.images.image_gc_low, 70);
	assert_int_equal(c.images.limits.layer_size, UINT64_C(3) << 30);
	assert_int_equal(c.images.limits.layer_ratio, 50);
	assert_true(c.images.keep_blobs);
	assert_string_equal(c.images.insecure_registries[0], "localhost:5000");
	assert_int_equal(c.images.n_pinned, 2);
	assert_string_equal(c.images.pinned[1], "b:1");
}

static void errors_name_file_line_and_key(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "root: /r\nrooot: /x\n", "c.yaml:2: rooot: no such key" },
		{ "cni:\n  timeout: soon\n",
		  "c.yaml:2: cni.timeout: expected a duration such as 500ms, 30s or 2m, got \"soon\"" },
		{ "cni:\n  timeout: 0s\n",
		  "c.yaml:2: cni.timeout: expected a duration such as 500ms, 30s or 2m, got \"0s\"" },
		{ "root: run\n", "c.yaml:1: root: expected an absolute path, got \"run\"" },
		{ "root: [/a]\n", "c.yaml:1: root: expected a string, got a list" },
		{ "root: /a\nroot: /b\n", "c.yaml:2: root: given twice" },
		{ "cni: 3\n", "c.yaml:1: cni: expected a mapping, got \"3\"" },
		{ "cni:\n  bin_dirs: /a\n", "c.yaml:2: cni.bin_dirs: expected a list, got \"/a\"" },
		{ "images:\n  image_gc_high: 101\n",
		  "c.yaml:2: images.image_gc_high: expected a percentage from 0 to 100, got \"101\"" },
		{ "images:\n  limits:\n    layer_size: 64GB\n",
		  "c.yaml:3: images.limits.layer_size: expected a size such as 512KiB, 32MiB or 64GiB, got \"64GB\"" },
		{ "images:\n  limits:\n    layer_entries: 0\n",
		  "c.yaml:3: images.limits.layer_entries: expected a number from 1, got \"0\"" },
		{ "images:\n  parallel: 0\n",
		  "c.yaml:2: images.parallel: expected a number from 1 to 1000, got \"0\"" },
		{ "images:\n  registry: x\n", "c.yaml:2: images.registry: no such key" },
		{ "images: {keep_blobs: yes}\n", "c.yaml:1: images.keep_blobs: expected true or false, got \"yes\"" },
		{ "streaming: {port: 65536}\n",
		  "c.yaml:1: streaming.port: expected a number from 0 to 65535, got \"65536\"" },
		{ "log_level: loud\n", "c.yaml:1: log_level: expected one of error, warn, info, debug, got \"loud\"" },
		{ "&a [*a]\n", "c.yaml:1: expected a mapping, got a list" },
		{ "root: ''\n", "c.yaml: root and state may not be empty" },
		{ "root: /a\n---\nroot: /b\n", "c.yaml: more than one document" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		struct config c;

		assert_true(read_text(cases[i].text, &a, &c, &err) < 0);
		assert_string_equal(err.text, cases[i].error);
		assert_int_equal(err.kind, ERR_INVALID);
	}
}

static void text_that_is_not_yaml_is_refused_with_its_line(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct config c;

	assert_true(read_text("root: /a\ncni: {a\n", &a, &c, &err) < 0);
	assert_memory_equal(err.text, "c.yaml:", 7);
}

static void the_packaged_file_says_the_defaults(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf text = BUF_INIT(CONFIG_MAX);
	struct err err = ERR_INIT;
	struct config c, d;
	autofd int fd = open(PACKAGED_CONFIG, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	while (buf_read_fd(&text, fd, 4096) > 0)
		;
	assert_int_equal(config_read("config.yaml", text.data, text.len, &a, &c, &err), 0);
	assert_int_equal(config_read("none", NULL, 0, &a, &d, &err), 0);
	assert_string_equal(c.root, d.root);
	assert_string_equal(c.state, d.state);
	assert_string_equal(c.address, d.address);
	assert_int_equal(c.pods.cgroup_driver, d.pods.cgroup_driver);
	assert_int_equal(c.pods.cpu_weight, d.pods.cpu_weight);
	assert_int_equal(c.log_level, d.log_level);
	assert_string_equal(c.cni.conf_dir, d.cni.conf_dir);
	assert_int_equal(c.cni.n_bin_dirs, d.cni.n_bin_dirs);
	assert_string_equal(c.cni.default_bridge, d.cni.default_bridge);
	assert_string_equal(c.cni.default_subnet, d.cni.default_subnet);
	assert_int_equal(c.cni.timeout, d.cni.timeout);
	assert_int_equal(c.images.keep_blobs, d.images.keep_blobs);
	assert_int_equal(c.images.connect_timeout, d.images.connect_timeout);
	assert_int_equal(c.images.stall_timeout, d.images.stall_timeout);
	assert_int_equal(c.images.parallel, d.images.parallel);
	assert_int_equal(c.images.image_gc_high, d.images.image_gc_high);
	assert_int_equal(c.images.limits.layer_size, d.images.limits.layer_size);
	assert_int_equal(c.images.limits.layers, d.images.limits.layers);
	assert_int_equal(c.cni.plugins_max, d.cni.plugins_max);
	assert_string_equal(c.pods.cgroup_parent, d.pods.cgroup_parent);
	assert_string_equal(c.pods.seccomp_profile_root, d.pods.seccomp_profile_root);
	assert_string_equal(c.streaming.address, d.streaming.address);
	assert_int_equal(c.streaming.port, d.streaming.port);
	assert_string_equal(c.metrics.address, d.metrics.address);
	assert_int_equal(c.metrics.port, d.metrics.port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_gives_the_defaults),
		cmocka_unit_test(every_kind_of_value_is_read),
		cmocka_unit_test(errors_name_file_line_and_key),
		cmocka_unit_test(text_that_is_not_yaml_is_refused_with_its_line),
		cmocka_unit_test(the_packaged_file_says_the_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
