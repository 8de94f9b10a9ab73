/*
 * Fetching one layer: the chain of sources, the two digests, and the list by which pulls
 * share what is in flight. Runs on the threads of pulls and imports.
 */
#include "image/fetch.h"

#include "image/ahead.h"
#include "image/resume.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

void fetched_free(struct fetched *l)
{
	if (!l)
		return;
	{
		WITH_MUTEX(&l->table->mutex);
		if (--l->refs)
			return;
		list_remove(&l->link);
	}
	store_lease_free(l->lease);
	unpack_result_done(&l->unpacked);
	free(l);
}

/* Is it corrupt because what came is not what was asked for? Then that is the error. */
static int explain(const struct fetch *f, struct source_tee *blob, int r, struct err *err)
{
	const struct oci_descriptor *d = f->descriptor;
	char digest[DIGEST_TEXT];

	if (err->kind == ERR_UNAVAILABLE)
		return err_wrap(err, r, "layer %s: %" PRIu64 " of %" PRId64 " bytes came", d->digest,
				blob->size, d->size);
	if (err->kind == ERR_CORRUPT && blob->size <= (uint64_t)d->size &&
	    source_drain(&blob->source, NULL) == 0 && !str_eq(digest_text(&blob->digest, digest), d->digest))
		return err_set(err, ERR_CORRUPT,
			       "layer %s: what came has digest %s (%" PRIu64 " of %" PRId64 " bytes)",
			       d->digest, digest, blob->size, d->size);
	return err_wrap(err, r, "layer %s", d->digest);
}

static int verify(const struct fetch *f, const struct source_tee *blob, const struct source_tee *tar,
		  struct err *err)
{
	const struct oci_descriptor *d = f->descriptor;
	char digest[DIGEST_TEXT];

	if (blob->size != (uint64_t)d->size)
		return err_set(err, ERR_CORRUPT,
			       "layer %s: has %" PRIu64 " bytes, the manifest says %" PRId64, d->digest,
			       blob->size, d->size);
	if (!str_eq(digest_text(&blob->digest, digest), d->digest))
		return err_set(err, ERR_CORRUPT, "layer %s: what came has digest %s", d->digest, digest);
	if (!str_eq(digest_text(&tar->digest, digest), f->diff_id))
		return err_set(err, ERR_CORRUPT, "layer %s: unpacked it has digest %s, the config says %s",
			       d->digest, digest, f->diff_id);
	return 0;
}

static int pipeline(const struct fetch *f, struct fetched *l, struct source *from, int copy_fd, int dirfd,
		    struct err *err)
{
	CLEANUP(source_tee_done) struct source_tee blob, tar;
	struct source_inflate *inflate;
	struct source_ahead *ahead;
	int r;

	source_tee_init(&blob, from, (uint64_t)f->descriptor->size, "layer");
	blob.copy_fd = copy_fd;
	blob.progress = f->progress;
	inflate = source_inflate_new(&blob.source, f->table->limits.layer_bytes,
				     f->table->limits.layer_ratio);
	source_inflate_stop(inflate, f->stop);
	ahead = source_ahead_new(source_inflate_source(inflate));
	source_tee_init(&tar, source_ahead_source(ahead), UINT64_MAX, "layer");
	r = unpack_layer(dirfd, &tar.source, &f->table->limits, &l->unpacked, err);
	source_ahead_end(ahead);
	r = r < 0 ? explain(f, &blob, r, err) : verify(f, &blob, &tar, err);
	source_ahead_free(ahead);
	source_inflate_free(inflate);
	return r;
}

/* One try. `fresh`: not from what an earlier one has left. 1: another may do better. */
static int try_once(const struct fetch *f, struct fetched *l, bool fresh, struct err *err)
{
	autofd int dirfd = -EBADF, copy = -EBADF;
	struct resume from;
	bool again;
	int r;

	r = store_layer_stage(l->lease, &l->layer.id, &dirfd, err);
	if (r == 0 && store_keeps_blobs(f->table->store))
		r = store_blob_stage(f->table->store, &copy, err);
	if (r < 0)
		return r;
	r = resume_open(&from, f->table->store, f->content, f->descriptor, fresh, err);
	if (r == 0)
		r = pipeline(f, l, &from.source, copy, dirfd, err);
	if (r == 0 && copy >= 0) {
		r = store_blob_commit(l->lease, f->descriptor->digest, copy, err);
		l->has_blob = r == 0;
	}
	atomic_fetch_add(&f->table->counters.bytes_resumed, from.have);
	atomic_fetch_add(&f->table->counters.bytes_fetched,
			 from.at - (from.at < from.have ? from.at : from.have));
	again = r < 0 && err && err->kind == ERR_CORRUPT && !fresh && resume_distrust(&from);
	/* what broke off or was stopped goes on here; what is wrong, and a full disk, wants it gone */
	resume_close(&from, r < 0 && err && (err->kind == ERR_UNAVAILABLE || err->kind == ERR_CANCELLED ||
					     err->kind == ERR_DENIED));
	return again ? 1 : r;
}

int fetched_sum(struct fetched *l, struct err *err)
{
	autofd int dir = -EBADF, list = -EBADF;
	int r = store_layer_open(l->table->store, l->layer.id, &dir, err);

	if (r == 0)
		r = store_layer_sums(l->table->store, l->layer.id, true, &list, err);
	return r < 0 ? r : sums_write(dir, &l->unpacked.sums, list, err);
}

static int fetch_fresh(const struct fetch *f, struct fetched *l, struct err *err)
{
	int r = try_once(f, l, false, err);

	if (r == 1) {
		err_clear(err);
		unpack_result_done(&l->unpacked);
		l->unpacked = (struct unpack_result)UNPACK_RESULT_INIT;
		if (f->progress)
			atomic_store(f->progress, 0);
		r = try_once(f, l, true, err);
	}
	if (r < 0)
		return r;
	snprintf(l->layer.diff_id, sizeof(l->layer.diff_id), "%s", f->diff_id);
	snprintf(l->layer.digest, sizeof(l->layer.digest), "%s", f->descriptor->digest);
	l->layer.size = (uint64_t)f->descriptor->size;
	l->layer.bytes = l->unpacked.bytes;
	l->layer.inodes = l->unpacked.inodes;
	l->layer.has_root = l->unpacked.has_root;
	/* a tree that depends on those below it is only itself in this chain */
	snprintf(l->layer.key, sizeof(l->layer.key), "%s",
		 unpack_depends(&l->unpacked) ? f->chain_id : f->diff_id);
	l->fresh = true;
	/* one that depends on others is not finished yet: implied.c */
	if (!unpack_depends(&l->unpacked) && (r = fetched_sum(l, err)) < 0)
		return err_wrap(err, r, "layer %s", f->descriptor->digest);
	atomic_fetch_add(&f->table->counters.layers_fetched, 1);
	return 0;
}

/* Published before, or fetched now. */
static int obtain(const struct fetch *f, struct fetched *l, struct err *err)
{
	int r = store_layer_find(l->lease, f->diff_id, &l->layer, err);

	if (r == 0 && !str_eq(f->diff_id, f->chain_id))
		r = store_layer_find(l->lease, f->chain_id, &l->layer, err);
	if (r != 0)
		return r < 0 ? r : 0;
	return fetch_fresh(f, l, err);
}

static struct fetched *fetched_new(const struct fetch *f)
{
	struct fetched *l = mem_new(1, sizeof(*l));

	l->table = f->table;
	l->refs = 1;
	list_init(&l->link);
	snprintf(l->diff_id, sizeof(l->diff_id), "%s", f->diff_id);
	snprintf(l->chain_id, sizeof(l->chain_id), "%s", f->chain_id);
	l->lease = store_lease_new(f->table->store);
	return l;
}

/* Under the mutex: one in flight that will do for us, with a reference; NULL. */
static struct fetched *in_flight(const struct fetch *f)
{
	list_for_each(l, &f->table->layers, struct fetched, link) {
		if (!str_eq(l->diff_id, f->diff_id) || l->failed)
			continue;
		if (l->done && unpack_depends(&l->unpacked) && !str_eq(l->chain_id, f->chain_id))
			continue;
		l->refs++;
		return l;
	}
	return NULL;
}

int fetch_layer(const struct fetch *f, struct fetched **ret, struct err *err)
{
	struct image_table *t = f->table;

	for (;;) {
		struct fetched *l, *mine = fetched_new(f);
		bool use;
		int r;

		pthread_mutex_lock(&t->mutex);
		l = in_flight(f);
		if (!l)
			list_append(&t->layers, &mine->link);
		while (l && !l->done && !l->failed && !atomic_load(f->stop))
			pthread_cond_wait(&t->cond, &t->mutex);
		use = l && l->done && (!unpack_depends(&l->unpacked) || str_eq(l->chain_id, f->chain_id));
		pthread_mutex_unlock(&t->mutex);
		if (l) {
			fetched_free(mine);
			if (use) {
				atomic_fetch_add(&t->counters.layers_joined, 1);
				*ret = l;
				return 0;
			}
			/* it failed for whoever fetched it, or is another tree: try ourselves */
			fetched_free(l);
			if (atomic_load(f->stop))
				return err_set(err, ERR_CANCELLED, "cancelled");
			continue;
		}
		r = obtain(f, mine, err);
		pthread_mutex_lock(&t->mutex);
		mine->done = r == 0;
		mine->failed = r < 0;
		pthread_cond_broadcast(&t->cond);
		pthread_mutex_unlock(&t->mutex);
		if (r < 0) {
			fetched_free(mine);
			return r;
		}
		*ret = mine;
		return 0;
	}
}
