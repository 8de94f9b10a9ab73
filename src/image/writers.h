/*
 * Small files, filled by threads of their own.
 *
 * Whoever reads a layer makes all names, one after the other, so that what replaces, hides or
 * links to what is decided by the order of the stream. What a small file still needs then hangs
 * on its descriptor alone: bytes, owner, mode, times. That is as much work as making the name, so
 * it is handed over, in batches, to WRITERS threads.
 *
 *	w = writers_new();
 *	r = writers_room(w, size, &room, &err);   once a file, by one thread
 *	writers_put(w, &file);
 *	r = writers_end(w, &result, &err);        all of it is written
 *	writers_free(w);
 *
 * Bounds: BATCHES batches of at most BATCH_FILES descriptors and BATCH_BYTES bytes. A failure is
 * told at the next call, with the name of the entry that it belongs to.
 */
#pragma once

#include "image/unpack.h"

#include <sys/types.h>
#include <time.h>

enum { WRITERS_SMALL = 32 * 1024 }; /* larger files are written as they come */

struct writers;

struct writers_file {
	int fd;           /* taken, empty, made with `mode` less the umask and what only chmod gives */
	const char *name; /* for errors; copied */
	size_t size;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	bool chown;
	struct timespec mtime;
};

struct writers *writers_new(void);
/* Where the content of the next file goes, at most WRITERS_SMALL bytes. Negative when a file before it failed.
 * Blocks while all batches are full. */
int writers_room(struct writers *w, size_t size, uint8_t **ret, struct err *err);
void writers_put(struct writers *w, const struct writers_file *f);
/* Waits for what was put: no thread is left. 0 and bytes and sums are added to *res, or the first failure. */
int writers_end(struct writers *w, struct unpack_result *res, struct err *err);
/* NULL is fine. */
void writers_free(struct writers *w);
