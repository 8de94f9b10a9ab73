/*
 * One HTTP GET or POST whose body is pulled: curl pushes into a bounded buffer and is paused
 * when it is full, so a slow reader slows the sender and memory stays bounded.
 *
 * One thread; blocks in start and read. libcurl's multi interface, one handle a transfer.
 */
#pragma once

#include "registry/challenge.h"
#include "registry/registry.h"

struct transfer;

struct transfer_request {
	const char *url;
	const char *authorization; /* header value, or NULL */
	const char *accept;        /* header value, or NULL */
	const char *form;          /* body of a POST, or NULL for GET */
	bool verify;               /* the server's certificate */
	bool direct;               /* no proxy */
	const char *ca;            /* PEM, besides the system's authorities; NULL */
	const char *ca_file;       /* in their place, where ca is not; NULL */
	const char *client_cert, *client_key; /* PEM files; NULL */
	char *const *headers;      /* "Name: value" */
	size_t n_headers;
	int64_t connect_timeout, stall_timeout;
	const atomic_bool *cancel;
};

/* The answer as known once its headers are complete. */
struct transfer_answer {
	long status;
	char type[REGISTRY_TYPE_MAX];
	char *location;    /* absolute URL of a redirect, or NULL */
	int64_t retry_after; /* seconds, or -1 */
	struct challenge challenges[CHALLENGES_MAX];
	size_t n_challenges;
	int code;          /* of curl, when there was no answer */
};

/* 0 when the headers are complete; negative and answer->code when there was none. The answer
 * lives as long as the transfer. */
int transfer_start(const struct transfer_request *req, struct transfer **ret,
		   const struct transfer_answer **ret_answer, int *ret_code, struct err *err);
ssize_t transfer_read(struct transfer *t, void *buf, size_t len, struct err *err);
/* The whole body, appended: LIMIT when it is larger than out's bound. */
int transfer_read_all(struct transfer *t, struct buf *out, struct err *err);
void transfer_free(struct transfer *t);
