/*
 * pod — sandboxes and containers as state machines.
 *
 * The room between the wire (cri) and the mechanisms (image, store, cni, shim). It knows
 * no wire type: requests come as the plain structs below, which are also what is kept in
 * the records (pod/record.c has their field tables).
 *
 * Objects. A manager owns every pod and container. A pod and a container are named by a
 * random 64-digit id, and by the key of what asked for them: (namespace, name, uid,
 * attempt) for a pod, (pod, name, attempt) for a container.
 *
 * Operations (run, stop, remove, create, start, exec) belong to the manager, not to whoever
 * asked. Each is keyed; it runs on a thread of its own as straight-line blocking code; who
 * asks the same again while it runs joins it and gets its result. A caller that goes away
 * (pod_wait_cancel) leaves the operation running. Operations on one pod or container exclude
 * each other; a stop or remove waits for a running create, and says in its error which stage
 * it waited for and how long.
 *
 * Threads. All functions are called on the loop thread; `done` callbacks run there. The
 * tables are guarded by one mutex, which is never held across anything that blocks:
 * pod_lock … read the structs … pod_unlock.
 *
 * Truth. The record says what was wanted, the kernel what is. A record of intent is
 * committed before the first kernel object is made, and a manager that starts finishes or
 * undoes what it finds. Stop and remove of what is dead or unknown succeed.
 *
 * Errors: NOT_FOUND names the id as it was given; INVALID the field; the stage of an operation
 * comes first: `run pod default/web: CNI plugin bridge: …`.
 */
#pragma once

#include "base/base.h"
#include "event/event.h"
#include "json/json.h"

#include <sys/types.h>

/* ---- what is asked for: configurations (all memory in the arena they were built in) ---- */

enum pod_ns_mode { POD_NS_POD, POD_NS_CONTAINER, POD_NS_NODE, POD_NS_TARGET }; /* CRI's numbers */

struct pod_id_map {
	uint32_t container_id, host_id, length;
};

struct pod_namespaces {
	int network, pid, ipc; /* enum pod_ns_mode */
	char *target_id;       /* container whose pid namespace is joined (TARGET) */
	int user;              /* POD_NS_NODE (none) or POD_NS_POD (mapped) */
	struct pod_id_map *uids, *gids;
	size_t n_uids, n_gids;
};

enum pod_profile_kind {
	POD_PROFILE_UNSET, POD_PROFILE_RUNTIME_DEFAULT, POD_PROFILE_UNCONFINED, POD_PROFILE_LOCALHOST,
};

struct pod_profile {
	int kind;
	char *localhost; /* path of a seccomp profile, or name of an AppArmor profile */
};

struct pod_selinux {
	char *user, *role, *type, *level;
};

struct pod_hugepage {
	char *page_size;
	uint64_t limit;
};

/* 0 and NULL: not given */
struct pod_resources {
	int64_t cpu_period, cpu_quota, cpu_shares, memory_limit, memory_swap_limit, oom_score_adj;
	char *cpuset_cpus, *cpuset_mems;
	struct pod_hugepage *hugepages;
	size_t n_hugepages;
	struct json_kv *unified;
	size_t n_unified;
};

struct pod_port {
	int protocol; /* 0 TCP, 1 UDP, 2 SCTP */
	int32_t container_port, host_port;
	char *host_ip;
};

struct pod_security {
	struct pod_namespaces namespaces;
	int64_t *run_as_user, *run_as_group;
	char *run_as_username;
	int64_t *supplemental_groups;
	size_t n_supplemental_groups;
	bool supplemental_strict;
	bool privileged, readonly_rootfs, no_new_privs;
	char **cap_add, **cap_drop, **cap_ambient;
	size_t n_cap_add, n_cap_drop, n_cap_ambient;
	char **masked_paths, **readonly_paths;
	size_t n_masked_paths, n_readonly_paths;
	struct pod_profile seccomp, apparmor;
	struct pod_selinux *selinux;
};

struct pod_config {
	char *name, *uid, *ns; /* Kubernetes' metadata */
	uint32_t attempt;
	char *hostname, *log_directory;
	char **dns_servers, **dns_searches, **dns_options;
	size_t n_dns_servers, n_dns_searches, n_dns_options;
	struct pod_port *ports;
	size_t n_ports;
	struct json_kv *labels, *annotations, *sysctls;
	size_t n_labels, n_annotations, n_sysctls;
	char *cgroup_parent;
	struct pod_security security;
	struct pod_resources *overhead, *resources;
	char *handler; /* runtime handler; "" the default */
};

struct pod_mount {
	char *container_path, *host_path;
	bool readonly, recursive_readonly, selinux_relabel;
	int propagation; /* 0 private, 1 host to container, 2 bidirectional */
	struct pod_id_map *uids, *gids;
	size_t n_uids, n_gids;
	char *image, *image_sub_path;
	char *user_image, *image_ref; /* as the client called it; the image's id, filled in by create */
	char **options;
	size_t n_options;
};

struct pod_device {
	char *container_path, *host_path, *permissions;
};

struct pod_env {
	char *key, *value;
};

struct pod_container_config {
	char *name;
	uint32_t attempt;
	char *image;           /* as given: name, digest or id */
	char *user_image;      /* ImageSpec.user_specified_image, "" if absent */
	struct json_kv *image_annotations;
	size_t n_image_annotations;
	char **command, **args;
	size_t n_command, n_args;
	char *working_dir;
	struct pod_env *envs;
	size_t n_envs;
	struct pod_mount *mounts;
	size_t n_mounts;
	struct pod_device *devices;
	size_t n_devices;
	char **cdi_devices;
	size_t n_cdi_devices;
	struct json_kv *labels, *annotations;
	size_t n_labels, n_annotations;
	char *log_path; /* relative to the pod's log_directory */
	bool stdin_open, stdin_once, tty;
	int stop_signal; /* Linux signal number; 0: the image's, else SIGTERM */
	struct pod_resources resources;
	struct pod_security security;
};

extern const struct json_type pod_config_type;
extern const struct json_type pod_container_config_type;

/* ---- what is: read under pod_lock ---- */

enum pod_state { POD_READY, POD_NOT_READY };                                          /* CRI's numbers */
enum pod_container_state { POD_CREATED, POD_RUNNING, POD_EXITED, POD_UNKNOWN };       /* CRI's numbers */

struct pod_sandbox {
	char id[ID_LEN + 1];
	const struct pod_config *config;
	enum pod_state state;
	bool visible;          /* listed: the run has committed */
	int64_t created_at;
	char **ips;            /* first: the primary one */
	size_t n_ips;
	char *netns;           /* path, or NULL with the host's network */
	pid_t pid;             /* of pause; 0 when gone */
	uint64_t pid_ticks;
	char *reason;          /* why it is not ready, "" else */
	char *cgroup_path;     /* of the pod */
	char *dir;             /* <state>/pods/<id> */
	struct pod_op *op;     /* running operation, or NULL */
	struct list containers; /* struct pod_container.link, oldest first */
	void *kept_row;        /* of whoever makes lists, NULL at first; freed with the pod */
	/* the rest belongs to the room itself */
	struct pod_sandbox_private *priv;
};

struct pod_container {
	char id[ID_LEN + 1];
	struct list link;
	struct pod_sandbox *pod;
	const struct pod_container_config *config;
	enum pod_container_state state;
	bool visible;
	char *image_id, *image_ref; /* "sha256:…" of the config; repo digest or id */
	int64_t created_at, started_at, finished_at; /* real ns, 0: not yet */
	int exit_code;
	char *reason, *message; /* "Completed", "Error", "OOMKilled", "StartError", … */
	pid_t pid;
	uint64_t pid_ticks;
	char *log_path;         /* absolute */
	char *cgroup_path;
	char *dir;              /* its bundle: <state>/pods/<pod>/<id> */
	uint32_t uid, gid, *groups; /* as resolved in the image */
	size_t n_groups;
	int stop_signal;        /* the one that will be used */
	struct pod_op *op;
	void *kept_row;         /* as the pod's */
	struct pod_container_private *priv;
};

/* ---- the manager ---- */

struct store;
struct image_table;
struct cni;
struct nri_settings;

struct pod_manager;

struct pod_settings {
	const char *root, *state;        /* absolute directories */
	const char *shim_binary, *pause_binary; /* absolute paths */
	const char *cgroup_parent;       /* for pods that name none: "/caisson" */
	bool systemd_cgroup;             /* slices and scopes, made by systemd */
	bool quadratic_weight;           /* CPU shares become cpu.weight by the newer curve */
	const char *seccomp_profile_root; /* relative Localhost profiles, /var/lib/kubelet/seccomp */
	const char *criu;                /* absolute; NULL or "": of PATH */
	const char *const *cdi_dirs;     /* borrowed for the manager's life */
	size_t n_cdi_dirs;
	const char *events_address;
	int64_t cni_timeout;             /* ns */
	const struct nri_settings *nri;  /* NULL: no plugins; its host is the manager's to fill */
	struct buf *note;                /* may be NULL: lines for the log about damaged records */
	void (*say)(enum log_level level, const char *text); /* may be NULL: a line for the log; any thread */
};

/* Reads all records, finds the shims of an earlier daemon, reconciles with the kernel, and
 * returns when lists are true; slow clean-up goes on in the background. */
int pod_manager_new(struct event_loop *loop, struct store *store, struct image_table *images, struct cni *cni,
		    const struct pod_settings *settings, struct pod_manager **ret, struct err *err);
/* Waits for running operations to reach a point where they can be left. Pods run on. After
 * the loop has stopped, before it, the store, the images and the network are freed. */
void pod_manager_free(struct pod_manager *m);

void pod_lock(struct pod_manager *m);
void pod_unlock(struct pod_manager *m);

/* By id or unique prefix of one; NULL and an err: NOT_FOUND, or INVALID when ambiguous.
 * `what` may be any string. Under pod_lock. */
struct pod_sandbox *pod_sandbox_find(struct pod_manager *m, const char *what, struct err *err);
struct pod_container *pod_container_find(struct pod_manager *m, const char *what, struct err *err);
/* Oldest first: NULL starts. Only visible ones. Under pod_lock. */
struct pod_sandbox *pod_sandbox_next(struct pod_manager *m, struct pod_sandbox *after);

/* ---- events ---- */

enum pod_event { POD_EVENT_CREATED, POD_EVENT_STARTED, POD_EVENT_STOPPED, POD_EVENT_DELETED }; /* CRI's numbers */

/* Called the moment that lists show the change, in the order of the changes; container NULL: it is
 * the pod's own. Under pod_lock, any thread: it must neither block nor call this room. */
typedef void (*pod_event_fn)(enum pod_event event, const struct pod_sandbox *pod,
			     const struct pod_container *container, void *user);
/* One listener; NULL takes it back. */
void pod_on_event(struct pod_manager *m, pod_event_fn fn, void *user);

/* ---- operations ---- */

struct pod_result {
	const char *id;              /* run, create */
	const struct buf *out, *err; /* exec */
	int exit_code;               /* exec */
};

/* err is NULL on success; r is valid during the call. Loop thread. Never called from inside
 * the function that started the operation. */
typedef void (*pod_done_fn)(const struct pod_result *r, const struct err *err, void *user);

struct pod_wait;
/* The caller is no longer interested: done will not be called. The operation goes on (an
 * exec is ended). The wait is freed by this, and by itself after done. */
void pod_wait_cancel(struct pod_wait *w);
/* For the answer to a caller whose deadline passes: "run pod default/web: CNI ADD (for 12 s)".
 * Cut at size. True: the operation goes on without it. Loop thread. */
bool pod_wait_describe(const struct pod_wait *w, char *out, size_t size);

/* config is copied. The same key again: joins the running one, or, when the pod exists and
 * is ready, gives its id again. `timeout` 0: none. Every function returns a wait. */
struct pod_wait *pod_sandbox_run(struct pod_manager *m, const struct pod_config *config, pod_done_fn done,
				 void *user);
struct pod_wait *pod_sandbox_stop(struct pod_manager *m, const char *id, pod_done_fn done, void *user);
struct pod_wait *pod_sandbox_remove(struct pod_manager *m, const char *id, pod_done_fn done, void *user);

struct pod_wait *pod_container_create(struct pod_manager *m, const char *pod_id,
				      const struct pod_container_config *config, pod_done_fn done,
				      void *user);
struct pod_wait *pod_container_start(struct pod_manager *m, const char *id, pod_done_fn done, void *user);
/* grace in seconds, 0: SIGKILL at once. */
struct pod_wait *pod_container_stop(struct pod_manager *m, const char *id, int64_t grace, pod_done_fn done,
				    void *user);
struct pod_wait *pod_container_remove(struct pod_manager *m, const char *id, pod_done_fn done, void *user);
struct pod_wait *pod_container_exec(struct pod_manager *m, const char *id, char *const *cmd, size_t n_cmd,
				    int64_t timeout_s, pod_done_fn done, void *user);
/* Sets what is given in resources (neither 0 nor NULL; lists by their keys) for a container that is
 * created or running: all of it or, with an error, nothing. */
struct pod_wait *pod_container_update(struct pod_manager *m, const char *id, const struct pod_resources *resources,
				      pod_done_fn done, void *user);
/* Notes what the pod as a whole gets; NULL: as it is. Its cgroup is the caller's (cgroup_parent). */
struct pod_wait *pod_sandbox_update(struct pod_manager *m, const char *id, const struct pod_resources *overhead,
				    const struct pod_resources *resources, pod_done_fn done, void *user);
struct pod_wait *pod_container_log_reopen(struct pod_manager *m, const char *id, pod_done_fn done,
					  void *user);

/* What the network's plugins answered: JSON, or NULL with the host's network and before they did. Under pod_lock. */
const char *pod_network_result(const struct pod_sandbox *p);

/* Pods can have user namespaces here. Any thread. */
bool pod_user_namespaces(const struct pod_manager *m);

/* An archive at the absolute path `location` (0600), as other runtimes write it; the container is paused
 * meanwhile and goes on after. What CRIU cannot do is an error in its words. timeout 0: ten minutes.
 * CreateContainer with such a path as image restores it when it is started. */
struct pod_wait *pod_container_checkpoint(struct pod_manager *m, const char *id, const char *location,
					  int64_t timeout_s, pod_done_fn done, void *user);
/* All running containers of a pod, or those of full ids, of one moment, as one archive. */
struct pod_wait *pod_sandbox_checkpoint(struct pod_manager *m, const char *id, const char *location,
					char *const *containers, size_t n_containers, pod_done_fn done,
					void *user);

/* The way back: a new pod with its containers created, to be restored when they are started. config NULL
 * and no containers: as they were. Result: the pod's id; out has a line with the name and one with the id of
 * each container. A failure leaves nothing. */
struct pod_wait *pod_sandbox_restore(struct pod_manager *m, const char *archive, const struct pod_config *config,
				     const struct pod_container_config *containers, size_t n_containers,
				     pod_done_fn done, void *user);

/* True while any container's snapshot or record refers to the image id. Any thread. */
bool pod_image_in_use(struct pod_manager *m, const char *image_id);

/* ---- streams for a client: any thread, all of them block ---- */

/* A process, or with exec_id "" a container's own, and how its shim is reached: valid without the
 * manager, and from several threads at once. */
struct pod_task {
	char *address, *id, *exec_id;
	bool stdin_once; /* attach: the container's stdin ends with the one who attached */
};

#define POD_TASK_INIT { NULL, NULL, NULL, false }

void pod_task_done(struct pod_task *t);

/* Non-blocking ends of FIFOs: in for writing, out and err for reading; negative: none. */
struct pod_streams {
	int in, out, err;
};

#define POD_STREAMS_INIT { -EBADF, -EBADF, -EBADF }

void pod_streams_done(struct pod_streams *s);

struct pod_exec {
	const char *id;       /* container */
	char *const *cmd;     /* exec */
	size_t n_cmd;
	bool tty, in, out, err;
};

/* Starts a further process. The shim keeps its stdin open until pod_task_close_stdin. */
int pod_exec_start(struct pod_manager *m, const struct pod_exec *what, struct pod_task *ret,
		   struct pod_streams *ret_streams, struct err *err);
/* Copies of what the container writes from now on, and its stdin. STATE: stdin wanted and not open. */
int pod_attach_start(struct pod_manager *m, const struct pod_exec *what, struct pod_task *ret,
		     struct pod_streams *ret_streams, struct err *err);
/* Until the process has exited, then it is forgotten. Only for exec. */
int pod_task_wait(const struct pod_task *t, int *ret_code, struct err *err);
int pod_task_resize(const struct pod_task *t, uint16_t width, uint16_t height, struct err *err);
int pod_task_close_stdin(const struct pod_task *t, struct err *err);
int pod_task_kill(const struct pod_task *t, int sig, struct err *err);
/* A TCP connection to that port of the loopback address inside the pod's network. */
int pod_forward(struct pod_manager *m, const char *pod_id, uint16_t port, int *ret_fd, struct err *err);
