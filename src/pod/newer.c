/*
 * Pods that a newer Caisson made: it was here, and an older one was put in its place. What their
 * records say is not known here, so nothing of them is touched: they run on, unlisted, their names are
 * taken, and the newer one finds them as they were. A pod is such a one when its own record, that of one
 * of its containers or that of its shim has a format above this program's.
 *
 * The format is the first member of a record, in all versions; none is 0. Loop thread, at the start.
 */
#include "pod/manager.h"

enum { KEY_MAX = 64 * 1024 };

static int32_t format_of(const char *doc)
{
	const char *digits = str_skip_prefix(doc, "{\"format\":");
	int32_t format = 0;

	/* what is above a number's range is above ours */
	for (; digits && *digits >= '0' && *digits <= '9'; digits++)
		format = format > 100000000 ? format : 10 * format + (*digits - '0');
	return format;
}

/* What this program still understands of a newer record: as much as its name, if it is where it was. */
struct outline {
	char *pod;
	struct pod_config config;
};

static const struct json_field outline_fields[] = {
	JSON_FIELD(STR, struct outline, pod, "pod", 0),
	JSON_FIELD_OBJ(OBJ, struct outline, config, "config", 0, &pod_config_type),
};
static const struct json_type outline_type = JSON_TYPE("record", struct outline, outline_fields);

struct looking {
	struct pod_manager *m;
	struct buf *note;
};

static void put(struct pod_manager *m, const char *key)
{
	map_put(&m->newer, arena_strdup(&m->arena, key), m);
}

static int look_at_container(const char *id, const char *doc, void *user)
{
	struct looking *l = user;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct outline o = { NULL };

	if (format_of(doc) <= POD_RECORD_FORMAT)
		return 0;
	put(l->m, id);
	if (json_read(&outline_type, doc, strlen(doc), &a, &o, NULL) == 0 && o.pod)
		put(l->m, o.pod);
	buf_printf(l->note,
		   "container record %s has the format %d, newer than this program's %d: its pod is left as it is\n",
		   id, format_of(doc), POD_RECORD_FORMAT);
	return 0;
}

static int look_at_pod(const char *id, const char *doc, void *user)
{
	struct looking *l = user;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	int32_t format = format_of(doc);
	struct shim_process shim;
	struct outline o = { NULL };
	struct err err = ERR_INIT;

	if (format > POD_RECORD_FORMAT)
		buf_printf(l->note,
			   "pod record %s has the format %d, newer than this program's %d: the pod is left as it is\n",
			   id, format, POD_RECORD_FORMAT);
	else if (shim_find(arena_printf(&a, "%s/%s", l->m->pods_dir, id), &shim, &err) < 0 &&
		 err.kind == ERR_UNSUPPORTED)
		buf_printf(l->note, "pod %s: %s: the pod is left as it is\n", id, err.text);
	else if (!map_get(&l->m->newer, id))
		return 0;
	put(l->m, id);
	if (json_read(&outline_type, doc, strlen(doc), &a, &o, NULL) == 0 && o.config.name && o.config.ns)
		put(l->m, pod_sandbox_key(&o.config, &a));
	return 0;
}

/* The others of such a pod go with it, whatever their own format is. */
static int look_at_others(const char *id, const char *doc, void *user)
{
	struct looking *l = user;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct outline o = { NULL };

	if (json_read(&outline_type, doc, strlen(doc), &a, &o, NULL) == 0 && o.pod && map_get(&l->m->newer, o.pod))
		put(l->m, id);
	return 0;
}

int pod_newer_find(struct pod_manager *m, struct buf *note, struct err *err)
{
	struct looking l = { m, note };
	int r = store_record_list(m->store, "container", look_at_container, &l, err);

	if (r == 0)
		r = store_record_list(m->store, "pod", look_at_pod, &l, err);
	if (r == 0 && m->newer.n)
		r = store_record_list(m->store, "container", look_at_others, &l, err);
	return r;
}
