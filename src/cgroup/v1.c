/*
 * cgroup v1: one hierarchy a controller. Any process.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>

/* ---- creation ------------------------------------------------------------------------------ */

enum { CPUSET_MAX = 4096 };

/* A new cpuset has no CPUs and no memory nodes, and nobody can enter it: both come from
 * the parent, whose own may be empty when it is new as well. `value` is what it has then. */
static int cpuset_fill(char *directory, size_t mount_len, const char *file, char value[CPUSET_MAX])
{
	char path[CGROUP_DIRECTORY_MAX + 16];
	char *slash;
	ssize_t n;
	int r;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	n = sys_file_read_text(AT_FDCWD, path, value, CPUSET_MAX);
	if (n != 0)
		return n < 0 ? (int)n : 0;
	slash = strrchr(directory, '/');
	if ((size_t)(slash - directory) < mount_len)
		return -EINVAL;
	*slash = '\0';
	r = cpuset_fill(directory, mount_len, file, value);
	*slash = '/';
	return r < 0 ? r : sys_file_write(AT_FDCWD, path, value);
}

static int prepare(const struct cgroup_host *host, size_t h, const char *directory,
		   const struct cgroup_plan *plan,
		   struct err *err)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	char text[CGROUP_DIRECTORY_MAX], value[CPUSET_MAX];

	if (host->of[CGROUP_CPUSET] != (int)h)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		int r;

		snprintf(text, sizeof(text), "%s", directory);
		r = cpuset_fill(text, strlen(host->hierarchies[h].mount), files[i], value);
		if (r < 0)
			return err_sys(err, r, "cgroup cpuset: fill %s of %s", files[i], directory);
	}
	return 0;
}

/* ---- freezing -------------------------------------------------------------------------------- */

static int frozen(int dir)
{
	char text[32];
	ssize_t n = sys_file_read_text(dir, "freezer.state", text, sizeof(text));

	if (n < 0)
		return n == -ENOENT || n == -ENODEV ? 0 : (int)n;
	return str_eq(text, "FROZEN");
}

/* FREEZING becomes FROZEN when somebody looks and all tasks have stopped. A task that
 * forked meanwhile is frozen with the next look; the state is written again then. */
static int freeze(int dir, bool on, int64_t deadline)
{
	struct timespec pause = { 0, 50000 };
	int r;

	if (!on)
		return sys_file_write(dir, "freezer.state", "THAWED");
	for (;;) {
		r = sys_file_write(dir, "freezer.state", "FROZEN");
		if (r == 0)
			r = frozen(dir);
		if (r != 0)
			return r < 0 ? r : 0;
		if (time_now_mono() >= deadline)
			break;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 5000000)
			pause.tv_nsec *= 2;
	}
	sys_file_write(dir, "freezer.state", "THAWED");
	return -ETIMEDOUT;
}

/* ---- OOM --------------------------------------------------------------------------------------- */

static int oom_kills(int dir, uint64_t *ret)
{
	static const struct cgroup_key keys[] = { { "oom_kill", 0, 1 } };
	char text[256];
	ssize_t n = sys_file_read_text(dir, "memory.oom_control", text, sizeof(text));
	uint64_t v = 0;

	if (n < 0)
		return (int)n;
	cgroup_text_keys(text, keys, ARRAY_LEN(keys), &v);
	*ret = v;
	return 0;
}

static int oom_watch(int dir, int *ret_fd)
{
	autofd int control = openat(dir, "memory.oom_control", O_RDONLY | O_CLOEXEC);
	autofd int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	char text[32];
	int r;

	if (control < 0 || event < 0)
		return -errno;
	snprintf(text, sizeof(text), "%d %d", event, control);
	r = sys_file_write(dir, "cgroup.event_control", text);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&event);
	return 0;
}

const struct cgroup_ops cgroup_v1 = {
	.version = 1,
	.prepare = prepare,
	.freeze = freeze,
	.frozen = frozen,
	.stats = cgroup_stats_v1,
	.oom_kills = oom_kills,
	.oom_watch = oom_watch,
};
