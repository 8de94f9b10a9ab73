/*
 * Pods and containers for the eyes of a plugin: what the request said, and what config.json
 * will say.
 */
#include "nri/message.h"

#include "rpc/pb.h"

char *nri_text(const char *s, struct arena *a)
{
	char *copy = arena_strdup(a, s);

	if (copy)
		rpc_pb_clean_text(copy);
	return copy;
}

/* Entries of a map<string, string>: generated types that are all alike. */
struct entry {
	ProtobufCMessage base;
	char *key, *value;
};

static void put_map(const ProtobufCMessageDescriptor *type, const struct json_kv *list, size_t n,
		    struct arena *a,
		    void *ret, size_t *ret_n, size_t room)
{
	struct entry **out;

	if (!*ret_n)
		*(void **)ret = arena_new(a, n + room, sizeof(*out));
	out = *(struct entry ***)ret;
	for (size_t i = 0; i < n; i++) {
		struct entry *e = nri_pb_new(a, type);

		e->key = nri_text(list[i].key, a);
		e->value = nri_text(list[i].value, a);
		out[(*ret_n)++] = e;
	}
}

static void put_strings(char *const *list, size_t n, struct arena *a, char ***ret, size_t *ret_n)
{
	*ret = arena_new(a, n + 1, sizeof(char *));
	for (size_t i = 0; i < n; i++)
		(*ret)[i] = nri_text(list[i], a);
	*ret_n = n;
}

static NRI(OptionalInt) *optional_int(int64_t value, struct arena *a)
{
	NRI(OptionalInt) *o = nri_pb_new(a, NRI_TYPE(optional_int));

	o->value = value;
	return o;
}

static NRI(OptionalUInt32) *optional_u32(const uint32_t *value, struct arena *a)
{
	NRI(OptionalUInt32) *o;

	if (!value)
		return NULL;
	o = nri_pb_new(a, NRI_TYPE(optional_uint32));
	o->value = *value;
	return o;
}

static void put_namespaces(const struct oci_namespace *list, size_t n, struct arena *a,
			   NRI(LinuxNamespace) ***ret,
			   size_t *ret_n)
{
	*ret = arena_new(a, n + 1, sizeof(**ret));
	for (size_t i = 0; i < n; i++) {
		NRI(LinuxNamespace) *ns = nri_pb_new(a, NRI_TYPE(linux_namespace));

		ns->type = list[i].type;
		ns->path = list[i].path;
		(*ret)[i] = ns;
	}
	*ret_n = n;
}

NRI(PodSandbox) *nri_write_pod(const struct nri_pod *pod, struct arena *a)
{
	NRI(PodSandbox) *p = nri_pb_new(a, NRI_TYPE(pod_sandbox));
	NRI(LinuxPodSandbox) *l = nri_pb_new(a, NRI_TYPE(linux_pod_sandbox));

	p->id = (char *)pod->id;
	p->name = nri_text(pod->name, a);
	p->uid = nri_text(pod->uid, a);
	p->namespace_ = nri_text(pod->ns, a);
	p->runtime_handler = nri_text(pod->handler, a);
	put_map(NRI_TYPE(pod_sandbox__labels_entry), pod->labels, pod->n_labels, a, &p->labels, &p->n_labels,
		1);
	put_map(NRI_TYPE(pod_sandbox__annotations_entry), pod->annotations, pod->n_annotations, a,
		&p->annotations,
		&p->n_annotations, 1);
	p->linux = l;
	p->pid = pod->pid;
	put_strings(pod->ips, pod->n_ips, a, &p->ips, &p->n_ips);
	l->pod_overhead = nri_write_resources(pod->overhead, a);
	l->pod_resources = nri_write_resources(pod->pod_resources, a);
	l->resources = nri_write_resources(pod->resources, a);
	l->cgroup_parent = (char *)pod->cgroup_parent;
	l->cgroups_path = (char *)pod->cgroups_path;
	put_namespaces(pod->namespaces, pod->n_namespaces, a, &l->namespaces, &l->n_namespaces);
	return p;
}

/* ---- config.json ---- */

static void put_mounts(const struct oci_config *config, NRI(Container) *c, struct arena *a)
{
	c->mounts = arena_new(a, config->n_mounts + 1, sizeof(*c->mounts));
	for (size_t i = 0; i < config->n_mounts; i++) {
		const struct oci_mount *from = &config->mounts[i];
		NRI(Mount) *m = nri_pb_new(a, NRI_TYPE(mount));

		m->destination = nri_text(from->destination, a);
		m->type = from->type;
		m->source = nri_text(from->source, a);
		put_strings(from->options, from->n_options, a, &m->options, &m->n_options);
		c->mounts[c->n_mounts++] = m;
	}
}

static void put_hook_list(const struct oci_hook *list, size_t n, struct arena *a, NRI(Hook) ***ret,
			  size_t *ret_n)
{
	*ret = arena_new(a, n + 1, sizeof(**ret));
	for (size_t i = 0; i < n; i++) {
		NRI(Hook) *h = nri_pb_new(a, NRI_TYPE(hook));

		h->path = nri_text(list[i].path, a);
		put_strings(list[i].args, list[i].n_args, a, &h->args, &h->n_args);
		put_strings(list[i].env, list[i].n_env, a, &h->env, &h->n_env);
		h->timeout = list[i].timeout ? optional_int(*list[i].timeout, a) : NULL;
		(*ret)[i] = h;
	}
	*ret_n = n;
}

static NRI(Hooks) *hooks_of(const struct oci_hooks *h, struct arena *a)
{
	NRI(Hooks) *out;

	if (!h)
		return NULL;
	out = nri_pb_new(a, NRI_TYPE(hooks));
	put_hook_list(h->prestart, h->n_prestart, a, &out->prestart, &out->n_prestart);
	put_hook_list(h->create_runtime, h->n_create_runtime, a, &out->create_runtime,
		      &out->n_create_runtime);
	put_hook_list(h->create_container, h->n_create_container, a, &out->create_container,
		      &out->n_create_container);
	put_hook_list(h->start_container, h->n_start_container, a, &out->start_container,
		      &out->n_start_container);
	put_hook_list(h->poststart, h->n_poststart, a, &out->poststart, &out->n_poststart);
	put_hook_list(h->poststop, h->n_poststop, a, &out->poststop, &out->n_poststop);
	return out;
}

static void put_devices(const struct oci_linux *from, NRI(LinuxContainer) *l, struct arena *a)
{
	l->devices = arena_new(a, from->n_devices + 1, sizeof(*l->devices));
	for (size_t i = 0; i < from->n_devices; i++) {
		const struct oci_device *dev = &from->devices[i];
		NRI(LinuxDevice) *d = nri_pb_new(a, NRI_TYPE(linux_device));

		d->path = nri_text(dev->path, a);
		d->type = dev->type;
		d->major = dev->major ? *dev->major : 0;
		d->minor = dev->minor ? *dev->minor : 0;
		if (dev->file_mode) {
			d->file_mode = nri_pb_new(a, NRI_TYPE(optional_file_mode));
			d->file_mode->value = *dev->file_mode;
		}
		d->uid = optional_u32(dev->uid, a);
		d->gid = optional_u32(dev->gid, a);
		l->devices[l->n_devices++] = d;
	}
}

static int enum_number(const ProtobufCEnumDescriptor *type, const char *name)
{
	const ProtobufCEnumValue *v = name ? protobuf_c_enum_descriptor_get_value_by_name(type, name) : NULL;

	return v ? v->value : 0;
}

static void put_process(const struct oci_process *p, NRI(Container) *c, struct arena *a)
{
	put_strings(p->args, p->n_args, a, &c->args, &c->n_args);
	put_strings(p->env, p->n_env, a, &c->env, &c->n_env);
	c->rlimits = arena_new(a, p->n_rlimits + 1, sizeof(*c->rlimits));
	for (size_t i = 0; i < p->n_rlimits; i++) {
		NRI(POSIXRlimit) *l = nri_pb_new(a, NRI_TYPE(posixrlimit));

		l->type = p->rlimits[i].type;
		l->hard = p->rlimits[i].hard;
		l->soft = p->rlimits[i].soft;
		c->rlimits[c->n_rlimits++] = l;
	}
	c->user = nri_pb_new(a, NRI_TYPE(user));
	c->user->uid = p->user.uid;
	c->user->gid = p->user.gid;
	c->user->additional_gids = p->user.additional_gids;
	c->user->n_additional_gids = p->user.n_additional_gids;
	if (p->oom_score_adj)
		c->linux->oom_score_adj = optional_int(*p->oom_score_adj, a);
	if (p->io_priority) {
		c->linux->io_priority = nri_pb_new(a, NRI_TYPE(linux_iopriority));
		c->linux->io_priority->class_ =
			(NRI(IOPrioClass))enum_number(NRI_TYPE(ioprio_class), p->io_priority->class_);
		c->linux->io_priority->priority = p->io_priority->priority;
	}
	if (p->scheduler) {
		NRI(LinuxScheduler) *s = nri_pb_new(a, NRI_TYPE(linux_scheduler));

		s->policy = (NRI(LinuxSchedulerPolicy))enum_number(NRI_TYPE(linux_scheduler_policy),
								    p->scheduler->policy);
		s->nice = p->scheduler->nice;
		s->priority = p->scheduler->priority;
		s->runtime = p->scheduler->runtime;
		s->deadline = p->scheduler->deadline;
		s->period = p->scheduler->period;
		s->flags = arena_new(a, p->scheduler->n_flags + 1, sizeof(*s->flags));
		for (size_t i = 0; i < p->scheduler->n_flags; i++)
			s->flags[s->n_flags++] = (NRI(LinuxSchedulerFlag))enum_number(
				NRI_TYPE(linux_scheduler_flag), p->scheduler->flags[i]);
		c->linux->scheduler = s;
	}
}

static NRI(LinuxRdt) *rdt_of(const struct oci_intel_rdt *from, struct arena *a)
{
	NRI(LinuxRdt) *r = nri_pb_new(a, NRI_TYPE(linux_rdt));

	if (from->clos_id) {
		r->clos_id = nri_pb_new(a, NRI_TYPE(optional_string));
		r->clos_id->value = from->clos_id;
	}
	if (from->n_schemata) {
		r->schemata = nri_pb_new(a, NRI_TYPE(optional_repeated_string));
		put_strings(from->schemata, from->n_schemata, a, &r->schemata->value, &r->schemata->n_value);
	}
	r->enable_monitoring = nri_pb_new(a, NRI_TYPE(optional_bool));
	r->enable_monitoring->value = from->enable_monitoring;
	return r;
}

static NRI(LinuxSyscall) *syscall_of(const struct oci_seccomp_syscall *from, struct arena *a)
{
	NRI(LinuxSyscall) *s = nri_pb_new(a, NRI_TYPE(linux_syscall));

	put_strings(from->names, from->n_names, a, &s->names, &s->n_names);
	s->action = from->action;
	s->errno_ret = optional_u32(from->errno_ret, a);
	s->args = arena_new(a, from->n_args + 1, sizeof(*s->args));
	for (size_t i = 0; i < from->n_args; i++) {
		NRI(LinuxSeccompArg) *arg = nri_pb_new(a, NRI_TYPE(linux_seccomp_arg));

		arg->index = from->args[i].index;
		arg->value = from->args[i].value;
		arg->value_two = from->args[i].value_two;
		arg->op = from->args[i].op;
		s->args[s->n_args++] = arg;
	}
	return s;
}

static NRI(LinuxSeccomp) *seccomp_of(const struct oci_seccomp *from, struct arena *a)
{
	NRI(LinuxSeccomp) *s = nri_pb_new(a, NRI_TYPE(linux_seccomp));

	s->default_action = from->default_action;
	s->default_errno = optional_u32(from->default_errno_ret, a);
	put_strings(from->architectures, from->n_architectures, a, &s->architectures, &s->n_architectures);
	put_strings(from->flags, from->n_flags, a, &s->flags, &s->n_flags);
	s->listener_path = nri_text(from->listener_path, a);
	s->listener_metadata = nri_text(from->listener_metadata, a);
	s->syscalls = arena_new(a, from->n_syscalls + 1, sizeof(*s->syscalls));
	for (size_t i = 0; i < from->n_syscalls; i++)
		s->syscalls[s->n_syscalls++] = syscall_of(&from->syscalls[i], a);
	return s;
}

static void put_linux(const struct oci_linux *from, NRI(Container) *c, struct arena *a)
{
	NRI(LinuxContainer) *l = c->linux;

	put_namespaces(from->namespaces, from->n_namespaces, a, &l->namespaces, &l->n_namespaces);
	put_devices(from, l, a);
	l->resources = nri_write_resources(from->resources, a);
	l->cgroups_path = from->cgroups_path;
	put_map(NRI_TYPE(linux_container__sysctl_entry), from->sysctl, from->n_sysctl, a, &l->sysctl,
		&l->n_sysctl, 1);
	l->net_devices = arena_new(a, from->n_net_devices + 1, sizeof(*l->net_devices));
	for (size_t i = 0; i < from->n_net_devices; i++) {
		NRI(LinuxContainer__NetDevicesEntry) *e =
			nri_pb_new(a, NRI_TYPE(linux_container__net_devices_entry));

		e->key = from->net_devices[i].host_name;
		e->value = nri_pb_new(a, NRI_TYPE(linux_net_device));
		e->value->name = from->net_devices[i].name;
		l->net_devices[l->n_net_devices++] = e;
	}
	if (from->intel_rdt)
		l->rdt = rdt_of(from->intel_rdt, a);
	if (from->seccomp)
		l->seccomp_policy = seccomp_of(from->seccomp, a);
}

static void put_config(const struct oci_config *config, NRI(Container) *c, struct arena *a)
{
	put_mounts(config, c, a);
	c->hooks = hooks_of(config->hooks, a);
	if (config->process)
		put_process(config->process, c, a);
	if (config->linux_)
		put_linux(config->linux_, c, a);
	put_map(NRI_TYPE(container__annotations_entry), config->annotations, config->n_annotations, a,
		&c->annotations, &c->n_annotations, 0);
}

NRI(Container) *nri_write_container(const struct nri_container *from, struct arena *a)
{
	size_t room = from->config ? from->config->n_annotations + 1 : 1;
	NRI(Container) *c = nri_pb_new(a, NRI_TYPE(container));

	c->id = (char *)from->id;
	c->pod_sandbox_id = (char *)from->pod_id;
	c->name = nri_text(from->name, a);
	c->state = (NRI(ContainerState))from->state;
	put_map(NRI_TYPE(container__labels_entry), from->labels, from->n_labels, a, &c->labels, &c->n_labels,
		1);
	/* config.json's win: they come last */
	c->annotations = arena_new(a, from->n_annotations + room, sizeof(*c->annotations));
	put_map(NRI_TYPE(container__annotations_entry), from->annotations, from->n_annotations, a,
		&c->annotations,
		&c->n_annotations, room);
	c->pid = from->pid;
	c->created_at = from->created_at;
	c->started_at = from->started_at;
	c->finished_at = from->finished_at;
	c->exit_code = from->exit_code;
	c->status_reason = nri_text(from->reason, a);
	c->status_message = nri_text(from->message, a);
	c->linux = nri_pb_new(a, NRI_TYPE(linux_container));
	c->image = nri_pb_new(a, NRI_TYPE(image));
	c->image->name = nri_text(from->image, a);
	c->image->digest = nri_text(from->image_digest, a);
	c->image->config_digest = nri_text(from->image_id, a);
	c->cdi_devices = arena_new(a, from->n_cdi_devices + 1, sizeof(*c->cdi_devices));
	for (size_t i = 0; i < from->n_cdi_devices; i++) {
		NRI(CDIDevice) *d = nri_pb_new(a, NRI_TYPE(cdidevice));

		d->name = nri_text(from->cdi_devices[i], a);
		c->cdi_devices[c->n_cdi_devices++] = d;
	}
	c->linux->seccomp_profile = nri_pb_new(a, NRI_TYPE(security_profile));
	c->linux->seccomp_profile->profile_type = (NRI(SecurityProfile__ProfileType))from->seccomp;
	c->linux->seccomp_profile->localhost_ref = nri_text(from->seccomp_path, a);
	if (from->config)
		put_config(from->config, c, a);
	return c;
}
