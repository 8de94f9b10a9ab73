/*
 * cri-latency — how long the calls take that a node is watched by, over any CRI socket.
 *
 *	cri-latency SOCKET ROUNDS
 *
 * Each round asks Status, ListPodSandbox, ListContainers, ListImages, and PodSandboxStatus and
 * ContainerStatus of one pod and container after the other, with a millisecond between two rounds. Prints
 * one line a call: name, median, 99th percentile and maximum in milliseconds, and "all" for all of them.
 */
#include "base/base.h"
#include "cri.pb-c.h"
#include "rpc/rpc.h"

#include <stdio.h>
#include <time.h>

enum call { STATUS, PODS, CONTAINERS, IMAGES, POD, CONTAINER, CALLS };
enum { ROUNDS_MAX = 100000 };

static const char *const names[CALLS] = {
	"Status", "ListPodSandbox", "ListContainers", "ListImages", "PodSandboxStatus", "ContainerStatus",
};

static struct grpc_client *client;
static double *times[CALLS];
static size_t n_times[CALLS];

static ProtobufCMessage *ask(enum call what, const char *service, const ProtobufCMessage *req,
			     const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *res = NULL;
	struct err err = ERR_INIT;
	int64_t at = time_now_mono();
	char path[128];

	snprintf(path, sizeof(path), "/runtime.v1.%s/%s", service, names[what]);
	if (grpc_client_call_pb(client, path, req, type, INT64_MAX, &res, &err) < 0) {
		/* one that went between the list and the question */
		if (what >= POD && err.kind == ERR_NOT_FOUND)
			return NULL;
		fprintf(stderr, "cri-latency: %s: %s\n", names[what], err.text);
		exit(1);
	}
	times[what][n_times[what]++] = (double)(time_now_mono() - at) / 1e6;
	return res;
}

static void ask_and_forget(enum call what, const char *service, const ProtobufCMessage *req,
			   const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *res = ask(what, service, req, type);

	if (res)
		rpc_pb_free(res);
}

static void one_round(size_t n)
{
	Runtime__V1__StatusRequest status = RUNTIME__V1__STATUS_REQUEST__INIT;
	Runtime__V1__ListPodSandboxRequest list_pods = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;
	Runtime__V1__ListContainersRequest list = RUNTIME__V1__LIST_CONTAINERS_REQUEST__INIT;
	Runtime__V1__ListImagesRequest list_images = RUNTIME__V1__LIST_IMAGES_REQUEST__INIT;
	Runtime__V1__PodSandboxStatusRequest pod = RUNTIME__V1__POD_SANDBOX_STATUS_REQUEST__INIT;
	Runtime__V1__ContainerStatusRequest container = RUNTIME__V1__CONTAINER_STATUS_REQUEST__INIT;
	Runtime__V1__ListPodSandboxResponse *pods;
	Runtime__V1__ListContainersResponse *containers;

	ask_and_forget(STATUS, "RuntimeService", &status.base, &runtime__v1__status_response__descriptor);
	ask_and_forget(IMAGES, "ImageService", &list_images.base, &runtime__v1__list_images_response__descriptor);
	pods = (void *)ask(PODS, "RuntimeService", &list_pods.base,
			   &runtime__v1__list_pod_sandbox_response__descriptor);
	containers = (void *)ask(CONTAINERS, "RuntimeService", &list.base,
				 &runtime__v1__list_containers_response__descriptor);
	if (pods->n_items) {
		pod.pod_sandbox_id = pods->items[n % pods->n_items]->id;
		ask_and_forget(POD, "RuntimeService", &pod.base,
			       &runtime__v1__pod_sandbox_status_response__descriptor);
	}
	if (containers->n_containers) {
		container.container_id = containers->containers[n % containers->n_containers]->id;
		ask_and_forget(CONTAINER, "RuntimeService", &container.base,
			       &runtime__v1__container_status_response__descriptor);
	}
	rpc_pb_free(&pods->base);
	rpc_pb_free(&containers->base);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print(const char *name, double *t, size_t n)
{
	if (!n)
		return;
	qsort(t, n, sizeof(*t), by_value);
	printf("%s %.3f %.3f %.3f\n", name, t[n / 2], t[n * 99 / 100], t[n - 1]);
}

int main(int argc, char **argv)
{
	struct timespec pause = { 0, NSEC_PER_MSEC };
	struct err err = ERR_INIT;
	autofree double *all = NULL;
	uint64_t rounds;
	size_t n = 0;

	if (argc != 3 || str_to_u64(argv[2], 10, &rounds) < 0 || !rounds || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: cri-latency SOCKET ROUNDS\n");
		return 2;
	}
	if (grpc_client_new(argv[1], time_now_mono() + 10 * NSEC_PER_SEC, &client, &err) < 0) {
		fprintf(stderr, "cri-latency: %s\n", err.text);
		return 1;
	}
	for (int c = 0; c < CALLS; c++)
		times[c] = mem_new(rounds, sizeof(double));
	for (uint64_t i = 0; i < rounds; i++) {
		one_round(i);
		nanosleep(&pause, NULL);
	}
	all = mem_new(rounds * CALLS, sizeof(double));
	for (int c = 0; c < CALLS; c++) {
		memcpy(all + n, times[c], n_times[c] * sizeof(double));
		n += n_times[c];
		print(names[c], times[c], n_times[c]);
		free(times[c]);
	}
	print("all", all, n);
	grpc_client_free(client);
	return 0;
}
