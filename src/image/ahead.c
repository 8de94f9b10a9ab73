/*
 * See ahead.h. Slots [taken, filled) hold bytes; the thread fills the next one without the mutex, the
 * reader empties the first one without it. Each index is written by one side.
 */
#include "image/ahead.h"

#include <pthread.h>

enum { SLOTS = 4, SLOT_SIZE = 256 * 1024, STACK = 256 * 1024 };

struct source_ahead {
	struct source source;
	struct source *from;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	/* under the mutex */
	unsigned filled, taken; /* counted on, not wrapped */
	bool stop, over;
	ssize_t last;           /* once over: 0, or negative with err */
	struct err err;
	/* the reader's */
	size_t at;
	struct {
		uint8_t *data;
		size_t len;
	} slots[SLOTS];
};

static void *run(void *user)
{
	struct source_ahead *a = user;
	ssize_t n = 1;

	pthread_mutex_lock(&a->mutex);
	while (n > 0) {
		uint8_t *data = a->slots[a->filled % SLOTS].data;
		struct err err = ERR_INIT;

		while (!a->stop && a->filled - a->taken == SLOTS)
			pthread_cond_wait(&a->cond, &a->mutex);
		if (a->stop)
			break;
		pthread_mutex_unlock(&a->mutex);
		n = source_read(a->from, data, SLOT_SIZE, &err);
		pthread_mutex_lock(&a->mutex);
		if (n > 0) {
			a->slots[a->filled++ % SLOTS].len = (size_t)n;
		} else {
			a->last = n;
			a->err = err;
			a->over = true;
		}
		pthread_cond_signal(&a->cond);
	}
	pthread_mutex_unlock(&a->mutex);
	return NULL;
}

/* The slot that the reader has used up is the thread's again. */
static void give_back(struct source_ahead *a)
{
	a->at = 0;
	pthread_mutex_lock(&a->mutex);
	a->taken++;
	pthread_cond_signal(&a->cond);
	pthread_mutex_unlock(&a->mutex);
}

/* What the reader's slot still has. */
static ssize_t look(struct source_ahead *a, const uint8_t **ret, struct err *err)
{
	bool some;

	if (a->at && a->at == a->slots[a->taken % SLOTS].len)
		give_back(a);
	pthread_mutex_lock(&a->mutex);
	while (!a->over && a->filled == a->taken)
		pthread_cond_wait(&a->cond, &a->mutex);
	some = a->filled != a->taken;
	pthread_mutex_unlock(&a->mutex);
	if (!some) {
		if (a->last < 0 && err)
			*err = a->err;
		return a->last;
	}
	*ret = a->slots[a->taken % SLOTS].data + a->at;
	return (ssize_t)(a->slots[a->taken % SLOTS].len - a->at);
}

static ssize_t read_ahead(struct source *s, void *buf, size_t len, struct err *err)
{
	struct source_ahead *a = (struct source_ahead *)s;
	const uint8_t *data;
	ssize_t n;

	if (!a->has_thread)
		return source_read(a->from, buf, len, err);
	n = look(a, &data, err);
	if (n <= 0)
		return n;
	if ((size_t)n < len)
		len = (size_t)n;
	memcpy(buf, data, len);
	a->at += len;
	return (ssize_t)len;
}

static ssize_t next_ahead(struct source *s, const void **ret, struct err *err)
{
	struct source_ahead *a = (struct source_ahead *)s;
	const uint8_t *data = NULL;
	ssize_t n;

	if (!a->has_thread) {
		*ret = a->slots[0].data;
		return source_read(a->from, a->slots[0].data, SLOT_SIZE, err);
	}
	n = look(a, &data, err);
	*ret = data;
	if (n > 0)
		a->at += (size_t)n;
	return n;
}

struct source_ahead *source_ahead_new(struct source *from)
{
	struct source_ahead *a = mem_new(1, sizeof(*a));
	pthread_attr_t attr;

	a->source.read = read_ahead;
	a->source.next = next_ahead;
	a->from = from;
	pthread_mutex_init(&a->mutex, NULL);
	pthread_cond_init(&a->cond, NULL);
	for (size_t i = 0; i < SLOTS; i++)
		a->slots[i].data = mem_new(SLOT_SIZE, 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	a->has_thread = pthread_create(&a->thread, &attr, run, a) == 0;
	pthread_attr_destroy(&attr);
	return a;
}

struct source *source_ahead_source(struct source_ahead *a)
{
	return &a->source;
}

void source_ahead_end(struct source_ahead *a)
{
	if (!a->has_thread)
		return;
	pthread_mutex_lock(&a->mutex);
	a->stop = true;
	pthread_cond_signal(&a->cond);
	pthread_mutex_unlock(&a->mutex);
	pthread_join(a->thread, NULL);
	a->has_thread = false;
}

void source_ahead_free(struct source_ahead *a)
{
	if (!a)
		return;
	source_ahead_end(a);
	pthread_cond_destroy(&a->cond);
	pthread_mutex_destroy(&a->mutex);
	for (size_t i = 0; i < SLOTS; i++)
		free(a->slots[i].data);
	free(a);
}
