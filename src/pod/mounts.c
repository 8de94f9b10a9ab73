/*
 * The mounts of a container: what every container has, the pod's files, then the volumes of
 * the request. A volume on the place of a default one replaces it. Parents are mounted
 * before what lies below them, whatever the order of the request; equals keep their order.
 */
#include "pod/spec.h"
#include "pod/userns.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

enum { OPTIONS_MAX = 8 };

struct default_mount {
	const char *destination, *type, *source;
	const char *options[OPTIONS_MAX];
	bool ro_unless_privileged;
};

static const struct default_mount defaults[] = {
	{ "/proc", "proc", "proc", { "nosuid", "noexec", "nodev" }, false },
	{ "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" }, false },
	{ "/dev/pts", "devpts", "devpts",
	  { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" }, false },
	{ "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" }, false },
	{ "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev" }, true },
	{ "/sys/fs/cgroup", "cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime" }, true },
};

static struct oci_mount *add(struct oci_config *c, struct arena *a, const char *destination, const char *type,
			     const char *source)
{
	struct oci_mount *m = &c->mounts[c->n_mounts++];

	m->destination = arena_strdup(a, destination);
	m->type = arena_strdup(a, type);
	m->source = arena_strdup(a, source);
	m->options = arena_new(a, OPTIONS_MAX, sizeof(char *));
	return m;
}

static void option(struct oci_mount *m, struct arena *a, const char *text)
{
	assert(m->n_options < OPTIONS_MAX);
	m->options[m->n_options++] = arena_strdup(a, text);
}

/* Trailing and doubled slashes do not make another place. */
static bool same_place(const char *a, const char *b)
{
	for (;;) {
		while (*a == '/')
			a++;
		while (*b == '/')
			b++;
		if (!*a || !*b)
			return !*a && !*b;
		while (*a && *a != '/' && *a == *b) {
			a++;
			b++;
		}
		if ((*a && *a != '/') || (*b && *b != '/'))
			return false;
	}
}

static bool requested(const struct pod_spec *in, const char *destination)
{
	for (size_t i = 0; i < in->config->n_mounts; i++)
		if (in->config->mounts[i].container_path &&
		    same_place(in->config->mounts[i].container_path, destination))
			return true;
	return false;
}

static void add_file(const struct pod_spec *in, struct oci_config *c, struct arena *a,
		     const char *destination, const char *name)
{
	struct oci_mount *m;

	if (requested(in, destination))
		return;
	m = add(c, a, destination, "bind", arena_printf(a, "%s/%s", in->pod_dir, name));
	option(m, a, "rbind");
	option(m, a, "rprivate");
	option(m, a, in->config->security.readonly_rootfs ? "ro" : "rw");
}

/* A sysfs shows the network of whoever owns the namespace, so a pod's user namespace cannot mount
 * one that shows the host's: it gets the host's own. */
static struct oci_mount *add_host_sys(struct oci_config *c, struct arena *a)
{
	struct oci_mount *m = add(c, a, "/sys", "bind", "/sys");

	option(m, a, "rbind");
	option(m, a, "rslave");
	return m;
}

static void add_defaults(const struct pod_spec *in, struct oci_config *c, struct arena *a)
{
	bool host_sys = pod_userns_wanted(&in->pod->security.namespaces) && !in->netns;
	bool node_ipc = in->pod->security.namespaces.ipc == POD_NS_NODE;
	struct oci_mount *m;

	for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
		const struct default_mount *d = &defaults[i];

		if (requested(in, d->destination))
			continue;
		if (host_sys && str_eq(d->type, "sysfs"))
			m = add_host_sys(c, a);
		else
			m = add(c, a, d->destination, d->type, d->source);
		for (size_t k = 0; k < OPTIONS_MAX && d->options[k]; k++)
			option(m, a, d->options[k]);
		if (d->ro_unless_privileged)
			option(m, a, in->config->security.privileged ? "rw" : "ro");
	}
	if (!requested(in, "/dev/shm")) {
		m = add(c, a, "/dev/shm", "bind",
			node_ipc ? "/dev/shm" : arena_printf(a, "%s/shm", in->pod_dir));
		option(m, a, "rbind");
		option(m, a, "rprivate");
	}
	add_file(in, c, a, "/etc/hostname", "hostname");
	add_file(in, c, a, "/etc/hosts", "hosts");
	add_file(in, c, a, "/etc/resolv.conf", "resolv.conf");
}

static int check_rro(const struct pod_mount *v, struct err *err)
{
	if (!v->recursive_readonly)
		return 0;
	if (!v->readonly)
		return err_set(err, ERR_INVALID, "mount %s: recursive_read_only needs readonly",
			       v->container_path);
	if (v->propagation)
		return err_set(err, ERR_INVALID, "mount %s: recursive_read_only needs private propagation",
			       v->container_path);
	return 0;
}

/* What may be asked for beside the fields: of one mount, and nothing that a field says. */
static const char *const extra_options[] = {
	"nosuid", "suid", "nodev", "dev", "noexec", "exec", "nosymfollow", "noatime", "nodiratime", "relatime",
	"strictatime",
};

static int add_extra(const struct pod_mount *v, struct oci_mount *m, struct arena *a, struct err *err)
{
	char **options = arena_new(a, m->n_options + v->n_options + OPTIONS_MAX, sizeof(char *));

	memcpy(options, m->options, m->n_options * sizeof(char *));
	m->options = options;
	for (size_t i = 0; i < v->n_options; i++) {
		if (!str_in(v->options[i], extra_options, ARRAY_LEN(extra_options)))
			return err_set(err, ERR_INVALID, "mount %s: mount_options: \"%s\" is none that can be given",
				       v->container_path, v->options[i]);
		m->options[m->n_options++] = arena_strdup(a, v->options[i]);
	}
	return 0;
}

static int add_bind(const struct pod_mount *v, struct oci_config *c, struct arena *a, struct err *err)
{
	static const char *const propagation[] = { "rprivate", "rslave", "rshared" };
	char resolved[PATH_MAX];
	struct oci_mount *m;

	if (str_empty(v->host_path))
		return err_set(err, ERR_INVALID, "mount %s: no host_path", v->container_path);
	if (v->propagation < 0 || v->propagation >= (int)ARRAY_LEN(propagation))
		return err_set(err, ERR_INVALID, "mount %s: unknown propagation %d", v->container_path,
			       v->propagation);
	if (check_rro(v, err) < 0)
		return -EINVAL;
	/* links are resolved on the host, not as the container would see them */
	if (!realpath(v->host_path, resolved))
		return err_sysk(err, ERR_INVALID, errno, "mount %s: host_path %s", v->container_path,
				v->host_path);
	m = add(c, a, v->container_path, "bind", resolved);
	pod_userns_oci_mount(v->uids, v->n_uids, v->gids, v->n_gids, a, m);
	option(m, a, "rbind");
	option(m, a, propagation[v->propagation]);
	option(m, a, v->recursive_readonly ? "rro" : v->readonly ? "ro" : "rw");
	/* the root's own propagation bounds that of what is mounted below it */
	if (v->propagation == 2)
		c->linux_->rootfs_propagation = arena_strdup(a, "rshared");
	else if (v->propagation == 1 && !c->linux_->rootfs_propagation)
		c->linux_->rootfs_propagation = arena_strdup(a, "rslave");
	return add_extra(v, m, a, err);
}

static int add_image(const struct pod_spec *in, size_t index, struct oci_config *c, struct arena *a,
		     struct err *err)
{
	const struct pod_namespaces *ns = &in->pod->security.namespaces;
	const struct pod_mount *v = &in->config->mounts[index];
	struct oci_mount *m;

	for (size_t i = 0; i < in->n_volumes; i++) {
		const struct store_snapshot *snap = in->volumes[i].snapshot;

		if (in->volumes[i].mount != index)
			continue;
		m = add(c, a, v->container_path, "overlay", "overlay");
		/* one each: all in one string would be too long for the kernel's mount API */
		m->options = arena_new(a, snap->n_lowers + OPTIONS_MAX, sizeof(char *));
		for (size_t k = 0; k < snap->n_lowers; k++)
			m->options[m->n_options++] = arena_printf(a, "lowerdir+=%s", snap->lowers[k]);
		if (!str_empty(v->image_sub_path))
			m->options[m->n_options++] = arena_printf(a, "X-mount.subdir=%s", v->image_sub_path);
		pod_userns_oci_mount(ns->uids, ns->n_uids, ns->gids, ns->n_gids, a, m);
		m->options[m->n_options++] = arena_strdup(a, "ro");
		m->options[m->n_options++] = arena_strdup(a, "nosuid");
		m->options[m->n_options++] = arena_strdup(a, "nodev");
		return add_extra(v, m, a, err);
	}
	return err_set(err, ERR_INTERNAL, "mount %s: image %s was not prepared", v->container_path, v->image);
}

static size_t depth(const char *path)
{
	size_t n = 0;

	for (const char *p = path; *p; p++)
		n += *p != '/' && (p == path || p[-1] == '/');
	return n;
}

/* Insertion sort: stable, and the lists are short. */
static void sort_by_depth(struct oci_mount *m, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct oci_mount moved = m[i];
		size_t k = i;

		for (; k && depth(m[k - 1].destination) > depth(moved.destination); k--)
			m[k] = m[k - 1];
		m[k] = moved;
	}
}

int pod_spec_mounts(const struct pod_spec *in, struct arena *a, struct oci_config *c, struct err *err)
{
	const struct pod_container_config *config = in->config;

	c->mounts = arena_new(a, ARRAY_LEN(defaults) + 4 + config->n_mounts, sizeof(*c->mounts));
	add_defaults(in, c, a);
	for (size_t i = 0; i < config->n_mounts; i++) {
		const struct pod_mount *v = &config->mounts[i];
		int r;

		if (str_empty(v->container_path) || v->container_path[0] != '/')
			return err_set(err, ERR_INVALID,
				       "mounts[%zu].container_path \"%s\": not an absolute path", i,
				       v->container_path ? v->container_path : "");
		r = str_empty(v->image) ? add_bind(v, c, a, err) : add_image(in, i, c, a, err);
		if (r < 0)
			return r;
	}
	sort_by_depth(c->mounts, c->n_mounts);
	return 0;
}
