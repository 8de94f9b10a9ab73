/*
 * event — one epoll loop, and threads for what blocks.
 *
 * A program has one loop and one thread that runs it: the loop thread. Everything here is
 * called on that thread, except event_loop_post and event_loop_stop, which any thread may
 * call. State that the loop thread owns needs no lock.
 *
 * Sources (descriptor, timer, signal, child) are owned by whoever added them and are freed
 * with their _free function, from inside their own callback too. After _free no callback
 * of that source runs any more, not even one that was already pending.
 *
 *	struct event_loop *loop;
 *	event_loop_new(&loop);
 *	event_fd_new(loop, sock, EPOLLIN, on_readable, self, &self->io);
 *	event_timer_new(loop, time_now_mono() + NSEC_PER_SEC, on_timeout, self, &self->timer);
 *	event_loop_run(loop);
 *
 * What blocks (a plugin, a disk, the network) runs on a thread of its own:
 *
 *	event_work(loop, do_it, done, job)
 *
 * calls do_it(job) on a fresh thread with a small stack and then done(job) on the loop
 * thread. One operation, one thread, straight-line code; the loop never waits for it.
 *
 * Errors: -errno. A callback has nobody to return an error to and handles its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

struct event_loop;
struct event_fd;
struct event_timer;
struct event_signal;
struct event_child;

typedef void (*event_fn)(void *user);
typedef void (*event_fd_fn)(uint32_t events, void *user);
typedef void (*event_signal_fn)(int signo, void *user);
typedef void (*event_child_fn)(int status, void *user);

int event_loop_new(struct event_loop **ret);
/* All sources must have been freed. Posted callbacks that did not run are dropped. */
void event_loop_free(struct event_loop *loop);
/* Runs until event_loop_stop: 0, or -errno when epoll itself fails. */
int event_loop_run(struct event_loop *loop);
void event_loop_stop(struct event_loop *loop); /* any thread */
/* The monotonic time at which this round of callbacks began. */
int64_t event_loop_now(const struct event_loop *loop);

/* fn(user) on the loop thread, in the order of posting. Any thread. */
void event_loop_post(struct event_loop *loop, event_fn fn, void *user);

/* Level-triggered EPOLLIN/EPOLLOUT; EPOLLHUP and EPOLLERR always come. fd is borrowed. */
int event_fd_new(struct event_loop *loop, int fd, uint32_t events, event_fd_fn fn, void *user,
		 struct event_fd **ret);
int event_fd_set(struct event_fd *src, uint32_t events);
void event_fd_free(struct event_fd *src);

/* Once, at the monotonic deadline. Setting it again re-arms it; INT64_MAX disarms. */
int event_timer_new(struct event_loop *loop, int64_t deadline, event_fn fn, void *user,
		    struct event_timer **ret);
void event_timer_set(struct event_timer *src, int64_t deadline);
void event_timer_free(struct event_timer *src);

/* Blocks the signal in this thread (call before other threads start) and reads it here. */
int event_signal_new(struct event_loop *loop, int signo, event_signal_fn fn, void *user,
		     struct event_signal **ret);
void event_signal_free(struct event_signal *src);

/*
 * Once, when the child behind pidfd exits; it is reaped and its wait status given. status
 * is -1 when it is not our child (its exit code is not ours to know). pidfd is borrowed
 * and must stay open until the callback or _free.
 */
int event_child_new(struct event_loop *loop, int pidfd, event_child_fn fn, void *user,
		    struct event_child **ret);
void event_child_free(struct event_child *src);

/*
 * run(user) on a new detached thread, then done(user) on the loop thread (done may be
 * NULL). -EAGAIN when the kernel gives no thread; nothing was called then.
 */
int event_work(struct event_loop *loop, event_fn run, event_fn done, void *user);
