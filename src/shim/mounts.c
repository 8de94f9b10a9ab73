/*
 * The parsers run on the loop thread, rootfs_mount and rootfs_unmount in jobs, since a
 * mount may wait for a disk or a network.
 */
#include "shim/mounts.h"

#include "mnt/mnt.h"
#include "sys/sys.h"

#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>

/* "0:100000:65536,70000:70000:1": inside, outside, how many. */
static int parse_maps(const char *value, struct arena *a, const struct ns_id_map **ret, size_t *ret_n)
{
	struct ns_id_map *maps = arena_new(a, NS_MAPS_MAX, sizeof(*maps));
	char *save = NULL, *text = arena_strdup(a, value);
	size_t n = 0, at;

	for (char *m = strtok_r(text, ",", &save); m; m = strtok_r(NULL, ",", &save)) {
		uint32_t *const parts[] = { &maps[n].inside, &maps[n].outside, &maps[n].size };

		if (n == NS_MAPS_MAX)
			return -E2BIG;
		for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
			char *colon = strchr(m, ':');

			if (!colon != (i == ARRAY_LEN(parts) - 1))
				return -EINVAL;
			if (colon)
				*colon = '\0';
			if (str_to_u32(m, 10, parts[i]) < 0)
				return -EINVAL;
			m = colon + 1;
		}
		n++;
	}
	*ret = maps;
	*ret_n = n;
	return ns_maps_check(maps, n, &at);
}

int rootfs_parse_overlay(const char *const *options, size_t n, struct arena *a, struct runtime_overlay *ret,
			 struct err *err)
{
	const char **left = arena_new(a, n + 1, sizeof(*left));
	const struct mnt_overlay *parsed;
	struct runtime_overlay o = { 0 };
	size_t n_left = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const char *value;

		if ((value = str_skip_prefix(options[i], "uidmap=")))
			r = parse_maps(value, a, &o.uids, &o.n_uids);
		else if ((value = str_skip_prefix(options[i], "gidmap=")))
			r = parse_maps(value, a, &o.gids, &o.n_gids);
		/* what the mount is: for the runtime to decide */
		else if (!str_eq(options[i], "rw") && !str_eq(options[i], "ro"))
			left[n_left++] = options[i];
		if (r < 0)
			return err_set(err, ERR_INVALID, "overlay: %s: not a list of inside:outside:size",
				       options[i]);
	}
	if (!o.n_uids != !o.n_gids)
		return err_set(err, ERR_INVALID, "overlay: uidmap and gidmap go together");
	r = mnt_overlay_parse(left, n_left, a, &parsed, err);
	if (r <= 0)
		return r;
	if (parsed->subdir)
		return err_set(err, ERR_INVALID, "overlay: a root file system is a whole one, not its %s",
			       parsed->subdir);
	o.lowers = (char **)parsed->lowers;
	o.n_lowers = parsed->n_lowers;
	o.upper = (char *)parsed->upper;
	o.work = (char *)parsed->work;
	o.is_volatile = parsed->is_volatile;
	*ret = o;
	return 1;
}

static const struct {
	const char *name;
	unsigned long set, clear;
} flags[] = {
	{ "ro", MS_RDONLY, 0 },          { "rw", 0, MS_RDONLY },
	{ "nosuid", MS_NOSUID, 0 },      { "suid", 0, MS_NOSUID },
	{ "nodev", MS_NODEV, 0 },        { "dev", 0, MS_NODEV },
	{ "noexec", MS_NOEXEC, 0 },      { "exec", 0, MS_NOEXEC },
	{ "sync", MS_SYNCHRONOUS, 0 },   { "async", 0, MS_SYNCHRONOUS },
	{ "dirsync", MS_DIRSYNC, 0 },    { "mand", MS_MANDLOCK, 0 },
	{ "noatime", MS_NOATIME, 0 },    { "atime", 0, MS_NOATIME },
	{ "nodiratime", MS_NODIRATIME, 0 }, { "diratime", 0, MS_NODIRATIME },
	{ "relatime", MS_RELATIME, 0 },  { "norelatime", 0, MS_RELATIME },
	{ "strictatime", MS_STRICTATIME, 0 }, { "nostrictatime", 0, MS_STRICTATIME },
	{ "bind", MS_BIND, 0 },          { "rbind", MS_BIND | MS_REC, 0 },
	{ "defaults", 0, 0 },
};

int rootfs_parse_options(const char *const *options, size_t n, struct arena *a, unsigned long *ret_flags,
			 char **ret_data, struct err *err)
{
	unsigned long set = 0;
	char *data = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(flags) && !str_eq(flags[k].name, options[i]))
			k++;
		if (k < ARRAY_LEN(flags)) {
			set |= flags[k].set;
			set &= ~flags[k].clear;
			continue;
		}
		if (str_eq(options[i], "loop"))
			return err_set(err, ERR_UNSUPPORTED, "rootfs: mount option %s", options[i]);
		data = data ? arena_printf(a, "%s,%s", data, options[i]) : arena_strdup(a, options[i]);
		/* one page, and the kernel cuts silently */
		if (strlen(data) >= 4096)
			return err_set(err, ERR_LIMIT, "rootfs: the mount options are longer than a page");
	}
	*ret_flags = set;
	*ret_data = data;
	return 0;
}

static int mount_one(const struct rootfs_mount *m, const char *rootfs, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	unsigned long set;
	char *data, *target;
	int r = rootfs_parse_options(m->options, m->n_options, &a, &set, &data, err);

	if (r < 0)
		return r;
	target = str_empty(m->target) ? arena_strdup(&a, rootfs) : arena_printf(&a, "%s/%s", rootfs,
										m->target);
	if (strstr(target, "/../") || str_has_suffix(target, "/.."))
		return err_set(err, ERR_INVALID, "rootfs: target %s", m->target);
	if (mount(m->source, target, m->type, set & ~(set & MS_BIND ? MS_RDONLY : 0), data) < 0)
		return err_sys(err, errno, "rootfs: mount %s %s on %s", m->type, m->source, target);
	/* a bind mount takes its flags only when it is mounted again */
	if (set & MS_BIND && set & ~(unsigned long)(MS_BIND | MS_REC) &&
	    mount(NULL, target, NULL, (set & ~(unsigned long)MS_REC) | MS_REMOUNT, NULL) < 0)
		return err_sys(err, errno, "rootfs: remount %s", target);
	return 0;
}

int rootfs_mount(const struct rootfs_mount *mounts, size_t n, const char *bundle, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const char *rootfs = arena_printf(&a, "%s/rootfs", bundle);
	int r = sys_mkdir_p(rootfs, 0711);

	if (r < 0)
		return err_sys(err, r, "make %s", rootfs);
	for (size_t i = 0; i < n; i++) {
		r = mount_one(&mounts[i], rootfs, err);
		if (r < 0) {
			rootfs_unmount(bundle, NULL);
			return r;
		}
	}
	return 0;
}

int rootfs_unmount(const char *bundle, struct err *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/rootfs", bundle) >= (int)sizeof(path))
		return err_set(err, ERR_INVALID, "%s: the path is too long", bundle);
	/* as many as were stacked there; EINVAL: not a mount point (any more) */
	for (int i = 0; i < 64; i++) {
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
			continue;
		return errno == EINVAL || errno == ENOENT ? 0 : err_sys(err, errno, "unmount %s", path);
	}
	return 0;
}
