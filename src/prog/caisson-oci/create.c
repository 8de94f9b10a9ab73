/* create, run, start. */
#include "prog/caisson-oci/oci.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/prctl.h>

struct create_options {
	const char *bundle, *config, *console_socket, *pid_file, *pidfd_socket;
	bool no_pivot, no_new_keyring, detach, keep, no_subreaper;
	int preserve_fds;
};

int bundle_path(struct global *g, const char *bundle, const char **ret, struct err *err)
{
	char path[PATH_MAX];

	if (!realpath(bundle ? bundle : ".", path))
		return err_sys(err, errno, "bundle %s", bundle ? bundle : ".");
	*ret = arena_strdup(&g->arena, path);
	return 0;
}

static int fill(struct global *g, const struct create_options *o, const char *id, struct runtime_create *what,
		struct err *err)
{
	int r = bundle_path(g, o->bundle, &what->bundle, err);

	what->root = g->root;
	what->id = id;
	what->config = o->config;
	what->pid_file = o->pid_file;
	what->preserve_fds = o->preserve_fds;
	what->no_pivot = o->no_pivot || g->no_pivot;
	what->no_new_keyring = o->no_new_keyring;
	what->systemd_cgroup = g->systemd_cgroup;
	what->rootless = str_eq(g->rootless, "true") ? RUNTIME_ROOTLESS_TRUE :
			 str_eq(g->rootless, "false") ? RUNTIME_ROOTLESS_FALSE : RUNTIME_ROOTLESS_AUTO;
	what->force_cgroup_less = str_eq(g->cgroup_manager, "disabled");
	if (r == 0 && (o->preserve_fds < 0 || o->preserve_fds > 1000))
		return err_set(err, ERR_INVALID, "--preserve-fds: %d is not in 0 to 1000", o->preserve_fds);
	if (r == 0 && o->console_socket)
		r = console_connect(o->console_socket, &what->console_socket, err);
	return r;
}

#define CREATE_OPTIONS(o)                                                                                   \
	{ "bundle", 'b', OPTION_TEXT, &(o).bundle, "DIR\tthe bundle (default: here)" },                     \
	{ "config", 'f', OPTION_TEXT, &(o).config, "FILE\tconfig.json (default: the bundle's)" },           \
	{ "console-socket", 0, OPTION_TEXT, &(o).console_socket, "PATH\tUnix socket that gets the terminal" }, \
	{ "pid-file", 0, OPTION_TEXT, &(o).pid_file, "FILE\twhere the process id is written" },             \
	{ "pidfd-socket", 0, OPTION_TEXT, &(o).pidfd_socket, "PATH\tUnix socket that gets its pidfd" },    \
	{ "no-pivot", 0, OPTION_FLAG, &(o).no_pivot, "move the root instead of pivot_root" },               \
	{ "no-new-keyring", 0, OPTION_FLAG, &(o).no_new_keyring, "keep the session keyring" },              \
	{ "no-subreaper", 0, OPTION_FLAG, &(o).no_subreaper, "for others' command lines; changes nothing" },  \
	{ "preserve-fds", 0, OPTION_INT, &(o).preserve_fds, "N\tdescriptors beyond 2 that stay open" }

/* A container whose pidfd did not arrive is none. */
static int create(struct runtime_create *what, const char *pidfd_socket, pid_t *ret_pid, struct err *err)
{
	struct err ignored = ERR_INIT;
	autofd int sock = -EBADF;
	int r = pidfd_connect(pidfd_socket, &sock, err);

	if (r == 0)
		r = runtime_create(what, ret_pid, err);
	if (r < 0)
		return r;
	r = pidfd_send(sock, *ret_pid, "standard", err);
	if (r < 0)
		runtime_delete(what->root, what->id, true, &ignored);
	return r;
}

int command_create(struct global *g, int argc, char **argv, struct err *err)
{
	struct create_options o = { 0 };
	const struct option options[] = { CREATE_OPTIONS(o) };
	struct runtime_create what = RUNTIME_CREATE_INIT;
	const char *id;
	pid_t pid;
	int r;

	r = options_id(command_find("create"), options, ARRAY_LEN(options), argc, argv, &g->arena, &id, err);
	if (r == 0)
		r = fill(g, &o, id, &what, err);
	return r < 0 ? r : create(&what, o.pidfd_socket, &pid, err);
}

int command_start(struct global *g, int argc, char **argv, struct err *err)
{
	const char *id;
	int r = options_id(command_find("start"), NULL, 0, argc, argv, &g->arena, &id, err);

	return r < 0 ? r : runtime_start(g->root, id, err);
}

int bundle_read(struct runtime_create *what, struct runtime_config *config, bool *ret_terminal,
		struct err *err)
{
	int r = runtime_config_read(what, config, err);

	if (r < 0)
		return r;
	what->read = config;
	*ret_terminal = config->config.process && config->config.process->terminal;
	return 0;
}

/* Created and started; after a failure nothing is left. A pidfd is asked for by who wants it before the start. */
static int run(const struct create_options *o, struct runtime_create *what, pid_t *ret_pid, struct err *err)
{
	struct err ignored = ERR_INIT;
	int r;

	if (!o->pidfd_socket)
		return runtime_run(what, ret_pid, err);
	r = create(what, o->pidfd_socket, ret_pid, err);
	if (r < 0)
		return r;
	r = runtime_start(what->root, what->id, err);
	if (r < 0)
		runtime_delete(what->root, what->id, true, &ignored);
	return r;
}

static int run_foreground(const struct create_options *o, struct runtime_create *what, struct err *err)
{
	CLEANUP(foreground_done) struct foreground f = FOREGROUND_INIT;
	CLEANUP(runtime_config_done) struct runtime_config config = RUNTIME_CONFIG_INIT;
	struct err ignored = ERR_INIT;
	bool terminal;
	pid_t pid;
	int r, status;

	r = bundle_read(what, &config, &terminal, err);
	if (r == 0)
		r = foreground_init(&f, terminal && what->console_socket < 0, err);
	if (r < 0)
		return r;
	if (f.sender >= 0)
		what->console_socket = f.sender;
	/* what the container leaves behind comes to us, and not to whoever called us */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	r = run(o, what, &pid, err);
	if (r < 0)
		return r;
	status = foreground_wait(&f, pid, err);
	if (o->keep)
		return status;
	if (runtime_delete(what->root, what->id, true, status < 0 ? &ignored : err) < 0 && status >= 0)
		return -EIO;
	return status;
}

int command_run(struct global *g, int argc, char **argv, struct err *err)
{
	struct create_options o = { 0 };
	const struct option options[] = {
		CREATE_OPTIONS(o),
		{ "detach", 'd', OPTION_FLAG, &o.detach, "do not wait for it" },
		{ "keep", 0, OPTION_FLAG, &o.keep, "do not delete it when it ends" },
	};
	struct runtime_create what = RUNTIME_CREATE_INIT;
	const char *id;
	pid_t pid;
	int r;

	r = options_id(command_find("run"), options, ARRAY_LEN(options), argc, argv, &g->arena, &id, err);
	if (r == 0)
		r = fill(g, &o, id, &what, err);
	if (r < 0)
		return r;
	return o.detach ? run(&o, &what, &pid, err) : run_foreground(&o, &what, err);
}
