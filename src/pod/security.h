/*
 * What a container may do, in OCI's words: capabilities, the system call filter, LSM labels.
 * Pure, but for reading a Localhost profile. Errors name the field as the client knows it.
 */
#pragma once

#include "oci/oci.h"
#include "pod/pod.h"

/*
 * `have`: what this daemon can hand down; capabilities outside of it are left out silently
 * for "ALL", since a container can't get more than its node has. Names come with and
 * without "CAP_". *ret_mask: the bounding set.
 */
int pod_caps(const struct pod_security *s, uint64_t have, struct arena *a, struct oci_capabilities **ret,
	     uint64_t *ret_mask, struct err *err);

/* RuntimeDefault for that bounding set. */
struct oci_seccomp *pod_seccomp_default(uint64_t caps, struct arena *a);

/* NULL for unconfined. Reads a Localhost profile: relative ones below root. */
int pod_seccomp(const struct pod_security *s, const char *root, uint64_t caps, struct arena *a,
		struct oci_seccomp **ret, struct err *err);

/* NULL where there is nothing to set. */
int pod_apparmor(const struct pod_security *s, struct arena *a, char **ret, struct err *err);
/* "user:role:type:level", NULL when SELinux is off or nothing was asked. */
char *pod_selinux_label(const struct pod_security *s, struct arena *a);
