/*
 * The generator of seccomp programs.
 *
 * libseccomp builds the same from a database of rules, in 15 to 50 ms for the default
 * profile, which is more than all the rest of starting a container takes; it is used here
 * for the numbers of system calls only. What makes this one quick and its programs short:
 * allowed numbers come in runs, so the whole profile is a list of intervals of numbers, and
 * the program is a binary search over their bounds.
 *
 *	ld arch
 *	jeq X86_64 → ld nr → search → ret or conditions
 *	jeq I386   → ld nr → search …
 *	ret kill                    an architecture that the profile does not name
 *
 * Semantics (those of libseccomp and OCI): a rule without conditions decides for its
 * system call, the first such one; else the first rule whose conditions all hold; else the
 * default. Rules with the default's action say nothing. Two conditions on one argument are
 * alternatives. On 32-bit architectures only the low halves of arguments are compared.
 *
 * One thing is added: where the default is an errno, numbers above all that the profile
 * mentions give ENOSYS. C libraries fall back to an older call on that, and give up on
 * EPERM, so a profile would otherwise break programs built for newer kernels.
 *
 * Jumps of classic BPF only go forward and conditional ones at most 255 instructions. The
 * program is therefore emitted from its end: every target is there before its jump, and
 * what is too far gets a copy or an unconditional jump in between. `at` below is a place
 * counted from the end.
 */
#include "sec/generate.h"

#include "base/base.h"

#include <endian.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>

enum { JUMP_MAX = 255, X32_BIT = 0x40000000, RETS_MAX = 64 };

/* ---- the program, from its end ---------------------------------------------------------------- */

struct program {
	struct sock_filter *code; /* code[0] is the last instruction */
	size_t n;
	bool too_big;
	struct {
		uint32_t value;
		size_t at;
	} rets[RETS_MAX];
	size_t n_rets;
};

static size_t emit(struct program *p, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	if (p->n == BPF_MAXINSNS) {
		p->too_big = true;
		return 0;
	}
	p->code[p->n] = (struct sock_filter){ code, jt, jf, k };
	return p->n++;
}

/* A place from which the next `more` instructions can still jump to `at`. */
static size_t reachable(struct program *p, size_t at, size_t more)
{
	if (p->n + more - at - 1 <= JUMP_MAX)
		return at;
	return emit(p, BPF_JMP | BPF_JA, 0, 0, (uint32_t)(p->n - at - 1));
}

/* The nearest "ret value", a new one when there is none in reach. */
static size_t ret_at(struct program *p, uint32_t value, size_t more)
{
	size_t i;

	for (i = 0; i < p->n_rets && p->rets[i].value != value; i++)
		;
	if (i < p->n_rets && p->n + more - p->rets[i].at - 1 <= JUMP_MAX)
		return p->rets[i].at;
	if (i == p->n_rets) {
		if (i == RETS_MAX)
			return emit(p, BPF_RET | BPF_K, 0, 0, value);
		p->n_rets++;
	}
	p->rets[i].value = value;
	p->rets[i].at = emit(p, BPF_RET | BPF_K, 0, 0, value);
	return p->rets[i].at;
}

static void load(struct program *p, size_t offset)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

/* if (A op k) goto yes; else goto no. Returns its place. */
static size_t branch(struct program *p, uint16_t op, uint32_t k, size_t yes, size_t no)
{
	/* two jumps may have to be put in between before the branch itself */
	yes = reachable(p, yes, 3);
	no = reachable(p, no, 2);
	return emit(p, BPF_JMP | op | BPF_K, (uint8_t)(p->n - yes - 1), (uint8_t)(p->n - no - 1), k);
}

enum { HALF_LOW, HALF_HIGH };

static size_t half(uint32_t index, int which)
{
	size_t big = __BYTE_ORDER == __BIG_ENDIAN;

	return offsetof(struct seccomp_data, args) + index * 8 + ((size_t)which ^ big) * 4;
}

/* One condition: to `yes` when it holds, else to `no`. Returns where it begins. */
static size_t emit_arg(struct program *p, const struct sec_arg *a, bool wide, size_t yes, size_t no)
{
	uint32_t low = (uint32_t)a->value, high = (uint32_t)(a->value >> 32);
	uint32_t low_two = (uint32_t)a->value_two, high_two = (uint32_t)(a->value_two >> 32);
	uint16_t op = BPF_JEQ;
	size_t t;

	if (a->op == SEC_OP_NE || a->op == SEC_OP_LT || a->op == SEC_OP_LE) {
		/* the opposite of the one below */
		t = yes;
		yes = no;
		no = t;
	}
	if (a->op == SEC_OP_GT || a->op == SEC_OP_LE)
		op = BPF_JGT;
	else if (a->op == SEC_OP_GE || a->op == SEC_OP_LT)
		op = BPF_JGE;
	if (a->op == SEC_OP_MASKED_EQ) {
		t = branch(p, BPF_JEQ, low_two, yes, no);
		emit(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, low);
		load(p, half(a->index, HALF_LOW));
		t = p->n - 1;
		if (!wide || (!high && !high_two))
			return t;
		branch(p, BPF_JEQ, high_two, t, no);
		emit(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, high);
		load(p, half(a->index, HALF_HIGH));
		return p->n - 1;
	}
	branch(p, op, low, yes, no);
	load(p, half(a->index, HALF_LOW));
	t = p->n - 1;
	if (!wide)
		return t;
	t = branch(p, BPF_JEQ, high, t, no);
	/* a greater upper half decides alone */
	if (op != BPF_JEQ)
		t = branch(p, BPF_JGT, high, yes, t);
	load(p, half(a->index, HALF_HIGH));
	return p->n - 1;
}

/* All entries of one number, in order. Returns where they begin. */
static size_t emit_conditions(struct program *p, const struct sec_entry *list, size_t n, bool wide,
			      uint32_t otherwise)
{
	size_t next = ret_at(p, otherwise, 1);

	for (size_t i = n; i-- > 0;) {
		size_t yes = ret_at(p, list[i].ret, 8 * SEC_ARGS_MAX), no = next;

		for (size_t a = list[i].n_args; a-- > 0;)
			yes = emit_arg(p, &list[i].args[a], wide, yes, no);
		next = yes;
	}
	return next;
}

/* ---- intervals and the search over them --------------------------------------------------------- */

/* Numbers from `from` up to the next interval's: a plain return, or entries to go through. */
struct interval {
	uint32_t from;
	uint32_t ret;
	const struct sec_entry *entries;
	size_t n_entries;
	size_t at; /* of the entries' code */
	bool wide;
};

struct intervals {
	struct interval *list;
	size_t n, cap;
};

static void intervals_done(struct intervals *s)
{
	free(s->list);
}

/* Neighbours with one result become one; an interval that begins where the last one does
 * replaces it. */
static void add_interval(struct intervals *s, struct interval i)
{
	if (s->n && s->list[s->n - 1].from == i.from)
		s->n--;
	if (s->n && !i.n_entries && !s->list[s->n - 1].n_entries && s->list[s->n - 1].ret == i.ret)
		return;
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 512;
		s->list = mem_grow(s->list, s->cap, sizeof(*s->list));
	}
	s->list[s->n++] = i;
}

/* The place for one interval's numbers; more: how far its jump may still move. */
static size_t leaf_at(struct program *p, const struct interval *i, size_t more)
{
	return i->n_entries ? i->at : ret_at(p, i->ret, more);
}

static size_t emit_search(struct program *p, const struct interval *list, size_t n)
{
	size_t mid = n / 2, low, high;

	if (n == 1)
		return leaf_at(p, list, 4);
	high = n - mid == 1 ? 0 : emit_search(p, list + mid, n - mid);
	low = mid == 1 ? 0 : emit_search(p, list, mid);
	/* plain returns last: they are copied to where they are needed */
	if (n - mid == 1)
		high = leaf_at(p, &list[mid], 4);
	if (mid == 1)
		low = leaf_at(p, &list[0], 4);
	return branch(p, BPF_JGE, list[mid].from, high, low);
}

/* The part of one architecture: intervals from `from` up. */
static void add_part(const struct sec_seccomp *p, uint32_t arch, uint32_t from, uint32_t otherwise, bool wide,
		     struct sec_entries *e, struct intervals *s)
{
	size_t first = e->n;
	uint32_t max;

	sec_entries_add(e, p, arch, otherwise, &max);
	add_interval(s, (struct interval){ .from = from, .ret = otherwise });
	for (size_t i = first; i < e->n;) {
		struct interval in = { .from = e->list[i].number, .ret = e->list[i].ret, .wide = wide };
		size_t n = 1;

		while (i + n < e->n && e->list[i + n].number == in.from)
			n++;
		if (e->list[i].n_args) {
			in.entries = (const struct sec_entry *)(uintptr_t)i; /* the list may still move */
			in.n_entries = n;
		}
		add_interval(s, in);
		add_interval(s, (struct interval){ .from = in.from + 1, .ret = otherwise });
		i += n;
	}
	if ((otherwise & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO && max)
		add_interval(s, (struct interval){ .from = max + 1, .ret = SECCOMP_RET_ERRNO | ENOSYS });
}

/* libseccomp's token of x32 has no bit of its own in seccomp_data.arch. */
static uint32_t audit_arch(uint32_t token)
{
	return token == SCMP_ARCH_X32 ? SCMP_ARCH_X86_64 : token;
}

static bool has_token(const uint32_t *tokens, size_t n, uint32_t token)
{
	for (size_t i = 0; i < n; i++)
		if (tokens[i] == token)
			return true;
	return false;
}

/* One architecture's search, after the rest of the program. Returns where it begins. */
static size_t emit_arch(const struct sec_seccomp *p, uint32_t token, const uint32_t *tokens, size_t n_tokens,
			struct program *prog)
{
	CLEANUP(mem_free_ptr) struct sec_entry *free_entries = NULL;
	CLEANUP(intervals_done) struct intervals s = { NULL, 0, 0 };
	uint32_t otherwise = sec_ret_of(p->default_action, p->default_errno_ret);
	bool wide = token & __AUDIT_ARCH_64BIT;
	struct sec_entries e = { NULL, 0, 0 };
	struct interval foreign = { .from = X32_BIT, .ret = SECCOMP_RET_KILL_THREAD };
	size_t root;

	add_part(p, token, 0, otherwise, wide, &e, &s);
	if (token == SCMP_ARCH_X86_64) {
		if (has_token(tokens, n_tokens, SCMP_ARCH_X32))
			add_part(p, SCMP_ARCH_X32, X32_BIT, otherwise, false, &e, &s);
		else
			add_interval(&s, foreign);
	}
	/* a call that a tracer has cancelled */
	add_interval(&s, (struct interval){ .from = UINT32_MAX, .ret = otherwise });
	free_entries = e.list;
	for (size_t i = 0; i < s.n; i++) {
		struct interval *in = &s.list[i];

		if (!in->n_entries)
			continue;
		in->entries = &e.list[(uintptr_t)in->entries];
		in->at = emit_conditions(prog, in->entries, in->n_entries, in->wide, otherwise);
	}
	root = emit_search(prog, s.list, s.n);
	/* the load falls through to it: one result for all numbers is a return anywhere */
	if (root != prog->n - 1)
		emit(prog, BPF_JMP | BPF_JA, 0, 0, (uint32_t)(prog->n - root - 1));
	load(prog, offsetof(struct seccomp_data, nr));
	return prog->n - 1;
}

int sec_generate(const struct sec_seccomp *profile, struct sock_filter **ret, size_t *ret_n)
{
	/* not zeroed: of most of it no page is ever touched */
	CLEANUP(mem_free_ptr) struct sock_filter *code = mem_grow(NULL, BPF_MAXINSNS, sizeof(*code));
	struct program prog = { .code = code };
	uint32_t tokens[SEC_ARCHES_MAX + 1], native = seccomp_arch_native();
	struct sock_filter *out;
	size_t n_tokens = 1, next;

	tokens[0] = native;
	for (size_t i = 0; i < profile->n_arches && i < SEC_ARCHES_MAX; i++)
		if (!has_token(tokens, n_tokens, profile->arches[i]))
			tokens[n_tokens++] = profile->arches[i];
	next = emit(&prog, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_THREAD);
	for (size_t i = n_tokens; i-- > 0;) {
		size_t begin;

		if (tokens[i] == SCMP_ARCH_X32 && has_token(tokens, n_tokens, SCMP_ARCH_X86_64))
			continue;
		begin = emit_arch(profile, tokens[i], tokens, n_tokens, &prog);
		next = branch(&prog, BPF_JEQ, audit_arch(tokens[i]), begin, next);
	}
	load(&prog, offsetof(struct seccomp_data, arch));
	if (prog.too_big)
		return -E2BIG;
	out = mem_new(prog.n, sizeof(*out));
	for (size_t i = 0; i < prog.n; i++)
		out[i] = code[prog.n - 1 - i];
	*ret = out;
	*ret_n = prog.n;
	return 0;
}
