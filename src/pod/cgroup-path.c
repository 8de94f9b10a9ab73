/*
 * How a pod's and a container's cgroup are called: in the tree, and in config.json. Pure.
 */
#include "pod/cgroup.h"

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *pod_cgroup_below(const char *pod_path, const char *id, struct arena *a)
{
	if (str_has_suffix(pod_path, ".slice"))
		return arena_printf(a, "%s/caisson-%s.scope", pod_path, id);
	return arena_printf(a, "%s/%s", pod_path, id);
}

char *pod_cgroup_request(const char *path, struct arena *a)
{
	const char *scope = base_of(path), *id = str_skip_prefix(scope, "caisson-");
	char *slice;

	if (!id || !str_has_suffix(id, ".scope") || scope == path)
		return arena_strdup(a, path);
	slice = arena_strndup(a, path, (size_t)(scope - path - 1));
	return arena_printf(a, "%s:caisson:%.*s", base_of(slice), (int)(strlen(id) - strlen(".scope")), id);
}
