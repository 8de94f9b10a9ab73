/*
 * posix_spawn with three pipes and a poll loop. A child that leaves a grandchild holding
 * the pipes does not hold us: once the child has exited, what is readable at once is read
 * and the rest is left.
 */
#include "sys/spawn.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"
#include "sys/fd.h"
#include "sys/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static int start(const struct sys_spawn *what, int in, int out, int err, pid_t *ret_pid)
{
	static const char *const nothing[] = { NULL };
	const char *const self[] = { what->path, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETPGROUP);
	r = posix_spawn_file_actions_adddup2(&actions, in, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, what->out_fd > 2 ? what->out_fd : out, 1);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, what->err_fd > 2 ? what->err_fd : err, 2);
	if (!r && what->cwd)
		r = posix_spawn_file_actions_addchdir_np(&actions, what->cwd);
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	if (!r)
		r = posix_spawn(ret_pid, what->path, &actions, &attr,
				(char *const *)(what->argv ? what->argv : self),
				(char *const *)(what->env ? what->env : nothing));
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -r;
}

/* One readable pipe: 1 when it is at its end. */
static int drain(int fd, struct buf *into)
{
	char waste[4096];
	ssize_t n;

	if (into && into->len < into->max)
		n = buf_read_fd(into, fd, 65536);
	else
		n = read(fd, waste, sizeof(waste));
	if (n < 0 && (n == -EAGAIN || errno == EAGAIN || errno == EINTR))
		return 0;
	return n <= 0;
}

/* Who leaves without reading is its own affair: the signal for it is taken back, whatever the process
 * makes of signals, which may be a container's just before its program. */
static ssize_t write_quietly(int fd, const char *data, size_t len)
{
	const struct timespec at_once = { 0 };
	sigset_t broken, before, pending;
	ssize_t n;
	int e;

	sigemptyset(&broken);
	sigaddset(&broken, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &broken, &before);
	n = write(fd, data, len);
	e = errno;
	if (n < 0 && e == EPIPE && !sigismember(&pending, SIGPIPE))
		sigtimedwait(&broken, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = e;
	return n;
}

int sys_spawn_run(const struct sys_spawn *what, struct buf *out, struct buf *err_out, int *ret_status)
{
	autofd int in_r = -EBADF, in_w = -EBADF, out_r = -EBADF, out_w = -EBADF, err_r = -EBADF,
	    err_w = -EBADF, pidfd = -EBADF;
	const char *input = what->input;
	size_t left = what->input_len;
	bool timed_out = false;
	pid_t pid;
	int r;

	if ((r = sys_pipe(0, &in_r, &in_w)) < 0 || (r = sys_pipe(0, &out_r, &out_w)) < 0 ||
	    (r = sys_pipe(0, &err_r, &err_w)) < 0)
		return r;
	r = start(what, in_r, out_w, err_w, &pid);
	if (r < 0)
		return r;
	fd_drop(&in_r);
	fd_drop(&out_w);
	fd_drop(&err_w);
	sys_set_nonblock(in_w);
	sys_set_nonblock(out_r);
	sys_set_nonblock(err_r);
	r = sys_pidfd_open(pid, &pidfd);
	if (r < 0) {
		kill(-pid, SIGKILL);
		waitpid(pid, ret_status, 0);
		return r;
	}
	if (!left)
		fd_drop(&in_w);
	for (;;) {
		struct pollfd p[] = {
			{ in_w, POLLOUT, 0 }, { out_r, POLLIN, 0 }, { err_r, POLLIN, 0 }, { pidfd, POLLIN, 0 },
		};
		bool exited;

		r = poll(p, 4, time_poll_ms(what->deadline));
		if (r < 0 && errno != EINTR)
			break;
		if (r == 0) {
			timed_out = true;
			break;
		}
		if (r < 0)
			continue;
		exited = p[3].revents;
		if (p[0].revents) {
			ssize_t n = write_quietly(in_w, input, left);

			if (n > 0) {
				input += n;
				left -= (size_t)n;
			}
			if (!left || (n < 0 && errno != EAGAIN && errno != EINTR))
				fd_drop(&in_w);
		}
		if (p[1].revents && drain(out_r, out))
			fd_drop(&out_r);
		if (p[2].revents && drain(err_r, err_out))
			fd_drop(&err_r);
		if (exited && !p[1].revents && !p[2].revents)
			break;
	}
	if (timed_out)
		kill(-pid, SIGKILL);
	r = sys_pidfd_wait(pidfd, ret_status);
	return timed_out ? -ETIMEDOUT : r;
}
