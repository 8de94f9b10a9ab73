/*
 * CRI log files: what a container writes goes from its pipes (or its terminal) to a file.
 *
 * Both streams of a container share one file. Nothing is lost: while the file cannot be
 * written (disk full, quota, I/O error) the streams are not read, so that the container
 * waits in write(2), and the write is tried again, from 50 ms up to every second. Other
 * containers of the pod go on. A shim that is killed loses no line either, and leaves none torn,
 * when the next one is given the same pipes.
 *
 * The path is the kubelet's: an absolute name below its log directory, which root owns.
 * Missing directories are made (0755). What lies below the log directory (SHIM_LOG_BELOW; the last
 * component where it is not said) is reached without following links, and must be a regular file:
 * nothing legitimate puts anything else there, and a container that got the log directory as a
 * volume must not choose what root appends to.
 *
 * Loop thread.
 */
#pragma once

#include "shim/server.h"

struct logfile;

/* path "": a log that is kept nowhere. Its streams are read all the same, for who is attached. */
int logfile_open(struct shim *s, const char *path, struct logfile **ret, struct err *err);
/* Reads what is left only as far as it is in the pipes; what the disk does not take is dropped. */
void logfile_free(struct logfile *f);

/* One more stream, "stdout" or "stderr", at most two; fd is the read end of a pipe and is taken.
 * name is borrowed. */
int logfile_add(struct logfile *f, const char *name, int fd, struct err *err);

/* A copy of what the stream brings from now on goes to the FIFO, too (tap.h). */
int logfile_attach(struct logfile *f, const char *name, const char *fifo, struct err *err);

/* After the file was renamed: what comes from now on goes to a new file of that name, the line
 * that has begun too. On an error the old file stays in use. NOT_FOUND where it is kept nowhere. */
int logfile_reopen(struct logfile *f, struct err *err);

/*
 * Takes in all that the writers have written up to now. True when it is all in the file;
 * false when the disk does not take it: call again later.
 */
bool logfile_drain(struct logfile *f);

