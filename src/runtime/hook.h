/* Running the hooks of config.json (inner header). Runs where it is called: in the parent,
 * or in the container's process, which has one thread and may allocate here. */
#pragma once

#include "oci/oci.h"

/* Where hooks write, by the annotations run.oci.hooks.stdout and .stderr: files that are appended to.
 * Without one the end of what they say is in the error when they fail. */
struct hooks_output {
	int out, err; /* -EBADF: none */
};

#define HOOKS_OUTPUT_INIT { -EBADF, -EBADF }

int hooks_output_open(const struct json_kv *annotations, size_t n, struct hooks_output *ret, struct err *err);
void hooks_output_done(struct hooks_output *o);

/* In order; the first that fails ends it: error. name: "prestart" … for texts. */
int hooks_run(const struct oci_hook *hooks, size_t n, const char *name, const struct oci_state *state,
	      const struct hooks_output *output, struct err *err);
/* All of them, whatever each does; failures are warnings. */
void hooks_run_all(const struct oci_hook *hooks, size_t n, const char *name, const struct oci_state *state,
		   const struct hooks_output *output);

int hooks_check(const struct oci_hooks *h, struct err *err);

/* To whoever runtime_on_warning named. */
void runtime_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
