/*
 * Pulls as work that callers join. An operation lives on a thread of its own; callers wait
 * for it under the table's mutex. The last caller that leaves early stops it (the flag is
 * seen by transfers within a quarter of a second), or stays as its guard where the pull is to go on
 * without anybody, until it is done, has somebody else, or its time is over.
 */
#include "image/install.h"

#include <stdio.h>
#include <time.h>

enum { PULL_STACK = 1024 * 1024, PROGRESS_MS = 250 };

/* so long a pull goes on that nobody waits for; what it has fetched by then is kept (store_partial_sweep) */
#define ALONE_TIME (15 * 60 * NSEC_PER_SEC)

struct pull {
	struct list link;          /* t->pulls, as long as others may join */
	struct image_table *table;
	char *key;
	struct reference ref;
	struct image_auth auth;    /* own copies */
	unsigned refs, waiters;    /* under t->mutex, like done and guards */
	unsigned guards;           /* who stay with it though their callers have left */
	bool done;
	atomic_bool stop;
	int r;
	struct err err;
	char id[STORE_DIGEST_MAX];
	int64_t began, since;      /* real ns; mono ns */
	struct install *install;   /* what progress is told from; set once resolved, under t->mutex */
};

struct image_cancel {
	pthread_mutex_t mutex;
	atomic_bool fired;
	struct image_table *table; /* whose waiters to wake */
	const struct pull *pull;   /* that is waited for; under table->mutex */
};

struct image_cancel *image_cancel_new(void)
{
	struct image_cancel *c = mem_new(1, sizeof(*c));

	pthread_mutex_init(&c->mutex, NULL);
	return c;
}

void image_cancel_free(struct image_cancel *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->mutex);
	free(c);
}

static void wake(struct image_table *t)
{
	WITH_MUTEX(&t->mutex);
	pthread_cond_broadcast(&t->cond);
}

void image_cancel_fire(struct image_cancel *c)
{
	WITH_MUTEX(&c->mutex);
	atomic_store(&c->fired, true);
	if (c->table)
		wake(c->table);
}

static void cancel_watch(struct image_cancel *c, struct image_table *t)
{
	if (!c)
		return;
	WITH_MUTEX(&c->mutex);
	c->table = t;
}

/* ---- the registry as content ---- */

struct registry_content {
	struct content content;
	struct registry_session *session;
};

struct registry_source {
	struct source source;
	struct registry_blob *blob;
};

static int get_manifest(struct content *c, const char *reference, struct buf *out, char type[128],
			struct err *err)
{
	_Static_assert(REGISTRY_TYPE_MAX == 128, "the type's bound");
	return registry_manifest_get(((struct registry_content *)c)->session, reference, out, type, err);
}

static ssize_t read_blob(struct source *s, void *buf, size_t len, struct err *err)
{
	return registry_blob_read(((struct registry_source *)s)->blob, buf, len, err);
}

static int open_blob(struct content *c, const struct oci_descriptor *d, uint64_t offset, struct source **ret,
		     struct err *err)
{
	struct registry_blob *blob;
	struct registry_source *s;
	int r = registry_blob_open(((struct registry_content *)c)->session, d->digest, (uint64_t)d->size,
				   offset, &blob, err);

	if (r < 0)
		return r;
	s = mem_new(1, sizeof(*s));
	s->source.read = read_blob;
	s->blob = blob;
	*ret = &s->source;
	return 0;
}

static void close_blob(struct content *c, struct source *s)
{
	registry_blob_close(((struct registry_source *)s)->blob);
	free(s);
}

static bool distrust_blob(struct content *c, struct source *s)
{
	return registry_blob_distrust(((struct registry_source *)s)->blob);
}

/* ---- the operation's thread ---- */

static void set_install(struct pull *p, struct install *in)
{
	WITH_MUTEX(&p->table->mutex);
	p->install = in;
}

static int install_resolved(struct pull *p, struct content *c, const struct resolved *res, struct err *err)
{
	char tag[REFERENCE_TEXT_MAX], digest[REFERENCE_TEXT_MAX];
	struct reference by_digest = p->ref;
	const char *refs[2] = { reference_format(&p->ref, tag), NULL };
	struct install in = { .table = p->table, .content = c, .resolved = res, .refs = refs, .n_refs = 1,
			      .stop = &p->stop };
	int r;

	if (!*p->ref.digest) {
		snprintf(by_digest.digest, sizeof(by_digest.digest), "%s", res->documents[0].digest);
		refs[in.n_refs++] = reference_format(&by_digest, digest);
	}
	in.layers = mem_new(res->manifest.n_layers + 1, sizeof(*in.layers));
	in.stage = "fetching";
	set_install(p, &in);
	r = image_install(&in, err);
	set_install(p, NULL);
	free(in.layers);
	return r;
}

static int open_session(struct image_table *t, const struct reference *ref, const struct image_auth *auth,
			const atomic_bool *stop, struct registry_session **ret, struct err *err)
{
	struct registry_credentials credentials = { 0 };

	if (auth)
		credentials = (struct registry_credentials){ auth->username, auth->password, auth->auth,
							     auth->identity_token, auth->registry_token,
							     auth->server_address };
	return registry_session_new(t->registry, ref->host, ref->repository, &credentials, stop, ret, err);
}

static int run(struct pull *p, struct err *err)
{
	struct registry_content c = { { get_manifest, open_blob, close_blob, distrust_blob, true }, NULL };
	const char *digest = *p->ref.digest ? p->ref.digest : NULL;
	struct resolved res;
	int r;

	r = open_session(p->table, &p->ref, &p->auth, &p->stop, &c.session, err);
	if (r < 0)
		return r;
	r = resolved_fill(&res, p->table, &c.content, digest ? digest : p->ref.tag, digest, err);
	if (r == 0)
		r = install_resolved(p, &c.content, &res, err);
	if (r == 0)
		snprintf(p->id, sizeof(p->id), "%s", res.manifest.config.digest);
	resolved_done(&res);
	registry_session_free(c.session);
	return r;
}

/* Under the mutex. */
static void unref(struct pull *p)
{
	if (--p->refs)
		return;
	list_remove(&p->link);
	free(p->key);
	free((char *)p->auth.username);
	free((char *)p->auth.password);
	free((char *)p->auth.auth);
	free((char *)p->auth.server_address);
	free((char *)p->auth.identity_token);
	free((char *)p->auth.registry_token);
	free(p);
}

static void *pull_thread(void *user)
{
	struct pull *p = user;
	struct image_table *t = p->table;
	int r = run(p, &p->err);

	WITH_MUTEX(&t->mutex);
	if (r == 0)
		atomic_fetch_add(&t->counters.done, 1);
	else if (p->err.kind == ERR_CANCELLED)
		atomic_fetch_add(&t->counters.cancelled, 1);
	else
		atomic_fetch_add(&t->counters.failed, 1);
	p->r = r;
	p->done = true;
	list_remove(&p->link); /* who comes now asks the registry again */
	unref(p);
	t->n_threads--;
	pthread_cond_broadcast(&t->cond);
	return NULL;
}

/* Under the mutex. */
static void stop_all(struct image_table *t)
{
	list_for_each(p, &t->pulls, struct pull, link)
		atomic_store(&p->stop, true);
	pthread_cond_broadcast(&t->cond);
}

void image_pulls_stop(struct image_table *t)
{
	WITH_MUTEX(&t->mutex);
	stop_all(t);
}

void image_pulls_end(struct image_table *t)
{
	WITH_MUTEX(&t->mutex);
	stop_all(t);
	while (t->n_threads)
		pthread_cond_wait(&t->cond, &t->mutex);
}

/* ---- callers ---- */

static char *key_of(const struct reference *ref, const struct image_auth *auth)
{
	char canonical[REFERENCE_TEXT_MAX];

#define PART(x) (auth && auth->x ? auth->x : "")
	return mem_printf("%s\n%s\n%s\n%s\n%s\n%s\n%s", reference_format(ref, canonical), PART(username),
			  PART(password), PART(auth), PART(identity_token), PART(registry_token),
			  PART(server_address));
#undef PART
}

/* Under the mutex: a running one to join, or a new one. NULL when there is no thread. */
static struct pull *join(struct image_table *t, const struct reference *ref, const struct image_auth *auth)
{
	autofree char *key = key_of(ref, auth);
	static const struct image_auth anonymous;
	pthread_attr_t attr;
	pthread_t thread;
	struct pull *p;
	int r;

	list_for_each(it, &t->pulls, struct pull, link)
		if (str_eq(it->key, key) && !atomic_load(&it->stop)) {
			atomic_fetch_add(&t->counters.joined, 1);
			return it;
		}
	if (!auth)
		auth = &anonymous;
	p = mem_new(1, sizeof(*p));
	p->table = t;
	p->key = take_ptr(&key);
	p->ref = *ref;
	p->auth = (struct image_auth){ mem_strdup(auth->username), mem_strdup(auth->password),
				       mem_strdup(auth->auth), mem_strdup(auth->server_address),
				       mem_strdup(auth->identity_token), mem_strdup(auth->registry_token) };
	p->began = time_now_real();
	p->since = time_now_mono();
	p->refs = 1; /* the thread's */
	list_append(&t->pulls, &p->link);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, PULL_STACK);
	r = pthread_create(&thread, &attr, pull_thread, p);
	pthread_attr_destroy(&attr);
	if (r != 0) {
		unref(p);
		return NULL;
	}
	t->n_threads++;
	atomic_fetch_add(&t->counters.begun, 1);
	return p;
}

/*
 * Under the mutex. What it points to is the heap's: progress_done. Digests and the manifest that
 * they are of outlive the mutex only as long as the pull is not done, so they are copied.
 */
static struct image_progress progress_of(const struct pull *p)
{
	struct image_progress g = { .stage = "resolving" };
	const struct install *in = p->install;
	struct image_layer_progress *each;

	if (!in)
		return g;
	g.stage = atomic_load(&in->stage);
	g.layers = in->resolved->manifest.n_layers;
	g.each = each = mem_new(g.layers + 1, sizeof(*each));
	for (size_t i = 0; i < g.layers; i++) {
		const struct oci_descriptor *d = &in->resolved->manifest.layers[i];
		const char *state = atomic_load(&in->layers[i].state);
		bool done = state && !str_eq(state, "fetching");

		each[i] = (struct image_layer_progress){
			mem_strdup(d->digest), state ? state : "waiting", atomic_load(&in->layers[i].done),
			(uint64_t)d->size,
		};
		if (done || each[i].done > each[i].total)
			each[i].done = each[i].total;
		g.layers_done += done;
		g.done += each[i].done;
		g.total += each[i].total;
	}
	return g;
}

static void progress_done(struct image_progress *g)
{
	for (size_t i = 0; g->each && i < g->layers; i++)
		free((char *)g->each[i].digest);
	free((void *)g->each);
}

/* Under the mutex. */
static void describe(const struct pull *p, char *out, size_t size)
{
	struct image_progress now = progress_of(p);
	int64_t since = p->install ? atomic_load(&p->install->since) : 0;
	int n;

	n = snprintf(out, size, "%s (for %lld s)", now.stage,
		     (long long)((time_now_mono() - (since ? since : p->since)) / NSEC_PER_SEC));
	if (now.layers && n > 0 && (size_t)n < size)
		snprintf(out + n, size - (size_t)n, ", %zu of %zu layers, %llu of %llu bytes", now.layers_done,
			 now.layers, (unsigned long long)now.done, (unsigned long long)now.total);
	progress_done(&now);
}

bool image_cancel_describe(struct image_cancel *c, char *out, size_t size)
{
	bool there = false;

	WITH_MUTEX(&c->mutex);
	if (!c->table)
		return false;
	pthread_mutex_lock(&c->table->mutex);
	there = c->pull;
	if (there)
		describe(c->pull, out, size);
	pthread_mutex_unlock(&c->table->mutex);
	return there;
}

static bool left(const struct image_pull *req)
{
	return req->cancel && atomic_load(&req->cancel->fired);
}

/* Under the mutex, which is let go while waiting: at most so long. */
static void wait_for(struct image_table *t, int64_t ns)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ns / NSEC_PER_SEC;
	until.tv_nsec += ns % NSEC_PER_SEC;
	until.tv_sec += until.tv_nsec / NSEC_PER_SEC;
	until.tv_nsec %= NSEC_PER_SEC;
	pthread_cond_timedwait(&t->cond, &t->mutex, &until);
}

/* Under the mutex. Whoever comes relieves the guard, and one is enough. */
static void guard(struct pull *p)
{
	int64_t until = time_now_mono() + ALONE_TIME, now;

	p->guards++;
	while (!p->done && !p->waiters && p->guards == 1 && (now = time_now_mono()) < until)
		wait_for(p->table, until - now);
	p->guards--;
}

/* Under the mutex, which is let go while waiting and while progress is told. */
static void wait_done(struct pull *p, const struct image_pull *req)
{
	struct image_table *t = p->table;

	while (!p->done && !left(req)) {
		struct image_progress now;

		if (!req->progress) {
			pthread_cond_wait(&t->cond, &t->mutex);
			continue;
		}
		wait_for(t, PROGRESS_MS * NSEC_PER_MSEC);
		now = progress_of(p);
		pthread_mutex_unlock(&t->mutex);
		req->progress(&now, req->user);
		progress_done(&now);
		pthread_mutex_lock(&t->mutex);
	}
}

static int pull(struct image_table *t, const struct image_pull *req, const struct reference *ref,
		char **ret_id,
		struct err *err)
{
	struct pull *p;
	int r;

	WITH_MUTEX(&t->mutex);
	p = join(t, ref, req->auth);
	if (!p)
		return err_sys(err, EAGAIN, "start a thread");
	p->refs++;
	p->waiters++;
	if (p->guards)
		pthread_cond_broadcast(&t->cond);
	if (req->cancel)
		req->cancel->pull = p;
	wait_done(p, req);
	p->waiters--;
	if (!p->done && !p->waiters && req->stays)
		guard(p);
	if (req->cancel)
		req->cancel->pull = NULL;
	if (p->done) {
		r = p->r;
		if (r < 0 && err)
			*err = p->err;
		if (r == 0)
			*ret_id = mem_strdup(p->id);
	} else {
		r = err_set(err, ERR_CANCELLED, "cancelled");
		if (!p->waiters && !p->guards) {
			atomic_store(&p->stop, true);
			pthread_cond_broadcast(&t->cond);
		}
	}
	unref(p);
	return r;
}

int image_pull(struct image_table *t, const struct image_pull *req, char **ret_id, struct err *err)
{
	struct reference ref;
	int r = reference_parse(req->name, &ref, err);

	if (r == 0) {
		cancel_watch(req->cancel, t);
		r = pull(t, req, &ref, ret_id, err);
		cancel_watch(req->cancel, NULL);
	}
	return r < 0 ? err_wrap(err, r, "pull %.300s", req->name ? req->name : "") : 0;
}

void image_pulls(struct image_table *t, struct image_pull_state **ret, size_t *ret_n)
{
	size_t n = 0;

	WITH_MUTEX(&t->mutex);
	list_for_each(p, &t->pulls, struct pull, link)
		n++;
	*ret = mem_new(n + 1, sizeof(**ret));
	*ret_n = 0;
	list_for_each(p, &t->pulls, struct pull, link) {
		struct image_pull_state *s = &(*ret)[(*ret_n)++];

		reference_format(&p->ref, s->name);
		s->began = p->began;
		s->waiters = p->waiters;
		s->progress = progress_of(p);
	}
}

void image_pulls_free(struct image_pull_state *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		progress_done(&list[i].progress);
	free(list);
}

void image_counters(struct image_table *t, struct image_counters *ret)
{
	*ret = (struct image_counters){
		.begun = atomic_load(&t->counters.begun),
		.joined = atomic_load(&t->counters.joined),
		.done = atomic_load(&t->counters.done),
		.failed = atomic_load(&t->counters.failed),
		.cancelled = atomic_load(&t->counters.cancelled),
		.layers_fetched = atomic_load(&t->counters.layers_fetched),
		.layers_joined = atomic_load(&t->counters.layers_joined),
		.bytes_fetched = atomic_load(&t->counters.bytes_fetched),
		.bytes_resumed = atomic_load(&t->counters.bytes_resumed),
	};
	registry_counters(t->registry, &ret->requests, &ret->retries);
	WITH_MUTEX(&t->mutex);
	list_for_each(p, &t->pulls, struct pull, link)
		ret->running++;
}

int image_explain(struct image_table *t, const struct image_pull *req, struct registry_step **ret,
		  size_t *ret_n,
		  struct err *err)
{
	struct registry_session *session;
	struct reference ref;
	int r = reference_parse(req->name, &ref, err);

	if (r == 0)
		r = open_session(t, &ref, req->auth, req->cancel ? &req->cancel->fired : NULL, &session, err);
	if (r == 0) {
		r = registry_explain(session, *ref.digest ? ref.digest : ref.tag, ret, ret_n, err);
		registry_session_free(session);
	}
	return r < 0 ? err_wrap(err, r, "explain %.300s", req->name ? req->name : "") : 0;
}
