/*
 * Bytes from a peer: a header, and then a body read both as it says itself and as a caller
 * might expect it.
 */
#include "dbus/dbus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(dbus_message_done) struct dbus_message m = DBUS_MESSAGE_INIT;
	struct dbus_reader r;

	if (dbus_message_length(data, size) <= 0 || buf_append(&m.bytes, data, size) < 0 ||
	    dbus_message_parse(&m) < 0)
		return 0;
	assert(strlen(m.path) + strlen(m.interface) + strlen(m.member) + strlen(m.signature) <= size);
	dbus_reader_init(&r, &m);
	while (*r.signature && !dbus_reader_failed(&r))
		dbus_skip(&r);
	assert(r.failed || r.at <= size);
	dbus_reader_init(&r, &m);
	dbus_get_u32(&r);
	assert(strlen(dbus_get_string(&r)) <= size);
	assert(strlen(dbus_get_string(&r)) <= size);
	if (dbus_get_variant(&r, "s"))
		assert(strlen(dbus_get_string(&r)) <= size);
	return 0;
}
