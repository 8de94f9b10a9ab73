/*
 * caisson-oci: the OCI runtime, with runc's command line. Global options, then one command.
 */
#include "prog/caisson-oci/oci.h"

#include "ns/ns.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

const struct command commands[] = {
	{ "checkpoint", "ID", "Writes a running container to files.", command_checkpoint, 1 },
	{ "completion", "SHELL", "Prints the completion script for bash, zsh or fish.", command_completion, 1 },
	{ "create", "ID", "Makes a container from a bundle; its program waits for start.", command_create,
	  1 },
	{ "delete", "ID", "Removes what a container holds.", command_delete, 1 },
	{ "events", "ID", "Prints statistics and out-of-memory kills, one JSON object a line.",
	  command_events, 1 },
	{ "exec", "ID COMMAND [ARGUMENT...]", "Runs a further process in a container.", command_exec, 255 },
	{ "features", "", "Says what this runtime can do.", command_features, 1 },
	{ "kill", "ID [SIGNAL]", "Sends a signal (default TERM) to a container's first process.",
	  command_kill, 1 },
	{ "list", "", "Lists the containers under --root.", command_list, 1 },
	{ "mounts", "add|remove ID FILE", "Mounts into a running container, or unmounts, what FILE lists.",
	  command_mounts, 1 },
	{ "pause", "ID", "Freezes all processes of a container.", command_pause, 1 },
	{ "ps", "ID [PS-OPTION...]", "Lists the processes of a container.", command_ps, 1 },
	{ "restore", "ID", "Makes a running container from a checkpoint.", command_restore, 1 },
	{ "resume", "ID", "Thaws a frozen container.", command_resume, 1 },
	{ "run", "ID", "Creates, starts, waits and deletes.", command_run, 1 },
	{ "spec", "", "Writes a config.json to begin with.", command_spec, 1 },
	{ "start", "ID", "Lets a created container's program go.", command_start, 1 },
	{ "state", "ID", "Prints the state of a container.", command_state, 1 },
	{ "update", "ID", "Changes a container's limits.", command_update, 1 },
};
const size_t n_commands = ARRAY_LEN(commands);

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < n_commands; i++)
		if (str_eq(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static void help(const struct option *options, size_t n)
{
	static const struct command self = { "", "COMMAND [options]",
					     "Runs containers as the Open Container Initiative "
					     "specifies them.", NULL, 1 };

	options_help(&self, options, n);
	printf("\ncommands:\n");
	for (size_t i = 0; i < n_commands; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].help);
	printf("\n\"caisson-oci COMMAND --help\" says more.\n");
}

/* Descriptors 0 to 2 have to be something: what is opened next must not become stdout. */
static void fill_stdio(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= 2)
		;
	if (fd > 2)
		close(fd);
}

/* Records of a user without privileges are where the user may write. */
static const char *default_root(struct global *g)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	bool is_root = geteuid() == 0;

	/* an engine may have made a user namespace and be root of that only */
	if (is_root && !ns_user_is_initial() && !str_eq(getenv("USER"), "root"))
		is_root = false;
	if (is_root || str_empty(runtime))
		return "/run/caisson-oci";
	return arena_printf(&g->arena, "%s/caisson-oci", runtime);
}

static int dispatch(struct global *g, const char *name, int argc, char **argv)
{
	const struct command *c = command_find(name);
	struct err err = ERR_INIT;
	int r;

	if (!c) {
		err_set(&err, ERR_INVALID, "unknown command \"%s\" (try --help)", name);
		report_fatal(g, "", &err);
		return 1;
	}
	if (g->debug) {
		CLEANUP(buf_done) struct buf text = BUF_INIT(4096);

		buf_printf(&text, "caisson-oci %s: %s", CAISSON_VERSION, name);
		for (int i = 0; i < argc; i++)
			buf_printf(&text, " %s", argv[i]);
		report("debug", buf_text(&text));
	}
	r = c->run(g, argc, argv, &err);
	if (r >= 0)
		return r;
	report_fatal(g, name, &err);
	return c->failure;
}

int main(int argc, char **argv)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct global g = { .program = "caisson-oci" };
	const struct option options[] = {
		{ "root", 0, OPTION_TEXT, &g.root, "DIR\twhere records are kept (default /run/caisson-oci; $XDG_RUNTIME_DIR/caisson-oci of a user)" },
		{ "log", 0, OPTION_TEXT, &g.log,
		  "FILE\twhere errors are logged; also file:FILE, journald:NAME, syslog:NAME (default: stderr)" },
		{ "log-format", 0, OPTION_TEXT, &g.log_format, "FORMAT\ttext or json" },
		{ "log-level", 0, OPTION_TEXT, &g.log_level, "LEVEL\terror, warning (default) or debug" },
		{ "debug", 0, OPTION_FLAG, &g.debug, "log more" },
		{ "no-pivot", 0, OPTION_FLAG, &g.no_pivot, "as create and run have it" },
		{ "systemd-cgroup", 0, OPTION_FLAG, &g.systemd_cgroup,
		  "cgroups are made by systemd" },
		{ "cgroup-manager", 0, OPTION_TEXT, &g.cgroup_manager,
		  "NAME\tcgroupfs, systemd or disabled" },
		{ "rootless", 0, OPTION_TEXT, &g.rootless, "HOW\tauto, true or false" },
		{ "criu", 0, OPTION_TEXT, &g.criu, "FILE\tthe CRIU to checkpoint with (default: of PATH)" },
		{ "version", 'v', OPTION_FLAG, &g.version, "print the version" },
	};
	struct err err = ERR_INIT;
	char **words;
	size_t n_words;
	int r;

	if (argc == 2 && str_eq(argv[1], "-V")) /* crun's letter */
		argv[1] = (char *)"--version";
	g.options = options;
	g.n_options = ARRAY_LEN(options);
	fill_stdio();
	r = runtime_protect_self(argv);
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && (str_eq(argv[1], "--help") || str_eq(argv[1], "-h") || str_eq(argv[1], "help") ||
			 str_eq(argv[1], "-?") || str_eq(argv[1], "--usage"))) {
		help(options, ARRAY_LEN(options));
		return 0;
	}
	if (r < 0)
		err_sys(&err, r, "cannot execute myself from a read-only mount");
	else
		r = options_parse(&(struct command){ .name = "", .arguments = "", .help = "" }, options,
				  ARRAY_LEN(options), argc - 1, argv + 1, 1, &a, &words, &n_words, &err);
	if (r >= 0)
		r = report_open(&g, &err);
	if (r < 0) {
		report_fatal(&g, "", &err);
		return 1;
	}
	if (g.version) {
		printf("caisson-oci version %s\nspec: %s\n", CAISSON_VERSION, OCI_VERSION);
		return 0;
	}
	if (!n_words) {
		help(options, ARRAY_LEN(options));
		return 0;
	}
	if (!g.root)
		g.root = default_root(&g);
	if (g.rootless && !str_eq(g.rootless, "auto") && !str_eq(g.rootless, "true") &&
	    !str_eq(g.rootless, "false")) {
		err_set(&err, ERR_INVALID, "--rootless: \"%s\" is none of auto, true, false", g.rootless);
		report_fatal(&g, "", &err);
		return 1;
	}
	if (str_eq(g.cgroup_manager, "systemd")) {
		g.systemd_cgroup = true;
	} else if (g.cgroup_manager && !str_eq(g.cgroup_manager, "cgroupfs") &&
		   !str_eq(g.cgroup_manager, "disabled")) {
		err_set(&err, ERR_INVALID, "--cgroup-manager: \"%s\" is none of cgroupfs, systemd, disabled",
			g.cgroup_manager);
		report_fatal(&g, "", &err);
		return 1;
	}
	r = dispatch(&g, words[0], (int)n_words - 1, words + 1);
	arena_done(&g.arena);
	return r;
}
