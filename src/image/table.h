/*
 * What the files of the image room share: the table, its locks, its in-flight work.
 *
 * t->mutex guards the images and the lists of work; it is never held across disk or network.
 * t->change serializes what changes the store and then the table (publish, remove, tag), so
 * that the table always ends up as the store is.
 */
#pragma once

#include "image/image.h"
#include "registry/registry.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

struct image_table {
	struct store *store;
	struct registry *registry;
	char **pinned;
	size_t n_pinned;
	unsigned parallel;
	struct image_limits limits;
	pthread_mutex_t mutex, change;
	pthread_cond_t cond;
	struct image **images; /* oldest first */
	size_t n_images;
	_Atomic uint64_t version; /* of images and names */
	struct map names;      /* id, tags and digests → struct image */
	uint64_t used_bytes, used_inodes;
	/* pull.c, fetch.c */
	struct list pulls, layers;
	unsigned n_threads;
	struct {
		_Atomic uint64_t begun, joined, done, failed, cancelled;
		_Atomic uint64_t layers_fetched, layers_joined, bytes_fetched, bytes_resumed;
	} counters; /* of image_counters */
	/* gc.c */
	bool collecting;
	unsigned gc_high, gc_low;
	void (*collected)(const struct image_collected *c, const struct err *err, void *user);
	void *collected_user;
	pthread_mutex_t implied; /* serializes implied.c: layers in flight are shared */
};

struct image_private {
	atomic_uint refs;
	char *doc;
	struct arena arena;
};

static inline void image_unlock_ptr(pthread_mutex_t **m)
{
	pthread_mutex_unlock(*m);
}

static inline pthread_mutex_t *image_lock(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}

#define WITH_MUTEX(m) \
	CLEANUP(image_unlock_ptr) __attribute__((unused)) pthread_mutex_t *held = image_lock(m)

/* Makes the table what the store says. Under t->change. */
int image_table_reload(struct image_table *t, struct buf *note, struct err *err);

/* pull.c: cancels what runs and waits for its threads. */
void image_pulls_end(struct image_table *t);

/* document.c: what the store keeps about an image besides its blobs. */
struct image_document {
	char *manifest_digest;
	uint64_t size, unpacked;
	int64_t pulled_at;
};
int image_document_write(const struct image_document *doc, struct buf *out, struct err *err);
/* A struct image with one reference from what the store has. */
int image_build(struct image_table *t, const char *id, const char *doc, char **refs, size_t n_refs,
		struct image **ret, struct err *err);

/* chain_id of a layer over `below` ("" for none): https://github.com/opencontainers/image-spec config.md */
char *image_chain_id(const char *below, const char *diff_id, char out[STORE_DIGEST_MAX]);
