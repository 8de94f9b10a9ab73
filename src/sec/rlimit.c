/* Resource limits. The table and the check run in the parent, _apply in the child. */
#include "sec/rlimit.h"

#include "base/base.h"
#include "sec/caps.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* by RLIMIT_*, which are small and the same on every architecture we build for */
static const char *const names[] = {
	[RLIMIT_AS] = "RLIMIT_AS",
	[RLIMIT_CORE] = "RLIMIT_CORE",
	[RLIMIT_CPU] = "RLIMIT_CPU",
	[RLIMIT_DATA] = "RLIMIT_DATA",
	[RLIMIT_FSIZE] = "RLIMIT_FSIZE",
	[RLIMIT_LOCKS] = "RLIMIT_LOCKS",
	[RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK",
	[RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE",
	[RLIMIT_NICE] = "RLIMIT_NICE",
	[RLIMIT_NOFILE] = "RLIMIT_NOFILE",
	[RLIMIT_NPROC] = "RLIMIT_NPROC",
	[RLIMIT_RSS] = "RLIMIT_RSS",
	[RLIMIT_RTPRIO] = "RLIMIT_RTPRIO",
	[RLIMIT_RTTIME] = "RLIMIT_RTTIME",
	[RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING",
	[RLIMIT_STACK] = "RLIMIT_STACK",
};

int sec_rlimit_number(const char *name)
{
	size_t skip = name && strncasecmp(name, "RLIMIT_", 7) == 0 ? 7 : 0;

	for (size_t i = 0; name && i < ARRAY_LEN(names); i++)
		if (strcasecmp(names[i] + 7, name + skip) == 0)
			return (int)i;
	return -EINVAL;
}

const char *sec_rlimit_name(int resource)
{
	return resource >= 0 && (size_t)resource < ARRAY_LEN(names) ? names[resource] : NULL;
}

/* The kernel's own struct, 64 bits everywhere. */
static int limit(int resource, const struct rlimit64 *set, struct rlimit64 *old)
{
	return syscall(SYS_prlimit64, 0, resource, set, old) < 0 ? -errno : 0;
}

int sec_rlimits_check(const struct sec_rlimit *limits, size_t n, struct err *err)
{
	uint64_t permitted = 0, bounding = 0;
	uint32_t seen = 0;

	for (size_t i = 0; i < n; i++) {
		const struct sec_rlimit *l = &limits[i];
		const char *name = sec_rlimit_name(l->resource);
		struct rlimit64 now;
		int r;

		if (!name)
			return err_set(err, ERR_INVALID, "rlimit %d: no such resource", l->resource);
		if (seen & UINT32_C(1) << l->resource)
			return err_set(err, ERR_INVALID, "rlimit %s: given twice", name);
		seen |= UINT32_C(1) << l->resource;
		if (l->soft > l->hard)
			return err_set(err, ERR_INVALID, "rlimit %s: the soft limit %" PRIu64
				       " is above the hard limit %" PRIu64, name, l->soft, l->hard);
		r = limit(l->resource, NULL, &now);
		if (r < 0)
			return err_sys(err, r, "rlimit %s: read", name);
		if (l->hard <= now.rlim_max)
			continue;
		sec_caps_own(&permitted, &bounding);
		if (!(permitted & UINT64_C(1) << CAP_SYS_RESOURCE))
			return err_set(err, ERR_DENIED,
				       "rlimit %s: the hard limit %" PRIu64 " is above our own %" PRIu64
				       ", and raising it needs CAP_SYS_RESOURCE", name, l->hard,
					       (uint64_t)now.rlim_max);
	}
	return 0;
}

int sec_rlimits_apply(const struct sec_rlimit *limits, size_t n, size_t *ret_at)
{
	for (size_t i = 0; i < n; i++) {
		struct rlimit64 set = { limits[i].soft, limits[i].hard };
		int r = limit(limits[i].resource, &set, NULL);

		if (r < 0) {
			if (ret_at)
				*ret_at = i;
			return r;
		}
	}
	return 0;
}
