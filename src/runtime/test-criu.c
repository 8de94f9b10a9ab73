#include "runtime/criu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_a_request_is_what_protocol_buffers_say(void **state)
{
	static const uint8_t want[] = { 0x08, 2,          /* type: RESTORE */
					0x12, 18,         /* opts */
					0x08, 0xac, 0x02, /* images_dir_fd: 300 */
					0x18, 1,          /* leave_running */
					0x6a, 1, 'r',     /* root */
					0xda, 1, 7, 0x0a, 1, 'k', 0x12, 2, 'v', 'w' }; /* a pair */
	struct criu_opts o = CRIU_OPTS_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(256);

	criu_put_int(&o, CRIU_IMAGES_DIR_FD, 300);
	criu_put_flag(&o, CRIU_LEAVE_RUNNING, true);
	criu_put_flag(&o, CRIU_SHELL_JOB, false);
	criu_put_text(&o, CRIU_ROOT, "r");
	criu_put_text(&o, CRIU_PARENT_IMG, NULL);
	criu_put_pair(&o, CRIU_INHERIT_FD, "k", "vw");
	assert_int_equal(criu_request(CRIU_RESTORE, &o, &out), 0);
	buf_done(&o.b);
	assert_int_equal(out.len, sizeof(want));
	assert_memory_equal(out.data, want, sizeof(want));
}

static void test_options_that_do_not_fit_fail_the_request(void **state)
{
	struct criu_opts o = { .b = BUF_INIT(8) };
	CLEANUP(buf_done) struct buf out = BUF_INIT(256);

	criu_put_text(&o, CRIU_ROOT, "much too long");
	criu_put_flag(&o, CRIU_SHELL_JOB, true);
	assert_true(criu_request(CRIU_DUMP, &o, &out) < 0);
	buf_done(&o.b);
}

static void test_replies_are_read_and_cut_ones_refused(void **state)
{
	static const uint8_t notify[] = { 0x08, 6, 0x10, 1, 0x2a, 8, 0x0a, 4, 'p', 'o', 's', 't', 0x10, 77 };
	static const uint8_t restored[] = { 0x08, 2, 0x10, 1, 0x22, 2, 0x08, 9 };
	struct criu_reply r;

	assert_int_equal(criu_reply_parse(notify, sizeof(notify), &r), 0);
	assert_int_equal(r.type, CRIU_NOTIFY);
	assert_string_equal(r.script, "post");
	assert_int_equal(r.pid, 77);
	assert_int_equal(criu_reply_parse(restored, sizeof(restored), &r), 0);
	assert_true(r.success && r.pid == 9);
	for (size_t n = 5; n < sizeof(notify); n++)
		assert_int_equal(criu_reply_parse(notify, n, &r), -EINVAL);
}

static void test_mounts_of_the_host_are_external_but_for_the_root(void **state)
{
	static const char container[] = "1 0 8:1 /root / rw - ext4 a rw\n"
					"2 1 8:1 /vol /data\\040x rw - ext4 a rw\n"
					"3 1 0:40 / /proc rw - proc proc rw\n"
					"4 3 0:5 /null /proc/keys rw - devtmpfs d rw\n"
					"nonsense\n"
					"5 1 0:50 / /tmp rw - tmpfs t rw";
	static const char host[] = "7 0 8:1 / / rw - ext4 a rw\n8 7 0:5 / /dev rw shared:2 - devtmpfs d rw\n"
				   "9 7 0:4 / /proc rw - proc proc rw\n";
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	char **mounts;
	size_t n;

	assert_int_equal(images_external_mounts(container, host, &a, &mounts, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(mounts[0], "/data x");
	assert_string_equal(mounts[1], "/proc/keys");
	assert_true(images_has_mount(container, 5));
	assert_false(images_has_mount(container, 7));
}

static void test_complaints_are_the_first_and_the_last(void **state)
{
	static const char log[] = "(00.1) Warn\n(00.1) Error (net.c:1): cause\n(00.2)  7: Error (a.c:2): more\n"
				  "(00.3) Error (b.c:3): middle\n(00.4) fine\n(00.5) Error (c.c:4): late\n"
				  "(00.6) Error (d.c:5): last\n(00.7) Error (cut";
	char out[128], few[32];

	criu_complaints(log, out, sizeof(out));
	assert_string_equal(out, "Error (net.c:1): cause; Error (a.c:2): more; Error (c.c:4): late; Error (d.c:5): last");
	criu_complaints("(00.1) Error (net.c:1): cause\n", out, sizeof(out));
	assert_string_equal(out, "Error (net.c:1): cause");
	criu_complaints("all is well\n", out, sizeof(out));
	assert_string_equal(out, "");
	for (size_t size = 4; size <= sizeof(few); size++) {
		criu_complaints(log, few, size);
		assert_int_equal(strlen(few), size - 1);
		assert_string_equal(few + size - 4, "...");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_request_is_what_protocol_buffers_say),
		cmocka_unit_test(test_options_that_do_not_fit_fail_the_request),
		cmocka_unit_test(test_replies_are_read_and_cut_ones_refused),
		cmocka_unit_test(test_mounts_of_the_host_are_external_but_for_the_root),
		cmocka_unit_test(test_complaints_are_the_first_and_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
