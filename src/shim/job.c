/*
 * Jobs. Loop thread, and (between fork and _exit) their children. The shim has one thread, so
 * a child may do everything; it leaves by _exit, so that nothing buffered is written twice.
 */
#include "shim/job.h"

#include "runtime/runtime.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct job {
	struct list link;
	struct shim *shim;
	pid_t pid;
	int result; /* read end */
	job_done_fn done;
	void *user;
};

_Static_assert(sizeof(struct job_result) <= PIPE_BUF, "a result is written atomically");

static int open_stream(const struct job_io *io, int i, struct err *err)
{
	const char *path = io && io->fifos[i] ? io->fifos[i] : "/dev/null";
	int fd;

	if (io && io->fds[i] >= 0)
		return io->fds[i];
	/*
	 * Output: waits here for the reader. containerd opens its end concurrently with this,
	 * and a process that was quick and gone before that would have written to nobody.
	 * Input: does not wait, the shim itself holds a write end.
	 */
	if (i == 0)
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	else
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_sys(err, errno, "open %s", path);
	if (i == 0)
		fcntl(fd, F_SETFL, 0);
	return fd;
}

/* Puts the descriptors in their places and closes all others. */
static int arrange(const struct job_io *io, int result, struct err *err)
{
	const int places[5] = { 0, 1, 2, JOB_RESULT_FD, JOB_CONSOLE_FD };
	int from[5] = { -EBADF, -EBADF, -EBADF, result, io ? io->console : -EBADF };

	for (int i = 0; i < 3; i++) {
		from[i] = open_stream(io, i, err);
		if (from[i] < 0)
			return -1;
	}
	/* out of the way first: a source may have the number of another's place */
	for (int i = 0; i < 5; i++) {
		if (from[i] < 0)
			continue;
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 16);
		if (from[i] < 0)
			return err_sys(err, errno, "dup");
	}
	for (int i = 0; i < 5; i++)
		if (from[i] >= 0 && dup3(from[i], places[i], i < 3 ? 0 : O_CLOEXEC) < 0)
			return err_sys(err, errno, "dup3");
	if (from[4] < 0)
		close(JOB_CONSOLE_FD);
	syscall(SYS_close_range, JOB_CONSOLE_FD + 1, ~0U, 0);
	return 0;
}

/* The last one wins: there is room for one, and the shim's log is for a hint, not for a history. */
static void on_warning(const char *text, void *user)
{
	struct job_result *res = user;

	snprintf(res->warning, sizeof(res->warning), "%s", text);
}

static _Noreturn void child(job_fn fn, const struct job_io *io, int result, void *user)
{
	struct job_result res = { 0 };
	sigset_t none;

	/* what is ignored or blocked here would stay so in the container's program */
	signal(SIGPIPE, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	res.r = arrange(io, result, &res.err);
	if (res.r < 0) {
		sys_write_all(result, &res, sizeof(res));
		_exit(0);
	}
	runtime_on_warning(on_warning, &res);
	res.r = fn(user, &res, &res.err);
	sys_write_all(JOB_RESULT_FD, &res, sizeof(res));
	_exit(0);
}

int job_start(struct shim *s, job_fn fn, const struct job_io *io, job_done_fn done, void *user,
	      struct err *err)
{
	autofd int r_end = -EBADF, w_end = -EBADF;
	struct job *job;
	pid_t pid;
	int r;

	r = sys_pipe(0, &r_end, &w_end);
	if (r < 0)
		return err_sys(err, r, "pipe");
	pid = fork();
	if (pid < 0)
		return err_sys(err, errno, "fork");
	if (pid == 0)
		child(fn, io, w_end, user);
	job = mem_new(1, sizeof(*job));
	job->shim = s;
	job->pid = pid;
	job->result = take_fd(&r_end);
	job->done = done;
	job->user = user;
	list_append(&s->jobs, &job->link);
	return 0;
}

static void finish(struct job *job, int status)
{
	struct job_result res;
	ssize_t n;

	do
		n = read(job->result, &res, sizeof(res));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(res)) {
		memset(&res, 0, sizeof(res));
		res.crashed = true;
		if (WIFSIGNALED(status))
			res.r = err_set(&res.err, ERR_INTERNAL, "runtime: killed by signal %d", WTERMSIG(status));
		else
			res.r = err_set(&res.err, ERR_INTERNAL, "runtime: ended without a result");
	}
	if (res.r < 0)
		err_sanitize(&res.err);
	res.cgroup[sizeof(res.cgroup) - 1] = '\0';
	res.warning[sizeof(res.warning) - 1] = '\0';
	if (res.warning[0])
		shim_log(job->shim, "%s", res.warning);
	list_remove(&job->link);
	close(job->result);
	job->done(&res, job->user);
	free(job);
}

void job_cancel(struct shim *s, const void *user)
{
	list_for_each(job, &s->jobs, struct job, link)
		if (job->user == user)
			kill(job->pid, SIGKILL);
}

bool job_reaped(struct shim *s, pid_t pid, int status)
{
	list_for_each(job, &s->jobs, struct job, link) {
		if (job->pid == pid) {
			finish(job, status);
			return true;
		}
	}
	return false;
}
