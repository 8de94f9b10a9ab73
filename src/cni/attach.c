/*
 * The chain: prepare, ADD, CHECK, DEL. An attachment is all that goes from one to the next; the
 * configuration in it is read again each time, so a record of last year's daemon works like
 * one made a moment ago.
 */
#include "cni/load.h"
#include "cni/result.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/magic.h>
#include <sys/vfs.h>

static const struct json_field attachment_fields[] = {
	JSON_FIELD(STR, struct cni_attachment, network, "network", JSON_REQUIRED),
	JSON_FIELD(STR, struct cni_attachment, container_id, "containerId", JSON_REQUIRED),
	JSON_FIELD(STR, struct cni_attachment, netns, "netns", JSON_REQUIRED),
	JSON_FIELD(STR, struct cni_attachment, ifname, "ifname", JSON_REQUIRED),
	JSON_FIELD(STR, struct cni_attachment, args, "args", 0),
	JSON_FIELD(RAW, struct cni_attachment, conf, "conf", JSON_REQUIRED),
	JSON_FIELD(RAW, struct cni_attachment, capabilities, "capabilities", 0),
	JSON_FIELD(RAW, struct cni_attachment, result, "result", 0),
};
const struct json_type cni_attachment_type =
	JSON_TYPE("network attachment", struct cni_attachment, attachment_fields);

enum { VERSION_SECONDS = 10 };

/* dev_valid_name() of the kernel. */
static bool ifname_ok(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < IFNAMSIZ && !str_eq(s, ".") && !str_eq(s, "..") && strcspn(s, "/: \t\n\v\f\r") == n;
}

/* CNI_ARGS is KEY=VALUE;KEY=VALUE with no way to quote. */
static int make_args(const struct cni_pod *pod, struct arena *a, char **ret, struct err *err)
{
	const struct {
		const char *key, *value, *what;
	} args[] = {
		{ "IgnoreUnknown", "1", "" },
		{ "K8S_POD_NAMESPACE", pod->ns, "namespace" },
		{ "K8S_POD_NAME", pod->name, "name" },
		{ "K8S_POD_INFRA_CONTAINER_ID", pod->id, "id" },
		{ "K8S_POD_UID", pod->uid, "uid" },
	};
	char *out = arena_strdup(a, "");

	for (size_t i = 0; i < ARRAY_LEN(args); i++) {
		if (!args[i].value)
			continue;
		if (strpbrk(args[i].value, ";=\n"))
			return err_set(err, ERR_INVALID, "pod %s \"%.100s\": ';', '=' and newlines have no place in it",
				       args[i].what, args[i].value);
		out = arena_printf(a, "%s%s%s=%s", out, *out ? ";" : "", args[i].key, args[i].value);
	}
	*ret = out;
	return 0;
}

/* Asks each plugin once which versions it speaks; only needed where the list allows several. */
static int negotiate(struct cni *cni, struct cni_net *net, struct cni_conf *conf, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	int r;

	for (size_t i = 0; i < conf->n_plugins; i++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(CNI_OUTPUT_MAX);
		struct cni_plugin_call call = {
			.slots = &cni->slots,
			.bins = &cni->bins,
			.command = "VERSION",
			.type = conf->plugins[i].type,
			.network = conf->name,
			.input = arena_printf(&a, "{\"cniVersion\":\"%s\"}", conf->versions[0]),
			.deadline = time_now_mono() + VERSION_SECONDS * NSEC_PER_SEC,
		};

		r = cni_plugin_run(&call, &out, err);
		if (r == 0)
			r = cni_conf_negotiate(conf, call.type, buf_text(&out), out.len, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* conf of the net, with versions[0] the one to use. */
static int settled_conf(struct cni *cni, struct cni_net *net, struct arena *a, struct cni_conf *ret,
			struct err *err)
{
	struct cni_conf conf;
	bool settled;
	int r;

	pthread_mutex_lock(&cni->lock);
	conf = net->conf;
	conf.versions = arena_new(a, conf.n_versions, sizeof(char *));
	memcpy(conf.versions, net->conf.versions, conf.n_versions * sizeof(char *));
	settled = net->negotiated || conf.n_versions == 1;
	pthread_mutex_unlock(&cni->lock);
	if (!settled) {
		r = negotiate(cni, net, &conf, err);
		if (r < 0)
			return r;
		pthread_mutex_lock(&cni->lock);
		memcpy(net->conf.versions, conf.versions, conf.n_versions * sizeof(char *));
		net->conf.n_versions = conf.n_versions;
		net->negotiated = true;
		pthread_mutex_unlock(&cni->lock);
	}
	*ret = conf;
	return 0;
}

static int prepare(struct cni *cni, struct cni_net *net, const struct cni_pod *pod, struct arena *a,
		   struct cni_attachment *ret, struct err *err)
{
	struct cni_attachment at = { 0 };
	const char *reason;
	struct cni_conf conf;
	int r;

	r = cni_net_check(cni, net, &reason, err);
	if (r < 0) {
		/* to who runs a pod, a broken file is a network that is not there yet */
		if (err)
			err->kind = ERR_UNAVAILABLE;
		return r;
	}
	if (!str_is_id(pod->id, 128))
		return err_set(err, ERR_INVALID, "pod id \"%.100s\": no container id", pod->id ? pod->id : "");
	if (str_empty(pod->netns))
		return err_set(err, ERR_INVALID, "pod %s: no network namespace", pod->id);
	at.container_id = arena_strdup(a, pod->id);
	at.netns = arena_strdup(a, pod->netns);
	at.ifname = arena_strdup(a, pod->ifname ? pod->ifname : "eth0");
	if (!ifname_ok(at.ifname))
		return err_set(err, ERR_INVALID, "interface \"%.60s\": no interface name", at.ifname);
	r = make_args(pod, a, &at.args, err);
	if (r == 0)
		r = cni_conf_capabilities(pod, a, &at.capabilities, err);
	if (r == 0)
		r = settled_conf(cni, net, a, &conf, err);
	if (r < 0)
		return r;
	if (net->embedded)
		cni_default_masquerade(cni, &conf, a);
	at.network = arena_strdup(a, conf.name);
	at.conf = cni_conf_write(&conf, conf.versions[0], a);
	*ret = at;
	return 0;
}

int cni_attach_prepare(struct cni *cni, const struct cni_pod *pod, struct arena *a, struct cni_attachment *ret,
		       struct err *err)
{
	struct cni_net *net = cni_net_get(cni);
	int r = prepare(cni, net, pod, a, ret, err);

	cni_net_put(cni, net);
	return r;
}

/* One plugin of the chain. prev and out may be NULL. */
static int run(struct cni *cni, const char *command, const struct cni_conf *conf, const struct cni_plugin *plugin,
	       const struct cni_attachment *at, const char *netns, const char *prev, int64_t deadline,
	       struct buf *out, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cni_plugin_call call = {
		.slots = &cni->slots,
		.bins = &cni->bins,
		.command = command,
		.type = plugin->type,
		.network = conf->name,
		.container_id = at->container_id,
		.netns = netns,
		.ifname = at->ifname,
		.args = at->args,
		.deadline = deadline,
	};
	char *input;
	int r;

	r = cni_conf_input(conf, plugin, at->capabilities, prev, &a, &input, err);
	if (r < 0)
		return err_wrap(err, r, "network \"%s\": %s", conf->name, command);
	call.input = input;
	r = fault_point("cni.%s.%s", command, plugin->type);
	if (r < 0)
		return err_sys(err, r, "CNI plugin %s: %s", plugin->type, command);
	r = cni_plugin_run(&call, out, err);
	(void)fault_point("cni.%s.%s-done", command, plugin->type);
	return r;
}

static int read_recorded(const struct cni_attachment *at, struct arena *a, struct cni_conf *ret, struct err *err)
{
	int r = cni_conf_read(at->conf, strlen(at->conf), a, ret, err);

	if (r == 0)
		return 0;
	if (err)
		err->kind = ERR_CORRUPT;
	return err_wrap(err, r, "network \"%s\": the recorded configuration", at->network);
}

int cni_attach_add(struct cni *cni, struct cni_attachment *at, int64_t deadline, struct arena *a,
		   struct cni_result *ret, struct err *err)
{
	CLEANUP(arena_done) struct arena tmp = ARENA_INIT;
	struct cni_result res = { 0 };
	const char *prev = NULL;
	struct cni_conf conf;
	int r;

	r = read_recorded(at, &tmp, &conf, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < conf.n_plugins; i++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(CNI_OUTPUT_MAX);

		r = run(cni, "ADD", &conf, &conf.plugins[i], at, at->netns, prev, deadline, &out, err);
		if (r < 0)
			return r;
		/* read now, so that it is this plugin that is named and the next one gets no rubbish */
		r = cni_result_read(buf_text(&out), out.len, at->ifname, a, &res, err);
		if (r < 0)
			return err_wrap(err, r, "CNI plugin %s (network \"%s\"): ADD", conf.plugins[i].type,
					conf.name);
		prev = arena_strndup(&tmp, buf_text(&out), out.len);
	}
	at->result = arena_strdup(a, prev);
	*ret = res;
	return 0;
}

/* The path while a network namespace is there, else "": after a reboot there is none. */
static const char *living_netns(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == NSFS_MAGIC ? path : "";
}

/* prevResult came to DEL and CHECK with 0.4.0; older plugins refuse what they do not know. */
static const char *prev_for(const struct cni_conf *conf, const struct cni_attachment *at)
{
	return cni_conf_version_cmp(conf->versions[0], "0.4.0") >= 0 ? at->result : NULL;
}

int cni_attach_del(struct cni *cni, const struct cni_attachment *at, int64_t deadline, struct err *err)
{
	CLEANUP(arena_done) struct arena tmp = ARENA_INIT;
	const char *netns = living_netns(at->netns);
	struct cni_conf conf;
	int first = 0, r;

	r = read_recorded(at, &tmp, &conf, err);
	if (r < 0)
		return r;
	for (size_t i = conf.n_plugins; i-- > 0;) {
		int64_t now = time_now_mono(), share = deadline;
		struct err e = ERR_INIT;

		if (deadline != INT64_MAX)
			share = now + (deadline > now ? (deadline - now) / (int64_t)(i + 1) : 0);
		r = run(cni, "DEL", &conf, &conf.plugins[i], at, netns, prev_for(&conf, at), share, NULL, &e);
		if (r < 0 && first == 0) {
			first = r;
			if (err)
				*err = e;
		}
	}
	return first;
}

int cni_attach_check(struct cni *cni, const struct cni_attachment *at, int64_t deadline, struct err *err)
{
	CLEANUP(arena_done) struct arena tmp = ARENA_INIT;
	struct cni_conf conf;
	int r;

	r = read_recorded(at, &tmp, &conf, err);
	if (r < 0)
		return r;
	if (conf.disable_check)
		return 0;
	if (cni_conf_version_cmp(conf.versions[0], "0.4.0") < 0)
		return err_set(err, ERR_UNSUPPORTED, "network \"%s\": CHECK needs cniVersion 0.4.0, it has %s",
			       conf.name, conf.versions[0]);
	if (!at->result)
		return err_set(err, ERR_STATE, "network \"%s\": CHECK before ADD", conf.name);
	for (size_t i = 0; i < conf.n_plugins; i++) {
		r = run(cni, "CHECK", &conf, &conf.plugins[i], at, at->netns, at->result, deadline, NULL, err);
		if (r < 0)
			return r;
	}
	return 0;
}
