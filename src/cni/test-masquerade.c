/* The rule as nft(8) reads it back, in a network namespace of its own. Needs root and nft. */
#include "cni/masquerade.h"
#include "base/base.h"
#include "sys/sys.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { BYTES_MAX = 1 << 20 };

static void nft_list(const char *what, struct buf *out)
{
	autofree char *command = mem_printf("PATH=/usr/sbin:/usr/bin:/sbin:/bin; nft list %s", what);
	const char *argv[] = { "/bin/sh", "-c", command, NULL };
	struct sys_spawn s = { .path = "/bin/sh", .argv = argv, .deadline = time_now_mono() + 20 * NSEC_PER_SEC };
	CLEANUP(buf_done) struct buf complaints = BUF_INIT(4096);
	int status;

	assert_int_equal(sys_spawn_run(&s, out, &complaints, &status), 0);
	if (status)
		fail_msg("nft list %s: %s", what, buf_text(&complaints));
}

static void test_a_masquerading_rule_is_as_nft_would_write_it(void **state)
{
	static const struct {
		const char *subnet, *family, *rule;
	} rows[] = {
		{ "10.88.3.7/17", "ip", "ip saddr 10.88.0.0/17 ip daddr != 10.88.0.0/17 ip daddr != 224.0.0.0/4 "
					"masquerade fully-random" },
		{ "192.168.4.0/30", "ip", "ip saddr 192.168.4.0/30 ip daddr != 192.168.4.0/30 ip daddr != 224.0.0.0/4 "
					  "masquerade fully-random" },
		{ "fd00:1:2::/48", "ip6", "ip6 saddr fd00:1:2::/48 ip6 daddr != fd00:1:2::/48 ip6 daddr != ff00::/8 "
					  "masquerade fully-random" },
	};

	CLEANUP(buf_done) struct buf left = BUF_INIT(BYTES_MAX);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(BYTES_MAX);
		autofree char *table = mem_printf("table %s caisson-abcdefghijklmno", rows[i].family);

		assert_int_equal(cni_masquerade_look("abcdefghijklmno", rows[i].subnet), -ENOENT);
		assert_int_equal(cni_masquerade_make("abcdefghijklmno", rows[i].subnet), 0);
		assert_int_equal(cni_masquerade_make("abcdefghijklmno", rows[i].subnet), 0); /* again */
		assert_int_equal(cni_masquerade_look("abcdefghijklmno", rows[i].subnet), 0);
		nft_list(table, &out);
		assert_non_null(strstr(buf_text(&out), "type nat hook postrouting priority srcnat; policy accept;"));
		if (!strstr(buf_text(&out), rows[i].rule))
			fail_msg("%s: %s", rows[i].subnet, buf_text(&out));
		assert_int_equal(cni_masquerade_remove("abcdefghijklmno", rows[i].subnet), 0);
		assert_int_equal(cni_masquerade_remove("abcdefghijklmno", rows[i].subnet), 0);
	}
	nft_list("ruleset", &left);
	assert_int_equal(left.len, 0);
	assert_int_equal(cni_masquerade_make("a", "10.88.0.0/33"), -EINVAL);
	assert_int_equal(cni_masquerade_look("a", "10.88.0.0"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_masquerading_rule_is_as_nft_would_write_it),
	};

	if (access("/usr/sbin/nft", X_OK) < 0 || unshare(CLONE_NEWNET) < 0) {
		puts("SKIP: needs root and nft");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
