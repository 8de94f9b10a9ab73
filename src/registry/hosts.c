/*
 * The choice of hosts: our configuration and directories of hosts.toml. A file that cannot be
 * read as such is an error for the pull; a certificate that a host names and that is not there
 * makes that one host unusable, and the next one is asked.
 */
#include "registry/hosts.h"

#include "registry/registry.h"
#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

enum { PEM_MAX = 1024 * 1024 };

struct policy {
	atomic_uint refs;
	struct arena arena;
	struct policy_rest rest;
	char **insecure, **dirs;
	size_t n_insecure, n_dirs;
	struct config_registry *registries;
	size_t n_registries;
};

/* ---- the settings, copied ---- */

static char **copy_list(struct arena *a, const char *const *list, size_t n)
{
	char **out = arena_new(a, n + 1, sizeof(char *));

	for (size_t i = 0; i < n; i++)
		out[i] = arena_strdup(a, list[i]);
	return out;
}

#define COPY_LIST(to, from, a, name) \
	((to)->name = copy_list(a, (const char *const *)(from)->name, (from)->n_##name), \
	 (to)->n_##name = (from)->n_##name)

static void copy_host(struct arena *a, struct config_registry_host *to,
		      const struct config_registry_host *from)
{
	*to = *from;
	to->url = arena_strdup(a, from->url);
	to->client_cert = arena_strdup(a, from->client_cert);
	to->client_key = arena_strdup(a, from->client_key);
	COPY_LIST(to, from, a, ca);
	COPY_LIST(to, from, a, headers);
	COPY_LIST(to, from, a, rewrite);
	COPY_LIST(to, from, a, capabilities);
}

struct policy *policy_new(const struct registry_settings *s)
{
	struct policy *p = mem_new(1, sizeof(*p));
	struct arena *a = &p->arena;

	atomic_init(&p->refs, 1);
	p->rest = (struct policy_rest){ .ca_file = arena_strdup(a, s->ca_file),
					.connect_timeout = s->connect_timeout,
					.stall_timeout = s->stall_timeout };
	p->insecure = copy_list(a, s->insecure, s->n_insecure);
	p->n_insecure = s->n_insecure;
	p->dirs = copy_list(a, s->hosts_dirs, s->n_hosts_dirs);
	p->n_dirs = s->n_hosts_dirs;
	p->rest.auth_files = (const char *const *)copy_list(a, s->auth_files, s->n_auth_files);
	p->rest.n_auth_files = s->n_auth_files;
	p->registries = arena_new(a, s->n_registries + 1, sizeof(*p->registries));
	p->n_registries = s->n_registries;
	for (size_t i = 0; i < s->n_registries; i++) {
		struct config_registry *to = &p->registries[i];
		const struct config_registry *from = &s->registries[i];

		*to = *from;
		to->name = arena_strdup(a, from->name);
		copy_host(a, &to->server, &from->server);
		to->mirrors = arena_new(a, from->n_mirrors + 1, sizeof(*to->mirrors));
		for (size_t j = 0; j < from->n_mirrors; j++)
			copy_host(a, &to->mirrors[j], &from->mirrors[j]);
	}
	return p;
}

struct policy *policy_ref(struct policy *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

void policy_unref(struct policy *p)
{
	struct arena a;

	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	a = p->arena;
	free(p);
	arena_done(&a);
}

const struct policy_rest *policy_rest(const struct policy *p)
{
	return &p->rest;
}

bool policy_insecure(const struct policy *p, const char *host)
{
	return host_in_list(host, (const char *const *)p->insecure, p->n_insecure);
}

/* ---- certificates ---- */

static void set_broken(struct host *h, struct arena *a, const struct err *err)
{
	if (!h->broken)
		h->broken = arena_strdup(a, err->text);
}

static void read_authorities(struct host *h, const char *const *files, size_t n, struct arena *a)
{
	CLEANUP(buf_done) struct buf pem = BUF_INIT(PEM_MAX);
	struct err err = ERR_INIT;

	for (size_t i = 0; i < n; i++) {
		int r = sys_file_read(AT_FDCWD, files[i], PEM_MAX, &pem);

		if (r < 0) {
			err_sys(&err, r, "ca %s", files[i]);
			set_broken(h, a, &err);
			return;
		}
		buf_puts(&pem, "\n");
	}
	if (n)
		h->ca = arena_strdup(a, buf_text(&pem));
}

/* The key is never read here: only that it can be. */
static void check_client(struct host *h, const char *cert, const char *key, struct arena *a)
{
	struct err err = ERR_INIT;

	h->client_cert = arena_strdup(a, cert);
	h->client_key = arena_strdup(a, str_empty(key) ? cert : key);
	for (int i = 0; i < 2; i++) {
		const char *file = i ? h->client_key : h->client_cert;

		if (access(file, R_OK) < 0) {
			err_sys(&err, errno, "client certificate %s", file);
			set_broken(h, a, &err);
		}
	}
}

/* ---- our configuration ---- */

static struct host *from_config(const struct policy *p, const struct config_registry_host *c, const char *url,
				const char *source, struct arena *a, int *ret_r, struct err *err)
{
	struct host *h = host_new(a, source);
	int r = host_set_url(h, url, c->override_path, a, err);

	if (r < 0) {
		*ret_r = err_wrap(err, r, "%s", source);
		return NULL;
	}
	for (size_t i = 0; i < c->n_capabilities; i++)
		if (!str_eq(c->capabilities[i], "pull") && !str_eq(c->capabilities[i], "resolve")) {
			*ret_r = err_set(err, ERR_INVALID, "%s: capabilities: no such word", source);
			return NULL;
		}
	if (c->n_capabilities) {
		h->pull = str_in("pull", (const char *const *)c->capabilities, c->n_capabilities);
		h->resolve = str_in("resolve", (const char *const *)c->capabilities, c->n_capabilities);
	}
	h->skip_verify = c->skip_verify;
	h->connect_timeout = c->dial_timeout;
	h->headers = arena_new(a, c->n_headers + 1, sizeof(char *));
	for (size_t i = 0; i + 1 < c->n_headers; i += 2)
		h->headers[h->n_headers++] = arena_printf(a, "%s: %s", c->headers[i], c->headers[i + 1]);
	h->rewrites = c->rewrite;
	h->n_rewrites = c->n_rewrite;
	read_authorities(h, (const char *const *)c->ca, c->n_ca, a);
	if (!str_empty(c->client_cert))
		check_client(h, c->client_cert, c->client_key, a);
	return h;
}

static int from_registry(const struct policy *p, const struct config_registry *c, const char *registry,
			 struct arena *a, struct host **ret, struct err *err)
{
	const char *source = arena_printf(a, "registries.%s in the configuration", c->name);
	struct host **link = ret;
	int r = 0;

	for (size_t i = 0; i < c->n_mirrors; i++) {
		*link = from_config(p, &c->mirrors[i], c->mirrors[i].url, source, a, &r, err);
		if (!*link)
			return r;
		(*link)->mirror = true;
		link = &(*link)->next;
	}
	if (!c->fallback && c->n_mirrors)
		return 0;
	*link = from_config(p, &c->server, *c->server.url ? c->server.url : registry, source, a, &r, err);
	return *link ? 0 : r;
}

/* ---- directories ---- */

static const char *beside(const char *dir, const char *file, struct arena *a)
{
	return *file == '/' ? file : arena_printf(a, "%s/%s", dir, file);
}

static int from_toml(const char *dir, const char *file, const struct buf *text, const char *registry,
		     struct arena *a,
		     struct host **ret, struct err *err)
{
	struct host_files files[HOSTS_MAX], *f = files;
	int r = hosts_toml_read(file, text->data, text->len, registry, a, ret, files, err);

	if (r < 0)
		return r;
	for (struct host *h = *ret; h; h = h->next, f++) {
		for (size_t i = 0; i < f->n_ca; i++)
			f->ca[i] = beside(dir, f->ca[i], a);
		read_authorities(h, f->ca, f->n_ca, a);
		if (f->client[0])
			check_client(h, beside(dir, f->client[0], a), beside(dir, f->client[1], a), a);
	}
	return 0;
}

/* Docker's certs.d: *.crt, and one *.cert with its *.key. */
static int from_certificates(const char *path, const char *registry, struct arena *a, struct host **ret,
			     struct err *err)
{
	struct host *h = host_new(a, arena_strdup(a, path));
	const char *ca[16] = { NULL }, *cert = NULL;
	struct dirent **list;
	size_t n_ca = 0;
	int n, r = host_set_url(h, registry, false, a, err);

	if (r < 0)
		return r;
	n = scandir(path, &list, NULL, alphasort);
	if (n < 0)
		return err_sys(err, errno, "%s", path);
	for (int i = 0; i < n; i++) {
		if (str_has_suffix(list[i]->d_name, ".crt") && n_ca < ARRAY_LEN(ca))
			ca[n_ca++] = beside(path, arena_strdup(a, list[i]->d_name), a);
		else if (str_has_suffix(list[i]->d_name, ".cert") && !cert)
			cert = beside(path, arena_strdup(a, list[i]->d_name), a);
		free(list[i]);
	}
	free(list);
	read_authorities(h, ca, n_ca, a);
	if (cert)
		check_client(h, cert, arena_printf(a, "%.*skey", (int)strlen(cert) - 4, cert), a);
	*ret = h;
	return 0;
}

/* 1 when the directory decides, 0 when there is none. */
static int from_dir(const char *path, const char *registry, struct arena *a, struct host **ret,
		    struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(PEM_MAX);
	const char *file = arena_printf(a, "%s/hosts.toml", path);
	int r = sys_file_read(AT_FDCWD, file, PEM_MAX, &text);

	if (r == 0) {
		r = from_toml(path, file, &text, registry, a, ret, err);
		return r < 0 ? r : 1;
	}
	if (r == -ENOTDIR)
		return 0;
	if (r != -ENOENT)
		return err_sys(err, r, "%s", file);
	if (access(path, F_OK) < 0)
		return 0;
	r = from_certificates(path, registry, a, ret, err);
	return r < 0 ? r : 1;
}

static int from_dirs(const struct policy *p, const char *name, const char *registry, struct arena *a,
		     struct host **ret, struct err *err)
{
	const char *colon = strrchr(name, ':');
	int r = 0;

	/* names are reference's: no slash. A colon is no part of a name on every file system */
	for (size_t i = 0; r == 0 && i < p->n_dirs; i++) {
		if (colon && !strchr(colon, ']'))
			r = from_dir(arena_printf(a, "%s/%.*s_%s_", p->dirs[i], (int)(colon - name), name,
						  colon + 1),
				     registry, a, ret, err);
		if (r == 0)
			r = from_dir(arena_printf(a, "%s/%s", p->dirs[i], name), registry, a, ret, err);
	}
	return r;
}

/* ---- the choice ---- */

static const struct config_registry *configured(const struct policy *p, const char *name)
{
	for (size_t i = 0; i < p->n_registries; i++)
		if (str_eq(p->registries[i].name, name))
			return &p->registries[i];
	return NULL;
}

/* What holds for every host: the lists and defaults of the configuration. */
static void finish(const struct policy *p, struct host *h)
{
	if (str_eq(h->name, "docker.io"))
		h->name = (char *)"registry-1.docker.io";
	if (policy_insecure(p, h->name)) {
		h->skip_verify = true;
		if (h->bare && h->n_schemes == 1)
			h->schemes[h->n_schemes++] = SCHEME_HTTP;
	}
	if (!h->connect_timeout)
		h->connect_timeout = p->rest.connect_timeout;
}

int hosts_choose(const struct policy *p, const char *registry, struct arena *a, struct host **ret,
		 struct err *err)
{
	static const char any[] = "_default";
	const char *names[] = { registry, any };
	int r = 0;

	*ret = NULL;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(names); i++) {
		const struct config_registry *c = configured(p, names[i]);

		if (c) {
			r = from_registry(p, c, registry, a, ret, err);
			r = r < 0 ? r : 1;
		} else {
			r = from_dirs(p, names[i], registry, a, ret, err);
		}
	}
	if (r == 0) {
		*ret = host_new(a, "default");
		r = host_set_url(*ret, registry, false, a, err);
	}
	if (r < 0)
		return r;
	for (struct host *h = *ret; h; h = h->next)
		finish(p, h);
	return 0;
}

const char *host_repository(const struct host *h, const char *repository, struct arena *a)
{
	for (size_t i = 0; i + 1 < h->n_rewrites; i += 2) {
		const char *rest = str_skip_prefix(repository, h->rewrites[i]);

		if (rest)
			return arena_printf(a, "%s%s", h->rewrites[i + 1], rest);
	}
	return repository;
}
