/*
 * Containers of a user without privileges (inner header).
 *
 * The caller itself becomes root of the user namespace that config.json asks for, with a
 * mount namespace of its own, and from there everything goes on as for root: the kernel
 * allows what that namespace may. The process tree stays as it is.
 */
#pragma once

#include "runtime/record.h"
#include "runtime/runtime.h"

/* Does nothing for root. Afterwards the document has no user namespace and no maps any more:
 * they are where the caller is. One thread; before any descriptor that needs privilege. */
int rootless_enter(struct oci_config *config, struct arena *a, struct err *err);

/* For an exec: into the user namespace of the container's init, where the caller is not in it
 * already. Does nothing for root. 1: it is there now, and cannot go back. */
int rootless_join(const struct record *record, int init, struct err *err);
