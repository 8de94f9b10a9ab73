/*
 * caissond: wiring. The rooms are opened from the bottom up, the socket last, so that whoever
 * can connect finds a daemon that knows all its pods; the end is the same backwards. Pods
 * do not notice either.
 *
 * An orderly end (SIGTERM, SIGINT): no new calls, those that run get a few seconds, then
 * their connections are cut, which cancels pulls and leaves operations to be finished or
 * undone by the next daemon. Whatever does not end after that does not hold the process:
 * it is built to be killed at any time.
 */
#include "prog/caissond/daemon.h"

#include "cni/cni.h"
#include "image/image.h"
#include "nri/nri.h"
#include "pod/pod.h"
#include "rpc/rpc.h"
#include "store/store.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#define DRAIN_TIME (5 * NSEC_PER_SEC)
#define COLLECT_EVERY (60 * NSEC_PER_SEC)
#define CUT_TIME (5 * NSEC_PER_SEC)
#define LAST_LOOK (50 * NSEC_PER_MSEC)

/* ---- the log: one line for a call ---- */

static void on_answered(const struct cri_answer *a, void *user)
{
	enum log_level level = a->code == RPC_OK ? (a->changes ? LOG_INFO : LOG_DEBUG)
			       : a->code == RPC_NOT_FOUND && !a->changes ? LOG_DEBUG
									 : LOG_WARN;

	log_line(level, "%s%s%s%s%s: %s%s%s (%lld.%03lld ms)", a->method, *a->subject ? " " : "", a->subject,
		 *a->result ? " -> " : "", a->result, rpc_code_name(a->code), *a->text ? ": " : "", a->text,
		 (long long)(a->duration / NSEC_PER_MSEC), (long long)(a->duration % NSEC_PER_MSEC / 1000));
}

static void on_any_answer(const char *path, int code, const char *text, int64_t duration, void *user)
{
	/* what the cri room never saw: unknown methods, requests that are no messages */
	if (code == RPC_UNIMPLEMENTED)
		log_debug("%s: %s: %s", path, rpc_code_name(code), text);
}

/* ---- start ---- */

static void log_note(struct daemon *d, const char *what, const struct buf *note)
{
	if (!note->len)
		return;
	log_warn("%s: %s", what, buf_text(note));
	/* for `caisson doctor`, too */
	buf_append(&d->findings, note->data, note->len);
	if (note->data[note->len - 1] != '\n')
		buf_puts(&d->findings, "\n");
}

static void on_collected(const struct image_collected *c, const struct err *err, void *user)
{
	for (size_t i = 0; i < c->n; i++)
		log_info("image %s %s: removed, the disk is full and nothing used it", c->ids[i], c->names[i]);
	if (err)
		log_warn("image collection: %s", err->text);
}

static void on_collect_time(void *user)
{
	struct daemon *d = user;

	image_collect_start(d->images);
	event_timer_set(d->collect, time_now_mono() + COLLECT_EVERY);
}

struct image_settings daemon_image_settings(const struct config *config)
{
	const struct config_images *c = &config->images;

	return (struct image_settings){
		.insecure = (const char *const *)c->insecure_registries,
		.n_insecure = c->n_insecure_registries,
		.ca_file = *c->ca ? c->ca : NULL,
		.pinned = (const char *const *)c->pinned,
		.n_pinned = c->n_pinned,
		.connect_timeout = c->connect_timeout,
		.stall_timeout = c->stall_timeout,
		.parallel = c->parallel,
		.gc_high = c->image_gc_high,
		.gc_low = c->image_gc_low,
		.collected = on_collected,
		.limits = { c->limits.layer_size, c->limits.layer_entries, c->limits.layer_ratio, c->limits.layers },
		.registries = config->registries,
		.n_registries = config->n_registries,
		.hosts_dirs = (const char *const *)c->hosts_dirs,
		.n_hosts_dirs = c->n_hosts_dirs,
		.auth_files = (const char *const *)c->auth_files,
		.n_auth_files = c->n_auth_files,
	};
}

static int open_images(struct daemon *d, struct err *err)
{
	struct store_options options = { .keep_blobs = d->config.images.keep_blobs };
	struct image_settings settings = daemon_image_settings(&d->config);
	CLEANUP(buf_done) struct buf store_note = BUF_INIT(64 * 1024), image_note = BUF_INIT(64 * 1024);
	int r;

	if (settings.gc_high && settings.gc_low >= settings.gc_high)
		return err_set(err, ERR_INVALID, "images: image_gc_low is %u, not below image_gc_high, which is %u",
			       settings.gc_low, settings.gc_high);
	r = store_open(d->config.root, &options, &d->store, &store_note, err);
	log_note(d, "store", &store_note);
	if (r < 0)
		return err_wrap(err, r, "store %s", d->config.root);
	r = image_table_new(d->store, &settings, &d->images, &image_note, err);
	log_note(d, "images", &image_note);
	if (r < 0)
		return err_wrap(err, r, "images of %s", d->config.root);
	return 0;
}

static int open_network(struct daemon *d, struct err *err)
{
	const struct config_cni *c = &d->config.cni;
	struct cni_settings settings = {
		.conf_dir = c->conf_dir,
		.bin_dirs = (const char *const *)c->bin_dirs,
		.n_bin_dirs = c->n_bin_dirs,
		.plugins_max = c->plugins_max,
		.data_dir = arena_printf(&d->arena, "%s/cni", d->config.root),
		.bridge = c->default_bridge,
		.subnet = c->default_subnet,
	};
	struct err leases = ERR_INIT;
	struct cni_status status;
	int r;

	if (cni_leases_of_this_boot(settings.data_dir, &leases) < 0)
		log_warn("network: %s", leases.text);
	r = cni_new(&settings, &d->cni, err);
	if (r < 0)
		return err_wrap(err, r, "network");
	cni_status(d->cni, &status);
	if (status.ready)
		log_info("network %s (%s)", status.network, status.source);
	else
		log_warn("network is not ready: %s: %s", status.reason, status.message);
	return 0;
}

static void say(enum log_level level, const char *text)
{
	log_line(level, "%s", text);
}

static int open_pods(struct daemon *d, struct err *err)
{
	CLEANUP(buf_done) struct buf note = BUF_INIT(64 * 1024);
	struct config *c = &d->config;
	struct pod_settings settings = {
		.root = c->root,
		.state = c->state,
		.cgroup_parent = c->pods.cgroup_parent,
		.systemd_cgroup = c->pods.cgroup_driver,
		.quadratic_weight = c->pods.cpu_weight,
		.seccomp_profile_root = c->pods.seccomp_profile_root,
		.criu = c->pods.criu,
		.cdi_dirs = (const char *const *)c->pods.cdi_spec_dirs,
		.n_cdi_dirs = c->pods.n_cdi_spec_dirs,
		.events_address = "",
		.cni_timeout = c->cni.timeout,
		.note = &note,
		.say = say,
	};
	struct nri_settings nri = {
		.socket = c->nri.socket,
		.plugin_dir = c->nri.plugin_dir,
		.config_dir = c->nri.config_dir,
		.registration_timeout = c->nri.registration_timeout,
		.request_timeout = c->nri.request_timeout,
		.say = say,
	};
	int r;

	if (c->nri.enabled)
		settings.nri = &nri;
	r = host_find_program("caisson-shim", c->shim_binary, &d->arena, &c->shim_binary, err);
	if (r < 0)
		return r;
	r = host_find_program("caisson-pause", c->pause_binary, &d->arena, &c->pause_binary, err);
	if (r < 0)
		return r;
	settings.shim_binary = c->shim_binary;
	settings.pause_binary = c->pause_binary;
	r = pod_manager_new(d->loop, d->store, d->images, d->cni, &settings, &d->pods, err);
	log_note(d, "pods", &note);
	return r < 0 ? err_wrap(err, r, "pods") : 0;
}

static int serve(struct daemon *d, struct err *err)
{
	struct cri_settings settings = {
		.loop = d->loop,
		.pods = d->pods,
		.images = d->images,
		.store = d->store,
		.cni = d->cni,
		.systemd_cgroup = d->config.pods.cgroup_driver,
		.config = daemon_config_json(d),
		.findings = arena_strdup(&d->arena, buf_text(&d->findings)),
		.answered = on_answered,
		.user = d,
	};
	const struct grpc_service *services;
	size_t n;
	int r;

	r = cri_new(&settings, &d->cri);
	if (r < 0)
		return err_sys(err, r, "timers");
	cri_services(d->cri, &services, &n);
	r = cri_stream_serve(d->cri, &(struct cri_streaming){
		.address = d->config.streaming.address, .port = (uint16_t)d->config.streaming.port,
		.url_timeout = d->config.streaming.url_timeout,
		.idle_timeout = d->config.streaming.idle_timeout }, err);
	if (r == 0 && d->config.metrics.port)
		r = cri_scrape_serve(d->cri, d->config.metrics.address, (uint16_t)d->config.metrics.port, NULL, err);
	if (r < 0)
		return r;
	r = rpc_listen(d->config.address, 0600, &d->listen_fd, err);
	if (r < 0)
		return err_wrap(err, r, "listen");
	r = grpc_server_new(d->loop, d->listen_fd, services, n, &d->server);
	if (r < 0)
		return err_sys(err, r, "serve on %s", d->config.address);
	grpc_server_on_answer(d->server, on_any_answer, d);
	return 0;
}

/* ---- end ---- */

static void on_deadline(void *user)
{
	struct daemon *d = user;

	if (!d->cut) {
		d->cut = true;
		/* those whose clients are gone too: what they have fetched is kept */
		image_pulls_stop(d->images);
		grpc_server_free(d->server);
		d->server = NULL;
		event_timer_set(d->deadline, time_now_mono() + LAST_LOOK);
		return;
	}
	if (!cri_open_calls(d->cri)) {
		event_loop_stop(d->loop);
		return;
	}
	event_timer_set(d->deadline, time_now_mono() + LAST_LOOK);
}

static void on_cut_deadline(void *user)
{
	struct daemon *d = user;

	log_warn("%zu calls did not end; they are left to the next start", cri_open_calls(d->cri));
	_exit(0);
}

static void on_drained(void *user)
{
	struct daemon *d = user;

	/* answers are out; workers of clients that went away may still run */
	event_timer_set(d->deadline, time_now_mono());
}

static void on_end(int signo, void *user)
{
	struct daemon *d = user;
	if (d->ending)
		return;
	d->ending = true;
	log_info("%s: ending; pods run on", signo == SIGTERM ? "SIGTERM" : "SIGINT");
	notify_manager("STOPPING=1");
	if (event_timer_new(d->loop, time_now_mono() + DRAIN_TIME, on_deadline, d, &d->deadline) < 0 ||
	    event_timer_new(d->loop, time_now_mono() + DRAIN_TIME + CUT_TIME, on_cut_deadline, d,
			    &d->last_deadline) < 0)
		_exit(0);
	cri_end_events(d->cri, "the daemon is ending");
	grpc_server_drain(d->server, on_drained, d);
}

static void on_hup(int signo, void *user)
{
	daemon_reconfigure(user);
}

static int watch_signals(struct daemon *d, struct err *err)
{
	int r = 0;

	signal(SIGPIPE, SIG_IGN);
	if ((r = event_signal_new(d->loop, SIGTERM, on_end, d, &d->on_term)) < 0 ||
	    (r = event_signal_new(d->loop, SIGINT, on_end, d, &d->on_int)) < 0 ||
	    (r = event_signal_new(d->loop, SIGHUP, on_hup, d, &d->on_hup)) < 0)
		return err_sys(err, r, "signals");
	return 0;
}

static int run(struct daemon *d, struct err *err)
{
	int64_t started = time_now_mono();
	int r;

	r = host_check_kernel(err);
	if (r < 0)
		return r;
	host_raise_limits();
	umask(022);
	r = host_take_state(d->config.state, &d->lock_fd, err);
	if (r < 0)
		return r;
	r = event_loop_new(&d->loop);
	if (r < 0)
		return err_sys(err, r, "event loop");
	/* before the rooms start threads: a thread inherits which signals are blocked */
	r = watch_signals(d, err);
	if (r < 0)
		return r;
	if ((r = open_images(d, err)) < 0 || (r = open_network(d, err)) < 0 || (r = open_pods(d, err)) < 0 ||
	    (r = serve(d, err)) < 0)
		return r;
	log_info("caissond %s serves on %s (root %s, state %s), %lld ms after its start", CAISSON_VERSION,
		 d->config.address, d->config.root, d->config.state,
		 (long long)((time_now_mono() - started) / NSEC_PER_MSEC));
	if (d->config.images.image_gc_high) {
		r = event_timer_new(d->loop, time_now_mono() + COLLECT_EVERY, on_collect_time, d, &d->collect);
		if (r < 0)
			return err_sys(err, r, "timers");
	}
	notify_manager("READY=1");
	r = event_loop_run(d->loop);
	if (r < 0)
		return err_sys(err, r, "event loop");
	return 0;
}

/* From the top down. The process ends right after, but a leak checker looks before that. */
static void close_all(struct daemon *d)
{
	grpc_server_free(d->server);
	cri_free(d->cri);
	if (d->pods)
		pod_manager_free(d->pods);
	if (d->images)
		image_table_free(d->images);
	if (d->cni) {
		struct err err = ERR_INIT;

		if (cni_default_leave(d->cni, &err) < 0)
			log_warn("%s", err.text);
		cni_free(d->cni);
	}
	store_close(d->store);
	if (d->listen_fd >= 0)
		unlink(d->config.address);
	event_timer_free(d->collect);
	event_timer_free(d->deadline);
	event_timer_free(d->last_deadline);
	event_signal_free(d->on_term);
	event_signal_free(d->on_int);
	event_signal_free(d->on_hup);
	if (d->loop)
		event_loop_free(d->loop);
	fd_drop(&d->listen_fd);
	fd_drop(&d->lock_fd);
	arena_done(&d->arena);
	buf_done(&d->findings);
}

int main(int argc, char **argv)
{
	struct daemon d = { .findings = BUF_INIT(64 * 1024), .lock_fd = -EBADF, .listen_fd = -EBADF };
	struct err err = ERR_INIT;
	int r;

	log_setup("caissond", LOG_INFO);
	r = daemon_configure(&d, argc, argv, &err);
	if (r == 0) {
		log_setup("caissond", (enum log_level)d.config.log_level);
		r = run(&d, &err);
	} else if (r > 0) {
		return 0;
	}
	close_all(&d);
	if (r < 0)
		log_error("%s", err.text);
	else
		log_info("ended");
	return r < 0 ? 1 : 0;
}
