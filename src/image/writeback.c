/* See writeback.h. One thread a table, which ends by itself; image_pulls_end waits for it. */
#include "image/writeback.h"

#include "image/table.h"

#include <time.h>

enum { PAUSE_MS = 1000, STACK = 64 * 1024 };

/* Under the mutex, which is let go meanwhile: false when no layer is at work any more. */
static bool pause_between(struct image_table *t)
{
	int64_t at = time_now_mono() + PAUSE_MS * NSEC_PER_MSEC;
	const struct timespec until = { at / NSEC_PER_SEC, at % NSEC_PER_SEC };

	/* the condition is everybody's: it wakes for other reasons too */
	while (t->unpacking && time_now_mono() < at)
		pthread_cond_timedwait(&t->cond, &t->mutex, &until);
	return t->unpacking > 0;
}

static void *write_back(void *user)
{
	struct image_table *t = user;

	WITH_MUTEX(&t->mutex);
	while (pause_between(t)) {
		pthread_mutex_unlock(&t->mutex);
		store_write_back(t->store);
		pthread_mutex_lock(&t->mutex);
	}
	t->writing_back = false;
	t->n_threads--;
	pthread_cond_broadcast(&t->cond);
	return NULL;
}

void writeback_begin(struct image_table *t)
{
	pthread_attr_t attr;
	pthread_t thread;

	WITH_MUTEX(&t->mutex);
	t->unpacking++;
	if (t->writing_back)
		return;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	/* without it all waits for the sync at the end, nothing worse */
	t->writing_back = pthread_create(&thread, &attr, write_back, t) == 0;
	t->n_threads += t->writing_back;
	pthread_attr_destroy(&attr);
}

void writeback_end(struct image_table *t)
{
	WITH_MUTEX(&t->mutex);
	t->unpacking--;
}
