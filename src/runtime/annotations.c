/*
 * Spec → plan: the annotations "run.oci.…" that crun gave a meaning to and engines set. One table:
 * what is taken, and what is refused because the container would be another without it. Others of
 * that prefix are ignored, as every unknown annotation is (config.md, annotations). Pure.
 *
 * Read elsewhere: run.oci.keep_original_groups (plan-process.c), run.oci.seccomp.receiver
 * (plan-seccomp.c), run.oci.hooks.stdout and .stderr (hook.c, which has them from the record).
 */
#include "runtime/plan.h"

#include <stdio.h>

static int no_handler(struct runtime_plan *plan, const char *value, struct err *err)
{
	if (!*value)
		return 0;
	return err_set(err, ERR_UNSUPPORTED, "\"%s\": programs are executed by the kernel only", value);
}

static int no_plugins(struct runtime_plan *plan, const char *value, struct err *err)
{
	if (!*value)
		return 0;
	return err_set(err, ERR_UNSUPPORTED, "\"%s\": this runtime loads no libraries; an agent at "
		       "linux.seccomp.listenerPath can do the same", value);
}

/* ---- seccomp ---- */

static int known_names(struct runtime_plan *plan, const char *value, struct err *err)
{
	plan->seccomp.names_known = !str_eq(value, "0");
	return 0;
}

/* A program as it is, instead of linux.seccomp. What it does is for who wrote it to know; that it is
 * one, the kernel checks. */
static int bpf_data(struct runtime_plan *plan, const char *value, struct err *err)
{
	CLEANUP(buf_done) struct buf data = BUF_INIT(BPF_MAXINSNS * sizeof(struct sock_filter) + 1);
	int r = base64_decode(value, &data);

	if (r == -EINVAL)
		return err_set(err, ERR_INVALID, "it is no base64");
	if (r < 0 || data.len > BPF_MAXINSNS * sizeof(struct sock_filter))
		return err_set(err, ERR_LIMIT, "longer than the kernel's %d instructions", BPF_MAXINSNS);
	if (!data.len || data.len % sizeof(struct sock_filter))
		return err_set(err, ERR_INVALID, "%zu bytes are no whole number of instructions", data.len);
	plan->raw_filter = arena_new(plan->arena, data.len / sizeof(struct sock_filter), sizeof(*plan->raw_filter));
	memcpy(plan->raw_filter, data.data, data.len);
	plan->n_raw_filter = data.len / sizeof(struct sock_filter);
	plan->has_seccomp = true;
	plan->listener_path = plan->listener_metadata = NULL;
	return 0;
}

/* ---- namespaces ---- */

/* As the kernel takes it in timens_offsets: a line for a clock, by name or number. */
static int time_offsets(struct runtime_plan *plan, const char *value, struct err *err)
{
	struct ns_time_offset *list;
	size_t n = plan->n_offsets;

	if (!(plan->ns_new & 1U << NS_TIME))
		return err_set(err, ERR_INVALID, "it needs a new time namespace");
	list = arena_new(plan->arena, n + strlen(value) / 4 + 1, sizeof(*list));
	if (n)
		memcpy(list, plan->offsets, n * sizeof(*list));
	while (*value) {
		struct ns_time_offset *o = &list[n++];
		char clock[16];
		long long secs;
		int used = 0;

		if (sscanf(value, "%15s %lld %u%n", clock, &secs, &o->nanosecs, &used) != 3 ||
		    (value[used] && value[used] != '\n') || o->nanosecs >= NSEC_PER_SEC)
			return err_set(err, ERR_INVALID, "\"%s\" is not CLOCK SECONDS NANOSECONDS", value);
		o->secs = secs;
		o->boottime = str_eq(clock, "boottime") || str_eq(clock, "7");
		if (!o->boottime && !str_eq(clock, "monotonic") && !str_eq(clock, "1"))
			return err_set(err, ERR_INVALID, "\"%s\": the clocks are monotonic (1) and boottime (7)",
				       clock);
		value += used + (value[used] == '\n');
	}
	plan->offsets = list;
	plan->n_offsets = n;
	return 0;
}

/* ---- cgroups ---- */

static int sub_cgroup(struct runtime_plan *plan, const char *value, const char **to, struct err *err)
{
	if (!*value || !plan->cgroup_host)
		return 0;
	if (plan->cgroup_host->mode != CGROUP_V2)
		return err_set(err, ERR_UNSUPPORTED, "\"%s\": only cgroup v2 can hand a part of its tree on", value);
	if (!str_is_id(value, 128))
		return err_set(err, ERR_INVALID, "\"%s\" is no name of a cgroup", value);
	*to = value;
	return 0;
}

static int systemd_subgroup(struct runtime_plan *plan, const char *value, struct err *err)
{
	return plan->is_systemd ? sub_cgroup(plan, value, &plan->cgroup_sub, err) : 0;
}

static int delegate_cgroup(struct runtime_plan *plan, const char *value, struct err *err)
{
	return sub_cgroup(plan, value, &plan->cgroup_delegate, err);
}

/* A systemd of a time before cgroup v2 wants a hierarchy of its own. What else the mount would have
 * been, it is this now. */
static int cgroup_v1_of_systemd(struct runtime_plan *plan, const char *value, struct err *err)
{
	static const char *data[] = { "none", "name=systemd", "xattr" };
	struct mnt_plan *m = &plan->mnt;

	if (!*value)
		return 0;
	for (size_t i = 0; i < m->n_entries; i++) {
		struct mnt_entry *e = &m->entries[i];

		if (!str_eq(e->target, value))
			continue;
		e->kind = MNT_FS;
		e->type = "cgroup";
		e->source = "cgroup";
		e->options.data = data;
		e->options.n_data = ARRAY_LEN(data);
		return 0;
	}
	return err_set(err, ERR_INVALID, "\"%s\": no such destination among the mounts", value);
}

static int pidfd_receiver(struct runtime_plan *plan, const char *value, struct err *err)
{
	if (*value != '/')
		return err_set(err, ERR_INVALID, "\"%s\" is not absolute", value);
	plan->pidfd_receiver = value;
	return 0;
}


static const struct {
	const char *key;
	int (*take)(struct runtime_plan *plan, const char *value, struct err *err);
} rows[] = {
	{ "run.oci.delegate-cgroup", delegate_cgroup },
	{ "run.oci.handler", no_handler },
	{ "run.oci.pidfd_receiver", pidfd_receiver },
	{ "run.oci.seccomp.plugins", no_plugins },
	{ "run.oci.seccomp_bpf_data", bpf_data },
	{ "run.oci.seccomp_fail_unknown_syscall", known_names },
	{ "run.oci.systemd.force_cgroup_v1", cgroup_v1_of_systemd },
	{ "run.oci.systemd.subgroup", systemd_subgroup },
	{ "run.oci.timens_offset", time_offsets },
};

int plan_annotations(struct runtime_plan *plan, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *value = oci_config_annotation(plan->config, rows[i].key);
		int r = value ? rows[i].take(plan, value, err) : 0;

		if (r < 0)
			return err_wrap(err, r, "annotations: %s", rows[i].key);
	}
	return 0;
}

/* The context of the file systems that are made here, and as what: mount(8) has four ways. */
int plan_mount_label(struct runtime_plan *plan, struct err *err)
{
	static const char *const types[] = { "context", "fscontext", "defcontext", "rootcontext" };
	const char *type = oci_config_annotation(plan->config, "run.oci.mount_context_type");
	const char *label = plan->config->linux_->mount_label;
	bool known = !type;

	for (size_t i = 0; type && i < ARRAY_LEN(types); i++)
		known |= str_eq(type, types[i]);
	if (!known)
		return err_set(err, ERR_INVALID, "annotations: run.oci.mount_context_type: \"%s\" is none of "
			       "context, fscontext, defcontext, rootcontext", type);
	if (sec_selinux_enabled() && !str_empty(label))
		plan->mnt.label = arena_printf(plan->arena, "%s=%s", type ? type : types[0], label);
	return 0;
}
