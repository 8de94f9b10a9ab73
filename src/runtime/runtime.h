/*
 * runtime — ONE container, from config.json to execve.
 *
 * This is what an OCI runtime does, as functions: caisson-oci calls them from its command
 * line, the shim calls them in a child that it forked (so that the address space of the
 * shim stays small and a crash here kills nobody). No daemon, no thread, no event loop.
 *
 *   runtime/plan.c    spec → plan: everything is checked and prepared as data
 *   runtime/create.c  the caller: makes namespaces, cgroup, detached mounts; keeps the state
 *   runtime/parent.c  what create and exec share on the caller's side
 *   runtime/stage.c   the child before pivot_root;  runtime/init.c  after it, up to execve
 *   runtime/exec.c    a further process in a running container
 *   runtime/mounts.c  mounts into a running container and out of it
 *   runtime/checkpoint.c, restore.c  a container into files and back, by CRIU
 *   runtime/state.c   <root>/<id>/state.json, and the kernel's truth about it
 *
 * Order: runtime_create → (state created; init waits on <root>/<id>/start.sock) →
 * runtime_start → … the process exits … → runtime_delete; runtime_run is the first two. All of them take `root`, the
 * directory of the runtime's records ("/run/caisson-oci"), and the container's id, and hold
 * a lock on <root>/<id> while they work, so calls from several processes serialise for
 * one container only.
 *
 * The container's process is a child of whoever called runtime_create or of its nearest
 * subreaper: it is reaped by them, not by this room. Its stdio is the caller's descriptors
 * 0, 1 and 2, unless a terminal is asked for.
 *
 * Every call may block for as long as hooks, the kernel and the disk take. Needs root, or
 * a user namespace. config.json, the rootfs and everything a process inside can write are
 * hostile; `root` and the bundle directory itself are the caller's.
 *
 * Errors: what failed, on what and why. NOT_FOUND: no such container. EXISTS: the id is in
 * use. STATE: not in the state that the call needs. INVALID: config.json. After a failed
 * create nothing of the container is left.
 */
#pragma once

#include "ns/ns.h"
#include "oci/oci.h"

#include <sys/types.h>

/* Who hears, for the whole process, that something was clamped or left out while the call
 * went on: one line of text, for the log. Nobody by default. */
typedef void (*runtime_warn_fn)(const char *text, void *user);
void runtime_on_warning(runtime_warn_fn fn, void *user);

/* A layered root file system that the runtime itself mounts, inside the container's mount
 * namespace only: the host's mount table never sees it. */
struct runtime_overlay {
	char **lowers; /* top layer first; absolute directories */
	size_t n_lowers;
	char *upper, *work; /* NULL both: read-only */
	bool is_volatile;   /* no sync of the upper directory, ever (kernel 5.10) */
	const struct ns_id_map *uids, *gids; /* the lowers are seen through these; n 0: as they are */
	size_t n_uids, n_gids;
};

/* Rootless: a cgroup that the caller may not make is done without where no limit is asked for,
 * and systemd is the user's. AUTO: outside the initial user namespace. */
enum runtime_rootless { RUNTIME_ROOTLESS_AUTO, RUNTIME_ROOTLESS_TRUE, RUNTIME_ROOTLESS_FALSE };

/* A config.json that was read: who has to know something of it before runtime_create reads it
 * once and hands it over, so that both see the same document. */
struct runtime_config {
	struct arena arena;
	struct oci_config config;
};

#define RUNTIME_CONFIG_INIT { .arena = ARENA_INIT }

struct runtime_create {
	const char *root, *id, *bundle;
	const char *config;              /* path of config.json; NULL: <bundle>/config.json */
	struct runtime_config *read;     /* that file, read already: taken over; NULL: it is read now */
	const struct runtime_overlay *overlay; /* NULL: root.path of the config as it is */
	int console_socket;              /* Unix socket that gets the pty master; -EBADF for none */
	int terminal;                    /* instead: an open pty slave to use as terminal; -EBADF for none */
	const char *pid_file;            /* NULL for none */
	int preserve_fds;                /* descriptors 3 … 3+n-1 stay open in the container */
	bool no_pivot, no_new_keyring, systemd_cgroup;
	enum runtime_rootless rootless;  /* how missing rights over cgroups are taken */
	bool force_cgroup_less;          /* --cgroup-manager disabled */
};

#define RUNTIME_CREATE_INIT { .console_socket = -EBADF, .terminal = -EBADF }

/* The file that what->config and what->bundle name. */
int runtime_config_read(const struct runtime_create *what, struct runtime_config *ret, struct err *err);
void runtime_config_done(struct runtime_config *c);

int runtime_create(const struct runtime_create *what, pid_t *ret_pid, struct err *err);
/* Both in one: nobody else can start it in between, and its record goes from creating to running. After a
 * failure nothing is left. */
int runtime_run(const struct runtime_create *what, pid_t *ret_pid, struct err *err);
/* The program has been executed when 0 is returned; one that could not be is this call's
 * error. A poststart hook that fails is too: the program is killed then. */
int runtime_start(const char *root, const char *id, struct err *err);

/* sig to init; all: to every process of the container. A container that is gone already is
 * STATE, as runc says ("container not running"). */
int runtime_kill(const char *root, const char *id, int sig, bool all, struct err *err);

/* force: kill first, and succeed where nothing is left. Removes cgroups, mounts, records;
 * runs poststop hooks. Where the record cannot be read (CORRUPT), force ends what is proven to be the
 * container's and removes the record; STATE where that is not proven (salvage.c). */
int runtime_delete(const char *root, const char *id, bool force, struct err *err);

int runtime_pause(const char *root, const char *id, struct err *err);
int runtime_resume(const char *root, const char *id, struct err *err);
int runtime_update(const char *root, const char *id, const struct oci_resources *resources, struct err *err);

/* Another schema for the container's Intel RDT group: STATE where it has none of its own. */
int runtime_update_rdt(const char *root, const char *id, const struct oci_intel_rdt *schema, struct err *err);

/* The record plus what the kernel says now. Allocated in the arena. */
struct runtime_state {
	struct oci_state oci;
	char *rootfs, *created /* RFC 3339 */, *owner;
	char *cgroup_path;      /* below each hierarchy's root; NULL for none */
	uint64_t start_ticks;   /* of pid, for sys_pidfd_open_verified */
};

int runtime_state(const char *root, const char *id, struct arena *a, struct runtime_state *ret,
		  struct err *err);

/* The process of config.json as it was created: what exec starts from. */
int runtime_process(const char *root, const char *id, struct arena *a, struct oci_process *ret,
		    struct err *err);

/* All ids with a record under root, in no order. A root that does not exist has none. */
int runtime_list(const char *root, struct arena *a, char ***ret, size_t *ret_n, struct err *err);

/* Pids of all processes in the container, as the caller sees them. Heap. */
int runtime_pids(const char *root, const char *id, pid_t **ret, size_t *ret_n, struct err *err);

/* Its cgroup, for statistics and events: NOT_FOUND when nothing of it is left or it has none.
 * Freed with cgroup_free, before the arena. */
struct cgroup;
int runtime_cgroup(const char *root, const char *id, struct arena *a, struct cgroup **ret, struct err *err);

/* What this runtime knows of linux.memoryPolicy, for `features`; NULL behind the last. */
const char *runtime_memory_mode(size_t i);
const char *runtime_memory_flag(size_t i);

/*
 * Makes the calling program's own file unreachable for writing through /proc/<pid>/exe, for
 * it is what a container would find there (CVE-2019-5736): the program executes itself once
 * more from a detached read-only mount of its own file, which copies nothing. First thing
 * in main(); returns 0 at once when the file already is on a read-only mount or sealed, and
 * when there is nothing that can be done (no privilege). argv is that of main.
 */
int runtime_protect_self(char **argv);

/* A place below the container's cgroup that is there already; controllers NULL: in all hierarchies. */
struct runtime_sub_cgroup {
	const char *controllers, *path; /* "cpu,memory", "a/b" */
};

struct runtime_exec {
	const char *root, *id;
	const struct oci_process *process;
	int console_socket, terminal; /* as in runtime_create */
	const char *pid_file;
	const char *cgroup;           /* sub-cgroup of the container's,
			made if missing; NULL: the container's */
	const struct runtime_sub_cgroup *cgroups; /* instead */
	size_t n_cgroups;
	int preserve_fds;
	bool ignore_paused;
};

#define RUNTIME_EXEC_INIT { .console_socket = -EBADF, .terminal = -EBADF }

/* Starts the process; it is a child of the caller or its subreaper. It has already
 * executed its program when 0 is returned: a program that does not exist is this call's
 * NOT_FOUND error, one that may not be executed DENIED. */
int runtime_exec(const struct runtime_exec *what, pid_t *ret_pid, struct err *err);

/*
 * Mounts into a container that is created, running or paused, in the list's order, as create makes
 * them; or, with `remove`, unmounts what is at their destinations. What was done before an error
 * stays. DENIED: a destination in procfs or sysfs is not unmounted.
 */
int runtime_mounts(const char *root, const char *id, const struct oci_mount *mounts, size_t n, bool remove,
		   struct err *err);

/* ---- checkpoint and restore ---- */

/*
 * A running container as files, and from files a running container again. CRIU does it, a
 * program of its own (Debian: criu): where it is missing UNSUPPORTED says so, and where it
 * refuses, the error is what its log says. Needs root.
 *
 * What is in the files is the processes, their memory, and what the container mounted for
 * itself; the root file system and everything mounted from outside must be there again, as
 * the config.json of the restore says. Network and pid namespaces that the container had
 * joined are joined again by path. Descriptors 0 to 2 that led outside (pipes, files) are
 * replaced by the caller's of the restore, a terminal's master is sent to console_socket.
 */
struct runtime_images {
	const char *path;      /* directory of the images; made, 0700, where it is missing */
	const char *work_path; /* CRIU's log and statistics; NULL: path */
	const char *criu;      /* NULL: "criu" of PATH */
	const char *manage_cgroups_mode; /* ignore, none, props, soft, full, strict; NULL: ignore */
	bool tcp_established, ext_unix_sk, shell_job, file_locks, auto_dedup, lazy_pages;
	const char *network_lock;        /* iptables, nftables, skip; NULL: as CRIU was built */
	bool empty_network;    /* --empty-ns network: an empty network namespace is restored */
};

struct runtime_checkpoint {
	const char *root, *id;
	struct runtime_images images;
	const char *parent_path; /* images of a pre-dump, as seen from `path`; NULL for none */
	const char *page_server; /* "ADDRESS:PORT" that takes the pages; NULL: files */
	bool leave_running;      /* else the processes are gone, and runtime_delete is next */
	bool pre_dump;           /* memory only; the container goes on */
	bool tcp_skip_in_flight, link_remap;
	int status_fd;           /* gets a NUL when lazy pages can be asked for; -EBADF for none */
};

#define RUNTIME_CHECKPOINT_INIT { .status_fd = -EBADF }

/* STATE unless it runs or is paused. */
int runtime_checkpoint(const struct runtime_checkpoint *what, struct err *err);

struct runtime_restore {
	struct runtime_create create; /* as for runtime_create: root, id, bundle, … */
	struct runtime_images images;
	const char *lsm_profile;      /* "apparmor:NAME", instead of that of the images */
	const char *lsm_mount_context;
	bool tcp_close;               /* TCP connections come back closed */
};

#define RUNTIME_RESTORE_INIT { .create = RUNTIME_CREATE_INIT }

/* Instead of create and start: the container runs when 0 is returned. Its first process is
 * a child of the caller; prestart, createRuntime and poststart hooks were run. */
int runtime_restore(const struct runtime_restore *what, pid_t *ret_pid, struct err *err);
