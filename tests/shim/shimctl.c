/*
 * shimctl — the shim's client side as a command line, for the suite tests/shim.
 *
 *	shimctl launch BINARY STATE BUNDLE POD [EVENTS]     address pid
 *	shimctl find STATE                                   address pid
 *	shimctl create ADDR ID BUNDLE ROOT [log=PATH] [stdin] [tty] [upper=DIR work=DIR] [lower=DIR]…
 *	        [idmap=OUTSIDE:SIZE]                         pid
 *	shimctl start|wait|state|delete|pause|resume|reopen|close-stdin ADDR ID [EXEC]
 *	shimctl kill ADDR ID SIG [all]
 *	shimctl exec ADDR ID EXEC tty|no IN OUT ERR ARG…     with FIFOs ("" for none); then start
 *	shimctl exec-sync ADDR ID TIMEOUT_MS FIFO_DIR ARG…   output on stdout and stderr; exit code
 *	shimctl resize ADDR ID WIDTH HEIGHT
 *	shimctl attach ADDR ID OUT [ERR]                     FIFOs with a reader
 *	shimctl watch ADDR ID…                               a line for each exit, until the shim ends
 *	shimctl shutdown ADDR POD [now]
 *	shimctl cleanup BINARY STATE BUNDLE ID ROOT
 *
 * Errors: one line "KIND: text" on stderr, exit status 100 + kind.
 */
#include "shim/shim.h"

#include <stdio.h>

static const int64_t PATIENCE = 60 * NSEC_PER_SEC;

static int64_t deadline(void)
{
	return time_now_mono() + PATIENCE;
}

static int launch(char **a, int n, struct err *err)
{
	struct shim_launch what = { .binary = a[0], .state_dir = a[1], .bundle = a[2], .pod_id = a[3], .ns = "test",
				    .events_address = n > 4 ? a[4] : "" };
	struct shim_process p;
	int r = shim_start(&what, deadline(), &p, err);

	if (r == 0)
		printf("%s %d\n", p.address, (int)p.pid);
	return r;
}

static int find(char **a, int n, struct err *err)
{
	struct shim_process p;
	int r = shim_find(a[0], &p, err);

	if (r == 0)
		printf("%s %d\n", p.address, (int)p.pid);
	return r;
}

static int create(char **a, int n, struct err *err)
{
	const char *lowers[16], *v;
	struct ns_id_map map = { 0 };
	struct shim_create what = { .id = a[1], .bundle = a[2], .runtime_root = a[3], .lowers = lowers,
				    .uids = &map, .gids = &map };
	pid_t pid;
	int r;

	for (int i = 4; i < n; i++) {
		if ((v = str_skip_prefix(a[i], "log=")))
			what.log_path = v;
		else if ((v = str_skip_prefix(a[i], "upper=")))
			what.upper = v;
		else if ((v = str_skip_prefix(a[i], "work=")))
			what.work = v;
		else if ((v = str_skip_prefix(a[i], "lower=")))
			lowers[what.n_lowers++] = v;
		else if ((v = str_skip_prefix(a[i], "idmap=")) &&
			 sscanf(v, "%u:%u", &map.outside, &map.size) == 2)
			what.n_uids = what.n_gids = 1;
		else if (str_eq(a[i], "tty"))
			what.terminal = true;
		else if (str_eq(a[i], "stdin"))
			what.stdin_open = true;
	}
	r = shim_task_create(a[0], &what, deadline(), &pid, err);
	if (r == 0)
		printf("%d\n", (int)pid);
	return r;
}

static const char *exec_of(char **a, int n)
{
	return n > 2 ? a[2] : "";
}

static int start(char **a, int n, struct err *err)
{
	pid_t pid;
	int r = shim_task_start(a[0], a[1], exec_of(a, n), deadline(), &pid, err);

	if (r == 0)
		printf("%d\n", (int)pid);
	return r;
}

static int wait_for(char **a, int n, struct err *err)
{
	struct shim_state st;
	int r = shim_task_wait(a[0], a[1], exec_of(a, n), deadline(), &st, err);

	if (r == 0)
		printf("%d\n", st.exit_code);
	return r;
}

static int state(char **a, int n, struct err *err)
{
	static const char *const names[] = { "unknown", "created", "running", "stopped", "paused" };
	struct shim_state st;
	int r = shim_task_state(a[0], a[1], exec_of(a, n), deadline(), &st, err);

	if (r == 0)
		printf("%s %d %d\n", names[st.status], (int)st.pid, st.exit_code);
	return r;
}

static int delete(char **a, int n, struct err *err)
{
	return shim_task_delete(a[0], a[1], exec_of(a, n), deadline(), err);
}

static int pause_it(char **a, int n, struct err *err)
{
	return shim_task_pause(a[0], a[1], true, deadline(), err);
}

static int resume(char **a, int n, struct err *err)
{
	return shim_task_pause(a[0], a[1], false, deadline(), err);
}

static int reopen(char **a, int n, struct err *err)
{
	return shim_log_reopen(a[0], a[1], deadline(), err);
}

static int close_stdin(char **a, int n, struct err *err)
{
	return shim_task_close_stdin(a[0], a[1], exec_of(a, n), deadline(), err);
}

static int attach(char **a, int n, struct err *err)
{
	return shim_attach(a[0], a[1], a[2], n > 3 ? a[3] : "", deadline(), err);
}

static int kill_it(char **a, int n, struct err *err)
{
	return shim_task_kill(a[0], a[1], "", atoi(a[2]), n > 3, deadline(), err);
}

static struct oci_process process_of(char **argv, int n)
{
	static char *env[] = { "PATH=/bin:/usr/bin" };

	return (struct oci_process){ .args = argv, .n_args = (size_t)n, .env = env, .n_env = 1, .cwd = "/" };
}

static int exec(char **a, int n, struct err *err)
{
	struct oci_process process = process_of(a + 7, n - 7);
	struct shim_exec what = { .id = a[1], .exec_id = a[2], .process = &process, .terminal = str_eq(a[3], "tty"),
				  .in = a[4], .out = a[5], .err = a[6] };

	return shim_task_exec(a[0], &what, deadline(), err);
}

static int exec_sync(char **a, int n, struct err *err)
{
	struct oci_process process = process_of(a + 4, n - 4);
	struct shim_exec_sync what = { .id = a[1], .process = &process, .cancel_fd = -EBADF,
				       .timeout = atoll(a[2]) * NSEC_PER_MSEC, .output_max = 16 << 20 };
	CLEANUP(buf_done) struct buf out = BUF_INIT(16 << 20), err_out = BUF_INIT(16 << 20);
	int code = 0, r = shim_exec_sync(a[0], &what, a[3], &out, &err_out, &code, err);

	fwrite(buf_text(&out), 1, out.len, stdout);
	fflush(stdout);
	fwrite(buf_text(&err_out), 1, err_out.len, stderr);
	if (r == 0 && code)
		exit(code);
	return r;
}

static int resize(char **a, int n, struct err *err)
{
	return shim_task_resize(a[0], a[1], "", (uint32_t)atoi(a[2]), (uint32_t)atoi(a[3]), deadline(), err);
}

static void on_exit_announced(const char *id, int code, int64_t at, void *user)
{
	if (!id) {
		event_loop_stop(user);
		return;
	}
	printf("%s %d\n", id, code);
	fflush(stdout);
}

static int watch(char **a, int n, struct err *err)
{
	struct event_loop *loop;
	struct shim_watch *w;
	int r;

	event_loop_new(&loop);
	r = shim_watch_new(loop, a[0], on_exit_announced, loop, &w, err);
	for (int i = 1; i < n && r == 0; i++)
		r = shim_watch_add(w, a[i], err);
	if (r == 0) {
		event_loop_run(loop);
		shim_watch_free(w);
	}
	event_loop_free(loop);
	return r;
}

static int shut_down(char **a, int n, struct err *err)
{
	return shim_shutdown(a[0], a[1], n > 2, deadline(), err);
}

static int cleanup(char **a, int n, struct err *err)
{
	struct shim_launch what = { .binary = a[0], .state_dir = a[1], .bundle = a[2], .pod_id = a[3], .ns = "test" };

	return shim_cleanup(&what, a[3], a[4], deadline(), err);
}

static const struct {
	const char *name;
	int least;
	int (*fn)(char **a, int n, struct err *err);
} commands[] = {
	{ "launch", 4, launch },       { "find", 1, find },         { "create", 4, create },
	{ "start", 2, start },         { "wait", 2, wait_for },     { "state", 2, state },
	{ "delete", 2, delete },       { "pause", 2, pause_it },    { "resume", 2, resume },
	{ "reopen", 2, reopen },       { "kill", 3, kill_it },      { "exec", 8, exec },
	{ "exec-sync", 5, exec_sync }, { "resize", 4, resize },     { "watch", 1, watch },
	{ "shutdown", 2, shut_down },  { "cleanup", 5, cleanup },   { "close-stdin", 2, close_stdin },
	{ "attach", 3, attach },
};

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;

	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++) {
		if (!str_eq(commands[i].name, argv[1]) || argc - 2 < commands[i].least)
			continue;
		if (commands[i].fn(argv + 2, argc - 2, &err) == 0)
			return 0;
		fprintf(stderr, "%s: %s\n", err_kind_info(err.kind)->name, err.text);
		return 100 + (int)err.kind;
	}
	fputs("shimctl: see the head of shimctl.c\n", stderr);
	return 99;
}
