/*
 * Invariant: data is NULL, or holds cap bytes of which data[len] is zero and len < cap.
 */
#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

void buf_done(struct buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
}

int buf_reserve(struct buf *b, size_t len)
{
	size_t need, cap;

	if (len > b->max || b->len > b->max - len)
		return -EMSGSIZE;
	need = b->len + len + 1;
	if (need <= b->cap)
		return 0;
	cap = b->cap ? b->cap : 64;
	while (cap < need)
		cap *= 2;
	b->data = mem_grow(b->data, cap, 1);
	b->cap = cap;
	b->data[b->len] = '\0';
	return 0;
}

int buf_append(struct buf *b, const void *data, size_t len)
{
	int r = buf_reserve(b, len);

	if (r < 0)
		return r;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int buf_puts(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	r = buf_reserve(b, (size_t)n);
	if (r < 0)
		return r;
	va_start(ap, fmt);
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (!n)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	b->data[b->len] = '\0';
}

ssize_t buf_read_fd(struct buf *b, int fd, size_t most)
{
	ssize_t n;
	int r;

	if (most > b->max - b->len)
		most = b->max - b->len;
	if (!most)
		return -EMSGSIZE;
	r = buf_reserve(b, most);
	if (r < 0)
		return r;
	do
		n = read(fd, b->data + b->len, most);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	b->len += (size_t)n;
	b->data[b->len] = '\0';
	return n;
}

const char *buf_text(const struct buf *b)
{
	return b->data ? (const char *)b->data : "";
}

char *buf_take_text(struct buf *b)
{
	char *text = b->data ? (char *)b->data : mem_strdup("");

	b->data = NULL;
	b->len = b->cap = 0;
	return text;
}
