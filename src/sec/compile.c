/*
 * Profile → program, in the parent: what can be known to be wrong is refused here, with a
 * name, since the child can only say EINVAL. Applying the program, in the child.
 */
#include "sec/generate.h"

#include "base/base.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

enum { ERRNO_MAX = 4095 };

/* ---- applying ------------------------------------------------------------------------------ */

int sec_filter_apply(const struct sec_filter *f, int *ret_listener)
{
	struct sock_fprog prog = { .len = f->n, .filter = f->insns };
	unsigned flags = f->flags;
	long r;

	if (f->notify) {
		flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
		/* both give a descriptor or a thread id; with this the thread is an error instead */
		if (flags & SECCOMP_FILTER_FLAG_TSYNC)
			flags |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
	}
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
	if (r < 0)
		return -errno;
	if (f->notify && ret_listener)
		*ret_listener = (int)r;
	else if (r > 0 && !f->notify)
		return -ESRCH; /* TSYNC: a thread that could not follow */
	return 0;
}

int sec_filter_copy(const struct sock_filter *insns, size_t n, struct sec_filter *ret)
{
	if (!n || n > BPF_MAXINSNS)
		return -EINVAL;
	*ret = (struct sec_filter){ .insns = mem_new(n, sizeof(*insns)), .n = (unsigned short)n };
	memcpy(ret->insns, insns, n * sizeof(*insns));
	return 0;
}

void sec_filter_done(struct sec_filter *f)
{
	free(f->insns);
	*f = (struct sec_filter)SEC_FILTER_INIT;
}

/* ---- checks that need the running kernel --------------------------------------------------- */

static const uint32_t kernel_actions[SEC_ACTIONS] = {
	[SEC_ACT_KILL_THREAD] = SECCOMP_RET_KILL_THREAD,
	[SEC_ACT_KILL_PROCESS] = SECCOMP_RET_KILL_PROCESS,
	[SEC_ACT_TRAP] = SECCOMP_RET_TRAP,
	[SEC_ACT_ERRNO] = SECCOMP_RET_ERRNO,
	[SEC_ACT_TRACE] = SECCOMP_RET_TRACE,
	[SEC_ACT_ALLOW] = SECCOMP_RET_ALLOW,
	[SEC_ACT_LOG] = SECCOMP_RET_LOG,
	[SEC_ACT_NOTIFY] = SECCOMP_RET_USER_NOTIF,
};

static int check_rule(const struct sec_rule *rule, struct err *err)
{
	if (rule->errno_ret > ERRNO_MAX)
		return err_set(err, ERR_INVALID, "seccomp: %d is no errno", rule->errno_ret);
	if (rule->n_args > SEC_ARGS_MAX)
		return err_set(err, ERR_LIMIT, "seccomp: a rule with more than %d conditions", SEC_ARGS_MAX);
	for (size_t i = 0; i < rule->n_args; i++)
		if (rule->args[i].index >= SEC_ARGS_MAX || (unsigned)rule->args[i].op >= SEC_OPS)
			return err_set(err, ERR_INVALID, "seccomp: a system call has no argument %u",
				       rule->args[i].index);
	return 0;
}

static int check(const struct sec_seccomp *p, bool *ret_notify, struct err *err)
{
	unsigned used = 1U << p->default_action;
	int r;

	if (p->default_action == SEC_ACT_NOTIFY)
		return err_set(err, ERR_INVALID, "seccomp: SCMP_ACT_NOTIFY cannot be the default action");
	if (p->n_rules > SEC_RULES_MAX || p->n_arches > SEC_ARCHES_MAX)
		return err_set(err, ERR_LIMIT, "seccomp: more than %d rules or %d architectures",
			       SEC_RULES_MAX,
			       SEC_ARCHES_MAX);
	if (p->default_errno_ret > ERRNO_MAX)
		return err_set(err, ERR_INVALID, "seccomp: %d is no errno", p->default_errno_ret);
	for (size_t i = 0; i < p->n_rules; i++) {
		used |= 1U << p->rules[i].action;
		r = check_rule(&p->rules[i], err);
		if (r < 0)
			return r;
	}
	*ret_notify = used & 1U << SEC_ACT_NOTIFY;
	used &= ~(1U << SEC_ACT_ALLOW | 1U << SEC_ACT_ERRNO); /* as old as the system call */
	for (int a = 0; a < SEC_ACTIONS; a++)
		if (used & 1U << a && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0,
					      &kernel_actions[a]) < 0)
			return err_set(err, ERR_UNSUPPORTED, "seccomp: this kernel cannot do %s",
				       sec_action_name((enum sec_action)a));
	/* known flags fail on the program that is not there, others before */
	for (unsigned bit = 1; p->flags >= bit && bit; bit <<= 1) {
		/* this one is for listeners only */
		unsigned with = bit == SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV ?
				SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;

		if (p->flags & bit && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, bit | with, NULL) < 0 &&
		    errno == EINVAL)
			return err_set(err, ERR_UNSUPPORTED, "seccomp: this kernel does not know %s",
				       sec_flag_name(bit) ? sec_flag_name(bit) : "a flag of the profile");
	}
	return 0;
}

/* ---- compiling ------------------------------------------------------------------------------- */

int sec_seccomp_compile(const struct sec_seccomp *profile, struct sec_filter *ret, struct err *err)
{
	struct sec_filter f = { .flags = profile->flags };
	size_t n;
	int r = check(profile, &f.notify, err);

	if (r < 0)
		return r;
	if (profile->names_known && sec_unknown_name(profile))
		return err_set(err, ERR_INVALID, "seccomp: \"%s\" is no system call that is known here",
			       sec_unknown_name(profile));
	r = sec_generate(profile, &f.insns, &n);
	if (r == -E2BIG)
		return err_set(err, ERR_LIMIT,
			       "seccomp: the program is longer than the kernel's %d instructions",
			       BPF_MAXINSNS);
	if (r < 0)
		return err_sys(err, r, "seccomp: generate the program");
	f.n = (unsigned short)n;
	*ret = f;
	return 0;
}
