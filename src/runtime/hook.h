/* Running the hooks of config.json (inner header). Runs where it is called: in the parent,
 * or in the container's process, which has one thread and may allocate here. */
#pragma once

#include "oci/oci.h"

/* In order; the first that fails ends it: error. name: "prestart" … for texts. */
int hooks_run(const struct oci_hook *hooks, size_t n, const char *name, const struct oci_state *state,
	      struct err *err);
/* All of them, whatever each does; failures are warnings. */
void hooks_run_all(const struct oci_hook *hooks, size_t n, const char *name, const struct oci_state *state);

int hooks_check(const struct oci_hooks *h, struct err *err);

/* To whoever runtime_on_warning named. */
void runtime_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
