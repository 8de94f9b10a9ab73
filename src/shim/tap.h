/*
 * Taps: those who are attached to a stream of a container and get a copy of its bytes.
 *
 * A tap is a FIFO that its reader opened first. One that does not read holds the stream up,
 * so that nothing is missing at a terminal that is only slow, but for TAP_PATIENCE at most:
 * then it is closed. A container must never wait for somebody's forgotten window for ever.
 *
 * Loop thread.
 */
#pragma once

#include "shim/server.h"

enum { TAPS_MAX = 8, TAP_PENDING_MAX = 256 * 1024 };

struct taps {
	struct shim *shim;
	struct list list;
	size_t n;
	event_fn on_free; /* called when nobody holds the stream up any more */
	void *user;
};

void taps_init(struct taps *t, struct shim *s, event_fn on_free, void *user);
int taps_add(struct taps *t, const char *fifo, struct err *err);
void taps_write(struct taps *t, const uint8_t *data, size_t len);
bool taps_busy(const struct taps *t);
/* No more bytes will come: each is closed once it has taken what is pending; its reader sees the end. */
void taps_end(struct taps *t);
