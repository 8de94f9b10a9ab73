/*
 * Tables, checks, and real effects: every applying test runs in a forked child and reports
 * by its exit status. What needs root skips without.
 */
#include "sec/sec.h"

#include "base/base.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <cmocka.h>

static int status_of(int (*fn)(void *user), void *user)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGSYS, SIG_DFL); /* the test framework catches it */
		_exit(fn(user));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* ---- capabilities -------------------------------------------------------------------------- */

static void every_capability_has_its_name(void **state)
{
	for (unsigned cap = 0; cap < SEC_CAPS_KNOWN; cap++)
		assert_int_equal(sec_cap_number(sec_cap_name(cap)), cap);
	assert_int_equal(sec_cap_number("sys_admin"), CAP_SYS_ADMIN);
	assert_int_equal(sec_cap_number("CAP_Bpf"), CAP_BPF);
	assert_int_equal(sec_cap_number("CAP_"), -EINVAL);
	assert_int_equal(sec_cap_number("CAP_CAP_BPF"), -EINVAL);
	assert_int_equal(sec_cap_number(NULL), -EINVAL);
	assert_null(sec_cap_name(SEC_CAPS_KNOWN));
}

static void unknown_capabilities_are_left_out_and_named(void **state)
{
	static const char *const names[] = { "CAP_KILL", "CAP_FLY", "CHOWN", "CAP_SWIM" };
	const char *unknown = "x";
	uint64_t mask = 0;

	sec_caps_parse(names, ARRAY_LEN(names), &mask, &unknown);
	assert_int_equal(mask, UINT64_C(1) << CAP_KILL | UINT64_C(1) << CAP_CHOWN);
	assert_string_equal(unknown, "CAP_FLY");
	sec_caps_parse(names, 1, &mask, &unknown);
	assert_null(unknown);
}

static void impossible_sets_are_refused_with_the_name(void **state)
{
	struct sec_caps c = { .effective = 1 << CAP_KILL };
	struct err err = ERR_INIT;

	assert_true(sec_caps_check(&c, &err) < 0);
	assert_string_equal(err.text,
			    "capabilities: CAP_KILL is in the effective set but not in the permitted set");
	c = (struct sec_caps){ .permitted = 3, .ambient = 1 };
	assert_true(sec_caps_check(&c, NULL) < 0);
	c.inheritable = 1;
	assert_int_equal(sec_caps_check(&c, NULL), 0);
	assert_int_equal(sec_caps_clamp(&c, 1), 2);
	assert_int_equal(c.permitted, 1);
}

static uint64_t status_mask(const char *key)
{
	char text[8192], *at;

	if (sys_file_read_text(AT_FDCWD, "/proc/self/status", text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, key);
	return at ? strtoull(at + strlen(key) + 1, NULL, 16) : 0;
}

static int apply_caps(void *user)
{
	const struct sec_caps *c = user;
	uint64_t kernel = sec_caps_kernel();

	if (sec_caps_drop_bounding(c, kernel) < 0 || sec_caps_keep(true) < 0 ||
	    syscall(SYS_setresgid, 1000, 1000, 1000) < 0 || syscall(SYS_setresuid, 1000, 1000, 1000) < 0)
		return 1;
	if (sec_caps_apply(c, kernel) < 0)
		return 2;
	return status_mask("CapBnd:") == c->bounding && status_mask("CapPrm:") == c->permitted &&
	       status_mask("CapEff:") == c->effective && status_mask("CapInh:") == c->inheritable &&
	       status_mask("CapAmb:") == c->ambient ? 0 : 3;
}

static void capabilities_are_seen_in_the_kernel(void **state)
{
	uint64_t some =
		UINT64_C(1) << CAP_KILL | UINT64_C(1) << CAP_NET_BIND_SERVICE | UINT64_C(1) << CAP_CHOWN;
	struct sec_caps table[] = {
		{ 0 },
		{ .bounding = some, .permitted = some, .effective = UINT64_C(1) << CAP_KILL },
		{ .bounding = some, .permitted = some, .effective = some, .inheritable = some,
		  .ambient = some },
	};

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		assert_int_equal(status_of(apply_caps, &table[i]), 0);
}

/* ---- seccomp ----------------------------------------------------------------------------------- */

static int apply_and(const struct sec_filter *f, int (*fn)(void))
{
	if (sec_no_new_privs() < 0 || sec_filter_apply(f, NULL) < 0)
		return 100;
	return fn();
}

static int say_errno_of_getppid(void)
{
	return syscall(SYS_getppid) < 0 ? errno : 0;
}

static int getppid_under(void *user)
{
	return apply_and(user, say_errno_of_getppid);
}

static void each_action_does_what_it_says(void **state)
{
	static const char *const names[] = { "getppid", "no_such_call_at_all" };
	static const struct {
		enum sec_action action;
		int errno_ret;
		int exit, signal;
	} table[] = {
		{ SEC_ACT_ERRNO, -1, EPERM, 0 },
		{ SEC_ACT_ERRNO, 5, 5, 0 },
		{ SEC_ACT_KILL_PROCESS, -1, 0, SIGSYS },
		{ SEC_ACT_KILL_THREAD, -1, 0, SIGSYS },
		{ SEC_ACT_TRAP, -1, 0, SIGSYS },
		{ SEC_ACT_TRACE, 7, ENOSYS, 0 }, /* no tracer */
		{ SEC_ACT_LOG, -1, 0, 0 },
		{ SEC_ACT_ALLOW, -1, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		CLEANUP(sec_filter_done) struct sec_filter f = SEC_FILTER_INIT;
		struct sec_rule rule = { names, 2, table[i].action, table[i].errno_ret, NULL, 0 };
		struct sec_seccomp p = { .default_action = SEC_ACT_ALLOW, .default_errno_ret = -1,
					 .rules = &rule,
					 .n_rules = 1 };
		struct err err = ERR_INIT;
		int status;

		if (sec_seccomp_compile(&p, &f, &err) < 0)
			fail_msg("%s", err.text);
		status = status_of(getppid_under, &f);
		if (table[i].signal)
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == table[i].signal);
		else
			assert_int_equal(status, table[i].exit << 8);
	}
}

static int with_arguments(void)
{
	/* each bit a call that was refused; what is expected: only the middle one */
	return (syscall(SYS_getpriority, 0, 1) < 0 ? 1 : 0) | (syscall(SYS_getpriority, 7, 1) < 0 &&
							       errno == 33 ? 2 : 0) |
	       (syscall(SYS_getpriority, 1, 0) < 0 ? 4 : 0);
}

static int arguments_under(void *user)
{
	return apply_and(user, with_arguments);
}

static void conditions_on_one_argument_are_alternatives(void **state)
{
	static const char *const names[] = { "getpriority" };
	static const struct sec_arg args[] = { { 0, SEC_OP_EQ, 7, 0 }, { 0, SEC_OP_GT, 9, 0 } };
	struct sec_rule rule = { names, 1, SEC_ACT_ERRNO, 33, args, 2 };
	struct sec_seccomp p = { .default_action = SEC_ACT_ALLOW, .rules = &rule, .n_rules = 1 };
	CLEANUP(sec_filter_done) struct sec_filter f = SEC_FILTER_INIT;

	assert_int_equal(sec_seccomp_compile(&p, &f, NULL), 0);
	assert_int_equal(status_of(arguments_under, &f), 2 << 8);
}

static int ordinary_life(void)
{
	int fd = open("/dev/null", O_RDWR), status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (fd < 0 || pid < 0 || waitpid(pid, &status, 0) != pid || status)
		return 1;
	if (unshare(CLONE_NEWUTS) == 0 || errno != EPERM)
		return 2;
	if (syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) >= 0 || errno != EPERM)
		return 3;
	if (syscall(SYS_clone3, NULL, 0) >= 0 || errno != ENOSYS)
		return 4;
	if (socket(AF_VSOCK, SOCK_STREAM, 0) >= 0 || errno != EPERM)
		return 5;
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0)
		return 6;
	if (syscall(SYS_keyctl, 0, 0) >= 0 || errno != EPERM)
		return 7;
	if (syscall(SYS_personality, 0xffffffff) < 0)
		return 8;
	if (syscall(SYS_personality, 0x0400000 /* READ_IMPLIES_EXEC */) >= 0 || errno != EPERM)
		return 9;
	if (syscall(600) >= 0 || errno != ENOSYS)
		return 10;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2)
		return 11;
	if (syscall(SYS_mount, "x", "/nowhere", "tmpfs", 0, NULL) >= 0 || errno != EPERM)
		return 12;
	return 0;
}

static int ordinary_life_under(void *user)
{
	return apply_and(user, ordinary_life);
}

static int admin_life(void)
{
	if (syscall(SYS_mount, "x", "/nowhere", "tmpfs", 0, NULL) >= 0 || errno != ENOENT)
		return 1;
	return syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS ? 2 : 0;
}

static int admin_life_under(void *user)
{
	return apply_and(user, admin_life);
}

static void the_default_profile_lets_programs_live_and_the_host_alone(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(sec_filter_done) struct sec_filter plain = SEC_FILTER_INIT, admin = SEC_FILTER_INIT;
	struct sec_seccomp p;
	struct err err = ERR_INIT;

	sec_seccomp_default(0, &a, &p);
	if (sec_seccomp_compile(&p, &plain, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(status_of(ordinary_life_under, &plain), 0);
	sec_seccomp_default(UINT64_C(1) << CAP_SYS_ADMIN, &a, &p);
	assert_int_equal(sec_seccomp_compile(&p, &admin, &err), 0);
	if (geteuid() == 0)
		assert_int_equal(status_of(admin_life_under, &admin), 0);
}

static void what_the_kernel_or_nobody_knows_is_refused(void **state)
{
	CLEANUP(sec_filter_done) struct sec_filter f = SEC_FILTER_INIT;
	struct sec_seccomp p = { .default_action = SEC_ACT_NOTIFY };
	struct err err = ERR_INIT;

	assert_true(sec_seccomp_compile(&p, &f, &err) < 0);
	assert_int_equal(err.kind, ERR_INVALID);
	p = (struct sec_seccomp){ .default_action = SEC_ACT_ALLOW, .flags = 1U << 30 };
	err_clear(&err);
	assert_true(sec_seccomp_compile(&p, &f, &err) < 0);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	p = (struct sec_seccomp){ .default_action = SEC_ACT_ERRNO, .default_errno_ret = 5000 };
	assert_true(sec_seccomp_compile(&p, &f, NULL) < 0);
}

static int listen_under(void *user)
{
	int listener = -1;

	if (sec_no_new_privs() < 0 || sec_filter_apply(user, &listener) < 0)
		return 1;
	return listener >= 0 && fcntl(listener, F_GETFD) == FD_CLOEXEC ? 0 : 2;
}

static void notify_gives_a_listener(void **state)
{
	static const char *const names[] = { "getppid" };
	struct sec_rule rule = { names, 1, SEC_ACT_NOTIFY, -1, NULL, 0 };
	struct sec_seccomp p = { .default_action = SEC_ACT_ALLOW, .flags = SECCOMP_FILTER_FLAG_TSYNC,
				 .rules = &rule,
				 .n_rules = 1 };
	CLEANUP(sec_filter_done) struct sec_filter f = SEC_FILTER_INIT;
	struct err err = ERR_INIT;

	if (sec_seccomp_compile(&p, &f, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(f.notify);
	assert_int_equal(status_of(listen_under, &f), 0);
}

/* ---- JSON profiles -------------------------------------------------------------------------------- */

static void a_json_profile_is_evaluated_for_the_container(void **state)
{
	static const char text[] =
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,"
		"\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\"]},"
		"{\"architecture\":\"SCMP_ARCH_AARCH64\",\"subArchitectures\":[\"SCMP_ARCH_ARM\"]}],"
		"\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],\"syscalls\":["
		"{\"names\":[\"read\",\"write\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":null,\"comment\":\"\","
		"\"includes\":{},\"excludes\":{}},"
		"{\"name\":\"mount\",\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
		"{\"name\":\"clone\",\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":2114060288,"
		"\"valueTwo\":0,\"op\":\"SCMP_CMP_MASKED_EQ\"}],\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
		"{\"name\":\"ptrace\",\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"4.8\"}},"
		"{\"name\":\"bpf\",\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"99.0\"}},"
		"{\"name\":\"kexec_load\",\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1,\"includes\":{\"arches\":[\"vax\"]}}]}";
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(sec_filter_done) struct sec_filter f = SEC_FILTER_INIT;
	struct sec_seccomp p;
	struct err err = ERR_INIT;

	if (sec_seccomp_read(text, strlen(text), 0, &a, &p, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(p.default_action, SEC_ACT_ERRNO);
	assert_int_equal(p.default_errno_ret, 38);
	assert_int_equal(p.n_arches, 2);
	assert_int_equal(p.flags, SECCOMP_FILTER_FLAG_LOG);
	assert_int_equal(p.n_rules, 3);
	assert_string_equal(p.rules[0].names[1], "write");
	assert_string_equal(p.rules[1].names[0], "clone");
	assert_int_equal(p.rules[1].args[0].op, SEC_OP_MASKED_EQ);
	assert_string_equal(p.rules[2].names[0], "ptrace");
	assert_int_equal(sec_seccomp_compile(&p, &f, NULL), 0);
	assert_int_equal(sec_seccomp_read(text, strlen(text), UINT64_C(1) << CAP_SYS_ADMIN, &a, &p, NULL), 0);
	assert_string_equal(p.rules[1].names[0], "mount");
}

static void broken_profiles_are_refused_with_the_reason(void **state)
{
	static const char *const table[][2] = {
		{ "{}", "defaultAction" },
		{ "{\"defaultAction\":\"SCMP_ACT_NICE\"}", "SCMP_ACT_NICE" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"X\"]}", "X" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_VAX\"]}",
		  "SCMP_ARCH_VAX" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":70000}", "70000" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"action\":\"SCMP_ACT_ERRNO\"}]}",
		  "names" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"name\":\"a\",\"names\":[\"b\"],"
		  "\"action\":\"SCMP_ACT_ERRNO\"}]}", "names" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"name\":\"a\",\"action\":\"SCMP_ACT_ERRNO\","
		  "\"args\":[{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}]}", "argument 6" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"name\":\"a\",\"action\":\"SCMP_ACT_ERRNO\","
		  "\"includes\":{\"minKernel\":\"x\"}}]}", "minKernel" },
		{ "[]", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct sec_seccomp p;
		struct err err = ERR_INIT;

		assert_true(sec_seccomp_read(table[i][0], strlen(table[i][0]), 0, &a, &p, &err) < 0);
		assert_non_null(strstr(err.text, table[i][1]));
		assert_int_equal(strncmp(err.text, "seccomp profile", 15), 0);
	}
}

static void names_go_both_ways(void **state)
{
	uint32_t arch;
	unsigned flag;

	for (int i = 0; i < SEC_ACTIONS; i++)
		assert_int_equal(sec_action_parse(sec_action_name((enum sec_action)i)), i);
	for (int i = 0; i < SEC_OPS; i++)
		assert_int_equal(sec_op_parse(sec_op_name((enum sec_op)i)), i);
	assert_int_equal(sec_action_parse("SCMP_ACT_KILL"), SEC_ACT_KILL_THREAD);
	assert_int_equal(sec_arch_parse(sec_arch_name(sec_arch_native()), &arch), 0);
	assert_int_equal(arch, sec_arch_native());
	assert_int_equal(sec_flag_parse("SECCOMP_FILTER_FLAG_LOG", &flag), 0);
	assert_string_equal(sec_flag_name(flag), "SECCOMP_FILTER_FLAG_LOG");
}

/* ---- the rest ----------------------------------------------------------------------------------------- */

static int limit_files(void *user)
{
	const struct sec_rlimit limits[] = { { RLIMIT_NOFILE, 7, 9 }, { RLIMIT_CORE, 0, 0 } };
	struct rlimit now;

	if (sec_rlimits_apply(limits, 2, NULL) < 0 || getrlimit(RLIMIT_NOFILE, &now) < 0)
		return 1;
	return now.rlim_cur == 7 && now.rlim_max == 9 && getrlimit(RLIMIT_CORE, &now) == 0 &&
		now.rlim_max == 0 ? 0 : 2;
}

static int raise_without_right(void *user)
{
	static const struct sec_rlimit low[] = { { RLIMIT_NOFILE, 8, 8 } }, high[] = { { RLIMIT_NOFILE, 8,
											 9 } };
	struct sec_caps none = { 0 };
	struct err err = ERR_INIT;
	size_t at = 77;

	if (sec_rlimits_apply(low, 1, NULL) < 0 || sec_caps_apply(&none, sec_caps_kernel()) < 0)
		return 1;
	if (sec_rlimits_check(high, 1, &err) >= 0 || err.kind != ERR_DENIED)
		return 2;
	if (!strstr(err.text, "RLIMIT_NOFILE: the hard limit 9 is above our own 8"))
		return 3;
	return sec_rlimits_apply(high, 1, &at) == -EPERM && at == 0 ? 0 : 4;
}

static void resource_limits_are_checked_and_applied(void **state)
{
	static const struct sec_rlimit upside[] = { { RLIMIT_NOFILE, 9, 7 } };
	static const struct sec_rlimit twice[] = { { RLIMIT_CORE, 0, 0 }, { RLIMIT_CORE, 0, 0 } };

	for (int i = 0; i < RLIM_NLIMITS; i++)
		assert_int_equal(sec_rlimit_number(sec_rlimit_name(i)), i);
	assert_int_equal(sec_rlimit_number("nofile"), RLIMIT_NOFILE);
	assert_int_equal(sec_rlimit_number("RLIMIT_X"), -EINVAL);
	assert_true(sec_rlimits_check(upside, 1, NULL) < 0);
	assert_true(sec_rlimits_check(twice, 2, NULL) < 0);
	assert_int_equal(status_of(limit_files, NULL), 0);
	if (geteuid() == 0)
		assert_int_equal(status_of(raise_without_right, NULL), 0);
}

static int oom_score(void *user)
{
	int proc = open("/proc", O_PATH | O_DIRECTORY), now = -5;

	if (sec_oom_score_adj(proc, 317) < 0 || sec_oom_score_adj_get(proc, &now) < 0 || now != 317)
		return 1;
	if (sec_oom_score_adj(proc, 1001) != -EINVAL)
		return 2;
	return sec_no_new_privs() == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 3;
}

static void single_attributes_are_set(void **state)
{
	struct err err = ERR_INIT;

	assert_int_equal(status_of(oom_score, NULL), 0);
	assert_int_equal(sec_apparmor_check("unconfined", &err), 0);
	assert_int_equal(sec_apparmor_check(NULL, &err), 0);
	assert_true(sec_apparmor_check("a\nb", &err) < 0);
	assert_int_equal(err.kind, ERR_INVALID);
	if (!sec_apparmor_enabled()) {
		err_clear(&err);
		assert_true(sec_apparmor_check("caisson-default", &err) < 0);
		assert_int_equal(err.kind, ERR_UNSUPPORTED);
	}
	if (!sec_selinux_enabled())
		assert_true(sec_selinux_check("system_u:object_r:x_t:s0", &err) < 0);
}

/* Where an LSM runs, what this process does not have is noticed. */
static void labels_are_verified(void **state)
{
	struct err err = ERR_INIT;
	char own[4096] = "";

	assert_int_equal(sec_selinux_verify(getpid(), NULL, &err), 0);
	assert_int_equal(sec_apparmor_verify(getpid(), "unconfined", &err), 0);
	if (sec_apparmor_enabled()) {
		assert_true(sec_apparmor_verify(getpid(), "caisson-none", &err) < 0);
		assert_int_equal(err.kind, ERR_DENIED);
		assert_non_null(strstr(err.text, ", not caisson-none"));
		err_clear(&err);
	}
	if (sec_selinux_enabled()) {
		assert_true(sys_file_read_text(AT_FDCWD, "/proc/self/attr/current", own, sizeof(own)) > 0);
		assert_int_equal(sec_selinux_verify(getpid(), own, &err), 0);
		assert_true(sec_selinux_verify(getpid(), "system_u:object_r:x_t:s0", &err) < 0);
		assert_int_equal(err.kind, ERR_DENIED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_capability_has_its_name),
		cmocka_unit_test(unknown_capabilities_are_left_out_and_named),
		cmocka_unit_test(impossible_sets_are_refused_with_the_name),
		cmocka_unit_test(capabilities_are_seen_in_the_kernel),
		cmocka_unit_test(each_action_does_what_it_says),
		cmocka_unit_test(conditions_on_one_argument_are_alternatives),
		cmocka_unit_test(the_default_profile_lets_programs_live_and_the_host_alone),
		cmocka_unit_test(what_the_kernel_or_nobody_knows_is_refused),
		cmocka_unit_test(notify_gives_a_listener),
		cmocka_unit_test(a_json_profile_is_evaluated_for_the_container),
		cmocka_unit_test(broken_profiles_are_refused_with_the_reason),
		cmocka_unit_test(names_go_both_ways),
		cmocka_unit_test(resource_limits_are_checked_and_applied),
		cmocka_unit_test(single_attributes_are_set),
		cmocka_unit_test(labels_are_verified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
