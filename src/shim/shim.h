/*
 * shim — the monitor of one pod, and how the daemon talks to it.
 *
 * One caisson-shim process a pod: it is the parent (subreaper) of the pod's processes,
 * owns their stdio, writes their CRI log files, keeps their exit codes, and goes on
 * when the daemon dies. It serves containerd's shim API (containerd.task.v2.Task and
 * .v3.Task over ttrpc), so that containerd can drive it and the daemon could drive any
 * other shim; and caisson.shim.v1.Shim for what that API has not: ReopenLog, ExecSync.
 *
 * This header is the client side. The calls block the calling thread (a worker of the
 * daemon) until the shim answers or the deadline (time_now_mono based) passes; each opens
 * a connection of its own, so calls of several threads do not wait for each other. The
 * server side is in shim/server.h and is used by src/prog/caisson-shim alone.
 *
 * What the shim leaves on disk, for a daemon that was not there:
 *
 *   <bundle>/exit.json     struct shim_exit, written atomically before the exit is announced
 *   <bundle>/init.pid      pid and start ticks of the container's process
 *   <bundle>/streams       which descriptors of the shim hold its streams
 *   <state>/pods/<pod>/shim.json  address, pid and start ticks of the shim
 *
 * stdio of a container (CreateTaskRequest.stdout/stderr): a FIFO path as containerd gives, or
 *
 *   cri:///absolute/path/of/0.log    the shim writes the CRI log format itself; stdout and
 *                                    stderr name the same file (with terminal: stdout only)
 *   cri:///absolute/./path/0.log     the same; no link is followed in what stands behind "/./"
 *   cri://                           read and kept nowhere: for those who attach
 *   ""                               /dev/null
 *
 * Errors: UNAVAILABLE: the shim is gone or not listening (the caller reconciles with the
 * kernel); TIMEOUT: it did not answer; others are the shim's own, sent as ttrpc status.
 * The shim trusts its socket (0600); the daemon does not trust the shim's answers: sizes
 * are bounded, texts sanitised.
 */
#pragma once

#include "base/base.h"
#include "event/event.h"
#include "json/json.h"
#include "ns/ns.h"
#include "oci/oci.h"

#include <sys/types.h>

/* ---- the shim process ---- */

struct shim_launch {
	const char *binary;     /* absolute path of caisson-shim (or any shim v2 binary) */
	const char *pod_id;
	const char *ns;         /* containerd namespace; the daemon uses "k8s.io" */
	const char *state_dir;  /* <state>/pods/<pod>: shim.json, socket, log of the shim itself */
	const char *bundle;     /* working directory of the start command */
	const char *events_address; /* ttrpc socket for Events.Forward; "" for none */
	const char *criu;       /* NULL: "criu" of PATH */
	bool debug;
};

struct shim_process {
	char address[108]; /* path of the socket */
	pid_t pid;
	uint64_t start_ticks;
};

/* Runs `binary … start` and returns when the shim listens. */
int shim_start(const struct shim_launch *what, int64_t deadline, struct shim_process *ret, struct err *err);

/* From shim.json of an earlier daemon's shim; NOT_FOUND when that very process is gone. Where the file is
 * damaged, who listens on the socket beside it is asked who it is, and the file written again.
 * UNSUPPORTED: a newer Caisson's, which is not to be touched. */
int shim_find(const char *state_dir, struct shim_process *ret, struct err *err);

/* The pid of the shim that listens there. */
int shim_who(const char *address, int64_t deadline, pid_t *ret, struct err *err);

/* Asks the shim to exit when it has no container left (now: in any case). */
int shim_shutdown(const char *address, const char *pod_id, bool now, int64_t deadline, struct err *err);

/* Without a shim: `binary … delete`: kills and removes what is left of one container by the
 * runtime's own records. Succeeds when there is nothing. */
int shim_cleanup(const struct shim_launch *what, const char *container_id, const char *runtime_root,
		 int64_t deadline, struct err *err);

/* ---- tasks ---- */

/* In a log_path: between the log directory and what lies below it, where no link is followed. */
#define SHIM_LOG_BELOW "/./"

struct shim_create {
	const char *id, *bundle;
	const char *runtime_root;   /* containerd.runc.v1.Options.root */
	const char *const *lowers;  /* overlay, top layer first; n_lowers 0: root.path as it is */
	size_t n_lowers;
	const char *upper, *work;   /* NULL both: read-only */
	const struct ns_id_map *uids, *gids; /* the lowers are idmapped by them; n 0: they are not */
	size_t n_uids, n_gids;
	bool systemd_cgroup;        /* linux.cgroupsPath names a unit of systemd's */
	const char *log_path;       /* becomes cri://log_path; "": only for those who attach; NULL: /dev/null */
	bool terminal;
	const char *checkpoint;     /* directory of CRIU's images: restored, instead of started */
	bool stdin_open;            /* stdin is the FIFO <bundle>/stdin, which shim_task_create makes;
				     * whoever attaches opens it for writing, shim_task_close_stdin ends it */
};

int shim_task_create(const char *address, const struct shim_create *what, int64_t deadline, pid_t *ret_pid,
		     struct err *err);
int shim_task_start(const char *address, const char *id, const char *exec_id, int64_t deadline,
		    pid_t *ret_pid,
		    struct err *err);
int shim_task_kill(const char *address, const char *id, const char *exec_id, int sig, bool all,
		   int64_t deadline, struct err *err);
/* Exit code and time too, as the API says. NOT_FOUND when it is gone already. */
int shim_task_delete(const char *address, const char *id, const char *exec_id, int64_t deadline,
		     struct err *err);

/* Also a task's states in the record of the API. */
enum shim_status { SHIM_UNKNOWN, SHIM_CREATED, SHIM_RUNNING, SHIM_STOPPED, SHIM_PAUSED };

struct shim_state {
	enum shim_status status;
	pid_t pid;
	int exit_code;
	int64_t exited_at; /* real ns; 0 while it runs */
};

int shim_task_state(const char *address, const char *id, const char *exec_id, int64_t deadline,
		    struct shim_state *ret, struct err *err);

/* A further process, with its streams on FIFOs that the caller made (mode 0600); "" or NULL:
 * /dev/null. The shim opens them so that neither side waits for the other's coming and
 * going. With a terminal: stdin and stdout only. Then shim_task_start with exec_id. */
struct shim_exec {
	const char *id, *exec_id;
	const struct oci_process *process;
	bool terminal;
	const char *in, *out, *err;
};

int shim_task_exec(const char *address, const struct shim_exec *what, int64_t deadline, struct err *err);
int shim_task_resize(const char *address, const char *id, const char *exec_id, uint32_t width,
		     uint32_t height,
		     int64_t deadline, struct err *err);
/* The process reads to the end of its input once every other writer has closed, too. */
int shim_task_close_stdin(const char *address, const char *id, const char *exec_id, int64_t deadline,
			  struct err *err);
/* Blocks until the process has exited: its code and time. For watching many: shim_watch. */
int shim_task_wait(const char *address, const char *id, const char *exec_id, int64_t deadline,
		   struct shim_state *ret, struct err *err);
/* A copy of what the container writes from now on goes to these FIFOs as well, which the caller
 * made and has opened for reading; "" or NULL: not this stream (a terminal has stdout only).
 * They end with the container. A reader that takes nothing for some seconds is dropped, and
 * holds the container up until then. Input: the FIFO <bundle>/stdin. */
int shim_attach(const char *address, const char *id, const char *out, const char *err_path, int64_t deadline,
		struct err *err);
int shim_task_update(const char *address, const char *id, const struct oci_resources *resources,
		     int64_t deadline, struct err *err);
/* Into a directory, by CRIU; its log is below work_path. The container goes on, unless `stop`: then it
 * has ended. What CRIU cannot do is said in its words. */
int shim_task_checkpoint(const char *address, const char *id, const char *path, const char *work_path,
			 bool stop,
			 int64_t deadline, struct err *err);
int shim_task_pause(const char *address, const char *id, bool paused, int64_t deadline, struct err *err);

int shim_log_reopen(const char *address, const char *id, int64_t deadline, struct err *err);

struct shim_exec_sync {
	const char *id;
	const struct oci_process *process;
	int64_t timeout;        /* ns; 0: none. When it passes the whole tree of the exec is killed */
	size_t output_max;      /* of both streams together; what is beyond is read and dropped */
	int cancel_fd;          /* readable: nobody waits any more (an eventfd); negative: none */
};

/* Output is appended to out and err_out up to output_max. A timeout is TIMEOUT, with the
 * output so far. Once cancel_fd is readable it returns CANCELLED, and the shim kills the tree. fifo_dir: a directory of the caller (the bundle) for two FIFOs of a moment.
 * Returns as soon as the process has exited, though a child of it may hold its output. */
int shim_exec_sync(const char *address, const struct shim_exec_sync *what, const char *fifo_dir,
		   struct buf *out, struct buf *err_out, int *ret_code, struct err *err);

/* ---- exit records ---- */

struct shim_exit {
	char *id;
	int32_t pid, code;   /* code: 0–255, 128 + signal */
	int64_t exited_at;   /* real ns */
	bool oom_killed;
	bool unknown;        /* the code is: the process was another shim's child, which died */
	char *boot_id;
	int32_t format;      /* these two are filled in by who writes it */
	uint64_t sum;
};

extern const struct json_type shim_exit_type;

/* NOT_FOUND while there is none; CORRUPT; UNSUPPORTED: a newer shim wrote it. */
int shim_exit_read(const char *bundle, struct arena *a, struct shim_exit *ret, struct err *err);

/* ---- a shim that died, and its successor ---- */

/*
 * The descriptors that hold a container's streams in its shim. Whoever duplicates them
 * (sys_pidfd_getfd) and keeps them spares the container a broken pipe, an end of input and a hung-up
 * terminal when the shim is killed; the next shim takes them from there.
 */
enum shim_stream { SHIM_STDIN, SHIM_STDOUT, SHIM_STDERR, SHIM_TERMINAL, SHIM_STREAMS };

struct shim_stream_at {
	int fd; /* its number there; negative: none */
	uint64_t dev, ino;
};

/* From <bundle>/streams. NOT_FOUND: it has none. */
int shim_streams_read(const char *bundle, struct shim_stream_at ret[SHIM_STREAMS], struct err *err);

/*
 * Gives a running container of a shim that is dead to this one: what describes it is as it was in
 * shim_task_create; kept are descriptors of this process, negative where there is none. Execs
 * of the old shim are ended. *ret_lost (in the arena) says what could not be kept, "" for
 * nothing. NOT_FOUND: the container is over.
 */
int shim_adopt(const char *address, const struct shim_create *what, const int kept[SHIM_STREAMS],
	       int64_t deadline, struct arena *a, char **ret_lost, struct err *err);

/* ---- watching (loop thread) ---- */

struct shim_watch;

/* id's exit was announced (Wait returned); the exit record is on disk. code -1: the shim does not
 * know it, or it was deleted. id NULL: the connection ended, the shim died or was shut down; no
 * further calls. */
typedef void (*shim_watch_fn)(const char *id, int code, int64_t exited_at, void *user);

int shim_watch_new(struct event_loop *loop, const char *address, shim_watch_fn fn, void *user,
		   struct shim_watch **ret, struct err *err);
int shim_watch_add(struct shim_watch *w, const char *id, struct err *err);
void shim_watch_free(struct shim_watch *w);
