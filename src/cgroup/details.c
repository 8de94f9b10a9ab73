/*
 * The long lists behind the statistics: what `events --stats` prints and no loop over all
 * containers of a node wants to pay for. Any process.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <inttypes.h>
#include <stdio.h>

enum { TEXT_MAX = 1 << 20, LIST_MAX = 65536 };

/* The whole text of a file of a controller; "" where there is none. */
static int read_text(const struct cgroup *cg, enum cgroup_controller c, const char *file, struct arena *a,
		     char **ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(TEXT_MAX);
	int h = cg->host->of[c], r;

	*ret = arena_strdup(a, "");
	if (h < 0 || cg->dirs[h] < 0)
		return 0;
	r = sys_file_read(cg->dirs[h], file, TEXT_MAX - 1, &text);
	if (r == -ENOENT || r == -EOPNOTSUPP)
		return 0;
	if (r < 0)
		return err_sys(err, r, "cgroup %s: read %s of %s",
			       cgroup_controller_name(c, cg->host->hierarchies[h].version), file, cg->path);
	*ret = arena_strdup(a, buf_text(&text));
	return 0;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n + 1;
}

int cgroup_memory_details(const struct cgroup *cg, struct arena *a, struct cgroup_named_value **ret,
			  size_t *ret_n, struct err *err)
{
	struct cgroup_named_value *list;
	char *text, *save = NULL;
	size_t n = 0;
	int r = read_text(cg, CGROUP_MEMORY, "memory.stat", a, &text, err);

	if (r < 0)
		return r;
	list = arena_new(a, count_lines(text), sizeof(*list));
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *space = strchr(line, ' ');

		if (!space)
			continue;
		*space = '\0';
		if (str_to_u64(space + 1, 10, &list[n].value) == 0)
			list[n++].name = line;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

/* cpuacct.usage_all: "cpu user system" and then a line a CPU. */
int cgroup_cpu_details(const struct cgroup *cg, struct arena *a, struct cgroup_cpu_usage **ret,
		       size_t *ret_n, struct err *err)
{
	struct cgroup_cpu_usage *list;
	char *text, *save = NULL;
	size_t n = 0, most;
	int r = read_text(cg, CGROUP_CPUACCT, "cpuacct.usage_all", a, &text, err);

	if (r < 0)
		return r;
	most = count_lines(text);
	list = arena_new(a, most, sizeof(*list));
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		uint64_t user, system;
		size_t cpu;

		if (sscanf(line, "%zu %" SCNu64 " %" SCNu64, &cpu, &user, &system) != 3 || cpu >= most)
			continue;
		list[cpu] = (struct cgroup_cpu_usage){ user + system, user, system };
		if (n <= cpu)
			n = cpu + 1;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

/* ---- I/O -------------------------------------------------------------------------------- */

static const char *const ops[] = { "Read", "Write", "Sync", "Async", "Discard", "Total" };

/* The names of each table: BFQ's, the older scheduler's, and those that are always there. */
static const char *const v1_files[CGROUP_IO_TABLES][3] = {
	[CGROUP_IO_SERVICE_BYTES] = { "blkio.bfq.io_service_bytes_recursive",
				      "blkio.io_service_bytes_recursive",
				      "blkio.throttle.io_service_bytes_recursive" },
	[CGROUP_IO_SERVICED] = { "blkio.bfq.io_serviced_recursive", "blkio.io_serviced_recursive",
				 "blkio.throttle.io_serviced_recursive" },
	[CGROUP_IO_QUEUED] = { "blkio.bfq.io_queued_recursive", "blkio.io_queued_recursive", NULL },
	[CGROUP_IO_SERVICE_TIME] = { "blkio.bfq.io_service_time_recursive",
				     "blkio.io_service_time_recursive", NULL },
	[CGROUP_IO_WAIT_TIME] = { "blkio.bfq.io_wait_time_recursive", "blkio.io_wait_time_recursive", NULL },
	[CGROUP_IO_MERGED] = { "blkio.bfq.io_merged_recursive", "blkio.io_merged_recursive", NULL },
	[CGROUP_IO_TIME] = { "blkio.bfq.time_recursive", "blkio.time_recursive", NULL },
	[CGROUP_IO_SECTORS] = { "blkio.bfq.sectors_recursive", "blkio.sectors_recursive", NULL },
};

struct io_list {
	struct cgroup_io_entry *entries;
	size_t n, cap;
};

static void io_add(struct io_list *l, struct arena *a, struct cgroup_io_entry e)
{
	if (l->n == LIST_MAX)
		return;
	if (l->n == l->cap) {
		struct cgroup_io_entry *more = arena_new(a, l->cap = l->cap ? l->cap * 2 : 64, sizeof(*more));

		if (l->n)
			memcpy(more, l->entries, l->n * sizeof(*more));
		l->entries = more;
	}
	l->entries[l->n++] = e;
}

/* "8:0 Read 4096", in tables without operations "8:0 12"; the sum over all ends it. */
static bool io_lines(struct io_list *l, enum cgroup_io_table table, char *text, struct arena *a)
{
	char *save = NULL;
	size_t before = l->n;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct cgroup_io_entry e = { .table = table, .op = "" };
		char op[16];

		if (sscanf(line, "%u:%u %15s %" SCNu64, &e.major, &e.minor, op, &e.value) == 4) {
			for (size_t i = 0; i < ARRAY_LEN(ops); i++)
				if (str_eq(ops[i], op))
					e.op = ops[i];
			if (!*e.op)
				continue;
		} else if (sscanf(line, "%u:%u %" SCNu64, &e.major, &e.minor, &e.value) != 3) {
			continue;
		}
		io_add(l, a, e);
	}
	return l->n > before;
}

static int io_v1(const struct cgroup *cg, struct io_list *l, struct arena *a, struct err *err)
{
	for (int t = 0; t < CGROUP_IO_TABLES; t++) {
		for (size_t f = 0; f < ARRAY_LEN(v1_files[t]) && v1_files[t][f]; f++) {
			char *text;
			int r = read_text(cg, CGROUP_IO, v1_files[t][f], a, &text, err);

			if (r < 0)
				return r;
			if (io_lines(l, (enum cgroup_io_table)t, text, a))
				break;
		}
	}
	return 0;
}

static int io_v2(const struct cgroup *cg, struct io_list *l, struct arena *a, struct err *err)
{
	struct cgroup_stats st = { 0 };

	/* the same file, already taken apart */
	if (cgroup_stats(cg, &st, err) < 0)
		return -EIO;
	for (size_t i = 0; i < st.n_io; i++) {
		const struct cgroup_io_stats *d = &st.io[i];
		const struct {
			enum cgroup_io_table table;
			const char *op;
			uint64_t value;
		} parts[] = {
			{ CGROUP_IO_SERVICE_BYTES, "Read", d->read_bytes },
			{ CGROUP_IO_SERVICE_BYTES, "Write", d->write_bytes },
			{ CGROUP_IO_SERVICE_BYTES, "Discard", d->discard_bytes },
			{ CGROUP_IO_SERVICED, "Read", d->read_ops },
			{ CGROUP_IO_SERVICED, "Write", d->write_ops },
			{ CGROUP_IO_SERVICED, "Discard", d->discard_ops },
		};

		for (size_t k = 0; k < ARRAY_LEN(parts); k++)
			io_add(l, a, (struct cgroup_io_entry){ parts[k].table, d->major, d->minor,
							       parts[k].op, parts[k].value });
	}
	return 0;
}

int cgroup_io_details(const struct cgroup *cg, struct arena *a, struct cgroup_io_entry **ret, size_t *ret_n,
		      struct err *err)
{
	struct io_list l = { NULL, 0, 0 };
	int h = cg->host->of[CGROUP_IO], r = 0;

	if (h >= 0 && cg->dirs[h] >= 0)
		r = cg->host->hierarchies[h].version == 2 ? io_v2(cg, &l, a, err) : io_v1(cg, &l, a, err);
	if (r < 0)
		return r;
	*ret = l.entries;
	*ret_n = l.n;
	return 0;
}
