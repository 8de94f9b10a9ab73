/*
 * The user namespace of a pod. The checks and translations are pure, the rest runs on worker
 * threads.
 */
#include "pod/userns.h"

#include "oci/oci.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <sys/mount.h>

_Static_assert(sizeof(struct pod_id_map) == sizeof(struct ns_id_map) &&
		       offsetof(struct pod_id_map, container_id) == offsetof(struct ns_id_map, inside) &&
		       offsetof(struct pod_id_map, host_id) == offsetof(struct ns_id_map, outside) &&
		       offsetof(struct pod_id_map, length) == offsetof(struct ns_id_map, size),
	       "the same three numbers");
_Static_assert(sizeof(struct pod_id_map) == sizeof(struct oci_id_map) &&
		       offsetof(struct pod_id_map, container_id) == offsetof(struct oci_id_map, container_id) &&
		       offsetof(struct pod_id_map, host_id) == offsetof(struct oci_id_map, host_id),
	       "the same three numbers");

const struct ns_id_map *pod_userns_maps(const struct pod_id_map *maps)
{
	return (const struct ns_id_map *)maps;
}

/* ---- checks ---- */

static int check_map(const char *field, const struct pod_id_map *maps, size_t n, struct err *err)
{
	size_t at;

	if (n != 1)
		return err_set(err, ERR_INVALID, "userns_options.%s: needs exactly one mapping, got %zu", field, n);
	if (maps[0].container_id)
		return err_set(err, ERR_INVALID, "userns_options.%s: must map container id 0, maps %u", field,
			       maps[0].container_id);
	if (ns_maps_check(pod_userns_maps(maps), n, &at) < 0)
		return err_set(err, ERR_INVALID, "userns_options.%s: %u ids from host id %u on are no range", field,
			       maps[0].length, maps[0].host_id);
	return 0;
}

int pod_userns_check(const struct pod_namespaces *ns, struct err *err)
{
	int r;

	if (ns->user == POD_NS_NODE || (ns->user == POD_NS_POD && !ns->n_uids && !ns->n_gids)) {
		if (ns->n_uids || ns->n_gids)
			return err_set(err, ERR_INVALID, "userns_options: mode NODE takes no mappings");
		return 0;
	}
	if (ns->user != POD_NS_POD)
		return err_set(err, ERR_INVALID, "userns_options.mode: %d is not possible", ns->user);
	r = check_map("uids", ns->uids, ns->n_uids, err);
	if (r == 0)
		r = check_map("gids", ns->gids, ns->n_gids, err);
	if (r < 0)
		return r;
	/* the kernel lets nobody in a user namespace mount what belongs to the host's */
	if (ns->pid == POD_NS_NODE || ns->ipc == POD_NS_NODE)
		return err_set(err, ERR_INVALID, "userns_options: a pod with the host's %s namespace cannot have a "
			       "user namespace of its own", ns->pid == POD_NS_NODE ? "pid" : "ipc");
	return 0;
}

static bool same_maps(const struct pod_id_map *a, size_t n_a, const struct pod_id_map *b, size_t n_b)
{
	return n_a == n_b && (!n_a || memcmp(a, b, n_a * sizeof(*a)) == 0);
}

static int check_id(const char *what, uint32_t id, const struct pod_id_map *maps, size_t n, struct err *err)
{
	uint32_t outside;

	if (ns_maps_find(pod_userns_maps(maps), n, id, &outside) == 0)
		return 0;
	return err_set(err, ERR_INVALID, "%s %u has no mapping in the pod's user namespace of %u ids", what, id,
		       maps[0].length);
}

int pod_userns_check_container(const struct pod_namespaces *pod, const struct pod_namespaces *own,
			       const struct pod_user *user, struct err *err)
{
	int r;

	if (pod_userns_wanted(own) && (!same_maps(own->uids, own->n_uids, pod->uids, pod->n_uids) ||
				       !same_maps(own->gids, own->n_gids, pod->gids, pod->n_gids)))
		return err_set(err, ERR_INVALID,
			       "namespace_options.userns_options: the mappings are not those of the pod");
	if (!pod_userns_wanted(pod))
		return 0;
	if (own->pid == POD_NS_NODE)
		return err_set(err, ERR_INVALID,
			       "namespace_options.pid: a container in a user namespace cannot have the host's");
	r = check_id("user", user->uid, pod->uids, pod->n_uids, err);
	if (r == 0)
		r = check_id("group", user->gid, pod->gids, pod->n_gids, err);
	for (size_t i = 0; r == 0 && i < user->n_groups; i++)
		r = check_id("supplemental group", user->groups[i], pod->gids, pod->n_gids, err);
	return r;
}

void pod_userns_root(const struct pod_namespaces *ns, uint32_t *ret_uid, uint32_t *ret_gid)
{
	bool wanted = pod_userns_wanted(ns);

	*ret_uid = wanted ? ns->uids[0].host_id : 0;
	*ret_gid = wanted ? ns->gids[0].host_id : 0;
}

/* ---- config.json ---- */

static struct oci_id_map *copy_maps(const struct pod_id_map *maps, size_t n, struct arena *a)
{
	struct oci_id_map *copy = arena_new(a, n, sizeof(*copy));

	if (n)
		memcpy(copy, maps, n * sizeof(*copy));
	return copy;
}

void pod_userns_oci(const struct pod_namespaces *ns, struct arena *a, struct oci_linux *l)
{
	l->uid_mappings = copy_maps(ns->uids, ns->n_uids, a);
	l->n_uid_mappings = ns->n_uids;
	l->gid_mappings = copy_maps(ns->gids, ns->n_gids, a);
	l->n_gid_mappings = ns->n_gids;
}

void pod_userns_oci_mount(const struct pod_id_map *uids, size_t n_uids, const struct pod_id_map *gids,
			  size_t n_gids, struct arena *a, struct oci_mount *m)
{
	m->uid_mappings = copy_maps(uids, n_uids, a);
	m->n_uid_mappings = n_uids;
	m->gid_mappings = copy_maps(gids, n_gids, a);
	m->n_gid_mappings = n_gids;
}

/* ---- the namespace ---- */

char *pod_userns_path(const char *dir, struct arena *a)
{
	return arena_printf(a, "%s/userns", dir);
}

int pod_userns_create(const struct pod_namespaces *ns, const char *dir, int *ret_fd, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const char *path = pod_userns_path(dir, &a);
	autofd int fd = -EBADF, mnt = -EBADF, target = -EBADF;
	char from[SYS_FD_PATH_MAX];
	int r = ns_user_make(pod_userns_maps(ns->uids), ns->n_uids, pod_userns_maps(ns->gids), ns->n_gids, &fd);

	if (r < 0)
		return err_sys(err, r, "user namespace");
	target = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444);
	if (target < 0)
		return err_sys(err, errno, "user namespace %s", path);
	r = sys_clone_tree(AT_FDCWD, sys_fd_path(fd, from), 0, &mnt);
	if (r == 0)
		r = sys_attach_mount(mnt, target);
	if (r == 0)
		r = sys_mount_setattr(mnt, 0, 0, 0, MS_PRIVATE, -EBADF);
	if (r < 0)
		return err_sys(err, r, "user namespace %s: hold it", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

int pod_userns_remove(const char *dir, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const char *path = pod_userns_path(dir, &a);

	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		return err_sys(err, errno, "unmount %s", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, errno, "remove %s", path);
	return 0;
}

bool pod_userns_possible(const char *dir)
{
	static const struct ns_id_map map = { 0, 65536, 65536 };
	autofd int userns = -EBADF, tree = -EBADF;

	return ns_user_make(&map, 1, &map, 1, &userns) == 0 && sys_clone_tree(AT_FDCWD, dir, 0, &tree) == 0 &&
	       sys_mount_setattr(tree, 0, 0, 0, 0, userns) == 0;
}
