/*
 * The command line (containerd's names) and the configuration file. What the command line
 * says wins over the file, the file over the defaults.
 */
#include "prog/caissond/daemon.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>

#define DEFAULT_FILE "/etc/caisson/config.yaml"

static const char usage[] =
	"caissond: the container daemon of a Kubernetes node (CRI runtime.v1)\n"
	"\n"
	"usage: caissond [options]\n"
	"\n"
	"  -c, --config FILE      configuration (" DEFAULT_FILE ", which may be absent)\n"
	"      --root DIR         images, layers, metadata (/var/lib/caisson)\n"
	"      --state DIR        running pods: bundles, sockets, records (/run/caisson)\n"
	"  -a, --address SOCKET   the CRI socket (caisson.sock in the state directory)\n"
	"  -l, --log-level LEVEL  error, warn, info or debug\n"
	"  -v, --version\n"
	"  -h, --help\n"
	"\n"
	"SIGTERM ends the daemon; pods run on, and the next daemon finds them again.\n"
	"SIGHUP reads the log level and the registries from the configuration again.\n";

struct arguments {
	const char *config, *root, *state, *address, *level;
};

static int parse(int argc, char **argv, struct arguments *ret, struct err *err)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },  { "root", required_argument, NULL, 'R' },
		{ "state", required_argument, NULL, 'S' },   { "address", required_argument, NULL, 'a' },
		{ "log-level", required_argument, NULL, 'l' }, { "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },          { NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:a:l:vh", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			ret->config = optarg;
			break;
		case 'R':
			ret->root = optarg;
			break;
		case 'S':
			ret->state = optarg;
			break;
		case 'a':
			ret->address = optarg;
			break;
		case 'l':
			ret->level = optarg;
			break;
		case 'v':
			printf("caissond %s\n", CAISSON_VERSION);
			return 1;
		case 'h':
			fputs(usage, stdout);
			return 1;
		default:
			return err_set(err, ERR_INVALID, "see caissond --help"); /* getopt said what is wrong */
		}
	}
	if (optind < argc)
		return err_set(err, ERR_INVALID, "unexpected argument %s: see caissond --help", argv[optind]);
	return 0;
}

static int load(const char *file, bool may_miss, struct arena *a, struct config *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(CONFIG_MAX);
	int r = sys_file_read(AT_FDCWD, file, CONFIG_MAX, &text);

	if (r < 0 && !(r == -ENOENT && may_miss))
		return err_sys(err, r, "configuration %s", file);
	return config_read(file, text.data, text.len, a, ret, err);
}

/* An address may be given as a URL. */
static char *plain_path(struct arena *a, const char *address)
{
	const char *rest = str_skip_prefix(address, "unix://");

	return arena_strdup(a, rest ? rest : address);
}

/* "run/x" would mean another place after the next chdir */
static int absolute(struct arena *a, const char *path, char **ret, struct err *err)
{
	autofree char *cwd = NULL;

	if (path[0] == '/') {
		*ret = arena_strdup(a, path);
		return 0;
	}
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return err_sys(err, errno, "working directory");
	*ret = arena_printf(a, "%s/%s", cwd, path);
	return 0;
}

int daemon_configure(struct daemon *d, int argc, char **argv, struct err *err)
{
	struct arguments args = { 0 };
	enum log_level level;
	int r;

	r = parse(argc, argv, &args, err);
	if (r)
		return r;
	d->config_file = args.config ? args.config : DEFAULT_FILE;
	r = load(d->config_file, !args.config, &d->arena, &d->config, err);
	if (r < 0)
		return r;
	if (args.root && (r = absolute(&d->arena, args.root, &d->config.root, err)) < 0)
		return r;
	if (args.state && (r = absolute(&d->arena, args.state, &d->config.state, err)) < 0)
		return r;
	if (args.address)
		d->config.address = (char *)args.address;
	if (!*d->config.address)
		d->config.address = arena_printf(&d->arena, "%s/caisson.sock", d->config.state);
	r = absolute(&d->arena, plain_path(&d->arena, d->config.address), &d->config.address, err);
	if (r < 0)
		return r;
	if (args.level) {
		if (log_level_parse(args.level, &level) < 0)
			return err_set(err, ERR_INVALID, "--log-level: expected error, warn, info or debug, got %s",
				       args.level);
		d->config.log_level = level;
	}
	return 0;
}

void daemon_reconfigure(struct daemon *d)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct image_settings settings;
	struct err err = ERR_INIT;
	struct config config;

	if (load(d->config_file, true, &a, &config, &err) < 0) {
		log_error("reload: %s; everything stays as it was", err.text);
		return;
	}
	log_setup("caissond", (enum log_level)config.log_level);
	settings = daemon_image_settings(&config);
	image_table_configure(d->images, &settings);
	log_info("reload: the log level and the registries are read again; other settings need a restart "
		 "(pods run on)");
}
