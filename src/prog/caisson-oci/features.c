/*
 * features: what this runtime can do, as features.md and features-linux.md of the runtime
 * specification want it. It tells of the program and not of the host, so it is the same everywhere.
 */
#include "prog/caisson-oci/oci.h"

#include "json/json.h"
#include "mnt/mnt.h"
#include "ns/ns.h"
#include "oci/oci.h"
#include "sec/sec.h"

#include <stdio.h>

static void put_list(struct buf *out, const char *key, const char *(*name)(size_t))
{
	const char *s;

	buf_printf(out, "\"%s\":[", key);
	for (size_t i = 0; (s = name(i)); i++) {
		buf_puts(out, i ? "," : "");
		json_put_string(out, s);
	}
	buf_puts(out, "]");
}

static const char *namespace_name(size_t i)
{
	return i < NS_KINDS ? ns_types[i].name : NULL;
}

static const char *capability_name(size_t i)
{
	return i < SEC_CAPS_KNOWN ? sec_cap_name((unsigned)i) : NULL;
}

/* "SCMP_ACT_KILL" is libseccomp's old name for KILL_THREAD, and known. */
static const char *action_name(size_t i)
{
	return i < SEC_ACTIONS ? sec_action_name((enum sec_action)i) : i == SEC_ACTIONS ? "SCMP_ACT_KILL" : NULL;
}

static const char *operator_name(size_t i)
{
	return i < SEC_OPS ? sec_op_name((enum sec_op)i) : NULL;
}

static const char *hook_name(size_t i)
{
	static const char *const names[] = { "prestart", "createRuntime", "createContainer", "startContainer",
					     "poststart", "poststop" };

	return i < ARRAY_LEN(names) ? names[i] : NULL;
}

/* Annotations of config.json that change what is done: who takes them from a stranger's
 * image gives the stranger that choice. */
static const char *unsafe_annotation(size_t i)
{
	static const char *const names[] = { "org.criu.config", "org.systemd.property.", "run.oci.",
					     "org.caisson." };

	return i < ARRAY_LEN(names) ? names[i] : NULL;
}

static const struct {
	const char *key;
	const char *(*name)(size_t);
} before_linux[] = {
	{ "hooks", hook_name },
	{ "mountOptions", mnt_option_name },
	{ "potentiallyUnsafeConfigAnnotations", unsafe_annotation },
}, in_linux[] = {
	{ "namespaces", namespace_name },
	{ "capabilities", capability_name },
}, in_seccomp[] = {
	{ "actions", action_name },
	{ "operators", operator_name },
	{ "archs", sec_arch_known },
	{ "knownFlags", sec_flag_known },
	{ "supportedFlags", sec_flag_known },
};

int command_features(struct global *g, int argc, char **argv, struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	char **words;
	size_t n;
	int r = options_parse(command_find("features"), NULL, 0, argc, argv, -1, &g->arena, &words, &n, err);

	if (r < 0)
		return r;
	if (n)
		return err_set(err, ERR_INVALID, "\"features\" requires no arguments");
	buf_puts(&out, "{\"ociVersionMin\":\"1.0.0\",\"ociVersionMax\":\"" OCI_VERSION "\"");
	for (size_t i = 0; i < ARRAY_LEN(before_linux); i++) {
		buf_puts(&out, ",");
		put_list(&out, before_linux[i].key, before_linux[i].name);
	}
	buf_puts(&out, ",\"linux\":{");
	for (size_t i = 0; i < ARRAY_LEN(in_linux); i++) {
		put_list(&out, in_linux[i].key, in_linux[i].name);
		buf_puts(&out, ",");
	}
	buf_puts(&out, "\"cgroup\":{\"v1\":true,\"v2\":true,\"systemd\":true,\"systemdUser\":true"
		       ",\"rdma\":true},\"seccomp\":{\"enabled\":true");
	for (size_t i = 0; i < ARRAY_LEN(in_seccomp); i++) {
		buf_puts(&out, ",");
		put_list(&out, in_seccomp[i].key, in_seccomp[i].name);
	}
	buf_puts(&out, "},\"apparmor\":{\"enabled\":true},\"selinux\":{\"enabled\":true},\"intelRdt\":{\"enabled\":true,"
		       "\"schemata\":true,\"monitoring\":true},\"memoryPolicy\":{");
	put_list(&out, "modes", runtime_memory_mode);
	buf_puts(&out, ",");
	put_list(&out, "flags", runtime_memory_flag);
	buf_puts(&out, "},\"netDevices\":{\"enabled\":true},\"mountExtensions\":{\"idmap\":{\"enabled\":true}}},"
		       "\"annotations\":{\"org.caisson.version\":\"" CAISSON_VERSION
		       "\",\"org.caisson.checkpoint.enabled\":\"true\"}}");
	printf("%s\n", buf_text(&out));
	return 0;
}
