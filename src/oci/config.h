/*
 * config.json of the OCI runtime specification, 1.0 to 1.3 (config.md, config-linux.md).
 *
 * One arena holds everything that a struct oci_config points to. The daemon fills one and
 * writes it into the bundle; the runtime reads it back: both use the same tables.
 */
#pragma once

#include "json/json.h"

struct oci_box {
	uint32_t height, width;
};

struct oci_user {
	uint32_t uid, gid;
	uint32_t *umask;
	uint32_t *additional_gids;
	size_t n_additional_gids;
	char *username; /* Windows only, kept for completeness */
};

struct oci_capabilities {
	char **bounding, **effective, **inheritable, **permitted, **ambient;
	size_t n_bounding, n_effective, n_inheritable, n_permitted, n_ambient;
};

struct oci_rlimit {
	char *type; /* "RLIMIT_NOFILE" */
	uint64_t soft, hard;
};

struct oci_scheduler {
	char *policy;
	int32_t nice, priority;
	char **flags;
	size_t n_flags;
	uint64_t runtime, deadline, period;
};

struct oci_io_priority {
	char *class_;
	int32_t priority;
};

struct oci_cpu_affinity {
	char *initial, *final;
};

struct oci_process {
	bool terminal;
	struct oci_box *console_size;
	struct oci_user user;
	char **args, **env;
	size_t n_args, n_env;
	char *cwd;
	struct oci_capabilities *capabilities;
	struct oci_rlimit *rlimits;
	size_t n_rlimits;
	bool no_new_privileges;
	char *apparmor_profile, *selinux_label;
	int32_t *oom_score_adj;
	struct oci_scheduler *scheduler;
	struct oci_io_priority *io_priority;
	struct oci_cpu_affinity *exec_cpu_affinity;
};

struct oci_id_map {
	uint32_t container_id, host_id, size;
};

struct oci_mount {
	char *destination, *type, *source;
	char **options;
	size_t n_options;
	struct oci_id_map *uid_mappings, *gid_mappings;
	size_t n_uid_mappings, n_gid_mappings;
};

struct oci_hook {
	char *path;
	char **args, **env;
	size_t n_args, n_env;
	int32_t *timeout; /* seconds */
};

struct oci_hooks {
	struct oci_hook *prestart, *create_runtime, *create_container, *start_container, *poststart,
			*poststop;
	size_t n_prestart, n_create_runtime, n_create_container, n_start_container, n_poststart, n_poststop;
};

struct oci_root {
	char *path;
	bool readonly;
};

struct oci_namespace {
	char *type; /* pid network mount ipc uts user cgroup time */
	char *path;
};

struct oci_device {
	char *type, *path; /* type: c b u p */
	int64_t *major, *minor;
	uint32_t *file_mode, *uid, *gid;
};

struct oci_device_rule {
	bool allow;
	char *type; /* a c b */
	int64_t *major, *minor;
	char *access; /* rwm */
};

struct oci_memory {
	int64_t *limit, *reservation, *swap, *kernel, *kernel_tcp;
	uint64_t *swappiness;
	bool *disable_oom_killer, *use_hierarchy, *check_before_update;
};

struct oci_cpu {
	uint64_t *shares, *burst, *period, *realtime_period;
	int64_t *quota, *realtime_runtime, *idle;
	char *cpus, *mems;
};

struct oci_pids {
	int64_t limit;
};

struct oci_weight_device {
	int64_t major, minor;
	uint32_t *weight, *leaf_weight;
};

struct oci_throttle_device {
	int64_t major, minor;
	uint64_t rate;
};

struct oci_block_io {
	uint32_t *weight, *leaf_weight;
	struct oci_weight_device *weight_device;
	struct oci_throttle_device *throttle_read_bps, *throttle_write_bps, *throttle_read_iops,
			*throttle_write_iops;
	size_t n_weight_device, n_throttle_read_bps, n_throttle_write_bps, n_throttle_read_iops,
		n_throttle_write_iops;
};

struct oci_hugepage_limit {
	char *page_size; /* "2MB" */
	uint64_t limit;
};

struct oci_net_priority {
	char *name;
	uint32_t priority;
};

struct oci_network {
	uint32_t *class_id;
	struct oci_net_priority *priorities;
	size_t n_priorities;
};

struct oci_rdma {
	char *name; /* the key of the map */
	uint32_t *hca_handles, *hca_objects;
};

struct oci_resources {
	struct oci_device_rule *devices;
	size_t n_devices;
	struct oci_memory *memory;
	struct oci_cpu *cpu;
	struct oci_pids *pids;
	struct oci_block_io *block_io;
	struct oci_hugepage_limit *hugepage_limits;
	size_t n_hugepage_limits;
	struct oci_network *network;
	struct oci_rdma *rdma;
	size_t n_rdma;
	struct json_kv *unified;
	size_t n_unified;
};

struct oci_seccomp_arg {
	uint32_t index;
	uint64_t value, value_two;
	char *op; /* "SCMP_CMP_EQ" */
};

struct oci_seccomp_syscall {
	char **names;
	size_t n_names;
	char *action;
	uint32_t *errno_ret;
	struct oci_seccomp_arg *args;
	size_t n_args;
};

struct oci_seccomp {
	char *default_action;
	uint32_t *default_errno_ret;
	char **architectures, **flags;
	size_t n_architectures, n_flags;
	char *listener_path, *listener_metadata;
	struct oci_seccomp_syscall *syscalls;
	size_t n_syscalls;
};

struct oci_intel_rdt {
	char *clos_id, *l3_cache_schema, *mem_bw_schema;
	char **schemata;
	size_t n_schemata;
	bool enable_monitoring;
};

struct oci_personality {
	char *domain;
	char **flags;
	size_t n_flags;
};

struct oci_time_offset {
	char *clock; /* "monotonic" or "boottime": the key of the map */
	int64_t secs;
	uint32_t nanosecs;
};

struct oci_net_device {
	char *host_name; /* the key of the map */
	char *name;
};

struct oci_memory_policy {
	char *mode, *nodes;
	char **flags;
	size_t n_flags;
};

struct oci_linux {
	struct oci_id_map *uid_mappings, *gid_mappings;
	size_t n_uid_mappings, n_gid_mappings;
	struct json_kv *sysctl;
	size_t n_sysctl;
	struct oci_resources *resources;
	char *cgroups_path;
	struct oci_namespace *namespaces;
	size_t n_namespaces;
	struct oci_device *devices;
	size_t n_devices;
	struct oci_net_device *net_devices;
	size_t n_net_devices;
	struct oci_seccomp *seccomp;
	char *rootfs_propagation;
	char **masked_paths, **readonly_paths;
	size_t n_masked_paths, n_readonly_paths;
	char *mount_label;
	struct oci_intel_rdt *intel_rdt;
	struct oci_personality *personality;
	struct oci_time_offset *time_offsets;
	size_t n_time_offsets;
	struct oci_memory_policy *memory_policy;
};

struct oci_config {
	char *oci_version;
	struct oci_root *root;
	struct oci_mount *mounts;
	size_t n_mounts;
	struct oci_process *process;
	char *hostname, *domainname;
	struct oci_hooks *hooks;
	struct json_kv *annotations;
	size_t n_annotations;
	struct oci_linux *linux_; /* "linux" is a macro of the compiler */
};

enum { OCI_CONFIG_MAX = 4 * 1024 * 1024 };

extern const struct json_type oci_config_type;
extern const struct json_type oci_process_type;   /* process.json of exec; Exec's Any spec of the shim API */
extern const struct json_type oci_resources_type; /* update --resources */
/* kept in the runtime's record for exec */
extern const struct json_type oci_personality_type, oci_memory_policy_type;
extern const struct json_type oci_intel_rdt_type; /* and for delete */
extern const struct json_type oci_hooks_type;     /* kept in the runtime's record for delete */
extern const struct json_type oci_seccomp_type;   /* a Localhost profile in OCI form */

int oci_config_read(const void *text, size_t len, struct arena *a, struct oci_config *ret, struct err *err);
int oci_process_read(const void *text, size_t len, struct arena *a, struct oci_process *ret, struct err *err);
/* A list of mounts, by itself or as the member "mounts" of an object. */
int oci_mounts_read(const void *text, size_t len, struct arena *a, struct oci_mount **ret, size_t *ret_n,
		    struct err *err);
int oci_config_write(const struct oci_config *c, int indent, struct buf *out, struct err *err);

/* The first annotation of that key, or NULL. */
const char *oci_config_annotation(const struct oci_config *c, const char *key);
