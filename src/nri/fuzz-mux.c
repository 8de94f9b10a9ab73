/*
 * Bytes of a hostile plugin: the first says how they are cut into reads. What comes out must be
 * what went in, and what is packed must come out again.
 */
#include "nri/mux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void unpack(const uint8_t *data, size_t size, size_t step)
{
	struct nri_mux m = { 0 };
	struct nri_piece piece;
	size_t total = 0;

	for (size_t i = 0; i < size; i += step) {
		const uint8_t *p = data + i;
		size_t len = size - i < step ? size - i : step;

		for (;;) {
			int r = nri_mux_feed(&m, &p, &len, &piece);

			if (r < 0)
				return;
			if (r == 0)
				break;
			total += piece.len;
			assert(piece.len && piece.data + piece.len <= data + size);
		}
		assert(!len);
	}
	assert(total <= size);
}

static void pack(const uint8_t *data, size_t size)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	struct nri_mux m = { 0 };
	struct nri_piece piece;
	const uint8_t *p;
	size_t len, total = 0;

	if (buf_append(&in, data, size) < 0 || nri_mux_pack(7, &in, &out) < 0)
		return;
	p = out.data;
	len = out.len;
	while (nri_mux_feed(&m, &p, &len, &piece) > 0) {
		assert(piece.id == 7 && memcmp(piece.data, data + total, piece.len) == 0);
		total += piece.len;
	}
	assert(total + in.len == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	unpack(data + 1, size - 1, (size_t)data[0] % 32 + 1);
	pack(data + 1, size - 1);
	return 0;
}
