/*
 * The room's beginning and end, its socket, and the turn.
 */
#include "nri/plugin.h"

#include "sys/sys.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#define PAUSE (100 * NSEC_PER_MSEC)

void nri_say(struct nri *n, enum log_level level, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n->settings.say(level, text);
}

/* ---- workers ---- */

int nri_work(struct nri *n, event_fn run, event_fn done, void *user)
{
	int r = -ECANCELED;

	pthread_mutex_lock(&n->lock);
	if (!n->closing) {
		r = event_work(n->loop, run, done, user);
		n->n_working += r == 0;
	}
	pthread_mutex_unlock(&n->lock);
	return r;
}

void nri_work_end(struct nri *n)
{
	pthread_mutex_lock(&n->lock);
	n->n_working--;
	pthread_cond_broadcast(&n->idle);
	pthread_mutex_unlock(&n->lock);
}

/* ---- the turn ---- */

/* Those that are gone leave the list. */
static void sweep(struct nri *n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n->n_active; i++) {
		if (n->active[i]->closed)
			nri_plugin_unref(n->active[i]);
		else
			n->active[kept++] = n->active[i];
	}
	n->n_active = kept;
}

void nri_begin(struct nri *n)
{
	pthread_mutex_lock(&n->turn);
	sweep(n);
}

void nri_end(struct nri *n)
{
	pthread_mutex_unlock(&n->turn);
}

bool nri_has_plugins(const struct nri *n)
{
	return n->n_active;
}

/* ---- the socket ---- */

static void on_resume(void *user)
{
	struct nri *n = user;

	event_fd_set(n->listener, EPOLLIN);
}

static void on_connection(uint32_t events, void *user)
{
	struct nri *n = user;
	struct nri_plugin *p;
	int fd;

	if (n->n_all >= NRI_CONNECTIONS_MAX) {
		event_fd_set(n->listener, 0);
		event_timer_set(n->pause, time_now_mono() + PAUSE);
		return;
	}
	fd = accept4(n->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) {
		nri_plugin_new(n, fd, NULL, NULL, NULL, &p);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		/* out of descriptors: look away for a while */
		event_fd_set(n->listener, 0);
		event_timer_set(n->pause, time_now_mono() + PAUSE);
	}
}

static int listen_at(struct nri *n, const char *path, struct err *err)
{
	autofree char *dir = mem_strdup(path);
	char *slash = strrchr(dir, '/');
	int r;

	if (slash && slash > dir) {
		*slash = '\0';
		r = sys_mkdir_p(dir, 0700);
		if (r < 0)
			return err_sys(err, r, "make %s", dir);
	}
	r = rpc_listen(path, 0600, &n->listen_fd, err);
	if (r < 0)
		return r;
	if ((r = event_timer_new(n->loop, INT64_MAX, on_resume, n, &n->pause)) < 0 ||
	    (r = event_fd_new(n->loop, n->listen_fd, EPOLLIN, on_connection, n, &n->listener)) < 0)
		return err_sys(err, r, "listen on %s", path);
	return 0;
}

/* ---- beginning and end ---- */

int nri_start(struct event_loop *loop, const struct nri_settings *settings, struct nri **ret, struct err *err)
{
	struct nri *n = mem_new(1, sizeof(*n));
	struct err e = ERR_INIT;

	n->loop = loop;
	n->listen_fd = -EBADF;
	n->settings = *settings;
	n->settings.socket = arena_strdup(&n->arena, settings->socket);
	n->settings.plugin_dir = arena_strdup(&n->arena, settings->plugin_dir);
	n->settings.config_dir = arena_strdup(&n->arena, settings->config_dir);
	list_init(&n->all);
	list_init(&n->children);
	pthread_mutex_init(&n->turn, NULL);
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->idle, NULL);
	if (!str_empty(n->settings.socket) && listen_at(n, n->settings.socket, &e) < 0) {
		nri_say(n, LOG_WARN, "NRI: no external plugins: %s", e.text);
		event_fd_free(take_ptr(&n->listener));
		fd_drop(&n->listen_fd);
	}
	if (!str_empty(n->settings.plugin_dir))
		nri_launch_all(n);
	*ret = n;
	return 0;
}

void nri_free(struct nri *n)
{
	struct nri_plugin *p;

	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	n->closing = true;
	pthread_mutex_unlock(&n->lock);
	event_fd_free(n->listener);
	event_timer_free(n->pause);
	if (n->listen_fd >= 0) {
		unlink(n->settings.socket);
		fd_drop(&n->listen_fd);
	}
	/* whoever waits for an answer reads the end of the connection instead */
	while ((p = list_first(&n->all, struct nri_plugin, link)))
		nri_plugin_end(p);
	nri_children_free(n);
	pthread_mutex_lock(&n->lock);
	while (n->n_working)
		pthread_cond_wait(&n->idle, &n->lock);
	pthread_mutex_unlock(&n->lock);
	for (size_t i = 0; i < n->n_active; i++)
		nri_plugin_unref(n->active[i]);
	free(n->active);
	pthread_mutex_destroy(&n->turn);
	pthread_mutex_destroy(&n->lock);
	pthread_cond_destroy(&n->idle);
	arena_done(&n->arena);
	free(n);
}
