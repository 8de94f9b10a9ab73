#include "shim/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const int64_t when = INT64_C(1769903999123456789);
#define STAMP "2026-01-31T23:59:59.123456789Z"

static void lines_are_formatted(void **state)
{
	static const struct {
		const char *in;
		bool end;
		const char *out;
		size_t used;
	} rows[] = {
		{ "", false, "", 0 },
		{ "", true, "", 0 },
		{ "one\n", false, STAMP " stdout F one\n", 4 },
		{ "\n", false, STAMP " stdout F \n", 1 },
		{ "one\ntwo\n", false, STAMP " stdout F one\n" STAMP " stdout F two\n", 8 },
		{ "one\ntw", false, STAMP " stdout F one\n", 4 },
		{ "one\ntw", true, STAMP " stdout F one\n" STAMP " stdout P tw\n", 6 },
		{ "a\r\n", false, STAMP " stdout F a\r\n", 3 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct log_head h;
		uint8_t out[LOG_OUT_MIN];
		size_t used, n;

		log_head_init(&h, "stdout", when);
		n = log_format(&h, (const uint8_t *)rows[i].in, strlen(rows[i].in), rows[i].end, out, sizeof(out),
			       &used);
		assert_int_equal(used, rows[i].used);
		assert_int_equal(n, strlen(rows[i].out));
		assert_memory_equal(out, rows[i].out, n);
	}
}

/* What the kubelet does: content of all chunks, a newline after each F. */
static size_t unformat(const uint8_t *log, size_t len, uint8_t *out)
{
	size_t n = 0;

	while (len) {
		const uint8_t *end = memchr(log, '\n', len);
		const size_t head = sizeof(STAMP " stderr F ") - 1;
		size_t content;

		assert_non_null(end);
		content = (size_t)(end - log) - head;
		assert_memory_equal(log, STAMP " stderr ", head - 2);
		assert_true(content <= LOG_LINE_MAX);
		memcpy(out + n, log + head, content);
		n += content;
		if (log[head - 2] == 'F')
			out[n++] = '\n';
		else
			assert_int_equal(log[head - 2], 'P');
		len -= (size_t)(end - log) + 1;
		log = end + 1;
	}
	return n;
}

static void any_cut_gives_the_same_bytes_back(void **state)
{
	enum { SIZE = 200000 };
	uint8_t *in = mem_new(SIZE, 1), *log = mem_new(4 * SIZE, 1), *back = mem_new(2 * SIZE, 1);
	struct log_head h;

	srand(1);
	log_head_init(&h, "stderr", when);
	for (int round = 0; round < 20; round++) {
		static const int rarity[] = { 2, 60, 5000, 40000, SIZE * 2 };
		size_t have = 0, done = 0, n_log = 0;

		for (size_t i = 0; i < SIZE; i++)
			in[i] = rand() % rarity[round % 5] ? (uint8_t)('a' + i % 26) : '\n';
		while (done < SIZE) {
			size_t used, n;

			have += (size_t)rand() % 70000 + 1;
			if (have > SIZE)
				have = SIZE;
			do {
				size_t room = LOG_OUT_MIN + (size_t)rand() % 50000;

				if (room > 4 * SIZE - n_log) {
					assert_int_equal(unformat(log, n_log, back), n_log);
					fail();
				}
				n = log_format(&h, in + done, have - done, have == SIZE, log + n_log, room, &used);
				done += used;
				n_log += n;
				/* compare and start the output over: only the bytes matter here */
				if (n) {
					size_t m = unformat(log, n_log, back);

					assert_int_equal(m, used);
					assert_memory_equal(back, in + done - used, m);
					n_log = 0;
				}
			} while (n);
			assert_true(have - done <= LOG_LINE_MAX);
			if (have == SIZE)
				assert_int_equal(done, SIZE);
		}
	}
	free(in);
	free(log);
	free(back);
}

static void a_line_of_exactly_the_bound_is_whole(void **state)
{
	uint8_t in[LOG_LINE_MAX + 2], out[2 * LOG_OUT_MIN];
	struct log_head h;
	size_t used, n;

	memset(in, 'x', sizeof(in));
	log_head_init(&h, "stdout", when);
	assert_int_equal(log_format(&h, in, LOG_LINE_MAX, false, out, sizeof(out), &used), 0);
	in[LOG_LINE_MAX] = '\n';
	n = log_format(&h, in, LOG_LINE_MAX + 1, false, out, sizeof(out), &used);
	assert_int_equal(used, LOG_LINE_MAX + 1);
	assert_int_equal(out[h.len], 'F');
	in[LOG_LINE_MAX] = 'x';
	in[LOG_LINE_MAX + 1] = '\n';
	n = log_format(&h, in, LOG_LINE_MAX + 2, false, out, sizeof(out), &used);
	assert_int_equal(used, LOG_LINE_MAX + 2);
	assert_int_equal(out[h.len], 'P');
	assert_int_equal(n, 2 * (h.len + 3) + LOG_LINE_MAX + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_formatted),
		cmocka_unit_test(any_cut_gives_the_same_bytes_back),
		cmocka_unit_test(a_line_of_exactly_the_bound_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
