/*
 * Header blocks. A block cannot be skipped, also that of a stream which is refused: the next one
 * refers to it.
 *
 * Our own blocks are empty, so the deflate context gets the smallest window that works: zlib's
 * default would cost a quarter of a megabyte for each connection.
 */
#include "stream/spdy-headers.h"

#include <ctype.h>

enum { WINDOW_BITS = 9, MEM_LEVEL = 1 };

void spdy_zlib_init(struct spdy_zlib *z)
{
	/* fails only for lack of memory */
	int ok = inflateInit(&z->in) == Z_OK &&
		 deflateInit2(&z->out, Z_BEST_SPEED, Z_DEFLATED, WINDOW_BITS, MEM_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK &&
		 deflateSetDictionary(&z->out, spdy_dictionary, (uInt)spdy_dictionary_len) == Z_OK;

	if (!ok)
		abort();
}

void spdy_zlib_done(struct spdy_zlib *z)
{
	inflateEnd(&z->in);
	deflateEnd(&z->out);
}

static int inflate_block(struct spdy_zlib *z, const uint8_t *block, size_t len, uint8_t *out, size_t *ret_len)
{
	z->in.next_in = (Bytef *)block;
	z->in.avail_in = (uInt)len;
	z->in.next_out = out;
	z->in.avail_out = SPDY_HEADERS_MAX;
	while (z->in.avail_in) {
		int r = inflate(&z->in, Z_SYNC_FLUSH);

		if (r == Z_NEED_DICT)
			r = inflateSetDictionary(&z->in, spdy_dictionary, (uInt)spdy_dictionary_len);
		if (r != Z_OK || (z->in.avail_in && !z->in.avail_out))
			return -EPROTO;
	}
	*ret_len = SPDY_HEADERS_MAX - z->in.avail_out;
	return 0;
}

struct cursor {
	const uint8_t *at;
	size_t left;
};

static int take_u32(struct cursor *c, uint32_t *ret)
{
	if (c->left < 4)
		return -EPROTO;
	*ret = (uint32_t)c->at[0] << 24 | (uint32_t)c->at[1] << 16 | (uint32_t)c->at[2] << 8 | c->at[3];
	c->at += 4;
	c->left -= 4;
	return 0;
}

static int take_text(struct cursor *c, struct arena *a, char **ret)
{
	uint32_t len;

	if (take_u32(c, &len) < 0 || len > c->left)
		return -EPROTO;
	/* several values of one name are separated by NUL: the first is what is seen */
	*ret = arena_strndup(a, (const char *)c->at, len);
	c->at += len;
	c->left -= len;
	return 0;
}

int spdy_headers_read(struct spdy_zlib *z, const uint8_t *block, size_t len, struct arena *a,
		      struct spdy_header *ret, size_t *ret_n)
{
	uint8_t plain[SPDY_HEADERS_MAX];
	struct cursor c = { .at = plain };
	uint32_t n;

	if (inflate_block(z, block, len, plain, &c.left) < 0 || take_u32(&c, &n) < 0 || n > SPDY_HEADERS)
		return -EPROTO;
	for (uint32_t i = 0; i < n; i++) {
		if (take_text(&c, a, &ret[i].name) < 0 || take_text(&c, a, &ret[i].value) < 0)
			return -EPROTO;
		for (char *s = ret[i].name; *s; s++)
			*s = (char)tolower((unsigned char)*s);
	}
	*ret_n = n;
	return c.left ? -EPROTO : 0;
}

int spdy_headers_put_none(struct spdy_zlib *z, struct buf *out)
{
	static const uint8_t none[4];
	uint8_t block[64];

	z->out.next_in = (Bytef *)none;
	z->out.avail_in = sizeof(none);
	z->out.next_out = block;
	z->out.avail_out = sizeof(block);
	if (deflate(&z->out, Z_SYNC_FLUSH) != Z_OK || !z->out.avail_out)
		abort();
	return buf_append(out, block, sizeof(block) - z->out.avail_out);
}
