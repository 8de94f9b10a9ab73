/*
 * A container's config.json, from the request, the image's defaults, the pod and the host.
 *
 *   spec.c       the whole: process, environment, namespaces, root, annotations
 *   mounts.c     default mounts, the pod's files, volumes
 *   devices.c    device nodes and the rules that go with them
 *   resources.c  limits
 *   security.c   capabilities, seccomp, LSM labels (pod/security.h)
 *   users.c      the user (pod/users.h), resolved before
 *
 * Mounts and devices look at the host's files by the paths that the client gave (it is root's
 * equal); nothing of the image is touched here. All memory is the arena's; much is borrowed
 * from the inputs, which must outlive the result. Errors are INVALID and name the field.
 */
#pragma once

#include "oci/oci.h"
#include "pod/manager.h"
#include "pod/users.h"

/* An image mounted as a volume: index of the mount, and what the store gave for it. */
struct pod_image_volume {
	size_t mount;
	const struct store_snapshot *snapshot;
};

struct pod_spec {
	const struct pod_host *host;
	const struct pod_config *pod;
	const struct pod_container_config *config;
	const struct oci_image_defaults *image;
	const struct pod_user *user;
	const char *id, *pod_id, *pod_dir, *cgroup_path, *hostname;
	const char *rootfs;        /* where the overlay goes: <bundle>/rootfs */
	const char *netns;         /* NULL: the host's */
	pid_t pause_pid;           /* verified by the caller */
	pid_t target_pid;          /* TARGET: a process of that container, verified */
	const char *seccomp_root;
	const struct pod_image_volume *volumes;
	size_t n_volumes;
};

int pod_spec_build(const struct pod_spec *in, struct arena *a, struct oci_config *ret, struct err *err);

/* The parts. */
int pod_spec_mounts(const struct pod_spec *in, struct arena *a, struct oci_config *c, struct err *err);
int pod_spec_devices(const struct pod_spec *in, struct arena *a, struct oci_linux *l, struct err *err);
int pod_spec_resources(const struct pod_spec *in, struct arena *a, struct oci_config *c, struct err *err);

/* Limits alone. oci: zeroed. score: what a process gets, as low as this daemon can give. */
int pod_resources_oci(const struct pod_host *host, const struct pod_resources *r, struct arena *a,
		      struct oci_resources *oci, struct err *err);
int pod_resources_score(const struct pod_host *host, const struct pod_resources *r, int32_t *ret,
			struct err *err);
/* What holds when `change` has been made; strings are borrowed from both. */
void pod_resources_merge(const struct pod_resources *now, const struct pod_resources *change, struct arena *a,
			 struct pod_resources *ret);
/* What the kernel is to be told for that. */
void pod_resources_delta(const struct pod_resources *merged, const struct pod_resources *change,
			 struct pod_resources *ret);
