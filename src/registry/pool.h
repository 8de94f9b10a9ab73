/*
 * What the transfers of a program share: connections that are kept open between requests, and
 * the budget of how many there are.
 *
 * Connections. A curl multi handle keeps what its last transfers have opened; handles that are
 * idle wait here, by the host that they know, for the next transfer to it. TLS sessions and
 * names that were looked up are shared by all. With the last session the pool is emptied: a
 * daemon that pulls nothing holds no connection.
 *
 * Budget. A request that something waits for (a manifest, a layer's first connection) gets a
 * permit as soon as one is free. Connections that only make a large blob faster are extra:
 * they get one while PERMITS_FIRST are left for others, and ask again for each piece, so that
 * a small image does not wait behind a large one.
 *
 * Any thread.
 */
#pragma once

#include "registry/curl.h"

#include "base/base.h"

#include <pthread.h>
#include <stdatomic.h>

enum { PERMITS = 32, PERMITS_FIRST = 12, POOL_IDLE = 16 };

struct pool {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	unsigned used;
	_Atomic uint64_t requests, retries; /* counters */
	unsigned sessions;
	struct pool_idle {
		CURLM *multi;
		char *origin;
	} idle[POOL_IDLE];
	size_t n_idle;
	CURLSH *share;
	pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST + 1];
};

void pool_init(struct pool *p);
void pool_done(struct pool *p);
void pool_session(struct pool *p, int change); /* +1, -1 */

/* Blocks while none is free; looks at cancel four times a second: CANCELLED. */
int pool_permit(struct pool *p, const atomic_bool *cancel, struct err *err);
/* Does not block. */
bool pool_permit_try_extra(struct pool *p);
void pool_permit_return(struct pool *p);

/* A handle that may have a connection to the origin of the URL; NULL without memory. */
CURLM *pool_take(struct pool *p, const char *url);
/* Takes back a handle without transfers. */
void pool_give(struct pool *p, CURLM *multi, const char *url);
/* For CURLOPT_SHARE, or NULL. After curl_load. */
CURLSH *pool_share(struct pool *p);
