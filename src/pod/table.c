/*
 * The tables: pods and containers by id and by key, their birth and their end in memory.
 * Any thread, under the manager's lock where the header says so.
 */
#include "pod/manager.h"

#include <stdio.h>

void pod_lock(struct pod_manager *m)
{
	int r = pthread_mutex_lock(&m->lock);

	assert(r == 0);
}

void pod_unlock(struct pod_manager *m)
{
	int r = pthread_mutex_unlock(&m->lock);

	assert(r == 0);
}

void pod_changed(struct pod_manager *m)
{
	pthread_cond_broadcast(&m->changed);
}

void pod_on_event(struct pod_manager *m, pod_event_fn fn, void *user)
{
	pod_lock(m);
	m->on_event = fn;
	m->on_event_user = user;
	pod_unlock(m);
}

void pod_tell(struct pod_manager *m, enum pod_event event, const struct pod_sandbox *p,
	      const struct pod_container *c)
{
	if (m->on_event)
		m->on_event(event, p, c, m->on_event_user);
}

bool pod_sandbox_set_not_ready(struct pod_sandbox *p, const char *reason)
{
	if (p->state != POD_READY)
		return false;
	p->state = POD_NOT_READY;
	pod_sandbox_say(p, reason);
	pod_changed(p->priv->m);
	if (p->visible)
		pod_tell(p->priv->m, POD_EVENT_STOPPED, p, NULL);
	return true;
}

char *pod_sandbox_key(const struct pod_config *config, struct arena *a)
{
	return arena_printf(a, "%s/%s/%s/%u", config->ns ? config->ns : "", config->name ? config->name : "",
			    config->uid ? config->uid : "", config->attempt);
}

char *pod_container_key(const char *pod_id, const struct pod_container_config *config, struct arena *a)
{
	return arena_printf(a, "%s/%s/%u", pod_id, config->name ? config->name : "", config->attempt);
}

struct pod_sandbox *pod_sandbox_new(struct pod_manager *m, const char *id, const struct pod_config *config,
				    struct err *err)
{
	struct pod_sandbox *p = mem_new(1, sizeof(*p));
	struct pod_sandbox_private *priv = mem_new(1, sizeof(*priv));
	struct pod_config *copy;

	p->priv = priv;
	priv->kept_pidfd = -EBADF;
	priv->pod = p;
	priv->m = m;
	priv->refs = 1;
	list_init(&priv->link);
	list_init(&p->containers);
	pthread_mutex_init(&priv->commit, NULL);
	snprintf(p->id, sizeof(p->id), "%s", id);
	p->state = POD_NOT_READY;
	p->reason = "";
	p->dir = arena_printf(&priv->arena, "%s/%s", m->pods_dir, id);
	if (pod_config_copy(config, &priv->arena, &copy, err) < 0) {
		pod_sandbox_unref(p);
		return NULL;
	}
	p->config = copy;
	priv->key = pod_sandbox_key(copy, &priv->arena);
	return p;
}

struct pod_container *pod_container_new(struct pod_manager *m, struct pod_sandbox *pod, const char *id,
					const struct pod_container_config *config, struct err *err)
{
	struct pod_container *c = mem_new(1, sizeof(*c));
	struct pod_container_private *priv = mem_new(1, sizeof(*priv));
	struct pod_container_config *copy;

	c->priv = priv;
	priv->container = c;
	priv->kept = (struct pod_kept)POD_KEPT_INIT;
	priv->m = m;
	priv->refs = 1;
	list_init(&c->link);
	pthread_mutex_init(&priv->commit, NULL);
	pthread_mutex_init(&priv->limiting, NULL);
	snprintf(c->id, sizeof(c->id), "%s", id);
	c->reason = c->message = "";
	c->dir = arena_printf(&priv->arena, "%s/%s", pod->dir, id);
	if (pod_container_config_copy(config, &priv->arena, &copy, err) < 0) {
		pod_container_unref(c);
		return NULL;
	}
	c->config = copy;
	priv->key = pod_container_key(pod->id, copy, &priv->arena);
	pod_lock(m);
	pod_sandbox_ref(pod);
	c->pod = pod;
	pod_unlock(m);
	return c;
}

int pod_sandbox_insert(struct pod_sandbox *p)
{
	struct pod_manager *m = p->priv->m;

	if (map_put(&m->pod_keys, p->priv->key, p) < 0)
		return -EEXIST;
	if (map_put(&m->pods, p->id, p) < 0) {
		map_remove(&m->pod_keys, p->priv->key);
		return -EEXIST;
	}
	list_append(&m->order, &p->priv->link);
	pod_sandbox_ref(p);
	return 0;
}

int pod_container_insert(struct pod_container *c)
{
	struct pod_manager *m = c->priv->m;

	if (map_put(&m->container_keys, c->priv->key, c) < 0)
		return -EEXIST;
	if (map_put(&m->containers, c->id, c) < 0) {
		map_remove(&m->container_keys, c->priv->key);
		return -EEXIST;
	}
	list_append(&c->pod->containers, &c->link);
	pod_container_ref(c);
	return 0;
}

/* The table's reference is given back here; the caller holds one of its own. */
void pod_sandbox_drop(struct pod_sandbox *p)
{
	struct pod_manager *m = p->priv->m;
	bool listed = p->visible;

	if (p->priv->removed)
		return;
	p->priv->removed = true;
	p->visible = false;
	map_remove(&m->pod_keys, p->priv->key);
	map_remove(&m->pods, p->id);
	list_remove(&p->priv->link);
	p->priv->refs--;
	pod_changed(m);
	if (listed)
		pod_tell(m, POD_EVENT_DELETED, p, NULL);
}

void pod_container_drop(struct pod_container *c)
{
	struct pod_manager *m = c->priv->m;
	bool listed = c->visible;

	if (c->priv->removed)
		return;
	c->priv->removed = true;
	c->visible = false;
	map_remove(&m->container_keys, c->priv->key);
	map_remove(&m->containers, c->id);
	list_remove(&c->link);
	c->priv->refs--;
	pod_changed(m);
	if (listed)
		pod_tell(m, POD_EVENT_DELETED, c->pod, c);
}

void pod_sandbox_ref(struct pod_sandbox *p)
{
	p->priv->refs++;
}

void pod_container_ref(struct pod_container *c)
{
	c->priv->refs++;
}

void pod_kept_done(struct pod_kept *k)
{
	fd_drop(&k->pidfd);
	for (int i = 0; i < SHIM_STREAMS; i++)
		fd_drop(&k->streams[i]);
}

void pod_sandbox_unref(struct pod_sandbox *p)
{
	struct pod_manager *m = p ? p->priv->m : NULL;
	int left;

	if (!p)
		return;
	pod_lock(m);
	left = --p->priv->refs;
	pod_unlock(m);
	if (left)
		return;
	pthread_mutex_destroy(&p->priv->commit);
	arena_done(&p->priv->limits);
	fd_drop(&p->priv->kept_pidfd);
	arena_done(&p->priv->arena);
	free(p->kept_row);
	free(p->priv);
	free(p);
}

void pod_container_unref(struct pod_container *c)
{
	struct pod_manager *m = c ? c->priv->m : NULL;
	int left;

	if (!c)
		return;
	pod_lock(m);
	left = --c->priv->refs;
	pod_unlock(m);
	if (left)
		return;
	pod_sandbox_unref(c->pod);
	pthread_mutex_destroy(&c->priv->commit);
	pthread_mutex_destroy(&c->priv->limiting);
	arena_done(&c->priv->limits);
	pod_kept_done(&c->priv->kept);
	arena_done(&c->priv->arena);
	free(c->kept_row);
	free(c->priv);
	free(c);
}

void pod_sandbox_say(struct pod_sandbox *p, const char *reason)
{
	if (!str_eq(p->reason, reason))
		p->reason = arena_strdup(&p->priv->arena, reason ? reason : "");
}

void pod_container_say(struct pod_container *c, const char *reason, const char *message)
{
	c->reason = arena_strdup(&c->priv->arena, reason ? reason : "");
	c->message = arena_strdup(&c->priv->arena, message ? message : "");
}

struct pod_process pod_sandbox_process(struct pod_sandbox *p)
{
	struct pod_process process;

	pod_lock(p->priv->m);
	process = (struct pod_process){ p->pid, p->pid_ticks };
	pod_unlock(p->priv->m);
	return process;
}

struct pod_process pod_container_process(struct pod_container *c)
{
	struct pod_process process;

	pod_lock(c->priv->m);
	process = (struct pod_process){ c->pid, c->pid_ticks };
	pod_unlock(c->priv->m);
	return process;
}

bool pod_container_in(struct pod_container *c, enum pod_container_state state)
{
	bool yes;

	pod_lock(c->priv->m);
	yes = c->state == state;
	pod_unlock(c->priv->m);
	return yes;
}

/* One match by exact id or unique prefix; 2 when ambiguous. */
static int match(const struct map *all, const char *what, void **ret)
{
	size_t len = strlen(what), i = 0;
	void *v, *found = map_get(all, what);
	int n = 0;

	if (found) {
		*ret = found;
		return 1;
	}
	if (!len || len >= ID_LEN)
		return 0;
	while ((v = map_next(all, &i))) {
		/* both structs begin with their id */
		if (strncmp((const char *)v, what, len) != 0)
			continue;
		found = v;
		n++;
	}
	*ret = found;
	return n > 1 ? 2 : n;
}

_Static_assert(offsetof(struct pod_sandbox, id) == 0 && offsetof(struct pod_container, id) == 0, "match()");

struct pod_sandbox *pod_sandbox_find(struct pod_manager *m, const char *what, struct err *err)
{
	struct pod_sandbox *p = NULL;
	void *v = NULL;
	int n = match(&m->pods, what ? what : "", &v);

	p = v;
	if (n == 1 && p->visible)
		return p;
	if (n == 2)
		err_set(err, ERR_INVALID, "pod %s: more than one id begins with this", what);
	else
		err_set(err, ERR_NOT_FOUND, "pod %s: not found", what ? what : "");
	return NULL;
}

struct pod_container *pod_container_find(struct pod_manager *m, const char *what, struct err *err)
{
	struct pod_container *c = NULL;
	void *v = NULL;
	int n = match(&m->containers, what ? what : "", &v);

	c = v;
	if (n == 1 && c->visible)
		return c;
	if (n == 2)
		err_set(err, ERR_INVALID, "container %s: more than one id begins with this", what);
	else
		err_set(err, ERR_NOT_FOUND, "container %s: not found", what ? what : "");
	return NULL;
}

struct pod_sandbox *pod_sandbox_next(struct pod_manager *m, struct pod_sandbox *after)
{
	struct list *l = after ? after->priv->link.next : m->order.next;

	for (; l != &m->order; l = l->next) {
		struct pod_sandbox_private *priv = list_entry(l, struct pod_sandbox_private, link);

		if (priv->pod->visible)
			return priv->pod;
	}
	return NULL;
}

int pod_sandbox_get(struct pod_manager *m, const char *what, struct pod_sandbox **ret, struct err *err)
{
	struct pod_sandbox *p;

	pod_lock(m);
	p = pod_sandbox_find(m, what, err);
	if (p)
		pod_sandbox_ref(p);
	pod_unlock(m);
	if (!p)
		return -ENOENT;
	*ret = p;
	return 0;
}

int pod_container_get(struct pod_manager *m, const char *what, struct pod_container **ret, struct err *err)
{
	struct pod_container *c;

	pod_lock(m);
	c = pod_container_find(m, what, err);
	if (c)
		pod_container_ref(c);
	pod_unlock(m);
	if (!c)
		return -ENOENT;
	*ret = c;
	return 0;
}

bool pod_image_in_use(struct pod_manager *m, const char *image_id)
{
	struct pod_container *c;
	bool used = false;
	size_t i = 0;

	pod_lock(m);
	while (!used && (c = map_next(&m->containers, &i)))
		used = str_eq(c->image_id, image_id);
	pod_unlock(m);
	return used;
}
