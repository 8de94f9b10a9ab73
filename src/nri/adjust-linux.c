/*
 * The Linux part of an adjustment: devices, limits, cgroup, namespaces, sysctls, seccomp, scheduling,
 * network devices, resctrl, memory policy.
 */
#include "nri/adjust.h"

#include <linux/if.h>

#define FIELD(name) NRI__PKG__API__V1ALPHA1__FIELD__##name

static int claim(const struct nri_adjust *ad, int field, const char *key, struct err *err)
{
	return nri_claim(ad->owners, ad->id, field, key, ad->plugin, err);
}

static void *boxed(struct arena *a, const void *value, size_t size)
{
	return memcpy(arena_new(a, 1, size), value, size);
}

/* The enum's name is OCI's word for it. */
static char *word(const ProtobufCEnumDescriptor *type, int value, struct arena *a)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(type, value);

	return v ? arena_strdup(a, v->name) : NULL;
}

/* ---- devices ---- */

static void add_device(struct nri_adjust *ad, const NRI(LinuxDevice) *from, const char *path)
{
	struct oci_linux *l = ad->config->linux_;
	struct oci_resources *res = l->resources;
	struct oci_device *d = &l->devices[l->n_devices++];

	*d = (struct oci_device){
		.type = arena_strdup(ad->a, from->type), .path = arena_strdup(ad->a, path),
		.major = boxed(ad->a, &from->major, sizeof(int64_t)),
		.minor = boxed(ad->a, &from->minor, sizeof(int64_t)),
	};
	if (from->file_mode)
		d->file_mode = boxed(ad->a, &from->file_mode->value, sizeof(uint32_t));
	if (from->uid)
		d->uid = boxed(ad->a, &from->uid->value, sizeof(uint32_t));
	if (from->gid)
		d->gid = boxed(ad->a, &from->gid->value, sizeof(uint32_t));
	if (str_eq(from->type, "p"))
		return;
	res->devices[res->n_devices++] = (struct oci_device_rule){
		.allow = true, .type = arena_strdup(ad->a,
						    str_eq(from->type, "b") ? "b" : "c"), .major = d->major,
		.minor = d->minor, .access = arena_strdup(ad->a, "rwm"),
	};
}

static int devices(struct nri_adjust *ad, const NRI(LinuxContainerAdjustment) *from, struct err *err)
{
	static const char *const types[] = { "b", "c", "u", "p" };
	struct oci_linux *l = ad->config->linux_;

	if (from->n_devices > NRI_LIST_MAX)
		return nri_adjust_wrong(ad, err, "devices", "", "too many");
	l->devices = nri_adjust_room(ad->a, l->devices, l->n_devices, from->n_devices, sizeof(*l->devices));
	l->resources->devices = nri_adjust_room(ad->a, l->resources->devices, l->resources->n_devices,
						from->n_devices, sizeof(*l->resources->devices));
	for (int set = 0; set < 2; set++) {
		for (size_t i = 0; i < from->n_devices; i++) {
			const char *path;
			size_t kept = 0;

			if (nri_adjust_removes(from->devices[i]->path, &path) == set)
				continue;
			if (path[0] != '/')
				return nri_adjust_wrong(ad, err, "device", path, "not an absolute path");
			for (size_t k = 0; k < l->n_devices; k++)
				if (!str_eq(l->devices[k].path, path))
					l->devices[kept++] = l->devices[k];
			l->n_devices = kept;
			if (!set) {
				nri_unclaim(ad->owners, ad->id, FIELD(Devices), path);
				continue;
			}
			if (!str_in(from->devices[i]->type, types, ARRAY_LEN(types)))
				return nri_adjust_wrong(ad, err, "device", path,
							"type is none of b, c, u, p");
			if (claim(ad, FIELD(Devices), path, err) < 0)
				return -EINVAL;
			add_device(ad, from->devices[i], path);
		}
	}
	return 0;
}

/* ---- namespaces, sysctls, network devices ---- */

static int namespaces(struct nri_adjust *ad, const NRI(LinuxContainerAdjustment) *from, struct err *err)
{
	static const char *const types[] = { "pid", "network", "mount", "ipc", "uts", "user", "cgroup",
	"time" };
	struct oci_linux *l = ad->config->linux_;

	if (from->n_namespaces > ARRAY_LEN(types) * 2)
		return nri_adjust_wrong(ad, err, "namespaces", "", "too many");
	l->namespaces = nri_adjust_room(ad->a, l->namespaces, l->n_namespaces, from->n_namespaces,
					sizeof(*l->namespaces));
	for (size_t i = 0; i < from->n_namespaces; i++) {
		const NRI(LinuxNamespace) *ns = from->namespaces[i];
		const char *type;
		bool removes = nri_adjust_removes(ns->type, &type);
		size_t at = 0;

		if (!str_in(type, types, ARRAY_LEN(types)))
			return nri_adjust_wrong(ad, err, "namespace", type, "no such type");
		if (removes && str_eq(type, "mount"))
			return nri_adjust_wrong(ad, err, "namespace", type, "no container is without one");
		if (claim(ad, FIELD(Namespace), type, err) < 0)
			return -EINVAL;
		while (at < l->n_namespaces && !str_eq(l->namespaces[at].type, type))
			at++;
		if (removes && at < l->n_namespaces)
			l->namespaces[at] = l->namespaces[--l->n_namespaces];
		if (removes)
			continue;
		l->n_namespaces += at == l->n_namespaces;
		l->namespaces[at] = (struct oci_namespace){
			arena_strdup(ad->a, type), *ns->path ? arena_strdup(ad->a, ns->path) : NULL,
		};
	}
	return 0;
}

static int sysctls(struct nri_adjust *ad, const NRI(LinuxContainerAdjustment) *from, struct err *err)
{
	struct oci_linux *l = ad->config->linux_;
	int r = 0;

	if (from->n_sysctl > NRI_LIST_MAX)
		return nri_adjust_wrong(ad, err, "sysctl", "", "too many");
	l->sysctl = nri_adjust_room(ad->a, l->sysctl, l->n_sysctl, from->n_sysctl, sizeof(*l->sysctl));
	for (int set = 0; set < 2 && r == 0; set++)
		for (size_t i = 0; i < from->n_sysctl && r == 0; i++)
			if ((from->sysctl[i]->key[0] != '-') == set)
				r = nri_adjust_map(ad, FIELD(Sysctl), "sysctl", from->sysctl[i]->key,
						   from->sysctl[i]->value, l->sysctl, &l->n_sysctl, err);
	return r;
}

static int net_devices(struct nri_adjust *ad, const NRI(LinuxContainerAdjustment) *from, struct err *err)
{
	struct oci_linux *l = ad->config->linux_;

	if (from->n_net_devices > NRI_LIST_MAX)
		return nri_adjust_wrong(ad, err, "net_devices", "", "too many");
	l->net_devices = nri_adjust_room(ad->a, l->net_devices, l->n_net_devices, from->n_net_devices,
					 sizeof(*l->net_devices));
	for (int set = 0; set < 2; set++) {
		for (size_t i = 0; i < from->n_net_devices; i++) {
			const NRI(LinuxNetDevice) *dev = from->net_devices[i]->value;
			const char *name;
			size_t at = 0;

			if (nri_adjust_removes(from->net_devices[i]->key, &name) == set)
				continue;
			if (!*name || strlen(name) >= IFNAMSIZ || strchr(name, '/'))
				return nri_adjust_wrong(ad, err, "net_device", name,
							"no name of an interface");
			while (at < l->n_net_devices && !str_eq(l->net_devices[at].host_name, name))
				at++;
			if (!set) {
				nri_unclaim(ad->owners, ad->id, FIELD(LinuxNetDevices), name);
				if (at < l->n_net_devices)
					l->net_devices[at] = l->net_devices[--l->n_net_devices];
				continue;
			}
			if (claim(ad, FIELD(LinuxNetDevices), name, err) < 0)
				return -EINVAL;
			l->n_net_devices += at == l->n_net_devices;
			l->net_devices[at] = (struct oci_net_device){
				.host_name = arena_strdup(ad->a, name),
				.name = dev && *dev->name ? arena_strdup(ad->a, dev->name) : NULL,
			};
		}
	}
	return 0;
}

/* ---- single values ---- */

static int io_priority(struct nri_adjust *ad, const NRI(LinuxIOPriority) *from, struct err *err)
{
	struct oci_io_priority *p = arena_new(ad->a, 1, sizeof(*p));

	p->class_ = word(NRI_TYPE(ioprio_class), (int)from->class_, ad->a);
	p->priority = from->priority;
	if (!p->class_ || from->priority < 0 || from->priority > 7)
		return nri_adjust_wrong(ad, err, "io_priority", p->class_, "not a class with 0 to 7");
	if (claim(ad, FIELD(IoPriority), NULL, err) < 0)
		return -EINVAL;
	/* NONE: as it would be without any */
	ad->config->process->io_priority = from->class_ ? p : NULL;
	return 0;
}

static int scheduler(struct nri_adjust *ad, const NRI(LinuxScheduler) *from, struct err *err)
{
	struct oci_scheduler *s = arena_new(ad->a, 1, sizeof(*s));

	s->policy = word(NRI_TYPE(linux_scheduler_policy), (int)from->policy, ad->a);
	if (!s->policy)
		return nri_adjust_wrong(ad, err, "scheduler", "policy", "unknown");
	if (from->n_flags > 16)
		return nri_adjust_wrong(ad, err, "scheduler", "flags", "too many");
	s->nice = from->nice;
	s->priority = from->priority;
	s->runtime = from->runtime;
	s->deadline = from->deadline;
	s->period = from->period;
	s->flags = arena_new(ad->a, from->n_flags + 1, sizeof(char *));
	for (size_t i = 0; i < from->n_flags; i++) {
		s->flags[i] = word(NRI_TYPE(linux_scheduler_flag), (int)from->flags[i], ad->a);
		if (!s->flags[i])
			return nri_adjust_wrong(ad, err, "scheduler", "flags", "unknown");
		s->n_flags++;
	}
	if (claim(ad, FIELD(LinuxSched), NULL, err) < 0)
		return -EINVAL;
	ad->config->process->scheduler = from->policy ? s : NULL;
	return 0;
}

static int memory_policy(struct nri_adjust *ad, const NRI(LinuxMemoryPolicy) *from, struct err *err)
{
	struct oci_memory_policy *p = arena_new(ad->a, 1, sizeof(*p));

	p->mode = word(NRI_TYPE(mpol_mode), (int)from->mode, ad->a);
	if (!p->mode)
		return nri_adjust_wrong(ad, err, "memory_policy", "mode", "unknown");
	if (from->n_flags > 16)
		return nri_adjust_wrong(ad, err, "memory_policy", "flags", "too many");
	p->nodes = *from->nodes ? arena_strdup(ad->a, from->nodes) : NULL;
	p->flags = arena_new(ad->a, from->n_flags + 1, sizeof(char *));
	for (size_t i = 0; i < from->n_flags; i++) {
		p->flags[i] = word(NRI_TYPE(mpol_flag), (int)from->flags[i], ad->a);
		if (!p->flags[i])
			return nri_adjust_wrong(ad, err, "memory_policy", "flags", "unknown");
		p->n_flags++;
	}
	if (claim(ad, FIELD(MemoryPolicy), NULL, err) < 0)
		return -EINVAL;
	ad->config->linux_->memory_policy = p;
	return 0;
}

static int seccomp(struct nri_adjust *ad, const NRI(LinuxSeccomp) *from, struct err *err)
{
	struct oci_seccomp *s = arena_new(ad->a, 1, sizeof(*s));

	if (from->n_syscalls > NRI_LIST_MAX || from->n_architectures > 64 || from->n_flags > 64)
		return nri_adjust_wrong(ad, err, "seccomp_policy", "", "too large");
	if (claim(ad, FIELD(SeccompPolicy), NULL, err) < 0)
		return -EINVAL;
	s->default_action = arena_strdup(ad->a, from->default_action);
	if (from->default_errno)
		s->default_errno_ret = boxed(ad->a, &from->default_errno->value, sizeof(uint32_t));
	s->architectures = nri_adjust_strings(from->architectures, from->n_architectures, ad->a);
	s->n_architectures = from->n_architectures;
	s->flags = nri_adjust_strings(from->flags, from->n_flags, ad->a);
	s->n_flags = from->n_flags;
	s->listener_path = *from->listener_path ? arena_strdup(ad->a, from->listener_path) : NULL;
	s->listener_metadata = *from->listener_metadata ? arena_strdup(ad->a, from->listener_metadata) : NULL;
	s->syscalls = arena_new(ad->a, from->n_syscalls + 1, sizeof(*s->syscalls));
	for (size_t i = 0; i < from->n_syscalls; i++) {
		const NRI(LinuxSyscall) *in = from->syscalls[i];
		struct oci_seccomp_syscall *out = &s->syscalls[s->n_syscalls++];

		out->names = nri_adjust_strings(in->names, in->n_names, ad->a);
		out->n_names = in->n_names;
		out->action = arena_strdup(ad->a, in->action);
		if (in->errno_ret)
			out->errno_ret = boxed(ad->a, &in->errno_ret->value, sizeof(uint32_t));
		out->args = arena_new(ad->a, in->n_args + 1, sizeof(*out->args));
		for (size_t k = 0; k < in->n_args; k++)
			out->args[out->n_args++] = (struct oci_seccomp_arg){
				in->args[k]->index, in->args[k]->value, in->args[k]->value_two,
				arena_strdup(ad->a, in->args[k]->op),
			};
	}
	ad->config->linux_->seccomp = s;
	return 0;
}

/* A class is what resctrl calls a closID. */
static int rdt(struct nri_adjust *ad, const NRI(LinuxRdt) *from, const NRI(OptionalString) *class,
	       struct err *err)
{
	struct oci_linux *l = ad->config->linux_;
	struct oci_intel_rdt *r = arena_new(ad->a, 1, sizeof(*r));

	if (class) {
		if (claim(ad, FIELD(RdtClass), NULL, err) < 0)
			return -EINVAL;
		l->intel_rdt = NULL;
		if (*class->value) {
			r->clos_id = arena_strdup(ad->a, class->value);
			l->intel_rdt = r;
		}
	}
	if (!from)
		return 0;
	if (from->remove) {
		nri_unclaim(ad->owners, ad->id, FIELD(RdtClosID), NULL);
		nri_unclaim(ad->owners, ad->id, FIELD(RdtSchemata), NULL);
		nri_unclaim(ad->owners, ad->id, FIELD(RdtEnableMonitoring), NULL);
		l->intel_rdt = NULL;
	}
	if (!from->clos_id && !from->schemata && !from->enable_monitoring)
		return 0;
	r = arena_new(ad->a, 1, sizeof(*r));
	if (l->intel_rdt)
		*r = *l->intel_rdt;
	if (from->clos_id) {
		if (claim(ad, FIELD(RdtClosID), NULL, err) < 0)
			return -EINVAL;
		r->clos_id = arena_strdup(ad->a, from->clos_id->value);
	}
	if (from->schemata) {
		if (claim(ad, FIELD(RdtSchemata), NULL, err) < 0)
			return -EINVAL;
		r->schemata = nri_adjust_strings(from->schemata->value, from->schemata->n_value, ad->a);
		r->n_schemata = from->schemata->n_value;
	}
	if (from->enable_monitoring) {
		if (claim(ad, FIELD(RdtEnableMonitoring), NULL, err) < 0)
			return -EINVAL;
		r->enable_monitoring = from->enable_monitoring->value;
	}
	l->intel_rdt = r;
	return 0;
}

static int oom_score(struct nri_adjust *ad, const NRI(OptionalInt) *from, struct err *err)
{
	int32_t score = (int32_t)from->value;

	if (from->value < -1000 || from->value > 1000)
		return nri_adjust_wrong(ad, err, "oom_score_adj", "", "not between -1000 and 1000");
	if (claim(ad, FIELD(OomScoreAdj), NULL, err) < 0)
		return -EINVAL;
	ad->config->process->oom_score_adj = boxed(ad->a, &score, sizeof(score));
	return 0;
}

static int cgroups_path(struct nri_adjust *ad, const char *path, struct err *err)
{
	if (path[0] != '/' || strstr(path, ".."))
		return nri_adjust_wrong(ad, err, "cgroups_path", path, "not an absolute path");
	if (claim(ad, FIELD(CgroupsPath), NULL, err) < 0)
		return -EINVAL;
	ad->config->linux_->cgroups_path = arena_strdup(ad->a, path);
	return 0;
}

int nri_adjust_linux(struct nri_adjust *ad, const NRI(LinuxContainerAdjustment) *from, struct err *err)
{
	struct oci_linux *l = ad->config->linux_;
	struct oci_resources *res = arena_new(ad->a, 1, sizeof(*res));
	int r;

	/* the caller's own is not ours to change in place */
	if (l->resources)
		*res = *l->resources;
	l->resources = res;
	r = devices(ad, from, err);
	if (r == 0 && from->resources)
		r = nri_apply_resources(from->resources, ad->owners, ad->id, ad->plugin, false, ad->a, res,
					err);
	if (r == 0 && *from->cgroups_path)
		r = cgroups_path(ad, from->cgroups_path, err);
	if (r == 0 && from->oom_score_adj)
		r = oom_score(ad, from->oom_score_adj, err);
	if (r == 0 && from->io_priority)
		r = io_priority(ad, from->io_priority, err);
	if (r == 0 && from->seccomp_policy)
		r = seccomp(ad, from->seccomp_policy, err);
	if (r == 0)
		r = namespaces(ad, from, err);
	if (r == 0)
		r = sysctls(ad, from, err);
	if (r == 0)
		r = net_devices(ad, from, err);
	if (r == 0 && from->scheduler)
		r = scheduler(ad, from->scheduler, err);
	if (r == 0)
		r = rdt(ad, from->rdt, from->resources ? from->resources->rdt_class : NULL, err);
	if (r == 0 && from->memory_policy)
		r = memory_policy(ad, from->memory_policy, err);
	return r;
}
