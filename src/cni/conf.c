/*
 * Configuration lists. The members that we understand are read by tables; a plugin's other
 * members are only passed on, so its object is kept as text and edited with jansson when the
 * plugin is about to run. Members that the runtime owns (name, cniVersion, runtimeConfig,
 * prevResult) are always ours, whatever the file says.
 */
#include "cni/conf.h"

#include <arpa/inet.h>
#include <jansson.h>

struct conf_file {
	char *name, *version;
	char **versions;
	size_t n_versions;
	bool disable_check;
	char *plugins, *type;
};

static const struct json_field file_fields[] = {
	JSON_FIELD(STR, struct conf_file, name, "name", JSON_REQUIRED),
	JSON_FIELD(STR, struct conf_file, version, "cniVersion", 0),
	JSON_FIELD_LIST(STR_LIST, struct conf_file, versions, "cniVersions", 0),
	JSON_FIELD(BOOL, struct conf_file, disable_check, "disableCheck", 0),
	JSON_FIELD(RAW, struct conf_file, plugins, "plugins", 0),
	JSON_FIELD(STR, struct conf_file, type, "type", 0),
};
static const struct json_type file_type = JSON_TYPE("network configuration", struct conf_file, file_fields);

struct ipam {
	char *type;
};

struct plugin_file {
	char *type;
	struct ipam ipam;
};

static const struct json_field ipam_fields[] = {
	JSON_FIELD(STR, struct ipam, type, "type", 0),
};
static const struct json_type ipam_type = JSON_TYPE("ipam", struct ipam, ipam_fields);

static const struct json_field plugin_fields[] = {
	JSON_FIELD(STR, struct plugin_file, type, "type", JSON_REQUIRED),
	JSON_FIELD_OBJ(OBJ, struct plugin_file, ipam, "ipam", 0, &ipam_type),
};
static const struct json_type plugin_type = JSON_TYPE("plugin", struct plugin_file, plugin_fields);

/* oldest first */
static const char *const known_versions[] = { "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0" };

static size_t version_rank(const char *version)
{
	size_t i = 0;

	while (i < ARRAY_LEN(known_versions) && !str_eq(known_versions[i], version))
		i++;
	return i;
}

int cni_conf_version_cmp(const char *a, const char *b)
{
	size_t x = version_rank(a), y = version_rank(b);

	return (x > y) - (x < y);
}

/* A file name below a directory of plugins, and nothing that could leave it. */
static bool type_ok(const char *type)
{
	return str_is_id(type, 255);
}

static int read_plugin(const json_t *object, size_t i, struct arena *a, struct cni_plugin *ret, struct err *err)
{
	struct plugin_file file;
	autofree char *text = json_dumps(object, JSON_COMPACT | JSON_ENCODE_ANY);
	int r;

	if (!text)
		return err_set(err, ERR_LIMIT, "plugins[%zu]: cannot be kept", i);
	r = json_read(&plugin_type, text, strlen(text), a, &file, err);
	if (r < 0)
		return err_wrap(err, r, "plugins[%zu]", i);
	if (!type_ok(file.type))
		return err_set(err, ERR_INVALID, "plugins[%zu].type: \"%.100s\" is no plugin name", i, file.type);
	if (!str_empty(file.ipam.type) && !type_ok(file.ipam.type))
		return err_set(err, ERR_INVALID, "plugins[%zu].ipam.type: \"%.100s\" is no plugin name", i,
			       file.ipam.type);
	ret->type = file.type;
	ret->ipam = str_empty(file.ipam.type) ? NULL : file.ipam.type;
	ret->conf = arena_strdup(a, text);
	return 0;
}

static void json_drop(json_t **v)
{
	json_decref(*v);
}

static int read_plugins(const char *text, struct arena *a, struct cni_conf *conf, struct err *err)
{
	CLEANUP(json_drop) json_t *list = json_loads(text, 0, NULL);
	size_t n = json_array_size(list);

	if (!json_is_array(list) || n == 0)
		return err_set(err, ERR_INVALID, "plugins: expected a list of at least one plugin");
	if (n > CNI_PLUGINS_IN_LIST_MAX)
		return err_set(err, ERR_LIMIT, "plugins: %zu are more than the %d that are allowed", n,
			       CNI_PLUGINS_IN_LIST_MAX);
	conf->plugins = arena_new(a, n, sizeof(*conf->plugins));
	for (size_t i = 0; i < n; i++) {
		int r = read_plugin(json_array_get(list, i), i, a, &conf->plugins[i], err);

		if (r < 0)
			return r;
	}
	conf->n_plugins = n;
	return 0;
}

/* cniVersion, or the versions of 1.1's cniVersions that we know; absent means 0.1.0. */
static int read_versions(const struct conf_file *file, struct arena *a, struct cni_conf *conf, struct err *err)
{
	const char *single = str_empty(file->version) ? "0.1.0" : file->version;

	conf->versions = arena_new(a, ARRAY_LEN(known_versions), sizeof(char *));
	for (size_t i = ARRAY_LEN(known_versions); i-- > 0;) {
		const char *known = known_versions[i];

		if ((!file->n_versions && str_eq(single, known)) ||
		    (!str_empty(file->version) && str_eq(file->version, known)) ||
		    str_in(known, (const char *const *)file->versions, file->n_versions))
			conf->versions[conf->n_versions++] = (char *)known;
	}
	if (!conf->n_versions)
		return err_set(err, ERR_UNSUPPORTED, "cniVersion: \"%.40s\" is not known (0.1.0 to 1.1.0 are)",
			       single);
	return 0;
}

/* The specification's rule for a network's name: it becomes part of file and chain names. */
static bool name_ok(const char *name)
{
	return str_is_id(name, 127) && name[0] != '.' && name[0] != '_' && name[0] != '+';
}

int cni_conf_read(const char *text, size_t len, struct arena *a, struct cni_conf *ret, struct err *err)
{
	struct cni_conf conf = { 0 };
	struct conf_file file;
	int r;

	r = json_read(&file_type, text, len, a, &file, err);
	if (r < 0)
		return r;
	if (!name_ok(file.name))
		return err_set(err, ERR_INVALID, "name: \"%.100s\" is no network name", file.name);
	conf.name = file.name;
	conf.disable_check = file.disable_check;
	r = read_versions(&file, a, &conf, err);
	if (r < 0)
		return r;
	if (file.plugins) {
		r = read_plugins(file.plugins, a, &conf, err);
	} else if (file.type) {
		CLEANUP(json_drop) json_t *object = json_loadb(text, len, 0, NULL);

		conf.plugins = arena_new(a, 1, sizeof(*conf.plugins));
		conf.n_plugins = 1;
		r = read_plugin(object, 0, a, conf.plugins, err);
	} else {
		r = err_set(err, ERR_INVALID, "neither \"plugins\" nor \"type\" is there");
	}
	if (r < 0)
		return r;
	*ret = conf;
	return 0;
}

char *cni_conf_write(const struct cni_conf *conf, const char *version, struct arena *a)
{
	CLEANUP(json_drop) json_t *list = json_array(), *object = json_object();
	autofree char *text = NULL;

	for (size_t i = 0; i < conf->n_plugins; i++)
		json_array_append_new(list, json_loads(conf->plugins[i].conf, 0, NULL));
	json_object_set_new(object, "cniVersion", json_string(version));
	json_object_set_new(object, "name", json_string(conf->name));
	if (conf->disable_check)
		json_object_set_new(object, "disableCheck", json_true());
	json_object_set(object, "plugins", list);
	text = json_dumps(object, JSON_COMPACT);
	assert(text); /* every part was read by jansson before */
	return arena_strdup(a, text);
}

void cni_conf_set_ipmasq(struct cni_conf *conf, struct arena *a)
{
	struct cni_plugin *plugins = arena_new(a, conf->n_plugins, sizeof(*plugins));
	CLEANUP(json_drop) json_t *object = json_loads(conf->plugins[0].conf, 0, NULL);
	autofree char *text = NULL;

	json_object_set_new(object, "ipMasq", json_true());
	text = json_dumps(object, JSON_COMPACT);
	assert(text);
	memcpy(plugins, conf->plugins, conf->n_plugins * sizeof(*plugins));
	plugins[0].conf = arena_strdup(a, text);
	conf->plugins = plugins;
}

int cni_conf_input(const struct cni_conf *conf, const struct cni_plugin *plugin, const char *capabilities,
		   const char *prev_result, struct arena *a, char **ret, struct err *err)
{
	CLEANUP(json_drop) json_t *object = json_loads(plugin->conf, 0, NULL);
	CLEANUP(json_drop) json_t *offered = capabilities ? json_loads(capabilities, 0, NULL) : NULL;
	CLEANUP(json_drop) json_t *given = json_object();
	autofree char *text = NULL;
	const char *key;
	json_t *value;

	if (!json_is_object(object) || (capabilities && !json_is_object(offered)))
		return err_set(err, ERR_CORRUPT, "plugin %s: the recorded configuration is damaged", plugin->type);
	json_object_foreach(json_object_get(object, "capabilities"), key, value)
		if (json_is_true(value) && json_object_get(offered, key))
			json_object_set(given, key, json_object_get(offered, key));
	json_object_del(object, "runtimeConfig");
	json_object_del(object, "prevResult");
	json_object_del(object, "cniVersions");
	json_object_set_new(object, "name", json_string(conf->name));
	json_object_set_new(object, "cniVersion", json_string(conf->versions[0]));
	if (json_object_size(given))
		json_object_set(object, "runtimeConfig", given);
	if (prev_result) {
		json_t *prev = json_loads(prev_result, 0, NULL);

		if (!json_is_object(prev)) {
			json_decref(prev);
			return err_set(err, ERR_CORRUPT, "the recorded result is damaged");
		}
		json_object_set_new(object, "prevResult", prev);
	}
	text = json_dumps(object, JSON_COMPACT);
	if (!text)
		return err_set(err, ERR_LIMIT, "plugin %s: its configuration cannot be written", plugin->type);
	*ret = arena_strdup(a, text);
	return 0;
}

/* A Kubernetes quantity ("10M", "1Gi", "100000") as a whole number. */
static int read_quantity(const char *s, uint64_t *ret)
{
	static const struct {
		const char *suffix;
		uint64_t factor;
	} units[] = {
		{ "Ki", 1ull << 10 }, { "Mi", 1ull << 20 }, { "Gi", 1ull << 30 }, { "Ti", 1ull << 40 },
		{ "k", 1000 }, { "M", 1000000 }, { "G", 1000000000 }, { "T", 1000000000000 }, { "", 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t len = strlen(s), cut = strlen(units[i].suffix);
		autofree char *digits = NULL;
		uint64_t n;

		if (!str_has_suffix(s, units[i].suffix))
			continue;
		digits = mem_strndup(s, len - cut);
		if (str_to_u64(digits, 10, &n) < 0 || n == 0 || n > (UINT64_MAX >> 1) / units[i].factor)
			return -EINVAL;
		*ret = n * units[i].factor;
		return 0;
	}
	return -EINVAL;
}

/* The annotations by which Kubernetes asks for traffic shaping. */
static int add_bandwidth(const struct cni_pod *pod, json_t *object, struct err *err)
{
	static const struct {
		const char *annotation, *rate, *burst;
	} rows[] = {
		{ "kubernetes.io/ingress-bandwidth", "ingressRate", "ingressBurst" },
		{ "kubernetes.io/egress-bandwidth", "egressRate", "egressBurst" },
	};
	CLEANUP(json_drop) json_t *bandwidth = json_object();

	for (size_t i = 0; i < pod->n_annotations; i++)
		for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
			uint64_t rate;

			if (!str_eq(pod->annotations[i].key, rows[k].annotation))
				continue;
			if (read_quantity(pod->annotations[i].value, &rate) < 0)
				return err_set(err, ERR_INVALID, "annotation %s: \"%.60s\" is no bandwidth",
					       rows[k].annotation, pod->annotations[i].value);
			json_object_set_new(bandwidth, rows[k].rate, json_integer((json_int_t)rate));
			json_object_set_new(bandwidth, rows[k].burst, json_integer(INT32_MAX));
		}
	if (json_object_size(bandwidth))
		json_object_set(object, "bandwidth", bandwidth);
	return 0;
}

static bool host_ip_ok(const char *ip)
{
	uint8_t raw[16];

	return str_empty(ip) || inet_pton(AF_INET, ip, raw) == 1 || inet_pton(AF_INET6, ip, raw) == 1;
}

static int add_ports(const struct cni_pod *pod, json_t *object, struct err *err)
{
	static const char *const protocols[] = { "tcp", "udp", "sctp" };
	CLEANUP(json_drop) json_t *list = json_array();

	for (size_t i = 0; i < pod->n_ports; i++) {
		const struct cni_port *p = &pod->ports[i];
		json_t *port;

		if (p->host_port == 0)
			continue;
		if (p->host_port < 0 || p->host_port > 65535 || p->container_port < 1 || p->container_port > 65535)
			return err_set(err, ERR_INVALID, "port mapping %d to %d: not a port", p->host_port,
				       p->container_port);
		if (p->protocol < 0 || p->protocol >= (int)ARRAY_LEN(protocols))
			return err_set(err, ERR_INVALID, "port mapping %d: unknown protocol %d", p->host_port,
				       p->protocol);
		if (!host_ip_ok(p->host_ip))
			return err_set(err, ERR_INVALID, "port mapping %d: \"%.60s\" is no host address",
				       p->host_port, p->host_ip);
		port = json_object();
		json_object_set_new(port, "hostPort", json_integer(p->host_port));
		json_object_set_new(port, "containerPort", json_integer(p->container_port));
		json_object_set_new(port, "protocol", json_string(protocols[p->protocol]));
		if (!str_empty(p->host_ip))
			json_object_set_new(port, "hostIP", json_string(p->host_ip));
		json_array_append_new(list, port);
	}
	if (json_array_size(list))
		json_object_set(object, "portMappings", list);
	return 0;
}

static void add_list(json_t *object, const char *name, char *const *items, size_t n)
{
	json_t *list;

	if (!n)
		return;
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(items[i]));
	json_object_set_new(object, name, list);
}

int cni_conf_capabilities(const struct cni_pod *pod, struct arena *a, char **ret, struct err *err)
{
	CLEANUP(json_drop) json_t *object = json_object(), *dns = json_object(), *notes = json_object();
	autofree char *text = NULL;
	int r;

	r = add_ports(pod, object, err);
	if (r == 0)
		r = add_bandwidth(pod, object, err);
	if (r < 0)
		return r;
	add_list(dns, "servers", pod->dns_servers, pod->n_dns_servers);
	add_list(dns, "searches", pod->dns_searches, pod->n_dns_searches);
	add_list(dns, "options", pod->dns_options, pod->n_dns_options);
	if (json_object_size(dns))
		json_object_set(object, "dns", dns);
	for (size_t i = 0; i < pod->n_annotations; i++)
		json_object_set_new(notes, pod->annotations[i].key, json_string(pod->annotations[i].value));
	if (json_object_size(notes))
		json_object_set(object, "io.kubernetes.cri.pod-annotations", notes);
	if (!str_empty(pod->cgroup_path))
		json_object_set_new(object, "cgroupPath", json_string(pod->cgroup_path));
	text = json_dumps(object, JSON_COMPACT);
	if (!text)
		return err_set(err, ERR_INVALID, "pod: not UTF-8");
	*ret = arena_strdup(a, text);
	return 0;
}

struct version_answer {
	char **supported;
	size_t n_supported;
};

static const struct json_field answer_fields[] = {
	JSON_FIELD_LIST(STR_LIST, struct version_answer, supported, "supportedVersions", 0),
};
static const struct json_type answer_type = JSON_TYPE("version", struct version_answer, answer_fields);

int cni_conf_negotiate(struct cni_conf *conf, const char *type, const char *answer, size_t len, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct version_answer v;
	size_t kept = 0;
	int r;

	r = json_read(&answer_type, answer, len, &a, &v, err);
	if (r < 0)
		return err_wrap(err, r, "CNI plugin %s: VERSION", type);
	for (size_t i = 0; i < conf->n_versions; i++)
		if (str_in(conf->versions[i], (const char *const *)v.supported, v.n_supported))
			conf->versions[kept++] = conf->versions[i];
	if (!kept)
		return err_set(err, ERR_UNSUPPORTED,
			       "CNI plugin %s (network \"%s\"): supports none of the list's versions, newest %s",
			       type, conf->name, conf->versions[0]);
	conf->n_versions = kept;
	return 0;
}
