/*
 * The plan of one container (inner header of runtime/).
 *
 * plan.c and its siblings turn config.json into these structs: checked, resolved, with
 * every list built, so that the processes after clone only walk them. Everything lives in
 * one arena; descriptors are closed by plan_done.
 */
#pragma once

#include "cgroup/cgroup.h"
#include "mnt/mnt.h"
#include "ns/ns.h"
#include "oci/oci.h"
#include "runtime/runtime.h"
#include "sec/sec.h"

#include <linux/filter.h>

/* CPUs or memory nodes, as the kernel takes them: longs of bits, the lowest first. */
struct bits_plan {
	unsigned long *bits; /* NULL: none */
	size_t n;            /* bits that there is room for */
};

/* What a process inside becomes; shared by create and exec. */
struct process_plan {
	char **argv;
	char **envp;      /* one free slot before the final NULL, for HOME */
	size_t n_env;
	const char *path; /* of the environment, for looking argv[0] up */
	bool has_home;
	const char *cwd;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
	bool set_groups;  /* false where setgroups is denied */
	mode_t umask;
	struct sec_caps caps;
	uint64_t kernel_caps;
	struct sec_rlimit *rlimits;
	size_t n_rlimits;
	bool no_new_privs, new_keyring;
	const char *apparmor, *selinux;
	const int32_t *oom_score_adj;
	bool terminal;
	unsigned short rows, columns;
	int personality; /* -1: as it is */
	const struct oci_io_priority *io_priority;
	int io_class;
	const struct oci_scheduler *scheduler;
	int scheduler_policy;
	uint64_t scheduler_flags;
	struct bits_plan cpus_initial, cpus_final; /* exec only; empty: as they are */
	int memory_mode; /* -1: as it is; with the flags */
	struct bits_plan memory_nodes;
};

struct sysctl_plan {
	const char *name; /* "net/ipv4/ip_forward" */
	const char *value;
};

struct device_plan {
	const char *host_name, *name;
	struct ns_device device; /* once it was moved */
};

struct runtime_plan {
	struct arena *arena;
	const struct oci_config *config;
	const char *id, *bundle;

	unsigned ns_new, ns_join; /* 1 << enum ns_kind */
	const char *ns_path[NS_KINDS];
	int ns_fd[NS_KINDS];
	struct ns_id_map *uids, *gids;
	size_t n_uids, n_gids;
	struct ns_time_offset *offsets;
	size_t n_offsets;
	const char *hostname, *domainname;
	struct sysctl_plan *sysctls;
	size_t n_sysctls;
	struct device_plan *net_devices;
	size_t n_net_devices;

	struct mnt_plan mnt;
	bool has_mnt; /* a mount namespace of its own: mounts, pivot_root; else chroot */
	const char *rootfs;

	const struct cgroup_host *cgroup_host; /* NULL: no cgroups at all */
	bool in_user_ns;  /* the caller is root of a user namespace, not of the host */
	const char *cgroup_path;
	bool is_systemd;
	struct cgroup_unit unit; /* then */
	const char *cgroup_sub, *cgroup_delegate; /* below cgroup_path, one in the other; NULL: none */
	struct cgroup_limits limits;
	struct cgroup_plan cgroup;

	struct process_plan process;
	bool has_seccomp;
	struct sec_seccomp seccomp;
	struct sock_filter *raw_filter; /* instead of the profile */
	size_t n_raw_filter;
	const char *listener_path, *listener_metadata; /* NULL: no rule asks an agent */
	const char *pidfd_receiver; /* a Unix socket; NULL: none */
};

/* Pure but for asking what this host is. Errors name the JSON path. */
int plan_make(const struct runtime_create *what, const struct oci_config *config, struct arena *a,
	      struct runtime_plan *plan, struct err *err);
void plan_done(struct runtime_plan *plan);

/* By purpose, each in its own file. */
int plan_process(const struct oci_process *p, const struct oci_linux *l, struct arena *a,
		 struct process_plan *ret, struct err *err);
/* crun's annotation run.oci.keep_original_groups, which podman sets for "keep-groups": the
 * supplementary groups of the caller stay, which only works by not touching them. */
void plan_groups(const struct json_kv *annotations, size_t n, struct process_plan *p);
/* l: of it the personality and the memory policy; NULL: neither. */
int plan_scheduling(const struct oci_process *o, const struct oci_linux *l, struct arena *a,
		    struct process_plan *p, struct err *err);
/* In a user namespace where setgroups(2) is denied. */
int plan_denied_groups(struct process_plan *p, struct err *err);
int plan_namespaces(struct runtime_plan *plan, struct err *err);
int plan_mounts(struct runtime_plan *plan, const struct runtime_create *what, struct err *err);
int plan_limits(const struct oci_resources *r, bool creating, struct arena *a, struct cgroup_limits *ret,
		struct err *err);
/* Which curve the annotation org.caisson.cpu-weight-curve asks for. */
int plan_weight_curve(const struct json_kv *annotations, size_t n, struct cgroup_limits *ret,
		      struct err *err);
/* Cgroup, limits and, where systemd makes it, the unit: plan-cgroup.c. */
int plan_cgroup(struct runtime_plan *plan, const struct runtime_create *what, struct err *err);
int plan_seccomp(struct runtime_plan *plan, struct err *err);
/* Last: what annotations change of all that: annotations.c, which has the table. */
int plan_annotations(struct runtime_plan *plan, struct err *err);
/* mnt.label. */
int plan_mount_label(struct runtime_plan *plan, struct err *err);

/* Where the container's root is on the host. */
const char *plan_rootfs(const struct runtime_create *what, const struct oci_config *config, struct arena *a);
