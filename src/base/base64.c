#include "base/base64.h"

#include "base/buf.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t len, struct buf *out)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t second = i + 1 < len ? p[i + 1] : 0, third = i + 2 < len ? p[i + 2] : 0;
		uint32_t v = (uint32_t)p[i] << 16 | second << 8 | third;
		char quad[4] = { digits[v >> 18], digits[v >> 12 & 63], digits[v >> 6 & 63], digits[v & 63] };

		if (i + 1 >= len)
			quad[2] = '=';
		if (i + 2 >= len)
			quad[3] = '=';
		buf_append(out, quad, 4);
	}
}

int base64_decode(const char *text, struct buf *out)
{
	size_t n = strcspn(text, "=");
	uint32_t v = 0;
	int bits = 0;

	if (text[n] && strspn(text + n, "=") != strlen(text + n))
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		const char *d = strchr(digits, text[i]);
		uint8_t byte;
		int r;

		if (!d)
			return -EINVAL;
		v = v << 6 | (uint32_t)(d - digits);
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		byte = (uint8_t)(v >> bits);
		r = buf_append(out, &byte, 1);
		if (r < 0)
			return r;
	}
	return n % 4 == 1 ? -EINVAL : 0;
}
