/* What create and exec share on the parent's side (inner header). */
#pragma once

#include "runtime/child.h"
#include "runtime/record.h"

/*
 * The child, born in the namespaces of join (NULL: none, or as ns_clone has it) and in the cgroup
 * of the entry, which is cg's or sub's (both may be NULL). Its pid, 0 in the child, or an error.
 */
pid_t parent_clone(const int *join, uint64_t flags, struct cgroup *cg, const struct cgroup *sub,
		   const struct cgroup_entry *entry, int *ret_pidfd, struct err *err);
/* The host's /proc, verified: O_PATH. */
int parent_open_proc(int *ret, struct err *err);
/* Memory for the filter that parent and child share; NULL when there is none. */
struct shared_filter *parent_share_filter(void);
void parent_unshare_filter(struct shared_filter *f);
int parent_fill_filter(struct shared_filter *to, const struct sec_filter *from, struct err *err);

/* Hands a filter's listener, which came from process pid, to the agent that the record names. */
int parent_pass_listener(const struct record *record, enum record_status status, pid_t pid, int fd,
			 struct err *err);

/*
 * The program was told to begin and sock is the child's end of what it was told over: 0 when execve
 * closed it, else the error that came before. A listener that comes is handed on as above.
 */
int parent_await_program(const struct record *record, int pidfd, int sock, struct err *err);
/* Hooks behind that; where one fails, the program, which has begun already, ends. */
int parent_poststart(const struct record *record, int pidfd, struct hooks_output *output, struct err *err);

/* Hands a pidfd to whoever listens at the Unix socket path, with one byte. */
int parent_pass_pidfd(const char *path, int pidfd, struct err *err);

/* oom_score_adj of a child, clamped with a warning where the kernel does not let us lower it. */
int parent_set_oom_score(pid_t pid, const int32_t *value, struct err *err);

/* The error of a child, however it ended: from its message, or made up from its death. */
int parent_child_error(const struct sync_msg *m, int r, int pidfd, struct err *err);

/*
 * The pipes among the caller's streams 0 to 2 belong to the container's user from here on, who may
 * open them again as /dev/stdout and the like. pid: a process that has the user namespace of the
 * process already, 0 when that is the caller's own. Other kinds of files are left alone.
 */
void parent_give_streams(pid_t pid, uid_t uid);
int parent_write_pid_file(const char *path, pid_t pid, struct err *err);
