/*
 * A plugin's life, see the header: registration within a time, then admission on a worker. What it
 * asks of us (Runtime service) is answered here.
 */
#include "nri/plugin.h"

#include "nri/link.h"
#include "nri/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

void nri_plugin_unref(struct nri_plugin *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	fd_drop(&p->call_fd);
	pthread_mutex_destroy(&p->lock);
	free(p->config);
	free(p);
}

void nri_plugin_cut(struct nri_plugin *p, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&p->lock);
	if (!*p->why) {
		va_start(ap, fmt);
		vsnprintf(p->why, sizeof(p->why), fmt, ap);
		va_end(ap);
	}
	pthread_mutex_unlock(&p->lock);
	p->closed = true;
	shutdown(p->call_fd, SHUT_RDWR); /* the link sees it and ends everything */
}

void nri_plugin_end(struct nri_plugin *p)
{
	p->closed = true;
	shutdown(p->call_fd, SHUT_RDWR);
	nri_link_free(take_ptr(&p->conn));
	ttrpc_server_free(take_ptr(&p->server));
	event_timer_free(take_ptr(&p->timer));
	nri_child_end(take_ptr(&p->child));
	if (!list_empty(&p->link)) {
		list_remove(&p->link);
		p->n->n_all--;
	}
	nri_plugin_unref(p);
}

static void on_link_end(void *user)
{
	struct nri_plugin *p = user;
	bool cut;

	pthread_mutex_lock(&p->lock);
	cut = *p->why;
	pthread_mutex_unlock(&p->lock);
	if (cut)
		nri_say(p->n, LOG_ERROR, "NRI plugin %s is cut off: %s", p->name, p->why);
	else if (p->registered)
		nri_say(p->n, LOG_INFO, "NRI plugin %s closed its connection", p->name);
	nri_plugin_end(p);
}

static void on_too_late(void *user)
{
	struct nri_plugin *p = user;

	nri_plugin_cut(p, "it did not register in time");
}

/* ---- the Runtime service ---- */

static void admit_work(void *user)
{
	struct nri_plugin *p = user;
	struct nri *n = p->n;
	struct err err = ERR_INIT;

	if (nri_admit(p, &err) < 0)
		nri_plugin_cut(p, "%s", err.text);
	nri_plugin_unref(p);
	nri_work_end(n);
}

static bool name_ok(const char *s)
{
	return *s && strlen(s) < NRI_NAME_MAX &&
	       !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+")];
}

static bool index_ok(const char *s)
{
	return strlen(s) == 2 && strspn(s, "0123456789") == 2;
}

static void register_plugin(struct ttrpc_call *call, const void *request, void *user)
{
	const NRI(RegisterPluginRequest) *req = request;
	struct nri_plugin *p = user;
	NRI(Empty) empty = NRI__PKG__API__V1ALPHA1__EMPTY__INIT;

	if (p->registered)
		return ttrpc_call_fail_text(call, RPC_ALREADY_EXISTS, "registered already as %s", p->name);
	if (!p->named) {
		if (!name_ok(req->plugin_name))
			return ttrpc_call_fail_text(call, RPC_INVALID_ARGUMENT,
						    "plugin_name: empty, too long, or a character in it that is "
						    "no letter, digit or one of -_.+");
		if (!index_ok(req->plugin_idx))
			return ttrpc_call_fail_text(call, RPC_INVALID_ARGUMENT, "plugin_idx: not two digits");
		snprintf(p->name, sizeof(p->name), "%s-%s", req->plugin_idx, req->plugin_name);
	}
	p->registered = true;
	event_timer_free(take_ptr(&p->timer));
	ttrpc_call_reply_pb(call, &empty.base);
	atomic_fetch_add(&p->refs, 1);
	if (nri_work(p->n, admit_work, NULL, p) < 0) {
		nri_plugin_cut(p, "no thread for its admission");
		nri_plugin_unref(p);
	}
}

static const struct ttrpc_method runtime_methods[] = {
	{ .name = "RegisterPlugin", .pb = register_plugin, .request = NRI_TYPE(register_plugin_request) },
	{ .name = "UpdateContainers", .pb = nri_on_update_containers,
	  .request = NRI_TYPE(update_containers_request) },
};

int nri_plugin_new(struct nri *n, int fd, const char *name, char *config, struct nri_child *child,
		   struct nri_plugin **ret)
{
	struct nri_plugin *p = mem_new(1, sizeof(*p));
	int runtime_fd = -EBADF, r;

	p->refs = 1;
	p->n = n;
	p->call_fd = -EBADF;
	p->stream = 1;
	p->config = config;
	p->named = name;
	snprintf(p->name, sizeof(p->name), "%s", name ? name : "?");
	pthread_mutex_init(&p->lock, NULL);
	list_init(&p->link);
	p->service = (struct ttrpc_service){
		"nri.pkg.api.v1alpha1.Runtime", runtime_methods, ARRAY_LEN(runtime_methods), p,
	};
	r = nri_link_new(n->loop, fd, on_link_end, p, &p->call_fd, &runtime_fd, &p->conn);
	if (r == 0)
		r = ttrpc_server_new(n->loop, -EBADF, &p->service, 1, &p->server);
	if (r == 0)
		r = ttrpc_server_add(p->server, take_fd(&runtime_fd));
	if (r >= 0)
		r = event_timer_new(n->loop, time_now_mono() + n->settings.registration_timeout, on_too_late,
				    p,
				    &p->timer);
	fd_drop(&runtime_fd);
	if (r < 0) {
		nri_plugin_end(p);
		return r;
	}
	p->child = child;
	list_append(&n->all, &p->link);
	n->n_all++;
	*ret = p;
	return 0;
}

/* ---- calls ---- */

/* Whether the failure is the connection's or the clock's, and not the plugin's answer. */
static bool is_fatal(const struct nri_plugin *p, int64_t deadline, const struct err *err)
{
	char c;
	ssize_t n = recv(p->call_fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 &&
			  errno != EAGAIN) || err->kind == ERR_CORRUPT || time_now_mono() >= deadline;
}

int nri_plugin_call(struct nri_plugin *p, const char *method, const struct buf *request, struct buf *out,
		    struct err *err)
{
	CLEANUP(buf_done) struct buf ignored = BUF_INIT(TTRPC_DATA_MAX);
	const struct nri_settings *s = &p->n->settings;
	/* one that begins is told of everything there is, and may have to look at it all */
	int64_t deadline = time_now_mono() + (p->admitted ? s->request_timeout : s->registration_timeout);
	int r;

	if (p->closed)
		return 1;
	r = ttrpc_call_fd(p->call_fd, p->stream, "nri.pkg.api.v1alpha1.Plugin", method, request->data,
			  request->len,
			  deadline, out ? out : &ignored, err);
	p->stream += 2;
	if (r >= 0)
		return 0;
	if (p->closed || is_fatal(p, deadline, err)) {
		nri_plugin_cut(p, "%s: %s", method,
			       time_now_mono() >= deadline ? "no answer in time" : "the connection ended");
		err_clear(err);
		return 1;
	}
	rpc_pb_clean_text(err ? err->text : (char[1]){ 0 });
	return err_wrap(err, r, "NRI plugin %s: %s", p->name, method);
}

int nri_plugin_answer(struct nri_plugin *p, const ProtobufCMessageDescriptor *type, const struct buf *answer,
		      ProtobufCMessage **ret)
{
	struct err err = ERR_INIT;

	if (rpc_pb_unpack(type, answer->data, answer->len, ret, &err) == 0)
		return 0;
	nri_plugin_cut(p, "its answer is no %s: %s", type->short_name, err.text);
	return 1;
}
