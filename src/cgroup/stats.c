/*
 * Statistics that v1 and v2 have in the same files, or by the same names of sizes. Any process;
 * nothing is allocated.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <stdio.h>

void cgroup_stats_pids(int dir, struct cgroup_stats *st)
{
	static const struct cgroup_key keys[] = { { "max", offsetof(struct cgroup_stats, pids_failures), 1 } };
	char text[64];

	if (cgroup_text_number(dir, "pids.current", &st->pids) < 0)
		return;
	st->have |= CGROUP_HAVE_PIDS;
	cgroup_text_number(dir, "pids.max", &st->pids_limit);
	cgroup_text_number(dir, "pids.peak", &st->pids_peak); /* since 6.1 */
	if (sys_file_read_text(dir, "pids.events", text, sizeof(text)) >= 0)
		cgroup_text_keys(text, keys, ARRAY_LEN(keys), st);
}

void cgroup_stats_hugetlb(int dir, cgroup_counter_fn counter, struct cgroup_stats *st)
{
	const char (*sizes)[16];
	size_t n = cgroup_page_sizes(&sizes);

	for (size_t i = 0; i < n; i++) {
		struct cgroup_hugetlb_stats *huge = &st->hugetlb[st->n_hugetlb];
		struct cgroup_counter used;
		char prefix[64];

		snprintf(prefix, sizeof(prefix), "hugetlb.%s", sizes[i]);
		if (counter(dir, prefix, &used) < 0)
			continue;
		huge->usage = used.usage;
		huge->peak = used.peak;
		huge->limit = used.limit;
		huge->failures = used.failures;
		snprintf(prefix, sizeof(prefix), "hugetlb.%s.rsvd", sizes[i]);
		counter(dir, prefix, &huge->reserved);
		snprintf(huge->page_size, sizeof(huge->page_size), "%s", sizes[i]);
		st->n_hugetlb++;
		st->have |= CGROUP_HAVE_HUGETLB;
	}
}
