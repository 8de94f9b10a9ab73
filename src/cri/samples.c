/*
 * samples.h. Entries of ids that nobody asks for any more go after a quarter of an hour, looked
 * for once a minute.
 */
#include "cri/samples.h"

#include "cgroup/cgroup.h"

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
	bool layer_due; /* somebody was told to measure it anew */
	struct meter *meter;
};

/* Counted: one may be read while its entry goes. */
struct meter {
	int refs; /* under the lock */
	struct cgroup_meter *files;
};

struct due {
	struct list link;
	char id[];
};

struct cri_samples {
	pthread_mutex_t lock;
	struct map entries;
	int64_t swept_at;
	struct list due; /* struct due */
	bool told;       /* somebody takes the due ones */
};

struct cri_samples *cri_samples_new(void)
{
	struct cri_samples *s = mem_new(1, sizeof(*s));

	pthread_mutex_init(&s->lock, NULL);
	list_init(&s->due);
	return s;
}

/* Under the lock. */
static void meter_unref(struct meter *m)
{
	if (!m || --m->refs)
		return;
	cgroup_meter_free(m->files);
	free(m);
}

static void entry_free(struct entry *e)
{
	meter_unref(e->meter);
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
	list_for_each(due, &s->due, struct due, link)
		free(due);
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

void cri_samples_forget(struct cri_samples *s, const char *id)
{
	struct entry *e;

	pthread_mutex_lock(&s->lock);
	e = map_get(&s->entries, id);
	if (e) {
		map_remove(&s->entries, id);
		entry_free(e);
	}
	pthread_mutex_unlock(&s->lock);
}

/* A reference to the entry's meter; opened when it has none. NULL: no cgroup, or no descriptor left. */
static struct meter *meter_of(struct cri_samples *s, const char *id, const char *path)
{
	struct cgroup_meter *files = NULL;
	const struct cgroup_host *host;
	struct meter *m;
	struct entry *e;

	pthread_mutex_lock(&s->lock);
	m = entry_of(s, id, time_now_real())->meter;
	if (m)
		m->refs++;
	pthread_mutex_unlock(&s->lock);
	if (m)
		return m;
	if (str_empty(path) || cgroup_host_get(&host, NULL) < 0 || cgroup_meter_open(host, path, &files, NULL) < 0)
		return NULL;
	m = mem_new(1, sizeof(*m));
	m->files = files;
	m->refs = 1;
	pthread_mutex_lock(&s->lock);
	e = entry_of(s, id, time_now_real());
	if (!e->meter) { /* else another thread was as fast, and ours lives as long as this call */
		e->meter = m;
		m->refs++;
	}
	pthread_mutex_unlock(&s->lock);
	return m;
}

void cri_samples_cgroup(struct cri_samples *s, const char *id, const char *path, unsigned want,
			struct cgroup_stats *ret)
{
	struct meter *m = meter_of(s, id, path);
	struct entry *e;

	ret->have = 0;
	if (!m)
		return;
	if (cgroup_meter_read(m->files, want, ret, NULL) < 0)
		ret->have = 0;
	pthread_mutex_lock(&s->lock);
	e = ret->have ? NULL : map_get(&s->entries, id);
	if (e && e->meter == m) {
		e->meter = NULL;
		m->refs--; /* not the last: this call has one */
	}
	meter_unref(m);
	pthread_mutex_unlock(&s->lock);
}

bool cri_samples_layer(struct cri_samples *s, const char *id, int64_t now, struct cri_layer_size *ret,
		       bool *ret_due)
{
	struct entry *e;
	bool known;

	*ret_due = false;
	pthread_mutex_lock(&s->lock);
	e = entry_of(s, id, now);
	known = e->layer.at;
	*ret = e->layer;
	if (known && !e->layer_due && now - e->layer.at >= LAYER_AGE_MAX) {
		struct due *due = mem_new(1, sizeof(*due) + strlen(id) + 1);

		strcpy(due->id, id);
		list_append(&s->due, &due->link);
		e->layer_due = true;
		*ret_due = !s->told;
		s->told = true;
	}
	pthread_mutex_unlock(&s->lock);
	return known;
}

char *cri_samples_take_due(struct cri_samples *s)
{
	struct due *due;
	char *id = NULL;

	pthread_mutex_lock(&s->lock);
	due = list_first(&s->due, struct due, link);
	if (due) {
		list_remove(&due->link);
		id = mem_strdup(due->id);
		free(due);
	} else {
		s->told = false;
	}
	pthread_mutex_unlock(&s->lock);
	return id;
}

void cri_samples_set_layer(struct cri_samples *s, const char *id, const struct cri_layer_size *size)
{
	struct entry *e;

	pthread_mutex_lock(&s->lock);
	e = entry_of(s, id, size->at);
	e->layer = *size;
	e->layer_due = false;
	pthread_mutex_unlock(&s->lock);
}
