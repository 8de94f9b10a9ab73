/*
 * String-keyed hash map with borrowed keys.
 *
 * Keys belong to the values and must stay where they are while they are in the map: put a
 * value under its own id. Iteration order is arbitrary. One thread at a time. The hash is
 * seeded at random for each process, so that keys chosen by a hostile client do not
 * collide on purpose.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct map {
	struct map_slot *slots;
	size_t n, n_used, cap; /* live entries; live and deleted slots; size, a power of two */
};

#define MAP_INIT { NULL, 0, 0, 0 }

void map_done(struct map *m);
void *map_get(const struct map *m, const char *key);
/* 0, or -EEXIST and nothing changed. value must not be NULL. */
int map_put(struct map *m, const char *key, void *value);
/* The value that was there, or NULL. */
void *map_remove(struct map *m, const char *key);

/*
 * for (size_t i = 0; (v = map_next(&m, &i));) …  The map must not get new entries
 * meanwhile; removing is allowed.
 */
void *map_next(const struct map *m, size_t *pos);
