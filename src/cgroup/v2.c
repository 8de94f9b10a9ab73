/*
 * cgroup v2: one hierarchy, controllers enabled level by level. Any process.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

/* ---- creation ------------------------------------------------------------------------------ */

/* What a container gets where the host has it, for limits set later and for statistics. */
enum {
	WANTED = 1 << CGROUP_CPU | 1 << CGROUP_CPUSET | 1 << CGROUP_MEMORY | 1 << CGROUP_PIDS |
		 1 << CGROUP_IO | 1 << CGROUP_HUGETLB
};

static uint32_t enabled_in(const char *directory)
{
	char path[CGROUP_DIRECTORY_MAX + 32], text[1024], *save = NULL;
	uint32_t mask = 0;

	snprintf(path, sizeof(path), "%s/cgroup.controllers", directory);
	if (sys_file_read_text(AT_FDCWD, path, text, sizeof(text)) < 0)
		return 0;
	for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		for (int c = 0; c < CGROUP_CONTROLLERS; c++)
			if (str_eq(word, cgroup_controller_name((enum cgroup_controller)c, 2)))
				mask |= UINT32_C(1) << c;
	return mask;
}

/* All at once; when one of them is refused, one by one, so that it does not take the
 * others along. The first refusal is returned. */
static int enable(const char *directory, uint32_t mask)
{
	char path[CGROUP_DIRECTORY_MAX + 32], text[256] = "";
	int first = 0;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", directory);
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		if (mask & UINT32_C(1) << c)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s+%s", n ? " " : "",
					      cgroup_controller_name((enum cgroup_controller)c, 2));
	if (sys_file_write(AT_FDCWD, path, text) == 0)
		return 0;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		int r;

		if (!(mask & UINT32_C(1) << c))
			continue;
		snprintf(text, sizeof(text), "+%s", cgroup_controller_name((enum cgroup_controller)c, 2));
		r = sys_file_write(AT_FDCWD, path, text);
		if (r < 0 && !first)
			first = r;
	}
	return first;
}

static int prepare(const struct cgroup_host *host, size_t h, const char *directory,
		   const struct cgroup_plan *plan,
		   struct err *err)
{
	const struct cgroup_hierarchy *hi = &host->hierarchies[h];
	uint32_t need = plan ? plan->v2_controllers : 0, want, have;
	char level[CGROUP_DIRECTORY_MAX], refused_at[CGROUP_DIRECTORY_MAX] = "";
	int refused = 0;

	/* beside v1 only what is asked for: the rest is v1's */
	want = (host->mode == CGROUP_V2 ? need | WANTED : need) & hi->controllers;
	if (!want)
		return 0;
	have = enabled_in(directory);
	if (!(want & ~have))
		return 0;
	snprintf(level, sizeof(level), "%s", directory);
	for (size_t at = strlen(hi->mount); level[at];) {
		int r;

		level[at] = '\0';
		r = enable(level, want);
		if (r < 0 && !refused) {
			refused = r;
			snprintf(refused_at, sizeof(refused_at), "%s", level);
		}
		level[at] = '/';
		at += 1 + strcspn(level + at + 1, "/");
	}
	have = enabled_in(directory);
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (!(need & ~have & UINT32_C(1) << c))
			continue;
		return err_sys(err, refused ? refused : ENOENT,
			       "cgroup %s: enable the controller for %s in %s%s",
			       cgroup_controller_name((enum cgroup_controller)c, 2), directory,
			       *refused_at ? refused_at : hi->mount,
			       refused == -EBUSY ? " (processes are in it)" : "");
	}
	return 0;
}

/* ---- freezing -------------------------------------------------------------------------------- */

static int event_of(int fd, const char *key)
{
	char text[256];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	const char *at;

	if (n < 0)
		return -errno;
	text[n] = '\0';
	at = strstr(text, key);
	return at && at[strlen(key)] == '1';
}

static int frozen(int dir)
{
	autofd int fd = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno;
	return event_of(fd, "frozen ");
}

static int freeze(int dir, bool on, int64_t deadline)
{
	autofd int fd = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = sys_file_write(dir, "cgroup.freeze", on ? "1" : "0");
	if (r < 0 || !on)
		return r;
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLPRI };

		r = event_of(fd, "frozen ");
		if (r != 0)
			return r < 0 ? r : 0;
		r = poll(&p, 1, time_poll_ms(deadline));
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0)
			break;
	}
	sys_file_write(dir, "cgroup.freeze", "0");
	return -ETIMEDOUT;
}

/* ---- OOM --------------------------------------------------------------------------------------- */

static int oom_kills(int dir, uint64_t *ret)
{
	static const struct cgroup_key keys[] = { { "oom_kill", 0, 1 } };
	char text[512];
	ssize_t n = sys_file_read_text(dir, "memory.events", text, sizeof(text));
	uint64_t v = 0;

	if (n < 0)
		return (int)n;
	cgroup_text_keys(text, keys, ARRAY_LEN(keys), &v);
	*ret = v;
	return 0;
}

/* ---- statistics ---------------------------------------------------------------------------------- */

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
	static const struct cgroup_key events[] = { KEY("max", memory_failures, 1) };
	char text[8192];

	if (cgroup_text_number(dir, "memory.current", &st->memory_usage) < 0)
		return;
	st->have |= CGROUP_HAVE_MEMORY;
	cgroup_text_number(dir, "memory.peak", &st->memory_peak);
	cgroup_text_number(dir, "memory.max", &st->memory_limit);
	if (sys_file_read_text(dir, "memory.stat", text, sizeof(text)) >= 0)
		cgroup_text_keys(text, keys, ARRAY_LEN(keys), st);
	if (sys_file_read_text(dir, "memory.events", text, sizeof(text)) >= 0)
		cgroup_text_keys(text, events, ARRAY_LEN(events), st);
	st->memory_working_set =
		st->memory_usage > st->memory_inactive_file ? st->memory_usage - st->memory_inactive_file : 0;
	if (cgroup_text_number(dir, "memory.swap.current", &st->swap_usage) == 0) {
		cgroup_text_number(dir, "memory.swap.max", &st->swap_limit);
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
		}
	}
}

static void stats_hugetlb(int dir, struct cgroup_stats *st)
{
	static const struct cgroup_key keys[] = { { "max", 0, 1 } };
	const char (*sizes)[16];
	size_t n = cgroup_page_sizes(&sizes);

	for (size_t i = 0; i < n; i++) {
		struct cgroup_hugetlb_stats *huge = &st->hugetlb[st->n_hugetlb];
		char file[64], text[256];

		snprintf(file, sizeof(file), "hugetlb.%s.current", sizes[i]);
		if (cgroup_text_number(dir, file, &huge->usage) < 0)
			continue;
		snprintf(file, sizeof(file), "hugetlb.%s.events", sizes[i]);
		if (sys_file_read_text(dir, file, text, sizeof(text)) >= 0)
			cgroup_text_keys(text, keys, ARRAY_LEN(keys), &huge->failures);
		snprintf(huge->page_size, sizeof(huge->page_size), "%s", sizes[i]);
		st->n_hugetlb++;
		st->have |= CGROUP_HAVE_HUGETLB;
	}
}

static void stats(const struct cgroup *cg, size_t h, struct cgroup_stats *st)
{
	int dir = cg->dirs[h];

	/* cpu.stat and pressure belong to the core: a hybrid host has them here as well */
	if (cg->host->mode == CGROUP_V2)
		stats_cpu(dir, st);
	stats_memory(dir, st);
	if (cgroup_text_number(dir, "pids.current", &st->pids) == 0) {
		cgroup_text_number(dir, "pids.max", &st->pids_limit);
		st->have |= CGROUP_HAVE_PIDS;
	}
	stats_io(dir, st);
	stats_hugetlb(dir, st);
	if (cgroup_text_psi(dir, "cpu.pressure", &st->psi_cpu) == 0 &&
	    cgroup_text_psi(dir, "memory.pressure", &st->psi_memory) == 0 &&
	    cgroup_text_psi(dir, "io.pressure", &st->psi_io) == 0)
		st->have |= CGROUP_HAVE_PSI;
}

const struct cgroup_ops cgroup_v2 = {
	.version = 2,
	.prepare = prepare,
	.freeze = freeze,
	.frozen = frozen,
	.stats = stats,
	.oom_kills = oom_kills,
};
