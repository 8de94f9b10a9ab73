/*
 * Installing: worker threads take the layers one after the other, the caller's thread among
 * them; when all are there, the tree-dependent ones are finished (implied.c) and the image
 * is published. Nothing is visible before; what a failure leaves goes with the leases.
 *
 * Memory of one pull: for each layer at work one body buffer of the transfer (1 MiB), the
 * decoder's input (128 KiB) and window, what is read ahead (1 MiB) and the writers' batches (800 KiB);
 * documents are bounded by their own limits.
 */
#include "image/install.h"

#include "image/fetch.h"
#include "image/implied.h"

#include <stdio.h>

enum { WORKER_STACK = 1024 * 1024, PARALLEL_MAX = 16 };

struct crew {
	struct install *in;
	struct fetched **layers;
	char (*chains)[STORE_DIGEST_MAX];
	atomic_size_t next;
	pthread_mutex_t mutex;
	int r; /* of the first failure, with err */
	struct err *err;
};

static void fail(struct crew *c, int r, const struct err *err)
{
	pthread_mutex_lock(&c->mutex);
	if (c->r == 0) {
		c->r = r;
		if (c->err)
			*c->err = *err;
	}
	pthread_mutex_unlock(&c->mutex);
	atomic_store(c->in->stop, true);
	/* others may wait for a layer that is in flight elsewhere */
	pthread_mutex_lock(&c->in->table->mutex);
	pthread_cond_broadcast(&c->in->table->cond);
	pthread_mutex_unlock(&c->in->table->mutex);
}

static void set_state(struct install *in, size_t i, const char *state)
{
	if (in->layers)
		atomic_store(&in->layers[i].state, state);
}

static void *work(void *user)
{
	struct crew *c = user;
	struct install *in = c->in;
	const struct resolved *res = in->resolved;

	for (;;) {
		size_t i = atomic_fetch_add(&c->next, 1);
		struct err err = ERR_INIT;
		struct fetch f;
		int r;

		if (i >= res->manifest.n_layers || atomic_load(in->stop))
			return NULL;
		f = (struct fetch){ in->table, in->content, &res->manifest.layers[i],
				    res->config.rootfs.diff_ids[i], c->chains[i], in->stop,
				    in->layers ? &in->layers[i].done : NULL };
		set_state(in, i, "fetching");
		r = fetch_layer(&f, &c->layers[i], &err);
		if (r < 0) {
			fail(c, r, &err);
			return NULL;
		}
		set_state(in, i, c->layers[i]->fresh ? "fetched" : "here");
	}
}

static int run_crew(struct crew *c)
{
	size_t n = c->in->resolved->manifest.n_layers, n_threads = 0;
	pthread_t threads[PARALLEL_MAX];
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WORKER_STACK);
	while (n_threads + 1 < n && n_threads + 1 < c->in->table->parallel && n_threads < PARALLEL_MAX) {
		/* fewer threads are slower, nothing worse */
		if (pthread_create(&threads[n_threads], &attr, work, c) != 0)
			break;
		n_threads++;
	}
	pthread_attr_destroy(&attr);
	work(c);
	for (size_t i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	if (c->r == 0 && atomic_load(c->in->stop))
		return err_set(c->err, ERR_CANCELLED, "cancelled");
	return c->r;
}

static int put_documents(const struct resolved *res, struct store_lease *lease, struct err *err)
{
	int r = store_blob_put(lease, res->manifest.config.digest, res->config_text.data,
			       res->config_text.len, err);

	for (size_t i = 0; r == 0 && i < res->n_documents; i++)
		r = store_blob_put(lease, res->documents[i].digest, res->documents[i].text.data,
				   res->documents[i].text.len, err);
	return r;
}

static int publish(struct install *in, struct fetched **layers, struct store_lease *lease, struct err *err)
{
	const struct resolved *res = in->resolved;
	size_t n = res->manifest.n_layers, n_blobs = 0;
	autofree struct store_layer *rows = mem_new(n + 1, sizeof(*rows));
	autofree const char **blobs = mem_new(n + RESOLVED_DOCUMENTS_MAX + 1, sizeof(*blobs));
	CLEANUP(buf_done) struct buf text = BUF_INIT(4096);
	struct image_document doc = { .pulled_at = time_now_real() };
	struct store_image image;
	int r = put_documents(res, lease, err);

	if (r < 0)
		return r;
	doc.manifest_digest = (char *)res->documents[res->n_documents - 1].digest;
	doc.size = res->config_text.len + res->documents[res->n_documents - 1].text.len;
	blobs[n_blobs++] = res->manifest.config.digest;
	for (size_t i = 0; i < res->n_documents; i++)
		blobs[n_blobs++] = res->documents[i].digest;
	for (size_t i = 0; i < n; i++) {
		rows[i] = layers[i]->layer;
		doc.size += (uint64_t)res->manifest.layers[i].size;
		doc.unpacked += rows[i].bytes;
		if (layers[i]->has_blob)
			blobs[n_blobs++] = rows[i].digest;
		/* the lease of the layer's own keeps a staged one, but only as long as we have it */
		store_layer_hold(lease, rows[i].id);
	}
	r = image_document_write(&doc, &text, err);
	if (r < 0)
		return r;
	image = (struct store_image){ res->manifest.config.digest, buf_text(&text), rows, n, blobs, n_blobs };
	WITH_MUTEX(&in->table->change);
	r = store_image_publish(lease, &image, in->refs, in->n_refs, err);
	if (r == 0)
		r = image_table_reload(in->table, NULL, err);
	if (r == 0)
		image_collect_start(in->table);
	return r;
}

static void enter_stage(struct install *in, const char *stage)
{
	atomic_store(&in->since, time_now_mono());
	atomic_store(&in->stage, stage);
}

int image_install(struct install *in, struct err *err)
{
	const struct resolved *res = in->resolved;
	size_t n = res->manifest.n_layers;
	autofree struct fetched **layers = mem_new(n + 1, sizeof(*layers));
	autofree char (*chains)[STORE_DIGEST_MAX] = mem_new(n + 1, sizeof(*chains));
	struct crew c = { .in = in, .layers = layers, .chains = chains, .mutex = PTHREAD_MUTEX_INITIALIZER,
			  .err = err };
	struct store_lease *lease = NULL;
	int r;

	for (size_t i = 0; i < n; i++)
		image_chain_id(i ? chains[i - 1] : "", res->config.rootfs.diff_ids[i], chains[i]);
	enter_stage(in, "fetching");
	r = run_crew(&c);
	if (r == 0) {
		enter_stage(in, "publishing");
		r = implied_finish(in->table, layers, n, err);
	}
	if (r == 0) {
		lease = store_lease_new(in->table->store);
		r = publish(in, layers, lease, err);
	}
	for (size_t i = 0; i < n; i++)
		fetched_free(layers[i]);
	store_lease_free(lease);
	/* nobody goes on with the other layers' beginnings on a disk that has no room for them */
	if (r == -ENOSPC || r == -EDQUOT)
		store_partial_sweep(in->table->store, 0);
	pthread_mutex_destroy(&c.mutex);
	return r;
}
