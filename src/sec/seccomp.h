/*
 * System call filters.
 *
 * A profile is a plain struct: from config.json by the caller, from sec_seccomp_default
 * (the profile RuntimeDefault), or from a JSON profile of the node (sec_seccomp_read). The
 * parent compiles it to a BPF program, which takes well under a millisecond; the child
 * applies the program by one system call.
 *
 *	sec_seccomp_compile(&profile, &filter, err);
 *	...
 *	sec_filter_apply(&filter, &listener)   // [child]
 *	...
 *	sec_filter_done(&filter)
 *
 * Hostile: the text given to sec_seccomp_read; bounds below.
 *
 * Sources: seccomp(2), seccomp_rule_add(3), the OCI specification's "Seccomp", the JSON
 * profiles of docker and of the kubelet.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;
struct sock_filter;

enum sec_action {
	SEC_ACT_KILL_THREAD, SEC_ACT_KILL_PROCESS, SEC_ACT_TRAP, SEC_ACT_ERRNO, SEC_ACT_TRACE, SEC_ACT_ALLOW,
	SEC_ACT_LOG, SEC_ACT_NOTIFY,
	SEC_ACTIONS
};

enum sec_op {
	SEC_OP_NE, SEC_OP_LT, SEC_OP_LE, SEC_OP_EQ, SEC_OP_GE, SEC_OP_GT, SEC_OP_MASKED_EQ,
	SEC_OPS
};

/* OCI's names: "SCMP_ACT_ERRNO" ("SCMP_ACT_KILL" is KILL_THREAD), "SCMP_CMP_EQ",
 * "SCMP_ARCH_X86_64", "SECCOMP_FILTER_FLAG_LOG". The number or -EINVAL; names back. */
int sec_action_parse(const char *name);
const char *sec_action_name(enum sec_action action);
int sec_op_parse(const char *name);
const char *sec_op_name(enum sec_op op);
int sec_arch_parse(const char *name, uint32_t *ret); /* to libseccomp's token */
const char *sec_arch_name(uint32_t arch);
uint32_t sec_arch_native(void);
int sec_flag_parse(const char *name, unsigned *ret); /* to SECCOMP_FILTER_FLAG_* */
const char *sec_flag_name(unsigned flag);            /* one bit */
/* All that are known, for `features`; NULL behind the last. */
const char *sec_arch_known(size_t i);
const char *sec_flag_known(size_t i);

enum { SEC_ARGS_MAX = 6, SEC_ARCHES_MAX = 24, SEC_RULES_MAX = 4096, SEC_NAMES_MAX = 65536 };
enum { SEC_PROFILE_MAX = 1024 * 1024 }; /* bytes of JSON */

struct sec_arg {
	uint32_t index; /* 0 … 5 */
	enum sec_op op;
	uint64_t value, value_two; /* MASKED_EQ: (arg & value) == value_two */
};

struct sec_rule {
	const char *const *names;
	size_t n_names;
	enum sec_action action;
	int errno_ret; /* of ERRNO and TRACE; -1: EPERM */
	const struct sec_arg *args; /* all must hold; two conditions on one argument are two rules,
		as in OCI */
	size_t n_args;
};

/* Borrows everything. */
struct sec_seccomp {
	enum sec_action default_action;
	int default_errno_ret; /* -1: EPERM */
	const uint32_t *arches; /* none: the native one; the native one is always in */
	size_t n_arches;
	unsigned flags;
	const struct sec_rule *rules;
	size_t n_rules;
	bool names_known; /* a name that is no system call of any architecture is an error */
};

/*
 * The profile RuntimeDefault: what container runtimes allow by default, EPERM for the
 * rest, ENOSYS for clone3. `caps` is the bounding set of the container: some system calls
 * are allowed only with the capability that guards them. Allocates the lists in the arena.
 */
void sec_seccomp_default(uint64_t caps, struct arena *a, struct sec_seccomp *ret);

/*
 * A JSON profile: docker's form (names, archMap, includes and excludes by capability, arch
 * and minKernel) and OCI's. Evaluated for `caps` and this machine.
 */
int sec_seccomp_read(const void *text, size_t len, uint64_t caps, struct arena *a, struct sec_seccomp *ret,
		     struct err *err);

/* A compiled program. */
struct sec_filter {
	struct sock_filter *insns; /* heap */
	unsigned short n;
	unsigned flags;            /* for seccomp(2) */
	bool notify;               /* gives a listener */
};

#define SEC_FILTER_INIT { NULL, 0, 0, false }

/*
 * A rule without conditions decides for its system call, else the first rule whose
 * conditions all hold, else the default action. Names that this libseccomp does not know
 * are left out, as OCI asks, or refused with names_known. Where the default is an errno, system calls newer than all
 * that the profile mentions get ENOSYS, so that C libraries fall back to older ones.
 *
 * UNSUPPORTED: a flag or action that the kernel lacks. LIMIT: too long for the kernel.
 */
int sec_seccomp_compile(const struct sec_seccomp *profile, struct sec_filter *ret, struct err *err);
/* A program that somebody else compiled, without flags. */
int sec_filter_copy(const struct sock_filter *insns, size_t n, struct sec_filter *ret);
void sec_filter_done(struct sec_filter *f);

/* ret_listener: the notify descriptor, close-on-exec, when f->notify; may be NULL else. [child] */
int sec_filter_apply(const struct sec_filter *f, int *ret_listener);
