/*
 * Protobuf messages from bytes that somebody else wrote.
 *
 * protobuf-c needs about a hundred bytes for each two-byte empty message, so a small request
 * can ask for a lot of memory: unpacking is bounded by RPC_PB_MEMORY_MAX plus the length of the
 * input. Strings are checked as proto3 demands (UTF-8) and must hold no NUL, so that what
 * was checked is what C sees. Any thread.
 */
#pragma once

#include "base/base.h"

#include <protobuf-c/protobuf-c.h>

enum { RPC_PB_MEMORY_MAX = 64 << 20 };

/* INVALID: no such message; LIMIT: over the memory bound. */
int rpc_pb_unpack(const ProtobufCMessageDescriptor *type, const void *data, size_t len,
		  ProtobufCMessage **ret, struct err *err);
/* Takes NULL. For what rpc_pb_unpack returned only: a message is one piece, so nothing in it may be freed,
 * or put in by malloc. */
void rpc_pb_free(ProtobufCMessage *message);

static inline void rpc_pb_free_ptr(void *pp)
{
	rpc_pb_free(*(ProtobufCMessage **)pp);
}

/* Makes text what a protobuf string must be: each byte that is not part of UTF-8 becomes '?'. A
 * reader in another language would refuse the whole message, the error that it carries included. */
void rpc_pb_clean_text(char *text);

/* Appends the packed message. */
int rpc_pb_pack(const ProtobufCMessage *message, struct buf *out, struct err *err);
