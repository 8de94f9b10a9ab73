/*
 * The user namespace of a pod (in Kubernetes: hostUsers: false): one for all its containers,
 * with one map for users and groups alike, from container id 0 on.
 *
 * It owns the pod's network, IPC, UTS and pid namespaces, so it is made before them; a bind
 * mount beside the network namespace's holds it: <state>/pods/<id>/userns. Files of the host
 * that a container is to own (its upper directory, resolv.conf, /dev/shm) belong to the
 * host ids that the map gives; image layers and volumes are mounted idmapped.
 */
#pragma once

#include "ns/ns.h"
#include "pod/pod.h"
#include "pod/users.h"

struct oci_linux;
struct oci_mount;

static inline bool pod_userns_wanted(const struct pod_namespaces *ns)
{
	return ns->user == POD_NS_POD && ns->n_uids;
}

/* For a pod: INVALID names the field. Pure. */
int pod_userns_check(const struct pod_namespaces *pod, struct err *err);
/* For a container of it: its own request repeats the pod's or says nothing, and all ids that its
 * process gets have a mapping. Pure. */
int pod_userns_check_container(const struct pod_namespaces *pod, const struct pod_namespaces *own,
			       const struct pod_user *user, struct err *err);

/* The host ids of the container's root; 0 without a user namespace. */
void pod_userns_root(const struct pod_namespaces *ns, uint32_t *ret_uid, uint32_t *ret_gid);
/* As the mechanism rooms want the maps; the lists are borrowed. */
const struct ns_id_map *pod_userns_maps(const struct pod_id_map *maps);
/* The maps into a config.json, as those of the whole or of one mount. Memory is the arena's. */
void pod_userns_oci(const struct pod_namespaces *ns, struct arena *a, struct oci_linux *l);
void pod_userns_oci_mount(const struct pod_id_map *uids, size_t n_uids, const struct pod_id_map *gids,
			  size_t n_gids, struct arena *a, struct oci_mount *m);

/* Makes it and holds it below dir. Blocks; any thread. */
int pod_userns_create(const struct pod_namespaces *ns, const char *dir, int *ret_fd, struct err *err);
/* What is not there is gone. */
int pod_userns_remove(const char *dir, struct err *err);
char *pod_userns_path(const char *dir, struct arena *a);

/* True where the kernel and the file system of `dir` have idmapped mounts, without which no pod
 * can have one. Blocks. */
bool pod_userns_possible(const char *dir);
