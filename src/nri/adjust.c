/*
 * What a plugin wants changed in a container: annotations, mounts, environment, arguments, hooks,
 * rlimits, CDI devices. A key that begins with '-' takes away what is there, also what an earlier plugin
 * set; what two plugins set without that is a conflict, and neither wins.
 */
#include "nri/adjust.h"

#include <stdio.h>

#define FIELD(name) NRI__PKG__API__V1ALPHA1__FIELD__##name

int nri_adjust_wrong(const struct nri_adjust *ad, struct err *err, const char *what, const char *value,
		     const char *why)
{
	return err_set(err, ERR_INVALID, "NRI plugin %s: %s %.200s: %s", ad->plugin, what, value ? value : "",
		       why);
}

bool nri_adjust_removes(const char *key, const char **ret_name)
{
	*ret_name = key[0] == '-' ? key + 1 : key;
	return key[0] == '-';
}

void *nri_adjust_room(struct arena *a, const void *list, size_t n, size_t more, size_t size)
{
	void *copy = arena_new(a, n + more + 1, size);

	if (n)
		memcpy(copy, list, n * size);
	return copy;
}

char **nri_adjust_strings(char *const *from, size_t n, struct arena *a)
{
	char **list = arena_new(a, n + 1, sizeof(char *));

	for (size_t i = 0; i < n; i++)
		list[i] = arena_strdup(a, from[i]);
	return list;
}

static int bounded(const struct nri_adjust *ad, size_t n, const char *what, struct err *err)
{
	return n > NRI_LIST_MAX ? nri_adjust_wrong(ad, err, what, "", "too many") : 0;
}

/* Drops entry i of n. */
static void drop(void *list, size_t *n, size_t i, size_t size)
{
	char *at = (char *)list + i * size;

	memmove(at, at + size, (*n - i - 1) * size);
	(*n)--;
}

int nri_adjust_map(struct nri_adjust *ad, int field, const char *what, const char *key, const char *value,
		   struct json_kv *list, size_t *n, struct err *err)
{
	const char *name;
	bool removes = nri_adjust_removes(key, &name);
	size_t at = 0;

	if (!*name)
		return nri_adjust_wrong(ad, err, what, key, "no name");
	while (at < *n && !str_eq(list[at].key, name))
		at++;
	if (removes) {
		nri_unclaim(ad->owners, ad->id, field, name);
		if (at < *n)
			drop(list, n, at, sizeof(*list));
		return 0;
	}
	if (nri_claim(ad->owners, ad->id, field, name, ad->plugin, err) < 0)
		return -EINVAL;
	*n += at == *n;
	list[at] = (struct json_kv){ arena_strdup(ad->a, name), arena_strdup(ad->a, value) };
	return 0;
}

static int annotations(struct nri_adjust *ad, const NRI(ContainerAdjustment) *from, struct err *err)
{
	struct oci_config *c = ad->config;
	int r = bounded(ad, from->n_annotations, "annotations", err);

	if (r < 0 || !from->n_annotations)
		return r;
	c->annotations = nri_adjust_room(ad->a, c->annotations, c->n_annotations, from->n_annotations,
					 sizeof(*c->annotations));
	/* a map has no order: what is taken away goes first, so that "-x" and "x" replace */
	for (int set = 0; set < 2 && r == 0; set++)
		for (size_t i = 0; i < from->n_annotations && r == 0; i++)
			if ((from->annotations[i]->key[0] != '-') == set)
				r = nri_adjust_map(ad, FIELD(Annotations), "annotation",
						   from->annotations[i]->key,
						   from->annotations[i]->value, c->annotations, &c->n_annotations,
						   err);
	return r;
}

/* ---- mounts ---- */

/* Whether `path` is at or below `dir`. */
static bool below(const char *path, const char *dir)
{
	const char *rest = str_skip_prefix(path, dir);

	return rest && (!*rest || *rest == '/' || str_has_suffix(dir, "/"));
}

/* In front of the first mount that it would hide. */
static void insert_mount(struct oci_config *c, struct oci_mount m)
{
	size_t at = 0;

	while (at < c->n_mounts && !below(c->mounts[at].destination, m.destination))
		at++;
	memmove(&c->mounts[at + 1], &c->mounts[at], (c->n_mounts - at) * sizeof(m));
	c->mounts[at] = m;
	c->n_mounts++;
}

static int one_mount(struct nri_adjust *ad, const NRI(Mount) *from, bool set, struct err *err)
{
	struct oci_config *c = ad->config;
	const char *to;
	bool removes = nri_adjust_removes(from->destination, &to);

	if (removes == set)
		return 0;
	if (to[0] != '/')
		return nri_adjust_wrong(ad, err, "mount", from->destination, "not an absolute path");
	for (size_t i = c->n_mounts; i-- > 0;)
		if (str_eq(c->mounts[i].destination, to))
			drop(c->mounts, &c->n_mounts, i, sizeof(*c->mounts));
	if (removes) {
		nri_unclaim(ad->owners, ad->id, FIELD(Mounts), to);
		return 0;
	}
	if (nri_claim(ad->owners, ad->id, FIELD(Mounts), to, ad->plugin, err) < 0)
		return -EINVAL;
	insert_mount(c, (struct oci_mount){
		.destination = arena_strdup(ad->a, to), .type = arena_strdup(ad->a, from->type),
		.source = arena_strdup(ad->a, from->source),
		.options = nri_adjust_strings(from->options, from->n_options, ad->a),
		.n_options = from->n_options,
	});
	return 0;
}

static int mounts(struct nri_adjust *ad, const NRI(ContainerAdjustment) *from, struct err *err)
{
	struct oci_config *c = ad->config;
	int r = bounded(ad, from->n_mounts, "mounts", err);

	if (r < 0 || !from->n_mounts)
		return r;
	c->mounts = nri_adjust_room(ad->a, c->mounts, c->n_mounts, from->n_mounts, sizeof(*c->mounts));
	for (int set = 0; set < 2 && r == 0; set++)
		for (size_t i = 0; i < from->n_mounts && r == 0; i++)
			r = one_mount(ad, from->mounts[i], set, err);
	return r;
}

/* ---- process ---- */

static int one_env(struct nri_adjust *ad, const NRI(KeyValue) *from, bool set, struct err *err)
{
	struct oci_process *p = ad->config->process;
	const char *name;
	bool removes = nri_adjust_removes(from->key, &name);
	size_t len = strlen(name), at = 0;

	if (removes == set)
		return 0;
	if (!len || strchr(name, '='))
		return nri_adjust_wrong(ad, err, "env", from->key, "no name of a variable");
	while (at < p->n_env && !(strncmp(p->env[at], name, len) == 0 && p->env[at][len] == '='))
		at++;
	if (removes) {
		nri_unclaim(ad->owners, ad->id, FIELD(Env), name);
		if (at < p->n_env)
			drop(p->env, &p->n_env, at, sizeof(*p->env));
		return 0;
	}
	if (nri_claim(ad->owners, ad->id, FIELD(Env), name, ad->plugin, err) < 0)
		return -EINVAL;
	p->n_env += at == p->n_env;
	p->env[at] = arena_printf(ad->a, "%s=%s", name, from->value);
	return 0;
}

static int env(struct nri_adjust *ad, const NRI(ContainerAdjustment) *from, struct err *err)
{
	struct oci_process *p = ad->config->process;
	int r = bounded(ad, from->n_env, "env", err);

	if (r < 0 || !from->n_env)
		return r;
	p->env = nri_adjust_room(ad->a, p->env, p->n_env, from->n_env, sizeof(*p->env));
	for (int set = 0; set < 2 && r == 0; set++)
		for (size_t i = 0; i < from->n_env && r == 0; i++)
			r = one_env(ad, from->env[i], set, err);
	return r;
}

/* An empty first argument says: over whatever another plugin said. */
static int args(struct nri_adjust *ad, const NRI(ContainerAdjustment) *from, struct err *err)
{
	struct oci_process *p = ad->config->process;
	size_t skip = 0;

	if (!from->n_args)
		return 0;
	if (bounded(ad, from->n_args, "args", err) < 0)
		return -EINVAL;
	if (!*from->args[0]) {
		nri_unclaim(ad->owners, ad->id, FIELD(Args), NULL);
		skip = 1;
	}
	if (from->n_args == skip)
		return nri_adjust_wrong(ad, err, "args", "", "empty");
	if (nri_claim(ad->owners, ad->id, FIELD(Args), NULL, ad->plugin, err) < 0)
		return -EINVAL;
	p->args = nri_adjust_strings(from->args + skip, from->n_args - skip, ad->a);
	p->n_args = from->n_args - skip;
	return 0;
}

static int rlimits(struct nri_adjust *ad, const NRI(ContainerAdjustment) *from, struct err *err)
{
	struct oci_process *p = ad->config->process;

	if (bounded(ad, from->n_rlimits, "rlimits", err) < 0)
		return -EINVAL;
	p->rlimits = nri_adjust_room(ad->a, p->rlimits, p->n_rlimits, from->n_rlimits, sizeof(*p->rlimits));
	for (size_t i = 0; i < from->n_rlimits; i++) {
		const NRI(POSIXRlimit) *l = from->rlimits[i];
		const char *type = str_skip_prefix(l->type, "RLIMIT_") ? l->type :
				   arena_printf(ad->a, "RLIMIT_%s", l->type);
		size_t at = 0;

		if (l->soft > l->hard)
			return nri_adjust_wrong(ad, err, "rlimit", type, "soft is above hard");
		if (nri_claim(ad->owners, ad->id, FIELD(Rlimits), type, ad->plugin, err) < 0)
			return -EINVAL;
		while (at < p->n_rlimits && !str_eq(p->rlimits[at].type, type))
			at++;
		p->n_rlimits += at == p->n_rlimits;
		p->rlimits[at] = (struct oci_rlimit){
			.type = arena_strdup(ad->a, type), .soft = l->soft, .hard = l->hard,
		};
	}
	return 0;
}

/* ---- hooks, CDI ---- */

static int hook_list(struct nri_adjust *ad, NRI(Hook) *const *from, size_t n_from, struct oci_hook **list,
		     size_t *n,
		     struct err *err)
{
	if (!n_from)
		return 0;
	if (bounded(ad, n_from, "hooks", err) < 0)
		return -EINVAL;
	*list = nri_adjust_room(ad->a, *list, *n, n_from, sizeof(**list));
	for (size_t i = 0; i < n_from; i++) {
		struct oci_hook *h = &(*list)[*n];

		if (from[i]->path[0] != '/')
			return nri_adjust_wrong(ad, err, "hook", from[i]->path, "not an absolute path");
		*h = (struct oci_hook){
			.path = arena_strdup(ad->a, from[i]->path),
			.args = nri_adjust_strings(from[i]->args, from[i]->n_args, ad->a),
			.n_args = from[i]->n_args,
			.env = nri_adjust_strings(from[i]->env, from[i]->n_env,
						  ad->a), .n_env = from[i]->n_env,
		};
		if (from[i]->timeout && from[i]->timeout->value > 0) {
			h->timeout = arena_new(ad->a, 1, sizeof(*h->timeout));
			*h->timeout = from[i]->timeout->value > INT32_MAX ? INT32_MAX :
				      (int32_t)from[i]->timeout->value;
		}
		(*n)++;
	}
	nri_claim_also(ad->owners, ad->id, FIELD(OciHooks), ad->plugin);
	return 0;
}

static int hooks(struct nri_adjust *ad, const NRI(Hooks) *from, struct err *err)
{
	struct oci_hooks *h = arena_new(ad->a, 1, sizeof(*h));
	int r;

	if (!from)
		return 0;
	if (ad->config->hooks)
		*h = *ad->config->hooks;
	ad->config->hooks = h;
#define LIST(kind) hook_list(ad, from->kind, from->n_##kind, &h->kind, &h->n_##kind, err)
	r = LIST(prestart);
	if (r == 0)
		r = LIST(create_runtime);
	if (r == 0)
		r = LIST(create_container);
	if (r == 0)
		r = LIST(start_container);
	if (r == 0)
		r = LIST(poststart);
	if (r == 0)
		r = LIST(poststop);
#undef LIST
	return r;
}

static int cdi(struct nri_adjust *ad, const NRI(ContainerAdjustment) *from, struct err *err)
{
	if (bounded(ad, from->n_cdi_devices, "CDI_devices", err) < 0)
		return -EINVAL;
	ad->cdi = nri_adjust_room(ad->a, ad->cdi, ad->n_cdi, from->n_cdi_devices, sizeof(*ad->cdi));
	for (size_t i = 0; i < from->n_cdi_devices; i++) {
		const char *name = from->cdi_devices[i]->name;

		if (nri_claim(ad->owners, ad->id, FIELD(CdiDevices), name, ad->plugin, err) < 0)
			return -EINVAL;
		ad->cdi[ad->n_cdi++] = arena_strdup(ad->a, name);
	}
	return 0;
}

int nri_adjust_apply(struct nri_adjust *ad, const NRI(ContainerAdjustment) *from, struct err *err)
{
	int r = annotations(ad, from, err);

	if (r == 0)
		r = mounts(ad, from, err);
	if (r == 0)
		r = env(ad, from, err);
	if (r == 0)
		r = args(ad, from, err);
	if (r == 0)
		r = hooks(ad, from->hooks, err);
	if (r == 0)
		r = rlimits(ad, from, err);
	if (r == 0)
		r = cdi(ad, from, err);
	if (r == 0 && from->linux)
		r = nri_adjust_linux(ad, from->linux, err);
	return r;
}
