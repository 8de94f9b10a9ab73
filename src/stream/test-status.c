/* What the error channel says, and terminal sizes that arrive in pieces. */
#include "stream/remote.h"

#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void statuses_are_what_clients_expect(void **state)
{
	struct err err = { ERR_STATE, 0, "no \"such\" thing" };
	const struct {
		bool json;
		int code;
		const struct err *err;
		const char *text;
	} cases[] = {
		{ true, 0, NULL, "{\"metadata\":{},\"status\":\"Success\"}" },
		{ true, 7, NULL,
		  "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"command terminated with non-zero exit code: "
		  "exit status 7\",\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":\"ExitCode\","
		  "\"message\":\"7\"}]}}" },
		{ true, 0, &err,
		  "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"no \\\"such\\\" thing\",\"reason\":"
		  "\"InternalError\",\"details\":{\"causes\":[{\"message\":\"no \\\"such\\\" thing\"}]},\"code\":500}" },
		{ false, 0, NULL, "" },
		{ false, 1, NULL, "command terminated with non-zero exit code: exit status 1" },
		{ false, 0, &err, "no \"such\" thing" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(4096);

		remote_status_put(&out, cases[i].json, cases[i].code, cases[i].err);
		assert_string_equal(buf_text(&out), cases[i].text);
	}
}

static void sizes_arrive_in_any_pieces(void **state)
{
	static const char text[] = "{\"Width\":80,\"Height\":24}\n{\"Width\":132,\"Height\":43}";

	for (size_t step = 1; step <= sizeof(text); step++) {
		CLEANUP(buf_done) struct buf partial = BUF_INIT(4096);
		uint16_t width = 0, height = 0;

		for (size_t i = 0; i < sizeof(text) - 1; i += step) {
			size_t n = sizeof(text) - 1 - i < step ? sizeof(text) - 1 - i : step;

			assert_true(remote_size_read(&partial, (const uint8_t *)text + i, n, &width, &height) >= 0);
		}
		assert_int_equal(width, 132);
		assert_int_equal(height, 43);
	}
}

static void what_is_no_size_is_refused(void **state)
{
	static const char *const texts[] = { "}", "{\"Width\":-1}", "{\"Width\":70000}", "{\"Width\":\"a\"}", "[1]}" };
	CLEANUP(buf_done) struct buf endless = BUF_INIT(4096);
	uint16_t width, height;
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(buf_done) struct buf partial = BUF_INIT(4096);

		assert_int_equal(remote_size_read(&partial, (const uint8_t *)texts[i], strlen(texts[i]), &width, &height),
				 -EBADMSG);
	}
	for (int i = 0; i < 2000 && r == 0; i++)
		r = remote_size_read(&endless, (const uint8_t *)" ", 1, &width, &height);
	assert_int_equal(r, -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statuses_are_what_clients_expect),
		cmocka_unit_test(sizes_arrive_in_any_pieces),
		cmocka_unit_test(what_is_no_size_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
