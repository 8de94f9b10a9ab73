/*
 * The life of a call: dispatch by the method's row, cancellation, answer, log. Loop thread,
 * but for work().
 */
#include "cri/call.h"

#include "cri/samples.h"
#include "image/image.h"
#include "stream/stream.h"
#include "sys/sys.h"

#include <stdio.h>

/* so long after the last change nobody is waiting for an answer, most likely */
#define TRIM_AFTER (2 * NSEC_PER_SEC)

static void on_cancel(void *user);

static void end(struct cri_call *c, int code, const char *text)
{
	struct cri *cri = c->cri;
	struct cri_answer answer = {
		.method = c->method->name,
		.subject = c->subject ? c->subject : "",
		.result = c->result ? c->result : "",
		.changes = c->method->changes,
		.code = code,
		.text = text,
		.duration = time_now_mono() - c->started,
	};

	if (cri->settings.answered)
		cri->settings.answered(&answer, cri->settings.user);
	image_cancel_free(c->cancel);
	buf_done(&c->rows);
	arena_done(&c->arena);
	cri->open_calls--;
	/* what operations needed goes back to the kernel, but not between two of them */
	if (answer.changes)
		event_timer_set(cri->trim, time_now_mono() + TRIM_AFTER);
	free(c);
}

static void on_trim(void *user)
{
	sys_rest();
}

static void fail(struct cri_call *c, const struct err *err)
{
	/* the call is gone once it is answered: nothing of it is needed after */
	grpc_call_fail(c->grpc, err);
	end(c, err_kind_info(err->kind)->grpc, err->text);
}

void cri_reply(struct cri_call *c, void *message)
{
	if (c->method->mode == CRI_WORKER)
		c->reply = message;
	else
		grpc_call_reply_pb(c->grpc, message);
}

void cri_reply_rows(struct cri_call *c, struct buf *rows)
{
	if (c->method->mode != CRI_WORKER) {
		grpc_call_reply_buf(c->grpc, rows);
		return;
	}
	c->rows = *rows;
	*rows = (struct buf)BUF_INIT(rows->max);
}

void cri_put_info(struct cri_call *c, const ProtobufCMessageDescriptor *entry, const char *key, const char *value,
		  void *list, size_t *n)
{
	struct wire_entry ***entries = list;

	if (!*entries)
		*entries = arena_new(&c->arena, CRI_INFO_MAX, sizeof(**entries));
	assert(*n < CRI_INFO_MAX);
	(*entries)[*n] = wire_new(entry, &c->arena);
	(*entries)[*n]->key = (char *)key;
	(*entries)[*n]->value = (char *)value;
	++*n;
}

void cri_stream_end(struct cri_call *c, const struct err *err)
{
	if (err) {
		fail(c, err);
		return;
	}
	grpc_call_finish(c->grpc);
	end(c, RPC_OK, "");
}

/* ---- operations ---- */

void cri_operation_done(const struct pod_result *r, const struct err *err, void *user)
{
	struct cri_call *c = user;

	c->wait = NULL;
	if (err) {
		fail(c, err);
		return;
	}
	if (c->method->finish)
		c->method->finish(c, r);
	else
		cri_reply(c, wire_new(c->method->response, &c->arena));
	end(c, RPC_OK, "");
}

/* ---- workers ---- */

static void work(void *user)
{
	struct cri_call *c = user;

	c->r = c->method->fn(c, c->request, &c->err);
}

static void work_done(void *user)
{
	struct cri_call *c = user;

	if (c->r < 0) {
		fail(c, &c->err);
		return;
	}
	if (c->reply)
		grpc_call_reply_pb(c->grpc, c->reply);
	else
		grpc_call_reply_buf(c->grpc, &c->rows);
	end(c, RPC_OK, "");
}

/* ---- the client's end ---- */

static void on_cancel(void *user)
{
	struct cri_call *c = user;
	struct err err = ERR_INIT;
	char stage[256] = "";

	if (c->left) {
		c->left(c);
		return;
	}
	if (c->cancel)
		image_cancel_fire(c->cancel);
	if (!c->wait)
		return; /* a worker: its end is the call's end */
	pod_wait_describe(c->wait, stage, sizeof(stage));
	pod_wait_cancel(c->wait);
	c->wait = NULL;
	err_set(&err, ERR_CANCELLED, "the client left while this was going on: %s", stage);
	fail(c, &err);
}

/* What the client hears that is about to give up. */
static void tell_late(char *out, size_t size, void *user)
{
	struct cri_call *c = user;
	bool goes_on = c->method->changes;
	char stage[256];

	if (c->wait)
		goes_on = pod_wait_describe(c->wait, stage, sizeof(stage));
	else if (!c->cancel || !image_cancel_describe(c->cancel, stage, sizeof(stage)))
		snprintf(stage, sizeof(stage), "%s (for %lld s)", c->method->name,
			 (long long)((time_now_mono() - c->started) / NSEC_PER_SEC));
	snprintf(out, size, "not done by the deadline: %s%s", stage, goes_on ? "; it goes on" : "");
}

/* ---- dispatch ---- */

/* The path is the one that rpc matched: both parts of it are in the table. */
static const struct cri_method *find_method(const struct grpc_call *grpc)
{
	const char *path = grpc_call_path(grpc), *name = grpc_call_method(grpc);

	for (size_t i = 0; i < CRI_SERVICES; i++) {
		const struct cri_service *s = &cri_services_table[i];
		const char *rest = str_skip_prefix(path + 1, s->name);

		for (size_t j = 0; rest && *rest == '/' && j < s->n_methods; j++)
			if (str_eq(s->methods[j].name, name))
				return &s->methods[j];
	}
	abort();
}

static void dispatch(struct grpc_call *grpc, const void *request, void *user)
{
	struct cri *cri = user;
	const struct cri_method *method = find_method(grpc);
	struct cri_call *c;
	int r;

	if (!method->fn) {
		grpc_call_fail_text(grpc, RPC_UNIMPLEMENTED, "%s is not implemented", method->name);
		return;
	}
	c = mem_new(1, sizeof(*c));
	*c = (struct cri_call){ .cri = cri, .grpc = grpc, .method = method, .request = request,
				.started = time_now_mono() };
	cri->open_calls++;
	if (method->mode == CRI_WORKER) {
		c->cancel = image_cancel_new();
		grpc_call_on_cancel(grpc, on_cancel, c);
		grpc_call_on_late(grpc, tell_late, c);
		r = event_work(cri->settings.loop, work, work_done, c);
		if (r == 0)
			return;
		r = err_sys(&c->err, r, "start a thread");
	} else if (method->mode == CRI_STREAM) {
		/* it may end while it begins: nothing of the call is touched after that */
		grpc_call_on_cancel(grpc, on_cancel, c);
		r = method->fn(c, request, &c->err);
		if (r == 0)
			return;
	} else {
		r = method->fn(c, request, &c->err);
	}
	if (r < 0)
		fail(c, &c->err);
	else if (method->mode == CRI_INLINE)
		end(c, RPC_OK, "");
	else {
		grpc_call_on_cancel(grpc, on_cancel, c);
		grpc_call_on_late(grpc, tell_late, c);
	}
}

static struct grpc_method *make_methods(const struct cri_method *rows, size_t n)
{
	struct grpc_method *methods = mem_new(n, sizeof(*methods));

	for (size_t i = 0; i < n; i++)
		methods[i] = (struct grpc_method){ .name = rows[i].name, .pb = dispatch,
						   .request = rows[i].request,
						   .stream = rows[i].mode == CRI_STREAM };
	return methods;
}

int cri_new(const struct cri_settings *settings, struct cri **ret)
{
	struct cri *cri = mem_new(1, sizeof(*cri));
	int r = event_timer_new(settings->loop, time_now_mono() + TRIM_AFTER, on_trim, cri, &cri->trim);

	if (r < 0) {
		free(cri);
		return r;
	}
	cri->settings = *settings;
	cri->samples = cri_samples_new();
	cri->events = cri_events_new(cri);
	for (size_t i = 0; i < CRI_SERVICES; i++) {
		const struct cri_service *s = &cri_services_table[i];

		cri->methods[i] = make_methods(s->methods, s->n_methods);
		cri->services[i] = (struct grpc_service){ s->name, cri->methods[i], s->n_methods, cri };
	}
	*ret = cri;
	return 0;
}

void cri_free(struct cri *cri)
{
	if (!cri)
		return;
	assert(!cri->open_calls);
	event_timer_free(cri->trim);
	cri_scrape_free(cri->scrape);
	cri_events_free(cri->events);
	stream_server_free(cri->streams);
	cri_samples_free(cri->samples);
	for (size_t i = 0; i < CRI_SERVICES; i++)
		free(cri->methods[i]);
	free(cri);
}

void cri_end_events(struct cri *cri, const char *why)
{
	cri_events_end(cri->events, why);
}

void cri_services(struct cri *cri, const struct grpc_service **ret, size_t *ret_n)
{
	*ret = cri->services;
	*ret_n = ARRAY_LEN(cri->services);
}

size_t cri_open_calls(const struct cri *cri)
{
	return cri->open_calls;
}
