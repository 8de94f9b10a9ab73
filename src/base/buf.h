/*
 * A bounded, growing byte buffer.
 *
 * `max` is the bound that its owner gives it; an append that would pass it adds nothing
 * and returns -EMSGSIZE, and the buffer stays usable. data is always followed by a zero
 * byte (outside len), so that text can be read as a string. Zero-initialised with a max
 * it is valid: struct buf b = BUF_INIT(4096).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf {
	uint8_t *data;
	size_t len, cap, max;
};

#define BUF_INIT(bound) { NULL, 0, 0, (bound) }

void buf_done(struct buf *b);
int buf_append(struct buf *b, const void *data, size_t len);
int buf_puts(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for `len` more bytes at data + b->len; the caller then raises b->len itself. */
int buf_reserve(struct buf *b, size_t len);
/* Drops the first n bytes and moves the rest down. */
void buf_consume(struct buf *b, size_t n);
/* Reads once into the buffer, at most `most` bytes: bytes read, 0 at end, -errno. */
ssize_t buf_read_fd(struct buf *b, int fd, size_t most);
/* "" when empty, never NULL. */
const char *buf_text(const struct buf *b);
/* The content as a heap string; the buffer is empty after. */
char *buf_take_text(struct buf *b);
