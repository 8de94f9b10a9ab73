/*
 * The loop. Runs on the loop thread only, but for post and stop.
 *
 * Invariants:
 *  - A source that was freed during a round stays in `dead` until the round is over, since
 *    epoll may have reported it already; its `fn` is NULL and it is skipped.
 *  - Timers are in a binary heap by deadline; heap index 0 is next; a disarmed timer is not
 *    in the heap (index SIZE_MAX).
 *  - Posts are a singly linked list under `post_lock`; the eventfd is written only when the
 *    list goes from empty to non-empty.
 */
#include "event/event.h"

#include "base/base.h"
#include "sys/sys.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

enum source_kind { SOURCE_FD, SOURCE_SIGNAL, SOURCE_CHILD };

/* What epoll points at. event_fd, event_signal and event_child each begin with one. */
struct source {
	struct event_loop *loop;
	enum source_kind kind;
	int fd;
	bool dead;
	struct list link; /* in loop->dead once freed */
	void *user;
};

struct event_fd {
	struct source source;
	event_fd_fn fn;
};

struct event_signal {
	struct source source;
	int signo;
	event_signal_fn fn;
};

struct event_child {
	struct source source;
	event_child_fn fn;
};

struct event_timer {
	struct event_loop *loop;
	int64_t deadline;
	size_t index;
	event_fn fn;
	void *user;
};

struct post {
	struct post *next;
	event_fn fn;
	void *user;
};

struct event_loop {
	int epoll;
	int wake;
	bool stop;
	int64_t now;
	struct list dead;
	struct event_timer **heap;
	size_t n_heap, cap_heap;
	pthread_mutex_t post_lock;
	struct post *post_first, **post_last;
};

int event_loop_new(struct event_loop **ret)
{
	autofd int epoll = epoll_create1(EPOLL_CLOEXEC), wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	struct event_loop *loop;

	if (epoll < 0 || wake < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &ev) < 0)
		return -errno;
	loop = mem_new(1, sizeof(*loop));
	loop->epoll = take_fd(&epoll);
	loop->wake = take_fd(&wake);
	loop->now = time_now_mono();
	loop->post_last = &loop->post_first;
	list_init(&loop->dead);
	pthread_mutex_init(&loop->post_lock, NULL);
	*ret = loop;
	return 0;
}

static void bury(struct event_loop *loop)
{
	list_for_each(s, &loop->dead, struct source, link) {
		list_remove(&s->link);
		free(s);
	}
}

void event_loop_free(struct event_loop *loop)
{
	if (!loop)
		return;
	bury(loop);
	while (loop->post_first) {
		struct post *p = loop->post_first;

		loop->post_first = p->next;
		free(p);
	}
	close(loop->epoll);
	close(loop->wake);
	pthread_mutex_destroy(&loop->post_lock);
	free(loop->heap);
	free(loop);
}

int64_t event_loop_now(const struct event_loop *loop)
{
	return loop->now;
}

/* ---- posting ---- */

static void wake(struct event_loop *loop)
{
	uint64_t one = 1;

	while (write(loop->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void event_loop_post(struct event_loop *loop, event_fn fn, void *user)
{
	struct post *p = mem_new(1, sizeof(*p));
	bool first;

	p->fn = fn;
	p->user = user;
	pthread_mutex_lock(&loop->post_lock);
	first = !loop->post_first;
	*loop->post_last = p;
	loop->post_last = &p->next;
	pthread_mutex_unlock(&loop->post_lock);
	if (first)
		wake(loop);
}

void event_loop_stop(struct event_loop *loop)
{
	__atomic_store_n(&loop->stop, true, __ATOMIC_RELEASE);
	wake(loop);
}

static void run_posts(struct event_loop *loop)
{
	struct post *p;

	pthread_mutex_lock(&loop->post_lock);
	p = loop->post_first;
	loop->post_first = NULL;
	loop->post_last = &loop->post_first;
	pthread_mutex_unlock(&loop->post_lock);
	while (p) {
		struct post *next = p->next;

		p->fn(p->user);
		free(p);
		p = next;
	}
}

/* ---- timers: a binary heap ---- */

static void heap_put(struct event_loop *loop, size_t i, struct event_timer *t)
{
	loop->heap[i] = t;
	t->index = i;
}

static void heap_up(struct event_loop *loop, size_t i)
{
	struct event_timer *t = loop->heap[i];

	while (i && loop->heap[(i - 1) / 2]->deadline > t->deadline) {
		heap_put(loop, i, loop->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_put(loop, i, t);
}

static void heap_down(struct event_loop *loop, size_t i)
{
	struct event_timer *t = loop->heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= loop->n_heap)
			break;
		if (child + 1 < loop->n_heap && loop->heap[child + 1]->deadline < loop->heap[child]->deadline)
			child++;
		if (loop->heap[child]->deadline >= t->deadline)
			break;
		heap_put(loop, i, loop->heap[child]);
		i = child;
	}
	heap_put(loop, i, t);
}

static void heap_remove(struct event_timer *t)
{
	struct event_loop *loop = t->loop;
	size_t i = t->index;
	struct event_timer *last;

	if (i == SIZE_MAX)
		return;
	t->index = SIZE_MAX;
	last = loop->heap[--loop->n_heap];
	if (last == t)
		return;
	heap_put(loop, i, last);
	heap_up(loop, i);
	heap_down(loop, last->index);
}

int event_timer_new(struct event_loop *loop, int64_t deadline, event_fn fn, void *user,
		    struct event_timer **ret)
{
	struct event_timer *t = mem_new(1, sizeof(*t));

	t->loop = loop;
	t->index = SIZE_MAX;
	t->fn = fn;
	t->user = user;
	event_timer_set(t, deadline);
	*ret = t;
	return 0;
}

void event_timer_set(struct event_timer *t, int64_t deadline)
{
	struct event_loop *loop = t->loop;

	heap_remove(t);
	t->deadline = deadline;
	if (deadline == INT64_MAX)
		return;
	if (loop->n_heap == loop->cap_heap) {
		loop->cap_heap = loop->cap_heap ? loop->cap_heap * 2 : 16;
		loop->heap = mem_grow(loop->heap, loop->cap_heap, sizeof(struct event_timer *));
	}
	heap_put(loop, loop->n_heap++, t);
	heap_up(loop, t->index);
}

void event_timer_free(struct event_timer *t)
{
	if (!t)
		return;
	heap_remove(t);
	free(t);
}

static void run_timers(struct event_loop *loop)
{
	while (loop->n_heap && loop->heap[0]->deadline <= loop->now) {
		struct event_timer *t = loop->heap[0];

		heap_remove(t);
		t->fn(t->user); /* may free t */
	}
}

/* ---- descriptors ---- */

static int source_add(struct source *s, struct event_loop *loop, enum source_kind kind, int fd,
		      uint32_t events, void *user)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	s->loop = loop;
	s->kind = kind;
	s->fd = fd;
	s->user = user;
	list_init(&s->link);
	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* The descriptor may be closed already, then the kernel has forgotten it: not an error. */
static void source_bury(struct source *s)
{
	if (s->fd >= 0)
		epoll_ctl(s->loop->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	s->dead = true;
	list_append(&s->loop->dead, &s->link);
}

int event_fd_new(struct event_loop *loop, int fd, uint32_t events, event_fd_fn fn, void *user,
		 struct event_fd **ret)
{
	autofree struct event_fd *src = mem_new(1, sizeof(*src));
	int r = source_add(&src->source, loop, SOURCE_FD, fd, events, user);

	if (r < 0)
		return r;
	src->fn = fn;
	*ret = take_ptr(&src);
	return 0;
}

int event_fd_set(struct event_fd *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = &src->source };

	return epoll_ctl(src->source.loop->epoll, EPOLL_CTL_MOD, src->source.fd, &ev) < 0 ? -errno : 0;
}

void event_fd_free(struct event_fd *src)
{
	if (src)
		source_bury(&src->source);
}

int event_signal_new(struct event_loop *loop, int signo, event_signal_fn fn, void *user,
		     struct event_signal **ret)
{
	autofree struct event_signal *src = mem_new(1, sizeof(*src));
	autofd int fd = -EBADF;
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, signo);
	r = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (r)
		return -r;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = source_add(&src->source, loop, SOURCE_SIGNAL, fd, EPOLLIN, user);
	if (r < 0)
		return r;
	take_fd(&fd);
	src->signo = signo;
	src->fn = fn;
	*ret = take_ptr(&src);
	return 0;
}

void event_signal_free(struct event_signal *src)
{
	if (!src)
		return;
	source_bury(&src->source);
	fd_drop(&src->source.fd);
}

int event_child_new(struct event_loop *loop, int pidfd, event_child_fn fn, void *user,
		    struct event_child **ret)
{
	autofree struct event_child *src = mem_new(1, sizeof(*src));
	int r = source_add(&src->source, loop, SOURCE_CHILD, pidfd, EPOLLIN, user);

	if (r < 0)
		return r;
	src->fn = fn;
	*ret = take_ptr(&src);
	return 0;
}

void event_child_free(struct event_child *src)
{
	if (src && !src->source.dead)
		source_bury(&src->source);
}

static void dispatch(struct source *s, uint32_t events)
{
	if (s->dead)
		return;
	switch (s->kind) {
	case SOURCE_FD:
		((struct event_fd *)s)->fn(events, s->user);
		break;
	case SOURCE_SIGNAL: {
		struct event_signal *src = (struct event_signal *)s;
		struct signalfd_siginfo info;

		while (!s->dead && read(s->fd, &info, sizeof(info)) == sizeof(info))
			src->fn(src->signo, s->user);
		break;
	}
	case SOURCE_CHILD: {
		struct event_child *src = (struct event_child *)s;
		int status;

		if (sys_pidfd_wait(s->fd, &status) < 0)
			status = -1;
		/* once: the callback may free it, and an exited pidfd stays readable for ever */
		epoll_ctl(s->loop->epoll, EPOLL_CTL_DEL, s->fd, NULL);
		src->fn(status, s->user);
		break;
	}
	}
}

int event_loop_run(struct event_loop *loop)
{
	struct epoll_event events[64];

	while (!__atomic_load_n(&loop->stop, __ATOMIC_ACQUIRE)) {
		int n = epoll_wait(loop->epoll, events, ARRAY_LEN(events),
				   loop->n_heap ? time_poll_ms(loop->heap[0]->deadline) : -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		loop->now = time_now_mono();
		for (int i = 0; i < n; i++) {
			uint64_t count;

			if (events[i].data.ptr)
				dispatch(events[i].data.ptr, events[i].events);
			else if (read(loop->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
				return -errno;
		}
		run_posts(loop);
		run_timers(loop);
		bury(loop);
	}
	loop->stop = false;
	return 0;
}
