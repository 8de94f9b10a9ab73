/* Parsing of what servers say about authentication and of addresses. Pure functions. */
#include "registry/challenge.h"

#include <ctype.h>
#include <strings.h>

/* ---- WWW-Authenticate ---- */

/* token = 1*tchar (RFC 9110, 5.6.2), and what token68 adds */
static size_t token_length(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || (s[n] && strchr("!#$%&'*+-.^_`|~/", s[n])))
		n++;
	return n;
}

static const char *skip_space(const char *s)
{
	return s + strspn(s, " \t");
}

/* A token or a quoted string behind "=": the rest, or NULL. */
static const char *read_value(const char *s, struct arena *a, char **ret)
{
	if (*s == '"') {
		char *out = arena_new(a, strlen(s), 1);
		size_t n = 0;

		for (s++; *s && *s != '"'; s++) {
			if (*s == '\\' && s[1])
				s++;
			out[n++] = *s;
		}
		if (*s != '"')
			return NULL;
		*ret = out;
		return s + 1;
	}
	*ret = arena_strndup(a, s, token_length(s));
	return **ret ? s + strlen(*ret) : NULL;
}

static bool name_is(const char *s, size_t len, const char *name)
{
	return strlen(name) == len && strncasecmp(s, name, len) == 0;
}

size_t challenge_parse(const char *value, struct arena *a, struct challenge *list, size_t n)
{
	struct challenge *now = NULL;
	char *nothing = arena_strdup(a, "");
	const char *s = value;

	if (strnlen(value, CHALLENGE_LINE_MAX) >= CHALLENGE_LINE_MAX)
		return n;
	for (;;) {
		const char *word, *behind;
		size_t len;

		while (*s == ',' || *s == ' ' || *s == '\t')
			s++;
		word = s;
		len = token_length(word);
		if (!len)
			return n;
		behind = skip_space(word + len);
		if (now && *behind == '=') {
			char *text, **to = name_is(word, len, "realm") ? &now->realm :
					   name_is(word, len, "service") ? &now->service :
					   name_is(word, len, "scope")	 ? &now->scope :
					   name_is(word, len, "error")	 ? &now->error :
									   NULL;

			s = read_value(skip_space(behind + 1), a, &text);
			if (!s)
				return n;
			if (to && !**to)
				*to = text;
			continue;
		}
		if (n == CHALLENGES_MAX)
			return n;
		now = &list[n++];
		*now = (struct challenge){ CHALLENGE_OTHER, nothing, nothing, nothing, nothing };
		if (name_is(word, len, "basic"))
			now->scheme = CHALLENGE_BASIC;
		else if (name_is(word, len, "bearer"))
			now->scheme = CHALLENGE_BEARER;
		s = behind;
	}
}

/* ---- addresses ---- */

static size_t port_at(const char *host)
{
	const char *colon;

	if (host[0] == '[') {
		const char *end = strchr(host, ']');

		return end ? (size_t)(end + 1 - host) : strlen(host);
	}
	colon = strchr(host, ':');
	return colon ? (size_t)(colon - host) : strlen(host);
}

bool host_is_loopback(const char *host)
{
	size_t n = port_at(host), dots = 0;

	if (name_is(host, n, "localhost") || name_is(host, n, "[::1]"))
		return true;
	/* four numbers, the first 127: a name like 127.evil.example is no address */
	if (n < 4 || strncmp(host, "127.", 4) != 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (host[i] == '.')
			dots++;
		else if (!isdigit((unsigned char)host[i]))
			return false;
	}
	return dots == 3;
}

bool host_in_list(const char *host, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(host, list[i]) == 0 || name_is(host, port_at(host), list[i]))
			return true;
	return false;
}

static size_t origin_length(const char *url)
{
	const char *s = strstr(url, "://");

	return s ? (size_t)(s + 3 - url) + strcspn(s + 3, "/?#") : 0;
}

bool url_same_origin(const char *a, const char *b)
{
	size_t n = origin_length(a);

	return n && n == origin_length(b) && strncasecmp(a, b, n) == 0;
}

/* ---- ranges ---- */

static int number(const char **s, char until, uint64_t *ret)
{
	char digits[21];
	size_t n = strspn(*s, "0123456789");

	if (!n || n >= sizeof(digits) || (*s)[n] != until)
		return -EINVAL;
	memcpy(digits, *s, n);
	digits[n] = '\0';
	*s += n + (until != '\0');
	return str_to_u64(digits, 10, ret);
}

int content_range_parse(const char *value, uint64_t *ret_from, uint64_t *ret_to, uint64_t *ret_total)
{
	uint64_t from, to, total = 0;

	if (strncasecmp(value, "bytes ", 6) != 0)
		return -EINVAL;
	value = skip_space(value + 6);
	if (number(&value, '-', &from) < 0 || number(&value, '/', &to) < 0 || to < from || to == UINT64_MAX)
		return -EINVAL;
	if (!str_eq(value, "*") && (number(&value, '\0', &total) < 0 || total <= to))
		return -EINVAL;
	*ret_from = from;
	*ret_to = to;
	*ret_total = total;
	return 0;
}
