/*
 * Invariant of the reader: frame is valid once n_head is TTRPC_HEAD; then data holds n_data of
 * frame.len bytes, or is NULL while bytes of a frame that is too large are dropped.
 */
#include "rpc/ttrpc-frame.h"

#include "rpc/code.h"
#include "ttrpc.pb-c.h"

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

static size_t take(const uint8_t **p, size_t *len, void *to, size_t most)
{
	size_t n = *len < most ? *len : most;

	if (to && n)
		memcpy(to, *p, n);
	*p += n;
	*len -= n;
	return n;
}

int ttrpc_reader_feed(struct ttrpc_reader *r, const uint8_t **p, size_t *len, struct ttrpc_frame *ret)
{
	if (r->n_head == TTRPC_HEAD && r->n_data == r->frame.len) {
		/* the frame that was given out last */
		r->n_head = r->n_data = 0;
		free(take_ptr(&r->data));
	}
	if (r->n_head < TTRPC_HEAD) {
		r->n_head += take(p, len, r->head + r->n_head, TTRPC_HEAD - r->n_head);
		if (r->n_head < TTRPC_HEAD)
			return 0;
		r->frame = (struct ttrpc_frame){
			.len = get_u32(r->head), .stream = get_u32(r->head + 4),
			.type = r->head[8], .flags = r->head[9],
		};
		if (r->frame.len <= TTRPC_DATA_MAX)
			r->data = mem_new((size_t)r->frame.len + 1, 1);
	}
	r->n_data += take(p, len, r->data ? r->data + r->n_data : NULL, r->frame.len - r->n_data);
	if (r->n_data < r->frame.len)
		return 0;
	r->frame.data = r->data;
	*ret = r->frame;
	return 1;
}

void ttrpc_reader_done(struct ttrpc_reader *r)
{
	free(r->data);
	*r = (struct ttrpc_reader){ 0 };
}

static int put_frame(struct buf *out, uint32_t stream, enum ttrpc_type type, const ProtobufCMessage *message,
		     struct err *err)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t head[TTRPC_HEAD];

	if (len > TTRPC_DATA_MAX)
		return err_set(err, ERR_LIMIT, "a message of %zu bytes is larger than %d", len, TTRPC_DATA_MAX);
	if (buf_reserve(out, TTRPC_HEAD + len) < 0)
		return err_set(err, ERR_LIMIT, "the peer does not read: %zu bytes are waiting", out->len);
	put_u32(head, (uint32_t)len);
	put_u32(head + 4, stream);
	head[8] = (uint8_t)type;
	head[9] = 0;
	buf_append(out, head, sizeof(head));
	return rpc_pb_pack(message, out, err);
}

int ttrpc_put_request(struct buf *out, uint32_t stream, const char *service, const char *method,
		      const void *payload, size_t len, int64_t timeout, struct err *err)
{
	Ttrpc__Request req = TTRPC__REQUEST__INIT;

	req.service = (char *)service;
	req.method = (char *)method;
	req.payload.data = (uint8_t *)payload;
	req.payload.len = len;
	req.timeout_nano = timeout;
	return put_frame(out, stream, TTRPC_REQUEST, &req.base, err);
}

int ttrpc_put_response(struct buf *out, uint32_t stream, const void *payload, size_t len, struct err *err)
{
	Ttrpc__Response res = TTRPC__RESPONSE__INIT;

	res.payload.data = (uint8_t *)payload;
	res.payload.len = len;
	return put_frame(out, stream, TTRPC_RESPONSE, &res.base, err);
}

int ttrpc_put_status(struct buf *out, uint32_t stream, int code, const char *text)
{
	Ttrpc__Response res = TTRPC__RESPONSE__INIT;
	Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
	autofree char *message = mem_strdup(text);

	rpc_pb_clean_text(message);
	status.code = code;
	status.message = message;
	res.status = &status;
	return put_frame(out, stream, TTRPC_RESPONSE, &res.base, NULL);
}

int ttrpc_read_response(const struct ttrpc_frame *frame, ProtobufCMessage **keep, const uint8_t **ret_data,
			size_t *ret_len, struct err *err)
{
	ProtobufCMessage *message;
	const Ttrpc__Response *res;
	int r;

	if (!frame->data)
		return err_set(err, ERR_LIMIT, "a response of %u bytes is larger than %d", frame->len,
			       TTRPC_DATA_MAX);
	r = rpc_pb_unpack(&ttrpc__response__descriptor, frame->data, frame->len, &message, err);
	if (r < 0)
		return r;
	res = (const Ttrpc__Response *)message;
	if (res->status && res->status->code) {
		r = err_set(err, rpc_code_kind(res->status->code), "%s",
			    *res->status->message ? res->status->message : rpc_code_name(res->status->code));
		if (err)
			err_sanitize(err);
		rpc_pb_free(message);
		return r;
	}
	*keep = message;
	*ret_data = res->payload.data;
	*ret_len = res->payload.len;
	return 0;
}
