/*
 * cri — the Container Runtime Interface, runtime.v1: messages ↔ pod and image calls.
 *
 * The daemon's outermost room: 37 RPCs of RuntimeService and 6 of ImageService as one table
 * (methods.c), and caisson.v1.Images, which has what CRI lacks. A row says how its work runs:
 *
 *   inline     answered on the loop thread from memory: lists, status
 *   operation  starts an operation of the pod room and answers when that is done; a client
 *              that goes away leaves the operation running
 *   worker     blocks (registry, disk, cgroup files): on a thread of its own
 *   stream     many answers: events as they happen, lists page by page as the client reads
 *
 * and a row without a function answers UNIMPLEMENTED by its name.
 *
 *	cri_new(&settings, &cri);
 *	cri_services(cri, &services, &n);
 *	grpc_server_new(loop, fd, services, n, &server);
 *	… event_loop_run …
 *	grpc_server_free(server);  cri_wait_idle(cri) or the process ends;  cri_free(cri);
 *
 *   cri/call.h     one call from request to answer
 *   cri/wire.h     tables between messages and structs;  cri/configs.h: those of the requests
 *   cri/filter.h   which objects a list's filter means
 *
 * Requests are hostile as far as their shape goes (rpc bounds their size, the tables check each
 * field); whoever may connect to the socket is root by design.
 *
 * Errors become gRPC statuses by their kind (err_kind_info); INVALID names the field as CRI
 * spells it, NOT_FOUND the id as it was given.
 */
#pragma once

#include "rpc/rpc.h"

#include <stdint.h>

struct cni;
struct image_table;
struct pod_manager;
struct store;
struct cri;

/* What the log gets, once for each call. */
struct cri_answer {
	const char *method;  /* "RunPodSandbox" */
	const char *subject; /* what it was about: an id, a name; "" for nothing */
	const char *result;  /* id of what was made; "" else */
	bool changes;        /* the method changes something: worth a line even when it succeeds */
	int code;            /* enum rpc_code */
	const char *text;    /* why it failed; "" on success */
	int64_t duration;    /* ns */
};

struct cri_settings {
	struct event_loop *loop;
	struct pod_manager *pods;
	struct image_table *images;
	struct store *store;
	struct cni *cni;
	bool systemd_cgroup; /* what RuntimeConfig tells the kubelet */
	const char *findings; /* what was found damaged, a line each, "" for nothing: under "findings" */
	const char *config;  /* JSON: what `crictl info` shows under "config"; must have "stateDir" */
	void (*answered)(const struct cri_answer *answer, void *user); /* loop thread; may be NULL */
	void *user;
};

/* Strings are borrowed for the life of the service. 0 or -errno. */
int cri_new(const struct cri_settings *settings, struct cri **ret);
/* Exec, Attach and PortForward by URLs at this address (borrowed); without it those calls are UNSUPPORTED.
 * SIGPIPE must be ignored. */
struct cri_streaming {
	const char *address;
	uint16_t port;         /* 0: any free one */
	int64_t url_timeout;   /* ns; how long a URL waits to be used */
	int64_t idle_timeout;  /* ns without a byte either way, 0: none */
};
int cri_stream_serve(struct cri *cri, const struct cri_streaming *how, struct err *err);
/* An endpoint for Prometheus at this loopback address (INVALID: it is none), a free port for 0: metrics.h. */
int cri_scrape_serve(struct cri *cri, const char *address, uint16_t port, uint16_t *ret_port, struct err *err);
/* Streams of events end, which no call would by itself: before the server is drained. */
void cri_end_events(struct cri *cri, const char *why);
/* No call may be open. Streams are cut. */
void cri_free(struct cri *cri);

/* For grpc_server_new; they live as long as cri. */
void cri_services(struct cri *cri, const struct grpc_service **ret, size_t *ret_n);
/* Calls that have not ended, workers of clients long gone included. */
size_t cri_open_calls(const struct cri *cri);
