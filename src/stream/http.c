/*
 * Reading an upgrade request. Any thread.
 */
#include "stream/http.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

static bool is_token(const char *s)
{
	static const char other[] = "!#$%&'*+-.^_`|~";

	if (!*s)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr(other, *s))
			return false;
	return true;
}

static char *trim(char *s)
{
	char *end;

	while (*s == ' ' || *s == '\t')
		s++;
	end = s + strlen(s);
	while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	return s;
}

/* METHOD SP target SP HTTP/1.1 */
static int request_line(char *line, struct http_request *req)
{
	char *path = strchr(line, ' '), *version = path ? strchr(path + 1, ' ') : NULL, *rest;

	if (!version)
		return -EBADMSG;
	*path++ = '\0';
	*version++ = '\0';
	if (strcmp(version, "HTTP/1.1") != 0 || !is_token(line))
		return -EBADMSG;
	/* absolute form: http://host/path */
	if (strncasecmp(path, "http://", 7) == 0)
		path = strchr(path + 7, '/');
	if (!path || *path != '/')
		return -EBADMSG;
	rest = strpbrk(path, "?#");
	if (rest)
		*rest = '\0';
	req->method = line;
	req->path = path;
	return 0;
}

static int header_line(char *line, struct http_request *req)
{
	struct http_header *h = &req->headers[req->n_headers];
	char *colon = strchr(line, ':');

	if (!colon || req->n_headers == HTTP_HEADERS_MAX)
		return -EBADMSG;
	*colon = '\0';
	/* no space before the colon, no folded lines: both are ways to smuggle */
	if (!is_token(line))
		return -EBADMSG;
	h->name = line;
	for (char *c = line; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	h->value = trim(colon + 1);
	req->n_headers++;
	return 0;
}

int http_request_read(const uint8_t *data, size_t len, struct arena *a, struct http_request *ret)
{
	const uint8_t *end = memmem(data, len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX, "\r\n\r\n", 4);
	struct http_request req = { 0 };
	size_t size;
	char *text;
	int r;

	if (!end)
		return len < HTTP_HEAD_MAX ? 0 : -EMSGSIZE;
	size = (size_t)(end - data) + 4;
	if (memchr(data, '\0', size))
		return -EBADMSG;
	text = arena_strndup(a, (const char *)data, size - 2);
	req.headers = arena_new(a, HTTP_HEADERS_MAX, sizeof(*req.headers));
	for (char *line = text, *eol; (eol = strstr(line, "\r\n")); line = eol + 2) {
		*eol = '\0';
		if (strpbrk(line, "\r\n"))
			return -EBADMSG;
		r = req.method ? header_line(line, &req) : request_line(line, &req);
		if (r < 0)
			return r;
	}
	*ret = req;
	return (int)size;
}

const char *http_request_get(const struct http_request *req, const char *name)
{
	for (size_t i = 0; i < req->n_headers; i++)
		if (str_eq(req->headers[i].name, name))
			return req->headers[i].value;
	return NULL;
}

/* The next token of a comma-separated list, or NULL at its end. */
static const char *next_token(const char **pos, size_t *ret_len)
{
	const char *s = *pos, *end;

	s += strspn(s, ", \t");
	if (!*s)
		return NULL;
	end = s + strcspn(s, ",");
	*pos = end;
	while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*ret_len = (size_t)(end - s);
	return s;
}

bool http_request_has(const struct http_request *req, const char *name, const char *token)
{
	for (size_t i = 0; i < req->n_headers; i++) {
		const char *pos = req->headers[i].value, *s;
		size_t len;

		if (!str_eq(req->headers[i].name, name))
			continue;
		while ((s = next_token(&pos, &len)))
			if (len == strlen(token) && strncasecmp(s, token, len) == 0)
				return true;
	}
	return false;
}

const char *http_request_choose(const struct http_request *req, const char *name, const char *const *known,
				size_t n_known)
{
	for (size_t i = 0; i < req->n_headers; i++) {
		const char *pos = req->headers[i].value, *s;
		size_t len;

		if (!str_eq(req->headers[i].name, name))
			continue;
		while ((s = next_token(&pos, &len)))
			for (size_t k = 0; k < n_known; k++)
				if (len == strlen(known[k]) && memcmp(s, known[k], len) == 0)
					return known[k];
	}
	return NULL;
}

void http_refuse(struct buf *out, int status, const char *text)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{ 400, "Bad Request" }, { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 426, "Upgrade Required" }, { 431, "Request Header Fields Too Large" },
	};
	const char *reason = "Error";

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			reason = reasons[i].reason;
	buf_printf(out,
		   "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
		   "%sConnection: close\r\n\r\n%s\n",
		   status, reason, strlen(text) + 1, status == 426 ? "Upgrade: SPDY/3.1, websocket\r\n" : "", text);
}
