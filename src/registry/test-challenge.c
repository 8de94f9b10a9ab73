#include "registry/challenge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void challenges_are_read_as_servers_write_them(void **state)
{
	static const struct {
		const char *value, *want; /* scheme realm service scope; */
	} rows[] = {
		{ "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","
		  "scope=\"repository:library/nginx:pull\"",
		  "1 https://auth.docker.io/token registry.docker.io repository:library/nginx:pull;" },
		{ "Basic realm=\"a, \\\"b\\\"\"", "0 a, \"b\"  ;" },
		{ "basic realm=x", "0 x  ;" },
		{ "BEARER realm = \"r\" , service= s", "1 r s ;" },
		{ "Basic realm=\"x\", Bearer realm=\"y\",service=\"z\"", "0 x  ;1 y z ;" },
		{ "Negotiate, Basic realm=q", "2   ;0 q  ;" },
		{ "Bearer", "1   ;" },
		{ "", "" },
		{ "=x", "" },
		{ "Bearer realm=\"unterminated", "1   ;" },
		{ "Bearer realm=\"a\",realm=\"b\"", "1 a  ;" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		CLEANUP(buf_done) struct buf out = BUF_INIT(4096);
		struct challenge list[CHALLENGES_MAX];
		size_t n = challenge_parse(rows[i].value, &a, list, 0);

		for (size_t j = 0; j < n; j++)
			buf_printf(&out, "%d %s %s %s;", list[j].scheme, list[j].realm, list[j].service,
				   list[j].scope);
		assert_string_equal(buf_text(&out), rows[i].want);
	}
}

static void only_true_loopback_addresses_are_loopback(void **state)
{
	static const char *const yes[] = { "localhost", "LOCALHOST:5000", "127.0.0.1", "127.9.9.9:80",
					   "[::1]", "[::1]:5000" };
	static const char *const no[] = { "localhost.evil.example", "127.evil.example", "127.0.0.1.example",
					  "128.0.0.1", "[::2]", "1270.0.0.1", "127.0.0", "example.org", "" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		assert_true(host_is_loopback(yes[i]));
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		assert_false(host_is_loopback(no[i]));
}

static void origins_and_lists_compare_whole_hosts(void **state)
{
	const char *list[] = { "a.example", "b.example:5000" };

	assert_true(host_in_list("a.example:99", list, 2) && host_in_list("B.example:5000", list, 2));
	assert_false(host_in_list("b.example", list, 2) || host_in_list("xa.example", list, 2));
	assert_true(url_same_origin("https://a/x", "HTTPS://A/y?z"));
	assert_false(url_same_origin("https://a/x", "http://a/x") ||
		     url_same_origin("https://a", "https://a:444") ||
		     url_same_origin("https://a", "https://a.evil") || url_same_origin("x", "x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(challenges_are_read_as_servers_write_them),
		cmocka_unit_test(only_true_loopback_addresses_are_loopback),
		cmocka_unit_test(origins_and_lists_compare_whole_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
