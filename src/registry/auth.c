/*
 * From a challenge to an Authorization header: Basic, or a token from the token server that
 * the registry names. The token server gets the credentials, since that is the protocol; so
 * it must be spoken to as safely as the registry itself.
 */
#include "registry/session.h"

#include "json/json.h"

#include <stdio.h>

enum { TOKEN_MAX = 64 * 1024 };

struct token_answer {
	char *token, *access_token;
};

static const struct json_field token_fields[] = {
	JSON_FIELD(STR, struct token_answer, token, "token", 0),
	JSON_FIELD(STR, struct token_answer, access_token, "access_token", 0),
};
static const struct json_type token_type = JSON_TYPE("token", struct token_answer, token_fields);

static char *basic(const char *username, const char *password)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(TOKEN_MAX);
	autofree char *pair = mem_printf("%s:%s", username, password);

	buf_puts(&out, "Basic ");
	base64_encode(pair, strlen(pair), &out);
	return buf_take_text(&out);
}

/* Appends name=value, percent-encoded. */
static void parameter(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "%s%s=", out->len ? "&" : "", name);
	/* RFC 3986: unreserved characters stand for themselves */
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
		    strchr("-._~", *p))
			buf_append(out, p, 1);
		else
			buf_printf(out, "%%%02X", *p);
}

static int fetch_token(struct endpoint *e, const struct challenge *c, char **ret, struct err *err)
{
	CLEANUP(buf_done) struct buf query = BUF_INIT(TOKEN_MAX), body = BUF_INIT(TOKEN_MAX);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofree char *scope = mem_printf("repository:%s:pull", e->repository), *url = NULL, *authorization =
		NULL;
	struct transfer_request req;
	const struct transfer_answer *answer;
	struct token_answer token;
	struct transfer *t = NULL;
	bool has_secret = *e->identity_token || *e->username;
	char words[300];
	int code, r;

	if (!str_skip_prefix(c->realm, "https://") && !str_skip_prefix(c->realm, "http://"))
		return err_set(err, ERR_INVALID, "its token server \"%.200s\" is no web address", c->realm);
	if (has_secret && !str_skip_prefix(c->realm, "https://") &&
	    e->host->schemes[e->scheme] == SCHEME_HTTPS)
		return err_set(err, ERR_DENIED,
			       "its token server %.200s would get the credentials in the clear", c->realm);
	if (*e->identity_token) {
		parameter(&query, "grant_type", "refresh_token");
		parameter(&query, "client_id", "caisson");
		parameter(&query, "refresh_token", e->identity_token);
	}
	parameter(&query, "service", c->service);
	parameter(&query, "scope", scope);
	if (*e->identity_token)
		url = mem_strdup(c->realm);
	else
		url = mem_printf("%s%s%s", c->realm, strchr(c->realm, '?') ? "&" : "?", buf_text(&query));
	endpoint_request_init(e, url, &req);
	if (*e->identity_token)
		req.form = buf_text(&query);
	else if (*e->username)
		req.authorization = authorization = basic(e->username, e->password);
	r = transfer_start(&req, &t, &answer, &code, err);
	if (r < 0)
		return err_wrap(err, r, "token server %.200s", c->realm);
	if (answer->status != 200) {
		bool denied = answer->status == 401 || answer->status == 403;

		endpoint_server_words(t, words, sizeof(words));
		r = err_set(err, denied ? ERR_DENIED : ERR_UNAVAILABLE,
			    "token server %.200s: status %ld%s%s%s", c->realm, answer->status,
			    *words ? ": " : "", words, has_secret ? "" : " (no credentials were given)");
	} else {
		r = transfer_read_all(t, &body, err);
		if (r == 0)
			r = json_read(&token_type, body.data, body.len, &a, &token, err);
		if (r < 0)
			err_wrap(err, r, "token server %.200s", c->realm);
	}
	transfer_free(t);
	if (r < 0)
		return r;
	if (str_empty(token.token))
		token.token = token.access_token;
	if (str_empty(token.token))
		return err_set(err, ERR_DENIED, "token server %.200s gave no token", c->realm);
	*ret = mem_printf("Bearer %s", token.token);
	return 0;
}

int endpoint_authenticate(struct endpoint *e, const struct transfer_answer *answer,
			 unsigned generation,
			 struct err *err)
{
	const struct challenge *chosen = NULL;
	char *fresh = NULL;
	int r = 0;

	for (size_t i = 0; i < answer->n_challenges; i++) {
		const struct challenge *c = &answer->challenges[i];

		/* a token is worth less than a password when it leaks */
		if (c->scheme == CHALLENGE_BEARER || (c->scheme == CHALLENGE_BASIC && !chosen))
			chosen = c;
	}
	if (!chosen)
		return err_set(err, ERR_DENIED, "asks for authentication in no known way");
	pthread_mutex_lock(&e->session->mutex);
	if (e->generation == generation) {
		if (*e->registry_token && e->generation > 0)
			r = err_set(err, ERR_DENIED, "refused the registry token");
		else if (chosen->scheme == CHALLENGE_BEARER)
			r = fetch_token(e, chosen, &fresh, err);
		else if (*e->username)
			fresh = basic(e->username, e->password);
		else
			r = err_set(err, ERR_DENIED,
				    "asks for a user name and password, and none were given");
		if (r == 0) {
			free(e->authorization);
			e->authorization = fresh;
			e->generation++;
		}
	}
	pthread_mutex_unlock(&e->session->mutex);
	return r;
}
