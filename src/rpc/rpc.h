/*
 * rpc — gRPC and ttrpc over Unix sockets.
 *
 *	rpc/grpc.h    gRPC server on the event loop (CRI), blocking client (CLI, tests)
 *	rpc/ttrpc.h   ttrpc server and client on the event loop, blocking call (shim API)
 *	rpc/pb.h      protobuf messages from hostile bytes, under a memory bound
 *	rpc/code.h    status codes, the same in both
 *	rpc/sock.h    listening on and connecting to addresses
 *
 * Each protocol is a core that does no I/O (bytes in, calls and bytes out) and thin glue
 * that owns sockets and timers. A server knows tables of services and methods; a handler
 * gets a call and answers it now or hours later, on the loop thread:
 *
 *	static void version(struct grpc_call *call, const void *request, void *user)
 *	{
 *		const Runtime__V1__VersionRequest *req = request;
 *		Runtime__V1__VersionResponse res = RUNTIME__V1__VERSION_RESPONSE__INIT;
 *		...
 *		grpc_call_reply_pb(call, &res.base);
 *	}
 *
 *	static const struct grpc_method methods[] = {
 *		{ .name = "Version", .pb = version, .request = &runtime__v1__version_request__descriptor },
 *	};
 *	static const struct grpc_service services[] = {
 *		{ "runtime.v1.RuntimeService", methods, ARRAY_LEN(methods), NULL },
 *	};
 *
 * What blocks goes to a worker and answers from event_work's `done`. The call is there
 * until it was answered, even when its client is long gone: the answer is swallowed then.
 *
 * Two libraries: rpc_ttrpc_dep (ttrpc, for the small static shim) and rpc_grpc_dep (gRPC,
 * with nghttp2; contains the first). Generated messages: cri_proto_dep, shim_proto_dep.
 */
#pragma once

#include "rpc/code.h"
#include "rpc/grpc.h"
#include "rpc/pb.h"
#include "rpc/sock.h"
#include "rpc/ttrpc.h"
