/*
 * Device nodes and the rules of the device cgroup. Every container may make and use what the
 * specification's default devices need; a privileged one gets all of the host's.
 */
#include "pod/spec.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { DEVICES_MAX = 4096, DEPTH_MAX = 8 };

static int64_t *number(struct arena *a, int64_t value)
{
	int64_t *p = arena_new(a, 1, sizeof(*p));

	*p = value;
	return p;
}

/* Room for one more in a list of `size` bytes each that began with none: grows at powers of two. */
static void *room(struct arena *a, void *list, size_t n, size_t size)
{
	void *more;

	if (n && (n < 16 || n & (n - 1)))
		return list;
	more = arena_new(a, n ? n * 2 : 16, size);
	return n ? memcpy(more, list, n * size) : more;
}

/* -1: any */
static void add_rule(struct oci_resources *res, struct arena *a, bool allow, const char *type, int64_t major,
		     int64_t minor, const char *access)
{
	res->devices = room(a, res->devices, res->n_devices, sizeof(*res->devices));
	res->devices[res->n_devices++] = (struct oci_device_rule){
		.allow = allow, .type = arena_strdup(a, type), .access = arena_strdup(a, access),
		.major = major < 0 ? NULL : number(a, major), .minor = minor < 0 ? NULL : number(a, minor),
	};
}

static void add_node(struct oci_linux *l, struct arena *a, const char *path, const struct stat *st)
{
	uint32_t *ids = arena_new(a, 3, sizeof(*ids));
	struct oci_device *d;

	l->devices = room(a, l->devices, l->n_devices, sizeof(*l->devices));
	d = &l->devices[l->n_devices++];
	d->type = arena_strdup(a, S_ISBLK(st->st_mode) ? "b" : "c");
	d->path = arena_strdup(a, path);
	d->major = number(a, major(st->st_rdev));
	d->minor = number(a, minor(st->st_rdev));
	ids[0] = st->st_mode & 0777;
	ids[1] = st->st_uid;
	ids[2] = st->st_gid;
	d->file_mode = &ids[0];
	d->uid = &ids[1];
	d->gid = &ids[2];
}

struct walk {
	struct oci_linux *l;
	struct arena *a;
	const char *permissions; /* NULL: no rules */
	bool of_host;            /* /dev itself: leaves out what a container has of its own */
	struct err *err;
};

static bool own_in_container(const char *name)
{
	static const char *const names[] = { "pts", "shm", "fd", "mqueue", "console", "ptmx", ".lxc",
					     ".lxd-mounts",
					     ".udev" };

	return str_in(name, names, ARRAY_LEN(names));
}

static int take(const struct walk *w, const char *to, const struct stat *st)
{
	struct oci_linux *l = w->l;

	if (l->n_devices >= DEVICES_MAX)
		return err_set(w->err, ERR_LIMIT, "devices: more than %d", DEVICES_MAX);
	add_node(l, w->a, to, st);
	if (w->permissions)
		add_rule(l->resources, w->a, true, S_ISBLK(st->st_mode) ? "b" : "c", major(st->st_rdev),
			 minor(st->st_rdev), w->permissions);
	return 0;
}

/* All device nodes below a directory; links are not followed. */
static int walk(const struct walk *w, const char *from, const char *to, int depth)
{
	DIR *dir = opendir(from);
	struct dirent *e;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_sys(w->err, errno, "device directory %s", from);
	while (r == 0 && (e = readdir(dir))) {
		autofree char *src = mem_printf("%s/%s", from, e->d_name);
		autofree char *dst = mem_printf("%s/%s", to, e->d_name);
		struct stat st;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    (w->of_host && depth == 0 && own_in_container(e->d_name)))
			continue;
		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* it went away */
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			r = walk(w, src, dst, depth + 1);
		else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
			r = take(w, dst, &st);
	}
	closedir(dir);
	return r;
}

static int add_requested(const struct pod_device *d, struct oci_linux *l, struct arena *a, struct err *err)
{
	struct walk w = { l, a, str_empty(d->permissions) ? "rwm" : d->permissions, false, err };
	const char *to = str_empty(d->container_path) ? d->host_path : d->container_path;
	struct stat st;

	if (str_empty(d->host_path) || d->host_path[0] != '/' || to[0] != '/')
		return err_set(err, ERR_INVALID, "device %s: not an absolute path",
			       d->host_path ? d->host_path : "");
	if (w.permissions[strspn(w.permissions, "rwm")])
		return err_set(err, ERR_INVALID, "device %s: permissions \"%s\" are not of \"rwm\"",
			       d->host_path, d->permissions);
	if (stat(d->host_path, &st) < 0)
		return err_sysk(err, ERR_INVALID, errno, "device %s", d->host_path);
	if (S_ISDIR(st.st_mode))
		return walk(&w, d->host_path, to, 0);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(err, ERR_INVALID, "device %s: is no device", d->host_path);
	return take(&w, to, &st);
}

int pod_spec_devices(const struct pod_spec *in, struct arena *a, struct oci_linux *l, struct err *err)
{
	/* null zero full tty random urandom; console; ptmx; terminals of devpts; tun is not among them */
	static const struct {
		int major, minor;
	} usual[] = { { 1, 3 }, { 1, 5 }, { 1, 7 }, { 5, 0 }, { 1, 8 }, { 1, 9 }, { 5, 1 }, { 5, 2 },
		      { 136, -1 } };
	const struct pod_container_config *c = in->config;
	struct oci_resources *res = l->resources;
	int r = 0;

	if (c->security.privileged) {
		struct walk w = { l, a, NULL, true, err };

		add_rule(res, a, true, "a", -1, -1, "rwm");
		r = walk(&w, "/dev", "/dev", 0);
	} else {
		add_rule(res, a, false, "a", -1, -1, "rwm");
		/* a node may be made, but not opened */
		add_rule(res, a, true, "c", -1, -1, "m");
		add_rule(res, a, true, "b", -1, -1, "m");
		for (size_t i = 0; i < ARRAY_LEN(usual); i++)
			add_rule(res, a, true, "c", usual[i].major, usual[i].minor, "rwm");
	}
	for (size_t i = 0; i < c->n_devices && r == 0; i++)
		r = add_requested(&c->devices[i], l, a, err);
	return r;
}
