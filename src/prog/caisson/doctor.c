/*
 * caisson doctor: what is wrong on this node, and how to go on. Everything comes from the daemon's own
 * answers; where no daemon answers, that is the finding.
 */
#include "prog/caisson/caisson.h"

#include "json/json.h"

#include <stdio.h>

/* What a finding of the daemon's start means, by words in it. */
static const struct advice {
	const char *words, *text;
} advices[] = {
	{ "meta.db is damaged",
	  "Images are pulled again when they are asked for, and the kubelet makes its pods again. When nothing of "
	  "the directory is wanted any more, remove it." },
	{ "and its copy taken", "Nothing is lost." },
	{ "newer than this program",
	  "Start the newer Caisson again; it finds the pod as it was. Until then the pod runs on, and its name is "
	  "taken." },
	{ "pod record",
	  "What was left of the pod is taken away, and the kubelet makes it again. The record stays in meta.db "
	  "(kind pod.damaged) for who wants to look at it." },
	{ "container record",
	  "What was left of the container is taken away, and the kubelet makes another one. The record stays in "
	  "meta.db (kind container.damaged)." },
	{ "image", "Pull the image again." },
	{ "", "The daemon goes on without it." },
};

static const char *advice_for(const char *finding)
{
	const struct advice *a = advices;

	while (!strstr(finding, a->words))
		a++;
	return a->text;
}

static void found(struct buf *out, size_t *n, const char *what, const char *advice)
{
	++*n;
	buf_printf(out, "%zu. %s\n   -> %s\n", *n, what, advice);
}

static const char *info_of(const Runtime__V1__StatusResponse *res, const char *key)
{
	for (size_t i = 0; i < res->n_info; i++)
		if (str_eq(res->info[i]->key, key))
			return res->info[i]->value;
	return "";
}

static int look_at_daemon(struct client *c, struct buf *out, size_t *n, struct err *err)
{
	Runtime__V1__StatusRequest req = RUNTIME__V1__STATUS_REQUEST__INIT;
	autopb Runtime__V1__StatusResponse *res = NULL;
	autofree char *findings = NULL;
	char *save = NULL;
	int r;

	req.verbose = true;
	r = client_call(c, "RuntimeService/Status", &req.base, &runtime__v1__status_response__descriptor, &res, err);
	if (r < 0)
		return r;
	for (size_t i = 0; res->status && i < res->status->n_conditions; i++) {
		const Runtime__V1__RuntimeCondition *x = res->status->conditions[i];
		autofree char *text = mem_printf("%s: %s: %s", x->type, x->reason, x->message);

		if (!x->status)
			found(out, n, text, "Pods cannot be made until that is repaired; those that run, run on.");
	}
	findings = mem_strdup(info_of(res, "findings"));
	for (char *line = strtok_r(findings, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		found(out, n, line, advice_for(line));
	return 0;
}

/* The reason that our daemon gives with a pod; it is in the verbose part, a JSON document. */
static char *reason_of(struct client *c, const char *id, struct arena *a)
{
	Runtime__V1__PodSandboxStatusRequest req = RUNTIME__V1__POD_SANDBOX_STATUS_REQUEST__INIT;
	autopb Runtime__V1__PodSandboxStatusResponse *res = NULL;
	struct said {
		char *reason;
	} said = { NULL };
	static const struct json_field fields[] = { JSON_FIELD(STR, struct said, reason, "reason", 0) };
	static const struct json_type type = JSON_TYPE("info", struct said, fields);

	req.pod_sandbox_id = (char *)id;
	req.verbose = true;
	if (client_call(c, "RuntimeService/PodSandboxStatus", &req.base,
			&runtime__v1__pod_sandbox_status_response__descriptor, &res, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < res->n_info; i++)
		if (str_eq(res->info[i]->key, "info"))
			json_read(&type, res->info[i]->value, strlen(res->info[i]->value), a, &said, NULL);
	return said.reason;
}

static int look_at_pods(struct client *c, struct buf *out, size_t *n, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	Runtime__V1__ListPodSandboxRequest req = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;
	autopb Runtime__V1__ListPodSandboxResponse *res = NULL;
	int r = client_call(c, "RuntimeService/ListPodSandbox", &req.base,
			    &runtime__v1__list_pod_sandbox_response__descriptor, &res, err);

	for (size_t i = 0; r == 0 && i < res->n_items; i++) {
		const Runtime__V1__PodSandbox *p = res->items[i];
		const char *reason = reason_of(c, p->id, &a);
		const char *name = p->metadata ? p->metadata->name : "";

		if (p->state != RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY)
			found(out, n,
			      arena_printf(&a, "pod %s (%.13s) is not ready%s%s", name, p->id,
					   str_empty(reason) ? "" : ": ", reason ? reason : ""),
			      "The kubelet replaces it; without one: caisson rmp -f POD.");
		else if (reason && strstr(reason, "(caisson-shim) died"))
			found(out, n, arena_printf(&a, "pod %s (%.13s): %s", name, p->id, reason),
			      "Its containers run on. Its directory has shim.log; a core of caisson-shim is worth a "
			      "report.");
		else if (!str_empty(reason))
			found(out, n, arena_printf(&a, "pod %s (%.13s): %s", name, p->id, reason),
			      "Its containers run on; exec, attach or the log of one may fail. A new pod in its place is "
			      "whole: the kubelet makes it once this one is removed (caisson rmp -f POD).");
	}
	return r;
}

int doctor_no_daemon(const char *address, const struct err *err)
{
	printf("1. no daemon answers at %s: %s\n"
	       "   -> Pods that run, run on. See: systemctl status caisson; journalctl -u caisson. Another socket: "
	       "caisson --address SOCKET doctor.\n",
	       address, err->text);
	return 1;
}

int cmd_doctor(struct client *c, int argc, char **argv, struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	size_t n = 0;
	int r = look_at_daemon(c, &out, &n, err);

	if (r == 0)
		r = look_at_pods(c, &out, &n, err);
	if (r < 0)
		return r;
	if (!n)
		buf_puts(&out, "nothing is wrong\n");
	print_out(&out);
	return n > 0;
}
