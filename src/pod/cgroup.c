/*
 * Directories above the containers' cgroups. The runtime makes and removes the leaves, and
 * makes what is missing above them; removing those again is done here. Worker threads.
 */
#include "pod/cgroup.h"

#include "cgroup/cgroup.h"

#include <sys/stat.h>

static bool exists(const struct cgroup_host *host, const char *path)
{
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;

	return cgroup_open(host, path, &cg, NULL) == 0;
}

/* The topmost prefix of path that no hierarchy has; NULL when all of it is there. */
static char *first_missing(const struct cgroup_host *host, const char *path, struct arena *a)
{
	char *prefix = arena_strdup(a, path);

	for (char *p = prefix + 1;; p++) {
		char saved = *p;

		if (saved && saved != '/')
			continue;
		*p = '\0';
		if (!exists(host, prefix))
			return prefix;
		*p = saved;
		if (!saved)
			return NULL;
	}
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The kubelet gives the slice with all those above it, people its name alone. */
static int slice_path(struct pod_sandbox *p, const char *parent, struct arena *a, char **ret, struct err *err)
{
	const char *name = base_of(parent), *own = base_of(p->priv->m->settings.cgroup_parent);
	struct cgroup_unit unit = { 0 };
	char *path, *dash;
	int r;

	if (str_empty(name)) {
		size_t n = strlen(own) - (str_has_suffix(own, ".slice") ? strlen(".slice") : 0);

		name = arena_printf(a, "%.*s-pod%s.slice", (int)n, own, p->id);
		parent = name;
	}
	if (!str_has_suffix(name, ".slice"))
		return err_set(err, ERR_INVALID,
			       "not a slice (\"….slice\"), but the cgroup driver is systemd");
	r = cgroup_slice_path(name, a, &path, err);
	if (r < 0)
		return r;
	if (str_eq(name, "-.slice"))
		return err_set(err, ERR_INVALID, "the root slice is nobody's pod");
	if (strchr(parent, '/') && !str_eq(parent + (parent[0] == '/'), path + 1))
		return err_set(err, ERR_INVALID, "systemd has this slice at %s", path);
	/* as a unit in the slice above it */
	unit.name = name;
	dash = strrchr(name, '-');
	unit.slice = dash ? arena_printf(a, "%.*s.slice", (int)(dash - name), name) : "-.slice";
	return cgroup_unit_path(&unit, a, ret, err);
}

static int plain_path(struct pod_sandbox *p, const char *parent, struct arena *a, char **ret, struct err *err)
{
	char *path;

	if (str_has_suffix(parent, ".slice"))
		return err_set(err, ERR_INVALID, "a systemd slice, but the cgroup driver is cgroupfs");
	if (str_empty(parent) || strspn(parent, "/") == strlen(parent))
		path = arena_printf(a, "%s/pod%s", p->priv->m->settings.cgroup_parent, p->id);
	else
		path = arena_printf(a, "%s%s", parent[0] == '/' ? "" : "/", parent);
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	*ret = path;
	return cgroup_path_check(path, err);
}

int pod_cgroup_choose(struct pod_sandbox *p, struct err *err)
{
	struct pod_manager *m = p->priv->m;
	struct arena *a = &p->priv->arena;
	const char *parent = p->config->cgroup_parent ? p->config->cgroup_parent : "";
	const struct cgroup_host *host;
	char *path, *made;
	int r;

	r = m->settings.systemd_cgroup ? slice_path(p, parent, a, &path, err) :
					 plain_path(p, parent, a, &path, err);
	if (r == 0)
		r = cgroup_host_get(&host, err);
	if (r < 0)
		return err_wrap(err, r, "cgroup_parent %s", parent);
	/* no other pod takes a directory away between our looking and our being known to use it */
	pthread_mutex_lock(&m->cgroups);
	made = first_missing(host, path, a);
	pod_lock(m);
	p->cgroup_path = path;
	p->priv->cgroup_made = made;
	pod_unlock(m);
	pthread_mutex_unlock(&m->cgroups);
	return 0;
}

/* Whether a directory has others in it: stopping a slice would stop what is in them. */
static bool has_children(const char *dir)
{
	struct stat st;

	return stat(dir, &st) == 0 && st.st_nlink > 2;
}

static bool stop_slice(const struct cgroup *cg, const char *path)
{
	const struct cgroup_host *host = cgroup_host_of(cg);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;

	for (size_t i = 0; i < host->n_hierarchies; i++) {
		const char *dir = cgroup_directory(cg, i, &a);

		if (dir && has_children(dir))
			return false;
	}
	return cgroup_unit_stop(base_of(path), false, NULL) == 0;
}

/* rmdir in each hierarchy: true when it is gone from all. Never what is below it. */
static bool remove_empty(const struct cgroup_host *host, const char *path)
{
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	bool gone = true;

	if (cgroup_open(host, path, &cg, NULL) < 0) {
		if (str_has_suffix(path, ".slice"))
			cgroup_unit_stop(base_of(path), false, NULL);
		return true;
	}
	/* directories that systemd has not made are still there afterwards */
	if (str_has_suffix(path, ".slice") && !stop_slice(cg, path))
		return false;
	for (size_t i = 0; i < host->n_hierarchies; i++) {
		const char *dir = cgroup_directory(cg, i, &a);

		if (dir && rmdir(dir) < 0 && errno != ENOENT)
			gone = false;
	}
	return gone;
}

/* Another pod at or below path that has not released it, or is about to use it. Under the lock. */
static struct pod_sandbox *heir_of(const struct pod_sandbox *p, const char *path)
{
	list_for_each(priv, &p->priv->m->order, struct pod_sandbox_private, link) {
		const char *other = priv->pod->cgroup_path ? priv->pod->cgroup_path : "";
		const char *rest = str_skip_prefix(other, path);

		if (priv->pod != p && !priv->cgroup_released && rest && (!*rest || *rest == '/'))
			return priv->pod;
	}
	return NULL;
}

/* The heir with a reference, which removes from now on what p would have, or NULL. */
static struct pod_sandbox *hand_over(struct pod_sandbox *p, const char *path)
{
	struct pod_manager *m = p->priv->m;
	struct pod_sandbox *heir;
	const char *made = p->priv->cgroup_made;

	pod_lock(m);
	heir = heir_of(p, path);
	if (heir) {
		if (!heir->priv->cgroup_made || strlen(heir->priv->cgroup_made) > strlen(made))
			heir->priv->cgroup_made = arena_strdup(&heir->priv->arena, made);
		pod_sandbox_ref(heir);
	}
	pod_unlock(m);
	return heir;
}

/* What was made for the pod, from its own directory upwards. With m->cgroups held. */
static struct pod_sandbox *release(struct pod_sandbox *p)
{
	autofree char *path = mem_strdup(p->cgroup_path);
	size_t stop = strlen(p->priv->cgroup_made);
	const struct cgroup_host *host;

	if (cgroup_host_get(&host, NULL) < 0)
		return NULL;
	while (strlen(path) >= stop) {
		struct pod_sandbox *heir = hand_over(p, path);
		char *slash = strrchr(path, '/');

		if (heir || !remove_empty(host, path) || !slash || slash == path)
			return heir;
		*slash = '\0';
	}
	return NULL;
}

void pod_cgroup_release(struct pod_sandbox *p)
{
	struct pod_manager *m = p->priv->m;
	struct pod_sandbox *heir = NULL;

	pthread_mutex_lock(&m->cgroups);
	if (p->cgroup_path && p->priv->cgroup_made && !p->priv->cgroup_released)
		heir = release(p);
	pod_lock(m);
	p->priv->cgroup_released = true;
	pod_unlock(m);
	pthread_mutex_unlock(&m->cgroups);
	if (heir)
		pod_sandbox_commit(heir, NULL);
	pod_sandbox_unref(heir);
}

bool pod_cgroup_oom_killed(const char *path)
{
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	const struct cgroup_host *host;
	uint64_t kills = 0;

	return cgroup_host_get(&host, NULL) == 0 && cgroup_open(host, path, &cg, NULL) == 0 &&
	       cgroup_oom_kills(cg, &kills, NULL) == 0 && kills;
}

int pod_cgroup_destroy(const char *path, struct err *err)
{
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	const struct cgroup_host *host;
	int r = cgroup_host_get(&host, err);

	if (r < 0)
		return r;
	if (str_has_suffix(path, ".scope"))
		r = cgroup_open_unit(host, path, &(struct cgroup_unit){ .name = base_of(path) }, &cg, err);
	else
		r = cgroup_open(host, path, &cg, err);
	if (r < 0) {
		if (err && err->kind == ERR_NOT_FOUND) {
			err_clear(err);
			return 0;
		}
		return r;
	}
	return cgroup_remove(cg, true, time_now_mono() + POD_KILL_TIME, err);
}
