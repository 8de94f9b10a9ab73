/* containerd's hosts.toml. Pure: bytes in, hosts out; the fields are a table. */
#include "registry/hosts.h"

#include "registry/toml.h"

#include <stdio.h>

struct host *host_new(struct arena *a, const char *source)
{
	struct host *h = arena_new(a, 1, sizeof(*h));

	h->pull = h->resolve = true;
	h->source = source;
	return h;
}

/* Host names, addresses and ports: nothing that could become another part of a URL. */
static bool plain_host(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' &&
										       s[i] <= '9') ||
		      (s[i] && strchr(".-_:[]%", s[i]))))
			return false;
	return n > 0 && n < 256;
}

static bool plain_path(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 127 || strchr("?#\\\"", *s))
			return false;
	return true;
}

int host_set_url(struct host *h, const char *url, bool override_path, struct arena *a, struct err *err)
{
	const char *https = str_skip_prefix(url, "https://"), *http = str_skip_prefix(url, "http://");
	const char *rest = https ? https : http ? http : url;
	size_t n = strcspn(rest, "/"), path_len;

	if (!plain_host(rest, n) || !plain_path(rest + n) || strlen(rest) > 1024)
		return err_set(err, ERR_INVALID,
			       "\"%.200s\" is no address of a registry (https://host:port/path)", url);
	h->name = arena_strndup(a, rest, n);
	path_len = strlen(rest + n);
	while (path_len && rest[n + path_len - 1] == '/')
		path_len--;
	h->path = arena_strndup(a, rest + n, path_len);
	if (!override_path && !str_has_suffix(h->path, "/v2"))
		h->path = arena_printf(a, "%s/v2", h->path);
	h->bare = !https && !http;
	h->n_schemes = 0;
	if (http || (!https && host_is_loopback(h->name)))
		h->schemes[h->n_schemes++] = SCHEME_HTTP;
	if (!http)
		h->schemes[h->n_schemes++] = SCHEME_HTTPS;
	return 0;
}

/* ---- fields ---- */

struct field_reader {
	const char *name; /* of the file */
	struct arena *arena;
	struct host *host;
	struct host_files *files;
	bool override_path;
	struct err *err;
};

static int wrong(const struct field_reader *r, const struct toml *v, const char *expected)
{
	return err_set(r->err, ERR_INVALID, "%s:%zu: %.100s: expected %s", r->name, v->line,
		       v->key ? v->key : "value",
		       expected);
}

static int read_capabilities(struct field_reader *r, const struct toml *v)
{
	if (v->kind != TOML_ARRAY)
		return wrong(r, v, "an array");
	r->host->pull = r->host->resolve = false;
	for (const struct toml *m = v->first; m; m = m->next) {
		if (m->kind == TOML_STRING && str_eq(m->text, "pull"))
			r->host->pull = true;
		else if (m->kind == TOML_STRING && str_eq(m->text, "resolve"))
			r->host->resolve = true;
		else if (m->kind != TOML_STRING || !(str_eq(m->text, "push") || str_eq(m->text, "referrers")))
			return wrong(r, v, "pull, resolve, push or referrers");
	}
	return 0;
}

static int read_ca(struct field_reader *r, const struct toml *v)
{
	const struct toml *m = v->kind == TOML_ARRAY ? v->first : v;

	if (v->kind != TOML_ARRAY && v->kind != TOML_STRING)
		return wrong(r, v, "a path or an array of paths");
	for (; m; m = v->kind == TOML_ARRAY ? m->next : NULL) {
		if (m->kind != TOML_STRING || !*m->text)
			return wrong(r, v, "a path or an array of paths");
		if (r->files->n_ca == ARRAY_LEN(r->files->ca))
			return wrong(r, v, "at most 16 paths");
		r->files->ca[r->files->n_ca++] = m->text;
	}
	return 0;
}

/* "file with both", ["file with both"], [["certificate", "key"]]: one pair is what TLS sends. */
static int read_client(struct field_reader *r, const struct toml *v)
{
	static const char expected[] = "a path, or one pair of a certificate's and a key's path";
	const struct toml *m = v;

	if (m->kind == TOML_ARRAY) {
		if (!m->first || m->first->next)
			return wrong(r, v, expected);
		m = m->first;
	}
	if (m->kind == TOML_ARRAY) {
		const struct toml *cert = m->first, *key = cert ? cert->next : NULL;

		if (!cert || cert->kind != TOML_STRING || (key && (key->kind != TOML_STRING || key->next)))
			return wrong(r, v, expected);
		r->files->client[0] = cert->text;
		r->files->client[1] = key && *key->text ? key->text : cert->text;
	} else {
		if (m->kind != TOML_STRING)
			return wrong(r, v, expected);
		r->files->client[0] = r->files->client[1] = m->text;
	}
	return *r->files->client[0] ? 0 : wrong(r, v, expected);
}

static int read_bool(struct field_reader *r, const struct toml *v, bool *ret)
{
	if (v->kind != TOML_BOOL)
		return wrong(r, v, "true or false");
	*ret = v->truth;
	return 0;
}

static int read_skip_verify(struct field_reader *r, const struct toml *v)
{
	return read_bool(r, v, &r->host->skip_verify);
}

static int read_override_path(struct field_reader *r, const struct toml *v)
{
	return read_bool(r, v, &r->override_path);
}

static int add_header(struct field_reader *r, const struct toml *v, const struct toml *value)
{
	struct host *h = r->host;

	if (value->kind != TOML_STRING || strpbrk(value->text, "\r\n") || strpbrk(v->key, "\r\n: "))
		return wrong(r, v, "a header's value, or an array of them");
	if (h->n_headers == 64)
		return wrong(r, v, "at most 64 headers");
	if (!h->headers)
		h->headers = arena_new(r->arena, 64, sizeof(char *));
	h->headers[h->n_headers++] = arena_printf(r->arena, "%s: %s", v->key, value->text);
	return 0;
}

static int read_header(struct field_reader *r, const struct toml *v)
{
	if (v->kind != TOML_TABLE)
		return wrong(r, v, "a table");
	for (const struct toml *m = v->first; m; m = m->next) {
		int e = 0;

		if (m->kind == TOML_ARRAY)
			for (const struct toml *one = m->first; one && e == 0; one = one->next)
				e = add_header(r, m, one);
		else
			e = add_header(r, m, m);
		if (e < 0)
			return e;
	}
	return 0;
}

/* Go's notation: "10s", "1m30s", "500ms". */
static int read_dial_timeout(struct field_reader *r, const struct toml *v)
{
	static const struct {
		const char *unit;
		int64_t ns;
	} units[] = { { "ms", NSEC_PER_MSEC }, { "s", NSEC_PER_SEC }, { "m", 60 * NSEC_PER_SEC },
		      { "h", 3600 * NSEC_PER_SEC } };
	const char *p = v->text;
	int64_t sum = 0;

	while (v->kind == TOML_STRING && *p) {
		size_t n = strspn(p, "0123456789"), i = 0, len = strcspn(p + n, "0123456789");
		char digits[10];
		uint32_t value;

		while (i < ARRAY_LEN(units) &&
		       (strlen(units[i].unit) != len || strncmp(p + n, units[i].unit, len) != 0))
			i++;
		if (!n || n >= sizeof(digits) || i == ARRAY_LEN(units))
			break;
		snprintf(digits, sizeof(digits), "%.*s", (int)n, p);
		if (str_to_u32(digits, 10, &value) < 0 || value > 3600 * 24 * NSEC_PER_SEC / units[i].ns)
			break;
		sum += value * units[i].ns;
		p += n + len;
	}
	if (v->kind != TOML_STRING || *p || !sum)
		return wrong(r, v, "a duration such as \"10s\"");
	r->host->connect_timeout = sum;
	return 0;
}

static const struct {
	const char *name;
	int (*read)(struct field_reader *r, const struct toml *v);
} fields[] = {
	{ "capabilities", read_capabilities },
	{ "ca", read_ca },
	{ "client", read_client },
	{ "skip_verify", read_skip_verify },
	{ "header", read_header },
	{ "override_path", read_override_path },
	{ "dial_timeout", read_dial_timeout },
};

/* `top`: server and host are someone else's. */
static int read_host(const char *name, const struct toml *table, bool top, const char *url, struct arena *a,
		     struct host *h, struct host_files *files, struct err *err)
{
	struct field_reader r = { name, a, h, files, false, err };
	int e;

	*files = (struct host_files){ .n_ca = 0 };
	for (const struct toml *m = table->first; m; m = m->next) {
		size_t i = 0;

		if (top && (str_eq(m->key, "server") || str_eq(m->key, "host")))
			continue;
		while (i < ARRAY_LEN(fields) && !str_eq(fields[i].name, m->key))
			i++;
		if (i == ARRAY_LEN(fields))
			return err_set(err, ERR_INVALID, "%s:%zu: %.100s: no such key", name, m->line,
				       m->key);
		e = fields[i].read(&r, m);
		if (e < 0)
			return e;
	}
	e = host_set_url(h, url, r.override_path, a, err);
	return e < 0 ? err_wrap(err, e, "%s:%zu", name, table->line) : 0;
}

static const struct toml no_hosts = { .kind = TOML_TABLE, .text = "" };

int hosts_toml_read(const char *name, const void *text, size_t len, const char *registry, struct arena *a,
		    struct host **ret, struct host_files files[HOSTS_MAX], struct err *err)
{
	const struct toml *root, *server, *hosts;
	struct host *first = NULL, **link = &first;
	size_t n = 0;
	int e = toml_read(name, text, len, a, &root, err);

	if (e < 0)
		return e;
	hosts = toml_get(root, "host");
	if (hosts && hosts->kind != TOML_TABLE)
		return err_set(err, ERR_INVALID, "%s:%zu: host: expected tables [host.\"URL\"]", name,
			       hosts->line);
	server = toml_get(root, "server");
	if (server && server->kind != TOML_STRING)
		return err_set(err, ERR_INVALID, "%s:%zu: server: expected a URL", name, server->line);
	for (const struct toml *m = (hosts ? hosts : &no_hosts)->first; m; m = m->next) {
		if (m->kind != TOML_TABLE)
			return err_set(err, ERR_INVALID, "%s:%zu: host.%.100s: expected a table", name,
				       m->line, m->key);
		if (n == HOSTS_MAX - 1)
			return err_set(err, ERR_INVALID, "%s: more than %d hosts", name, HOSTS_MAX - 1);
		*link = host_new(a, arena_strdup(a, name));
		(*link)->mirror = true;
		e = read_host(name, m, false, m->key, a, *link, &files[n++], err);
		if (e < 0)
			return e;
		link = &(*link)->next;
	}
	*link = host_new(a, arena_strdup(a, name));
	e = read_host(name, root, true, server && *server->text ? server->text : registry, a, *link,
		      &files[n], err);
	if (e < 0)
		return e;
	*ret = first;
	return 0;
}
