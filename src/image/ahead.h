/*
 * A source that reads ahead: what is below it (network, decompression, the blob's digest) runs on a
 * thread of its own, while the reader digests the rest and writes files. A ring of SLOTS buffers lies between, 1 MiB.
 */
#pragma once

#include "image/source.h"

struct source_ahead;

/* From now on `from` and all below it is the thread's, until source_ahead_end. Without a thread it is read
 * as it is. */
struct source_ahead *source_ahead_new(struct source *from);
struct source *source_ahead_source(struct source_ahead *a);
/* Waits for the thread: at most for the read that it is in, which ends by the stop of the source below. */
void source_ahead_end(struct source_ahead *a);
void source_ahead_free(struct source_ahead *a);
