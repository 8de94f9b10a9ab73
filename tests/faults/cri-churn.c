/*
 * cri-churn — many pods at once, and many containers one after another, over any CRI socket.
 *
 *	cri-churn up PODS EACH WORKERS SOCKET IMAGE LOGS    PODS pods with EACH running containers, which stay
 *	cri-churn turn N WORKERS SOCKET IMAGE LOGS          N containers created, run and removed
 *	cri-churn down WORKERS SOCKET                       whatever is there is stopped and removed
 *	cri-churn served SOCKET SECONDS                     asks until the pods are listed, at most so long
 *
 * Every third container of `turn` ends by itself (its code must be 7), every third is stopped, the rest is
 * removed as it runs; a pod has twenty of them. Each command prints one line: how many, in how many ms;
 * `served` the pods, containers in the state running and ms. What fails is printed and ends it with 1.
 */
#include "base/base.h"
#include "cri.pb-c.h"
#include "rpc/rpc.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>

enum { OF_A_POD = 20, WORKERS_MAX = 64 };

static const char *socket_path;
static char *image, *logs;
static unsigned n_workers, pods_wanted, each_wanted, turns_wanted, next_number;
static char **leaving;
static size_t n_leaving;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool take(unsigned limit, unsigned *ret)
{
	bool yes;

	pthread_mutex_lock(&lock);
	yes = next_number < limit;
	*ret = next_number++;
	pthread_mutex_unlock(&lock);
	return yes;
}

static void *call(struct grpc_client *client, const char *method, const ProtobufCMessage *req,
		  const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *res = NULL;
	struct err err = ERR_INIT;
	char path[128];

	snprintf(path, sizeof(path), "/runtime.v1.RuntimeService/%s", method);
	if (grpc_client_call_pb(client, path, req, type, time_now_mono() + 300 * NSEC_PER_SEC, &res, &err) < 0) {
		fprintf(stderr, "cri-churn: %s: %s\n", method, err.text);
		exit(1);
	}
	return res;
}

static struct grpc_client *connect_client(void)
{
	struct grpc_client *client;
	struct err err = ERR_INIT;

	if (grpc_client_new(socket_path, time_now_mono() + 10 * NSEC_PER_SEC, &client, &err) < 0) {
		fprintf(stderr, "cri-churn: %s\n", err.text);
		exit(1);
	}
	return client;
}

struct pod {
	char name[32], dir[256], *id;
	Runtime__V1__PodSandboxMetadata meta;
	Runtime__V1__LinuxPodSandboxConfig lin;
	Runtime__V1__PodSandboxConfig config;
};

static void pod_run(struct grpc_client *client, unsigned number, struct pod *p)
{
	static char ns[] = "churn";
	Runtime__V1__RunPodSandboxRequest req = RUNTIME__V1__RUN_POD_SANDBOX_REQUEST__INIT;
	Runtime__V1__RunPodSandboxResponse *res;

	snprintf(p->name, sizeof(p->name), "churn-%u-%u", (unsigned)getpid(), number);
	snprintf(p->dir, sizeof(p->dir), "%s/%s", logs, p->name);
	p->meta = (Runtime__V1__PodSandboxMetadata)RUNTIME__V1__POD_SANDBOX_METADATA__INIT;
	p->lin = (Runtime__V1__LinuxPodSandboxConfig)RUNTIME__V1__LINUX_POD_SANDBOX_CONFIG__INIT;
	p->config = (Runtime__V1__PodSandboxConfig)RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
	p->meta.name = p->meta.uid = p->name;
	p->meta.namespace_ = ns;
	p->config.metadata = &p->meta;
	p->config.log_directory = p->dir;
	p->config.linux = &p->lin;
	req.config = &p->config;
	res = call(client, "RunPodSandbox", &req.base, &runtime__v1__run_pod_sandbox_response__descriptor);
	p->id = mem_strdup(res->pod_sandbox_id);
	rpc_pb_free(&res->base);
}

static void pod_away(struct grpc_client *client, char *id)
{
	Runtime__V1__StopPodSandboxRequest stop = RUNTIME__V1__STOP_POD_SANDBOX_REQUEST__INIT;
	Runtime__V1__RemovePodSandboxRequest rm = RUNTIME__V1__REMOVE_POD_SANDBOX_REQUEST__INIT;

	stop.pod_sandbox_id = rm.pod_sandbox_id = id;
	rpc_pb_free(call(client, "StopPodSandbox", &stop.base,
			 &runtime__v1__stop_pod_sandbox_response__descriptor));
	rpc_pb_free(call(client, "RemovePodSandbox", &rm.base,
			 &runtime__v1__remove_pod_sandbox_response__descriptor));
}

/* Created and started; its id is the caller's. */
static char *container_run(struct grpc_client *client, struct pod *p, unsigned number, char *script)
{
	static char sh[] = "/bin/sh", c[] = "-c";
	char *cmd[] = { sh, c, script };
	Runtime__V1__ContainerMetadata meta = RUNTIME__V1__CONTAINER_METADATA__INIT;
	Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
	Runtime__V1__ContainerConfig config = RUNTIME__V1__CONTAINER_CONFIG__INIT;
	Runtime__V1__CreateContainerRequest create = RUNTIME__V1__CREATE_CONTAINER_REQUEST__INIT;
	Runtime__V1__StartContainerRequest start = RUNTIME__V1__START_CONTAINER_REQUEST__INIT;
	Runtime__V1__CreateContainerResponse *res;
	char name[32], log[40], *id;

	snprintf(name, sizeof(name), "c%u", number);
	snprintf(log, sizeof(log), "%s.log", name);
	meta.name = name;
	spec.image = image;
	config.metadata = &meta;
	config.image = &spec;
	config.command = cmd;
	config.n_command = 3;
	config.log_path = log;
	create.pod_sandbox_id = p->id;
	create.config = &config;
	create.sandbox_config = &p->config;
	res = call(client, "CreateContainer", &create.base, &runtime__v1__create_container_response__descriptor);
	id = mem_strdup(res->container_id);
	rpc_pb_free(&res->base);
	start.container_id = id;
	rpc_pb_free(call(client, "StartContainer", &start.base,
			 &runtime__v1__start_container_response__descriptor));
	return id;
}

/* Its end within ten seconds, with that code. */
static void container_ended(struct grpc_client *client, char *id, int code)
{
	Runtime__V1__ContainerStatusRequest req = RUNTIME__V1__CONTAINER_STATUS_REQUEST__INIT;
	int64_t until = time_now_mono() + 10 * NSEC_PER_SEC;

	req.container_id = id;
	for (;;) {
		Runtime__V1__ContainerStatusResponse *res =
			call(client, "ContainerStatus", &req.base,
			     &runtime__v1__container_status_response__descriptor);
		bool over = res->status->state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_EXITED;
		int got = res->status->exit_code;

		rpc_pb_free(&res->base);
		if (over && got == code)
			return;
		if (over || time_now_mono() > until) {
			fprintf(stderr, "cri-churn: container %s: %s, code %d instead of %d\n", id,
				over ? "ended" : "does not end", got, code);
			exit(1);
		}
		usleep(2000);
	}
}

static void container_away(struct grpc_client *client, char *id)
{
	Runtime__V1__RemoveContainerRequest rm = RUNTIME__V1__REMOVE_CONTAINER_REQUEST__INIT;

	rm.container_id = id;
	rpc_pb_free(call(client, "RemoveContainer", &rm.base,
			 &runtime__v1__remove_container_response__descriptor));
}

static void container_turn(struct grpc_client *client, struct pod *p, unsigned number)
{
	static char ends[] = "echo ends; exit 7", stays[] = "echo stays; exec sleep 1000000";
	Runtime__V1__StopContainerRequest stop = RUNTIME__V1__STOP_CONTAINER_REQUEST__INIT;
	autofree char *id = container_run(client, p, number, number % 3 ? stays : ends);

	if (number % 3 == 0)
		container_ended(client, id, 7);
	if (number % 3 == 1) {
		stop.container_id = id;
		rpc_pb_free(call(client, "StopContainer", &stop.base,
				 &runtime__v1__stop_container_response__descriptor));
		container_ended(client, id, 137);
	}
	container_away(client, id);
}

/* ---- workers ---- */

static void *turn(void *user)
{
	struct grpc_client *client = connect_client();
	struct pod pod = { .id = NULL };
	unsigned number, of_pod = 0;

	while (take(turns_wanted, &number)) {
		if (!pod.id)
			pod_run(client, number, &pod);
		container_turn(client, &pod, number);
		if (++of_pod % OF_A_POD == 0) {
			pod_away(client, pod.id);
			sys_remove_tree(AT_FDCWD, pod.dir);
			free(take_ptr(&pod.id));
		}
	}
	if (pod.id) {
		pod_away(client, pod.id);
		sys_remove_tree(AT_FDCWD, pod.dir);
		free(pod.id);
	}
	grpc_client_free(client);
	return NULL;
}

static void *up(void *user)
{
	static char stays[] = "exec sleep 1000000";
	struct grpc_client *client = connect_client();
	unsigned number;

	while (take(pods_wanted, &number)) {
		struct pod pod;

		pod_run(client, number, &pod);
		for (unsigned i = 0; i < each_wanted; i++)
			free(container_run(client, &pod, i, stays));
		free(pod.id);
	}
	grpc_client_free(client);
	return NULL;
}

static void *down(void *user)
{
	struct grpc_client *client = connect_client();
	unsigned number;

	while (take((unsigned)n_leaving, &number))
		pod_away(client, leaving[number]);
	grpc_client_free(client);
	return NULL;
}

static void work(void *(*worker)(void *user), const char *what, size_t n)
{
	pthread_t threads[WORKERS_MAX];
	int64_t began = time_now_mono();

	for (size_t i = 0; i < n_workers; i++)
		if (pthread_create(&threads[i], NULL, worker, NULL))
			exit(1);
	for (size_t i = 0; i < n_workers; i++)
		pthread_join(threads[i], NULL);
	printf("%s %zu in %lld ms\n", what, n, (long long)((time_now_mono() - began) / 1000000));
}

static void leave(void)
{
	Runtime__V1__ListPodSandboxRequest req = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;
	struct grpc_client *client = connect_client();
	Runtime__V1__ListPodSandboxResponse *all = call(client, "ListPodSandbox", &req.base,
							&runtime__v1__list_pod_sandbox_response__descriptor);

	leaving = mem_new(all->n_items + 1, sizeof(*leaving));
	for (; n_leaving < all->n_items; n_leaving++)
		leaving[n_leaving] = all->items[n_leaving]->id;
	work(down, "removed", n_leaving);
	free(leaving);
	rpc_pb_free(&all->base);
	grpc_client_free(client);
}

static int served(const char *seconds)
{
	Runtime__V1__ListPodSandboxRequest pods_req = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;
	Runtime__V1__ListContainersRequest req = RUNTIME__V1__LIST_CONTAINERS_REQUEST__INIT;
	int64_t began = time_now_mono(), until = began + atoi(seconds) * NSEC_PER_SEC;
	Runtime__V1__ListPodSandboxResponse *pods;
	Runtime__V1__ListContainersResponse *all;
	struct grpc_client *client = NULL;
	ProtobufCMessage *first = NULL;
	struct err err = ERR_INIT;
	size_t running = 0;

	/* the socket of a daemon that is just ending may still take a connection, and cuts it */
	while (grpc_client_new(socket_path, until, &client, &err) < 0 ||
	       grpc_client_call_pb(client, "/runtime.v1.RuntimeService/ListPodSandbox", &pods_req.base,
				   &runtime__v1__list_pod_sandbox_response__descriptor, until, &first, &err) < 0) {
		if (time_now_mono() > until) {
			fprintf(stderr, "cri-churn: %s\n", err.text);
			return 1;
		}
		grpc_client_free(take_ptr(&client));
		err_clear(&err);
		usleep(1000);
	}
	rpc_pb_free(first);
	pods = call(client, "ListPodSandbox", &pods_req.base, &runtime__v1__list_pod_sandbox_response__descriptor);
	all = call(client, "ListContainers", &req.base, &runtime__v1__list_containers_response__descriptor);
	for (size_t i = 0; i < all->n_containers; i++)
		running += all->containers[i]->state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING;
	printf("%zu pods, %zu running, after %lld ms\n", pods->n_items, running,
	       (long long)((time_now_mono() - began) / 1000000));
	rpc_pb_free(&pods->base);
	rpc_pb_free(&all->base);
	grpc_client_free(client);
	return 0;
}

static bool number(const char *text, unsigned max, unsigned *ret)
{
	uint64_t n;

	if (str_to_u64(text, 10, &n) < 0 || !n || n > max)
		return false;
	*ret = (unsigned)n;
	return true;
}

int main(int argc, char **argv)
{
	if (argc == 8 && str_eq(argv[1], "up") && number(argv[2], 100000, &pods_wanted) &&
	    number(argv[3], 1000, &each_wanted) && number(argv[4], WORKERS_MAX, &n_workers)) {
		socket_path = argv[5];
		image = argv[6];
		logs = argv[7];
		work(up, "up", pods_wanted);
	} else if (argc == 7 && str_eq(argv[1], "turn") && number(argv[2], 10000000, &turns_wanted) &&
		   number(argv[3], WORKERS_MAX, &n_workers)) {
		socket_path = argv[4];
		image = argv[5];
		logs = argv[6];
		work(turn, "turned", turns_wanted);
	} else if (argc == 4 && str_eq(argv[1], "down") && number(argv[2], WORKERS_MAX, &n_workers)) {
		socket_path = argv[3];
		leave();
	} else if (argc == 4 && str_eq(argv[1], "served")) {
		socket_path = argv[2];
		return served(argv[3]);
	} else {
		fprintf(stderr, "usage: cri-churn up PODS EACH WORKERS SOCKET IMAGE LOGS\n"
				"       cri-churn turn N WORKERS SOCKET IMAGE LOGS\n"
				"       cri-churn down WORKERS SOCKET\n"
				"       cri-churn served SOCKET SECONDS\n");
		return 2;
	}
	return 0;
}
