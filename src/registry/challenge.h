/*
 * WWW-Authenticate (RFC 9110, 11.3) and the address rules of registries, without I/O: a
 * hostile server's words in, bounded values out.
 */
#pragma once

#include "base/base.h"

enum challenge_scheme { CHALLENGE_BASIC, CHALLENGE_BEARER, CHALLENGE_OTHER };

struct challenge {
	enum challenge_scheme scheme;
	char *realm, *service, *scope, *error; /* "" where absent */
};

enum { CHALLENGES_MAX = 8, CHALLENGE_LINE_MAX = 8192 };

/*
 * One header's value may hold several challenges. Appends to list up to CHALLENGES_MAX; what
 * cannot be read ends the list. Returns how many there are now.
 */
size_t challenge_parse(const char *value, struct arena *a, struct challenge *list, size_t n);

/* localhost, 127.0.0.0/8 or ::1, with or without a port. */
bool host_is_loopback(const char *host);
/* "host:port" or "host" as in a list of registries: the entry without port is for every port. */
bool host_in_list(const char *host, const char *const *list, size_t n);
/* Scheme, host and port of two URLs are the same. */
bool url_same_origin(const char *a, const char *b);

/* "bytes 0-99/200", total 0 for "*": RFC 9110, 14.4. -EINVAL for anything else. */
int content_range_parse(const char *value, uint64_t *ret_from, uint64_t *ret_to, uint64_t *ret_total);
