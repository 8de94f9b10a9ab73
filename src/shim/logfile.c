/*
 * CRI log files. Loop thread.
 *
 * A pipe's bytes are looked at (tee), formatted, written, and only then taken out of the pipe: what
 * is not in the file in whole lines is still in the pipe, which the container holds open. So a
 * shim may be killed at any moment, and its successor goes on where the file ends (journal.h).
 *
 * Invariants:
 *  - The file ends at the end of a line whenever the loop waits.
 *  - A stream is in the loop exactly while it has not ended, its file is not stalled and
 *    nobody who is attached holds it up. It is watched for edges, since the beginning of a line
 *    stays in the pipe and would make it readable for ever.
 *  - A log that is kept nowhere has fd -EBADF and is never stalled.
 *  - `seen` bytes at the head of a pipe were given to those who are attached.
 */
#include "shim/logfile.h"

#include "shim/journal.h"
#include "shim/log.h"
#include "shim/shim.h"
#include "shim/tap.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { STREAMS_MAX = 2 };

static const int64_t BACKOFF_FIRST = 50 * NSEC_PER_MSEC, BACKOFF_MAX = NSEC_PER_SEC;

struct stream {
	struct logfile *file;
	const char *name;
	int fd; /* of a pipe; -EBADF after the end */
	ino_t pipe;
	struct event_fd *source;
	size_t seen;
	bool last;  /* no more bytes will come: the rest is a line without its end */
	bool ended;
	struct taps taps;
};

struct logfile {
	struct shim *shim;
	char *path;
	int fd; /* -EBADF: kept nowhere */
	dev_t dev;
	ino_t ino;
	bool stalled; /* it took less than a line: the streams wait for retry */
	struct event_timer *retry;
	int64_t backoff;
	bool complained;
	struct stream streams[STREAMS_MAX];
	size_t n_streams;
};

/* `name` in the directory, whose own name may go through links; name is split at its last slash. */
static int open_beneath(const char *dir, char *name, int *ret)
{
	/* O_NONBLOCK: a FIFO must not stop the loop before fstat tells */
	const int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	autofd int base = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), made = -EBADF;
	char *slash = strrchr(name, '/');
	int r;

	if (base < 0)
		return -errno;
	r = sys_open_beneath(base, name, flags, 0640, ret);
	if (r != -ENOENT || !slash)
		return r;
	*slash = '\0';
	r = sys_mkdir_in(base, name, 0755, &made);
	*slash = '/';
	return r < 0 ? r : sys_open_beneath(base, name, flags, 0640, ret);
}

static int open_file(const char *path, int *ret, struct stat *ret_stat, struct err *err)
{
	char dir[PATH_MAX], *name;
	autofd int fd = -EBADF;
	int r;

	if (path[0] != '/' || strlen(path) >= sizeof(dir))
		return err_set(err, ERR_INVALID, "log file %s: not an absolute path", path);
	strcpy(dir, path);
	name = strstr(dir, SHIM_LOG_BELOW);
	if (name) {
		*name = '\0';
		name += sizeof(SHIM_LOG_BELOW) - 1;
	} else {
		name = strrchr(dir, '/');
		*name++ = '\0';
	}
	r = sys_mkdir_p(*dir ? dir : "/", 0755);
	if (r < 0)
		return err_sys(err, r, "log file %s: make its directory", path);
	r = open_beneath(*dir ? dir : "/", name, &fd);
	if (r == -ELOOP)
		return err_sys(err, r, "log file %s: links are not followed", path);
	if (r < 0)
		return err_sys(err, r, "log file %s", path);
	if (fstat(fd, ret_stat) < 0 || !S_ISREG(ret_stat->st_mode))
		return err_set(err, ERR_INVALID, "log file %s: not a regular file", path);
	*ret = take_fd(&fd);
	return 0;
}

/* ---- writing ---- */

static void on_readable(uint32_t events, void *user);

/* Not reading means out of the loop: a hang-up would be reported whatever events are asked for. */
static void watch_stream(struct stream *st)
{
	bool on = !st->ended && !st->file->stalled && !taps_busy(&st->taps);

	if (!on)
		event_fd_free(take_ptr(&st->source));
	else if (!st->source)
		event_fd_new(st->file->shim->loop, st->fd, EPOLLIN | EPOLLET, on_readable, st, &st->source);
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

static void stall(struct logfile *f, int error)
{
	if (!f->complained)
		shim_log(f->shim, "log file %s: %s; the container waits", f->path, strerror(error));
	f->complained = true;
	f->stalled = true;
	event_timer_set(f->retry, time_now_mono() + f->backoff);
	f->backoff = f->backoff * 2 < BACKOFF_MAX ? f->backoff * 2 : BACKOFF_MAX;
}

/* All of it, or nothing and the file is stalled. */
static bool write_lines(struct logfile *f, off_t length, const uint8_t *data, size_t len)
{
	size_t done = 0;
	int error = ENOSPC;

	while (done < len) {
		ssize_t n = write(f->fd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			error = errno;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	/* what is in it in part goes out again: its bytes are still in the pipe */
	if (done && done < len && ftruncate(f->fd, length) < 0)
		shim_log(f->shim, "log file %s: a line is torn: %s", f->path, strerror(errno));
	if (done < len) {
		stall(f, error);
		return false;
	}
	f->backoff = BACKOFF_FIRST;
	f->complained = false;
	return true;
}

/* ---- reading ---- */

/* What is in the pipe, as far as one look goes, without taking it: bytes, 0 at the end, -EAGAIN. */
static ssize_t look(struct stream *st, uint8_t *into)
{
	const int *pipe = st->file->shim->look;
	ssize_t n, got = 0;

	do
		n = tee(st->fd, pipe[1], SCRATCH_IN, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	/* a writer in packet mode (O_DIRECT) makes a read stop at each of its writes */
	while (got < n) {
		ssize_t r = read(pipe[0], into + got, (size_t)(n - got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		got += r;
	}
	return got;
}

static void take_out(struct stream *st, size_t len)
{
	st->seen -= len;
	while (len) {
		/* our stdout is /dev/null */
		ssize_t n = splice(st->fd, NULL, STDOUT_FILENO, NULL, len, SPLICE_F_NONBLOCK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len -= (size_t)n;
	}
}

static void end_stream(struct stream *st)
{
	if (st->ended)
		return;
	event_fd_free(take_ptr(&st->source));
	fd_drop(&st->fd);
	st->ended = true;
	taps_end(&st->taps);
}

static bool hung_up(const struct stream *st)
{
	struct pollfd p = { .fd = st->fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0 && p.revents & POLLHUP;
}

/*
 * The beginning of a line cannot wait for its end when the writer has no room for it: a pipe has few
 * slots, and a writer may fill each with a single byte.
 */
static bool is_full(const struct stream *st)
{
	char path[40];
	autofd int fd = -EBADF;
	struct pollfd p = { .events = POLLOUT };

	snprintf(path, sizeof(path), "/proc/self/fd/%d", st->fd);
	fd = p.fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 && poll(&p, 1, 0) == 0;
}

static bool holds_more(const struct stream *st, size_t than)
{
	int queued = 0;

	return ioctl(st->fd, FIONREAD, &queued) == 0 && (size_t)queued > than;
}

/* Lines of in to the file and out of the pipe: bytes. */
static size_t feed(struct stream *st, const uint8_t *in, size_t len, bool end, size_t out_size)
{
	struct logfile *f = st->file;
	struct scratch scratch = shim_scratch(f->shim);
	struct log_head head;
	size_t done = 0;

	if (f->fd < 0) {
		take_out(st, len);
		return len;
	}
	log_head_init(&head, st->name, time_now_real());
	while (done < len && !f->stalled) {
		size_t used, n = log_format(&head, in + done, len - done, end, scratch.out, out_size, &used);

		struct journal_batch batch = { f->dev, f->ino, 0, st->pipe, in + done, used };
		bool written;

		if (!used)
			break;
		batch.length = lseek(f->fd, 0, SEEK_END);
		journal_begin(f->shim->journal, &batch);
		written = write_lines(f, batch.length, scratch.out, n);
		if (written) {
			journal_written(f->shim->journal);
			take_out(st, used);
			done += used;
		}
		journal_end(f->shim->journal);
		if (!written)
			break;
	}
	return done;
}

/*
 * A look and what follows from it: bytes that are in the file now; 0: nothing more for now. What
 * may end the beginning of a line without its end (the stream's end, a pipe that takes no more) is
 * asked between two looks that see the same, since the writer goes on meanwhile.
 */
static size_t take_in(struct stream *st, size_t out_size)
{
	struct scratch scratch = shim_scratch(st->file->shim);

	for (size_t before = 0;;) {
		ssize_t n = look(st, scratch.in);
		size_t done;

		if (n == -EAGAIN && !st->last)
			return 0;
		if (n <= 0) {
			end_stream(st);
			return 0;
		}
		if ((size_t)n > st->seen) {
			taps_write(&st->taps, scratch.in + st->seen, (size_t)n - st->seen);
			st->seen = (size_t)n;
		}
		done = feed(st, scratch.in, (size_t)n, false, out_size);
		if (done || st->file->stalled)
			return done;
		if ((size_t)n == before)
			return feed(st, scratch.in, (size_t)n, true, out_size);
		st->last = st->last || hung_up(st);
		if (!st->last && !holds_more(st, (size_t)n) && !is_full(st))
			return 0;
		before = (size_t)n;
	}
}

static void on_readable(uint32_t events, void *user)
{
	struct stream *st = user;
	struct logfile *f = st->file;
	bool more = take_in(st, SCRATCH_OUT) > 0;

	if (f->stalled)
		watch_streams(f);
	else
		watch_stream(st);
	/* others have their turn first: asking again makes an edge of what is there */
	if (more && st->source)
		event_fd_set(st->source, EPOLLIN | EPOLLET);
}

/* Small pieces first: a disk that is nearly full may have room for one. */
static void on_retry(void *user)
{
	struct logfile *f = user;

	f->stalled = false;
	for (size_t i = 0; i < f->n_streams && !f->stalled; i++)
		if (!f->streams[i].ended)
			take_in(&f->streams[i], LOG_OUT_MIN);
	watch_streams(f);
}

bool logfile_drain(struct logfile *f)
{
	if (f->stalled)
		on_retry(f);
	for (size_t i = 0; i < f->n_streams; i++) {
		struct stream *st = &f->streams[i];
		int waiting = 0;
		size_t n = 0, got;

		/*
		 * What the exited process wrote is in the pipe now. Somebody else may go on
		 * writing for ever: no more is taken than was there at this moment.
		 */
		if (st->ended || ioctl(st->fd, FIONREAD, &waiting) < 0)
			continue;
		while (!st->ended && !f->stalled && (got = take_in(st, SCRATCH_OUT)) > 0)
			if ((n += got) >= (size_t)waiting + SCRATCH_IN)
				break;
	}
	watch_streams(f);
	return !f->stalled;
}

/* ---- life ---- */

int logfile_open(struct shim *s, const char *path, struct logfile **ret, struct err *err)
{
	struct logfile *f;
	struct stat st = { 0 };
	int fd = -EBADF, r;

	if (!str_empty(path) && (r = open_file(path, &fd, &st, err)) < 0)
		return r;
	journal_repair(s->journal, fd);
	f = mem_new(1, sizeof(*f));
	f->shim = s;
	f->path = mem_strdup(path);
	f->fd = fd;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->backoff = BACKOFF_FIRST;
	event_timer_new(s->loop, INT64_MAX, on_retry, f, &f->retry);
	*ret = f;
	return 0;
}

/* Lines that the last shim had written and not yet taken out of the pipe. */
static void skip_doubled(struct stream *st)
{
	struct shim *s = st->file->shim;
	uint8_t *in = shim_scratch(s).in;
	ssize_t n;

	if (!journal_left(s->journal, st->pipe) || (n = look(st, in)) <= 0)
		return;
	st->seen = journal_doubled(s->journal, st->pipe, in, (size_t)n);
	take_out(st, st->seen);
}

int logfile_add(struct logfile *f, const char *name, int fd, struct err *err)
{
	struct stream *st = &f->streams[f->n_streams];
	struct stat pipe;

	assert(f->n_streams < STREAMS_MAX);
	sys_set_nonblock(fd);
	st->file = f;
	st->name = name;
	st->fd = fd;
	st->pipe = fstat(fd, &pipe) == 0 ? pipe.st_ino : 0;
	skip_doubled(st);
	taps_init(&st->taps, f->shim, on_taps_free, st);
	f->n_streams++;
	watch_stream(st);
	if (!st->source && !f->stalled)
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
	struct stat st;
	int fd, r;

	if (f->fd < 0)
		return err_set(err, ERR_NOT_FOUND, "no log file");
	r = open_file(f->path, &fd, &st, err);
	if (r < 0)
		return r;
	close(f->fd);
	f->fd = fd;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	return 0;
}

void logfile_free(struct logfile *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n_streams; i++)
		f->streams[i].last = true;
	logfile_drain(f);
	for (size_t i = 0; i < f->n_streams; i++)
		end_stream(&f->streams[i]);
	event_timer_free(f->retry);
	fd_close_ptr(&f->fd);
	free(f->path);
	free(f);
}
