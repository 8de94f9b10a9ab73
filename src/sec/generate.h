/*
 * Profile → entries → classic BPF. Pure: no system call, no I/O; any thread.
 */
#pragma once

#include "sec/seccomp.h"

struct sock_filter;

/* ---- entries.c: what the rules say about each number ----------------------------------------- */

/* The first name that no architecture has, or NULL. */
const char *sec_unknown_name(const struct sec_seccomp *profile);

/* One condition list with its action, for one number of one architecture. */
struct sec_entry {
	uint32_t number;
	uint32_t ret;      /* SECCOMP_RET_* with data */
	const struct sec_arg *args;
	size_t n_args;     /* 0: without conditions */
};

struct sec_entries {
	struct sec_entry *list;
	size_t n, cap;
};

/* SECCOMP_RET_* of an action. */
uint32_t sec_ret_of(enum sec_action action, int errno_ret);

/*
 * Appends what the profile says for one architecture, ordered by number, then as it
 * decides; rules that say the same as `otherwise`, the default, are left out. *ret_max is
 * the highest number that the profile mentions at all, 0 for none.
 */
void sec_entries_add(struct sec_entries *e, const struct sec_seccomp *p, uint32_t arch, uint32_t otherwise,
		     uint32_t *ret_max);

/* ---- generate.c ---------------------------------------------------------------------------------- */

/*
 * The program, at most BPF_MAXINSNS instructions, on the heap. The profile was checked
 * (compile.c): its enums and counts are in range. -E2BIG: it does not fit.
 */
int sec_generate(const struct sec_seccomp *profile, struct sock_filter **ret, size_t *ret_n);
