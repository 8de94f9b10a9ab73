/*
 * Operations: one piece of work, one thread, any number of callers that wait for it.
 *
 * Invariants. m->ops and the waits of an operation belong to the loop thread: an operation
 * is found, joined and finished there, so a caller either joins before the result is given
 * out, or starts anew after it. What the worker tells (stage, cancellation) is under
 * m->lock. An operation's holds and references end with its worker, before anybody hears of
 * the result.
 */
#include "pod/manager.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>

struct pod_wait {
	struct list link;
	struct pod_op *op;
	pod_done_fn done;
	void *user;
};

struct pod_op *pod_op_new(struct pod_manager *m, const char *key, const char *title,
			  int (*run)(struct pod_op *op, struct err *err))
{
	struct pod_op *op = mem_new(1, sizeof(*op));

	list_init(&op->link);
	list_init(&op->waits);
	op->m = m;
	op->key = key ? mem_strdup(key) : NULL;
	op->title = mem_strdup(title);
	op->run = run;
	op->stage = "waiting for a thread";
	op->since = time_now_mono();
	op->grace_end = INT64_MAX;
	op->cancel_fd = -EBADF;
	return op;
}

static void op_free(struct pod_op *op)
{
	list_for_each(w, &op->waits, struct pod_wait, link)
		free(w);
	arena_done(&op->arena);
	buf_done(&op->out);
	buf_done(&op->err_out);
	fd_drop(&op->cancel_fd);
	free(op->key);
	free(op->title);
	free(op);
}

void pod_op_drop_all(struct pod_manager *m)
{
	list_for_each(op, &m->ops, struct pod_op, link)
		op_free(op);
}

struct pod_op *pod_op_find(struct pod_manager *m, const char *key)
{
	list_for_each(op, &m->ops, struct pod_op, link)
		if (op->key && strcmp(op->key, key) == 0)
			return op;
	return NULL;
}

struct pod_wait *pod_op_join(struct pod_op *op, pod_done_fn done, void *user)
{
	struct pod_wait *w;

	if (!done)
		return NULL;
	w = mem_new(1, sizeof(*w));
	w->op = op;
	w->done = done;
	w->user = user;
	list_append(&op->waits, &w->link);
	return w;
}

void pod_op_cancel(struct pod_op *op)
{
	pod_lock(op->m);
	op->cancelled = true;
	pod_changed(op->m);
	pod_unlock(op->m);
	if (op->cancel_fd >= 0)
		eventfd_write(op->cancel_fd, 1);
}

void pod_wait_cancel(struct pod_wait *w)
{
	if (!w)
		return;
	list_remove(&w->link);
	if (!w->op->key && list_empty(&w->op->waits)) {
		/* an exec: nobody else can be interested in it */
		pod_op_cancel(w->op);
	}
	free(w);
}

bool pod_wait_describe(const struct pod_wait *w, char *out, size_t size)
{
	struct pod_op *op = w->op;

	pod_lock(op->m);
	snprintf(out, size, "%s: %s (for %lld s)", op->title, op->stage,
		 (long long)((time_now_mono() - op->since) / NSEC_PER_SEC));
	pod_unlock(op->m);
	return op->key;
}

/* Loop thread: the result to everybody who waits. A callback may cancel other waits. */
static void op_deliver(void *user)
{
	struct pod_op *op = user;
	struct pod_result result = {
		.id = op->result, .out = &op->out, .err = &op->err_out, .exit_code = op->exit_code,
	};
	struct pod_wait *w;

	list_remove(&op->link);
	while ((w = list_first(&op->waits, struct pod_wait, link))) {
		pod_done_fn done = w->done;
		void *whose = w->user;

		list_remove(&w->link);
		free(w);
		done(&result, op->r < 0 ? &op->err : NULL, whose);
	}
	op_free(op);
}

/* Gives back what the operation held. Not under the lock. */
static void op_end_holds(struct pod_op *op)
{
	struct pod_manager *m = op->m;
	struct pod_sandbox *p;
	struct pod_container *c;

	pod_lock(m);
	p = take_ptr(&op->pod);
	c = take_ptr(&op->container);
	if (p && p->op == op)
		p->op = NULL;
	if (c && c->op == op)
		c->op = NULL;
	pod_changed(m);
	pod_unlock(m);
	pod_container_unref(c);
	pod_sandbox_unref(p);
}

static void op_work(void *user)
{
	struct pod_op *op = user;
	struct pod_manager *m = op->m;

	op->r = op->run(op, &op->err);
	if (op->r < 0 && op->err.kind == ERR_NONE)
		err_sys(&op->err, op->r, "%s", op->title);
	else if (op->r < 0)
		err_wrap(&op->err, op->r, "%s", op->title);
	op_end_holds(op);
	/* posted before the count goes down: whoever frees the manager waits for the count */
	pod_lock(m);
	event_loop_post(m->loop, op_deliver, op);
	m->n_working--;
	pod_changed(m);
	pod_unlock(m);
}

struct pod_wait *pod_op_submit(struct pod_op *op, pod_done_fn done, void *user)
{
	struct pod_manager *m = op->m;
	struct pod_wait *w = pod_op_join(op, done, user);
	int r;

	list_append(&m->ops, &op->link);
	pod_lock(m);
	m->n_working++;
	pod_unlock(m);
	r = event_work(m->loop, op_work, NULL, op);
	if (r < 0) {
		op->r = err_sysk(&op->err, ERR_LIMIT, r, "%s: no thread for it", op->title);
		op_end_holds(op);
		pod_lock(m);
		m->n_working--;
		pod_unlock(m);
		event_loop_post(m->loop, op_deliver, op);
	}
	return w;
}

int pod_op_fail(struct pod_op *op, struct err *err)
{
	return -EINVAL;
}

void pod_op_stage_anyway(struct pod_op *op, const char *stage)
{
	(void)fault_point("stage.%s", stage);
	pod_lock(op->m);
	op->stage = stage;
	op->since = time_now_mono();
	pod_unlock(op->m);
}

int pod_op_stage(struct pod_op *op, const char *stage, struct err *err)
{
	int r = fault_point("stage.%s", stage);
	bool stop;

	if (r < 0)
		return err_sys(err, r, "%s", stage);
	pod_lock(op->m);
	stop = op->cancelled || op->m->closing;
	if (!stop) {
		op->stage = stage;
		op->since = time_now_mono();
	}
	pod_unlock(op->m);
	return stop ? err_set(err, ERR_CANCELLED, "ended before the stage \"%s\"", stage) : 0;
}

/* m->changed until the deadline: 0 or -ETIMEDOUT. Under the lock. */
static int wait_change(struct pod_manager *m, int64_t deadline)
{
	struct timespec ts = { .tv_sec = deadline / NSEC_PER_SEC, .tv_nsec = deadline % NSEC_PER_SEC };

	return -pthread_cond_timedwait(&m->changed, &m->lock, &ts);
}

/* Under the lock; slot is &pod->op or &container->op, *removed its flag. */
static int wait_for_slot(struct pod_op *op, struct pod_op **slot, const bool *removed, bool cancel,
			 const char *what, const char *id, struct err *err)
{
	int64_t deadline = time_now_mono() + POD_HOLD_TIME;

	while (*slot && *slot != op && !*removed) {
		struct pod_op *other = *slot;

		if (cancel)
			other->cancelled = true;
		if (op->m->closing)
			return err_set(err, ERR_CANCELLED, "the daemon is stopping");
		op->stage = "waiting for another operation on it";
		if (wait_change(op->m, deadline) == -ETIMEDOUT && *slot && *slot != op) {
			other = *slot;
			return err_set(err, ERR_TIMEOUT,
				       "another operation is still running: %s: %s (for %lld s)",
				       other->title, other->stage,
				       (long long)((time_now_mono() - other->since) / NSEC_PER_SEC));
		}
		op->stage = "starting";
	}
	if (*removed)
		return err_set(err, ERR_NOT_FOUND, "%s %s: not found", what, id);
	*slot = op;
	return 0;
}

int pod_op_hold_sandbox(struct pod_op *op, struct pod_sandbox *p, bool cancel, struct err *err)
{
	int r;

	pod_lock(op->m);
	r = wait_for_slot(op, &p->op, &p->priv->removed, cancel, "pod", p->id, err);
	if (r == 0)
		op->pod = p;
	pod_unlock(op->m);
	if (r < 0)
		pod_sandbox_unref(p);
	return r;
}

int pod_op_hold_container(struct pod_op *op, struct pod_container *c, bool cancel, struct err *err)
{
	int r;

	pod_lock(op->m);
	r = wait_for_slot(op, &c->op, &c->priv->removed, cancel, "container", c->id, err);
	if (r == 0 && !op->pod)
		op->container = c;
	pod_unlock(op->m);
	if (r < 0)
		pod_container_unref(c);
	return r;
}

void pod_op_release_container(struct pod_op *op, struct pod_container *c)
{
	pod_lock(op->m);
	if (c->op == op)
		c->op = NULL;
	pod_changed(op->m);
	pod_unlock(op->m);
	pod_container_unref(c);
}

static void branch_work(void *user)
{
	struct pod_branch *b = user;
	struct pod_manager *m = b->m;
	int r = b->fn(b->user, &b->err);

	pod_lock(m);
	b->r = r;
	b->done = true;
	pod_changed(m);
	pod_unlock(m);
}

void pod_branch_start(struct pod_branch *b, struct pod_manager *m, int (*fn)(void *user, struct err *err),
		      void *user)
{
	*b = (struct pod_branch){ .m = m, .fn = fn, .user = user };
	/* no thread to be had: one after the other does as well */
	if (event_work(m->loop, branch_work, NULL, b) < 0)
		branch_work(b);
}

int pod_branch_join(struct pod_branch *b, struct err *err)
{
	pod_lock(b->m);
	while (!b->done)
		pthread_cond_wait(&b->m->changed, &b->m->lock);
	pod_unlock(b->m);
	if (b->r < 0 && err)
		*err = b->err;
	return b->r;
}
