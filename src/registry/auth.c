/*
 * From a challenge to an Authorization header: Basic, or a token from the token server that
 * the registry names. The token server gets the credentials, since that is the protocol; so
 * it must be spoken to as safely as the registry itself.
 */
#include "registry/session.h"

#include "registry/token.h"

#include <stdio.h>

enum { TOKEN_MAX = 64 * 1024 };

static char *basic(const struct credentials *c)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(TOKEN_MAX);
	autofree char *pair = mem_printf("%s:%s", c->username, c->password);

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

/* The scope that we know, and the one that the server names when it is for pulling as well. */
static void scopes(const struct endpoint *e, const struct challenge *c, bool form, struct buf *query)
{
	autofree char *ours = mem_printf("repository:%s:pull", e->repository);
	autofree char *both = mem_printf("%s %s", ours, c->scope);
	bool more = !str_eq(c->scope, ours) && str_skip_prefix(c->scope, "repository:") &&
		    str_has_suffix(c->scope, ":pull") && !strchr(c->scope, ' ');

	/* OAuth2 has them in one parameter, the older way has one each */
	parameter(query, "scope", form && more ? both : ours);
	if (!form && more)
		parameter(query, "scope", c->scope);
}

enum token_way { WAY_GET, WAY_REFRESH, WAY_PASSWORD };

/* One request to the token server: 1 when it does not know this way. */
static int ask(struct endpoint *e, const struct challenge *c, enum token_way way, char **ret, struct err *err)
{
	CLEANUP(buf_done) struct buf query = BUF_INIT(TOKEN_MAX), body = BUF_INIT(TOKEN_MAX);
	const struct credentials *cr = &e->credentials;
	autofree char *url = NULL, *authorization = NULL;
	const struct transfer_answer *answer;
	struct transfer_request req;
	struct transfer *t = NULL;
	char words[300];
	int code, r;

	if (way == WAY_REFRESH) {
		parameter(&query, "grant_type", "refresh_token");
		parameter(&query, "refresh_token", cr->identity_token);
	} else if (way == WAY_PASSWORD) {
		parameter(&query, "grant_type", "password");
		parameter(&query, "username", cr->username);
		parameter(&query, "password", cr->password);
	}
	if (way != WAY_GET)
		parameter(&query, "client_id", "caisson");
	parameter(&query, "service", c->service);
	scopes(e, c, way != WAY_GET, &query);
	if (way == WAY_GET)
		url = mem_printf("%s%s%s", c->realm, strchr(c->realm, '?') ? "&" : "?", buf_text(&query));
	else
		url = mem_strdup(c->realm);
	endpoint_request_init(e, url, &req);
	if (way != WAY_GET)
		req.form = buf_text(&query);
	else if (*cr->username)
		req.authorization = authorization = basic(cr);
	r = transfer_start(&req, &t, &answer, &code, err);
	if (r < 0)
		return r;
	if (answer->status == 200) {
		r = transfer_read_all(t, &body, err);
		if (r == 0)
			r = token_read(body.data, body.len, ret, err);
	} else if (way == WAY_GET && *cr->username && (answer->status == 404 || answer->status == 405)) {
		r = 1;
	} else {
		endpoint_server_words(t, words, sizeof(words));
		r = err_set(err, answer->status < 500 ? ERR_DENIED : ERR_UNAVAILABLE, "status %ld%s%s",
			    answer->status, *words ? ": " : "", words);
	}
	transfer_free(t);
	return r;
}

static int fetch_token(struct endpoint *e, const struct challenge *c, char **ret, struct err *err)
{
	bool has_secret = *e->credentials.identity_token || *e->credentials.username;
	autofree char *token = NULL;
	int r;

	if (!str_skip_prefix(c->realm, "https://") && !str_skip_prefix(c->realm, "http://"))
		return err_set(err, ERR_INVALID, "its token server \"%.200s\" is no web address", c->realm);
	if (has_secret && !str_skip_prefix(c->realm, "https://") &&
	    e->host->schemes[e->scheme] == SCHEME_HTTPS)
		return err_set(err, ERR_DENIED,
			       "its token server %.200s would get the credentials in the clear", c->realm);
	r = ask(e, c, *e->credentials.identity_token ? WAY_REFRESH : WAY_GET, &token, err);
	if (r == 1)
		r = ask(e, c, WAY_PASSWORD, &token, err);
	if (r < 0)
		return err_wrap(err, r, "token server %.200s", c->realm);
	*ret = mem_printf("Bearer %s", token);
	return 0;
}

/* Under the mutex. What the caller did not bring may lie on the node. */
static int look_up(struct endpoint *e, struct err *err)
{
	const struct policy_rest *rest = policy_rest(e->session->policy);
	struct credentials found = { "", "", "", "", "" };
	int r;

	if (e->looked_up)
		return 0;
	r = credentials_find(rest->auth_files, rest->n_auth_files, e->host->name, e->repository,
			     &e->session->arena, &found, err);
	if (r < 0)
		return r;
	e->looked_up = true;
	if (r > 0)
		e->credentials = found;
	return 0;
}

/* Under the mutex. */
static int answer_challenge(struct endpoint *e, const struct challenge *c, char **ret, struct err *err)
{
	const struct credentials *cr = &e->credentials;
	int r = look_up(e, err);

	if (r < 0)
		return r;
	if (*cr->registry_token && e->generation > 0)
		return err_set(err, ERR_DENIED, "refused the registry token");
	if (*cr->registry_token) {
		*ret = mem_printf("Bearer %s", cr->registry_token);
		return 0;
	}
	if (c->scheme == CHALLENGE_BEARER)
		return fetch_token(e, c, ret, err);
	if (!*cr->username)
		return err_set(err, ERR_DENIED, "asks for a user name and password");
	*ret = basic(cr);
	return 0;
}

int endpoint_authenticate(struct endpoint *e, const struct transfer_answer *answer, unsigned generation,
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
		r = answer_challenge(e, chosen, &fresh, err);
		if (r == 0) {
			free(e->authorization);
			e->authorization = fresh;
			e->generation++;
		}
	}
	pthread_mutex_unlock(&e->session->mutex);
	return r;
}
