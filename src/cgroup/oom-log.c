/*
 * Kills of the OOM killer in the kernel's own log: what is left of them once the cgroup is gone,
 * with its counters. systemd removes a scope as soon as its last process has died, which the OOM
 * killer may have seen to.
 *
 * A record of /dev/kmsg is "PRIORITY,NUMBER,MICROSECONDS,FLAGS;TEXT\n", what is no printable
 * character or a backslash in the text stands as \xNN (Documentation/ABI/testing/dev-kmsg). A kill
 * writes two records: which cgroup (of those at most ten in five seconds), and then which process:
 *
 *	oom-kill:constraint=…,oom_memcg=/a,task_memcg=/a/b,task=tail,pid=1234,uid=0
 *	Memory cgroup out of memory: Killed process 1234 (tail) total-vm:…
 *
 * Any process. The log is the kernel's; programs write to it too, but not as the kernel.
 */
#include "cgroup/driver.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD_SIZE = 8192, CGROUP_NAMESPACE_INITIAL = (int)0xEFFFFFFBU };

/* What follows the path at the start of text, or NULL. */
static const char *skip_path(const char *text, const char *path)
{
	for (; *path; path++) {
		char escaped[8];
		const char *rest;

		if (*path > ' ' && *path < 127 && *path != '\\') {
			if (*text++ != *path)
				return NULL;
			continue;
		}
		snprintf(escaped, sizeof(escaped), "\\x%02x", (unsigned char)*path);
		rest = *path == ' ' && *text == ' ' ? text + 1 : str_skip_prefix(text, escaped);
		if (!rest)
			return NULL;
		text = rest;
	}
	return text;
}

/* Whether text begins with the path of a cgroup that is path or below it. */
static bool is_in(const char *text, const char *path)
{
	const char *rest = skip_path(text, path);

	return rest && (*rest == '/' || str_skip_prefix(rest, ",task="));
}

enum cgroup_oom_record cgroup_oom_parse(const char *record, const char *path, bool anywhere, pid_t init)
{
	const char *text = strchr(record, ';'), *at, *end;
	char word[48];

	/* the priority of the kernel's records is below 8: others are some program's */
	if (!text || record[0] < '0' || record[0] > '7' || record[1] != ',')
		return CGROUP_OOM_OTHER;
	text++;
	snprintf(word, sizeof(word), "ut of memory: Killed process %d (", (int)init);
	if (!str_skip_prefix(text, "oom-kill:"))
		return strstr(text, word) ? CGROUP_OOM_INIT : CGROUP_OOM_OTHER;
	at = strstr(text, ",task_memcg=");
	if (!at)
		return CGROUP_OOM_OTHER;
	at += strlen(",task_memcg=");
	end = strstr(at, ",task=");
	if (!end)
		return CGROUP_OOM_OTHER;
	for (const char *p = at; p && p < end; p = anywhere ? strchr(p + 1, '/') : NULL) {
		if (!is_in(p, path))
			continue;
		snprintf(word, sizeof(word), ",pid=%d,", (int)init);
		return strstr(end, word) ? CGROUP_OOM_INSIDE_INIT : CGROUP_OOM_INSIDE;
	}
	return CGROUP_OOM_OTHER;
}

int cgroup_oom_log_open(int *ret_fd)
{
	autofd int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* The log has paths from the root of all: those of a cgroup namespace begin further down. */
static bool sees_all(void)
{
	struct stat st;

	return stat("/proc/self/ns/cgroup", &st) < 0 || (int)st.st_ino == CGROUP_NAMESPACE_INITIAL;
}

int cgroup_oom_logged(const struct cgroup *cg, int log, pid_t init, uint64_t *ret, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	int h = cg->host->of[CGROUP_MEMORY];
	const char *directory = h < 0 ? NULL : cgroup_directory(cg, (size_t)h, &a), *path;
	char record[RECORD_SIZE];
	bool anywhere = !sees_all(), init_counted = false;
	uint64_t kills = 0;

	if (!directory)
		return err_set(err, ERR_NOT_FOUND, "cgroup memory: %s is not there", cg->path);
	path = directory + strlen(cg->host->hierarchies[h].mount);
	for (;;) {
		ssize_t n = read(log, record, sizeof(record) - 1);
		enum cgroup_oom_record what;

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0 && (errno == EPIPE || errno == EINTR)) /* EPIPE: older ones were overwritten */
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, "read /dev/kmsg");
		record[n] = '\0';
		what = cgroup_oom_parse(record, path, anywhere, init);
		if (what == CGROUP_OOM_OTHER || (what == CGROUP_OOM_INIT && init_counted))
			continue;
		init_counted |= what != CGROUP_OOM_INSIDE;
		kills++;
	}
	*ret = kills;
	return 0;
}
