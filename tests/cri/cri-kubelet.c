/*
 * cri-kubelet — a client with a kubelet's habits, and a check that nobody drifts.
 *
 *	cri-kubelet [-d SECONDS] [-p PODS] [-s SEED] [-t DEADLINE-MS] SOCKET IMAGE
 *
 * For so many seconds, at the same time and each on a connection of its own:
 *
 *   workers   each owns pod slots: a pod is run with one or two containers, probed by ExecSync, its
 *             containers restarted with the next attempt, stopped, removed, with random pauses.
 *             Every call has a deadline that is sometimes short (-t), and one that fails by its
 *             deadline is repeated with the same name and attempt, as a kubelet does
 *   relist    ListPodSandbox, ListContainers each second, and the status of what changed
 *   pulls     PullImage of the image in parallel, ImageStatus, ImageFsInfo
 *   stats     ListContainerStats and ListPodSandboxMetrics every few seconds
 *   events    GetContainerEvents: a container's events come in the order of its life
 *
 * At the end: everything that is wanted is there and runs, nothing else is listed, each running
 * container's process exists and each exited one's does not. Prints a line of figures; "drift: …" and
 * exit status 1 for each thing that is not as it should be. All pods are removed then.
 */
#include "base/base.h"
#include "cri.pb-c.h"
#include "rpc/rpc.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

enum { WORKERS = 4, PODS_MAX = 256, RETRIES = 200 };
#define LONG_DEADLINE (120 * NSEC_PER_SEC) /* the kubelet's own */

static const char *socket_path;
static char *image;
static int64_t until, short_deadline;
static unsigned seed, n_pods;
static atomic_ulong calls, retries, probes, restarts, cycles, relists, pulls, n_events, drifts;
static char log_dir[64]; /* beside the socket */

static void drift(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void drift(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf("drift: %s\n", text);
	drifts++;
}

struct caller {
	struct grpc_client *grpc;
	unsigned seed;
};

static bool connect_caller(struct caller *c)
{
	struct err err = ERR_INIT;

	if (grpc_client_new(socket_path, time_now_mono() + 10 * NSEC_PER_SEC, &c->grpc, &err) == 0)
		return true;
	drift("connect: %s", err.text);
	return false;
}

static unsigned chance(struct caller *c, unsigned of)
{
	return (unsigned)rand_r(&c->seed) % of;
}

static void nap(struct caller *c, unsigned most_ms)
{
	usleep((chance(c, most_ms) + 1) * 1000);
}

/* One call. A tenth have a deadline that may well pass; then it is asked again, the same. *ret may
 * be NULL. 0, or the last error's kind is in *ret_kind and reported unless it is `allowed`. */
static int call(struct caller *c, const char *method, const ProtobufCMessage *req,
		const ProtobufCMessageDescriptor *type, void *ret, enum err_kind allowed)
{
	ProtobufCMessage *res = NULL;
	struct err err = ERR_INIT;
	char path[128];

	snprintf(path, sizeof(path), "/runtime.v1.%s", method);
	for (int i = 0; i < RETRIES; i++) {
		bool hurry = short_deadline && chance(c, 10) == 0;
		int64_t deadline = time_now_mono() + (hurry ? (int64_t)chance(c, (unsigned)short_deadline) * NSEC_PER_MSEC :
							      LONG_DEADLINE);

		calls++;
		err_clear(&err);
		if (grpc_client_call_pb(c->grpc, path, req, type, deadline, &res, &err) == 0) {
			if (ret)
				*(ProtobufCMessage **)ret = res;
			else
				rpc_pb_free((ProtobufCMessage *)res);
			return 0;
		}
		if (err.kind != ERR_TIMEOUT || !hurry)
			break;
		retries++;
	}
	if (err.kind != allowed)
		drift("%s", err.text);
	return -1;
}

#define CALL(c, service, name, req, type, ret, allowed) \
	call(c, service "/" name, &(req).base, &runtime__v1__##type##__descriptor, ret, allowed)

/* ---- pods ---- */

struct pod {
	unsigned number, generation;
	char *id;
	char *containers[2]; /* the running ones */
	unsigned attempts[2];
	bool wanted;
};

static struct pod pods[PODS_MAX];

static int make_container(struct caller *c, struct pod *p, int slot)
{
	Runtime__V1__ContainerMetadata meta = RUNTIME__V1__CONTAINER_METADATA__INIT;
	Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
	Runtime__V1__LinuxContainerConfig linux_ = RUNTIME__V1__LINUX_CONTAINER_CONFIG__INIT;
	Runtime__V1__ContainerConfig config = RUNTIME__V1__CONTAINER_CONFIG__INIT;
	Runtime__V1__CreateContainerRequest create = RUNTIME__V1__CREATE_CONTAINER_REQUEST__INIT;
	Runtime__V1__StartContainerRequest start = RUNTIME__V1__START_CONTAINER_REQUEST__INIT;
	Runtime__V1__CreateContainerResponse *created = NULL;
	static const char script[] = "trap 'exit 0' TERM; while true; do sleep 3600 & wait $!; done";
	char *command[] = { (char *)"/bin/sh", (char *)"-c", (char *)script };
	char name[16], log[32];
	int r;

	snprintf(name, sizeof(name), "c%d", slot);
	snprintf(log, sizeof(log), "c%d-%u.log", slot, p->attempts[slot]);
	meta.name = name;
	meta.attempt = p->attempts[slot];
	spec.image = image;
	config.metadata = &meta;
	config.image = &spec;
	config.command = command;
	config.n_command = 3;
	config.log_path = log;
	config.linux = &linux_;
	create.pod_sandbox_id = p->id;
	create.config = &config;
	if (CALL(c, "RuntimeService", "CreateContainer", create, create_container_response, &created, ERR_NONE) < 0)
		return -1;
	start.container_id = created->container_id;
	r = CALL(c, "RuntimeService", "StartContainer", start, start_container_response, NULL, ERR_NONE);
	if (r == 0)
		p->containers[slot] = mem_strdup(created->container_id);
	rpc_pb_free((ProtobufCMessage *)created);
	return r;
}

static void end_container(struct caller *c, struct pod *p, int slot)
{
	Runtime__V1__StopContainerRequest stop = RUNTIME__V1__STOP_CONTAINER_REQUEST__INIT;
	Runtime__V1__RemoveContainerRequest rm = RUNTIME__V1__REMOVE_CONTAINER_REQUEST__INIT;

	stop.container_id = rm.container_id = p->containers[slot];
	stop.timeout = chance(c, 3);
	CALL(c, "RuntimeService", "StopContainer", stop, stop_container_response, NULL, ERR_NONE);
	CALL(c, "RuntimeService", "RemoveContainer", rm, remove_container_response, NULL, ERR_NONE);
	free(take_ptr(&p->containers[slot]));
	p->attempts[slot]++;
}

static void pod_up(struct caller *c, struct pod *p)
{
	Runtime__V1__PodSandboxMetadata meta = RUNTIME__V1__POD_SANDBOX_METADATA__INIT;
	Runtime__V1__LinuxPodSandboxConfig linux_ = RUNTIME__V1__LINUX_POD_SANDBOX_CONFIG__INIT;
	Runtime__V1__PodSandboxConfig config = RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
	Runtime__V1__RunPodSandboxRequest req = RUNTIME__V1__RUN_POD_SANDBOX_REQUEST__INIT;
	Runtime__V1__RunPodSandboxResponse *res = NULL;
	char name[32], uid[48], logs[96];

	snprintf(name, sizeof(name), "pod-%u", p->number);
	snprintf(uid, sizeof(uid), "uid-%u-%u", p->number, p->generation++);
	snprintf(logs, sizeof(logs), "%s/%s", log_dir, uid);
	meta.name = name;
	meta.uid = uid;
	meta.namespace_ = (char *)"kubelet";
	config.metadata = &meta;
	config.hostname = name;
	config.log_directory = logs;
	config.linux = &linux_;
	req.config = &config;
	if (CALL(c, "RuntimeService", "RunPodSandbox", req, run_pod_sandbox_response, &res, ERR_NONE) < 0)
		return;
	p->id = mem_strdup(res->pod_sandbox_id);
	rpc_pb_free((ProtobufCMessage *)res);
	p->attempts[0] = p->attempts[1] = 0;
	make_container(c, p, 0);
	if (chance(c, 2))
		make_container(c, p, 1);
	p->wanted = true;
	cycles++;
}

static void pod_down(struct caller *c, struct pod *p)
{
	Runtime__V1__StopPodSandboxRequest stop = RUNTIME__V1__STOP_POD_SANDBOX_REQUEST__INIT;
	Runtime__V1__RemovePodSandboxRequest rm = RUNTIME__V1__REMOVE_POD_SANDBOX_REQUEST__INIT;

	p->wanted = false;
	stop.pod_sandbox_id = rm.pod_sandbox_id = p->id;
	CALL(c, "RuntimeService", "StopPodSandbox", stop, stop_pod_sandbox_response, NULL, ERR_NONE);
	CALL(c, "RuntimeService", "RemovePodSandbox", rm, remove_pod_sandbox_response, NULL, ERR_NONE);
	free(take_ptr(&p->containers[0]));
	free(take_ptr(&p->containers[1]));
	free(take_ptr(&p->id));
}

static void probe(struct caller *c, const char *id)
{
	Runtime__V1__ExecSyncRequest req = RUNTIME__V1__EXEC_SYNC_REQUEST__INIT;
	Runtime__V1__ExecSyncResponse *res = NULL;
	char *cmd[] = { (char *)"/bin/sh", (char *)"-c", (char *)"echo ready" };

	req.container_id = (char *)id;
	req.cmd = cmd;
	req.n_cmd = 3;
	req.timeout = 30;
	if (CALL(c, "RuntimeService", "ExecSync", req, exec_sync_response, &res, ERR_NONE) < 0)
		return;
	if (res->exit_code || res->stdout.len != 6 || memcmp(res->stdout.data, "ready\n", 6) != 0)
		drift("probe of %s: exit %d, %zu bytes", id, res->exit_code, res->stdout.len);
	rpc_pb_free((ProtobufCMessage *)res);
	probes++;
}

static void *worker(void *user)
{
	unsigned number = (unsigned)(uintptr_t)user;
	struct caller c = { .seed = seed + number };

	if (!connect_caller(&c))
		return NULL;
	while (time_now_mono() < until)
		for (unsigned i = number; i < n_pods && time_now_mono() < until; i += WORKERS) {
			struct pod *p = &pods[i];
			unsigned what = chance(&c, 10);

			if (!p->id) {
				pod_up(&c, p);
			} else if (what < 6) {
				for (int slot = 0; slot < 2; slot++)
					if (p->containers[slot])
						probe(&c, p->containers[slot]);
			} else if (what < 8 && p->containers[0]) {
				end_container(&c, p, 0);
				make_container(&c, p, 0);
				restarts++;
			} else if (what == 8) {
				pod_down(&c, p);
			}
			nap(&c, 20);
		}
	grpc_client_free(c.grpc);
	return NULL;
}

/* ---- what goes on beside ---- */

static void *relist(void *user)
{
	struct caller c = { .seed = seed + 100 };

	if (!connect_caller(&c))
		return NULL;
	while (time_now_mono() < until) {
		Runtime__V1__ListPodSandboxRequest pods_req = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;
		Runtime__V1__ListContainersRequest req = RUNTIME__V1__LIST_CONTAINERS_REQUEST__INIT;
		Runtime__V1__StatusRequest status = RUNTIME__V1__STATUS_REQUEST__INIT;
		Runtime__V1__ListContainersResponse *list = NULL;

		CALL(&c, "RuntimeService", "Status", status, status_response, NULL, ERR_NONE);
		CALL(&c, "RuntimeService", "ListPodSandbox", pods_req, list_pod_sandbox_response, NULL, ERR_NONE);
		if (CALL(&c, "RuntimeService", "ListContainers", req, list_containers_response, &list, ERR_NONE) == 0) {
			for (size_t i = 0; i < list->n_containers; i++) {
				Runtime__V1__ContainerStatusRequest one = RUNTIME__V1__CONTAINER_STATUS_REQUEST__INIT;
				Runtime__V1__PodSandboxStatusRequest pod = RUNTIME__V1__POD_SANDBOX_STATUS_REQUEST__INIT;

				one.container_id = list->containers[i]->id;
				pod.pod_sandbox_id = list->containers[i]->pod_sandbox_id;
				/* it may be gone by now */
				CALL(&c, "RuntimeService", "ContainerStatus", one, container_status_response, NULL,
				     ERR_NOT_FOUND);
				CALL(&c, "RuntimeService", "PodSandboxStatus", pod, pod_sandbox_status_response, NULL,
				     ERR_NOT_FOUND);
			}
			rpc_pb_free((ProtobufCMessage *)list);
		}
		relists++;
		usleep(1000000);
	}
	grpc_client_free(c.grpc);
	return NULL;
}

static void *pull(void *user)
{
	struct caller c = { .seed = seed + 200 + (unsigned)(uintptr_t)user };

	if (!connect_caller(&c))
		return NULL;
	while (time_now_mono() < until) {
		Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
		Runtime__V1__PullImageRequest req = RUNTIME__V1__PULL_IMAGE_REQUEST__INIT;
		Runtime__V1__ImageStatusRequest status = RUNTIME__V1__IMAGE_STATUS_REQUEST__INIT;
		Runtime__V1__ImageFsInfoRequest fs = RUNTIME__V1__IMAGE_FS_INFO_REQUEST__INIT;

		spec.image = image;
		req.image = status.image = &spec;
		CALL(&c, "ImageService", "PullImage", req, pull_image_response, NULL, ERR_NONE);
		CALL(&c, "ImageService", "ImageStatus", status, image_status_response, NULL, ERR_NONE);
		CALL(&c, "ImageService", "ImageFsInfo", fs, image_fs_info_response, NULL, ERR_NONE);
		pulls++;
		nap(&c, 500);
	}
	grpc_client_free(c.grpc);
	return NULL;
}

static void *stats(void *user)
{
	struct caller c = { .seed = seed + 300 };

	if (!connect_caller(&c))
		return NULL;
	while (time_now_mono() < until) {
		Runtime__V1__ListContainerStatsRequest req = RUNTIME__V1__LIST_CONTAINER_STATS_REQUEST__INIT;
		Runtime__V1__ListPodSandboxMetricsRequest metrics = RUNTIME__V1__LIST_POD_SANDBOX_METRICS_REQUEST__INIT;

		CALL(&c, "RuntimeService", "ListContainerStats", req, list_container_stats_response, NULL, ERR_NONE);
		CALL(&c, "RuntimeService", "ListPodSandboxMetrics", metrics, list_pod_sandbox_metrics_response, NULL,
		     ERR_NONE);
		nap(&c, 3000);
	}
	grpc_client_free(c.grpc);
	return NULL;
}

/* An id's events rise: created, started, stopped, deleted. */
static void *watch_events(void *user)
{
	struct caller c = { .seed = 0 };
	struct map last = { 0 };
	struct grpc_stream *s;
	struct err err = ERR_INIT;
	size_t i = 0;
	char *seen;
	int r = -1;

	if (!connect_caller(&c))
		return NULL;
	if (grpc_stream_open(c.grpc, "/runtime.v1.RuntimeService/GetContainerEvents", "", 0, until, &s, &err) == 0) {
		do {
			CLEANUP(buf_done) struct buf bytes = BUF_INIT(GRPC_MESSAGE_MAX);
			ProtobufCMessage *message = NULL;

			r = grpc_stream_next(s, &bytes, &err);
			if (r > 0 && rpc_pb_unpack(&runtime__v1__container_event_response__descriptor, bytes.data,
						   bytes.len, &message, &err) == 0) {
				const Runtime__V1__ContainerEventResponse *e = (void *)message;

				n_events++;
				seen = map_get(&last, e->container_id);
				if (!seen) {
					seen = mem_printf("%c%s", '0' + (int)e->container_event_type, e->container_id);
					map_put(&last, seen + 1, seen);
				} else if (seen[0] >= '0' + (int)e->container_event_type) {
					drift("event %d of %s after %c", (int)e->container_event_type, e->container_id,
					      seen[0]);
				} else {
					seen[0] = (char)('0' + (int)e->container_event_type);
				}
			}
			rpc_pb_free(message);
		} while (r > 0);
		grpc_stream_close(s);
	}
	if (r < 0 && err.kind != ERR_TIMEOUT)
		drift("events: %s", err.text);
	while ((seen = map_next(&last, &i)))
		free(seen);
	map_done(&last);
	grpc_client_free(c.grpc);
	return NULL;
}

/* ---- the end: wanted, listed and real are one ---- */

static bool process_of(struct caller *c, const char *id, long *ret_pid)
{
	Runtime__V1__ContainerStatusRequest req = RUNTIME__V1__CONTAINER_STATUS_REQUEST__INIT;
	Runtime__V1__ContainerStatusResponse *res = NULL;
	const char *pid = NULL;

	*ret_pid = 0;
	req.container_id = (char *)id;
	req.verbose = true;
	if (CALL(c, "RuntimeService", "ContainerStatus", req, container_status_response, &res, ERR_NONE) < 0)
		return false;
	for (size_t i = 0; i < res->n_info && !pid; i++)
		pid = strstr(res->info[i]->value, "\"pid\":");
	*ret_pid = pid ? strtol(pid + 6, NULL, 10) : 0;
	rpc_pb_free((ProtobufCMessage *)res);
	return true;
}

static void check(struct caller *c)
{
	Runtime__V1__ListPodSandboxRequest pods_req = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;
	Runtime__V1__ListContainersRequest req = RUNTIME__V1__LIST_CONTAINERS_REQUEST__INIT;
	Runtime__V1__ListPodSandboxResponse *listed = NULL;
	Runtime__V1__ListContainersResponse *list = NULL;
	size_t wanted = 0, wanted_containers = 0;

	for (unsigned i = 0; i < n_pods; i++) {
		wanted += pods[i].id != NULL;
		wanted_containers += !!pods[i].containers[0] + !!pods[i].containers[1];
	}
	if (CALL(c, "RuntimeService", "ListPodSandbox", pods_req, list_pod_sandbox_response, &listed, ERR_NONE) < 0 ||
	    CALL(c, "RuntimeService", "ListContainers", req, list_containers_response, &list, ERR_NONE) < 0)
		return;
	if (listed->n_items != wanted)
		drift("%zu pods are listed, %zu are wanted", listed->n_items, wanted);
	for (size_t i = 0; i < listed->n_items; i++)
		if (listed->items[i]->state != RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY)
			drift("pod %s is not ready", listed->items[i]->id);
	if (list->n_containers != wanted_containers)
		drift("%zu containers are listed, %zu are wanted", list->n_containers, wanted_containers);
	for (size_t i = 0; i < list->n_containers; i++) {
		long pid = 0;

		if (list->containers[i]->state != RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING)
			drift("container %s does not run", list->containers[i]->id);
		else if (process_of(c, list->containers[i]->id, &pid) && (pid <= 0 || kill((pid_t)pid, 0) < 0))
			drift("container %s: its process %ld is not there", list->containers[i]->id, pid);
	}
	rpc_pb_free((ProtobufCMessage *)listed);
	rpc_pb_free((ProtobufCMessage *)list);
}

int main(int argc, char **argv)
{
	static void *(*const others[])(void *) = { relist, pull, pull, stats, watch_events };
	pthread_t threads[WORKERS + ARRAY_LEN(others)];
	struct caller c = { .seed = 1 };
	uint64_t seconds = 20, number;
	int option;

	n_pods = 10;
	seed = 1;
	while ((option = getopt(argc, argv, "d:p:s:t:")) != -1) {
		if (option == '?' || str_to_u64(optarg, 10, &number) < 0 || number > 100000)
			return 2;
		seconds = option == 'd' ? number : seconds;
		n_pods = option == 'p' ? (unsigned)number : n_pods;
		seed = option == 's' ? (unsigned)number : seed;
		short_deadline = option == 't' ? (int64_t)number : short_deadline;
	}
	if (argc - optind == 2 && strchr(argv[optind], '/'))
		snprintf(log_dir, sizeof(log_dir), "%.*s/kubelet-XXXXXX",
			 (int)(strrchr(argv[optind], '/') - argv[optind]), argv[optind]);
	if (argc - optind != 2 || !n_pods || n_pods > PODS_MAX || !mkdtemp(log_dir)) {
		fprintf(stderr, "usage: cri-kubelet [-d SECONDS] [-p PODS] [-s SEED] [-t DEADLINE-MS] SOCKET IMAGE\n");
		return 2;
	}
	socket_path = argv[optind];
	image = argv[optind + 1];
	until = time_now_mono() + (int64_t)seconds * NSEC_PER_SEC;
	for (unsigned i = 0; i < n_pods; i++)
		pods[i].number = i;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		if (pthread_create(&threads[i], NULL, i < WORKERS ? worker : others[i - WORKERS], (void *)(uintptr_t)i))
			return 2;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	short_deadline = 0;
	if (!connect_caller(&c))
		return 1;
	check(&c);
	for (unsigned i = 0; i < n_pods; i++)
		if (pods[i].id)
			pod_down(&c, &pods[i]);
	grpc_client_free(c.grpc);
	printf("%lu calls, %lu repeated, %lu pods, %lu restarts, %lu probes, %lu relists, %lu pulls, %lu events, "
	       "%lu drifts\n", calls, retries, cycles, restarts, probes, relists, pulls, n_events, drifts);
	return drifts != 0;
}
