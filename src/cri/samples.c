/*
 * samples.h. Entries of ids that nobody asks for any more go after a quarter of an hour, looked
 * for once a minute.
 */
#include "cri/samples.h"

#include <pthread.h>

#define SAMPLE_AGE_MIN NSEC_PER_SEC
#define LAYER_AGE_MAX (10 * NSEC_PER_SEC)
#define ENTRY_AGE_MAX (900 * NSEC_PER_SEC)
#define SWEEP_EVERY (60 * NSEC_PER_SEC)

struct entry {
	char *id;
	int64_t asked_at;
	int64_t sampled_at; /* 0: never */
	uint64_t usage;
	uint64_t rate;
	bool has_rate;
	struct cri_layer_size layer;
};

struct cri_samples {
	pthread_mutex_t lock;
	struct map entries;
	int64_t swept_at;
};

struct cri_samples *cri_samples_new(void)
{
	struct cri_samples *s = mem_new(1, sizeof(*s));

	pthread_mutex_init(&s->lock, NULL);
	return s;
}

static void entry_free(struct entry *e)
{
	free(e->id);
	free(e);
}

void cri_samples_free(struct cri_samples *s)
{
	struct entry *e;

	if (!s)
		return;
	for (size_t i = 0; (e = map_next(&s->entries, &i));)
		entry_free(e);
	map_done(&s->entries);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void sweep(struct cri_samples *s, int64_t now)
{
	struct entry *e;

	if (now - s->swept_at < SWEEP_EVERY)
		return;
	s->swept_at = now;
	for (size_t i = 0; (e = map_next(&s->entries, &i));) {
		if (now - e->asked_at < ENTRY_AGE_MAX)
			continue;
		map_remove(&s->entries, e->id);
		entry_free(e);
	}
}

static struct entry *entry_of(struct cri_samples *s, const char *id, int64_t now)
{
	struct entry *e;

	sweep(s, now);
	e = map_get(&s->entries, id);
	if (!e) {
		e = mem_new(1, sizeof(*e));
		e->id = mem_strdup(id);
		map_put(&s->entries, e->id, e);
	}
	e->asked_at = now;
	return e;
}

bool cri_samples_rate(struct cri_samples *s, const char *id, int64_t now, uint64_t usage_nsec, uint64_t *ret_rate)
{
	struct entry *e;
	bool has;

	pthread_mutex_lock(&s->lock);
	e = entry_of(s, id, now);
	/* two clients that ask in turn must not halve each other's window: a young sample stays,
	 * and so does the rate that it gave */
	if (!e->sampled_at || now - e->sampled_at >= SAMPLE_AGE_MIN) {
		if (e->sampled_at && usage_nsec >= e->usage) {
			e->rate = (uint64_t)((double)(usage_nsec - e->usage) * (double)NSEC_PER_SEC /
					     (double)(now - e->sampled_at));
			e->has_rate = true;
		}
		e->sampled_at = now;
		e->usage = usage_nsec;
	}
	has = e->has_rate;
	if (has)
		*ret_rate = e->rate;
	pthread_mutex_unlock(&s->lock);
	return has;
}

bool cri_samples_layer(struct cri_samples *s, const char *id, int64_t now, struct cri_layer_size *ret)
{
	struct entry *e;
	bool fresh;

	pthread_mutex_lock(&s->lock);
	e = entry_of(s, id, now);
	fresh = e->layer.at && now - e->layer.at < LAYER_AGE_MAX;
	if (fresh)
		*ret = e->layer;
	pthread_mutex_unlock(&s->lock);
	return fresh;
}

void cri_samples_set_layer(struct cri_samples *s, const char *id, const struct cri_layer_size *size)
{
	pthread_mutex_lock(&s->lock);
	entry_of(s, id, size->at)->layer = *size;
	pthread_mutex_unlock(&s->lock);
}
