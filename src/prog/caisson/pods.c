/* Commands about the daemon, pods and containers: lists, stop, remove. */
#include "prog/caisson/caisson.h"

#include <getopt.h>
#include <stdio.h>

int cmd_version(struct client *c, int argc, char **argv, struct err *err)
{
	Runtime__V1__VersionRequest req = RUNTIME__V1__VERSION_REQUEST__INIT;
	autopb Runtime__V1__VersionResponse *res = NULL;
	int r = client_call(c, "RuntimeService/Version", &req.base,
			    &runtime__v1__version_response__descriptor, &res, err);

	if (r < 0)
		return r;
	printf("caisson %s\n%s %s (CRI %s) at %s\n", CAISSON_VERSION, res->runtime_name, res->runtime_version,
	       res->runtime_api_version, c->address);
	return 0;
}

int cmd_info(struct client *c, int argc, char **argv, struct err *err)
{
	CLEANUP(cli_table_done) struct cli_table t = CLI_TABLE("CONDITION", "STATUS", "REASON", "MESSAGE");
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	Runtime__V1__StatusRequest req = RUNTIME__V1__STATUS_REQUEST__INIT;
	autopb Runtime__V1__StatusResponse *res = NULL;
	int r = client_call(c, "RuntimeService/Status", &req.base,
			    &runtime__v1__status_response__descriptor, &res, err);

	if (r < 0)
		return r;
	for (size_t i = 0; res->status && i < res->status->n_conditions; i++) {
		const Runtime__V1__RuntimeCondition *x = res->status->conditions[i];

		cli_table_row(&t, x->type, x->status ? "yes" : "no", x->reason, x->message);
	}
	cli_table_print(&t, &out);
	return print_out(&out);
}

static int list_pods(struct client *c, Runtime__V1__ListPodSandboxResponse **ret, struct err *err)
{
	Runtime__V1__ListPodSandboxRequest req = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;

	return client_call(c, "RuntimeService/ListPodSandbox", &req.base,
			   &runtime__v1__list_pod_sandbox_response__descriptor, ret, err);
}

static int list_containers(struct client *c, Runtime__V1__ListContainersResponse **ret, struct err *err)
{
	Runtime__V1__ListContainersRequest req = RUNTIME__V1__LIST_CONTAINERS_REQUEST__INIT;

	return client_call(c, "RuntimeService/ListContainers", &req.base,
			   &runtime__v1__list_containers_response__descriptor, ret, err);
}

/* 1: a prefix of the id; 2: the name or the whole id. */
static int match(const char *what, const char *id, const char *name)
{
	if (str_eq(what, name) || str_eq(what, id))
		return 2;
	return *what && str_skip_prefix(id, what) ? 1 : 0;
}

struct found {
	const char *id, *pod;
	int score;
	bool twice;
};

static void consider(struct found *f, int score, const char *id, const char *pod)
{
	if (!score || score < f->score)
		return;
	f->twice = score == f->score;
	f->score = score;
	f->id = id;
	f->pod = pod;
}

static int found_one(const struct found *f, const char *kind, const char *what, struct err *err)
{
	if (!f->id)
		return err_set(err, ERR_NOT_FOUND, "%s %s: not found", kind, what);
	if (f->twice)
		return err_set(err, ERR_INVALID, "%s %s: more than one has that name", kind, what);
	return 0;
}

int client_find_container(struct client *c, const char *what, char **ret_id, char **ret_pod, struct err *err)
{
	autopb Runtime__V1__ListContainersResponse *res = NULL;
	struct found f = { 0 };
	int r = list_containers(c, &res, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < res->n_containers; i++) {
		const Runtime__V1__Container *x = res->containers[i];

		consider(&f, match(what, x->id, x->metadata ? x->metadata->name : ""), x->id, x->pod_sandbox_id);
	}
	r = found_one(&f, "container", what, err);
	if (r < 0)
		return r;
	*ret_id = mem_strdup(f.id);
	if (ret_pod)
		*ret_pod = mem_strdup(f.pod);
	return 0;
}

int client_find_pod(struct client *c, const char *what, char **ret_id, struct err *err)
{
	autopb Runtime__V1__ListPodSandboxResponse *res = NULL;
	struct found f = { 0 };
	int r = list_pods(c, &res, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < res->n_items; i++) {
		const Runtime__V1__PodSandbox *x = res->items[i];

		consider(&f, match(what, x->id, x->metadata ? x->metadata->name : ""), x->id, NULL);
	}
	r = found_one(&f, "pod", what, err);
	if (r < 0)
		return r;
	*ret_id = mem_strdup(f.id);
	return 0;
}

int cmd_pods(struct client *c, int argc, char **argv, struct err *err)
{
	CLEANUP(cli_table_done) struct cli_table t =
		CLI_TABLE("POD ID", "CREATED", "STATE", "NAME", "NAMESPACE", "ADDRESS");
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(64 << 20);
	autopb Runtime__V1__ListPodSandboxResponse *res = NULL;
	int r = list_pods(c, &res, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < res->n_items; i++) {
		const Runtime__V1__PodSandbox *x = res->items[i];
		Runtime__V1__PodSandboxStatusRequest req = RUNTIME__V1__POD_SANDBOX_STATUS_REQUEST__INIT;
		autopb Runtime__V1__PodSandboxStatusResponse *st = NULL;
		struct err gone = ERR_INIT;

		req.pod_sandbox_id = x->id;
		/* it may have been removed since the list was made */
		if (client_call(c, "RuntimeService/PodSandboxStatus", &req.base,
				&runtime__v1__pod_sandbox_status_response__descriptor, &st, &gone) < 0)
			continue;
		cli_table_row(&t, cli_short_id(&a, x->id), cli_age(&a, x->created_at),
			      x->state == RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY ? "Ready" : "NotReady",
			      x->metadata ? x->metadata->name : "", x->metadata ? x->metadata->namespace_ : "",
			      st->status && st->status->network && *st->status->network->ip ?
				      st->status->network->ip : "-");
	}
	cli_table_print(&t, &out);
	return print_out(&out);
}

int cmd_ps(struct client *c, int argc, char **argv, struct err *err)
{
	static const char *const states[] = { "Created", "Running", "Exited", "Unknown" };
	CLEANUP(cli_table_done) struct cli_table t =
		CLI_TABLE("CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "POD ID");
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(64 << 20);
	autopb Runtime__V1__ListContainersResponse *res = NULL;
	bool all = false;
	int opt, r;

	while ((opt = getopt(argc, argv, "a")) >= 0) {
		if (opt != 'a')
			return -EINVAL;
		all = true;
	}
	r = list_containers(c, &res, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < res->n_containers; i++) {
		const Runtime__V1__Container *x = res->containers[i];

		if (!all && x->state != RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING)
			continue;
		cli_table_row(&t, cli_short_id(&a, x->id), x->image ? x->image->image : "",
			      cli_age(&a, x->created_at), states[x->state & 3],
			      x->metadata ? x->metadata->name : "", cli_short_id(&a, x->pod_sandbox_id));
	}
	cli_table_print(&t, &out);
	return print_out(&out);
}

static int stop_container(struct client *c, const char *id, int64_t grace, struct err *err)
{
	Runtime__V1__StopContainerRequest req = RUNTIME__V1__STOP_CONTAINER_REQUEST__INIT;
	autopb Runtime__V1__StopContainerResponse *res = NULL;

	req.container_id = (char *)id;
	req.timeout = grace;
	return client_call(c, "RuntimeService/StopContainer", &req.base,
			   &runtime__v1__stop_container_response__descriptor, &res, err);
}

int cmd_stop(struct client *c, int argc, char **argv, struct err *err)
{
	int64_t grace = 10;
	int opt;

	while ((opt = getopt(argc, argv, "t:")) >= 0)
		if (opt != 't')
			return -EINVAL;
		else if (str_to_i64(optarg, 10, &grace) < 0 || grace < 0)
			return err_set(err, ERR_INVALID, "-t %s: not a number of seconds", optarg);
	if (optind == argc)
		return -EINVAL;
	for (int i = optind; i < argc; i++) {
		autofree char *id = NULL;
		int r;

		if ((r = client_find_container(c, argv[i], &id, NULL, err)) < 0 ||
		    (r = stop_container(c, id, grace, err)) < 0)
			return r;
		printf("%s\n", argv[i]);
	}
	return 0;
}

static bool force_option(int argc, char **argv, bool *ret)
{
	int opt;

	*ret = false;
	while ((opt = getopt(argc, argv, "f")) >= 0) {
		if (opt != 'f')
			return false;
		*ret = true;
	}
	return optind < argc;
}

int cmd_rm(struct client *c, int argc, char **argv, struct err *err)
{
	bool force;

	if (!force_option(argc, argv, &force))
		return -EINVAL;
	for (int i = optind; i < argc; i++) {
		Runtime__V1__RemoveContainerRequest req = RUNTIME__V1__REMOVE_CONTAINER_REQUEST__INIT;
		Runtime__V1__ContainerStatusRequest ask = RUNTIME__V1__CONTAINER_STATUS_REQUEST__INIT;
		autopb Runtime__V1__RemoveContainerResponse *res = NULL;
		autopb Runtime__V1__ContainerStatusResponse *st = NULL;
		autofree char *id = NULL;
		int r = client_find_container(c, argv[i], &id, NULL, err);

		if (r < 0)
			return r;
		ask.container_id = req.container_id = id;
		r = client_call(c, "RuntimeService/ContainerStatus", &ask.base,
				&runtime__v1__container_status_response__descriptor, &st, err);
		if (r < 0)
			return r;
		if (!force && st->status && st->status->state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING)
			return err_set(err, ERR_STATE, "container %s is running: stop it first, or use -f", argv[i]);
		r = client_call(c, "RuntimeService/RemoveContainer", &req.base,
				&runtime__v1__remove_container_response__descriptor, &res, err);
		if (r < 0)
			return r;
		printf("%s\n", argv[i]);
	}
	return 0;
}

static int stop_pod(struct client *c, const char *id, struct err *err)
{
	Runtime__V1__StopPodSandboxRequest req = RUNTIME__V1__STOP_POD_SANDBOX_REQUEST__INIT;
	autopb Runtime__V1__StopPodSandboxResponse *res = NULL;

	req.pod_sandbox_id = (char *)id;
	return client_call(c, "RuntimeService/StopPodSandbox", &req.base,
			   &runtime__v1__stop_pod_sandbox_response__descriptor, &res, err);
}

int cmd_stopp(struct client *c, int argc, char **argv, struct err *err)
{
	if (argc < 2)
		return -EINVAL;
	for (int i = 1; i < argc; i++) {
		autofree char *id = NULL;
		int r;

		if ((r = client_find_pod(c, argv[i], &id, err)) < 0 || (r = stop_pod(c, id, err)) < 0)
			return r;
		printf("%s\n", argv[i]);
	}
	return 0;
}

int cmd_rmp(struct client *c, int argc, char **argv, struct err *err)
{
	bool force;

	if (!force_option(argc, argv, &force))
		return -EINVAL;
	for (int i = optind; i < argc; i++) {
		Runtime__V1__RemovePodSandboxRequest req = RUNTIME__V1__REMOVE_POD_SANDBOX_REQUEST__INIT;
		Runtime__V1__PodSandboxStatusRequest ask = RUNTIME__V1__POD_SANDBOX_STATUS_REQUEST__INIT;
		autopb Runtime__V1__RemovePodSandboxResponse *res = NULL;
		autopb Runtime__V1__PodSandboxStatusResponse *st = NULL;
		autofree char *id = NULL;
		int r = client_find_pod(c, argv[i], &id, err);

		if (r < 0)
			return r;
		ask.pod_sandbox_id = req.pod_sandbox_id = id;
		r = client_call(c, "RuntimeService/PodSandboxStatus", &ask.base,
				&runtime__v1__pod_sandbox_status_response__descriptor, &st, err);
		if (r < 0)
			return r;
		if (st->status && st->status->state == RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY) {
			if (!force)
				return err_set(err, ERR_STATE, "pod %s is running: stop it first, or use -f", argv[i]);
			r = stop_pod(c, id, err);
			if (r < 0)
				return r;
		}
		r = client_call(c, "RuntimeService/RemovePodSandbox", &req.base,
				&runtime__v1__remove_pod_sandbox_response__descriptor, &res, err);
		if (r < 0)
			return r;
		printf("%s\n", argv[i]);
	}
	return 0;
}
