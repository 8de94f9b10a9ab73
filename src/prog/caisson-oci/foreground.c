/*
 * A process in the foreground: signals go to it, its terminal is shown on ours, its exit
 * status becomes ours. One poll loop over three descriptors.
 */
#include "prog/caisson-oci/oci.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

int foreground_init(struct foreground *f, bool terminal, struct err *err)
{
	sigset_t set;
	int p[2];

	sigfillset(&set);
	/* faults of our own stay fatal */
	for (const int *s = (const int[]){ SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, 0 }; *s; s++)
		sigdelset(&set, *s);
	sigprocmask(SIG_BLOCK, &set, NULL);
	f->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (f->signals < 0)
		return err_sys(err, errno, "signalfd");
	if (!terminal)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p) < 0)
		return err_sys(err, errno, "socketpair");
	f->receiver = p[0];
	f->sender = p[1];
	return 0;
}

void foreground_done(struct foreground *f)
{
	fd_drop(&f->receiver);
	fd_drop(&f->sender);
	fd_drop(&f->signals);
}

static struct termios saved;
static bool is_raw;

static void make_raw(void)
{
	struct termios t;

	if (tcgetattr(0, &saved) < 0)
		return; /* not a terminal: bytes are copied all the same */
	t = saved;
	cfmakeraw(&t);
	is_raw = tcsetattr(0, TCSANOW, &t) == 0;
}

static void copy_size(int master)
{
	struct winsize size;

	if (ioctl(0, TIOCGWINSZ, &size) == 0)
		ioctl(master, TIOCSWINSZ, &size);
}

/* Copies once: 0 at the end of the input. */
static int copy(int from, int to)
{
	char data[16384];
	ssize_t n = read(from, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	if (n <= 0)
		return 0;
	return sys_write_all(to, data, (size_t)n) == 0;
}

/* 1 when pid itself has ended, with its status. */
static int handle_signals(int signals, int master, pid_t pid, int *status)
{
	struct signalfd_siginfo si;

	while (read(signals, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCHLD) {
			pid_t got;
			int st;

			while ((got = waitpid(-1, &st, WNOHANG)) > 0)
				if (got == pid) {
					*status = st;
					return 1;
				}
		} else if (si.ssi_signo == SIGWINCH && master >= 0) {
			copy_size(master);
		} else if (si.ssi_signo != SIGPIPE && si.ssi_signo != SIGURG) {
			kill(pid, (int)si.ssi_signo);
		}
	}
	return 0;
}

/* The slave is kept open here as well: a terminal that no process has open reports a hangup
 * for ever, and one may be opened again. */
static int receive_master(struct foreground *f, int *ret, int *ret_slave, struct err *err)
{
	char name[64];
	size_t n = 1;
	ssize_t r = sys_recv_fds(f->receiver, name, sizeof(name), ret, &n);

	if (r <= 0 || n != 1)
		return err_set(err, ERR_INTERNAL, "no terminal came from the container");
	*ret_slave = ioctl(*ret, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return 0;
}

/* What the terminal still holds after its process is gone. */
static void drain(int master)
{
	sys_set_nonblock(master);
	for (int i = 0; i < 1024; i++) {
		char data[16384];
		ssize_t n = read(master, data, sizeof(data));

		if (n <= 0 || sys_write_all(1, data, (size_t)n) < 0)
			return;
	}
}

int foreground_wait(struct foreground *f, pid_t pid, struct err *err)
{
	autofd int master = -EBADF, slave = -EBADF;
	bool input = true;
	int status = 0, r;

	if (f->receiver >= 0) {
		r = receive_master(f, &master, &slave, err);
		if (r < 0)
			return r;
		copy_size(master);
		make_raw();
	}
	/* a SIGCHLD from before we listened is not lost: it is pending in the descriptor */
	for (;;) {
		struct pollfd p[] = {
			{ f->signals, POLLIN, 0 },
			{ master, POLLIN, 0 },
			{ master >= 0 && input ? 0 : -1, POLLIN, 0 },
		};

		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents && handle_signals(f->signals, master, pid, &status))
			break;
		if (p[2].revents)
			input = copy(0, master);
		if (p[1].revents && !copy(master, 1))
			break;
	}
	if (master >= 0)
		drain(master);
	if (is_raw)
		tcsetattr(0, TCSANOW, &saved);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
