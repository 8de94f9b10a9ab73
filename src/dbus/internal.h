/*
 * The connection, shared by connect.c (until it can be used) and call.c (from then on).
 */
#pragma once

#include "dbus/dbus.h"

struct dbus {
	int fd;              /* non-blocking */
	enum dbus_kind kind;
	uint32_t serial;     /* of the last call */
	struct buf in;       /* what was read and is no whole message yet */
	bool broken;         /* half a message was sent or the peer went away: nothing more works */
	char error_name[256];
	const char *watch_interface, *watch_member;
	struct dbus_message *signals; /* a ring, oldest first */
	size_t n_signals;
};

/* All of it, or TIMEOUT, UNAVAILABLE. */
int dbus_send(struct dbus *bus, const void *data, size_t len, int64_t deadline, struct err *err);
/* At least one byte more in bus->in. */
int dbus_receive(struct dbus *bus, int64_t deadline, struct err *err);
