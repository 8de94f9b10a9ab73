/*
 * GetContainerEvents: what becomes of pods and containers, to any number of subscribers.
 *
 * An event is made under pod_lock, the moment that lists show the change, and packed there, so
 * its statuses are those of that very moment; one copy serves all subscribers. The queue is in
 * the order of the changes, and the loop thread sends from its head. With no subscriber nothing
 * is made.
 *
 * Invariant: a subscriber gets every event from its subscription on, in order, or the end of
 * its stream with an error that says what happened. One that does not read has
 * EVENTS_WAITING_MAX of patience, and delays nobody.
 */
#include "cri/call.h"
#include "cri/samples.h"

enum { EVENTS_WAITING_MAX = 4 << 20 };

struct event {
	struct list link;
	uint64_t seq;
	size_t len;
	uint8_t data[];
};

struct subscriber {
	struct list link;
	struct cri_call *call;
	uint64_t since; /* events up to this one happened before */
	bool over;      /* its stream is to be ended: by the error, or because the client left */
	struct err err;
};

struct cri_events {
	struct cri *cri;
	struct list subscribers;    /* loop thread */
	bool delivering;            /* nobody is taken out of that list meanwhile */
	/* under pod_lock */
	struct list queue;
	size_t n_subscribers;
	uint64_t seq;
	bool posted;
};

/* ---- making, under pod_lock ---- */

static Runtime__V1__ContainerEventResponse *message_of(struct cri_call *c, enum pod_event what,
						       const struct pod_sandbox *pod,
						       const struct pod_container *container)
{
	Runtime__V1__ContainerEventResponse *m = CRI_NEW(c, container_event_response);
	size_t n = 0;

	m->container_id = container ? (char *)container->id : (char *)pod->id;
	m->container_event_type = (Runtime__V1__ContainerEventType)what;
	m->created_at = time_now_real();
	/* also of one that is gone: who it was is what the kubelet needs to know then */
	m->pod_sandbox_status = cri_pod_status_of(c, pod);
	list_for_each(it, &pod->containers, struct pod_container, link)
		n += it->visible;
	m->containers_statuses = arena_new(&c->arena, n + 1, sizeof(*m->containers_statuses));
	list_for_each(it, &pod->containers, struct pod_container, link)
		if (it->visible)
			m->containers_statuses[m->n_containers_statuses++] = cri_container_status_of(c, it);
	return m;
}

static void deliver(void *user);

static void on_event(enum pod_event what, const struct pod_sandbox *pod, const struct pod_container *container,
		     void *user)
{
	struct cri_events *e = user;
	/* the parts of answers are made for a call; this one has only its memory */
	struct cri_call scratch = { .cri = e->cri };
	Runtime__V1__ContainerEventResponse *m;
	struct event *event;
	size_t len;

	if (what == POD_EVENT_DELETED)
		cri_samples_forget(e->cri->samples, container ? container->id : pod->id);
	e->seq++;
	if (!e->n_subscribers)
		return;
	m = message_of(&scratch, what, pod, container);
	len = protobuf_c_message_get_packed_size(&m->base);
	event = mem_new(1, sizeof(*event) + len);
	event->seq = e->seq;
	event->len = len;
	protobuf_c_message_pack(&m->base, event->data);
	arena_done(&scratch.arena);
	list_append(&e->queue, &event->link);
	if (!e->posted)
		event_loop_post(e->cri->settings.loop, deliver, e);
	e->posted = true;
}

/* ---- sending, loop thread ---- */

static void end(struct subscriber *s)
{
	struct cri_call *c = s->call;
	struct cri_events *e = c->cri->events;
	struct err err = s->err;

	list_remove(&s->link);
	pod_lock(c->cri->settings.pods);
	e->n_subscribers--;
	pod_unlock(c->cri->settings.pods);
	free(s);
	cri_stream_end(c, err.kind ? &err : NULL);
}

static void send_event(struct subscriber *s, const struct event *event)
{
	struct cri_call *c = s->call;
	size_t waiting = grpc_call_pending(c->grpc);
	int r;

	if (s->over || event->seq <= s->since)
		return;
	r = waiting > EVENTS_WAITING_MAX ? -ENOBUFS : grpc_call_send(c->grpc, event->data, event->len);
	if (r >= 0 || r == -ECANCELED) /* the client left: on_left comes */
		return;
	s->over = true;
	if (r == -EMSGSIZE)
		err_set(&s->err, ERR_LIMIT, "an event of %zu bytes is too large to be sent: subscribe anew, "
			"then list", event->len);
	else
		err_set(&s->err, ERR_LIMIT, "%zu bytes of events wait to be read, and the next one would be "
			"lost: subscribe anew, then list", waiting);
}

static struct event *take(struct cri_events *e)
{
	struct pod_manager *pods = e->cri->settings.pods;
	struct event *event;

	pod_lock(pods);
	event = list_first(&e->queue, struct event, link);
	if (event)
		list_remove(&event->link);
	else
		e->posted = false;
	pod_unlock(pods);
	return event;
}

/* Sending runs what else is due on that connection, so streams may end meanwhile: after it. */
static void deliver(void *user)
{
	struct cri_events *e = user;
	struct event *event;
	bool ended;

	e->delivering = true;
	while ((event = take(e))) {
		list_for_each(s, &e->subscribers, struct subscriber, link)
			send_event(s, event);
		free(event);
	}
	e->delivering = false;
	do {
		ended = false;
		list_for_each(s, &e->subscribers, struct subscriber, link)
			if (s->over) {
				end(s);
				ended = true;
				break;
			}
	} while (ended);
}

static void on_left(struct cri_call *c)
{
	struct subscriber *s = c->stream;

	s->over = true;
	s->err.kind = ERR_NONE;
	if (!c->cri->events->delivering)
		end(s);
}

CRI_METHOD(get_events)
{
	struct cri_events *e = c->cri->events;
	struct pod_manager *pods = c->cri->settings.pods;
	struct subscriber *s = mem_new(1, sizeof(*s));

	s->call = c;
	c->stream = s;
	c->left = on_left;
	list_append(&e->subscribers, &s->link);
	pod_lock(pods);
	e->n_subscribers++;
	s->since = e->seq;
	pod_unlock(pods);
	return 0;
}

/* ---- life ---- */

struct cri_events *cri_events_new(struct cri *cri)
{
	struct cri_events *e = mem_new(1, sizeof(*e));

	e->cri = cri;
	list_init(&e->subscribers);
	list_init(&e->queue);
	pod_on_event(cri->settings.pods, on_event, e);
	return e;
}

void cri_events_end(struct cri_events *e, const char *why)
{
	struct subscriber *s;

	while ((s = list_first(&e->subscribers, struct subscriber, link))) {
		err_set(&s->err, ERR_UNAVAILABLE, "%s", why);
		end(s);
	}
}

/* The loop has stopped: what was posted does not come any more. */
void cri_events_free(struct cri_events *e)
{
	if (!e)
		return;
	pod_on_event(e->cri->settings.pods, NULL, NULL);
	list_for_each(event, &e->queue, struct event, link)
		free(event);
	free(e);
}
