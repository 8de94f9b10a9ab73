/*
 * Capability sets, as bit masks (1 << CAP_x), by capset(2) and prctl(2) themselves.
 *
 * Sources: capabilities(7), capset(2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

struct sec_caps {
	uint64_t bounding, effective, inheritable, permitted, ambient;
};

enum { SEC_CAPS_KNOWN = 41 }; /* names in our table: up to CAP_CHECKPOINT_RESTORE */

/* "CAP_SYS_ADMIN" or "SYS_ADMIN", any case: its number or -EINVAL. */
int sec_cap_number(const char *name);
/* "CAP_SYS_ADMIN", or NULL when the table ends before. */
const char *sec_cap_name(unsigned cap);

/* All capabilities that the running kernel knows; read once. */
uint64_t sec_caps_kernel(void);

/*
 * Adds the named ones to *mask. A name that this table or the kernel does not know is left
 * out, as the OCI specification asks, and the first such is given in *ret_unknown (borrowed
 * from names; may be NULL as a parameter; NULL when all were known) for a warning.
 */
void sec_caps_parse(const char *const *names, size_t n, uint64_t *mask, const char **ret_unknown);

/*
 * Refuses sets that no kernel accepts: effective or ambient beyond permitted, ambient
 * beyond inheritable. INVALID, naming the capability and the set.
 */
int sec_caps_check(const struct sec_caps *caps, struct err *err);

/* What the calling process itself has (permitted and bounding): 0 or -errno. */
int sec_caps_own(uint64_t *ret_permitted, uint64_t *ret_bounding);

/* Cuts all sets down to what `have` holds; returns what had to be taken out of any of
 * them: nothing can give a capability that its parent lacks. */
uint64_t sec_caps_clamp(struct sec_caps *caps, uint64_t have);

/* Drops from the bounding set what is not in caps->bounding. Needs CAP_SETPCAP. [child] */
int sec_caps_drop_bounding(const struct sec_caps *caps, uint64_t kernel);
/* PR_SET_KEEPCAPS, over the change of uid that comes next. [child] */
int sec_caps_keep(bool keep);
/* Permitted, effective, inheritable by one capset; then the ambient set; keepcaps off. [child] */
int sec_caps_apply(const struct sec_caps *caps, uint64_t kernel);
