/*
 * What a verbose status tells beyond CRI's fields: one JSON document under "info", with the
 * names that containerd gave the field (`crictl inspect | jq .info.pid`). Loop thread, under
 * pod_lock; the files read are our own, in the state directory, and small.
 */
#include "cri/call.h"

#include "oci/oci.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>

enum { INFO_MAX = 4 << 20, SPEC_MAX = 1 << 20 };

static void put_text(struct buf *out, const char *key, const char *value)
{
	buf_printf(out, ",\"%s\":", key);
	json_put_string(out, value ? value : "");
}

/* One more member from a table; what cannot be written is null, since the rest still helps. */
static void put_document(struct buf *out, const char *key, const struct json_type *type, const void *obj)
{
	size_t before;

	buf_printf(out, ",\"%s\":", key);
	before = out->len;
	if (json_write(type, obj, 0, out, NULL) < 0) {
		out->len = before;
		buf_puts(out, "null");
	}
}

/* config.json of a bundle. It is read as JSON first: half a file must not spoil the rest. */
static void put_spec(struct buf *out, const char *dir)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(SPEC_MAX);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct oci_config spec;
	char path[4096];

	buf_puts(out, ",\"runtimeSpec\":");
	snprintf(path, sizeof(path), "%s/config.json", dir ? dir : "");
	if (sys_file_read(AT_FDCWD, path, SPEC_MAX, &text) < 0 ||
	    json_read(&oci_config_type, text.data, text.len, &a, &spec, NULL) < 0)
		buf_puts(out, "null");
	else
		buf_append(out, text.data, text.len);
}

const char *cri_pod_info(struct cri_call *c, const struct pod_sandbox *pod)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(INFO_MAX);

	buf_printf(&out, "{\"pid\":%d", (int)pod->pid);
	put_text(&out, "processStatus", pod->pid ? "running" : "stopped");
	put_text(&out, "netns", pod->netns);
	put_text(&out, "cgroupPath", pod->cgroup_path);
	put_text(&out, "bundle", pod->dir);
	put_text(&out, "runtimeHandler", pod->config->handler);
	put_text(&out, "reason", pod->reason);
	put_document(&out, "config", &pod_config_type, pod->config);
	put_spec(&out, pod->dir);
	buf_puts(&out, "}");
	return arena_strdup(&c->arena, buf_text(&out));
}

const char *cri_container_info(struct cri_call *c, const struct pod_container *container)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(INFO_MAX);

	buf_printf(&out, "{\"pid\":%d", (int)container->pid);
	put_text(&out, "sandboxID", container->pod->id);
	put_text(&out, "snapshotter", "overlay");
	put_text(&out, "snapshotKey", container->id);
	put_text(&out, "runtimeType", "caisson");
	put_text(&out, "cgroupPath", container->cgroup_path);
	put_text(&out, "bundle", container->dir);
	put_document(&out, "config", &pod_container_config_type, container->config);
	put_spec(&out, container->dir);
	buf_puts(&out, "}");
	return arena_strdup(&c->arena, buf_text(&out));
}
