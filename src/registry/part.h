/*
 * Consecutive bytes of one blob, from wherever they are to be had: a transfer that breaks off
 * is gone on with. One thread.
 */
#pragma once

#include "registry/session.h"

enum { BLOB_TRIES = 5 };

struct part {
	struct registry_session *session;
	const char *digest;
	uint64_t at, end;       /* what is wanted of it */
	uint64_t size;          /* of the blob */
	const atomic_bool *stop; /* nobody wants it any more; NULL */
	struct endpoint *endpoint; /* of the last answer; NULL before */
	struct transfer *transfer; /* NULL between two */
	uint64_t skip;          /* bytes of an answer that did not know ranges */
	unsigned failures;      /* without progress */
	const _Atomic uint64_t *pace; /* what is slow beside it is asked for elsewhere, once; NULL */
	uint64_t mark;          /* where the last one was */
	bool has_permit;
};

/* Asks a host, with *ret_whole telling that the answer is all of the blob though a range was wanted. */
int part_open(struct part *p, bool *ret_whole, struct err *err);
/* Bytes; 0 at p->end, or where every host ends; negative when nothing helps. */
ssize_t part_read(struct part *p, void *buf, size_t len, struct err *err);
void part_close(struct part *p);
