/*
 * What the files of caissond share. Everything runs on the main thread, which is the loop
 * thread, but for what the rooms do on threads of their own.
 */
#pragma once

#include "base/base.h"
#include "config/config.h"
#include "cri/cri.h"
#include "event/event.h"
#include "image/image.h"

struct cni;
struct pod_manager;
struct store;

struct daemon {
	struct arena arena;       /* the configuration and what was made of it */
	struct config config;
	const char *config_file;  /* "" when there is none */
	struct buf findings;      /* what was found damaged at the start, a line each */
	int lock_fd;              /* <state>/caissond.lock */
	int listen_fd;
	struct event_loop *loop;
	struct store *store;
	struct image_table *images;
	struct cni *cni;
	struct pod_manager *pods;
	struct cri *cri;
	struct grpc_server *server;
	struct event_signal *on_term, *on_int, *on_hup;
	struct event_timer *deadline; /* of an orderly end, then of waiting for the calls that remain */
	struct event_timer *last_deadline; /* when it ends without them */
	struct event_timer *collect;  /* of images, when the configuration wants it */
	bool ending, cut;             /* told to end; connections were cut */
};

/* ---- arguments.c ---- */

/* Reads the command line and the configuration file. 0; 1 when everything was said already
 * (--help, --version); negative with err. */
int daemon_configure(struct daemon *d, int argc, char **argv, struct err *err);
/* The file again, for SIGHUP: what can change in a running daemon does. */
void daemon_reconfigure(struct daemon *d);

/* ---- main.c ---- */

/* What the configuration says about images, as the image room takes it. */
struct image_settings daemon_image_settings(const struct config *config);

/* ---- host.c: what the daemon asks of the machine ---- */

/* The kernel floor. */
int host_check_kernel(struct err *err);
/* As many descriptors as the hard limit allows; memory that pulls gave back goes to the kernel. */
void host_raise_limits(void);
/* The state directory, and the lock that makes this the only daemon on it. */
int host_take_state(const char *state, int *ret_lock, struct err *err);
/* caisson-shim and caisson-pause: as configured, else beside this program, in ../libexec/caisson,
 * where `make install` put it, or in a build tree. In the arena. */
int host_find_program(const char *name, const char *configured, struct arena *a, char **ret, struct err *err);

/* ---- notify.c ---- */

/* sd_notify(3) without its library: "READY=1". Nothing without $NOTIFY_SOCKET. */
void notify_manager(const char *message);

/* ---- info.c ---- */

/* The running configuration as JSON, for `crictl info`. In the arena. */
const char *daemon_config_json(struct daemon *d);
