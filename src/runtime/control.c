/*
 * A container that exists: start, kill, delete, pause, update, state. Runs in the caller.
 */
#include "runtime/hook.h"
#include "runtime/parent.h"
#include "runtime/rdt.h"
#include "runtime/salvage.h"
#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { WAIT_SECONDS = 10 };

static int64_t deadline(void)
{
	return time_now_mono() + WAIT_SECONDS * NSEC_PER_SEC;
}

struct handle {
	struct arena arena;
	struct record record;
	enum record_status status;
	struct cgroup *cgroup;
	struct hooks_output output;
	int dir, pidfd;
};

#define HANDLE_INIT { .dir = -EBADF, .pidfd = -EBADF, .output = HOOKS_OUTPUT_INIT }

static void handle_done(struct handle *h)
{
	cgroup_free(h->cgroup);
	hooks_output_done(&h->output);
	fd_drop(&h->pidfd);
	fd_drop(&h->dir);
	arena_done(&h->arena);
}

static int handle_open(const char *root, const char *id, struct handle *h, struct err *err)
{
	int r = record_open(root, id, &h->arena, &h->dir, &h->record, err);

	if (r == 0)
		h->status = record_status(&h->record, h->dir, &h->pidfd);
	return r;
}

/* ---- start ---- */

static int connect_start(int dir, int *ret, struct err *err)
{
	autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (fd < 0)
		return err_sys(err, errno, "socket");
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/start.sock", dir);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sysk(err, ERR_STATE, errno, "connect to the container's process");
	*ret = take_fd(&fd);
	return 0;
}

int runtime_start(const char *root, const char *id, struct err *err)
{
	CLEANUP(handle_done) struct handle h = HANDLE_INIT;
	autofd int sock = -EBADF;
	int r;

	r = handle_open(root, id, &h, err);
	if (r < 0)
		return r;
	switch (h.status) {
	case RECORD_CREATED: break;
	case RECORD_STOPPED: return err_set(err, ERR_STATE, "cannot start a container that has stopped");
	case RECORD_CREATING: return err_set(err, ERR_STATE,
					     "cannot start a container that is not created yet");
	default: return err_set(err, ERR_STATE, "cannot start an already running container");
	}
	r = connect_start(h.dir, &sock, err);
	if (r < 0)
		return r;
	r = sync_send(sock, SYNC_GO, 0, NULL, 0);
	if (r < 0)
		return err_sys(err, r, "start: the container's process went away");
	r = parent_await_program(&h.record, h.pidfd, sock, err);
	unlinkat(h.dir, "start.sock", 0);
	return r < 0 ? r : parent_poststart(&h.record, h.pidfd, &h.output, err);
}

/* ---- kill ---- */

int runtime_kill(const char *root, const char *id, int sig, bool all, struct err *err)
{
	CLEANUP(handle_done) struct handle h = HANDLE_INIT;
	int r;

	r = handle_open(root, id, &h, err);
	if (r < 0)
		return r;
	if (all && h.record.cgroup_path) {
		if (record_cgroup(&h.record, &h.arena, &h.cgroup, err) < 0)
			return err_set(err, ERR_STATE, "container not running");
		return cgroup_kill(h.cgroup, sig, err);
	}
	if (h.pidfd < 0)
		return err_set(err, ERR_STATE, "container not running");
	/* without a pid namespace of its own the others do not end with init */
	if (sig == SIGKILL && !(h.record.namespaces & 1U << NS_PID) && h.record.cgroup_path &&
	    record_cgroup(&h.record, &h.arena, &h.cgroup, err) == 0)
		return cgroup_kill(h.cgroup, sig, err);
	r = sys_pidfd_signal(h.pidfd, sig);
	if (r == -ESRCH)
		return err_set(err, ERR_STATE, "container not running");
	if (r < 0)
		return err_sys(err, r, "signal %d", sig);
	/* the frozen do not die of it before they are thawed */
	if (sig == SIGKILL && h.status == RECORD_PAUSED &&
	    record_cgroup(&h.record, &h.arena, &h.cgroup, err) == 0)
		return cgroup_freeze(h.cgroup, false, deadline(), err);
	return 0;
}

/* ---- delete ---- */

static void kill_init(struct handle *h)
{
	if (h->pidfd < 0)
		return;
	sys_pidfd_signal(h->pidfd, SIGKILL);
}

static int wait_exit(int pidfd, struct err *err)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int64_t until = deadline();
	int r = 1;

	/* a pidfd is readable from the death on, whoever reaps */
	while (pidfd >= 0 && (r = poll(&p, 1, time_poll_ms(until))) < 0 && errno == EINTR)
		;
	if (r == 0)
		return err_set(err, ERR_TIMEOUT, "init did not die within %d s of SIGKILL", WAIT_SECONDS);
	return 0;
}

/* Its process has ended, and mostly nothing else is in its cgroup: what is, is for cgroup_remove. */
static bool remove_empty_cgroup(const struct handle *h)
{
	const struct cgroup_host *host;

	return h->pidfd < 0 && !h->record.systemd_unit && *h->record.cgroup_path == '/' &&
	       cgroup_host_get(&host, NULL) == 0 && cgroup_remove_empty(host, h->record.cgroup_path) == 0;
}

int runtime_delete(const char *root, const char *id, bool force, struct err *err)
{
	CLEANUP(handle_done) struct handle h = HANDLE_INIT;
	struct err ignored = ERR_INIT;
	struct oci_state state;
	int r;

	r = handle_open(root, id, &h, err);
	if (r < 0 && force && err && err->kind == ERR_NOT_FOUND) {
		err_clear(err);
		return 0;
	}
	if (r < 0 && force && err && err->kind == ERR_CORRUPT) {
		struct err why = *err;

		err_clear(err);
		return salvage_delete(root, id, why.text, err);
	}
	if (r < 0)
		return r;
	if (!force && h.status != RECORD_STOPPED && h.status != RECORD_CREATING && h.status != RECORD_CREATED)
		return err_set(err, ERR_STATE, "cannot delete container %s that is not stopped: %s", id,
			       record_status_name(h.status));
	kill_init(&h);
	/* cgroup_remove kills whatever else is inside; what is frozen dies by it as well */
	if (h.record.cgroup_path && !remove_empty_cgroup(&h) &&
	    record_cgroup(&h.record, &h.arena, &h.cgroup, NULL) == 0) {
		r = cgroup_remove(h.cgroup, true, deadline(), err);
		if (r < 0)
			return err_wrap(err, r, "delete %s", id);
	}
	r = wait_exit(h.pidfd, err);
	if (r < 0)
		return err_wrap(err, r, "delete %s", id);
	record_oci_state(&h.record, RECORD_STOPPED, &state);
	record_leave_rdt(&h.record);
	r = record_remove(root, id, err);
	if (r < 0)
		return r;
	if (!h.record.hooks || !h.record.hooks->n_poststop)
		return 0;
	if (hooks_output_open(h.record.annotations, h.record.n_annotations, &h.output, &ignored) < 0)
		runtime_warn("%s", ignored.text);
	hooks_run_all(h.record.hooks->poststop, h.record.hooks->n_poststop, "poststop", &state, &h.output);
	return 0;
}

/* ---- pause, resume, update ---- */

static int freeze(const char *root, const char *id, bool frozen, struct err *err)
{
	CLEANUP(handle_done) struct handle h = HANDLE_INIT;
	int r;

	r = handle_open(root, id, &h, err);
	if (r < 0)
		return r;
	if (frozen && h.status != RECORD_RUNNING && h.status != RECORD_CREATED)
		return err_set(err, ERR_STATE, "container not running or created: %s",
			       record_status_name(h.status));
	if (!frozen && h.status != RECORD_PAUSED)
		return err_set(err, ERR_STATE, "container not paused");
	r = record_cgroup(&h.record, &h.arena, &h.cgroup, err);
	return r < 0 ? r : cgroup_freeze(h.cgroup, frozen, deadline(), err);
}

int runtime_pause(const char *root, const char *id, struct err *err)
{
	return freeze(root, id, true, err);
}

int runtime_resume(const char *root, const char *id, struct err *err)
{
	return freeze(root, id, false, err);
}

int runtime_update(const char *root, const char *id, const struct oci_resources *resources, struct err *err)
{
	CLEANUP(handle_done) struct handle h = HANDLE_INIT;
	struct cgroup_limits limits;
	struct cgroup_plan plan;
	int r;

	r = handle_open(root, id, &h, err);
	if (r < 0)
		return r;
	if (h.pidfd < 0)
		return err_set(err, ERR_STATE, "container not running");
	r = plan_limits(resources, false, &h.arena, &limits, err);
	if (r == 0)
		r = record_cgroup(&h.record, &h.arena, &h.cgroup, err);
	if (r == 0)
		r = plan_weight_curve(h.record.annotations, h.record.n_annotations, &limits, err);
	if (r == 0)
		r = cgroup_plan(cgroup_host_of(h.cgroup), &limits, &h.arena, &plan, err);
	if (r == 0 && h.record.systemd_unit)
		r = cgroup_unit_limits(cgroup_host_of(h.cgroup), &limits, &h.arena, &plan, err);
	return r < 0 ? r : cgroup_update(h.cgroup, &plan, err);
}

int runtime_update_rdt(const char *root, const char *id, const struct oci_intel_rdt *schema, struct err *err)
{
	CLEANUP(handle_done) struct handle h = HANDLE_INIT;
	struct oci_intel_rdt o = *schema;
	autofd int dir = -EBADF;
	int r;

	r = handle_open(root, id, &h, err);
	if (r < 0)
		return r;
	if (!h.record.intel_rdt)
		return err_set(err, ERR_STATE, "linux.intelRdt: the container was created without it");
	o.clos_id = h.record.intel_rdt->clos_id;
	r = rdt_check(&o, err);
	if (r == 0)
		r = rdt_open(&dir, err);
	return r < 0 ? r : rdt_update(dir, &o, id, err);
}

/* ---- looking ---- */

int runtime_state(const char *root, const char *id, struct arena *a, struct runtime_state *ret,
		  struct err *err)
{
	enum record_status status;
	struct record rec;
	autofd int dir = -EBADF;
	int r;

	/* no lock: somebody who creates or deletes for long must not hold up who only looks */
	r = record_peek(root, id, a, &dir, &rec, err);
	if (r < 0)
		return r;
	status = record_status(&rec, dir, NULL);
	memset(ret, 0, sizeof(*ret));
	record_oci_state(&rec, status, &ret->oci);
	ret->rootfs = rec.rootfs;
	ret->created = rec.created;
	ret->owner = rec.owner;
	ret->cgroup_path = rec.cgroup_path;
	ret->start_ticks = rec.start_ticks;
	return 0;
}

int runtime_process(const char *root, const char *id, struct arena *a, struct oci_process *ret,
		    struct err *err)
{
	struct record rec;
	autofd int dir = -EBADF;
	int r = record_peek(root, id, a, &dir, &rec, err);

	if (r < 0)
		return r;
	if (!rec.process)
		return err_set(err, ERR_STATE, "container %s has no process", id);
	*ret = *rec.process;
	return 0;
}

int runtime_list(const char *root, struct arena *a, char ***ret, size_t *ret_n, struct err *err)
{
	struct dirent *e;
	char **list = NULL;
	size_t n = 0, cap = 0;
	DIR *dir = opendir(root);

	if (!dir && errno != ENOENT)
		return err_sys(err, errno, "open %s", root);
	while (dir && (e = readdir(dir))) {
		if (!str_is_id(e->d_name, 1024) || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
			continue;
		if (n == cap) {
			char **grown = arena_new(a, cap = cap ? cap * 2 : 16, sizeof(*grown));

			if (n)
				memcpy(grown, list, n * sizeof(*list));
			list = grown;
		}
		list[n++] = arena_strdup(a, e->d_name);
	}
	if (dir)
		closedir(dir);
	*ret = list;
	*ret_n = n;
	return 0;
}

int runtime_pids(const char *root, const char *id, pid_t **ret, size_t *ret_n, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	int r = runtime_cgroup(root, id, &a, &cg, err);

	return r < 0 ? r : cgroup_pids(cg, ret, ret_n, err);
}

int runtime_cgroup(const char *root, const char *id, struct arena *a, struct cgroup **ret, struct err *err)
{
	struct record rec;
	autofd int dir = -EBADF;
	int r = record_peek(root, id, a, &dir, &rec, err);

	return r < 0 ? r : record_cgroup(&rec, a, ret, err);
}
