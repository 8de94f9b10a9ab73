/*
 * The generator against libseccomp: for the same profile both programs must say the same
 * about every system call, on every architecture, for arguments around all bounds. Both
 * are run by an interpreter of the part of BPF that seccomp takes.
 */
#include "sec/generate.h"

#include "base/base.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <cmocka.h>

static uint32_t run(const struct sock_filter *code, size_t n, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *i = &code[pc];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(i->k + 4 <= sizeof(*data) && i->k % 4 == 0);
			memcpy(&a, (const char *)data + i->k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= i->k ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			fail_msg("instruction %#x", i->code);
		}
	}
	fail_msg("ran off the end");
	return 0;
}

/* ---- the reference ------------------------------------------------------------------------------ */

static uint32_t scmp_action(enum sec_action action, int errno_ret)
{
	switch (action) {
	case SEC_ACT_ERRNO:
		return SCMP_ACT_ERRNO(errno_ret < 0 ? EPERM : (unsigned)errno_ret);
	case SEC_ACT_KILL_PROCESS:
		return SCMP_ACT_KILL_PROCESS;
	case SEC_ACT_LOG:
		return SCMP_ACT_LOG;
	default:
		return SCMP_ACT_ALLOW;
	}
}

static size_t reference(const struct sec_seccomp *p, struct sock_filter *code)
{
	static const enum scmp_compare ops[SEC_OPS] = {
		[SEC_OP_NE] = SCMP_CMP_NE, [SEC_OP_LT] = SCMP_CMP_LT, [SEC_OP_LE] = SCMP_CMP_LE,
		[SEC_OP_EQ] = SCMP_CMP_EQ, [SEC_OP_GE] = SCMP_CMP_GE, [SEC_OP_GT] = SCMP_CMP_GT,
		[SEC_OP_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
	};
	uint32_t otherwise = scmp_action(p->default_action, p->default_errno_ret);
	scmp_filter_ctx ctx = seccomp_init(otherwise);
	int fd = memfd_create("reference", MFD_CLOEXEC);
	struct stat st;

	assert_non_null(ctx);
	for (size_t i = 0; i < p->n_arches; i++)
		seccomp_arch_add(ctx, p->arches[i]);
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct sec_rule *rule = &p->rules[i];
		struct scmp_arg_cmp args[SEC_ARGS_MAX];

		if (scmp_action(rule->action, rule->errno_ret) == otherwise)
			continue;
		for (size_t k = 0; k < rule->n_args; k++)
			args[k] = (struct scmp_arg_cmp){ rule->args[k].index, ops[rule->args[k].op],
							 rule->args[k].value, rule->args[k].value_two };
		for (size_t k = 0; k < rule->n_names; k++) {
			int nr = seccomp_syscall_resolve_name(rule->names[k]);

			if (nr != __NR_SCMP_ERROR)
				seccomp_rule_add_array(ctx, scmp_action(rule->action, rule->errno_ret), nr,
						       (unsigned)rule->n_args, args);
		}
	}
	assert_int_equal(seccomp_export_bpf(ctx, fd), 0);
	seccomp_release(ctx);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pread(fd, code, (size_t)st.st_size, 0), st.st_size);
	close(fd);
	return (size_t)st.st_size / sizeof(*code);
}

/* ---- comparing ------------------------------------------------------------------------------------ */

static uint64_t seed = 42;

static uint64_t any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* A value at or beside one that some condition names, or any. */
static uint64_t near_a_bound(const struct sec_seccomp *p, uint32_t index)
{
	const struct sec_rule *rule = &p->rules[any() % p->n_rules];

	if (rule->n_args && any() % 4) {
		const struct sec_arg *a = &rule->args[any() % rule->n_args];
		uint64_t v = a->op == SEC_OP_MASKED_EQ && any() % 2 ? a->value_two : a->value;
		static const int64_t steps[] = { 0, 0, 1, -1, INT64_C(1) << 32, -(INT64_C(1) << 32),
						 1 << 16 };

		(void)index;
		return v + (uint64_t)steps[any() % ARRAY_LEN(steps)];
	}
	return any() % 3 ? any() % 8 : any();
}

static void compare(const struct sec_seccomp *p, unsigned rounds)
{
	static struct sock_filter theirs[BPF_MAXINSNS * 4];
	CLEANUP(mem_free_ptr) struct sock_filter *ours = NULL;
	size_t n_theirs = reference(p, theirs), n = 0;
	static const uint32_t arches[] = { AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64 };

	assert_int_equal(sec_generate(p, &ours, &n), 0);
	for (unsigned i = 0; i < rounds; i++) {
		struct seccomp_data d = { .arch = arches[i % 8 == 0 ? 2 : i % 2], .nr = (int)(i / 2 % 520) };
		uint32_t a, b;

		if (i % 5 == 1 && d.arch == AUDIT_ARCH_X86_64)
			d.nr |= 0x40000000;
		if (i % 997 == 0)
			d.nr = -1;
		for (uint32_t k = 0; k < 6; k++) {
			d.args[k] = near_a_bound(p, k);
			/* the kernel gives 32-bit callers' arguments with an empty upper half */
			if (d.arch == AUDIT_ARCH_I386 || d.nr & 0x40000000)
				d.args[k] = (uint32_t)d.args[k];
		}
		/* libseccomp applies conditions to the multiplexer's own arguments */
		if (d.arch == AUDIT_ARCH_I386 && (d.nr == 102 || d.nr == 117))
			continue;
		a = run(theirs, n_theirs, &d);
		b = run(ours, n, &d);
		/* ours adds ENOSYS for what is newer than the profile */
		if (a != b && !(b == (SECCOMP_RET_ERRNO | ENOSYS) &&
				a == (SECCOMP_RET_ERRNO | (p->default_errno_ret < 0 ? EPERM :
								(uint32_t)p->default_errno_ret))))
			fail_msg("arch %x nr %d (%#llx %#llx %#llx): %#x, libseccomp says %#x", d.arch, d.nr,
				 (unsigned long long)d.args[0], (unsigned long long)d.args[1],
				 (unsigned long long)d.args[2], b, a);
	}
}

static void the_default_profile_means_what_libseccomp_makes_of_it(void **state)
{
	static const uint64_t caps[] = { 0, UINT64_C(1) << 21, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct sec_seccomp p;

		sec_seccomp_default(caps[i], &a, &p);
		compare(&p, 20000);
	}
}

static void random_profiles_mean_what_libseccomp_makes_of_them(void **state)
{
	static const char *const names[] = {
		"read", "write", "open", "close", "stat", "mmap", "clone", "socket", "personality", "futex",
			"ioctl",
		"prctl", "getpid", "statx", "openat2", "keyctl", "no_such_call", "getrandom", "rseq", "kill",
	};
	static const uint32_t arches[][3] = {
		{ SCMP_ARCH_X86_64 }, { SCMP_ARCH_X86_64, SCMP_ARCH_X86 }, { SCMP_ARCH_X86_64, SCMP_ARCH_X86,
									     SCMP_ARCH_X32 },
	};

	if (seccomp_arch_native() != SCMP_ARCH_X86_64)
		skip();
	for (int round = 0; round < 300; round++) {
		struct sec_arg args[ARRAY_LEN(names)][3];
		struct sec_rule rules[ARRAY_LEN(names)];
		struct sec_seccomp p = {
			.default_action = round % 2 ? SEC_ACT_ALLOW : SEC_ACT_ERRNO,
			.default_errno_ret = round % 3 ? -1 : 38,
			.arches = arches[round % 3],
			.n_arches = (size_t)round % 3 + 1,
			.rules = rules,
		};

		/* one rule a call, so that no two rules contradict each other */
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			struct sec_rule *r = &rules[p.n_rules];

			if (any() % 3 == 0)
				continue;
			*r = (struct sec_rule){ &names[i], 1,
						any() % 3 ? SEC_ACT_KILL_PROCESS : any() % 2 ? SEC_ACT_LOG :
							SEC_ACT_ERRNO,
						(int)(any() % 40), args[p.n_rules], any() % 4 };
			for (size_t k = 0; k < r->n_args; k++) {
				struct sec_arg *a = &args[p.n_rules][k];

				a->index = (uint32_t)((any() % 2 + k * 2) % 6);
				a->op = (enum sec_op)(any() % SEC_OPS);
				a->value = any() % 3 ? any() % 9 : any() % 2 ? any() : any() << 32;
				a->value_two = a->op == SEC_OP_MASKED_EQ ? any() & a->value : 0;
			}
			p.n_rules++;
		}
		if (p.n_rules)
			compare(&p, 2500);
	}
}

static uint32_t ask(const struct sec_seccomp *p, uint32_t arch, int nr, uint64_t arg0)
{
	CLEANUP(mem_free_ptr) struct sock_filter *code = NULL;
	struct seccomp_data d = { .arch = arch, .nr = nr, .args = { arg0 } };
	size_t n = 0;

	assert_int_equal(sec_generate(p, &code, &n), 0);
	return run(code, n, &d);
}

static void the_first_rule_that_holds_decides(void **state)
{
	static const char *const call[] = { "getpid" };
	static const struct sec_arg small[] = { { 0, SEC_OP_LT, 10, 0 } }, five[] = { { 0, SEC_OP_EQ, 5,
											0 } };
	const struct sec_rule rules[] = {
		{ call, 1, SEC_ACT_ERRNO, 1, five, 1 },
		{ call, 1, SEC_ACT_ERRNO, 2, small, 1 },
		{ call, 1, SEC_ACT_ERRNO, 3, NULL, 0 },
		{ call, 1, SEC_ACT_ERRNO, 4, NULL, 0 },
	};
	struct sec_seccomp p = { .default_action = SEC_ACT_ALLOW, .rules = rules, .n_rules = 2 };
	uint32_t arch = sec_arch_native();
	int nr = seccomp_syscall_resolve_name("getpid");

	assert_int_equal(ask(&p, arch, nr, 5), SECCOMP_RET_ERRNO | 1);
	assert_int_equal(ask(&p, arch, nr, 6), SECCOMP_RET_ERRNO | 2);
	assert_int_equal(ask(&p, arch, nr, 10), SECCOMP_RET_ALLOW);
	p.n_rules = 4;
	assert_int_equal(ask(&p, arch, nr, 5), SECCOMP_RET_ERRNO | 3);
	/* nothing at all */
	p.n_rules = 0;
	assert_int_equal(ask(&p, arch, nr, 5), SECCOMP_RET_ALLOW);
	p.default_action = SEC_ACT_KILL_PROCESS;
	assert_int_equal(ask(&p, arch, nr, 5), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(ask(&p, AUDIT_ARCH_M68K, nr, 5), SECCOMP_RET_KILL_THREAD);
}

static void calls_inside_of_socketcall_and_ipc_are_seen(void **state)
{
	static const char *const calls[] = { "socket", "shmget" };
	static const uint32_t arches[] = { SCMP_ARCH_X86 };
	static const struct sec_arg vsock = { 0, SEC_OP_EQ, 40, 0 };
	const struct sec_rule rule = { calls, 2, SEC_ACT_ERRNO, 13, NULL, 0 };
	const struct sec_rule conditional = { calls, 1, SEC_ACT_ERRNO, 13, &vsock, 1 };
	const struct sec_rule allowed = { calls, 1, SEC_ACT_ALLOW, -1, &vsock, 1 };
	struct sec_seccomp p = { .default_action = SEC_ACT_ALLOW, .rules = &rule, .n_rules = 1,
				 .arches = arches,
				 .n_arches = 1 };

	if (seccomp_arch_native() != SCMP_ARCH_X86_64)
		skip();
	assert_int_equal(ask(&p, AUDIT_ARCH_I386, 359, 0), SECCOMP_RET_ERRNO | 13);
	assert_int_equal(ask(&p, AUDIT_ARCH_I386, 102, 1), SECCOMP_RET_ERRNO | 13);
	assert_int_equal(ask(&p, AUDIT_ARCH_I386, 102, 2), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(&p, AUDIT_ARCH_I386, 395, 0), SECCOMP_RET_ERRNO | 13);
	assert_int_equal(ask(&p, AUDIT_ARCH_I386, 117, 23), SECCOMP_RET_ERRNO | 13);
	/* a condition cannot be seen there: refused, or not allowed */
	p.rules = &conditional;
	assert_int_equal(ask(&p, AUDIT_ARCH_I386, 359, 40), SECCOMP_RET_ERRNO | 13);
	assert_int_equal(ask(&p, AUDIT_ARCH_I386, 359, 2), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(&p, AUDIT_ARCH_I386, 102, 1), SECCOMP_RET_ERRNO | 13);
	p.default_action = SEC_ACT_ERRNO;
	p.rules = &allowed;
	assert_int_equal(ask(&p, AUDIT_ARCH_I386, 359, 40), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(&p, AUDIT_ARCH_I386, 102, 1), SECCOMP_RET_ERRNO | p.default_errno_ret);
	p.default_action = SEC_ACT_ALLOW;
	p.rules = &rule;
	/* a version in the upper half does not hide it */
	assert_int_equal(ask(&p, AUDIT_ARCH_I386, 117, 0x10017), SECCOMP_RET_ERRNO | 13);
	assert_int_equal(ask(&p, AUDIT_ARCH_I386, 117, 24), SECCOMP_RET_ALLOW);
}

static void what_does_not_fit_into_a_program_is_refused(void **state)
{
	enum { RULES = 2000 };
	static struct sec_rule rules[RULES];
	static struct sec_arg args[RULES][6];
	static const char *const call[] = { "getpid" };
	struct sec_seccomp p = { .default_action = SEC_ACT_ALLOW, .rules = rules, .n_rules = RULES };
	CLEANUP(mem_free_ptr) struct sock_filter *code = NULL;
	size_t n = 0;

	for (size_t i = 0; i < RULES; i++) {
		for (uint32_t k = 0; k < 6; k++)
			args[i][k] = (struct sec_arg){ k, SEC_OP_EQ, i * 1000, 0 };
		rules[i] = (struct sec_rule){ call, 1, SEC_ACT_ERRNO, (int)(i % 4000), args[i], 6 };
	}
	assert_int_equal(sec_generate(&p, &code, &n), -E2BIG);
	/* and what is long, but fits, still jumps to the right places */
	p.n_rules = 150;
	assert_int_equal(sec_generate(&p, &code, &n), 0);
	for (size_t i = 0; i < p.n_rules; i++) {
		struct seccomp_data d =
			{ .arch = sec_arch_native(), .nr = seccomp_syscall_resolve_name("getpid") };

		for (int k = 0; k < 6; k++)
			d.args[k] = i * 1000;
		assert_int_equal(run(code, n, &d), SECCOMP_RET_ERRNO | i);
		d.args[5]++;
		assert_int_equal(run(code, n, &d), SECCOMP_RET_ALLOW);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_profile_means_what_libseccomp_makes_of_it),
		cmocka_unit_test(random_profiles_mean_what_libseccomp_makes_of_them),
		cmocka_unit_test(the_first_rule_that_holds_decides),
		cmocka_unit_test(calls_inside_of_socketcall_and_ipc_are_seen),
		cmocka_unit_test(what_does_not_fit_into_a_program_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
