/*
 * caisson-shim, the monitor of one pod; also installed as containerd-shim-caisson-v2.
 *
 *	caisson-shim [-namespace NS] [-id ID] [-address ADDR] [-publish-binary BIN] [-bundle DIR]
 *	             [-debug] start|delete        containerd's shim v2 command line
 *	caisson-shim -v
 *
 * start makes the socket, leaves the server behind and prints the address; delete removes
 * what is left of a container whose shim is gone. Options are Go's: one or two dashes, the
 * value beside or behind a "=". The environment adds what the command line has no word for:
 * TTRPC_ADDRESS (events), CAISSON_SHIM_STATE, CAISSON_RUNTIME_ROOT, CAISSON_CRIU.
 */
#include "runtime/runtime.h"
#include "shim/server.h"

#include <stdio.h>

static int usage(const char *what, const char *arg)
{
	fprintf(stderr, "caisson-shim: %s%s\n", what, arg);
	fputs("usage: caisson-shim [-namespace NS] [-id ID] [-address ADDR] [-publish-binary BIN]\n"
	      "                    [-bundle DIR] [-debug] start|delete\n"
	      "       caisson-shim -v\n",
	      stderr);
	return 2;
}

static int run(const char *command, const struct shim_options *o, char **argv)
{
	struct err err = ERR_INIT;
	int r;

	/* the server's file is what a container's first process finds at /proc/self/exe */
	if (str_eq(command, "start"))
		r = runtime_protect_self(argv);
	else
		r = 0;
	if (r < 0)
		err_sys(&err, r, "protect the program's file");
	else if (str_eq(command, "start"))
		r = shim_command_start(o, &err);
	else if (str_eq(command, "delete"))
		r = shim_command_delete(o, &err);
	else
		return usage("unknown command ", command);
	if (r < 0) {
		fprintf(stderr, "caisson-shim: %s: %s\n", command, err.text);
		return err_kind_info(err.kind)->exit;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct shim_options o = {
		.ns = "default",
		.state_dir = getenv("CAISSON_SHIM_STATE"),
		.runtime_root = getenv("CAISSON_RUNTIME_ROOT"),
		.events = getenv("TTRPC_ADDRESS"),
		.criu = getenv("CAISSON_CRIU"),
	};
	const struct {
		const char *name;
		const char **value;
	} options[] = {
		{ "namespace", &o.ns },
		{ "id", &o.id },
		{ "address", &o.address },
		{ "publish-binary", &o.publish_binary },
		{ "bundle", &o.bundle },
		{ "socket", &(const char *){ NULL } },
	};
	const char *command = NULL;

	log_setup("caisson-shim", LOG_INFO);
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *value;
		size_t k = 0, len;

		if (name[0] != '-') {
			if (command)
				return usage("more than one command: ", name);
			command = name;
			continue;
		}
		name += name[1] == '-' ? 2 : 1;
		if (str_eq(name, "debug")) {
			o.debug = true;
			continue;
		}
		if (str_eq(name, "v") || str_eq(name, "version")) {
			printf("caisson-shim:\n  Version:  %s\n", CAISSON_VERSION);
			return 0;
		}
		len = strcspn(name, "=");
		while (k < ARRAY_LEN(options) &&
		       (strncmp(options[k].name, name, len) || strlen(options[k].name) != len))
			k++;
		if (k == ARRAY_LEN(options))
			return usage("unknown option ", argv[i]);
		value = name[len] ? name + len + 1 : argv[++i];
		if (!value)
			return usage("a value is missing for ", argv[i - 1]);
		*options[k].value = value;
	}
	if (!command)
		return usage("no command", "");
	return run(command, &o, argv);
}
