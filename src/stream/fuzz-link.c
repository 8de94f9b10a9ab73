/*
 * Bytes of a hostile client to each transport: the first byte says which and how the rest is cut into
 * reads. What comes in is held for a while, then consumed and sent back.
 */
#include "stream/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct echo {
	struct link *link;
	uint32_t held_ch;
	size_t held;
	unsigned count;
};

static int on_open(uint32_t ch, const struct spdy_header *headers, size_t n, void *user)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(headers[i].name, "refuse"))
			return SPDY_REFUSED_STREAM;
	return 0;
}

static void on_data(uint32_t ch, const uint8_t *data, size_t len, void *user)
{
	struct echo *e = user;
	size_t room = link_room(e->link, ch);

	if (e->held_ch == ch) {
		link_consumed(e->link, ch, e->held);
		e->held = 0;
	}
	if (e->held || ++e->count % 3)
		link_consumed(e->link, ch, len);
	else
		e->held_ch = ch, e->held = len;
	link_send(e->link, ch, data, len < room ? len : room);
	if (e->count % 5 == 0)
		link_end(e->link, ch);
	if (e->count % 7 == 0)
		link_reset(e->link, ch);
}

static void on_end(uint32_t ch, void *user)
{
	struct echo *e = user;

	link_end(e->link, ch);
}

static void on_reset(uint32_t ch, void *user)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct link_handler handler = { on_open, on_data, on_end, on_reset };
	struct echo e = { 0 };
	size_t step;

	if (!size)
		return 0;
	e.link = link_new((enum link_kind)(data[0] % 3), data[0] & 4, &handler, &e);
	step = (size_t)(data[0] >> 3) * 3 + 1;
	data++;
	size--;
	for (size_t i = 0; i < size; i += step) {
		if (link_feed(e.link, data + i, size - i < step ? size - i : step) < 0)
			break;
		link_out(e.link)->len = 0;
	}
	link_close(e.link);
	link_free(e.link);
	return 0;
}
