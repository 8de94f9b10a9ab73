/*
 * The small files that belong to a pod that runs, looked at once after the daemon's start: what is
 * damaged there harms nobody until it is needed (an exec reads config.json, a shim's successor the
 * streams), so it is said now, in the log and as the pod's reason, where `caisson doctor` finds it.
 *
 * One operation in the background; nothing waits for it. A file that is replaced while it is read is
 * whole all the same (they are renamed into place), and one that is gone because its container is,
 * is no damage: who is gone is looked up after the reading.
 */
#include "pod/manager.h"

#include <fcntl.h>

enum { FILE_MAX = 8 << 20, TEXT_MAX = 2048 };

static const struct json_type any_document = { .name = "document", .size = sizeof(char) };

static void add(struct buf *out, const char *text)
{
	buf_printf(out, "%s%s", out->len ? "; " : "", text);
}

static void look_at(const char *path, struct buf *out)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(FILE_MAX + 1);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	char nothing;
	int r = sys_file_read(AT_FDCWD, path, FILE_MAX, &text);

	if (r < 0)
		err_sys(&err, r, "%s", path);
	else if (json_read(&any_document, buf_text(&text), text.len, &a, &nothing, &err) < 0)
		err_wrap(&err, -EINVAL, "%s", path);
	if (err.kind)
		add(out, err.text);
}

static void look_at_container(struct pod_manager *m, const char *pod_dir, const char *id, struct buf *out)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const char *bundle = arena_printf(&a, "%s/%s", pod_dir, id);
	struct shim_stream_at at[SHIM_STREAMS];
	struct err err = ERR_INIT;

	look_at(arena_printf(&a, "%s/config.json", bundle), out);
	look_at(arena_printf(&a, "%s/%s/state.json", m->runtime_root, id), out);
	/* shims of before decision 0029 left none */
	if (shim_streams_read(bundle, at, &err) < 0 && err.kind != ERR_NOT_FOUND)
		add(out, err.text);
}

/* Ids of what runs and of what has an end, each list ended by NULL. */
static void collect(struct pod_sandbox *p, struct arena *a, char ***running)
{
	size_t n = 0;

	pod_lock(p->priv->m);
	list_for_each(c, &p->containers, struct pod_container, link)
		n++;
	*running = arena_new(a, n + 1, sizeof(char *));
	n = 0;
	list_for_each(c, &p->containers, struct pod_container, link)
		if (c->state == POD_RUNNING)
			(*running)[n++] = arena_strdup(a, c->id);
	pod_unlock(p->priv->m);
}

static bool still_runs(struct pod_manager *m, const char *id)
{
	struct pod_container *c;
	bool yes;

	pod_lock(m);
	c = map_get(&m->containers, id);
	yes = c && c->state == POD_RUNNING && !c->op && !c->pod->op;
	pod_unlock(m);
	return yes;
}

static void look_at_pod(struct pod_sandbox *p)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf found = BUF_INIT(TEXT_MAX);
	struct pod_manager *m = p->priv->m;
	bool as_it_was;
	char **ids;

	collect(p, &a, &ids);
	look_at(arena_printf(&a, "%s/pause/config.json", p->dir), &found);
	look_at(arena_printf(&a, "%s/%s/state.json", m->runtime_root, p->id), &found);
	for (; *ids; ids++) {
		CLEANUP(buf_done) struct buf of_it = BUF_INIT(TEXT_MAX);

		look_at_container(m, p->dir, *ids, &of_it);
		if (of_it.len && still_runs(m, *ids))
			add(&found, buf_text(&of_it));
	}
	if (!found.len)
		return;
	pod_lock(m);
	as_it_was = !p->op && p->state == POD_READY && !p->priv->stopping;
	if (as_it_was)
		pod_sandbox_say(p, arena_printf(&a, "damaged: %s", buf_text(&found)));
	pod_unlock(m);
	if (as_it_was && m->settings.say)
		m->settings.say(LOG_WARN, arena_printf(&a, "pod %s is damaged: %s", p->id, buf_text(&found)));
}

int pod_damage_op(struct pod_op *op, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_manager *m = op->m;
	struct pod_sandbox **pods;
	size_t n = 0;

	pod_lock(m);
	pods = arena_new(&a, m->pods.n + 1, sizeof(struct pod_sandbox *));
	list_for_each(priv, &m->order, struct pod_sandbox_private, link)
		if (priv->pod->visible && priv->pod->state == POD_READY && str_eq(priv->boot_id, sys_boot_id())) {
			pod_sandbox_ref(priv->pod);
			pods[n++] = priv->pod;
		}
	pod_unlock(m);
	for (size_t i = 0; i < n; i++) {
		if (!m->closing)
			look_at_pod(pods[i]);
		pod_sandbox_unref(pods[i]);
	}
	return 0;
}
