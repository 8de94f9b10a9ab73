/*
 * A seccomp profile from JSON: docker's form, of which OCI's is a part. No I/O but uname.
 *
 * The text comes from a file of the node that pods choose by name, so it is read as
 * hostile: its size, the number of its rules and names are bounded, unknown words refused.
 */
#include "sec/seccomp.h"

#include "json/json.h"
#include "sec/caps.h"

#include <seccomp.h>
#include <stdio.h>
#include <sys/utsname.h>

enum { ERRNO_MAX = 4095 };

struct filter {
	char **caps, **arches;
	size_t n_caps, n_arches;
	char *min_kernel;
};

struct arg {
	uint32_t index;
	uint64_t value, value_two;
	char *op;
};

struct call {
	char *name, **names, *action;
	size_t n_names;
	uint32_t *errno_ret;
	struct arg *args;
	size_t n_args;
	struct filter includes, excludes;
};

struct arch_map {
	char *architecture, **sub_architectures;
	size_t n_sub_architectures;
};

struct document {
	char *default_action;
	uint32_t *default_errno_ret;
	char **architectures, **flags;
	size_t n_architectures, n_flags;
	struct arch_map *arch_map;
	size_t n_arch_map;
	struct call *syscalls;
	size_t n_syscalls;
};

static const struct json_field filter_fields[] = {
	JSON_FIELD_LIST(STR_LIST, struct filter, caps, "caps", 0),
	JSON_FIELD_LIST(STR_LIST, struct filter, arches, "arches", 0),
	JSON_FIELD(STR, struct filter, min_kernel, "minKernel", 0),
};
static const struct json_type filter_type = JSON_TYPE("filter", struct filter, filter_fields);

static const struct json_field arg_fields[] = {
	JSON_FIELD(U32, struct arg, index, "index", JSON_REQUIRED),
	JSON_FIELD(U64, struct arg, value, "value", JSON_REQUIRED),
	JSON_FIELD(U64, struct arg, value_two, "valueTwo", 0),
	JSON_FIELD(STR, struct arg, op, "op", JSON_REQUIRED),
};
static const struct json_type arg_type = JSON_TYPE("arg", struct arg, arg_fields);

static const struct json_field call_fields[] = {
	JSON_FIELD(STR, struct call, name, "name", 0),
	JSON_FIELD_LIST(STR_LIST, struct call, names, "names", 0),
	JSON_FIELD(STR, struct call, action, "action", JSON_REQUIRED),
	JSON_FIELD(OPT_U32, struct call, errno_ret, "errnoRet", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct call, args, "args", 0, &arg_type),
	JSON_FIELD_OBJ(OBJ, struct call, includes, "includes", 0, &filter_type),
	JSON_FIELD_OBJ(OBJ, struct call, excludes, "excludes", 0, &filter_type),
};
static const struct json_type call_type = JSON_TYPE("syscall", struct call, call_fields);

static const struct json_field arch_map_fields[] = {
	JSON_FIELD(STR, struct arch_map, architecture, "architecture", JSON_REQUIRED),
	JSON_FIELD_LIST(STR_LIST, struct arch_map, sub_architectures, "subArchitectures", 0),
};
static const struct json_type arch_map_type = JSON_TYPE("archMap", struct arch_map, arch_map_fields);

static const struct json_field document_fields[] = {
	JSON_FIELD(STR, struct document, default_action, "defaultAction", JSON_REQUIRED),
	JSON_FIELD(OPT_U32, struct document, default_errno_ret, "defaultErrnoRet", 0),
	JSON_FIELD_LIST(STR_LIST, struct document, architectures, "architectures", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct document, arch_map, "archMap", 0, &arch_map_type),
	JSON_FIELD_LIST(STR_LIST, struct document, flags, "flags", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct document, syscalls, "syscalls", 0, &call_type),
};
static const struct json_type document_type = JSON_TYPE("seccomp profile", struct document, document_fields);

/* docker's names of architectures, in includes and excludes */
static const struct {
	uint32_t token;
	const char *name;
} go_arches[] = {
	{ SCMP_ARCH_X86_64, "amd64" }, { SCMP_ARCH_X86, "x86" }, { SCMP_ARCH_AARCH64, "arm64" },
	{ SCMP_ARCH_ARM, "arm" }, { SCMP_ARCH_PPC64LE, "ppc64le" }, { SCMP_ARCH_S390X, "s390x" },
	{ SCMP_ARCH_RISCV64, "riscv64" },
};

static bool has_arch(const struct filter *f)
{
	for (size_t g = 0; g < ARRAY_LEN(go_arches); g++)
		if (go_arches[g].token == seccomp_arch_native())
			return str_in(go_arches[g].name, (const char *const *)f->arches, f->n_arches);
	return false;
}

/* 1 when the running kernel is at least "4.8", 0 when not, -1 for what is no version. */
static int kernel_at_least(const char *version)
{
	unsigned major, minor, have_major, have_minor;
	struct utsname u;
	char end;

	if (sscanf(version, "%3u.%3u%c", &major, &minor, &end) != 2 || uname(&u) < 0 ||
	    sscanf(u.release, "%u.%u", &have_major, &have_minor) != 2)
		return -1;
	return have_major > major || (have_major == major && have_minor >= minor);
}

/* All conditions of `includes` must hold, and none of `excludes`. */
static int is_wanted(const struct call *c, uint64_t caps, struct err *err)
{
	int kernel;

	for (size_t i = 0; i < c->includes.n_caps; i++) {
		int cap = sec_cap_number(c->includes.caps[i]);

		if (cap < 0 || !(caps & UINT64_C(1) << cap))
			return 0;
	}
	for (size_t i = 0; i < c->excludes.n_caps; i++) {
		int cap = sec_cap_number(c->excludes.caps[i]);

		if (cap >= 0 && caps & UINT64_C(1) << cap)
			return 0;
	}
	if (c->includes.n_arches && !has_arch(&c->includes))
		return 0;
	if (c->excludes.n_arches && has_arch(&c->excludes))
		return 0;
	if (c->includes.min_kernel) {
		kernel = kernel_at_least(c->includes.min_kernel);
		if (kernel < 0)
			return err_set(err, ERR_INVALID, "seccomp profile: minKernel: \"%s\" is no version",
				       c->includes.min_kernel);
		if (!kernel)
			return 0;
	}
	if (c->excludes.min_kernel) {
		kernel = kernel_at_least(c->excludes.min_kernel);
		if (kernel < 0)
			return err_set(err, ERR_INVALID, "seccomp profile: minKernel: \"%s\" is no version",
				       c->excludes.min_kernel);
		if (kernel)
			return 0;
	}
	return 1;
}

static int errno_of(const uint32_t *given, int *ret, struct err *err)
{
	if (given && *given > ERRNO_MAX)
		return err_set(err, ERR_INVALID, "seccomp profile: %u is no errno", *given);
	*ret = given ? (int)*given : -1;
	return 0;
}

static int action_of(const char *name, enum sec_action *ret, struct err *err)
{
	int action = sec_action_parse(name);

	if (action < 0)
		return err_set(err, ERR_INVALID, "seccomp profile: unknown action \"%s\"", name);
	*ret = (enum sec_action)action;
	return 0;
}

static int read_call(const struct call *c, struct arena *a, size_t *names_left, struct sec_rule *rule,
		     struct err *err)
{
	const char **names;
	struct sec_arg *args;
	int r = action_of(c->action, &rule->action, err);

	if (r == 0)
		r = errno_of(c->errno_ret, &rule->errno_ret, err);
	if (r < 0)
		return r;
	if (!c->name == !c->n_names)
		return err_set(err, ERR_INVALID,
			       "seccomp profile: a syscall needs either \"name\" or \"names\"");
	rule->n_names = c->name ? 1 : c->n_names;
	if (rule->n_names > *names_left || c->n_args > SEC_ARGS_MAX)
		return err_set(err, ERR_LIMIT, "seccomp profile: more than %d names or %d conditions",
			       SEC_NAMES_MAX,
			       SEC_ARGS_MAX);
	*names_left -= rule->n_names;
	names = arena_new(a, rule->n_names, sizeof(*names));
	for (size_t i = 0; i < rule->n_names; i++)
		names[i] = c->name ? c->name : c->names[i];
	rule->names = names;
	args = arena_new(a, c->n_args, sizeof(*args));
	for (size_t i = 0; i < c->n_args; i++) {
		int op = sec_op_parse(c->args[i].op);

		if (op < 0)
			return err_set(err, ERR_INVALID, "seccomp profile: %s: unknown comparison \"%s\"",
				       names[0],
				       c->args[i].op);
		if (c->args[i].index >= SEC_ARGS_MAX)
			return err_set(err, ERR_INVALID, "seccomp profile: %s: no argument %u", names[0],
				       c->args[i].index);
		args[i] = (struct sec_arg){ c->args[i].index, (enum sec_op)op, c->args[i].value,
					    c->args[i].value_two };
	}
	rule->args = args;
	rule->n_args = c->n_args;
	return 0;
}

static int add_arch(const char *name, uint32_t *out, size_t *n, struct err *err)
{
	if (*n == SEC_ARCHES_MAX)
		return err_set(err, ERR_LIMIT, "seccomp profile: more than %d architectures", SEC_ARCHES_MAX);
	if (sec_arch_parse(name, &out[*n]) < 0)
		return err_set(err, ERR_INVALID, "seccomp profile: unknown architecture \"%s\"", name);
	++*n;
	return 0;
}

static int read_arches(const struct document *d, struct arena *a, struct sec_seccomp *ret, struct err *err)
{
	uint32_t *out = arena_new(a, SEC_ARCHES_MAX, sizeof(*out));
	size_t n = 0;
	int r = 0;

	if (d->n_architectures && d->n_arch_map)
		return err_set(err, ERR_INVALID, "seccomp profile: both \"architectures\" and \"archMap\"");
	for (size_t i = 0; r == 0 && i < d->n_architectures; i++)
		r = add_arch(d->architectures[i], out, &n, err);
	for (size_t i = 0; r == 0 && i < d->n_arch_map; i++) {
		const struct arch_map *m = &d->arch_map[i];
		uint32_t token;

		if (sec_arch_parse(m->architecture, &token) < 0)
			return err_set(err, ERR_INVALID, "seccomp profile: unknown architecture \"%s\"",
				       m->architecture);
		if (token != seccomp_arch_native())
			continue;
		r = add_arch(m->architecture, out, &n, err);
		for (size_t k = 0; r == 0 && k < m->n_sub_architectures; k++)
			r = add_arch(m->sub_architectures[k], out, &n, err);
	}
	ret->arches = out;
	ret->n_arches = n;
	return r;
}

int sec_seccomp_read(const void *text, size_t len, uint64_t caps, struct arena *a, struct sec_seccomp *ret,
		     struct err *err)
{
	struct sec_seccomp p = { 0 };
	size_t names_left = SEC_NAMES_MAX;
	struct sec_rule *rules;
	struct document d;
	int r;

	if (len > SEC_PROFILE_MAX)
		return err_set(err, ERR_LIMIT, "seccomp profile: larger than %d bytes", SEC_PROFILE_MAX);
	r = json_read(&document_type, text, len, a, &d, err);
	if (r < 0)
		return err_wrap(err, r, "seccomp profile");
	if (d.n_syscalls > SEC_RULES_MAX)
		return err_set(err, ERR_LIMIT, "seccomp profile: more than %d rules", SEC_RULES_MAX);
	r = action_of(d.default_action, &p.default_action, err);
	if (r == 0)
		r = errno_of(d.default_errno_ret, &p.default_errno_ret, err);
	if (r == 0)
		r = read_arches(&d, a, &p, err);
	for (size_t i = 0; r == 0 && i < d.n_flags; i++) {
		unsigned flag;

		if (sec_flag_parse(d.flags[i], &flag) < 0)
			return err_set(err, ERR_INVALID, "seccomp profile: unknown flag \"%s\"", d.flags[i]);
		p.flags |= flag;
	}
	rules = arena_new(a, d.n_syscalls, sizeof(*rules));
	for (size_t i = 0; r >= 0 && i < d.n_syscalls; i++) {
		r = is_wanted(&d.syscalls[i], caps, err);
		if (r > 0)
			r = read_call(&d.syscalls[i], a, &names_left, &rules[p.n_rules++], err);
	}
	if (r < 0)
		return r;
	p.rules = rules;
	*ret = p;
	return 0;
}
