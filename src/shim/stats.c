#include "shim/stats.h"

#include "rpc/rpc.h"

#include "containerd-metrics-v2.pb-c.h"
#include "containerd-metrics.pb-c.h"

#include <stdio.h>

static int pack_v1(const struct cgroup_stats *s, uint64_t oom_kills, struct buf *out, struct err *err)
{
	Io__Containerd__Cgroups__V1__Metrics m = IO__CONTAINERD__CGROUPS__V1__METRICS__INIT;
	Io__Containerd__Cgroups__V1__PidsStat pids = IO__CONTAINERD__CGROUPS__V1__PIDS_STAT__INIT;
	Io__Containerd__Cgroups__V1__CPUStat cpu = IO__CONTAINERD__CGROUPS__V1__CPUSTAT__INIT;
	Io__Containerd__Cgroups__V1__CPUUsage usage = IO__CONTAINERD__CGROUPS__V1__CPUUSAGE__INIT;
	Io__Containerd__Cgroups__V1__Throttle throttle = IO__CONTAINERD__CGROUPS__V1__THROTTLE__INIT;
	Io__Containerd__Cgroups__V1__MemoryStat memory = IO__CONTAINERD__CGROUPS__V1__MEMORY_STAT__INIT;
	Io__Containerd__Cgroups__V1__MemoryEntry used = IO__CONTAINERD__CGROUPS__V1__MEMORY_ENTRY__INIT;
	Io__Containerd__Cgroups__V1__MemoryEntry swap = IO__CONTAINERD__CGROUPS__V1__MEMORY_ENTRY__INIT;
	Io__Containerd__Cgroups__V1__MemoryEntry kernel = IO__CONTAINERD__CGROUPS__V1__MEMORY_ENTRY__INIT;
	Io__Containerd__Cgroups__V1__MemoryOomControl oom = IO__CONTAINERD__CGROUPS__V1__MEMORY_OOM_CONTROL__INIT;
	Io__Containerd__Cgroups__V1__BlkIOStat io = IO__CONTAINERD__CGROUPS__V1__BLK_IOSTAT__INIT;
	Io__Containerd__Cgroups__V1__BlkIOEntry entries[4 * CGROUP_IO_DEVICES_MAX], *list[4 * CGROUP_IO_DEVICES_MAX];

	pids.current = s->pids;
	pids.limit = s->pids_limit == UINT64_MAX ? 0 : s->pids_limit;
	usage.total = s->cpu_usage_nsec;
	usage.kernel = s->cpu_system_nsec;
	usage.user = s->cpu_user_nsec;
	throttle.periods = s->cpu_periods;
	throttle.throttled_periods = s->cpu_throttled_periods;
	throttle.throttled_time = s->cpu_throttled_nsec;
	cpu.usage = &usage;
	cpu.throttling = &throttle;
	memory.cache = memory.total_cache = s->memory_cache;
	memory.rss = memory.total_rss = s->memory_rss;
	memory.mapped_file = memory.total_mapped_file = s->memory_mapped_file;
	memory.total_pg_fault = s->page_faults;
	memory.total_pg_maj_fault = s->major_page_faults;
	memory.total_inactive_anon = s->memory_inactive_anon;
	memory.total_active_anon = s->memory_active_anon;
	memory.total_inactive_file = s->memory_inactive_file;
	memory.total_active_file = s->memory_active_file;
	used.usage = s->memory_usage;
	used.limit = s->memory_limit;
	used.max = s->memory_peak;
	used.failcnt = s->memory_failures;
	/* memory and swap together here, as v1 counts */
	swap.usage = s->memory_usage + s->swap_usage;
	swap.limit = s->swap_limit == UINT64_MAX ? UINT64_MAX : s->memory_limit + s->swap_limit;
	kernel.usage = s->memory_kernel;
	memory.usage = &used;
	memory.swap = &swap;
	memory.kernel = &kernel;
	oom.oom_kill = oom_kills;
	for (size_t i = 0; i < s->n_io; i++) {
		const struct cgroup_io_stats *d = &s->io[i];
		const struct {
			char *op;
			uint64_t value;
		} rows[4] = { { "Read", d->read_bytes }, { "Write", d->write_bytes },
			      { "Read", d->read_ops },   { "Write", d->write_ops } };

		for (size_t k = 0; k < 4; k++) {
			/* bytes in the first half of the list, operations in the second */
			size_t at = k < 2 ? 2 * i + k : 2 * s->n_io + 2 * i + k - 2;

			entries[at] = (Io__Containerd__Cgroups__V1__BlkIOEntry)IO__CONTAINERD__CGROUPS__V1__BLK_IOENTRY__INIT;
			entries[at].op = rows[k].op;
			entries[at].major = d->major;
			entries[at].minor = d->minor;
			entries[at].value = rows[k].value;
			list[at] = &entries[at];
		}
	}
	io.io_service_bytes_recursive = list;
	io.n_io_service_bytes_recursive = 2 * s->n_io;
	io.io_serviced_recursive = list + 2 * s->n_io;
	io.n_io_serviced_recursive = 2 * s->n_io;
	if (s->have & CGROUP_HAVE_PIDS)
		m.pids = &pids;
	if (s->have & CGROUP_HAVE_CPU)
		m.cpu = &cpu;
	if (s->have & CGROUP_HAVE_MEMORY)
		m.memory = &memory;
	if (s->have & CGROUP_HAVE_IO)
		m.blkio = &io;
	m.memory_oom_control = &oom;
	return rpc_pb_pack(&m.base, out, err);
}

static int pack_v2(const struct cgroup_stats *s, uint64_t oom_kills, struct buf *out, struct err *err)
{
	Io__Containerd__Cgroups__V2__Metrics m = IO__CONTAINERD__CGROUPS__V2__METRICS__INIT;
	Io__Containerd__Cgroups__V2__PidsStat pids = IO__CONTAINERD__CGROUPS__V2__PIDS_STAT__INIT;
	Io__Containerd__Cgroups__V2__CPUStat cpu = IO__CONTAINERD__CGROUPS__V2__CPUSTAT__INIT;
	Io__Containerd__Cgroups__V2__MemoryStat memory = IO__CONTAINERD__CGROUPS__V2__MEMORY_STAT__INIT;
	Io__Containerd__Cgroups__V2__MemoryEvents events = IO__CONTAINERD__CGROUPS__V2__MEMORY_EVENTS__INIT;
	Io__Containerd__Cgroups__V2__IOStat io = IO__CONTAINERD__CGROUPS__V2__IOSTAT__INIT;
	Io__Containerd__Cgroups__V2__IOEntry entries[CGROUP_IO_DEVICES_MAX], *list[CGROUP_IO_DEVICES_MAX];

	pids.current = s->pids;
	pids.limit = s->pids_limit;
	cpu.usage_usec = s->cpu_usage_nsec / 1000;
	cpu.user_usec = s->cpu_user_nsec / 1000;
	cpu.system_usec = s->cpu_system_nsec / 1000;
	cpu.nr_periods = s->cpu_periods;
	cpu.nr_throttled = s->cpu_throttled_periods;
	cpu.throttled_usec = s->cpu_throttled_nsec / 1000;
	memory.anon = s->memory_rss;
	memory.file = s->memory_cache;
	memory.file_mapped = s->memory_mapped_file;
	memory.inactive_anon = s->memory_inactive_anon;
	memory.active_anon = s->memory_active_anon;
	memory.inactive_file = s->memory_inactive_file;
	memory.active_file = s->memory_active_file;
	memory.pgfault = s->page_faults;
	memory.pgmajfault = s->major_page_faults;
	memory.usage = s->memory_usage;
	memory.usage_limit = s->memory_limit;
	memory.swap_usage = s->swap_usage;
	memory.swap_limit = s->swap_limit;
	memory.max_usage = s->memory_peak;
	events.oom_kill = oom_kills;
	for (size_t i = 0; i < s->n_io; i++) {
		entries[i] = (Io__Containerd__Cgroups__V2__IOEntry)IO__CONTAINERD__CGROUPS__V2__IOENTRY__INIT;
		entries[i].major = s->io[i].major;
		entries[i].minor = s->io[i].minor;
		entries[i].rbytes = s->io[i].read_bytes;
		entries[i].wbytes = s->io[i].write_bytes;
		entries[i].rios = s->io[i].read_ops;
		entries[i].wios = s->io[i].write_ops;
		list[i] = &entries[i];
	}
	io.usage = list;
	io.n_usage = s->n_io;
	if (s->have & CGROUP_HAVE_PIDS)
		m.pids = &pids;
	if (s->have & CGROUP_HAVE_CPU)
		m.cpu = &cpu;
	if (s->have & CGROUP_HAVE_MEMORY)
		m.memory = &memory;
	if (s->have & CGROUP_HAVE_IO)
		m.io = &io;
	m.memory_events = &events;
	return rpc_pb_pack(&m.base, out, err);
}

int stats_pack(const struct cgroup_stats *s, bool v2, uint64_t oom_kills, struct buf *out,
	       const char **ret_type, struct err *err)
{
	*ret_type = v2 ? "io.containerd.cgroups.v2.Metrics" : "io.containerd.cgroups.v1.Metrics";
	return v2 ? pack_v2(s, oom_kills, out, err) : pack_v1(s, oom_kills, out, err);
}
