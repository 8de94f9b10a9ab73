/*
 * A cgroup's directories: made, opened, removed. Any process.
 *
 * Invariant: cg->dirs[h] is an O_PATH descriptor of the cgroup in hierarchy h or -EBADF;
 * the object holds nothing else of the kernel's.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

static struct cgroup *object_new(const struct cgroup_host *host, const struct cgroup_driver *driver,
				 const char *path)
{
	struct cgroup *cg = mem_new(1, sizeof(*cg));

	cg->host = host;
	cg->driver = driver ? driver : &cgroup_driver_fs;
	cg->path = mem_strdup(path);
	cg->holder = -EBADF;
	for (size_t h = 0; h < CGROUP_HIERARCHIES_MAX; h++)
		cg->dirs[h] = -EBADF;
	return cg;
}

/* Of what exists already on the way down, the last; and v2 wants to see cgroup.procs of what
 * both places have in common, which is that one or one above it. */
bool cgroup_is_writable(const struct cgroup_host *host, const char *path)
{
	for (size_t h = 0; h < host->n_hierarchies; h++) {
		char directory[CGROUP_DIRECTORY_MAX], procs[CGROUP_DIRECTORY_MAX + 16];
		size_t least = strlen(host->hierarchies[h].mount);

		if (cgroup_directory_text(host, h, path, directory) < 0)
			return false;
		while (faccessat(AT_FDCWD, directory, F_OK, AT_EACCESS) < 0 && strlen(directory) > least)
			*strrchr(directory, '/') = '\0';
		snprintf(procs, sizeof(procs), "%s/cgroup.procs", directory);
		if (faccessat(AT_FDCWD, directory, W_OK, AT_EACCESS) < 0 ||
		    faccessat(AT_FDCWD, procs, W_OK, AT_EACCESS) < 0)
			return false;
	}
	return true;
}

void cgroup_free(struct cgroup *cg)
{
	if (!cg)
		return;
	for (size_t h = 0; h < CGROUP_HIERARCHIES_MAX; h++)
		fd_close_ptr(&cg->dirs[h]);
	cgroup_unit_release(cg);
	free(cg->unit);
	free(cg->path);
	free(cg);
}

const char *cgroup_path(const struct cgroup *cg)
{
	return cg->path;
}

const struct cgroup_host *cgroup_host_of(const struct cgroup *cg)
{
	return cg->host;
}

char *cgroup_directory(const struct cgroup *cg, size_t hierarchy, struct arena *a)
{
	char text[CGROUP_DIRECTORY_MAX];

	if (hierarchy >= cg->host->n_hierarchies || cg->dirs[hierarchy] < 0 ||
	    cgroup_directory_text(cg->host, hierarchy, cg->path, text) < 0)
		return NULL;
	return arena_strdup(a, text);
}

/* mkdir with what is missing above it; *ret_made counts the components that are new. */
static int make_path(char *directory, size_t mount_len, int *ret_made)
{
	char *slash;
	int r;

	*ret_made = 0;
	if (mkdir(directory, 0755) == 0) {
		*ret_made = 1;
		return 0;
	}
	if (errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return -errno;
	slash = strrchr(directory, '/');
	if ((size_t)(slash - directory) <= mount_len)
		return -ENOENT;
	*slash = '\0';
	r = make_path(directory, mount_len, ret_made);
	*slash = '/';
	if (r < 0)
		return r;
	if (mkdir(directory, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	++*ret_made;
	return 0;
}

/* Takes back the last `made` components; one that somebody else uses meanwhile stays. */
static void unmake_path(char *directory, int made)
{
	for (; made > 0; made--) {
		char *slash = strrchr(directory, '/');

		if (rmdir(directory) < 0)
			break;
		*slash = '\0';
	}
}

static int is_busy(int dir)
{
	autofd int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char c;

	if (fd < 0)
		return -errno;
	return read(fd, &c, 1) > 0;
}

/* The files that the kernel lists in /sys/kernel/cgroup/delegate, since 4.15. */
static int delegate(int dir, uid_t owner)
{
	static const char *const files[] = { "cgroup.procs", "cgroup.threads", "cgroup.subtree_control",
					     "memory.oom.group" };

	if (fchownat(dir, "", owner, (gid_t)-1, AT_EMPTY_PATH) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (fchownat(dir, files[i], owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
			return -errno;
	return 0;
}

static int make_in(struct cgroup *cg, size_t h, const struct cgroup_config *config,
		   const struct cgroup_plan *plan,
		   int *ret_made, struct err *err)
{
	const struct cgroup_hierarchy *hi = &cg->host->hierarchies[h];
	char directory[CGROUP_DIRECTORY_MAX];
	int r;

	r = cgroup_directory_text(cg->host, h, cg->path, directory);
	if (r < 0)
		return err_sys(err, r, "cgroup %s", cg->path);
	r = make_path(directory, strlen(hi->mount), ret_made);
	if (r < 0)
		return err_sys(err, r, "cgroup %s: make %s", *hi->name ? hi->name : "v2", directory);
	cg->dirs[h] = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (cg->dirs[h] < 0)
		return err_sys(err, errno, "cgroup %s: open %s", *hi->name ? hi->name : "v2", directory);
	if (!*ret_made && !config->allow_populated && is_busy(cg->dirs[h]) == 1)
		return err_set(err, ERR_EXISTS, "cgroup %s: %s exists and has processes in it",
			       *hi->name ? hi->name : "v2", directory);
	r = cgroup_ops_of(cg->host, h)->prepare(cg->host, h, directory, plan, err);
	if (r < 0)
		return r;
	if (hi->version == 2 && config->owner != (uid_t)-1) {
		r = delegate(cg->dirs[h], config->owner);
		if (r < 0)
			return err_sys(err, r, "cgroup: give %s to user %u", directory,
				       (unsigned)config->owner);
	}
	return 0;
}

int cgroup_fs_make(struct cgroup *cg, const struct cgroup_config *config, const struct cgroup_plan *plan,
		   struct err *err)
{
	int made[CGROUP_HIERARCHIES_MAX] = { 0 }, r = 0;
	size_t h;

	for (h = 0; r == 0 && h < cg->host->n_hierarchies; h++)
		r = make_in(cg, h, config, plan, &made[h], err);
	while (r < 0 && h-- > 0) {
		char directory[CGROUP_DIRECTORY_MAX];

		if (cgroup_directory_text(cg->host, h, cg->path, directory) == 0)
			unmake_path(directory, made[h]);
	}
	return r;
}

const struct cgroup_driver cgroup_driver_fs = { .name = "cgroupfs", .make = cgroup_fs_make };

int cgroup_create(const struct cgroup_host *host, const struct cgroup_config *config,
		  const struct cgroup_plan *plan, struct cgroup **ret, struct err *err)
{
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	int r = cgroup_path_check(config->path, err);

	if (r < 0)
		return r;
	cg = object_new(host, config->driver, config->path);
	r = cg->driver->make(cg, config, plan, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&cg);
	return 0;
}

int cgroup_open(const struct cgroup_host *host, const char *path, struct cgroup **ret, struct err *err)
{
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	bool found = false;
	int r = cgroup_path_check(path, err);

	if (r < 0)
		return r;
	cg = object_new(host, NULL, path);
	for (size_t h = 0; h < host->n_hierarchies; h++) {
		char directory[CGROUP_DIRECTORY_MAX];

		r = cgroup_directory_text(host, h, path, directory);
		if (r < 0)
			return err_sys(err, r, "cgroup %s", path);
		cg->dirs[h] = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (cg->dirs[h] >= 0)
			found = true;
		else if (errno != ENOENT)
			return err_sys(err, errno, "cgroup: open %s", directory);
	}
	if (!found)
		return err_set(err, ERR_NOT_FOUND, "cgroup %s does not exist", path);
	*ret = take_ptr(&cg);
	return 0;
}

int cgroup_open_unit(const struct cgroup_host *host, const char *path, const struct cgroup_unit *unit,
		     struct cgroup **ret, struct err *err)
{
	int r = cgroup_open(host, path, ret, err);

	if (r < 0)
		return r;
	(*ret)->driver = &cgroup_driver_systemd;
	(*ret)->unit = mem_strdup(unit->name);
	(*ret)->unit_user = unit->user;
	return 0;
}

int cgroup_create_sub(const struct cgroup *cg, const char *name, struct cgroup **ret, struct err *err)
{
	CLEANUP(cgroup_freep) struct cgroup *sub = NULL;
	autofree char *path = NULL;
	int h = cg->host->v2;

	if (!str_is_id(name, 128))
		return err_set(err, ERR_INVALID, "cgroup %s: \"%s\" is no name for a sub-cgroup", cg->path,
			       name);
	if (h < 0 || cg->dirs[h] < 0)
		h = cgroup_freezer_of(cg);
	if (h < 0)
		return err_set(err, ERR_UNSUPPORTED, "cgroup %s: no hierarchy here can kill a sub-cgroup",
			       cg->path);
	path = mem_printf("%s/%s", cg->path, name);
	if (strlen(path) >= CGROUP_PATH_MAX)
		return err_set(err, ERR_INVALID, "cgroup %s: the path is too long", path);
	sub = object_new(cg->host, NULL, path);
	sub->sub = true;
	if (mkdirat(cg->dirs[h], name, 0755) < 0 && errno != EEXIST)
		return err_sysk(err, errno == EOPNOTSUPP ? ERR_UNSUPPORTED : err_kind_of(errno), errno,
				"cgroup: make %s", path);
	sub->dirs[h] = openat(cg->dirs[h], name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub->dirs[h] < 0)
		return err_sys(err, errno, "cgroup: open %s", path);
	*ret = take_ptr(&sub);
	return 0;
}

/* Whether "cpu" is one of "cpu,cpuacct". */
static bool has_word(const char *list, const char *word, size_t len)
{
	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == len && memcmp(p, word, len) == 0)
			return true;
	return false;
}

static int open_sub_in(const struct cgroup *cg, size_t h, const char *path, struct cgroup *sub, struct err *err)
{
	const char *name = cg->host->hierarchies[h].name;
	int r = sys_open_beneath(cg->dirs[h], path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &sub->dirs[h]);

	return r < 0 ? err_sys(err, r, "cgroup %s: %s below %s", *name ? name : "v2", path, cg->path) : 0;
}

static int open_sub(const struct cgroup *cg, const char *controllers, const char *path, struct cgroup *sub,
		    struct err *err)
{
	int r = 0;

	for (size_t h = 0; !controllers && r == 0 && h < cg->host->n_hierarchies; h++)
		if (cg->dirs[h] >= 0)
			r = open_sub_in(cg, h, path, sub, err);
	for (const char *p = controllers; r == 0 && p && *p; p += strcspn(p, ","), p += *p == ',') {
		size_t len = strcspn(p, ","), h = 0;

		while (h < cg->host->n_hierarchies &&
		       (cg->dirs[h] < 0 || !has_word(cg->host->hierarchies[h].name, p, len)))
			h++;
		if (h == cg->host->n_hierarchies)
			return err_set(err, ERR_INVALID, "cgroup %s: \"%.*s\" is no controller with a hierarchy of "
				       "its own", cg->path, (int)len, p);
		if (sub->dirs[h] >= 0)
			return err_set(err, ERR_INVALID, "cgroup %s: a second place for \"%.*s\"", cg->path,
				       (int)len, p);
		r = open_sub_in(cg, h, path, sub, err);
	}
	return r;
}

int cgroup_open_sub(const struct cgroup *cg, const char *controllers, const char *path, struct cgroup **ret,
		    struct err *err)
{
	CLEANUP(cgroup_freep) struct cgroup *sub = NULL;
	autofree char *whole = mem_printf("%s/%s", cg->path, path);
	int r;

	if (str_empty(path) || strlen(whole) >= CGROUP_PATH_MAX)
		return err_set(err, ERR_INVALID, "cgroup %s: \"%s\" is no path below it", cg->path, path);
	if (*ret)
		return open_sub(cg, controllers, path, *ret, err);
	sub = object_new(cg->host, NULL, whole);
	sub->sub = true;
	r = open_sub(cg, controllers, path, sub, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&sub);
	return 0;
}

int cgroup_give(const struct cgroup *cg, uint32_t owner, struct err *err)
{
	int h = cg->host->v2, r = h < 0 || cg->dirs[h] < 0 ? 0 : delegate(cg->dirs[h], owner);

	return r < 0 ? err_sys(err, r, "cgroup: give %s to user %u", cg->path, (unsigned)owner) : 0;
}

static void pause_for(int64_t ns)
{
	struct timespec ts = { ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };

	nanosleep(&ts, NULL);
}

/*
 * The kernel keeps a cgroup busy until its last task has gone through exit, a moment after
 * the parent could reap it. v2 tells when; v1 does not, so the pauses grow from 100 µs.
 */
int cgroup_remove(struct cgroup *cg, bool kill, int64_t deadline, struct err *err)
{
	int64_t pause = 100000;

	for (unsigned round = 0;; round++) {
		char directory[CGROUP_DIRECTORY_MAX];
		int busy = 0;

		if (kill && round)
			cgroup_kill(cg, SIGKILL, NULL);
		for (size_t h = 0; h < cg->host->n_hierarchies; h++) {
			int r;

			if (cg->dirs[h] < 0)
				continue;
			r = cgroup_directory_text(cg->host, h, cg->path, directory);
			if (r == 0)
				r = cgroup_remove_tree(directory);
			if (r == 0) {
				fd_drop(&cg->dirs[h]);
				continue;
			}
			if (r != -EBUSY)
				return err_sys(err, r, "cgroup: remove %s", directory);
			busy = 1;
			/* the same processes are in the way everywhere: kill before the others are tried */
			if (kill && !round)
				break;
		}
		if (!busy)
			break;
		if (time_now_mono() >= deadline)
			return err_set(err, ERR_TIMEOUT, "cgroup: remove %s: processes are still in it",
				       cg->path);
		if (kill && !round)
			continue;
		pause_for(pause);
		if (pause < 10 * NSEC_PER_MSEC)
			pause *= 2;
	}
	return cg->driver->unmake ? cg->driver->unmake(cg, err) : 0;
}

int cgroup_remove_empty(const struct cgroup_host *host, const char *path)
{
	if (*path != '/' || cgroup_path_check(path, NULL) < 0)
		return -EINVAL;
	for (size_t h = 0; h < host->n_hierarchies; h++) {
		char directory[CGROUP_DIRECTORY_MAX];
		int r = cgroup_directory_text(host, h, path, directory);

		if (r < 0)
			return r;
		if (rmdir(directory) < 0 && errno != ENOENT && errno != ENODEV)
			return -errno;
	}
	return 0;
}

int cgroup_wait_empty(struct cgroup *cg, int64_t deadline, struct err *err)
{
	autofd int events = -EBADF;
	int64_t pause = 100000;

	cgroup_events_open(cg, &events, NULL);
	for (;;) {
		struct pollfd p = { .fd = events, .events = POLLPRI };
		char text[256];
		int r;

		/* reading first: what changes after it is reported by poll */
		if (events >= 0 && pread(events, text, sizeof(text), 0) < 0)
			fd_drop(&events);
		r = cgroup_populated(cg);
		if (r == 0)
			return 0;
		if (r < 0)
			return err_sys(err, r, "cgroup %s: read whether it is populated", cg->path);
		if (time_now_mono() >= deadline)
			return err_set(err, ERR_TIMEOUT, "cgroup %s: processes are still in it", cg->path);
		/* on a hybrid host somebody may be in the v1 hierarchies only: asked again soon */
		if (events >= 0 && (cg->host->mode == CGROUP_V2 || cg->sub))
			poll(&p, 1, time_poll_ms(deadline));
		else
			pause_for(pause);
		if (pause < 10 * NSEC_PER_MSEC)
			pause *= 2;
	}
}

int cgroup_stats(const struct cgroup *cg, struct cgroup_stats *ret, struct err *err)
{
	bool any = false;

	memset(ret, 0, sizeof(*ret));
	ret->memory_limit = ret->swap_limit = ret->pids_limit = UINT64_MAX;
	for (size_t h = 0; h < cg->host->n_hierarchies; h++) {
		if (cg->dirs[h] < 0)
			continue;
		any = true;
		cgroup_ops_of(cg->host, h)->stats(cg, h, ret);
	}
	return any ? 0 : err_set(err, ERR_NOT_FOUND, "cgroup %s does not exist", cg->path);
}
