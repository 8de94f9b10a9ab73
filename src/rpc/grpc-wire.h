/*
 * The small texts of gRPC's headers. No I/O, no state. Private to rpc.
 */
#pragma once

#include "base/base.h"

enum { GRPC_PREFIX = 5, GRPC_TEXT_MAX = 3 * ERR_TEXT_MAX + 1 };

/* "100m", "5S": ns; 0 or -EINVAL. What does not fit becomes INT64_MAX. */
int grpc_timeout_parse(const char *s, int64_t *ret);
/* The largest value that is not more than ns, in the finest unit that fits. */
char *grpc_timeout_format(int64_t ns, char out[16]);

/* grpc-message: percent-encoding of all but printable ASCII, and of '%'. */
char *grpc_message_encode(const char *text, char out[GRPC_TEXT_MAX]);
/* Cut at size; what is no valid encoding stays as it is. */
void grpc_message_decode(const char *text, char *out, size_t size);

/* "application/grpc", also followed by '+' or ';'. */
bool grpc_content_type_ok(const char *s);
