/*
 * Requests to a repository: which scheme, which authorization, redirects, patience. What
 * goes over the wire is in transfer.c, what authentication means in auth.c.
 */
#include "registry/session.h"

#include "json/json.h"

#include "registry/curl.h"
#include <stdio.h>
#include <time.h>

enum { REDIRECTS_MAX = 5, TRIES_MAX = 4, WAIT_MAX_S = 10 };

int registry_new(const struct registry_settings *settings, struct registry **ret, struct err *err)
{
	struct registry *reg = mem_new(1, sizeof(*reg));

	reg->insecure = mem_new(settings->n_insecure + 1, sizeof(char *));
	for (size_t i = 0; i < settings->n_insecure; i++)
		reg->insecure[reg->n_insecure++] = mem_strdup(settings->insecure[i]);
	reg->ca_file = settings->ca_file ? mem_strdup(settings->ca_file) : NULL;
	reg->connect_timeout = settings->connect_timeout;
	reg->stall_timeout = settings->stall_timeout;
	*ret = reg;
	return 0;
}

void registry_free(struct registry *reg)
{
	if (!reg)
		return;
	for (size_t i = 0; i < reg->n_insecure; i++)
		free(reg->insecure[i]);
	free(reg->insecure);
	free(reg->ca_file);
	free(reg);
}

static int take_credentials(struct registry_session *s, const struct registry_credentials *c, struct err *err)
{
	CLEANUP(buf_done) struct buf pair = BUF_INIT(64 * 1024);
	char *colon;

	if (c && str_empty(c->username) && !str_empty(c->auth)) {
		if (base64_decode(c->auth, &pair) < 0 || !(colon = strchr(buf_text(&pair), ':')))
			return err_set(err, ERR_INVALID,
				       "credentials: auth is not the base64 of user:password");
		*colon = '\0';
		s->username = mem_strdup(buf_text(&pair));
		s->password = mem_strdup(colon + 1);
	} else {
		s->username = mem_strdup(c ? c->username : NULL);
		s->password = mem_strdup(c ? c->password : NULL);
	}
	s->identity_token = mem_strdup(c ? c->identity_token : NULL);
	s->registry_token = mem_strdup(c ? c->registry_token : NULL);
	if (*s->registry_token) {
		s->authorization = mem_printf("Bearer %s", s->registry_token);
		s->generation = 1;
	}
	return 0;
}

int registry_session_new(struct registry *reg, const char *host, const char *repository,
			 const struct registry_credentials *credentials, const atomic_bool *cancel,
			 struct registry_session **ret, struct err *err)
{
	struct registry_session *s = mem_new(1, sizeof(*s));
	int r;

	s->reg = reg;
	s->host = mem_strdup(str_eq(host, "docker.io") ? "registry-1.docker.io" : host);
	s->repository = mem_strdup(repository);
	s->cancel = cancel;
	pthread_mutex_init(&s->mutex, NULL);
	if (host_is_loopback(s->host)) {
		s->schemes[s->n_schemes++] = SCHEME_HTTP;
		s->schemes[s->n_schemes++] = SCHEME_HTTPS;
	} else {
		s->schemes[s->n_schemes++] = SCHEME_HTTPS;
		if (host_in_list(s->host, (const char *const *)reg->insecure, reg->n_insecure))
			s->schemes[s->n_schemes++] = SCHEME_HTTP;
	}
	r = take_credentials(s, credentials, err);
	if (r < 0) {
		registry_session_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void registry_session_free(struct registry_session *s)
{
	if (!s)
		return;
	free(s->host);
	free(s->repository);
	free(s->username);
	free(s->password);
	free(s->identity_token);
	free(s->registry_token);
	free(s->authorization);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

/* ---- one request ---- */

static void host_of(const char *url, char *out, size_t size)
{
	const char *s = strstr(url, "://");

	s = s ? s + 3 : url;
	snprintf(out, size, "%.*s", (int)strcspn(s, "/?#"), s);
}

void session_request(const struct registry_session *s, const char *url, struct transfer_request *req)
{
	const struct registry *reg = s->reg;
	char host[300];

	host_of(url, host, sizeof(host));
	*req = (struct transfer_request){
		.url = url,
		.verify = !host_in_list(host, (const char *const *)reg->insecure, reg->n_insecure),
		.direct = host_is_loopback(host),
		.ca_file = reg->ca_file,
		.connect_timeout = reg->connect_timeout,
		.stall_timeout = reg->stall_timeout,
		.cancel = s->cancel,
	};
}

struct server_error {
	char *code, *message;
};

struct server_errors {
	struct server_error *errors;
	size_t n_errors;
	char *details; /* some token servers */
};

static const struct json_field error_fields[] = {
	JSON_FIELD(STR, struct server_error, code, "code", 0),
	JSON_FIELD(STR, struct server_error, message, "message", 0),
};
static const struct json_type error_type = JSON_TYPE("error", struct server_error, error_fields);
static const struct json_field errors_fields[] = {
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct server_errors, errors, "errors", 0, &error_type),
	JSON_FIELD(STR, struct server_errors, details, "details", 0),
};
static const struct json_type errors_type = JSON_TYPE("errors", struct server_errors, errors_fields);

void session_server_words(struct transfer *t, char *out, size_t size)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(64 * 1024);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct server_errors e;

	*out = '\0';
	if (transfer_read_all(t, &body, NULL) < 0 || !body.len)
		return;
	if (json_read(&errors_type, body.data, body.len, &a, &e, NULL) == 0) {
		if (e.n_errors)
			snprintf(out, size, "%.60s%s%.200s", e.errors[0].code ? e.errors[0].code : "",
				 e.errors[0].code && e.errors[0].message ? ": " : "",
				 e.errors[0].message ? e.errors[0].message : "");
		else if (e.details)
			snprintf(out, size, "%.200s", e.details);
	} else if (body.len < 200) {
		snprintf(out, size, "%.*s", (int)strcspn(buf_text(&body), "\r\n"), buf_text(&body));
	}
	for (char *c = out; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
}

static int nap(const struct registry_session *s, int64_t ns, struct err *err)
{
	int64_t until = time_now_mono() + ns;

	while (time_now_mono() < until) {
		if (s->cancel && atomic_load(s->cancel))
			return err_set(err, ERR_CANCELLED, "cancelled");
		nanosleep(&(struct timespec){ 0, 200 * 1000 * 1000 }, NULL);
	}
	return 0;
}

/* The other scheme is worth trying: nothing listens, or what listens speaks the other one. */
static bool other_scheme_may_do(enum scheme scheme, int code, long status)
{
	if (scheme == SCHEME_HTTPS)
		return code == CURLE_COULDNT_CONNECT || code == CURLE_SSL_CONNECT_ERROR;
	return status == 400 || code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR ||
		code == CURLE_WEIRD_SERVER_REPLY ||
	       code == CURLE_UNSUPPORTED_PROTOCOL;
}

static bool worth_waiting(long status)
{
	return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

static int refused(struct transfer *t, const struct transfer_answer *answer, struct err *err)
{
	static const struct {
		long status;
		enum err_kind kind;
		const char *text;
	} rows[] = {
		{ 401, ERR_DENIED, "unauthorized" },	 { 403, ERR_DENIED, "forbidden" },
		{ 404, ERR_NOT_FOUND, "not found" },	 { 410, ERR_NOT_FOUND, "gone" },
		{ 429, ERR_UNAVAILABLE, "too many requests" },
	};
	const char *text = "unexpected answer";
	enum err_kind kind = answer->status >= 500 ? ERR_UNAVAILABLE : ERR_INTERNAL;
	char words[300];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].status == answer->status) {
			kind = rows[i].kind;
			text = rows[i].text;
		}
	session_server_words(t, words, sizeof(words));
	return err_set(err, kind, "%s (status %ld%s%s)", text, answer->status, *words ? ", " : "", words);
}

/* One way from the registry's URL over its redirects: a transfer with any answer but those. */
static int follow(struct registry_session *s, const char *first, const char *accept,
		  const char *authorization,
		  struct transfer **ret, const struct transfer_answer **ret_answer, int *ret_code,
			  struct err *err)
{
	autofree char *url = mem_strdup(first);

	for (int i = 0; i <= REDIRECTS_MAX; i++) {
		struct transfer_request req;
		int r;

		session_request(s, url, &req);
		req.accept = accept;
		/* credentials are for the registry alone, wherever it sends us */
		req.authorization = url_same_origin(url, first) ? authorization : NULL;
		r = transfer_start(&req, ret, ret_answer, ret_code, err);
		if (r < 0) {
			char host[200];

			host_of(url, host, sizeof(host));
			return i ? err_wrap(err, r, "redirected to %s", host) : r;
		}
		if ((*ret_answer)->status < 300 || (*ret_answer)->status >= 400 || !(*ret_answer)->location)
			return 0;
		if (str_skip_prefix(first, "https://") && !str_skip_prefix((*ret_answer)->location,
									   "https://")) {
			r = err_set(err, ERR_DENIED, "redirects from HTTPS to \"%.200s\"",
				    (*ret_answer)->location);
			transfer_free(*ret);
			return r;
		}
		free(url);
		url = mem_strdup((*ret_answer)->location);
		transfer_free(*ret);
	}
	return err_set(err, ERR_INVALID, "more than %d redirects", REDIRECTS_MAX);
}

/* path: what is behind /v2/<repository>/. A transfer that has been answered with 200. */
static int request(struct registry_session *s, const char *path, const char *accept, struct transfer **ret,
		   const struct transfer_answer **ret_answer, struct err *err)
{
	int waits = 0, logins = 0;

	for (;;) {
		autofree char *url = NULL, *authorization = NULL;
		const struct transfer_answer *answer = NULL;
		struct transfer *t = NULL;
		enum scheme scheme;
		unsigned generation;
		bool known, retry_scheme;
		int code = 0, r;

		pthread_mutex_lock(&s->mutex);
		scheme = s->schemes[s->scheme];
		known = s->scheme_known;
		generation = s->generation;
		authorization = s->authorization ? mem_strdup(s->authorization) : NULL;
		pthread_mutex_unlock(&s->mutex);
		url = mem_printf("%s://%s/v2/%s/%s", scheme == SCHEME_HTTP ? "http" : "https", s->host,
				 s->repository, path);
		r = follow(s, url, accept, authorization, &t, &answer, &code, err);
		retry_scheme = !known && s->n_schemes == 2 &&
			other_scheme_may_do(scheme, code, r < 0 ? 0 : answer->status);
		if (retry_scheme || (r == 0 && !known)) {
			pthread_mutex_lock(&s->mutex);
			if (!s->scheme_known) {
				if (retry_scheme && s->scheme == 0)
					s->scheme = 1;
				else
					s->scheme_known = true;
			}
			retry_scheme = retry_scheme && s->schemes[s->scheme] != scheme;
			pthread_mutex_unlock(&s->mutex);
			if (retry_scheme) {
				if (r == 0)
					transfer_free(t);
				err_clear(err);
				continue;
			}
		}
		if (r < 0)
			return r;
		if (answer->status == 200) {
			*ret = t;
			*ret_answer = answer;
			return 0;
		}
		if (answer->status == 401 && logins < 2 && (!*s->registry_token || !logins)) {
			logins++;
			r = session_authenticate(s, answer, generation, err);
			transfer_free(t);
			if (r < 0)
				return r;
			continue;
		}
		if (worth_waiting(answer->status) && waits < TRIES_MAX - 1) {
			int64_t wait = (NSEC_PER_SEC / 2) << waits++;

			if (answer->retry_after >= 0)
				wait = NSEC_PER_SEC *
				       (answer->retry_after < WAIT_MAX_S ? answer->retry_after : WAIT_MAX_S);
			transfer_free(t);
			r = nap(s, wait, err);
			if (r < 0)
				return r;
			continue;
		}
		r = refused(t, answer, err);
		transfer_free(t);
		return r;
	}
}

/* ---- what a pull needs ---- */

static const char manifest_types[] = "application/vnd.oci.image.index.v1+json, "
				     "application/vnd.docker.distribution.manifest.list.v2+json, "
				     "application/vnd.oci.image.manifest.v1+json, "
				     "application/vnd.docker.distribution.manifest.v2+json";

int registry_manifest_get(struct registry_session *s, const char *reference, struct buf *out,
			  char type[REGISTRY_TYPE_MAX], struct err *err)
{
	autofree char *path = mem_printf("manifests/%s", reference);
	const struct transfer_answer *answer;
	struct transfer *t;
	int r = request(s, path, manifest_types, &t, &answer, err);

	if (r == 0) {
		snprintf(type, REGISTRY_TYPE_MAX, "%s", answer->type);
		r = transfer_read_all(t, out, err);
		transfer_free(t);
	}
	return r < 0 ? err_wrap(err, r, "%s: manifest %s", s->host, reference) : 0;
}

struct registry_blob {
	struct registry_session *session;
	struct transfer *transfer;
	char digest[80];
};

int registry_blob_open(struct registry_session *s, const char *digest, struct registry_blob **ret,
		       struct err *err)
{
	autofree char *path = mem_printf("blobs/%s", digest);
	const struct transfer_answer *answer;
	struct registry_blob *b;
	struct transfer *t;
	int r = request(s, path, NULL, &t, &answer, err);

	if (r < 0)
		return err_wrap(err, r, "%s: blob %s", s->host, digest);
	b = mem_new(1, sizeof(*b));
	b->session = s;
	b->transfer = t;
	snprintf(b->digest, sizeof(b->digest), "%s", digest);
	*ret = b;
	return 0;
}

ssize_t registry_blob_read(struct registry_blob *b, void *buf, size_t len, struct err *err)
{
	ssize_t n = transfer_read(b->transfer, buf, len, err);

	return n < 0 ? err_wrap(err, (int)n, "%s: blob %s", b->session->host, b->digest) : n;
}

void registry_blob_close(struct registry_blob *b)
{
	if (!b)
		return;
	transfer_free(b->transfer);
	free(b);
}
