/*
 * A thread for what blocks. Threads are made for each job and not pooled: a job here costs
 * milliseconds (a plugin, a pull, a mount), a thread tens of microseconds, and a pool
 * would let one stuck job delay others. Signals are blocked in them; the loop reads those.
 */
#include "event/event.h"

#include "base/mem.h"

#include <pthread.h>
#include <signal.h>

enum { STACK_SIZE = 256 * 1024 };

struct work {
	struct event_loop *loop;
	event_fn run, done;
	void *user;
};

static void *work_thread(void *arg)
{
	autofree struct work *w = arg;

	w->run(w->user);
	if (w->done)
		event_loop_post(w->loop, w->done, w->user);
	return NULL;
}

int event_work(struct event_loop *loop, event_fn run, event_fn done, void *user)
{
	autofree struct work *w = mem_new(1, sizeof(*w));
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int r;

	*w = (struct work){ loop, run, done, user };
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, &attr, work_thread, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r)
		return -r;
	take_ptr(&w);
	return 0;
}
