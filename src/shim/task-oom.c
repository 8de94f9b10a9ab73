/*
 * Memory that ran out, and what an exit leaves behind: both are read off the container's cgroup.
 * Loop thread.
 */
#include "shim/op.h"

#include "shim/events.h"

#include <signal.h>

static void check_oom(struct task *t)
{
	uint64_t kills;

	if (!t->cgroup)
		return;
	if (cgroup_oom_kills(t->cgroup, &kills, NULL) < 0 &&
	    (t->oom_log < 0 || cgroup_oom_logged(t->cgroup, t->oom_log, t->init.pid, &kills, NULL) < 0))
		return;
	if (kills <= t->oom_kills)
		return;
	t->oom_kills = kills;
	t->oom_killed = true;
	events_oom(t);
}

static void on_oom(uint32_t events, void *user)
{
	struct task *t = user;
	int r = cgroup_watch_drain(t->oom_fd);

	check_oom(t);
	if (r < 0) /* what the kernel's log says is asked for at the end */
		event_fd_free(take_ptr(&t->oom_source));
}

void task_unwatch_oom(struct task *t)
{
	event_fd_free(take_ptr(&t->oom_source));
	fd_drop(&t->oom_fd);
	fd_drop(&t->oom_log);
}

void task_open_cgroup(struct task *t, const char *path)
{
	const struct cgroup_host *host;
	struct err err = ERR_INIT;
	short events;

	if (!path[0])
		return;
	if (cgroup_host_get(&host, &err) < 0 || cgroup_open(host, path, &t->cgroup, &err) < 0) {
		shim_log(t->shim, "%s: cgroup: %s", t->id, err.text);
		return;
	}
	/* a host without the memory controller has nothing to watch */
	if (cgroup_oom_watch(t->cgroup, &t->oom_fd, &events, NULL) < 0)
		return;
	event_fd_new(t->shim->loop, t->oom_fd, (uint32_t)events, on_oom, t, &t->oom_source);
	if (t->systemd_cgroup)
		cgroup_oom_log_open(&t->oom_log);
}

void task_init_exited(struct task *t)
{
	check_oom(t);
	task_unwatch_oom(t);
	t->paused = false;
	/*
	 * The kernel kills a pid namespace with its init. In one that is shared (with the pod,
	 * with the host) nobody does, and processes of a container that is over would run on.
	 */
	if (!t->pid_ns_init && t->cgroup) {
		struct err err = ERR_INIT;

		if (cgroup_kill(t->cgroup, SIGKILL, &err) < 0)
			shim_log(t->shim, "%s: kill what is left: %s", t->id, err.text);
	}
}
