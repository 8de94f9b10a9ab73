/*
 * The three streams of one process, as CreateTaskRequest and ExecProcessRequest name them:
 *
 *   ""             /dev/null
 *   /path          a FIFO: the process gets it directly, nothing is copied; or else a file
 *   file:///path   a file, appended to
 *   cri:///path    output only: a CRI log file (logfile.h); both outputs may name the same one
 *   cri://         output only: a log that is kept nowhere, but can be attached to
 *
 * FIFOs. The shim keeps an end of each open, so that a client that comes, goes and comes again
 * breaks nothing: a write end of stdin (until stdio_close_in), read ends of the outputs.
 *
 * Log files. The process has the pipe open for reading, too: when the shim dies it waits with a
 * full pipe and gets no SIGPIPE, and what it wrote is there for the shim's successor.
 *
 * With a terminal the runtime makes the pty inside the container's own devpts and sends its
 * master, which stays here: output goes to stdout's FIFO or log, stdin's FIFO goes to it.
 *
 *	stdio_init → stdio_open → job_start(…, &io->job) → stdio_started or stdio_done
 *	… the process exits: stdio_drain until true … stdio_done
 *
 * Loop thread. Paths come from whoever drives the shim and is trusted with them.
 */
#pragma once

#include "shim/job.h"
#include "shim/shim.h"

struct stdio {
	struct shim *shim;
	bool terminal;
	bool in_closed;     /* stdio_close_in was called, perhaps before the process was there */
	char *in, *out, *err;
	struct job_io job;  /* for the job that makes the process */
	int console, master;
	int keep[3];
	int pipes[2];       /* read ends on their way to a log file */
	struct logfile *logs[2];
	struct pump *pump_in, *pump_out;
	int at[SHIM_STREAMS]; /* numbers of the descriptors that a successor needs, -EBADF: none */
};

/* Copies the paths. */
void stdio_init(struct stdio *io, struct shim *s, bool terminal, const char *in, const char *out,
		const char *err_path);
/* Everything that can be refused is refused here. */
int stdio_open(struct stdio *io, struct err *err);
/* The process is there: our copies of its ends are closed, bytes begin to flow. */
int stdio_started(struct stdio *io, struct err *err);
/* Takes in what the exited process wrote: true when it has all arrived. */
bool stdio_drain(struct stdio *io);
/* Before the process is there it is remembered: what was written until then is still read. */
void stdio_close_in(struct stdio *io);
int stdio_resize(struct stdio *io, unsigned width, unsigned height, struct err *err);
/* NOT_FOUND when there is no log file, or one that is kept nowhere. */
int stdio_reopen_logs(struct stdio *io, struct err *err);
/* Copies of the outputs to FIFOs that have a reader, "" for none. Only where there is a log. */
int stdio_attach(struct stdio *io, const char *out, const char *err_path, struct err *err);
/*
 * Instead of open and started, for a process that runs already: fds are the streams of the shim that
 * had it, as far as they were kept; they are taken. What is missing stays away.
 */
int stdio_resume(struct stdio *io, int fds[SHIM_STREAMS], struct err *err);
/* For record_write_streams: false when there is nothing to keep. */
bool stdio_describe(const struct stdio *io, struct shim_stream_at ret[SHIM_STREAMS]);
/* Closes all; harmless when repeated. */
void stdio_done(struct stdio *io);
