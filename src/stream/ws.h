/*
 * WebSocket, the server's side, on top of wslay: messages in pieces as they arrive, pings and the
 * closing handshake answered. No I/O: bytes in by ws_feed, bytes out in the caller's buffer.
 * Messages may have any length, since none is ever held. Masking, UTF-8 and framing are checked
 * by wslay; a violation ends the connection.
 * https://www.rfc-editor.org/rfc/rfc6455
 */
#pragma once

#include "base/buf.h"

enum { WS_ACCEPT_LEN = 28 };

/* What Sec-WebSocket-Accept says to a key: 0, or -EINVAL when it is none. */
int ws_accept(const char *key, char out[WS_ACCEPT_LEN + 1]);

/* A message is begin, any number of data, end. None may free the connection. */
struct ws_handler {
	void (*begin)(void *user);
	void (*data)(const uint8_t *data, size_t len, void *user);
	void (*end)(void *user);
};

struct ws;

/* out is borrowed; what does not fit ends the connection. */
struct ws *ws_new(struct buf *out, const struct ws_handler *handler, void *user);
void ws_free(struct ws *w);
/* 0 or negative: it is over, closed by the client or broken. */
int ws_feed(struct ws *w, const uint8_t *data, size_t len);
/* One binary message: `prefix` (0 or 1 byte), then data. */
void ws_send(struct ws *w, const uint8_t *prefix, size_t n_prefix, const uint8_t *data, size_t len);
/* The closing handshake, normal closure. */
void ws_close(struct ws *w);
