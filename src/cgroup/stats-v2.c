/*
 * Statistics of the v2 hierarchy. Any process; nothing is allocated.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <inttypes.h>
#include <stdio.h>

#define KEY(name, member, times_) { name, offsetof(struct cgroup_stats, member), times_ }

static void stats_cpu(int dir, struct cgroup_stats *st)
{
	static const struct cgroup_key keys[] = {
		KEY("usage_usec", cpu_usage_nsec, 1000),
		KEY("user_usec", cpu_user_nsec, 1000),
		KEY("system_usec", cpu_system_nsec, 1000),
		KEY("nr_periods", cpu_periods, 1),
		KEY("nr_throttled", cpu_throttled_periods, 1),
		KEY("throttled_usec", cpu_throttled_nsec, 1000),
		KEY("nr_bursts", cpu_bursts, 1),
		KEY("burst_usec", cpu_burst_nsec, 1000),
	};
	char text[1024];

	if (sys_file_read_text(dir, "cpu.stat", text, sizeof(text)) < 0)
		return;
	st->have |= CGROUP_HAVE_CPU;
	if (strstr(text, "nr_periods"))
		st->have |= CGROUP_HAVE_THROTTLING;
	cgroup_text_keys(text, keys, ARRAY_LEN(keys), st);
}

static void stats_memory(int dir, struct cgroup_stats *st)
{
	static const struct cgroup_key keys[] = {
		KEY("anon", memory_rss, 1),
		KEY("file", memory_cache, 1),
		KEY("kernel", memory_kernel, 1),
		KEY("file_mapped", memory_mapped_file, 1),
		KEY("active_anon", memory_active_anon, 1),
		KEY("inactive_anon", memory_inactive_anon, 1),
		KEY("active_file", memory_active_file, 1),
		KEY("inactive_file", memory_inactive_file, 1),
		KEY("pgfault", page_faults, 1),
		KEY("pgmajfault", major_page_faults, 1),
	};
	static const struct cgroup_key events[] = {
		KEY("low", memory_low_events, 1),
		KEY("high", memory_high_events, 1),
		KEY("max", memory_max_events, 1),
		KEY("oom", oom_events, 1),
		KEY("oom_kill", oom_kills, 1),
	};
	char text[8192];

	if (cgroup_text_number(dir, "memory.current", &st->memory_usage) < 0)
		return;
	st->have |= CGROUP_HAVE_MEMORY;
	cgroup_text_number(dir, "memory.peak", &st->memory_peak);
	cgroup_text_number(dir, "memory.max", &st->memory_limit);
	if (sys_file_read_text(dir, "memory.stat", text, sizeof(text)) >= 0)
		cgroup_text_keys(text, keys, ARRAY_LEN(keys), st);
	if (sys_file_read_text(dir, "memory.events", text, sizeof(text)) >= 0) {
		cgroup_text_keys(text, events, ARRAY_LEN(events), st);
		st->memory_failures = st->memory_max_events;
		st->have |= CGROUP_HAVE_MEMORY_EVENTS;
	}
	st->memory_working_set =
		st->memory_usage > st->memory_inactive_file ? st->memory_usage - st->memory_inactive_file : 0;
	if (cgroup_text_number(dir, "memory.swap.current", &st->swap_usage) == 0) {
		cgroup_text_number(dir, "memory.swap.max", &st->swap_limit);
		cgroup_text_number(dir, "memory.swap.peak", &st->swap_peak); /* since 6.5 */
		st->have |= CGROUP_HAVE_SWAP;
	}
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6" */
static void stats_io(int dir, struct cgroup_stats *st)
{
	char text[16384], *save = NULL;

	if (sys_file_read_text(dir, "io.stat", text, sizeof(text)) < 0)
		return;
	st->have |= CGROUP_HAVE_IO;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct cgroup_io_stats *io;
		unsigned major, minor;
		char *word, *wsave = NULL;

		if (sscanf(line, "%u:%u", &major, &minor) != 2)
			continue;
		io = cgroup_text_io(st, major, minor);
		if (!io)
			continue;
		for (word = strtok_r(line, " ", &wsave); word; word = strtok_r(NULL, " ", &wsave)) {
			sscanf(word, "rbytes=%" SCNu64, &io->read_bytes);
			sscanf(word, "wbytes=%" SCNu64, &io->write_bytes);
			sscanf(word, "rios=%" SCNu64, &io->read_ops);
			sscanf(word, "wios=%" SCNu64, &io->write_ops);
			sscanf(word, "dbytes=%" SCNu64, &io->discard_bytes);
			sscanf(word, "dios=%" SCNu64, &io->discard_ops);
		}
	}
}

/* "hugetlb.2MB.current", "hugetlb.2MB.rsvd.current"…; v2 keeps no peak of them */
static int hugetlb_counter(int dir, const char *prefix, struct cgroup_counter *ret)
{
	static const struct cgroup_key keys[] = { { "max", 0, 1 } };
	char file[96], text[256];
	int r;

	*ret = (struct cgroup_counter){ .limit = UINT64_MAX };
	snprintf(file, sizeof(file), "%s.current", prefix);
	r = cgroup_text_number(dir, file, &ret->usage);
	if (r < 0)
		return r;
	snprintf(file, sizeof(file), "%s.max", prefix);
	cgroup_text_number(dir, file, &ret->limit);
	snprintf(file, sizeof(file), "%s.events", prefix);
	if (sys_file_read_text(dir, file, text, sizeof(text)) >= 0)
		cgroup_text_keys(text, keys, ARRAY_LEN(keys), &ret->failures);
	return 0;
}

static const struct {
	const char *file;
	size_t offset;
} misc_files[] = {
	{ "misc.current", offsetof(struct cgroup_counter, usage) },
	{ "misc.max", offsetof(struct cgroup_counter, limit) },
	{ "misc.peak", offsetof(struct cgroup_counter, peak) },
	{ "misc.events", offsetof(struct cgroup_counter, failures) },
};

static struct cgroup_misc_stats *misc_of(struct cgroup_stats *st, const char *name)
{
	for (size_t i = 0; i < st->n_misc; i++)
		if (str_eq(st->misc[i].name, name))
			return &st->misc[i];
	if (st->n_misc == CGROUP_MISC_MAX)
		return NULL;
	snprintf(st->misc[st->n_misc].name, sizeof(st->misc[0].name), "%s", name);
	st->misc[st->n_misc].counter.limit = UINT64_MAX;
	return &st->misc[st->n_misc++];
}

/* "sev 3", "sev max"; misc.events says "sev.max 1" */
static void stats_misc(int dir, struct cgroup_stats *st)
{
	char text[1024], *save = NULL;

	for (size_t f = 0; f < ARRAY_LEN(misc_files); f++) {
		if (sys_file_read_text(dir, misc_files[f].file, text, sizeof(text)) < 0)
			continue;
		st->have |= CGROUP_HAVE_MISC;
		for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			struct cgroup_misc_stats *m;
			char name[32];
			uint64_t v;

			if (sscanf(line, "%31[^. ]%*[^ ] %" SCNu64, name, &v) != 2 &&
			    sscanf(line, "%31[^ ] %" SCNu64, name, &v) != 2)
				continue;
			m = misc_of(st, name);
			if (m)
				*(uint64_t *)((char *)&m->counter + misc_files[f].offset) = v;
		}
	}
}

void cgroup_stats_v2(const struct cgroup *cg, size_t h, struct cgroup_stats *st)
{
	int dir = cg->dirs[h];

	/* cpu.stat and pressure belong to the core: a hybrid host has them here as well */
	if (cg->host->mode == CGROUP_V2)
		stats_cpu(dir, st);
	stats_memory(dir, st);
	cgroup_stats_pids(dir, st);
	stats_io(dir, st);
	cgroup_stats_hugetlb(dir, hugetlb_counter, st);
	cgroup_text_rdma(dir, "rdma.current", false, st);
	cgroup_text_rdma(dir, "rdma.max", true, st);
	stats_misc(dir, st);
	if (cgroup_text_psi(dir, "cpu.pressure", &st->psi_cpu) == 0 &&
	    cgroup_text_psi(dir, "memory.pressure", &st->psi_memory) == 0 &&
	    cgroup_text_psi(dir, "io.pressure", &st->psi_io) == 0)
		st->have |= CGROUP_HAVE_PSI;
}
