/*
 * The embedded default network: what serves where nobody installed a configuration. And the
 * object that everything hangs on: made here, from settings.
 */
#include "cni/load.h"
#include "cni/masquerade.h"
#include "cni/netlink.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <stdio.h>

int cni_subnet_read(const char *subnet, uint8_t address[16], uint32_t *ret_bits)
{
	autofree char *bare = NULL;
	const char *slash = strchr(subnet, '/');

	if (!slash || str_to_u32(slash + 1, 10, ret_bits) < 0)
		return -EINVAL;
	bare = mem_strndup(subnet, (size_t)(slash - subnet));
	/* host-local needs network, gateway, broadcast and one address */
	if (inet_pton(AF_INET, bare, address) == 1 && *ret_bits >= 1 && *ret_bits <= 30)
		return 4;
	if (inet_pton(AF_INET6, bare, address) == 1 && *ret_bits >= 1 && *ret_bits <= 126)
		return 6;
	return -EINVAL;
}

int cni_default_conf(const struct cni_settings *s, struct arena *a, char **ret, struct err *err)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(16384);
	const char *bridge = s->bridge ? s->bridge : CNI_DEFAULT_BRIDGE;
	const char *subnet = s->subnet ? s->subnet : CNI_DEFAULT_SUBNET;
	uint8_t address[16];
	uint32_t bits;
	int family = cni_subnet_read(subnet, address, &bits);

	if (!*bridge) {
		*ret = NULL;
		return 0;
	}
	if (!str_is_id(bridge, IFNAMSIZ - 1))
		return err_set(err, ERR_INVALID, "bridge \"%.60s\": no interface name (at most %d characters)", bridge,
			       IFNAMSIZ - 1);
	if (family < 0)
		return err_set(err, ERR_INVALID, "subnet \"%.60s\": no network in the form 10.88.0.0/16", subnet);
	if (str_empty(s->data_dir) || s->data_dir[0] != '/')
		return err_set(err, ERR_INVALID, "data directory of the default network: no absolute path");
	/*
	 * host-local keys its leases by the network's name and iptables chains are named after it
	 * and the pod, so the bridge is part of the name: two daemons never share a name. hairpin:
	 * a pod reaches itself over its own host port. Masquerading is one rule for all pods
	 * (cni_default_masquerade), not one for each (ipMasq).
	 */
	buf_puts(&b, "{\"cniVersion\":\"1.0.0\",\"cniVersions\":[\"0.3.1\",\"0.4.0\",\"1.0.0\"],\"name\":");
	if (str_eq(bridge, CNI_DEFAULT_BRIDGE))
		json_put_string(&b, CNI_DEFAULT_NETWORK);
	else
		buf_printf(&b, "\"%s-%s\"", CNI_DEFAULT_NETWORK, bridge);
	buf_puts(&b, ",\"plugins\":[{\"type\":\"bridge\",\"bridge\":");
	json_put_string(&b, bridge);
	buf_puts(&b, ",\"isGateway\":true,\"ipMasq\":false,\"hairpinMode\":true");
	if (s->mtu)
		buf_printf(&b, ",\"mtu\":%u", s->mtu);
	buf_puts(&b, ",\"ipam\":{\"type\":\"host-local\",\"dataDir\":");
	json_put_string(&b, s->data_dir);
	buf_puts(&b, ",\"ranges\":[[{\"subnet\":");
	json_put_string(&b, subnet);
	buf_printf(&b, "}]],\"routes\":[{\"dst\":\"%s\"}]}},", family == 4 ? "0.0.0.0/0" : "::/0");
	if (buf_puts(&b, "{\"type\":\"portmap\",\"capabilities\":{\"portMappings\":true},\"snat\":true}]}") < 0)
		return err_set(err, ERR_LIMIT, "data directory of the default network: path is too long");
	*ret = arena_strdup(a, buf_text(&b));
	return 0;
}

int cni_new(const struct cni_settings *settings, struct cni **ret, struct err *err)
{
	static const char *const default_bins[] = { CNI_BIN_DIRS };
	struct cni *cni = mem_new(1, sizeof(*cni));
	const char *const *bins = settings->n_bin_dirs ? settings->bin_dirs : default_bins;
	CLEANUP(buf_done) struct buf path = BUF_INIT(65536);
	struct cni_conf parsed;
	int r;

	cni->bins.n = settings->n_bin_dirs ? settings->n_bin_dirs : ARRAY_LEN(default_bins);
	cni->bins.dirs = arena_new(&cni->arena, cni->bins.n, sizeof(char *));
	for (size_t i = 0; i < cni->bins.n; i++) {
		cni->bins.dirs[i] = arena_strdup(&cni->arena, bins[i]);
		buf_printf(&path, "%s%s", i ? ":" : "", bins[i]);
	}
	cni->bins.path = arena_strdup(&cni->arena, buf_text(&path));
	cni->conf_dir = arena_strdup(&cni->arena, settings->conf_dir ? settings->conf_dir : CNI_CONF_DIR);
	cni->bridge = arena_strdup(&cni->arena, settings->bridge ? settings->bridge : CNI_DEFAULT_BRIDGE);
	cni->subnet = arena_strdup(&cni->arena, settings->subnet ? settings->subnet : CNI_DEFAULT_SUBNET);
	r = cni_default_conf(settings, &cni->arena, &cni->default_conf, err);
	if (r == 0 && cni->default_conf) {
		r = cni_conf_read(cni->default_conf, strlen(cni->default_conf), &cni->arena, &parsed, err);
		if (r < 0)
			err_wrap(err, r, "embedded default network");
		else
			cni->default_name = parsed.name;
	}
	if (r < 0) {
		arena_done(&cni->arena);
		free(cni);
		return r;
	}
	pthread_mutex_init(&cni->lock, NULL);
	cni_slots_init(&cni->slots, settings->plugins_max ? settings->plugins_max : 8);
	*ret = cni;
	return 0;
}

void cni_free(struct cni *cni)
{
	if (!cni)
		return;
	if (cni->net) {
		assert(cni->net->refs == 1);
		cni_net_put(cni, take_ptr(&cni->net));
	}
	cni_slots_done(&cni->slots);
	pthread_mutex_destroy(&cni->lock);
	arena_done(&cni->arena);
	free(cni);
}

void cni_status(struct cni *cni, struct cni_status *ret)
{
	struct cni_net *net = cni_net_get(cni);
	struct err err = ERR_INIT;

	memset(ret, 0, sizeof(*ret));
	ret->ready = cni_net_check(cni, net, &ret->reason, &err) == 0;
	snprintf(ret->message, sizeof(ret->message), "%s", err.text);
	if (net->broken.kind == ERR_NONE)
		snprintf(ret->network, sizeof(ret->network), "%s", net->conf.name);
	snprintf(ret->source, sizeof(ret->source), "%s", net->source);
	cni_net_put(cni, net);
}

/* The rule is there; a daemon makes it anew before its first pod. */
static int masquerade(struct cni *cni)
{
	bool made;
	int r = -ENOENT;

	pthread_mutex_lock(&cni->lock);
	made = cni->masquerades;
	pthread_mutex_unlock(&cni->lock);
	if (made)
		r = cni_masquerade_look(cni->bridge, cni->subnet);
	if (r == -ENOENT)
		r = cni_masquerade_make(cni->bridge, cni->subnet);
	pthread_mutex_lock(&cni->lock);
	cni->masquerades |= r == 0;
	pthread_mutex_unlock(&cni->lock);
	return r;
}

void cni_default_masquerade(struct cni *cni, struct cni_conf *conf, struct arena *a)
{
	if (masquerade(cni) < 0)
		cni_conf_set_ipmasq(conf, a);
}

bool cni_default_serves(struct cni *cni, const struct cni_attachment *at)
{
	return cni->default_name && str_eq(at->network, cni->default_name) && strstr(at->conf, "\"ipMasq\":false");
}

bool cni_default_broken(struct cni *cni)
{
	return cni->default_conf && cni_masquerade_look(cni->bridge, cni->subnet) == -ENOENT;
}

int cni_default_mend(struct cni *cni, struct err *err)
{
	int r = masquerade(cni);

	return r < 0 ? err_sys(err, r, "network %s: its masquerading rule", cni->default_name) : 0;
}

struct ports {
	int bridge, n;
};

static void count_port(const struct cni_link *link, void *user)
{
	struct ports *p = user;

	p->n += link->master == p->bridge;
}

/* 1 when something is attached to the bridge. */
static int bridge_in_use(struct cni *cni)
{
	autofd int nl = -EBADF;
	struct cni_link link;
	struct ports ports = { 0 };
	int r = cni_netlink_open(&nl);

	if (r == 0)
		r = cni_link_get(nl, cni->bridge, &link);
	if (r < 0)
		return r == -ENODEV ? 0 : r;
	ports.bridge = link.index;
	r = cni_link_each(nl, count_port, &ports);
	return r < 0 ? r : ports.n > 0;
}

int cni_default_leave(struct cni *cni, struct err *err)
{
	int r;

	if (!cni->default_conf || cni_masquerade_look(cni->bridge, cni->subnet) < 0)
		return 0;
	r = bridge_in_use(cni);
	if (r < 0)
		return err_sys(err, r, "bridge %s: its ports", cni->bridge);
	if (r > 0)
		return 0;
	r = cni_masquerade_remove(cni->bridge, cni->subnet);
	return r < 0 ? err_sys(err, r, "network %s: remove its masquerading rule", cni->default_name) : 0;
}
