/*
 * What a checkpoint's archive says in JSON, by field tables. No I/O.
 */
#include "pod/dumps.h"

#include "pod/checkpoint.h"

struct config_dump {
	char *id, *name, *image, *image_ref, *image_name, *runtime, *created, *checkpointed, *restored_at;
	bool restored;
};

static const struct json_field config_dump_fields[] = {
	JSON_FIELD(STR, struct config_dump, id, "id", 0),
	JSON_FIELD(STR, struct config_dump, name, "name", 0),
	JSON_FIELD(STR, struct config_dump, image, "rootfsImage", 0),
	JSON_FIELD(STR, struct config_dump, image_ref, "rootfsImageRef", 0),
	JSON_FIELD(STR, struct config_dump, image_name, "rootfsImageName", 0),
	JSON_FIELD(STR, struct config_dump, runtime, "runtime", 0),
	JSON_FIELD(STR, struct config_dump, created, "createdTime", 0),
	JSON_FIELD(STR, struct config_dump, checkpointed, "checkpointedTime", 0),
	JSON_FIELD(STR, struct config_dump, restored_at, "restoredTime", 0),
	JSON_FIELD(BOOL, struct config_dump, restored, "restored", JSON_ALWAYS),
};
static const struct json_type config_dump_type = JSON_TYPE("config.dump", struct config_dump,
							   config_dump_fields);

/* status */

struct state {
	int64_t created, started, finished;
	int32_t exit_code;
	uint32_t pid;
	char *reason, *message;
};

static const struct json_field state_fields[] = {
	JSON_FIELD(I64, struct state, created, "CreatedAt", JSON_ALWAYS),
	JSON_FIELD(I64, struct state, started, "StartedAt", JSON_ALWAYS),
	JSON_FIELD(I64, struct state, finished, "FinishedAt", JSON_ALWAYS),
	JSON_FIELD(I32, struct state, exit_code, "ExitCode", JSON_ALWAYS),
	JSON_FIELD(U32, struct state, pid, "Pid", JSON_ALWAYS),
	JSON_FIELD(STR, struct state, reason, "Reason", 0),
	JSON_FIELD(STR, struct state, message, "Message", 0),
};
static const struct json_type state_type = JSON_TYPE("status", struct state, state_fields);

/* status.dump: the CRI's message by the names of its fields, enums as numbers */

struct metadata {
	char *name, *uid, *ns;
	uint32_t attempt;
};

static const struct json_field metadata_fields[] = {
	JSON_FIELD(STR, struct metadata, name, "name", 0),
	JSON_FIELD(STR, struct metadata, uid, "uid", 0),
	JSON_FIELD(STR, struct metadata, ns, "namespace", 0),
	JSON_FIELD(U32, struct metadata, attempt, "attempt", 0),
};
static const struct json_type metadata_type = JSON_TYPE("metadata", struct metadata, metadata_fields);

struct image_spec {
	char *image, *user_image;
};

static const struct json_field image_fields[] = {
	JSON_FIELD(STR, struct image_spec, image, "image", 0),
	JSON_FIELD(STR, struct image_spec, user_image, "user_specified_image", 0),
};
static const struct json_type image_type = JSON_TYPE("image", struct image_spec, image_fields);

static const struct json_field mount_fields[] = {
	JSON_FIELD(STR, struct pod_mount, container_path, "container_path", 0),
	JSON_FIELD(STR, struct pod_mount, host_path, "host_path", 0),
	JSON_FIELD(BOOL, struct pod_mount, readonly, "readonly", 0),
	JSON_FIELD(BOOL, struct pod_mount, selinux_relabel, "selinux_relabel", 0),
	JSON_FIELD(I32, struct pod_mount, propagation, "propagation", 0),
	JSON_FIELD(BOOL, struct pod_mount, recursive_readonly, "recursive_read_only", 0),
};
static const struct json_type mount_type = JSON_TYPE("mount", struct pod_mount, mount_fields);

struct status {
	char *id, *image_ref, *image_id, *reason, *message, *log_path;
	struct metadata metadata;
	struct image_spec image;
	uint32_t state;
	int64_t created, started;
	struct json_kv *labels, *annotations;
	size_t n_labels, n_annotations;
	struct pod_mount *mounts;
	size_t n_mounts;
};

static const struct json_field status_fields[] = {
	JSON_FIELD(STR, struct status, id, "id", 0),
	JSON_FIELD_OBJ(OBJ, struct status, metadata, "metadata", JSON_ALWAYS, &metadata_type),
	JSON_FIELD(U32, struct status, state, "state", 0),
	JSON_FIELD(I64, struct status, created, "created_at", 0),
	JSON_FIELD(I64, struct status, started, "started_at", 0),
	JSON_FIELD_OBJ(OBJ, struct status, image, "image", JSON_ALWAYS, &image_type),
	JSON_FIELD(STR, struct status, image_ref, "image_ref", 0),
	JSON_FIELD(STR, struct status, reason, "reason", 0),
	JSON_FIELD(STR, struct status, message, "message", 0),
	JSON_FIELD_LIST(STR_MAP, struct status, labels, "labels", 0),
	JSON_FIELD_LIST(STR_MAP, struct status, annotations, "annotations", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct status, mounts, "mounts", 0, &mount_type),
	JSON_FIELD(STR, struct status, log_path, "log_path", 0),
	JSON_FIELD(STR, struct status, image_id, "image_id", 0),
};
static const struct json_type status_type = JSON_TYPE("status.dump", struct status, status_fields);

void dumps_done(struct dumps *d)
{
	buf_done(&d->config);
	buf_done(&d->status_dump);
	buf_done(&d->status);
}

static char *time_text(int64_t real, struct arena *a)
{
	char text[TIME_TEXT_MAX];

	return arena_strdup(a, time_format_rfc3339(real, text));
}

static char *image_name(const struct pod_container *c)
{
	if (!str_empty(c->config->user_image))
		return c->config->user_image;
	return pod_checkpoint_is_archive(c->config->image) ? c->image_ref : c->config->image;
}

static int put_config(const struct pod_container *c, struct buf *out, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const struct pod_config *pod = c->pod->config;
	const struct config_dump dump = {
		.id = (char *)c->id,
		.name = arena_printf(&a, "k8s_%s_%s_%s_%s_%u", c->config->name, pod->name, pod->ns, pod->uid,
				     c->config->attempt),
		.image = c->image_id,
		.image_ref = c->image_ref,
		.image_name = image_name(c),
		.runtime = (char *)"caisson",
		.created = time_text(c->created_at, &a),
		.checkpointed = time_text(time_now_real(), &a),
		.restored_at = (char *)"0001-01-01T00:00:00Z",
	};

	return json_write(&config_dump_type, &dump, 0, out, err);
}

int dumps_container(const struct pod_container *c, struct dumps *ret, struct err *err)
{
	const struct pod_container_config *config = c->config;
	const struct state state = { .created = c->created_at, .started = c->started_at, .pid = (uint32_t)c->pid };
	const struct status status = {
		.id = (char *)c->id,
		.metadata = { .name = config->name, .attempt = config->attempt },
		.state = c->state,
		.created = c->created_at,
		.started = c->started_at,
		.image = { .image = image_name(c), .user_image = config->user_image },
		.image_ref = c->image_ref,
		.image_id = c->image_id,
		.reason = c->reason,
		.message = c->message,
		.labels = config->labels,
		.n_labels = config->n_labels,
		.annotations = config->annotations,
		.n_annotations = config->n_annotations,
		.mounts = config->mounts,
		.n_mounts = config->n_mounts,
		.log_path = c->log_path,
	};
	int r = put_config(c, &ret->config, err);

	if (r == 0)
		r = json_write(&status_type, &status, 0, &ret->status_dump, err);
	return r < 0 ? r : json_write(&state_type, &state, 0, &ret->status, err);
}

/* The record's members are flat; a tool looks for metadata, which a reader of the record steps over. */
int dumps_pod(const struct pod_sandbox *p, struct buf *out, struct err *err)
{
	CLEANUP(buf_done) struct buf flat = BUF_INIT(4 * DUMP_MAX);
	const struct pod_config *config = p->config;
	const struct metadata metadata = { config->name, config->uid, config->ns, config->attempt };
	int r = json_write(&pod_config_type, config, 0, &flat, err);

	buf_puts(out, "{\"metadata\":");
	if (r == 0)
		r = json_write(&metadata_type, &metadata, 0, out, err);
	if (r < 0)
		return r;
	buf_puts(out, ",");
	r = buf_append(out, (char *)flat.data + 1, flat.len - 1);
	return r < 0 ? err_sys(err, r, "pod.dump") : 0;
}

/* deleted.files is a list, and no document's member: it is read as one of ours. */

struct deleted {
	char **paths;
	size_t n_paths;
};

static const struct json_field deleted_fields[] = {
	JSON_FIELD_LIST(STR_LIST, struct deleted, paths, "paths", 0),
};
static const struct json_type deleted_type = JSON_TYPE("deleted.files", struct deleted, deleted_fields);

void dumps_deleted(char *const *paths, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, i ? "," : "[");
		json_put_string(out, paths[i]);
	}
	buf_puts(out, n ? "]" : "[]");
}

int dumps_deleted_read(const struct buf *text, struct arena *a, char ***ret, size_t *ret_n, struct err *err)
{
	CLEANUP(buf_done) struct buf whole = BUF_INIT(DUMP_MAX + 32);
	struct deleted d = { 0 };
	int r;

	buf_puts(&whole, "{\"paths\":");
	buf_append(&whole, text->data, text->len);
	buf_puts(&whole, "}");
	r = json_read(&deleted_type, whole.data, whole.len, a, &d, err);
	if (r < 0)
		return err_wrap(err, r, "deleted.files");
	*ret = d.paths;
	*ret_n = d.n_paths;
	return 0;
}

int dumps_image(const struct buf *config, struct arena *a, const char *ret[DUMP_IMAGES + 1], struct err *err)
{
	struct config_dump d;
	int r = json_read(&config_dump_type, config->data, config->len, a, &d, err), n = 0;
	const char *const names[DUMP_IMAGES] = { d.image, d.image_ref, d.image_name };

	if (r < 0)
		return err_wrap(err, r, "config.dump");
	for (size_t i = 0; i < DUMP_IMAGES; i++)
		if (!str_empty(names[i]))
			ret[n++] = names[i];
	ret[n] = NULL;
	return n ? 0 : err_set(err, ERR_INVALID, "config.dump names no image");
}
