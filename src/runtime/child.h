/*
 * The process that becomes the container's, from clone to execve (inner header).
 *
 *   create.c  fills a struct child and clones; exec.c the same for exec
 *   stage.c   child_run(): namespaces, mounts, pivot_root: while the host can be seen
 *   init.c    identity, terminal, limits, filter, execve: inside; shared with exec
 *
 * The child is a copy of the parent and has one thread. It reads what the parent prepared,
 * allocates nothing (hooks excepted, which only run where there are some), and reports over
 * the sync socket. It ends when the parent ends, until it was recorded.
 */
#pragma once

#include "runtime/hook.h"
#include "runtime/plan.h"
#include "runtime/sync.h"

/* Filled by the parent after clone, in memory that both share, so that compiling the filter
 * overlaps with the child's mounts; read after SYNC_GO. */
struct shared_filter {
	unsigned short n;
	unsigned flags;
	struct sock_filter insns[];
};

struct child {
	struct runtime_plan *plan;       /* create only */
	struct process_plan *process;
	int sync;                        /* the child's end */
	int parent_end;                  /* the parent's: closed in the child */
	int procfd;                      /* a verified procfs of the host */
	int listen;                      /* <root>/<id>/start.sock; create only */
	int console_socket, terminal, terminal_mount; /* -EBADF: none */
	int master, slave;               /* of a terminal made here */
	int preserve_fds;
	struct cgroup_entry entry;
	bool entered;
	int delegated;                   /* cgroup.procs of where it goes behind its cgroup namespace */
	const struct shared_filter *filter; /* NULL: no seccomp */
	const struct oci_hooks *hooks;
	struct hooks_output output;
	struct oci_state state;          /* for hooks */
	pid_t parent_pid;
	/* exec only */
	int target;                      /* pidfd of the container's init */
	uint64_t join;                   /* CLONE_NEW* for setns */
	int root;                        /* to chroot into, or -EBADF */
};

#define CHILD_INIT { .sync = -EBADF, .parent_end = -EBADF, .procfd = -EBADF, .listen = -EBADF, \
		     .console_socket = -EBADF, .terminal = -EBADF, .terminal_mount = -EBADF,   \
		     .master = -EBADF, .slave = -EBADF, .entry = CGROUP_ENTRY_INIT,            \
		     .delegated = -EBADF, .output = HOOKS_OUTPUT_INIT,                         \
		     .target = -EBADF, .root = -EBADF }

/* Never return. [child] */
void child_run(struct child *c) __attribute__((noreturn));
void child_run_exec(struct child *c) __attribute__((noreturn));

/* The process that stands between when the user namespace is joined: it enters it and
 * clones the real one as a sibling. [child] */
void child_run_between(struct child *c, uint64_t flags) __attribute__((noreturn));

/* Steps that stage.c, init.c and exec share. [child] */
void child_fail(struct child *c, const struct err *err) __attribute__((noreturn));
int child_guard(struct child *c, struct err *err);
int child_become_root(const struct process_plan *p, struct err *err);
int child_enter_cgroup(struct child *c, struct err *err);
int child_wait(struct child *c, enum sync_type type, struct err *err);
int child_make_terminal(struct child *c, struct err *err);

/* init.c: all that is left; returns only to report why it could not become the program.
 * `created` is called when argv[0] was found and before execve: create waits there. */
int init_become(struct child *c, int (*created)(struct child *, struct err *), struct err *err);

/* passwd.c: the home directory of uid in the text of /etc/passwd. 0 or -ENOENT. Pure. */
int passwd_home(const char *text, size_t len, uid_t uid, char *out, size_t size);
