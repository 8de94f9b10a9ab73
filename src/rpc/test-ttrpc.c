/*
 * ttrpc: the core fed with bytes, then server and clients over real sockets.
 */
#include "rpc/ttrpc-core.h"

#include "rpc/rpc.h"
#include "shim.pb-c.h"
#include "ttrpc.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#define SERVICE "containerd.task.v2.Task"

/* ---- a service ---- */

static struct ttrpc_call *held[64];
static size_t n_held, n_cancelled;

static void echo(struct ttrpc_call *call, const uint8_t *data, size_t len, void *user)
{
	ttrpc_call_reply(call, data, len);
}

static void on_cancel(void *user)
{
	n_cancelled++;
	assert_true(ttrpc_call_cancelled(user));
	ttrpc_call_reply(user, "late", 4);
}

static void hold(struct ttrpc_call *call, const uint8_t *data, size_t len, void *user)
{
	ttrpc_call_on_cancel(call, on_cancel, call);
	held[n_held++] = call;
}

static void start(struct ttrpc_call *call, const void *request, void *user)
{
	const Containerd__Task__V2__StartRequest *req = request;
	Containerd__Task__V2__StartResponse res = CONTAINERD__TASK__V2__START_RESPONSE__INIT;
	struct err err = ERR_INIT;

	assert_string_equal(ttrpc_call_method(call), "Start");
	if (!*req->id) {
		err_set(&err, ERR_NOT_FOUND, "container %s: no such container", req->exec_id);
		ttrpc_call_fail(call, &err);
		return;
	}
	res.pid = (uint32_t)strlen(req->id);
	ttrpc_call_reply_pb(call, &res.base);
}

static void huge(struct ttrpc_call *call, const uint8_t *data, size_t len, void *user)
{
	autofree char *big = mem_new(TTRPC_DATA_MAX + 1, 1);

	ttrpc_call_reply(call, big, TTRPC_DATA_MAX + 1);
}

static const struct ttrpc_method methods[] = {
	{ .name = "Echo", .raw = echo },
	{ .name = "Wait", .raw = hold },
	{ .name = "Huge", .raw = huge },
	{ .name = "Start", .pb = start, .request = &containerd__task__v2__start_request__descriptor },
};

static const struct ttrpc_service services[] = {
	{ SERVICE, methods, ARRAY_LEN(methods), NULL },
	{ "containerd.task.v3.Task", methods, ARRAY_LEN(methods), NULL },
};

static int reset(void **state)
{
	n_held = n_cancelled = 0;
	return 0;
}

/* ---- the core ---- */

struct answer {
	uint32_t stream;
	int code;
	char text[256];
};

static size_t answers(struct ttrpc_conn *c, struct answer *a, size_t most)
{
	CLEANUP(ttrpc_reader_done) struct ttrpc_reader reader = { 0 };
	const uint8_t *p = c->out.buf.data;
	size_t left = c->out.buf.len, n = 0;
	struct ttrpc_frame f;

	while (n < most && ttrpc_reader_feed(&reader, &p, &left, &f)) {
		Ttrpc__Response *res = ttrpc__response__unpack(NULL, f.len, f.data);

		assert_non_null(res);
		assert_int_equal(f.type, TTRPC_RESPONSE);
		a[n].stream = f.stream;
		a[n].code = res->status ? res->status->code : 0;
		snprintf(a[n].text, sizeof(a[n].text), "%.*s", (int)res->payload.len, (char *)res->payload.data);
		if (res->status)
			snprintf(a[n].text, sizeof(a[n].text), "%s", res->status->message);
		ttrpc__response__free_unpacked(res, NULL);
		n++;
	}
	c->out.buf.len = 0;
	return n;
}

static void put(struct buf *b, uint32_t stream, const char *service, const char *method, const char *payload)
{
	assert_int_equal(ttrpc_put_request(b, stream, service, method, payload, strlen(payload), 0, NULL), 0);
}

static void a_request_may_come_byte_by_byte(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
	struct ttrpc_conn c;
	struct answer a[4];

	ttrpc_conn_init(&c, services, ARRAY_LEN(services), NULL, NULL);
	put(&b, 1, SERVICE, "Echo", "one");
	put(&b, 3, "containerd.task.v3.Task", "Echo", "");
	put(&b, 7, SERVICE, "Echo", "three");
	for (size_t i = 0; i < b.len; i++)
		ttrpc_conn_feed(&c, b.data + i, 1, 0);
	assert_int_equal(answers(&c, a, 4), 3);
	assert_string_equal(a[0].text, "one");
	assert_int_equal(a[1].stream, 3);
	assert_string_equal(a[2].text, "three");
	ttrpc_conn_feed(&c, b.data, b.len, 0);
	assert_int_equal(answers(&c, a, 4), 3);
	assert_int_equal(a[0].code, RPC_INVALID_ARGUMENT); /* stream 1 again */
	ttrpc_conn_done(&c);
}

static void what_is_wrong_is_answered_and_named(void **state)
{
	static const struct {
		const char *service, *method, *payload, *text;
		uint8_t flags;
		int code;
		uint32_t stream;
	} rows[] = {
		{ "x.Y", "Echo", "", "unknown service x.Y", 0, RPC_UNIMPLEMENTED, 1 },
		{ SERVICE, "Nope", "", "unknown method Nope of " SERVICE, 0, RPC_UNIMPLEMENTED, 1 },
		{ SERVICE, "Start", "\x0a\x05x", "containerd.task.v2.StartRequest: malformed message", 0,
		  RPC_INVALID_ARGUMENT, 1 },
		{ SERVICE, "Start", "\x0a\x01\xff", "containerd.task.v2.StartRequest.id is not UTF-8 text", 0,
		  RPC_INVALID_ARGUMENT, 1 },
		{ SERVICE, "Start", "\x12\x01x", "container x: no such container", 0, RPC_NOT_FOUND, 1 },
		{ SERVICE, "Echo", "", "streaming requests are not served", TTRPC_REMOTE_OPEN,
		  RPC_UNIMPLEMENTED, 1 },
		{ SERVICE, "Echo", "", "stream 2 is even: not a client's", 0, RPC_INVALID_ARGUMENT, 2 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
		struct ttrpc_conn c;
		struct answer a[2];

		ttrpc_conn_init(&c, services, ARRAY_LEN(services), NULL, NULL);
		put(&b, rows[i].stream, rows[i].service, rows[i].method, rows[i].payload);
		b.data[9] = rows[i].flags;
		ttrpc_conn_feed(&c, b.data, b.len, 0);
		assert_int_equal(answers(&c, a, 2), 1);
		assert_string_equal(a[0].text, rows[i].text);
		assert_int_equal(a[0].code, rows[i].code);
		ttrpc_conn_done(&c);
	}
}

static void a_frame_that_is_too_large_is_dropped_and_the_next_one_served(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(16 << 20);
	uint8_t head[TTRPC_HEAD] = { 0, 0x40, 0, 1, 0, 0, 0, 1, TTRPC_REQUEST, 0 };
	struct ttrpc_conn c;
	struct answer a[4];

	ttrpc_conn_init(&c, services, ARRAY_LEN(services), NULL, NULL);
	buf_append(&b, head, sizeof(head));
	assert_int_equal(buf_reserve(&b, TTRPC_DATA_MAX + 1), 0);
	memset(b.data + b.len, 'x', TTRPC_DATA_MAX + 1);
	b.len += TTRPC_DATA_MAX + 1;
	put(&b, 3, SERVICE, "Echo", "after");
	put(&b, 5, SERVICE, "Huge", "");
	ttrpc_conn_feed(&c, b.data, b.len, 0);
	assert_int_equal(answers(&c, a, 4), 3);
	assert_int_equal(a[0].code, RPC_RESOURCE_EXHAUSTED);
	assert_string_equal(a[1].text, "after");
	assert_int_equal(a[2].code, RPC_RESOURCE_EXHAUSTED);
	ttrpc_conn_done(&c);
}

static void a_call_that_passes_its_deadline_is_answered_once(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
	struct ttrpc_conn c;
	struct answer a[4];

	ttrpc_conn_init(&c, services, ARRAY_LEN(services), NULL, NULL);
	ttrpc_put_request(&b, 1, SERVICE, "Wait", NULL, 0, 500, NULL);
	ttrpc_put_request(&b, 3, SERVICE, "Wait", NULL, 0, 0, NULL);
	ttrpc_conn_feed(&c, b.data, b.len, 1000);
	assert_int_equal(ttrpc_conn_deadline(&c), 1500);
	ttrpc_conn_expire(&c, 1499);
	assert_int_equal(answers(&c, a, 4), 0);
	ttrpc_conn_expire(&c, 1500);
	assert_int_equal(answers(&c, a, 4), 1);
	assert_int_equal(a[0].code, RPC_DEADLINE_EXCEEDED);
	assert_int_equal(n_cancelled, 1);
	assert_int_equal(ttrpc_conn_deadline(&c), INT64_MAX);
	ttrpc_call_reply(held[1], "done", 4);
	assert_int_equal(answers(&c, a, 4), 1);
	assert_string_equal(a[0].text, "done");
	ttrpc_conn_done(&c);
	assert_int_equal(n_cancelled, 1);
}

static void calls_live_on_when_their_client_is_gone(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
	struct ttrpc_conn c;

	ttrpc_conn_init(&c, services, ARRAY_LEN(services), NULL, NULL);
	for (uint32_t i = 0; i < 3; i++)
		put(&b, 2 * i + 1, SERVICE, "Wait", "");
	ttrpc_conn_feed(&c, b.data, b.len, 0);
	ttrpc_call_on_cancel(held[1], NULL, NULL);
	ttrpc_conn_done(&c);
	assert_int_equal(n_cancelled, 2);
	assert_true(ttrpc_call_cancelled(held[1]));
	ttrpc_call_fail_text(held[1], RPC_INTERNAL, "to nobody");
}

/* ---- over sockets ---- */

struct blocking {
	const char *address, *method;
	int64_t deadline;
	size_t len;
	int r;
	struct err err;
	struct buf out;
	struct event_loop *loop;
	int *left;
};

static void run_call(void *user)
{
	struct blocking *b = user;
	autofree char *data = mem_new(b->len + 1, 1);

	memset(data, 'z', b->len);
	b->out = (struct buf)BUF_INIT(TTRPC_DATA_MAX);
	b->r = ttrpc_call_once(b->address, SERVICE, b->method, data, b->len, b->deadline, &b->out, &b->err);
}

static void call_done(void *user)
{
	struct blocking *b = user;

	if (--*b->left == 0)
		event_loop_stop(b->loop);
}

static void blocking_calls_reach_a_server_on_a_path(void **state)
{
	char dir[] = "/tmp/ttrpc-XXXXXX", path[200], address[220];
	struct event_loop *loop;
	struct ttrpc_server *server;
	autofd int fd = -EBADF;
	int left = 3, second = -EBADF;
	struct err err = ERR_INIT;
	struct stat st;

	assert_non_null(mkdtemp(dir));
	/* longer than sun_path */
	snprintf(path, sizeof(path), "%s/%0120d", dir, 1);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(address, sizeof(address), "unix://%s/s", path);
	assert_int_equal(rpc_listen(address, 0600, &fd, &err), 0);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/s");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(rpc_listen(address, 0600, &second, &err) < 0);
	assert_int_equal(err.kind, ERR_EXISTS);

	assert_int_equal(event_loop_new(&loop), 0);
	assert_int_equal(ttrpc_server_new(loop, fd, services, ARRAY_LEN(services), &server), 0);
	struct blocking calls[] = {
		{ .address = address, .method = "Echo", .deadline = INT64_MAX, .len = 3 << 20 },
		{ .address = address, .method = "Wait", .deadline = time_now_mono() + 50 * NSEC_PER_MSEC },
		{ .address = address, .method = "Nope", .deadline = INT64_MAX },
	};
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		calls[i].loop = loop;
		calls[i].left = &left;
		assert_int_equal(event_work(loop, run_call, call_done, &calls[i]), 0);
	}
	assert_int_equal(event_loop_run(loop), 0);
	assert_int_equal(calls[0].r, 0);
	assert_int_equal(calls[0].out.len, 3 << 20);
	assert_int_equal(calls[1].err.kind, ERR_TIMEOUT);
	assert_int_equal(calls[2].err.kind, ERR_UNSUPPORTED);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		buf_done(&calls[i].out);
	ttrpc_server_free(server);
	event_loop_free(loop);
	fd_drop(&fd);

	/* the file of a dead server is replaced; nobody there is UNAVAILABLE */
	assert_true(rpc_connect(address, 0, &fd, &err) < 0);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_int_equal(rpc_listen(address, 0600, &fd, &err), 0);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	rmdir(dir);
}

struct watcher {
	struct event_loop *loop;
	struct ttrpc_client *client;
	int n_ok, n_unavailable, n_timeout, n_end;
	size_t bytes;
};

static void on_done(const struct err *err, const uint8_t *data, size_t len, void *user)
{
	struct watcher *w = user;

	if (!err)
		w->n_ok++;
	else if (err->kind == ERR_UNAVAILABLE)
		w->n_unavailable++;
	else if (err->kind == ERR_TIMEOUT)
		w->n_timeout++;
	w->bytes += len;
	if (w->n_ok == 20 && w->n_timeout == 1)
		event_loop_stop(w->loop);
}

static void on_end(void *user)
{
	struct watcher *w = user;

	w->n_end++;
	ttrpc_client_free(take_ptr(&w->client));
	event_loop_stop(w->loop);
}

static void a_client_on_the_loop_has_many_calls_open_and_sees_the_end(void **state)
{
	struct watcher w = { 0 };
	struct ttrpc_server *server;
	struct err err = ERR_INIT;
	autofree char *data = mem_new(100000, 1);
	int pair[2];

	assert_int_equal(event_loop_new(&w.loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(ttrpc_server_new(w.loop, -EBADF, services, ARRAY_LEN(services), &server), 0);
	assert_int_equal(ttrpc_server_add(server, pair[0]), 0);
	assert_int_equal(ttrpc_client_new(w.loop, pair[1], on_end, &w, &w.client), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ttrpc_client_call(w.client, SERVICE, "Wait", NULL, 0, INT64_MAX, on_done, &w, &err),
				 0);
	assert_int_equal(ttrpc_client_call(w.client, SERVICE, "Wait", NULL, 0,
					   time_now_mono() + 10 * NSEC_PER_MSEC, on_done, &w, &err), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(ttrpc_client_call(w.client, SERVICE, "Echo", data, 100000, INT64_MAX, on_done, &w,
						   &err), 0);
	assert_int_equal(event_loop_run(w.loop), 0);
	assert_int_equal(w.bytes, 20 * 100000);
	assert_int_equal(w.n_unavailable, 0);
	assert_true(ttrpc_server_idle(server));

	ttrpc_server_free(server);
	assert_int_equal(event_loop_run(w.loop), 0);
	assert_int_equal(w.n_unavailable, 3);
	assert_int_equal(w.n_end, 1);
	assert_null(w.client);
	event_loop_free(w.loop);
}

/* ---- messages ---- */

static void a_small_message_cannot_ask_for_much_memory(void **state)
{
	/* ListPodSandboxStats-like: two bytes a submessage */
	size_t len = 8 << 20;
	autofree uint8_t *data = mem_new(len, 1);
	struct err err = ERR_INIT;
	ProtobufCMessage *m = NULL;

	for (size_t i = 0; i < len; i += 2)
		data[i] = 0x1a; /* CreateTaskRequest.rootfs, empty */
	assert_true(rpc_pb_unpack(&containerd__task__v2__create_task_request__descriptor, data, len, &m, &err) < 0);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_null(m);
	assert_int_equal(rpc_pb_unpack(&containerd__task__v2__create_task_request__descriptor, data, 2000, &m,
				       &err), 0);
	assert_int_equal(((Containerd__Task__V2__CreateTaskRequest *)m)->n_rootfs, 1000);
	rpc_pb_free(m);
}

static void strings_are_text(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool ok;
	} rows[] = {
		{ "plain", 5, true },        { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, true },
		{ "a\0b", 3, false },        { "\xc0\x80", 2, false },
		{ "\xed\xa0\x80", 3, false }, { "\xf4\x90\x80\x80", 4, false },
		{ "\xe2\x82", 2, false },    { "\x80", 1, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t bytes[32] = { 0x0a, (uint8_t)rows[i].len };
		struct err err = ERR_INIT;
		ProtobufCMessage *m = NULL;
		int r;

		memcpy(bytes + 2, rows[i].bytes, rows[i].len);
		r = rpc_pb_unpack(&containerd__task__v2__start_request__descriptor, bytes, rows[i].len + 2, &m, &err);
		assert_int_equal(r == 0, rows[i].ok);
		rpc_pb_free(m);
	}
}

static void text_is_made_valid(void **state)
{
	char text[] = "a\xff\xc3\xa4 \xe2\x82";

	rpc_pb_clean_text(text);
	assert_string_equal(text, "a?\xc3\xa4 ??");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_request_may_come_byte_by_byte, reset),
		cmocka_unit_test_setup(what_is_wrong_is_answered_and_named, reset),
		cmocka_unit_test_setup(a_frame_that_is_too_large_is_dropped_and_the_next_one_served, reset),
		cmocka_unit_test_setup(a_call_that_passes_its_deadline_is_answered_once, reset),
		cmocka_unit_test_setup(calls_live_on_when_their_client_is_gone, reset),
		cmocka_unit_test_setup(blocking_calls_reach_a_server_on_a_path, reset),
		cmocka_unit_test_setup(a_client_on_the_loop_has_many_calls_open_and_sees_the_end, reset),
		cmocka_unit_test(a_small_message_cannot_ask_for_much_memory),
		cmocka_unit_test(strings_are_text),
		cmocka_unit_test(text_is_made_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
