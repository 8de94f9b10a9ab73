/*
 * See writers.h. Batches go round: the reader fills one, a thread empties it. Threads start when
 * the first batch is full, so a layer of few files has none; without a thread the reader does the
 * work itself.
 */
#include "image/writers.h"

#include "sys/sys.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
	BATCHES = 6,
	BATCH_FILES = 32,
	BATCH_BYTES = 128 * 1024,
	NAME_SHOWN = 301,
	WRITERS = 2,
	STACK = 256 * 1024,
};

struct batch {
	struct batch *next;
	size_t n, used;
	struct {
		struct writers_file file;
		size_t at, name; /* in data */
		uint64_t inode, bytes, sum;
	} files[BATCH_FILES];
	uint8_t data[BATCH_BYTES];
};

struct writers {
	struct batch *filling; /* the reader's */
	pthread_t threads[WRITERS];
	size_t n_threads;
	pthread_mutex_t mutex;
	pthread_cond_t todo_cond, free_cond;
	/* under the mutex */
	uint64_t bytes;
	struct sums_known sums;
	struct batch *free, *todo, **todo_end;
	size_t n_made;        /* of BATCHES */
	bool end;
	int r;                /* of the first failure, with err */
	struct err err;
};

/* ---- one file ---- */

static int failed(const char *name, const char *what, struct err *err)
{
	return err_sys(err, errno, "entry \"%.300s\": %s", name, what);
}

/* Owner before mode: chown clears set-id bits. */
static int fill(struct batch *b, size_t i, struct err *err)
{
	const struct writers_file *f = &b->files[i].file;
	const char *name = (char *)b->data + b->files[i].name;
	struct timespec times[2] = { { 0, UTIME_OMIT }, f->mtime };
	struct stat st;
	int r = f->size ? sys_write_all(f->fd, b->data + b->files[i].at, f->size) : 0;

	if (r < 0) {
		errno = -r;
		return failed(name, "write", err);
	}
	b->files[i].sum = sums_add(0, b->data + b->files[i].at, f->size);
	if (f->chown && fchown(f->fd, f->uid, f->gid) < 0)
		return failed(name, "chown", err);
	if (fstat(f->fd, &st) < 0)
		return failed(name, "stat", err);
	if ((st.st_mode & 07777) != f->mode && fchmod(f->fd, f->mode) < 0)
		return failed(name, "chmod", err);
	b->files[i].inode = st.st_ino;
	b->files[i].bytes = (uint64_t)st.st_blocks * 512;
	return futimens(f->fd, times) < 0 ? failed(name, "set times", err) : 0;
}

static void run_batch(struct writers *w, struct batch *b)
{
	struct err err = ERR_INIT;
	int r = 0;

	for (size_t i = 0; i < b->n; i++) {
		if (r == 0)
			r = fill(b, i, &err);
		close(b->files[i].file.fd);
	}
	pthread_mutex_lock(&w->mutex);
	for (size_t i = 0; r == 0 && i < b->n; i++) {
		w->bytes += b->files[i].bytes;
		sums_know(&w->sums, b->files[i].inode, b->files[i].sum);
	}
	if (r < 0 && w->r == 0) {
		w->r = r;
		w->err = err;
	}
	b->n = b->used = 0;
	b->next = w->free;
	w->free = b;
	pthread_cond_signal(&w->free_cond);
	pthread_mutex_unlock(&w->mutex);
}

/* ---- threads ---- */

static void *work(void *user)
{
	struct writers *w = user;

	pthread_mutex_lock(&w->mutex);
	for (;;) {
		struct batch *b;

		while (!w->todo && !w->end)
			pthread_cond_wait(&w->todo_cond, &w->mutex);
		b = w->todo;
		if (!b)
			break;
		w->todo = b->next;
		if (!w->todo)
			w->todo_end = &w->todo;
		pthread_mutex_unlock(&w->mutex);
		run_batch(w, b);
		pthread_mutex_lock(&w->mutex);
	}
	pthread_mutex_unlock(&w->mutex);
	return NULL;
}

static void start_threads(struct writers *w)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	while (w->n_threads < WRITERS && pthread_create(&w->threads[w->n_threads], &attr, work, w) == 0)
		w->n_threads++;
	pthread_attr_destroy(&attr);
}

static void hand_over(struct writers *w)
{
	struct batch *b = take_ptr(&w->filling);

	if (!b)
		return;
	if (!w->n_threads && b->n == BATCH_FILES)
		start_threads(w);
	if (!w->n_threads) {
		run_batch(w, b);
		return;
	}
	b->next = NULL;
	pthread_mutex_lock(&w->mutex);
	*w->todo_end = b;
	w->todo_end = &b->next;
	pthread_cond_signal(&w->todo_cond);
	pthread_mutex_unlock(&w->mutex);
}

/* ---- the reader ---- */

struct writers *writers_new(void)
{
	struct writers *w = mem_new(1, sizeof(*w));

	w->todo_end = &w->todo;
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->todo_cond, NULL);
	pthread_cond_init(&w->free_cond, NULL);
	return w;
}

static int take_batch(struct writers *w, struct err *err)
{
	int r;

	pthread_mutex_lock(&w->mutex);
	while (w->r == 0 && !w->free && w->n_made == BATCHES)
		pthread_cond_wait(&w->free_cond, &w->mutex);
	r = w->r;
	if (r < 0 && err)
		*err = w->err;
	if (r == 0 && w->free) {
		w->filling = w->free;
		w->free = w->filling->next;
	} else if (r == 0) {
		w->n_made++;
		w->filling = mem_new(1, sizeof(*w->filling));
	}
	pthread_mutex_unlock(&w->mutex);
	return r;
}

int writers_room(struct writers *w, size_t size, uint8_t **ret, struct err *err)
{
	int r;

	if (w->filling && (w->filling->n == BATCH_FILES || w->filling->used + size + NAME_SHOWN > BATCH_BYTES))
		hand_over(w);
	if (!w->filling && (r = take_batch(w, err)) < 0)
		return r;
	*ret = w->filling->data + w->filling->used;
	return 0;
}

void writers_put(struct writers *w, const struct writers_file *f)
{
	struct batch *b = w->filling;
	size_t len = strnlen(f->name, NAME_SHOWN - 1);

	b->files[b->n].file = *f;
	b->files[b->n].at = b->used;
	b->files[b->n++].name = b->used + f->size;
	b->used += f->size;
	memcpy(b->data + b->used, f->name, len);
	b->data[b->used + len] = '\0';
	b->used += len + 1;
}

static void join(struct writers *w)
{
	hand_over(w);
	pthread_mutex_lock(&w->mutex);
	w->end = true;
	pthread_cond_broadcast(&w->todo_cond);
	pthread_mutex_unlock(&w->mutex);
	for (size_t i = 0; i < w->n_threads; i++)
		pthread_join(w->threads[i], NULL);
	w->n_threads = 0;
}

int writers_end(struct writers *w, struct unpack_result *res, struct err *err)
{
	join(w);
	if (w->r < 0) {
		if (err)
			*err = w->err;
		return w->r;
	}
	res->bytes += w->bytes;
	for (size_t i = 0; i < w->sums.n; i++)
		sums_know(&res->sums, w->sums.files[i].inode, w->sums.files[i].sum);
	return 0;
}

void writers_free(struct writers *w)
{
	struct batch *b;

	if (!w)
		return;
	join(w);
	while ((b = w->free)) {
		w->free = b->next;
		free(b);
	}
	free(w->sums.files);
	pthread_cond_destroy(&w->todo_cond);
	pthread_cond_destroy(&w->free_cond);
	pthread_mutex_destroy(&w->mutex);
	free(w);
}
