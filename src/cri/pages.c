/*
 * The Stream* lists: what the lists of the same names say (lists.h), page by page.
 *
 * At the beginning the ids are taken, then page after page is made of what has that id by
 * then; what is gone in between is left out. The next page is made when the client has read
 * the last one, so a list of any length costs the memory of one page, and a client that reads
 * slowly or not at all delays nobody. Stats are read on a worker, a page a thread.
 *
 * A page is PAGE_BYTES or PAGE_ITEMS, whichever comes first.
 */
#include "cri/lists.h"

enum { PAGE_BYTES = 1 << 20, PAGE_ITEMS = 256, PAGE_MAX = GRPC_MESSAGE_MAX };

struct pager {
	struct cri_call *call;
	struct arena arena; /* ids; the call's own is emptied after each page */
	char **ids;
	size_t n_ids, at;
	struct buf page;
	bool busy; /* a page is being made or sent: whoever does that goes on by itself */
	bool left;
	struct err err;
	int r;
};

static void next(struct pager *p);

/* ---- pages ---- */

static void finish(struct pager *p, const struct err *err)
{
	struct cri_call *c = p->call;
	struct err why = err ? *err : (struct err)ERR_INIT;

	grpc_call_on_drain(c->grpc, NULL, NULL);
	buf_done(&p->page);
	arena_done(&p->arena);
	free(p);
	cri_stream_end(c, err ? &why : NULL);
}

static void fill(void *user)
{
	struct pager *p = user;
	size_t items = 0;

	p->r = 0;
	/* what is gone counts for nothing: only the last page may be empty */
	while (p->r == 0 && p->at < p->n_ids && items < PAGE_ITEMS && p->page.len < PAGE_BYTES) {
		size_t before = p->page.len;

		p->r = p->call->method->list->put(p->call, p->ids[p->at++], &p->page, &p->err);
		items += p->page.len > before;
	}
	arena_done(&p->call->arena);
}

static void filled(void *user)
{
	struct pager *p = user;

	if (p->left) {
		finish(p, NULL);
		return;
	}
	if (p->r == 0 && p->page.len) {
		p->r = grpc_call_send(p->call->grpc, p->page.data, p->page.len);
		if (p->r < 0 && p->r != -ECANCELED)
			err_sysk(&p->err, ERR_LIMIT, p->r, "send a page of %zu bytes", p->page.len);
	}
	p->page.len = 0;
	p->busy = false;
	if (p->left)
		finish(p, NULL);
	else if (p->r == -ECANCELED)
		return; /* the client left: on_left comes */
	else if (p->r < 0)
		finish(p, &p->err);
	else if (p->at == p->n_ids)
		finish(p, NULL);
	else if (!grpc_call_pending(p->call->grpc))
		next(p);
	/* else on_drain goes on */
}

static void next(struct pager *p)
{
	int r = 0;

	p->busy = true;
	if (!p->call->method->list->row) { /* the kernel is asked */
		r = event_work(p->call->cri->settings.loop, fill, filled, p);
		if (r < 0) {
			err_sys(&p->err, r, "start a thread");
			finish(p, &p->err);
		}
		return;
	}
	fill(p);
	filled(p);
}

static void on_drain(void *user)
{
	struct pager *p = user;

	/* comes from inside the sending, too, when the socket takes all at once */
	if (!p->busy)
		next(p);
}

static void on_left(struct cri_call *c)
{
	struct pager *p = c->stream;

	p->left = true;
	if (!p->busy)
		finish(p, NULL);
}

int cri_list_pages(struct cri_call *c, const void *request, struct err *err)
{
	struct pager *p = mem_new(1, sizeof(*p));

	p->call = c;
	p->page = (struct buf)BUF_INIT(PAGE_MAX);
	p->ids = cri_list_ids(c, request, &p->arena, &p->n_ids);
	c->stream = p;
	c->left = on_left;
	grpc_call_on_drain(c->grpc, on_drain, p);
	next(p);
	return 0;
}
