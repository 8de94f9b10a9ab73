/*
 * The shim's process: loop, signals, reaping, memory, end. Loop thread.
 */
#include "shim/server.h"

#include "rpc/rpc.h"
#include "shim/events.h"
#include "shim/job.h"
#include "shim/journal.h"
#include "shim/service.h"
#include "shim/task.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { LOG_FILE_MAX = 256 * 1024, EARLY_MAX = 1024, PAGE = 4096 };

static const int64_t TRIM_AFTER = 3 * NSEC_PER_SEC, LEAVE_EVERY = 5 * NSEC_PER_MSEC,
		     LEAVE_MAX = 2 * NSEC_PER_SEC;

/* ---- memory ---- */

static uint8_t scratch_in[SCRATCH_IN] __attribute__((aligned(PAGE)));
static uint8_t scratch_out[SCRATCH_OUT] __attribute__((aligned(PAGE)));

enum { STACK_MAX = 1024 * 1024 };

/*
 * The deepest call decides how much stack stays resident, and that was the start command
 * (reading documents) or a burst of work. What is below the present frame is nobody's: the
 * kernel gives zero pages again when it is needed. Parts that are not mapped are skipped (ENOMEM).
 */
static void trim_stack(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)(PAGE - 1);

	/* a page is left for this frame, the call and the red zone */
	madvise((void *)(here - PAGE - STACK_MAX), STACK_MAX, MADV_DONTNEED);
}

static void on_trim(void *user)
{
	struct shim *s = user;

	trim_stack();
	madvise(scratch_in, sizeof(scratch_in), MADV_DONTNEED);
	madvise(scratch_out, sizeof(scratch_out), MADV_DONTNEED);
	malloc_trim(0);
	s->trim_armed = false;
}

struct scratch shim_scratch(struct shim *s)
{
	if (!s->trim_armed) {
		s->trim_armed = true;
		event_timer_set(s->trim, time_now_mono() + TRIM_AFTER);
	}
	return (struct scratch){ scratch_in, scratch_out };
}

/* ---- its own log ---- */

void shim_log(struct shim *s, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	struct stat st;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* a disk that is full of this log would help nobody: the beginning is given up */
	if (fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > LOG_FILE_MAX &&
	    ftruncate(STDERR_FILENO, 0) < 0)
		return;
	log_error("%s", text);
}

/* ---- children ---- */

struct early {
	struct list link;
	pid_t pid;
	int status;
};

static void early_free(struct early *e)
{
	list_remove(&e->link);
	free(e);
}

static void early_add(struct shim *s, pid_t pid, int status)
{
	struct early *e = mem_new(1, sizeof(*e));
	size_t n = 0;

	e->pid = pid;
	e->status = status;
	list_append(&s->early, &e->link);
	list_for_each(x, &s->early, struct early, link)
		n++;
	if (n > EARLY_MAX)
		early_free(list_first(&s->early, struct early, link));
}

bool shim_take_early(struct shim *s, pid_t pid, int *ret_status)
{
	list_for_each(e, &s->early, struct early, link) {
		if (e->pid == pid) {
			*ret_status = e->status;
			early_free(e);
			return true;
		}
	}
	return false;
}

/*
 * Everybody who dies below us is reaped here, orphans of the containers too. The process that
 * a job makes is our grandchild until the job ends, but it, or a stage of it, may come to us
 * and die before the job's result has been read: so unknown ones are kept as long as a job runs.
 */
static void on_child(int signo, void *user)
{
	struct shim *s = user;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (!job_reaped(s, pid, status) && !task_reaped(s, pid, status) && !list_empty(&s->jobs))
			early_add(s, pid, status);
	if (list_empty(&s->jobs))
		list_for_each(e, &s->early, struct early, link)
			early_free(e);
}

/* ---- the end ---- */

static void on_leave(void *user);

struct leaving {
	struct shim *shim;
	struct event_timer *timer;
	int64_t until;
};

static void on_leave(void *user)
{
	struct leaving *l = user;
	struct shim *s = l->shim;
	int64_t now = time_now_mono();

	if (now < l->until && !(ttrpc_server_idle(s->rpc) && events_idle(s->events))) {
		event_timer_set(l->timer, now + LEAVE_EVERY);
		return;
	}
	event_timer_free(l->timer);
	free(l);
	event_loop_stop(s->loop);
}

void shim_leave(struct shim *s)
{
	struct leaving *l;

	if (s->leaving)
		return;
	s->leaving = true;
	l = mem_new(1, sizeof(*l));
	l->shim = s;
	l->until = time_now_mono() + LEAVE_MAX;
	event_timer_new(s->loop, time_now_mono(), on_leave, l, &l->timer);
}

/* Containers outlive whoever sends this (a daemon's stop, a service manager): only an empty
 * shim has nothing to lose. */
static void on_terminate(int signo, void *user)
{
	struct shim *s = user;

	if (!s->tasks.n)
		shim_leave(s);
}

static int setup(struct shim *s, int listen_fd, const struct ttrpc_service *services, size_t n,
		 struct err *err)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	int r;

	/* what the caller ignored is not the containers' affair: jobs undo the two below only */
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	mallopt(M_TOP_PAD, PAGE);
	mallopt(M_TRIM_THRESHOLD, 4 * PAGE);
	mallopt(M_MMAP_THRESHOLD, 16 * PAGE);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return err_sys(err, errno, "become the subreaper");
	/* without CAP_SYS_RESOURCE it is refused, and stays as it is */
	sys_file_write(AT_FDCWD, "/proc/self/oom_score_adj", "-998");
	r = event_loop_new(&s->loop);
	if (r == 0)
		r = event_signal_new(s->loop, SIGCHLD, on_child, s, &s->on_child);
	if (r == 0)
		r = event_signal_new(s->loop, SIGTERM, on_terminate, s, &s->on_term);
	if (r == 0)
		r = event_signal_new(s->loop, SIGINT, on_terminate, s, &s->on_int);
	if (r == 0)
		r = event_timer_new(s->loop, time_now_mono() + TRIM_AFTER, on_trim, s, &s->trim);
	s->trim_armed = true;
	if (r == 0)
		r = sys_pipe(0, &s->look[0], &s->look[1]);
	if (r == 0)
		r = ttrpc_server_new(s->loop, listen_fd, services, n, &s->rpc);
	return r < 0 ? err_sys(err, r, "shim") : 0;
}

int shim_serve(int listen_fd, const struct shim_options *o, const char *state_dir, struct err *err)
{
	static struct shim shim;
	struct shim *s = &shim;
	const struct ttrpc_service services[] = {
		{ "containerd.task.v2.Task", service_task_methods, service_n_task_methods, s },
		{ "containerd.task.v3.Task", service_task_methods, service_n_task_methods, s },
		{ "caisson.shim.v1.Shim", service_shim_methods, service_n_shim_methods, s },
	};
	int r;

	s->options = o;
	s->state_dir = state_dir;
	s->journal = journal_open(state_dir);
	list_init(&s->jobs);
	list_init(&s->early);
	r = setup(s, listen_fd, services, ARRAY_LEN(services), err);
	if (r < 0)
		return r;
	events_new(s, o->events, o->ns, &s->events);
	r = event_loop_run(s->loop);
	/* what is left ends with the process: a shim that was told to go has nothing to undo */
	return r < 0 ? err_sys(err, r, "epoll") : 0;
}
