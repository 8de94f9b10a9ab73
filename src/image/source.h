/*
 * Streams that are pulled: each stage of the way from a registry to a directory is a source
 * that reads from the one below it.
 *
 *	registry or file → tee (digest of the blob, copy, progress) → inflate → ahead → tee (diff id) → unpack
 *
 * One thread reads a chain; image/ahead.h cuts it between two. read returns bytes, 0 at the end (and again
 * after it), negative with err filled. next, where a stage has it, gives bytes that lie in the stage, valid
 * until the next call of either.
 */
#pragma once

#include "base/base.h"
#include "image/digest.h"

#include <stdatomic.h>

struct source {
	ssize_t (*read)(struct source *s, void *buf, size_t len, struct err *err);
	ssize_t (*next)(struct source *s, const void **ret, struct err *err); /* may be NULL */
};

static inline ssize_t source_read(struct source *s, void *buf, size_t len, struct err *err)
{
	return s->read(s, buf, len, err);
}

/* Without a copy where that can be; else by way of buf. */
static inline ssize_t source_next(struct source *s, const void **ret, void *buf, size_t len, struct err *err)
{
	if (s->next)
		return s->next(s, ret, err);
	*ret = buf;
	return s->read(s, buf, len, err);
}

/* Reads to the end, for the digests' sake: 0 or negative. */
int source_drain(struct source *s, struct err *err);

/* Passes on what it reads, digested, counted and, with copy_fd >= 0, written there. */
struct source_tee {
	struct source source;
	struct source *from;
	struct digest digest;
	uint64_t size;
	uint64_t max;                  /* more is an error: CORRUPT, "is larger than announced" */
	int copy_fd;
	_Atomic uint64_t *progress;    /* gets every byte count added; may be NULL */
	const char *what;              /* for errors */
};

void source_tee_init(struct source_tee *t, struct source *from, uint64_t max, const char *what);
void source_tee_done(struct source_tee *t);

/* A descriptor, borrowed. */
struct source_fd {
	struct source source;
	int fd;
	const char *what;
};
void source_fd_init(struct source_fd *f, int fd, const char *what);

/* Bytes in memory, borrowed. */
struct source_mem {
	struct source source;
	const uint8_t *data;
	size_t len;
};
void source_mem_init(struct source_mem *m, const void *data, size_t len);

/*
 * gzip (several members too), zstd (several frames, skippable ones too) or plain, told by
 * the first bytes, since media types are not always right and the diff id decides anyway.
 * Hostile input: a truncated or broken stream is CORRUPT; more than max_out bytes, or more
 * than max_ratio times the input beyond the first 64 MiB, is LIMIT, and so is a zstd window
 * of more than 32 MiB. Windows of more than 8 MiB wait until the others of the process leave
 * room for them.
 */
struct source_inflate;
struct source_inflate *source_inflate_new(struct source *from, uint64_t max_out, uint64_t max_ratio);
void source_inflate_free(struct source_inflate *z);
/* Ends such a wait: CANCELLED. Reading ends by the source below. */
void source_inflate_stop(struct source_inflate *z, const atomic_bool *stop);
struct source *source_inflate_source(struct source_inflate *z);
