/*
 * Operations: joining, exclusion, cancellation, over a real loop and real threads. The managers
 * here have tables but no store: nothing of theirs is committed.
 */
#include "pod/manager.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
	struct pod_manager m;
	int runs, done, failed;
	bool go;
	struct err err;
};

static struct fixture *f;

static int setup(void **state)
{
	pthread_condattr_t attr;

	f = mem_new(1, sizeof(*f));
	list_init(&f->m.order);
	list_init(&f->m.ops);
	pthread_mutex_init(&f->m.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->m.changed, &attr);
	f->m.pods_dir = "/nonexistent";
	return event_loop_new(&f->m.loop);
}

static int teardown(void **state)
{
	/* as the manager's end does: the last worker may still be on its way out */
	pod_lock(&f->m);
	while (f->m.n_working)
		pthread_cond_wait(&f->m.changed, &f->m.lock);
	pod_unlock(&f->m);
	event_loop_free(f->m.loop);
	map_done(&f->m.pods);
	map_done(&f->m.pod_keys);
	free(f);
	return 0;
}

static void finished(const struct pod_result *r, const struct err *err, void *user)
{
	f->done++;
	if (err) {
		f->failed++;
		f->err = *err;
	}
	if (list_empty(&f->m.ops))
		event_loop_stop(f->m.loop);
}

/* Waits for `go`, so that the test decides what is running when. */
static int work(struct pod_op *op, struct err *err)
{
	pod_lock(op->m);
	f->runs++;
	while (!f->go && !op->cancelled)
		pthread_cond_wait(&op->m->changed, &op->m->lock);
	pod_unlock(op->m);
	return pod_op_stage(op, "the end", err);
}

static void let_go(void *user)
{
	pod_lock(&f->m);
	f->go = true;
	pod_changed(&f->m);
	pod_unlock(&f->m);
}

static void who_asks_the_same_again_joins(void **state)
{
	struct pod_op *op = pod_op_new(&f->m, "k", "do it", work);

	pod_op_submit(op, finished, NULL);
	assert_ptr_equal(pod_op_find(&f->m, "k"), op);
	assert_null(pod_op_find(&f->m, "other"));
	for (int i = 0; i < 9; i++)
		pod_op_join(pod_op_find(&f->m, "k"), finished, NULL);
	event_loop_post(f->m.loop, let_go, NULL);
	event_loop_run(f->m.loop);
	assert_int_equal(f->runs, 1);
	assert_int_equal(f->done, 10);
	assert_int_equal(f->failed, 0);
	assert_null(pod_op_find(&f->m, "k"));
}

static void who_goes_away_does_not_end_it(void **state)
{
	struct pod_op *op = pod_op_new(&f->m, "k", "do it", work);
	struct pod_wait *w = pod_op_submit(op, finished, NULL);
	char text[128];

	pod_op_join(op, finished, NULL);
	pod_wait_describe(w, text, sizeof(text));
	assert_non_null(strstr(text, "do it: "));
	pod_wait_cancel(w);
	event_loop_post(f->m.loop, let_go, NULL);
	event_loop_run(f->m.loop);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->failed, 0);
}

static void an_operation_without_a_key_ends_with_its_caller(void **state)
{
	struct pod_op *op = pod_op_new(&f->m, NULL, "exec", work);
	struct pod_wait *w = pod_op_submit(op, finished, NULL);

	pod_wait_cancel(w);
	for (;;) {
		size_t left;

		pod_lock(&f->m);
		left = f->m.n_working;
		pod_unlock(&f->m);
		if (!left)
			break;
		usleep(1000);
	}
	assert_int_equal(f->done, 0);
	event_loop_post(f->m.loop, (event_fn)event_loop_stop, f->m.loop);
	event_loop_run(f->m.loop);
	assert_true(list_empty(&f->m.ops));
}

static struct pod_sandbox *pod;
static int inside, most;

static int exclusive(struct pod_op *op, struct err *err)
{
	int r;

	pod_lock(op->m);
	pod_sandbox_ref(pod);
	pod_unlock(op->m);
	r = pod_op_hold_sandbox(op, pod, false, err);
	if (r < 0)
		return r;
	r = __atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
	if (r > most)
		most = r;
	usleep(2000);
	__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int dropping(struct pod_op *op, struct err *err)
{
	int r = exclusive(op, err);

	pod_lock(op->m);
	pod_sandbox_drop(pod);
	pod_unlock(op->m);
	return r;
}

static struct pod_sandbox *new_pod(void)
{
	struct pod_config config = { .name = "a", .ns = "b", .uid = "c" };
	struct pod_sandbox *p = pod_sandbox_new(&f->m, "0123", &config, NULL);

	assert_non_null(p);
	pod_lock(&f->m);
	assert_int_equal(pod_sandbox_insert(p), 0);
	pod_unlock(&f->m);
	return p;
}

static void operations_on_one_pod_exclude_each_other(void **state)
{
	pod = new_pod();
	most = 0;
	for (int i = 0; i < 8; i++)
		pod_op_submit(pod_op_new(&f->m, NULL, "x", exclusive), finished, NULL);
	event_loop_run(f->m.loop);
	assert_int_equal(f->done, 8);
	assert_int_equal(f->failed, 0);
	assert_int_equal(most, 1);
	pod_lock(&f->m);
	pod_sandbox_drop(pod);
	pod_unlock(&f->m);
	pod_sandbox_unref(pod);
}

static void who_waits_for_a_pod_that_is_removed_is_told(void **state)
{
	pod = new_pod();
	pod_op_submit(pod_op_new(&f->m, NULL, "first", dropping), finished, NULL);
	usleep(1000);
	for (int i = 0; i < 4; i++)
		pod_op_submit(pod_op_new(&f->m, NULL, "later", exclusive), finished, NULL);
	event_loop_run(f->m.loop);
	assert_int_equal(f->done, 5);
	if (f->failed)
		assert_int_equal(f->err.kind, ERR_NOT_FOUND);
	pod_sandbox_unref(pod);
}

static void find_takes_unique_prefixes(void **state)
{
	struct err err = ERR_INIT;

	pod = new_pod();
	pod_lock(&f->m);
	assert_null(pod_sandbox_find(&f->m, "01", &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND); /* not listed yet */
	pod->visible = true;
	assert_ptr_equal(pod_sandbox_find(&f->m, "01", &err), pod);
	assert_ptr_equal(pod_sandbox_find(&f->m, "0123", &err), pod);
	assert_null(pod_sandbox_find(&f->m, "", &err));
	assert_null(pod_sandbox_find(&f->m, "02", &err));
	assert_non_null(strstr(err.text, "02"));
	assert_ptr_equal(pod_sandbox_next(&f->m, NULL), pod);
	assert_null(pod_sandbox_next(&f->m, pod));
	pod_sandbox_drop(pod);
	assert_null(pod_sandbox_find(&f->m, "0123", &err));
	pod_unlock(&f->m);
	pod_sandbox_unref(pod);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_asks_the_same_again_joins, setup, teardown),
		cmocka_unit_test_setup_teardown(who_goes_away_does_not_end_it, setup, teardown),
		cmocka_unit_test_setup_teardown(an_operation_without_a_key_ends_with_its_caller, setup,
						teardown),
		cmocka_unit_test_setup_teardown(operations_on_one_pod_exclude_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(who_waits_for_a_pod_that_is_removed_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(find_takes_unique_prefixes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
