/*
 * gRPC over real sockets: the server on the loop of the test, clients on worker threads.
 */
#include "rpc/grpc.h"

#include "rpc/rpc.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct event_loop *loop;
static struct grpc_server *server;
static int listen_fd;
static char dir[32], address[64];
static int n_cancelled;
static bool had_pages[8];
static size_t n_rewritten;

/* ---- a service ---- */

static void echo(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	grpc_call_reply(call, data, len);
}

/* The same, with the bytes given away. */
static void give(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	struct buf bytes = BUF_INIT(GRPC_MESSAGE_MAX);

	assert_int_equal(buf_append(&bytes, data, len), 0);
	grpc_call_reply_buf(call, &bytes);
	assert_null(bytes.data);
}

/* The same, written into what an earlier answer left. */
static void rewrite(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	struct buf bytes = grpc_call_buf(call, GRPC_MESSAGE_MAX);

	had_pages[n_rewritten++ % ARRAY_LEN(had_pages)] = bytes.data != NULL;
	assert_int_equal(bytes.len, 0);
	assert_string_equal(buf_text(&bytes), "");
	assert_int_equal(buf_append(&bytes, data, len), 0);
	grpc_call_reply_buf(call, &bytes);
}

static void on_cancel(void *user)
{
	n_cancelled++;
	grpc_call_fail_text(user, RPC_CANCELLED, "nobody hears this");
}

static void hold(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	grpc_call_on_cancel(call, on_cancel, call);
}

struct counting {
	struct grpc_call *call;
	int i, n;
};

/* As many messages of 100 kB as the first byte says, never more than the client takes. */
static void count_on(void *user)
{
	struct counting *c = user;
	static char data[100000];

	while (c->i < c->n) {
		if (grpc_call_send(c->call, data, sizeof(data)) == -ENOBUFS)
			return;
		c->i++;
	}
	grpc_call_finish(c->call);
	free(c);
}

static void count(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	struct counting *c = mem_new(1, sizeof(*c));

	c->call = call;
	c->n = data[0];
	grpc_call_on_drain(call, count_on, c);
	count_on(c);
}

static const struct grpc_method methods[] = {
	{ .name = "Echo", .raw = echo },
	{ .name = "Give", .raw = give },
	{ .name = "Rewrite", .raw = rewrite },
	{ .name = "Hold", .raw = hold },
	{ .name = "Count", .raw = count, .stream = true },
};

static const struct grpc_service services[] = { { "t.T", methods, ARRAY_LEN(methods), NULL } };

static int setup(void **state)
{
	struct err err = ERR_INIT;

	n_cancelled = 0;
	strcpy(dir, "/tmp/grpc-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(address, sizeof(address), "unix://%s/s", dir);
	assert_int_equal(rpc_listen(address, 0600, &listen_fd, &err), 0);
	assert_int_equal(event_loop_new(&loop), 0);
	assert_int_equal(grpc_server_new(loop, listen_fd, services, ARRAY_LEN(services), &server), 0);
	return 0;
}

static int teardown(void **state)
{
	grpc_server_free(server);
	event_loop_free(loop);
	close(listen_fd);
	unlink(address + strlen("unix://"));
	rmdir(dir);
	return 0;
}

/* ---- clients, each on a thread; they note what went wrong and the main thread judges ---- */

struct job {
	void (*run)(struct job *job);
	char wrong[ERR_TEXT_MAX + 128];
	int *left;
};

#define CHECK(job, what)                                                                           \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			snprintf((job)->wrong, sizeof((job)->wrong), "%s:%d: %s: %s", __FILE__, __LINE__, \
				 #what, err.text);                                                 \
			return;                                                                    \
		}                                                                                  \
	} while (0)

static void job_run(void *user)
{
	struct job *job = user;

	job->run(job);
}

static void job_done(void *user)
{
	struct job *job = user;

	if (--*job->left == 0)
		event_loop_stop(loop);
}

static void run_jobs(void (*const *runs)(struct job *job), size_t n)
{
	struct job *jobs = mem_new(n, sizeof(*jobs));
	int left = (int)n;

	for (size_t i = 0; i < n; i++) {
		jobs[i].run = runs[i];
		jobs[i].left = &left;
		assert_int_equal(event_work(loop, job_run, job_done, &jobs[i]), 0);
	}
	assert_int_equal(event_loop_run(loop), 0);
	for (size_t i = 0; i < n; i++)
		if (jobs[i].wrong[0])
			fail_msg("%s", jobs[i].wrong);
	free(jobs);
}

static void client_free(struct grpc_client **c)
{
	grpc_client_free(*c);
}

static int64_t in_ms(int64_t ms)
{
	return time_now_mono() + ms * NSEC_PER_MSEC;
}

/* ---- the largest message, both ways ---- */

static void large(struct job *job)
{
	CLEANUP(client_free) struct grpc_client *c = NULL;
	static const char *const paths[] = { "/t.T/Echo", "/t.T/Give", "/t.T/Echo", "/t.T/Give" };
	CLEANUP(buf_done) struct buf out = BUF_INIT(GRPC_MESSAGE_MAX);
	autofree uint8_t *data = mem_new(GRPC_MESSAGE_MAX + 1, 1);
	struct err err = ERR_INIT;

	for (size_t i = 0; i < GRPC_MESSAGE_MAX; i++)
		data[i] = (uint8_t)(i * 31 >> 8);
	CHECK(job, grpc_client_new(address, in_ms(1000), &c, &err) == 0);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		out.len = 0;
		CHECK(job, grpc_client_call(c, paths[i], data, GRPC_MESSAGE_MAX, in_ms(20000), &out, &err) == 0);
		CHECK(job, out.len == GRPC_MESSAGE_MAX && !memcmp(out.data, data, out.len));
	}
	CHECK(job, grpc_client_call(c, "/t.T/Give", "", 0, in_ms(20000), NULL, &err) == 0);
	CHECK(job, grpc_client_call(c, "/t.T/Echo", data, GRPC_MESSAGE_MAX + 1, in_ms(20000), &out, &err) < 0);
	CHECK(job, err.kind == ERR_LIMIT);
}

static void the_largest_message_goes_both_ways(void **state)
{
	void (*const runs[])(struct job *) = { large };

	run_jobs(runs, 1);
}

/* ---- answers into kept memory ---- */

static void rewriting(struct job *job)
{
	CLEANUP(client_free) struct grpc_client *c = NULL;
	/* too small to be kept, kept twice, the larger one kept, not kept by a small one after, too large */
	static const size_t sizes[] = { 100, 100000, 90000, 900000, 10, 3 << 20, 70000, 0 };
	CLEANUP(buf_done) struct buf out = BUF_INIT(GRPC_MESSAGE_MAX);
	autofree uint8_t *data = mem_new(4 << 20, 1);
	struct err err = ERR_INIT;

	CHECK(job, grpc_client_new(address, in_ms(1000), &c, &err) == 0);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		memset(data, 'a' + (int)i, sizes[i]);
		out.len = 0;
		CHECK(job, grpc_client_call(c, "/t.T/Rewrite", data, sizes[i], in_ms(20000), &out, &err) == 0);
		CHECK(job, out.len == sizes[i] && !memcmp(out.data, data, out.len));
	}
}

static void an_answer_is_written_into_the_memory_of_an_earlier_one(void **state)
{
	static const bool want[] = { false, false, true, true, true, true, false, true };
	void (*const runs[])(struct job *job) = { rewriting };

	n_rewritten = 0;
	run_jobs(runs, 1);
	assert_int_equal(n_rewritten, ARRAY_LEN(want));
	assert_memory_equal(had_pages, want, sizeof(want));
}

/* ---- many calls at once ---- */

static void many(struct job *job)
{
	CLEANUP(client_free) struct grpc_client *c = NULL;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	autofree char *data = mem_new(1, 200000);
	struct grpc_stream *streams[50];
	struct err err = ERR_INIT;

	CHECK(job, grpc_client_new(address, in_ms(1000), &c, &err) == 0);
	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		memset(data, (int)i, 200000);
		CHECK(job, grpc_stream_open(c, "/t.T/Echo", data, 200000 - i, in_ms(20000), &streams[i], &err) == 0);
	}
	for (size_t i = ARRAY_LEN(streams); i--;) {
		out.len = 0;
		CHECK(job, grpc_stream_next(streams[i], &out, &err) == 1);
		CHECK(job, out.len == 200000 - i && out.data[out.len - 1] == i);
		CHECK(job, grpc_stream_next(streams[i], &out, &err) == 0);
		grpc_stream_close(streams[i]);
	}
}

static void counting(struct job *job)
{
	CLEANUP(client_free) struct grpc_client *c = NULL;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	struct grpc_stream *s;
	struct err err = ERR_INIT;
	int n = 0, r;

	CHECK(job, grpc_client_new(address, in_ms(1000), &c, &err) == 0);
	CHECK(job, grpc_stream_open(c, "/t.T/Count", "\xff", 1, INT64_MAX, &s, &err) == 0);
	while ((r = grpc_stream_next(s, &out, &err)) == 1) {
		CHECK(job, out.len == 100000);
		out.len = 0;
		if (++n % 50 == 0)
			usleep(2000); /* slower than the server */
	}
	grpc_stream_close(s);
	CHECK(job, r == 0 && n == 255);
}

static void several_clients_have_many_calls_open(void **state)
{
	void (*const runs[])(struct job *) = { many, counting, many, counting, counting };

	run_jobs(runs, ARRAY_LEN(runs));
}

/* ---- ends of calls ---- */

static void deadline(struct job *job)
{
	CLEANUP(client_free) struct grpc_client *c = NULL;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	struct grpc_stream *s;
	struct err err = ERR_INIT;

	CHECK(job, grpc_client_new(address, in_ms(1000), &c, &err) == 0);
	CHECK(job, grpc_client_call(c, "/t.T/Hold", NULL, 0, in_ms(30), &out, &err) < 0);
	CHECK(job, err.kind == ERR_TIMEOUT);
	/* after the echo the server has begun to hold */
	CHECK(job, grpc_stream_open(c, "/t.T/Hold", NULL, 0, INT64_MAX, &s, &err) == 0);
	CHECK(job, grpc_client_call(c, "/t.T/Echo", "x", 1, in_ms(5000), &out, &err) == 0);
	grpc_stream_close(s);
	CHECK(job, grpc_client_call(c, "/t.T/Nope", "x", 1, in_ms(5000), &out, &err) < 0);
	CHECK(job, err.kind == ERR_UNSUPPORTED);
	CHECK(job, !strcmp(err.text, "/t.T/Nope: unknown method Nope of t.T"));
}

static void calls_end_by_deadline_and_by_reset(void **state)
{
	void (*const runs[])(struct job *) = { deadline };

	run_jobs(runs, 1);
	run_jobs(runs, 1);
	assert_int_equal(n_cancelled, 4);
}

/* ---- one bad client ---- */

static void malformed(struct job *job)
{
	static const char bytes[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\1\0\0\0\0\0\1x";
	autofd int fd = -EBADF;
	struct err err = ERR_INIT;
	uint8_t in[4096];
	size_t len = 0, at = 0;
	ssize_t n = -1;
	struct pollfd p = { .events = POLLIN };

	CHECK(job, rpc_connect(address, in_ms(1000), &fd, &err) == 0);
	CHECK(job, send(fd, bytes, sizeof(bytes) - 1, MSG_NOSIGNAL) == sizeof(bytes) - 1);
	p.fd = fd;
	while (poll(&p, 1, 5000) == 1 && (n = recv(fd, in + len, sizeof(in) - len, 0)) > 0)
		len += (size_t)n;
	CHECK(job, n == 0 || errno == ECONNRESET);
	/* the last frame is a GOAWAY with PROTOCOL_ERROR */
	while (at + 9 <= len && at + 9 + in[at + 2] < len)
		at += 9u + in[at + 2];
	CHECK(job, at + 17 <= len && in[at + 3] == 7 && in[at + 16] == 1);
}

static void a_malformed_frame_ends_its_own_connection_only(void **state)
{
	void (*const runs[])(struct job *) = { malformed, many, malformed, malformed };

	run_jobs(runs, ARRAY_LEN(runs));
}

/* ---- many clients that say nothing ---- */

static void crowd(struct job *job)
{
	static struct grpc_client *c[300];
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		CHECK(job, grpc_client_new(address, in_ms(5000), &c[i], &err) == 0);
		CHECK(job, grpc_client_call(c[i], "/t.T/Echo", "x", 1, in_ms(5000), &out, &err) == 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		CHECK(job, grpc_client_call(c[i], "/t.T/Echo", "y", 1, in_ms(5000), &out, &err) == 0);
		grpc_client_free(c[i]);
	}
	CHECK(job, out.len == 600);
}

static void hundreds_of_connections_are_open_at_once(void **state)
{
	void (*const runs[])(struct job *) = { crowd };

	run_jobs(runs, 1);
}

/* ---- the end ---- */

static struct grpc_client *last;

static void connect_last(struct job *job)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	struct err err = ERR_INIT;

	CHECK(job, grpc_client_new(address, in_ms(1000), &last, &err) == 0);
	CHECK(job, grpc_client_call(last, "/t.T/Echo", "x", 1, in_ms(5000), &out, &err) == 0);
}

static void use_last(struct job *job)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	struct err err = ERR_INIT;

	CHECK(job, grpc_client_call(last, "/t.T/Echo", "x", 1, in_ms(5000), &out, &err) < 0);
	CHECK(job, err.kind == ERR_UNAVAILABLE);
	grpc_client_free(last);
}

static void drained(void *user)
{
	*(int *)user += 1;
	event_loop_stop(loop);
}

static void draining_ends_idle_connections(void **state)
{
	void (*const before[])(struct job *) = { connect_last }, (*const after[])(struct job *) = { use_last };
	int n = 0;

	run_jobs(before, 1);
	grpc_server_drain(server, drained, &n);
	assert_int_equal(event_loop_run(loop), 0);
	assert_int_equal(n, 1);
	run_jobs(after, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_largest_message_goes_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_is_written_into_the_memory_of_an_earlier_one, setup, teardown),
		cmocka_unit_test_setup_teardown(several_clients_have_many_calls_open, setup, teardown),
		cmocka_unit_test_setup_teardown(calls_end_by_deadline_and_by_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(a_malformed_frame_ends_its_own_connection_only, setup, teardown),
		cmocka_unit_test_setup_teardown(hundreds_of_connections_are_open_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(draining_ends_idle_connections, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
