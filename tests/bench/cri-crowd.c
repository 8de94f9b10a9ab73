/*
 * cri-crowd — what many containers cost over any CRI socket. One pod holds them all.
 *
 *	cri-crowd list N SOCKET IMAGE       ListContainers with N containers, 5,000 times
 *	cri-crowd stats N SOCKET IMAGE      ListContainerStats of N running ones, 50 times
 *	cri-crowd probe N SOCKET IMAGE      runs N, prints "ready"; for each line on standard input, which is
 *	                                    a number of seconds, probes each once a second for so long, and
 *	                                    prints how many probes that were; the end of input ends it
 *
 * The first two print name, median, 99th percentile of a series (the median of ten) and of all calls in
 * milliseconds. All is removed at the end.
 */
#include "base/base.h"
#include "cri.pb-c.h"
#include "rpc/rpc.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>

enum { LISTS = 5000, STATS = 50, SERIES = 10, PROBERS = 4, MANY_MAX = 4096 };

static const char *socket_path;
static char *image, *pod_id;
static char *ids[MANY_MAX];
static unsigned n_ids;
static char log_dir[] = "/tmp/cri-crowd-XXXXXX";
static int64_t probe_until;
static unsigned long probes[PROBERS];

static void *call(struct grpc_client *client, const char *method, const ProtobufCMessage *req,
		  const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *res = NULL;
	struct err err = ERR_INIT;
	char path[128];

	snprintf(path, sizeof(path), "/runtime.v1.RuntimeService/%s", method);
	if (grpc_client_call_pb(client, path, req, type, INT64_MAX, &res, &err) < 0) {
		fprintf(stderr, "cri-crowd: %s: %s\n", method, err.text);
		exit(1);
	}
	return res;
}

static struct grpc_client *connect_client(void)
{
	struct grpc_client *client;
	struct err err = ERR_INIT;

	if (grpc_client_new(socket_path, time_now_mono() + 10 * NSEC_PER_SEC, &client, &err) < 0) {
		fprintf(stderr, "cri-crowd: %s\n", err.text);
		exit(1);
	}
	return client;
}

static void up(struct grpc_client *client, unsigned n, bool run)
{
	static char cmd0[] = "sleep", cmd1[] = "1000000", name[] = "crowd", ns[] = "bench";
	static char *cmd[] = { cmd0, cmd1 };
	Runtime__V1__PodSandboxConfig config = RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
	Runtime__V1__PodSandboxMetadata meta = RUNTIME__V1__POD_SANDBOX_METADATA__INIT;
	Runtime__V1__LinuxPodSandboxConfig linux_ = RUNTIME__V1__LINUX_POD_SANDBOX_CONFIG__INIT;
	Runtime__V1__RunPodSandboxRequest runp = RUNTIME__V1__RUN_POD_SANDBOX_REQUEST__INIT;
	Runtime__V1__RunPodSandboxResponse *pod;
	char uid[ID_LEN + 1];

	id_random(uid);
	meta.name = name;
	meta.uid = uid;
	meta.namespace_ = ns;
	config.metadata = &meta;
	config.log_directory = log_dir;
	config.linux = &linux_;
	runp.config = &config;
	pod = call(client, "RunPodSandbox", &runp.base, &runtime__v1__run_pod_sandbox_response__descriptor);
	pod_id = mem_strdup(pod->pod_sandbox_id);
	rpc_pb_free(&pod->base);
	for (n_ids = 0; n_ids < n; n_ids++) {
		Runtime__V1__ContainerMetadata cmeta = RUNTIME__V1__CONTAINER_METADATA__INIT;
		Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
		Runtime__V1__ContainerConfig cc = RUNTIME__V1__CONTAINER_CONFIG__INIT;
		Runtime__V1__CreateContainerRequest create = RUNTIME__V1__CREATE_CONTAINER_REQUEST__INIT;
		Runtime__V1__StartContainerRequest start = RUNTIME__V1__START_CONTAINER_REQUEST__INIT;
		Runtime__V1__CreateContainerResponse *created;
		char one[32];

		snprintf(one, sizeof(one), "c%u", n_ids);
		cmeta.name = one;
		spec.image = image;
		cc.metadata = &cmeta;
		cc.image = &spec;
		cc.command = cmd;
		cc.n_command = 2;
		create.pod_sandbox_id = pod_id;
		create.config = &cc;
		create.sandbox_config = &config;
		created = call(client, "CreateContainer", &create.base,
			       &runtime__v1__create_container_response__descriptor);
		ids[n_ids] = mem_strdup(created->container_id);
		rpc_pb_free(&created->base);
		start.container_id = ids[n_ids];
		if (run)
			rpc_pb_free(call(client, "StartContainer", &start.base,
					 &runtime__v1__start_container_response__descriptor));
	}
}

static void down(struct grpc_client *client)
{
	Runtime__V1__StopPodSandboxRequest stop = RUNTIME__V1__STOP_POD_SANDBOX_REQUEST__INIT;
	Runtime__V1__RemovePodSandboxRequest rm = RUNTIME__V1__REMOVE_POD_SANDBOX_REQUEST__INIT;

	stop.pod_sandbox_id = rm.pod_sandbox_id = pod_id;
	rpc_pb_free(call(client, "StopPodSandbox", &stop.base,
			 &runtime__v1__stop_pod_sandbox_response__descriptor));
	rpc_pb_free(call(client, "RemovePodSandbox", &rm.base,
			 &runtime__v1__remove_pod_sandbox_response__descriptor));
	for (unsigned i = 0; i < n_ids; i++)
		free(ids[i]);
	free(pod_id);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void time_calls(struct grpc_client *client, const char *method, const ProtobufCMessage *req,
		       const ProtobufCMessageDescriptor *type, unsigned n)
{
	autofree double *times = mem_new(n, sizeof(*times));
	double late[SERIES];

	rpc_pb_free(call(client, method, req, type));
	for (unsigned i = 0; i < n; i++) {
		int64_t at = time_now_mono();

		rpc_pb_free(call(client, method, req, type));
		times[i] = (double)(time_now_mono() - at) / 1e6;
	}
	/* who shares the machine takes it away for a moment now and then: that is in some series only */
	for (unsigned i = 0; i < SERIES; i++) {
		qsort(times + i * (n / SERIES), n / SERIES, sizeof(*times), by_value);
		late[i] = times[i * (n / SERIES) + n / SERIES * 99 / 100];
	}
	qsort(late, SERIES, sizeof(*late), by_value);
	qsort(times, n, sizeof(*times), by_value);
	printf("%s %.2f %.2f %.2f\n", method, times[n / 2], late[SERIES / 2], times[n * 99 / 100]);
}

static void *prober(void *user)
{
	static char cmd0[] = "true";
	static char *cmd[] = { cmd0 };
	size_t number = (size_t)(uintptr_t)user;
	struct grpc_client *client = connect_client();

	for (int64_t round = time_now_mono(); round < probe_until; round += NSEC_PER_SEC) {
		int64_t left;

		for (size_t i = number; i < n_ids; i += PROBERS) {
			Runtime__V1__ExecSyncRequest req = RUNTIME__V1__EXEC_SYNC_REQUEST__INIT;

			req.container_id = ids[i];
			req.cmd = cmd;
			req.n_cmd = 1;
			rpc_pb_free(call(client, "ExecSync", &req.base,
					 &runtime__v1__exec_sync_response__descriptor));
			probes[number]++;
		}
		left = round + NSEC_PER_SEC - time_now_mono();
		if (left > 0)
			usleep((useconds_t)(left / 1000));
	}
	grpc_client_free(client);
	return NULL;
}

static void probe(unsigned seconds)
{
	pthread_t threads[PROBERS];
	unsigned long sum = 0;

	memset(probes, 0, sizeof(probes));
	probe_until = time_now_mono() + seconds * NSEC_PER_SEC;
	for (size_t i = 0; i < PROBERS; i++)
		if (pthread_create(&threads[i], NULL, prober, (void *)(uintptr_t)i))
			exit(1);
	for (size_t i = 0; i < PROBERS; i++) {
		pthread_join(threads[i], NULL);
		sum += probes[i];
	}
	printf("%lu\n", sum);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	Runtime__V1__ListContainersRequest list = RUNTIME__V1__LIST_CONTAINERS_REQUEST__INIT;
	Runtime__V1__ListContainerStatsRequest stats = RUNTIME__V1__LIST_CONTAINER_STATS_REQUEST__INIT;
	struct grpc_client *client;
	uint64_t n;
	char line[32];

	if (argc != 5 || str_to_u64(argv[2], 10, &n) < 0 || !n || n > MANY_MAX) {
		fprintf(stderr, "usage: cri-crowd list|stats|probe N SOCKET IMAGE\n");
		return 2;
	}
	/* as a kubelet's heap does, ours keeps its pages between answers: else it is the client that is timed */
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	socket_path = argv[3];
	image = argv[4];
	assert(mkdtemp(log_dir));
	client = connect_client();
	up(client, (unsigned)n, !str_eq(argv[1], "list"));
	if (str_eq(argv[1], "list")) {
		time_calls(client, "ListContainers", &list.base,
			   &runtime__v1__list_containers_response__descriptor, LISTS);
	} else if (str_eq(argv[1], "stats")) {
		time_calls(client, "ListContainerStats", &stats.base,
			   &runtime__v1__list_container_stats_response__descriptor, STATS);
	} else {
		printf("ready\n");
		fflush(stdout);
		while (fgets(line, sizeof(line), stdin))
			probe((unsigned)strtoul(line, NULL, 10));
	}
	down(client);
	grpc_client_free(client);
	return sys_remove_tree(AT_FDCWD, log_dir) < 0;
}
