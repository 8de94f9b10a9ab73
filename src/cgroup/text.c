/*
 * Reading the kernel's statistics files: small texts into fixed arrays, no allocation.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

/* Lines of "key value"; a later line of the same key wins. Files have some fifty lines and few of them are
 * wanted: what has another length is not compared. */
void cgroup_text_keys(const char *text, const struct cgroup_key *keys, size_t n, void *out)
{
	size_t lens[CGROUP_KEYS_MAX];

	assert(n <= CGROUP_KEYS_MAX);
	for (size_t i = 0; i < n; i++)
		lens[i] = strlen(keys[i].key);
	for (const char *line = text, *next; line && *line; line = next) {
		const char *end = strchrnul(line, '\n'), *space = memchr(line, ' ', (size_t)(end - line));
		size_t len = space ? (size_t)(space - line) : 0;

		next = *end ? end + 1 : NULL;
		for (size_t i = 0; i < n; i++) {
			if (lens[i] == len && len && memcmp(line, keys[i].key, len) == 0) {
				*(uint64_t *)((char *)out + keys[i].offset) =
					strtoull(space + 1, NULL, 10) * (keys[i].times ? keys[i].times : 1);
				break;
			}
		}
	}
}

int cgroup_text_number_of(const char *text, uint64_t *ret)
{
	uint64_t v;

	if (str_eq(text, "max") || str_eq(text, "-1")) {
		*ret = UINT64_MAX;
		return 0;
	}
	if (str_to_u64(text, 10, &v) < 0)
		return -EIO;
	/* v1's "no limit" is the largest page-aligned int64_t, 4 KiB to 64 KiB pages */
	*ret = v >= (uint64_t)INT64_MAX - 65535 ? UINT64_MAX : v;
	return 0;
}

int cgroup_text_number(int dir, const char *file, uint64_t *ret)
{
	char text[64];
	ssize_t n = sys_file_read_text(dir, file, text, sizeof(text));

	return n < 0 ? (int)n : cgroup_text_number_of(text, ret);
}

/* "0.03": two decimals, always a point. */
static const char *psi_average(const char *p, double *ret)
{
	uint64_t v = 0;

	for (; (*p >= '0' && *p <= '9') || *p == '.'; p++)
		if (*p != '.')
			v = v * 10 + (uint64_t)(*p - '0');
	*ret = (double)v / 100;
	return p;
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0". By hand, for sscanf took as long as the kernel. */
static void psi_line(const char *text, double *avg10, double *avg60, double *avg300, uint64_t *total)
{
	static const char *const names[] = { " avg10=", " avg60=", " avg300=" };
	double *const averages[] = { avg10, avg60, avg300 };

	if (!text)
		return;
	text += 4;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		text = str_skip_prefix(text, names[i]);
		if (!text)
			return;
		text = psi_average(text, averages[i]);
	}
	text = str_skip_prefix(text, " total=");
	if (text)
		*total = strtoull(text, NULL, 10);
}

void cgroup_text_psi_of(const char *text, struct cgroup_psi *ret)
{
	psi_line(strstr(text, "some "), &ret->some_avg10, &ret->some_avg60, &ret->some_avg300,
		 &ret->some_total_usec);
	psi_line(strstr(text, "full "), &ret->full_avg10, &ret->full_avg60, &ret->full_avg300,
		 &ret->full_total_usec);
}

int cgroup_text_psi(int dir, const char *file, struct cgroup_psi *ret)
{
	char text[512];
	ssize_t n = sys_file_read_text(dir, file, text, sizeof(text));

	if (n < 0)
		return (int)n;
	cgroup_text_psi_of(text, ret);
	return 0;
}

struct cgroup_io_stats *cgroup_text_io(struct cgroup_stats *st, unsigned major, unsigned minor)
{
	struct cgroup_io_stats *io;

	for (size_t i = 0; i < st->n_io; i++)
		if (st->io[i].major == major && st->io[i].minor == minor)
			return &st->io[i];
	if (st->n_io == CGROUP_IO_DEVICES_MAX)
		return NULL;
	io = &st->io[st->n_io++];
	*io = (struct cgroup_io_stats){ .major = major, .minor = minor };
	return io;
}

int cgroup_text_counter(int dir, const char *prefix, struct cgroup_counter *ret)
{
	static const struct {
		const char *suffix;
		size_t offset;
	} files[] = {
		{ "usage_in_bytes", offsetof(struct cgroup_counter, usage) },
		{ "max_usage_in_bytes", offsetof(struct cgroup_counter, peak) },
		{ "limit_in_bytes", offsetof(struct cgroup_counter, limit) },
		{ "failcnt", offsetof(struct cgroup_counter, failures) },
	};

	*ret = (struct cgroup_counter){ .limit = UINT64_MAX };
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char file[96];
		int r;

		snprintf(file, sizeof(file), "%s.%s", prefix, files[i].suffix);
		r = cgroup_text_number(dir, file, (uint64_t *)((char *)ret + files[i].offset));
		if (r < 0 && i == 0)
			return r;
	}
	return 0;
}

static struct cgroup_rdma_stats *rdma_of(struct cgroup_stats *st, const char *device)
{
	struct cgroup_rdma_stats *d;

	for (size_t i = 0; i < st->n_rdma; i++)
		if (str_eq(st->rdma[i].device, device))
			return &st->rdma[i];
	if (st->n_rdma == CGROUP_RDMA_DEVICES_MAX || strlen(device) >= sizeof(d->device))
		return NULL;
	d = &st->rdma[st->n_rdma++];
	*d = (struct cgroup_rdma_stats){ .handles_limit = UINT64_MAX, .objects_limit = UINT64_MAX };
	strcpy(d->device, device);
	return d;
}

void cgroup_text_rdma(int dir, const char *file, bool limits, struct cgroup_stats *st)
{
	char text[4096], *save = NULL;

	if (sys_file_read_text(dir, file, text, sizeof(text)) < 0)
		return;
	st->have |= CGROUP_HAVE_RDMA;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *wsave = NULL, *word = strtok_r(line, " ", &wsave);
		struct cgroup_rdma_stats *d = word ? rdma_of(st, word) : NULL;

		/* "max" is no number, and so what was there stays */
		while (d && (word = strtok_r(NULL, " ", &wsave))) {
			sscanf(word, "hca_handle=%" SCNu64, limits ? &d->handles_limit : &d->handles);
			sscanf(word, "hca_object=%" SCNu64, limits ? &d->objects_limit : &d->objects);
		}
	}
}

static char page_sizes[CGROUP_PAGE_SIZES_MAX][16];
static size_t n_page_sizes;

static void read_page_sizes(void)
{
	DIR *dir = opendir("/sys/kernel/mm/hugepages");
	struct dirent *e;

	while (dir && (e = readdir(dir)) && n_page_sizes < CGROUP_PAGE_SIZES_MAX) {
		const char *digits = str_skip_prefix(e->d_name, "hugepages-");
		uint64_t kb = digits ? strtoull(digits, NULL, 10) : 0;
		char *out = page_sizes[n_page_sizes];

		if (!kb)
			continue;
		if (kb % (1024 * 1024) == 0)
			snprintf(out, 16, "%" PRIu64 "GB", kb / (1024 * 1024));
		else if (kb % 1024 == 0)
			snprintf(out, 16, "%" PRIu64 "MB", kb / 1024);
		else
			snprintf(out, 16, "%" PRIu64 "KB", kb);
		n_page_sizes++;
	}
	if (dir)
		closedir(dir);
}

size_t cgroup_page_sizes(const char (**ret)[16])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_page_sizes);
	*ret = (const char (*)[16])page_sizes;
	return n_page_sizes;
}
