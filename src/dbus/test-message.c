/* Marshalling: the bytes of the specification's rules, and what hostile bytes come to. */
#include "dbus/dbus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* A signal with the body: its header is written by hand here, not by the code under test. */
static void make(struct dbus_message *m, const char *signature, const void *body, size_t len)
{
	static const uint8_t head[] = { 'l', 4, 0, 1 };
	uint32_t n = (uint32_t)len, serial = 7, fields;
	uint8_t f[64] = { 1, 1, 'o', 0, 2, 0, 0, 0, '/', 'a', 0, 0, 0, 0, 0, 0, 8, 1, 'g', 0 };
	size_t at = 20;

	*m = (struct dbus_message)DBUS_MESSAGE_INIT;
	f[at++] = (uint8_t)strlen(signature);
	memcpy(f + at, signature, strlen(signature) + 1);
	at += strlen(signature) + 1;
	fields = (uint32_t)at;
	buf_append(&m->bytes, head, 4);
	buf_append(&m->bytes, &n, 4);
	buf_append(&m->bytes, &serial, 4);
	buf_append(&m->bytes, &fields, 4);
	buf_append(&m->bytes, f, (at + 7) & ~(size_t)7);
	if (len)
		buf_append(&m->bytes, body, len);
}

static void values_are_aligned_as_specified(void **state)
{
	CLEANUP(dbus_writer_done) struct dbus_writer w = DBUS_WRITER_INIT;
	static const uint8_t expected[] = {
		5, 0, 0, 0,                  /* y, then padding */
		3, 0, 0, 0, 'a', 'b', 'c', 0, /* s */
		0, 0, 0, 0,                  /* padding to 8 */
		1, 0, 0, 0, 0, 0, 0, 0,      /* t */
		20, 0, 0, 0, 0, 0, 0, 0,     /* a(yu): length, padding that does not count */
		9, 0, 0, 0, 2, 0, 0, 0,      /* first */
		8, 0, 0, 0, 3, 0, 0, 0,      /* second begins at a multiple of 8 */
		2, 't', 't', 0,              /* no variant, only a signature of two */
	};

	dbus_put_byte(&w, 5);
	dbus_put_string(&w, "abc");
	dbus_put_u64(&w, 1);
	{
		size_t a = dbus_array_begin(&w, '(');

		dbus_struct_begin(&w);
		dbus_put_byte(&w, 9);
		dbus_put_u32(&w, 2);
		dbus_struct_begin(&w);
		dbus_put_byte(&w, 8);
		dbus_put_u32(&w, 3);
		dbus_put_signature(&w, "tt");
		dbus_array_end(&w, a);
	}
	assert_false(dbus_writer_failed(&w));
	assert_int_equal(w.out.len, sizeof(expected));
	assert_memory_equal(w.out.data, expected, sizeof(expected));
}

static void what_is_written_is_read(void **state)
{
	CLEANUP(dbus_writer_done) struct dbus_writer w = DBUS_WRITER_INIT;
	CLEANUP(dbus_message_done) struct dbus_message m;
	struct dbus_reader r;
	size_t a, b;

	dbus_put_u32(&w, 42);
	a = dbus_array_begin(&w, '(');
	dbus_struct_begin(&w);
	dbus_put_string(&w, "CPUWeight");
	dbus_variant_begin(&w, "t");
	dbus_put_u64(&w, 100);
	dbus_struct_begin(&w);
	dbus_put_string(&w, "PIDs");
	dbus_variant_begin(&w, "au");
	b = dbus_array_begin(&w, 'u');
	dbus_put_u32(&w, 4711);
	dbus_array_end(&w, b);
	dbus_array_end(&w, a);
	a = dbus_array_begin(&w, '(');
	dbus_array_end(&w, a);
	dbus_put_string(&w, "end");
	dbus_put_bool(&w, true);
	dbus_put_i64(&w, -5);
	dbus_variant_begin(&w, "s");
	dbus_put_string(&w, "inside");
	make(&m, "ua(sv)a(sa(sv))sbxv", w.out.data, w.out.len);
	assert_int_equal(dbus_message_length(m.bytes.data, m.bytes.len), m.bytes.len);
	assert_int_equal(dbus_message_length(m.bytes.data, 15), 0);
	assert_int_equal(dbus_message_parse(&m), 0);
	assert_string_equal(m.path, "/a");
	assert_string_equal(m.member, "");
	assert_int_equal(m.serial, 7);
	dbus_reader_init(&r, &m);
	assert_int_equal(dbus_get_u32(&r), 42);
	dbus_skip(&r);
	dbus_skip(&r);
	assert_string_equal(dbus_get_string(&r), "end");
	assert_true(dbus_get_bool(&r));
	assert_true(dbus_get_i64(&r) == -5);
	assert_true(dbus_get_variant(&r, "s"));
	assert_string_equal(dbus_get_string(&r), "inside");
	assert_false(dbus_reader_failed(&r));
	assert_int_equal(dbus_get_u32(&r), 0);
	assert_true(dbus_reader_failed(&r));
}

static void a_message_in_the_other_byte_order_is_read(void **state)
{
	static const uint8_t big[] = {
		'B', 2, 0, 1, 0, 0, 0, 16, 0, 0, 0, 9, 0, 0, 0, 16,
		5, 1, 'u', 0, 0, 0, 0, 3, 8, 1, 'g', 0, 2, 'u', 't', 0,
		0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
	};
	CLEANUP(dbus_message_done) struct dbus_message m = DBUS_MESSAGE_INIT;
	struct dbus_reader r;

	buf_append(&m.bytes, big, sizeof(big));
	assert_int_equal(dbus_message_parse(&m), 0);
	assert_int_equal(m.type, DBUS_REPLY);
	assert_int_equal(m.reply_serial, 3);
	dbus_reader_init(&r, &m);
	assert_int_equal(dbus_get_u32(&r), 258);
	assert_true(dbus_get_u64(&r) == 256);
	assert_false(dbus_reader_failed(&r));
}

static void lengths_beyond_the_message_are_refused(void **state)
{
	static const struct {
		const char *signature;
		uint8_t body[16];
		size_t len;
	} bad[] = {
		{ "s", { 255, 255, 255, 255, 'a', 0 }, 6 },
		{ "s", { 4, 0, 0, 0, 'a', 0 }, 6 },          /* longer than what is there */
		{ "s", { 1, 0, 0, 0, 'a', 'b' }, 6 },        /* does not end */
		{ "s", { 2, 0, 0, 0, 'a', 0, 0 }, 7 },       /* a NUL inside */
		{ "at", { 12, 0, 0, 0, 0, 0, 0, 0, 1 }, 16 }, /* no multiple of its elements */
		{ "ay", { 255, 255, 255, 127 }, 4 },
		{ "a()", { 1, 0, 0, 0, 0, 0, 0, 0, 0 }, 9 }, /* elements without size */
		{ "v", { 1, 'z', 0, 0 }, 4 },                /* no such type */
		{ "v", { 2, 'y', 'y', 0, 1, 1 }, 6 },        /* two types */
		{ "v", { 200, 'y', 0, 1 }, 4 },
		{ "(s", { 0, 0, 0, 0, 0 }, 5 },              /* a struct without end */
		{ "b", { 2, 0, 0, 0 }, 3 },
		{ "t", { 0 }, 4 },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(dbus_message_done) struct dbus_message m;
		struct dbus_reader r;

		make(&m, bad[i].signature, bad[i].body, bad[i].len);
		assert_int_equal(dbus_message_parse(&m), 0);
		dbus_reader_init(&r, &m);
		dbus_skip(&r);
		if (!dbus_reader_failed(&r))
			fail_msg("%s was read", bad[i].signature);
	}
}

static void variants_in_variants_end(void **state)
{
	CLEANUP(dbus_writer_done) struct dbus_writer w = DBUS_WRITER_INIT;
	CLEANUP(dbus_message_done) struct dbus_message m;
	struct dbus_reader r;

	for (int i = 0; i < 100000; i++)
		dbus_variant_begin(&w, "v");
	make(&m, "v", w.out.data, w.out.len);
	assert_int_equal(dbus_message_parse(&m), 0);
	dbus_reader_init(&r, &m);
	dbus_skip(&r);
	assert_true(dbus_reader_failed(&r));
}

static void what_is_no_message_is_refused_early(void **state)
{
	static const uint8_t http[] = "HTTP/1.1 400 Bad", huge[16] = { 'l', 2, 0, 1, 255, 255, 255, 255 };
	CLEANUP(dbus_message_done) struct dbus_message m = DBUS_MESSAGE_INIT;

	assert_int_equal(dbus_message_length(http, 16), -EBADMSG);
	assert_int_equal(dbus_message_length(huge, 16), -EMSGSIZE);
	buf_append(&m.bytes, "l\2\0\1\0\0\0\0\0\0\0\0\0\0\0\0", 16); /* serial 0 */
	assert_int_equal(dbus_message_parse(&m), -EBADMSG);
}

static void a_writer_that_is_full_says_so(void **state)
{
	CLEANUP(dbus_writer_done) struct dbus_writer w = { BUF_INIT(16), false };

	dbus_put_string(&w, "0123456789");
	assert_false(dbus_writer_failed(&w));
	dbus_put_string(&w, "0123456789");
	assert_true(dbus_writer_failed(&w));
	dbus_put_byte(&w, 1);
	assert_true(dbus_writer_failed(&w));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_aligned_as_specified),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_message_in_the_other_byte_order_is_read),
		cmocka_unit_test(lengths_beyond_the_message_are_refused),
		cmocka_unit_test(variants_in_variants_end),
		cmocka_unit_test(what_is_no_message_is_refused_early),
		cmocka_unit_test(a_writer_that_is_full_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
