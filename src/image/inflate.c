/*
 * Decompression as a source. gzip by ISA-L, which inflates several times faster than zlib;
 * zstd by its own library. Memory: one input buffer and the decoder's window.
 */
#include "image/source.h"

#include <inttypes.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>

enum { INPUT_SIZE = 128 * 1024, MAGIC_SIZE = 4, ZSTD_WINDOW_LOG_MAX = 27 };

/* A small blob may be anything: the ratio only means something beyond this. */
#define RATIO_FREE (UINT64_C(64) << 20)

enum mode { UNKNOWN, PLAIN, GZIP, ZSTD };

struct source_inflate {
	struct source source;
	struct source *from;
	enum mode mode;
	uint8_t *input;
	size_t at, len; /* what of input is not consumed yet */
	bool eof;
	bool inside;    /* a gzip member or zstd frame has begun and not ended */
	uint64_t in, out, max_out, max_ratio;
	struct inflate_state *gzip;
	ZSTD_DCtx *zstd;
};

/* More input behind what is left: bytes added, 0 at the end. */
static ssize_t fill(struct source_inflate *z, struct err *err)
{
	ssize_t n;

	if (z->eof)
		return 0;
	if (z->at) {
		memmove(z->input, z->input + z->at, z->len);
		z->at = 0;
	}
	if (z->len == INPUT_SIZE)
		return 1; /* the decoder has all that it can want */
	n = source_read(z->from, z->input + z->len, INPUT_SIZE - z->len, err);
	if (n == 0)
		z->eof = true;
	if (n > 0) {
		z->len += (size_t)n;
		z->in += (uint64_t)n;
	}
	return n;
}

static int sniff(struct source_inflate *z, struct err *err)
{
	const uint8_t *p = z->input;

	while (z->len < MAGIC_SIZE) {
		ssize_t n = fill(z, err);

		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
	}
	z->mode = PLAIN;
	if (z->len >= 2 && p[0] == 0x1f && p[1] == 0x8b) { /* RFC 1952 */
		z->mode = GZIP;
		z->gzip = mem_new(1, sizeof(*z->gzip));
		isal_inflate_init(z->gzip);
		z->gzip->crc_flag = ISAL_GZIP;
		z->inside = true;
	} else if (z->len >= 4 && p[3] == 0x18 && (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d) {
		z->mode = ZSTD; /* a skippable frame, RFC 8878 3.1.2 */
	} else if (z->len >= 4 && p[0] == 0x28 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd) {
		z->mode = ZSTD;
	}
	if (z->mode == ZSTD) {
		z->zstd = ZSTD_createDCtx();
		if (!z->zstd)
			return err_sys(err, ENOMEM, "zstd");
		ZSTD_DCtx_setParameter(z->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	}
	return 0;
}

static int truncated(struct err *err)
{
	return err_set(err, ERR_CORRUPT, "the compressed data ends too early");
}

/* One step: bytes written to buf, which may be 0 without being the end. */
static ssize_t gzip_step(struct source_inflate *z, void *buf, size_t len, bool *ret_end, struct err *err)
{
	struct inflate_state *g = z->gzip;
	int code;

	if (!z->inside) {
		/* the end, or another member */
		if (!z->len) {
			*ret_end = z->eof;
			return 0;
		}
		isal_inflate_reset(g);
		g->crc_flag = ISAL_GZIP;
		z->inside = true;
	}
	g->next_in = z->input + z->at;
	g->avail_in = (uint32_t)z->len;
	g->next_out = buf;
	g->avail_out = len > UINT32_MAX ? UINT32_MAX : (uint32_t)len;
	code = isal_inflate(g);
	if (code != ISAL_DECOMP_OK)
		return err_set(err, ERR_CORRUPT, "not valid gzip data (%s)",
			       code == ISAL_INCORRECT_CHECKSUM ? "checksum" :
			       code == ISAL_INVALID_WRAPPER	? "header" :
								  "deflate");
	z->at += z->len - g->avail_in;
	z->len = g->avail_in;
	if (g->block_state == ISAL_BLOCK_FINISH)
		z->inside = false;
	/* at the end of the input the decoder may still hold output, but not for ever */
	if (z->inside && z->eof && !z->len && g->next_out == buf)
		return truncated(err);
	return g->next_out - (uint8_t *)buf;
}

static ssize_t zstd_step(struct source_inflate *z, void *buf, size_t len, bool *ret_end, struct err *err)
{
	ZSTD_inBuffer in = { z->input + z->at, z->len, 0 };
	ZSTD_outBuffer out = { buf, len, 0 };
	size_t hint;

	if (!z->len && !z->inside) {
		/* the end, or another frame; asked now, the decoder would say that one has begun */
		*ret_end = z->eof;
		return 0;
	}
	hint = ZSTD_decompressStream(z->zstd, &out, &in);
	if (ZSTD_isError(hint))
		return err_set(err, ERR_CORRUPT, "not valid zstd data (%s)", ZSTD_getErrorName(hint));
	z->inside = hint != 0;
	z->at += in.pos;
	z->len -= in.pos;
	if (z->inside && z->eof && !z->len && !out.pos)
		return truncated(err);
	return (ssize_t)out.pos;
}

static ssize_t plain_step(struct source_inflate *z, void *buf, size_t len, bool *ret_end, struct err *err)
{
	ssize_t n;

	if (!z->len) {
		n = z->eof ? 0 : source_read(z->from, buf, len, err);
		*ret_end = n == 0;
		if (n > 0)
			z->in += (uint64_t)n;
		return n;
	}
	if (len > z->len)
		len = z->len;
	memcpy(buf, z->input + z->at, len);
	z->at += len;
	z->len -= len;
	return (ssize_t)len;
}

static ssize_t inflate_read(struct source *s, void *buf, size_t len, struct err *err)
{
	struct source_inflate *z = (struct source_inflate *)s;

	if (z->mode == UNKNOWN) {
		int r = sniff(z, err);

		if (r < 0)
			return r;
	}
	for (;;) {
		bool end = false;
		ssize_t n;

		/* a decoder may still hold output when the input is used up, so it is asked first */
		n = z->mode == GZIP ? gzip_step(z, buf, len, &end, err) :
		    z->mode == ZSTD ? zstd_step(z, buf, len, &end, err) :
				      plain_step(z, buf, len, &end, err);
		if (n < 0 || end)
			return n;
		if (n > 0) {
			z->out += (uint64_t)n;
			if (z->out > z->max_out)
				return err_set(err, ERR_LIMIT, "unpacks to more than %" PRIu64 " bytes",
					       z->max_out);
			if (z->out > RATIO_FREE && z->out / z->max_ratio > z->in)
				return err_set(err, ERR_LIMIT,
					       "unpacks to more than %" PRIu64 " times its size",
					       z->max_ratio);
			return n;
		}
		n = z->mode != PLAIN ? fill(z, err) : 0;
		if (n < 0)
			return n;
	}
}

struct source_inflate *source_inflate_new(struct source *from, uint64_t max_out, uint64_t max_ratio)
{
	struct source_inflate *z = mem_new(1, sizeof(*z));

	z->source.read = inflate_read;
	z->from = from;
	z->max_out = max_out;
	z->max_ratio = max_ratio;
	z->input = mem_new(INPUT_SIZE, 1);
	return z;
}

void source_inflate_free(struct source_inflate *z)
{
	if (!z)
		return;
	ZSTD_freeDCtx(z->zstd);
	free(z->gzip);
	free(z->input);
	free(z);
}

struct source *source_inflate_source(struct source_inflate *z)
{
	return &z->source;
}
