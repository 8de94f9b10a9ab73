/*
 * One call, from the request to its answer. Inside the cri room only.
 *
 * A call lives from dispatch to cri_end. Everything that its answer needs is in its arena.
 * Loop thread, but for the function of a WORKER method: that one runs on a thread of its own
 * while the loop thread leaves the call alone (a cancelled client only fires `cancel`).
 *
 * The functions of the methods return 0, or negative with err filled, which is the answer then.
 * INLINE and WORKER functions have called cri_reply before they return 0. An OPERATION has
 * set c->wait, and `finish` is called with the result. A STREAM goes on by itself (events.c,
 * pages.c) until cri_stream_end; when its client leaves, c->left is called.
 */
#pragma once

#include "cri/cri.h"
#include "cri/wire.h"
#include "pod/pod.h"

struct cri_events;
struct image;
struct image_cancel;
struct stream_server;
struct cri_call;
struct cri_list;

enum cri_mode { CRI_INLINE, CRI_OPERATION, CRI_WORKER, CRI_STREAM };

typedef int (*cri_fn)(struct cri_call *c, const void *request, struct err *err);
typedef void (*cri_finish_fn)(struct cri_call *c, const struct pod_result *r);

struct cri_method {
	const char *name;
	const ProtobufCMessageDescriptor *request;
	enum cri_mode mode;
	cri_fn fn;             /* NULL: not implemented */
	cri_finish_fn finish;  /* OPERATION; NULL: an empty answer of type `response` */
	const ProtobufCMessageDescriptor *response;
	bool changes;
	const struct cri_list *list; /* lists.h */
};

/* methods.c */
struct cri_service {
	const char *name; /* "runtime.v1.RuntimeService" */
	const struct cri_method *methods;
	size_t n_methods;
};

enum { CRI_SERVICES = 3 };
extern const struct cri_service cri_services_table[CRI_SERVICES];

struct cri_samples;

struct cri {
	struct cri_settings settings;
	struct grpc_method *methods[CRI_SERVICES];
	struct grpc_service services[CRI_SERVICES];
	struct cri_samples *samples; /* stats.c */
	struct stream_server *streams; /* stream.c; NULL: none */
	const char *stream_address;
	struct cri_events *events; /* events.c */
	struct scrape_server *scrape; /* scrape.c; NULL: none */
	size_t open_calls;
	struct event_timer *trim;
};

struct cri_call {
	struct cri *cri;
	struct grpc_call *grpc;
	const struct cri_method *method;
	const void *request;
	struct arena arena;
	int64_t started;
	const char *subject, *result; /* for the log */
	struct pod_wait *wait;
	void (*left)(struct cri_call *c); /* STREAM: it ends the call, now or soon */
	void *stream;                     /* STREAM: its state */
	struct image_cancel *cancel;  /* PullImage, from before the worker starts to its end */
	ProtobufCMessage *reply;      /* WORKER */
	struct buf rows;              /* WORKER: instead */
	struct err err;
	int r;
};

/* Packs at once unless the method is a WORKER, so an INLINE function may lend it memory that
 * is only valid under pod_lock. */
void cri_reply(struct cri_call *c, void *message);

/* The same with an answer that is packed already; takes the buffer. */
void cri_reply_rows(struct cri_call *c, struct buf *rows);

/* The end of a STREAM; err NULL: all was sent. */
void cri_stream_end(struct cri_call *c, const struct err *err);

/* Scrapes that run are waited for by cri_open_calls; connections are cut. */
void cri_scrape_free(struct scrape_server *s);

struct cri_events *cri_events_new(struct cri *cri);
/* Streams of events end with the reason, so that nothing waits for them. */
void cri_events_end(struct cri_events *e, const char *why);
void cri_events_free(struct cri_events *e);

/* A message of the given type in the call's arena: CRI_NEW(c, version_response). */
#define CRI_NEW(c, type) wire_new(&runtime__v1__##type##__descriptor, &(c)->arena)

/* An entry of a verbose answer's info map. */
#define CRI_INFO_MAX 16
void cri_put_info(struct cri_call *c, const ProtobufCMessageDescriptor *entry, const char *key, const char *value,
		  void *list, size_t *n);

/* pod_container_done etc. for all operations: pass it with the call as user. */
void cri_operation_done(const struct pod_result *r, const struct err *err, void *user);

/* "namespace/name" and the like for the log. */
#define cri_subject(c, ...) ((c)->subject = arena_printf(&(c)->arena, __VA_ARGS__))

/* ---- the methods ---- */

#define CRI_METHOD(name) int cri_##name(struct cri_call *c, const void *request, struct err *err)
#define CRI_FINISH(name) void cri_##name##_finish(struct cri_call *c, const struct pod_result *r)

CRI_METHOD(version);
CRI_METHOD(status);
CRI_METHOD(runtime_config);
CRI_METHOD(update_runtime_config);

CRI_METHOD(run_pod_sandbox);
CRI_FINISH(run_pod_sandbox);
CRI_METHOD(stop_pod_sandbox);
CRI_METHOD(remove_pod_sandbox);
CRI_METHOD(pod_sandbox_status);
CRI_METHOD(update_pod_sandbox_resources);
CRI_METHOD(checkpoint_pod);
CRI_METHOD(restore_pod);
CRI_FINISH(restore_pod);

CRI_METHOD(create_container);
CRI_FINISH(create_container);
CRI_METHOD(start_container);
CRI_METHOD(stop_container);
CRI_METHOD(remove_container);
CRI_METHOD(container_status);
CRI_METHOD(exec_sync);
CRI_FINISH(exec_sync);
CRI_METHOD(reopen_container_log);
CRI_METHOD(update_container_resources);
CRI_METHOD(checkpoint_container);

CRI_METHOD(exec);
CRI_METHOD(attach);
CRI_METHOD(port_forward);

CRI_METHOD(container_stats);
CRI_METHOD(pod_sandbox_stats);

CRI_METHOD(image_status);
CRI_METHOD(pull_image);
CRI_METHOD(remove_image);
CRI_METHOD(image_fs_info);
CRI_METHOD(import);
CRI_METHOD(explain);
CRI_METHOD(pulls);
/* The counters of pulls in Prometheus' text format, appended: -EMSGSIZE. */
int cri_image_metrics(struct image_table *images, struct buf *out);
CRI_METHOD(tag);
CRI_METHOD(untag);
CRI_METHOD(prune);
CRI_METHOD(export);
CRI_METHOD(verify);
CRI_METHOD(diff);

CRI_METHOD(get_events);
CRI_METHOD(list_metric_descriptors);

/* ---- parts of answers; under pod_lock, with the strings of the records ---- */

Runtime__V1__PodSandboxStatus *cri_pod_status_of(struct cri_call *c, const struct pod_sandbox *pod);
Runtime__V1__PodSandbox *cri_pod_item(struct cri_call *c, const struct pod_sandbox *pod);
Runtime__V1__ContainerStatus *cri_container_status_of(struct cri_call *c, const struct pod_container *container);
/* Its image's name in lists is not what it was created by, but what the image is called now. */
bool cri_container_named_by_id(const struct pod_container *container);
Runtime__V1__Container *cri_container_item(struct cri_call *c, const struct pod_container *container);
Runtime__V1__Image *cri_image_item(struct cri_call *c, const struct image *img);

/* stats.c: by id, NULL and an err for an unknown one. Worker threads, not under pod_lock. */
Runtime__V1__ContainerStats *cri_container_stats_of(struct cri_call *c, const char *id, struct err *err);
Runtime__V1__PodSandboxStats *cri_pod_stats_of(struct cri_call *c, const char *id, struct err *err);

/* The writable layer of a container, measured a moment ago at most; false: it has none. */
struct cri_layer_size;
bool cri_layer_size(struct cri *cri, const char *id, int64_t now, struct cri_layer_size *ret);
/* measure.c, likewise. */
Runtime__V1__PodSandboxMetrics *cri_pod_metrics_of(struct cri_call *c, const char *id, struct err *err);
/* The ids of all pods that are listed, in the arena. */
char **cri_pod_ids(struct cri *cri, struct arena *a, size_t *ret_n);

/* info.c: JSON for verbose answers, in the arena. Under pod_lock. */
const char *cri_pod_info(struct cri_call *c, const struct pod_sandbox *pod);
const char *cri_container_info(struct cri_call *c, const struct pod_container *container);
