/*
 * The streams of a process. Loop thread.
 */
#include "shim/stdio.h"

#include "shim/logfile.h"
#include "shim/pump.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

void stdio_init(struct stdio *io, struct shim *s, bool terminal, const char *in, const char *out,
		const char *err_path)
{
	*io = (struct stdio){
		.shim = s,
		.terminal = terminal,
		.in = mem_strdup(in),
		.out = mem_strdup(out),
		.err = mem_strdup(terminal ? "" : err_path),
		.job = JOB_IO_INIT,
		.console = -EBADF,
		.master = -EBADF,
		.keep = { -EBADF, -EBADF, -EBADF },
		.pipes = { -EBADF, -EBADF },
		.at = { -EBADF, -EBADF, -EBADF, -EBADF },
	};
}

static const char *log_path(const char *spec)
{
	return str_skip_prefix(spec, "cri://");
}

static bool is_fifo(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

static int open_file(const char *path, int i, int *ret, struct err *err)
{
	int fd = open(path, (i ? O_WRONLY | O_APPEND | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOCTTY, 0640);

	if (fd < 0)
		return err_sys(err, errno, "%s %s", i ? "output" : "stdin", path);
	*ret = fd;
	return 0;
}

/* The other end of a pipe that is there already, or the same one in another mode. */
static int reopen(int fd, int flags, int *ret)
{
	char path[40];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	if (again < 0)
		return -errno;
	*ret = again;
	return 0;
}

/* A pipe for a stream with a log file: see the header for why its writer can read. */
static int open_log_pipe(int *ret_read, int *ret_process)
{
	autofd int w = -EBADF;
	int r = sys_pipe(0, ret_read, &w);

	return r < 0 ? r : reopen(w, O_RDWR, ret_process);
}

/* Stream i of a process without terminal. */
static int open_stream(struct stdio *io, int i, const char *spec, struct err *err)
{
	static const char *const names[] = { "stdin", "stdout", "stderr" };
	const char *path;
	int r;

	if (str_empty(spec))
		return 0;
	if (i && log_path(spec)) {
		/* only readable when there is a log to put it in: a pipe for each stream */
		r = open_log_pipe(&io->pipes[i - 1], &io->job.fds[i]);
		return r < 0 ? err_sys(err, r, "pipe for %s", names[i]) : 0;
	}
	path = str_skip_prefix(spec, "file://");
	if (!path && strstr(spec, "://"))
		return err_set(err, ERR_UNSUPPORTED, "%s: %s: only FIFOs, file:// and cri:// are served", names[i],
			       spec);
	if (path || !is_fifo(spec))
		return open_file(path ? path : spec, i, &io->job.fds[i], err);
	io->job.fifos[i] = spec;
	if (i == 0) {
		/* before the process: it would see an end of input where nobody has come yet */
		io->keep[0] = open(spec, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (io->keep[0] < 0)
			return err_sys(err, errno, "stdin %s", spec);
	}
	return 0;
}

static int open_console(struct stdio *io, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, errno, "console socket");
	io->console = pair[0];
	io->job.console = pair[1];
	return 0;
}

static int open_logs(struct stdio *io, struct err *err)
{
	const char *out = log_path(io->out), *err_path = log_path(io->err);
	int r = 0;

	if (out)
		r = logfile_open(io->shim, out, &io->logs[0], err);
	if (r == 0 && err_path) {
		if (out && str_eq(out, err_path))
			io->logs[1] = io->logs[0];
		else
			r = logfile_open(io->shim, err_path, &io->logs[1], err);
	}
	return r;
}

int stdio_open(struct stdio *io, struct err *err)
{
	const char *specs[] = { io->in, io->out, io->err };
	int r = open_logs(io, err);

	if (r < 0)
		return r;
	if (!io->terminal) {
		for (int i = 0; i < 3 && r == 0; i++)
			r = open_stream(io, i, specs[i], err);
		return r;
	}
	if (!str_empty(io->in) && (io->keep[0] = open(io->in, O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0)
		return err_sys(err, errno, "stdin %s", io->in);
	if (!io->logs[0]) {
		/* readable, too: it neither waits for the reader nor loses what comes before it,
		 * and it is open from now to the end, so that the reader sees one end only */
		const char *out = str_empty(io->out) ? "/dev/null" : io->out;

		io->keep[1] = open(out, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if (io->keep[1] < 0)
			return err_sys(err, errno, "stdout %s", out);
	}
	return open_console(io, err);
}

/* ---- after the job ---- */

static void close_job_ends(struct stdio *io)
{
	for (int i = 0; i < 3; i++) {
		fd_drop(&io->job.fds[i]);
		io->job.fifos[i] = NULL;
	}
	fd_drop(&io->job.console);
}

static int add_log(struct stdio *io, int i, int fd, struct err *err)
{
	static const char *const names[] = { "stdout", "stderr" };

	io->at[SHIM_STDOUT + i] = fd;
	return logfile_add(io->logs[i], names[i], fd, err);
}

/* The master to the log by way of a pipe, old or new (its read end), which outlives the shim. */
static int log_terminal(struct stdio *io, int pipe, struct err *err)
{
	autofd int r_end = pipe, w_end = -EBADF;
	int r = r_end < 0 ? sys_pipe(O_NONBLOCK, &r_end, &w_end) : reopen(r_end, O_WRONLY | O_NONBLOCK, &w_end);

	if (r < 0)
		return err_sys(err, r, "pipe for the terminal");
	r = pump_new(io->shim, io->master, w_end, &io->pump_out, err);
	return r < 0 ? r : add_log(io, 0, take_fd(&r_end), err);
}

static int run_terminal(struct stdio *io, int pipe, struct err *err)
{
	autofd int r_end = pipe;
	int r;

	sys_set_nonblock(io->master);
	io->at[SHIM_TERMINAL] = io->master;
	io->at[SHIM_STDIN] = io->keep[0];
	if (io->keep[0] >= 0) {
		r = pump_new(io->shim, io->keep[0], io->master, &io->pump_in, err);
		if (r < 0)
			return r;
	}
	return io->logs[0] ? log_terminal(io, take_fd(&r_end), err) :
			     pump_new(io->shim, io->master, io->keep[1], &io->pump_out, err);
}

static int start_terminal(struct stdio *io, struct err *err)
{
	size_t n = 1;
	struct termios t;
	char data[64];
	int r;

	/* the runtime has sent it before it returned */
	r = (int)sys_recv_fds(io->console, data, sizeof(data), &io->master, &n);
	fd_drop(&io->console);
	if (r < 0 || n != 1) {
		io->master = -EBADF;
		return err_sys(err, r < 0 ? r : -EIO, "terminal: the runtime sent none");
	}
	/* a newline stays one byte: what goes to logs and pipes is what the program wrote */
	if (tcgetattr(io->master, &t) == 0) {
		t.c_oflag &= ~(tcflag_t)ONLCR;
		tcsetattr(io->master, TCSANOW, &t);
	}
	return run_terminal(io, -EBADF, err);
}

int stdio_started(struct stdio *io, struct err *err)
{
	const char *fifos[3];

	memcpy(fifos, io->job.fifos, sizeof(fifos));
	close_job_ends(io);
	if (io->terminal)
		return start_terminal(io, err);
	for (int i = 0; i < 2; i++) {
		int r;

		if (io->pipes[i] < 0)
			continue;
		r = add_log(io, i, take_fd(&io->pipes[i]), err);
		if (r < 0)
			return r;
	}
	if (fifos[0]) {
		/* the read end goes: once the process is gone, writers are told so */
		int fd = io->in_closed ? -EBADF : open(fifos[0], O_WRONLY | O_NONBLOCK | O_CLOEXEC);

		fd_drop(&io->keep[0]);
		io->keep[0] = fd < 0 ? -EBADF : fd;
		io->at[SHIM_STDIN] = io->keep[0];
	}
	for (int i = 1; i < 3; i++)
		if (fifos[i])
			io->keep[i] = open(fifos[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return 0;
}

int stdio_resume(struct stdio *io, int fds[SHIM_STREAMS], struct err *err)
{
	int r = open_logs(io, err);

	if (r < 0)
		return r;
	io->keep[0] = take_fd(&fds[SHIM_STDIN]);
	if (io->terminal && fds[SHIM_TERMINAL] >= 0) {
		io->master = take_fd(&fds[SHIM_TERMINAL]);
		if (!io->logs[0] && (io->keep[1] = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
			return err_sys(err, errno, "/dev/null");
		return run_terminal(io, take_fd(&fds[SHIM_STDOUT]), err);
	}
	io->at[SHIM_STDIN] = io->keep[0];
	for (int i = 0; i < 2 && r == 0; i++)
		if (fds[SHIM_STDOUT + i] >= 0 && io->logs[i])
			r = add_log(io, i, take_fd(&fds[SHIM_STDOUT + i]), err);
	return r;
}

bool stdio_describe(const struct stdio *io, struct shim_stream_at ret[SHIM_STREAMS])
{
	bool any = false;

	for (int i = 0; i < SHIM_STREAMS; i++) {
		struct stat st;

		ret[i] = (struct shim_stream_at){ .fd = -1 };
		if (io->at[i] < 0 || fstat(io->at[i], &st) < 0)
			continue;
		ret[i] = (struct shim_stream_at){ io->at[i], st.st_dev, st.st_ino };
		any = true;
	}
	return any;
}

bool stdio_drain(struct stdio *io)
{
	bool done = true;

	/* a terminal's output comes to the log by the pump */
	if (io->pump_out && !pump_drain(io->pump_out))
		done = false;
	for (int i = 0; i < 2; i++)
		if (io->logs[i] && !logfile_drain(io->logs[i]))
			done = false;
	return done;
}

void stdio_close_in(struct stdio *io)
{
	io->in_closed = true;
	/* while the job runs it is the only end that is open, and the bytes are in it */
	if (!io->job.fifos[0])
		fd_drop(&io->keep[0]);
}

int stdio_resize(struct stdio *io, unsigned width, unsigned height, struct err *err)
{
	struct winsize size = { .ws_col = (unsigned short)width, .ws_row = (unsigned short)height };

	if (!io->terminal)
		return err_set(err, ERR_STATE, "the process has no terminal");
	if (io->master < 0)
		return err_set(err, ERR_STATE, "the terminal is not there yet");
	if (ioctl(io->master, TIOCSWINSZ, &size) < 0)
		return err_sys(err, errno, "resize the terminal");
	return 0;
}

int stdio_reopen_logs(struct stdio *io, struct err *err)
{
	int r = 0;

	if (!io->logs[0] && !io->logs[1])
		return err_set(err, ERR_NOT_FOUND, "no log file");
	for (int i = 0; i < 2 && r == 0; i++)
		if (io->logs[i] && (i == 0 || io->logs[1] != io->logs[0]))
			r = logfile_reopen(io->logs[i], err);
	return r;
}

int stdio_attach(struct stdio *io, const char *out, const char *err_path, struct err *err)
{
	int r = 0;

	if (!str_empty(out))
		r = io->logs[0] ? logfile_attach(io->logs[0], "stdout", out, err) :
				  err_set(err, ERR_UNSUPPORTED, "attach: stdout has no log");
	if (r == 0 && !str_empty(err_path))
		r = io->logs[1] ? logfile_attach(io->logs[1], "stderr", err_path, err) :
				  err_set(err, ERR_UNSUPPORTED, "attach: stderr has no log");
	return r;
}

void stdio_done(struct stdio *io)
{
	close_job_ends(io);
	pump_free(take_ptr(&io->pump_in));
	pump_free(take_ptr(&io->pump_out));
	if (io->logs[1] != io->logs[0])
		logfile_free(io->logs[1]);
	logfile_free(io->logs[0]);
	io->logs[0] = io->logs[1] = NULL;
	for (int i = 0; i < 3; i++)
		fd_drop(&io->keep[i]);
	for (int i = 0; i < 2; i++)
		fd_drop(&io->pipes[i]);
	fd_drop(&io->console);
	fd_drop(&io->master);
	free(take_ptr(&io->in));
	free(take_ptr(&io->out));
	free(take_ptr(&io->err));
}
