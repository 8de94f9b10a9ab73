/*
 * Decompression as a source. gzip by ISA-L, which inflates several times faster than zlib;
 * zstd by its own library. Memory: one input buffer and the decoder's window.
 */
#include "image/source.h"

#include <inttypes.h>
#include <pthread.h>
#include <time.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>

/* ZSTD_HEADER: the most that tells a frame's window (RFC 8878 3.1.1.1) */
enum { INPUT_SIZE = 128 * 1024, MAGIC_SIZE = 4, ZSTD_HEADER = 14, ZSTD_WINDOW_LOG_MAX = 25 };

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
	const atomic_bool *stop;
	struct inflate_state *gzip;
	ZSTD_DCtx *zstd;
	uint64_t window; /* what it holds of the shared windows */
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
		/* between frames nothing is held */
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

/* ---- zstd windows ---- */

/*
 * A frame says how much of its past the decoder must keep. Up to 8 MiB, what RFC 8878 wants
 * every decoder to take, is had at once; larger ones share WINDOWS_MAX, so that the memory
 * of all pulls together stays bounded, and wait for each other. Who waits holds nothing.
 */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	uint64_t used;
} windows = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };

#define WINDOW_SMALL (UINT64_C(8) << 20)
#define WINDOWS_MAX (UINT64_C(1) << ZSTD_WINDOW_LOG_MAX)

static void window_give_back(struct source_inflate *z)
{
	if (!z->window)
		return;
	/* the decoder keeps its buffers until it is freed */
	ZSTD_freeDCtx(z->zstd);
	z->zstd = NULL;
	pthread_mutex_lock(&windows.mutex);
	windows.used -= z->window;
	pthread_cond_broadcast(&windows.cond);
	pthread_mutex_unlock(&windows.mutex);
	z->window = 0;
}

static int window_take(struct source_inflate *z, uint64_t size, struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&windows.mutex);
	while (windows.used + size > WINDOWS_MAX && !(z->stop && atomic_load(z->stop))) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 100000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&windows.cond, &windows.mutex, &until);
	}
	if (z->stop && atomic_load(z->stop)) {
		r = err_set(err, ERR_CANCELLED, "cancelled");
	} else {
		windows.used += size;
		z->window = size;
	}
	pthread_mutex_unlock(&windows.mutex);
	return r;
}

/* The window of the frame at p (RFC 8878 3.1.1.1); 0 for a skippable one. */
static uint64_t frame_window(const uint8_t *p, size_t len)
{
	static const unsigned char id_sizes[] = { 0, 1, 2, 4 }, size_sizes[] = { 0, 2, 4, 8 };
	unsigned descriptor, n, at;
	uint64_t size = 0;

	if (len < 6 || p[0] != 0x28)
		return 0;
	descriptor = p[4];
	if (!(descriptor & 0x20)) {
		unsigned log = 10 + (p[5] >> 3);

		return (UINT64_C(1) << log) + ((UINT64_C(1) << log) >> 3) * (p[5] & 7);
	}
	/* a single segment: its window is its content */
	n = descriptor >> 6 ? size_sizes[descriptor >> 6] : 1;
	at = 5 + id_sizes[descriptor & 3];
	for (unsigned i = 0; i < n && at + i < len; i++)
		size |= (uint64_t)p[at + i] << (8 * i);
	return size + (n == 2 ? 256 : 0);
}

static int frame_begin(struct source_inflate *z, struct err *err)
{
	uint64_t window = frame_window(z->input + z->at, z->len);
	int r;

	if (window > WINDOWS_MAX)
		return err_set(err, ERR_LIMIT,
			       "its zstd window is %" PRIu64 " MiB, more than the %" PRIu64 " that are allowed",
			       window >> 20, WINDOWS_MAX >> 20);
	if (window > WINDOW_SMALL && (r = window_take(z, window, err)) < 0)
		return r;
	if (z->zstd)
		return 0;
	z->zstd = ZSTD_createDCtx();
	if (!z->zstd)
		return err_sys(err, ENOMEM, "zstd");
	ZSTD_DCtx_setParameter(z->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	return 0;
}

static ssize_t zstd_step(struct source_inflate *z, void *buf, size_t len, bool *ret_end, struct err *err)
{
	ZSTD_inBuffer in = { z->input + z->at, z->len, 0 };
	ZSTD_outBuffer out = { buf, len, 0 };
	size_t hint;

	if (!z->inside) {
		/* the end, or another frame; asked now, the decoder would say that one has begun */
		if (z->len < ZSTD_HEADER && !z->eof)
			return 0;
		*ret_end = !z->len;
		if (z->len) {
			int r = frame_begin(z, err);

			if (r < 0)
				return r;
		}
		if (!z->len)
			return 0;
		in = (ZSTD_inBuffer){ z->input + z->at, z->len, 0 };
	}
	hint = ZSTD_decompressStream(z->zstd, &out, &in);
	if (ZSTD_isError(hint))
		return err_set(err, ERR_CORRUPT, "not valid zstd data (%s)", ZSTD_getErrorName(hint));
	z->inside = hint != 0;
	if (!z->inside)
		window_give_back(z);
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
	window_give_back(z);
	ZSTD_freeDCtx(z->zstd);
	free(z->gzip);
	free(z->input);
	free(z);
}

void source_inflate_stop(struct source_inflate *z, const atomic_bool *stop)
{
	z->stop = stop;
}

struct source *source_inflate_source(struct source_inflate *z)
{
	return &z->source;
}
