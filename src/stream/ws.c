/*
 * wslay, with memory instead of a socket. Any one thread at a time.
 */
#include "stream/ws.h"

#include "base/base.h"

#include <wslay/wslay.h>

struct ws {
	struct buf *out;
	const struct ws_handler *handler;
	void *user;
	struct wslay_event_context *ctx;
	const uint8_t *in; /* of the running feed */
	size_t n_in;
	bool broken, control; /* control: the frame that is coming in is one */
};

static ssize_t on_recv(struct wslay_event_context *ctx, uint8_t *data, size_t len, int flags, void *user)
{
	struct ws *w = user;
	size_t n = len < w->n_in ? len : w->n_in;

	if (!n) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(data, w->in, n);
	w->in += n;
	w->n_in -= n;
	return (ssize_t)n;
}

static ssize_t on_send(struct wslay_event_context *ctx, const uint8_t *data, size_t len, int flags, void *user)
{
	struct ws *w = user;

	if (buf_append(w->out, data, len) < 0) {
		w->broken = true;
		wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
		return -1;
	}
	return (ssize_t)len;
}

static void on_frame_start(struct wslay_event_context *ctx,
			   const struct wslay_event_on_frame_recv_start_arg *arg, void *user)
{
	struct ws *w = user;

	w->control = arg->opcode & 8;
	if (arg->opcode == WSLAY_TEXT_FRAME || arg->opcode == WSLAY_BINARY_FRAME)
		w->handler->begin(w->user);
}

static void on_frame_chunk(struct wslay_event_context *ctx,
			   const struct wslay_event_on_frame_recv_chunk_arg *arg, void *user)
{
	struct ws *w = user;

	if (!w->control && arg->data_length)
		w->handler->data(arg->data, arg->data_length, w->user);
}

static void on_message(struct wslay_event_context *ctx, const struct wslay_event_on_msg_recv_arg *arg,
		       void *user)
{
	struct ws *w = user;

	if (!(arg->opcode & 8))
		w->handler->end(w->user);
}

struct ws *ws_new(struct buf *out, const struct ws_handler *handler, void *user)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_recv,
		.send_callback = on_send,
		.on_frame_recv_start_callback = on_frame_start,
		.on_frame_recv_chunk_callback = on_frame_chunk,
		.on_msg_recv_callback = on_message,
	};
	struct ws *w = mem_new(1, sizeof(*w));

	w->out = out;
	w->handler = handler;
	w->user = user;
	if (wslay_event_context_server_init(&w->ctx, &callbacks, w) != 0)
		abort(); /* no memory */
	wslay_event_config_set_no_buffering(w->ctx, 1);
	return w;
}

void ws_free(struct ws *w)
{
	if (!w)
		return;
	wslay_event_context_free(w->ctx);
	free(w);
}

static void flush(struct ws *w)
{
	if (!w->broken && wslay_event_send(w->ctx) != 0)
		w->broken = true;
}

int ws_feed(struct ws *w, const uint8_t *data, size_t len)
{
	if (w->broken)
		return -EPROTO;
	w->in = data;
	w->n_in = len;
	if (wslay_event_recv(w->ctx) != 0)
		w->broken = true;
	flush(w);
	/* after a close, and after what it answered with one */
	return w->broken || !wslay_event_get_read_enabled(w->ctx) ? -EPROTO : 0;
}

void ws_send(struct ws *w, const uint8_t *prefix, size_t n_prefix, const uint8_t *data, size_t len)
{
	autofree uint8_t *all = mem_new(1, n_prefix + len + 1);
	struct wslay_event_msg msg = { WSLAY_BINARY_FRAME, all, n_prefix + len };

	if (n_prefix)
		memcpy(all, prefix, n_prefix);
	if (len)
		memcpy(all + n_prefix, data, len);
	/* refused after the close: what is sent then is lost with the connection anyway */
	if (!w->broken && wslay_event_queue_msg(w->ctx, &msg) == 0)
		flush(w);
}

void ws_close(struct ws *w)
{
	if (!w->broken && wslay_event_queue_close(w->ctx, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0) == 0)
		flush(w);
}
