/*
 * What the kernel was really told: the namespaces of a process and the files that hold its
 * limits. Everything is read from /proc and the cgroup file systems at the time of the call.
 */
#pragma once

#include "base/base.h"

#include <sys/types.h>

enum { CLI_NAMESPACES = 8 };

struct cli_namespace {
	const char *type; /* "pid", "net", … in the order of namespaces(7) */
	uint64_t inode;   /* 0: not readable */
	bool with_host;   /* the same as process 1 of the host has */
	bool with_pod;    /* the same as the pod's anchor has */
};

/* anchor 0: none. ESRCH when pid is gone. */
int cli_namespaces(pid_t pid, pid_t anchor, struct cli_namespace ret[CLI_NAMESPACES]);

/* Appends the two tables of a container: namespaces, then cgroup files with their values. */
int cli_explain(pid_t pid, pid_t anchor, struct buf *out, struct err *err);
