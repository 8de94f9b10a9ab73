/*
 * Writing a plan into a cgroup, and reading back what holds. Any process.
 *
 * Invariant: a write that the kernel refused is reported with its controller, file, value
 * and path, never as a bare errno.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

static int write_failed(const struct cgroup *cg, const struct cgroup_write *w, int r, struct err *err)
{
	const struct cgroup_hierarchy *hi = &cg->host->hierarchies[w->hierarchy];
	const char *name = cgroup_controller_name((enum cgroup_controller)w->controller, hi->version);
	uint64_t usage;

	if (r == -ENOENT && cg->dirs[w->hierarchy] >= 0)
		return err_sysk(err, ERR_UNSUPPORTED, r, "cgroup %s: set %s to %s in %s", name, w->file,
				w->value, cg->path);
	/* the usual reason, and the figure that the user needs */
	if (r == -EBUSY && w->limit == CGROUP_MEMORY_LIMIT &&
	    cgroup_text_number(cg->dirs[w->hierarchy], "memory.usage_in_bytes", &usage) == 0)
		return err_sys(err, r, "cgroup %s: set %s to %s in %s (in use: %" PRIu64 ")", name, w->file,
			       w->value, cg->path, usage);
	return err_sys(err, r, "cgroup %s: set %s to %s in %s", name, w->file, w->value, cg->path);
}

/* 1 written, 0 left out as its flags allow, -errno. */
static int write_one(struct cgroup *cg, const struct cgroup_write *w)
{
	int dir = cg->dirs[w->hierarchy], r;
	char value[128];
	const char *text = w->value;

	if (dir < 0)
		return w->flags & CGROUP_WRITE_OPTIONAL ? 0 : -ENOENT;
	if (w->flags & CGROUP_WRITE_KEEP_QUOTA) {
		char now[64];

		if (sys_file_read_text(dir, w->file, now, sizeof(now)) < 0)
			snprintf(now, sizeof(now), "max");
		now[strcspn(now, " ")] = '\0';
		snprintf(value, sizeof(value), "%s %s", now, w->value);
		text = value;
	}
	r = sys_file_write(dir, w->file, text);
	if (r == -ENOENT &&
	    w->flags & (CGROUP_WRITE_OPTIONAL | CGROUP_WRITE_MISSING_OK | CGROUP_WRITE_OR_NEXT))
		return 0;
	return r < 0 ? r : 1;
}

/*
 * Files that the kernel checks against each other (memory against memory + swap, quota
 * against period and burst) have no order that is right for both raising and lowering. So
 * what is refused waits until another of its group went through, as long as one does.
 */
static int write_group(struct cgroup *cg, const struct cgroup_write *w, size_t n, struct err *err)
{
	uint64_t todo = (UINT64_C(1) << n) - 1;

	while (todo) {
		bool progress = false;
		int first = 0;
		size_t first_at = 0;

		for (size_t i = 0; i < n; i++) {
			int r;

			if (!(todo & UINT64_C(1) << i))
				continue;
			r = write_one(cg, &w[i]);
			if (r >= 0) {
				todo &= ~(UINT64_C(1) << i);
				progress = true;
			} else if (r != -EINVAL && r != -EBUSY) {
				return write_failed(cg, &w[i], r, err);
			} else if (!first) {
				first = r;
				first_at = i;
			}
		}
		if (!progress)
			return write_failed(cg, &w[first_at], first, err);
	}
	return 0;
}

/* Lowering memory.max below what is in use does not fail, it kills. */
int cgroup_check_usage(const struct cgroup *cg, const struct cgroup_plan *plan, struct err *err)
{
	int h = cg->host->of[CGROUP_MEMORY];
	uint64_t usage;

	if (!plan->check_before_update || plan->memory_limit <= 0 || h < 0 || cg->dirs[h] < 0)
		return 0;
	if (cgroup_text_number(cg->dirs[h], cg->host->hierarchies[h].version == 2 ? "memory.current" :
			       "memory.usage_in_bytes", &usage) < 0)
		return 0;
	if (usage > (uint64_t)plan->memory_limit)
		return err_set(err, ERR_LIMIT, "cgroup memory: the limit %" PRId64 " is below the %" PRIu64
			       " bytes in use in %s", plan->memory_limit, usage, cg->path);
	return 0;
}

static int write_all(struct cgroup *cg, const struct cgroup_write *writes, size_t n_writes, struct err *err)
{
	for (size_t i = 0; i < n_writes;) {
		const struct cgroup_write *w = &writes[i];
		size_t n = 1;
		int r;

		if (w->group) {
			while (i + n < n_writes && writes[i + n].group == w->group)
				n++;
			r = write_group(cg, w, n, err);
		} else {
			r = write_one(cg, w);
			if (r < 0)
				return write_failed(cg, w, r, err);
			/* of two spellings of one limit, the second only where the first lacks */
			if (r > 0 && w->flags & CGROUP_WRITE_OR_NEXT)
				n++;
		}
		if (r < 0)
			return r;
		i += n;
	}
	return 0;
}

int cgroup_apply_files(struct cgroup *cg, const struct cgroup_plan *plan, struct err *err)
{
	int r = write_all(cg, plan->writes, plan->n_writes, err);

	return r < 0 ? r : cgroup_devices_apply(cg, plan->devices, plan->n_devices, err);
}

/* What a manager of the tree writes into files comes first: some of it is coarser than ours. */
int cgroup_apply(struct cgroup *cg, const struct cgroup_plan *plan, struct err *err)
{
	int r = cgroup_check_usage(cg, plan, err);

	if (r == 0 && cg->driver->apply)
		r = cg->driver->apply(cg, plan, err);
	return r < 0 ? r : cgroup_apply_files(cg, plan, err);
}

/* ---- which files hold the limits ------------------------------------------------------ */

static const struct {
	enum cgroup_controller controller;
	int version;
	const char *file;
} limit_files[] = {
	{ CGROUP_CPU, 1, "cpu.shares" }, { CGROUP_CPU, 1, "cpu.cfs_quota_us" },
	{ CGROUP_CPU, 1, "cpu.cfs_period_us" }, { CGROUP_CPU, 1, "cpu.cfs_burst_us" },
	{ CGROUP_CPU, 1, "cpu.idle" }, { CGROUP_CPU, 1, "cpu.rt_runtime_us" },
	{ CGROUP_CPU, 1, "cpu.rt_period_us" },
	{ CGROUP_CPU, 2, "cpu.weight" }, { CGROUP_CPU, 2, "cpu.max" },
	{ CGROUP_CPU, 2, "cpu.max.burst" }, { CGROUP_CPU, 2, "cpu.idle" },
	{ CGROUP_CPUSET, 0, "cpuset.cpus" }, { CGROUP_CPUSET, 0, "cpuset.mems" },
	{ CGROUP_MEMORY, 1, "memory.limit_in_bytes" },
	{ CGROUP_MEMORY, 1, "memory.memsw.limit_in_bytes" },
	{ CGROUP_MEMORY, 1, "memory.soft_limit_in_bytes" },
	{ CGROUP_MEMORY, 1, "memory.kmem.tcp.limit_in_bytes" },
	{ CGROUP_MEMORY, 1, "memory.swappiness" },
	{ CGROUP_MEMORY, 2, "memory.max" }, { CGROUP_MEMORY, 2, "memory.high" },
	{ CGROUP_MEMORY, 2, "memory.low" }, { CGROUP_MEMORY, 2, "memory.min" },
	{ CGROUP_MEMORY, 2, "memory.swap.max" }, { CGROUP_MEMORY, 2, "memory.oom.group" },
	{ CGROUP_PIDS, 0, "pids.max" },
	{ CGROUP_IO, 1, "blkio.weight" }, { CGROUP_IO, 1, "blkio.bfq.weight" },
	{ CGROUP_IO, 1, "blkio.throttle.read_bps_device" },
	{ CGROUP_IO, 1, "blkio.throttle.write_bps_device" },
	{ CGROUP_IO, 1, "blkio.throttle.read_iops_device" },
	{ CGROUP_IO, 1, "blkio.throttle.write_iops_device" },
	{ CGROUP_IO, 2, "io.weight" }, { CGROUP_IO, 2, "io.bfq.weight" }, { CGROUP_IO, 2, "io.max" },
	{ CGROUP_DEVICES, 1, "devices.list" },
	{ CGROUP_NET_CLS, 1, "net_cls.classid" },
	{ CGROUP_NET_PRIO, 1, "net_prio.ifpriomap" },
	{ CGROUP_RDMA, 0, "rdma.max" },
};

static void add_setting(const struct cgroup *cg, int h, enum cgroup_controller c, const char *file,
			struct arena *a, struct cgroup_setting *out, size_t *n)
{
	char text[4096];

	if (sys_file_read_text(cg->dirs[h], file, text, sizeof(text)) < 0)
		return;
	out[(*n)++] = (struct cgroup_setting){
		.controller = cgroup_controller_name(c, cg->host->hierarchies[h].version),
		.directory = cgroup_directory(cg, (size_t)h, a),
		.file = arena_strdup(a, file),
		.value = arena_strdup(a, text),
	};
}

int cgroup_settings(const struct cgroup *cg, struct arena *a, struct cgroup_setting **ret, size_t *ret_n,
		    struct err *err)
{
	struct cgroup_setting *out = arena_new(a, ARRAY_LEN(limit_files) + CGROUP_PAGE_SIZES_MAX,
					       sizeof(*out));
	const char (*sizes)[16];
	size_t n = 0, n_sizes = cgroup_page_sizes(&sizes);
	int h;

	for (size_t i = 0; i < ARRAY_LEN(limit_files); i++) {
		h = cg->host->of[limit_files[i].controller];
		if (h < 0 || cg->dirs[h] < 0 ||
		    (limit_files[i].version && limit_files[i].version != cg->host->hierarchies[h].version))
			continue;
		add_setting(cg, h, limit_files[i].controller, limit_files[i].file, a, out, &n);
	}
	h = cg->host->of[CGROUP_HUGETLB];
	for (size_t i = 0; h >= 0 && cg->dirs[h] >= 0 && i < n_sizes; i++) {
		char file[64];

		snprintf(file, sizeof(file), "hugetlb.%s.%s", sizes[i],
			 cg->host->hierarchies[h].version == 2 ? "max" : "limit_in_bytes");
		add_setting(cg, h, CGROUP_HUGETLB, file, a, out, &n);
	}
	*ret = out;
	*ret_n = n;
	return 0;
}
