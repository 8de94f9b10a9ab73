/*
 * Spec → plan: the process: arguments, user, capabilities, limits, labels. Pure.
 */
#include "runtime/plan.h"

#include "runtime/hook.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <sys/syscall.h>

static int plan_caps(const struct oci_capabilities *c, struct process_plan *p, struct err *err)
{
	uint64_t permitted, bounding;
	int r;

	p->kernel_caps = sec_caps_kernel();
	if (!c)
		return 0; /* none */
	const struct {
		char **names;
		size_t n;
		uint64_t *mask;
	} sets[] = {
		{ c->bounding, c->n_bounding, &p->caps.bounding },
		{ c->effective, c->n_effective, &p->caps.effective },
		{ c->inheritable, c->n_inheritable, &p->caps.inheritable },
		{ c->permitted, c->n_permitted, &p->caps.permitted },
		{ c->ambient, c->n_ambient, &p->caps.ambient },
	};
	const char *unknown[ARRAY_LEN(sets)] = { NULL };

	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		sec_caps_parse((const char *const *)sets[i].names, sets[i].n, sets[i].mask, &unknown[i]);
	/* one word for one name, in however many sets it is */
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		bool said = false;

		for (size_t k = 0; k < i; k++)
			said |= unknown[i] && unknown[k] && str_eq(unknown[i], unknown[k]);
		if (unknown[i] && !said)
			runtime_warn("process.capabilities: \"%s\" is not known here: left out", unknown[i]);
	}
	/* an ambient capability must be inheritable; lists that leave that out (runc's own
	 * default does) mean that no ambient capability comes of it */
	p->caps.ambient &= p->caps.permitted & p->caps.inheritable;
	r = sec_caps_check(&p->caps, err);
	if (r < 0)
		return err_wrap(err, r, "process.capabilities");
	/* what the runtime lacks itself it can't give; a caller in a user namespace of its own
	 * has all of them there, so only the bounding set counts */
	if (sec_caps_own(&permitted, &bounding) == 0)
		sec_caps_clamp(&p->caps, bounding);
	return 0;
}

static int plan_rlimits(const struct oci_process *o, struct arena *a, struct process_plan *p, struct err *err)
{
	int r;

	p->rlimits = o->n_rlimits ? arena_new(a, o->n_rlimits, sizeof(*p->rlimits)) : NULL;
	for (size_t i = 0; i < o->n_rlimits; i++) {
		int number = sec_rlimit_number(o->rlimits[i].type);

		if (number < 0)
			return err_set(err, ERR_INVALID, "process.rlimits[%zu].type: unknown \"%s\"", i,
				       o->rlimits[i].type);
		p->rlimits[i] = (struct sec_rlimit){ number, o->rlimits[i].soft, o->rlimits[i].hard };
	}
	p->n_rlimits = o->n_rlimits;
	r = sec_rlimits_check(p->rlimits, p->n_rlimits, err);
	return r < 0 ? err_wrap(err, r, "process.rlimits") : 0;
}

static int plan_env(const struct oci_process *o, struct arena *a, struct process_plan *p, struct err *err)
{
	/* two more: HOME when it has to be found, and the end */
	p->envp = arena_new(a, o->n_env + 2, sizeof(char *));
	for (size_t i = 0; i < o->n_env; i++) {
		char *e = o->env[i];

		if (!strchr(e, '='))
			return err_set(err, ERR_INVALID, "process.env[%zu]: \"%s\" has no \"=\"", i, e);
		p->envp[i] = e;
		if (str_skip_prefix(e, "PATH="))
			p->path = e + 5;
		if (str_skip_prefix(e, "HOME=") && e[5])
			p->has_home = true;
	}
	p->n_env = o->n_env;
	return 0;
}

void plan_groups(const struct json_kv *annotations, size_t n, struct process_plan *p)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(annotations[i].key, "run.oci.keep_original_groups") && str_eq(annotations[i].value, "1"))
			p->set_groups = false;
}

int plan_process(const struct oci_process *o, const struct oci_linux *l, struct arena *a,
		 struct process_plan *p, struct err *err)
{
	int r;

	memset(p, 0, sizeof(*p));
	if (!o->n_args || str_empty(o->args[0]))
		return err_set(err, ERR_INVALID, "process.args: must not be empty");
	if (*o->cwd != '/')
		return err_set(err, ERR_INVALID, "process.cwd: \"%s\" is not an absolute path", o->cwd);
	p->argv = arena_new(a, o->n_args + 1, sizeof(char *));
	memcpy(p->argv, o->args, o->n_args * sizeof(char *));
	r = plan_env(o, a, p, err);
	if (r < 0)
		return r;
	p->cwd = o->cwd;
	p->uid = o->user.uid;
	p->gid = o->user.gid;
	p->groups = (gid_t *)o->user.additional_gids;
	p->n_groups = o->user.n_additional_gids;
	p->set_groups = true;
	p->umask = o->user.umask ? *o->user.umask & 0777 : 0022;
	p->no_new_privs = o->no_new_privileges;
	p->apparmor = o->apparmor_profile;
	p->selinux = o->selinux_label;
	p->oom_score_adj = o->oom_score_adj;
	p->terminal = o->terminal;
	if (p->oom_score_adj && (*p->oom_score_adj < -1000 || *p->oom_score_adj > 1000))
		return err_set(err, ERR_INVALID, "process.oomScoreAdj: %d is not in -1000 to 1000",
			       *p->oom_score_adj);
	if (o->console_size) {
		p->rows = (unsigned short)o->console_size->height;
		p->columns = (unsigned short)o->console_size->width;
	}
	r = plan_caps(o->capabilities, p, err);
	if (r == 0)
		r = plan_rlimits(o, a, p, err);
	if (r == 0)
		r = plan_scheduling(o, l, a, p, err);
	if (r < 0)
		return r;
	r = sec_apparmor_check(p->apparmor, err);
	if (r < 0)
		return err_wrap(err, r, "process.apparmorProfile");
	r = sec_selinux_check(p->selinux, err);
	return r < 0 ? err_wrap(err, r, "process.selinuxLabel") : 0;
}

/* Who could map only the own id may not drop groups, and so not have others either. */
int plan_denied_groups(struct process_plan *p, struct err *err)
{
	char text[16];

	if (!p->set_groups || sys_file_read_text(AT_FDCWD, "/proc/self/setgroups", text, sizeof(text)) < 0 ||
	    !str_eq(text, "deny"))
		return 0;
	if (p->n_groups)
		return err_set(err, ERR_INVALID, "process.user.additionalGids: setgroups is denied in this user "
			       "namespace, which has a single id");
	p->set_groups = false;
	return 0;
}
