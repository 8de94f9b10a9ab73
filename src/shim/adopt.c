/*
 * Taking over the containers of a shim that died. Loop thread, but for adopt_job.
 *
 * The container's process is nobody's child any more (pid 1 reaps it), so its end comes by pidfd and
 * its code as the kernel lets us have it (sys_pidfd_status). The streams are taken from where they
 * still are open: the keeper's descriptors (the daemon's duplicates), or the container's own
 * end of a pipe. What the old shim alone held (an exec's streams and exit code, a terminal that
 * nobody kept) is lost, and the answer says so.
 */
#include "shim/op.h"
#include "shim/record.h"
#include "shim/server.h"

#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

/* More processes than that are not searched for the other end of a pipe. */
enum { SEARCH_MAX = 4096 };

struct adopt {
	struct task *task;
	task_adopt_fn done;
	void *user;
	pid_t keeper;
	int kept[SHIM_STREAMS];
};

/* ---- streams ---- */

static bool is_the_one(int fd, const struct shim_stream_at *at)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_dev == at->dev && st.st_ino == at->ino;
}

/* The read end of the pipe in which fd number `name` of a process is the other end. */
static int open_if_it(int dir, const char *name, const struct shim_stream_at *at)
{
	struct stat st;
	autofd int fd = -EBADF;

	if (fstatat(dir, name, &st, 0) < 0 || !S_ISFIFO(st.st_mode) || st.st_dev != at->dev || st.st_ino != at->ino)
		return -1;
	fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 && is_the_one(fd, at) ? take_fd(&fd) : -1;
}

static int search_process(pid_t pid, const struct shim_stream_at *at)
{
	char path[40];
	struct dirent *e;
	DIR *dir;
	int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (fd < 0 && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			fd = open_if_it(dirfd(dir), e->d_name, at);
	closedir(dir);
	return fd;
}

static int search_container(const struct task *t, const struct shim_stream_at *at)
{
	autofree pid_t *pids = NULL;
	size_t n = 0;
	int fd = search_process(t->init.pid, at);

	if (fd >= 0 || !t->cgroup || cgroup_pids(t->cgroup, &pids, &n, NULL) < 0)
		return fd;
	for (size_t i = 0; i < n && i < SEARCH_MAX && fd < 0; i++)
		fd = search_process(pids[i], at);
	return fd;
}

static void from_keeper(const struct adopt *x, const struct shim_stream_at *at, int fds[SHIM_STREAMS])
{
	autofd int pidfd = -EBADF;

	if (x->keeper <= 0 || sys_pidfd_open(x->keeper, &pidfd) < 0)
		return;
	for (int i = 0; i < SHIM_STREAMS; i++) {
		if (x->kept[i] < 0 || at[i].fd < 0 || sys_pidfd_getfd(pidfd, x->kept[i], &fds[i]) < 0)
			continue;
		if (!is_the_one(fds[i], &at[i]))
			fd_drop(&fds[i]);
	}
}

static void gather(const struct adopt *x, int fds[SHIM_STREAMS], struct buf *lost)
{
	struct stdio *io = &x->task->init.io;
	struct shim_stream_at at[SHIM_STREAMS];

	for (int i = 0; i < SHIM_STREAMS; i++)
		fds[i] = -EBADF;
	if (shim_streams_read(x->task->bundle, at, NULL) < 0)
		return;
	from_keeper(x, at, fds);
	for (int i = SHIM_STDOUT; i <= SHIM_STDERR; i++)
		if (fds[i] < 0 && at[i].fd >= 0 && !io->terminal)
			fds[i] = search_container(x->task, &at[i]);
	if (fds[SHIM_STDIN] < 0 && at[SHIM_STDIN].fd >= 0) {
		/* no reader means that it was closed: then there is nothing to take over */
		fds[SHIM_STDIN] = open(io->in, (io->terminal ? O_RDWR : O_WRONLY) | O_NONBLOCK | O_CLOEXEC);
		if (fds[SHIM_STDIN] >= 0 && !io->terminal)
			buf_puts(lost, "its input may have seen an end; ");
	}
	if (io->terminal && fds[SHIM_TERMINAL] < 0)
		buf_puts(lost, "its terminal was hung up; ");
}

/* ---- the operation ---- */

static int adopt_job(void *user, struct job_result *ret, struct err *err)
{
	struct adopt *x = user;
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	const struct cgroup_host *host;
	int r = task_describe(x->task, ret, err);

	if (r == 0 && !ret->pid)
		return err_set(err, ERR_NOT_FOUND, "container %s: it is over", x->task->id);
	if (r < 0 || !ret->cgroup[0])
		return r;
	/* the old shim's execs: nobody reads them, ends them in time or would hear how they ended */
	if (cgroup_host_get(&host, NULL) == 0 && cgroup_open(host, ret->cgroup, &cg, NULL) == 0)
		cgroup_kill_subs(cg, "exec-", NULL);
	return 0;
}

static void finish(struct adopt *x, const char *lost, const struct err *err)
{
	struct task_answer answer = { .pid = x->task->init.pid };

	x->done(&answer, lost, err, x->user);
	free(x);
}

static int take_over(struct adopt *x, const struct job_result *res, struct buf *lost, struct err *err)
{
	struct task *t = x->task;
	struct shim_stream_at at[SHIM_STREAMS];
	int fds[SHIM_STREAMS], r;

	r = proc_adopt(&t->init, res->pid, res->ticks);
	if (r < 0)
		return err_set(err, r == -ESRCH ? ERR_NOT_FOUND : ERR_INTERNAL, "container %s: it is over", t->id);
	t->pid_ns_init = res->pid_ns_init;
	t->paused = res->paused;
	task_open_cgroup(t, res->cgroup);
	gather(x, fds, lost);
	r = stdio_resume(&t->init.io, fds, err);
	for (int i = 0; i < SHIM_STREAMS; i++)
		fd_drop(&fds[i]);
	if (r < 0)
		return r;
	if (stdio_describe(&t->init.io, at))
		record_write_streams(t->bundle, at, NULL);
	return 0;
}

static void adopt_done(struct job_result *res, void *user)
{
	CLEANUP(buf_done) struct buf lost = BUF_INIT(1024);
	struct adopt *x = user;
	struct task *t = x->task;
	struct err err = res->err;

	t->n_jobs--;
	t->init.busy = false;
	if (res->r < 0 || take_over(x, res, &lost, &err) < 0) {
		t->init.alive = false;
		finish(x, NULL, &err);
		task_free(t);
		return;
	}
	t->visible = true;
	t->init.status = SHIM_RUNNING;
	if (lost.len)
		shim_log(t->shim, "%s: taken over, but: %s", t->id, buf_text(&lost));
	finish(x, buf_text(&lost), NULL);
}

void task_adopt(struct shim *s, const struct task_adopt *what, task_adopt_fn done, void *user)
{
	struct err err = ERR_INIT;
	struct task_create like = {
		.id = what->id, .bundle = what->bundle, .root = what->root, .terminal = what->terminal,
		.in = what->in, .out = what->out, .err = what->err,
	};
	struct adopt *x;
	int r;

	if (!str_is_id(what->id, 128) || what->bundle[0] != '/')
		err_set(&err, ERR_INVALID, "adopt %s: not an identifier, or no bundle", what->id);
	else if (map_get(&s->tasks, what->id))
		err_set(&err, ERR_EXISTS, "container %s exists", what->id);
	if (err.kind) {
		done(NULL, NULL, &err, user);
		return;
	}
	x = mem_new(1, sizeof(*x));
	x->task = task_new(s, &like);
	x->done = done;
	x->user = user;
	x->keeper = what->keeper;
	memcpy(x->kept, what->kept, sizeof(x->kept));
	map_put(&s->tasks, x->task->id, x->task);
	x->task->init.busy = true;
	x->task->n_jobs++;
	r = job_start(s, adopt_job, NULL, adopt_done, x, &err);
	if (r < 0) {
		struct job_result res = { .r = r, .err = err };

		adopt_done(&res, x);
	}
}
