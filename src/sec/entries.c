/*
 * Rules by name → entries by number, for one architecture.
 *
 * Names become numbers by libseccomp's tables. The rules of one number come in the order in
 * which they decide: first those without conditions, then the others as in the profile.
 * Pure; any thread.
 */
#include "sec/generate.h"

#include "base/base.h"

#include <linux/seccomp.h>
#include <seccomp.h>

static void add_entry(struct sec_entries *e, struct sec_entry entry)
{
	if (e->n == e->cap) {
		e->cap = e->cap ? e->cap * 2 : 512;
		e->list = mem_grow(e->list, e->cap, sizeof(*e->list));
	}
	e->list[e->n++] = entry;
}

uint32_t sec_ret_of(enum sec_action action, int errno_ret)
{
	static const uint32_t rets[SEC_ACTIONS] = {
		[SEC_ACT_KILL_THREAD] = SECCOMP_RET_KILL_THREAD,
		[SEC_ACT_KILL_PROCESS] = SECCOMP_RET_KILL_PROCESS,
		[SEC_ACT_TRAP] = SECCOMP_RET_TRAP,
		[SEC_ACT_ERRNO] = SECCOMP_RET_ERRNO,
		[SEC_ACT_TRACE] = SECCOMP_RET_TRACE,
		[SEC_ACT_ALLOW] = SECCOMP_RET_ALLOW,
		[SEC_ACT_LOG] = SECCOMP_RET_LOG,
		[SEC_ACT_NOTIFY] = SECCOMP_RET_USER_NOTIF,
	};

	if (action != SEC_ACT_ERRNO && action != SEC_ACT_TRACE)
		return rets[action];
	return rets[action] | (errno_ret < 0 ? EPERM : (uint32_t)errno_ret & SECCOMP_RET_DATA);
}

const char *sec_unknown_name(const struct sec_seccomp *profile)
{
	for (size_t i = 0; i < profile->n_rules; i++)
		for (size_t k = 0; k < profile->rules[i].n_names; k++)
			if (seccomp_syscall_resolve_name(profile->rules[i].names[k]) == __NR_SCMP_ERROR)
				return profile->rules[i].names[k];
	return NULL;
}

/*
 * socketcall and ipc of 32-bit x86 and of s390: one number for a family of calls, the
 * first argument says which. libseccomp names the members by negative numbers, -100 and
 * -200 minus that argument, and does not tell the direct number that newer kernels have.
 */
#define SOCKET(sub, x86, s390) { -100 - (sub), x86, s390, { 0, SEC_OP_EQ, sub, 0 } }
/* ipc has a version in the upper half of it */
#define IPC(sub, x86, s390) { -200 - (sub), x86, s390, { 0, SEC_OP_MASKED_EQ, 0xffff, sub } }

static const struct {
	int pseudo;
	uint32_t x86, s390; /* direct; 0: none */
	struct sec_arg is_this;
} families[] = {
	SOCKET(1, 359, 359), SOCKET(2, 361, 361), SOCKET(3, 362, 362), SOCKET(4, 363, 363), SOCKET(5, 0, 0),
	SOCKET(6, 367, 367), SOCKET(7, 368, 368), SOCKET(8, 360, 360), SOCKET(9, 0, 0), SOCKET(10, 0, 0),
	SOCKET(11, 369, 369), SOCKET(12, 371, 371), SOCKET(13, 373, 373), SOCKET(14, 366, 366),
	SOCKET(15, 365, 365), SOCKET(16, 370, 370), SOCKET(17, 372, 372), SOCKET(18, 364, 364),
	SOCKET(19, 337, 357), SOCKET(20, 345, 358),
	IPC(1, 0, 0), IPC(2, 393, 393), IPC(3, 394, 394), IPC(4, 0, 392), IPC(11, 400, 400),
	IPC(12, 401, 401), IPC(13, 399, 399), IPC(14, 402, 402), IPC(21, 397, 397), IPC(22, 398, 398),
	IPC(23, 395, 395), IPC(24, 396, 396),
};

/* The kernel's own order of actions. */
static bool is_stricter(uint32_t ret, uint32_t than)
{
	return (int32_t)(ret & SECCOMP_RET_ACTION_FULL) < (int32_t)(than & SECCOMP_RET_ACTION_FULL);
}

static void add_family(struct sec_entries *e, uint32_t arch, int pseudo, struct sec_entry entry,
		       uint32_t otherwise)
{
	int mux = seccomp_syscall_resolve_name_arch(arch, pseudo <= -200 ? "ipc" : "socketcall");

	for (size_t i = 0; mux >= 0 && i < ARRAY_LEN(families); i++) {
		if (families[i].pseudo != pseudo)
			continue;
		entry.number = arch == SCMP_ARCH_X86 ? families[i].x86 : families[i].s390;
		if (entry.number)
			add_entry(e, entry);
		/* its arguments are in memory there, so conditions cannot be seen: what they
		 * would forbid is forbidden, what they would allow is not allowed */
		if (entry.n_args && !is_stricter(entry.ret, otherwise))
			return;
		entry.number = (uint32_t)mux;
		entry.args = &families[i].is_this;
		entry.n_args = 1;
		add_entry(e, entry);
		return;
	}
}

static void add_name(struct sec_entries *e, uint32_t arch, const char *name, struct sec_entry entry,
		     uint32_t otherwise)
{
	int number = seccomp_syscall_resolve_name_arch(arch, name);

	if (number == __NR_SCMP_ERROR)
		return;
	if (number < 0) {
		if (number > -300)
			add_family(e, arch, number, entry, otherwise);
		return;
	}
	entry.number = (uint32_t)number;
	add_entry(e, entry);
}

static bool has_alternatives(const struct sec_rule *rule)
{
	unsigned used = 0;

	for (size_t i = 0; i < rule->n_args; i++) {
		if (used & 1U << rule->args[i].index)
			return true;
		used |= 1U << rule->args[i].index;
	}
	return false;
}

/* max: the highest number that the profile mentions at all */
static void collect(struct sec_entries *e, const struct sec_seccomp *p, uint32_t arch, uint32_t otherwise,
		    uint32_t *max)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct sec_rule *rule = &p->rules[i];
		struct sec_entry entry = { .ret = sec_ret_of(rule->action, rule->errno_ret),
					   .args = rule->args, .n_args = rule->n_args };
		bool alternatives = has_alternatives(rule);

		for (size_t k = 0; k < rule->n_names; k++) {
			size_t before = e->n;

			for (size_t a = 0; a < (alternatives ? rule->n_args : 1); a++) {
				if (alternatives) {
					entry.args = &rule->args[a];
					entry.n_args = 1;
				}
				add_name(e, arch, rule->names[k], entry, otherwise);
			}
			for (size_t n = before; n < e->n; n++)
				if (e->list[n].number > *max)
					*max = e->list[n].number;
			if (entry.ret == otherwise)
				e->n = before;
		}
	}
}

static uint64_t sort_key(const struct sec_entry *e)
{
	return (uint64_t)e->number << 1 | (e->n_args != 0);
}

enum { DIGITS = 256 };

/* From `from` to `to`, in the order of one digit of each key, else as they are. */
static void pass(const struct sec_entry *from, struct sec_entry *to, size_t n, unsigned shift)
{
	size_t at[DIGITS] = { 0 }, sum = 0;

	for (size_t i = 0; i < n; i++)
		at[sort_key(&from[i]) >> shift & (DIGITS - 1)]++;
	for (size_t d = 0; d < DIGITS; d++) {
		size_t count = at[d];

		at[d] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
		to[at[sort_key(&from[i]) >> shift & (DIGITS - 1)]++] = from[i];
}

/*
 * By number, of one number those without conditions first, and else as they were collected, which is
 * the order of the rules: the first of those without conditions decides. Digit by digit, the lowest first;
 * digits that are the same in all keys need no pass: of most architectures' numbers two are left.
 */
static void sort(struct sec_entry *list, size_t n)
{
	CLEANUP(mem_free_ptr) struct sec_entry *other = mem_grow(NULL, n, sizeof(*other));
	struct sec_entry *from = list, *to = other;
	uint64_t differ = 0;

	for (size_t i = 1; i < n; i++)
		differ |= sort_key(&list[i]) ^ sort_key(&list[0]);
	for (unsigned shift = 0; shift < 64 && differ >> shift; shift += 8) {
		struct sec_entry *swap = from;

		if (!(differ >> shift & (DIGITS - 1)))
			continue;
		pass(from, to, n, shift);
		from = to;
		to = swap;
	}
	if (from != list)
		memcpy(list, from, n * sizeof(*list));
}

void sec_entries_add(struct sec_entries *e, const struct sec_seccomp *p, uint32_t arch, uint32_t otherwise,
		     uint32_t *ret_max)
{
	size_t first = e->n;

	*ret_max = 0;
	collect(e, p, arch, otherwise, ret_max);
	if (e->n > first)
		sort(e->list + first, e->n - first);
}
