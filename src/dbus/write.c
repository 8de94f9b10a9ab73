/*
 * Values → bytes. No I/O. Any process.
 *
 * Every value is aligned to its own size counted from the start of the body, which itself
 * starts at a multiple of eight in the message.
 */
#include "dbus/dbus.h"

void dbus_writer_done(struct dbus_writer *w)
{
	buf_done(&w->out);
}

bool dbus_writer_failed(const struct dbus_writer *w)
{
	return w->failed;
}

static void put(struct dbus_writer *w, const void *data, size_t n, size_t align)
{
	static const uint8_t zeros[8];
	size_t gap = (align - w->out.len % align) % align;

	if (w->failed || (gap && buf_append(&w->out, zeros, gap) < 0) ||
	    (n && buf_append(&w->out, data, n) < 0))
		w->failed = true;
}

void dbus_put_byte(struct dbus_writer *w, uint8_t v)
{
	put(w, &v, sizeof(v), 1);
}

void dbus_put_u32(struct dbus_writer *w, uint32_t v)
{
	put(w, &v, sizeof(v), 4);
}

void dbus_put_u64(struct dbus_writer *w, uint64_t v)
{
	put(w, &v, sizeof(v), 8);
}

void dbus_put_i32(struct dbus_writer *w, int32_t v)
{
	dbus_put_u32(w, (uint32_t)v);
}

void dbus_put_i64(struct dbus_writer *w, int64_t v)
{
	dbus_put_u64(w, (uint64_t)v);
}

void dbus_put_bool(struct dbus_writer *w, bool v)
{
	dbus_put_u32(w, v);
}

void dbus_put_double(struct dbus_writer *w, double v)
{
	put(w, &v, sizeof(v), 8);
}

void dbus_put_string(struct dbus_writer *w, const char *v)
{
	size_t n = v ? strlen(v) : 0;

	if (n >= DBUS_MESSAGE_BYTES_MAX) {
		w->failed = true;
		return;
	}
	dbus_put_u32(w, (uint32_t)n);
	put(w, v ? v : "", n + 1, 1);
}

void dbus_put_signature(struct dbus_writer *w, const char *v)
{
	size_t n = strlen(v);

	if (n > 255) {
		w->failed = true;
		return;
	}
	dbus_put_byte(w, (uint8_t)n);
	put(w, v, n + 1, 1);
}

static size_t alignment(char type)
{
	switch (type) {
	case 'y': case 'g': case 'v': return 1;
	case 'n': case 'q': return 2;
	case 'x': case 't': case 'd': case '(': case '{': return 8;
	default: return 4;
	}
}

/*
 * The length counts from the first element, behind the gap that aligns it. So begin has two
 * places to remember: they are at most four bytes apart, which fits into the low bits of one
 * number.
 */
size_t dbus_array_begin(struct dbus_writer *w, char type)
{
	size_t at;

	dbus_put_u32(w, 0);
	at = w->out.len - sizeof(uint32_t);
	put(w, NULL, 0, alignment(type));
	return w->failed ? 0 : at << 1 | (w->out.len - at > sizeof(uint32_t));
}

void dbus_array_end(struct dbus_writer *w, size_t begin)
{
	size_t at = begin >> 1, first = at + sizeof(uint32_t) + (begin & 1 ? sizeof(uint32_t) : 0);
	uint32_t len;

	if (w->failed)
		return;
	len = (uint32_t)(w->out.len - first);
	memcpy(w->out.data + at, &len, sizeof(len));
}

void dbus_put_bytes(struct dbus_writer *w, const uint8_t *v, size_t n)
{
	if (n >= DBUS_MESSAGE_BYTES_MAX) {
		w->failed = true;
		return;
	}
	dbus_put_u32(w, (uint32_t)n);
	put(w, v, n, 1);
}

void dbus_struct_begin(struct dbus_writer *w)
{
	put(w, NULL, 0, 8);
}

void dbus_variant_begin(struct dbus_writer *w, const char *signature)
{
	dbus_put_signature(w, signature);
}
