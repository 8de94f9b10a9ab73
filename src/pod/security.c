/*
 * CRI's security context → the process and seccomp members of config.json.
 * Privileged containers have everything and no filter, whatever else is asked for.
 */
#include "pod/security.h"

#include "sec/sec.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <strings.h>

#define BIT(cap) (UINT64_C(1) << (cap))

/* What docker, containerd and CRI-O give by default (CRI-O less four). */
static const uint64_t default_caps =
	BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) | BIT(CAP_MKNOD) |
	BIT(CAP_NET_RAW) |
	BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) | BIT(CAP_NET_BIND_SERVICE) |
	BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE);

static bool is_all(const char *name)
{
	return strcasecmp(name, "ALL") == 0 || strcasecmp(name, "CAP_ALL") == 0;
}

/* The mask of the names, and whether "ALL" was among them. */
static int parse(const char *field, char *const *names, size_t n, uint64_t *ret, bool *ret_all,
		 struct err *err)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < n; i++) {
		int cap;

		if (is_all(names[i])) {
			*ret_all = true;
			continue;
		}
		cap = sec_cap_number(names[i]);
		if (cap < 0)
			return err_set(err, ERR_INVALID, "%s: unknown capability %s", field, names[i]);
		mask |= BIT(cap);
	}
	*ret = mask;
	return 0;
}

static void put_names(uint64_t mask, struct arena *a, char ***ret, size_t *ret_n)
{
	char **names = arena_new(a, 64, sizeof(*names));
	size_t n = 0;

	for (unsigned cap = 0; cap < 64; cap++) {
		const char *name = mask & BIT(cap) ? sec_cap_name(cap) : NULL;

		if (name)
			names[n++] = arena_strdup(a, name);
	}
	*ret = names;
	*ret_n = n;
}

int pod_caps(const struct pod_security *s, uint64_t have, struct arena *a, struct oci_capabilities **ret,
	     uint64_t *ret_mask, struct err *err)
{
	struct oci_capabilities *c = arena_new(a, 1, sizeof(*c));
	uint64_t add = 0, drop = 0, ambient = 0, mask = default_caps;
	bool add_all = false, drop_all = false, ambient_all = false;
	int r = parse("add_capabilities", s->cap_add, s->n_cap_add, &add, &add_all, err);

	if (r == 0)
		r = parse("drop_capabilities", s->cap_drop, s->n_cap_drop, &drop, &drop_all, err);
	if (r == 0)
		r = parse("add_ambient_capabilities", s->cap_ambient, s->n_cap_ambient, &ambient,
			  &ambient_all, err);
	if (r < 0)
		return r;
	if (s->privileged) {
		mask = have;
	} else {
		/* ALL first, then single names: "drop ALL, add X" leaves X, "add ALL, drop X"
		 * leaves all but X */
		if (add_all)
			mask = have;
		if (drop_all)
			mask = 0;
		mask = (mask | add) & ~drop;
	}
	mask &= have;
	ambient = ambient_all ? mask : ambient & mask;
	put_names(mask, a, &c->bounding, &c->n_bounding);
	c->permitted = c->effective = c->bounding;
	c->n_permitted = c->n_effective = c->n_bounding;
	if (ambient) {
		put_names(ambient, a, &c->ambient, &c->n_ambient);
		c->inheritable = c->ambient;
		c->n_inheritable = c->n_ambient;
	}
	*ret = c;
	*ret_mask = mask;
	return 0;
}

/* sec's profile as the document's member. */
static struct oci_seccomp *to_oci(const struct sec_seccomp *s, struct arena *a)
{
	struct oci_seccomp *o = arena_new(a, 1, sizeof(*o));

	o->default_action = arena_strdup(a, sec_action_name(s->default_action));
	if (s->default_errno_ret >= 0) {
		o->default_errno_ret = arena_new(a, 1, sizeof(uint32_t));
		*o->default_errno_ret = (uint32_t)s->default_errno_ret;
	}
	o->architectures = arena_new(a, s->n_arches, sizeof(char *));
	for (size_t i = 0; i < s->n_arches; i++)
		o->architectures[o->n_architectures++] = arena_strdup(a, sec_arch_name(s->arches[i]));
	o->flags = arena_new(a, 32, sizeof(char *));
	for (unsigned bit = 0; bit < 32; bit++)
		if (s->flags & (1u << bit) && sec_flag_name(1u << bit))
			o->flags[o->n_flags++] = arena_strdup(a, sec_flag_name(1u << bit));
	o->syscalls = arena_new(a, s->n_rules, sizeof(*o->syscalls));
	o->n_syscalls = s->n_rules;
	for (size_t i = 0; i < s->n_rules; i++) {
		const struct sec_rule *rule = &s->rules[i];
		struct oci_seccomp_syscall *sc = &o->syscalls[i];

		sc->names = (char **)rule->names;
		sc->n_names = rule->n_names;
		sc->action = arena_strdup(a, sec_action_name(rule->action));
		if (rule->errno_ret >= 0) {
			sc->errno_ret = arena_new(a, 1, sizeof(uint32_t));
			*sc->errno_ret = (uint32_t)rule->errno_ret;
		}
		sc->args = arena_new(a, rule->n_args, sizeof(*sc->args));
		sc->n_args = rule->n_args;
		for (size_t k = 0; k < rule->n_args; k++)
			sc->args[k] = (struct oci_seccomp_arg){
				.index = rule->args[k].index, .value = rule->args[k].value,
				.value_two = rule->args[k].value_two,
				.op = arena_strdup(a, sec_op_name(rule->args[k].op)),
			};
	}
	return o;
}

struct oci_seccomp *pod_seccomp_default(uint64_t caps, struct arena *a)
{
	struct sec_seccomp profile;

	sec_seccomp_default(caps, a, &profile);
	return to_oci(&profile, a);
}

static int localhost_profile(const char *name, const char *root, uint64_t caps, struct arena *a,
			     struct oci_seccomp **ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(SEC_PROFILE_MAX);
	struct sec_seccomp profile;
	const char *path;
	int r;

	if (str_skip_prefix(name, "localhost/"))
		name = str_skip_prefix(name, "localhost/");
	if (str_empty(name))
		return err_set(err, ERR_INVALID, "seccomp: a Localhost profile needs localhost_ref");
	path = name[0] == '/' ? name : arena_printf(a, "%s/%s", root, name);
	r = sys_file_read(AT_FDCWD, path, SEC_PROFILE_MAX, &text);
	if (r < 0)
		return err_sys(err, r, "seccomp profile %s", path);
	r = sec_seccomp_read(text.data, text.len, caps, a, &profile, err);
	if (r < 0)
		return err_wrap(err, r, "seccomp profile %s", path);
	*ret = to_oci(&profile, a);
	return 0;
}

int pod_seccomp(const struct pod_security *s, const char *root, uint64_t caps, struct arena *a,
		struct oci_seccomp **ret, struct err *err)
{
	*ret = NULL;
	if (s->privileged)
		return 0;
	switch (s->seccomp.kind) {
	case POD_PROFILE_RUNTIME_DEFAULT:
		*ret = pod_seccomp_default(caps, a);
		return 0;
	case POD_PROFILE_LOCALHOST:
		return localhost_profile(s->seccomp.localhost ? s->seccomp.localhost : "", root, caps, a, ret,
					 err);
	default:
		return 0;
	}
}
