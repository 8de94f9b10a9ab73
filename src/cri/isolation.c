/*
 * The security contexts of pods and containers, and what they are made of: namespaces, id maps, profiles, labels,
 * users and capabilities. What a row cannot say (deprecated spellings, an absent message that means something,
 * what only makes sense together) is in the read functions.
 */
#include "cri/configs.h"

/* ---- parts ---- */

static const struct wire_field id_map_fields[] = {
	WIRE(U32, IDMapping, host_id, struct pod_id_map, host_id, 0),
	WIRE(U32, IDMapping, container_id, struct pod_id_map, container_id, 0),
	WIRE(U32, IDMapping, length, struct pod_id_map, length, 0),
};
const struct wire_type cri_id_map = WIRE_TYPE(idmapping, struct pod_id_map, id_map_fields);

static const struct wire_field user_ns_fields[] = {
	WIRE(ENUM, UserNamespace, mode, struct pod_namespaces, user, 0),
	WIRE_LIST_OF(UserNamespace, uids, struct pod_namespaces, uids, &cri_id_map),
	WIRE_LIST_OF(UserNamespace, gids, struct pod_namespaces, gids, &cri_id_map),
};

static int check_one_map(const struct pod_id_map *maps, size_t n, const char *field, const struct wire_path *path,
			 struct err *err)
{
	if (n != 1)
		return wire_wrong(path, field, err, "needs exactly one mapping, got %zu", n);
	if (maps[0].container_id != 0)
		return wire_wrong(path, field, err, "must map container id 0, maps %u", maps[0].container_id);
	if (!maps[0].length)
		return wire_wrong(path, field, err, "has length 0");
	return 0;
}

static int read_user_ns(const void *msg, const struct wire_path *path, struct arena *a, void *own, struct err *err)
{
	const struct pod_namespaces *ns = own;
	int r;

	if (ns->user == POD_NS_NODE) {
		if (ns->n_uids || ns->n_gids)
			return wire_wrong(path, NULL, err, "mode NODE takes no mappings");
		return 0;
	}
	if (ns->user != POD_NS_POD)
		return wire_wrong(path, "mode", err, "only POD and NODE are possible for a user namespace");
	r = check_one_map(ns->uids, ns->n_uids, "uids", path, err);
	if (r < 0)
		return r;
	r = check_one_map(ns->gids, ns->n_gids, "gids", path, err);
	if (r < 0)
		return r;
	if (ns->uids[0].host_id != ns->gids[0].host_id || ns->uids[0].length != ns->gids[0].length)
		return wire_wrong(path, NULL, err, "uids and gids must be mapped alike");
	return 0;
}

static const struct wire_type user_ns =
	WIRE_TYPE(user_namespace, struct pod_namespaces, user_ns_fields, .read = read_user_ns);

static const struct wire_field namespaces_fields[] = {
	WIRE(ENUM, NamespaceOption, network, struct pod_namespaces, network, 0),
	WIRE(ENUM, NamespaceOption, pid, struct pod_namespaces, pid, 0),
	WIRE(ENUM, NamespaceOption, ipc, struct pod_namespaces, ipc, 0),
	WIRE(STR, NamespaceOption, target_id, struct pod_namespaces, target_id, 0),
};

/* no userns_options: none is wanted, which is NODE, though an absent enum would be POD */
static int read_namespaces(const void *msg, const struct wire_path *path, struct arena *a, void *own,
			   struct err *err)
{
	const Runtime__V1__NamespaceOption *option = msg;
	struct wire_path here = { path, "userns_options" };
	struct pod_namespaces *ns = own;

	if (ns->pid == POD_NS_TARGET && str_empty(ns->target_id))
		return wire_wrong(path, "target_id", err, "required with pid mode TARGET");
	ns->user = POD_NS_NODE;
	if (!option->userns_options)
		return 0;
	return wire_read(&user_ns, option->userns_options, &here, a, ns, err);
}

static void write_namespaces(const void *own, struct arena *a, void *msg)
{
	const struct pod_namespaces *ns = own;
	Runtime__V1__NamespaceOption *option = msg;

	if (ns->user == POD_NS_POD)
		option->userns_options = wire_write(&user_ns, ns, a);
}

static const struct wire_also namespaces_also[] = { { "userns_options", &user_ns } };

const struct wire_type cri_namespaces = WIRE_TYPE(namespace_option, struct pod_namespaces, namespaces_fields,
						  WIRE_ALSO(namespaces_also), .read = read_namespaces,
						  .write = write_namespaces);

/* CRI's RuntimeDefault is 0, ours 1: 0 is "nothing said", which is an absent message */
static const struct wire_field profile_fields[] = {
	{ .kind = WIRE_ENUM, .wire = offsetof(Runtime__V1__SecurityProfile, profile_type),
	  .own = offsetof(struct pod_profile, kind), .bias = POD_PROFILE_RUNTIME_DEFAULT },
	WIRE(STR, SecurityProfile, localhost_ref, struct pod_profile, localhost, 0),
};
static const struct wire_type profile = WIRE_TYPE(security_profile, struct pod_profile, profile_fields);

static int read_profile(const Runtime__V1__SecurityProfile *msg, const char *deprecated, const char *field,
			const struct wire_path *path, struct arena *a, struct pod_profile *ret, struct err *err)
{
	struct wire_path here = { path, field };
	const char *rest;
	int r;

	*ret = (struct pod_profile){ POD_PROFILE_UNSET, (char *)"" };
	if (msg) {
		r = wire_read(&profile, msg, &here, a, ret, err);
		if (r < 0)
			return r;
	} else if (str_eq(deprecated, "unconfined")) {
		ret->kind = POD_PROFILE_UNCONFINED;
	} else if (str_eq(deprecated, "runtime/default") || str_eq(deprecated, "docker/default")) {
		ret->kind = POD_PROFILE_RUNTIME_DEFAULT;
	} else if ((rest = str_skip_prefix(deprecated, "localhost/"))) {
		*ret = (struct pod_profile){ POD_PROFILE_LOCALHOST, (char *)rest };
	} else if (!str_empty(deprecated)) {
		return wire_wrong(&here, NULL, err, "%s is no profile", deprecated);
	}
	if (ret->kind == POD_PROFILE_LOCALHOST && str_empty(ret->localhost))
		return wire_wrong(&here, "localhost_ref", err, "required with type Localhost");
	return 0;
}

static const struct wire_field selinux_fields[] = {
	WIRE(STR, SELinuxOption, user, struct pod_selinux, user, 0),
	WIRE(STR, SELinuxOption, role, struct pod_selinux, role, 0),
	WIRE(STR, SELinuxOption, type, struct pod_selinux, type, 0),
	WIRE(STR, SELinuxOption, level, struct pod_selinux, level, 0),
};
static const struct wire_type selinux = WIRE_TYPE(selinux_option, struct pod_selinux, selinux_fields);

static void *write_profile(const struct pod_profile *p, struct arena *a)
{
	return p->kind == POD_PROFILE_UNSET ? NULL : wire_write(&profile, p, a);
}

static int write_policy(const struct pod_security *s)
{
	return s->supplemental_strict ? RUNTIME__V1__SUPPLEMENTAL_GROUPS_POLICY__Strict :
					RUNTIME__V1__SUPPLEMENTAL_GROUPS_POLICY__Merge;
}

/* ---- pods ---- */

#define SECURITY(kind, msg, field, member) WIRE(kind, msg, field, struct pod_security, member, 0)

static const struct wire_field pod_security_fields[] = {
	WIRE_OF(MSG, LinuxSandboxSecurityContext, namespace_options, struct pod_security, namespaces, 0,
		&cri_namespaces),
	WIRE_OF(OPT_MSG, LinuxSandboxSecurityContext, selinux_options, struct pod_security, selinux, 0, &selinux),
	SECURITY(BOX, LinuxSandboxSecurityContext, run_as_user, run_as_user),
	SECURITY(BOX, LinuxSandboxSecurityContext, run_as_group, run_as_group),
	SECURITY(BOOL, LinuxSandboxSecurityContext, readonly_rootfs, readonly_rootfs),
	WIRE_LIST(I64_LIST, LinuxSandboxSecurityContext, supplemental_groups, struct pod_security,
		  supplemental_groups),
	SECURITY(BOOL, LinuxSandboxSecurityContext, privileged, privileged),
};

static int check_ids(const struct pod_security *s, const struct wire_path *path, struct err *err)
{
	if (s->run_as_user && (*s->run_as_user < 0 || *s->run_as_user > UINT32_MAX))
		return wire_wrong(path, "run_as_user", err, "%lld is no user id", (long long)*s->run_as_user);
	if (s->run_as_group && (*s->run_as_group < 0 || *s->run_as_group > UINT32_MAX))
		return wire_wrong(path, "run_as_group", err, "%lld is no group id", (long long)*s->run_as_group);
	if (s->run_as_group && !s->run_as_user && str_empty(s->run_as_username))
		return wire_wrong(path, "run_as_group", err, "needs run_as_user or run_as_username");
	for (size_t i = 0; i < s->n_supplemental_groups; i++)
		if (s->supplemental_groups[i] < 0 || s->supplemental_groups[i] > UINT32_MAX)
			return wire_wrong(path, "supplemental_groups", err, "%lld is no group id",
					  (long long)s->supplemental_groups[i]);
	return 0;
}

static int read_pod_security(const void *msg, const struct wire_path *path, struct arena *a, void *own,
			     struct err *err)
{
	const Runtime__V1__LinuxSandboxSecurityContext *ctx = msg;
	struct pod_security *s = own;
	int r;

	s->run_as_username = (char *)"";
	s->supplemental_strict = ctx->supplemental_groups_policy ==
				 RUNTIME__V1__SUPPLEMENTAL_GROUPS_POLICY__Strict;
	r = read_profile(ctx->seccomp, ctx->seccomp_profile_path, "seccomp", path, a, &s->seccomp, err);
	if (r < 0)
		return r;
	r = read_profile(ctx->apparmor, NULL, "apparmor", path, a, &s->apparmor, err);
	if (r < 0)
		return r;
	return check_ids(s, path, err);
}

static void write_pod_security(const void *own, struct arena *a, void *msg)
{
	const struct pod_security *s = own;
	Runtime__V1__LinuxSandboxSecurityContext *ctx = msg;

	ctx->supplemental_groups_policy = write_policy(s);
	ctx->seccomp = write_profile(&s->seccomp, a);
	ctx->apparmor = write_profile(&s->apparmor, a);
}

static const struct wire_also pod_security_also[] = {
	{ "supplemental_groups_policy", NULL }, { "seccomp", &profile }, { "apparmor", &profile },
	{ "seccomp_profile_path", NULL },
};

const struct wire_type cri_pod_security =
	WIRE_TYPE(linux_sandbox_security_context, struct pod_security, pod_security_fields,
		  WIRE_ALSO(pod_security_also),
		  .read = read_pod_security, .write = write_pod_security);

/* ---- containers ---- */

static const struct wire_field capability_fields[] = {
	WIRE_LIST(STR_LIST, Capability, add_capabilities, struct pod_security, cap_add),
	WIRE_LIST(STR_LIST, Capability, drop_capabilities, struct pod_security, cap_drop),
	WIRE_LIST(STR_LIST, Capability, add_ambient_capabilities, struct pod_security, cap_ambient),
};
static const struct wire_type capability = WIRE_TYPE(capability, struct pod_security, capability_fields);

static const struct wire_field security_fields[] = {
	WIRE_FLAT(LinuxContainerSecurityContext, capabilities, 0, &capability),
	SECURITY(BOOL, LinuxContainerSecurityContext, privileged, privileged),
	WIRE_OF(MSG, LinuxContainerSecurityContext, namespace_options, struct pod_security, namespaces, 0,
		&cri_namespaces),
	WIRE_OF(OPT_MSG, LinuxContainerSecurityContext, selinux_options, struct pod_security, selinux, 0, &selinux),
	SECURITY(BOX, LinuxContainerSecurityContext, run_as_user, run_as_user),
	SECURITY(BOX, LinuxContainerSecurityContext, run_as_group, run_as_group),
	SECURITY(STR, LinuxContainerSecurityContext, run_as_username, run_as_username),
	SECURITY(BOOL, LinuxContainerSecurityContext, readonly_rootfs, readonly_rootfs),
	WIRE_LIST(I64_LIST, LinuxContainerSecurityContext, supplemental_groups, struct pod_security,
		  supplemental_groups),
	SECURITY(BOOL, LinuxContainerSecurityContext, no_new_privs, no_new_privs),
	WIRE_LIST(STR_LIST, LinuxContainerSecurityContext, masked_paths, struct pod_security, masked_paths),
	WIRE_LIST(STR_LIST, LinuxContainerSecurityContext, readonly_paths, struct pod_security, readonly_paths),
};

static int read_security(const void *msg, const struct wire_path *path, struct arena *a, void *own, struct err *err)
{
	const Runtime__V1__LinuxContainerSecurityContext *ctx = msg;
	struct pod_security *s = own;
	int r;

	s->supplemental_strict = ctx->supplemental_groups_policy ==
				 RUNTIME__V1__SUPPLEMENTAL_GROUPS_POLICY__Strict;
	r = read_profile(ctx->seccomp, ctx->seccomp_profile_path, "seccomp", path, a, &s->seccomp, err);
	if (r < 0)
		return r;
	r = read_profile(ctx->apparmor, ctx->apparmor_profile, "apparmor", path, a, &s->apparmor, err);
	if (r < 0)
		return r;
	return check_ids(s, path, err);
}

static void write_security(const void *own, struct arena *a, void *msg)
{
	const struct pod_security *s = own;
	Runtime__V1__LinuxContainerSecurityContext *ctx = msg;

	ctx->supplemental_groups_policy = write_policy(s);
	ctx->seccomp = write_profile(&s->seccomp, a);
	ctx->apparmor = write_profile(&s->apparmor, a);
}

static const struct wire_also security_also[] = {
	{ "supplemental_groups_policy", NULL }, { "seccomp", &profile }, { "apparmor", &profile },
	{ "apparmor_profile", NULL }, { "seccomp_profile_path", NULL },
};

const struct wire_type cri_security =
	WIRE_TYPE(linux_container_security_context, struct pod_security, security_fields, WIRE_ALSO(security_also),
		  .read = read_security, .write = write_security);
