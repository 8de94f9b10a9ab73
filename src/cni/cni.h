/*
 * cni — the pod's network: configuration, plugins, results, teardown.
 *
 * A network configuration (CNI specification 1.0, also 0.3.x, 0.4 and 1.1 documents) names a
 * chain of plugin programs. Attaching a pod runs each with ADD in order, detaching runs
 * each with DEL in reverse. This room finds the configuration, runs the chain under a
 * deadline, and keeps nothing of its own on disk: what DEL needs is in the attachment, and the
 * caller keeps that in the pod's record.
 *
 *	struct cni_attachment at;
 *	struct cni_result res;
 *
 *	cni_netns_create("/run/caisson/pods/ID/netns", -EBADF, err);      (cni/netns.h)
 *	cni_attach_prepare(cni, &pod, arena, &at, err);  // chooses the network, runs nothing
 *	... commit the record with `at`: the intent ...
 *	r = cni_attach_add(cni, &at, deadline, arena, &res, err);   // fills at.result
 *	if (r < 0)
 *		... cni_attach_del with a deadline of its own, then cni_netns_remove ...
 *	... commit the record again, now with the result ...
 *
 *	cni_attach_del(cni, &at, deadline, err);         // until it succeeds: any number of times
 *	cni_netns_remove(path, err);
 *
 * Rules that this order keeps: addresses and rules that a plugin took are always named by a
 * record, whatever dies in between; the configuration used at ADD is the one used at DEL, though
 * files changed since (it is in the attachment); a failed ADD, even in the middle of the
 * chain, is followed by DEL.
 *
 * Which configuration. The first *.conflist, *.conf or *.json of the configuration directory in
 * lexical order of its name; a single plugin's configuration is taken as a list of one. If that
 * file is invalid, or a plugin that it names is in none of the binary directories, the network
 * is not ready and the reason names the file: a later file is never taken instead, since a pod in
 * the wrong network is worse than a pod that waits (containerd does the same). With no file
 * at all (or no directory) the embedded default serves: a bridge with host-local addresses,
 * masquerading and host ports, if its three plugins are installed; else the network is not ready
 * and the reason names what is missing and where it was looked for. Its pods are masqueraded by one
 * rule for all (an nf_tables table "caisson-BRIDGE", looked for at each cni_attach_prepare and made
 * where it is missing; cni_default_broken), or by the plugin's rules for each where that cannot be
 * made. The directory is looked at again (names, inodes, sizes, times) at each cni_status and
 * cni_attach_prepare.
 *
 * Context. All functions may be called by any thread and block the caller. cni_status and
 * cni_attach_prepare touch only small local files, and prepare may ask plugins once for their
 * VERSION; add, del and check run plugins, at most `plugins_max` at once for one struct cni:
 * host-local serialises on one lock file, and a storm of processes on it is slower than a queue.
 * No lock is held while a plugin runs. Needs CAP_NET_ADMIN and CAP_SYS_ADMIN.
 *
 * Errors read `CNI plugin bridge (network "caisson"): ADD: no IP addresses available in range set`.
 * The kind follows the plugin's error code; TIMEOUT: a plugin was killed at the deadline;
 * UNAVAILABLE: no network is ready, or the plugin asks to try again later.
 *
 * Hostile input: what plugins print (bounded to CNI_OUTPUT_MAX, strict JSON), and the
 * configuration files in so far as they are malformed (bounded to CNI_CONF_MAX); what they say
 * is run as root by design. Pod names are checked before they go into CNI_ARGS.
 *
 * Specification: https://github.com/containernetworking/cni/blob/main/SPEC.md
 */
#pragma once

#include "base/base.h"
#include "cni/netns.h"
#include "json/json.h"

enum { CNI_CONF_MAX = 1 << 20, CNI_OUTPUT_MAX = 1 << 20, CNI_PLUGINS_IN_LIST_MAX = 32 };

#define CNI_CONF_DIR "/etc/cni/net.d"
#define CNI_BIN_DIRS "/opt/cni/bin", "/usr/lib/cni"
#define CNI_DEFAULT_NETWORK "caisson"
#define CNI_DEFAULT_BRIDGE "caisson0"
#define CNI_DEFAULT_SUBNET "10.88.0.0/16"

/* All strings are copied. NULL and 0 give the default named behind. */
struct cni_settings {
	const char *conf_dir;        /* CNI_CONF_DIR */
	const char *const *bin_dirs; /* CNI_BIN_DIRS */
	size_t n_bin_dirs;
	unsigned plugins_max;        /* 8 */
	/* the embedded default network; several daemons on one host need a bridge and a subnet each */
	const char *data_dir;        /* host-local's leases; required: <root>/cni */
	const char *bridge;          /* CNI_DEFAULT_BRIDGE; at most 15 characters; "": no default network */
	const char *subnet;          /* CNI_DEFAULT_SUBNET; IPv4 or IPv6, a.b.c.d/n */
	uint32_t mtu;                /* 0: the plugin's choice */
};

/*
 * Once at the start, before the first pod, with the data_dir of the settings: addresses that the
 * default network gave out in an earlier boot of the machine are free again. 1 when there was an
 * earlier one, 0 when not, negative when they cannot be removed.
 */
int cni_leases_of_this_boot(const char *data_dir, struct err *err);

struct cni;

/* Loads nothing yet: a broken configuration is no reason for a daemon not to start. INVALID
 * when a setting is. */
int cni_new(const struct cni_settings *settings, struct cni **ret, struct err *err);
void cni_free(struct cni *cni); /* no call may be running */

/* What CRI's Status shows as the condition NetworkReady. */
struct cni_status {
	bool ready;
	const char *reason;          /* "" when ready; else "NetworkPluginNotReady" and the like, static */
	char message[ERR_TEXT_MAX];  /* "" when ready; else one line that names the file or the plugin */
	char network[128];           /* name of the network that the next pod gets, "" if none */
	char source[256];            /* its file, or "embedded default" */
};

void cni_status(struct cni *cni, struct cni_status *ret);

/* ---- attaching a pod ---- */

enum cni_protocol { CNI_TCP, CNI_UDP, CNI_SCTP }; /* CRI's numbers */

struct cni_port {
	int protocol; /* enum cni_protocol */
	int32_t container_port, host_port; /* host_port 0: not mapped, ignored */
	const char *host_ip;               /* NULL or "": all addresses */
};

/* What is known of the pod. Borrowed; NULL and 0 where there is nothing. */
struct cni_pod {
	const char *id;          /* required: CNI_CONTAINERID */
	const char *netns;       /* required: path of its network namespace */
	const char *ifname;      /* NULL: "eth0" */
	const char *name, *ns, *uid; /* K8S_POD_NAME, K8S_POD_NAMESPACE, K8S_POD_UID */
	const struct cni_port *ports;
	size_t n_ports;
	/* for networks whose plugins ask for them by capability */
	const char *cgroup_path;
	char *const *dns_servers, *const *dns_searches, *const *dns_options;
	size_t n_dns_servers, n_dns_searches, n_dns_options;
	const struct json_kv *annotations;
	size_t n_annotations;
};

/*
 * One pod in one network: all that ADD, CHECK and DEL need. Goes into the pod's record as it is
 * (cni_attachment_type); memory is in the arena given to prepare, later also to add.
 */
struct cni_attachment {
	char *network;      /* name, for people */
	char *container_id, *netns, *ifname, *args;
	char *conf;         /* the configuration list as it was used: JSON */
	char *capabilities; /* what runtimeConfig is filled from: JSON object */
	char *result;       /* the last plugin's result: JSON; NULL before a successful ADD */
};

extern const struct json_type cni_attachment_type;

/* A result, of any cniVersion, in the shape of 1.0. */
struct cni_interface {
	char *name, *mac, *sandbox; /* sandbox: path of the netns, NULL for interfaces of the host */
};

struct cni_ip {
	char *address;       /* "10.86.0.5/16" */
	char *gateway;       /* NULL if none */
	int32_t *interface;  /* index into interfaces; NULL if not said */
};

struct cni_route {
	char *dst, *gw;
};

struct cni_dns {
	char **nameservers, **search, **options;
	size_t n_nameservers, n_search, n_options;
	char *domain;
};

struct cni_result {
	struct cni_interface *interfaces;
	size_t n_interfaces;
	struct cni_ip *ips;
	size_t n_ips;
	struct cni_route *routes;
	size_t n_routes;
	struct cni_dns dns;
	/* derived: addresses without prefix length of the pod's own interface, in the result's order */
	char **pod_ips;
	size_t n_pod_ips;
};

/* Chooses the network and writes down what will be done. UNAVAILABLE with cni_status's message
 * when no network is ready; INVALID names the field of pod. */
int cni_attach_prepare(struct cni *cni, const struct cni_pod *pod, struct arena *a,
		       struct cni_attachment *ret, struct err *err);

/* ADD through the chain. On success at->result is set and *ret filled (both in a). On failure
 * at is untouched, and something may be half done: the caller runs del. `deadline` is
 * time_now_mono() based and includes waiting for a free plugin slot. */
int cni_attach_add(struct cni *cni, struct cni_attachment *at, int64_t deadline, struct arena *a,
		   struct cni_result *ret, struct err *err);

/* DEL through the chain in reverse. A plugin that fails does not stop the others; the first
 * failure is what comes back, and the whole can be repeated. at->result may be NULL (ADD
 * failed or never ran); a network namespace that no longer exists is passed as none, as the
 * specification wants it after a reboot. The time to the deadline is shared out, so that one
 * hanging plugin leaves time for the others. 0 when nothing was there any more. */
int cni_attach_del(struct cni *cni, const struct cni_attachment *at, int64_t deadline, struct err *err);

/* CHECK through the chain: 0 when all is as it was after ADD. UNSUPPORTED for networks below
 * cniVersion 0.4.0 and STATE without a result; 0 where the list says disableCheck. */
int cni_attach_check(struct cni *cni, const struct cni_attachment *at, int64_t deadline, struct err *err);

/* Reads a result again, from a record: pure, no I/O, hostile input. ifname selects pod_ips. */
int cni_result_read(const char *text, size_t len, const char *ifname, struct arena *a,
		    struct cni_result *ret, struct err *err);

/*
 * The embedded default's masquerading rule, for who looks after pods that run: a firewall that is
 * loaded anew takes it away from under them. serves: this attachment depends on it. broken: it is
 * gone; a question to the kernel that never waits. mend: it is there again.
 */
bool cni_default_serves(struct cni *cni, const struct cni_attachment *at);
bool cni_default_broken(struct cni *cni);
int cni_default_mend(struct cni *cni, struct err *err);

/* For a daemon that ends: while no interface is attached to the default's bridge nobody needs the rule,
 * and it goes. The bridge stays, as the bridge plugin leaves it on purpose. */
int cni_default_leave(struct cni *cni, struct err *err);
