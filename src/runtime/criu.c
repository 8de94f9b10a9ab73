/*
 * One run of CRIU: it is executed with one end of a socket pair, gets one request, may ask
 * back by notifications, and answers. Runs in the caller, which has one thread.
 *
 * CRIU is not killed when the caller ends: it notices that the socket is gone and puts the
 * processes that it has hold of back as they were, which nobody else could.
 */
#include "runtime/criu.h"

#include "runtime/sync.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { REPLY_MAX = 65536, LOG_TAIL = 65536, DISK_FULL = 64 * 1024 };

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

int criu_keep(struct criu_call *call, int fd)
{
	if (call->n_keep < CRIU_KEEP_MAX)
		call->keep[call->n_keep++] = fd;
	return fd;
}

static int find_program(const char *name, char **ret, struct err *err)
{
	const char *path = getenv("PATH");
	/* CRIU is in a directory for the administrator, which a user's PATH may leave out */
	const char *const lists[] = { path ? path : "", default_path };

	if (name && strchr(name, '/')) {
		*ret = mem_strdup(name);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (const char *p = lists[i]; *p; p += strcspn(p, ":"), p += *p == ':') {
			autofree char *dir = mem_strndup(p, strcspn(p, ":"));
			autofree char *file = mem_printf("%s/%s", dir, name ? name : "criu");

			if (*p == '/' && access(file, X_OK) == 0) {
				*ret = take_ptr(&file);
				return 0;
			}
		}
	return err_set(err, ERR_UNSUPPORTED, "%s is not installed: no such program in PATH",
		       name ? name : "criu");
}

/* What CRIU complains of in its log. */
static void log_complaints(int dir, const char *name, char *out, size_t size)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LOG_TAIL);
	autofd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	out[0] = '\0';
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	if (st.st_size > LOG_TAIL - 1)
		lseek(fd, st.st_size - (LOG_TAIL - 1), SEEK_SET);
	while (buf_read_fd(&text, fd, LOG_TAIL - 1 - text.len) > 0 && text.len < LOG_TAIL - 1)
		;
	criu_complaints(buf_text(&text), out, size);
}

/* Then its log is cut off before it says so. */
static bool disk_is_full(int dir)
{
	struct statvfs fs;

	return fstatvfs(dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < DISK_FULL;
}

/* In CRIU's words: its log, or the one text of its reply. Its number is often another one's. */
static int failed(const struct criu_call *call, const struct criu_reply *reply, struct err *err)
{
	char said[ERR_TEXT_MAX / 2];

	log_complaints(call->work_dir, call->log, said, sizeof(said));
	if (!*said && reply)
		snprintf(said, sizeof(said), "%s", reply->message);
	if (disk_is_full(call->work_dir))
		return err_set(err, ERR_LIMIT, "criu %s: No space left on device (it said: %s)", call->action,
			       *said ? said : "nothing");
	return err_set(err, ERR_INTERNAL, "criu %s failed: %s (its log: %s)", call->action,
		       *said ? said : "it wrote no error", call->log);
}

/* ---- its process ---- */

/*
 * The socket is made here and not by the caller: CRIU looks descriptors of a request up in the process
 * that made it, and those of ours lead out of the mount namespace that it is in.
 */
static void child(const struct criu_call *call, const char *program, int sync)
{
	autofd int sock = -EBADF, other = -EBADF;
	static char number[16];
	char *argv[] = { (char *)"criu", (char *)"swrk", number, NULL };
	struct err err = ERR_INIT;
	sigset_t none;
	int r = call->before ? call->before(call->user, &err) : 0;

	if (r == 0) {
		r = sync_pair(&other, &sock);
		if (r == 0)
			r = sync_send(sync, SYNC_SOCKET, 0, &other, 1);
		if (r < 0)
			err_sys(&err, r, "socketpair");
		fd_drop(&other);
	}
	if (r == 0) {
		for (size_t i = 0; i < call->n_keep; i++)
			fcntl(call->keep[i], F_SETFD, 0);
		fcntl(sock, F_SETFD, 0);
		snprintf(number, sizeof(number), "%d", sock);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		if (!getenv("PATH")) /* CRIU calls ip and iptables by name */
			setenv("PATH", default_path, 1);
		execv(program, argv);
		err_sys(&err, errno, "execute %s", program);
	}
	sync_send_err(sync, SYNC_ERROR, &err);
	_exit(1);
}

static int start(const struct criu_call *call, const char *program, int *ret_sock, int *ret_pidfd,
		 struct err *err)
{
	autofd int sync = -EBADF, sync_child = -EBADF, sock = -EBADF, pidfd = -EBADF;
	struct sync_msg m;
	size_t n_fds = 1;
	pid_t pid;
	int r = sync_pair(&sync, &sync_child), status;

	if (r < 0)
		return err_sys(err, r, "socketpair");
	pid = sys_clone3(call->clone_flags, SIGCHLD, -EBADF, &pidfd);
	if (pid < 0)
		return err_sys(err, pid, "clone");
	if (pid == 0)
		child(call, program, sync_child);
	fd_drop(&sync_child);
	r = sync_recv(sync, &m, &sock, &n_fds);
	if (r == 0 && m.type == SYNC_SOCKET && sock >= 0)
		r = sync_recv(sync, &m, NULL, NULL);
	if (r != -EPIPE || sock < 0) { /* execve closes it */
		sys_pidfd_signal(pidfd, SIGKILL);
		sys_pidfd_wait(pidfd, &status);
		if (r < 0 || m.type != SYNC_ERROR)
			return err_set(err, ERR_INTERNAL, "criu's process said something unexpected");
		*err = m.err;
		return err->number ? -err->number : -EIO;
	}
	*ret_sock = take_fd(&sock);
	*ret_pidfd = take_fd(&pidfd);
	return 0;
}

/* ---- talking ---- */

static int send_packet(int sock, const struct buf *b)
{
	ssize_t n;

	do
		n = send(sock, b->data, b->len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int answer(const struct criu_call *call, const struct criu_reply *reply, int sock, int fd,
		  struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(64);
	int r = call->notify ? call->notify(call->user, reply, fd, err) : 0;

	if (r < 0)
		return r;
	r = criu_request_go_on(&out);
	if (r == 0)
		r = send_packet(sock, &out);
	return r < 0 ? failed(call, NULL, err) : 0;
}

static int converse(const struct criu_call *call, int sock, struct criu_reply *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(2 << 20);
	autofree char *in = mem_new(1, REPLY_MAX);
	int r = criu_request(call->type, call->opts, &out), bytes = (int)out.len + 65536;

	if (r < 0)
		return err_sys(err, r, "criu %s: its options are too long", call->action);
	setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	if (send_packet(sock, &out) < 0)
		return failed(call, NULL, err);
	for (;;) {
		autofd int fd = -EBADF;
		size_t n_fds = 1;
		ssize_t n = sys_recv_fds(sock, in, REPLY_MAX, &fd, &n_fds);

		if (n <= 0)
			return failed(call, NULL, err);
		if (criu_reply_parse(in, (size_t)n, ret) < 0)
			return err_set(err, ERR_INTERNAL, "criu %s: an answer that is no message",
				       call->action);
		if (ret->type != CRIU_NOTIFY)
			break;
		r = answer(call, ret, sock, n_fds ? fd : -EBADF, err);
		if (r < 0)
			return r;
	}
	return ret->success ? 0 : failed(call, ret, err);
}

int criu_run(const struct criu_call *call, struct criu_reply *ret, struct err *err)
{
	autofd int sock = -EBADF, pidfd = -EBADF;
	autofree char *program = NULL;
	int r, status;

	r = find_program(call->program, &program, err);
	if (r == 0)
		r = start(call, program, &sock, &pidfd, err);
	if (r < 0)
		return r;
	r = converse(call, sock, ret, err);
	/* with the socket closed it has nothing left to do */
	fd_drop(&sock);
	sys_pidfd_wait(pidfd, &status);
	return r;
}
