/* Standard base64, RFC 4648, with padding. Pure; what is decoded may be hostile. */
#pragma once

#include <stddef.h>

struct buf;

void base64_encode(const void *data, size_t len, struct buf *out);
/* -EINVAL for what is no base64; padding may be missing. -E2BIG: beyond the buffer's bound. */
int base64_decode(const char *text, struct buf *out);
