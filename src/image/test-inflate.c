#include "image/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <zlib.h>
#include <zstd.h>
#include <cmocka.h>

/* Gives at most `step` bytes a call, to move every boundary through every place. */
struct slow {
	struct source source;
	struct source_mem mem;
	size_t step;
};

static ssize_t slow_read(struct source *s, void *buf, size_t len, struct err *err)
{
	struct slow *w = (struct slow *)s;

	return source_read(&w->mem.source, buf, len < w->step ? len : w->step, err);
}

static int unzip(const void *data, size_t len, size_t step, size_t out_step, uint64_t max, uint64_t ratio,
		   struct buf *out, struct err *err)
{
	struct slow w = { .source = { slow_read }, .step = step };
	struct source_inflate *z;
	ssize_t n;

	source_mem_init(&w.mem, data, len);
	z = source_inflate_new(&w.source, max, ratio);
	do {
		assert_int_equal(buf_reserve(out, out_step), 0);
		n = source_read(source_inflate_source(z), out->data + out->len, out_step, err);
		if (n > 0)
			out->len += (size_t)n;
	} while (n > 0);
	source_inflate_free(z);
	return (int)n;
}

static size_t gzip(const void *data, size_t len, void *out, size_t size)
{
	z_stream z = { .next_in = (void *)data, .avail_in = (uInt)len, .next_out = out,
		       .avail_out = (uInt)size };

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	len = z.total_out;
	deflateEnd(&z);
	return len;
}

static uint8_t text[200000], packed[400000];

static void fill_text(void)
{
	uint32_t s = 1;

	for (size_t i = 0; i < sizeof(text); i++) {
		s = s * 1664525 + 1013904223;
		text[i] = (uint8_t)"abcdefgh"[(s >> 24) & 7];
	}
}

static void every_kind_gives_back_what_was_packed(void **state)
{
	static const size_t steps[] = { 1, 3, 1000, 131072, 1 << 20 };

	fill_text();
	for (int kind = 0; kind < 5; kind++)
		for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
			CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
			struct err err = ERR_INIT;
			size_t len = 0, want = steps[i] == 1 ? 5000 : sizeof(text);

			switch (kind) {
			case 0: memcpy(packed, text, len = want); break;
			case 1: len = gzip(text, want, packed, sizeof(packed)); break;
			case 2: /* members, an empty one among them */
				len = gzip(text, want / 2, packed, sizeof(packed));
				len += gzip("", 0, packed + len, sizeof(packed) - len);
				len += gzip(text + want / 2, want - want / 2, packed + len,
					    sizeof(packed) - len);
				break;
			case 3: len = ZSTD_compress(packed, sizeof(packed), text, want, 3); break;
			case 4: /* frames, a skippable one first */
				memcpy(packed, "\x5e\x2a\x4d\x18\x03\0\0\0xyz", 11);
				len = 11 + ZSTD_compress(packed + 11, sizeof(packed) - 11, text, want / 2, 3);
				len += ZSTD_compress(packed + len, sizeof(packed) - len, text + want / 2,
						     want - want / 2, 3);
				break;
			}
			if (unzip(packed, len, steps[i], steps[i] == 3 ? 7 : 65536, UINT64_MAX, 1000, &out,
				  &err) < 0)
				fail_msg("kind %d step %zu: %s", kind, steps[i], err.text);
			if (out.len != want || memcmp(out.data, text, want) != 0)
				fail_msg("kind %d step %zu: differs (%zu of %zu)", kind, steps[i], out.len,
					 want);
		}
}

static void what_is_cut_or_flipped_is_noticed(void **state)
{
	size_t len;

	fill_text();
	for (int kind = 0; kind < 2; kind++) {
		struct err err = ERR_INIT;

		len = kind ? ZSTD_compress(packed, sizeof(packed), text, 3000, 3) :
			gzip(text, 3000, packed, sizeof(packed));
		for (size_t cut = 5; cut < len; cut += 13) {
			CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);

			assert_true(unzip(packed, cut, 100, 4096, UINT64_MAX, 1000, &out, &err) < 0);
			assert_int_equal(err.kind, ERR_CORRUPT);
		}
	}
	len = gzip(text, 3000, packed, sizeof(packed));
	packed[len - 6] ^= 1; /* the checksum */
	{
		CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
		struct err err = ERR_INIT;

		assert_true(unzip(packed, len, 100, 4096, UINT64_MAX, 1000, &out, &err) < 0);
		assert_int_equal(err.kind, ERR_CORRUPT);
	}
}

static void bombs_are_stopped(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 28);
	size_t size = 100 << 20, len;
	autofree uint8_t *zero = mem_new(size, 1), *small = mem_new(1 << 20, 1);
	struct err err = ERR_INIT;

	len = gzip(zero, size, small, 1 << 20);
	assert_true(unzip(small, len, 4096, 65536, 1 << 20, 1000000, &out, &err) < 0);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_true(out.len <= (1 << 20) + 65536);
	out.len = 0;
	assert_true(unzip(small, len, 4096, 65536, UINT64_MAX, 100, &out, &err) < 0);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_true(out.len <= (65 << 20));
}

static void a_tee_digests_counts_and_refuses_more_than_announced(void **state)
{
	CLEANUP(source_tee_done) struct source_tee t;
	struct source_mem m;
	char d[DIGEST_TEXT];
	struct err err = ERR_INIT;

	source_mem_init(&m, "abc", 3);
	source_tee_init(&t, &m.source, 3, "layer x");
	assert_int_equal(source_drain(&t.source, &err), 0);
	assert_string_equal(digest_text(&t.digest, d),
			    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(t.size, 3);
	source_tee_done(&t);
	source_mem_init(&m, "abcd", 4);
	source_tee_init(&t, &m.source, 3, "layer x");
	assert_true(source_drain(&t.source, &err) < 0);
	assert_int_equal(err.kind, ERR_CORRUPT);
}

/* A frame that asks for a window of 1 << log, whatever it holds. */
static size_t zstd_window(int log, void *out, size_t size)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_inBuffer in = { text, sizeof(text), 0 };
	ZSTD_outBuffer o = { out, size, 0 };

	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, log);
	assert_int_equal(ZSTD_compressStream2(c, &o, &in, ZSTD_e_flush), 0);
	assert_int_equal(ZSTD_compressStream2(c, &o, &in, ZSTD_e_end), 0);
	ZSTD_freeCCtx(c);
	return o.pos;
}

static void windows_of_zstd_are_bounded_and_shared(void **state)
{
	const atomic_bool stop = true;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
	struct source_mem first, second;
	struct source_inflate *a, *b;
	struct err err = ERR_INIT;
	uint8_t byte;
	size_t len;

	fill_text();
	len = zstd_window(27, packed, sizeof(packed));
	assert_true(unzip(packed, len, 1000, 1000, 1 << 20, 1000, &out, &err) < 0);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_non_null(strstr(err.text, "128 MiB"));

	err = (struct err)ERR_INIT;
	len = zstd_window(25, packed, sizeof(packed));
	source_mem_init(&first, packed, len);
	source_mem_init(&second, packed, len);
	a = source_inflate_new(&first.source, 1 << 20, 1000);
	b = source_inflate_new(&second.source, 1 << 20, 1000);
	assert_int_equal(source_read(source_inflate_source(a), &byte, 1, &err), 1);
	/* the second has to wait, and is told to stop */
	source_inflate_stop(b, &stop);
	assert_true(source_read(source_inflate_source(b), &byte, 1, &err) < 0);
	assert_int_equal(err.kind, ERR_CANCELLED);
	/* the first has ended: there is room again */
	assert_int_equal(source_drain(source_inflate_source(a), &err), 0);
	source_inflate_stop(b, NULL);
	err = (struct err)ERR_INIT;
	assert_int_equal(source_read(source_inflate_source(b), &byte, 1, &err), 1);
	assert_int_equal(byte, text[0]);
	source_inflate_free(a);
	source_inflate_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_gives_back_what_was_packed),
		cmocka_unit_test(what_is_cut_or_flipped_is_noticed),
		cmocka_unit_test(bombs_are_stopped),
		cmocka_unit_test(windows_of_zstd_are_bounded_and_shared),
		cmocka_unit_test(a_tee_digests_counts_and_refuses_more_than_announced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
