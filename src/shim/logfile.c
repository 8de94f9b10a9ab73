/*
 * CRI log files. Loop thread.
 *
 * Invariants:
 *  - `pending` is not empty exactly while the file is stalled; it begins inside or at the
 *    start of a log line and ends at the end of one. Nothing else is written before it.
 *  - A stream is in the loop exactly while it has not ended, its file is not stalled and
 *    nobody who is attached holds it up.
 *  - `carry` of a stream is what was read and not yet formatted: the beginning of a line,
 *    at most LOG_LINE_MAX, or more while the file is stalled.
 *  - A log that is kept nowhere has fd -EBADF; it is never stalled and carries nothing.
 */
#include "shim/logfile.h"

#include "shim/log.h"
#include "shim/tap.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { STREAMS_MAX = 2 };

static const int64_t BACKOFF_FIRST = 50 * NSEC_PER_MSEC, BACKOFF_MAX = NSEC_PER_SEC;

struct stream {
	struct logfile *file;
	const char *name;
	int fd; /* -EBADF after the end */
	struct event_fd *source;
	uint8_t *carry;
	size_t n_carry;
	bool ended; /* no more bytes will come; carry is the rest */
	struct taps taps;
};

struct logfile {
	struct shim *shim;
	char *path;
	int fd;      /* -EBADF: kept nowhere */
	int next_fd; /* reopened while stalled: used once pending is written */
	uint8_t *pending;
	size_t n_pending;
	struct event_timer *retry;
	int64_t backoff;
	bool complained;
	struct stream streams[STREAMS_MAX];
	size_t n_streams;
};

static int open_file(const char *path, int *ret, struct err *err)
{
	char copy[PATH_MAX];
	autofd int fd = -EBADF;
	struct stat st;
	int r;

	if (path[0] != '/' || strlen(path) >= sizeof(copy))
		return err_set(err, ERR_INVALID, "log file %s: not an absolute path", path);
	strcpy(copy, path);
	r = sys_mkdir_p(dirname(copy), 0755);
	if (r < 0)
		return err_sys(err, r, "log file %s: make its directory", path);
	/* O_NONBLOCK: a FIFO must not stop the loop before fstat tells */
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0640);
	if (fd < 0)
		return err_sys(err, errno, "log file %s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "log file %s: not a regular file", path);
	*ret = take_fd(&fd);
	return 0;
}

/* ---- writing ---- */

static bool stalled(const struct logfile *f)
{
	return f->n_pending;
}

static void on_readable(uint32_t events, void *user);

/* Not reading means out of the loop: a hang-up would be reported whatever events are asked for. */
static void watch_stream(struct stream *st)
{
	bool on = !st->ended && !stalled(st->file) && !taps_busy(&st->taps);

	if (!on)
		event_fd_free(take_ptr(&st->source));
	else if (!st->source)
		event_fd_new(st->file->shim->loop, st->fd, EPOLLIN, on_readable, st, &st->source);
}

static void watch_streams(struct logfile *f)
{
	for (size_t i = 0; i < f->n_streams; i++)
		watch_stream(&f->streams[i]);
}

static void on_taps_free(void *user)
{
	watch_stream(user);
}

/* As much as the file takes: bytes written. */
static size_t write_some(struct logfile *f, const uint8_t *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(f->fd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (!f->complained)
				shim_log(f->shim, "log file %s: %s; the container waits", f->path,
					 strerror(n < 0 ? errno : ENOSPC));
			f->complained = true;
			break;
		}
		done += (size_t)n;
	}
	return done;
}

static void stall(struct logfile *f, const uint8_t *data, size_t len)
{
	f->pending = mem_new(len, 1);
	memcpy(f->pending, data, len);
	f->n_pending = len;
	f->backoff = BACKOFF_FIRST;
	event_timer_set(f->retry, time_now_mono() + f->backoff);
	watch_streams(f);
}

/* Formats and writes what it can of in; keeps the rest as the stream's carry. */
static void feed(struct stream *st, const uint8_t *in, size_t len)
{
	struct logfile *f = st->file;
	struct scratch scratch = shim_scratch(f->shim);
	struct log_head head;
	uint8_t *rest = NULL;

	if (f->fd < 0)
		return;
	log_head_init(&head, st->name, time_now_real());
	while (len && !stalled(f)) {
		size_t used, n = log_format(&head, in, len, st->ended, scratch.out, SCRATCH_OUT, &used), done;

		if (!used)
			break;
		in += used;
		len -= used;
		done = write_some(f, scratch.out, n);
		if (done < n)
			stall(f, scratch.out + done, n - done);
	}
	if (len) {
		rest = mem_new(len, 1);
		memcpy(rest, in, len); /* in may be the old carry itself */
	}
	free(st->carry);
	st->carry = rest;
	st->n_carry = len;
}

static void end_stream(struct stream *st)
{
	if (st->ended)
		return;
	event_fd_free(take_ptr(&st->source));
	fd_drop(&st->fd);
	st->ended = true;
	taps_end(&st->taps);
	feed(st, st->carry, st->n_carry);
}

static void on_retry(void *user)
{
	struct logfile *f = user;
	size_t done = write_some(f, f->pending, f->n_pending);

	if (done < f->n_pending) {
		memmove(f->pending, f->pending + done, f->n_pending - done);
		f->n_pending -= done;
		f->backoff = f->backoff * 2 < BACKOFF_MAX ? f->backoff * 2 : BACKOFF_MAX;
		event_timer_set(f->retry, time_now_mono() + f->backoff);
		return;
	}
	free(take_ptr(&f->pending));
	f->n_pending = 0;
	f->complained = false;
	if (f->next_fd >= 0) {
		close(f->fd);
		f->fd = take_fd(&f->next_fd);
	}
	for (size_t i = 0; i < f->n_streams && !stalled(f); i++)
		feed(&f->streams[i], f->streams[i].carry, f->streams[i].n_carry);
	watch_streams(f);
}

/* ---- reading ---- */

/* One read: bytes, 0 when there was nothing or the stream ended. */
static size_t take_in(struct stream *st, size_t most)
{
	struct logfile *f = st->file;
	struct scratch scratch = shim_scratch(f->shim);
	ssize_t n;

	assert(st->n_carry <= SCRATCH_CARRY);
	if (st->n_carry)
		memcpy(scratch.in, st->carry, st->n_carry);
	do
		n = read(st->fd, scratch.in + st->n_carry, most < SCRATCH_IN ? most : SCRATCH_IN);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	/* EIO: a terminal that nobody has open any more */
	if (n <= 0) {
		end_stream(st);
		return 0;
	}
	taps_write(&st->taps, scratch.in + st->n_carry, (size_t)n);
	feed(st, scratch.in, st->n_carry + (size_t)n);
	watch_stream(st);
	return (size_t)n;
}

static void on_readable(uint32_t events, void *user)
{
	take_in(user, SCRATCH_IN);
}

bool logfile_drain(struct logfile *f)
{
	if (stalled(f))
		on_retry(f);
	for (size_t i = 0; i < f->n_streams; i++) {
		struct stream *st = &f->streams[i];
		int waiting = 0;
		size_t n = 0;

		/*
		 * What the exited process wrote is in the pipe now. Somebody else may go on
		 * writing for ever: no more is taken than was there at this moment.
		 */
		if (st->ended || ioctl(st->fd, FIONREAD, &waiting) < 0)
			continue;
		while (!st->ended && !stalled(f)) {
			size_t got = take_in(st, SCRATCH_IN);

			n += got;
			if (!got || n >= (size_t)waiting + SCRATCH_IN)
				break;
		}
	}
	return !stalled(f);
}

/* ---- life ---- */

int logfile_open(struct shim *s, const char *path, struct logfile **ret, struct err *err)
{
	struct logfile *f;
	int fd = -EBADF, r;

	if (!str_empty(path) && (r = open_file(path, &fd, err)) < 0)
		return r;
	f = mem_new(1, sizeof(*f));
	f->shim = s;
	f->path = mem_strdup(path);
	f->fd = fd;
	f->next_fd = -EBADF;
	event_timer_new(s->loop, INT64_MAX, on_retry, f, &f->retry);
	*ret = f;
	return 0;
}

int logfile_add(struct logfile *f, const char *name, int fd, struct err *err)
{
	struct stream *st = &f->streams[f->n_streams];

	assert(f->n_streams < STREAMS_MAX);
	sys_set_nonblock(fd);
	st->file = f;
	st->name = name;
	st->fd = fd;
	taps_init(&st->taps, f->shim, on_taps_free, st);
	f->n_streams++;
	watch_stream(st);
	if (!st->source)
		return err_set(err, ERR_LIMIT, "log file %s: %s cannot be watched", f->path, name);
	return 0;
}

int logfile_attach(struct logfile *f, const char *name, const char *fifo, struct err *err)
{
	for (size_t i = 0; i < f->n_streams; i++)
		if (str_eq(f->streams[i].name, name) && !f->streams[i].ended)
			return taps_add(&f->streams[i].taps, fifo, err);
	return err_set(err, ERR_STATE, "%s has ended", name);
}

int logfile_reopen(struct logfile *f, struct err *err)
{
	int fd, r;

	if (f->fd < 0)
		return err_set(err, ERR_NOT_FOUND, "no log file");
	r = open_file(f->path, &fd, err);
	if (r < 0)
		return r;
	if (stalled(f)) {
		fd_drop(&f->next_fd);
		f->next_fd = fd;
		return 0;
	}
	close(f->fd);
	f->fd = fd;
	return 0;
}

void logfile_free(struct logfile *f)
{
	if (!f)
		return;
	logfile_drain(f);
	for (size_t i = 0; i < f->n_streams; i++) {
		end_stream(&f->streams[i]);
		free(f->streams[i].carry);
	}
	event_timer_free(f->retry);
	fd_close_ptr(&f->fd);
	fd_close_ptr(&f->next_fd);
	free(f->pending);
	free(f->path);
	free(f);
}
