/*
 * Starting, finding and cleaning up shim processes, from the daemon's side. Any thread.
 */
#include "shim/record.h"

#include "rpc/rpc.h"
#include "sys/sys.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUTPUT_MAX = 16 * 1024 };

#define ASK_TIME (NSEC_PER_SEC / 2)

/* argv and environment as containerd gives them, and what Caisson's own shim reads besides. */
static int run(const struct shim_launch *what, const char *id, const char *runtime_root, const char *command,
	       int64_t deadline, struct buf *out, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf err_out = BUF_INIT(ERR_TEXT_MAX / 2);
	const char *argv[16], *env[9];
	/* a bundle that somebody removed is no reason not to clean up after it */
	struct sys_spawn spawn = { .path = what->binary, .argv = argv, .env = env, .deadline = deadline,
				   .cwd = access(what->bundle, F_OK) == 0 ? what->bundle : "/" };
	int status, r;
	size_t n = 0, e = 0;

	argv[n++] = what->binary;
	argv[n++] = "-namespace";
	argv[n++] = what->ns;
	argv[n++] = "-address";
	argv[n++] = what->events_address ? what->events_address : "";
	argv[n++] = "-id";
	argv[n++] = id;
	argv[n++] = "-bundle";
	argv[n++] = what->bundle;
	if (what->debug)
		argv[n++] = "-debug";
	argv[n++] = command;
	argv[n] = NULL;
	env[e++] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	if (what->state_dir)
		env[e++] = arena_printf(&a, "CAISSON_SHIM_STATE=%s", what->state_dir);
	if (!str_empty(what->events_address))
		env[e++] = arena_printf(&a, "TTRPC_ADDRESS=%s", what->events_address);
	if (!str_empty(runtime_root))
		env[e++] = arena_printf(&a, "CAISSON_RUNTIME_ROOT=%s", runtime_root);
	if (!str_empty(what->criu))
		env[e++] = arena_printf(&a, "CAISSON_CRIU=%s", what->criu);
	env[e] = NULL;
	r = sys_spawn_run(&spawn, out, &err_out, &status);
	if (r < 0)
		return err_sys(err, r, "%s %s", what->binary, command);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		while (err_out.len && isspace(err_out.data[err_out.len - 1]))
			err_out.data[--err_out.len] = '\0';
		if (WIFEXITED(status))
			err_set(err, ERR_INTERNAL, "%s %s: exit status %d: %s", what->binary, command,
				WEXITSTATUS(status), buf_text(&err_out));
		else
			err_set(err, ERR_INTERNAL, "%s %s: killed by signal %d", what->binary, command,
				WTERMSIG(status));
		if (err)
			err_sanitize(err);
		return -EIO;
	}
	return 0;
}

int shim_start(const struct shim_launch *what, int64_t deadline, struct shim_process *ret, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(OUTPUT_MAX);
	struct shim_process p = { "", 0, 0 };
	struct shim_record rec;
	const char *path;
	int r;

	r = fault_point("shim.launch");
	if (r < 0)
		return err_sys(err, r, "%s start", what->binary);
	r = run(what, what->pod_id, NULL, "start", deadline, &out, err);
	(void)fault_point("shim.launch-done");
	if (r < 0)
		return r;
	while (out.len && isspace(out.data[out.len - 1]))
		out.data[--out.len] = '\0';
	path = str_skip_prefix(buf_text(&out), "unix://");
	if (!path || path[0] != '/' || strlen(path) >= sizeof(p.address))
		return err_set(err, ERR_CORRUPT, "%s start: it printed no usable address", what->binary);
	strcpy(p.address, path);
	/* a foreign shim leaves no record: then its pid is not known here */
	if (what->state_dir && record_read_shim(what->state_dir, &a, &rec, NULL) == 0 &&
	    str_eq(rec.address, path)) {
		p.pid = rec.pid;
		p.start_ticks = rec.start_ticks;
	}
	*ret = p;
	return 0;
}

/* A shim whose record is lost still has its socket. */
static int find_by_socket(const char *state_dir, struct shim_process *ret)
{
	struct shim_process p = { "", 0, 0 };
	int r;

	if (snprintf(p.address, sizeof(p.address), "%s/s", state_dir) >= (int)sizeof(p.address))
		return -ENOENT;
	r = shim_who(p.address, time_now_mono() + ASK_TIME, &p.pid, NULL);
	if (r == 0)
		r = sys_proc_start_time(p.pid, &p.start_ticks);
	if (r == 0)
		r = record_write_shim(state_dir, p.address, p.pid, NULL);
	if (r == 0)
		*ret = p;
	return r;
}

int shim_find(const char *state_dir, struct shim_process *ret, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct shim_record rec;
	struct shim_process p;
	autofd int pidfd = -EBADF;
	struct err own = ERR_INIT;
	int r = record_read_shim(state_dir, &a, &rec, &own);

	if (r == 0 && strlen(rec.address) >= sizeof(p.address))
		r = err_set(&own, ERR_CORRUPT, "%s/shim.json: the address is too long", state_dir);
	if (r < 0) {
		if (own.kind != ERR_UNSUPPORTED && find_by_socket(state_dir, ret) == 0)
			return 0;
		if (err)
			*err = own;
		return r;
	}
	if (!str_eq(rec.boot_id, sys_boot_id()) ||
	    sys_pidfd_open_verified(rec.pid, rec.start_ticks, &pidfd) < 0 || sys_pidfd_exited(pidfd))
		return find_by_socket(state_dir, ret) == 0 ?
			       0 :
			       err_set(err, ERR_NOT_FOUND, "the shim of %s (pid %d) is gone", state_dir,
				       (int)rec.pid);
	strcpy(p.address, rec.address);
	p.pid = rec.pid;
	p.start_ticks = rec.start_ticks;
	*ret = p;
	return 0;
}

int shim_cleanup(const struct shim_launch *what, const char *container_id, const char *runtime_root,
		 int64_t deadline, struct err *err)
{
	return run(what, container_id, runtime_root, "delete", deadline, NULL, err);
}
