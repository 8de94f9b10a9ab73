/*
 * Status codes of gRPC and ttrpc: https://grpc.io/docs/guides/status-codes/
 *
 * Our own errors go out by err_kind_info(kind)->grpc; what comes in becomes a kind here.
 * Any thread, after clone too.
 */
#pragma once

#include "base/base.h"

enum rpc_code {
	RPC_OK = 0,
	RPC_CANCELLED = 1,
	RPC_UNKNOWN = 2,
	RPC_INVALID_ARGUMENT = 3,
	RPC_DEADLINE_EXCEEDED = 4,
	RPC_NOT_FOUND = 5,
	RPC_ALREADY_EXISTS = 6,
	RPC_PERMISSION_DENIED = 7,
	RPC_RESOURCE_EXHAUSTED = 8,
	RPC_FAILED_PRECONDITION = 9,
	RPC_ABORTED = 10,
	RPC_OUT_OF_RANGE = 11,
	RPC_UNIMPLEMENTED = 12,
	RPC_INTERNAL = 13,
	RPC_UNAVAILABLE = 14,
	RPC_DATA_LOSS = 15,
	RPC_UNAUTHENTICATED = 16,
	RPC_CODES
};

/* ERR_NONE for OK, ERR_INTERNAL for UNKNOWN and for numbers that are no code. */
enum err_kind rpc_code_kind(int64_t code);

/* "NOT_FOUND"; "UNKNOWN" for numbers that are no code. */
const char *rpc_code_name(int64_t code);
