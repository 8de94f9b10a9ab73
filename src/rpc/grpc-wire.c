#include "rpc/grpc-wire.h"

#include <stdio.h>

static const struct {
	char unit;
	int64_t ns;
} units[] = { /* finest first */
	{ 'n', 1 },
	{ 'u', 1000 },
	{ 'm', NSEC_PER_MSEC },
	{ 'S', NSEC_PER_SEC },
	{ 'M', 60 * NSEC_PER_SEC },
	{ 'H', 3600 * NSEC_PER_SEC },
};

enum { TIMEOUT_MOST = 99999999 }; /* eight digits, the specification says */

int grpc_timeout_parse(const char *s, int64_t *ret)
{
	int64_t value = 0;
	size_t n = 0;

	for (; s[n] >= '0' && s[n] <= '9'; n++) {
		if (n == 8)
			return -EINVAL;
		value = value * 10 + (s[n] - '0');
	}
	if (!n || !s[n] || s[n + 1])
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (units[i].unit != s[n])
			continue;
		*ret = value > INT64_MAX / units[i].ns ? INT64_MAX : value * units[i].ns;
		return 0;
	}
	return -EINVAL;
}

char *grpc_timeout_format(int64_t ns, char out[16])
{
	size_t i = 0;

	if (ns < 0)
		ns = 0;
	while (i + 1 < ARRAY_LEN(units) && ns / units[i].ns > TIMEOUT_MOST)
		i++;
	snprintf(out, 16, "%d%c", (int)(ns / units[i].ns), units[i].unit);
	return out;
}

char *grpc_message_encode(const char *text, char out[GRPC_TEXT_MAX])
{
	char *p = out;

	for (size_t i = 0; text[i] && i < ERR_TEXT_MAX; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c > 0x7e || c == '%')
			p += snprintf(p, 4, "%%%02X", c);
		else
			*p++ = (char)c;
	}
	*p = '\0';
	return out;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 :
	       c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void grpc_message_decode(const char *text, char *out, size_t size)
{
	size_t n = 0;

	while (*text && n + 1 < size) {
		int high = *text == '%' ? hex(text[1]) : -1, low = high >= 0 ? hex(text[2]) : -1;

		if (low >= 0 && (high || low)) {
			out[n++] = (char)(high << 4 | low);
			text += 3;
		} else {
			out[n++] = *text++;
		}
	}
	out[n] = '\0';
}

bool grpc_content_type_ok(const char *s)
{
	const char *rest = str_skip_prefix(s, "application/grpc");

	return rest && (!*rest || *rest == '+' || *rest == ';');
}
