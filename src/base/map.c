/*
 * Open addressing with linear probing. A deleted slot keeps key NULL and value TOMBSTONE
 * until the next rehash; rehash happens at three quarters full, deleted ones included.
 */
#include "base/map.h"

#include "base/mem.h"

#include <sys/random.h>

struct map_slot {
	const char *key;
	void *value;
};

static char tombstone;
#define TOMBSTONE ((void *)&tombstone)

static uint64_t seed(void)
{
	static uint64_t value;
	uint64_t v = __atomic_load_n(&value, __ATOMIC_RELAXED), zero = 0;

	if (v)
		return v;
	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != sizeof(v))
		v = (uint64_t)(uintptr_t)&value ^ (uint64_t)getpid() << 32;
	v |= 1;
	/* two threads may race here: both must use the seed that was first */
	if (!__atomic_compare_exchange_n(&value, &zero, v, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		v = zero;
	return v;
}

static uint64_t hash(const char *key)
{
	uint64_t h = seed();

	for (; *key; key++) {
		h ^= (unsigned char)*key;
		h *= 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return h;
}

static struct map_slot *find(const struct map *m, const char *key)
{
	if (!m->cap)
		return NULL;
	for (size_t i = hash(key) & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct map_slot *s = &m->slots[i];

		if (!s->key && !s->value)
			return NULL;
		if (s->key && strcmp(s->key, key) == 0)
			return s;
	}
}

static void insert(struct map *m, const char *key, void *value)
{
	size_t i = hash(key) & (m->cap - 1);

	while (m->slots[i].value)
		i = (i + 1) & (m->cap - 1);
	m->slots[i] = (struct map_slot){ key, value };
	m->n++;
	m->n_used++;
}

static void rehash(struct map *m)
{
	struct map old = *m;

	m->cap = 16;
	while (m->cap < old.n * 2 + 2)
		m->cap *= 2;
	m->slots = mem_new(m->cap, sizeof(*m->slots));
	m->n = m->n_used = 0;
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].key)
			insert(m, old.slots[i].key, old.slots[i].value);
	free(old.slots);
}

void map_done(struct map *m)
{
	free(m->slots);
	*m = (struct map)MAP_INIT;
}

void *map_get(const struct map *m, const char *key)
{
	struct map_slot *s = find(m, key);

	return s ? s->value : NULL;
}

int map_put(struct map *m, const char *key, void *value)
{
	assert(value);
	if (find(m, key))
		return -EEXIST;
	if ((m->n_used + 1) * 4 > m->cap * 3)
		rehash(m);
	insert(m, key, value);
	return 0;
}

void *map_remove(struct map *m, const char *key)
{
	struct map_slot *s = find(m, key);
	void *value;

	if (!s)
		return NULL;
	value = s->value;
	*s = (struct map_slot){ NULL, TOMBSTONE };
	m->n--;
	return value;
}

void *map_next(const struct map *m, size_t *pos)
{
	while (*pos < m->cap) {
		struct map_slot *s = &m->slots[(*pos)++];

		if (s->key)
			return s->value;
	}
	return NULL;
}
