/*
 * One HTTP GET or POST whose body is pulled: curl pushes into a bounded buffer and is paused
 * when it is full, so a slow reader slows the sender and memory stays bounded.
 *
 * A transfer that has stalled ends as one that broke off. What a stall is depends on what was
 * there before: less than a hundredth of its best second, or less than 1 KiB/s, for five
 * seconds where it had moved faster, for `stall_timeout` where it never had; and less, for one
 * second, than a sixteenth of `pace`. The time in which the reader did not want more does not count.
 *
 * One thread; blocks in start and read. libcurl's multi interface; handles with their open
 * connections come from the pool and go back there.
 */
#pragma once

#include "registry/challenge.h"
#include "registry/registry.h"

struct transfer;

struct pool;

struct transfer_request {
	struct pool *pool;         /* connections */
	const char *url;
	const char *authorization; /* header value, or NULL */
	const char *accept;        /* header value, or NULL */
	const char *form;          /* body of a POST, or NULL for GET */
	const char *range;         /* "0-99", or NULL */
	bool verify;               /* the server's certificate */
	bool direct;               /* no proxy */
	const char *ca;            /* PEM, besides the system's authorities; NULL */
	const char *ca_file;       /* in their place, where ca is not; NULL */
	const char *client_cert, *client_key; /* PEM files; NULL */
	char *const *headers;      /* "Name: value" */
	size_t n_headers;
	int64_t connect_timeout, stall_timeout;
	const atomic_bool *cancel; /* of whoever wants the whole; NULL */
	const atomic_bool *stop;   /* of whoever reads this; NULL */
	const _Atomic uint64_t *pace; /* bytes a second that other connections have for the same; NULL */
};

/* The answer as known once its headers are complete. */
struct transfer_answer {
	long status;
	char type[REGISTRY_TYPE_MAX];
	char *location;    /* absolute URL of a redirect, or NULL */
	int64_t retry_after; /* seconds, or -1 */
	bool has_range;      /* of Content-Range, with 206 */
	uint64_t range_from, range_to; /* first and last byte */
	uint64_t range_total;          /* of the whole; 0: not said */
	char protocol[16];   /* "HTTP/2" */
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
