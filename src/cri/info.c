/*
 * What a verbose status tells beyond CRI's fields: one JSON document under "info", with the
 * names that containerd gave the field (`crictl inspect | jq .info.pid`). Loop thread, under
 * pod_lock; the files read are our own, in the state directory, and small.
 */
#include "cri/call.h"

#include "cni/cni.h"
#include "cri/configs.h"
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

/* A configuration as the request had it. */
static void put_config(struct buf *out, const struct wire_type *type, const void *config)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;

	buf_puts(out, ",\"config\":");
	wire_json(wire_write(type, config, &a), out);
}

static void put_addresses(struct buf *out, const struct cni_result *net, size_t interface)
{
	bool first = true;

	for (size_t i = 0; i < net->n_ips; i++) {
		const struct cni_ip *ip = &net->ips[i];
		autofree char *address = mem_strndup(ip->address, strcspn(ip->address, "/"));

		if (!ip->interface || *ip->interface < 0 || (size_t)*ip->interface != interface)
			continue;
		buf_puts(out, first ? "[{\"IP\":" : ",{\"IP\":");
		json_put_string(out, address);
		put_text(out, "Gateway", ip->gateway);
		buf_puts(out, "}");
		first = false;
	}
	buf_puts(out, first ? "null" : "]");
}

/* What the plugins said, in the form that go-cni gives it: interfaces by their names. */
static void put_network(struct buf *out, const struct pod_sandbox *pod)
{
	const char *text = pod_network_result(pod);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cni_result net;

	buf_puts(out, ",\"cniResult\":");
	if (!text || cni_result_read(text, strlen(text), "eth0", &a, &net, NULL) < 0) {
		buf_puts(out, "null");
		return;
	}
	buf_puts(out, "{\"Interfaces\":{");
	for (size_t i = 0; i < net.n_interfaces; i++) {
		const struct cni_interface *one = &net.interfaces[i];

		buf_puts(out, i ? "," : "");
		json_put_string(out, one->name ? one->name : "");
		buf_puts(out, ":{\"IPConfigs\":");
		put_addresses(out, &net, i);
		put_text(out, "Mac", one->mac);
		put_text(out, "Sandbox", one->sandbox);
		buf_puts(out, "}");
	}
	buf_puts(out, "},\"Routes\":[");
	for (size_t i = 0; i < net.n_routes; i++) {
		buf_puts(out, i ? ",{\"dst\":" : "{\"dst\":");
		json_put_string(out, net.routes[i].dst);
		if (net.routes[i].gw)
			put_text(out, "gw", net.routes[i].gw);
		buf_puts(out, "}");
	}
	buf_puts(out, "]}");
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
	buf_printf(&out, ",\"netNamespaceClosed\":%s", pod->netns || pod->state == POD_READY ? "false" : "true");
	/* there is no image of a pause: its program is the daemon's own */
	put_text(&out, "image", "");
	put_text(&out, "runtimeType", "caisson");
	put_text(&out, "cgroupPath", pod->cgroup_path);
	put_text(&out, "bundle", pod->dir);
	put_text(&out, "runtimeHandler", pod->config->handler);
	put_text(&out, "reason", pod->reason);
	put_network(&out, pod);
	put_config(&out, &cri_pod_config, pod->config);
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
	buf_printf(&out, ",\"removing\":%s", container->visible ? "false" : "true");
	put_config(&out, &cri_container_config, container->config);
	put_spec(&out, container->dir);
	buf_puts(&out, "}");
	return arena_strdup(&c->arena, buf_text(&out));
}
