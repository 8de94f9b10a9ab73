/*
 * What a container may do, in OCI's words: capabilities, the system call filter, LSM labels.
 * Pure, but for reading a Localhost profile. Errors name the field as the client knows it.
 */
#pragma once

#include "oci/oci.h"
#include "pod/pod.h"

struct pod_host;

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

/* Whether profiles can be loaded here at all. */
bool pod_apparmor_possible(void);
/* The profile's name, NULL where there is nothing to set. Pure. */
int pod_apparmor(const struct pod_security *s, const struct pod_host *host, struct arena *a, char **ret,
		 struct err *err);
/* The kernel has that profile: our default one is loaded if it must be, another is INVALID if
 * it is not. Blocks; any worker. */
int pod_apparmor_ready(const char *profile, struct err *err);

/* The policy's two contexts into h; NULL both where SELinux is off. */
void pod_selinux_read(struct arena *a, struct pod_host *h);
/* The configuration with two categories that no other pod has, if it has no level: itself or a
 * shallow copy. Before the pod is in the table; without m->lock. */
struct pod_manager;
const struct pod_config *pod_selinux_choose(struct pod_manager *m, const struct pod_config *config, struct arena *a);
/* Of a process with security s in a pod, and of what is mounted for it; NULL both where there
 * is nothing to set. Pure. */
void pod_selinux_labels(const struct pod_security *s, const struct pod_security *pod, const struct pod_host *host,
			struct arena *a, char **ret_process, char **ret_file);
/* A file, or a directory with all below it; label NULL: nothing. Blocks. */
int pod_selinux_relabel(const char *path, const char *label, struct err *err);
/* The volumes of which the client wants that. */
int pod_selinux_relabel_mounts(const struct pod_container_config *config, const char *label, struct err *err);
