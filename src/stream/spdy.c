/*
 * Frames and streams. Any one thread at a time.
 *
 * Invariants. A stream is in the list from its SYN_STREAM until both sides have ended it or one
 * has reset it. `held` counts data given to the handler and not yet consumed; when a stream is gone
 * before its data was consumed, the session's share is given back then.
 */
#include "stream/spdy.h"

#include "stream/spdy-headers.h"

enum frame_type {
	SYN_STREAM = 1, SYN_REPLY = 2, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, HEADERS = 8,
	WINDOW_UPDATE = 9, FRAME_TYPES,
};

enum { FLAG_FIN = 1, SETTINGS_INITIAL_WINDOW = 7, HEAD = 8, DATA_FRAME_MAX = 16 * 1024 };

static const int64_t WINDOW_MAX = INT64_C(0x7fffffff);

struct stream {
	struct list link;
	uint32_t id;
	bool ended, peer_ended; /* our half, the client's half */
	int64_t window;         /* what may be sent */
	size_t held, credit;    /* not yet consumed; consumed, not yet told */
};

struct spdy {
	struct buf *out;
	const struct spdy_handler *handler;
	void *user;
	struct spdy_zlib zlib;
	struct list streams;
	size_t n_streams;
	uint32_t last_id;
	bool broken, windows;    /* windows: the client knows them */
	int64_t window, initial_window;
	size_t credit;

	uint8_t head[HEAD];      /* of the frame that is coming in */
	size_t n_head;
	struct buf body;         /* of a control frame */
	uint32_t data_left;      /* of a data frame */
};

struct spdy *spdy_new(struct buf *out, const struct spdy_handler *handler, void *user)
{
	struct spdy *s = mem_new(1, sizeof(*s));

	s->out = out;
	s->handler = handler;
	s->user = user;
	s->window = s->initial_window = SPDY_WINDOW;
	s->body = (struct buf)BUF_INIT(SPDY_CONTROL_MAX);
	list_init(&s->streams);
	spdy_zlib_init(&s->zlib);
	return s;
}

void spdy_free(struct spdy *s)
{
	if (!s)
		return;
	list_for_each(st, &s->streams, struct stream, link)
		free(st);
	spdy_zlib_done(&s->zlib);
	buf_done(&s->body);
	free(s);
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static struct stream *find(const struct spdy *s, uint32_t id)
{
	list_for_each(st, &s->streams, struct stream, link)
		if (st->id == id)
			return st;
	return NULL;
}

/* ---- out ---- */

static void put(struct spdy *s, const void *data, size_t len)
{
	if (!s->broken && buf_append(s->out, data, len) < 0)
		s->broken = true;
}

static void put_control(struct spdy *s, enum frame_type type, const uint8_t *body, size_t len)
{
	uint8_t head[HEAD] = { 0x80, 3, 0, (uint8_t)type };

	put_u32(head + 4, (uint32_t)len);
	put(s, head, sizeof(head));
	put(s, body, len);
}

static void put_pair(struct spdy *s, enum frame_type type, uint32_t a, uint32_t b)
{
	uint8_t body[8];

	put_u32(body, a);
	put_u32(body + 4, b);
	put_control(s, type, body, sizeof(body));
}

static void put_reply(struct spdy *s, uint32_t id)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(256);
	uint8_t raw[4];

	put_u32(raw, id);
	buf_append(&body, raw, sizeof(raw));
	spdy_headers_put_none(&s->zlib, &body);
	put_control(s, SYN_REPLY, body.data, body.len);
}

static void put_data(struct spdy *s, uint32_t id, uint8_t flags, const uint8_t *data, size_t len)
{
	uint8_t head[HEAD];

	put_u32(head, id);
	put_u32(head + 4, (uint32_t)flags << 24 | (uint32_t)len);
	put(s, head, sizeof(head));
	put(s, data, len);
}

/* Small steps would cost a frame each: half a window is told at once. */
static void session_credit(struct spdy *s, size_t len)
{
	s->credit += len;
	if (s->credit >= SPDY_WINDOW / 2) {
		put_pair(s, WINDOW_UPDATE, 0, (uint32_t)s->credit);
		s->credit = 0;
	}
}

static void drop(struct spdy *s, struct stream *st)
{
	session_credit(s, st->held);
	list_remove(&st->link);
	s->n_streams--;
	free(st);
}

static void drop_if_over(struct spdy *s, struct stream *st)
{
	/* data that nobody consumed yet is still counted on it */
	if (st->ended && st->peer_ended && !st->held)
		drop(s, st);
}

size_t spdy_room(const struct spdy *s, uint32_t id)
{
	const struct stream *st = find(s, id);
	int64_t room;

	if (!st || st->ended || s->broken)
		return 0;
	if (!s->windows)
		return SIZE_MAX;
	room = st->window < s->window ? st->window : s->window;
	return room > 0 ? (size_t)room : 0;
}

void spdy_send(struct spdy *s, uint32_t id, const uint8_t *data, size_t len)
{
	struct stream *st = find(s, id);

	if (!st || st->ended)
		return;
	st->window -= (int64_t)len;
	s->window -= (int64_t)len;
	while (len) {
		size_t n = len < DATA_FRAME_MAX ? len : DATA_FRAME_MAX;

		put_data(s, id, 0, data, n);
		data += n;
		len -= n;
	}
}

void spdy_end(struct spdy *s, uint32_t id)
{
	struct stream *st = find(s, id);

	if (!st || st->ended)
		return;
	put_data(s, id, FLAG_FIN, NULL, 0);
	st->ended = true;
	drop_if_over(s, st);
}

void spdy_reset(struct spdy *s, uint32_t id, enum spdy_status status)
{
	struct stream *st = find(s, id);

	if (!st)
		return;
	put_pair(s, RST_STREAM, id, status);
	drop(s, st);
}

void spdy_consumed(struct spdy *s, uint32_t id, size_t len)
{
	struct stream *st = find(s, id);

	if (!st)
		return; /* was given back when the stream went */
	assert(len <= st->held);
	st->held -= len;
	session_credit(s, len);
	st->credit += len;
	if (st->credit >= SPDY_WINDOW / 2 && !st->peer_ended) {
		put_pair(s, WINDOW_UPDATE, id, (uint32_t)st->credit);
		st->credit = 0;
	}
	drop_if_over(s, st);
}

void spdy_goaway(struct spdy *s)
{
	put_pair(s, GOAWAY, s->last_id, 0);
}

/* ---- in ---- */

static void peer_end(struct spdy *s, uint32_t id)
{
	struct stream *st = find(s, id);

	if (!st || st->peer_ended)
		return;
	st->peer_ended = true;
	s->handler->end(id, s->user);
	st = find(s, id);
	if (st)
		drop_if_over(s, st);
}

static int on_syn_stream(struct spdy *s, uint8_t flags, const uint8_t *body, size_t len)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct spdy_header headers[SPDY_HEADERS];
	struct stream *st;
	uint32_t id;
	size_t n;
	int status;

	if (len < 10 || spdy_headers_read(&s->zlib, body + 10, len - 10, &a, headers, &n) < 0)
		return -EPROTO;
	id = get_u32(body) & 0x7fffffff;
	if (!(id & 1) || id <= s->last_id)
		return -EPROTO;
	s->last_id = id;
	if (s->n_streams == SPDY_STREAMS_MAX) {
		put_pair(s, RST_STREAM, id, SPDY_REFUSED_STREAM);
		return 0;
	}
	st = mem_new(1, sizeof(*st));
	st->id = id;
	st->window = s->initial_window;
	list_append(&s->streams, &st->link);
	s->n_streams++;
	/* before the handler, which may send on it at once; a refused one is reset after */
	put_reply(s, id);
	status = s->handler->open(id, headers, n, s->user);
	if (status)
		spdy_reset(s, id, (enum spdy_status)status);
	else if (flags & FLAG_FIN)
		peer_end(s, id);
	return 0;
}

/* Also SYN_REPLY, which answers nothing of ours: only for the sake of the compression. */
static int on_headers(struct spdy *s, uint8_t flags, const uint8_t *body, size_t len)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct spdy_header headers[SPDY_HEADERS];
	size_t n;

	if (len < 4 || spdy_headers_read(&s->zlib, body + 4, len - 4, &a, headers, &n) < 0)
		return -EPROTO;
	if (flags & FLAG_FIN)
		peer_end(s, get_u32(body) & 0x7fffffff);
	return 0;
}

static int on_rst_stream(struct spdy *s, uint8_t flags, const uint8_t *body, size_t len)
{
	uint32_t id;
	struct stream *st;

	if (len != 8)
		return -EPROTO;
	id = get_u32(body) & 0x7fffffff;
	st = find(s, id);
	if (st) {
		drop(s, st);
		s->handler->reset(id, s->user);
	}
	return 0;
}

static int on_settings(struct spdy *s, uint8_t flags, const uint8_t *body, size_t len)
{
	uint32_t n;

	if (len < 4)
		return -EPROTO;
	n = get_u32(body);
	if (n > SPDY_CONTROL_MAX / 8 || len != 4 + (size_t)n * 8)
		return -EPROTO;
	for (body += 4; n; n--, body += 8) {
		int64_t value = get_u32(body + 4);

		if ((get_u32(body) & 0xffffff) != SETTINGS_INITIAL_WINDOW)
			continue;
		if (value > WINDOW_MAX)
			return -EPROTO;
		list_for_each(st, &s->streams, struct stream, link)
			st->window += value - s->initial_window;
		s->initial_window = value;
		s->windows = true;
	}
	return 0;
}

static int on_ping(struct spdy *s, uint8_t flags, const uint8_t *body, size_t len)
{
	if (len != 4)
		return -EPROTO;
	if (body[3] & 1) /* odd: the client's own; even would answer one that we never send */
		put_control(s, PING, body, len);
	return 0;
}

static int on_goaway(struct spdy *s, uint8_t flags, const uint8_t *body, size_t len)
{
	return len == 8 ? 0 : -EPROTO; /* it closes the connection as well */
}

static int on_window_update(struct spdy *s, uint8_t flags, const uint8_t *body, size_t len)
{
	struct stream *st;
	uint32_t id, delta;

	if (len != 8)
		return -EPROTO;
	id = get_u32(body) & 0x7fffffff;
	delta = get_u32(body + 4) & 0x7fffffff;
	s->windows = true;
	if (!id) {
		s->window += delta;
		return s->window > WINDOW_MAX ? -EPROTO : 0;
	}
	st = find(s, id);
	if (!st)
		return 0;
	st->window += delta;
	if (st->window > WINDOW_MAX) {
		spdy_reset(s, id, SPDY_FLOW_CONTROL_ERROR);
		s->handler->reset(id, s->user);
	}
	return 0;
}

typedef int (*frame_fn)(struct spdy *s, uint8_t flags, const uint8_t *body, size_t len);

/* A type that is not here is ignored, as the specification wants it. */
static const frame_fn frames[FRAME_TYPES] = {
	[SYN_STREAM] = on_syn_stream, [SYN_REPLY] = on_headers, [RST_STREAM] = on_rst_stream,
	[SETTINGS] = on_settings, [PING] = on_ping, [GOAWAY] = on_goaway, [HEADERS] = on_headers,
	[WINDOW_UPDATE] = on_window_update,
};

static void give_data(struct spdy *s, uint32_t id, const uint8_t *data, size_t len)
{
	struct stream *st = find(s, id);

	if (!st || st->peer_ended) {
		session_credit(s, len);
		return;
	}
	st->held += len;
	s->handler->data(id, data, len, s->user);
}

/* The head is complete: how much of the body is to come. */
static int begin_frame(struct spdy *s)
{
	uint32_t len = get_u32(s->head + 4) & 0xffffff;

	if (!(s->head[0] & 0x80)) {
		s->data_left = len;
		return 0;
	}
	if (s->head[0] != 0x80 || s->head[1] != 3 || len > SPDY_CONTROL_MAX)
		return -EPROTO;
	return 0;
}

/* As much of the frame as there is: bytes taken, or negative. */
static ssize_t take_body(struct spdy *s, const uint8_t *data, size_t len)
{
	uint32_t id = get_u32(s->head) & 0x7fffffff, size = get_u32(s->head + 4) & 0xffffff;
	uint8_t flags = s->head[4];
	unsigned type = s->head[3] | (unsigned)s->head[2] << 8;
	size_t n;
	int r = 0;

	if (!(s->head[0] & 0x80)) {
		n = len < s->data_left ? len : s->data_left;
		s->data_left -= (uint32_t)n;
		if (n)
			give_data(s, id, data, n);
		if (s->data_left)
			return (ssize_t)n;
		s->n_head = 0;
		if (flags & FLAG_FIN)
			peer_end(s, id);
		return (ssize_t)n;
	}
	n = size - s->body.len < len ? size - s->body.len : len;
	if (n)
		buf_append(&s->body, data, n);
	if (s->body.len < size)
		return (ssize_t)n;
	s->n_head = 0;
	if (type < FRAME_TYPES && frames[type])
		r = frames[type](s, flags, s->body.data, s->body.len);
	s->body.len = 0;
	return r < 0 ? r : (ssize_t)n;
}

int spdy_feed(struct spdy *s, const uint8_t *data, size_t len)
{
	while (!s->broken) {
		ssize_t n;

		while (len && s->n_head < HEAD) {
			s->head[s->n_head++] = *data++;
			len--;
			if (s->n_head == HEAD && begin_frame(s) < 0)
				s->broken = true;
		}
		if (s->broken || s->n_head < HEAD)
			break;
		n = take_body(s, data, len);
		if (n < 0) {
			s->broken = true;
			break;
		}
		data += n;
		len -= (size_t)n;
		/* an incomplete frame has taken all; an empty one takes nothing, and is complete */
		if (!len)
			break;
	}
	return s->broken ? -EPROTO : 0;
}
