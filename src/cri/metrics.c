/*
 * The table of metrics: cAdvisor's names and meanings, a row each, and how the values of the
 * scene become samples. Pure but for the names of block devices.
 */
#include "cri/metrics.h"

#include "cgroup/cgroup.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

const char *const cri_metric_base[METRIC_BASE] = { "container", "id", "image", "name", "namespace", "pod" };

static void put(struct metric_scene *s, const struct cri_metric *m, uint64_t value)
{
	struct cri_sample sample = { m, s->view->container_id, s->labels, value, s->now };

	s->fn(&sample, s->user);
}

static void put_with(struct metric_scene *s, const struct cri_metric *m, const char *label, uint64_t value)
{
	s->labels[METRIC_BASE] = label;
	put(s, m, value);
}

/* ---- block devices ---- */

static const char *device_name(const struct cgroup_io_stats *io, char out[64])
{
	char path[64], text[512], *name;

	snprintf(path, sizeof(path), "/sys/dev/block/%" PRIu32 ":%" PRIu32 "/uevent", io->major, io->minor);
	if (sys_file_read_text(AT_FDCWD, path, text, sizeof(text)) < 0 || !(name = strstr(text, "DEVNAME=")))
		return "";
	snprintf(out, 64, "/dev/%.*s", (int)strcspn(name + 8, "\n"), name + 8);
	return out;
}

static void take_blkio(struct metric_scene *s, const struct cri_metric *m)
{
	for (size_t i = 0; i < s->stats->n_io; i++) {
		const struct cgroup_io_stats *io = &s->stats->io[i];
		char name[64], major[16], minor[16];

		snprintf(major, sizeof(major), "%" PRIu32, io->major);
		snprintf(minor, sizeof(minor), "%" PRIu32, io->minor);
		s->labels[METRIC_BASE] = device_name(io, name);
		s->labels[METRIC_BASE + 1] = major;
		s->labels[METRIC_BASE + 2] = minor;
		s->labels[METRIC_BASE + 3] = "Read";
		put(s, m, io->read_bytes);
		s->labels[METRIC_BASE + 3] = "Write";
		put(s, m, io->write_bytes);
	}
}

static void take_io(struct metric_scene *s, const struct cri_metric *m, size_t offset)
{
	for (size_t i = 0; i < s->stats->n_io; i++) {
		const struct cgroup_io_stats *io = &s->stats->io[i];
		char name[64];

		put_with(s, m, device_name(io, name), *(const uint64_t *)((const char *)io + offset));
	}
}

#define IO(member) \
	static void take_io_##member(struct metric_scene *s, const struct cri_metric *m) \
	{ \
		take_io(s, m, offsetof(struct cgroup_io_stats, member)); \
	}
IO(read_bytes)
IO(read_ops)
IO(write_bytes)
IO(write_ops)

/* ---- file system ---- */

#define FS(member, flag) \
	static void take_##member(struct metric_scene *s, const struct cri_metric *m) \
	{ \
		if (s->flag) \
			put_with(s, m, s->fs_device, s->member); \
	}
FS(fs_bytes, has_fs)
FS(fs_inodes, has_fs)
FS(fs_inodes_free, has_fs)
FS(layer_bytes, has_layer)

/* ---- memory ---- */

static void take_failures(struct metric_scene *s, const struct cri_metric *m)
{
	/* the container's own and those of its sub-cgroups are one here: the kernel counts both */
	static const char *const scopes[] = { "container", "hierarchy" };

	for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
		s->labels[METRIC_BASE + 1] = scopes[i];
		put_with(s, m, "pgfault", s->stats->page_faults);
		put_with(s, m, "pgmajfault", s->stats->major_page_faults);
	}
}

static void take_hugetlb(struct metric_scene *s, const struct cri_metric *m, bool peak)
{
	for (size_t i = 0; i < s->stats->n_hugetlb; i++)
		put_with(s, m, s->stats->hugetlb[i].page_size,
			 peak ? s->stats->hugetlb[i].peak : s->stats->hugetlb[i].usage);
}

static void take_hugetlb_usage(struct metric_scene *s, const struct cri_metric *m)
{
	take_hugetlb(s, m, false);
}

static void take_hugetlb_peak(struct metric_scene *s, const struct cri_metric *m)
{
	take_hugetlb(s, m, true);
}

/* ---- processes ---- */

#define PROCESS(member, flag) \
	static void take_##member(struct metric_scene *s, const struct cri_metric *m) \
	{ \
		if (s->flag) \
			put(s, m, s->member); \
	}
PROCESS(processes, has_processes)
PROCESS(descriptors, has_processes)
PROCESS(sockets, has_processes)

static void take_ulimit(struct metric_scene *s, const struct cri_metric *m)
{
	if (s->has_open_files)
		put_with(s, m, "max_open_files", s->open_files);
}

/* ---- what was asked for; 0: nothing ---- */

static uint64_t limit(uint64_t value)
{
	return value == UINT64_MAX ? 0 : value;
}

static void take_threads_max(struct metric_scene *s, const struct cri_metric *m)
{
	put(s, m, limit(s->stats->pids_limit));
}

static void take_memory_limit(struct metric_scene *s, const struct cri_metric *m)
{
	put(s, m, limit(s->stats->memory_limit));
}

/* memory and swap together, as cAdvisor has it */
static void take_swap_limit(struct metric_scene *s, const struct cri_metric *m)
{
	bool none = !(s->stats->have & CGROUP_HAVE_SWAP) || s->stats->swap_limit == UINT64_MAX ||
		    s->stats->memory_limit == UINT64_MAX;

	put(s, m, none ? 0 : s->stats->memory_limit + s->stats->swap_limit);
}

static void take_reservation(struct metric_scene *s, const struct cri_metric *m)
{
	put(s, m, (uint64_t)s->view->memory_reservation);
}

static void take_shares(struct metric_scene *s, const struct cri_metric *m)
{
	put(s, m, s->view->cpu_shares > 0 ? (uint64_t)s->view->cpu_shares : 1024);
}

static void take_period(struct metric_scene *s, const struct cri_metric *m)
{
	put(s, m, s->view->cpu_period > 0 ? (uint64_t)s->view->cpu_period : 100000);
}

static void take_quota(struct metric_scene *s, const struct cri_metric *m)
{
	if (s->view->cpu_quota > 0)
		put(s, m, (uint64_t)s->view->cpu_quota);
}

/* ---- time ---- */

static void take_now(struct metric_scene *s, const struct cri_metric *m)
{
	put(s, m, (uint64_t)s->now);
}

static void take_started(struct metric_scene *s, const struct cri_metric *m)
{
	put(s, m, (uint64_t)s->view->started_at);
}

/* ---- network, of the pod ---- */

static void take_network(struct metric_scene *s, const struct cri_metric *m, size_t offset)
{
	for (size_t i = 0; i < s->n_interfaces; i++)
		put_with(s, m, s->interfaces[i].name,
			 *(const uint64_t *)((const char *)&s->interfaces[i] + offset));
}

#define NETWORK(member) \
	static void take_##member(struct metric_scene *s, const struct cri_metric *m) \
	{ \
		take_network(s, m, offsetof(struct metric_interface, member)); \
	}
NETWORK(rx_bytes)
NETWORK(rx_packets)
NETWORK(rx_errors)
NETWORK(rx_dropped)
NETWORK(tx_bytes)
NETWORK(tx_packets)
NETWORK(tx_errors)
NETWORK(tx_dropped)

/* ---- the table ---- */

#define STAT(member) .stat = offsetof(struct cgroup_stats, member)
#define COUNTER(name_, help_) .name = (name_), .help = (help_), .counter = true, .per = 1
#define SECONDS(name_, help_) .name = (name_), .help = (help_), .counter = true, .per = NSEC_PER_SEC
#define USECONDS(name_, help_) .name = (name_), .help = (help_), .counter = true, .per = 1000000
#define GAUGE(name_, help_) .name = (name_), .help = (help_), .per = 1
#define BOTH(needs_) .pod = true, .have = CGROUP_HAVE_##needs_

const struct cri_metric cri_metrics[] = {
	{ COUNTER("container_blkio_device_usage_total", "Bytes that block devices transferred."),
	  BOTH(IO), .take = take_blkio, .own = { "device", "major", "minor", "operation" } },
	{ COUNTER("container_cpu_cfs_periods_total", "Enforcement periods of the CPU quota that elapsed."),
	  BOTH(THROTTLING), STAT(cpu_periods) },
	{ COUNTER("container_cpu_cfs_throttled_periods_total", "Periods in which the quota was used up."),
	  BOTH(THROTTLING), STAT(cpu_throttled_periods) },
	{ SECONDS("container_cpu_cfs_throttled_seconds_total", "Time spent throttled."),
	  BOTH(THROTTLING), STAT(cpu_throttled_nsec) },
	{ SECONDS("container_cpu_system_seconds_total", "CPU time used in the kernel."),
	  BOTH(CPU), STAT(cpu_system_nsec) },
	{ SECONDS("container_cpu_usage_seconds_total", "CPU time used."), BOTH(CPU), STAT(cpu_usage_nsec) },
	{ SECONDS("container_cpu_user_seconds_total", "CPU time used by programs."),
	  BOTH(CPU), STAT(cpu_user_nsec) },
	{ GAUGE("container_file_descriptors", "Open file descriptors."), .take = take_descriptors },
	{ GAUGE("container_fs_inodes_free", "Inodes free on the file system of the writable layer."),
	  .take = take_fs_inodes_free, .own = { "device" } },
	{ GAUGE("container_fs_inodes_total", "Inodes of the file system of the writable layer."),
	  .take = take_fs_inodes, .own = { "device" } },
	{ GAUGE("container_fs_limit_bytes", "Size of the file system of the writable layer."),
	  .take = take_fs_bytes, .own = { "device" } },
	{ COUNTER("container_fs_reads_bytes_total", "Bytes read from block devices."),
	  BOTH(IO), .take = take_io_read_bytes, .own = { "device" } },
	{ COUNTER("container_fs_reads_total", "Reads from block devices."),
	  BOTH(IO), .take = take_io_read_ops, .own = { "device" } },
	{ GAUGE("container_fs_usage_bytes", "Bytes that the writable layer takes."),
	  .take = take_layer_bytes, .own = { "device" } },
	{ COUNTER("container_fs_writes_bytes_total", "Bytes written to block devices."),
	  BOTH(IO), .take = take_io_write_bytes, .own = { "device" } },
	{ COUNTER("container_fs_writes_total", "Writes to block devices."),
	  BOTH(IO), .take = take_io_write_ops, .own = { "device" } },
	{ GAUGE("container_hugetlb_max_usage_bytes", "Most huge page memory ever in use."),
	  BOTH(HUGETLB), .take = take_hugetlb_peak, .own = { "pagesize" } },
	{ GAUGE("container_hugetlb_usage_bytes", "Huge page memory in use."),
	  BOTH(HUGETLB), .take = take_hugetlb_usage, .own = { "pagesize" } },
	{ .name = "container_last_seen", .help = "When it was last seen, in Unix time.", .per = NSEC_PER_SEC,
	  .pod = true, .take = take_now },
	{ GAUGE("container_memory_cache", "Page cache memory."), BOTH(MEMORY), STAT(memory_cache) },
	{ COUNTER("container_memory_failcnt", "How often the memory limit was met."),
	  BOTH(MEMORY), STAT(memory_failures) },
	{ COUNTER("container_memory_failures_total", "Page faults by kind."),
	  BOTH(MEMORY), .take = take_failures, .own = { "failure_type", "scope" } },
	{ GAUGE("container_memory_kernel_usage", "Memory of the kernel's own."),
	  BOTH(MEMORY), STAT(memory_kernel) },
	{ GAUGE("container_memory_mapped_file", "Memory of mapped files."),
	  BOTH(MEMORY), STAT(memory_mapped_file) },
	{ GAUGE("container_memory_max_usage_bytes", "Most memory ever in use."),
	  BOTH(MEMORY), STAT(memory_peak) },
	{ GAUGE("container_memory_rss", "Anonymous memory."), BOTH(MEMORY), STAT(memory_rss) },
	{ GAUGE("container_memory_swap", "Memory that was swapped out."), BOTH(MEMORY), STAT(swap_usage) },
	{ GAUGE("container_memory_usage_bytes", "Memory in use, page cache included."),
	  BOTH(MEMORY), STAT(memory_usage) },
	{ GAUGE("container_memory_working_set_bytes", "Memory in use without inactive page cache."),
	  BOTH(MEMORY), STAT(memory_working_set) },
	{ COUNTER("container_network_receive_bytes_total", "Bytes received."), .pod = true,
	  .take = take_rx_bytes, .own = { "interface" } },
	{ COUNTER("container_network_receive_errors_total", "Errors while receiving."), .pod = true,
	  .take = take_rx_errors, .own = { "interface" } },
	{ COUNTER("container_network_receive_packets_dropped_total", "Packets dropped while receiving."),
	  .pod = true, .take = take_rx_dropped, .own = { "interface" } },
	{ COUNTER("container_network_receive_packets_total", "Packets received."), .pod = true,
	  .take = take_rx_packets, .own = { "interface" } },
	{ COUNTER("container_network_transmit_bytes_total", "Bytes sent."), .pod = true,
	  .take = take_tx_bytes, .own = { "interface" } },
	{ COUNTER("container_network_transmit_errors_total", "Errors while sending."), .pod = true,
	  .take = take_tx_errors, .own = { "interface" } },
	{ COUNTER("container_network_transmit_packets_dropped_total", "Packets dropped while sending."),
	  .pod = true, .take = take_tx_dropped, .own = { "interface" } },
	{ COUNTER("container_network_transmit_packets_total", "Packets sent."), .pod = true,
	  .take = take_tx_packets, .own = { "interface" } },
	{ COUNTER("container_oom_events_total", "Processes that the OOM killer ended."),
	  BOTH(MEMORY), STAT(oom_kills) },
	{ USECONDS("container_pressure_cpu_stalled_seconds_total", "Time all tasks were without CPU."),
	  BOTH(PSI), STAT(psi_cpu.full_total_usec) },
	{ USECONDS("container_pressure_cpu_waiting_seconds_total", "Time some task waited for CPU."),
	  BOTH(PSI), STAT(psi_cpu.some_total_usec) },
	{ USECONDS("container_pressure_io_stalled_seconds_total", "Time all tasks were stalled by I/O."),
	  BOTH(PSI), STAT(psi_io.full_total_usec) },
	{ USECONDS("container_pressure_io_waiting_seconds_total", "Time some task waited for I/O."),
	  BOTH(PSI), STAT(psi_io.some_total_usec) },
	{ USECONDS("container_pressure_memory_stalled_seconds_total", "Time all tasks were stalled by memory."),
	  BOTH(PSI), STAT(psi_memory.full_total_usec) },
	{ USECONDS("container_pressure_memory_waiting_seconds_total", "Time some task waited for memory."),
	  BOTH(PSI), STAT(psi_memory.some_total_usec) },
	{ GAUGE("container_processes", "Processes."), .take = take_processes },
	{ GAUGE("container_sockets", "Open sockets."), .take = take_sockets },
	{ GAUGE("container_spec_cpu_period", "Period of the CPU quota in microseconds."), .take = take_period },
	{ GAUGE("container_spec_cpu_quota", "CPU quota in microseconds for each period."), .take = take_quota },
	{ GAUGE("container_spec_cpu_shares", "CPU shares."), .take = take_shares },
	{ GAUGE("container_spec_memory_limit_bytes", "Memory limit; 0 for none."),
	  .have = CGROUP_HAVE_MEMORY, .take = take_memory_limit },
	{ GAUGE("container_spec_memory_reservation_limit_bytes", "Memory reservation; 0 for none."),
	  .take = take_reservation },
	{ GAUGE("container_spec_memory_swap_limit_bytes", "Limit of memory and swap together; 0 for none."),
	  .have = CGROUP_HAVE_MEMORY, .take = take_swap_limit },
	{ .name = "container_start_time_seconds", .help = "When it was started, in Unix time.", .per = NSEC_PER_SEC,
	  .pod = true, .take = take_started },
	{ GAUGE("container_threads", "Threads."), BOTH(PIDS), STAT(pids) },
	{ GAUGE("container_threads_max", "Most threads allowed; 0 for no limit."),
	  BOTH(PIDS), .take = take_threads_max },
	{ GAUGE("container_ulimits_soft", "Soft limits of the first process."), .take = take_ulimit,
	  .own = { "ulimit" } },
};
const size_t cri_n_metrics = ARRAY_LEN(cri_metrics);

size_t cri_metric_labels(const struct cri_metric *m)
{
	size_t n = 0;

	while (n < METRIC_OWN_MAX && m->own[n])
		n++;
	return METRIC_BASE + n;
}

void cri_metric_take(struct metric_scene *s)
{
	const struct metric_view *v = s->view;
	const char *const base[METRIC_BASE] = { v->container, v->cgroup_path, v->image, v->id, v->ns, v->pod };

	memcpy(s->labels, base, sizeof(base));
	for (size_t i = 0; i < ARRAY_LEN(cri_metrics); i++) {
		const struct cri_metric *m = &cri_metrics[i];

		if ((!v->container_id && !m->pod) || (m->have & ~s->stats->have))
			continue;
		if (m->take)
			m->take(s, m);
		else
			put(s, m, *(const uint64_t *)((const char *)s->stats + m->stat));
	}
}

size_t cri_metric_interfaces(const char *text, struct metric_interface *out, size_t max)
{
	size_t n = 0;

	/* two lines of headings, then "  eth0: 1 2 3 …" */
	for (const char *line = strchr(text, '\n'); line && n < max; line = strchr(line + 1, '\n')) {
		struct metric_interface *i = &out[n];

		*i = (struct metric_interface){ 0 };
		if (sscanf(line, " %15[^: \n]: %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
			   " %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, i->name, &i->rx_bytes,
			   &i->rx_packets, &i->rx_errors, &i->rx_dropped, &i->tx_bytes, &i->tx_packets,
			   &i->tx_errors, &i->tx_dropped) == 9 &&
		    !str_eq(i->name, "lo"))
			n++;
	}
	return n;
}
