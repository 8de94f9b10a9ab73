/*
 * Spec → plan: the frame, namespaces and what lives in them. Runs in the caller; opens
 * nothing but what tells what this host is.
 */
#include "runtime/plan.h"

#include "runtime/rdt.h"
#include "sys/sys.h"

#include <stdio.h>
#include <sys/stat.h>

const char *plan_rootfs(const struct runtime_create *what, const struct oci_config *config, struct arena *a)
{
	const char *path = config->root ? config->root->path : "rootfs";

	return *path == '/' ? arena_strdup(a, path) : arena_printf(a, "%s/%s", what->bundle, path);
}

static bool has(const struct runtime_plan *plan, enum ns_kind kind)
{
	return (plan->ns_new | plan->ns_join) & 1U << kind;
}

static int copy_maps(const struct oci_id_map *maps, size_t n, const char *name, struct arena *a,
		     struct ns_id_map **ret, struct err *err)
{
	struct ns_id_map *out = n ? arena_new(a, n, sizeof(*out)) : NULL;
	size_t at;

	for (size_t i = 0; i < n; i++)
		out[i] = (struct ns_id_map){ maps[i].container_id, maps[i].host_id, maps[i].size };
	if (n && ns_maps_check(out, n, &at) < 0)
		return err_set(err, ERR_INVALID, "linux.%s[%zu]: empty, out of range, or overlaps another",
			       name, at);
	*ret = out;
	return 0;
}

/* Which sysctls are a namespace's own: all others would change the host. */
static const struct {
	const char *prefix;
	enum ns_kind kind;
} sysctl_owners[] = {
	{ "net/", NS_NET },           { "fs/mqueue/", NS_IPC },     { "kernel/msgmax", NS_IPC },
	{ "kernel/msgmnb", NS_IPC },  { "kernel/msgmni", NS_IPC },  { "kernel/sem", NS_IPC },
	{ "kernel/shmall", NS_IPC },  { "kernel/shmmax", NS_IPC },  { "kernel/shmmni", NS_IPC },
	{ "kernel/shm_rmid_forced", NS_IPC }, { "kernel/domainname", NS_UTS }, { "kernel/hostname", NS_UTS },
};

/* "net.ipv4.conf.eth0/1.x": the separator that comes first separates, the other is a dot. */
static char *sysctl_path(const char *key, struct arena *a)
{
	char *out = arena_strdup(a, key), *first = strpbrk(out, "./");

	if (first && *first == '.')
		for (char *p = out; *p; p++)
			*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
	return out;
}

static int plan_sysctls(struct runtime_plan *plan, const struct oci_linux *l, struct err *err)
{
	plan->sysctls = l->n_sysctl ? arena_new(plan->arena, l->n_sysctl, sizeof(*plan->sysctls)) : NULL;
	for (size_t i = 0; i < l->n_sysctl; i++) {
		const char *key = l->sysctl[i].key, *path = sysctl_path(key, plan->arena);
		bool owned = false;

		if (*path == '/' || strstr(path, "..") || strstr(path, "//"))
			return err_set(err, ERR_INVALID, "linux.sysctl: \"%s\" is not a name", key);
		for (size_t k = 0; k < ARRAY_LEN(sysctl_owners) && !owned; k++) {
			const char *prefix = sysctl_owners[k].prefix;
			const char *rest = str_skip_prefix(path, prefix);

			if (!rest || (*rest && !str_has_suffix(prefix, "/")))
				continue;
			owned = true;
			if (!has(plan, sysctl_owners[k].kind))
				return err_set(err, ERR_INVALID,
					       "linux.sysctl: \"%s\" needs a %s namespace: it would "
					       "change the host", key, ns_types[sysctl_owners[k].kind].name);
		}
		if (!owned)
			return err_set(err, ERR_INVALID,
				       "linux.sysctl: \"%s\" is not in a separate kernel namespace",
				       key);
		if (str_eq(path, "kernel/hostname") && plan->hostname)
			return err_set(err, ERR_INVALID, "linux.sysctl: \"%s\" conflicts with hostname", key);
		if (str_eq(path, "kernel/domainname") && plan->domainname)
			return err_set(err, ERR_INVALID, "linux.sysctl: \"%s\" conflicts with domainname",
				       key);
		plan->sysctls[plan->n_sysctls++] = (struct sysctl_plan){ path, l->sysctl[i].value };
	}
	return 0;
}

static int plan_uts(struct runtime_plan *plan, struct err *err)
{
	const struct oci_config *c = plan->config;

	/* a joined namespace keeps its name: it belongs to whoever made it */
	if (!str_empty(c->hostname)) {
		if (!has(plan, NS_UTS))
			return err_set(err, ERR_INVALID,
				       "hostname: unable to set it without a private uts namespace");
		if (strlen(c->hostname) > 64)
			return err_set(err, ERR_INVALID, "hostname: longer than 64 characters");
		plan->hostname = c->hostname;
	}
	if (!str_empty(c->domainname)) {
		if (!has(plan, NS_UTS))
			return err_set(err, ERR_INVALID, "domainname: unable to set it without a private uts "
				       "namespace");
		if (strlen(c->domainname) > 64)
			return err_set(err, ERR_INVALID, "domainname: longer than 64 characters");
		plan->domainname = c->domainname;
	}
	return 0;
}

static int plan_time(struct runtime_plan *plan, const struct oci_linux *l, struct err *err)
{
	if (!l->n_time_offsets)
		return 0;
	if (!(plan->ns_new & 1U << NS_TIME))
		return err_set(err, ERR_INVALID, "linux.timeOffsets: needs a new time namespace");
	plan->offsets = arena_new(plan->arena, l->n_time_offsets, sizeof(*plan->offsets));
	for (size_t i = 0; i < l->n_time_offsets; i++) {
		const struct oci_time_offset *o = &l->time_offsets[i];

		if (!str_eq(o->clock, "monotonic") && !str_eq(o->clock, "boottime"))
			return err_set(err, ERR_INVALID,
				       "linux.timeOffsets.%s: the clocks are monotonic and boottime",
				       o->clock);
		if (o->nanosecs >= NSEC_PER_SEC)
			return err_set(err, ERR_INVALID, "linux.timeOffsets.%s.nanosecs: a second or more",
				       o->clock);
		plan->offsets[plan->n_offsets++] =
			(struct ns_time_offset){ str_eq(o->clock, "boottime"), o->secs, o->nanosecs };
	}
	return 0;
}

static int plan_net_devices(struct runtime_plan *plan, const struct oci_linux *l, struct err *err)
{
	struct device_plan *list = l->n_net_devices ? arena_new(plan->arena, l->n_net_devices, sizeof(*list)) : NULL;

	if (l->n_net_devices && !has(plan, NS_NET))
		return err_set(err, ERR_INVALID,
			       "linux.netDevices: unable to move network devices without a private network "
			       "namespace");
	for (size_t i = 0; i < l->n_net_devices; i++) {
		const struct oci_net_device *d = &l->net_devices[i];

		list[i].host_name = d->host_name;
		list[i].name = str_empty(d->name) ? d->host_name : d->name;
		if (ns_device_check_name(d->host_name) < 0 || strchr(d->host_name, '%'))
			return err_set(err, ERR_INVALID, "linux.netDevices: \"%s\" is no name of a network device",
				       d->host_name);
		if (ns_device_check_name(list[i].name) < 0)
			return err_set(err, ERR_INVALID,
				       "linux.netDevices.%s.name: \"%s\" is no name of a network device",
				       d->host_name, list[i].name);
		for (size_t k = 0; k < i; k++)
			if (str_eq(list[k].name, list[i].name) && !strchr(list[i].name, '%'))
				return err_set(err, ERR_INVALID, "linux.netDevices.%s.name: \"%s\" is used twice",
					       d->host_name, list[i].name);
	}
	plan->net_devices = list;
	plan->n_net_devices = l->n_net_devices;
	return 0;
}

int plan_namespaces(struct runtime_plan *plan, struct err *err)
{
	const struct oci_linux *l = plan->config->linux_;
	int r;

	for (size_t i = 0; i < l->n_namespaces; i++) {
		const struct oci_namespace *n = &l->namespaces[i];
		int kind = ns_type_find(n->type);

		if (kind < 0)
			return err_set(err, ERR_INVALID,
				       "linux.namespaces[%zu].type: unknown namespace \"%s\"", i,
				       n->type);
		if (has(plan, (enum ns_kind)kind))
			return err_set(err, ERR_INVALID, "linux.namespaces[%zu]: a second %s namespace", i,
				       n->type);
		if (str_empty(n->path)) {
			plan->ns_new |= 1U << kind;
			continue;
		}
		if (*n->path != '/')
			return err_set(err, ERR_INVALID, "linux.namespaces[%zu].path: \"%s\" is not absolute",
				       i, n->path);
		plan->ns_join |= 1U << kind;
		plan->ns_path[kind] = n->path;
		/* "the runtime's own" is no namespace to join, and entering one's own user
		 * namespace again is an error for the kernel */
		r = ns_open(n->path, (enum ns_kind)kind, &plan->ns_fd[kind]);
		if (r == -EINVAL)
			return err_set(err, ERR_INVALID,
				       "linux.namespaces[%zu].path: %s is not a %s namespace", i,
				       n->path, n->type);
		if (r < 0)
			return err_sys(err, r, "linux.namespaces[%zu].path: %s", i, n->path);
		if (ns_is_own(plan->ns_fd[kind], (enum ns_kind)kind) == 1) {
			plan->ns_join &= ~(1U << kind);
			fd_drop(&plan->ns_fd[kind]);
		}
	}
	r = copy_maps(l->uid_mappings, l->n_uid_mappings, "uidMappings", plan->arena, &plan->uids, err);
	if (r == 0)
		r = copy_maps(l->gid_mappings, l->n_gid_mappings, "gidMappings", plan->arena, &plan->gids,
			      err);
	if (r < 0)
		return r;
	plan->n_uids = l->n_uid_mappings;
	plan->n_gids = l->n_gid_mappings;
	if (plan->ns_new & 1U << NS_USER && (!plan->n_uids || !plan->n_gids))
		return err_set(err, ERR_INVALID,
			       "linux: a new user namespace needs uidMappings and gidMappings");
	if (!has(plan, NS_USER) && (plan->n_uids || plan->n_gids))
		return err_set(err, ERR_INVALID,
			       "linux.uidMappings: user namespace mappings specified, but no user "
			       "namespace");
	r = plan_uts(plan, err);
	if (r == 0)
		r = plan_time(plan, l, err);
	if (r == 0)
		r = plan_net_devices(plan, l, err);
	return r < 0 ? r : plan_sysctls(plan, l, err);
}

/* An id that has no mapping would be -1 inside: say so by name. */
static int check_mapped(const struct runtime_plan *plan, struct err *err)
{
	const struct process_plan *p = &plan->process;
	uint32_t outside;

	if (!(plan->ns_new & 1U << NS_USER))
		return 0;
	if (ns_maps_find(plan->uids, plan->n_uids, 0, &outside) < 0 ||
	    ns_maps_find(plan->gids, plan->n_gids, 0, &outside) < 0)
		return err_set(err, ERR_INVALID,
			       "linux.uidMappings, gidMappings: id 0 of the container is not mapped");
	if (ns_maps_find(plan->uids, plan->n_uids, p->uid, &outside) < 0)
		return err_set(err, ERR_INVALID, "process.user.uid: %u is not mapped", p->uid);
	if (ns_maps_find(plan->gids, plan->n_gids, p->gid, &outside) < 0)
		return err_set(err, ERR_INVALID, "process.user.gid: %u is not mapped", p->gid);
	for (size_t i = 0; i < p->n_groups; i++)
		if (ns_maps_find(plan->gids, plan->n_gids, p->groups[i], &outside) < 0)
			return err_set(err, ERR_INVALID, "process.user.additionalGids[%zu]: %u is not mapped",
				       i,
				       p->groups[i]);
	return 0;
}

/* "1.2.3", and what may stand behind it: SemVer 2.0.0. */
static bool is_version(const char *text)
{
	unsigned part[3];
	int used = 0;

	if (*text < '0' || *text > '9' || sscanf(text, "%3u.%5u.%5u%n", &part[0], &part[1], &part[2], &used) != 3)
		return false;
	text += used;
	return (!*text || ((*text == '-' || *text == '+') && text[1])) &&
	       text[strspn(text, "-+.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

static int check_document(const struct runtime_create *what, const struct oci_config *c, struct err *err)
{
	if (!is_version(c->oci_version))
		return err_set(err, ERR_INVALID, "ociVersion: \"%s\" is no version", c->oci_version);
	if (!str_skip_prefix(c->oci_version, "1."))
		return err_set(err, ERR_UNSUPPORTED, "ociVersion: \"%s\" is not 1.x", c->oci_version);
	for (size_t i = 0; i < c->n_annotations; i++)
		if (!*c->annotations[i].key)
			return err_set(err, ERR_INVALID, "annotations: a key must not be empty");
	if (!c->linux_)
		return err_set(err, ERR_INVALID, "linux: missing: this is a runtime for Linux");
	if (!c->process)
		return err_set(err, ERR_INVALID, "process: missing");
	if (!c->root && !what->overlay)
		return err_set(err, ERR_INVALID, "root: missing");
	return c->linux_->intel_rdt ? rdt_check(c->linux_->intel_rdt, err) : 0;
}

static int make(const struct runtime_create *what, struct runtime_plan *plan, struct err *err)
{
	const struct oci_config *c = plan->config;
	int r;

	r = check_document(what, c, err);
	if (r < 0)
		return r;
	plan->rootfs = plan_rootfs(what, c, plan->arena);
	plan->in_user_ns = !ns_user_is_initial();
	r = plan_namespaces(plan, err);
	if (r == 0)
		r = plan_process(c->process, c->linux_, plan->arena, &plan->process, err);
	if (r < 0)
		return r;
	plan_groups(c->annotations, c->n_annotations, &plan->process);
	if (plan->in_user_ns && plan_denied_groups(&plan->process, err) < 0)
		return -EINVAL;
	plan->process.new_keyring = !what->no_new_keyring;
	if (plan->process.terminal && what->console_socket < 0 && what->terminal < 0)
		return err_set(err, ERR_INVALID,
			       "process.terminal: cannot allocate tty if runtime will detach without "
			       "setting console socket");
	if (!plan->process.terminal && what->console_socket >= 0)
		return err_set(err, ERR_INVALID,
			       "process.terminal: cannot use console socket if runtime will not "
			       "detach or allocate tty");
	r = check_mapped(plan, err);
	if (r == 0)
		r = plan_cgroup(plan, what, err);
	if (r == 0)
		r = plan_mounts(plan, what, err);
	if (r == 0)
		r = plan_seccomp(plan, err);
	return r < 0 ? r : plan_annotations(plan, err);
}

int plan_make(const struct runtime_create *what, const struct oci_config *config, struct arena *a,
	      struct runtime_plan *plan, struct err *err)
{
	int r;

	memset(plan, 0, sizeof(*plan));
	plan->arena = a;
	plan->config = config;
	plan->id = what->id;
	plan->bundle = what->bundle;
	for (size_t i = 0; i < NS_KINDS; i++)
		plan->ns_fd[i] = -EBADF;
	mnt_plan_init(&plan->mnt, a);
	r = make(what, plan, err);
	if (r < 0)
		plan_done(plan);
	return r;
}

void plan_done(struct runtime_plan *plan)
{
	for (size_t i = 0; i < NS_KINDS; i++)
		fd_drop(&plan->ns_fd[i]);
	mnt_plan_done(&plan->mnt);
}
