/*
 * The grammar of image names, by hand: it is small, and each rule has its own sentence when
 * it is broken. Pure; the input may be anything.
 */
#include "image/reference.h"

#include "oci/image.h"

#include <ctype.h>
#include <stdio.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static int invalid(struct err *err, const char *text, const char *why)
{
	return err_set(err, ERR_INVALID, "invalid image name \"%.300s\": %s", text, why);
}

/* domain-component [ "." domain-component ]*, or an IPv6 address in brackets; then a port. */
static const char *check_host(const char *host, size_t len)
{
	size_t n, port;

	if (host[0] == '[') {
		n = strspn(host + 1, DIGITS "abcdefABCDEF:") + 1;
		if (n < 3 || n >= len || host[n] != ']')
			return "the registry is not an IPv6 address in brackets";
		n++;
	} else {
		n = 0;
		while (n < len && host[n] != ':') {
			size_t label = strspn(host + n, LOWER UPPER DIGITS "-");

			if (!label || host[n] == '-' || host[n + label - 1] == '-')
				return "the registry is not a host name";
			n += label;
			if (n < len && host[n] == '.' && n + 1 < len)
				n++;
			else if (n < len && host[n] != ':')
				return "the registry is not a host name";
		}
		if (!n)
			return "the registry is empty";
	}
	if (n == len)
		return NULL;
	if (host[n] != ':')
		return "the registry is not a host name";
	port = strspn(host + n + 1, DIGITS);
	if (!port || port > 5 || n + 1 + port != len || atoi(host + n + 1) > 65535 || atoi(host + n + 1) < 1)
		return "the port of the registry is not a number between 1 and 65535";
	return NULL;
}

/* alpha-numeric [ ("." | "_" | "__" | "-"*) alpha-numeric ]*, components joined by "/". */
static const char *check_repository(const char *s, size_t len)
{
	size_t i = 0;

	for (;;) {
		size_t n = strspn(s + i, LOWER DIGITS);

		if (!n) {
			if (i < len && isupper((unsigned char)s[i]))
				return "a repository must be lower case";
			return "a component of the repository is empty or begins with no letter or digit";
		}
		i += n;
		if (i >= len)
			return NULL;
		switch (s[i]) {
		case '/':
		case '.':
			i++;
			break;
		case '_':
			i += s[i + 1] == '_' ? 2 : 1;
			break;
		case '-':
			i += strspn(s + i, "-");
			break;
		default:
			return isupper((unsigned char)s[i]) ? "a repository must be lower case" :
							      "a character is not allowed in a repository";
		}
	}
}

static bool names_a_host(const char *s, size_t len)
{
	if (memchr(s, '.', len) || memchr(s, ':', len) || s[0] == '[')
		return true;
	if (len == strlen("localhost") && memcmp(s, "localhost", len) == 0)
		return true;
	for (size_t i = 0; i < len; i++)
		if (isupper((unsigned char)s[i]))
			return true;
	return false;
}

static int put(char *out, size_t size, const char *s, size_t len)
{
	if (len >= size)
		return -ENAMETOOLONG;
	memcpy(out, s, len);
	out[len] = '\0';
	return 0;
}

int reference_parse(const char *text, struct reference *ret, struct err *err)
{
	struct reference r = { "", "", "", "" };
	const char *name = text ? text : "", *at, *slash, *colon, *why, *library;
	size_t len;

	if (!*name)
		return invalid(err, name, "it is empty");
	if (strnlen(name, REFERENCE_TEXT_MAX) >= REFERENCE_TEXT_MAX)
		return invalid(err, name, "it is too long");
	if (strstr(name, "://"))
		return invalid(err, name, "that is a URL; a name has no scheme before its registry");
	at = strchr(name, '@');
	len = at ? (size_t)(at - name) : strlen(name);
	if (at) {
		if (!oci_digest_valid(at + 1))
			return invalid(err, text,
				       "behind @ must stand sha256: and 64 lower-case hexadecimal digits");
		put(r.digest, sizeof(r.digest), at + 1, strlen(at + 1));
	}

	slash = memchr(name, '/', len);
	if (slash && names_a_host(name, (size_t)(slash - name))) {
		why = check_host(name, (size_t)(slash - name));
		if (why)
			return invalid(err, text, why);
		if (put(r.host, sizeof(r.host), name, (size_t)(slash - name)) < 0)
			return invalid(err, text, "the registry is too long");
		len -= (size_t)(slash + 1 - name);
		name = slash + 1;
	} else {
		strcpy(r.host, "docker.io");
	}
	if (str_eq(r.host, "index.docker.io"))
		strcpy(r.host, "docker.io");

	colon = memchr(name, ':', len);
	if (colon) {
		size_t n = len - (size_t)(colon + 1 - name);

		if (!n || n > REFERENCE_TAG_MAX || colon[1] == '.' || colon[1] == '-' ||
		    strspn(colon + 1, LOWER UPPER DIGITS "_.-") < n)
			return invalid(err, text,
				       "the tag must be 1 to 128 characters of letters, digits, _ . and -");
		if (!at)
			put(r.tag, sizeof(r.tag), colon + 1, n);
		len = (size_t)(colon - name);
	} else if (!at) {
		strcpy(r.tag, "latest");
	}

	if (!len)
		return invalid(err, text, "the repository is empty");
	library = str_eq(r.host, "docker.io") && !memchr(name, '/', len) ? "library/" : "";
	if (strlen(r.host) + 1 + strlen(library) + len > REFERENCE_MAX)
		return invalid(err, text, "registry and repository are longer than 255 characters");
	why = check_repository(name, len);
	if (why)
		return invalid(err, text, why);
	if (oci_digest_valid(text) || (name == text && len == 64 && strspn(name, DIGITS "abcdef") == 64))
		return invalid(err, text, "64 hexadecimal digits are the id of an image");
	snprintf(r.repository, sizeof(r.repository), "%s%.*s", library, (int)len, name);
	*ret = r;
	return 0;
}

char *reference_format(const struct reference *r, char out[REFERENCE_TEXT_MAX])
{
	snprintf(out, REFERENCE_TEXT_MAX, "%s/%s%s%s", r->host, r->repository, *r->digest ? "@" : ":",
		 *r->digest ? r->digest : r->tag);
	return out;
}
