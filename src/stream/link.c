/*
 * The common face of both transports. Loop thread, or any one thread at a time.
 */
#include "stream/link.h"

#include "stream/ws.h"

/* Beyond STREAM_HIGH only what answers the client's own frames is appended. */
enum { OUT_MAX = 4 * 1024 * 1024, CLOSE_CHANNEL = 255 };

struct link {
	enum link_kind kind;
	bool half_close;
	const struct link_handler *handler;
	void *user;
	struct buf out;
	struct ws *ws;
	struct spdy *spdy;
	struct buf inner;   /* tunnel: SPDY's bytes on their way into messages */
	bool inner_broken;
	unsigned n_message; /* bytes of the message so far, at most 2 */
	uint8_t channel;
};

/* ---- WebSocket messages ---- */

static void on_message_begin(void *user)
{
	struct link *l = user;

	l->n_message = 0;
}

static void on_channel_data(struct link *l, const uint8_t *data, size_t len)
{
	if (!l->n_message) {
		l->channel = *data++;
		l->n_message = 1;
		len--;
	}
	if (!len)
		return;
	if (!l->half_close || l->channel != CLOSE_CHANNEL) {
		l->handler->data(l->channel, data, len, l->user);
		return;
	}
	if (l->n_message == 1)
		l->handler->end(data[0], l->user);
	l->n_message = 2;
}

static void on_message_data(const uint8_t *data, size_t len, void *user)
{
	struct link *l = user;

	if (l->kind == LINK_WS)
		on_channel_data(l, data, len);
	else if (!l->inner_broken)
		l->inner_broken = spdy_feed(l->spdy, data, len) < 0;
}

static void on_message_end(void *user)
{
}

/* ---- SPDY's events, with our user ---- */

static int on_open(uint32_t id, const struct spdy_header *headers, size_t n, void *user)
{
	struct link *l = user;

	return l->handler->open(id, headers, n, l->user);
}

static void on_data(uint32_t id, const uint8_t *data, size_t len, void *user)
{
	struct link *l = user;

	l->handler->data(id, data, len, l->user);
}

static void on_end(uint32_t id, void *user)
{
	struct link *l = user;

	l->handler->end(id, l->user);
}

static void on_reset(uint32_t id, void *user)
{
	struct link *l = user;

	l->handler->reset(id, l->user);
}

struct link *link_new(enum link_kind kind, bool half_close, const struct link_handler *handler, void *user)
{
	static const struct ws_handler ws_handler = { on_message_begin, on_message_data, on_message_end };
	static const struct spdy_handler spdy_handler = { on_open, on_data, on_end, on_reset };
	struct link *l = mem_new(1, sizeof(*l));

	l->kind = kind;
	l->half_close = half_close;
	l->handler = handler;
	l->user = user;
	l->out = (struct buf)BUF_INIT(OUT_MAX);
	l->inner = (struct buf)BUF_INIT(OUT_MAX);
	if (kind != LINK_SPDY)
		l->ws = ws_new(&l->out, &ws_handler, l);
	if (kind != LINK_WS)
		l->spdy = spdy_new(kind == LINK_SPDY ? &l->out : &l->inner, &spdy_handler, l);
	return l;
}

void link_free(struct link *l)
{
	if (!l)
		return;
	ws_free(l->ws);
	spdy_free(l->spdy);
	buf_done(&l->out);
	buf_done(&l->inner);
	free(l);
}

static void wrap_inner(struct link *l)
{
	if (l->inner.len) {
		ws_send(l->ws, NULL, 0, l->inner.data, l->inner.len);
		buf_done(&l->inner);
	}
}

int link_feed(struct link *l, const uint8_t *data, size_t len)
{
	int r = l->ws ? ws_feed(l->ws, data, len) : spdy_feed(l->spdy, data, len);

	wrap_inner(l);
	return l->inner_broken ? -EPROTO : r;
}

struct buf *link_out(struct link *l)
{
	return &l->out;
}

size_t link_room(const struct link *l, uint32_t ch)
{
	return l->spdy ? spdy_room(l->spdy, ch) : SIZE_MAX;
}

void link_send(struct link *l, uint32_t ch, const void *data, size_t len)
{
	uint8_t prefix = (uint8_t)ch;

	if (l->spdy)
		spdy_send(l->spdy, ch, data, len);
	else
		ws_send(l->ws, &prefix, 1, data, len);
	wrap_inner(l);
}

void link_end(struct link *l, uint32_t ch)
{
	if (l->spdy)
		spdy_end(l->spdy, ch);
	wrap_inner(l);
}

void link_reset(struct link *l, uint32_t ch)
{
	if (l->spdy)
		spdy_reset(l->spdy, ch, SPDY_CANCEL);
	wrap_inner(l);
}

void link_consumed(struct link *l, uint32_t ch, size_t len)
{
	if (l->spdy)
		spdy_consumed(l->spdy, ch, len);
	wrap_inner(l);
}

void link_close(struct link *l)
{
	if (l->spdy)
		spdy_goaway(l->spdy);
	wrap_inner(l);
	if (l->ws)
		ws_close(l->ws);
}
