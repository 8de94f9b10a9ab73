/*
 * Building, checking and printing the plan. Pure: nothing here touches a file.
 */
#include "mnt/mnt.h"

#include "sys/mount.h"

#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

void mnt_plan_init(struct mnt_plan *plan, struct arena *a)
{
	memset(plan, 0, sizeof(*plan));
	plan->arena = a;
	plan->root_fd = plan->null_fd = plan->userns_fd = plan->pts_fd = -EBADF;
	for (size_t i = 0; i < ARRAY_LEN(plan->overlay_fds); i++)
		plan->overlay_fds[i] = -EBADF;
}

void mnt_plan_done(struct mnt_plan *plan)
{
	for (size_t i = 0; i < plan->n_entries; i++) {
		fd_drop(&plan->entries[i].fd);
		fd_drop(&plan->entries[i].userns_fd);
	}
	for (size_t i = 0; i < ARRAY_LEN(plan->overlay_fds); i++)
		fd_drop(&plan->overlay_fds[i]);
	fd_drop(&plan->root_fd);
	fd_drop(&plan->null_fd);
}

/* "/a//b/./c/../d" → "/a/b/d" as text only: for comparing what the user wrote. */
static char *clean_path(struct arena *a, const char *path)
{
	char *out = arena_new(a, strlen(path) + 2, 1);
	size_t len = 0;

	for (const char *p = path; *p;) {
		size_t n;

		while (*p == '/')
			p++;
		n = strcspn(p, "/");
		if (n == 0)
			break;
		if (n == 2 && p[0] == '.' && p[1] == '.') {
			while (len && out[--len] != '/')
				;
		} else if (!(n == 1 && *p == '.')) {
			out[len++] = '/';
			memcpy(out + len, p, n);
			len += n;
		}
		p += n;
	}
	if (!len)
		out[len++] = '/';
	out[len] = '\0';
	return out;
}

/* What lies behind dir in path, both clean: "" when equal, NULL when not below. */
static const char *below(const char *path, const char *dir)
{
	const char *rest = str_skip_prefix(path, dir);

	if (str_eq(dir, "/"))
		return path + 1;
	return rest && (*rest == '/' || !*rest) ? rest + (*rest == '/') : NULL;
}

/* Files in the container's /proc over which something may be mounted: lxcfs and the like. */
static const char *const proc_targets[] = {
	"cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo", "net/dev",
	"sys/kernel/ns_last_pid", "sys/crypto/fips_enabled",
};

static int check_proc_target(const struct mnt_entry *e, const char *clean, struct err *err)
{
	const char *in = below(clean, "/proc");

	if (!in || str_eq(e->type, "proc") || (!*in && e->kind == MNT_BIND))
		return 0;
	if (e->kind == MNT_REMOUNT || (*in && str_in(in, proc_targets, ARRAY_LEN(proc_targets))))
		return 0;
	/* a mount there would hide the masks, or be one end of a way around them (CVE-2019-16884) */
	return err_set(err, ERR_INVALID, "a mount inside /proc is not allowed");
}

static int add(struct mnt_plan *plan, const struct mnt_spec *spec, const char *bundle, struct err *err)
{
	struct mnt_entry e = {
		.target = spec->target, .type = str_empty(spec->type) ? "none" : spec->type,
		.source = spec->source, .fd = -EBADF, .userns_fd = -EBADF,
		.uids = spec->uids, .gids = spec->gids, .n_uids = spec->n_uids, .n_gids = spec->n_gids,
	};
	struct mnt_options *o = &e.options;
	char *clean;
	size_t at;
	int r;

	if (str_empty(spec->target))
		return err_set(err, ERR_INVALID, "no destination");
	r = mnt_options_parse(spec->options, spec->n_options, plan->arena, o, err);
	if (r < 0)
		return r;
	if (o->bind || str_eq(e.type, "bind"))
		e.kind = o->remount ? MNT_REMOUNT : MNT_BIND;
	else if (o->remount)
		e.kind = MNT_REMOUNT;
	else if (str_eq(e.type, "cgroup") || str_eq(e.type, "cgroup2"))
		e.kind = MNT_CGROUP;
	else
		e.kind = MNT_FS;
	clean = clean_path(plan->arena, e.target);
	if (str_eq(clean, "/") && e.kind != MNT_REMOUNT)
		return err_set(err, ERR_INVALID, "destination / is the root itself");
	r = check_proc_target(&e, clean, err);
	if (r < 0)
		return r;
	e.target = clean;
	if (e.kind == MNT_BIND) {
		if (str_empty(e.source))
			return err_set(err, ERR_INVALID, "a bind mount needs a source");
		if (*e.source != '/')
			e.source = arena_printf(plan->arena, "%s/%s", bundle, e.source);
		/* mount(8) calls it "bind" when it means one mount; the specification's "bind"
		 * type without an option has always been recursive in its implementations */
		if (!o->bind)
			o->bind_rec = true;
	} else if (e.kind == MNT_FS && str_eq(e.type, "none")) {
		return err_set(err, ERR_INVALID, "no type, and no bind option");
	}
	if (o->copy_up && !str_eq(e.type, "tmpfs"))
		return err_set(err, ERR_INVALID, "tmpcopyup is for tmpfs");
	if (spec->n_uids || spec->n_gids) {
		if (!spec->n_uids || !spec->n_gids)
			return err_set(err, ERR_INVALID, "uidMappings and gidMappings go together");
		if (ns_maps_check(spec->uids, spec->n_uids, &at) < 0)
			return err_set(err, ERR_INVALID, "uidMappings[%zu]: empty, or overlaps another", at);
		if (ns_maps_check(spec->gids, spec->n_gids, &at) < 0)
			return err_set(err, ERR_INVALID, "gidMappings[%zu]: empty, or overlaps another", at);
		o->idmap = true;
	}
	if (e.kind == MNT_FS && str_eq(e.type, "overlay")) {
		r = mnt_overlay_parse(o->data, o->n_data, plan->arena, &e.overlay, err);
		if (r < 0)
			return r;
		e.kind = r ? MNT_OVERLAY : MNT_FS;
	}
	if (o->idmap_maps) {
		struct mnt_idmap maps;

		if (spec->n_uids)
			return err_set(err, ERR_INVALID, "uidMappings and idmap= are both given");
		r = mnt_idmap_parse(o->idmap_maps, &plan->own, plan->arena, &maps, err);
		if (r < 0)
			return err_wrap(err, r, "idmap");
		e.uids = maps.uids;
		e.gids = maps.gids;
		e.n_uids = maps.n_uids;
		e.n_gids = maps.n_gids;
	}
	if ((o->copy_link || o->source_link || o->target_link) && e.kind != MNT_BIND)
		return err_set(err, ERR_INVALID,
			       "copy-symlink, src-nofollow and dest-nofollow are for bind mounts");
	if (o->idmap && e.kind != MNT_BIND && e.kind != MNT_OVERLAY)
		return err_set(err, ERR_UNSUPPORTED, "only bind mounts and overlays can be idmapped");
	e.pseudo = e.kind == MNT_FS && (str_eq(e.type, "proc") || str_eq(e.type, "sysfs"));
	if (plan->n_entries == plan->cap_entries) {
		size_t cap = plan->cap_entries ? plan->cap_entries * 2 : 16;
		struct mnt_entry *grown = arena_new(plan->arena, cap, sizeof(*grown));

		if (plan->n_entries)
			memcpy(grown, plan->entries, plan->n_entries * sizeof(*grown));
		plan->entries = grown;
		plan->cap_entries = cap;
	}
	plan->entries[plan->n_entries++] = e;
	return 0;
}

int mnt_plan_add(struct mnt_plan *plan, const struct mnt_spec *spec, const char *bundle, struct err *err)
{
	int r = add(plan, spec, bundle, err);

	return r < 0 ? err_wrap(err, r, "mount %s", str_empty(spec->target) ? "?" : spec->target) : 0;
}

static int check_paths(const char *const *paths, size_t n, const char *what, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (*paths[i] != '/')
			return err_set(err, ERR_INVALID, "%s[%zu]: \"%s\" is not an absolute path", what, i,
				       paths[i]);
	return 0;
}

int mnt_plan_check(struct mnt_plan *plan, struct err *err)
{
	int r;

	for (size_t i = 0; i < plan->n_devices; i++) {
		const struct mnt_device *d = &plan->devices[i];

		if (*d->path != '/' || str_has_suffix(d->path, "/") || strstr(d->path, "/../"))
			return err_set(err, ERR_INVALID, "device \"%s\": not a path of a file", d->path);
	}
	/* /dev from outside is left as it is */
	plan->setup_dev = true;
	for (size_t i = 0; i < plan->n_entries; i++)
		if (str_eq(plan->entries[i].target, "/dev"))
			plan->setup_dev = plan->entries[i].kind != MNT_BIND;
	r = check_paths(plan->masked, plan->n_masked, "linux.maskedPaths", err);
	if (r < 0)
		return r;
	return check_paths(plan->readonly, plan->n_readonly, "linux.readonlyPaths", err);
}

/* ---- print ---- */

static const struct {
	uint64_t flag;
	const char *name;
} attr_names[] = {
	{ MOUNT_ATTR_RDONLY, "ro" },           { MOUNT_ATTR_NOSUID, "nosuid" },
	{ MOUNT_ATTR_NODEV, "nodev" },         { MOUNT_ATTR_NOEXEC, "noexec" },
	{ MOUNT_ATTR_NOATIME, "noatime" },     { MOUNT_ATTR_STRICTATIME, "strictatime" },
	{ MOUNT_ATTR_NODIRATIME, "nodiratime" }, { 0x00200000, "nosymfollow" },
};

static void print_attrs(struct buf *out, const char *what, uint64_t flags)
{
	if (!flags)
		return;
	buf_puts(out, what);
	for (size_t i = 0; i < ARRAY_LEN(attr_names); i++)
		if (flags & attr_names[i].flag)
			buf_printf(out, " %s", attr_names[i].name);
}

static const char *propagation_name(uint64_t p)
{
	return p == MS_SHARED ? "shared" : p == MS_PRIVATE ? "private" : p == MS_UNBINDABLE ? "unbindable" :
			"slave";
}

static void print_entry(struct buf *out, const struct mnt_entry *e)
{
	static const char *const kinds[] = { "bind", "mount", "overlay", "cgroup", "remount", "link" };
	const struct mnt_options *o = &e->options;

	buf_printf(out, "%s%s %s", o->bind_rec ? "r" : "", kinds[e->kind], e->target);
	if (e->kind == MNT_BIND)
		buf_printf(out, " from %s", e->source);
	else if (e->kind == MNT_LINK)
		buf_printf(out, " to %s", e->link);
	else if (e->kind == MNT_FS)
		buf_printf(out, " type %s", e->type);
	print_attrs(out, ":", o->set);
	print_attrs(out, " clear:", o->clear);
	print_attrs(out, " all:", o->rec_set);
	print_attrs(out, " all clear:", o->rec_clear);
	if (o->propagation)
		buf_printf(out, " %s%s", o->propagation_rec ? "r" : "", propagation_name(o->propagation));
	if (o->idmap)
		buf_puts(out, " idmap");
	if (e->kind == MNT_OVERLAY)
		buf_printf(out, " of %zu layers%s%s", e->overlay->n_lowers, e->overlay->subdir ? " sub path " : "",
			   e->overlay->subdir ? e->overlay->subdir : "");
	for (size_t i = 0; i < o->n_data && e->kind == MNT_FS; i++)
		buf_printf(out, "%s%s", i ? "," : " data: ", o->data[i]);
	buf_puts(out, "\n");
}

int mnt_plan_print(const struct mnt_plan *plan, struct buf *out)
{
	if (plan->n_lowers) {
		buf_printf(out, "root overlay of %zu layers", plan->n_lowers);
		if (plan->upper)
			buf_printf(out, " upper %s%s", plan->upper, plan->is_volatile ? " volatile" : "");
	} else {
		buf_printf(out, "root %s", plan->root);
	}
	buf_printf(out, "%s %s%s\n", plan->root_readonly ? " ro" : "", plan->propagation_rec ? "r" : "",
		   propagation_name(plan->propagation));
	for (size_t i = 0; i < plan->n_entries; i++)
		print_entry(out, &plan->entries[i]);
	for (size_t i = 0; i < plan->n_devices && plan->setup_dev; i++) {
		const struct mnt_device *d = &plan->devices[i];

		buf_printf(out, "device %s %c %u:%u %04o %u:%u\n", d->path,
			   S_ISCHR(d->type) ? 'c' : S_ISBLK(d->type) ? 'b' : 'p', d->major, d->minor, d->mode,
			   d->uid, d->gid);
	}
	for (size_t i = 0; i < plan->n_masked; i++)
		buf_printf(out, "mask %s\n", plan->masked[i]);
	for (size_t i = 0; i < plan->n_readonly; i++)
		buf_printf(out, "read-only %s\n", plan->readonly[i]);
	return buf_puts(out, plan->no_pivot ? "chroot\n" : "pivot_root\n");
}
