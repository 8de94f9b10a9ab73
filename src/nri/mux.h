/*
 * Several connections in one: frames of id (u32be), length (u32be) and that many bytes, at most
 * a ttrpc message. No I/O. Id 1 carries the calls of the daemon, 2 those of the plugin; what has
 * another id is nobody's and is dropped.
 *
 * The stub that most plugins are built with reads a frame into whatever buffer its reader has
 * left, and gives up when it is too small. So frames are cut as that reader reads: a message begins a
 * frame, the first has at most 4096 bytes, the second the rest.
 */
#pragma once

#include "base/base.h"

enum { NRI_MUX_HEAD = 8, NRI_MUX_DATA_MAX = (4 << 20) + 10, NRI_MUX_FIRST = 4096 };
enum { NRI_LANE_PLUGIN = 1, NRI_LANE_RUNTIME = 2 };

/* Zeroed it is ready. */
struct nri_mux {
	uint8_t head[NRI_MUX_HEAD];
	size_t n_head;
	uint32_t id, left;
};

/* A piece of some lane's bytes. */
struct nri_piece {
	uint32_t id;
	const uint8_t *data;
	size_t len;
};

/* Takes from *p: 1 and a piece (points into *p), 0 when all was taken, -EMSGSIZE for a frame that is
 * too long: the connection is worth nothing any more. */
int nri_mux_feed(struct nri_mux *m, const uint8_t **p, size_t *len, struct nri_piece *ret);

/* Moves whole ttrpc messages of a lane from `in` to `out` as frames, as far as out has room.
 * -EMSGSIZE when a message says that it is longer than one may be. */
int nri_mux_pack(uint32_t id, struct buf *in, struct buf *out);
