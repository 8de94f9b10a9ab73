/*
 * Becoming root of a user namespace. Runs in the caller, which has one thread.
 *
 * Who makes a user namespace may map only its own id into it. All others are written by
 * newuidmap(1) and newgidmap(1), which have the privilege and look into /etc/subuid; they have
 * to run outside, so a process that was forked before stays there and calls them.
 */
#include "runtime/rootless.h"

#include "ns/ns.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { HELPER_SECONDS = 10 };

struct maps {
	struct ns_id_map *uids, *gids;
	size_t n_uids, n_gids;
};

static int copy(const struct oci_id_map *from, size_t n, const char *name, struct arena *a,
		struct ns_id_map **ret, struct err *err)
{
	struct ns_id_map *out = arena_new(a, n + 1, sizeof(*out));
	size_t at;

	for (size_t i = 0; i < n; i++)
		out[i] = (struct ns_id_map){ from[i].container_id, from[i].host_id, from[i].size };
	if (ns_maps_check(out, n, &at) < 0)
		return err_set(err, ERR_INVALID, "linux.%s: missing, empty, out of range or overlapping", name);
	*ret = out;
	return 0;
}

static int read_maps(const struct oci_config *c, struct arena *a, struct maps *m, struct err *err)
{
	const struct oci_linux *l = c->linux_;
	uint32_t outside;
	int r;

	r = copy(l->uid_mappings, l->n_uid_mappings, "uidMappings", a, &m->uids, err);
	if (r == 0)
		r = copy(l->gid_mappings, l->n_gid_mappings, "gidMappings", a, &m->gids, err);
	if (r < 0)
		return r;
	m->n_uids = l->n_uid_mappings;
	m->n_gids = l->n_gid_mappings;
	if (ns_maps_find(m->uids, m->n_uids, 0, &outside) < 0 || ns_maps_find(m->gids, m->n_gids, 0, &outside) < 0)
		return err_set(err, ERR_INVALID,
			       "linux.uidMappings, gidMappings: id 0 of the container is not mapped");
	if (!c->process)
		return 0;
	if (ns_maps_find(m->uids, m->n_uids, c->process->user.uid, &outside) < 0)
		return err_set(err, ERR_INVALID, "process.user.uid: %u is not mapped", c->process->user.uid);
	if (ns_maps_find(m->gids, m->n_gids, c->process->user.gid, &outside) < 0)
		return err_set(err, ERR_INVALID, "process.user.gid: %u is not mapped", c->process->user.gid);
	return 0;
}

/* Exactly the caller's own ids: the kernel allows that without help. */
static bool is_single(const struct maps *m)
{
	return m->n_uids == 1 && m->uids[0].size == 1 && m->uids[0].outside == geteuid() && m->n_gids == 1 &&
	       m->gids[0].size == 1 && m->gids[0].outside == getegid();
}

/* ---- the process that stays outside ---------------------------------------------------------- */

static int run_tool(const char *path, const char *file, pid_t target, const struct ns_id_map *maps, size_t n,
		    struct err *err)
{
	CLEANUP(buf_done) struct buf said = BUF_INIT(512);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const char **argv = arena_new(&a, 3 + n * 3, sizeof(*argv));
	struct sys_spawn what = { .path = path, .argv = argv,
				  .deadline = time_now_mono() + HELPER_SECONDS * NSEC_PER_SEC };
	size_t k = 0;
	int status = 0, r;

	argv[k++] = path;
	argv[k++] = arena_printf(&a, "%d", (int)target);
	for (size_t i = 0; i < n; i++) {
		argv[k++] = arena_printf(&a, "%u", maps[i].inside);
		argv[k++] = arena_printf(&a, "%u", maps[i].outside);
		argv[k++] = arena_printf(&a, "%u", maps[i].size);
	}
	r = sys_spawn_run(&what, NULL, &said, &status);
	if (r == -ENOENT)
		return err_set(err, ERR_UNSUPPORTED, "%s is missing: without it a user can map only the own id",
			       path);
	if (r < 0)
		return err_sys(err, r, "%s", path);
	if (status)
		return err_set(err, ERR_DENIED, "%.300s (are the ids in %s?)", buf_text(&said), file);
	return 0;
}

static void stay_outside(int sock, pid_t target, const struct maps *m)
{
	struct err err = ERR_INIT;
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(sock, &go, 1) == 1 &&
	    run_tool("/usr/bin/newuidmap", "/etc/subuid", target, m->uids, m->n_uids, &err) == 0)
		run_tool("/usr/bin/newgidmap", "/etc/subgid", target, m->gids, m->n_gids, &err);
	send(sock, &err, sizeof(err), MSG_NOSIGNAL);
	_exit(0);
}

static int map_with_tools(const struct maps *m, int sock, struct err *err)
{
	struct err answer;

	if (send(sock, "", 1, MSG_NOSIGNAL) != 1 || recv(sock, &answer, sizeof(answer), 0) != sizeof(answer))
		return err_set(err, ERR_INTERNAL, "the process that writes the id maps went away");
	if (answer.kind == ERR_NONE)
		return 0;
	err_sanitize(&answer);
	if (err)
		*err = answer;
	return -EPERM;
}

/* ---- the caller ----------------------------------------------------------------------------------- */

static int leave(struct err *err)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return err_sys(err, errno, "make a user namespace (may users do so here?)");
	/* our own files of procfs are ours again */
	prctl(PR_SET_DUMPABLE, 1);
	return 0;
}

static int become_root(struct err *err)
{
	if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
		return err_sys(err, errno, "become root of the user namespace");
	prctl(PR_SET_DUMPABLE, 1);
	return 0;
}

static int make_own(const struct maps *m, struct err *err)
{
	autofd int sock = -EBADF, other = -EBADF, pidfd = -EBADF;
	int pair[2], r, status;
	pid_t pid, self = getpid();

	if (is_single(m)) {
		r = leave(err);
		if (r == 0)
			r = ns_maps_write(self, m->uids, 1, m->gids, 1, true);
		return r < 0 ? err_sys(err, r, "write the id maps") : become_root(err);
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, errno, "socketpair");
	sock = pair[0];
	other = pair[1];
	pid = sys_clone3(0, SIGCHLD, -EBADF, &pidfd);
	if (pid == 0) {
		close(sock);
		stay_outside(other, self, m);
	}
	if (pid < 0)
		return err_sys(err, pid, "clone");
	fd_drop(&other);
	r = leave(err);
	if (r == 0)
		r = map_with_tools(m, sock, err);
	fd_drop(&sock);
	sys_pidfd_wait(pidfd, &status);
	return r < 0 ? r : become_root(err);
}

/* Takes the user namespace out of the document: the caller is in it. */
static void forget_namespace(struct oci_linux *l, size_t at)
{
	memmove(l->namespaces + at, l->namespaces + at + 1, (l->n_namespaces - at - 1) * sizeof(*l->namespaces));
	l->n_namespaces--;
	l->n_uid_mappings = l->n_gid_mappings = 0;
}

int rootless_enter(struct oci_config *config, struct arena *a, struct err *err)
{
	struct oci_linux *l = config->linux_;
	struct maps m = { 0 };
	size_t at = 0;
	int r;

	if (geteuid() == 0 || !l)
		return 0;
	while (at < l->n_namespaces && !str_eq(l->namespaces[at].type, "user"))
		at++;
	if (at == l->n_namespaces)
		return err_set(err, ERR_INVALID, "linux.namespaces: a user without privileges needs a user "
			       "namespace (\"spec --rootless\" writes one)");
	if (!str_empty(l->namespaces[at].path)) {
		autofd int fd = -EBADF;

		r = ns_open(l->namespaces[at].path, NS_USER, &fd);
		if (r == 0)
			r = ns_join(fd, NS_USER);
		if (r < 0)
			return err_sys(err, r, "linux.namespaces[%zu].path: join %s", at, l->namespaces[at].path);
		if (unshare(CLONE_NEWNS) < 0)
			return err_sys(err, errno, "make a mount namespace");
		r = become_root(err);
	} else {
		r = read_maps(config, a, &m, err);
		if (r == 0)
			r = make_own(&m, err);
	}
	if (r < 0)
		return r;
	forget_namespace(l, at);
	return 0;
}

int rootless_join(const struct record *record, int init, struct err *err)
{
	autofd int fd = -EBADF;
	int r;

	if (geteuid() == 0 || !record->pid)
		return 0;
	r = ns_open_pid(record->pid, NS_USER, &fd);
	if (r == 0 && sys_pidfd_exited(init) == 1)
		r = -ESRCH;
	if (r == 0 && ns_is_own(fd, NS_USER) == 1)
		return 0;
	if (r == 0)
		r = ns_join(fd, NS_USER);
	if (r < 0)
		return err_sys(err, r, "join the container's user namespace");
	r = become_root(err);
	return r < 0 ? r : 1;
}
