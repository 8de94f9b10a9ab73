/*
 * The log journal: what the shim was writing when it was killed.
 *
 * A shim has one thread and so writes one batch of log lines at a time. Before each, the file and
 * its length go into a page that the shim shares with a file of its state directory; after it,
 * the page is cleared. The page outlives the process. A successor that finds a note in it cuts the
 * file back to that length: the lines are still in the container's pipe (logfile.h) and are
 * written again. When they were in the file as a whole, and still in the pipe, they are taken out of
 * it: so none is torn, lost or doubled. (Whether they are in the pipe is seen by their first bytes;
 * one that writes the same over and over may get a batch of it less.)
 *
 * Loop thread.
 */
#pragma once

#include "shim/server.h"

struct journal;

/* Takes note of what the last shim left there. Without the file, NULL: everything below accepts that. */
struct journal *journal_open(const char *state_dir);

/* What is written: the file as it was before, and the bytes as they are in the pipe. */
struct journal_batch {
	dev_t dev;
	ino_t ino;
	int64_t length;
	ino_t pipe;
	const uint8_t *raw;
	size_t n_raw;
};

/* Before the lines go to the file; when all are there; when the bytes are out of the pipe (or none
 * of the lines is in the file). */
void journal_begin(struct journal *j, const struct journal_batch *b);
void journal_written(struct journal *j);
void journal_end(struct journal *j);

/* Whether the last shim left a note about that pipe. */
bool journal_left(const struct journal *j, ino_t pipe);
/* How many of the bytes at the head of that pipe are in the log already. */
size_t journal_doubled(struct journal *j, ino_t pipe, const uint8_t *head, size_t len);

/* When it is the file that the last shim was writing to: back to what was whole. */
void journal_repair(struct journal *j, int fd);
