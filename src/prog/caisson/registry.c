/* Commands about pulls: whom they ask, and how far they are. */
#include "prog/caisson/caisson.h"

#include <stdio.h>

/*
 * docker.io/library/x:1 is asked for in this order:
 *  1. http://mirror:5000/v2 library/x    mirror (pull, resolve), from /etc/…/hosts.toml
 *     failed: not found …
 */
static int explain(struct client *c, const char *name, struct err *err)
{
	Caisson__V1__ExplainRequest req = CAISSON__V1__EXPLAIN_REQUEST__INIT;
	autopb Caisson__V1__ExplainResponse *res = NULL;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	bool found = false;
	int r;

	req.image = (char *)name;
	r = client_call(c, "caisson.v1.Images/Explain", &req.base, &caisson__v1__explain_response__descriptor,
			&res,
			err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < res->n_hosts; i++) {
		const Caisson__V1__ExplainedHost *h = res->hosts[i];

		buf_printf(&out, "%zu. %s %s\n", i + 1, h->address, h->repository);
		buf_printf(&out, "   %s (%s), from %s\n", h->mirror ? "mirror" : "the registry itself",
			   h->capabilities,
			   h->source);
		buf_printf(&out, "   credentials: %s\n", *h->credentials ? h->credentials : "none");
		buf_printf(&out, "   %s", h->outcome);
		if (*h->text)
			buf_printf(&out, "%s %s", h->found ? "" : ":", h->text);
		if (h->nanoseconds)
			buf_printf(&out, " (%lld ms)", (long long)(h->nanoseconds / NSEC_PER_MSEC));
		buf_puts(&out, "\n");
		found = found || h->found;
	}
	print_out(&out);
	return found ? 0 : err_set(err, ERR_NOT_FOUND, "%s: no host has it", name);
}

/* IMAGE STAGE LAYERS DONE TOTAL SINCE, a row for each pull that runs */
int cmd_image_pulls(struct client *c, int argc, char **argv, struct err *err)
{
	CLEANUP(cli_table_done) struct cli_table t = CLI_TABLE("IMAGE", "STAGE", "LAYERS", "DONE", "TOTAL",
							       "BEGUN");
	Caisson__V1__PullsRequest req = CAISSON__V1__PULLS_REQUEST__INIT;
	autopb Caisson__V1__PullsResponse *res = NULL;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	int r = argc == 1 ? client_call(c, "caisson.v1.Images/Pulls", &req.base,
					&caisson__v1__pulls_response__descriptor, &res, err) : -EINVAL;

	if (r < 0)
		return r;
	for (size_t i = 0; i < res->n_pulls; i++) {
		const Caisson__V1__Pull *p = res->pulls[i];
		size_t ready = 0;

		for (size_t j = 0; j < p->n_layers; j++)
			ready += str_eq(p->layers[j]->state, "fetched") || str_eq(p->layers[j]->state,
										  "here");
		cli_table_row(&t, p->image, p->stage, arena_printf(&a, "%zu/%zu", ready, p->n_layers),
			      cli_size(&a, p->done), cli_size(&a, p->total), cli_age(&a, p->began_at));
	}
	cli_table_print(&t, &out);
	return print_out(&out);
}

int cmd_image_explain(struct client *c, int argc, char **argv, struct err *err)
{
	return argc == 2 ? explain(c, argv[1], err) : -EINVAL;
}
