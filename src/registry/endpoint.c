/*
 * Requests to one host: which scheme, which authorization, redirects, patience. What goes over
 * the wire is in transfer.c, what authentication means in auth.c, which host is asked in
 * session.c.
 */
#include "registry/session.h"

#include "json/json.h"
#include "registry/curl.h"

#include <stdio.h>

enum { REDIRECTS_MAX = 5, TRIES_MAX = 4, WAIT_MAX_S = 10 };

static void host_of(const char *url, char *out, size_t size)
{
	const char *s = strstr(url, "://");

	s = s ? s + 3 : url;
	snprintf(out, size, "%.*s", (int)strcspn(s, "/?#"), s);
}

/*
 * Certificates and headers are one host's own: where a redirect or a token server leads to
 * another, only the authorities that are trusted stay as they are.
 */
void endpoint_request_init(const struct endpoint *e, const char *url, struct transfer_request *req)
{
	const struct policy_rest *rest = policy_rest(e->session->policy);
	const struct host *h = e->host;
	char host[300];
	bool own;

	host_of(url, host, sizeof(host));
	own = str_eq(host, h->name);
	*req = (struct transfer_request){
		.pool = &e->session->reg->pool,
		.url = url,
		.verify = !(own && h->skip_verify) && !policy_insecure(e->session->policy, host),
		.direct = host_is_loopback(host),
		.ca = h->ca,
		.ca_file = rest->ca_file,
		.client_cert = own ? h->client_cert : NULL,
		.client_key = own ? h->client_key : NULL,
		.headers = h->headers,
		.n_headers = own ? h->n_headers : 0,
		.connect_timeout = h->connect_timeout,
		.stall_timeout = rest->stall_timeout,
		.cancel = e->session->cancel,
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

void endpoint_server_words(struct transfer *t, char *out, size_t size)
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
		{ 416, ERR_CORRUPT, "has less of it than its size says" },
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
	endpoint_server_words(t, words, sizeof(words));
	return err_set(err, kind, "%s (status %ld%s%s)", text, answer->status, *words ? ", " : "", words);
}

/* One way from the registry's URL over its redirects: a transfer with any answer but those. */
static int follow(struct endpoint *e, const char *first, const struct endpoint_request *request,
		  const char *authorization, struct transfer **ret, const struct transfer_answer **ret_answer,
		  int *ret_code, bool *ret_elsewhere, struct err *err)
{
	autofree char *url = mem_strdup(first);

	for (int i = 0; i <= REDIRECTS_MAX; i++) {
		struct transfer_request req;
		int r;

		endpoint_request_init(e, url, &req);
		req.accept = request->accept;
		req.range = request->range;
		req.stop = request->stop;
		req.pace = request->pace;
		/* credentials are for the registry alone, wherever it sends us */
		*ret_elsewhere = !url_same_origin(url, first);
		req.authorization = *ret_elsewhere ? NULL : authorization;
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

/* What a request goes by, taken under the mutex. */
struct attempt {
	enum scheme scheme;
	bool known;
	unsigned generation;
	char *authorization;
};

static struct attempt attempt_now(struct endpoint *e)
{
	struct attempt a;

	pthread_mutex_lock(&e->session->mutex);
	a = (struct attempt){ e->host->schemes[e->scheme], e->scheme_known, e->generation,
			      e->authorization ? mem_strdup(e->authorization) : NULL };
	pthread_mutex_unlock(&e->session->mutex);
	return a;
}

/* An answer, or none, to a scheme that was a guess: true when the other one is to be tried. */
static bool try_other_scheme(struct endpoint *e, const struct attempt *a, bool answered, bool other)
{
	if (a->known || (!answered && !other))
		return false;
	pthread_mutex_lock(&e->session->mutex);
	if (!e->scheme_known) {
		if (other && e->scheme == 0)
			e->scheme = 1;
		else
			e->scheme_known = true;
	}
	other = other && e->host->schemes[e->scheme] != a->scheme;
	pthread_mutex_unlock(&e->session->mutex);
	return other;
}

/* 1: the same again is worth it, after what was done; 0: the answer stands; negative. */
static int again(struct endpoint *e, const struct transfer_answer *answer, const struct attempt *a,
		 int *logins,
		 int *waits, struct err *err)
{
	int64_t wait;
	int r;

	if (answer->status == 401 && *logins < 2) {
		++*logins;
		r = endpoint_authenticate(e, answer, a->generation, err);
		return r < 0 ? r : 1;
	}
	if (!worth_waiting(answer->status) || *waits >= TRIES_MAX - 1)
		return 0;
	wait = (NSEC_PER_SEC / 2) << (*waits)++;
	if (answer->retry_after >= 0)
		wait = NSEC_PER_SEC * (answer->retry_after < WAIT_MAX_S ? answer->retry_after : WAIT_MAX_S);
	r = session_nap(e->session->cancel, wait, err);
	return r < 0 ? r : 1;
}

/* A refusal ends with the credentials that were refused. */
static int whose(struct endpoint *e, int r, struct err *err)
{
	size_t n = strlen(err->text);

	pthread_mutex_lock(&e->session->mutex);
	if (*e->credentials.source)
		snprintf(err->text + n, sizeof(err->text) - n, " (credentials from %.300s)",
			 e->credentials.source);
	else
		snprintf(err->text + n, sizeof(err->text) - n, " (no credentials for it are known)");
	pthread_mutex_unlock(&e->session->mutex);
	return r;
}

int endpoint_get(struct endpoint *e, const struct endpoint_request *request, struct transfer **ret,
		 const struct transfer_answer **ret_answer, struct err *err)
{
	int waits = 0, logins = 0;

	if (e->host->broken)
		return err_set(err, ERR_INVALID, "%s", e->host->broken);
	for (;;) {
		const struct transfer_answer *answer = NULL;
		struct attempt a = attempt_now(e);
		autofree char *authorization = a.authorization;
		autofree char *url = mem_printf("%s://%s%s/%s/%s%s",
						a.scheme == SCHEME_HTTP ? "http" : "https",
						e->host->name, e->host->path, e->repository, request->path,
						e->query);
		struct transfer *t = NULL;
		bool elsewhere = false;
		int code = 0, r;

		r = follow(e, url, request, authorization, &t, &answer, &code, &elsewhere, err);
		if (try_other_scheme(e, &a, r == 0, e->host->n_schemes == 2 &&
				     other_scheme_may_do(a.scheme, code, r < 0 ? 0 : answer->status))) {
			if (r == 0)
				transfer_free(t);
			err_clear(err);
			continue;
		}
		if (r < 0)
			return r;
		if (answer->status == 200 || (answer->status == 206 && request->range)) {
			*ret = t;
			*ret_answer = answer;
			return 0;
		}
		/* whoever it sent us to has no business with our credentials, and its challenge none with us */
		r = elsewhere && answer->status == 401 ? 0 : again(e, answer, &a, &logins, &waits, err);
		if (r == 0)
			r = refused(t, answer, err);
		transfer_free(t);
		if (r < 0)
			return err && err->kind == ERR_DENIED ? whose(e, r, err) : r;
	}
}

void endpoint_address(struct endpoint *e, char *out, size_t size)
{
	pthread_mutex_lock(&e->session->mutex);
	snprintf(out, size, "%s://%s%s", e->host->schemes[e->scheme] == SCHEME_HTTP ? "http" : "https",
		 e->host->name, e->host->path);
	pthread_mutex_unlock(&e->session->mutex);
}
