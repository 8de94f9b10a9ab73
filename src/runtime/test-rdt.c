/* The rules for a group, on a plain directory: no machine of ours has the hardware. */
#include "runtime/rdt.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <cmocka.h>

static int top;

static int setup(void **state)
{
	static char path[] = "/tmp/test-rdt.XXXXXX";

	*state = path;
	if (!mkdtemp(path))
		return -1;
	top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(top, "class", 0700) < 0)
		return -1;
	for (const char *const *f = (const char *const[]){ "class/schemata", "class/tasks", "tasks", NULL }; *f; f++)
		close(openat(top, *f, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	return 0;
}

static int teardown(void **state)
{
	close(top);
	top = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sys_remove_tree(top, (char *)*state + 5);
	close(top);
	return 0;
}

static void expect(const struct oci_intel_rdt *o, bool fine, bool want_made, const char *says)
{
	struct err err = ERR_INIT;
	bool made = false;
	int r = rdt_join(top, o, "c1", 42, &made, &err);

	if (fine)
		assert_int_equal(r, 0);
	else
		assert_non_null(strstr(err.text, says));
	assert_int_equal(made, want_made);
}

static void test_a_named_class_must_exist_and_have_the_schema(void **state)
{
	struct oci_intel_rdt o = { .clos_id = (char *)"class" };
	char text[64];

	expect(&o, true, false, NULL);
	assert_true(sys_file_read_text(top, "class/tasks", text, sizeof(text)) > 0);
	assert_string_equal(text, "42");
	o.clos_id = (char *)"none";
	expect(&o, false, false, "linux.intelRdt.closID: none");
	o.clos_id = (char *)"class";
	assert_int_equal(sys_file_write(top, "class/schemata", "    L3:0=f;1=f\n    MB:0=20\n"), 0);
	o.l3_cache_schema = (char *)"L3:0=f;1=f\nMB:0=90";
	o.mem_bw_schema = (char *)"MB:0=20";
	expect(&o, true, false, NULL);
	o.mem_bw_schema = (char *)"MB:0=2";
	expect(&o, false, false, "another schema than \"MB:0=2\"");
	o = (struct oci_intel_rdt){ .clos_id = (char *)"/" };
	expect(&o, true, false, NULL);
}

static void test_without_a_name_the_group_is_the_containers_and_goes_with_it(void **state)
{
	struct oci_intel_rdt o = { 0 };
	struct stat st;

	/* a plain directory has no file "tasks" of its own */
	expect(&o, false, true, "write the process to tasks");
	assert_int_equal(fstatat(top, "c1", &st, 0), 0);
	rdt_leave(top, &o, "c1", true);
	assert_int_equal(fstatat(top, "c1", &st, 0), -1);
	o.clos_id = (char *)"class";
	rdt_leave(top, &o, "c1", true);
	assert_int_equal(fstatat(top, "class", &st, 0), 0);
}

static void test_names_and_schemas_that_cannot_be_are_refused_by_field(void **state)
{
	char *bad[] = { (char *)"L3:0=f\n" };
	const struct {
		struct oci_intel_rdt o;
		const char *says;
	} rows[] = {
		{ { .clos_id = (char *)"../x" }, "linux.intelRdt.closID" },
		{ { .clos_id = (char *)".." }, "linux.intelRdt.closID" },
		{ { .mem_bw_schema = (char *)"L3:0=f" }, "linux.intelRdt.memBwSchema" },
		{ { .mem_bw_schema = (char *)"MB:0=1\nL3:0=f" }, "linux.intelRdt.memBwSchema" },
		{ { .schemata = bad, .n_schemata = 1 }, "linux.intelRdt.schemata[0]" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = ERR_INIT;

		assert_true(rdt_check(&rows[i].o, &err) < 0);
		assert_non_null(strstr(err.text, rows[i].says));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_named_class_must_exist_and_have_the_schema),
		cmocka_unit_test(test_without_a_name_the_group_is_the_containers_and_goes_with_it),
		cmocka_unit_test(test_names_and_schemas_that_cannot_be_are_refused_by_field),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
