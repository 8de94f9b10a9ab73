/*
 * The statistics of a container as JSON, in the shape that engines know from runc's `events`:
 * names, nesting and units are theirs. Numbers are the kernel's, as the cgroup room reads them.
 */
#include "prog/caisson-oci/oci.h"

#include "cgroup/cgroup.h"
#include "json/json.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

static void put_psi(struct buf *b, const struct cgroup_stats *s, const struct cgroup_psi *p)
{
	if (!(s->have & CGROUP_HAVE_PSI))
		return;
	buf_printf(b, ",\"psi\":{\"some\":{\"avg10\":%.2f,\"avg60\":%.2f,\"avg300\":%.2f,\"total\":%" PRIu64 "},"
		   "\"full\":{\"avg10\":%.2f,\"avg60\":%.2f,\"avg300\":%.2f,\"total\":%" PRIu64 "}}",
		   p->some_avg10, p->some_avg60, p->some_avg300, p->some_total_usec, p->full_avg10,
		   p->full_avg60, p->full_avg300, p->full_total_usec);
}

static int put_cpu(struct buf *b, const struct cgroup *cg, const struct cgroup_stats *s, struct arena *a,
		   struct err *err)
{
	static const char *const names[] = { "percpu", "percpu_kernel", "percpu_user" };
	struct cgroup_cpu_usage *cpus;
	size_t n;
	int r = cgroup_cpu_details(cg, a, &cpus, &n, err);

	if (r < 0)
		return r;
	buf_printf(b, "\"cpu\":{\"usage\":{\"total\":%" PRIu64, s->cpu_usage_nsec);
	for (size_t k = 0; n && k < ARRAY_LEN(names); k++) {
		buf_printf(b, ",\"%s\":[", names[k]);
		for (size_t i = 0; i < n; i++)
			buf_printf(b, "%s%" PRIu64, i ? "," : "", k == 0 ? cpus[i].usage_nsec :
				   k == 1 ? cpus[i].system_nsec : cpus[i].user_nsec);
		buf_puts(b, "]");
	}
	buf_printf(b, ",\"kernel\":%" PRIu64 ",\"user\":%" PRIu64 "},\"throttling\":{", s->cpu_system_nsec,
		   s->cpu_user_nsec);
	if (s->have & CGROUP_HAVE_THROTTLING)
		buf_printf(b, "\"periods\":%" PRIu64 ",\"throttledPeriods\":%" PRIu64 ",\"throttledTime\":%" PRIu64,
			   s->cpu_periods, s->cpu_throttled_periods, s->cpu_throttled_nsec);
	buf_puts(b, "}");
	put_psi(b, s, &s->psi_cpu);
	buf_puts(b, "}");
	return 0;
}

static void put_entry(struct buf *b, const char *name, uint64_t limit, uint64_t usage, uint64_t max,
		      uint64_t failures)
{
	buf_printf(b, ",\"%s\":{\"limit\":%" PRIu64 ",\"usage\":%" PRIu64 ",\"max\":%" PRIu64
		   ",\"failcnt\":%" PRIu64 "}", name, limit, usage, max, failures);
}

static int put_memory(struct buf *b, const struct cgroup *cg, const struct cgroup_stats *s, struct arena *a,
		      struct err *err)
{
	const struct cgroup_counter *both = &s->memory_and_swap, *k = &s->kernel, *t = &s->kernel_tcp;
	struct cgroup_named_value *raw;
	size_t n;
	int r = cgroup_memory_details(cg, a, &raw, &n, err);

	if (r < 0)
		return r;
	buf_printf(b, ",\"memory\":{\"cache\":%" PRIu64, s->memory_cache);
	put_entry(b, "usage", s->memory_limit, s->memory_usage, s->memory_peak, s->memory_failures);
	/* v2 counts swap by itself; the shape is v1's, which counts memory and swap together */
	if (both->usage || both->limit)
		put_entry(b, "swap", both->limit, both->usage, both->peak, both->failures);
	else
		put_entry(b, "swap", s->swap_limit, s->swap_usage, s->swap_peak, 0);
	put_entry(b, "kernel", k->limit, k->usage ? k->usage : s->memory_kernel, k->peak, k->failures);
	put_entry(b, "kernelTCP", t->limit, t->usage, t->peak, t->failures);
	for (size_t i = 0; i < n; i++) {
		buf_puts(b, i ? "," : ",\"raw\":{");
		json_put_string(b, raw[i].name);
		buf_printf(b, ":%" PRIu64, raw[i].value);
	}
	if (n)
		buf_puts(b, "}");
	put_psi(b, s, &s->psi_memory);
	if (s->have & CGROUP_HAVE_MEMORY_EVENTS)
		buf_printf(b, ",\"event_count\":{\"low\":%" PRIu64 ",\"high\":%" PRIu64 ",\"max\":%" PRIu64
			   ",\"oom\":%" PRIu64 ",\"oom_kill\":%" PRIu64 "}", s->memory_low_events,
			   s->memory_high_events, s->memory_max_events, s->oom_events, s->oom_kills);
	buf_puts(b, "}");
	return 0;
}

static int put_io(struct buf *b, const struct cgroup *cg, const struct cgroup_stats *s, struct arena *a,
		  struct err *err)
{
	static const char *const tables[CGROUP_IO_TABLES] = {
		[CGROUP_IO_SERVICE_BYTES] = "ioServiceBytesRecursive",
		[CGROUP_IO_SERVICED] = "ioServicedRecursive",
		[CGROUP_IO_QUEUED] = "ioQueueRecursive",
		[CGROUP_IO_SERVICE_TIME] = "ioServiceTimeRecursive",
		[CGROUP_IO_WAIT_TIME] = "ioWaitTimeRecursive",
		[CGROUP_IO_MERGED] = "ioMergedRecursive",
		[CGROUP_IO_TIME] = "ioTimeRecursive",
		[CGROUP_IO_SECTORS] = "sectorsRecursive",
	};
	struct cgroup_io_entry *list;
	const char *separator = "";
	size_t n;
	int r = cgroup_io_details(cg, a, &list, &n, err);

	if (r < 0)
		return r;
	buf_puts(b, ",\"blkio\":{");
	for (size_t t = 0; t < CGROUP_IO_TABLES; t++) {
		size_t seen = 0;

		for (size_t i = 0; i < n; i++)
			if (list[i].table == t) {
				if (!seen++)
					buf_printf(b, "%s\"%s\":[", separator, tables[t]);
				buf_printf(b, "%s{\"major\":%u,\"minor\":%u,\"op\":\"%s\",\"value\":%" PRIu64 "}",
					   seen > 1 ? "," : "", list[i].major, list[i].minor, list[i].op,
					   list[i].value);
			}
		if (seen) {
			buf_puts(b, "]");
			separator = ",";
		}
	}
	if (s->have & CGROUP_HAVE_PSI && !*separator)
		buf_puts(b, "\"ioServicedRecursive\":[]");
	put_psi(b, s, &s->psi_io);
	buf_puts(b, "}");
	return 0;
}

/* ---- cpuset: its files, which are the same in number in v1 only ---- */

/* "0-2,4" as [0,1,2,4]; a list longer than any machine is cut. */
static void put_set(struct buf *b, const char *text)
{
	unsigned first, last, n = 0;
	int used;

	buf_puts(b, "[");
	while (sscanf(text, "%u%n", &first, &used) == 1) {
		text += used;
		last = first;
		if (*text == '-' && sscanf(text + 1, "%u%n", &last, &used) == 1)
			text += 1 + used;
		for (unsigned i = first; i <= last && n < 8192; i++)
			buf_printf(b, "%s%u", n++ ? "," : "", i);
		if (*text++ != ',')
			break;
	}
	buf_puts(b, "]");
}

static void put_cpuset(struct buf *b, const struct cgroup *cg, struct arena *a)
{
	static const struct {
		const char *key, *v1, *v2;
		bool is_set;
	} files[] = {
		{ "cpus", "cpuset.cpus", "cpuset.cpus.effective", true },
		{ "mems", "cpuset.mems", "cpuset.mems.effective", true },
		{ "cpu_exclusive", "cpuset.cpu_exclusive", NULL, false },
		{ "mem_hardwall", "cpuset.mem_hardwall", NULL, false },
		{ "mem_exclusive", "cpuset.mem_exclusive", NULL, false },
		{ "memory_migrate", "cpuset.memory_migrate", NULL, false },
		{ "memory_spread_page", "cpuset.memory_spread_page", NULL, false },
		{ "memory_spread_slab", "cpuset.memory_spread_slab", NULL, false },
		{ "memory_pressure", "cpuset.memory_pressure", NULL, false },
		{ "sched_load_balance", "cpuset.sched_load_balance", NULL, false },
		{ "sched_relax_domain_level", "cpuset.sched_relax_domain_level", NULL, false },
	};
	const struct cgroup_host *host = cgroup_host_of(cg);
	int at = host->of[CGROUP_CPUSET];
	const char *dir = at >= 0 ? cgroup_directory(cg, (size_t)at, a) : NULL;
	bool v2 = at >= 0 && host->hierarchies[at].version == 2;

	buf_puts(b, ",\"cpuset\":{");
	for (size_t i = 0, n = 0; dir && i < ARRAY_LEN(files); i++) {
		const char *file = v2 ? files[i].v2 : files[i].v1;
		char text[4096];

		if (!file || sys_file_read_text(AT_FDCWD, arena_printf(a, "%s/%s", dir, file), text,
						sizeof(text)) < 0)
			continue;
		buf_printf(b, "%s\"%s\":", n++ ? "," : "", files[i].key);
		if (files[i].is_set)
			put_set(b, text);
		else
			buf_puts(b, text);
	}
	buf_puts(b, "}");
}

/* ---- network: /proc/<pid>/net/dev, of a namespace that is not the caller's ---- */

static void put_network(struct buf *b, pid_t pid, struct arena *a)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 << 20);
	char own[64] = "", its[64] = "", *save = NULL;
	size_t n = 0;

	buf_puts(b, ",\"network_interfaces\":");
	if (readlink("/proc/self/ns/net", own, sizeof(own) - 1) < 0 ||
	    readlink(arena_printf(a, "/proc/%d/ns/net", (int)pid), its, sizeof(its) - 1) < 0 ||
	    str_eq(own, its) ||
	    sys_file_read(AT_FDCWD, arena_printf(a, "/proc/%d/net/dev", (int)pid), 1 << 19, &text) < 0) {
		buf_puts(b, "null");
		return;
	}
	buf_puts(b, "[");
	for (char *line = strtok_r((char *)text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *colon = strchr(line, ':'), *name = line + strspn(line, " ");
		uint64_t v[12];

		if (!colon || sscanf(colon + 1, "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64
				     "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64 "%" SCNu64, &v[0], &v[1],
				     &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9], &v[10], &v[11]) != 12)
			continue;
		*colon = '\0';
		buf_puts(b, n++ ? ",{\"Name\":" : "{\"Name\":");
		json_put_string(b, name);
		buf_printf(b, ",\"RxBytes\":%" PRIu64 ",\"RxPackets\":%" PRIu64 ",\"RxErrors\":%" PRIu64
			   ",\"RxDropped\":%" PRIu64 ",\"TxBytes\":%" PRIu64 ",\"TxPackets\":%" PRIu64
			   ",\"TxErrors\":%" PRIu64 ",\"TxDropped\":%" PRIu64 "}", v[0], v[1], v[2], v[3], v[8], v[9],
			   v[10], v[11]);
	}
	buf_puts(b, "]");
}

int stats_put(struct buf *b, const struct cgroup *cg, pid_t pid, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cgroup_stats s;
	int r = cgroup_stats(cg, &s, err);

	if (r < 0)
		return r;
	buf_puts(b, "{");
	r = put_cpu(b, cg, &s, &a, err);
	if (r == 0)
		put_cpuset(b, cg, &a);
	if (r == 0)
		r = put_memory(b, cg, &s, &a, err);
	if (r < 0)
		return r;
	buf_printf(b, ",\"pids\":{\"current\":%" PRIu64, s.pids);
	if (s.pids_limit != UINT64_MAX)
		buf_printf(b, ",\"limit\":%" PRIu64, s.pids_limit);
	buf_puts(b, "}");
	r = put_io(b, cg, &s, &a, err);
	if (r < 0)
		return r;
	buf_puts(b, ",\"hugetlb\":{");
	for (size_t i = 0; i < s.n_hugetlb; i++)
		buf_printf(b, "%s\"%s\":{\"usage\":%" PRIu64 ",\"max\":%" PRIu64 ",\"failcnt\":%" PRIu64 "}",
			   i ? "," : "", s.hugetlb[i].page_size, s.hugetlb[i].usage, s.hugetlb[i].peak,
			   s.hugetlb[i].failures);
	buf_puts(b, "},\"intel_rdt\":{}");
	put_network(b, pid, &a);
	return buf_puts(b, "}") < 0 ? err_set(err, ERR_LIMIT, "statistics: too long") : 0;
}
