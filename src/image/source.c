/* The simple stages: descriptor, memory, tee. Each belongs to the one thread that reads it. */
#include "image/source.h"

#include "sys/sys.h"

#include <inttypes.h>

enum { DRAIN_CHUNK = 64 * 1024 };

int source_drain(struct source *s, struct err *err)
{
	autofree uint8_t *buf = mem_new(DRAIN_CHUNK, 1);
	ssize_t n;

	while ((n = source_read(s, buf, DRAIN_CHUNK, err)) > 0)
		;
	return (int)n;
}

static ssize_t tee(struct source_tee *t, const void *data, ssize_t n, struct err *err)
{
	int r;

	if (n <= 0)
		return n;
	t->size += (uint64_t)n;
	if (t->size > t->max)
		return err_set(err, ERR_CORRUPT, "%s: is larger than the announced %" PRIu64 " bytes",
			       t->what, t->max);
	digest_update(&t->digest, data, (size_t)n);
	if (t->progress)
		*t->progress += (uint64_t)n;
	if (t->copy_fd >= 0) {
		r = sys_write_all(t->copy_fd, data, (size_t)n);
		if (r < 0)
			return err_sys(err, r, "%s: write the blob", t->what);
	}
	return n;
}

static ssize_t tee_read(struct source *s, void *buf, size_t len, struct err *err)
{
	struct source_tee *t = (struct source_tee *)s;

	return tee(t, buf, source_read(t->from, buf, len, err), err);
}

static ssize_t tee_next(struct source *s, const void **ret, struct err *err)
{
	struct source_tee *t = (struct source_tee *)s;
	ssize_t n = t->from->next(t->from, ret, err);

	return tee(t, *ret, n, err);
}

void source_tee_init(struct source_tee *t, struct source *from, uint64_t max, const char *what)
{
	*t = (struct source_tee){
		.source = { tee_read, from->next ? tee_next : NULL }, .from = from, .max = max,
		.copy_fd = -EBADF, .what = what,
	};
	digest_init(&t->digest);
}

void source_tee_done(struct source_tee *t)
{
	digest_done(&t->digest);
}

static ssize_t fd_read(struct source *s, void *buf, size_t len, struct err *err)
{
	struct source_fd *f = (struct source_fd *)s;
	ssize_t n;

	do
		n = read(f->fd, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? err_sys(err, errno, "%s: read", f->what) : n;
}

void source_fd_init(struct source_fd *f, int fd, const char *what)
{
	*f = (struct source_fd){ .source = { .read = fd_read }, .fd = fd, .what = what };
}

static ssize_t mem_read(struct source *s, void *buf, size_t len, struct err *err)
{
	struct source_mem *m = (struct source_mem *)s;

	if (len > m->len)
		len = m->len;
	if (len)
		memcpy(buf, m->data, len);
	m->data += len;
	m->len -= len;
	return (ssize_t)len;
}

void source_mem_init(struct source_mem *m, const void *data, size_t len)
{
	*m = (struct source_mem){ .source = { .read = mem_read }, .data = data, .len = len };
}
