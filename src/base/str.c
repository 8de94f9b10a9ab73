#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool str_empty(const char *s)
{
	return !s || !*s;
}

bool str_eq(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

const char *str_skip_prefix(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s && strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

bool str_has_suffix(const char *s, const char *suffix)
{
	size_t n = s ? strlen(s) : 0, m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

bool str_in(const char *s, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(s, list[i]))
			return true;
	return false;
}

int str_to_u64(const char *s, int base, uint64_t *ret)
{
	unsigned long long v;
	char *end;

	if (str_empty(s) || !strchr("0123456789abcdefABCDEF", *s))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, base);
	if (end == s || *end)
		return -EINVAL;
	if (errno)
		return -errno;
	*ret = v;
	return 0;
}

int str_to_i64(const char *s, int base, int64_t *ret)
{
	const char *digits = s && *s == '-' ? s + 1 : s;
	long long v;
	char *end;

	if (str_empty(digits) || !strchr("0123456789abcdefABCDEF", *digits))
		return -EINVAL;
	errno = 0;
	v = strtoll(s, &end, base);
	if (end == s || *end)
		return -EINVAL;
	if (errno)
		return -errno;
	*ret = v;
	return 0;
}

int str_to_u32(const char *s, int base, uint32_t *ret)
{
	uint64_t v;
	int r = str_to_u64(s, base, &v);

	if (r < 0)
		return r;
	if (v > UINT32_MAX)
		return -ERANGE;
	*ret = (uint32_t)v;
	return 0;
}

bool str_is_id(const char *s, size_t max)
{
	size_t n = 0;

	if (str_empty(s) || str_eq(s, ".") || str_eq(s, "..") || *s == '-')
		return false;
	for (; s[n]; n++) {
		char c = s[n];

		if (n >= max)
			return false;
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '_' || c == '.' || c == '+' || c == '-'))
			return false;
	}
	return true;
}
