/*
 * ttrpc frames: bytes to frames and back. No I/O. Private to rpc.
 */
#pragma once

#include "base/base.h"
#include "rpc/ttrpc.h"

enum ttrpc_type { TTRPC_REQUEST = 1, TTRPC_RESPONSE = 2, TTRPC_DATA = 3 };
enum ttrpc_flag { TTRPC_REMOTE_CLOSED = 1, TTRPC_REMOTE_OPEN = 2, TTRPC_NO_DATA = 4 };
enum { TTRPC_HEAD = 10 };

struct ttrpc_frame {
	uint32_t len, stream;
	uint8_t type, flags;
	const uint8_t *data; /* NULL when len is over TTRPC_DATA_MAX: the bytes were dropped */
};

/*
 * Zeroed it is ready. Takes from *p what it needs: 1 and a whole frame, valid until the next
 * call, or 0 when more bytes are needed (all were taken).
 */
struct ttrpc_reader {
	uint8_t head[TTRPC_HEAD];
	size_t n_head;
	struct ttrpc_frame frame;
	uint8_t *data;
	size_t n_data;
};

int ttrpc_reader_feed(struct ttrpc_reader *r, const uint8_t **p, size_t *len, struct ttrpc_frame *ret);
void ttrpc_reader_done(struct ttrpc_reader *r);

/* Append one frame. LIMIT: larger than TTRPC_DATA_MAX; or out is full. */
int ttrpc_put_request(struct buf *out, uint32_t stream, const char *service, const char *method,
		      const void *payload, size_t len, int64_t timeout, struct err *err);
int ttrpc_put_response(struct buf *out, uint32_t stream, const void *payload, size_t len, struct err *err);
int ttrpc_put_status(struct buf *out, uint32_t stream, int code, const char *text);

/* What a response frame says: 0 and the payload (points into *keep, which the caller frees
 * by rpc_pb_free), or the peer's error. */
int ttrpc_read_response(const struct ttrpc_frame *frame, ProtobufCMessage **keep, const uint8_t **ret_data,
			size_t *ret_len, struct err *err);
