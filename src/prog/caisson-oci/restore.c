/* restore. */
#include "prog/caisson-oci/oci.h"

#include <sys/prctl.h>

static int fill(struct global *g, const char *bundle, const char *console_socket, struct runtime_restore *what,
		struct err *err)
{
	int r = bundle_path(g, bundle, &what->create.bundle, err);

	what->create.root = g->root;
	what->create.systemd_cgroup = g->systemd_cgroup;
	what->create.force_cgroup_less = str_eq(g->cgroup_manager, "disabled");
	what->images.criu = g->criu;
	if (!what->images.path)
		what->images.path = "checkpoint";
	if (r == 0 && console_socket)
		r = console_connect(console_socket, &what->create.console_socket, err);
	return r;
}

static int restore_foreground(struct global *g, struct runtime_restore *what, struct err *err)
{
	CLEANUP(foreground_done) struct foreground f = FOREGROUND_INIT;
	CLEANUP(runtime_config_done) struct runtime_config config = RUNTIME_CONFIG_INIT;
	struct err ignored = ERR_INIT;
	bool terminal;
	pid_t pid;
	int r, status;

	r = bundle_read(&what->create, &config, &terminal, err);
	if (r == 0)
		r = foreground_init(&f, terminal && what->create.console_socket < 0, err);
	if (r < 0)
		return r;
	if (f.sender >= 0)
		what->create.console_socket = f.sender;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	r = runtime_restore(what, &pid, err);
	if (r < 0)
		return r;
	status = foreground_wait(&f, pid, err);
	if (runtime_delete(g->root, what->create.id, true, status < 0 ? &ignored : err) < 0 && status >= 0)
		return -EIO;
	return status;
}

int command_restore(struct global *g, int argc, char **argv, struct err *err)
{
	struct runtime_restore what = RUNTIME_RESTORE_INIT;
	struct option_list empty = { 0 };
	const char *bundle = NULL, *console_socket = NULL;
	bool detach = false, no_subreaper = false;
	const struct option options[] = {
		IMAGES_OPTIONS(what.images, empty),
		{ "bundle", 'b', OPTION_TEXT, &bundle, "DIR\tthe bundle (default: here)" },
		{ "config", 'f', OPTION_TEXT, &what.create.config,
		  "FILE\tconfig.json (default: the bundle's)" },
		{ "console-socket", 0, OPTION_TEXT, &console_socket,
		  "PATH\tUnix socket that gets the terminal" },
		{ "detach", 'd', OPTION_FLAG, &detach, "do not wait for it" },
		{ "pid-file", 0, OPTION_TEXT, &what.create.pid_file, "FILE\twhere the process id is written" },
		{ "no-subreaper", 0, OPTION_FLAG, &no_subreaper,
		  "for runc's command line; changes nothing" },
		{ "no-pivot", 0, OPTION_FLAG, &what.create.no_pivot,
		  "for runc's command line; changes nothing" },
		{ "tcp-close", 0, OPTION_FLAG, &what.tcp_close, "TCP connections come back closed" },
		{ "lsm-profile", 0, OPTION_TEXT, &what.lsm_profile,
		  "TYPE:NAME\tAppArmor profile or SELinux label, instead of the images'" },
		{ "lsm-mount-context", 0, OPTION_TEXT, &what.lsm_mount_context,
		  "CONTEXT\tSELinux label of mounts, instead of the images'" },
	};
	const char *id;
	pid_t pid;
	int r;

	r = options_id(command_find("restore"), options, ARRAY_LEN(options), argc, argv, &g->arena, &id, err);
	if (r == 0)
		r = images_set_empty(&what.images, &empty, err);
	what.create.id = r == 0 ? id : NULL;
	if (r == 0)
		r = fill(g, bundle, console_socket, &what, err);
	if (r < 0)
		return r;
	return detach ? runtime_restore(&what, &pid, err) : restore_foreground(g, &what, err);
}
