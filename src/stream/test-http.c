/* Upgrade requests: what is read, what is refused, what is chosen. */
#include "stream/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static int read_text(const char *text, struct arena *a, struct http_request *req)
{
	return http_request_read((const uint8_t *)text, strlen(text), a, req);
}

static void an_upgrade_is_read_and_what_follows_it_is_left(void **state)
{
	static const char head[] = "POST /exec/abc?x=1 HTTP/1.1\r\nHost: a\r\nConnection:  keep-alive, Upgrade \r\n"
				   "UPGRADE: SPDY/3.1\r\n\r\n";
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct http_request req;
	char text[256];

	strcpy(text, head);
	strcat(text, "\x80\x03");
	assert_int_equal(read_text(text, &a, &req), sizeof(head) - 1);
	assert_string_equal(req.method, "POST");
	assert_string_equal(req.path, "/exec/abc");
	assert_int_equal(req.n_headers, 3);
	assert_true(http_request_has(&req, "connection", "upgrade"));
	assert_true(http_request_has(&req, "upgrade", "spdy/3.1"));
	assert_false(http_request_has(&req, "upgrade", "spdy"));
	assert_string_equal(http_request_get(&req, "host"), "a");
	assert_null(http_request_get(&req, "cookie"));
	/* every beginning of it is only incomplete */
	for (size_t n = 0; n < sizeof(head) - 1; n++)
		assert_int_equal(http_request_read((const uint8_t *)head, n, &a, &req), 0);
}

static void what_is_no_request_is_refused(void **state)
{
	static const char *const texts[] = {
		"\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/2\r\n\r\n", "GET x HTTP/1.1\r\n\r\n",
		"G(T / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\nA : b\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", "GET / HTTP/1.1\nA: b\r\n\r\n", "GET / HTTP/1.1\r\n: b\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct http_request req;

		assert_int_equal(read_text(texts[i], &a, &req), -EBADMSG);
	}
}

static void a_head_has_a_bound(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct http_request req;
	char text[HTTP_HEAD_MAX + 1];

	memset(text, 'a', sizeof(text));
	assert_int_equal(http_request_read((uint8_t *)text, HTTP_HEAD_MAX - 1, &a, &req), 0);
	assert_int_equal(http_request_read((uint8_t *)text, HTTP_HEAD_MAX, &a, &req), -EMSGSIZE);
}

static void the_client_s_order_decides_among_protocols(void **state)
{
	static const char *const known[] = { "v5", "v4", "v1" };
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct http_request req;

	assert_true(read_text("GET / HTTP/1.1\r\nP: v9, v4\r\nP: v5,v1\r\n\r\n", &a, &req) > 0);
	assert_string_equal(http_request_choose(&req, "p", known, ARRAY_LEN(known)), "v4");
	assert_null(http_request_choose(&req, "p", known, 0));
	assert_null(http_request_choose(&req, "q", known, ARRAY_LEN(known)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_upgrade_is_read_and_what_follows_it_is_left),
		cmocka_unit_test(what_is_no_request_is_refused),
		cmocka_unit_test(a_head_has_a_bound),
		cmocka_unit_test(the_client_s_order_decides_among_protocols),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
