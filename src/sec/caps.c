/*
 * Capability sets. The tables and checks run in the parent; what is marked [child] in the
 * header runs between clone and exec and only makes system calls.
 */
#include "sec/caps.h"

#include "base/base.h"
#include "sys/sys.h"

#include <ctype.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const char *const names[SEC_CAPS_KNOWN] = {
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
	"CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
	"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
	"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
};

_Static_assert(CAP_CHECKPOINT_RESTORE == SEC_CAPS_KNOWN - 1, "the table follows the kernel's numbers");

int sec_cap_number(const char *name)
{
	size_t skip = name && strncasecmp(name, "CAP_", 4) == 0 ? 4 : 0;

	for (int i = 0; name && i < SEC_CAPS_KNOWN; i++)
		if (strcasecmp(names[i] + 4, name + skip) == 0)
			return i;
	return -EINVAL;
}

const char *sec_cap_name(unsigned cap)
{
	return cap < SEC_CAPS_KNOWN ? names[cap] : NULL;
}

static uint64_t kernel_caps;

/* The kernel says EINVAL for what it does not know. Nearly always it knows those that the table does. */
static void read_kernel_caps(void)
{
	unsigned last = SEC_CAPS_KNOWN - 1;

	while (last < 63 && prctl(PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0)
		last++;
	while (last > 0 && prctl(PR_CAPBSET_READ, last, 0, 0, 0) < 0)
		last--;
	kernel_caps = last == 63 ? UINT64_MAX : (UINT64_C(1) << (last + 1)) - 1;
}

uint64_t sec_caps_kernel(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_kernel_caps);
	return kernel_caps;
}

void sec_caps_parse(const char *const *list, size_t n, uint64_t *mask, const char **ret_unknown)
{
	const char *unknown = NULL;

	for (size_t i = 0; i < n; i++) {
		int cap = sec_cap_number(list[i]);

		if (cap >= 0 && sec_caps_kernel() & UINT64_C(1) << cap)
			*mask |= UINT64_C(1) << cap;
		else if (!unknown)
			unknown = list[i];
	}
	if (ret_unknown)
		*ret_unknown = unknown;
}

static int refuse(uint64_t wrong, const char *set, const char *beyond, struct err *err)
{
	unsigned cap = (unsigned)__builtin_ctzll(wrong);
	const char *name = sec_cap_name(cap);
	char number[16];

	snprintf(number, sizeof(number), "%u", cap);
	return err_set(err, ERR_INVALID, "capabilities: %s is in the %s set but not in the %s set",
		       name ? name : number, set, beyond);
}

int sec_caps_check(const struct sec_caps *c, struct err *err)
{
	if (c->effective & ~c->permitted)
		return refuse(c->effective & ~c->permitted, "effective", "permitted", err);
	if (c->ambient & ~c->permitted)
		return refuse(c->ambient & ~c->permitted, "ambient", "permitted", err);
	if (c->ambient & ~c->inheritable)
		return refuse(c->ambient & ~c->inheritable, "ambient", "inheritable", err);
	return 0;
}

static int get(uint64_t *ret_permitted)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	*ret_permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

int sec_caps_own(uint64_t *ret_permitted, uint64_t *ret_bounding)
{
	uint64_t permitted = 0, bounding = 0, kernel = sec_caps_kernel();
	int r = get(&permitted);

	if (r < 0)
		return r;
	for (unsigned cap = 0; cap < 64 && kernel & UINT64_C(1) << cap; cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			bounding |= UINT64_C(1) << cap;
	*ret_permitted = permitted;
	*ret_bounding = bounding;
	return 0;
}

uint64_t sec_caps_clamp(struct sec_caps *caps, uint64_t have)
{
	uint64_t *sets[] = { &caps->bounding, &caps->effective, &caps->inheritable, &caps->permitted,
			     &caps->ambient };
	uint64_t lost = 0;

	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		lost |= *sets[i] & ~have;
		*sets[i] &= have;
	}
	return lost;
}

int sec_caps_drop_bounding(const struct sec_caps *caps, uint64_t kernel)
{
	for (unsigned cap = 0; cap < 64 && kernel & UINT64_C(1) << cap; cap++)
		if (!(caps->bounding & UINT64_C(1) << cap) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

int sec_caps_keep(bool keep)
{
	return prctl(PR_SET_KEEPCAPS, keep, 0, 0, 0) < 0 ? -errno : 0;
}

int sec_caps_apply(const struct sec_caps *caps, uint64_t kernel)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)caps->effective, (uint32_t)caps->permitted, (uint32_t)caps->inheritable },
		{ (uint32_t)(caps->effective >> 32), (uint32_t)(caps->permitted >> 32),
		  (uint32_t)(caps->inheritable >> 32) },
	};

	if (syscall(SYS_capset, &header, data) < 0)
		return -errno;
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	for (unsigned cap = 0; cap < 64 && kernel & UINT64_C(1) << cap; cap++)
		if (caps->ambient & UINT64_C(1) << cap &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -errno;
	return 0;
}
