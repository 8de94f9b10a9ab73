/*
 * Processes in a cgroup: entering, listing, signalling, freezing.
 *
 * cgroup_enter runs in the child between clone and exec; all else in any process.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

/* ---- entering ---------------------------------------------------------------------------- */

/* In a sub-cgroup's hierarchy its directory, elsewhere the container's. */
static int entry_dir(const struct cgroup *cg, const struct cgroup *sub, size_t h)
{
	return sub && sub->dirs[h] >= 0 ? sub->dirs[h] : cg->dirs[h];
}

int cgroup_entry_open(const struct cgroup *cg, const struct cgroup *sub, struct cgroup_entry *ret,
		      struct err *err)
{
	CLEANUP(cgroup_entry_done) struct cgroup_entry e = CGROUP_ENTRY_INIT;
	const struct cgroup_host *host = cg->host;

	e.enter_v2 = ret->enter_v2;
	for (size_t h = 0; h < host->n_hierarchies; h++) {
		const struct cgroup_hierarchy *hi = &host->hierarchies[h];
		int dir = entry_dir(cg, sub, h), fd;

		if (dir < 0)
			continue;
		if (hi->version == 2) {
			e.clone_fd = fcntl(dir, F_DUPFD_CLOEXEC, 3);
			if (e.clone_fd < 0)
				return err_sys(err, errno, "cgroup v2: open %s", cg->path);
			if (!e.enter_v2)
				continue;
			e.v2_fd = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
			if (e.v2_fd < 0)
				return err_sys(err, errno, "cgroup v2: open cgroup.procs of %s", cg->path);
			continue;
		}
		fd = openat(dir, "tasks", O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(err, errno, "cgroup %s: open tasks of %s", hi->name, cg->path);
		e.names[e.n] = hi->name;
		e.fds[e.n++] = fd;
	}
	*ret = e;
	e = (struct cgroup_entry)CGROUP_ENTRY_INIT;
	return 0;
}

void cgroup_entry_done(struct cgroup_entry *e)
{
	fd_drop(&e->clone_fd);
	fd_drop(&e->v2_fd);
	for (size_t i = 0; i < e->n; i++)
		fd_drop(&e->fds[i]);
	e->n = 0;
}

int cgroup_enter(const struct cgroup_entry *e, size_t *ret_at)
{
	/* "0" in tasks is the writing thread itself: the kernel then knows that it can neither
	 * exit nor exec meanwhile, and skips the lock against all forks of the system (5.5) */
	for (size_t i = 0; i < e->n; i++) {
		if (write(e->fds[i], "0", 1) < 0) {
			if (ret_at)
				*ret_at = i;
			return -errno;
		}
	}
	if (e->enter_v2 && e->v2_fd >= 0 && write(e->v2_fd, "0", 1) < 0) {
		if (ret_at)
			*ret_at = e->n;
		return -errno;
	}
	return 0;
}

int cgroup_procs_open(const struct cgroup *cg, int *ret_fd, struct err *err)
{
	int h = cg->host->v2, fd;

	if (h < 0 || cg->dirs[h] < 0)
		return err_set(err, ERR_UNSUPPORTED, "cgroup %s: it is not of cgroup v2", cg->path);
	fd = openat(cg->dirs[h], "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "cgroup v2: open cgroup.procs of %s", cg->path);
	*ret_fd = fd;
	return 0;
}

int cgroup_add_pid(struct cgroup *cg, pid_t pid, struct err *err)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	for (size_t h = 0; h < cg->host->n_hierarchies; h++) {
		int r;

		if (cg->dirs[h] < 0)
			continue;
		r = sys_file_write(cg->dirs[h], "cgroup.procs", text);
		if (r < 0)
			return err_sys(err, r, "cgroup %s: move process %d to %s",
				       cg->host->hierarchies[h].name,
				       (int)pid, cg->path);
	}
	cgroup_unit_release(cg);
	return 0;
}

/* ---- listing -------------------------------------------------------------------------------- */

struct pid_list {
	pid_t *pids;
	size_t n, cap;
};

static int list_one(int dir, void *user)
{
	autofd int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	struct pid_list *l = user;
	char text[4096];
	pid_t pid = 0;

	if (fd < 0)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno;
	for (;;) {
		ssize_t n = read(fd, text, sizeof(text));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) /* removed meanwhile, or threaded: then its processes are listed above it */
			return errno == ENODEV || errno == EOPNOTSUPP ? 0 : -errno;
		if (n == 0)
			return 0;
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
				continue;
			}
			if (pid > 0 && l->n < CGROUP_PIDS_MAX) {
				if (l->n == l->cap) {
					l->cap = l->cap ? l->cap * 2 : 64;
					l->pids = mem_grow(l->pids, l->cap, sizeof(*l->pids));
				}
				l->pids[l->n++] = pid;
			}
			pid = 0;
		}
	}
}

static int by_number(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

/* The hierarchy whose list is believed, or the one that cg has. */
static int processes_of(const struct cgroup *cg)
{
	int h = cg->host->processes;

	if (cg->dirs[h] >= 0)
		return h;
	for (size_t i = 0; i < cg->host->n_hierarchies; i++)
		if (cg->dirs[i] >= 0)
			return (int)i;
	return -1;
}

static int list_in(int dir, struct pid_list *l)
{
	size_t n = 0;
	int r = cgroup_walk(dir, list_one, l);

	if (r < 0)
		return r;
	if (l->n)
		qsort(l->pids, l->n, sizeof(*l->pids), by_number);
	for (size_t i = 0; i < l->n; i++)
		if (!n || l->pids[n - 1] != l->pids[i])
			l->pids[n++] = l->pids[i];
	l->n = n;
	return 0;
}

int cgroup_pids(const struct cgroup *cg, pid_t **ret, size_t *ret_n, struct err *err)
{
	struct pid_list l = { NULL, 0, 0 };
	int h = processes_of(cg), r;

	if (h >= 0) {
		r = list_in(cg->dirs[h], &l);
		if (r < 0) {
			free(l.pids);
			return err_sys(err, r, "cgroup %s: list the processes of %s",
				       cg->host->hierarchies[h].name, cg->path);
		}
	}
	*ret = l.pids;
	*ret_n = l.n;
	return 0;
}

static int any_process(int dir, void *user)
{
	autofd int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char c;

	if (fd < 0)
		return 0;
	return read(fd, &c, 1) == 1;
}

static int populated_v2(int dir)
{
	char text[256];
	ssize_t n = sys_file_read_text(dir, "cgroup.events", text, sizeof(text));

	if (n == -ENOENT || n == -ENODEV)
		return 0;
	if (n < 0)
		return (int)n;
	return strstr(text, "populated 1") != NULL;
}

int cgroup_populated(const struct cgroup *cg)
{
	int v2 = cg->host->v2, h = processes_of(cg), r = 0;

	if (v2 >= 0 && cg->dirs[v2] >= 0)
		r = populated_v2(cg->dirs[v2]);
	if (r != 0 || h < 0 || h == v2)
		return r;
	return cgroup_walk(cg->dirs[h], any_process, NULL);
}

int cgroup_events_open(const struct cgroup *cg, int *ret_fd, struct err *err)
{
	int v2 = cg->host->v2, fd;

	if (v2 < 0 || cg->dirs[v2] < 0)
		return err_set(err, ERR_UNSUPPORTED,
			       "cgroup %s: cgroup v1 does not tell when it becomes empty", cg->path);
	fd = openat(cg->dirs[v2], "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "cgroup v2: open cgroup.events of %s", cg->path);
	*ret_fd = fd;
	return 0;
}

int cgroup_watch_drain(int fd)
{
	char text[4096];

	/* a file of v2 tells of changes since it was last read; an eventfd has no place to read from */
	if (pread(fd, text, sizeof(text), 0) >= 0 || (errno == ESPIPE && read(fd, text, 8) >= 0))
		return 0;
	return errno == ENODEV ? -ENODEV : 0;
}

/* ---- signals ---------------------------------------------------------------------------------- */

enum { FREEZE_FOR_KILL = 200 /* ms */ };

static void signal_all(const struct pid_list *l, int sig)
{
	for (size_t i = 0; i < l->n; i++)
		kill(l->pids[i], sig);
}

/*
 * While the list is being read and walked, a process can fork (and be missed) or die (and
 * its number name another process, outside). Frozen they do neither.
 */
static int signal_frozen(struct cgroup *cg, int sig, struct err *err)
{
	CLEANUP(mem_free_ptr) pid_t *pids = NULL;
	int freezer = cgroup_freezer_of(cg);
	const struct cgroup_ops *ops = freezer >= 0 ? cgroup_ops_of(cg->host, (size_t)freezer) : NULL;
	bool was_frozen = ops && ops->frozen(cg->dirs[freezer]) == 1;
	struct pid_list l = { NULL, 0, 0 };
	int r;

	if (ops && !was_frozen)
		ops->freeze(cg->dirs[freezer], true, time_now_mono() + FREEZE_FOR_KILL * NSEC_PER_MSEC);
	r = cgroup_pids(cg, &pids, &l.n, err);
	l.pids = pids;
	if (r == 0)
		signal_all(&l, sig);
	/* v1: even SIGKILL waits for the thaw */
	if (ops && (!was_frozen || sig == SIGKILL))
		ops->freeze(cg->dirs[freezer], false, 0);
	return r;
}

/*
 * cgroup.kill reaches all that is in the v2 hierarchy, forks included. On a hybrid host a
 * process may have been put into the v1 hierarchies only: the v1 list is read first, so
 * whoever of it is not in the later v2 list is such a one, or is dead by now.
 */
static int kill_v2(struct cgroup *cg, int v2, bool *ret_others)
{
	struct pid_list v1 = { NULL, 0, 0 }, inside = { NULL, 0, 0 };
	int h = processes_of(cg), r = 0;
	size_t k = 0;

	*ret_others = false;
	if (h != v2)
		r = list_in(cg->dirs[h], &v1);
	if (r == 0 && v1.n)
		r = list_in(cg->dirs[v2], &inside);
	for (size_t i = 0; r == 0 && i < v1.n; i++) {
		while (k < inside.n && inside.pids[k] < v1.pids[i])
			k++;
		if (k == inside.n || inside.pids[k] != v1.pids[i])
			*ret_others = true;
	}
	free(v1.pids);
	free(inside.pids);
	if (r < 0)
		*ret_others = true;
	return sys_file_write(cg->dirs[v2], "cgroup.kill", "1");
}

int cgroup_kill(struct cgroup *cg, int sig, struct err *err)
{
	int v2 = cg->host->v2, v1 = cg->host->of[CGROUP_FREEZER], r;
	bool others = true;

	if (sig == SIGKILL && v2 >= 0 && cg->dirs[v2] >= 0) {
		r = kill_v2(cg, v2, &others);
		if (r < 0 && r != -ENOENT && r != -ENODEV)
			return err_sys(err, r, "cgroup v2: kill %s", cg->path);
		/* whoever is frozen by v1 dies when thawed; v2's freezer lets the dying go */
		if (!others && v1 >= 0 && cg->dirs[v1] >= 0 && cgroup_v1.frozen(cg->dirs[v1]) != 0)
			cgroup_v1.freeze(cg->dirs[v1], false, 0);
		if (!others)
			return 0;
	}
	if (sig != SIGKILL)
		return signal_frozen(cg, sig, err);
	/* without cgroup.kill: a fork bomb may outrun a freeze that did not complete, once */
	for (int round = 0; round < 8; round++) {
		r = signal_frozen(cg, SIGKILL, err);
		if (r < 0)
			return r;
		if (cgroup_populated(cg) != 1)
			break;
	}
	return 0;
}

int cgroup_freeze(struct cgroup *cg, bool frozen, int64_t deadline, struct err *err)
{
	int h = cgroup_freezer_of(cg), r;

	if (h < 0)
		return err_set(err, ERR_UNSUPPORTED,
			       "cgroup freezer: %s cannot be frozen: the controller is not mounted",
			       cg->path);
	r = cgroup_ops_of(cg->host, (size_t)h)->freeze(cg->dirs[h], frozen, deadline);
	if (r == -ETIMEDOUT)
		return err_set(err, ERR_TIMEOUT, "cgroup freezer: %s %s: the kernel did not finish in time",
			       frozen ? "freeze" : "thaw", cg->path);
	if (r < 0)
		return err_sys(err, r, "cgroup freezer: %s %s", frozen ? "freeze" : "thaw", cg->path);
	return 0;
}

int cgroup_frozen(const struct cgroup *cg)
{
	int h = cgroup_freezer_of(cg);

	return h < 0 ? 0 : cgroup_ops_of(cg->host, (size_t)h)->frozen(cg->dirs[h]);
}

int cgroup_kill_subs(const struct cgroup *cg, const char *prefix, struct err *err)
{
	int h = cg->host->v2, fd, r = 0;
	struct dirent *e;
	DIR *dir;

	if (h < 0 || cg->dirs[h] < 0)
		h = cgroup_freezer_of(cg);
	if (h < 0)
		return 0;
	fd = openat(cg->dirs[h], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return err_sys(err, errno, "cgroup: list %s", cg->path);
	while (r == 0 && (e = readdir(dir))) {
		CLEANUP(cgroup_freep) struct cgroup *sub = NULL;

		if (e->d_type != DT_DIR || !str_skip_prefix(e->d_name, prefix))
			continue;
		r = cgroup_create_sub(cg, e->d_name, &sub, err);
		if (r == 0)
			r = cgroup_remove(sub, true, time_now_mono() + NSEC_PER_SEC, err);
	}
	closedir(dir);
	return r;
}

/* ---- OOM ------------------------------------------------------------------------------------------ */

int cgroup_oom_kills(const struct cgroup *cg, uint64_t *ret, struct err *err)
{
	int h = cg->host->of[CGROUP_MEMORY], r = -ENOENT;

	if (h >= 0 && cg->dirs[h] >= 0)
		r = cgroup_ops_of(cg->host, (size_t)h)->oom_kills(cg->dirs[h], ret);
	return r < 0 ? err_sys(err, r, "cgroup memory: read the OOM count of %s", cg->path) : 0;
}

static int watch_v2(int dir, int *ret_fd)
{
	autofd int fd = openat(dir, "memory.events", O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	cgroup_watch_drain(fd);
	*ret_fd = take_fd(&fd);
	return 0;
}

int cgroup_oom_watch(const struct cgroup *cg, int *ret_fd, short *ret_events, struct err *err)
{
	int h = cg->host->of[CGROUP_MEMORY], r = -ENOENT;
	bool v2 = h >= 0 && cg->host->hierarchies[h].version == 2;

	if (h >= 0 && cg->dirs[h] >= 0)
		r = v2 ? watch_v2(cg->dirs[h], ret_fd) : cgroup_v1.oom_watch(cg->dirs[h], ret_fd);
	if (r < 0)
		return err_sys(err, r, "cgroup memory: watch %s for OOM", cg->path);
	*ret_events = v2 ? POLLPRI : POLLIN;
	return 0;
}
