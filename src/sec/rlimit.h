/*
 * Resource limits. Source: prlimit(2), proc(5).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;

struct sec_rlimit {
	int resource; /* RLIMIT_* */
	uint64_t soft, hard; /* UINT64_MAX: unlimited */
};

/* "RLIMIT_NOFILE" (any case, prefix optional): its number or -EINVAL. */
int sec_rlimit_number(const char *name);
const char *sec_rlimit_name(int resource); /* or NULL */

/*
 * In the parent, before anything is made: INVALID for soft > hard and for a resource given
 * twice; DENIED when a hard limit is above the caller's and CAP_SYS_RESOURCE is missing,
 * naming both values.
 */
int sec_rlimits_check(const struct sec_rlimit *limits, size_t n, struct err *err);

/* 0, or -errno with the index of the refused one in *ret_at (may be NULL). [child] */
int sec_rlimits_apply(const struct sec_rlimit *limits, size_t n, size_t *ret_at);
