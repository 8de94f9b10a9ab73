/*
 * Arguments, the table of commands, and the connection. One process, one thread.
 */
#include "prog/caisson/caisson.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>

static const char default_address[] = "/run/caisson/caisson.sock";

static const struct command {
	const char *name, *arguments, *what;
	int (*run)(struct client *c, int argc, char **argv, struct err *err);
} commands[] = {
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
	{ "images", "", "list images", cmd_images },
	{ "pull", "[-u USER:PASSWORD] IMAGE", "pull an image", cmd_pull },
	{ "import", "LAYOUT [NAME]", "bring an image from an OCI layout", cmd_import },
	{ "image", "explain IMAGE | pulls", "whom a pull of an image would ask; the pulls that run", cmd_image },
	{ "rmi", "IMAGE…", "remove images", cmd_rmi },
	{ "info", "", "the daemon's conditions", cmd_info },
	{ "version", "", "versions of this program and the daemon", cmd_version },
};

static void usage(FILE *to)
{
	fprintf(to, "Usage: caisson [--address SOCKET] COMMAND [ARG]…\n\nCommands:\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(to, "  %-8s %-34s %s\n", commands[i].name, commands[i].arguments, commands[i].what);
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
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (str_eq(argv[optind], commands[i].name))
			cmd = &commands[i];
	if (!cmd) {
		fprintf(stderr, "caisson: unknown command \"%s\" (see caisson --help)\n", argv[optind]);
		return 2;
	}
	argc -= optind;
	argv += optind;
	if (argc > 1 && (str_eq(argv[1], "--help") || str_eq(argv[1], "-h"))) {
		printf("Usage: caisson %s %s\n\n%s\n", cmd->name, cmd->arguments, cmd->what);
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	path = str_skip_prefix(c.address, "unix://");
	r = grpc_client_new(path ? path : c.address, time_now_mono() + 10 * NSEC_PER_SEC, &c.grpc, &err);
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
