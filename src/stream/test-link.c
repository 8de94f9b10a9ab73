/*
 * Both transports as a client sees them: frames written by hand, answers read by hand. The headers are
 * compressed by zlib with the dictionary, as every client does.
 */
#include "stream/link.h"
#include "stream/ws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <zlib.h>
#include <cmocka.h>

/* ---- a client ---- */

struct client {
	struct link *link;
	struct buf to;    /* what goes to the link with the next feed */
	struct buf seen;  /* what the handler was told, as text */
	z_stream z;
	int refuse;
	bool echo;
};

static int on_open(uint32_t ch, const struct spdy_header *headers, size_t n, void *user)
{
	struct client *c = user;

	buf_printf(&c->seen, "open %u", ch);
	for (size_t i = 0; i < n; i++)
		buf_printf(&c->seen, " %s=%s", headers[i].name, headers[i].value);
	buf_puts(&c->seen, ";");
	return c->refuse;
}

static void on_data(uint32_t ch, const uint8_t *data, size_t len, void *user)
{
	struct client *c = user;

	buf_printf(&c->seen, "data %u %.*s;", ch, (int)len, (const char *)data);
	link_consumed(c->link, ch, len);
	if (c->echo)
		link_send(c->link, ch, data, len);
}

static void on_end(uint32_t ch, void *user)
{
	struct client *c = user;

	buf_printf(&c->seen, "end %u;", ch);
}

static void on_reset(uint32_t ch, void *user)
{
	struct client *c = user;

	buf_printf(&c->seen, "reset %u;", ch);
}

static void client_init(struct client *c, enum link_kind kind, bool half_close)
{
	static const struct link_handler handler = { on_open, on_data, on_end, on_reset };

	*c = (struct client){ .to = BUF_INIT(1 << 20), .seen = BUF_INIT(1 << 20) };
	c->link = link_new(kind, half_close, &handler, c);
	deflateInit(&c->z, 9);
	deflateSetDictionary(&c->z, spdy_dictionary, (uInt)spdy_dictionary_len);
}

static void client_done(struct client *c)
{
	link_free(c->link);
	deflateEnd(&c->z);
	buf_done(&c->to);
	buf_done(&c->seen);
}

static void put_u32(struct buf *b, uint32_t v)
{
	uint8_t raw[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	buf_append(b, raw, 4);
}

static void put_frame(struct buf *b, uint16_t type, uint8_t flags, const void *body, size_t len)
{
	put_u32(b, 0x80030000u | type);
	put_u32(b, (uint32_t)flags << 24 | (uint32_t)len);
	buf_append(b, body, len);
}

static void put_pair(struct buf *b, uint16_t type, uint32_t x, uint32_t y)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(64);

	put_u32(&body, x);
	put_u32(&body, y);
	put_frame(b, type, 0, body.data, body.len);
}

static void put_data(struct buf *b, uint32_t ch, uint8_t flags, const char *text)
{
	put_u32(b, ch);
	put_u32(b, (uint32_t)flags << 24 | (uint32_t)strlen(text));
	buf_puts(b, text);
}

static void put_syn(struct client *c, uint32_t ch, uint8_t flags, const char *name, const char *value)
{
	CLEANUP(buf_done) struct buf plain = BUF_INIT(4096), body = BUF_INIT(4096);
	uint8_t packed[4096];

	put_u32(&plain, 1);
	put_u32(&plain, (uint32_t)strlen(name));
	buf_puts(&plain, name);
	put_u32(&plain, (uint32_t)strlen(value));
	buf_puts(&plain, value);
	c->z.next_in = plain.data;
	c->z.avail_in = (uInt)plain.len;
	c->z.next_out = packed;
	c->z.avail_out = sizeof(packed);
	assert_int_equal(deflate(&c->z, Z_SYNC_FLUSH), Z_OK);
	put_u32(&body, ch);
	put_u32(&body, 0);
	buf_append(&body, "\0\0", 2);
	buf_append(&body, packed, sizeof(packed) - c->z.avail_out);
	put_frame(&c->to, 1, flags, body.data, body.len);
}

static int feed(struct client *c, size_t step)
{
	int r = 0;

	for (size_t i = 0; i < c->to.len && r == 0; i += step)
		r = link_feed(c->link, c->to.data + i, c->to.len - i < step ? c->to.len - i : step);
	c->to.len = 0;
	return r;
}

/* The answer's frames as text: "reply 1;data 1 hello;" */
static void frames_text(const struct buf *out, struct buf *text)
{
	static const char *const names[] = { "", "syn", "reply", "rst", "settings", "", "ping", "goaway", "headers",
					     "window" };
	const uint8_t *p = out->data, *end = p + out->len;

	while (p < end) {
		uint32_t len = (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7];
		const uint8_t *body = p + 8;

		if (!(p[0] & 0x80))
			buf_printf(text, "%s %u %.*s;", p[4] & 1 ? "fin" : "data", p[3], (int)len, (const char *)body);
		else if (p[3] == 3 || p[3] == 9)
			buf_printf(text, "%s %u %u;", names[p[3]], body[3], body[6] << 8 | body[7]);
		else
			buf_printf(text, "%s %u;", names[p[3]], body[3]);
		p = body + len;
	}
	assert_ptr_equal(p, end);
}

#define assert_answer(c, expected)                                             \
	do {                                                                   \
		CLEANUP(buf_done) struct buf text_ = BUF_INIT(1 << 20);        \
		frames_text(link_out((c)->link), &text_);                      \
		assert_string_equal(buf_text(&text_), (expected));             \
		link_out((c)->link)->len = 0;                                  \
	} while (0)

/* ---- SPDY ---- */

static void streams_open_carry_data_and_end_in_any_pieces(void **state)
{
	for (size_t step = 1; step < 200; step += 7) {
		CLEANUP(client_done) struct client c;

		client_init(&c, LINK_SPDY, false);
		put_syn(&c, 1, 0, "streamtype", "error");
		put_syn(&c, 3, 0, "Streamtype", "stdin");
		put_data(&c.to, 3, 0, "hello");
		put_data(&c.to, 3, 1, "!");
		put_frame(&c.to, 6, 0, "\0\0\0\1", 4);
		put_frame(&c.to, 99, 0, "unknown", 7);
		assert_int_equal(feed(&c, step), 0);
		if (step >= 8)
			assert_non_null(strstr(buf_text(&c.seen), "open 1 streamtype=error;open 3 streamtype=stdin;data 3 "));
		assert_true(str_has_suffix(buf_text(&c.seen), "end 3;"));
		link_send(c.link, 3, "out", 3);
		link_end(c.link, 3);
		link_send(c.link, 3, "late", 4);
		assert_answer(&c, "reply 1;reply 3;ping 1;data 3 out;fin 3 ;");
	}
}

static void refused_and_reset_streams_are_gone(void **state)
{
	CLEANUP(client_done) struct client c;

	client_init(&c, LINK_SPDY, false);
	c.refuse = SPDY_REFUSED_STREAM;
	put_syn(&c, 1, 0, "a", "b");
	assert_int_equal(feed(&c, 1000), 0);
	assert_answer(&c, "reply 1;rst 1 3;");
	c.refuse = 0;
	put_syn(&c, 3, 0, "a", "b");
	put_pair(&c.to, 3, 3, 5);
	put_data(&c.to, 3, 0, "nobody hears it");
	assert_int_equal(feed(&c, 1000), 0);
	assert_string_equal(buf_text(&c.seen), "open 1 a=b;open 3 a=b;reset 3;");
	assert_int_equal(link_room(c.link, 3), 0);
}

static void windows_hold_back_only_who_knows_them(void **state)
{
	CLEANUP(client_done) struct client c;
	static uint8_t data[60 * 1024];

	client_init(&c, LINK_SPDY, false);
	put_syn(&c, 1, 0, "a", "b");
	assert_int_equal(feed(&c, 1000), 0);
	assert_true(link_room(c.link, 1) > SPDY_WINDOW);
	link_send(c.link, 1, data, sizeof(data));
	put_pair(&c.to, 9, 1, 1024);
	assert_int_equal(feed(&c, 1000), 0);
	/* the session's window was not raised, the stream's was */
	assert_int_equal(link_room(c.link, 1), 4 * 1024);
	put_pair(&c.to, 9, 0, 100 * 1024);
	assert_int_equal(feed(&c, 1000), 0);
	assert_int_equal(link_room(c.link, 1), 5 * 1024);
	put_frame(&c.to, 4, 0, "\0\0\0\1\0\0\0\7\0\0\0\0", 12);
	assert_int_equal(feed(&c, 1000), 0);
	assert_int_equal(link_room(c.link, 1), 0);
}

static void what_is_consumed_is_told(void **state)
{
	CLEANUP(client_done) struct client c;
	char text[1025];

	memset(text, 'x', sizeof(text) - 1);
	text[1024] = '\0';
	client_init(&c, LINK_SPDY, false);
	put_syn(&c, 1, 0, "a", "b");
	for (int i = 0; i < 32; i++)
		put_data(&c.to, 1, 0, text);
	assert_int_equal(feed(&c, 4096), 0);
	assert_answer(&c, "reply 1;window 0 32768;window 1 32768;");
}

static void violations_end_the_session(void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} cases[] = {
		{ "\x80\x02\0\1\0\0\0\0", 8 },                                  /* SPDY/2 */
		{ "\x80\x03\0\1\0\0\0\x0a\0\0\0\1\0\0\0\0\0\0", 18 },              /* no headers */
		{ "\x80\x03\0\1\0\0\0\x0c\0\0\0\1\0\0\0\0\0\0zz", 20 },            /* not zlib */
		{ "\x80\x03\0\1\1\1\0\1", 8 },                                  /* too long */
		{ "\x80\x03\0\3\0\0\0\4\0\0\0\1", 12 },                          /* RST_STREAM too short */
		{ "\x80\x03\0\4\0\0\0\4\0\1\0\0", 12 },                          /* SETTINGS count */
		{ "\x80\x03\0\6\0\0\0\0", 8 },                                   /* empty PING */
		{ "\x80\x03\0\x9\0\0\0\x8\0\0\0\0\x7f\xff\xff\xff", 16 },           /* window overflow */
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(client_done) struct client c;

		client_init(&c, LINK_SPDY, false);
		buf_append(&c.to, cases[i].data, cases[i].len);
		assert_true(feed(&c, 1000) < 0);
		assert_true(link_feed(c.link, (const uint8_t *)"a", 1) < 0);
	}
}

static void streams_have_a_bound(void **state)
{
	CLEANUP(client_done) struct client c;

	client_init(&c, LINK_SPDY, false);
	for (uint32_t i = 0; i < SPDY_STREAMS_MAX; i++) {
		put_syn(&c, 2 * i + 1, 0, "a", "b");
		assert_int_equal(feed(&c, 4096), 0);
	}
	link_out(c.link)->len = 0;
	put_syn(&c, 2 * SPDY_STREAMS_MAX + 1, 0, "a", "b");
	assert_int_equal(feed(&c, 4096), 0);
	assert_answer(&c, "rst 1 3;"); /* its low byte */
}

/* ---- WebSocket ---- */

static void put_message(struct client *c, uint8_t first, const void *data, size_t len)
{
	uint8_t head[] = { first, (uint8_t)(0x80 | len), 1, 2, 3, 4 };

	assert_true(len < 126);
	buf_append(&c->to, head, sizeof(head));
	for (size_t i = 0; i < len; i++) {
		uint8_t b = ((const uint8_t *)data)[i] ^ head[2 + i % 4];

		buf_append(&c->to, &b, 1);
	}
}

static void the_handshake_s_answer_is_that_of_the_specification(void **state)
{
	char out[WS_ACCEPT_LEN + 1];

	assert_int_equal(ws_accept("dGhlIHNhbXBsZSBub25jZQ==", out), 0);
	assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_int_equal(ws_accept("short", out), -EINVAL);
	assert_int_equal(ws_accept(NULL, out), -EINVAL);
}

static void messages_name_their_channel_and_v5_ends_one(void **state)
{
	for (size_t step = 1; step < 40; step++) {
		CLEANUP(client_done) struct client c;

		client_init(&c, LINK_WS, true);
		put_message(&c, 0x82, "\0hello", 6);
		put_message(&c, 0x02, "\4{", 2);
		put_message(&c, 0x80, "}", 1);
		put_message(&c, 0x89, "ping", 4);
		put_message(&c, 0x82, "", 0);
		put_message(&c, 0x82, "\xff\0", 2);
		assert_int_equal(feed(&c, step), 0);
		assert_non_null(strstr(buf_text(&c.seen), "data 4 {;data 4 };end 0;"));
		assert_memory_equal(link_out(c.link)->data, "\x8a\4ping", 6);
		link_out(c.link)->len = 0;
		link_send(c.link, 1, "out", 3);
		assert_memory_equal(link_out(c.link)->data, "\x82\4\1out", 6);
	}
}

static void with_v4_channel_255_is_only_data(void **state)
{
	CLEANUP(client_done) struct client c;

	client_init(&c, LINK_WS, false);
	put_message(&c, 0x82, "\xff\1", 2);
	assert_int_equal(feed(&c, 100), 0);
	assert_string_equal(buf_text(&c.seen), "data 255 \1;");
}

static void the_client_s_close_and_bad_frames_end_it(void **state)
{
	static const char *const unmasked = "\x82\1a";
	CLEANUP(client_done) struct client c, d;

	client_init(&c, LINK_WS, false);
	client_init(&d, LINK_WS, false);
	put_message(&c, 0x88, "\x03\xe8", 2);
	assert_true(feed(&c, 100) < 0);
	assert_memory_equal(link_out(c.link)->data, "\x88\2\x03\xe8", 4);
	buf_append(&d.to, unmasked, 3);
	assert_true(feed(&d, 100) < 0);
}

static void a_tunnel_is_spdy_in_messages(void **state)
{
	CLEANUP(client_done) struct client c;
	struct buf inner;

	client_init(&c, LINK_TUNNEL, false);
	put_syn(&c, 1, 0, "streamtype", "data");
	inner = c.to;
	c.to = (struct buf)BUF_INIT(1 << 20);
	put_message(&c, 0x82, inner.data, inner.len / 2);
	put_message(&c, 0x82, inner.data + inner.len / 2, inner.len - inner.len / 2);
	buf_done(&inner);
	assert_int_equal(feed(&c, 1000), 0);
	assert_string_equal(buf_text(&c.seen), "open 1 streamtype=data;");
	/* the reply, in one message */
	assert_memory_equal(link_out(c.link)->data, "\x82", 1);
	assert_memory_equal(link_out(c.link)->data + 2, "\x80\3\0\2", 4);
	put_message(&c, 0x82, "\x80\2aaaaaaaa", 10);
	assert_true(feed(&c, 1000) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_open_carry_data_and_end_in_any_pieces),
		cmocka_unit_test(refused_and_reset_streams_are_gone),
		cmocka_unit_test(windows_hold_back_only_who_knows_them),
		cmocka_unit_test(what_is_consumed_is_told),
		cmocka_unit_test(violations_end_the_session),
		cmocka_unit_test(streams_have_a_bound),
		cmocka_unit_test(the_handshake_s_answer_is_that_of_the_specification),
		cmocka_unit_test(messages_name_their_channel_and_v5_ends_one),
		cmocka_unit_test(with_v4_channel_255_is_only_data),
		cmocka_unit_test(the_client_s_close_and_bad_frames_end_it),
		cmocka_unit_test(a_tunnel_is_spdy_in_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
