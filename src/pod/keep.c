/*
 * What the daemon holds of a running container, so that it outlives its shim: a pidfd of its
 * process, by which the kernel tells its end and its code to who is not the parent, and duplicates
 * of the descriptors that hold its streams. A killed shim then breaks no pipe and hangs no
 * terminal up, and its successor takes the streams from here (successor.c).
 *
 * Any thread. The descriptors are guarded by m->lock and live until the container has exited.
 */
#include "pod/manager.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* The very stream that the record means: a number is reused once its owner has closed it. */
static void duplicate(int monitor, const struct shim_stream_at *at, int *ret)
{
	autofd int fd = -EBADF;
	struct stat st;

	if (at->fd < 0 || sys_pidfd_getfd(monitor, at->fd, &fd) < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_dev == at->dev && st.st_ino == at->ino)
		*ret = take_fd(&fd);
}

static void keep_streams(const struct shim_process *shim, const char *bundle, bool input, struct pod_kept *k)
{
	struct shim_stream_at at[SHIM_STREAMS];
	autofd int monitor = -EBADF;

	if (!shim->pid || shim_streams_read(bundle, at, NULL) < 0 ||
	    sys_pidfd_open_verified(shim->pid, shim->start_ticks, &monitor) < 0)
		return;
	for (int i = input ? SHIM_STDIN : SHIM_STDOUT; i < SHIM_STREAMS; i++)
		duplicate(monitor, &at[i], &k->streams[i]);
}

void pod_container_keep(struct pod_container *c)
{
	struct pod_manager *m = c->priv->m;
	struct pod_process process = pod_container_process(c);
	struct pod_kept k = POD_KEPT_INIT, old;
	struct shim_process shim;

	if (sys_pidfd_open_verified(process.pid, process.ticks, &k.pidfd) < 0)
		return;
	pod_lock(m);
	shim = c->pod->priv->shim;
	pod_unlock(m);
	/* input that ends with its first client must not be held open by us */
	keep_streams(&shim, c->dir, !c->config->stdin_once, &k);
	pod_lock(m);
	old = c->priv->kept;
	c->priv->kept = k;
	if (c->state == POD_EXITED)
		pod_kept_done(&c->priv->kept);
	pod_unlock(m);
	pod_kept_done(&old);
}

void pod_sandbox_keep(struct pod_sandbox *p)
{
	struct pod_manager *m = p->priv->m;
	struct pod_process process = pod_sandbox_process(p);
	autofd int fd = -EBADF, old = -EBADF;

	if (sys_pidfd_open_verified(process.pid, process.ticks, &fd) < 0)
		return;
	pod_lock(m);
	old = p->priv->kept_pidfd;
	p->priv->kept_pidfd = take_fd(&fd);
	pod_unlock(m);
}

int pod_container_status(struct pod_container *c, int *ret_code)
{
	struct pod_process process = pod_container_process(c);
	autofd int fd = -EBADF;
	int status, r;

	pod_lock(c->priv->m);
	if (c->priv->kept.pidfd >= 0)
		fd = fcntl(c->priv->kept.pidfd, F_DUPFD_CLOEXEC, 3);
	pod_unlock(c->priv->m);
	r = fd < 0 ? sys_pidfd_open_verified(process.pid, process.ticks, &fd) : 0;
	/* a look that fails for another reason proves no end */
	if (r < 0)
		return r == -ESRCH ? -ENODATA : -EAGAIN;
	r = sys_pidfd_status(fd, process.pid, process.ticks, &status);
	if (r == 0)
		*ret_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return r;
}
