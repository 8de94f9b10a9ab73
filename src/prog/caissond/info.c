/*
 * The running configuration as `crictl info` shows it, with containerd's names where it has
 * some (tools look for stateDir).
 */
#include "prog/caissond/daemon.h"

#include "json/json.h"

struct shown_cni {
	char *conf_dir, **bin_dirs, *bridge, *subnet;
	size_t n_bin_dirs;
};

struct shown {
	char *root, *state, *address, *config_file, *shim, *pause, *cgroup_parent, *cgroup_driver, *version;
	struct shown_cni cni;
};

static const struct json_field cni_fields[] = {
	JSON_FIELD(STR, struct shown_cni, conf_dir, "confDir", 0),
	JSON_FIELD_LIST(STR_LIST, struct shown_cni, bin_dirs, "binDirs", 0),
	JSON_FIELD(STR, struct shown_cni, bridge, "defaultBridge", 0),
	JSON_FIELD(STR, struct shown_cni, subnet, "defaultSubnet", 0),
};
static const struct json_type cni_type = JSON_TYPE("cni", struct shown_cni, cni_fields);

static const struct json_field fields[] = {
	JSON_FIELD(STR, struct shown, version, "version", 0),
	JSON_FIELD(STR, struct shown, root, "rootDir", 0),
	JSON_FIELD(STR, struct shown, state, "stateDir", 0),
	JSON_FIELD(STR, struct shown, address, "address", 0),
	JSON_FIELD(STR, struct shown, config_file, "configFile", 0),
	JSON_FIELD(STR, struct shown, shim, "shimBinary", 0),
	JSON_FIELD(STR, struct shown, pause, "pauseBinary", 0),
	JSON_FIELD(STR, struct shown, cgroup_driver, "cgroupDriver", 0),
	JSON_FIELD(STR, struct shown, cgroup_parent, "cgroupParent", 0),
	JSON_FIELD_OBJ(OBJ, struct shown, cni, "cni", 0, &cni_type),
};
static const struct json_type type = JSON_TYPE("config", struct shown, fields);

const char *daemon_config_json(struct daemon *d)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	const struct config *c = &d->config;
	struct shown shown = {
		.version = (char *)CAISSON_VERSION,
		.root = c->root,
		.state = c->state,
		.address = c->address,
		.config_file = (char *)d->config_file,
		.shim = c->shim_binary,
		.pause = c->pause_binary,
		.cgroup_driver = (char *)(c->pods.cgroup_driver ? "systemd" : "cgroupfs"),
		.cgroup_parent = c->pods.cgroup_parent,
		.cni = { c->cni.conf_dir, c->cni.bin_dirs, c->cni.default_bridge, c->cni.default_subnet,
			 c->cni.n_bin_dirs },
	};

	if (json_write(&type, &shown, 0, &out, NULL) < 0)
		return "{}";
	return arena_strdup(&d->arena, buf_text(&out));
}
