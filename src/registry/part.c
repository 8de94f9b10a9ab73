/*
 * What is not believed: that a range is the one that was asked for, that the end of a body is
 * the end of the blob. What is bounded: tries without progress, and what counts as progress
 * (a server that gives one byte a connection gives nothing).
 */
#include "registry/part.h"

#include <inttypes.h>
#include <stdio.h>

enum { PROGRESS_MIN = 256 * 1024, SKIP_CHUNK = 64 * 1024 };

static void drop(struct part *p)
{
	transfer_free(p->transfer);
	p->transfer = NULL;
	if (p->has_permit)
		pool_permit_return(&p->session->reg->pool);
	p->has_permit = false;
}

void part_close(struct part *p)
{
	drop(p);
}

/* 0, or what is wrong with an answer to a range. */
static int check_answer(struct part *p, const struct transfer_answer *a, bool *ret_whole, struct err *err)
{
	bool all = p->end >= p->size;

	p->skip = 0;
	*ret_whole = a->status == 200;
	if (a->status == 200 && p->at == 0)
		return 0;
	if (a->status == 200) {
		/* to read a large blob again for each of its pieces is no help */
		if (!all)
			return err_set(err, ERR_UNAVAILABLE, "does not know ranges");
		p->skip = p->at;
		return 0;
	}
	if (!a->has_range || a->range_from != p->at || a->range_to >= p->end ||
	    (a->range_total && a->range_total != p->size))
		return err_set(err, ERR_UNAVAILABLE,
			       "answered with bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 ", asked for %" PRIu64
			       "-%" PRIu64 "/%" PRIu64, a->range_from, a->range_to, a->range_total, p->at,
			       p->end - 1, p->size);
	return 0;
}

static int ask(struct part *p, const struct endpoint *last, bool *ret_whole, struct err *err)
{
	struct registry_session *s = p->session;
	autofree char *path = mem_printf("blobs/%s", p->digest), *what = mem_printf("blob %s", p->digest);
	const struct transfer_answer *answer;
	char range[48];
	struct endpoint_request req = { .path = path, .stop = p->stop, .pace = p->pace };
	int r;

	/* a whole blob without a range: what any server knows */
	if ((p->at || p->end < p->size) && p->end > p->at) {
		snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, p->at, p->end - 1);
		req.range = range;
	}
	r = p->has_permit ? 0 : pool_permit(&s->reg->pool, s->cancel, err);
	if (r < 0)
		return r;
	p->has_permit = true;
	r = session_ask(s, &req, false, what, last, &p->endpoint, &p->transfer, &answer, err);
	if (r == 0 && (r = check_answer(p, answer, ret_whole, err)) < 0)
		r = err_wrap(err, r, "%s: %s", p->endpoint->host->name, what);
	if (r < 0)
		drop(p);
	return r;
}

int part_open(struct part *p, bool *ret_whole, struct err *err)
{
	p->mark = p->at;
	return ask(p, NULL, ret_whole, err);
}

/* Something ended too early. 0 to ask again; the error, with what has been done, when not. */
static int failed(struct part *p, int r, struct err *err)
{
	struct err nap = ERR_INIT;
	int64_t wait;

	drop(p);
	p->pace = NULL; /* where it is slow everywhere it is as it is */
	if (err && err->kind != ERR_UNAVAILABLE)
		return r;
	if (p->at - p->mark >= PROGRESS_MIN)
		p->failures = 0;
	p->mark = p->at;
	if (++p->failures >= BLOB_TRIES)
		return r;
	atomic_fetch_add(&p->session->reg->pool.retries, 1);
	/* at once where it had been moving, with patience where it did not */
	wait = p->failures == 1 ? 0 : (NSEC_PER_SEC / 8) << p->failures;
	r = session_nap(p->session->cancel, wait, &nap);
	if (r < 0 && err)
		*err = nap;
	return r;
}

/* The answer had all of the blob: what we have of it is read over. */
static int skip(struct part *p, struct err *err)
{
	autofree uint8_t *chunk = mem_new(SKIP_CHUNK, 1);

	while (p->skip) {
		ssize_t n = transfer_read(p->transfer, chunk, p->skip < SKIP_CHUNK ? p->skip : SKIP_CHUNK,
					  err);

		if (n < 0)
			return (int)n;
		if (!n)
			return err_set(err, ERR_UNAVAILABLE, "ends before byte %" PRIu64, p->at);
		p->skip -= (uint64_t)n;
	}
	return 0;
}

/* One read of the transfer that is there. */
static ssize_t read_once(struct part *p, void *buf, size_t len, struct err *err)
{
	int r = skip(p, err);
	ssize_t n = r < 0 ? r : transfer_read(p->transfer, buf, len, err);

	if (n < 0)
		return err_wrap(err, (int)n, "%s: blob %s", p->endpoint->host->name, p->digest);
	return n;
}

ssize_t part_read(struct part *p, void *buf, size_t len, struct err *err)
{
	uint64_t ended_at = UINT64_MAX;

	if (p->end < p->size && len > p->end - p->at)
		len = p->end - p->at;
	while (len) {
		struct err one = ERR_INIT;
		ssize_t n = 0;
		bool whole;
		int r = 0;

		if (!p->transfer)
			r = ask(p, p->failures ? p->endpoint : NULL, &whole, &one);
		if (r == 0)
			n = read_once(p, buf, len, &one);
		if (r == 0 && n > 0) {
			p->at += (uint64_t)n;
			return n;
		}
		/* past the end nothing may come; before it, a second host or try may know better */
		if (r == 0 && n == 0 && (p->at >= p->end || ended_at == p->at))
			return 0;
		if (r == 0 && n == 0) {
			ended_at = p->at;
			err_set(&one, ERR_UNAVAILABLE,
				"%s: blob %s: ends after %" PRIu64 " of %" PRIu64 " bytes",
				p->endpoint->host->name, p->digest, p->at, p->size);
		}
		r = failed(p, r < 0 ? r : n < 0 ? (int)n : -EIO, &one);
		if (r < 0) {
			if (err)
				*err = one;
			return r;
		}
	}
	return 0;
}
