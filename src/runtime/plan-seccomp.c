/*
 * Spec → plan: the seccomp profile and its listener. Pure.
 */
#include "runtime/plan.h"

static int seccomp_rule(const struct oci_seccomp_syscall *o, size_t i, struct arena *a, struct sec_rule *ret,
			struct err *err)
{
	struct sec_arg *args = o->n_args ? arena_new(a, o->n_args, sizeof(*args)) : NULL;
	int action = sec_action_parse(o->action);

	if (action < 0)
		return err_set(err, ERR_INVALID, "linux.seccomp.syscalls[%zu].action: unknown \"%s\"", i,
			       o->action);
	if (!o->n_names)
		return err_set(err, ERR_INVALID, "linux.seccomp.syscalls[%zu].names: must not be empty", i);
	/* the listener itself leaves the process by it, before anybody can answer */
	for (size_t k = 0; action == SEC_ACT_NOTIFY && k < o->n_names; k++)
		if (str_eq(o->names[k], "sendmsg"))
			return err_set(err, ERR_INVALID,
				       "linux.seccomp.syscalls[%zu].names: sendmsg can't be SCMP_ACT_NOTIFY: the "
				       "listener is handed over by it", i);
	for (size_t k = 0; k < o->n_args; k++) {
		int op = sec_op_parse(o->args[k].op);

		if (op < 0)
			return err_set(err, ERR_INVALID,
				       "linux.seccomp.syscalls[%zu].args[%zu].op: unknown \"%s\"", i, k,
				       o->args[k].op);
		if (o->args[k].index >= SEC_ARGS_MAX)
			return err_set(err, ERR_INVALID,
				       "linux.seccomp.syscalls[%zu].args[%zu].index: %u is above 5", i, k,
				       o->args[k].index);
		args[k] = (struct sec_arg){ o->args[k].index, (enum sec_op)op, o->args[k].value,
					    o->args[k].value_two };
	}
	*ret = (struct sec_rule){ .names = (const char *const *)o->names, .n_names = o->n_names,
				  .action = (enum sec_action)action, .errno_ret = o->errno_ret ?
						(int)*o->errno_ret : -1,
				  .args = args, .n_args = o->n_args };
	return 0;
}

static int profile(const struct oci_seccomp *o, struct arena *a, struct sec_seccomp *ret, struct err *err)
{
	uint32_t *arches = o->n_architectures ? arena_new(a, o->n_architectures, sizeof(*arches)) : NULL;
	struct sec_rule *rules = o->n_syscalls ? arena_new(a, o->n_syscalls, sizeof(*rules)) : NULL;
	int action = sec_action_parse(o->default_action), r;

	memset(ret, 0, sizeof(*ret));
	if (action < 0)
		return err_set(err, ERR_INVALID, "linux.seccomp.defaultAction: unknown \"%s\"",
			       o->default_action);
	if (action == SEC_ACT_NOTIFY)
		return err_set(err, ERR_INVALID,
			       "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY can't be the default");
	ret->default_action = (enum sec_action)action;
	ret->default_errno_ret = o->default_errno_ret ? (int)*o->default_errno_ret : -1;
	for (size_t i = 0; i < o->n_architectures; i++)
		if (sec_arch_parse(o->architectures[i], &arches[i]) < 0)
			return err_set(err, ERR_INVALID, "linux.seccomp.architectures[%zu]: unknown \"%s\"",
				       i,
				       o->architectures[i]);
	for (size_t i = 0; i < o->n_flags; i++)
		if (sec_flag_parse(o->flags[i], &ret->flags) < 0)
			return err_set(err, ERR_INVALID, "linux.seccomp.flags[%zu]: unknown \"%s\"", i,
				       o->flags[i]);
	for (size_t i = 0; i < o->n_syscalls; i++) {
		r = seccomp_rule(&o->syscalls[i], i, a, &rules[i], err);
		if (r < 0)
			return r;
	}
	ret->arches = arches;
	ret->n_arches = o->n_architectures;
	ret->rules = rules;
	ret->n_rules = o->n_syscalls;
	return 0;
}

/* Where the agent listens. A path without a rule that needs it is ignored, as the specification
 * says; the other way round nobody would answer the container's system calls. */
static int plan_listener(struct runtime_plan *plan, const struct oci_seccomp *o, struct err *err)
{
	const char *path = o->listener_path;
	bool asks = false;

	if (str_empty(path))
		path = oci_config_annotation(plan->config, "run.oci.seccomp.receiver");
	if (str_empty(path)) /* and so does crun */
		path = getenv("RUN_OCI_SECCOMP_RECEIVER");
	for (size_t i = 0; i < plan->seccomp.n_rules; i++)
		asks |= plan->seccomp.rules[i].action == SEC_ACT_NOTIFY;
	if (!str_empty(o->listener_metadata) && str_empty(path))
		return err_set(err, ERR_INVALID, "linux.seccomp.listenerMetadata: needs listenerPath");
	if (!asks)
		return 0;
	if (str_empty(path))
		return err_set(err, ERR_INVALID, "linux.seccomp.listenerPath: SCMP_ACT_NOTIFY needs it");
	if (*path != '/')
		return err_set(err, ERR_INVALID, "linux.seccomp.listenerPath: \"%s\" is not absolute", path);
	plan->listener_path = path;
	plan->listener_metadata = o->listener_metadata;
	return 0;
}

int plan_seccomp(struct runtime_plan *plan, struct err *err)
{
	const struct oci_seccomp *o = plan->config->linux_->seccomp;
	int r;

	if (!o)
		return 0;
	plan->has_seccomp = true;
	r = profile(o, plan->arena, &plan->seccomp, err);
	return r < 0 ? r : plan_listener(plan, o, err);
}
