/*
 * What each list has, and the lists that are one answer: lists.h.
 *
 * What only memory knows is walked and encoded under pod_lock, so the answer is of one moment.
 * What the kernel is asked for takes some thirty microseconds a container: its ids are taken
 * first, then a few threads ask for a part each, and the parts are put together in order.
 */
#include "cri/lists.h"

#include "cri/filter.h"
#include "image/image.h"

#include <pthread.h>
#include <unistd.h>

/* ---- walks ---- */

#define EVERY(filter, object) true

#define WALK_PODS(name_, wanted_)                                                                       \
	static int name_(struct cri *cri, const void *filter, cri_item_fn fn, void *user)              \
	{                                                                                              \
		struct pod_manager *pods = cri->settings.pods;                                         \
		int r = 0;                                                                             \
                                                                                                       \
		pod_lock(pods);                                                                        \
		for (struct pod_sandbox *pod = NULL; r >= 0 && (pod = pod_sandbox_next(pods, pod));)   \
			if (wanted_(filter, pod))                                                      \
				r = fn(pod, pod->id, user);                                            \
		pod_unlock(pods);                                                                      \
		return r;                                                                              \
	}

#define WALK_CONTAINERS(name_, wanted_)                                                                 \
	static int name_(struct cri *cri, const void *filter, cri_item_fn fn, void *user)              \
	{                                                                                              \
		struct pod_manager *pods = cri->settings.pods;                                         \
		int r = 0;                                                                             \
                                                                                                       \
		pod_lock(pods);                                                                        \
		for (struct pod_sandbox *pod = NULL; r >= 0 && (pod = pod_sandbox_next(pods, pod));)   \
			list_for_each(it, &pod->containers, struct pod_container, link)                \
				if (r >= 0 && it->visible && wanted_(filter, it))                      \
					r = fn(it, it->id, user);                                      \
		pod_unlock(pods);                                                                      \
		return r;                                                                              \
	}

WALK_PODS(walk_pods, cri_filter_pod)
WALK_PODS(walk_pod_stats, cri_filter_pod_stats)
WALK_PODS(walk_every_pod, EVERY)
WALK_CONTAINERS(walk_containers, cri_filter_container)
WALK_CONTAINERS(walk_container_stats, cri_filter_container_stats)

/* A filter names one image; what it names may be unknown, which is an empty list. */
static int walk_images(struct cri *cri, const void *filter, cri_item_fn fn, void *user)
{
	const Runtime__V1__ImageFilter *f = filter;
	struct image **list = NULL, *img;
	size_t n = 0;
	int r = 0;

	if (f && f->image && !str_empty(f->image->image)) {
		if (image_get(cri->settings.images, f->image->image, &img, NULL) < 0)
			return 0;
		r = fn(img, img->id, user);
		image_unref(img);
		return r;
	}
	image_list(cri->settings.images, &list, &n);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = fn(list[i], list[i]->id, user);
	image_list_free(list, n);
	return r;
}

/* ---- rows ---- */

static int pod_row(struct cri_call *c, void *object, struct buf *out, struct err *err)
{
	return cri_row_pod(c, object, out, err);
}

static int container_row(struct cri_call *c, void *object, struct buf *out, struct err *err)
{
	return cri_row_container(c, object, out, err);
}

static int image_row(struct cri_call *c, void *object, struct buf *out, struct err *err)
{
	return cri_row_put(out, &cri_image_item(c, object)->base, err);
}

static int put_pod(struct cri_call *c, const char *id, struct buf *out, struct err *err)
{
	struct pod_manager *pods = c->cri->settings.pods;
	struct pod_sandbox *pod;
	int r = 0;

	pod_lock(pods);
	pod = pod_sandbox_find(pods, id, NULL);
	if (pod)
		r = cri_row_pod(c, pod, out, err);
	pod_unlock(pods);
	return r;
}

static int put_container(struct cri_call *c, const char *id, struct buf *out, struct err *err)
{
	struct pod_manager *pods = c->cri->settings.pods;
	struct pod_container *container;
	int r = 0;

	pod_lock(pods);
	container = pod_container_find(pods, id, NULL);
	if (container)
		r = cri_row_container(c, container, out, err);
	pod_unlock(pods);
	return r;
}

static int put_image(struct cri_call *c, const char *id, struct buf *out, struct err *err)
{
	struct image *img;
	int r;

	if (image_get(c->cri->settings.images, id, &img, NULL) < 0)
		return 0;
	r = image_row(c, img, out, err);
	image_unref(img);
	return r;
}

static int put_container_stats(struct cri_call *c, const char *id, struct buf *out, struct err *err)
{
	Runtime__V1__ContainerStats *stats = cri_container_stats_of(c, id, NULL);

	return stats ? cri_row_put(out, &stats->base, err) : 0;
}

static int put_pod_stats(struct cri_call *c, const char *id, struct buf *out, struct err *err)
{
	Runtime__V1__PodSandboxStats *stats = cri_pod_stats_of(c, id, NULL);

	return stats ? cri_row_put(out, &stats->base, err) : 0;
}

static int put_pod_metrics(struct cri_call *c, const char *id, struct buf *out, struct err *err)
{
	Runtime__V1__PodSandboxMetrics *metrics = cri_pod_metrics_of(c, id, NULL);

	return metrics ? cri_row_put(out, &metrics->base, err) : 0;
}

const struct cri_list cri_pod_list = { walk_pods, pod_row, put_pod };
const struct cri_list cri_container_list = { walk_containers, container_row, put_container };
const struct cri_list cri_image_list = { walk_images, image_row, put_image };
const struct cri_list cri_container_stats_list = { walk_container_stats, NULL, put_container_stats };
const struct cri_list cri_pod_stats_list = { walk_pod_stats, NULL, put_pod_stats };
const struct cri_list cri_pod_metrics_list = { walk_every_pod, NULL, put_pod_metrics };

static const void *filter_of(const struct cri_call *c, const void *request)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(c->method->request, "filter");

	return f ? *(const void *const *)((const char *)request + f->offset) : NULL;
}

/* ---- from memory ---- */

struct answer {
	struct cri_call *call;
	struct buf rows;
	struct err *err;
};

static int add_row(void *object, const char *id, void *user)
{
	struct answer *a = user;

	return a->call->method->list->row(a->call, object, &a->rows, a->err);
}

int cri_list_memory(struct cri_call *c, const void *request, struct err *err)
{
	struct answer a = { .call = c, .rows = grpc_call_buf(c->grpc, GRPC_MESSAGE_MAX), .err = err };
	int r = c->method->list->walk(c->cri, filter_of(c, request), add_row, &a);

	if (r >= 0)
		cri_reply_rows(c, &a.rows);
	buf_done(&a.rows);
	return r < 0 ? r : 0;
}

/* ---- by ids ---- */

struct ids {
	struct arena *arena;
	char **list;
	size_t n, cap;
};

static int add_id(void *object, const char *id, void *user)
{
	struct ids *ids = user;

	if (ids->n == ids->cap) {
		char **larger = arena_new(ids->arena, ids->cap ? ids->cap * 2 : 64, sizeof(char *));

		if (ids->n)
			memcpy(larger, ids->list, ids->n * sizeof(char *));
		ids->list = larger;
		ids->cap = ids->cap ? ids->cap * 2 : 64;
	}
	ids->list[ids->n++] = arena_strdup(ids->arena, id);
	return 0;
}

char **cri_list_ids(struct cri_call *c, const void *request, struct arena *a, size_t *ret_n)
{
	struct ids ids = { .arena = a };

	c->method->list->walk(c->cri, filter_of(c, request), add_id, &ids);
	*ret_n = ids.n;
	return ids.list;
}

enum { PARTS_MAX = 4, PART_MIN = 32, PART_STACK = 256 << 10 };

struct part {
	struct cri_call call; /* for its room and its arena */
	char **ids;
	size_t n;
	struct buf rows;
	struct err err;
	int r;
	pthread_t thread;
	bool threaded;
};

static void *make_part(void *user)
{
	struct part *p = user;

	for (size_t i = 0; i < p->n && p->r == 0; i++) {
		p->r = p->call.method->list->put(&p->call, p->ids[i], &p->rows, &p->err);
		arena_done(&p->call.arena);
	}
	return NULL;
}

static size_t parts_for(size_t n)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t parts = cpus < 1 ? 1 : cpus > PARTS_MAX ? PARTS_MAX : (size_t)cpus;

	return n / PART_MIN < parts ? n / PART_MIN + !(n / PART_MIN) : parts;
}

int cri_list_kernel(struct cri_call *c, const void *request, struct err *err)
{
	struct part parts[PARTS_MAX] = { 0 };
	size_t n, from = 0, n_parts;
	char **ids = cri_list_ids(c, request, &c->arena, &n);
	struct buf rows = BUF_INIT(GRPC_MESSAGE_MAX);
	pthread_attr_t attr;
	int r = 0;

	n_parts = parts_for(n);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, PART_STACK);
	for (size_t i = n_parts; i-- > 0;) {
		struct part *p = &parts[i];

		from = n * i / n_parts;
		*p = (struct part){ .call = { .cri = c->cri, .method = c->method }, .ids = ids + from,
				    .n = n * (i + 1) / n_parts - from, .rows = BUF_INIT(GRPC_MESSAGE_MAX) };
		/* the first part, and what no thread is to be had for, is ours; signals are blocked here */
		p->threaded = i && pthread_create(&p->thread, &attr, make_part, p) == 0;
		if (!p->threaded)
			make_part(p);
	}
	pthread_attr_destroy(&attr);
	for (size_t i = 0; i < n_parts; i++) {
		if (parts[i].threaded)
			pthread_join(parts[i].thread, NULL);
		if (r == 0 && parts[i].r < 0) {
			r = parts[i].r;
			*err = parts[i].err;
		}
		if (r == 0 && buf_append(&rows, parts[i].rows.data, parts[i].rows.len) < 0)
			r = err_set(err, ERR_LIMIT, "a list of more than %d bytes is larger than a message "
				    "may be: ask for it as a stream", GRPC_MESSAGE_MAX);
		buf_done(&parts[i].rows);
	}
	if (r == 0)
		cri_reply_rows(c, &rows);
	buf_done(&rows);
	return r;
}
