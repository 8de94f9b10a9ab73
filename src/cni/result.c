/*
 * Results and errors that plugins print. A result of 0.1 and 0.2 (ip4, ip6) is brought into the
 * shape of 1.0. Strict about what we use (addresses, indexes), silent about the rest: it
 * goes to the next plugin as it came.
 */
#include "cni/result.h"

#include <arpa/inet.h>

struct old_ip {
	char *ip, *gateway;
	struct cni_route *routes;
	size_t n_routes;
};

struct old_result {
	struct old_ip *ip4, *ip6;
};

static const struct json_field interface_fields[] = {
	JSON_FIELD(STR, struct cni_interface, name, "name", JSON_REQUIRED),
	JSON_FIELD(STR, struct cni_interface, mac, "mac", 0),
	JSON_FIELD(STR, struct cni_interface, sandbox, "sandbox", 0),
};
static const struct json_type interface_type = JSON_TYPE("interface", struct cni_interface, interface_fields);

static const struct json_field ip_fields[] = {
	JSON_FIELD(STR, struct cni_ip, address, "address", JSON_REQUIRED),
	JSON_FIELD(STR, struct cni_ip, gateway, "gateway", 0),
	JSON_FIELD(OPT_I32, struct cni_ip, interface, "interface", 0),
};
static const struct json_type ip_type = JSON_TYPE("ip", struct cni_ip, ip_fields);

static const struct json_field route_fields[] = {
	JSON_FIELD(STR, struct cni_route, dst, "dst", JSON_REQUIRED),
	JSON_FIELD(STR, struct cni_route, gw, "gw", 0),
};
static const struct json_type route_type = JSON_TYPE("route", struct cni_route, route_fields);

static const struct json_field dns_fields[] = {
	JSON_FIELD_LIST(STR_LIST, struct cni_dns, nameservers, "nameservers", 0),
	JSON_FIELD(STR, struct cni_dns, domain, "domain", 0),
	JSON_FIELD_LIST(STR_LIST, struct cni_dns, search, "search", 0),
	JSON_FIELD_LIST(STR_LIST, struct cni_dns, options, "options", 0),
};
static const struct json_type dns_type = JSON_TYPE("dns", struct cni_dns, dns_fields);

static const struct json_field old_ip_fields[] = {
	JSON_FIELD(STR, struct old_ip, ip, "ip", JSON_REQUIRED),
	JSON_FIELD(STR, struct old_ip, gateway, "gateway", 0),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct old_ip, routes, "routes", 0, &route_type),
};
static const struct json_type old_ip_type = JSON_TYPE("ip", struct old_ip, old_ip_fields);

static const struct json_field result_fields[] = {
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct cni_result, interfaces, "interfaces", 0, &interface_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct cni_result, ips, "ips", 0, &ip_type),
	JSON_FIELD_OBJ_LIST(OBJ_LIST, struct cni_result, routes, "routes", 0, &route_type),
	JSON_FIELD_OBJ(OBJ, struct cni_result, dns, "dns", 0, &dns_type),
};
static const struct json_type result_type = JSON_TYPE("result", struct cni_result, result_fields);

static const struct json_field old_result_fields[] = {
	JSON_FIELD_OBJ(OPT_OBJ, struct old_result, ip4, "ip4", 0, &old_ip_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct old_result, ip6, "ip6", 0, &old_ip_type),
};
static const struct json_type old_result_type = JSON_TYPE("result", struct old_result, old_result_fields);

static void add_old(const struct old_ip *old, struct arena *a, struct cni_result *res)
{
	struct cni_ip *ips = arena_new(a, res->n_ips + 1, sizeof(*ips));
	struct cni_route *routes = arena_new(a, res->n_routes + old->n_routes + 1, sizeof(*routes));

	if (res->n_ips)
		memcpy(ips, res->ips, res->n_ips * sizeof(*ips));
	ips[res->n_ips] = (struct cni_ip){ .address = old->ip, .gateway = old->gateway };
	res->ips = ips;
	res->n_ips++;
	if (res->n_routes)
		memcpy(routes, res->routes, res->n_routes * sizeof(*routes));
	if (old->n_routes)
		memcpy(routes + res->n_routes, old->routes, old->n_routes * sizeof(*routes));
	res->routes = routes;
	res->n_routes += old->n_routes;
}

/* "address/length" → the address alone, or NULL. */
static char *bare_address(const char *address, struct arena *a)
{
	const char *slash = strchr(address, '/');
	char *bare = arena_strndup(a, address, slash ? (size_t)(slash - address) : strlen(address));
	uint32_t length;
	uint8_t raw[16];
	int bits = inet_pton(AF_INET, bare, raw) == 1 ? 32 : inet_pton(AF_INET6, bare, raw) == 1 ? 128 : 0;

	if (!bits || (slash && (str_to_u32(slash + 1, 10, &length) < 0 || length > (uint32_t)bits)))
		return NULL;
	return bare;
}

/* Is this the pod's own interface? Without interfaces (0.2, or a terse plugin) every address is. */
static bool is_pods(const struct cni_result *res, const struct cni_ip *ip, const char *ifname)
{
	const struct cni_interface *i;

	if (!ip->interface || *ip->interface < 0)
		return true;
	i = &res->interfaces[*ip->interface];
	return !str_empty(i->sandbox) && (!ifname || str_eq(i->name, ifname));
}

int cni_result_read(const char *text, size_t len, const char *ifname, struct arena *a, struct cni_result *ret,
		    struct err *err)
{
	struct old_result old;
	struct cni_result res;
	int r;

	if (len > CNI_OUTPUT_MAX)
		return err_set(err, ERR_LIMIT, "result: more than %d bytes", CNI_OUTPUT_MAX);
	r = json_read(&result_type, text, len, a, &res, err);
	if (r == 0)
		r = json_read(&old_result_type, text, len, a, &old, err);
	if (r < 0)
		return err_wrap(err, r, "result");
	if (old.ip4)
		add_old(old.ip4, a, &res);
	if (old.ip6)
		add_old(old.ip6, a, &res);
	res.pod_ips = arena_new(a, res.n_ips + 1, sizeof(char *));
	for (size_t i = 0; i < res.n_ips; i++) {
		const struct cni_ip *ip = &res.ips[i];
		char *bare = bare_address(ip->address, a);

		if (!bare)
			return err_set(err, ERR_INVALID, "result: ips[%zu].address: \"%.60s\" is no address", i,
				       ip->address);
		if (ip->interface && *ip->interface >= 0 && (size_t)*ip->interface >= res.n_interfaces)
			return err_set(err, ERR_INVALID, "result: ips[%zu].interface: there is no interface %d", i,
				       *ip->interface);
		if (is_pods(&res, ip, ifname))
			res.pod_ips[res.n_pod_ips++] = bare;
	}
	*ret = res;
	return 0;
}

struct error_file {
	int64_t code;
	char *msg, *details;
};

static const struct json_field error_fields[] = {
	JSON_FIELD(I64, struct error_file, code, "code", JSON_REQUIRED),
	JSON_FIELD(STR, struct error_file, msg, "msg", 0),
	JSON_FIELD(STR, struct error_file, details, "details", 0),
};
static const struct json_type error_type = JSON_TYPE("error", struct error_file, error_fields);

/* The codes that the specification reserves; plugins' own begin at 100. */
static const struct {
	int64_t code;
	enum err_kind kind;
	const char *text;
} codes[] = {
	{ 1, ERR_UNSUPPORTED, "incompatible CNI version" },
	{ 2, ERR_INVALID, "unsupported field in the network configuration" },
	{ 3, ERR_NOT_FOUND, "unknown container" },
	{ 4, ERR_INVALID, "invalid environment variables" },
	{ 5, ERR_INTERNAL, "I/O failure" },
	{ 6, ERR_INVALID, "content could not be decoded" },
	{ 7, ERR_INVALID, "invalid network configuration" },
	{ 11, ERR_UNAVAILABLE, "try again later" },
	{ 50, ERR_UNAVAILABLE, "plugin is not available" },
	{ 51, ERR_UNAVAILABLE, "plugin is not available, and existing containers may have limited connectivity" },
};

int cni_result_error(const char *text, size_t len, const char *what, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	enum err_kind kind = ERR_INTERNAL;
	const char *known = NULL;
	struct error_file e;

	if (len > CNI_OUTPUT_MAX || json_read(&error_type, text, len, &a, &e, NULL) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (codes[i].code == e.code) {
			kind = codes[i].kind;
			known = codes[i].text;
		}
	if (str_empty(e.msg) && !known)
		return err_set(err, kind, "%s: failed with code %lld%s%.300s", what, (long long)e.code,
			       str_empty(e.details) ? "" : ": ", e.details ? e.details : "");
	return err_set(err, kind, "%s: %.500s%s%.300s", what, str_empty(e.msg) ? known : e.msg,
		       str_empty(e.details) ? "" : ": ", e.details ? e.details : "");
}
