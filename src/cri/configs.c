/*
 * PodSandboxConfig and ContainerConfig, field by field, but for their security contexts (isolation.c).
 * What a row cannot say (combinations that CRI forbids) is in the read functions; whether the host can do what
 * is asked is the pod room's business. Windows' messages are refused. Invariant: texts are never NULL, except in
 * resources.
 */
#include "cri/configs.h"

/* ---- parts ---- */

static const struct wire_field hugepage_fields[] = {
	WIRE(STR, HugepageLimit, page_size, struct pod_hugepage, page_size, WIRE_REQUIRED),
	WIRE(U64, HugepageLimit, limit, struct pod_hugepage, limit, 0),
};
static const struct wire_type hugepage = WIRE_TYPE(hugepage_limit, struct pod_hugepage, hugepage_fields);

static const struct wire_field resources_fields[] = {
	WIRE(I64, LinuxContainerResources, cpu_period, struct pod_resources, cpu_period, 0),
	WIRE(I64, LinuxContainerResources, cpu_quota, struct pod_resources, cpu_quota, 0),
	WIRE(I64, LinuxContainerResources, cpu_shares, struct pod_resources, cpu_shares, 0),
	WIRE(I64, LinuxContainerResources, memory_limit_in_bytes, struct pod_resources, memory_limit, 0),
	WIRE(I64, LinuxContainerResources, oom_score_adj, struct pod_resources, oom_score_adj, 0),
	WIRE(STR, LinuxContainerResources, cpuset_cpus, struct pod_resources, cpuset_cpus, WIRE_NULL),
	WIRE(STR, LinuxContainerResources, cpuset_mems, struct pod_resources, cpuset_mems, WIRE_NULL),
	WIRE_LIST_OF(LinuxContainerResources, hugepage_limits, struct pod_resources, hugepages, &hugepage),
	WIRE_LIST(MAP, LinuxContainerResources, unified, struct pod_resources, unified),
	WIRE(I64, LinuxContainerResources, memory_swap_limit_in_bytes, struct pod_resources, memory_swap_limit, 0),
};
const struct wire_type cri_resources =
	WIRE_TYPE(linux_container_resources, struct pod_resources, resources_fields);

static const struct wire_field port_fields[] = {
	WIRE(ENUM, PortMapping, protocol, struct pod_port, protocol, 0),
	WIRE(I32, PortMapping, container_port, struct pod_port, container_port, 0),
	WIRE(I32, PortMapping, host_port, struct pod_port, host_port, 0),
	WIRE(STR, PortMapping, host_ip, struct pod_port, host_ip, 0),
};

static int read_port(const void *msg, const struct wire_path *path, struct arena *a, void *own, struct err *err)
{
	const struct pod_port *port = own;

	if (port->container_port < 0 || port->container_port > 65535)
		return wire_wrong(path, "container_port", err, "%d is no port", port->container_port);
	if (port->host_port < 0 || port->host_port > 65535)
		return wire_wrong(path, "host_port", err, "%d is no port", port->host_port);
	return 0;
}

static const struct wire_type port = WIRE_TYPE(port_mapping, struct pod_port, port_fields, .read = read_port);

/* ---- pods ---- */

static const struct wire_field pod_metadata_fields[] = {
	WIRE(STR, PodSandboxMetadata, name, struct pod_config, name, WIRE_REQUIRED),
	WIRE(STR, PodSandboxMetadata, uid, struct pod_config, uid, WIRE_REQUIRED),
	WIRE(STR, PodSandboxMetadata, namespace_, struct pod_config, ns, WIRE_REQUIRED),
	WIRE(U32, PodSandboxMetadata, attempt, struct pod_config, attempt, 0),
};
static const struct wire_type pod_metadata =
	WIRE_TYPE(pod_sandbox_metadata, struct pod_config, pod_metadata_fields);

static const struct wire_field dns_fields[] = {
	WIRE_LIST(STR_LIST, DNSConfig, servers, struct pod_config, dns_servers),
	WIRE_LIST(STR_LIST, DNSConfig, searches, struct pod_config, dns_searches),
	WIRE_LIST(STR_LIST, DNSConfig, options, struct pod_config, dns_options),
};
static const struct wire_type dns = WIRE_TYPE(dnsconfig, struct pod_config, dns_fields);

static const struct wire_field pod_linux_fields[] = {
	WIRE(STR, LinuxPodSandboxConfig, cgroup_parent, struct pod_config, cgroup_parent, 0),
	WIRE_OF(MSG, LinuxPodSandboxConfig, security_context, struct pod_config, security, 0, &cri_pod_security),
	WIRE_LIST(MAP, LinuxPodSandboxConfig, sysctls, struct pod_config, sysctls),
	WIRE_OF(OPT_MSG, LinuxPodSandboxConfig, overhead, struct pod_config, overhead, 0, &cri_resources),
	WIRE_OF(OPT_MSG, LinuxPodSandboxConfig, resources, struct pod_config, resources, 0, &cri_resources),
};
static const struct wire_type pod_linux = WIRE_TYPE(linux_pod_sandbox_config, struct pod_config, pod_linux_fields);

static const struct wire_field pod_config_fields[] = {
	WIRE_FLAT(PodSandboxConfig, metadata, WIRE_REQUIRED, &pod_metadata),
	WIRE(STR, PodSandboxConfig, hostname, struct pod_config, hostname, 0),
	WIRE(STR, PodSandboxConfig, log_directory, struct pod_config, log_directory, 0),
	WIRE_FLAT(PodSandboxConfig, dns_config, 0, &dns),
	WIRE_LIST_OF(PodSandboxConfig, port_mappings, struct pod_config, ports, &port),
	WIRE_LIST(MAP, PodSandboxConfig, labels, struct pod_config, labels),
	WIRE_LIST(MAP, PodSandboxConfig, annotations, struct pod_config, annotations),
	WIRE_FLAT(PodSandboxConfig, linux, 0, &pod_linux),
};

static int read_pod_config(const void *msg, const struct wire_path *path, struct arena *a, void *own,
			   struct err *err)
{
	const Runtime__V1__PodSandboxConfig *request = msg;
	const struct pod_config *config = own;

	if (request->windows)
		return wire_wrong(path, "windows", err, "this is Linux");
	if (!str_empty(config->log_directory) && config->log_directory[0] != '/')
		return wire_wrong(path, "log_directory", err, "%s is no absolute path", config->log_directory);
	if (strlen(config->hostname) > 64)
		return wire_wrong(path, "hostname", err, "longer than 64 characters");
	return 0;
}

static const struct wire_also pod_config_also[] = { { "windows", NULL } };

const struct wire_type cri_pod_config =
	WIRE_TYPE(pod_sandbox_config, struct pod_config, pod_config_fields, WIRE_ALSO(pod_config_also),
		  .read = read_pod_config);

/* ---- containers ---- */

static const struct wire_field mount_image_fields[] = {
	WIRE(STR, ImageSpec, image, struct pod_mount, image, 0),
	WIRE(STR, ImageSpec, user_specified_image, struct pod_mount, user_image, 0),
	WIRE(STR, ImageSpec, image_ref, struct pod_mount, image_ref, 0),
};
static const struct wire_type mount_image = WIRE_TYPE(image_spec, struct pod_mount, mount_image_fields);

static const struct wire_field mount_fields[] = {
	WIRE(STR, Mount, container_path, struct pod_mount, container_path, WIRE_REQUIRED),
	WIRE(STR, Mount, host_path, struct pod_mount, host_path, 0),
	WIRE(BOOL, Mount, readonly, struct pod_mount, readonly, 0),
	WIRE(BOOL, Mount, selinux_relabel, struct pod_mount, selinux_relabel, 0),
	WIRE(ENUM, Mount, propagation, struct pod_mount, propagation, 0),
	WIRE_LIST_OF(Mount, uidmappings, struct pod_mount, uids, &cri_id_map),
	WIRE_LIST_OF(Mount, gidmappings, struct pod_mount, gids, &cri_id_map),
	WIRE(BOOL, Mount, recursive_read_only, struct pod_mount, recursive_readonly, 0),
	WIRE_FLAT(Mount, image, 0, &mount_image),
	WIRE(STR, Mount, image_sub_path, struct pod_mount, image_sub_path, 0),
	WIRE_LIST(STR_LIST, Mount, mount_options, struct pod_mount, options),
};

static int read_mount(const void *msg, const struct wire_path *path, struct arena *a, void *own, struct err *err)
{
	const struct pod_mount *m = own;

	if (m->recursive_readonly && !m->readonly)
		return wire_wrong(path, "recursive_read_only", err, "needs readonly");
	if (m->recursive_readonly && m->propagation != RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_PRIVATE)
		return wire_wrong(path, "recursive_read_only", err, "needs private propagation");
	if (str_empty(m->image)) {
		if (str_empty(m->host_path))
			return wire_wrong(path, "host_path", err, "required");
		if (!str_empty(m->image_sub_path))
			return wire_wrong(path, "image_sub_path", err, "needs image");
		return 0;
	}
	if (!str_empty(m->host_path))
		return wire_wrong(path, "host_path", err, "cannot be given with image");
	if (!m->readonly)
		return wire_wrong(path, "readonly", err, "an image can only be mounted read-only");
	return 0;
}

static void write_mount(const void *own, struct arena *a, void *msg)
{
	const struct pod_mount *m = own;
	Runtime__V1__Mount *mount = msg;

	if (str_empty(m->image))
		mount->image = NULL;
}

const struct wire_type cri_mount =
	WIRE_TYPE(mount, struct pod_mount, mount_fields, .read = read_mount, .write = write_mount);

static const struct wire_field device_fields[] = {
	WIRE(STR, Device, container_path, struct pod_device, container_path, 0),
	WIRE(STR, Device, host_path, struct pod_device, host_path, WIRE_REQUIRED),
	WIRE(STR, Device, permissions, struct pod_device, permissions, 0),
};
static const struct wire_type device = WIRE_TYPE(device, struct pod_device, device_fields);

static const struct wire_field env_fields[] = {
	WIRE(STR, KeyValue, key, struct pod_env, key, WIRE_REQUIRED),
	WIRE(TEXT, KeyValue, value, struct pod_env, value, 0),
};

static int read_env(const void *msg, const struct wire_path *path, struct arena *a, void *own, struct err *err)
{
	const struct pod_env *env = own;

	if (strchr(env->key, '='))
		return wire_wrong(path, "key", err, "%s has a = in it", env->key);
	return 0;
}

static const struct wire_type env = WIRE_TYPE(key_value, struct pod_env, env_fields, .read = read_env);

static const struct wire_field container_linux_fields[] = {
	WIRE_OF(MSG, LinuxContainerConfig, resources, struct pod_container_config, resources, 0, &cri_resources),
	WIRE_OF(MSG, LinuxContainerConfig, security_context, struct pod_container_config, security, 0, &cri_security),
};
static const struct wire_type container_linux =
	WIRE_TYPE(linux_container_config, struct pod_container_config, container_linux_fields);

static const struct wire_field container_metadata_fields[] = {
	WIRE(STR, ContainerMetadata, name, struct pod_container_config, name, WIRE_REQUIRED),
	WIRE(U32, ContainerMetadata, attempt, struct pod_container_config, attempt, 0),
};
static const struct wire_type container_metadata =
	WIRE_TYPE(container_metadata, struct pod_container_config, container_metadata_fields);

static const struct wire_field image_fields[] = {
	WIRE(STR, ImageSpec, image, struct pod_container_config, image, WIRE_REQUIRED),
	WIRE_LIST(MAP, ImageSpec, annotations, struct pod_container_config, image_annotations),
	WIRE(STR, ImageSpec, user_specified_image, struct pod_container_config, user_image, 0),
};
static const struct wire_type image = WIRE_TYPE(image_spec, struct pod_container_config, image_fields);

static const struct wire_field container_config_fields[] = {
	WIRE_FLAT(ContainerConfig, metadata, WIRE_REQUIRED, &container_metadata),
	WIRE_FLAT(ContainerConfig, image, WIRE_REQUIRED, &image),
	WIRE_LIST(STR_LIST, ContainerConfig, command, struct pod_container_config, command),
	WIRE_LIST(STR_LIST, ContainerConfig, args, struct pod_container_config, args),
	WIRE(STR, ContainerConfig, working_dir, struct pod_container_config, working_dir, 0),
	WIRE_LIST_OF(ContainerConfig, envs, struct pod_container_config, envs, &env),
	WIRE_LIST_OF(ContainerConfig, mounts, struct pod_container_config, mounts, &cri_mount),
	WIRE_LIST_OF(ContainerConfig, devices, struct pod_container_config, devices, &device),
	WIRE_LIST(MAP, ContainerConfig, labels, struct pod_container_config, labels),
	WIRE_LIST(MAP, ContainerConfig, annotations, struct pod_container_config, annotations),
	WIRE(STR, ContainerConfig, log_path, struct pod_container_config, log_path, 0),
	WIRE(BOOL, ContainerConfig, stdin, struct pod_container_config, stdin_open, 0),
	WIRE(BOOL, ContainerConfig, stdin_once, struct pod_container_config, stdin_once, 0),
	WIRE(BOOL, ContainerConfig, tty, struct pod_container_config, tty, 0),
	WIRE_FLAT(ContainerConfig, linux, 0, &container_linux),
};

static const struct wire_field cdi_device_fields[] = {
	WIRE(STR, CDIDevice, name, struct pod_env, key, WIRE_REQUIRED),
};
static const struct wire_type cdi_device = WIRE_TYPE(cdidevice, struct pod_env, cdi_device_fields);

static int read_container_config(const void *msg, const struct wire_path *path, struct arena *a, void *own,
				 struct err *err)
{
	const Runtime__V1__ContainerConfig *config = msg;
	struct pod_container_config *c = own;

	if (config->windows)
		return wire_wrong(path, "windows", err, "this is Linux");
	c->stop_signal = cri_signal_number(config->stop_signal);
	if (c->stop_signal < 0)
		return wire_wrong(path, "stop_signal", err, "%d is no Signal", config->stop_signal);
	c->cdi_devices = arena_new(a, config->n_cdi_devices + 1, sizeof(char *));
	c->n_cdi_devices = config->n_cdi_devices;
	for (size_t i = 0; i < config->n_cdi_devices; i++) {
		struct wire_path here = { path, "CDI_devices" };
		struct pod_env device = { 0 };

		if (wire_read(&cdi_device, config->cdi_devices[i], &here, a, &device, err) < 0)
			return -EINVAL;
		c->cdi_devices[i] = device.key;
	}
	return 0;
}

static void write_container_config(const void *own, struct arena *a, void *msg)
{
	const struct pod_container_config *c = own;
	Runtime__V1__ContainerConfig *config = msg;

	config->stop_signal = (Runtime__V1__Signal)cri_signal_of(c->stop_signal);
	config->n_cdi_devices = c->n_cdi_devices;
	config->cdi_devices = arena_new(a, c->n_cdi_devices + 1, sizeof(*config->cdi_devices));
	for (size_t i = 0; i < c->n_cdi_devices; i++) {
		const struct pod_env device = { .key = c->cdi_devices[i] };

		config->cdi_devices[i] = wire_write(&cdi_device, &device, a);
	}
}

static const struct wire_also container_config_also[] = {
	{ "windows", NULL }, { "CDI_devices", &cdi_device }, { "stop_signal", NULL },
};

const struct wire_type cri_container_config =
	WIRE_TYPE(container_config, struct pod_container_config, container_config_fields,
		  WIRE_ALSO(container_config_also), .read = read_container_config, .write = write_container_config);
