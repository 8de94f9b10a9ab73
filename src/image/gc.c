/*
 * Which images go when the disk is full, behind what unfinished pulls have left. What each is worth is
 * known from the kept sums, so nothing is walked; the data itself is deleted later by the store, and
 * what waits for that counts as free already.
 *
 * Against pulls and containers: the store removes an image only when no snapshot stands on it
 * and nothing has used it since, in one transaction; layers that a pull holds stay under its
 * lease, and the pull publishes the image anew.
 */
#include "image/table.h"

#include <sys/statvfs.h>

void image_collected_done(struct image_collected *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->ids[i]);
		free(c->names[i]);
	}
	free(c->ids);
	free(c->names);
	*c = (struct image_collected)IMAGE_COLLECTED_INIT;
}

/* As df and the kubelet see it: what cannot be had by anyone is used. */
static int wanted(const struct image_table *t, const struct image_collect *what, uint64_t *ret,
		  struct err *err)
{
	struct statvfs fs;
	uint64_t total, used;

	*ret = UINT64_MAX;
	if (!what->high)
		return 0;
	if (statvfs(store_root(t->store), &fs) < 0)
		return err_sys(err, errno, "statvfs %s", store_root(t->store));
	total = fs.f_blocks * fs.f_frsize;
	used = total - fs.f_bavail * fs.f_frsize;
	*ret = used / 100 >= total / 100 * what->high / 100 ? used - total / 100 * what->low : 0;
	return 0;
}

static void tell(struct image_collected *ret, const struct image *img)
{
	const char *name = img->n_repo_tags ? img->repo_tags[0] :
		img->n_repo_digests ? img->repo_digests[0] : "";

	ret->ids = mem_grow(ret->ids, ret->n + 1, sizeof(*ret->ids));
	ret->names = mem_grow(ret->names, ret->n + 1, sizeof(*ret->names));
	ret->names[ret->n] = mem_strdup(name);
	ret->ids[ret->n++] = mem_strdup(img->id);
}

/* 1 removed (or would be), 0 not. */
static int collect_one(struct image_table *t, const char *id, const struct image_collect *what,
		       int64_t before,
		       struct image_collected *ret, struct err *err)
{
	uint64_t had = 0, has = 0, inodes;
	struct image *img;
	int r = 1;

	if (image_get(t, id, &img, NULL) < 0)
		return 0;
	if (img->pinned || (what->untagged_only && img->n_repo_tags))
		r = 0;
	if (r && what->dry_run)
		ret->bytes += img->unpacked;
	if (r && !what->dry_run) {
		WITH_MUTEX(&t->change);
		r = store_usage(t->store, &had, &inodes, err);
		if (r == 0)
			r = store_image_remove_idle(t->store, id, before, err);
		if (r > 0) {
			int e = image_table_reload(t, NULL, err);

			r = e < 0 ? e : 1;
		}
		if (r > 0 && store_usage(t->store, &has, &inodes, NULL) == 0 && has < had)
			ret->bytes += had - has;
	}
	if (r > 0)
		tell(ret, img);
	image_unref(img);
	return r < 0 ? err_wrap(err, r, "remove image %s", id) : r;
}

int image_collect(struct image_table *t, const struct image_collect *what, struct image_collected *ret,
		  struct err *err)
{
	int64_t before = what->min_age ? time_now_real() - what->min_age : INT64_MAX;
	uint64_t enough;
	char **ids;
	int r = wanted(t, what, &enough, err);

	/* what pulls have left unfinished is worth less than any image; running ones keep theirs */
	if (r == 0 && enough && what->high && !what->dry_run)
		ret->bytes += store_partial_sweep(t->store, 0);
	if (r == 0 && enough)
		r = store_image_idle(t->store, before, &ids, err);
	if (r < 0 || !enough)
		return r;
	for (size_t i = 0; ids[i]; i++) {
		if (r >= 0 && ret->bytes < enough)
			r = collect_one(t, ids[i], what, before, ret, err);
		free(ids[i]);
	}
	free(ids);
	return r < 0 ? r : 0;
}

/* ---- by itself ---- */

enum { COLLECT_STACK = 256 * 1024 };

#define COLLECT_AGE (120 * NSEC_PER_SEC)

static void *collect_thread(void *user)
{
	CLEANUP(image_collected_done) struct image_collected c = IMAGE_COLLECTED_INIT;
	struct image_table *t = user;
	const struct image_collect what = { .high = t->gc_high, .low = t->gc_low, .min_age = COLLECT_AGE };
	struct err err = ERR_INIT;

	if ((image_collect(t, &what, &c, &err) < 0 || c.n) && t->collected)
		t->collected(&c, err.kind == ERR_NONE ? NULL : &err, t->collected_user);
	WITH_MUTEX(&t->mutex);
	t->collecting = false;
	t->n_threads--;
	pthread_cond_broadcast(&t->cond);
	return NULL;
}

void image_collect_start(struct image_table *t)
{
	pthread_attr_t attr;
	pthread_t thread;

	WITH_MUTEX(&t->mutex);
	if (!t->gc_high || t->collecting)
		return;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, COLLECT_STACK);
	/* without a thread the next round does it */
	t->collecting = pthread_create(&thread, &attr, collect_thread, t) == 0;
	t->n_threads += t->collecting;
	pthread_attr_destroy(&attr);
}
