#include "event/event.h"

#include "base/base.h"
#include "sys/sys.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <cmocka.h>

static void stop(void *user)
{
	event_loop_stop(user);
}

struct order {
	struct event_loop *loop;
	char seen[16];
	struct event_timer *timers[3];
};

#define APPEND(name, c, last)                            \
	static void name(void *user)                     \
	{                                                \
		struct order *o = user;                  \
		strncat(o->seen, c, sizeof(o->seen) - strlen(o->seen) - 1); \
		if (last)                                \
			event_loop_stop(o->loop);        \
	}
APPEND(on_a, "a", false)
APPEND(on_b, "b", false)
APPEND(on_c, "c", true)

static void test_timers_fire_in_order_of_deadline(void **state)
{
	struct order o = { 0 };
	int64_t now = time_now_mono();

	(void)state;
	assert_int_equal(event_loop_new(&o.loop), 0);
	event_timer_new(o.loop, now + 3 * NSEC_PER_MSEC, on_c, &o, &o.timers[2]);
	event_timer_new(o.loop, now + 9000 * NSEC_PER_MSEC, on_a, &o, &o.timers[0]);
	event_timer_new(o.loop, now + 2 * NSEC_PER_MSEC, on_b, &o, &o.timers[1]);
	event_timer_set(o.timers[0], now + NSEC_PER_MSEC);
	assert_int_equal(event_loop_run(o.loop), 0);
	assert_string_equal(o.seen, "abc");
	for (int i = 0; i < 3; i++)
		event_timer_free(o.timers[i]);
	event_loop_free(o.loop);
}

static void test_many_timers_keep_the_heap(void **state)
{
	struct event_loop *loop;
	struct event_timer *t[500];

	(void)state;
	assert_int_equal(event_loop_new(&loop), 0);
	for (int i = 0; i < 500; i++)
		event_timer_new(loop, INT64_MAX - 1 - (i * 7919) % 500, stop, loop, &t[i]);
	for (int i = 0; i < 500; i += 3)
		event_timer_set(t[i], INT64_MAX);
	for (int i = 0; i < 500; i++)
		event_timer_free(t[i]);
	event_loop_free(loop);
}

struct pipe_pair {
	struct event_loop *loop;
	struct event_fd *a, *b;
	int calls;
};

/* Both descriptors are ready in one round; whoever comes first frees both. */
static void on_pair(uint32_t events, void *user)
{
	struct pipe_pair *p = user;

	p->calls++;
	event_fd_free(p->a);
	event_fd_free(p->b);
	event_loop_stop(p->loop);
}

static void test_a_freed_source_is_not_called(void **state)
{
	struct pipe_pair p = { 0 };
	autofd int r = -EBADF, w = -EBADF, r2 = -EBADF, w2 = -EBADF;

	(void)state;
	assert_int_equal(event_loop_new(&p.loop), 0);
	sys_pipe(0, &r, &w);
	sys_pipe(0, &r2, &w2);
	event_fd_new(p.loop, w, EPOLLOUT, on_pair, &p, &p.a);
	event_fd_new(p.loop, w2, EPOLLOUT, on_pair, &p, &p.b);
	assert_int_equal(event_loop_run(p.loop), 0);
	assert_int_equal(p.calls, 1);
	event_loop_free(p.loop);
}

struct child {
	struct event_loop *loop;
	int status;
};

static void on_child(int status, void *user)
{
	struct child *c = user;

	c->status = status;
	event_loop_stop(c->loop);
}

static void test_child_exit_is_reported_once_with_its_status(void **state)
{
	struct child c = { 0 };
	struct event_child *src;
	autofd int pidfd = -EBADF;

	(void)state;
	assert_int_equal(event_loop_new(&c.loop), 0);
	if (sys_clone3(0, SIGCHLD, -1, &pidfd) == 0)
		_exit(42);
	event_child_new(c.loop, pidfd, on_child, &c, &src);
	assert_int_equal(event_loop_run(c.loop), 0);
	assert_int_equal(WEXITSTATUS(c.status), 42);
	event_child_free(src);
	event_loop_free(c.loop);
}

static void on_signal(int signo, void *user)
{
	assert_int_equal(signo, SIGUSR1);
	event_loop_stop(user);
}

static void test_signals_arrive_on_the_loop(void **state)
{
	struct event_loop *loop;
	struct event_signal *src;

	(void)state;
	assert_int_equal(event_loop_new(&loop), 0);
	assert_int_equal(event_signal_new(loop, SIGUSR1, on_signal, loop, &src), 0);
	kill(getpid(), SIGUSR1);
	assert_int_equal(event_loop_run(loop), 0);
	event_signal_free(src);
	event_loop_free(loop);
}

struct job {
	struct event_loop *loop;
	int ran, done, *left;
};

static void job_run(void *user)
{
	((struct job *)user)->ran = 1;
}

static void job_done(void *user)
{
	struct job *j = user;

	j->done = j->ran;
	if (--*j->left == 0)
		event_loop_stop(j->loop);
}

static void test_work_runs_beside_and_reports_back(void **state)
{
	struct event_loop *loop;
	struct job jobs[20];
	int left = ARRAY_LEN(jobs);

	(void)state;
	assert_int_equal(event_loop_new(&loop), 0);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		jobs[i] = (struct job){ loop, 0, 0, &left };
		assert_int_equal(event_work(loop, job_run, job_done, &jobs[i]), 0);
	}
	assert_int_equal(event_loop_run(loop), 0);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		assert_int_equal(jobs[i].done, 1);
	event_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers_fire_in_order_of_deadline),
		cmocka_unit_test(test_many_timers_keep_the_heap),
		cmocka_unit_test(test_a_freed_source_is_not_called),
		cmocka_unit_test(test_child_exit_is_reported_once_with_its_status),
		cmocka_unit_test(test_signals_arrive_on_the_loop),
		cmocka_unit_test(test_work_runs_beside_and_reports_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
