/*
 * A container whose record cannot be read. What it runs is looked for where the kernel says it: in the cgroups of
 * all processes, of which one has the container's name. That is proof enough for the long random names that
 * engines give. A short one ("web") may be somebody else's cgroup: then the record's text must still hold pid and
 * start time of a process there, since two numbers that a damage has changed do not fit one. Else nothing is
 * touched. Runs in the caller.
 */
#include "runtime/salvage.h"

#include "runtime/hook.h"
#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

enum { NAME_IS_PROOF = 32, ROUNDS = 20, TEXT_MAX = 8 * 1024 * 1024 };

#define PATIENCE (10 * NSEC_PER_SEC)

/* A component of a cgroup's path is the container's: the id, or a scope of systemd's that ends in it. */
static bool is_named(const char *part, size_t len, const char *id)
{
	size_t n = strlen(id);

	if (len > 6 && !memcmp(part + len - 6, ".scope", 6) && len > n + 6 && part[len - 7 - n] == '-')
		return !memcmp(part + len - 6 - n, id, n);
	return len == n && !memcmp(part, id, n);
}

/* The path down to that component, of the first line of /proc/PID/cgroup that has one. */
static char *named_cgroup(const char *text, const char *id)
{
	for (const char *line = text; *line; line += *line == '\n') {
		const char *end = strchrnul(line, '\n'), *path = memchr(line, '/', (size_t)(end - line));

		for (const char *p = path; p && p < end;) {
			const char *part = p + 1, *stop = part;

			while (stop < end && *stop != '/')
				stop++;
			if (is_named(part, (size_t)(stop - part), id))
				return mem_strndup(path, (size_t)(stop - path));
			p = stop;
		}
		line = end;
	}
	return NULL;
}

/* Of a process that lives: one that nobody has reaped yet is still in its cgroup on v1. */
static char *cgroup_of(pid_t pid, const char *id)
{
	autofree char *found = NULL;
	autofd int pidfd = -EBADF;
	char path[64], text[16384];
	uint64_t ticks;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if (sys_file_read_text(AT_FDCWD, path, text, sizeof(text)) <= 0 || !(found = named_cgroup(text, id)) ||
	    sys_proc_start_time(pid, &ticks) < 0 || sys_pidfd_open_verified(pid, ticks, &pidfd) < 0 ||
	    sys_pidfd_exited(pidfd) == 1)
		return NULL;
	return take_ptr(&found);
}

/* 1: there is such a process, and its cgroup. */
static int find_process(const char *id, pid_t *ret, char **ret_cgroup)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	int r = 0;

	if (!proc)
		return -errno;
	while (r == 0 && (e = readdir(proc))) {
		int64_t pid;

		if (str_to_i64(e->d_name, 10, &pid) < 0)
			continue;
		*ret_cgroup = cgroup_of((pid_t)pid, id);
		if (!*ret_cgroup)
			continue;
		*ret = (pid_t)pid;
		r = 1;
	}
	closedir(proc);
	return r;
}

/* A number of the damaged text, where it has one by that name. */
static bool number_of(const char *text, const char *key, uint64_t *ret)
{
	const char *at = strstr(text, key);

	at = at ? at + strlen(key) : NULL;
	if (!at || *at < '0' || *at > '9')
		return false;
	*ret = strtoull(at, NULL, 10);
	return true;
}

/* The record's own process lives, and in that cgroup. */
static bool is_its_own(const char *root, const char *id, const char *cgroup)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(TEXT_MAX + 1);
	autofree char *path = mem_printf("%s/%s/state.json", root, id), *its = NULL;
	autofd int pidfd = -EBADF;
	uint64_t pid, ticks;

	return sys_file_read(AT_FDCWD, path, TEXT_MAX, &text) >= 0 &&
	       number_of(buf_text(&text), "\"pid\":", &pid) &&
	       number_of(buf_text(&text), "\"startTicks\":", &ticks) && pid > 1 && pid < 1 << 22 &&
	       (its = cgroup_of((pid_t)pid, id)) && str_eq(its, cgroup) &&
	       sys_pidfd_open_verified((pid_t)pid, ticks, &pidfd) == 0;
}

static int end_cgroup(const char *path, struct err *err)
{
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	const struct cgroup_host *host;
	int r = cgroup_host_get(&host, err);

	if (r == 0)
		r = cgroup_open(host, path, &cg, err);
	return r < 0 ? r : cgroup_remove(cg, true, time_now_mono() + PATIENCE, err);
}

int salvage_delete(const char *root, const char *id, const char *why, struct err *err)
{
	bool proven = strlen(id) >= NAME_IS_PROOF;
	int r = 1;

	for (int i = 0; i < ROUNDS && r == 1; i++) {
		autofree char *cgroup = NULL;
		pid_t pid = 0;

		r = find_process(id, &pid, &cgroup);
		if (r < 0)
			return err_sys(err, r, "read /proc");
		if (r == 0)
			break;
		if (!proven && !is_its_own(root, id, cgroup))
			return err_set(err, ERR_STATE, "%s; process %d is in the cgroup %s, which has its name, but "
				       "may be somebody else's: end it if it is the container's, then delete again",
				       why, (int)pid, cgroup);
		proven = true;
		if (end_cgroup(cgroup, err) < 0)
			return err_wrap(err, -EBUSY, "delete %s", id);
	}
	if (r == 1)
		return err_set(err, ERR_TIMEOUT, "delete %s: its processes do not end", id);
	runtime_warn("delete %s: %s; what ran under its name has been ended, and hooks were not run", id, why);
	return record_remove(root, id, err);
}
