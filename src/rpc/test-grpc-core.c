/*
 * The gRPC core fed with bytes: what a client may and may not send, and what it hears.
 */
#include "rpc/grpc-core.h"

#include "rpc/rpc.h"
#include "shim.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- a service ---- */

static struct grpc_call *held[8];
static size_t n_held, n_cancelled, n_drained;
static int last_code;

static void echo(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	grpc_call_reply(call, data, len);
}

static void on_cancel(void *user)
{
	n_cancelled++;
	assert_true(grpc_call_cancelled(user));
	grpc_call_reply(user, "late", 4);
}

static void hold(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	grpc_call_on_cancel(call, on_cancel, call);
	held[n_held++] = call;
}

static void on_drain(void *user)
{
	n_drained++;
}

static void stream(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	grpc_call_on_drain(call, on_drain, NULL);
	assert_int_equal(grpc_call_send(call, "one", 3), 0);
	assert_int_equal(grpc_call_send(call, "two", 3), 0);
	held[n_held++] = call;
}

static void not_found(struct grpc_call *call, const void *request, void *user)
{
	const Containerd__Task__V2__StartRequest *req = request;
	struct err err = ERR_INIT;

	err_set(&err, ERR_NOT_FOUND, "container %s: 100%% gone\n\xc3\xa4", req->id);
	grpc_call_fail(call, &err);
}

static void huge(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	autofree char *big = mem_new(GRPC_MESSAGE_MAX + 1, 1);

	grpc_call_reply(call, big, GRPC_MESSAGE_MAX + 1);
}

static const struct grpc_method methods[] = {
	{ .name = "Echo", .raw = echo },
	{ .name = "Hold", .raw = hold },
	{ .name = "Huge", .raw = huge },
	{ .name = "Stream", .raw = stream, .stream = true },
	{ .name = "Fail", .pb = not_found, .request = &containerd__task__v2__start_request__descriptor },
};

static const struct grpc_service services[] = { { "t.T", methods, ARRAY_LEN(methods), NULL } };

/* ---- a client made of bytes ---- */

struct heard {
	int http, status, rst; /* -1: nothing */
	char message[128];
	char body[64];         /* without prefixes */
	size_t body_len;
	bool end;
};

struct talk {
	struct grpc_core *core;
	struct grpc_conn *conn;
	nghttp2_hd_inflater *inflater;
	struct buf say;
	struct heard heard[16]; /* by stream / 2 */
	int goaway;
	size_t pings;
};

static void on_answer(const char *path, int code, const char *text, int64_t duration, void *user)
{
	last_code = code;
}

static void talk_begin(struct talk *t)
{
	*t = (struct talk){ .goaway = -1, .say = BUF_INIT(64 << 20) };
	n_held = n_cancelled = n_drained = 0;
	last_code = -1;
	t->core = grpc_core_new(services, ARRAY_LEN(services));
	t->core->on_answer = on_answer;
	t->conn = grpc_conn_new(t->core, NULL, NULL);
	assert_int_equal(nghttp2_hd_inflate_new(&t->inflater), 0);
	for (size_t i = 0; i < ARRAY_LEN(t->heard); i++)
		t->heard[i] = (struct heard){ -1, -1, -1 };
}

static void talk_end(struct talk *t)
{
	grpc_conn_end(t->conn);
	assert_int_equal(t->core->in_bytes, 0);
	assert_int_equal(t->core->out_bytes, 0);
	grpc_conn_unref(t->conn);
	grpc_core_unref(t->core);
	nghttp2_hd_inflate_del(t->inflater);
	buf_done(&t->say);
}

static void say_frame(struct talk *t, int type, int flags, uint32_t id, const void *data, size_t len)
{
	uint8_t head[9] = { (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, (uint8_t)type, (uint8_t)flags,
			    (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };

	assert_int_equal(buf_append(&t->say, head, sizeof(head)), 0);
	assert_int_equal(buf_append(&t->say, data, len), 0);
}

static void say_hello(struct talk *t)
{
	buf_puts(&t->say, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	say_frame(t, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

static void put_header(struct buf *b, const char *name, const char *value)
{
	uint8_t len;

	buf_append(b, "\0", 1); /* a literal, not indexed */
	len = (uint8_t)strlen(name);
	buf_append(b, &len, 1);
	buf_puts(b, name);
	len = (uint8_t)strlen(value);
	assert_true(strlen(value) < 127);
	buf_append(b, &len, 1);
	buf_puts(b, value);
}

/* NULL leaves a header out; "name: value" in extra adds one. */
static void say_headers(struct talk *t, uint32_t id, const char *method, const char *path, const char *type,
			const char *extra, const char *extra_value, int flags)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 16);

	put_header(&b, ":method", method);
	put_header(&b, ":scheme", "http");
	put_header(&b, ":path", path);
	put_header(&b, ":authority", "localhost");
	if (type)
		put_header(&b, "content-type", type);
	if (extra)
		put_header(&b, extra, extra_value);
	say_frame(t, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | flags, id, b.data, b.len);
}

static void say_call(struct talk *t, uint32_t id, const char *path, const char *body, size_t len)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 16);
	uint8_t prefix[5] = { 0, 0, 0, (uint8_t)(len >> 8), (uint8_t)len };

	say_headers(t, id, "POST", path, "application/grpc", NULL, NULL, 0);
	buf_append(&b, prefix, 5);
	buf_append(&b, body, len);
	say_frame(t, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, b.data, b.len);
}

static void hear_headers(struct talk *t, struct heard *h, const uint8_t *p, size_t len)
{
	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t n = nghttp2_hd_inflate_hd2(t->inflater, &nv, &flags, p, len, 1);

		assert_true(n >= 0);
		p += n;
		len -= (size_t)n;
		if (flags & NGHTTP2_HD_INFLATE_EMIT) {
			if (!strcmp((char *)nv.name, ":status"))
				h->http = atoi((char *)nv.value);
			if (!strcmp((char *)nv.name, "grpc-status"))
				h->status = atoi((char *)nv.value);
			if (!strcmp((char *)nv.name, "grpc-message"))
				snprintf(h->message, sizeof(h->message), "%s", (char *)nv.value);
		}
		if (flags & NGHTTP2_HD_INFLATE_FINAL)
			break;
		if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && !len)
			break;
	}
	nghttp2_hd_inflate_end_headers(t->inflater);
}

static void hear(struct talk *t)
{
	struct buf *b = &t->conn->out.buf;
	size_t at = 0;

	do {
		grpc_conn_settle(t->conn);
		grpc_conn_pull(t->conn);
	} while (!list_empty(&t->conn->due));
	while (b->len - at >= 9) {
		const uint8_t *p = b->data + at;
		size_t len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
		uint32_t id = (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8];
		struct heard *h = &t->heard[id / 2 % ARRAY_LEN(t->heard)];

		assert_true(b->len - at >= 9 + len);
		if (p[3] == NGHTTP2_HEADERS)
			hear_headers(t, h, p + 9, len);
		else if (p[3] == NGHTTP2_DATA)
			for (size_t i = 0; i < len && h->body_len < sizeof(h->body); i++)
				h->body[h->body_len++] = (char)p[9 + i];
		else if (p[3] == NGHTTP2_RST_STREAM)
			h->rst = p[12];
		else if (p[3] == NGHTTP2_GOAWAY)
			t->goaway = p[16];
		else if (p[3] == NGHTTP2_PING && p[4] & NGHTTP2_FLAG_ACK)
			t->pings++;
		if (p[3] == NGHTTP2_HEADERS || p[3] == NGHTTP2_DATA)
			h->end |= p[4] & NGHTTP2_FLAG_END_STREAM;
		at += 9 + len;
	}
	assert_int_equal(at, b->len);
	b->len = 0;
}

static void say(struct talk *t, int64_t now)
{
	grpc_conn_feed(t->conn, t->say.data, t->say.len, now);
	t->say.len = 0;
	hear(t);
}

/* ---- tests ---- */

static void a_call_may_come_byte_by_byte(void **state)
{
	CLEANUP(talk_end) struct talk t;

	talk_begin(&t);
	say_hello(&t);
	say_call(&t, 1, "/t.T/Echo", "hello", 5);
	say_call(&t, 3, "/t.T/Echo", "", 0);
	say_frame(&t, NGHTTP2_PING, 0, 0, "12345678", 8);
	for (size_t i = 0; i < t.say.len; i++)
		grpc_conn_feed(t.conn, t.say.data + i, 1, 0);
	hear(&t);
	assert_int_equal(t.heard[0].http, 200);
	assert_int_equal(t.heard[0].status, 0);
	assert_memory_equal(t.heard[0].body, "\0\0\0\0\5hello", 10);
	assert_int_equal(t.heard[0].body_len, 10);
	assert_true(t.heard[0].end);
	assert_int_equal(t.heard[1].status, 0);
	assert_int_equal(t.heard[1].body_len, 5);
	assert_int_equal(t.pings, 1);
	assert_int_equal(t.goaway, -1);
	assert_false(grpc_conn_over(t.conn));
}

static void what_is_wrong_with_a_request_is_answered_without_a_body(void **state)
{
	static const struct {
		const char *method, *path, *type, *extra, *value, *body;
		size_t len;
		int http, status;
		const char *message;
	} rows[] = {
		{ "POST", "/t.T/Nope", "application/grpc", NULL, NULL, "\0\0\0\0\0", 5, 200, RPC_UNIMPLEMENTED,
		  "unknown method Nope of t.T" },
		{ "POST", "/x.Y/Echo", "application/grpc", NULL, NULL, "\0\0\0\0\0", 5, 200, RPC_UNIMPLEMENTED,
		  "unknown service x.Y" },
		{ "POST", "/Echo", "application/grpc", NULL, NULL, "\0\0\0\0\0", 5, 200, RPC_UNIMPLEMENTED,
		  "no such method: /Echo" },
		{ "GET", "/t.T/Echo", "application/grpc", NULL, NULL, "\0\0\0\0\0", 5, 405, RPC_INTERNAL,
		  "gRPC requests are POST" },
		{ "POST", "/t.T/Echo", "application/json", NULL, NULL, "\0\0\0\0\0", 5, 415, RPC_INTERNAL, NULL },
		{ "POST", "/t.T/Echo", "application/grpcx", NULL, NULL, "\0\0\0\0\0", 5, 415, RPC_INTERNAL, NULL },
		{ "POST", "/t.T/Echo", NULL, NULL, NULL, "\0\0\0\0\0", 5, 415, RPC_INTERNAL, NULL },
		{ "POST", "/t.T/Echo", "application/grpc+proto", NULL, NULL, "\0\0\0\0\0", 5, 200, RPC_OK, NULL },
		{ "POST", "/t.T/Echo", "application/grpc", "grpc-encoding", "gzip", "\0\0\0\0\0", 5, 200,
		  RPC_UNIMPLEMENTED, "compression gzip is not supported" },
		{ "POST", "/t.T/Echo", "application/grpc", "grpc-encoding", "identity", "\0\0\0\0\0", 5, 200, RPC_OK,
		  NULL },
		{ "POST", "/t.T/Echo", "application/grpc", NULL, NULL, "\1\0\0\0\0", 5, 200, RPC_UNIMPLEMENTED,
		  "compressed messages are not supported" },
		{ "POST", "/t.T/Echo", "application/grpc", NULL, NULL, "\7\0\0\0\0", 5, 200, RPC_INTERNAL, NULL },
		{ "POST", "/t.T/Echo", "application/grpc", "grpc-timeout", "1x", "\0\0\0\0\0", 5, 400, RPC_INTERNAL,
		  "malformed grpc-timeout" },
		{ "POST", "/t.T/Echo", "application/grpc", "grpc-timeout", "0n", "\0\0\0\0\0", 5, 200,
		  RPC_DEADLINE_EXCEEDED, NULL },
		{ "POST", "/t.T/Echo", "application/grpc", NULL, NULL, "", 0, 200, RPC_INTERNAL, "no request message" },
		{ "POST", "/t.T/Echo", "application/grpc", NULL, NULL, "\0\0\0\0\2x", 6, 200, RPC_INTERNAL,
		  "the request message is cut short" },
		{ "POST", "/t.T/Echo", "application/grpc", NULL, NULL, "\0\0\0\0\1xy", 7, 200, RPC_INTERNAL,
		  "more than one request message" },
		{ "POST", "/t.T/Echo", "application/grpc", NULL, NULL, "\0\1\0\0\1x", 6, 200, RPC_RESOURCE_EXHAUSTED,
		  "a request of 16777217 bytes is larger than 16777216" },
		{ "POST", "/t.T/Huge", "application/grpc", NULL, NULL, "\0\0\0\0\0", 5, 200, RPC_RESOURCE_EXHAUSTED,
		  "a response of 16777217 bytes is larger than 16777216" },
		{ "POST", "/t.T/Fail", "application/grpc", NULL, NULL, "\0\0\0\0\3\x0a\1w", 8, 200, RPC_NOT_FOUND,
		  "container w: 100%25 gone%0A%C3%A4" },
		{ "POST", "/t.T/Fail", "application/grpc", NULL, NULL, "\0\0\0\0\3\x0a\1\xff", 8, 200,
		  RPC_INVALID_ARGUMENT, "containerd.task.v2.StartRequest.id is not UTF-8 text" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(talk_end) struct talk t;

		talk_begin(&t);
		say_hello(&t);
		say_headers(&t, 1, rows[i].method, rows[i].path, rows[i].type, rows[i].extra, rows[i].value, 0);
		say_frame(&t, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, rows[i].body, rows[i].len);
		say(&t, 1000);
		if (t.heard[0].http != rows[i].http || t.heard[0].status != rows[i].status)
			fail_msg("row %zu: %d %d %s", i, t.heard[0].http, t.heard[0].status, t.heard[0].message);
		if (rows[i].message)
			assert_string_equal(t.heard[0].message, rows[i].message);
		if (rows[i].status)
			assert_int_equal(t.heard[0].body_len, 0);
		assert_true(t.heard[0].end);
		assert_int_equal(t.goaway, -1);
		assert_int_equal(last_code, rows[i].status);
	}
}

/* Text is looked at in words: what is wrong is found wherever it stands in one. */
static void text_is_checked_at_every_place(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool text;
	} cases[] = {
		{ "a", 1, true }, { "\x7f", 1, true }, { "\0", 1, false }, { "\x80", 1, false }, { "\xff", 1, false },
		{ "\xc3\xa4", 2, true }, { "\xc0\x80", 2, false }, { "\xe2\x82\xac", 3, true }, { "\xe2\x82", 2, false },
		{ "\xed\xa0\x80", 3, false }, { "\xf0\x9f\x98\x80", 4, true }, { "\xf4\x90\x80\x80", 4, false },
	};

	for (size_t len = 0; len < 40; len++)
		for (size_t at = 0; at <= len; at++)
			for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
				uint8_t message[64] = { 1 << 3 | 2, (uint8_t)(len + cases[i].len) };
				ProtobufCMessage *got = NULL;

				memset(message + 2, 'x', len + cases[i].len);
				memcpy(message + 2 + at, cases[i].bytes, cases[i].len);
				assert_int_equal(rpc_pb_unpack(&containerd__task__v2__start_request__descriptor, message,
							       2 + len + cases[i].len, &got, NULL) == 0, cases[i].text);
				rpc_pb_free(got);
			}
}

static void a_client_that_goes_on_sending_after_its_refusal_is_told_to_stop(void **state)
{
	CLEANUP(talk_end) struct talk t;
	uint8_t bytes[8192] = { 0, 0xff };

	talk_begin(&t);
	say_hello(&t);
	say_headers(&t, 1, "POST", "/t.T/Echo", "application/grpc", NULL, NULL, 0);
	say_frame(&t, NGHTTP2_DATA, 0, 1, bytes, sizeof(bytes));
	say(&t, 0);
	assert_int_equal(t.heard[0].status, RPC_RESOURCE_EXHAUSTED);
	assert_int_equal(t.heard[0].rst, NGHTTP2_NO_ERROR);
	say_frame(&t, NGHTTP2_DATA, 0, 1, bytes, sizeof(bytes));
	say_call(&t, 3, "/t.T/Echo", "still", 5);
	say(&t, 0);
	assert_int_equal(t.heard[1].status, RPC_OK);
}

static void a_reset_cancels_the_call_and_swallows_its_answer(void **state)
{
	CLEANUP(talk_end) struct talk t;

	talk_begin(&t);
	say_hello(&t);
	say_call(&t, 1, "/t.T/Hold", "", 0);
	say_call(&t, 3, "/t.T/Hold", "", 0);
	say(&t, 0);
	assert_int_equal(n_held, 2);
	assert_int_equal(t.conn->n_running, 2);
	grpc_call_on_cancel(held[1], NULL, NULL);
	say_frame(&t, NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\x8", 4);
	say_frame(&t, NGHTTP2_RST_STREAM, 0, 3, "\0\0\0\x8", 4);
	say(&t, 0);
	assert_int_equal(n_cancelled, 1);
	assert_int_equal(last_code, RPC_CANCELLED);
	assert_true(grpc_call_cancelled(held[1]));
	assert_int_equal(t.conn->n_running, 1);
	grpc_call_reply(held[1], "late", 4);
	hear(&t);
	assert_int_equal(t.heard[0].http, -1);
	assert_int_equal(t.heard[1].http, -1);
	assert_int_equal(t.conn->n_running, 0);
}

static void resets_do_not_hide_calls_that_still_run(void **state)
{
	CLEANUP(talk_end) struct talk t;

	talk_begin(&t);
	t.conn->n_running = GRPC_STREAMS_MAX; /* as if as many had been reset */
	say_hello(&t);
	say_call(&t, 1, "/t.T/Echo", "", 0);
	say(&t, 0);
	assert_int_equal(t.heard[0].status, RPC_RESOURCE_EXHAUSTED);
	t.conn->n_running = 0;
}

static void a_deadline_is_kept(void **state)
{
	CLEANUP(talk_end) struct talk t;

	talk_begin(&t);
	say_hello(&t);
	say_headers(&t, 1, "POST", "/t.T/Hold", "application/grpc", "grpc-timeout", "5u", 0);
	say_frame(&t, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "\0\0\0\0\0", 5);
	say(&t, 1000);
	assert_int_equal(grpc_call_deadline(held[0]), 6000);
	assert_int_equal(grpc_conn_deadline(t.conn), 6000);
	grpc_conn_expire(t.conn, 5999);
	hear(&t);
	assert_int_equal(t.heard[0].http, -1);
	grpc_conn_expire(t.conn, 6000);
	hear(&t);
	assert_int_equal(t.heard[0].status, RPC_DEADLINE_EXCEEDED);
	assert_int_equal(n_cancelled, 1);
	assert_int_equal(grpc_conn_deadline(t.conn), INT64_MAX);
}

static void tell_stage(char *out, size_t size, void *user)
{
	snprintf(out, size, "%s", (const char *)user);
}

static void who_gives_up_soon_is_told_a_little_earlier_what_it_waits_for(void **state)
{
	static char stage[] = "run pod: CNI ADD (for 12 s)";
	CLEANUP(talk_end) struct talk t;

	talk_begin(&t);
	say_hello(&t);
	say_headers(&t, 1, "POST", "/t.T/Hold", "application/grpc", "grpc-timeout", "1S", 0);
	say_frame(&t, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "\0\0\0\0\0", 5);
	say(&t, 1000);
	grpc_call_on_late(held[0], tell_stage, stage);
	/* five of a hundred */
	assert_int_equal(grpc_conn_deadline(t.conn), 950 * NSEC_PER_MSEC + 1000);
	grpc_conn_expire(t.conn, 950 * NSEC_PER_MSEC + 999);
	hear(&t);
	assert_int_equal(t.heard[0].http, -1);
	grpc_conn_expire(t.conn, 950 * NSEC_PER_MSEC + 1000);
	hear(&t);
	assert_int_equal(t.heard[0].status, RPC_DEADLINE_EXCEEDED);
	assert_string_equal(t.heard[0].message, stage);
	assert_int_equal(n_cancelled, 1);
	/* a long deadline is not answered much before it */
	say_headers(&t, 3, "POST", "/t.T/Hold", "application/grpc", "grpc-timeout", "2M", 0);
	say_frame(&t, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 3, "\0\0\0\0\0", 5);
	say(&t, 2000);
	grpc_call_on_late(held[1], tell_stage, stage);
	assert_int_equal(grpc_conn_deadline(t.conn), 120 * NSEC_PER_SEC - 200 * NSEC_PER_MSEC + 2000);
}

static void a_stream_carries_messages_until_it_is_finished(void **state)
{
	CLEANUP(talk_end) struct talk t;

	talk_begin(&t);
	say_hello(&t);
	say_call(&t, 1, "/t.T/Stream", "", 0);
	say(&t, 0);
	assert_int_equal(t.heard[0].http, 200);
	assert_int_equal(t.heard[0].status, -1);
	assert_memory_equal(t.heard[0].body, "\0\0\0\0\3one\0\0\0\0\3two", 16);
	assert_int_equal(n_drained, 1);
	assert_int_equal(grpc_call_pending(held[0]), 0);
	assert_int_equal(grpc_call_send(held[0], "3", 1), 0);
	hear(&t);
	assert_int_equal(t.heard[0].body_len, 22);
	grpc_call_finish(held[0]);
	hear(&t);
	assert_int_equal(t.heard[0].status, 0);
	assert_true(t.heard[0].end);

	say_call(&t, 3, "/t.T/Stream", "", 0);
	say(&t, 0);
	grpc_call_fail_text(held[1], RPC_ABORTED, "no more");
	hear(&t);
	assert_int_equal(t.heard[1].status, RPC_ABORTED);
	assert_string_equal(t.heard[1].message, "no more");
}

static void a_client_that_does_not_read_bounds_a_stream(void **state)
{
	CLEANUP(talk_end) struct talk t;
	autofree char *big = mem_new(1 << 20, 1);
	int n = 0;

	talk_begin(&t);
	say_hello(&t);
	say_call(&t, 1, "/t.T/Stream", "", 0);
	say(&t, 0);
	while (grpc_call_send(held[0], big, 1 << 20) == 0 && n < 100)
		n++;
	assert_in_range(n, 16, 17);
	assert_int_equal(grpc_call_send(held[0], "x", 1), -ENOBUFS);
	assert_int_equal(grpc_call_send(held[0], big, GRPC_MESSAGE_MAX + 1), -EMSGSIZE);
	say_frame(&t, NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\x8", 4);
	say(&t, 0);
	assert_int_equal(grpc_call_send(held[0], "x", 1), -ECANCELED);
	grpc_call_finish(held[0]);
}

static void nonsense_ends_the_connection_with_a_goaway(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool hello;
		int goaway;
	} rows[] = {
		{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27, false, NGHTTP2_PROTOCOL_ERROR },
		{ "\0\0\0\0\0\0\0\0\0", 9, false, NGHTTP2_PROTOCOL_ERROR },
		{ "\0\0\1\0\0\0\0\0\1x", 10, true, NGHTTP2_PROTOCOL_ERROR },     /* DATA on an idle stream */
		{ "\0\0\1\6\0\0\0\0\0x", 10, true, NGHTTP2_FRAME_SIZE_ERROR },  /* PING of one byte */
		{ "\xff\xff\xff\0\0\0\0\0\1", 9, true, NGHTTP2_FRAME_SIZE_ERROR },
		{ "\0\0\4\1\4\0\0\0\1\xff\xff\xff\xff", 13, true, NGHTTP2_COMPRESSION_ERROR },
		{ "\0\0\4\1\4\0\0\0\2\x00\x00\x00\x00", 13, true, NGHTTP2_PROTOCOL_ERROR }, /* even stream */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(talk_end) struct talk t;

		talk_begin(&t);
		if (rows[i].hello)
			say_hello(&t);
		buf_append(&t.say, rows[i].bytes, rows[i].len);
		say(&t, 0);
		if (t.goaway != rows[i].goaway || !grpc_conn_over(t.conn))
			fail_msg("row %zu: GOAWAY %d", i, t.goaway);
		say_hello(&t);
		say(&t, 0);
	}
}

static void a_storm_of_resets_ends_the_connection(void **state)
{
	CLEANUP(talk_end) struct talk t;
	int n = 0;

	talk_begin(&t);
	say_hello(&t);
	for (uint32_t id = 1; n < 5000 && !grpc_conn_over(t.conn); id += 2, n++) {
		say_call(&t, id, "/t.T/Echo", "", 0);
		say_frame(&t, NGHTTP2_RST_STREAM, 0, id, "\0\0\0\x8", 4);
		if (n % 100 == 0)
			say(&t, 0);
	}
	assert_in_range(n, 900, 1200);
	assert_true(t.goaway > 0);
}

static void headers_are_bounded(void **state)
{
	CLEANUP(talk_end) struct talk t;
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 16);

	talk_begin(&t);
	say_hello(&t);
	put_header(&b, ":method", "POST");
	put_header(&b, ":scheme", "http");
	put_header(&b, ":path", "/t.T/Echo");
	put_header(&b, ":authority", "localhost");
	put_header(&b, "content-type", "application/grpc");
	for (int i = 0; i < 250; i++)
		put_header(&b, "x-fill", "0123456789012345678901234567890123456789012345678901234567890123456789");
	say_frame(&t, NGHTTP2_HEADERS, 0, 1, b.data, 16000);
	say_frame(&t, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, b.data + 16000, b.len - 16000);
	say(&t, 0);
	assert_int_equal(t.heard[0].http, 431);
	assert_int_equal(t.heard[0].status, RPC_RESOURCE_EXHAUSTED);
}

static void draining_lets_calls_end_and_then_is_over(void **state)
{
	CLEANUP(talk_end) struct talk t;

	talk_begin(&t);
	say_hello(&t);
	say_call(&t, 1, "/t.T/Hold", "", 0);
	say(&t, 0);
	grpc_conn_drain(t.conn);
	hear(&t);
	assert_int_equal(t.goaway, NGHTTP2_NO_ERROR);
	assert_false(grpc_conn_over(t.conn));
	grpc_call_reply(held[0], "x", 1);
	hear(&t);
	assert_int_equal(t.heard[0].status, 0);
	assert_true(grpc_conn_over(t.conn));
}

static void calls_outlive_connection_and_server(void **state)
{
	struct talk t;

	talk_begin(&t);
	say_hello(&t);
	say_call(&t, 1, "/t.T/Hold", "", 0);
	say_call(&t, 3, "/t.T/Hold", "", 0);
	say(&t, 0);
	grpc_call_on_cancel(held[1], NULL, NULL);
	talk_end(&t);
	assert_int_equal(n_cancelled, 1);
	assert_true(grpc_call_cancelled(held[1]));
	grpc_call_reply(held[1], "to nobody", 9);
}

static void timeouts_and_messages_are_spelled_right(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
		{ "0n", 0 },          { "5u", 5000 },
		{ "100m", 100000000 }, { "2S", 2000000000 },
		{ "3M", 180000000000 }, { "1H", 3600000000000 },
		{ "99999999H", INT64_MAX },
	};
	static const char *const bad[] = { "", "n", "5", "5x", "123456789n", "-5n", "5n ", "5 n" };
	char text[GRPC_TEXT_MAX], back[64], timeout[16];
	int64_t ns;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(grpc_timeout_parse(good[i].text, &ns), 0);
		assert_int_equal(ns, good[i].ns);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(grpc_timeout_parse(bad[i], &ns), -EINVAL);
	assert_string_equal(grpc_timeout_format(99999999, timeout), "99999999n");
	assert_string_equal(grpc_timeout_format(100000000, timeout), "100000u");
	assert_string_equal(grpc_timeout_format(-1, timeout), "0n");
	assert_string_equal(grpc_timeout_format(INT64_MAX, timeout), "2562047H");
	grpc_message_decode(grpc_message_encode("a%\x7f\xc3\xa4 b", text), back, sizeof(back));
	assert_string_equal(back, "a%\x7f\xc3\xa4 b");
	grpc_message_decode("%zz%4", back, sizeof(back));
	assert_string_equal(back, "%zz%4");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_may_come_byte_by_byte),
		cmocka_unit_test(what_is_wrong_with_a_request_is_answered_without_a_body),
		cmocka_unit_test(text_is_checked_at_every_place),
		cmocka_unit_test(a_client_that_goes_on_sending_after_its_refusal_is_told_to_stop),
		cmocka_unit_test(a_reset_cancels_the_call_and_swallows_its_answer),
		cmocka_unit_test(resets_do_not_hide_calls_that_still_run),
		cmocka_unit_test(a_deadline_is_kept),
		cmocka_unit_test(who_gives_up_soon_is_told_a_little_earlier_what_it_waits_for),
		cmocka_unit_test(a_stream_carries_messages_until_it_is_finished),
		cmocka_unit_test(a_client_that_does_not_read_bounds_a_stream),
		cmocka_unit_test(nonsense_ends_the_connection_with_a_goaway),
		cmocka_unit_test(a_storm_of_resets_ends_the_connection),
		cmocka_unit_test(headers_are_bounded),
		cmocka_unit_test(draining_lets_calls_end_and_then_is_over),
		cmocka_unit_test(calls_outlive_connection_and_server),
		cmocka_unit_test(timeouts_and_messages_are_spelled_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
