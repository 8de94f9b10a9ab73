/*
 * What the files of this room share: the manager's tables, the private halves of pods and
 * containers, operations. Not for other rooms.
 *
 * Locking. m->lock guards the tables, every field of pods and containers that changes, and
 * the fields of operations marked so. It is never held across anything that blocks.
 * m->changed is signalled whenever a state or a running operation changed.
 *
 * Lifetime. Pods and containers are counted: the tables hold one reference, each operation
 * one for what it works on, a container one for its pod. What is out of the tables has
 * `removed` set and is only freed, never looked at.
 *
 * Exclusion. pod->op and container->op name the operation that may change it. A worker takes
 * that with pod_op_hold…, which waits on m->changed; lock order where several are taken is
 * pod before container, containers in the order of the list.
 */
#pragma once

#include "cni/cni.h"
#include "image/image.h"
#include "nri/nri.h"
#include "oci/oci.h"
#include "pod/pod.h"
#include "shim/shim.h"
#include "store/store.h"
#include "sys/sys.h"

#include <pthread.h>
#include <stdatomic.h>

/* The kernel's own part of settings that is asked once. */
struct pod_host {
	int oom_score_adj_min; /* the lowest that this daemon can give, -1000 with CAP_SYS_RESOURCE */
	bool cgroup2;          /* /sys/fs/cgroup itself is v2 */
	bool swap_limit;       /* memory + swap can be limited */
	bool apparmor;         /* containers get the default profile */
	const char *selinux_process, *selinux_file; /* contexts; NULL where it is off */
	const char *selinux_privileged; /* NULL where the policy has none */
	uint64_t caps;         /* that a container can have at most */
	bool user_namespaces;  /* the file system of the layers has idmapped mounts */
	bool quadratic_weight; /* of the settings */
};

struct pod_manager {
	struct event_loop *loop;
	struct store *store;
	struct image_table *images;
	struct cni *cni;
	struct nri *nri;    /* NULL: no plugins; plugins.c */
	struct arena arena; /* settings */
	struct pod_settings settings;
	char *pods_dir, *runtime_root, *pause_root; /* below settings.state */
	char *checkpoints_dir; /* below settings.root: memory of containers, too large for a tmpfs */
	struct pod_host host;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* CLOCK_MONOTONIC */
	pthread_mutex_t cgroups; /* over looking for and removing directories above pods; before lock */
	struct map pods, containers;           /* by id */
	struct map pod_keys, container_keys;   /* by key */
	struct map newer;                      /* ids and keys of pods of a newer Caisson; newer.c */
	struct list order;                     /* struct pod_sandbox_private.link, oldest first */
	pod_event_fn on_event;                 /* may be NULL */
	void *on_event_user;
	size_t n_working;                      /* workers between submit and their end */
	bool closing;
	atomic_bool sweep_again;               /* recover.c */

	struct event_timer *retry;             /* loop thread; recover.c */
	struct event_timer *patrol;            /* loop thread; patrol.c */
	int hurries;                           /* loop thread; patrol.c */
	struct list ops;                       /* struct pod_op.link; loop thread only */
};

/* Written into the record before the work begins, so that the next daemon goes on with it. */
enum pod_intent { POD_WANT_NONE, POD_WANT_STOP, POD_WANT_REMOVE };

/* What the daemon itself holds of a running container; keep.c. Under the lock. */
struct pod_kept {
	int pidfd;
	int streams[SHIM_STREAMS];
};

#define POD_KEPT_INIT { -EBADF, { -EBADF, -EBADF, -EBADF, -EBADF } }

struct pod_sandbox_private {
	struct pod_sandbox *pod;
	struct pod_manager *m;
	struct list link;
	struct arena arena;
	struct arena limits;            /* of config->overhead and resources since the last update */
	int refs;
	bool removed;
	char *key;
	enum pod_intent want;
	bool publish;                   /* the record says visible already, the list not yet */
	bool torn_down;                 /* nothing of it is left in the kernel */
	bool stopping;                  /* no new containers, no starts */
	bool told, told_stop;           /* NRI plugins know it; know that it was stopped. In their turn */
	struct cni_attachment *network; /* NULL with the host's network */
	char *boot_id;                  /* of pid, shim, netns */
	struct shim_process shim;       /* pid 0: none */
	bool cgroup_released;           /* nothing of it is to be removed by this pod any more */
	bool replacing;                 /* its shim died, another one is on its way */
	bool shim_incomplete;           /* that one did not start, or not take everything */
	int deaths;                     /* of shims, since then; successor.c alone */
	int64_t deaths_since;
	int kept_pidfd;                 /* of pause */
	bool seen_ended;                /* patrol.c */
	int64_t shim_mute_until;        /* it did not answer: till then its pod is ended without it */
	char *cgroup_made;              /* topmost directory that was not there before, or NULL */
	struct shim_watch *watch;       /* loop thread */
	struct watch_user *watch_user;  /* loop thread; exits.c */
	pthread_mutex_t commit;         /* held over reading the fields and writing the record */
};

struct pod_container_private {
	struct pod_container *container;
	struct pod_manager *m;
	struct arena arena;
	struct arena limits;            /* of config->resources since the last update */
	pthread_mutex_t limiting;       /* held over a change of them */
	int refs;
	bool removed;
	char *key;
	enum pod_intent want;
	bool publish;                   /* as of a pod */
	bool starting;                  /* committed before the shim is asked to create it */
	bool task;                      /* the shim may know it */
	bool told, told_stop;           /* as of a pod */
	const char *evicted;            /* why it is killed, by whose wish; NULL: it is not */
	struct pod_kept kept;
	bool seen_ended;                /* patrol.c */
	char *boot_id;
	pthread_mutex_t commit;
};

/* ---- table.c ---- */

struct pod_sandbox *pod_sandbox_new(struct pod_manager *m, const char *id, const struct pod_config *config,
				    struct err *err);
struct pod_container *pod_container_new(struct pod_manager *m, struct pod_sandbox *pod, const char *id,
					const struct pod_container_config *config, struct err *err);
/* Into and out of the tables; under the lock. insert: -EEXIST when the key is taken. */
int pod_sandbox_insert(struct pod_sandbox *p);
int pod_container_insert(struct pod_container *c);
void pod_sandbox_drop(struct pod_sandbox *p);
void pod_container_drop(struct pod_container *c);

void pod_sandbox_ref(struct pod_sandbox *p);     /* under the lock */
void pod_container_ref(struct pod_container *c); /* under the lock */
void pod_sandbox_unref(struct pod_sandbox *p);   /* not under the lock */
void pod_container_unref(struct pod_container *c);
void pod_kept_done(struct pod_kept *k); /* under the lock, or nobody's any more */

char *pod_sandbox_key(const struct pod_config *config, struct arena *a);
char *pod_container_key(const char *pod_id, const struct pod_container_config *config, struct arena *a);

/* One look, taking the lock: what they are the moment after may be something else. */
struct pod_process {
	pid_t pid; /* 0: none */
	uint64_t ticks;
};
struct pod_process pod_sandbox_process(struct pod_sandbox *p); /* pause */
struct pod_process pod_container_process(struct pod_container *c);
bool pod_container_in(struct pod_container *c, enum pod_container_state state);

/* Wakes who waits for a change; under the lock. */
void pod_changed(struct pod_manager *m);
/* Lists show it from now on, so the listener hears of it; under the lock. c NULL: the pod itself. */
void pod_tell(struct pod_manager *m, enum pod_event event, const struct pod_sandbox *p,
	      const struct pod_container *c);
/* No longer ready, and why: false when it was not. Under the lock. */
bool pod_sandbox_set_not_ready(struct pod_sandbox *p, const char *reason);

/* The message with its object's memory; under the lock. */
void pod_sandbox_say(struct pod_sandbox *p, const char *reason);
void pod_container_say(struct pod_container *c, const char *reason, const char *message);

/* ---- record.c: pods and containers in the store ---- */

/* Of the records that are written; those of before had none. Higher: a change that this program could
 * not read. */
enum { POD_RECORD_FORMAT = 1 };

int pod_sandbox_commit(struct pod_sandbox *p, struct err *err);
int pod_container_commit(struct pod_container *c, struct err *err);
int pod_sandbox_forget(struct pod_sandbox *p, struct err *err);
int pod_container_forget(struct pod_container *c, struct err *err);

/* All records into the tables. One that cannot be read is set aside (kind "pod.damaged"…) with
 * a line in note. */
int pod_records_load(struct pod_manager *m, struct buf *note, struct err *err);

/* ---- newer.c ---- */

/* Fills m->newer, with a line in note for each pod. */
int pod_newer_find(struct pod_manager *m, struct buf *note, struct err *err);

/* ---- damage.c ---- */

/* The `run` of an operation that looks at the files of all that runs. */
int pod_damage_op(struct pod_op *op, struct err *err);

/* Deep copies, by the field tables. */
int pod_config_copy(const struct pod_config *from, struct arena *a, struct pod_config **ret, struct err *err);
int pod_container_config_copy(const struct pod_container_config *from, struct arena *a,
			      struct pod_container_config **ret, struct err *err);
int pod_resources_copy(const struct pod_resources *from, struct arena *a, struct pod_resources **ret,
		       struct err *err);

/* ---- op.c: operations ---- */

struct pod_op {
	struct list link;
	struct pod_manager *m;
	char *key;   /* NULL: nobody joins it */
	char *title; /* "run pod default/web" */
	int (*run)(struct pod_op *op, struct err *err);
	struct list waits; /* loop thread */
	struct arena arena;

	/* under the lock */
	const char *stage;
	int64_t since;
	bool cancelled;
	int64_t grace_end; /* stop: when SIGKILL is due; may be moved forward by who joins */

	/* what it works on: references and holds, given back at its end */
	struct pod_sandbox *pod;
	struct pod_container *container;

	/* inputs, in the arena */
	const char *id;
	const struct pod_config *pod_config;
	const struct pod_container_config *config;
	const struct pod_resources *resources, *overhead; /* update.c */
	const char *location;    /* checkpoint.c, restore.c: of the archive; create: what it is restored from */
	const struct pod_container_config *containers; /* restore.c */
	size_t n_containers;
	int64_t grace, timeout;
	char **cmd;
	size_t n_cmd;
	int cancel_fd; /* exec: readable once it is cancelled, an eventfd; else negative */
	struct shim_exit exit; /* exits.c */

	/* result */
	int r;
	struct err err;
	char result[ID_LEN + 1];
	struct buf out, err_out;
	int exit_code;
};

/* Loop thread. key may be NULL; title and key are copied. */
struct pod_op *pod_op_new(struct pod_manager *m, const char *key, const char *title,
			  int (*run)(struct pod_op *op, struct err *err));
/* The running operation with that key, or NULL. */
struct pod_op *pod_op_find(struct pod_manager *m, const char *key);
/* One more who waits; done may be NULL (then NULL is returned). */
struct pod_wait *pod_op_join(struct pod_op *op, pod_done_fn done, void *user);
/* Starts the worker. */
struct pod_wait *pod_op_submit(struct pod_op *op, pod_done_fn done, void *user);

/* Asks it to end: at its next stage, an exec at once. Loop thread. */
void pod_op_cancel(struct pod_op *op);
/* At the end, when the loop does not run any more: those that are done and were not delivered. */
void pod_op_drop_all(struct pod_manager *m);
/* A `run` that gives the error that is in op->err already. */
int pod_op_fail(struct pod_op *op, struct err *err);

/* In the worker: names the stage (a literal); CANCELLED when it should not go on. */
int pod_op_stage(struct pod_op *op, const char *stage, struct err *err);
/* For work that is done to its end whatever comes. */
void pod_op_stage_anyway(struct pod_op *op, const char *stage);

/*
 * Waits until no other operation works on it, then does: until the end of op or release. With
 * `cancel` the one that runs is asked to stop at its next stage. TIMEOUT names what was
 * waited for. The reference is op's from here on. NOT_FOUND when it was removed meanwhile.
 */
int pod_op_hold_sandbox(struct pod_op *op, struct pod_sandbox *p, bool cancel, struct err *err);
int pod_op_hold_container(struct pod_op *op, struct pod_container *c, bool cancel, struct err *err);
/* For further containers of op's pod. */
void pod_op_release_container(struct pod_op *op, struct pod_container *c);

/* By id or prefix; a reference. NOT_FOUND. Any thread. */
int pod_sandbox_get(struct pod_manager *m, const char *what, struct pod_sandbox **ret, struct err *err);
int pod_container_get(struct pod_manager *m, const char *what, struct pod_container **ret, struct err *err);

/* fn(user) on a thread of its own while the caller does something else. */
struct pod_branch {
	struct pod_manager *m;
	int (*fn)(void *user, struct err *err);
	void *user;
	bool done;
	int r;
	struct err err;
};

void pod_branch_start(struct pod_branch *b, struct pod_manager *m, int (*fn)(void *user, struct err *err),
		      void *user);
int pod_branch_join(struct pod_branch *b, struct err *err);

/* ---- teardown.c ---- */

/*
 * Everything of the pod that the kernel knows is taken away: containers killed, pause, shim, network,
 * mounts, cgroups. What is gone is success; it goes on after a failure and returns the first one.
 * Called by the operation that holds the pod (its containers are held here).
 */
int pod_sandbox_teardown(struct pod_op *op, struct pod_sandbox *p, struct err *err);
/* Also its records and directories, containers first. */
int pod_sandbox_purge(struct pod_op *op, struct pod_sandbox *p, struct err *err);

/* ---- container.c, halt.c ---- */

/* Signal, grace, SIGKILL, until the container is EXITED. Held by op. */
int pod_container_halt(struct pod_op *op, struct pod_container *c, int sig, struct err *err);
/* SIGKILL to all of it, by the shim; or without one, then its end has been waited for and noted. */
int pod_container_kill(struct pod_container *c, struct err *err);
/* What is left of a container or pause without a shim: by the runtime's record, and where that cannot be
 * read, by the kernel. cgroup may be NULL. */
int pod_runtime_cleanup(struct pod_manager *m, const struct shim_launch *launch, const char *id,
			struct pod_process process, const char *cgroup, struct err *err);
/* Waits for EXITED until the deadline, then asks the kernel. */
int pod_container_await(struct pod_container *c, int64_t deadline, struct err *err);
/* Killed if it runs, then task, snapshot, directory, record. Held by op. */
int pod_container_purge(struct pod_op *op, struct pod_container *c, struct err *err);
/* Snapshots of images mounted as volumes. */
int pod_volumes_remove(struct pod_container *c, struct err *err);
char *pod_volume_id(const struct pod_container *c, size_t mount, struct arena *a);
/* The shim's and the runtime's part of it, after the exit. */
int pod_container_task_delete(struct pod_container *c, struct err *err);

/* ---- life.c ---- */

/* The address of its pod's shim, or of the one that is on its way; STATE when there is none. */
int pod_container_shim(struct pod_container *c, struct arena *a, char **ret, struct err *err);
/* Its log file as the shim is told: no link is followed below the pod's log directory. "": none. */
char *pod_container_log(const struct pod_container *c, struct arena *a);
/* The process of the container's own config.json, with another command and without a terminal. */
int pod_container_exec_process(struct pod_container *c, char *const *cmd, size_t n_cmd, struct arena *a,
			       struct oci_process *ret, struct err *err);

/*
 * The pod's shim as far as ending something is concerned: false when there is none, or when it did
 * not answer a moment ago. Each step of an end must not wait for it anew.
 */
bool pod_shim_to_ask(struct pod_sandbox *p, struct shim_process *ret);
/* What a call of it gave: remembers that it does not answer. Returns r. */
int pod_shim_told(struct pod_sandbox *p, int r, const struct err *err);

/* ---- keep.c ---- */

/* Takes hold of what runs, or again after its shim was replaced. */
void pod_container_keep(struct pod_container *c);
void pod_sandbox_keep(struct pod_sandbox *p);
/* How its process ended, by the kernel. -EAGAIN: it runs; -ENODATA: over, and nobody can say. */
int pod_container_status(struct pod_container *c, int *ret_code);

/* ---- successor.c ---- */

/* Loop thread: the pod's shim is dead. */
void pod_shim_lost(struct pod_manager *m, const char *pod_id);

/* ---- patrol.c ---- */

int pod_patrol_start(struct pod_manager *m);
/* Loop thread: some pod has no shim for a while. */
void pod_patrol_hurry(struct pod_manager *m);

/* ---- exits.c ---- */

/* Loop thread: connects to the pod's shim and watches what runs. */
void pod_watch_start(struct pod_sandbox *p);
void pod_watch_end(struct pod_sandbox *p);
/* Any thread: the container is watched from now on. */
void pod_watch_task(struct pod_sandbox *p, struct pod_container *c);
/* Any thread: the above by way of the loop. */
void pod_watch_post_start(struct pod_sandbox *p);
void pod_watch_post_end(struct pod_sandbox *p);

/* It is over: state, code, reason; false when that was known already. Under the lock. */
bool pod_container_set_exited(struct pod_container *c, int code, int64_t at, bool oom, const char *reason,
			      const char *message);
/* What the exit record and, with shim_alive false, the kernel say: sets EXITED if so, and commits. */
int pod_container_reconcile(struct pod_container *c, bool shim_alive, struct err *err);

/* Loop thread: its pause process is over; the pod is noted as not ready. */
void pod_sandbox_ended(struct pod_manager *m, const char *id);

/* That very process still exists; or nobody can be asked, for want of descriptors. */
bool pod_process_alive(struct pod_process process);
/* Waits for its end, though it is no child of ours: false when the deadline passed. */
bool pod_process_gone(struct pod_process process, int64_t deadline);
void pod_process_kill(struct pod_process process);

/* ---- recover.c ---- */

int pod_recover(struct pod_manager *m, struct err *err);
/* Something could not be taken away: it is tried again after a while. Any thread. */
void pod_retry_post(struct pod_manager *m);

/* ---- update.c ---- */

/* Limits of a container that is created or running, all of them or none: what CRI knows, and what only
 * OCI knows (NULL: nothing). STATE when it is neither. */
int pod_container_change(struct pod_container *c, const struct pod_resources *change,
			 const struct oci_resources *extra, struct err *err);
/* While it is being created: the limits that config.json gives it, after plugins have seen it. */
int pod_container_limits(struct pod_container *c, const struct pod_resources *now, struct err *err);

/* ---- sandbox.c ---- */

void pod_shim_launch(const struct pod_sandbox *p, struct shim_launch *ret);

/* Deadlines of single steps. */
#define POD_SHIM_START_TIME (20 * NSEC_PER_SEC)
#define POD_TASK_CREATE_TIME (60 * NSEC_PER_SEC)
#define POD_TASK_TIME (10 * NSEC_PER_SEC)
#define POD_KILL_TIME (10 * NSEC_PER_SEC)
#define POD_SHIM_KILL_TIME (5 * NSEC_PER_SEC) /* for the shim to take a signal or a deletion */
#define POD_SHIM_MUTE_TIME (30 * NSEC_PER_SEC)
#define POD_CLEANUP_TIME (20 * NSEC_PER_SEC)
#define POD_HOLD_TIME (110 * NSEC_PER_SEC)
