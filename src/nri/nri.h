/*
 * nri — the Node Resource Interface: plugins that see, adjust and refuse pods and containers.
 * https://github.com/containerd/nri, protocol nri.pkg.api.v1alpha1 (schema/nri.proto).
 *
 * A plugin is a program of the node's administrator. It connects to our Unix socket, or is one of
 * the pre-installed ones that are started from a directory (NN-name, with a connected socket in
 * NRI_PLUGIN_SOCKET), registers, is configured, hears of all pods and containers that exist
 * (Synchronize), and then of each event that it asked for, in the order of the plugins' indices.
 *
 * The turn. Events are told one at a time: nri_begin … nri_end. What the caller changes
 * between the two is atomic for plugins: a plugin that comes later is synchronized under
 * the turn as well, with what host->list gives, so each pod and container reaches it exactly
 * once, by an event or by the synchronization. Never take the turn under another lock; host->list
 * is called under it. Without plugins an event costs an uncontended lock.
 *
 * Errors. A plugin that answers an event with an error refuses it: the call returns that error,
 * naming the plugin. A plugin that does not answer in time (request_timeout; registration_timeout
 * for Configure and Synchronize, with which it begins), closes its connection or sends nonsense
 * is cut off, told about through `say`, and the event goes on without it.
 *
 * Input is hostile in form: frames, messages (rpc/pb.h), counts and values are bounded and
 * checked here. In substance a plugin is root's equal: it may mount what it likes.
 *
 * RunPodSandbox, UpdatePodSandbox, CreateContainer, UpdateContainer and StartContainer can be refused;
 * the other events have happened: all plugins are told, and an error is there to be logged.
 * err must not be NULL.
 *
 * Threads. start and free on the loop thread; everything else on worker threads: it
 * blocks. The host's functions are called on worker threads.
 */
#pragma once

#include "base/base.h"
#include "event/event.h"
#include "oci/oci.h"

struct nri;

struct nri_pod {
	const char *id, *name, *uid, *ns, *handler;
	const struct json_kv *labels, *annotations;
	size_t n_labels, n_annotations;
	const struct oci_resources *overhead, *pod_resources, *resources; /* NULL: not known */
	const char *cgroup_parent, *cgroups_path;
	const struct oci_namespace *namespaces;
	size_t n_namespaces;
	uint32_t pid;
	char *const *ips;
	size_t n_ips;
};

enum nri_state { NRI_UNKNOWN, NRI_CREATED, NRI_PAUSED, NRI_RUNNING, NRI_STOPPED }; /* the protocol's */

enum nri_profile { NRI_RUNTIME_DEFAULT, NRI_UNCONFINED, NRI_LOCALHOST }; /* the protocol's */

struct nri_container {
	const char *id, *pod_id, *name;
	enum nri_state state;
	const struct json_kv *labels, *annotations; /* the request's; those of config are added */
	size_t n_labels, n_annotations;
	uint32_t pid;
	int64_t created_at, started_at, finished_at;
	int32_t exit_code;
	const char *reason, *message;
	const char *image, *image_digest, *image_id;
	char *const *cdi_devices; /* those that the request asks for */
	size_t n_cdi_devices;
	enum nri_profile seccomp;
	const char *seccomp_path; /* of NRI_LOCALHOST */
	const struct oci_config *config; /* NULL: only the above is told */
};

/* A change of a container's limits: only what is given in resources. */
struct nri_update {
	char *id;
	const struct oci_resources *resources;
	bool ignore_failure;
	const char *plugin;
};

struct nri_eviction {
	char *id, *reason;
	const char *plugin;
};

/* What plugins want beside the event itself, for the caller to do after nri_end. */
struct nri_result {
	struct nri_update *updates;
	size_t n_updates;
	struct nri_eviction *evictions;
	size_t n_evictions;
	char **cdi_devices; /* create */
	size_t n_cdi_devices;
};

/* What plugins were told of, and its resources. All memory in the arena. */
struct nri_listing {
	struct nri_pod *pods;
	size_t n_pods;
	struct nri_container *containers;
	size_t n_containers;
};

struct nri_host {
	void (*list)(struct arena *a, struct nri_listing *ret, void *user);
	int (*update)(const struct nri_update *u, void *user, struct err *err);
	int (*evict)(const struct nri_eviction *e, void *user, struct err *err);
	void *user;
};

struct nri_settings {
	const char *socket;               /* "": no external plugins */
	const char *plugin_dir, *config_dir; /* plugin_dir "": none are started */
	int64_t registration_timeout, request_timeout; /* ns */
	struct nri_host host;
	void (*say)(enum log_level level, const char *text); /* a line for the log; any thread */
};

/* Plugins may come from here on. A socket or directory that cannot be used is said and left out. */
int nri_start(struct event_loop *loop, const struct nri_settings *settings, struct nri **ret,
	      struct err *err);
/* No calls of the host after this. NULL is fine. */
void nri_free(struct nri *n);

void nri_begin(struct nri *n);
void nri_end(struct nri *n);
/* Under the turn: whether anybody listens, so that there is something to prepare. */
bool nri_has_plugins(const struct nri *n);

/* ---- events, under the turn ---- */

enum nri_event { /* the protocol's numbers */
	NRI_RUN_POD_SANDBOX = 1, NRI_STOP_POD_SANDBOX, NRI_REMOVE_POD_SANDBOX, NRI_CREATE_CONTAINER,
	NRI_POST_CREATE_CONTAINER, NRI_START_CONTAINER, NRI_POST_START_CONTAINER, NRI_UPDATE_CONTAINER,
	NRI_POST_UPDATE_CONTAINER, NRI_STOP_CONTAINER, NRI_REMOVE_CONTAINER, NRI_UPDATE_POD_SANDBOX,
	NRI_POST_UPDATE_POD_SANDBOX, NRI_VALIDATE_CONTAINER_ADJUSTMENT, NRI_EVENTS
};

/* The events that carry no more than what they are about; container NULL for those of a pod. */
int nri_tell(struct nri *n, enum nri_event event, const struct nri_pod *pod,
	     const struct nri_container *container, struct err *err);
int nri_update_pod(struct nri *n, const struct nri_pod *pod, const struct oci_resources *overhead,
		   const struct oci_resources *resources, struct err *err);

/*
 * CreateContainer: config is container->config, and is adjusted; what it points to anew is the arena's.
 * INVALID: two plugins want the same thing, or one wants what cannot be; the plugins are
 * named. Validators have seen the whole after all others.
 */
int nri_create(struct nri *n, const struct nri_pod *pod, const struct nri_container *container,
	       struct oci_config *config, struct arena *a, struct nri_result *ret, struct err *err);
/* UpdateContainer: *resources is what will be set, and is changed by plugins. */
int nri_update(struct nri *n, const struct nri_pod *pod, const struct nri_container *container,
	       struct oci_resources *resources, struct arena *a, struct nri_result *ret, struct err *err);
int nri_stop(struct nri *n, const struct nri_pod *pod, const struct nri_container *container, struct arena *a,
	     struct nri_result *ret, struct err *err);
