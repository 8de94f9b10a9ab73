/*
 * What SPDY and WebSocket have in common: numbered channels of bytes over one connection. No
 * I/O. With SPDY a channel is a stream, and its number the stream's id; with WebSocket it is the
 * first byte of each message. A tunnel is SPDY inside WebSocket messages.
 *
 * Bytes for the client are appended to link->out. Inside stream.
 */
#pragma once

#include "stream/spdy.h"

enum link_kind { LINK_SPDY, LINK_WS, LINK_TUNNEL };

/* As struct spdy_handler. WebSocket opens nothing and resets nothing; any channel number below
 * 256 may come. */
struct link_handler {
	int (*open)(uint32_t ch, const struct spdy_header *headers, size_t n, void *user);
	void (*data)(uint32_t ch, const uint8_t *data, size_t len, void *user);
	void (*end)(uint32_t ch, void *user);
	void (*reset)(uint32_t ch, void *user);
};

struct link;

/* half_close: the client says that a channel has ended by a message 255, channel (v5). */
struct link *link_new(enum link_kind kind, bool half_close, const struct link_handler *handler, void *user);
void link_free(struct link *l);
int link_feed(struct link *l, const uint8_t *data, size_t len);
struct buf *link_out(struct link *l);
size_t link_room(const struct link *l, uint32_t ch);
void link_send(struct link *l, uint32_t ch, const void *data, size_t len);
/* Nothing more on this channel. Without effect with WebSocket, which cannot say it. */
void link_end(struct link *l, uint32_t ch);
void link_reset(struct link *l, uint32_t ch);
void link_consumed(struct link *l, uint32_t ch, size_t len);
/* No channel sends any more. */
void link_close(struct link *l);
