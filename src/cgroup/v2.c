/*
 * cgroup v2: one hierarchy, controllers enabled level by level. Any process.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <fcntl.h>
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

/*
 * Below a threaded cgroup a new one is no domain and takes no process until it is made threaded
 * as well, where memory, I/O and huge pages cannot be limited: they belong to whole processes.
 */
static int join_threaded(const char *directory, uint32_t need, struct err *err)
{
	static const uint32_t threaded = 1U << CGROUP_CPU | 1U << CGROUP_CPUSET | 1U << CGROUP_PIDS |
					 1U << CGROUP_PERF_EVENT;
	char path[CGROUP_DIRECTORY_MAX + 32], type[32];
	int r;

	snprintf(path, sizeof(path), "%s/cgroup.type", directory);
	if (sys_file_read_text(AT_FDCWD, path, type, sizeof(type)) < 0 || !str_eq(type, "domain invalid"))
		return 0;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		if (need & ~threaded & UINT32_C(1) << c)
			return err_set(err, ERR_UNSUPPORTED, "cgroup %s: %s is below a threaded cgroup, where "
				       "it cannot be limited",
				       cgroup_controller_name((enum cgroup_controller)c, 2), directory);
	r = sys_file_write(AT_FDCWD, path, "threaded");
	return r < 0 ? err_sys(err, r, "cgroup v2: make %s threaded, as the one above it is", directory) : 0;
}

static int prepare(const struct cgroup_host *host, size_t h, const char *directory,
		   const struct cgroup_plan *plan,
		   struct err *err)
{
	const struct cgroup_hierarchy *hi = &host->hierarchies[h];
	uint32_t need = plan ? plan->v2_controllers : 0, want, have;
	char level[CGROUP_DIRECTORY_MAX], refused_at[CGROUP_DIRECTORY_MAX] = "";
	int refused = 0, e = join_threaded(directory, need, err);

	if (e < 0)
		return e;

	/* beside v1 those are few: what v1 has is not listed here */
	want = (need | WANTED) & hi->controllers;
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

const struct cgroup_ops cgroup_v2 = {
	.version = 2,
	.prepare = prepare,
	.freeze = freeze,
	.frozen = frozen,
	.stats = cgroup_stats_v2,
	.oom_kills = oom_kills,
};
