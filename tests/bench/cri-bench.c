/*
 * cri-bench — times the steps of a pod over any CRI socket.
 *
 *	cri-bench [-n ROUNDS] [-p PODS] [-w] SOCKET IMAGE
 *
 * Each round: RunPodSandbox, CreateContainer, StartContainer, ExecSync of `true` (five times),
 * StopContainer, RemoveContainer, StopPodSandbox, RemovePodSandbox. Prints one line a step:
 * name, median, minimum and maximum in milliseconds. The client is this process, so a
 * client's start-up is in no figure.
 *
 * -p PODS: instead makes that many pods with one container each, prints "ready", waits for
 * end of file on standard input, and removes them: for measuring what they cost at rest.
 * -w: waits instead of rounds for the image to be pulled and prints how long that took.
 */
#include "base/base.h"
#include "cri.pb-c.h"
#include "rpc/rpc.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>

enum step { RUNP, CREATE, START, EXEC, STOP, RM, STOPP, RMP, STEPS };

static const char *const names[STEPS] = {
	"RunPodSandbox", "CreateContainer", "StartContainer", "ExecSync", "StopContainer", "RemoveContainer",
	"StopPodSandbox", "RemovePodSandbox",
};

static struct grpc_client *client;
static char *image;
static char log_dir[] = "/tmp/cri-bench-XXXXXX";
static double times[STEPS][1024];
static size_t n_times[STEPS];

static ProtobufCMessage *call(enum step step, const char *method, const ProtobufCMessage *req,
			      const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *res = NULL;
	struct err err = ERR_INIT;
	int64_t at = time_now_mono();
	char path[128];

	snprintf(path, sizeof(path), "/runtime.v1.%s", method);
	if (grpc_client_call_pb(client, path, req, type, INT64_MAX, &res, &err) < 0) {
		fprintf(stderr, "cri-bench: %s: %s\n", method, err.text);
		exit(1);
	}
	if (step < STEPS && n_times[step] < ARRAY_LEN(times[0]))
		times[step][n_times[step]++] = (double)(time_now_mono() - at) / 1e6;
	return res;
}

struct pod {
	char *id, *container;
};

static void pod_up(struct pod *p, unsigned number)
{
	static char cmd0[] = "sleep", cmd1[] = "1000000", ns[] = "bench", logname[] = "0.log";
	static char *cmd[] = { cmd0, cmd1 };
	char name[32], uid[ID_LEN + 1];
	Runtime__V1__PodSandboxConfig config = RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
	Runtime__V1__PodSandboxMetadata meta = RUNTIME__V1__POD_SANDBOX_METADATA__INIT;
	Runtime__V1__LinuxPodSandboxConfig lin = RUNTIME__V1__LINUX_POD_SANDBOX_CONFIG__INIT;
	Runtime__V1__RunPodSandboxRequest runp = RUNTIME__V1__RUN_POD_SANDBOX_REQUEST__INIT;
	Runtime__V1__RunPodSandboxResponse *pod;
	Runtime__V1__ContainerConfig cc = RUNTIME__V1__CONTAINER_CONFIG__INIT;
	Runtime__V1__ContainerMetadata cmeta = RUNTIME__V1__CONTAINER_METADATA__INIT;
	Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
	Runtime__V1__CreateContainerRequest create = RUNTIME__V1__CREATE_CONTAINER_REQUEST__INIT;
	Runtime__V1__CreateContainerResponse *created;
	Runtime__V1__StartContainerRequest start = RUNTIME__V1__START_CONTAINER_REQUEST__INIT;

	snprintf(name, sizeof(name), "bench-%u", number);
	id_random(uid);
	meta.name = name;
	meta.uid = uid;
	meta.namespace_ = ns;
	config.metadata = &meta;
	config.log_directory = log_dir;
	config.linux = &lin;
	runp.config = &config;
	pod = (void *)call(RUNP, "RuntimeService/RunPodSandbox", &runp.base,
			   &runtime__v1__run_pod_sandbox_response__descriptor);
	p->id = mem_strdup(pod->pod_sandbox_id);
	rpc_pb_free(&pod->base);
	cmeta.name = name;
	spec.image = image;
	cc.metadata = &cmeta;
	cc.image = &spec;
	cc.command = cmd;
	cc.n_command = 2;
	cc.log_path = logname;
	create.pod_sandbox_id = p->id;
	create.config = &cc;
	create.sandbox_config = &config;
	created = (void *)call(CREATE, "RuntimeService/CreateContainer", &create.base,
			       &runtime__v1__create_container_response__descriptor);
	p->container = mem_strdup(created->container_id);
	rpc_pb_free(&created->base);
	start.container_id = p->container;
	rpc_pb_free(call(START, "RuntimeService/StartContainer", &start.base,
			 &runtime__v1__start_container_response__descriptor));
}

static void pod_exec(const struct pod *p)
{
	static char cmd0[] = "true";
	static char *cmd[] = { cmd0 };
	Runtime__V1__ExecSyncRequest exec = RUNTIME__V1__EXEC_SYNC_REQUEST__INIT;
	Runtime__V1__ExecSyncResponse *res;

	exec.container_id = p->container;
	exec.cmd = cmd;
	exec.n_cmd = 1;
	res = (void *)call(EXEC, "RuntimeService/ExecSync", &exec.base,
			   &runtime__v1__exec_sync_response__descriptor);
	if (res->exit_code) {
		fprintf(stderr, "cri-bench: true exited with %d\n", res->exit_code);
		exit(1);
	}
	rpc_pb_free(&res->base);
}

static void pod_down(struct pod *p)
{
	Runtime__V1__StopContainerRequest stop = RUNTIME__V1__STOP_CONTAINER_REQUEST__INIT;
	Runtime__V1__RemoveContainerRequest rm = RUNTIME__V1__REMOVE_CONTAINER_REQUEST__INIT;
	Runtime__V1__StopPodSandboxRequest stopp = RUNTIME__V1__STOP_POD_SANDBOX_REQUEST__INIT;
	Runtime__V1__RemovePodSandboxRequest rmp = RUNTIME__V1__REMOVE_POD_SANDBOX_REQUEST__INIT;

	/* no grace: sleep ignores SIGTERM where it is process 1, and that is not what is timed */
	stop.container_id = rm.container_id = p->container;
	stopp.pod_sandbox_id = rmp.pod_sandbox_id = p->id;
	rpc_pb_free(call(STOP, "RuntimeService/StopContainer", &stop.base,
			 &runtime__v1__stop_container_response__descriptor));
	rpc_pb_free(call(RM, "RuntimeService/RemoveContainer", &rm.base,
			 &runtime__v1__remove_container_response__descriptor));
	rpc_pb_free(call(STOPP, "RuntimeService/StopPodSandbox", &stopp.base,
			 &runtime__v1__stop_pod_sandbox_response__descriptor));
	rpc_pb_free(call(RMP, "RuntimeService/RemovePodSandbox", &rmp.base,
			 &runtime__v1__remove_pod_sandbox_response__descriptor));
	free(p->id);
	free(p->container);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void pull(void)
{
	Runtime__V1__PullImageRequest req = RUNTIME__V1__PULL_IMAGE_REQUEST__INIT;
	Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
	int64_t at = time_now_mono();

	spec.image = image;
	req.image = &spec;
	rpc_pb_free(call(STEPS, "ImageService/PullImage", &req.base,
			 &runtime__v1__pull_image_response__descriptor));
	printf("PullImage %.1f\n", (double)(time_now_mono() - at) / 1e6);
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	uint64_t rounds = 20, n_pods = 0;
	bool pull_only = false;
	int opt;

	while ((opt = getopt(argc, argv, "n:p:w")) >= 0)
		if (opt == 'w')
			pull_only = true;
		else if (opt == '?' || str_to_u64(optarg, 10, opt == 'n' ? &rounds : &n_pods) < 0)
			return 2;
	if (argc - optind != 2)
		return 2;
	image = argv[optind + 1];
	if (grpc_client_new(argv[optind], time_now_mono() + 10 * NSEC_PER_SEC, &client, &err) < 0) {
		fprintf(stderr, "cri-bench: %s\n", err.text);
		return 1;
	}
	if (pull_only) {
		pull();
		grpc_client_free(client);
		return 0;
	}
	assert(mkdtemp(log_dir));
	if (n_pods) {
		autofree struct pod *pods = mem_new(n_pods, sizeof(*pods));
		char c;

		for (uint64_t i = 0; i < n_pods; i++)
			pod_up(&pods[i], (unsigned)i);
		printf("ready\n");
		fflush(stdout);
		while (read(0, &c, 1) > 0)
			;
		for (uint64_t i = 0; i < n_pods; i++)
			pod_down(&pods[i]);
	}
	for (uint64_t i = 0; i < rounds && !n_pods; i++) {
		struct pod p;

		pod_up(&p, (unsigned)i);
		for (int j = 0; j < 5; j++)
			pod_exec(&p);
		pod_down(&p);
	}
	for (int s = 0; s < STEPS && !n_pods; s++) {
		qsort(times[s], n_times[s], sizeof(double), by_value);
		printf("%s %.2f %.2f %.2f\n", names[s], times[s][n_times[s] / 2], times[s][0],
		       times[s][n_times[s] - 1]);
	}
	grpc_client_free(client);
	return sys_remove_tree(AT_FDCWD, log_dir) < 0;
}
