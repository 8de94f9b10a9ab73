/*
 * CRIU's messages as bytes, and the lines of its log that matter. Protocol buffers: each member is a number and a type, then a
 * varint or a length and that many bytes. Pure; replies are checked as if they were hostile.
 */
#include "runtime/criu.h"

#include <stdio.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* criu_req and criu_resp */
enum { REQ_TYPE = 1, REQ_OPTS = 2, REQ_NOTIFY_SUCCESS = 3 };
enum { RESP_TYPE = 1, RESP_SUCCESS = 2, RESP_RESTORE = 4, RESP_NOTIFY = 5, RESP_ERRMSG = 9 };
enum { RESTORE_PID = 1, NOTIFY_SCRIPT = 1, NOTIFY_PID = 2 };

static int put_varint(struct buf *b, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;

	do {
		bytes[n] = (uint8_t)(v & 0x7f);
		v >>= 7;
		bytes[n++] |= v ? 0x80 : 0;
	} while (v);
	return buf_append(b, bytes, n);
}

static int put_number(struct buf *b, unsigned field, uint64_t v)
{
	int r = put_varint(b, field << 3 | VARINT);

	return r < 0 ? r : put_varint(b, v);
}

static int put_bytes(struct buf *b, unsigned field, const void *data, size_t len)
{
	int r = put_varint(b, field << 3 | BYTES);

	if (r == 0)
		r = put_varint(b, len);
	return r < 0 ? r : buf_append(b, data, len);
}

static void remember(struct criu_opts *o, int r)
{
	if (r < 0)
		o->r = r;
}

void criu_put_int(struct criu_opts *o, enum criu_option which, uint64_t value)
{
	remember(o, put_number(&o->b, which, value));
}

void criu_put_flag(struct criu_opts *o, enum criu_option which, bool value)
{
	if (value)
		criu_put_int(o, which, 1);
}

void criu_put_text(struct criu_opts *o, enum criu_option which, const char *value)
{
	if (value)
		remember(o, put_bytes(&o->b, which, value, strlen(value)));
}

void criu_put_pair(struct criu_opts *o, enum criu_option which, const char *key, const char *value)
{
	CLEANUP(buf_done) struct buf m = BUF_INIT(o->b.max);
	int r = put_bytes(&m, 1, key, strlen(key));

	if (r == 0)
		r = put_bytes(&m, 2, value, strlen(value));
	remember(o, r < 0 ? r : put_bytes(&o->b, which, m.data, m.len));
}

void criu_put_pair_int(struct criu_opts *o, enum criu_option which, const char *key, uint64_t value)
{
	CLEANUP(buf_done) struct buf m = BUF_INIT(o->b.max);
	int r = put_bytes(&m, 1, key, strlen(key));

	if (r == 0)
		r = put_number(&m, 2, value);
	remember(o, r < 0 ? r : put_bytes(&o->b, which, m.data, m.len));
}

int criu_request(enum criu_type type, const struct criu_opts *opts, struct buf *out)
{
	int r = opts->r;

	if (r == 0)
		r = put_number(out, REQ_TYPE, type);
	return r < 0 ? r : put_bytes(out, REQ_OPTS, opts->b.data, opts->b.len);
}

int criu_request_go_on(struct buf *out)
{
	int r = put_number(out, REQ_TYPE, CRIU_NOTIFY);

	return r < 0 ? r : put_number(out, REQ_NOTIFY_SUCCESS, 1);
}

/* ---- reading ---- */

struct cursor {
	const uint8_t *at, *end;
};

struct member {
	unsigned field, type;
	uint64_t number;
	struct cursor bytes;
};

static int get_varint(struct cursor *c, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; c->at < c->end && shift < 70; shift += 7) {
		uint8_t byte = *c->at++;

		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = v;
			return 0;
		}
	}
	return -EINVAL;
}

/* 1 a member, 0 the end. */
static int next(struct cursor *c, struct member *m)
{
	uint64_t key, len;

	if (c->at == c->end)
		return 0;
	if (get_varint(c, &key) < 0 || key >> 3 == 0 || key >> 3 > 0x1fffffff)
		return -EINVAL;
	*m = (struct member){ .field = (unsigned)(key >> 3), .type = key & 7 };
	switch (m->type) {
	case VARINT: return get_varint(c, &m->number) < 0 ? -EINVAL : 1;
	case FIXED64: len = 8; break;
	case FIXED32: len = 4; break;
	case BYTES:
		if (get_varint(c, &len) < 0)
			return -EINVAL;
		break;
	default: return -EINVAL;
	}
	if (len > (size_t)(c->end - c->at))
		return -EINVAL;
	m->bytes = (struct cursor){ c->at, c->at + len };
	c->at += len;
	return 1;
}

static void copy_text(const struct member *m, char *out, size_t size)
{
	size_t n = (size_t)(m->bytes.end - m->bytes.at);

	if (m->type != BYTES)
		return;
	n = n < size ? n : size - 1;
	if (n)
		memcpy(out, m->bytes.at, n);
	out[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)out[i] < ' ' || (uint8_t)out[i] > '~')
			out[i] = '?';
}

static int read_restore(struct cursor c, struct criu_reply *ret)
{
	struct member m;
	int r;

	while ((r = next(&c, &m)) > 0)
		if (m.field == RESTORE_PID && m.type == VARINT)
			ret->pid = (int32_t)m.number;
	return r;
}

static int read_notify(struct cursor c, struct criu_reply *ret)
{
	struct member m;
	int r;

	while ((r = next(&c, &m)) > 0) {
		if (m.field == NOTIFY_SCRIPT)
			copy_text(&m, ret->script, sizeof(ret->script));
		if (m.field == NOTIFY_PID && m.type == VARINT)
			ret->pid = (int32_t)m.number;
	}
	return r;
}

int criu_reply_parse(const void *data, size_t len, struct criu_reply *ret)
{
	struct cursor c = { data, (const uint8_t *)data + len };
	struct member m;
	int r;

	memset(ret, 0, sizeof(*ret));
	while ((r = next(&c, &m)) > 0) {
		if (m.field == RESP_TYPE && m.type == VARINT)
			ret->type = (enum criu_type)(m.number & 0xff);
		else if (m.field == RESP_SUCCESS && m.type == VARINT)
			ret->success = m.number;
		else if (m.field == RESP_ERRMSG)
			copy_text(&m, ret->message, sizeof(ret->message));
		else if (m.field == RESP_RESTORE && m.type == BYTES)
			r = read_restore(m.bytes, ret);
		else if (m.field == RESP_NOTIFY && m.type == BYTES)
			r = read_notify(m.bytes, ret);
		if (r < 0)
			return r;
	}
	/* a failure may carry a pid of -1 */
	return r < 0 || (ret->success && ret->pid < 0) ? -EINVAL : 0;
}

void criu_complaints(const char *log, char *out, size_t size)
{
	enum { FIRST = 2, LAST = 2 };
	const char *lines[FIRST + LAST] = { NULL };
	size_t n = 0, len = 0;

	for (const char *p = log; (p = strstr(p, "Error (")) && strchr(p, '\n'); p = strchr(p, '\n')) {
		if (n == ARRAY_LEN(lines))
			memmove(lines + FIRST, lines + FIRST + 1, (LAST - 1) * sizeof(lines[0]));
		else
			n++;
		lines[n - 1] = p;
	}
	out[0] = '\0';
	for (size_t i = 0; i < n && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%.*s", i ? "; " : "",
					(int)strcspn(lines[i], "\n"), lines[i]);
	if (len >= size)
		memcpy(out + size - 4, "...", 4);
}
