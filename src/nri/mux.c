/*
 * Frames of the multiplexed connection, see the header.
 */
#include "nri/mux.h"

enum { MESSAGE_HEAD = 10 }; /* of ttrpc: it begins with the length of what follows */

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

int nri_mux_feed(struct nri_mux *m, const uint8_t **p, size_t *len, struct nri_piece *ret)
{
	size_t n;

	for (;;) {
		if (m->left && *len) {
			n = *len < m->left ? *len : m->left;
			*ret = (struct nri_piece){ m->id, *p, n };
			*p += n;
			*len -= n;
			m->left -= (uint32_t)n;
			return 1;
		}
		if (!*len)
			return 0;
		n = NRI_MUX_HEAD - m->n_head;
		if (n > *len)
			n = *len;
		memcpy(m->head + m->n_head, *p, n);
		m->n_head += n;
		*p += n;
		*len -= n;
		if (m->n_head < NRI_MUX_HEAD)
			return 0;
		m->n_head = 0;
		m->id = get_u32(m->head);
		m->left = get_u32(m->head + 4);
		if (m->left > NRI_MUX_DATA_MAX)
			return -EMSGSIZE;
	}
}

static void put_frame(struct buf *out, uint32_t id, const uint8_t *data, size_t len)
{
	uint8_t head[NRI_MUX_HEAD];

	put_u32(head, id);
	put_u32(head + 4, (uint32_t)len);
	buf_append(out, head, sizeof(head));
	buf_append(out, data, len);
}

int nri_mux_pack(uint32_t id, struct buf *in, struct buf *out)
{
	size_t at = 0;
	int r = 0;

	while (in->len - at >= MESSAGE_HEAD) {
		const uint8_t *message = in->data + at;
		size_t len = (size_t)get_u32(message) + MESSAGE_HEAD, first;

		if (len > NRI_MUX_DATA_MAX) {
			r = -EMSGSIZE;
			break;
		}
		if (in->len - at < len || out->max - out->len < len + 2 * NRI_MUX_HEAD)
			break;
		first = len < NRI_MUX_FIRST ? len : NRI_MUX_FIRST;
		put_frame(out, id, message, first);
		if (len > first)
			put_frame(out, id, message + first, len - first);
		at += len;
	}
	buf_consume(in, at);
	return r;
}
