/*
 * The field tables of config.json, in the order of the specification. Reading and writing
 * both follow them, so a field exists for Caisson exactly when it has a row here.
 *
 * JSON_ALWAYS stands on members whose zero is a value (uid 0, the first id of a map): they
 * are written even when zero. JSON_REQUIRED stands where the specification says so and
 * where nothing sensible can be assumed.
 */
#include "oci/config.h"

#define REQ (JSON_REQUIRED | JSON_ALWAYS)

/* ---- process ---- */

static const struct json_field box_fields[] = {
	JSON_FIELD(U32, struct oci_box, height, "height", REQ),
	JSON_FIELD(U32, struct oci_box, width, "width", REQ),
};
static const struct json_type box_type = JSON_TYPE("consoleSize", struct oci_box, box_fields);

static const struct json_field user_fields[] = {
	JSON_FIELD(U32, struct oci_user, uid, "uid", JSON_ALWAYS),
	JSON_FIELD(U32, struct oci_user, gid, "gid", JSON_ALWAYS),
	JSON_FIELD(OPT_U32, struct oci_user, umask, "umask", 0),
	JSON_FIELD_LIST(U32_LIST, struct oci_user, additional_gids, "additionalGids", 0),
	JSON_FIELD(STR, struct oci_user, username, "username", 0),
};
static const struct json_type user_type = JSON_TYPE("user", struct oci_user, user_fields);

static const struct json_field capabilities_fields[] = {
	JSON_FIELD_LIST(STR_LIST, struct oci_capabilities, bounding, "bounding", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_capabilities, effective, "effective", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_capabilities, inheritable, "inheritable", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_capabilities, permitted, "permitted", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_capabilities, ambient, "ambient", 0),
};
static const struct json_type capabilities_type =
	JSON_TYPE("capabilities", struct oci_capabilities, capabilities_fields);

static const struct json_field rlimit_fields[] = {
	JSON_FIELD(STR, struct oci_rlimit, type, "type", JSON_REQUIRED),
	JSON_FIELD(U64, struct oci_rlimit, hard, "hard", REQ),
	JSON_FIELD(U64, struct oci_rlimit, soft, "soft", REQ),
};
static const struct json_type rlimit_type = JSON_TYPE("rlimit", struct oci_rlimit, rlimit_fields);

static const struct json_field scheduler_fields[] = {
	JSON_FIELD(STR, struct oci_scheduler, policy, "policy", JSON_REQUIRED),
	JSON_FIELD(I32, struct oci_scheduler, nice, "nice", 0),
	JSON_FIELD(I32, struct oci_scheduler, priority, "priority", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_scheduler, flags, "flags", 0),
	JSON_FIELD(U64, struct oci_scheduler, runtime, "runtime", 0),
	JSON_FIELD(U64, struct oci_scheduler, deadline, "deadline", 0),
	JSON_FIELD(U64, struct oci_scheduler, period, "period", 0),
};
static const struct json_type scheduler_type =
	JSON_TYPE("scheduler", struct oci_scheduler, scheduler_fields);

static const struct json_field io_priority_fields[] = {
	JSON_FIELD(STR, struct oci_io_priority, class_, "class", JSON_REQUIRED),
	JSON_FIELD(I32, struct oci_io_priority, priority, "priority", JSON_ALWAYS),
};
static const struct json_type io_priority_type =
	JSON_TYPE("ioPriority", struct oci_io_priority, io_priority_fields);

static const struct json_field cpu_affinity_fields[] = {
	JSON_FIELD(STR, struct oci_cpu_affinity, initial, "initial", 0),
	JSON_FIELD(STR, struct oci_cpu_affinity, final, "final", 0),
};
static const struct json_type cpu_affinity_type =
	JSON_TYPE("execCPUAffinity", struct oci_cpu_affinity, cpu_affinity_fields);

static const struct json_field process_fields[] = {
	JSON_FIELD(BOOL, struct oci_process, terminal, "terminal", 0),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_process, console_size, "consoleSize", 0, &box_type),
	JSON_FIELD_OBJ(OBJ, struct oci_process, user, "user", 0, &user_type),
	JSON_FIELD_LIST(STR_LIST, struct oci_process, args, "args", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_process, env, "env", 0),
	JSON_FIELD(STR, struct oci_process, cwd, "cwd", REQ),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_process, capabilities, "capabilities", 0, &capabilities_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_process, rlimits, "rlimits", 0, &rlimit_type),
	JSON_FIELD(BOOL, struct oci_process, no_new_privileges, "noNewPrivileges", 0),
	JSON_FIELD(STR, struct oci_process, apparmor_profile, "apparmorProfile", 0),
	JSON_FIELD(OPT_I32, struct oci_process, oom_score_adj, "oomScoreAdj", 0),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_process, scheduler, "scheduler", 0, &scheduler_type),
	JSON_FIELD(STR, struct oci_process, selinux_label, "selinuxLabel", 0),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_process, io_priority, "ioPriority", 0, &io_priority_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_process, exec_cpu_affinity, "execCPUAffinity", 0,
		       &cpu_affinity_type),
};
const struct json_type oci_process_type = JSON_TYPE("process", struct oci_process, process_fields);

/* ---- mounts, hooks, root ---- */

static const struct json_field id_map_fields[] = {
	JSON_FIELD(U32, struct oci_id_map, container_id, "containerID", REQ),
	JSON_FIELD(U32, struct oci_id_map, host_id, "hostID", REQ),
	JSON_FIELD(U32, struct oci_id_map, size, "size", REQ),
};
static const struct json_type id_map_type = JSON_TYPE("id mapping", struct oci_id_map, id_map_fields);

static const struct json_field mount_fields[] = {
	JSON_FIELD(STR, struct oci_mount, destination, "destination", JSON_REQUIRED),
	JSON_FIELD(STR, struct oci_mount, type, "type", 0),
	JSON_FIELD(STR, struct oci_mount, source, "source", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_mount, options, "options", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_mount, uid_mappings, "uidMappings", 0, &id_map_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_mount, gid_mappings, "gidMappings", 0, &id_map_type),
};
static const struct json_type mount_type = JSON_TYPE("mount", struct oci_mount, mount_fields);

static const struct json_field hook_fields[] = {
	JSON_FIELD(STR, struct oci_hook, path, "path", JSON_REQUIRED),
	JSON_FIELD_LIST(STR_LIST, struct oci_hook, args, "args", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_hook, env, "env", 0),
	JSON_FIELD(OPT_I32, struct oci_hook, timeout, "timeout", 0),
};
static const struct json_type hook_type = JSON_TYPE("hook", struct oci_hook, hook_fields);

static const struct json_field hooks_fields[] = {
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_hooks, prestart, "prestart", 0, &hook_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_hooks, create_runtime, "createRuntime", 0, &hook_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_hooks, create_container, "createContainer", 0, &hook_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_hooks, start_container, "startContainer", 0, &hook_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_hooks, poststart, "poststart", 0, &hook_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_hooks, poststop, "poststop", 0, &hook_type),
};
const struct json_type oci_hooks_type = JSON_TYPE("hooks", struct oci_hooks, hooks_fields);

static const struct json_field root_fields[] = {
	JSON_FIELD(STR, struct oci_root, path, "path", REQ),
	JSON_FIELD(BOOL, struct oci_root, readonly, "readonly", 0),
};
static const struct json_type root_type = JSON_TYPE("root", struct oci_root, root_fields);

/* ---- linux.resources ---- */

static const struct json_field device_rule_fields[] = {
	JSON_FIELD(BOOL, struct oci_device_rule, allow, "allow", REQ),
	JSON_FIELD(STR, struct oci_device_rule, type, "type", 0),
	JSON_FIELD(OPT_I64, struct oci_device_rule, major, "major", 0),
	JSON_FIELD(OPT_I64, struct oci_device_rule, minor, "minor", 0),
	JSON_FIELD(STR, struct oci_device_rule, access, "access", 0),
};
static const struct json_type device_rule_type =
	JSON_TYPE("device rule", struct oci_device_rule, device_rule_fields);

static const struct json_field memory_fields[] = {
	JSON_FIELD(OPT_I64, struct oci_memory, limit, "limit", 0),
	JSON_FIELD(OPT_I64, struct oci_memory, reservation, "reservation", 0),
	JSON_FIELD(OPT_I64, struct oci_memory, swap, "swap", 0),
	JSON_FIELD(OPT_I64, struct oci_memory, kernel, "kernel", 0),
	JSON_FIELD(OPT_I64, struct oci_memory, kernel_tcp, "kernelTCP", 0),
	JSON_FIELD(OPT_U64, struct oci_memory, swappiness, "swappiness", 0),
	JSON_FIELD(OPT_BOOL, struct oci_memory, disable_oom_killer, "disableOOMKiller", 0),
	JSON_FIELD(OPT_BOOL, struct oci_memory, use_hierarchy, "useHierarchy", 0),
	JSON_FIELD(OPT_BOOL, struct oci_memory, check_before_update, "checkBeforeUpdate", 0),
};
static const struct json_type memory_type = JSON_TYPE("memory", struct oci_memory, memory_fields);

static const struct json_field cpu_fields[] = {
	JSON_FIELD(OPT_U64, struct oci_cpu, shares, "shares", 0),
	JSON_FIELD(OPT_I64, struct oci_cpu, quota, "quota", 0),
	JSON_FIELD(OPT_U64, struct oci_cpu, burst, "burst", 0),
	JSON_FIELD(OPT_U64, struct oci_cpu, period, "period", 0),
	JSON_FIELD(OPT_I64, struct oci_cpu, realtime_runtime, "realtimeRuntime", 0),
	JSON_FIELD(OPT_U64, struct oci_cpu, realtime_period, "realtimePeriod", 0),
	JSON_FIELD(STR, struct oci_cpu, cpus, "cpus", 0),
	JSON_FIELD(STR, struct oci_cpu, mems, "mems", 0),
	JSON_FIELD(OPT_I64, struct oci_cpu, idle, "idle", 0),
};
static const struct json_type cpu_type = JSON_TYPE("cpu", struct oci_cpu, cpu_fields);

static const struct json_field pids_fields[] = {
	JSON_FIELD(I64, struct oci_pids, limit, "limit", JSON_ALWAYS),
};
static const struct json_type pids_type = JSON_TYPE("pids", struct oci_pids, pids_fields);

static const struct json_field weight_device_fields[] = {
	JSON_FIELD(I64, struct oci_weight_device, major, "major", REQ),
	JSON_FIELD(I64, struct oci_weight_device, minor, "minor", REQ),
	JSON_FIELD(OPT_U32, struct oci_weight_device, weight, "weight", 0),
	JSON_FIELD(OPT_U32, struct oci_weight_device, leaf_weight, "leafWeight", 0),
};
static const struct json_type weight_device_type =
	JSON_TYPE("weightDevice", struct oci_weight_device, weight_device_fields);

static const struct json_field throttle_device_fields[] = {
	JSON_FIELD(I64, struct oci_throttle_device, major, "major", REQ),
	JSON_FIELD(I64, struct oci_throttle_device, minor, "minor", REQ),
	JSON_FIELD(U64, struct oci_throttle_device, rate, "rate", REQ),
};
static const struct json_type throttle_device_type =
	JSON_TYPE("throttle device", struct oci_throttle_device, throttle_device_fields);

static const struct json_field block_io_fields[] = {
	JSON_FIELD(OPT_U32, struct oci_block_io, weight, "weight", 0),
	JSON_FIELD(OPT_U32, struct oci_block_io, leaf_weight, "leafWeight", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_block_io, weight_device, "weightDevice", 0,
			    &weight_device_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_block_io, throttle_read_bps, "throttleReadBpsDevice", 0,
			    &throttle_device_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_block_io, throttle_write_bps, "throttleWriteBpsDevice", 0,
			    &throttle_device_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_block_io, throttle_read_iops, "throttleReadIOPSDevice", 0,
			    &throttle_device_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_block_io, throttle_write_iops, "throttleWriteIOPSDevice", 0,
			    &throttle_device_type),
};
static const struct json_type block_io_type = JSON_TYPE("blockIO", struct oci_block_io, block_io_fields);

static const struct json_field hugepage_limit_fields[] = {
	JSON_FIELD(STR, struct oci_hugepage_limit, page_size, "pageSize", JSON_REQUIRED),
	JSON_FIELD(U64, struct oci_hugepage_limit, limit, "limit", REQ),
};
static const struct json_type hugepage_limit_type =
	JSON_TYPE("hugepageLimit", struct oci_hugepage_limit, hugepage_limit_fields);

static const struct json_field net_priority_fields[] = {
	JSON_FIELD(STR, struct oci_net_priority, name, "name", JSON_REQUIRED),
	JSON_FIELD(U32, struct oci_net_priority, priority, "priority", REQ),
};
static const struct json_type net_priority_type =
	JSON_TYPE("network priority", struct oci_net_priority, net_priority_fields);

static const struct json_field network_fields[] = {
	JSON_FIELD(OPT_U32, struct oci_network, class_id, "classID", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_network, priorities, "priorities", 0, &net_priority_type),
};
static const struct json_type network_type = JSON_TYPE("network", struct oci_network, network_fields);

static const struct json_field rdma_fields[] = {
	JSON_FIELD(OPT_U32, struct oci_rdma, hca_handles, "hcaHandles", 0),
	JSON_FIELD(OPT_U32, struct oci_rdma, hca_objects, "hcaObjects", 0),
};
static const struct json_type rdma_type = JSON_TYPE("rdma", struct oci_rdma, rdma_fields);

static const struct json_field resources_fields[] = {
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_resources, devices, "devices", 0, &device_rule_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_resources, memory, "memory", 0, &memory_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_resources, cpu, "cpu", 0, &cpu_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_resources, pids, "pids", 0, &pids_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_resources, block_io, "blockIO", 0, &block_io_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_resources, hugepage_limits, "hugepageLimits", 0,
			    &hugepage_limit_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_resources, network, "network", 0, &network_type),
	JSON_FIELD_OBJ_LIST(OBJ_MAP, struct oci_resources, rdma, "rdma", 0, &rdma_type),
	JSON_FIELD_LIST(STR_MAP, struct oci_resources, unified, "unified", 0),
};
const struct json_type oci_resources_type = JSON_TYPE("resources", struct oci_resources, resources_fields);

/* ---- linux.seccomp ---- */

static const struct json_field seccomp_arg_fields[] = {
	JSON_FIELD(U32, struct oci_seccomp_arg, index, "index", REQ),
	JSON_FIELD(U64, struct oci_seccomp_arg, value, "value", REQ),
	JSON_FIELD(U64, struct oci_seccomp_arg, value_two, "valueTwo", 0),
	JSON_FIELD(STR, struct oci_seccomp_arg, op, "op", JSON_REQUIRED),
};
static const struct json_type seccomp_arg_type =
	JSON_TYPE("seccomp arg", struct oci_seccomp_arg, seccomp_arg_fields);

static const struct json_field seccomp_syscall_fields[] = {
	JSON_FIELD_LIST(STR_LIST, struct oci_seccomp_syscall, names, "names", JSON_REQUIRED),
	JSON_FIELD(STR, struct oci_seccomp_syscall, action, "action", JSON_REQUIRED),
	JSON_FIELD(OPT_U32, struct oci_seccomp_syscall, errno_ret, "errnoRet", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_seccomp_syscall, args, "args", 0, &seccomp_arg_type),
};
static const struct json_type seccomp_syscall_type =
	JSON_TYPE("seccomp syscall", struct oci_seccomp_syscall, seccomp_syscall_fields);

static const struct json_field seccomp_fields[] = {
	JSON_FIELD(STR, struct oci_seccomp, default_action, "defaultAction", JSON_REQUIRED),
	JSON_FIELD(OPT_U32, struct oci_seccomp, default_errno_ret, "defaultErrnoRet", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_seccomp, architectures, "architectures", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_seccomp, flags, "flags", 0),
	JSON_FIELD(STR, struct oci_seccomp, listener_path, "listenerPath", 0),
	JSON_FIELD(STR, struct oci_seccomp, listener_metadata, "listenerMetadata", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_seccomp, syscalls, "syscalls", 0, &seccomp_syscall_type),
};
const struct json_type oci_seccomp_type = JSON_TYPE("seccomp", struct oci_seccomp, seccomp_fields);

/* ---- linux ---- */

static const struct json_field namespace_fields[] = {
	JSON_FIELD(STR, struct oci_namespace, type, "type", JSON_REQUIRED),
	JSON_FIELD(STR, struct oci_namespace, path, "path", 0),
};
static const struct json_type namespace_type =
	JSON_TYPE("namespace", struct oci_namespace, namespace_fields);

static const struct json_field device_fields[] = {
	JSON_FIELD(STR, struct oci_device, type, "type", JSON_REQUIRED),
	JSON_FIELD(STR, struct oci_device, path, "path", JSON_REQUIRED),
	JSON_FIELD(OPT_I64, struct oci_device, major, "major", 0),
	JSON_FIELD(OPT_I64, struct oci_device, minor, "minor", 0),
	JSON_FIELD(OPT_U32, struct oci_device, file_mode, "fileMode", 0),
	JSON_FIELD(OPT_U32, struct oci_device, uid, "uid", 0),
	JSON_FIELD(OPT_U32, struct oci_device, gid, "gid", 0),
};
static const struct json_type device_type = JSON_TYPE("device", struct oci_device, device_fields);

static const struct json_field net_device_fields[] = {
	JSON_FIELD(STR, struct oci_net_device, name, "name", 0),
};
static const struct json_type net_device_type =
	JSON_TYPE("netDevice", struct oci_net_device, net_device_fields);

static const struct json_field intel_rdt_fields[] = {
	JSON_FIELD(STR, struct oci_intel_rdt, clos_id, "closID", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_intel_rdt, schemata, "schemata", 0),
	JSON_FIELD(STR, struct oci_intel_rdt, l3_cache_schema, "l3CacheSchema", 0),
	JSON_FIELD(STR, struct oci_intel_rdt, mem_bw_schema, "memBwSchema", 0),
	JSON_FIELD(BOOL, struct oci_intel_rdt, enable_monitoring, "enableMonitoring", 0),
};
const struct json_type oci_intel_rdt_type =
	JSON_TYPE("intelRdt", struct oci_intel_rdt, intel_rdt_fields);

static const struct json_field personality_fields[] = {
	JSON_FIELD(STR, struct oci_personality, domain, "domain", JSON_REQUIRED),
	JSON_FIELD_LIST(STR_LIST, struct oci_personality, flags, "flags", 0),
};
const struct json_type oci_personality_type =
	JSON_TYPE("personality", struct oci_personality, personality_fields);

static const struct json_field time_offset_fields[] = {
	JSON_FIELD(I64, struct oci_time_offset, secs, "secs", JSON_ALWAYS),
	JSON_FIELD(U32, struct oci_time_offset, nanosecs, "nanosecs", JSON_ALWAYS),
};
static const struct json_type time_offset_type =
	JSON_TYPE("timeOffset", struct oci_time_offset, time_offset_fields);

static const struct json_field memory_policy_fields[] = {
	JSON_FIELD(STR, struct oci_memory_policy, mode, "mode", JSON_REQUIRED),
	JSON_FIELD(STR, struct oci_memory_policy, nodes, "nodes", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_memory_policy, flags, "flags", 0),
};
const struct json_type oci_memory_policy_type =
	JSON_TYPE("memoryPolicy", struct oci_memory_policy, memory_policy_fields);

static const struct json_field linux_fields[] = {
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_linux, uid_mappings, "uidMappings", 0, &id_map_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_linux, gid_mappings, "gidMappings", 0, &id_map_type),
	JSON_FIELD_LIST(STR_MAP, struct oci_linux, sysctl, "sysctl", 0),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_linux, resources, "resources", 0, &oci_resources_type),
	JSON_FIELD(STR, struct oci_linux, cgroups_path, "cgroupsPath", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_linux, namespaces, "namespaces", 0, &namespace_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_linux, devices, "devices", 0, &device_type),
	JSON_FIELD_OBJ_LIST(OBJ_MAP, struct oci_linux, net_devices, "netDevices", 0, &net_device_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_linux, seccomp, "seccomp", 0, &oci_seccomp_type),
	JSON_FIELD(STR, struct oci_linux, rootfs_propagation, "rootfsPropagation", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_linux, masked_paths, "maskedPaths", 0),
	JSON_FIELD_LIST(STR_LIST, struct oci_linux, readonly_paths, "readonlyPaths", 0),
	JSON_FIELD(STR, struct oci_linux, mount_label, "mountLabel", 0),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_linux, intel_rdt, "intelRdt", 0, &oci_intel_rdt_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_linux, personality, "personality", 0, &oci_personality_type),
	JSON_FIELD_OBJ_LIST(OBJ_MAP, struct oci_linux, time_offsets, "timeOffsets", 0, &time_offset_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_linux, memory_policy, "memoryPolicy", 0, &oci_memory_policy_type),
};
static const struct json_type linux_type = JSON_TYPE("linux", struct oci_linux, linux_fields);

/* ---- the document ---- */

static const struct json_field config_fields[] = {
	JSON_FIELD(STR, struct oci_config, oci_version, "ociVersion", REQ),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_config, process, "process", 0, &oci_process_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_config, root, "root", 0, &root_type),
	JSON_FIELD(STR, struct oci_config, hostname, "hostname", 0),
	JSON_FIELD(STR, struct oci_config, domainname, "domainname", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct oci_config, mounts, "mounts", 0, &mount_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_config, hooks, "hooks", 0, &oci_hooks_type),
	JSON_FIELD_LIST(STR_MAP, struct oci_config, annotations, "annotations", 0),
	JSON_FIELD_OBJ(OPT_OBJ, struct oci_config, linux_, "linux", 0, &linux_type),
};
const struct json_type oci_config_type = JSON_TYPE("config.json", struct oci_config, config_fields);

static int too_large(size_t len, const char *what, struct err *err)
{
	return err_set(err, ERR_LIMIT, "%s: %zu bytes are more than the %d that are taken", what, len,
		       OCI_CONFIG_MAX);
}

int oci_config_read(const void *text, size_t len, struct arena *a, struct oci_config *ret, struct err *err)
{
	if (len > OCI_CONFIG_MAX)
		return too_large(len, "config.json", err);
	return json_read(&oci_config_type, text, len, a, ret, err);
}

int oci_process_read(const void *text, size_t len, struct arena *a, struct oci_process *ret, struct err *err)
{
	if (len > OCI_CONFIG_MAX)
		return too_large(len, "process", err);
	return json_read(&oci_process_type, text, len, a, ret, err);
}

/* A list at the top of a document is not what our tables read: it is put into a member. */
struct mounts_member {
	struct oci_mount *mounts;
	size_t n_mounts;
};

static const struct json_field mounts_member_fields[] = {
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct mounts_member, mounts, "mounts", JSON_REQUIRED, &mount_type),
};
static const struct json_type mounts_member_type = JSON_TYPE("mounts", struct mounts_member, mounts_member_fields);

int oci_mounts_read(const void *text, size_t len, struct arena *a, struct oci_mount **ret, size_t *ret_n,
		    struct err *err)
{
	CLEANUP(buf_done) struct buf whole = BUF_INIT(OCI_CONFIG_MAX + 16);
	struct mounts_member m = { 0 };
	const char *begin = text;
	size_t space = 0;
	int r;

	if (len > OCI_CONFIG_MAX)
		return too_large(len, "mounts", err);
	while (space < len && strchr(" \t\r\n", begin[space]) && begin[space])
		space++;
	if (space == len || begin[space] != '[')
		r = json_read(&mounts_member_type, text, len, a, &m, err);
	else if (buf_puts(&whole, "{\"mounts\":") < 0 || buf_append(&whole, text, len) < 0 || buf_puts(&whole, "}") < 0)
		r = too_large(len, "mounts", err);
	else
		r = json_read(&mounts_member_type, whole.data, whole.len, a, &m, err);
	*ret = m.mounts;
	*ret_n = m.n_mounts;
	return r;
}

int oci_config_write(const struct oci_config *c, int indent, struct buf *out, struct err *err)
{
	return json_write(&oci_config_type, c, indent, out, err);
}

const char *oci_config_annotation(const struct oci_config *c, const char *key)
{
	for (size_t i = 0; i < c->n_annotations; i++)
		if (strcmp(c->annotations[i].key, key) == 0)
			return c->annotations[i].value;
	return NULL;
}
