/*
 * A plan into a cgroup that is in use: all of it or none.
 *
 * What every file of the plan says is read first; when the kernel refuses a write, those
 * values are written back in the plan's own order and groups, so that what the kernel checks
 * against each other finds its way back as it found its way in. Any process.
 *
 * Invariant: after a failure each file holds what it held before, as far as it could be read.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

enum { FILE_MAX = 16 << 10 };

/* Files with a line for each device, interface or resource: a write is about one of them. */
static const struct {
	const char *file;
	const char *none; /* what takes a line away that was not there */
} keyed_files[] = {
	{ "io.max", "rbps=max wbps=max riops=max wiops=max" },
	{ "io.weight", "default" }, { "io.bfq.weight", "default" }, { "io.latency", "target=0" },
	{ "blkio.weight_device", "0" }, { "blkio.bfq.weight_device", "0" },
	{ "blkio.throttle.read_bps_device", "0" }, { "blkio.throttle.write_bps_device", "0" },
	{ "blkio.throttle.read_iops_device", "0" }, { "blkio.throttle.write_iops_device", "0" },
	{ "net_prio.ifpriomap", "0" }, { "rdma.max", "hca_handle=max hca_object=max" }, { "misc.max", "max" },
	{ "dmem.max", "max" }, { "dmem.min", "0" }, { "dmem.low", "0" },
};

static const char *none_of(const char *file)
{
	for (size_t i = 0; i < ARRAY_LEN(keyed_files); i++)
		if (str_eq(keyed_files[i].file, file))
			return keyed_files[i].none;
	return NULL;
}

/* The line of text that begins with the first word of value; else what means that there is none. */
static char *old_line(const char *text, const char *value, const char *none, struct arena *a)
{
	size_t len = strcspn(value, " ");

	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "\n");

		if (n > len && strncmp(p, value, len) == 0 && p[len] == ' ')
			return arena_strndup(a, p, n);
		p += n + (p[n] == '\n');
	}
	return arena_printf(a, "%.*s %s", (int)len, value, none);
}

static bool save(const struct cgroup *cg, const struct cgroup_write *w, struct arena *a, struct cgroup_write *ret)
{
	int dir = cg->dirs[w->hierarchy];
	char text[FILE_MAX];
	const char *none = strchr(w->value, ' ') ? none_of(w->file) : NULL;

	if (dir < 0 || sys_file_read_text(dir, w->file, text, sizeof(text)) < 0)
		return false;
	*ret = *w;
	/* the file's text has both parts; of two spellings each was read by itself */
	ret->flags &= ~(unsigned)(CGROUP_WRITE_KEEP_QUOTA | CGROUP_WRITE_OR_NEXT);
	ret->flags |= CGROUP_WRITE_MISSING_OK;
	if (w->limit == CGROUP_MEMORY_NO_OOM_KILL)
		ret->value = str_skip_prefix(text, "oom_kill_disable 1") ? "1" : "0";
	else if (none)
		ret->value = old_line(text, w->value, none, a);
	else
		/* an empty line, where an empty text would be no write at all */
		ret->value = text[0] ? arena_strndup(a, text, strcspn(text, "\n")) : "\n";
	return true;
}

/* Group by group, however the others fare: what the kernel no longer takes stays as it is. */
static void put_back(struct cgroup *cg, const struct cgroup_write *old, size_t n)
{
	for (size_t i = 0, k; i < n; i += k) {
		struct cgroup_plan back = { .writes = old + i };
		struct err ignored = ERR_INIT;

		for (k = 1; old[i].group && i + k < n && old[i + k].group == old[i].group;)
			k++;
		back.n_writes = k;
		cgroup_apply_files(cg, &back, &ignored);
	}
}

/*
 * The files first, where the kernel says no if it has to. Only then a manager of the tree
 * hears of it, which may write coarser values, and so the files once more.
 */
int cgroup_update(struct cgroup *cg, const struct cgroup_plan *plan, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_write *old = arena_new(&a, plan->n_writes + 1, sizeof(*old));
	size_t n = 0;
	int r = cgroup_check_usage(cg, plan, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < plan->n_writes; i++)
		n += save(cg, &plan->writes[i], &a, &old[n]);
	r = cgroup_apply_files(cg, plan, err);
	if (r == 0 && cg->driver->apply) {
		r = cg->driver->apply(cg, plan, err);
		if (r == 0)
			r = cgroup_apply_files(cg, plan, err);
	}
	if (r < 0)
		put_back(cg, old, n);
	return r;
}
