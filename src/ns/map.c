/*
 * Id maps of user namespaces, and time namespaces, whose offsets are a map of their own.
 *
 * Maps are written once for each namespace, from outside, in one write(2).
 */
#include "ns/ns.h"

#include "base/base.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size)
{
	return (uint64_t)a < (uint64_t)b + b_size && (uint64_t)b < (uint64_t)a + a_size;
}

int ns_maps_check(const struct ns_id_map *maps, size_t n, size_t *ret_at)
{
	*ret_at = 0;
	if (!n || n > NS_MAPS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		const struct ns_id_map *m = &maps[i];

		*ret_at = i;
		/* UINT32_MAX is "no id" and can't be mapped */
		if (!m->size || (uint64_t)m->inside + m->size > UINT32_MAX ||
		    (uint64_t)m->outside + m->size > UINT32_MAX)
			return -EINVAL;
		for (size_t j = 0; j < i; j++)
			if (overlap(m->inside, m->size, maps[j].inside, maps[j].size) ||
			    overlap(m->outside, m->size, maps[j].outside, maps[j].size))
				return -EINVAL;
	}
	return 0;
}

int ns_maps_find(const struct ns_id_map *maps, size_t n, uint32_t inside, uint32_t *ret_outside)
{
	for (size_t i = 0; i < n; i++)
		if (inside >= maps[i].inside && inside - maps[i].inside < maps[i].size) {
			*ret_outside = maps[i].outside + (inside - maps[i].inside);
			return 0;
		}
	return -ENOENT;
}

static int write_map(int procdir, const char *file, const struct ns_id_map *maps, size_t n)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(NS_MAPS_MAX * 36);

	for (size_t i = 0; i < n; i++)
		if (buf_printf(&text, "%u %u %u\n", maps[i].inside, maps[i].outside, maps[i].size) < 0)
			return -EMSGSIZE;
	return sys_file_write(procdir, file, buf_text(&text));
}

int ns_maps_write(pid_t pid, const struct ns_id_map *uids, size_t n_uids, const struct ns_id_map *gids,
		  size_t n_gids, bool single)
{
	autofd int dir = -EBADF;
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	if (single) {
		r = sys_file_write(dir, "setgroups", "deny");
		if (r < 0)
			return r;
	}
	r = write_map(dir, "gid_map", gids, n_gids);
	if (r < 0)
		return r;
	return write_map(dir, "uid_map", uids, n_uids);
}

int ns_maps_of(pid_t pid, struct ns_id_map maps[NS_MAPS_MAX])
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(NS_MAPS_MAX * 36);
	const char *line;
	char path[32];
	int r, n = 0;

	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	r = sys_file_read(AT_FDCWD, path, text.max, &text);
	if (r < 0)
		return r;
	for (line = buf_text(&text); *line && n < NS_MAPS_MAX; line = strchrnul(line, '\n'), line += *line == '\n')
		if (sscanf(line, "%u %u %u", &maps[n].inside, &maps[n].outside, &maps[n].size) == 3)
			n++;
	return n;
}

int ns_user_make(const struct ns_id_map *uids, size_t n_uids, const struct ns_id_map *gids, size_t n_gids,
		 int *ret_fd)
{
	autofd int pidfd = -EBADF, rd = -EBADF, wr = -EBADF;
	int r, status;
	pid_t pid;

	r = sys_pipe(0, &rd, &wr);
	if (r < 0)
		return r;
	pid = sys_clone3(CLONE_NEWUSER, SIGCHLD, -EBADF, &pidfd);
	if (pid < 0)
		return pid;
	if (pid == 0) {
		char c;

		/* lives until the parent has its namespace, or is gone */
		close(wr);
		while (read(rd, &c, 1) < 0 && errno == EINTR)
			;
		_exit(0);
	}
	r = ns_maps_write(pid, uids, n_uids, gids, n_gids, false);
	if (r == 0)
		r = ns_open_pid(pid, NS_USER, ret_fd);
	fd_drop(&wr);
	sys_pidfd_wait(pidfd, &status);
	return r;
}

int ns_time_enter_new(int procfd, const struct ns_time_offset *offsets, size_t n)
{
	int fd, r;

	if (unshare(CLONE_NEWTIME) < 0)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		char text[64];

		snprintf(text, sizeof(text), "%s %lld %u\n", offsets[i].boottime ? "boottime" : "monotonic",
			 (long long)offsets[i].secs, offsets[i].nanosecs);
		r = sys_file_write(procfd, "self/timens_offsets", text);
		if (r < 0)
			return r;
	}
	/* unshare moves only later children; offsets are fixed by the first process in it */
	fd = openat(procfd, "self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = ns_join(fd, NS_TIME);
	close(fd);
	return r;
}
