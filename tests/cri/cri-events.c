/*
 * cri-events — a subscriber of container events that checks what it is told.
 *
 *	cri-events SOCKET          a line an event:
 *	STARTED <container> of <pod>: pod READY, RUNNING, listed RUNNING, 2 containers
 *
 * the state as the event's own statuses have it ("-": it is not among them), then as the lists
 * said right after the event had come, on a connection of its own. For a pod's own events
 * <container> is the pod. Ends with the stream, by "ended: …".
 */
#include "rpc/rpc.h"

#include "cri.pb-c.h"

#include <stdio.h>

static const char *const types[] = { "CREATED", "STARTED", "STOPPED", "DELETED" };
static const char *const states[] = { "CREATED", "RUNNING", "EXITED", "UNKNOWN" };

static const char *pod_state(int state)
{
	return state == RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY ? "READY" : "NOTREADY";
}

static const char *listed(struct grpc_client *c, const char *id, bool is_pod)
{
	Runtime__V1__ListContainersRequest containers = RUNTIME__V1__LIST_CONTAINERS_REQUEST__INIT;
	Runtime__V1__ListPodSandboxRequest pods = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;
	ProtobufCMessage *res = NULL;
	struct err err = ERR_INIT;
	const char *state = "-";
	int r;

	if (is_pod)
		r = grpc_client_call_pb(c, "/runtime.v1.RuntimeService/ListPodSandbox", &pods.base,
					&runtime__v1__list_pod_sandbox_response__descriptor, INT64_MAX, &res, &err);
	else
		r = grpc_client_call_pb(c, "/runtime.v1.RuntimeService/ListContainers", &containers.base,
					&runtime__v1__list_containers_response__descriptor, INT64_MAX, &res, &err);
	if (r < 0)
		return "failed";
	if (is_pod) {
		const Runtime__V1__ListPodSandboxResponse *list = (void *)res;

		for (size_t i = 0; i < list->n_items; i++)
			if (str_eq(list->items[i]->id, id))
				state = pod_state((int)list->items[i]->state);
	} else {
		const Runtime__V1__ListContainersResponse *list = (void *)res;

		for (size_t i = 0; i < list->n_containers; i++)
			if (str_eq(list->containers[i]->id, id))
				state = states[list->containers[i]->state];
	}
	rpc_pb_free(res);
	return state;
}

static void print(const Runtime__V1__ContainerEventResponse *e, struct grpc_client *c)
{
	const Runtime__V1__PodSandboxStatus *pod = e->pod_sandbox_status;
	bool is_pod = pod && str_eq(pod->id, e->container_id);
	const char *own = "-";

	for (size_t i = 0; i < e->n_containers_statuses; i++)
		if (str_eq(e->containers_statuses[i]->id, e->container_id))
			own = states[e->containers_statuses[i]->state];
	printf("%s %s of %s: pod %s, %s, listed %s, %zu containers\n", types[e->container_event_type],
	       e->container_id, pod && pod->metadata ? pod->metadata->name : "?",
	       pod ? pod_state((int)pod->state) : "?", own, listed(c, e->container_id, is_pod),
	       e->n_containers_statuses);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int64_t deadline = time_now_mono() + 10 * NSEC_PER_SEC;
	struct grpc_client *events, *lists;
	struct grpc_stream *stream;
	struct err err = ERR_INIT;
	int r;

	if (argc != 2 || grpc_client_new(argv[1], deadline, &events, &err) < 0 ||
	    grpc_client_new(argv[1], deadline, &lists, &err) < 0 ||
	    grpc_stream_open(events, "/runtime.v1.RuntimeService/GetContainerEvents", "", 0, INT64_MAX, &stream,
			     &err) < 0) {
		fprintf(stderr, "cri-events: %s\n", err.text);
		return 2;
	}
	do {
		CLEANUP(buf_done) struct buf bytes = BUF_INIT(GRPC_MESSAGE_MAX);
		ProtobufCMessage *event = NULL;

		r = grpc_stream_next(stream, &bytes, &err);
		if (r > 0 && rpc_pb_unpack(&runtime__v1__container_event_response__descriptor, bytes.data, bytes.len,
					   &event, &err) < 0)
			r = -EBADMSG;
		if (event)
			print((void *)event, lists);
		rpc_pb_free(event);
	} while (r > 0);
	printf("ended: %s\n", r < 0 ? err.text : "well");
	grpc_stream_close(stream);
	grpc_client_free(events);
	grpc_client_free(lists);
	return r < 0;
}
