/*
 * Arguments, the table of commands, and the connection. One process, one thread.
 */
#include "prog/caisson/caisson.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>

static const char default_address[] = "/run/caisson/caisson.sock";

struct command {
	const char *name, *arguments, *what;
	int (*run)(struct client *c, int argc, char **argv, struct err *err);
};

static int cmd_image(struct client *c, int argc, char **argv, struct err *err);

static const struct command commands[] = {
	{ "run", "[OPTION]… IMAGE [COMMAND [ARG]…]", "run a pod with one container", cmd_run },
	{ "ps", "[-a]", "list containers", cmd_ps },
	{ "logs", "[-f] [--tail N] CONTAINER", "print a container's log", cmd_logs },
	{ "exec", "CONTAINER COMMAND [ARG]…", "run a command in a container", cmd_exec },
	{ "explain", "CONTAINER", "what the kernel was told: namespaces, limits", cmd_explain },
	{ "stop", "[-t SECONDS] CONTAINER…", "stop containers", cmd_stop },
	{ "rm", "[-f] CONTAINER…", "remove containers", cmd_rm },
	{ "pods", "", "list pods", cmd_pods },
	{ "stopp", "POD…", "stop pods", cmd_stopp },
	{ "rmp", "[-f] POD…", "remove pods", cmd_rmp },
	{ "images", "[-q] [--digests]", "list images", cmd_images },
	{ "pull", "[-u USER:PASSWORD] IMAGE", "pull an image", cmd_pull },
	{ "image", "COMMAND [ARG]…", "all commands about images (caisson image --help)", cmd_image },
	{ "tag", "IMAGE NAME", "give an image one more name", cmd_tag },
	{ "rmi", "IMAGE…", "remove names of images, and images with their last", cmd_rmi },
	{ "import", "[--which NAME] LAYOUT|ARCHIVE|- [NAME]", "bring images from a file", cmd_import },
	{ "export", "[--format oci|docker] [-o FILE] IMAGE...", "write images to a file", cmd_export },
	{ "history", "IMAGE", "how an image was made", cmd_history },
	{ "diff", "CONTAINER | IMAGE IMAGE", "what changed in a file system", cmd_diff },
	{ "info", "", "the daemon's conditions", cmd_info },
	{ "doctor", "", "what is wrong here, and how to go on", cmd_doctor },
	{ "version", "", "versions of this program and the daemon", cmd_version },
};

static const struct command image_commands[] = {
	{ "ls", "[-q] [--digests]", "list images", cmd_images },
	{ "pull", "[-u USER:PASSWORD] IMAGE", "pull an image", cmd_pull },
	{ "inspect", "IMAGE…", "everything about images, as JSON", cmd_inspect },
	{ "history", "IMAGE", "how an image was made", cmd_history },
	{ "diff", "IMAGE IMAGE", "what differs between two images", cmd_diff },
	{ "tag", "IMAGE NAME", "give an image one more name", cmd_tag },
	{ "rm", "IMAGE…", "remove names of images, and images with their last", cmd_rmi },
	{ "prune", "[-a] [--dry-run]", "remove images without a tag (-a: all) that nothing uses", cmd_prune },
	{ "import", "[--which NAME] LAYOUT|ARCHIVE|- [NAME]",
	 "from an OCI layout, its archive, or docker save", cmd_import },
	{ "export", "[--format oci|docker] [--directory] [-o FILE] IMAGE...", "to an archive or a layout",
	 cmd_export },
	{ "pulls", "", "the pulls that run", cmd_image_pulls },
	{ "verify", "[--repair] [IMAGE…]", "compare what is on disk with what came, mend what is damaged",
	  cmd_verify },
	{ "explain", "IMAGE", "which registries and mirrors are asked, and what they say",
	 cmd_image_explain },
};

static const struct command *find(const struct command *table, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(table[i].name, name))
			return &table[i];
	return NULL;
}

static void print_commands(FILE *to, const struct command *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(to, "  %-8s %-42s %s\n", table[i].name, table[i].arguments, table[i].what);
}

static bool asks_help(int argc, char **argv)
{
	return argc > 1 && (str_eq(argv[1], "--help") || str_eq(argv[1], "-h"));
}

static int cmd_image(struct client *c, int argc, char **argv, struct err *err)
{
	const struct command *cmd = argc > 1 ? find(image_commands, ARRAY_LEN(image_commands), argv[1]) :
		NULL;

	if (argc < 2)
		return -EINVAL;
	if (!cmd)
		return err_set(err, ERR_INVALID, "image: unknown command \"%s\" (see caisson image --help)",
			       argv[1]);
	if (asks_help(argc - 1, argv + 1)) {
		printf("Usage: caisson image %s %s\n\n%s\n", cmd->name, cmd->arguments, cmd->what);
		return 0;
	}
	return cmd->run(c, argc - 1, argv + 1, err);
}

static void usage(FILE *to)
{
	fprintf(to, "Usage: caisson [--address SOCKET] COMMAND [ARG]…\n\nCommands:\n");
	print_commands(to, commands, ARRAY_LEN(commands));
	fprintf(to, "\nOptions:\n"
		    "  -a, --address SOCKET   CRI socket (default: $CAISSON_ADDRESS, else %s)\n"
		    "  -h, --help             this text, or that of a command\n"
		    "      --version          version of this program\n",
		default_address);
}

int client_call(struct client *c, const char *method, const ProtobufCMessage *request,
		const ProtobufCMessageDescriptor *type, void *ret, struct err *err)
{
	char path[128];

	snprintf(path, sizeof(path), "/%s%s", strchr(method, '.') ? "" : "runtime.v1.", method);
	return grpc_client_call_pb(c->grpc, path, request, type, INT64_MAX, ret, err);
}

int print_out(struct buf *out)
{
	fwrite(buf_text(out), 1, out->len, stdout);
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "address", required_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	struct client c = { .address = getenv("CAISSON_ADDRESS") };
	const struct command *cmd = NULL;
	struct err err = ERR_INIT;
	const char *path;
	int opt, r;

	if (str_empty(c.address))
		c.address = default_address;
	while ((opt = getopt_long(argc, argv, "+a:hV", options, NULL)) >= 0)
		switch (opt) {
		case 'a': c.address = optarg; break;
		case 'h': usage(stdout); return 0;
		case 'V': printf("caisson %s\n", CAISSON_VERSION); return 0;
		default: usage(stderr); return 2;
		}
	if (optind == argc) {
		usage(stderr);
		return 2;
	}
	cmd = find(commands, ARRAY_LEN(commands), argv[optind]);
	if (!cmd) {
		fprintf(stderr, "caisson: unknown command \"%s\" (see caisson --help)\n", argv[optind]);
		return 2;
	}
	argc -= optind;
	argv += optind;
	if (asks_help(argc, argv)) {
		printf("Usage: caisson %s %s\n\n%s\n", cmd->name, cmd->arguments, cmd->what);
		if (cmd->run == cmd_image) {
			printf("\nCommands:\n");
			print_commands(stdout, image_commands, ARRAY_LEN(image_commands));
		}
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	path = str_skip_prefix(c.address, "unix://");
	r = grpc_client_new(path ? path : c.address, time_now_mono() + 10 * NSEC_PER_SEC, &c.grpc, &err);
	if (r < 0 && cmd->run == cmd_doctor)
		return doctor_no_daemon(c.address, &err);
	if (r == 0) {
		optind = 1;
		r = cmd->run(&c, argc, argv, &err);
	}
	grpc_client_free(c.grpc);
	if (r < 0) {
		fprintf(stderr, "caisson: %s\n", err.kind ? err.text : "see caisson --help");
		return err.kind ? 1 : 2;
	}
	return r;
}
