/*
 * curl under a pull interface. Invariants: the buffer never holds more than BODY_MAX bytes
 * (curl keeps one more chunk while paused); redirects are not followed here, since only the
 * session knows where credentials may go; no header or body is believed.
 */
#include "registry/transfer.h"

#include "registry/pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

enum { BODY_MAX = 1024 * 1024, CHUNK = 128 * 1024, SLICE_MS = 250 };
enum { RATE_MIN = 1024, PACE_SHARE = 16, DRAIN_MAX = 64 * 1024, DRAIN_MS = 50 };
#define STALL_SOON (5 * NSEC_PER_SEC)

struct transfer {
	CURL *easy;
	CURLM *multi;
	struct curl_slist *headers;
	const atomic_bool *cancel, *stop;
	const _Atomic uint64_t *pace;
	int64_t stall_timeout;
	struct buf body;
	size_t at; /* consumed of body */
	bool paused, headers_done, done;
	bool said_wait; /* Retry-After, in seconds or as a date: curl knows both */
	bool draining; /* what still comes is thrown away */
	struct pool *pool;
	char *url;
	/* the stall watch: what has come in all, and since when and from where it is measured */
	uint64_t received, mark, best;
	int64_t mark_at;
	CURLcode result;
	struct transfer_answer answer;
	struct arena arena;
	char message[CURL_ERROR_SIZE];
};

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct transfer *t = user;
	size_t len = size * n;

	t->headers_done = true;
	t->received += len;
	if (t->draining)
		return t->received <= DRAIN_MAX ? len : 0;
	if (t->at == t->body.len)
		t->body.len = t->at = 0;
	if (t->at && t->body.len + len > BODY_MAX) {
		buf_consume(&t->body, t->at);
		t->at = 0;
	}
	if (t->body.len + len > BODY_MAX) {
		t->paused = true;
		t->received -= len;
		return CURL_WRITEFUNC_PAUSE;
	}
	return buf_append(&t->body, data, len) < 0 ? 0 : len;
}

static bool header_is(const char *line, size_t len, const char *name, char value[CHALLENGE_LINE_MAX])
{
	size_t n = strlen(name);

	if (len < n + 1 || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return false;
	line += n + 1;
	len -= n + 1;
	while (len && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	while (len && strchr("\r\n \t", line[len - 1]))
		len--;
	if (len >= CHALLENGE_LINE_MAX || memchr(line, '\0', len))
		return false;
	memcpy(value, line, len);
	value[len] = '\0';
	return true;
}

static size_t on_header(char *data, size_t size, size_t n, void *user)
{
	struct transfer *t = user;
	struct transfer_answer *a = &t->answer;
	char value[CHALLENGE_LINE_MAX];
	size_t len = size * n;

	if (header_is(data, len, "WWW-Authenticate", value) && t->arena.used < 64 * 1024)
		a->n_challenges = challenge_parse(value, &t->arena, a->challenges, a->n_challenges);
	else if (header_is(data, len, "Content-Type", value))
		snprintf(a->type, sizeof(a->type), "%s", value);
	else if (header_is(data, len, "Retry-After", value))
		t->said_wait = true;
	else if (header_is(data, len, "Content-Range", value))
		a->has_range = content_range_parse(value, &a->range_from, &a->range_to, &a->range_total) == 0;
	else if (len <= 2) {
		long status = 0;

		curl.easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		/* 1xx answers come before the one that counts */
		if (status >= 200)
			t->headers_done = true;
	}
	return len;
}

static long seconds(int64_t ns, long none)
{
	return ns ? (long)((ns + NSEC_PER_SEC - 1) / NSEC_PER_SEC) : none;
}

static void set_options(struct transfer *t, const struct transfer_request *req)
{
	CURL *c = t->easy;

	curl.easy_setopt(c, CURLOPT_URL, req->url);
	curl.easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl.easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	/* a name that is being looked up does not hold who gives up */
	curl.easy_setopt(c, CURLOPT_QUICK_EXIT, 1L);
	curl.easy_setopt(c, CURLOPT_USERAGENT, "caisson/" CAISSON_VERSION);
	curl.easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
	curl.easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl.easy_setopt(c, CURLOPT_WRITEDATA, t);
	curl.easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl.easy_setopt(c, CURLOPT_HEADERDATA, t);
	curl.easy_setopt(c, CURLOPT_BUFFERSIZE, (long)CHUNK);
	curl.easy_setopt(c, CURLOPT_ERRORBUFFER, t->message);
	curl.easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
			 req->connect_timeout ? (long)(req->connect_timeout / NSEC_PER_MSEC) : 10000L);
	curl.easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl.easy_setopt(c, CURLOPT_LOW_SPEED_TIME, seconds(req->stall_timeout, 30));
	curl.easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	if (req->form)
		curl.easy_setopt(c, CURLOPT_COPYPOSTFIELDS, req->form);
	if (req->range)
		curl.easy_setopt(c, CURLOPT_RANGE, req->range);
	if (t->pool)
		curl.easy_setopt(c, CURLOPT_SHARE, pool_share(t->pool));
	/* curl leaves the name in capitals alone, which a CGI program gets from its client; nodes set it */
	if (req->direct)
		curl.easy_setopt(c, CURLOPT_PROXY, "");
	else if (str_skip_prefix(req->url, "http://") && !getenv("http_proxy") && getenv("HTTP_PROXY"))
		curl.easy_setopt(c, CURLOPT_PROXY, getenv("HTTP_PROXY"));
	if (req->ca) {
		struct curl_blob pem = { (void *)req->ca, strlen(req->ca), CURL_BLOB_COPY };

		curl.easy_setopt(c, CURLOPT_CAINFO_BLOB, &pem);
	} else if (req->ca_file) {
		curl.easy_setopt(c, CURLOPT_CAINFO, req->ca_file);
	}
	if (req->client_cert) {
		curl.easy_setopt(c, CURLOPT_SSLCERT, req->client_cert);
		curl.easy_setopt(c, CURLOPT_SSLKEY, req->client_key);
	}
	curl.easy_setopt(c, CURLOPT_SSL_VERIFYPEER, req->verify ? 1L : 0L);
	curl.easy_setopt(c, CURLOPT_SSL_VERIFYHOST, req->verify ? 2L : 0L);
}

static const char *failure(const struct transfer *t)
{
	return *t->message ? t->message : curl.easy_strerror(t->result);
}

static int failed(struct transfer *t, struct err *err)
{
	switch (t->result) {
	case CURLE_OPERATION_TIMEDOUT:
		if (t->headers_done)
			return err_set(err, ERR_UNAVAILABLE, "stopped sending (nothing for %ld s)",
				       seconds(t->stall_timeout, 30));
		return err_set(err, ERR_UNAVAILABLE, "no answer: %s", failure(t));
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		return err_set(err, ERR_DENIED, "its certificate is not trusted: %s", failure(t));
	default:
		return err_set(err, ERR_UNAVAILABLE, "%s", failure(t));
	}
}

/* Lets curl work until something changed or a slice of time went by. */
static int step(struct transfer *t, struct err *err)
{
	CURLMsg *msg;
	int running, left;

	if ((t->cancel && atomic_load(t->cancel)) || (t->stop && atomic_load(t->stop)))
		return err_set(err, ERR_CANCELLED, "cancelled");
	if (curl.multi_perform(t->multi, &running) != CURLM_OK)
		return err_set(err, ERR_INTERNAL, "curl_multi_perform");
	while ((msg = curl.multi_info_read(t->multi, &left)))
		if (msg->msg == CURLMSG_DONE) {
			t->done = t->headers_done = true;
			t->result = msg->data.result;
		}
	return 0;
}

/* Slower than this connection has shown that it can be, or than others are, for too long. */
static int check_stall(struct transfer *t, struct err *err)
{
	int64_t now = time_now_mono(), patience = t->stall_timeout ? t->stall_timeout : 30 * NSEC_PER_SEC;
	int64_t elapsed = now - t->mark_at;
	uint64_t rate, pace = t->pace ? atomic_load(t->pace) : 0;

	if (elapsed < NSEC_PER_SEC)
		return 0;
	rate = (t->received - t->mark) * 1000 / (uint64_t)(elapsed / NSEC_PER_MSEC);
	if (rate > t->best)
		t->best = rate;
	if (rate < pace / PACE_SHARE)
		return err_set(err, ERR_UNAVAILABLE, "slow (%" PRIu64 " B/s, other connections have %" PRIu64 ")",
			       rate, pace);
	if (rate >= RATE_MIN && rate >= t->best / 100) {
		t->mark_at = now;
		t->mark = t->received;
		return 0;
	}
	if (t->best >= RATE_MIN && patience > STALL_SOON)
		patience = STALL_SOON;
	if (elapsed < patience)
		return 0;
	return err_set(err, ERR_UNAVAILABLE, "stopped sending (%" PRIu64 " B/s for %lld s)", rate,
		       (long long)(elapsed / NSEC_PER_SEC));
}

static int wait_more(struct transfer *t, struct err *err)
{
	if (curl.multi_poll(t->multi, NULL, 0, SLICE_MS, NULL) != CURLM_OK)
		return err_set(err, ERR_INTERNAL, "curl_multi_poll");
	return step(t, err);
}

static int header_line(struct transfer *t, const char *line)
{
	struct curl_slist *more;

	/* what comes from outside must not smuggle a header */
	if (strpbrk(line, "\r\n"))
		return -EINVAL;
	more = curl.slist_append(t->headers, line);
	if (!more)
		return -ENOMEM;
	t->headers = more;
	return 0;
}

static int header(struct transfer *t, const char *name, const char *value)
{
	autofree char *line = value ? mem_printf("%s: %s", name, value) : NULL;

	return line ? header_line(t, line) : 0;
}

static int set_headers(struct transfer *t, const struct transfer_request *req)
{
	int r = header(t, "Authorization", req->authorization);

	if (r == 0)
		r = header(t, "Accept", req->accept);
	for (size_t i = 0; r == 0 && i < req->n_headers; i++)
		r = header_line(t, req->headers[i]);
	return r;
}

static void set_protocol(struct transfer *t)
{
	static const struct {
		long version;
		const char *name;
	} names[] = { { CURL_HTTP_VERSION_1_0, "HTTP/1.0" }, { CURL_HTTP_VERSION_1_1, "HTTP/1.1" },
		      { CURL_HTTP_VERSION_2_0, "HTTP/2" }, { CURL_HTTP_VERSION_3, "HTTP/3" } };
	long version = 0;

	curl.easy_getinfo(t->easy, CURLINFO_HTTP_VERSION, &version);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].version == version)
			snprintf(t->answer.protocol, sizeof(t->answer.protocol), "%s", names[i].name);
}

int transfer_start(const struct transfer_request *req, struct transfer **ret,
		   const struct transfer_answer **ret_answer, int *ret_code, struct err *err)
{
	struct transfer *t;
	char *url = NULL;
	curl_off_t wait = 0;
	int r;

	*ret_code = 0;
	r = curl_load(err);
	if (r < 0)
		return r;
	t = mem_new(1, sizeof(*t));
	t->cancel = req->cancel;
	t->stop = req->stop;
	t->pace = req->pace;
	t->stall_timeout = req->stall_timeout;
	t->pool = req->pool;
	t->url = mem_strdup(req->url);
	t->body.max = BODY_MAX + 1;
	t->answer.retry_after = -1;
	t->easy = curl.easy_init();
	if (t->pool)
		atomic_fetch_add(&t->pool->requests, 1);
	t->multi = t->pool ? pool_take(t->pool, req->url) : curl.multi_init();
	if (!t->easy || !t->multi) {
		transfer_free(t);
		return err_sys(err, ENOMEM, "curl");
	}
	if (set_headers(t, req) < 0) {
		transfer_free(t);
		return err_set(err, ERR_INVALID, "credentials or headers hold a line break");
	}
	set_options(t, req);
	curl.multi_add_handle(t->multi, t->easy);
	r = step(t, err);
	while (r == 0 && !t->headers_done)
		r = wait_more(t, err);
	if (r == 0 && t->done && t->result != CURLE_OK) {
		*ret_code = t->result;
		curl.easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->answer.status);
		t->headers_done = t->answer.status > 0;
		r = failed(t, err);
	}
	if (r < 0) {
		transfer_free(t);
		return r;
	}
	curl.easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->answer.status);
	curl.easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &url);
	t->answer.location = arena_strdup(&t->arena, url);
	curl.easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &wait);
	if (t->said_wait)
		t->answer.retry_after = wait;
	set_protocol(t);
	t->mark_at = time_now_mono();
	*ret = t;
	*ret_answer = &t->answer;
	return 0;
}

ssize_t transfer_read(struct transfer *t, void *buf, size_t len, struct err *err)
{
	while (t->at == t->body.len) {
		int r;

		if (t->done)
			return t->result == CURLE_OK ? 0 : failed(t, err);
		if (t->paused) {
			t->paused = false;
			t->at = t->body.len = 0;
			t->mark_at = time_now_mono();
			t->mark = t->received;
			curl.easy_pause(t->easy, CURLPAUSE_CONT);
			continue;
		}
		r = step(t, err);
		if (r == 0 && t->at == t->body.len && !t->done)
			r = wait_more(t, err);
		if (r == 0 && t->at == t->body.len && !t->done)
			r = check_stall(t, err);
		if (r < 0)
			return r;
	}
	if (len > t->body.len - t->at)
		len = t->body.len - t->at;
	memcpy(buf, t->body.data + t->at, len);
	t->at += len;
	return (ssize_t)len;
}

int transfer_read_all(struct transfer *t, struct buf *out, struct err *err)
{
	autofree uint8_t *chunk = mem_new(16384, 1);
	ssize_t n;

	while ((n = transfer_read(t, chunk, 16384, err)) > 0)
		if (buf_append(out, chunk, (size_t)n) < 0)
			return err_set(err, ERR_LIMIT, "the answer has more than %zu bytes", out->max);
	return (int)n;
}

/* A short answer that nobody wants is read to its end, so that its connection can be used again. */
static void drain(struct transfer *t)
{
	int64_t until = time_now_mono() + DRAIN_MS * NSEC_PER_MSEC;

	if (!t->pool || t->done || !t->headers_done || t->answer.status / 100 == 2)
		return;
	t->draining = true;
	t->received = 0;
	if (t->paused)
		curl.easy_pause(t->easy, CURLPAUSE_CONT);
	while (step(t, NULL) == 0 && !t->done && time_now_mono() < until)
		if (curl.multi_poll(t->multi, NULL, 0, 10, NULL) != CURLM_OK)
			break;
}

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	drain(t);
	if (t->multi && t->easy)
		curl.multi_remove_handle(t->multi, t->easy);
	curl.easy_cleanup(t->easy);
	if (t->multi && t->pool)
		pool_give(t->pool, t->multi, t->url);
	else if (t->multi)
		curl.multi_cleanup(t->multi);
	free(t->url);
	curl.slist_free_all(t->headers);
	buf_done(&t->body);
	arena_done(&t->arena);
	free(t);
}
