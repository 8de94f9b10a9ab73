/*
 * What a streaming client needs of a container or pod. Any thread; everything here blocks, but for
 * pod_task_done.
 *
 * Only pod_exec_start, pod_attach_start and pod_forward touch the manager, and it waits for them
 * before it goes. A struct pod_task knows the shim's address: what is called with it later needs no
 * manager, and may last as long as the process.
 */
#include "pod/manager.h"

#include "oci/oci.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { NAME_LEN = 24 };

#define CONNECT_TIME (10 * NSEC_PER_SEC)

static int enter(struct pod_manager *m, struct err *err)
{
	bool closing;

	pod_lock(m);
	closing = m->closing;
	if (!closing)
		m->n_working++;
	pod_unlock(m);
	return closing ? err_set(err, ERR_CANCELLED, "the daemon is stopping") : 0;
}

static void leave(struct pod_manager *m)
{
	pod_lock(m);
	m->n_working--;
	pod_changed(m);
	pod_unlock(m);
}

void pod_task_done(struct pod_task *t)
{
	free(t->address);
	free(t->id);
	free(t->exec_id);
	*t = (struct pod_task)POD_TASK_INIT;
}

void pod_streams_done(struct pod_streams *s)
{
	fd_drop(&s->in);
	fd_drop(&s->out);
	fd_drop(&s->err);
}

/* ---- FIFOs: they have names only until the shim has opened them ---- */

struct fifos {
	char *in, *out, *err; /* "" where there is none */
	int hold;             /* both ends of in, so that it can be opened for writing before the shim reads */
	struct pod_streams fds;
};

#define FIFOS_INIT { .hold = -EBADF, .fds = POD_STREAMS_INIT }

static void fifos_done(struct fifos *f)
{
	const char *paths[] = { f->in, f->out, f->err };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (!str_empty(paths[i]))
			unlink(paths[i]);
	fd_drop(&f->hold);
	pod_streams_done(&f->fds);
}

static int make_fifo(const char *dir, const char *name, const char *end, int flags, struct arena *a, char **ret,
		     int *ret_fd, struct err *err)
{
	char *path = arena_printf(a, "%s/%s.%s", dir, name, end);

	if (mkfifo(path, 0600) < 0)
		return err_sys(err, errno, "make %s", path);
	*ret = path;
	*ret_fd = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	return *ret_fd < 0 ? err_sys(err, errno, "open %s", path) : 0;
}

static int make_fifos(struct fifos *f, const char *dir, const char *name, bool in, bool out, bool err_too,
		      struct arena *a, struct err *err)
{
	int r = 0;

	f->in = f->out = f->err = (char *)"";
	if (in)
		r = make_fifo(dir, name, "in", O_RDWR, a, &f->in, &f->hold, err);
	if (in && r == 0) {
		f->fds.in = open(f->in, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
		if (f->fds.in < 0)
			r = err_sys(err, errno, "open %s", f->in);
	}
	if (out && r == 0)
		r = make_fifo(dir, name, "out", O_RDONLY, a, &f->out, &f->fds.out, err);
	if (err_too && r == 0)
		r = make_fifo(dir, name, "err", O_RDONLY, a, &f->err, &f->fds.err, err);
	return r;
}

static void take_streams(struct fifos *f, struct pod_streams *ret)
{
	*ret = f->fds;
	f->fds = (struct pod_streams)POD_STREAMS_INIT;
}

/* ---- exec ---- */

/* A shell on a terminal wants to know which: as runtimes for Kubernetes do it. */
static void set_term(struct oci_process *p, struct arena *a)
{
	char **env = arena_new(a, p->n_env + 1, sizeof(*env));

	for (size_t i = 0; i < p->n_env; i++) {
		if (str_skip_prefix(p->env[i], "TERM="))
			return;
		env[i] = p->env[i];
	}
	env[p->n_env++] = (char *)"TERM=xterm";
	p->env = env;
}

/* The container and its shim, when it runs. A reference. */
static int running(struct pod_manager *m, const char *id, struct arena *a, struct pod_container **ret,
		   char **ret_address, struct err *err)
{
	struct pod_container *c;
	int r = pod_container_get(m, id, &c, err);

	if (r < 0)
		return r;
	pod_lock(m);
	if (c->state != POD_RUNNING)
		r = err_set(err, ERR_STATE, "container %s is not running", id);
	pod_unlock(m);
	if (r == 0)
		r = pod_container_shim(c, a, ret_address, err);
	if (r < 0)
		pod_container_unref(c);
	else
		*ret = c;
	return r;
}

static void set_task(struct pod_task *t, const char *address, const char *id, const char *exec_id)
{
	t->address = mem_strdup(address);
	t->id = mem_strdup(id);
	t->exec_id = mem_strdup(exec_id);
}

static int exec_in(struct pod_container *c, const char *address, const struct pod_exec *what, struct arena *a,
		   struct pod_task *ret, struct pod_streams *ret_streams, struct err *err)
{
	CLEANUP(fifos_done) struct fifos f = FIFOS_INIT;
	struct oci_process process;
	struct shim_exec exec = { .id = c->id, .process = &process, .terminal = what->tty };
	int64_t deadline = time_now_mono() + POD_TASK_TIME;
	char name[ID_LEN + 1];
	pid_t pid;
	int r;

	id_random(name);
	name[NAME_LEN] = '\0';
	r = pod_container_exec_process(c, what->cmd, what->n_cmd, a, &process, err);
	if (r < 0)
		return r;
	process.terminal = what->tty;
	if (what->tty)
		set_term(&process, a);
	r = make_fifos(&f, c->dir, name, what->in, what->out, what->err && !what->tty, a, err);
	if (r < 0)
		return r;
	exec.exec_id = name;
	exec.in = f.in;
	exec.out = f.out;
	exec.err = f.err;
	r = shim_task_exec(address, &exec, deadline, err);
	if (r < 0)
		return r;
	r = shim_task_start(address, c->id, name, deadline, &pid, err);
	if (r < 0) {
		shim_task_delete(address, c->id, name, time_now_mono() + POD_TASK_TIME, NULL);
		return r;
	}
	set_task(ret, address, c->id, name);
	take_streams(&f, ret_streams);
	return 0;
}

int pod_exec_start(struct pod_manager *m, const struct pod_exec *what, struct pod_task *ret,
		   struct pod_streams *ret_streams, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_container *c;
	char *address;
	int r = enter(m, err);

	if (r < 0)
		return r;
	r = running(m, what->id, &a, &c, &address, err);
	if (r == 0) {
		r = exec_in(c, address, what, &a, ret, ret_streams, err);
		pod_container_unref(c);
	}
	leave(m);
	return r < 0 ? err_wrap(err, r, "exec in container %s", what->id) : 0;
}

/* ---- attach ---- */

static int attach_to(struct pod_container *c, const char *address, const struct pod_exec *what, struct arena *a,
		     struct pod_task *ret, struct pod_streams *ret_streams, struct err *err)
{
	CLEANUP(fifos_done) struct fifos f = FIFOS_INIT;
	const char *in = arena_printf(a, "%s/stdin", c->dir);
	char name[ID_LEN + 1];
	int r = 0;

	id_random(name);
	name[NAME_LEN] = '\0';
	if (what->in && !c->config->stdin_open)
		return err_set(err, ERR_STATE, "its stdin is not open");
	r = make_fifos(&f, c->dir, name, false, what->out, what->err && !c->config->tty, a, err);
	if (r == 0 && what->in) {
		f.fds.in = open(in, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
		if (f.fds.in < 0)
			r = errno == ENXIO ? err_set(err, ERR_STATE, "its stdin has ended") :
					     err_sys(err, errno, "open %s", in);
	}
	if (r == 0 && (*f.out || *f.err))
		r = shim_attach(address, c->id, f.out, f.err, time_now_mono() + POD_TASK_TIME, err);
	if (r < 0)
		return r;
	set_task(ret, address, c->id, "");
	ret->stdin_once = c->config->stdin_once && what->in;
	take_streams(&f, ret_streams);
	return 0;
}

int pod_attach_start(struct pod_manager *m, const struct pod_exec *what, struct pod_task *ret,
		     struct pod_streams *ret_streams, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_container *c;
	char *address;
	int r = enter(m, err);

	if (r < 0)
		return r;
	r = running(m, what->id, &a, &c, &address, err);
	if (r == 0) {
		r = attach_to(c, address, what, &a, ret, ret_streams, err);
		pod_container_unref(c);
	}
	leave(m);
	return r < 0 ? err_wrap(err, r, "attach to container %s", what->id) : 0;
}

/* ---- with the task ---- */

int pod_task_wait(const struct pod_task *t, int *ret_code, struct err *err)
{
	struct shim_state state;
	int r = shim_task_wait(t->address, t->id, t->exec_id, INT64_MAX, &state, err);

	if (r < 0)
		return r;
	*ret_code = state.exit_code;
	/* a shim that forgets it not is one that goes soon: nothing is lost by it */
	shim_task_delete(t->address, t->id, t->exec_id, time_now_mono() + POD_TASK_TIME, NULL);
	return 0;
}

int pod_task_resize(const struct pod_task *t, uint16_t width, uint16_t height, struct err *err)
{
	return shim_task_resize(t->address, t->id, t->exec_id, width, height, time_now_mono() + POD_TASK_TIME, err);
}

int pod_task_close_stdin(const struct pod_task *t, struct err *err)
{
	return shim_task_close_stdin(t->address, t->id, t->exec_id, time_now_mono() + POD_TASK_TIME, err);
}

int pod_task_kill(const struct pod_task *t, int sig, struct err *err)
{
	return shim_task_kill(t->address, t->id, t->exec_id, sig, false, time_now_mono() + POD_KILL_TIME, err);
}

/* ---- port-forward ---- */

int pod_forward(struct pod_manager *m, const char *pod_id, uint16_t port, int *ret_fd, struct err *err)
{
	struct pod_sandbox *p;
	autofd int ns = -EBADF;
	int r = enter(m, err);

	if (r < 0)
		return r;
	r = pod_sandbox_get(m, pod_id, &p, err);
	if (r == 0) {
		autofree char *path = NULL;

		pod_lock(m);
		if (p->state != POD_READY)
			r = err_set(err, ERR_STATE, "pod %s is not ready", pod_id);
		else if (p->netns)
			path = mem_strdup(p->netns);
		pod_unlock(m);
		if (r == 0 && path)
			r = cni_netns_open(path, &ns, err);
		pod_sandbox_unref(p);
	}
	leave(m);
	/* the namespace is held by the descriptor; a port that does not answer holds up nobody else */
	return r < 0 ? r : cni_netns_connect(ns, port, CONNECT_TIME, ret_fd, err);
}
