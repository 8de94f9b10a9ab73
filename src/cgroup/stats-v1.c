/*
 * Statistics of v1 hierarchies: one file a figure, so only what somebody looks at is read.
 * Any process; nothing is allocated.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <inttypes.h>
#include <stdio.h>

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
	static const struct cgroup_key oom[] = { KEY("oom_kill", oom_kills, 1) };
	char text[8192];
	uint64_t both;

	if (cgroup_text_number(dir, "memory.usage_in_bytes", &st->memory_usage) < 0)
		return;
	st->have |= CGROUP_HAVE_MEMORY;
	cgroup_text_number(dir, "memory.max_usage_in_bytes", &st->memory_peak);
	cgroup_text_number(dir, "memory.limit_in_bytes", &st->memory_limit);
	cgroup_text_number(dir, "memory.failcnt", &st->memory_failures);
	if (sys_file_read_text(dir, "memory.oom_control", text, sizeof(text)) >= 0)
		cgroup_text_keys(text, oom, ARRAY_LEN(oom), st);
	if (cgroup_text_counter(dir, "memory.kmem", &st->kernel) == 0) {
		st->memory_kernel = st->kernel.usage;
		st->have |= CGROUP_HAVE_KERNEL_MEMORY;
	}
	if (cgroup_text_counter(dir, "memory.kmem.tcp", &st->kernel_tcp) == 0)
		st->have |= CGROUP_HAVE_KERNEL_TCP;
	if (sys_file_read_text(dir, "memory.stat", text, sizeof(text)) >= 0)
		cgroup_text_keys(text, keys, ARRAY_LEN(keys), st);
	st->memory_working_set =
		st->memory_usage > st->memory_inactive_file ? st->memory_usage - st->memory_inactive_file : 0;
	if (cgroup_text_counter(dir, "memory.memsw", &st->memory_and_swap) < 0)
		return;
	st->have |= CGROUP_HAVE_SWAP;
	/* both counters move while they are read: the difference may come out below zero */
	both = st->memory_and_swap.usage;
	st->swap_usage = both > st->memory_usage ? both - st->memory_usage : 0;
	both = st->memory_and_swap.limit;
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
		else if (io && str_eq(what, "Discard"))
			*(bytes ? &io->discard_bytes : &io->discard_ops) = v;
	}
}

void cgroup_stats_v1(const struct cgroup *cg, size_t h, struct cgroup_stats *st)
{
	uint32_t controllers = cg->host->hierarchies[h].controllers;
	int dir = cg->dirs[h];

	if (controllers & 1U << CGROUP_CPU)
		stats_cpu(dir, st);
	if (controllers & 1U << CGROUP_CPUACCT)
		stats_cpuacct(dir, st);
	if (controllers & 1U << CGROUP_MEMORY)
		stats_memory(dir, st);
	if (controllers & 1U << CGROUP_PIDS)
		cgroup_stats_pids(dir, st);
	if (controllers & 1U << CGROUP_IO) {
		stats_io_file(dir, "blkio.throttle.io_service_bytes_recursive", true, st);
		stats_io_file(dir, "blkio.throttle.io_serviced_recursive", false, st);
	}
	if (controllers & 1U << CGROUP_HUGETLB)
		cgroup_stats_hugetlb(dir, cgroup_text_counter, st);
	if (controllers & 1U << CGROUP_RDMA) {
		cgroup_text_rdma(dir, "rdma.current", false, st);
		cgroup_text_rdma(dir, "rdma.max", true, st);
	}
}
