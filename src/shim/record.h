/*
 * What the shim leaves on disk (shim.h): exit.json, init.pid, streams, shim.json. Written by the
 * shim, read by the daemon. All are replaced atomically and none is synced: they die with
 * the boot. Any thread.
 */
#pragma once

#include "shim/shim.h"

/* Of what is written; those of before had none. Higher: what an older program could not go on with. For
 * shim.json that is also the protocol that is spoken on the socket. */
enum { SHIM_EXIT_FORMAT = 1, SHIM_RECORD_FORMAT = 1 };

struct shim_record {
	int32_t format;
	char *address;
	int32_t pid;
	uint64_t start_ticks;
	char *boot_id;
};

int record_write_exit(const char *bundle, const struct shim_exit *e, struct err *err);
/* "pid start_ticks\n" */
int record_write_init(const char *bundle, pid_t pid, uint64_t ticks, struct err *err);
int record_write_streams(const char *bundle, const struct shim_stream_at at[SHIM_STREAMS], struct err *err);
int record_write_shim(const char *state_dir, const char *address, pid_t pid, struct err *err);
int record_read_shim(const char *state_dir, struct arena *a, struct shim_record *ret, struct err *err);

/* Where the runtime's records of the bundle's container are: written at create, read by the
 * delete command, which knows nothing but the bundle. */
int record_write_root(const char *bundle, const char *runtime_root, struct err *err);
int record_read_root(const char *bundle, struct arena *a, char **ret, struct err *err);
