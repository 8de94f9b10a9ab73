/*
 * String predicates and numbers. No allocation, no locale, safe after clone. NULL is
 * taken as the empty string by the predicates.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool str_eq(const char *a, const char *b);
bool str_empty(const char *s);
/* The rest behind the prefix, or NULL. */
const char *str_skip_prefix(const char *s, const char *prefix);
bool str_has_suffix(const char *s, const char *suffix);
bool str_in(const char *s, const char *const *list, size_t n);

/*
 * The whole string as a number: -EINVAL for an empty string, spaces, a sign where none is
 * possible or anything behind the digits, -ERANGE when it does not fit.
 */
int str_to_u64(const char *s, int base, uint64_t *ret);
int str_to_i64(const char *s, int base, int64_t *ret);
int str_to_u32(const char *s, int base, uint32_t *ret);

/*
 * 1 when s can be one path component and an identifier for users: 1 to `max` characters of
 * [A-Za-z0-9_.+-], not "." or "..", first not '-'; else 0. What runc and containerd take.
 */
bool str_is_id(const char *s, size_t max);
