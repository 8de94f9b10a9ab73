/*
 * caisson — the command line for people. One file a group of commands; each command is a row
 * of a table in main.c and gets its own arguments. Everything asks a CRI socket, so most of it
 * works with any CRI daemon; what needs ours says so.
 *
 * Exit status: 0; 1 with one line on stderr; the process's own for run and exec.
 */
#pragma once

#include "base/base.h"
#include "caisson.pb-c.h"
#include "cli/cli.h"
#include "cri.pb-c.h"
#include "rpc/rpc.h"

struct client {
	struct grpc_client *grpc;
	const char *address;
};

/* A CRI call; *ret by rpc_pb_free. method: "RuntimeService/Version". */
int client_call(struct client *c, const char *method, const ProtobufCMessage *request,
		const ProtobufCMessageDescriptor *type, void *ret, struct err *err);

#define autopb CLEANUP(rpc_pb_free_ptr)

/* The daemon's full id for an id or unique prefix of one, or a name of a container or pod. */
int client_find_container(struct client *c, const char *what, char **ret_id, char **ret_pod, struct err *err);
int client_find_pod(struct client *c, const char *what, char **ret_id, struct err *err);

/* Writes everything to stdout; a closed pipe ends the program quietly. */
int print_out(struct buf *out);

/* images.c */
int cmd_images(struct client *c, int argc, char **argv, struct err *err);
int cmd_import(struct client *c, int argc, char **argv, struct err *err);
int cmd_history(struct client *c, int argc, char **argv, struct err *err);
int cmd_inspect(struct client *c, int argc, char **argv, struct err *err);

/* image.c: what only caissond can do with images */
int cmd_tag(struct client *c, int argc, char **argv, struct err *err);
int cmd_rmi(struct client *c, int argc, char **argv, struct err *err);
int cmd_prune(struct client *c, int argc, char **argv, struct err *err);
int cmd_export(struct client *c, int argc, char **argv, struct err *err);
int cmd_verify(struct client *c, int argc, char **argv, struct err *err);
int cmd_diff(struct client *c, int argc, char **argv, struct err *err);

/* registry.c */
int cmd_image_explain(struct client *c, int argc, char **argv, struct err *err);
int cmd_image_pulls(struct client *c, int argc, char **argv, struct err *err);

/* pull.c */
int cmd_pull(struct client *c, int argc, char **argv, struct err *err);

/* pods.c */
int cmd_version(struct client *c, int argc, char **argv, struct err *err);
int cmd_info(struct client *c, int argc, char **argv, struct err *err);
int cmd_pods(struct client *c, int argc, char **argv, struct err *err);
int cmd_ps(struct client *c, int argc, char **argv, struct err *err);
int cmd_stop(struct client *c, int argc, char **argv, struct err *err);
int cmd_rm(struct client *c, int argc, char **argv, struct err *err);
int cmd_stopp(struct client *c, int argc, char **argv, struct err *err);
int cmd_rmp(struct client *c, int argc, char **argv, struct err *err);

/* doctor.c */
int cmd_doctor(struct client *c, int argc, char **argv, struct err *err);
/* Instead of it where there is no daemon: the exit status. */
int doctor_no_daemon(const char *address, const struct err *err);

/* run.c */
int cmd_run(struct client *c, int argc, char **argv, struct err *err);

/* look.c */
int cmd_logs(struct client *c, int argc, char **argv, struct err *err);
int cmd_exec(struct client *c, int argc, char **argv, struct err *err);
int cmd_explain(struct client *c, int argc, char **argv, struct err *err);

/* Prints the log of a container; follow: until the process behind pidfd has ended (-EBADF: now). */
int log_print(const char *path, int64_t tail, bool follow, int pidfd, struct err *err);

/* pid from the verbose status, 0 when it does not run. */
int client_container_pid(struct client *c, const char *id, pid_t *ret, struct err *err);
