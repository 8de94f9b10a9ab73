/* checkpoint. */
#include "prog/caisson-oci/oci.h"

int images_set_empty(struct runtime_images *images, const struct option_list *names, struct err *err)
{
	for (size_t i = 0; i < names->n; i++) {
		if (!str_eq(names->values[i], "network"))
			return err_set(err, ERR_UNSUPPORTED,
				       "--empty-ns: \"%s\": only network can be left empty", names->values[i]);
		images->empty_network = true;
	}
	return 0;
}

int command_checkpoint(struct global *g, int argc, char **argv, struct err *err)
{
	struct runtime_checkpoint what = RUNTIME_CHECKPOINT_INIT;
	struct option_list empty = { 0 };
	const struct option options[] = {
		IMAGES_OPTIONS(what.images, empty),
		{ "parent-path", 0, OPTION_TEXT, &what.parent_path,
		  "DIR\timages of a pre-dump, relative to the image path" },
		{ "leave-running", 0, OPTION_FLAG, &what.leave_running, "let the container go on" },
		{ "tcp-skip-in-flight", 0, OPTION_FLAG, &what.tcp_skip_in_flight,
		  "leave out TCP connections that are not accepted yet" },
		{ "link-remap", 0, OPTION_FLAG, &what.link_remap,
		  "give deleted files that are open a name for the time being" },
		{ "status-fd", 0, OPTION_INT, &what.status_fd,
		  "N\tdescriptor that gets a NUL when lazy pages can be asked for" },
		{ "page-server", 0, OPTION_TEXT, &what.page_server, "ADDRESS:PORT\twhere memory is sent" },
		{ "pre-dump", 0, OPTION_FLAG, &what.pre_dump, "memory only; the container goes on" },
	};
	const char *id;
	int r;

	r = options_id(command_find("checkpoint"), options, ARRAY_LEN(options), argc, argv, &g->arena, &id, err);
	if (r == 0)
		r = images_set_empty(&what.images, &empty, err);
	if (r < 0)
		return r;
	if (!what.images.path)
		what.images.path = "checkpoint";
	what.root = g->root;
	what.id = id;
	what.images.criu = g->criu;
	r = runtime_checkpoint(&what, err);
	if (r < 0 || what.leave_running || what.pre_dump)
		return r;
	return runtime_delete(g->root, id, true, err);
}
