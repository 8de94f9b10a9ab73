/*
 * A cgroup's files kept open: what a kubelet asks of hundreds of containers every few seconds.
 *
 * Opening a file of cgroupfs costs about ten times what reading it costs. The descriptors do not
 * keep the cgroup from being removed; then reading them fails, which is how the end is seen.
 *
 * Invariant: fds[i] belongs to rows[i]; -EBADF where the host or kernel has no such file.
 */
#include "cgroup/driver.h"

#include <fcntl.h>
#include <unistd.h>

enum row_kind { NUMBER, KEYS, PSI };

struct row {
	enum cgroup_controller controller; /* CGROUP_CONTROLLERS: the core of v2 */
	int version;
	unsigned of;                       /* read when one of these is wanted */
	const char *file;
	enum row_kind kind;
	bool gives;                        /* whether having it is having `of` */
	size_t offset;                     /* NUMBER, PSI */
	size_t least;                      /* a limit: no need to read it when there is none up to the root */
	const struct cgroup_key *keys;     /* KEYS */
	size_t n_keys;
};

#define AT(member) .offset = offsetof(struct cgroup_stats, member)
#define KEY(name, member, times_) { name, offsetof(struct cgroup_stats, member), times_ }
#define WITH(list) .keys = (list), .n_keys = ARRAY_LEN(list)

static const struct cgroup_key cpu_v2[] = {
	KEY("usage_usec", cpu_usage_nsec, 1000), KEY("user_usec", cpu_user_nsec, 1000),
	KEY("system_usec", cpu_system_nsec, 1000),
};
static const struct cgroup_key memory_v1[] = {
	KEY("total_rss", memory_rss, 1), KEY("total_inactive_file", memory_inactive_file, 1),
	KEY("total_pgfault", page_faults, 1), KEY("total_pgmajfault", major_page_faults, 1),
	KEY("hierarchical_memory_limit", memory_limit_least, 1),
	KEY("hierarchical_memsw_limit", memory_and_swap_limit_least, 1),
};
static const struct cgroup_key memory_v2[] = {
	KEY("anon", memory_rss, 1), KEY("inactive_file", memory_inactive_file, 1),
	KEY("pgfault", page_faults, 1), KEY("pgmajfault", major_page_faults, 1),
};

#define CPU CGROUP_HAVE_CPU
#define MEMORY CGROUP_HAVE_MEMORY
#define SWAP CGROUP_HAVE_SWAP
#define PIDS CGROUP_HAVE_PIDS
#define PRESSURE CGROUP_HAVE_PSI
#define LEAST(member) .least = offsetof(struct cgroup_stats, member)

/* memory.stat of v1 comes before the limits, which it says something of. */
static const struct row rows[] = {
	{ CGROUP_CPUACCT, 1, CPU, "cpuacct.usage", NUMBER, true, AT(cpu_usage_nsec) },
	{ CGROUP_MEMORY, 1, MEMORY, "memory.usage_in_bytes", NUMBER, true, AT(memory_usage) },
	{ CGROUP_MEMORY, 1, MEMORY, "memory.stat", KEYS, WITH(memory_v1) },
	{ CGROUP_MEMORY, 1, MEMORY, "memory.limit_in_bytes", NUMBER, AT(memory_limit), LEAST(memory_limit_least) },
	{ CGROUP_MEMORY, 1, SWAP, "memory.memsw.usage_in_bytes", NUMBER, true, AT(memory_and_swap.usage) },
	{ CGROUP_MEMORY, 1, SWAP, "memory.memsw.limit_in_bytes", NUMBER, AT(memory_and_swap.limit),
	  LEAST(memory_and_swap_limit_least) },
	{ CGROUP_PIDS, 1, PIDS, "pids.current", NUMBER, true, AT(pids) },
	{ CGROUP_CONTROLLERS, 2, CPU, "cpu.stat", KEYS, true, WITH(cpu_v2) },
	{ CGROUP_MEMORY, 2, MEMORY, "memory.current", NUMBER, true, AT(memory_usage) },
	{ CGROUP_MEMORY, 2, MEMORY, "memory.stat", KEYS, WITH(memory_v2) },
	{ CGROUP_MEMORY, 2, MEMORY, "memory.max", NUMBER, AT(memory_limit) },
	{ CGROUP_MEMORY, 2, SWAP, "memory.swap.current", NUMBER, true, AT(swap_usage) },
	{ CGROUP_MEMORY, 2, SWAP, "memory.swap.max", NUMBER, AT(swap_limit) },
	{ CGROUP_PIDS, 2, PIDS, "pids.current", NUMBER, true, AT(pids) },
	{ CGROUP_CONTROLLERS, 2, PRESSURE, "cpu.pressure", PSI, true, AT(psi_cpu) },
	{ CGROUP_CONTROLLERS, 2, PRESSURE, "memory.pressure", PSI, true, AT(psi_memory) },
	{ CGROUP_CONTROLLERS, 2, PRESSURE, "io.pressure", PSI, true, AT(psi_io) },
};

struct cgroup_meter {
	char *path;
	int fds[ARRAY_LEN(rows)];
};

/* The hierarchy that has the row's file, or -1. */
static int hierarchy_of(const struct cgroup_host *host, const struct row *row)
{
	int h;

	if (row->controller == CGROUP_CONTROLLERS)
		/* a hybrid host has it too, but its CPU time is counted by v1 */
		return row->kind == PSI || host->mode == CGROUP_V2 ? host->v2 : -1;
	h = host->of[row->controller];
	return h >= 0 && host->hierarchies[h].version == row->version ? h : -1;
}

void cgroup_meter_free(struct cgroup_meter *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		fd_drop(&m->fds[i]);
	free(m->path);
	free(m);
}

int cgroup_meter_open(const struct cgroup_host *host, const char *path, struct cgroup_meter **ret,
		      struct err *err)
{
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	struct cgroup_meter *m;
	int r = cgroup_open(host, path, &cg, err);

	if (r < 0)
		return r;
	m = mem_new(1, sizeof(*m));
	m->path = mem_strdup(path);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		m->fds[i] = -EBADF;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int h = hierarchy_of(host, &rows[i]);

		if (h < 0 || cg->dirs[h] < 0)
			continue;
		m->fds[i] = openat(cg->dirs[h], rows[i].file, O_RDONLY | O_CLOEXEC);
		if (m->fds[i] < 0 && (errno == EMFILE || errno == ENFILE)) {
			r = err_sys(err, errno, "cgroup %s: open %s", path, rows[i].file);
			cgroup_meter_free(m);
			return r;
		}
	}
	*ret = m;
	return 0;
}

static bool read_row(int fd, const struct row *row, struct cgroup_stats *st)
{
	char text[8192];
	ssize_t n;

	do
		n = pread(fd, text, sizeof(text) - 1, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return false;
	text[n] = '\0';
	if (row->kind != PSI)
		text[n - (n && text[n - 1] == '\n')] = '\0';
	if (row->kind == KEYS)
		cgroup_text_keys(text, row->keys, row->n_keys, st);
	else if (row->kind == PSI)
		cgroup_text_psi_of(text, (struct cgroup_psi *)((char *)st + row->offset));
	else if (cgroup_text_number_of(text, (uint64_t *)((char *)st + row->offset)) < 0)
		return false;
	if (row->gives)
		st->have |= row->of;
	return true;
}

/* "No limit" is the largest page-aligned int64_t; what has none up to the root has none itself. */
static bool has_no_limit(const struct row *row, const struct cgroup_stats *st)
{
	return row->least && *(const uint64_t *)((const char *)st + row->least) >= (uint64_t)INT64_MAX - 65535;
}

int cgroup_meter_read(const struct cgroup_meter *m, unsigned want, struct cgroup_stats *ret, struct err *err)
{
	bool any = false;

	memset(ret, 0, sizeof(*ret));
	ret->memory_limit = ret->swap_limit = ret->pids_limit = ret->memory_and_swap.limit = UINT64_MAX;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (m->fds[i] >= 0 && (rows[i].of & want) && !has_no_limit(&rows[i], ret) &&
		    read_row(m->fds[i], &rows[i], ret))
			any = true;
	if (!any)
		return err_set(err, ERR_NOT_FOUND, "cgroup %s does not exist", m->path);
	ret->memory_working_set =
		ret->memory_usage > ret->memory_inactive_file ? ret->memory_usage - ret->memory_inactive_file : 0;
	if (ret->memory_and_swap.usage > ret->memory_usage)
		ret->swap_usage = ret->memory_and_swap.usage - ret->memory_usage;
	if (ret->memory_and_swap.limit != UINT64_MAX && ret->memory_and_swap.limit >= ret->memory_limit)
		ret->swap_limit = ret->memory_and_swap.limit - ret->memory_limit;
	return 0;
}
