/*
 * Pulls as work that callers join. An operation lives on a thread of its own; callers wait
 * for it under the table's mutex. The last caller that leaves early stops it (the flag is
 * seen by transfers within a quarter of a second), or stays as its guard where the pull is to go on
 * without anybody, until it is done, has somebody else, or its time is over.
 */
#include "image/pull.h"

#include <stdio.h>
#include <time.h>

enum { PULL_STACK = 1024 * 1024, PROGRESS_MS = 250 };

/* so long a pull goes on that nobody waits for; what it has fetched by then is kept (store_partial_sweep) */
#define ALONE_TIME (15 * 60 * NSEC_PER_SEC)

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

bool image_cancel_describe(struct image_cancel *c, char *out, size_t size)
{
	bool there = false;

	WITH_MUTEX(&c->mutex);
	if (!c->table)
		return false;
	pthread_mutex_lock(&c->table->mutex);
	there = c->pull;
	if (there)
		pull_describe(c->pull, out, size);
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
		now = pull_progress(p);
		pthread_mutex_unlock(&t->mutex);
		req->progress(&now, req->user);
		pull_progress_done(&now);
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
