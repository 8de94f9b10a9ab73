/*
 * Watching the exits of one shim's containers: a Wait call for each on one connection. Loop
 * thread of the daemon. Invariant: an entry is in `entries` while its Wait is open.
 */
#include "shim/shim.h"

#include "rpc/rpc.h"

#include "shim.pb-c.h"

struct entry {
	struct list link;
	struct shim_watch *watch;
	char *id;
};

struct shim_watch {
	struct ttrpc_client *client;
	shim_watch_fn fn;
	void *user;
	struct list entries;
	bool ended;
};

static void entry_free(struct entry *e)
{
	list_remove(&e->link);
	free(e->id);
	free(e);
}

static void on_end(void *user)
{
	struct shim_watch *w = user;

	w->ended = true;
	w->fn(NULL, 0, 0, w->user);
}

static void on_exited(const struct err *err, const uint8_t *data, size_t len, void *user)
{
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *m = NULL;
	struct entry *e = user;
	struct shim_watch *w = e->watch;
	const Containerd__Task__V2__WaitResponse *res;
	autofree char *id = take_ptr(&e->id);
	int64_t at = 0;

	entry_free(e);
	/* the end of the connection is told by on_end */
	if (err && err->kind == ERR_NOT_FOUND)
		w->fn(id, -1, 0, w->user);
	if (err || rpc_pb_unpack(&containerd__task__v2__wait_response__descriptor, data, len, &m, NULL) < 0)
		return;
	res = (const Containerd__Task__V2__WaitResponse *)m;
	if (res->exited_at && res->exited_at->seconds > 0 && res->exited_at->seconds < INT64_MAX / NSEC_PER_SEC - 1)
		at = res->exited_at->seconds * NSEC_PER_SEC + res->exited_at->nanos;
	w->fn(id, (int)(res->exit_status & 0xff), at, w->user);
}

int shim_watch_new(struct event_loop *loop, const char *address, shim_watch_fn fn, void *user,
		   struct shim_watch **ret, struct err *err)
{
	struct shim_watch *w;
	int fd, r;

	/* asked once: a shim whose backlog is full does not hold the loop up */
	r = rpc_connect(address, 0, &fd, err);
	if (r < 0)
		return r;
	w = mem_new(1, sizeof(*w));
	w->fn = fn;
	w->user = user;
	list_init(&w->entries);
	r = ttrpc_client_new(loop, fd, on_end, w, &w->client);
	if (r < 0) {
		free(w);
		return err_sys(err, r, "watch the shim %s", address);
	}
	*ret = w;
	return 0;
}

int shim_watch_add(struct shim_watch *w, const char *id, struct err *err)
{
	Containerd__Task__V2__WaitRequest req = CONTAINERD__TASK__V2__WAIT_REQUEST__INIT;
	struct entry *e;
	int r;

	if (w->ended)
		return err_set(err, ERR_UNAVAILABLE, "watch %s: the shim is gone", id);
	e = mem_new(1, sizeof(*e));
	e->watch = w;
	e->id = mem_strdup(id);
	list_append(&w->entries, &e->link);
	req.id = e->id;
	r = ttrpc_client_call_pb(w->client, "containerd.task.v2.Task", "Wait", &req.base, INT64_MAX, on_exited, e,
				 err);
	if (r < 0)
		entry_free(e);
	return r;
}

void shim_watch_free(struct shim_watch *w)
{
	if (!w)
		return;
	ttrpc_client_free(w->client);
	list_for_each(e, &w->entries, struct entry, link)
		entry_free(e);
	free(w);
}
