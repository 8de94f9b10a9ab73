/*
 * The publisher. Loop thread.
 *
 * Invariants: the first of `queue` is being sent exactly while `sending`; a connection is made
 * when there is something to send and kept afterwards; after a failure the next attempt is
 * RETRY later, and what failed is sent again (the daemon takes an event twice).
 */
#include "shim/events.h"

#include "rpc/rpc.h"
#include "shim/task.h"

#include "containerd-events.pb-c.h"
#include "containerd-publish.pb-c.h"

enum { EVENT_MAX = 64 * 1024 };

static const int64_t RETRY = NSEC_PER_SEC, DEADLINE = 10 * NSEC_PER_SEC;

struct event {
	struct list link;
	struct buf request;
};

struct events {
	struct shim *shim;
	char *address;
	const char *ns;
	struct ttrpc_client *client;
	struct list queue;
	size_t n;
	bool sending, down;
	struct event_timer *retry;
};

static void event_free(struct event *ev)
{
	list_remove(&ev->link);
	buf_done(&ev->request);
	free(ev);
}

static void pop(struct events *e)
{
	event_free(list_first(&e->queue, struct event, link));
	e->n--;
}

static void send_next(struct events *e);

static void later(struct events *e)
{
	e->sending = false;
	e->down = true;
	event_timer_set(e->retry, time_now_mono() + RETRY);
}

static void on_end(void *user)
{
	struct events *e = user;

	ttrpc_client_free(take_ptr(&e->client));
	later(e);
}

static void on_sent(const struct err *err, const uint8_t *data, size_t len, void *user)
{
	struct events *e = user;

	/* the connection's end, if that is why, is told by on_end */
	if (err && (err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT)) {
		later(e);
		return;
	}
	e->sending = false;
	pop(e);
	send_next(e);
}

static void send_next(struct events *e)
{
	struct event *ev = list_first(&e->queue, struct event, link);
	int fd;

	if (!ev || e->sending)
		return;
	e->down = false;
	if (!e->client && (rpc_connect(e->address, 0, &fd, NULL) < 0 ||
			   ttrpc_client_new(e->shim->loop, fd, on_end, e, &e->client) < 0)) {
		later(e);
		return;
	}
	if (ttrpc_client_call(e->client, "containerd.services.events.ttrpc.v1.Events", "Forward", ev->request.data,
			      ev->request.len, time_now_mono() + DEADLINE, on_sent, e, NULL) < 0)
		later(e);
	else
		e->sending = true;
}

static void on_retry(void *user)
{
	send_next(user);
}

static void publish(struct events *e, const char *topic, const char *type, const ProtobufCMessage *message)
{
	Containerd__Services__Events__Ttrpc__V1__ForwardRequest req =
		CONTAINERD__SERVICES__EVENTS__TTRPC__V1__FORWARD_REQUEST__INIT;
	Containerd__Types__Envelope envelope = CONTAINERD__TYPES__ENVELOPE__INIT;
	Google__Protobuf__Timestamp now = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	CLEANUP(buf_done) struct buf body = BUF_INIT(EVENT_MAX);
	int64_t t = time_now_real();
	struct event *ev;

	if (!e->address || rpc_pb_pack(message, &body, NULL) < 0)
		return;
	now.seconds = t / NSEC_PER_SEC;
	now.nanos = (int32_t)(t % NSEC_PER_SEC);
	any.type_url = (char *)type;
	any.value.data = body.data;
	any.value.len = body.len;
	envelope.timestamp = &now;
	envelope.namespace_ = (char *)e->ns;
	envelope.topic = (char *)topic;
	envelope.event = &any;
	req.envelope = &envelope;
	ev = mem_new(1, sizeof(*ev));
	ev->request = (struct buf)BUF_INIT(2 * EVENT_MAX);
	list_init(&ev->link);
	if (rpc_pb_pack(&req.base, &ev->request, NULL) < 0) {
		event_free(ev);
		return;
	}
	/* the one that is being sent is popped by its answer: the second goes then */
	if (e->n == EVENTS_MAX) {
		struct event *first = list_first(&e->queue, struct event, link);

		event_free(e->sending ? list_entry(first->link.next, struct event, link) : first);
		e->n--;
	}
	list_append(&e->queue, &ev->link);
	e->n++;
	if (!e->down)
		send_next(e);
}

void events_new(struct shim *s, const char *address, const char *ns, struct events **ret)
{
	struct events *e = mem_new(1, sizeof(*e));

	e->shim = s;
	e->address = str_empty(address) ? NULL : mem_strdup(address);
	e->ns = ns;
	list_init(&e->queue);
	event_timer_new(s->loop, INT64_MAX, on_retry, e, &e->retry);
	*ret = e;
}

void events_free(struct events *e)
{
	if (!e)
		return;
	ttrpc_client_free(e->client);
	while (!list_empty(&e->queue))
		pop(e);
	event_timer_free(e->retry);
	free(e->address);
	free(e);
}

bool events_idle(const struct events *e)
{
	return list_empty(&e->queue) || e->down;
}

/* ---- the events ---- */

static void set_time(Google__Protobuf__Timestamp *t, int64_t real)
{
	t->seconds = real / NSEC_PER_SEC;
	t->nanos = (int32_t)(real % NSEC_PER_SEC);
}

static char *text(const char *s)
{
	return (char *)(s ? s : "");
}

void events_create(const struct task *t)
{
	Containerd__Events__TaskCreate ev = CONTAINERD__EVENTS__TASK_CREATE__INIT;
	Containerd__Events__TaskIO io = CONTAINERD__EVENTS__TASK_IO__INIT;

	io.stdin = text(t->init.io.in);
	io.stdout = text(t->init.io.out);
	io.stderr = text(t->init.io.err);
	io.terminal = t->init.io.terminal;
	ev.container_id = t->id;
	ev.bundle = t->bundle;
	ev.io = &io;
	ev.pid = (uint32_t)t->init.pid;
	publish(t->shim->events, "/tasks/create", "containerd.events.TaskCreate", &ev.base);
}

void events_start(const struct proc *p)
{
	struct task *t = p->task;

	if (p == &t->init) {
		Containerd__Events__TaskStart ev = CONTAINERD__EVENTS__TASK_START__INIT;

		ev.container_id = t->id;
		ev.pid = (uint32_t)p->pid;
		publish(t->shim->events, "/tasks/start", "containerd.events.TaskStart", &ev.base);
	} else {
		Containerd__Events__TaskExecStarted ev = CONTAINERD__EVENTS__TASK_EXEC_STARTED__INIT;

		ev.container_id = t->id;
		ev.exec_id = p->exec_id;
		ev.pid = (uint32_t)p->pid;
		publish(t->shim->events, "/tasks/exec-started", "containerd.events.TaskExecStarted", &ev.base);
	}
}

void events_exit(const struct proc *p)
{
	Containerd__Events__TaskExit ev = CONTAINERD__EVENTS__TASK_EXIT__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	set_time(&at, p->exited_at);
	ev.container_id = p->task->id;
	ev.id = p == &p->task->init ? p->task->id : p->exec_id;
	ev.pid = (uint32_t)p->pid;
	ev.exit_status = (uint32_t)p->code;
	ev.exited_at = &at;
	publish(p->task->shim->events, "/tasks/exit", "containerd.events.TaskExit", &ev.base);
}

void events_oom(const struct task *t)
{
	Containerd__Events__TaskOOM ev = CONTAINERD__EVENTS__TASK_OOM__INIT;

	ev.container_id = t->id;
	publish(t->shim->events, "/tasks/oom", "containerd.events.TaskOOM", &ev.base);
}

void events_delete(const struct proc *p)
{
	Containerd__Events__TaskDelete ev = CONTAINERD__EVENTS__TASK_DELETE__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	set_time(&at, p->exited_at);
	ev.container_id = p->task->id;
	ev.id = p->exec_id;
	ev.pid = (uint32_t)p->pid;
	ev.exit_status = (uint32_t)p->code;
	ev.exited_at = &at;
	publish(p->task->shim->events, "/tasks/delete", "containerd.events.TaskDelete", &ev.base);
}

void events_exec_added(const struct proc *p)
{
	Containerd__Events__TaskExecAdded ev = CONTAINERD__EVENTS__TASK_EXEC_ADDED__INIT;

	ev.container_id = p->task->id;
	ev.exec_id = p->exec_id;
	publish(p->task->shim->events, "/tasks/exec-added", "containerd.events.TaskExecAdded", &ev.base);
}

void events_checkpointed(const struct task *t, const char *path)
{
	Containerd__Events__TaskCheckpointed ev = CONTAINERD__EVENTS__TASK_CHECKPOINTED__INIT;

	ev.container_id = t->id;
	ev.checkpoint = (char *)path;
	publish(t->shim->events, "/tasks/checkpointed", "containerd.events.TaskCheckpointed", &ev.base);
}

void events_paused(const struct task *t, bool paused)
{
	Containerd__Events__TaskPaused p = CONTAINERD__EVENTS__TASK_PAUSED__INIT;
	Containerd__Events__TaskResumed r = CONTAINERD__EVENTS__TASK_RESUMED__INIT;

	p.container_id = r.container_id = t->id;
	if (paused)
		publish(t->shim->events, "/tasks/paused", "containerd.events.TaskPaused", &p.base);
	else
		publish(t->shim->events, "/tasks/resumed", "containerd.events.TaskResumed", &r.base);
}
