/*
 * Intel RDT by the resctrl file system (inner header): a group of processes with a share of
 * cache and memory bandwidth (config-linux.md, "IntelRdt"; the kernel's arch/x86/resctrl.rst).
 *
 * A group that the configuration names belongs to whoever made it; one that it does not name
 * is called like the container and goes with it.
 */
#pragma once

#include "oci/oci.h"

#include <sys/types.h>

/* INVALID by field. Pure. */
int rdt_check(const struct oci_intel_rdt *o, struct err *err);
/* The mounted file system: UNSUPPORTED where there is none. */
int rdt_open(int *ret_dir, struct err *err);
/* Makes or checks the group and its monitoring group, and puts pid into them. *ret_made: the
 * group was made here. A failure leaves what it made to rdt_leave. */
int rdt_join(int dir, const struct oci_intel_rdt *o, const char *id, pid_t pid, bool *ret_made,
	     struct err *err);
/* The schema alone, of the group that o names or the container's. */
int rdt_update(int dir, const struct oci_intel_rdt *o, const char *id, struct err *err);
/* Removes what rdt_join made. */
void rdt_leave(int dir, const struct oci_intel_rdt *o, const char *id, bool made);
