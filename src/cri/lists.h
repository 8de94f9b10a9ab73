/*
 * The lists, in both forms that CRI has: one answer, and a stream of pages. One struct says what a
 * list has, so that both say the same, in the same order.
 *
 *   cri_list_memory   one answer, from memory                      INLINE
 *   cri_list_kernel   one answer, on a few threads at once         WORKER
 *   cri_list_pages    page by page as the client reads: pages.c    STREAM
 *
 * The method's row has the list; the filter is the request's field of that name. Answers are
 * bytes from the start: the elements one after another, as field 1, which they are of in every
 * answer. Inside the cri room only.
 */
#pragma once

#include "cri/call.h"

/* An object of a walk and its id. Negative ends the walk. */
typedef int (*cri_item_fn)(void *object, const char *id, void *user);

struct cri_list {
	/* fn for each that the filter lets through (NULL: all), oldest first, while its strings are
	 * valid: pods and containers under pod_lock. */
	int (*walk)(struct cri *cri, const void *filter, cri_item_fn fn, void *user);
	/* Appends the row of an object of the walk; NULL where that takes time. */
	int (*row)(struct cri_call *c, void *object, struct buf *out, struct err *err);
	/* Appends the row of what has the id by then; nothing when it is gone. Any thread. Uses of
	 * the call its room and its arena only. */
	int (*put)(struct cri_call *c, const char *id, struct buf *out, struct err *err);
};

extern const struct cri_list cri_pod_list, cri_container_list, cri_image_list;
extern const struct cri_list cri_container_stats_list, cri_pod_stats_list, cri_pod_metrics_list;

int cri_list_memory(struct cri_call *c, const void *request, struct err *err);
int cri_list_kernel(struct cri_call *c, const void *request, struct err *err);
int cri_list_pages(struct cri_call *c, const void *request, struct err *err);

/* The ids of a walk, in the arena. */
char **cri_list_ids(struct cri_call *c, const void *request, struct arena *a, size_t *ret_n);

/* rows.c: one more element. LIMIT: out would be larger than its max. */
int cri_row_put(struct buf *out, const ProtobufCMessage *item, struct err *err);
/*
 * Rows that are kept with the object until something that they show has changed; a kubelet asks for
 * all of them every second. Under pod_lock.
 */
int cri_row_container(struct cri_call *c, struct pod_container *container, struct buf *out, struct err *err);
int cri_row_pod(struct cri_call *c, struct pod_sandbox *pod, struct buf *out, struct err *err);
