/*
 * Spec → plan: the file system: mounts, devices, masks, the root. Pure.
 */
#include "runtime/plan.h"

#include <sys/mount.h>
#include <sys/stat.h>

static const struct mnt_device default_devices[] = {
	{ "/dev/null", S_IFCHR, 1, 3, 0666, 0, 0 },   { "/dev/zero", S_IFCHR, 1, 5, 0666, 0, 0 },
	{ "/dev/full", S_IFCHR, 1, 7, 0666, 0, 0 },   { "/dev/random", S_IFCHR, 1, 8, 0666, 0, 0 },
	{ "/dev/urandom", S_IFCHR, 1, 9, 0666, 0, 0 }, { "/dev/tty", S_IFCHR, 5, 0, 0666, 0, 0 },
};

static int one_device(const struct oci_device *d, size_t i, struct mnt_device *ret, struct err *err)
{
	static const struct {
		char letter;
		mode_t type;
	} types[] = { { 'c', S_IFCHR }, { 'u', S_IFCHR }, { 'b', S_IFBLK }, { 'p', S_IFIFO } };

	*ret = (struct mnt_device){ .path = d->path, .mode = d->file_mode ? *d->file_mode & 07777 : 0666,
				    .uid = d->uid ? *d->uid : 0, .gid = d->gid ? *d->gid : 0 };
	for (size_t k = 0; k < ARRAY_LEN(types); k++)
		if (d->type[0] == types[k].letter && !d->type[1])
			ret->type = types[k].type;
	if (!ret->type)
		return err_set(err, ERR_INVALID, "linux.devices[%zu].type: \"%s\" is none of c, b, u, p", i,
			       d->type);
	if (ret->type == S_IFIFO)
		return 0;
	if (!d->major || !d->minor)
		return err_set(err, ERR_INVALID, "linux.devices[%zu]: %s needs major and minor", i, d->path);
	if (*d->major < 0 || *d->major > 0xfff || *d->minor < 0 || *d->minor > 0xfffff)
		return err_set(err, ERR_INVALID, "linux.devices[%zu]: %lld:%lld is no device number", i,
			       (long long)*d->major, (long long)*d->minor);
	ret->major = (unsigned)*d->major;
	ret->minor = (unsigned)*d->minor;
	return 0;
}

static int plan_devices(struct runtime_plan *plan, const struct oci_linux *l, struct err *err)
{
	struct mnt_device *list = arena_new(plan->arena, ARRAY_LEN(default_devices) + l->n_devices,
					    sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(default_devices); i++) {
		bool named = false;

		for (size_t k = 0; k < l->n_devices; k++)
			named |= str_eq(l->devices[k].path, default_devices[i].path);
		if (!named)
			list[n++] = default_devices[i];
	}
	for (size_t i = 0; i < l->n_devices; i++) {
		int r = one_device(&l->devices[i], i, &list[n++], err);

		if (r < 0)
			return r;
	}
	plan->mnt.devices = list;
	plan->mnt.n_devices = n;
	return 0;
}

/* The directories that a mount of type cgroup shows. */
static void plan_cgroup_view(struct runtime_plan *plan)
{
	const struct cgroup_host *host = plan->cgroup_host;
	struct mnt_cgroup *list;
	size_t n = 0;

	if (!host)
		return;
	plan->mnt.cgroup_v2 = host->mode == CGROUP_V2;
	plan->mnt.cgroup_own = plan->ns_new & 1U << NS_CGROUP;
	list = arena_new(plan->arena, host->n_hierarchies, sizeof(*list));
	for (size_t i = 0; i < host->n_hierarchies; i++) {
		const struct cgroup_hierarchy *h = &host->hierarchies[i];
		const char *name = strrchr(h->mount, '/');
		const char **links = NULL;
		size_t n_links = 0;

		/* in a hybrid layout the container's tmpfs has the v1 hierarchies only: a second
		 * view of the processes would be taken for cgroup v2 */
		if (host->mode != CGROUP_V2 && h->version == 2)
			continue;
		if (strchr(h->name, ',')) {
			char *copy = arena_strdup(plan->arena, h->name), *save = NULL;

			links = arena_new(plan->arena, 8, sizeof(*links));
			for (char *w = strtok_r(copy, ",", &save); w && n_links < 8;
			     w = strtok_r(NULL, ",", &save))
				if (name && !str_eq(w, name + 1))
					links[n_links++] = w;
		}
		/* as cgroup_directory() says once it exists; until then by its rule */
		list[n++] = (struct mnt_cgroup){
			.name = name ? name + 1 : h->name, .links = links, .n_links = n_links,
			.path = arena_printf(plan->arena, "%s%s%s%s", h->mount,
					     *plan->cgroup_path == '/' || str_eq(h->self, "/") ? "" : h->self,
					     *plan->cgroup_path == '/' ? "" : "/", plan->cgroup_path),
		};
	}
	plan->mnt.cgroups = list;
	plan->mnt.n_cgroups = n;
}

static int plan_root(struct runtime_plan *plan, const struct runtime_create *what, struct err *err)
{
	const struct oci_linux *l = plan->config->linux_;
	struct mnt_plan *m = &plan->mnt;
	int r;

	m->root = plan->rootfs;
	m->root_readonly = plan->config->root && plan->config->root->readonly;
	m->no_pivot = what->no_pivot;
	r = plan_mount_label(plan, err);
	if (r < 0)
		return r;
	if (!str_empty(l->rootfs_propagation) &&
	    mnt_propagation_parse(l->rootfs_propagation, &m->propagation, &m->propagation_rec) < 0)
		return err_set(err, ERR_INVALID, "linux.rootfsPropagation: unknown value \"%s\"",
			       l->rootfs_propagation);
	if (what->overlay) {
		const struct runtime_overlay *o = what->overlay;

		if (!o->n_lowers || !o->upper != !o->work)
			return err_set(err, ERR_INVALID, "overlay: no layers, or only one of upper and work");
		/* the kernel makes no overlay of one layer alone: it is a read-only directory then */
		if (o->n_lowers == 1 && !o->upper && !o->n_uids) {
			m->root = o->lowers[0];
			m->root_readonly = true;
			return 0;
		}
		m->lowers = (const char *const *)o->lowers;
		m->n_lowers = o->n_lowers;
		m->upper = o->upper;
		m->work = o->work;
		m->is_volatile = o->is_volatile;
		m->lower_uids = o->uids;
		m->lower_gids = o->gids;
		m->n_lower_uids = o->n_uids;
		m->n_lower_gids = o->n_gids;
	}
	return 0;
}

static int check_absolute(char *const *paths, size_t n, const char *name, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (*paths[i] != '/')
			return err_set(err, ERR_INVALID, "linux.%s[%zu]: \"%s\" is not absolute", name, i, paths[i]);
	return 0;
}

int plan_mounts(struct runtime_plan *plan, const struct runtime_create *what, struct err *err)
{
	const struct oci_config *c = plan->config;
	const struct oci_linux *l = c->linux_;
	struct mnt_plan *m = &plan->mnt;
	int r;

	plan->has_mnt = plan->ns_new & 1U << NS_MNT;
	if (!plan->has_mnt) {
		if (l->n_masked_paths || l->n_readonly_paths)
			return err_set(err, ERR_INVALID,
				       "unable to restrict sys entries without a private MNT "
				       "namespace");
		if (c->n_mounts && !(plan->ns_join & 1U << NS_MNT))
			return err_set(err, ERR_INVALID, "mounts: they need a mount namespace");
		if (what->overlay)
			return err_set(err, ERR_INVALID, "overlay: it needs a mount namespace of its own");
		return 0;
	}
	r = check_absolute(l->masked_paths, l->n_masked_paths, "maskedPaths", err);
	if (r == 0)
		r = check_absolute(l->readonly_paths, l->n_readonly_paths, "readonlyPaths", err);
	if (r == 0)
		r = plan_root(plan, what, err);
	if (r == 0)
		r = plan_devices(plan, l, err);
	if (r < 0)
		return r;
	m->bind_devices = plan->in_user_ns || (plan->ns_new | plan->ns_join) & 1U << NS_USER;
	m->masked = (const char *const *)l->masked_paths;
	m->n_masked = l->n_masked_paths;
	m->readonly = (const char *const *)l->readonly_paths;
	m->n_readonly = l->n_readonly_paths;
	m->cwd = plan->process.cwd;
	m->own = (struct mnt_idmap){ plan->uids, plan->gids, plan->n_uids, plan->n_gids };
	plan_cgroup_view(plan);
	for (size_t i = 0; i < c->n_mounts; i++) {
		const struct oci_mount *o = &c->mounts[i];
		struct mnt_spec spec = {
			.target = o->destination, .type = o->type, .source = o->source,
			.options = (const char *const *)o->options, .n_options = o->n_options,
			/* the two structs are the same three numbers */
			.uids = (const struct ns_id_map *)o->uid_mappings, .n_uids = o->n_uid_mappings,
			.gids = (const struct ns_id_map *)o->gid_mappings, .n_gids = o->n_gid_mappings,
		};

		_Static_assert(sizeof(struct ns_id_map) == sizeof(struct oci_id_map), "same layout");
		r = mnt_plan_add(m, &spec, what->bundle, err);
		if (r < 0)
			return err_wrap(err, r, "mounts[%zu]", i);
	}
	return mnt_plan_check(m, err);
}
