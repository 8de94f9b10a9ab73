/*
 * Field tables of a specification, and its rules.
 */
#include "cdi/spec.h"

#include "cdi/yaml.h"

#include <stdio.h>
#include <ctype.h>

/* ---- tables ---- */

static const struct json_field node_fields[] = {
	JSON_FIELD(STR, struct cdi_node, path, "path", JSON_REQUIRED),
	JSON_FIELD(STR, struct cdi_node, host_path, "hostPath", 0),
	JSON_FIELD(STR, struct cdi_node, type, "type", 0),
	JSON_FIELD(I64, struct cdi_node, major, "major", 0),
	JSON_FIELD(I64, struct cdi_node, minor, "minor", 0),
	JSON_FIELD(OPT_U32, struct cdi_node, file_mode, "fileMode", 0),
	JSON_FIELD(STR, struct cdi_node, permissions, "permissions", 0),
	JSON_FIELD(OPT_U32, struct cdi_node, uid, "uid", 0),
	JSON_FIELD(OPT_U32, struct cdi_node, gid, "gid", 0),
};
static const struct json_type node_type = JSON_TYPE("deviceNode", struct cdi_node, node_fields);

static const struct json_field mount_fields[] = {
	JSON_FIELD(STR, struct cdi_mount, host_path, "hostPath", JSON_REQUIRED),
	JSON_FIELD(STR, struct cdi_mount, container_path, "containerPath", JSON_REQUIRED),
	JSON_FIELD_LIST(STR_LIST, struct cdi_mount, options, "options", 0),
	JSON_FIELD(STR, struct cdi_mount, type, "type", 0),
};
static const struct json_type mount_type = JSON_TYPE("mount", struct cdi_mount, mount_fields);

static const struct json_field hook_fields[] = {
	JSON_FIELD(STR, struct cdi_hook, name, "hookName", JSON_REQUIRED),
	JSON_FIELD(STR, struct cdi_hook, path, "path", JSON_REQUIRED),
	JSON_FIELD_LIST(STR_LIST, struct cdi_hook, args, "args", 0),
	JSON_FIELD_LIST(STR_LIST, struct cdi_hook, env, "env", 0),
	JSON_FIELD(OPT_I32, struct cdi_hook, timeout, "timeout", 0),
};
static const struct json_type hook_type = JSON_TYPE("hook", struct cdi_hook, hook_fields);

static const struct json_field net_device_fields[] = {
	JSON_FIELD(STR, struct cdi_net_device, host_name, "hostInterfaceName", JSON_REQUIRED),
	JSON_FIELD(STR, struct cdi_net_device, name, "name", JSON_REQUIRED),
};
static const struct json_type net_device_type =
	JSON_TYPE("netDevice", struct cdi_net_device, net_device_fields);

static const struct json_field rdt_fields[] = {
	JSON_FIELD(STR, struct cdi_rdt, clos_id, "closID", 0),
	JSON_FIELD(STR, struct cdi_rdt, l3_cache_schema, "l3CacheSchema", 0),
	JSON_FIELD(STR, struct cdi_rdt, mem_bw_schema, "memBwSchema", 0),
	JSON_FIELD_LIST(STR_LIST, struct cdi_rdt, schemata, "schemata", 0),
	JSON_FIELD(BOOL, struct cdi_rdt, enable_monitoring, "enableMonitoring", 0),
};
static const struct json_type rdt_type = JSON_TYPE("intelRdt", struct cdi_rdt, rdt_fields);

static const struct json_field edits_fields[] = {
	JSON_FIELD_LIST(STR_LIST, struct cdi_edits, env, "env", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct cdi_edits, nodes, "deviceNodes", 0, &node_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct cdi_edits, net_devices, "netDevices", 0, &net_device_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct cdi_edits, hooks, "hooks", 0, &hook_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct cdi_edits, mounts, "mounts", 0, &mount_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct cdi_edits, rdt, "intelRdt", 0, &rdt_type),
	JSON_FIELD_LIST(U32_LIST, struct cdi_edits, gids, "additionalGids", 0),
};
static const struct json_type edits_type = JSON_TYPE("containerEdits", struct cdi_edits, edits_fields);

static const struct json_field device_fields[] = {
	JSON_FIELD(STR, struct cdi_device, name, "name", JSON_REQUIRED),
	JSON_FIELD_LIST(STR_MAP, struct cdi_device, annotations, "annotations", 0),
	JSON_FIELD_OBJ(OBJ, struct cdi_device, edits, "containerEdits", 0, &edits_type),
};
static const struct json_type device_type = JSON_TYPE("device", struct cdi_device, device_fields);

static const struct json_field spec_fields[] = {
	JSON_FIELD(STR, struct cdi_spec, version, "cdiVersion", JSON_REQUIRED),
	JSON_FIELD(STR, struct cdi_spec, kind, "kind", JSON_REQUIRED),
	JSON_FIELD_LIST(STR_MAP, struct cdi_spec, annotations, "annotations", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct cdi_spec, devices, "devices", JSON_REQUIRED, &device_type),
	JSON_FIELD_OBJ(OBJ, struct cdi_spec, edits, "containerEdits", 0, &edits_type),
};
static const struct json_type spec_type = JSON_TYPE("CDI specification", struct cdi_spec, spec_fields);

/* ---- names ---- */

/* Letters, digits and `more` inside; a letter (or `digit_first`) first, a letter or digit last. */
static bool word_ok(const char *s, size_t len, const char *more, bool digit_first)
{
	if (!len || !(isalpha((unsigned char)s[0]) || (digit_first && isdigit((unsigned char)s[0]))) ||
	    !isalnum((unsigned char)s[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isascii(s[i]) || !(isalnum((unsigned char)s[i]) || strchr(more, s[i])))
			return false;
	return true;
}

static bool kind_ok(const char *kind, size_t len)
{
	const char *slash = memchr(kind, '/', len);

	return slash && word_ok(kind, (size_t)(slash - kind), "_-.", false) &&
	       word_ok(slash + 1, len - (size_t)(slash + 1 - kind), "_-.", false);
}

static bool device_ok(const char *name)
{
	return word_ok(name, strlen(name), "_-.:", true);
}

int cdi_name_check(const char *name, struct err *err)
{
	const char *equals = strchr(name, '=');

	if (equals && kind_ok(name, (size_t)(equals - name)) && device_ok(equals + 1))
		return 0;
	return err_set(err, ERR_INVALID, "CDI device %.200s: not a name like vendor.com/class=device", name);
}

/* ---- values ---- */

static int check_env(char *const *env, size_t n, const char *where, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (!strchr(env[i], '=') || env[i][0] == '=')
			return err_set(err, ERR_INVALID, "%s: env \"%.100s\" is not NAME=value", where,
				       env[i]);
	return 0;
}

static int check_node(const struct cdi_node *n, const char *where, struct err *err)
{
	static const char *const types[] = { "b", "c", "u", "p" };

	if (n->path[0] != '/')
		return err_set(err, ERR_INVALID, "%s: deviceNode \"%s\": not an absolute path", where,
			       n->path);
	if (!str_empty(n->type) && !str_in(n->type, types, ARRAY_LEN(types)))
		return err_set(err, ERR_INVALID, "%s: deviceNode %s: type \"%s\" is none of b, c, u, p",
			       where,
			       n->path, n->type);
	if (!str_empty(n->permissions) && !str_eq(n->permissions, "none") &&
	    n->permissions[strspn(n->permissions, "rwm")])
		return err_set(err, ERR_INVALID, "%s: deviceNode %s: permissions \"%s\" are not of rwm",
			       where,
			       n->path, n->permissions);
	return 0;
}

static int check_hook(const struct cdi_hook *h, const char *where, struct err *err)
{
	static const char *const names[] = { "prestart", "createRuntime", "createContainer", "startContainer",
					     "poststart", "poststop" };

	if (!str_in(h->name, names, ARRAY_LEN(names)))
		return err_set(err, ERR_INVALID, "%s: hookName \"%s\" is no hook", where, h->name);
	if (h->path[0] != '/')
		return err_set(err, ERR_INVALID, "%s: hook %s: path \"%s\" is not absolute", where, h->name,
			       h->path);
	return check_env(h->env, h->n_env, where, err);
}

static int check_net_devices(const struct cdi_edits *e, const char *where, struct err *err)
{
	for (size_t i = 0; i < e->n_net_devices; i++) {
		const struct cdi_net_device *d = &e->net_devices[i];

		if (!*d->host_name || !*d->name)
			return err_set(err, ERR_INVALID, "%s: netDevices: an empty name", where);
		for (size_t k = 0; k < i; k++)
			if (str_eq(e->net_devices[k].host_name, d->host_name) ||
			    str_eq(e->net_devices[k].name, d->name))
				return err_set(err, ERR_INVALID, "%s: netDevices: %s and %s twice", where,
					       d->host_name, d->name);
	}
	return 0;
}

static int check_edits(const struct cdi_edits *e, const char *where, struct err *err)
{
	int r = check_env(e->env, e->n_env, where, err);

	for (size_t i = 0; i < e->n_nodes && r == 0; i++)
		r = check_node(&e->nodes[i], where, err);
	for (size_t i = 0; i < e->n_hooks && r == 0; i++)
		r = check_hook(&e->hooks[i], where, err);
	for (size_t i = 0; i < e->n_mounts && r == 0; i++)
		if (!*e->mounts[i].host_path || e->mounts[i].container_path[0] != '/')
			r = err_set(err, ERR_INVALID,
				    "%s: mount \"%s\" on \"%s\": a path is missing or not absolute",
				    where, e->mounts[i].host_path, e->mounts[i].container_path);
	if (r == 0 && e->rdt && e->rdt->clos_id && !str_eq(e->rdt->clos_id, "/") &&
	    (strpbrk(e->rdt->clos_id, "/\n") || str_eq(e->rdt->clos_id, ".") ||
	     str_eq(e->rdt->clos_id, "..") ||
	     strlen(e->rdt->clos_id) >= 4096))
		r = err_set(err, ERR_INVALID, "%s: intelRdt: closID is no file name", where);
	return r < 0 ? r : check_net_devices(e, where, err);
}

static bool empty(const struct cdi_edits *e)
{
	return !e->n_env && !e->n_nodes && !e->n_net_devices && !e->n_hooks && !e->n_mounts && !e->rdt && !e->n_gids;
}

/* ---- versions ---- */

static bool edits_need_1_1(const struct cdi_edits *e)
{
	return e->n_net_devices || (e->rdt && (e->rdt->n_schemata || e->rdt->enable_monitoring));
}

static bool edits_need_0_7(const struct cdi_edits *e)
{
	return e->rdt || e->n_gids;
}

static bool edits_need_0_5(const struct cdi_edits *e)
{
	for (size_t i = 0; i < e->n_nodes; i++)
		if (!str_empty(e->nodes[i].host_path))
			return true;
	return false;
}

static bool edits_need_0_4(const struct cdi_edits *e)
{
	for (size_t i = 0; i < e->n_mounts; i++)
		if (!str_empty(e->mounts[i].type))
			return true;
	return false;
}

static bool device_needs_0_5(const struct cdi_device *d)
{
	return isdigit((unsigned char)d->name[0]);
}

static bool device_needs_0_6(const struct cdi_device *d)
{
	return d->n_annotations;
}

static bool spec_needs_0_6(const struct cdi_spec *s)
{
	return s->n_annotations || strchr(strchr(s->kind, '/'), '.');
}

/* The versions there are, oldest first, and what came with each. */
static const struct {
	const char *version, *what;
	bool (*spec)(const struct cdi_spec *s);
	bool (*device)(const struct cdi_device *d);
	bool (*edits)(const struct cdi_edits *e);
} versions[] = {
	{ "0.1.0", NULL, NULL, NULL, NULL },
	{ "0.2.0", NULL, NULL, NULL, NULL },
	{ "0.3.0", NULL, NULL, NULL, NULL },
	{ "0.4.0", "the type of a mount", NULL, NULL, edits_need_0_4 },
	{ "0.5.0", "hostPath of a device node, or a device's name that begins with a digit", NULL,
	  device_needs_0_5, edits_need_0_5 },
	{ "0.6.0", "annotations, or a dot in the class", spec_needs_0_6, device_needs_0_6, NULL },
	{ "0.7.0", "intelRdt or additionalGids", NULL, NULL, edits_need_0_7 },
	{ "0.8.0", NULL, NULL, NULL, NULL },
	{ "1.0.0", NULL, NULL, NULL, NULL },
	{ "1.1.0", "netDevices, or schemata and enableMonitoring of intelRdt", NULL, NULL, edits_need_1_1 },
};

static int check_version(const struct cdi_spec *s, struct err *err)
{
	const char *version = s->version[0] == 'v' ? s->version + 1 : s->version;
	size_t claimed = 0;

	while (claimed < ARRAY_LEN(versions) && !str_eq(versions[claimed].version, version))
		claimed++;
	if (claimed == ARRAY_LEN(versions))
		return err_set(err, ERR_UNSUPPORTED, "cdiVersion \"%.30s\" is none of 0.1.0 to %s",
			       s->version,
			       versions[ARRAY_LEN(versions) - 1].version);
	for (size_t v = claimed + 1; v < ARRAY_LEN(versions); v++) {
		bool needed = (versions[v].spec && versions[v].spec(s)) ||
			      (versions[v].edits && versions[v].edits(&s->edits));

		for (size_t i = 0; i < s->n_devices && !needed; i++)
			needed = (versions[v].device && versions[v].device(&s->devices[i])) ||
				 (versions[v].edits && versions[v].edits(&s->devices[i].edits));
		if (needed)
			return err_set(err, ERR_INVALID, "cdiVersion %s: %s came with %s", s->version,
				       versions[v].what, versions[v].version);
	}
	return 0;
}

/* ---- the document ---- */

static int check(const struct cdi_spec *s, struct err *err)
{
	int r;

	if (!kind_ok(s->kind, strlen(s->kind)))
		return err_set(err, ERR_INVALID, "kind \"%.200s\" is not like vendor.com/class", s->kind);
	if (!s->n_devices)
		return err_set(err, ERR_INVALID, "devices: none");
	if (s->n_devices > CDI_DEVICES_MAX)
		return err_set(err, ERR_LIMIT, "devices: more than %d", CDI_DEVICES_MAX);
	r = check_edits(&s->edits, "containerEdits", err);
	for (size_t i = 0; i < s->n_devices && r == 0; i++) {
		const struct cdi_device *d = &s->devices[i];
		char where[300];

		if (!device_ok(d->name))
			return err_set(err, ERR_INVALID, "device \"%.200s\": that is no name", d->name);
		for (size_t k = 0; k < i; k++)
			if (str_eq(s->devices[k].name, d->name))
				return err_set(err, ERR_INVALID, "device %s: twice", d->name);
		if (empty(&d->edits))
			return err_set(err, ERR_INVALID, "device %s: no containerEdits", d->name);
		snprintf(where, sizeof(where), "device %s", d->name);
		r = check_edits(&d->edits, where, err);
	}
	return r < 0 ? r : check_version(s, err);
}

int cdi_spec_read(const void *text, size_t len, bool yaml, struct arena *a, struct cdi_spec *ret,
		  struct err *err)
{
	CLEANUP(buf_done) struct buf json = BUF_INIT(CDI_FILE_MAX);
	int r;

	if (len > CDI_FILE_MAX)
		return err_set(err, ERR_LIMIT, "more than %d bytes", CDI_FILE_MAX);
	if (yaml) {
		r = cdi_yaml_to_json(text, len, &json, err);
		if (r < 0)
			return r;
		text = json.data;
		len = json.len;
	}
	r = json_read(&spec_type, text, len, a, ret, err);
	return r < 0 ? r : check(ret, err);
}
