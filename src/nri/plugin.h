/*
 * One plugin: its connection, who it is, what it wants to hear, and calls of it. Private to nri.
 *
 * Born on the loop thread, by a connection or a start; dies there when its link ends. In
 * between workers call it, one at a time (the turn, or its admission before it is in the list). It is
 * counted: the loop has one reference until the link's end, the list and each worker one.
 */
#pragma once

#include "nri/nri.h"
#include "rpc/rpc.h"

#include "nri.pb-c.h"

#include <pthread.h>
#include <stdatomic.h>

#define NRI(name) Nri__Pkg__Api__V1alpha1__##name
#define NRI_TYPE(name) (&nri__pkg__api__v1alpha1__##name##__descriptor)

enum {
	NRI_PLUGINS_MAX = 64, NRI_CONNECTIONS_MAX = 96, NRI_NAME_MAX = 128, NRI_REQUESTS_MAX = 16,
};

struct nri_plugin {
	atomic_int refs;
	atomic_bool closed;      /* cut off or gone: not to be called any more */
	struct nri *n;
	char name[NRI_NAME_MAX + 4]; /* "10-topology"; "?" before it registered */
	bool named, registered;  /* loop thread */
	bool admitted;           /* under the turn: in the list */
	int call_fd;
	uint32_t stream;
	uint32_t events;         /* bit event - 1 */
	uint32_t by_state_change; /* events that it only knows as a StateChange */
	char *config;

	/* loop thread */
	struct list link;
	struct nri_link *conn;
	struct ttrpc_server *server;
	struct ttrpc_service service;
	struct event_timer *timer;
	struct nri_child *child; /* NULL: external */
	unsigned n_requests;

	pthread_mutex_t lock;
	char why[256];           /* it was cut off */
};

/* What the room's files share. */
struct nri {
	struct event_loop *loop;
	struct arena arena;
	struct nri_settings settings;
	int listen_fd;
	struct event_fd *listener;
	struct event_timer *pause;
	struct list all;         /* struct nri_plugin.link; loop thread */
	size_t n_all;
	struct list children;    /* launch.c */

	pthread_mutex_t turn;
	struct nri_plugin **active; /* by index; under the turn */
	size_t n_active;

	pthread_mutex_t lock;    /* over what follows */
	pthread_cond_t idle;
	size_t n_working;
	bool closing;
};

void nri_say(struct nri *n, enum log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A worker of the room; -EAGAIN, or -ECANCELED when the room is closing. */
int nri_work(struct nri *n, event_fn run, event_fn done, void *user);
/* To be called at the end of each such worker's run. */
void nri_work_end(struct nri *n);

/* Takes fd, on failure too. name NULL: it says itself who it is. config, if any, is taken. */
int nri_plugin_new(struct nri *n, int fd, const char *name, char *config, struct nri_child *child,
		   struct nri_plugin **ret);
void nri_plugin_unref(struct nri_plugin *p);
/* Ends its connection, which ends it. Any thread. */
void nri_plugin_cut(struct nri_plugin *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Loop thread, at the end of the room. */
void nri_plugin_end(struct nri_plugin *p);

static inline bool nri_plugin_wants(const struct nri_plugin *p, enum nri_event event)
{
	return !p->closed && (p->events & (1u << (event - 1)));
}

/*
 * One call: 0; 1 when the plugin is gone or was cut off for this, so that one goes on without it;
 * negative: it refused, and err says so with its name. out may be NULL.
 */
int nri_plugin_call(struct nri_plugin *p, const char *method, const struct buf *request, struct buf *out,
		    struct err *err);
/* Unpacks an answer: nonsense cuts it off (1). By rpc_pb_free. */
int nri_plugin_answer(struct nri_plugin *p, const ProtobufCMessageDescriptor *type, const struct buf *answer,
		      ProtobufCMessage **ret);

/* ---- admit.c ---- */

/* Worker: Configure, Synchronize, and into the list. */
int nri_admit(struct nri_plugin *p, struct err *err);

/* ---- launch.c ---- */

void nri_launch_all(struct nri *n);
/* Kills the process if it is still there. Loop thread. */
void nri_child_end(struct nri_child *c);
/* At the end of the room: all of them, reaped or not. */
void nri_children_free(struct nri *n);
