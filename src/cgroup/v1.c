/*
 * cgroup v1: one hierarchy a controller. Any process.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>

/* ---- creation ------------------------------------------------------------------------------ */

/* A new cpuset has no CPUs and no memory nodes, and nobody can enter it: both come from
 * the parent, whose own may be empty when it is new as well. */
static int cpuset_fill(char *directory, size_t mount_len, const char *file)
{
	char path[CGROUP_DIRECTORY_MAX + 16], value[4096];
	char *slash;
	ssize_t n;
	int r;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	n = sys_file_read_text(AT_FDCWD, path, value, sizeof(value));
	if (n != 0)
		return n < 0 ? (int)n : 0;
	slash = strrchr(directory, '/');
	if ((size_t)(slash - directory) < mount_len)
		return -EINVAL;
	*slash = '\0';
	r = cpuset_fill(directory, mount_len, file);
	if (r == 0) {
		char parent[CGROUP_DIRECTORY_MAX + 16];

		snprintf(parent, sizeof(parent), "%s/%s", directory, file);
		n = sys_file_read_text(AT_FDCWD, parent, value, sizeof(value));
		r = n < 0 ? (int)n : 0;
	}
	*slash = '/';
	return r < 0 ? r : sys_file_write(AT_FDCWD, path, value);
}

static int prepare(const struct cgroup_host *host, size_t h, const char *directory,
		   const struct cgroup_plan *plan,
		   struct err *err)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	char text[CGROUP_DIRECTORY_MAX];

	if (host->of[CGROUP_CPUSET] != (int)h)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		int r;

		snprintf(text, sizeof(text), "%s", directory);
		r = cpuset_fill(text, strlen(host->hierarchies[h].mount), files[i]);
		if (r < 0)
			return err_sys(err, r, "cgroup cpuset: fill %s of %s", files[i], directory);
	}
	return 0;
}

/* ---- freezing -------------------------------------------------------------------------------- */

static int frozen(int dir)
{
	char text[32];
	ssize_t n = sys_file_read_text(dir, "freezer.state", text, sizeof(text));

	if (n < 0)
		return n == -ENOENT || n == -ENODEV ? 0 : (int)n;
	return str_eq(text, "FROZEN");
}

/* FREEZING becomes FROZEN when somebody looks and all tasks have stopped. A task that
 * forked meanwhile is frozen with the next look; the state is written again then. */
static int freeze(int dir, bool on, int64_t deadline)
{
	struct timespec pause = { 0, 50000 };
	int r;

	if (!on)
		return sys_file_write(dir, "freezer.state", "THAWED");
	for (;;) {
		r = sys_file_write(dir, "freezer.state", "FROZEN");
		if (r == 0)
			r = frozen(dir);
		if (r != 0)
			return r < 0 ? r : 0;
		if (time_now_mono() >= deadline)
			break;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 5000000)
			pause.tv_nsec *= 2;
	}
	sys_file_write(dir, "freezer.state", "THAWED");
	return -ETIMEDOUT;
}

/* ---- OOM --------------------------------------------------------------------------------------- */

static int oom_kills(int dir, uint64_t *ret)
{
	static const struct cgroup_key keys[] = { { "oom_kill", 0, 1 } };
	char text[256];
	ssize_t n = sys_file_read_text(dir, "memory.oom_control", text, sizeof(text));
	uint64_t v = 0;

	if (n < 0)
		return (int)n;
	cgroup_text_keys(text, keys, ARRAY_LEN(keys), &v);
	*ret = v;
	return 0;
}

static int oom_watch(int dir, int *ret_fd)
{
	autofd int control = openat(dir, "memory.oom_control", O_RDONLY | O_CLOEXEC);
	autofd int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	char text[32];
	int r;

	if (control < 0 || event < 0)
		return -errno;
	snprintf(text, sizeof(text), "%d %d", event, control);
	r = sys_file_write(dir, "cgroup.event_control", text);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&event);
	return 0;
}

/* ---- statistics ---------------------------------------------------------------------------------- */

#define KEY(name, member, times_) { name, offsetof(struct cgroup_stats, member), times_ }

static void stats_cpu(int dir, struct cgroup_stats *st)
{
	static const struct cgroup_key keys[] = {
		KEY("nr_periods", cpu_periods, 1),
		KEY("nr_throttled", cpu_throttled_periods, 1),
		KEY("throttled_time", cpu_throttled_nsec, 1),
	};
	char text[1024];

	if (sys_file_read_text(dir, "cpu.stat", text, sizeof(text)) < 0)
		return;
	cgroup_text_keys(text, keys, ARRAY_LEN(keys), st);
	st->have |= CGROUP_HAVE_THROTTLING;
}

static void stats_cpuacct(int dir, struct cgroup_stats *st)
{
	if (cgroup_text_number(dir, "cpuacct.usage", &st->cpu_usage_nsec) < 0)
		return;
	cgroup_text_number(dir, "cpuacct.usage_user", &st->cpu_user_nsec);
	cgroup_text_number(dir, "cpuacct.usage_sys", &st->cpu_system_nsec);
	st->have |= CGROUP_HAVE_CPU;
}

static void stats_memory(int dir, struct cgroup_stats *st)
{
	static const struct cgroup_key keys[] = {
		KEY("total_rss", memory_rss, 1),
		KEY("total_cache", memory_cache, 1),
		KEY("total_mapped_file", memory_mapped_file, 1),
		KEY("total_active_anon", memory_active_anon, 1),
		KEY("total_inactive_anon", memory_inactive_anon, 1),
		KEY("total_active_file", memory_active_file, 1),
		KEY("total_inactive_file", memory_inactive_file, 1),
		KEY("total_pgfault", page_faults, 1),
		KEY("total_pgmajfault", major_page_faults, 1),
	};
	char text[8192];
	uint64_t both;

	if (cgroup_text_number(dir, "memory.usage_in_bytes", &st->memory_usage) < 0)
		return;
	st->have |= CGROUP_HAVE_MEMORY;
	cgroup_text_number(dir, "memory.max_usage_in_bytes", &st->memory_peak);
	cgroup_text_number(dir, "memory.limit_in_bytes", &st->memory_limit);
	cgroup_text_number(dir, "memory.failcnt", &st->memory_failures);
	cgroup_text_number(dir, "memory.kmem.usage_in_bytes", &st->memory_kernel);
	if (sys_file_read_text(dir, "memory.stat", text, sizeof(text)) >= 0)
		cgroup_text_keys(text, keys, ARRAY_LEN(keys), st);
	st->memory_working_set =
		st->memory_usage > st->memory_inactive_file ? st->memory_usage - st->memory_inactive_file : 0;
	/* both counters move while they are read: the difference may come out below zero */
	if (cgroup_text_number(dir, "memory.memsw.usage_in_bytes", &both) == 0) {
		st->swap_usage = both > st->memory_usage ? both - st->memory_usage : 0;
		st->have |= CGROUP_HAVE_SWAP;
	}
	if (cgroup_text_number(dir, "memory.memsw.limit_in_bytes", &both) == 0)
		st->swap_limit = both == UINT64_MAX || both < st->memory_limit ? UINT64_MAX :
				 both - st->memory_limit;
}

/* "8:0 Read 4096"; the line "Total 1" ends it. */
static void stats_io_file(int dir, const char *file, bool bytes, struct cgroup_stats *st)
{
	char text[16384], *save = NULL;

	if (sys_file_read_text(dir, file, text, sizeof(text)) < 0)
		return;
	st->have |= CGROUP_HAVE_IO;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned major, minor;
		struct cgroup_io_stats *io;
		char what[16];
		uint64_t v;

		if (sscanf(line, "%u:%u %15s %" SCNu64, &major, &minor, what, &v) != 4)
			continue;
		io = cgroup_text_io(st, major, minor);
		if (io && str_eq(what, "Read"))
			*(bytes ? &io->read_bytes : &io->read_ops) = v;
		else if (io && str_eq(what, "Write"))
			*(bytes ? &io->write_bytes : &io->write_ops) = v;
	}
}

static void stats_hugetlb(int dir, struct cgroup_stats *st)
{
	const char (*sizes)[16];
	size_t n = cgroup_page_sizes(&sizes);

	for (size_t i = 0; i < n; i++) {
		struct cgroup_hugetlb_stats *huge = &st->hugetlb[st->n_hugetlb];
		char file[64];

		snprintf(file, sizeof(file), "hugetlb.%s.usage_in_bytes", sizes[i]);
		if (cgroup_text_number(dir, file, &huge->usage) < 0)
			continue;
		snprintf(file, sizeof(file), "hugetlb.%s.max_usage_in_bytes", sizes[i]);
		cgroup_text_number(dir, file, &huge->peak);
		snprintf(file, sizeof(file), "hugetlb.%s.failcnt", sizes[i]);
		cgroup_text_number(dir, file, &huge->failures);
		snprintf(huge->page_size, sizeof(huge->page_size), "%s", sizes[i]);
		st->n_hugetlb++;
		st->have |= CGROUP_HAVE_HUGETLB;
	}
}

static void stats(const struct cgroup *cg, size_t h, struct cgroup_stats *st)
{
	uint32_t controllers = cg->host->hierarchies[h].controllers;
	int dir = cg->dirs[h];

	if (controllers & 1U << CGROUP_CPU)
		stats_cpu(dir, st);
	if (controllers & 1U << CGROUP_CPUACCT)
		stats_cpuacct(dir, st);
	if (controllers & 1U << CGROUP_MEMORY)
		stats_memory(dir, st);
	if (controllers & 1U << CGROUP_PIDS && cgroup_text_number(dir, "pids.current", &st->pids) == 0) {
		cgroup_text_number(dir, "pids.max", &st->pids_limit);
		st->have |= CGROUP_HAVE_PIDS;
	}
	if (controllers & 1U << CGROUP_IO) {
		stats_io_file(dir, "blkio.throttle.io_service_bytes_recursive", true, st);
		stats_io_file(dir, "blkio.throttle.io_serviced_recursive", false, st);
	}
	if (controllers & 1U << CGROUP_HUGETLB)
		stats_hugetlb(dir, st);
}

const struct cgroup_ops cgroup_v1 = {
	.version = 1,
	.prepare = prepare,
	.freeze = freeze,
	.frozen = frozen,
	.stats = stats,
	.oom_kills = oom_kills,
	.oom_watch = oom_watch,
};
