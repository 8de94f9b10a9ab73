/*
 * libcurl, loaded when the first transfer needs it.
 *
 * Debian's libcurl brings some twenty libraries (Kerberos, LDAP, SSH, a second TLS), whose
 * relocations and pages a daemon would carry from its start: two megabytes of its proportional
 * and four of its resident memory, though a node pulls an image now and then. So the program
 * does not link it: the calls that are used stand in one table, filled by dlopen(3) once a
 * process.
 */
#pragma once

#include "base/err.h"

#include <curl/curl.h>

/* curl.h makes macros of some names to check their arguments; a table wants the names */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_share_setopt

#define CURL_CALLS(X)                                                                            \
	X(global_init) X(easy_init) X(easy_cleanup) X(easy_setopt) X(easy_getinfo) X(easy_strerror) \
	X(easy_pause) X(multi_init) X(multi_cleanup) X(multi_add_handle) X(multi_remove_handle)   \
	X(multi_perform) X(multi_poll) X(multi_info_read) X(slist_append) X(slist_free_all)        \
	X(share_init) X(share_setopt) X(share_cleanup)

struct curl_calls {
#define CURL_CALL(name) __typeof__(curl_##name) *name;
	CURL_CALLS(CURL_CALL)
#undef CURL_CALL
};

/* The table, valid once curl_load has returned 0. */
extern struct curl_calls curl;

/* Any thread, any number of times. UNSUPPORTED names the library that is missing. */
int curl_load(struct err *err);
