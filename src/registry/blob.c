/*
 * A blob as its reader sees it: bytes in their order. Small ones are one part, read on the
 * reader's thread. Large ones are pieces of PIECE bytes in a ring: workers claim the next piece
 * that fits into it and fill it, the reader takes what is filled, also of a piece that is not
 * complete. The first worker's connection is as urgent as any; those of the others are extra.
 * A piece that comes much slower than the others do holds up all that is behind it: the rest of
 * it is asked for again, at the next host.
 *
 * Invariants, under the blob's mutex: pieces [reading, claimed) are in the ring, at index
 * modulo its size; a piece is written by the worker that claimed it and read up to `filled`.
 */
#include "registry/part.h"

#include <stdio.h>
#include <time.h>

enum {
	PIECE = 2 * 1024 * 1024,
	LARGE = 32 * 1024 * 1024, /* below this one connection is enough */
	RING = 6,                 /* pieces of one blob at most … */
	PIECES = 12,              /* … and of all blobs of a session: what bounds memory */
	WORKERS = 4,
	WORKER_STACK = 512 * 1024,
	STEP = 256 * 1024,
};

struct piece {
	uint8_t *data;
	size_t filled, size;
};

struct registry_blob {
	struct registry_session *session;
	char digest[80];
	uint64_t size, offset;  /* of the blob; where pieces begin */
	struct part first;      /* of a small blob: all of it */
	/* of a large one */
	unsigned n_ring;        /* 0: small */
	struct piece ring[RING];
	uint64_t claimed, reading, n_pieces;
	size_t consumed;        /* of the piece that is read */
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	pthread_t threads[WORKERS];
	size_t n_threads;
	atomic_bool stop;
	bool first_taken;
	_Atomic uint64_t pace;  /* bytes a second of one connection, of late; 0: not known */
	int r;                  /* of the first failure, with err */
	struct err err;
	bool served[HOSTS_MAX]; /* by which hosts */
};

static struct part part_of(struct registry_blob *b, uint64_t at, uint64_t end)
{
	return (struct part){ .session = b->session, .digest = b->digest, .at = at, .end = end,
			      .size = b->size, .pace = &b->pace };
}

/* Half of it is that of the last piece, so a network that has become slow is not held against all. */
static void note_pace(struct registry_blob *b, size_t bytes, int64_t began)
{
	uint64_t ms = (uint64_t)((time_now_mono() - began) / NSEC_PER_MSEC) + 1;
	uint64_t rate = bytes * 1000 / ms, pace = atomic_load(&b->pace);

	atomic_store(&b->pace, pace ? (pace + rate) / 2 : rate);
}

static void note_server(struct registry_blob *b, const struct part *p)
{
	if (p->endpoint)
		b->served[p->endpoint - b->session->endpoints] = true;
}

/* ---- workers ---- */

/*
 * Under the mutex, which is let go: a permit before a piece is claimed, since a piece that waits
 * for one would make the reader wait. False when it is over.
 */
static bool get_permit(struct registry_blob *b)
{
	struct pool *pool = &b->session->reg->pool;
	bool got = false;

	while (!b->stop && b->r == 0 && b->claimed < b->n_pieces && !got) {
		struct timespec until;

		pthread_mutex_unlock(&b->mutex);
		got = pool_permit_try_extra(pool);
		pthread_mutex_lock(&b->mutex);
		if (got)
			break;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 1;
		pthread_cond_timedwait(&b->cond, &b->mutex, &until);
	}
	return got;
}

/* Under the mutex: the next piece, when there is room for it. False at the end. */
static bool claim(struct registry_blob *b, uint64_t *ret)
{
	while (!b->stop && b->r == 0 && b->claimed < b->n_pieces && b->claimed >= b->reading + b->n_ring)
		pthread_cond_wait(&b->cond, &b->mutex);
	if (b->stop || b->r < 0 || b->claimed == b->n_pieces)
		return false;
	*ret = b->claimed++;
	return true;
}

/* The piece is the worker's until the last byte is in; then the reader may give it to another. */
static int fill(struct registry_blob *b, struct part *p, struct piece *piece, struct err *err)
{
	size_t size = piece->size, done = 0;
	int64_t began = time_now_mono();

	while (done < size) {
		size_t want = size - done < STEP ? size - done : STEP;
		ssize_t n = part_read(p, piece->data + done, want, err);
		bool stop;

		if (n <= 0)
			return n < 0 ? (int)n
				     : err_set(err, ERR_UNAVAILABLE, "%s: blob %s: ends too early",
					       p->endpoint ? p->endpoint->host->name : "", b->digest);
		pthread_mutex_lock(&b->mutex);
		done += (size_t)n;
		piece->filled = done;
		note_server(b, p);
		stop = b->stop || b->r < 0;
		pthread_cond_broadcast(&b->cond);
		pthread_mutex_unlock(&b->mutex);
		if (stop)
			return err_set(err, ERR_CANCELLED, "cancelled");
	}
	note_pace(b, size, began);
	return 0;
}

static void *work(void *user)
{
	struct registry_blob *b = user;
	bool extra, permit = false;

	pthread_mutex_lock(&b->mutex);
	extra = b->first_taken;
	b->first_taken = true;
	for (;;) {
		struct err err = ERR_INIT;
		struct piece *piece;
		struct part part;
		uint64_t i, at;
		int r;

		permit = extra && get_permit(b);
		if ((extra && !permit) || !claim(b, &i))
			break;
		at = b->offset + i * PIECE;
		piece = &b->ring[i % b->n_ring];
		piece->filled = 0;
		piece->size = b->size - at < PIECE ? (size_t)(b->size - at) : PIECE;
		pthread_mutex_unlock(&b->mutex);
		if (!piece->data)
			piece->data = mem_new(PIECE, 1);
		if (i == 0) {
			/* the permit of the first answer comes with it */
			if (permit)
				pool_permit_return(&b->session->reg->pool);
			permit = false;
			part = b->first;
			b->first.transfer = NULL;
			b->first.has_permit = false;
		} else {
			part = part_of(b, at, at + piece->size);
		}
		if (permit)
			part.has_permit = true;
		permit = false;
		r = fill(b, &part, piece, &err);
		part_close(&part);
		pthread_mutex_lock(&b->mutex);
		if (r < 0 && b->r == 0) {
			b->r = r;
			b->err = err;
		}
		pthread_cond_broadcast(&b->cond);
	}
	pthread_mutex_unlock(&b->mutex);
	if (permit)
		pool_permit_return(&b->session->reg->pool);
	return NULL;
}

static void start_workers(struct registry_blob *b)
{
	size_t wanted = b->n_ring - 1 < WORKERS ? b->n_ring - 1 : WORKERS;
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WORKER_STACK);
	while (b->n_threads < wanted && pthread_create(&b->threads[b->n_threads], &attr, work, b) == 0)
		b->n_threads++;
	pthread_attr_destroy(&attr);
}

/* ---- the ring's share of memory ---- */

static unsigned take_pieces(struct registry_session *s)
{
	unsigned n;

	pthread_mutex_lock(&s->mutex);
	n = PIECES - s->pieces < RING ? PIECES - s->pieces : RING;
	n = n < 2 ? 0 : n;
	s->pieces += n;
	pthread_mutex_unlock(&s->mutex);
	return n;
}

static void give_pieces(struct registry_session *s, unsigned n)
{
	pthread_mutex_lock(&s->mutex);
	s->pieces -= n;
	pthread_mutex_unlock(&s->mutex);
}

/* ---- the reader ---- */

static int open_first(struct registry_blob *b, struct err *err)
{
	uint64_t end = b->n_ring ? b->offset + PIECE : b->size;
	bool whole = false;
	int r;

	b->first = part_of(b, b->offset, end);
	r = part_open(&b->first, &whole, err);
	/* a range was refused, by whoever does not know ranges: all in one then */
	if (r < 0 && b->n_ring && b->offset && err && err->kind == ERR_UNAVAILABLE) {
		err_clear(err);
		b->first = part_of(b, b->offset, b->size);
		r = part_open(&b->first, &whole, err);
		whole = true;
	}
	if (r < 0)
		return r;
	note_server(b, &b->first);
	if (whole && b->n_ring) {
		give_pieces(b->session, b->n_ring);
		b->n_ring = 0;
	}
	if (!b->n_ring)
		b->first.end = b->size;
	return 0;
}

int registry_blob_open(struct registry_session *s, const char *digest, uint64_t size, uint64_t offset,
		       struct registry_blob **ret, struct err *err)
{
	struct registry_blob *b = mem_new(1, sizeof(*b));
	int r;

	b->session = s;
	snprintf(b->digest, sizeof(b->digest), "%s", digest);
	b->size = size;
	b->offset = offset;
	pthread_mutex_init(&b->mutex, NULL);
	pthread_cond_init(&b->cond, NULL);
	if (size - offset >= LARGE) {
		b->n_ring = take_pieces(s);
		b->n_pieces = (size - offset + PIECE - 1) / PIECE;
	}
	r = open_first(b, err);
	if (r == 0 && b->n_ring) {
		start_workers(b);
		if (!b->n_threads)
			r = err_sys(err, EAGAIN, "start a thread");
	}
	if (r < 0) {
		registry_blob_close(b);
		return r;
	}
	*ret = b;
	return 0;
}

static ssize_t read_pieces(struct registry_blob *b, void *buf, size_t len, struct err *err)
{
	struct piece *piece = &b->ring[b->reading % b->n_ring];
	size_t n;
	int r;

	if (b->reading == b->n_pieces)
		return 0;
	pthread_mutex_lock(&b->mutex);
	while (!(b->reading < b->claimed && piece->filled > b->consumed) && b->r == 0)
		pthread_cond_wait(&b->cond, &b->mutex);
	n = b->reading < b->claimed ? piece->filled - b->consumed : 0;
	r = b->r;
	pthread_mutex_unlock(&b->mutex);
	if (!n && err)
		*err = b->err;
	if (!n)
		return r;
	if (n > len)
		n = len;
	memcpy(buf, piece->data + b->consumed, n);
	b->consumed += n;
	if (b->consumed == piece->size) {
		pthread_mutex_lock(&b->mutex);
		b->reading++;
		b->consumed = 0;
		/* its size is the next claimant's to set, and nothing of it may look filled till then */
		piece->filled = 0;
		pthread_cond_broadcast(&b->cond);
		pthread_mutex_unlock(&b->mutex);
	}
	return (ssize_t)n;
}

ssize_t registry_blob_read(struct registry_blob *b, void *buf, size_t len, struct err *err)
{
	ssize_t n;

	if (b->n_ring)
		return read_pieces(b, buf, len, err);
	n = part_read(&b->first, buf, len, err);
	note_server(b, &b->first);
	return n;
}

bool registry_blob_distrust(struct registry_blob *b)
{
	bool others = false;

	pthread_mutex_lock(&b->mutex);
	for (size_t i = 0; i < b->session->n_endpoints; i++)
		if (b->served[i])
			session_set_down(&b->session->endpoints[i]);
		else
			others = true;
	pthread_mutex_unlock(&b->mutex);
	return others;
}

void registry_blob_close(struct registry_blob *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&b->mutex);
	b->stop = true;
	pthread_cond_broadcast(&b->cond);
	pthread_mutex_unlock(&b->mutex);
	for (size_t i = 0; i < b->n_threads; i++)
		pthread_join(b->threads[i], NULL);
	part_close(&b->first);
	if (b->n_ring)
		give_pieces(b->session, b->n_ring);
	for (size_t i = 0; i < RING; i++)
		free(b->ring[i].data);
	pthread_cond_destroy(&b->cond);
	pthread_mutex_destroy(&b->mutex);
	free(b);
}
