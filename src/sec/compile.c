/*
 * Profile → BPF program, by libseccomp, in the parent; applying it, in the child.
 *
 * Compiling costs milliseconds and reading a program back microseconds, so programs are
 * kept in the caller's directory. A cached file holds the whole profile that it was made
 * from, and is used only when that is the same byte for byte: the hash in its name finds
 * it, and a collision, even one made on purpose, is a miss and nothing worse.
 */
#include "sec/seccomp.h"

#include "base/base.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { KEY_MAX = 8 * 1024 * 1024, ERRNO_MAX = 4095, X32_BIT = 0x40000000 };

#define MAGIC "caisson seccomp 1\n"

struct cache_head {
	char magic[24];
	uint32_t key_len, n_insns;
	uint64_t sum; /* of the instructions: a file cut short by a power loss is not used */
};

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

void sec_filter_done(struct sec_filter *f)
{
	free(f->insns);
	*f = (struct sec_filter)SEC_FILTER_INIT;
}

/* ---- compiling ------------------------------------------------------------------------------- */

static const enum scmp_compare compares[SEC_OPS] = {
	[SEC_OP_NE] = SCMP_CMP_NE, [SEC_OP_LT] = SCMP_CMP_LT, [SEC_OP_LE] = SCMP_CMP_LE,
	[SEC_OP_EQ] = SCMP_CMP_EQ, [SEC_OP_GE] = SCMP_CMP_GE, [SEC_OP_GT] = SCMP_CMP_GT,
	[SEC_OP_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
};

static uint32_t action_of(enum sec_action action, int errno_ret)
{
	unsigned code = errno_ret < 0 ? EPERM : (unsigned)errno_ret;

	switch (action) {
	case SEC_ACT_KILL_THREAD:
		return SCMP_ACT_KILL_THREAD;
	case SEC_ACT_KILL_PROCESS:
		return SCMP_ACT_KILL_PROCESS;
	case SEC_ACT_TRAP:
		return SCMP_ACT_TRAP;
	case SEC_ACT_ERRNO:
		return SCMP_ACT_ERRNO(code);
	case SEC_ACT_TRACE:
		return SCMP_ACT_TRACE(code);
	case SEC_ACT_LOG:
		return SCMP_ACT_LOG;
	case SEC_ACT_NOTIFY:
		return SCMP_ACT_NOTIFY;
	default:
		return SCMP_ACT_ALLOW;
	}
}

static void release(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

static int add_rule(scmp_filter_ctx ctx, uint32_t action, int number, const char *name,
		    const struct scmp_arg_cmp *args, unsigned n, struct err *err)
{
	int r = seccomp_rule_add_array(ctx, action, number, n, args);

	/* the same rule twice is no contradiction */
	if (r < 0 && r != -EEXIST)
		return err_sys(err, r, "seccomp: add a rule for %s", name);
	return 0;
}

static int add_rules(scmp_filter_ctx ctx, const struct sec_rule *rule, uint32_t default_action,
		     struct err *err)
{
	uint32_t action = action_of(rule->action, rule->errno_ret);
	struct scmp_arg_cmp args[SEC_ARGS_MAX];
	unsigned used = 0;
	bool twice = false;

	if (action == default_action)
		return 0; /* libseccomp refuses it as pointless */
	if (rule->n_args > SEC_ARGS_MAX)
		return err_set(err, ERR_INVALID, "seccomp: a rule with more than %d conditions",
			       SEC_ARGS_MAX);
	for (size_t i = 0; i < rule->n_args; i++) {
		const struct sec_arg *a = &rule->args[i];

		if (a->index >= SEC_ARGS_MAX || (unsigned)a->op >= SEC_OPS)
			return err_set(err, ERR_INVALID, "seccomp: a condition on argument %u", a->index);
		args[i] = (struct scmp_arg_cmp){ a->index, compares[a->op], a->value, a->value_two };
		twice = twice || used & 1U << a->index;
		used |= 1U << a->index;
	}
	for (size_t i = 0; i < rule->n_names; i++) {
		int number = seccomp_syscall_resolve_name(rule->names[i]), r = 0;

		if (number == __NR_SCMP_ERROR)
			continue;
		/* two conditions on one argument: each by itself is enough (OCI) */
		for (size_t k = 0; twice && r == 0 && k < rule->n_args; k++)
			r = add_rule(ctx, action, number, rule->names[i], &args[k], 1, err);
		if (!twice)
			r = add_rule(ctx, action, number, rule->names[i], args, (unsigned)rule->n_args, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int export(scmp_filter_ctx ctx, struct buf *out)
{
	autofd int fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = buf_reserve(out, (size_t)st.st_size);
	if (r < 0)
		return r;
	return read(fd, out->data + out->len, (size_t)st.st_size) == st.st_size ?
		       (out->len += (size_t)st.st_size, 0) : -EIO;
}

/*
 * A system call newer than the profile gets ENOSYS, not the profile's EPERM: C libraries
 * fall back to an older call on the one and give up on the other. Newer means a number
 * above all that the profile mentions, on the native architecture.
 */
static size_t newer_prefix(const struct sec_seccomp *p, struct sock_filter out[6])
{
	uint32_t native = seccomp_arch_native();
	int max = -1;

	if (p->default_action != SEC_ACT_ERRNO || p->default_errno_ret == ENOSYS)
		return 0;
	for (size_t i = 0; i < p->n_rules; i++) {
		for (size_t k = 0; k < p->rules[i].n_names; k++) {
			int number = seccomp_syscall_resolve_name(p->rules[i].names[k]);

			if (number > max)
				max = number;
		}
	}
	if (max < 0)
		return 0;
	out[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	out[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, native, 0, 4);
	out[2] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	out[3] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 2, 0);
	out[4] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)max, 0, 1);
	out[5] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	return 6;
}

static int compile(const struct sec_seccomp *p, struct sec_filter *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf code = BUF_INIT(BPF_MAXINSNS * sizeof(struct sock_filter) * 4);
	uint32_t default_action = action_of(p->default_action, p->default_errno_ret);
	CLEANUP(release) scmp_filter_ctx ctx = seccomp_init(default_action);
	struct sock_filter prefix[6];
	size_t n, n_prefix;
	int r = 0;

	if (!ctx)
		return err_set(err, ERR_UNSUPPORTED, "seccomp: this kernel cannot do %s",
			       sec_action_name(p->default_action));
	for (size_t i = 0; i < p->n_arches; i++) {
		r = seccomp_arch_add(ctx, p->arches[i]);
		if (r < 0 && r != -EEXIST)
			return err_sys(err, r, "seccomp: add the architecture %s",
				       sec_arch_name(p->arches[i]) ? sec_arch_name(p->arches[i]) : "?");
	}
	/* a binary tree: the kernel runs the program once for every system call number when it
	 * is attached, to know which are always allowed */
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r = 0;
	for (size_t i = 0; r == 0 && i < p->n_rules; i++)
		r = add_rules(ctx, &p->rules[i], default_action, err);
	if (r < 0)
		return r;
	r = export(ctx, &code);
	if (r < 0)
		return err_sys(err, r, "seccomp: generate the program");
	n_prefix = newer_prefix(p, prefix);
	n = code.len / sizeof(struct sock_filter) + n_prefix;
	if (n > BPF_MAXINSNS)
		return err_set(err, ERR_LIMIT,
			       "seccomp: the program has %zu instructions, the kernel takes %d", n,
			       BPF_MAXINSNS);
	ret->insns = mem_new(n, sizeof(*ret->insns));
	memcpy(ret->insns, prefix, n_prefix * sizeof(*prefix));
	memcpy(ret->insns + n_prefix, code.data, code.len);
	ret->n = (unsigned short)n;
	return 0;
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

static int check(const struct sec_seccomp *p, bool *ret_notify, struct err *err)
{
	unsigned used = 1U << p->default_action;

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
		if (p->rules[i].errno_ret > ERRNO_MAX)
			return err_set(err, ERR_INVALID, "seccomp: %d is no errno", p->rules[i].errno_ret);
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

/* ---- the cache --------------------------------------------------------------------------------- */

static int put(struct buf *out, const void *data, size_t len)
{
	return buf_append(out, data, len);
}


/* All that the program depends on. Lengths are written first, so no two profiles are alike. */
static int put_key(const struct sec_seccomp *p, struct buf *out)
{
	const struct scmp_version *lib = seccomp_version();
	int r = put(out, CAISSON_VERSION, sizeof(CAISSON_VERSION));
	uint64_t head[] = {
		lib->major, lib->minor, lib->micro, seccomp_arch_native(), seccomp_api_get(),
		p->default_action, (uint64_t)p->default_errno_ret, p->flags, p->n_arches, p->n_rules,
	};

	if (r == 0)
		r = put(out, head, sizeof(head));
	if (r == 0)
		r = put(out, p->arches, p->n_arches * sizeof(*p->arches));
	for (size_t i = 0; r == 0 && i < p->n_rules; i++) {
		const struct sec_rule *rule = &p->rules[i];
		uint64_t rule_head[] = { rule->action, (uint64_t)rule->errno_ret, rule->n_names,
					 rule->n_args };

		r = put(out, rule_head, sizeof(rule_head));
		for (size_t k = 0; r == 0 && k < rule->n_names; k++)
			r = put(out, rule->names[k], strlen(rule->names[k]) + 1);
		for (size_t k = 0; r == 0 && k < rule->n_args; k++) {
			const struct sec_arg *a = &rule->args[k];
			uint64_t arg[] = { a->index, a->op, a->value, a->value_two };

			r = put(out, arg, sizeof(arg));
		}
	}
	return r;
}

/* FNV-1a: finds the file, proves nothing. */
static uint64_t sum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	while (len--)
		h = (h ^ *p++) * UINT64_C(0x100000001b3);
	return h;
}

static bool cache_read(const char *path, const struct buf *key, struct sec_filter *ret)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(KEY_MAX * 2);
	struct cache_head head;
	const uint8_t *insns;

	if (sys_file_read(AT_FDCWD, path, KEY_MAX, &text) < 0 || text.len < sizeof(head))
		return false;
	memcpy(&head, text.data, sizeof(head));
	if (memcmp(head.magic, MAGIC, sizeof(MAGIC)) != 0 || head.key_len != key->len || !head.n_insns ||
	    head.n_insns > BPF_MAXINSNS ||
	    text.len != sizeof(head) + head.key_len + head.n_insns * sizeof(struct sock_filter) ||
	    memcmp(text.data + sizeof(head), key->data, key->len) != 0)
		return false;
	insns = text.data + sizeof(head) + head.key_len;
	if (sum(insns, head.n_insns * sizeof(struct sock_filter)) != head.sum)
		return false;
	ret->insns = mem_new(head.n_insns, sizeof(*ret->insns));
	memcpy(ret->insns, insns, head.n_insns * sizeof(*ret->insns));
	ret->n = (unsigned short)head.n_insns;
	return true;
}

static void cache_write(const char *path, const struct buf *key, const struct sec_filter *f)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(KEY_MAX * 2);
	struct cache_head head = { .magic = MAGIC, .key_len = (uint32_t)key->len, .n_insns = f->n,
				   .sum = sum(f->insns, f->n * sizeof(*f->insns)) };

	if (put(&text, &head, sizeof(head)) == 0 && put(&text, key->data, key->len) == 0 &&
	    put(&text, f->insns, f->n * sizeof(*f->insns)) == 0)
		sys_file_replace(AT_FDCWD, path, text.data, text.len, 0600, false);
}

int sec_seccomp_compile(const struct sec_seccomp *profile, const char *cache_dir, struct sec_filter *ret,
			struct err *err)
{
	CLEANUP(buf_done) struct buf key = BUF_INIT(KEY_MAX / 2);
	CLEANUP(sec_filter_done) struct sec_filter f = SEC_FILTER_INIT;
	autofree char *path = NULL;
	int r = check(profile, &f.notify, err);

	if (r < 0)
		return r;
	f.flags = profile->flags;
	if (cache_dir && put_key(profile, &key) == 0)
		path = mem_printf("%s/%016" PRIx64, cache_dir, sum(key.data, key.len));
	if (!path || !cache_read(path, &key, &f)) {
		r = compile(profile, &f, err);
		if (r < 0)
			return r;
		if (path)
			cache_write(path, &key, &f);
	}
	*ret = f;
	f = (struct sec_filter)SEC_FILTER_INIT;
	return 0;
}
