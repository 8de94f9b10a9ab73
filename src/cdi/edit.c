/*
 * containerEdits into config.json.
 */
#include "cdi/spec.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A copy with room for more. */
static void *room(struct arena *a, const void *list, size_t n, size_t more, size_t size)
{
	void *copy = arena_new(a, n + more + 1, size);

	if (n)
		memcpy(copy, list, n * size);
	return copy;
}

static void *boxed(struct arena *a, const void *value, size_t size)
{
	return memcpy(arena_new(a, 1, size), value, size);
}

static void put_env(const struct cdi_edits *e, struct oci_process *p, struct arena *a)
{
	p->env = room(a, p->env, p->n_env, e->n_env, sizeof(char *));
	for (size_t i = 0; i < e->n_env; i++) {
		size_t name = (size_t)(strchr(e->env[i], '=') - e->env[i]) + 1, at = 0;

		while (at < p->n_env && strncmp(p->env[at], e->env[i], name) != 0)
			at++;
		p->n_env += at == p->n_env;
		p->env[at] = arena_strdup(a, e->env[i]);
	}
}

/* ---- device nodes ---- */

static const char *type_of(mode_t mode)
{
	return S_ISBLK(mode) ? "b" : S_ISCHR(mode) ? "c" : S_ISFIFO(mode) ? "p" : NULL;
}

/* What the specification leaves out is the host's node's. */
static int fill_node(const struct cdi_node *n, struct arena *a, struct oci_device *ret, struct err *err)
{
	const char *host = str_empty(n->host_path) ? n->path : n->host_path, *type = n->type;
	bool whole = !str_empty(type) && (n->major || str_eq(type, "p"));
	int64_t numbers[2] = { n->major, n->minor };
	uint32_t mode;
	struct stat st;

	*ret = (struct oci_device){ .path = arena_strdup(a, n->path), .file_mode = n->file_mode };
	if (lstat(host, &st) < 0) {
		if (!whole)
			return err_sysk(err, ERR_INVALID, errno, "device node %s", host);
	} else if (!type_of(st.st_mode)) {
		if (!whole)
			return err_set(err, ERR_INVALID, "device node %s: is no device", host);
	} else {
		if (str_empty(type))
			type = type_of(st.st_mode);
		else if (!str_eq(type, type_of(st.st_mode)) &&
			 !(str_eq(type, "u") && S_ISCHR(st.st_mode)))
			return err_set(err, ERR_INVALID, "device node %s: type %s, but the host's is %s",
				       host, type,
				       type_of(st.st_mode));
		if (!n->major && !S_ISFIFO(st.st_mode)) {
			numbers[0] = major(st.st_rdev);
			numbers[1] = minor(st.st_rdev);
		}
		mode = st.st_mode & 07777;
		if (!ret->file_mode)
			ret->file_mode = boxed(a, &mode, sizeof(mode));
	}
	ret->type = arena_strdup(a, type);
	if (!str_eq(type, "p")) {
		ret->major = boxed(a, &numbers[0], sizeof(int64_t));
		ret->minor = boxed(a, &numbers[1], sizeof(int64_t));
	}
	return 0;
}

static int put_nodes(const struct cdi_edits *e, struct oci_config *c, struct arena *a, struct err *err)
{
	struct oci_resources *res = arena_new(a, 1, sizeof(*res));
	struct oci_linux *l = c->linux_;
	const struct oci_user *user = &c->process->user;

	if (l->resources)
		*res = *l->resources;
	l->resources = res;
	l->devices = room(a, l->devices, l->n_devices, e->n_nodes, sizeof(*l->devices));
	res->devices = room(a, res->devices, res->n_devices, e->n_nodes, sizeof(*res->devices));
	for (size_t i = 0; i < e->n_nodes; i++) {
		const struct cdi_node *n = &e->nodes[i];
		struct oci_device d;
		size_t kept = 0;

		if (fill_node(n, a, &d, err) < 0)
			return -EINVAL;
		/* one who is not root shall be able to use it */
		d.uid = n->uid ? n->uid : user->uid ? boxed(a, &user->uid, sizeof(uint32_t)) : NULL;
		d.gid = n->gid ? n->gid : user->gid ? boxed(a, &user->gid, sizeof(uint32_t)) : NULL;
		for (size_t k = 0; k < l->n_devices; k++)
			if (!str_eq(l->devices[k].path, d.path))
				l->devices[kept++] = l->devices[k];
		l->n_devices = kept;
		l->devices[l->n_devices++] = d;
		if (str_eq(d.type, "p") || str_eq(n->permissions, "none"))
			continue;
		res->devices[res->n_devices++] = (struct oci_device_rule){
			.allow = true, .type = arena_strdup(a,
							    str_eq(d.type,
								   "b") ? "b" : "c"), .major = d.major,
			.minor = d.minor,
			.access = arena_strdup(a, str_empty(n->permissions) ? "rwm" : n->permissions),
		};
	}
	return 0;
}

/* ---- mounts ---- */

static bool in_list(char *const *list, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(list[i], s))
			return true;
	return false;
}

static bool has_userns(const struct oci_linux *l)
{
	for (size_t i = 0; i < l->n_namespaces; i++)
		if (str_eq(l->namespaces[i].type, "user"))
			return true;
	return false;
}

static struct oci_mount mount_of(const struct cdi_mount *m, const struct oci_linux *l, struct arena *a)
{
	struct oci_mount out = {
		.destination = arena_strdup(a, m->container_path), .source = arena_strdup(a, m->host_path),
		.type = str_empty(m->type) ? NULL : arena_strdup(a, m->type),
		.options = room(a, m->options, m->n_options, 2, sizeof(char *)), .n_options = m->n_options,
	};
	bool rbind = in_list(out.options, out.n_options, "rbind");
	bool bind = rbind || in_list(out.options, out.n_options, "bind") || str_eq(m->type, "bind");

	/* a path of the host, and nothing says what to do with it */
	if (!bind && !out.type) {
		out.options[out.n_options++] = arena_strdup(a, "bind");
		bind = true;
	}
	if (bind && has_userns(l) && !in_list(out.options, out.n_options, "idmap") &&
	    !in_list(out.options, out.n_options, "ridmap"))
		out.options[out.n_options++] = arena_strdup(a, rbind ? "ridmap" : "idmap");
	return out;
}

static bool below(const char *path, const char *dir)
{
	const char *rest = str_skip_prefix(path, dir);

	return rest && (!*rest || *rest == '/' || str_has_suffix(dir, "/"));
}

static void put_mounts(const struct cdi_edits *e, struct oci_config *c, struct arena *a)
{
	c->mounts = room(a, c->mounts, c->n_mounts, e->n_mounts, sizeof(*c->mounts));
	for (size_t i = 0; i < e->n_mounts; i++) {
		struct oci_mount m = mount_of(&e->mounts[i], c->linux_, a);
		size_t kept = 0, at = 0;

		for (size_t k = 0; k < c->n_mounts; k++)
			if (!str_eq(c->mounts[k].destination, m.destination))
				c->mounts[kept++] = c->mounts[k];
		c->n_mounts = kept;
		/* in front of what it would hide */
		while (at < c->n_mounts && !below(c->mounts[at].destination, m.destination))
			at++;
		memmove(&c->mounts[at + 1], &c->mounts[at], (c->n_mounts - at) * sizeof(m));
		c->mounts[at] = m;
		c->n_mounts++;
	}
}

/* ---- the rest ---- */

static void put_hooks(const struct cdi_edits *e, struct oci_config *c, struct arena *a)
{
	struct oci_hooks *h = arena_new(a, 1, sizeof(*h));
	const struct {
		const char *name;
		struct oci_hook **list;
		size_t *n;
	} kinds[] = {
		{ "prestart", &h->prestart, &h->n_prestart },
		{ "createRuntime", &h->create_runtime, &h->n_create_runtime },
		{ "createContainer", &h->create_container, &h->n_create_container },
		{ "startContainer", &h->start_container, &h->n_start_container },
		{ "poststart", &h->poststart, &h->n_poststart },
		{ "poststop", &h->poststop, &h->n_poststop },
	};

	if (!e->n_hooks)
		return;
	if (c->hooks)
		*h = *c->hooks;
	c->hooks = h;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		*kinds[k].list = room(a, *kinds[k].list, *kinds[k].n, e->n_hooks, sizeof(struct oci_hook));
		for (size_t i = 0; i < e->n_hooks; i++) {
			const struct cdi_hook *from = &e->hooks[i];

			if (str_eq(from->name, kinds[k].name))
				(*kinds[k].list)[(*kinds[k].n)++] = (struct oci_hook){
					.path = from->path, .args = from->args, .n_args = from->n_args,
					.env = from->env, .n_env = from->n_env, .timeout = from->timeout,
				};
		}
	}
}

static void put_net_devices(const struct cdi_edits *e, struct oci_linux *l, struct arena *a)
{
	l->net_devices = room(a, l->net_devices, l->n_net_devices, e->n_net_devices, sizeof(*l->net_devices));
	for (size_t i = 0; i < e->n_net_devices; i++) {
		size_t at = 0;

		while (at < l->n_net_devices && !str_eq(l->net_devices[at].host_name,
							e->net_devices[i].host_name))
			at++;
		l->n_net_devices += at == l->n_net_devices;
		l->net_devices[at] = (struct oci_net_device){
			e->net_devices[i].host_name, e->net_devices[i].name,
		};
	}
}

static void put_gids(const struct cdi_edits *e, struct oci_user *u, struct arena *a)
{
	u->additional_gids = room(a, u->additional_gids, u->n_additional_gids, e->n_gids, sizeof(uint32_t));
	for (size_t i = 0; i < e->n_gids; i++) {
		bool there = !e->gids[i];

		for (size_t k = 0; k < u->n_additional_gids; k++)
			there |= u->additional_gids[k] == e->gids[i];
		if (!there)
			u->additional_gids[u->n_additional_gids++] = e->gids[i];
	}
}

int cdi_edits_apply(const struct cdi_edits *e, struct oci_config *config, struct arena *a, struct err *err)
{
	if (put_nodes(e, config, a, err) < 0)
		return -EINVAL;
	put_env(e, config->process, a);
	put_net_devices(e, config->linux_, a);
	put_mounts(e, config, a);
	put_hooks(e, config, a);
	put_gids(e, &config->process->user, a);
	if (e->rdt) {
		struct oci_intel_rdt *r = arena_new(a, 1, sizeof(*r));

		*r = (struct oci_intel_rdt){
			.clos_id = e->rdt->clos_id, .l3_cache_schema = e->rdt->l3_cache_schema,
			.mem_bw_schema = e->rdt->mem_bw_schema, .schemata = e->rdt->schemata,
			.n_schemata = e->rdt->n_schemata, .enable_monitoring = e->rdt->enable_monitoring,
		};
		config->linux_->intel_rdt = r;
	}
	return 0;
}
