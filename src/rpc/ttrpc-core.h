/*
 * One connection of a ttrpc server, without its socket. Private to rpc.
 *
 *	ttrpc_conn_feed    bytes that came in; handlers run from inside
 *	conn.out           bytes to go out, appended here and taken by the glue
 *	ttrpc_conn_expire  at ttrpc_conn_deadline
 *	ttrpc_conn_done    the peer is gone: open calls are cancelled and live on unattached
 */
#pragma once

#include "rpc/out.h"
#include "rpc/ttrpc-frame.h"

enum { TTRPC_CALLS_MAX = 4096, TTRPC_OUT_MAX = 16 << 20 };

struct ttrpc_conn {
	const struct ttrpc_service *services;
	size_t n_services;
	struct ttrpc_reader reader;
	struct rpc_out out;
	struct list calls;
	size_t n_calls;
	uint32_t last_stream;
	bool broken;              /* the peer let answers pile up: to be closed */
	event_fn on_change;       /* out, broken or the deadline changed, perhaps inside feed */
	void *user;
};

void ttrpc_conn_init(struct ttrpc_conn *c, const struct ttrpc_service *services, size_t n_services,
		     event_fn on_change, void *user);
void ttrpc_conn_feed(struct ttrpc_conn *c, const uint8_t *data, size_t len, int64_t now);
void ttrpc_conn_expire(struct ttrpc_conn *c, int64_t now);
int64_t ttrpc_conn_deadline(const struct ttrpc_conn *c);
void ttrpc_conn_done(struct ttrpc_conn *c);
