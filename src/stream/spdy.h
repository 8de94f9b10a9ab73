/*
 * SPDY/3.1, the server's side: frames, streams, header compression, windows. No I/O: bytes in by
 * spdy_feed, events by the handler, bytes out in the buffer that the caller gave.
 *
 * Only the client opens streams (that is all that Kubernetes does). A stream ends when both
 * sides have ended it, or by a reset; then its id means nothing any more and is ignored.
 *
 * Windows: a stream's and the session's are counted from the beginning, but hold us back only once
 * the client has sent a WINDOW_UPDATE or an initial window of its own: the clients of Kubernetes
 * send neither, and would wait for ever for byte 65,537.
 *
 * Hostile input. Control frames are bounded to SPDY_CONTROL_MAX bytes, a block of headers to
 * SPDY_HEADERS_MAX bytes and SPDY_HEADERS names once it is inflated, streams to SPDY_STREAMS_MAX.
 * Data is handed on as it comes. A violation of the protocol ends the session: -EPROTO.
 *
 * https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/
 */
#pragma once

#include "base/base.h"

enum {
	SPDY_CONTROL_MAX = 64 * 1024,
	SPDY_HEADERS_MAX = 16 * 1024,
	SPDY_HEADERS = 64,
	SPDY_STREAMS_MAX = 1024,
	SPDY_WINDOW = 64 * 1024,
};

enum spdy_status {
	SPDY_PROTOCOL_ERROR = 1, SPDY_INVALID_STREAM, SPDY_REFUSED_STREAM, SPDY_UNSUPPORTED_VERSION, SPDY_CANCEL,
	SPDY_INTERNAL_ERROR, SPDY_FLOW_CONTROL_ERROR, SPDY_STREAM_IN_USE, SPDY_STREAM_ALREADY_CLOSED,
};

struct spdy_header {
	char *name, *value;
};

/* None may free the session. */
struct spdy_handler {
	/* 0: the stream is accepted; else an enum spdy_status: it is refused. Headers are gone after. */
	int (*open)(uint32_t id, const struct spdy_header *headers, size_t n, void *user);
	void (*data)(uint32_t id, const uint8_t *data, size_t len, void *user);
	void (*end)(uint32_t id, void *user);   /* no more data from the client */
	void (*reset)(uint32_t id, void *user); /* the stream is gone */
};

struct spdy;

/* out is borrowed; what does not fit into it ends the session. */
struct spdy *spdy_new(struct buf *out, const struct spdy_handler *handler, void *user);
void spdy_free(struct spdy *s);
/* 0 or negative: nothing more can be done with it. */
int spdy_feed(struct spdy *s, const uint8_t *data, size_t len);
/* How much may be sent on the stream now; 0 too when it is ended or unknown. */
size_t spdy_room(const struct spdy *s, uint32_t id);
void spdy_send(struct spdy *s, uint32_t id, const uint8_t *data, size_t len);
void spdy_end(struct spdy *s, uint32_t id);
void spdy_reset(struct spdy *s, uint32_t id, enum spdy_status status);
/* So much of what `data` gave is out of memory: the client may send as much again. */
void spdy_consumed(struct spdy *s, uint32_t id, size_t len);
void spdy_goaway(struct spdy *s);

/* The compression of one direction, with SPDY/3's dictionary; also for tests. */
extern const uint8_t spdy_dictionary[];
extern const size_t spdy_dictionary_len;
