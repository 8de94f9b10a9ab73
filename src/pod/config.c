/*
 * The field tables of configurations: what a client asked for, as JSON and back. They are the
 * records' tables too, and deep copies are made by them. No I/O; any thread.
 */
#include "pod/manager.h"

enum { CONFIG_MAX = 20 * 1024 * 1024 };

static const struct json_field id_map_fields[] = {
	JSON_FIELD(U32, struct pod_id_map, container_id, "container_id", 0),
	JSON_FIELD(U32, struct pod_id_map, host_id, "host_id", 0),
	JSON_FIELD(U32, struct pod_id_map, length, "length", 0),
};
static const struct json_type id_map_type = JSON_TYPE("id map", struct pod_id_map, id_map_fields);

static const struct json_field namespaces_fields[] = {
	JSON_FIELD(I32, struct pod_namespaces, network, "network", 0),
	JSON_FIELD(I32, struct pod_namespaces, pid, "pid", 0),
	JSON_FIELD(I32, struct pod_namespaces, ipc, "ipc", 0),
	JSON_FIELD(STR, struct pod_namespaces, target_id, "target_id", 0),
	JSON_FIELD(I32, struct pod_namespaces, user, "user", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct pod_namespaces, uids, "uids", 0, &id_map_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct pod_namespaces, gids, "gids", 0, &id_map_type),
};
static const struct json_type namespaces_type = JSON_TYPE("namespaces", struct pod_namespaces,
							  namespaces_fields);

static const struct json_field profile_fields[] = {
	JSON_FIELD(I32, struct pod_profile, kind, "kind", 0),
	JSON_FIELD(STR, struct pod_profile, localhost, "localhost", 0),
};
static const struct json_type profile_type = JSON_TYPE("profile", struct pod_profile, profile_fields);

static const struct json_field selinux_fields[] = {
	JSON_FIELD(STR, struct pod_selinux, user, "user", 0),
	JSON_FIELD(STR, struct pod_selinux, role, "role", 0),
	JSON_FIELD(STR, struct pod_selinux, type, "type", 0),
	JSON_FIELD(STR, struct pod_selinux, level, "level", 0),
};
static const struct json_type selinux_type = JSON_TYPE("selinux", struct pod_selinux, selinux_fields);

static const struct json_field hugepage_fields[] = {
	JSON_FIELD(STR, struct pod_hugepage, page_size, "page_size", 0),
	JSON_FIELD(U64, struct pod_hugepage, limit, "limit", 0),
};
static const struct json_type hugepage_type = JSON_TYPE("hugepage limit", struct pod_hugepage,
							hugepage_fields);

static const struct json_field resources_fields[] = {
	JSON_FIELD(I64, struct pod_resources, cpu_period, "cpu_period", 0),
	JSON_FIELD(I64, struct pod_resources, cpu_quota, "cpu_quota", 0),
	JSON_FIELD(I64, struct pod_resources, cpu_shares, "cpu_shares", 0),
	JSON_FIELD(I64, struct pod_resources, memory_limit, "memory_limit", 0),
	JSON_FIELD(I64, struct pod_resources, memory_swap_limit, "memory_swap_limit", 0),
	JSON_FIELD(I64, struct pod_resources, oom_score_adj, "oom_score_adj", 0),
	JSON_FIELD(STR, struct pod_resources, cpuset_cpus, "cpuset_cpus", 0),
	JSON_FIELD(STR, struct pod_resources, cpuset_mems, "cpuset_mems", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct pod_resources, hugepages, "hugepages", 0, &hugepage_type),
	JSON_FIELD_LIST(STR_MAP, struct pod_resources, unified, "unified", 0),
};
static const struct json_type resources_type = JSON_TYPE("resources", struct pod_resources, resources_fields);

static const struct json_field port_fields[] = {
	JSON_FIELD(I32, struct pod_port, protocol, "protocol", 0),
	JSON_FIELD(I32, struct pod_port, container_port, "container_port", 0),
	JSON_FIELD(I32, struct pod_port, host_port, "host_port", 0),
	JSON_FIELD(STR, struct pod_port, host_ip, "host_ip", 0),
};
static const struct json_type port_type = JSON_TYPE("port", struct pod_port, port_fields);

static const struct json_field security_fields[] = {
	JSON_FIELD_OBJ(OBJ, struct pod_security, namespaces, "namespaces", 0, &namespaces_type),
	JSON_FIELD(OPT_I64, struct pod_security, run_as_user, "run_as_user", 0),
	JSON_FIELD(OPT_I64, struct pod_security, run_as_group, "run_as_group", 0),
	JSON_FIELD(STR, struct pod_security, run_as_username, "run_as_username", 0),
	JSON_FIELD_LIST(I64_LIST, struct pod_security, supplemental_groups, "supplemental_groups", 0),
	JSON_FIELD(BOOL, struct pod_security, supplemental_strict, "supplemental_strict", 0),
	JSON_FIELD(BOOL, struct pod_security, privileged, "privileged", 0),
	JSON_FIELD(BOOL, struct pod_security, readonly_rootfs, "readonly_rootfs", 0),
	JSON_FIELD(BOOL, struct pod_security, no_new_privs, "no_new_privs", 0),
	JSON_FIELD_LIST(STR_LIST, struct pod_security, cap_add, "cap_add", 0),
	JSON_FIELD_LIST(STR_LIST, struct pod_security, cap_drop, "cap_drop", 0),
	JSON_FIELD_LIST(STR_LIST, struct pod_security, cap_ambient, "cap_ambient", 0),
	JSON_FIELD_LIST(STR_LIST, struct pod_security, masked_paths, "masked_paths", 0),
	JSON_FIELD_LIST(STR_LIST, struct pod_security, readonly_paths, "readonly_paths", 0),
	JSON_FIELD_OBJ(OBJ, struct pod_security, seccomp, "seccomp", 0, &profile_type),
	JSON_FIELD_OBJ(OBJ, struct pod_security, apparmor, "apparmor", 0, &profile_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct pod_security, selinux, "selinux", 0, &selinux_type),
};
static const struct json_type security_type = JSON_TYPE("security", struct pod_security, security_fields);

static const struct json_field config_fields[] = {
	JSON_FIELD(STR, struct pod_config, name, "name", 0),
	JSON_FIELD(STR, struct pod_config, uid, "uid", 0),
	JSON_FIELD(STR, struct pod_config, ns, "namespace", 0),
	JSON_FIELD(U32, struct pod_config, attempt, "attempt", 0),
	JSON_FIELD(STR, struct pod_config, hostname, "hostname", 0),
	JSON_FIELD(STR, struct pod_config, log_directory, "log_directory", 0),
	JSON_FIELD_LIST(STR_LIST, struct pod_config, dns_servers, "dns_servers", 0),
	JSON_FIELD_LIST(STR_LIST, struct pod_config, dns_searches, "dns_searches", 0),
	JSON_FIELD_LIST(STR_LIST, struct pod_config, dns_options, "dns_options", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct pod_config, ports, "ports", 0, &port_type),
	JSON_FIELD_LIST(STR_MAP, struct pod_config, labels, "labels", 0),
	JSON_FIELD_LIST(STR_MAP, struct pod_config, annotations, "annotations", 0),
	JSON_FIELD_LIST(STR_MAP, struct pod_config, sysctls, "sysctls", 0),
	JSON_FIELD(STR, struct pod_config, cgroup_parent, "cgroup_parent", 0),
	JSON_FIELD_OBJ(OBJ, struct pod_config, security, "security", 0, &security_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct pod_config, overhead, "overhead", 0, &resources_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct pod_config, resources, "resources", 0, &resources_type),
	JSON_FIELD(STR, struct pod_config, handler, "handler", 0),
};
const struct json_type pod_config_type = JSON_TYPE("pod", struct pod_config, config_fields);

static const struct json_field mount_fields[] = {
	JSON_FIELD(STR, struct pod_mount, container_path, "container_path", 0),
	JSON_FIELD(STR, struct pod_mount, host_path, "host_path", 0),
	JSON_FIELD(BOOL, struct pod_mount, readonly, "readonly", 0),
	JSON_FIELD(BOOL, struct pod_mount, recursive_readonly, "recursive_readonly", 0),
	JSON_FIELD(BOOL, struct pod_mount, selinux_relabel, "selinux_relabel", 0),
	JSON_FIELD(I32, struct pod_mount, propagation, "propagation", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct pod_mount, uids, "uids", 0, &id_map_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct pod_mount, gids, "gids", 0, &id_map_type),
	JSON_FIELD(STR, struct pod_mount, image, "image", 0),
	JSON_FIELD(STR, struct pod_mount, image_sub_path, "image_sub_path", 0),
	JSON_FIELD(STR, struct pod_mount, user_image, "user_image", 0),
	JSON_FIELD(STR, struct pod_mount, image_ref, "image_ref", 0),
	JSON_FIELD_LIST(STR_LIST, struct pod_mount, options, "options", 0),
};
static const struct json_type mount_type = JSON_TYPE("mount", struct pod_mount, mount_fields);

static const struct json_field device_fields[] = {
	JSON_FIELD(STR, struct pod_device, container_path, "container_path", 0),
	JSON_FIELD(STR, struct pod_device, host_path, "host_path", 0),
	JSON_FIELD(STR, struct pod_device, permissions, "permissions", 0),
};
static const struct json_type device_type = JSON_TYPE("device", struct pod_device, device_fields);

static const struct json_field env_fields[] = {
	JSON_FIELD(STR, struct pod_env, key, "key", 0),
	JSON_FIELD(STR, struct pod_env, value, "value", 0),
};
static const struct json_type env_type = JSON_TYPE("env", struct pod_env, env_fields);

static const struct json_field container_config_fields[] = {
	JSON_FIELD(STR, struct pod_container_config, name, "name", 0),
	JSON_FIELD(U32, struct pod_container_config, attempt, "attempt", 0),
	JSON_FIELD(STR, struct pod_container_config, image, "image", 0),
	JSON_FIELD(STR, struct pod_container_config, user_image, "user_image", 0),
	JSON_FIELD_LIST(STR_MAP, struct pod_container_config, image_annotations, "image_annotations", 0),
	JSON_FIELD_LIST(STR_LIST, struct pod_container_config, command, "command", 0),
	JSON_FIELD_LIST(STR_LIST, struct pod_container_config, args, "args", 0),
	JSON_FIELD(STR, struct pod_container_config, working_dir, "working_dir", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct pod_container_config, envs, "envs", 0, &env_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct pod_container_config, mounts, "mounts", 0, &mount_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct pod_container_config, devices, "devices", 0, &device_type),
	JSON_FIELD_LIST(STR_LIST, struct pod_container_config, cdi_devices, "cdi_devices", 0),
	JSON_FIELD_LIST(STR_MAP, struct pod_container_config, labels, "labels", 0),
	JSON_FIELD_LIST(STR_MAP, struct pod_container_config, annotations, "annotations", 0),
	JSON_FIELD(STR, struct pod_container_config, log_path, "log_path", 0),
	JSON_FIELD(BOOL, struct pod_container_config, stdin_open, "stdin", 0),
	JSON_FIELD(BOOL, struct pod_container_config, stdin_once, "stdin_once", 0),
	JSON_FIELD(BOOL, struct pod_container_config, tty, "tty", 0),
	JSON_FIELD(I32, struct pod_container_config, stop_signal, "stop_signal", 0),
	JSON_FIELD_OBJ(OBJ, struct pod_container_config, resources, "resources", 0, &resources_type),
	JSON_FIELD_OBJ(OBJ, struct pod_container_config, security, "security", 0, &security_type),
};
const struct json_type pod_container_config_type =
	JSON_TYPE("container", struct pod_container_config, container_config_fields);

static int copy(const struct json_type *type, const void *from, struct arena *a, void **ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(CONFIG_MAX);
	void *obj = arena_new(a, 1, type->size);
	int r = json_write(type, from, 0, &text, err);

	if (r == 0)
		r = json_read(type, text.data, text.len, a, obj, err);
	if (r < 0)
		return r;
	*ret = obj;
	return 0;
}

int pod_resources_copy(const struct pod_resources *from, struct arena *a, struct pod_resources **ret,
		       struct err *err)
{
	void *obj;
	int r = copy(&resources_type, from, a, &obj, err);

	if (r == 0)
		*ret = obj;
	return r;
}

int pod_config_copy(const struct pod_config *from, struct arena *a, struct pod_config **ret, struct err *err)
{
	void *obj;
	int r = copy(&pod_config_type, from, a, &obj, err);

	if (r == 0)
		*ret = obj;
	return r;
}

int pod_container_config_copy(const struct pod_container_config *from, struct arena *a,
			      struct pod_container_config **ret, struct err *err)
{
	void *obj;
	int r = copy(&pod_container_config_type, from, a, &obj, err);

	if (r == 0)
		*ret = obj;
	return r;
}
