/* Idle handles in the order of their return, the oldest first to go. */
#include "registry/pool.h"

#include "registry/challenge.h"

#include <time.h>

enum { LOOK_MS = 250 };

void pool_init(struct pool *p)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&p->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->cond, &attr);
	pthread_condattr_destroy(&attr);
	for (size_t i = 0; i < ARRAY_LEN(p->share_locks); i++)
		pthread_mutex_init(&p->share_locks[i], NULL);
}

static void drop_idle(struct pool *p)
{
	for (size_t i = 0; i < p->n_idle; i++) {
		curl.multi_cleanup(p->idle[i].multi);
		free(p->idle[i].origin);
	}
	p->n_idle = 0;
	if (p->share)
		curl.share_cleanup(p->share);
	p->share = NULL;
}

void pool_done(struct pool *p)
{
	drop_idle(p);
	for (size_t i = 0; i < ARRAY_LEN(p->share_locks); i++)
		pthread_mutex_destroy(&p->share_locks[i]);
	pthread_cond_destroy(&p->cond);
	pthread_mutex_destroy(&p->mutex);
}

void pool_session(struct pool *p, int change)
{
	pthread_mutex_lock(&p->mutex);
	p->sessions += (unsigned)change;
	if (!p->sessions)
		drop_idle(p);
	pthread_mutex_unlock(&p->mutex);
}

/* ---- permits ---- */

int pool_permit(struct pool *p, const atomic_bool *cancel, struct err *err)
{
	bool ok;

	pthread_mutex_lock(&p->mutex);
	while (!(ok = p->used < PERMITS) && !(cancel && atomic_load(cancel))) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += LOOK_MS * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&p->cond, &p->mutex, &until);
	}
	p->used += ok;
	pthread_mutex_unlock(&p->mutex);
	return ok ? 0 : err_set(err, ERR_CANCELLED, "cancelled");
}

bool pool_permit_try_extra(struct pool *p)
{
	bool ok;

	pthread_mutex_lock(&p->mutex);
	ok = p->used < PERMITS - PERMITS_FIRST;
	p->used += ok;
	pthread_mutex_unlock(&p->mutex);
	return ok;
}

void pool_permit_return(struct pool *p)
{
	pthread_mutex_lock(&p->mutex);
	p->used--;
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->mutex);
}

/* ---- handles ---- */

CURLM *pool_take(struct pool *p, const char *url)
{
	CURLM *multi = NULL;

	pthread_mutex_lock(&p->mutex);
	for (size_t i = p->n_idle; i-- > 0 && !multi;)
		if (url_same_origin(p->idle[i].origin, url)) {
			multi = p->idle[i].multi;
			free(p->idle[i].origin);
			memmove(&p->idle[i], &p->idle[i + 1], (p->n_idle - i - 1) * sizeof(p->idle[0]));
			p->n_idle--;
		}
	pthread_mutex_unlock(&p->mutex);
	return multi ? multi : curl.multi_init();
}

void pool_give(struct pool *p, CURLM *multi, const char *url)
{
	CURLM *drop = multi;

	pthread_mutex_lock(&p->mutex);
	if (p->sessions) {
		drop = NULL;
		if (p->n_idle == POOL_IDLE) {
			drop = p->idle[0].multi;
			free(p->idle[0].origin);
			memmove(&p->idle[0], &p->idle[1], (POOL_IDLE - 1) * sizeof(p->idle[0]));
			p->n_idle--;
		}
		p->idle[p->n_idle++] = (struct pool_idle){ multi, mem_strdup(url) };
	}
	pthread_mutex_unlock(&p->mutex);
	if (drop)
		curl.multi_cleanup(drop);
}

static void lock_share(CURL *handle, curl_lock_data data, curl_lock_access access, void *user)
{
	pthread_mutex_lock(&((struct pool *)user)->share_locks[data]);
}

static void unlock_share(CURL *handle, curl_lock_data data, void *user)
{
	pthread_mutex_unlock(&((struct pool *)user)->share_locks[data]);
}

CURLSH *pool_share(struct pool *p)
{
	CURLSH *share;

	pthread_mutex_lock(&p->mutex);
	if (!p->share && (p->share = curl.share_init())) {
		curl.share_setopt(p->share, CURLSHOPT_LOCKFUNC, lock_share);
		curl.share_setopt(p->share, CURLSHOPT_UNLOCKFUNC, unlock_share);
		curl.share_setopt(p->share, CURLSHOPT_USERDATA, p);
		curl.share_setopt(p->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
		curl.share_setopt(p->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	}
	share = p->share;
	pthread_mutex_unlock(&p->mutex);
	return share;
}
