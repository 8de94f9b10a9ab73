/* Header blocks of SPDY/3: zlib with the dictionary, one context a direction. Inside stream. */
#pragma once

#include "stream/spdy.h"

#include <zlib.h>

struct spdy_zlib {
	z_stream in, out;
};

void spdy_zlib_init(struct spdy_zlib *z);
void spdy_zlib_done(struct spdy_zlib *z);
/* Inflates one block, in the order of the frames, and reads it: strings in the arena. -EPROTO:
 * the context is lost, and with it the session. */
int spdy_headers_read(struct spdy_zlib *z, const uint8_t *block, size_t len, struct arena *a,
		      struct spdy_header *ret, size_t *ret_n);
/* Appends a block without any header. */
int spdy_headers_put_none(struct spdy_zlib *z, struct buf *out);
