/*
 * The Stream* lists: what the lists of the same names say, page by page.
 *
 * At the beginning the ids are taken, then page after page is made of what has that id by
 * then; what is gone in between is left out. The next page is made when the client has read
 * the last one, so a list of any length costs the memory of one page, and a client that reads
 * slowly or not at all delays nobody. Stats are read on a worker, a page a thread.
 *
 * A page is PAGE_BYTES or PAGE_ITEMS, whichever comes first. Items are packed while their
 * strings are valid (under pod_lock), as the one repeated field that each answer has.
 */
#include "cri/call.h"
#include "cri/filter.h"

#include "image/image.h"

enum { PAGE_BYTES = 1 << 20, PAGE_ITEMS = 256, PAGE_MAX = GRPC_MESSAGE_MAX };

struct pager {
	struct cri_call *call;
	const struct page_kind *kind;
	struct arena arena; /* ids; the call's own is emptied after each page */
	char **ids;
	size_t n_ids, at;
	struct buf page;
	bool busy; /* a page is being made or sent: whoever does that goes on by itself */
	bool left;
	struct err err;
	int r;
};

struct page_kind {
	bool worker;
	/* packs the one with that id into the page, if there is such a one */
	int (*put)(struct pager *p, const char *id, struct err *err);
};

static void next(struct pager *p);

/* ---- items ---- */

/* One more element of the answer's repeated field, which is field 1 in all of them. */
static int put(struct pager *p, const ProtobufCMessage *item, struct err *err)
{
	size_t len = protobuf_c_message_get_packed_size(item);
	uint8_t head[16], *body;
	size_t n = 0;

	head[n++] = 1 << 3 | 2;
	for (size_t left = len; n == 1 || left; left >>= 7)
		head[n++] = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
	body = mem_new(len + 1, 1);
	protobuf_c_message_pack(item, body);
	if (buf_append(&p->page, head, n) < 0 || buf_append(&p->page, body, len) < 0) {
		free(body);
		return err_set(err, ERR_LIMIT, "an item of %zu bytes is larger than a message may be", len);
	}
	free(body);
	return 0;
}

static int put_pod(struct pager *p, const char *id, struct err *err)
{
	struct pod_manager *pods = p->call->cri->settings.pods;
	struct pod_sandbox *pod;
	int r = 0;

	pod_lock(pods);
	pod = pod_sandbox_find(pods, id, NULL);
	if (pod)
		r = put(p, &cri_pod_item(p->call, pod)->base, err);
	pod_unlock(pods);
	return r;
}

static int put_container(struct pager *p, const char *id, struct err *err)
{
	struct pod_manager *pods = p->call->cri->settings.pods;
	struct pod_container *container;
	int r = 0;

	pod_lock(pods);
	container = pod_container_find(pods, id, NULL);
	if (container)
		r = put(p, &cri_container_item(p->call, container)->base, err);
	pod_unlock(pods);
	return r;
}

static int put_container_stats(struct pager *p, const char *id, struct err *err)
{
	Runtime__V1__ContainerStats *stats = cri_container_stats_of(p->call, id, NULL);

	return stats ? put(p, &stats->base, err) : 0;
}

static int put_pod_stats(struct pager *p, const char *id, struct err *err)
{
	Runtime__V1__PodSandboxStats *stats = cri_pod_stats_of(p->call, id, NULL);

	return stats ? put(p, &stats->base, err) : 0;
}

static int put_pod_metrics(struct pager *p, const char *id, struct err *err)
{
	Runtime__V1__PodSandboxMetrics *metrics = cri_pod_metrics_of(p->call, id, NULL);

	return metrics ? put(p, &metrics->base, err) : 0;
}

static int put_image(struct pager *p, const char *id, struct err *err)
{
	struct image *img;
	int r;

	if (image_get(p->call->cri->settings.images, id, &img, NULL) < 0)
		return 0;
	r = put(p, &cri_image_item(p->call, img)->base, err);
	image_unref(img);
	return r;
}

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

		p->r = p->kind->put(p, p->ids[p->at++], &p->err);
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
	if (p->kind->worker) {
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

static struct pager *pager_new(struct cri_call *c, const struct page_kind *kind, size_t max)
{
	struct pager *p = mem_new(1, sizeof(*p));

	p->call = c;
	p->kind = kind;
	p->page = (struct buf)BUF_INIT(PAGE_MAX);
	p->ids = arena_new(&p->arena, max + 1, sizeof(char *));
	c->stream = p;
	c->left = on_left;
	return p;
}

static void begin(struct pager *p)
{
	grpc_call_on_drain(p->call->grpc, on_drain, p);
	next(p);
}

static void add(struct pager *p, const char *id)
{
	p->ids[p->n_ids++] = arena_strdup(&p->arena, id);
}

/* ---- the methods ---- */

/* Pods that a filter of either kind lets through, or all their containers. */
#define EACH_POD(pods, pod) for (struct pod_sandbox *pod = NULL; (pod = pod_sandbox_next(pods, pod));)

static size_t count_pods(struct pod_manager *pods)
{
	size_t n = 0;

	EACH_POD(pods, pod)
		n++;
	return n;
}

static size_t count_containers(struct pod_manager *pods)
{
	size_t n = 0;

	EACH_POD(pods, pod)
		list_for_each(it, &pod->containers, struct pod_container, link)
			n += it->visible;
	return n;
}

CRI_METHOD(stream_pod_sandboxes)
{
	static const struct page_kind kind = { .put = put_pod };
	const Runtime__V1__StreamPodSandboxesRequest *req = request;
	struct pod_manager *pods = c->cri->settings.pods;
	struct pager *p;

	pod_lock(pods);
	p = pager_new(c, &kind, count_pods(pods));
	EACH_POD(pods, pod)
		if (cri_filter_pod(req->filter, pod))
			add(p, pod->id);
	pod_unlock(pods);
	begin(p);
	return 0;
}

CRI_METHOD(stream_containers)
{
	static const struct page_kind kind = { .put = put_container };
	const Runtime__V1__StreamContainersRequest *req = request;
	struct pod_manager *pods = c->cri->settings.pods;
	struct pager *p;

	pod_lock(pods);
	p = pager_new(c, &kind, count_containers(pods));
	EACH_POD(pods, pod)
		list_for_each(it, &pod->containers, struct pod_container, link)
			if (it->visible && cri_filter_container(req->filter, it))
				add(p, it->id);
	pod_unlock(pods);
	begin(p);
	return 0;
}

CRI_METHOD(stream_container_stats)
{
	static const struct page_kind kind = { .worker = true, .put = put_container_stats };
	const Runtime__V1__StreamContainerStatsRequest *req = request;
	struct pod_manager *pods = c->cri->settings.pods;
	struct pager *p;

	pod_lock(pods);
	p = pager_new(c, &kind, count_containers(pods));
	EACH_POD(pods, pod)
		list_for_each(it, &pod->containers, struct pod_container, link)
			if (it->visible && cri_filter_container_stats(req->filter, it))
				add(p, it->id);
	pod_unlock(pods);
	begin(p);
	return 0;
}

CRI_METHOD(stream_pod_sandbox_stats)
{
	static const struct page_kind kind = { .worker = true, .put = put_pod_stats };
	const Runtime__V1__StreamPodSandboxStatsRequest *req = request;
	struct pod_manager *pods = c->cri->settings.pods;
	struct pager *p;

	pod_lock(pods);
	p = pager_new(c, &kind, count_pods(pods));
	EACH_POD(pods, pod)
		if (cri_filter_pod_stats(req->filter, pod))
			add(p, pod->id);
	pod_unlock(pods);
	begin(p);
	return 0;
}

CRI_METHOD(stream_pod_sandbox_metrics)
{
	static const struct page_kind kind = { .worker = true, .put = put_pod_metrics };
	struct pager *p = pager_new(c, &kind, 0);

	p->ids = cri_pod_ids(c->cri, &p->arena, &p->n_ids);
	begin(p);
	return 0;
}

CRI_METHOD(stream_images)
{
	static const struct page_kind kind = { .put = put_image };
	const Runtime__V1__StreamImagesRequest *req = request;
	const char *wanted = req->filter && req->filter->image ? req->filter->image->image : "";
	struct image **list = NULL;
	struct image *img;
	struct pager *p;
	size_t n = 0;

	if (*wanted) {
		p = pager_new(c, &kind, 1);
		if (image_get(c->cri->settings.images, wanted, &img, NULL) == 0) {
			add(p, img->id);
			image_unref(img);
		}
	} else {
		image_list(c->cri->settings.images, &list, &n);
		p = pager_new(c, &kind, n);
		for (size_t i = 0; i < n; i++)
			add(p, list[i]->id);
		image_list_free(list, n);
	}
	begin(p);
	return 0;
}
