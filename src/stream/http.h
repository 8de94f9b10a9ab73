/*
 * The request that opens a stream: one HTTP/1.1 upgrade request without a body. Pure: bytes in,
 * a struct out. Hostile input, bounded to HTTP_HEAD_MAX bytes and HTTP_HEADERS_MAX lines.
 * https://www.rfc-editor.org/rfc/rfc9112
 */
#pragma once

#include "base/base.h"

enum { HTTP_HEAD_MAX = 16 * 1024, HTTP_HEADERS_MAX = 100 };

struct http_header {
	char *name, *value; /* name in lower case, value trimmed */
};

struct http_request {
	char *method, *path; /* path without its query */
	struct http_header *headers;
	size_t n_headers;
};

/* Bytes of the head; 0: not complete yet; -EMSGSIZE, -EBADMSG. Strings are in the arena. */
int http_request_read(const uint8_t *data, size_t len, struct arena *a, struct http_request *ret);
/* The first of that name (lower case), or NULL. */
const char *http_request_get(const struct http_request *req, const char *name);
/* True when a comma-separated list in any header of that name has the token, case ignored. */
bool http_request_has(const struct http_request *req, const char *name, const char *token);
/* The first of the tokens in those headers, in the client's order, that is in `known`: or NULL. */
const char *http_request_choose(const struct http_request *req, const char *name, const char *const *known,
				size_t n_known);
/* An answer that refuses and closes. */
void http_refuse(struct buf *out, int status, const char *text);
