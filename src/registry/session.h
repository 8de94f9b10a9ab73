/*
 * What session.c, endpoint.c and auth.c share: one pull's view of one repository, at each of
 * the hosts that may have it.
 */
#pragma once

#include "registry/credentials.h"
#include "registry/hosts.h"
#include "registry/pool.h"
#include "registry/transfer.h"

#include <pthread.h>

struct endpoint_request;

struct registry {
	struct pool pool;
	pthread_mutex_t mutex;
	struct policy *policy; /* under the mutex */
};

/* A host that may be asked, with what this pull has learnt about it. */
struct endpoint {
	struct registry_session *session;
	const struct host *host;
	const char *repository;  /* as this host has it */
	const char *query;       /* "?ns=docker.io" for a mirror, so that one mirror can serve many; or "" */
	/* under the session's mutex */
	struct credentials credentials; /* source "": none are known */
	bool looked_up;          /* in the files: done, or not to be done */
	size_t scheme;           /* the one that answered, or the first */
	bool scheme_known;
	bool down;               /* could not be reached or broke off: others first */
	char *authorization;     /* header value, or NULL */
	unsigned generation;     /* counts its changes */
};

struct registry_session {
	struct registry *reg;
	struct policy *policy;
	struct arena arena;
	const char *registry;    /* as in image names */
	const char *repository;
	const atomic_bool *cancel;
	struct endpoint *endpoints;
	size_t n_endpoints;
	pthread_mutex_t mutex;
	unsigned pieces;         /* under the mutex: buffers of blobs that are read in pieces */
};

/* ---- session.c ---- */

/*
 * From the first host that can: *ret_endpoint is the one that did. resolve: a tag; what: for
 * errors; last: one that is to be asked after all others, or NULL.
 */
int session_ask(struct registry_session *s, const struct endpoint_request *req, bool resolve,
		const char *what,
		const struct endpoint *last, struct endpoint **ret_endpoint, struct transfer **ret,
		const struct transfer_answer **ret_answer, struct err *err);
/* It could not be reached, broke off or lied: others are asked first from now on. */
void session_set_down(struct endpoint *e);
/* Waits; CANCELLED. */
int session_nap(const atomic_bool *cancel, int64_t ns, struct err *err);

/* ---- endpoint.c: requests to one host ---- */

struct endpoint_request {
	const char *path;        /* what is behind <repository>/ */
	const char *accept;      /* header value, or NULL */
	const char *range;       /* "0-99", or NULL */
	const atomic_bool *stop; /* NULL */
	const _Atomic uint64_t *pace; /* transfer.h; NULL */
};

/*
 * Asks with whatever scheme, authorization, redirects and patience it takes: 0 and a transfer
 * that has been answered with 200, or 206 for a range, or what the host had against it.
 */
int endpoint_get(struct endpoint *e, const struct endpoint_request *request, struct transfer **ret,
		 const struct transfer_answer **ret_answer, struct err *err);
/* "https://mirror.example:5000/v2": what is asked, with the scheme as it is known now. */
void endpoint_address(struct endpoint *e, char *out, size_t size);

/* ---- auth.c ---- */

/* Fills what a request to this URL needs besides its own parts. */
void endpoint_request_init(const struct endpoint *e, const char *url, struct transfer_request *req);

/*
 * Answers a 401. `generation` is that of the authorization which was refused: when another
 * thread has brought a newer one meanwhile there is nothing to do. DENIED when nothing more
 * can be tried.
 */
int endpoint_authenticate(struct endpoint *e, const struct transfer_answer *answer, unsigned generation,
			  struct err *err);

/* What the server says in the body of an error, in one line: "denied: requested access …". */
void endpoint_server_words(struct transfer *t, char *out, size_t size);
