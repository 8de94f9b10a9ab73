/*
 * config.json: image × request × pod, a row for what differs from the plain container, and what
 * must then be in the document. Texts are looked for in the written JSON: that is what a runtime
 * reads.
 */
#include "pod/spec.h"

#include "pod/files.h"
#include "pod/security.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct scene {
	struct pod_host host;
	struct pod_config pod;
	struct pod_container_config config;
	struct oci_image_defaults image;
	struct pod_user user;
	struct pod_spec spec;
};

static char *image_env[] = { "PATH=/image/bin", "A=image", "novalue" };
static char *entrypoint[] = { "/entry" };
static char *cmd[] = { "image-arg" };
static uint32_t gids[] = { 5, 44 };

static void plain(struct scene *s)
{
	*s = (struct scene){
		.host = { .oom_score_adj_min = -1000, .caps = UINT64_MAX >> 23, .swap_limit = true },
		.pod = { .name = "web", .ns = "default", .uid = "u", .hostname = "host" },
		.config = { .name = "c", .image = "busybox" },
		.image = { .env = image_env, .n_env = 3, .entrypoint = entrypoint, .n_entrypoint = 1,
			.cmd = cmd,
			   .n_cmd = 1, .working_dir = "/work" },
		.user = { .uid = 1, .gid = 5, .groups = gids, .n_groups = 2, .home = "/home/one" },
	};
	s->spec = (struct pod_spec){
		.host = &s->host, .pod = &s->pod, .config = &s->config, .image = &s->image, .user = &s->user,
		.id = "cid", .pod_id = "pid", .pod_dir = "/run/p", .cgroup_path = "/pods/p/cid",
		.hostname = "host", .rootfs = "/run/p/cid/rootfs", .netns = "/run/p/netns", .pause_pid = 77,
		.target_pid = 88, .seccomp_root = "/var/lib/kubelet/seccomp",
	};
}

/* The document, or the error. */
static char *build(const struct scene *s, struct arena *a, struct oci_config *c)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX);
	struct err err = ERR_INIT;

	if (pod_spec_build(&s->spec, a, c, &err) < 0)
		return arena_printf(a, "%s: %s", err_kind_info(err.kind)->name, err.text);
	assert_int_equal(oci_config_write(c, 0, &text, &err), 0);
	return arena_strdup(a, buf_text(&text));
}

/* ---- one change a row ---- */

static char *two[] = { "x", "y" };
static char *all_caps[] = { "ALL" }, *net_admin[] = { "NET_ADMIN" }, *chown_cap[] = { "cap_chown" };
static char *bad_cap[] = { "FLY" };
static struct pod_env envs[] = { { "A", "mine" }, { "B", "b=c" }, { "HOSTNAME", "other" } };
static struct pod_env bad_env[] = { { "A=B", "" } };
static struct pod_device null_dev[] = { { "/dev/nothing", "/dev/null", "r" } };
static struct pod_device no_dev[] = { { "/dev/x", "/dev/no-such-device", "r" } };
static struct pod_device bad_dev[] = { { "/dev/x", "/dev/null", "rx" } };
static struct pod_mount tmp[] = { { .container_path = "/data", .host_path = "/tmp", .readonly = true } };
static struct pod_mount shared[] = { { .container_path = "/data", .host_path = "/tmp", .propagation = 2 } };
static struct pod_mount slave[] = { { .container_path = "/data", .host_path = "/tmp", .propagation = 1 } };
static struct pod_mount rro[] = {
	{ .container_path = "/data", .host_path = "/tmp", .readonly = true, .recursive_readonly = true },
};
static struct pod_mount bad_rro[] = {
	{ .container_path = "/data", .host_path = "/tmp", .recursive_readonly = true },
};
static struct pod_mount own_hosts[] = { { .container_path = "//etc/hosts/", .host_path = "/tmp" } };
static struct pod_mount missing[] = { { .container_path = "/data", .host_path = "/no/such/dir" } };
static struct pod_mount relative[] = { { .container_path = "data", .host_path = "/tmp" } };
static char *flags[] = { "noexec", "nosymfollow" }, *bad_flags[] = { "noexec", "rshared" };
static struct pod_mount optioned[] = {
	{ .container_path = "/data", .host_path = "/tmp", .options = flags, .n_options = 2 },
};
static struct pod_mount bad_options[] = {
	{ .container_path = "/data", .host_path = "/tmp", .options = bad_flags, .n_options = 2 },
};
static struct pod_id_map range[] = { { 0, 70000, 65536 } };
static struct pod_mount idmapped[] = {
	{ .container_path = "/data", .host_path = "/tmp", .uids = range, .n_uids = 1, .gids = range, .n_gids = 1 },
};
static char *layers[] = { "/l/2", "/l/1" };
static struct store_snapshot image_layers = { layers, 2, NULL, NULL };
static struct pod_image_volume image_volume[] = { { 0, &image_layers } };
static struct pod_mount image_mount[] = {
	{ .container_path = "/img", .image = "x", .image_sub_path = "etc", .readonly = true },
};
static char *masks[] = { "/bin/ls" };
static struct pod_hugepage huge[] = { { "2MB", 4096 } };

#define C(name) static void name(struct scene *s)
C(nothing) {}
C(command) { s->config.command = two; s->config.n_command = 2; }
C(args) { s->config.args = two; s->config.n_args = 2; }
C(no_command) { s->image.n_entrypoint = s->image.n_cmd = 0; }
C(env) { s->config.envs = envs; s->config.n_envs = 3; }
C(env_bad) { s->config.envs = bad_env; s->config.n_envs = 1; }
C(tty) { s->config.tty = true; }
C(cwd) { s->config.working_dir = "/here"; }
C(cwd_relative) { s->image.working_dir = "app"; }
C(node_net) { s->spec.netns = NULL; }
C(node_ipc) { s->pod.security.namespaces.ipc = POD_NS_NODE; }
C(pid_container) { s->config.security.namespaces.pid = POD_NS_CONTAINER; }
C(pid_node) { s->config.security.namespaces.pid = POD_NS_NODE; }
C(pid_target) { s->config.security.namespaces.pid = POD_NS_TARGET; }
C(pid_unknown) { s->config.security.namespaces.pid = 9; }
C(privileged) { s->config.security.privileged = true;
		s->config.security.seccomp.kind = POD_PROFILE_RUNTIME_DEFAULT; }
C(drop_all) { s->config.security.cap_drop = all_caps; s->config.security.n_cap_drop = 1; }
C(drop_all_add) { drop_all(s); s->config.security.cap_add = net_admin; s->config.security.n_cap_add = 1; }
C(add_all_drop) { s->config.security.cap_add = all_caps; s->config.security.n_cap_add = 1;
		  s->config.security.cap_drop = chown_cap; s->config.security.n_cap_drop = 1; }
C(ambient) { drop_all_add(s); s->config.security.cap_ambient = net_admin;
	     s->config.security.n_cap_ambient = 1; }
C(unknown_cap) { s->config.security.cap_add = bad_cap; s->config.security.n_cap_add = 1; }
C(seccomp_default) { s->config.security.seccomp.kind = POD_PROFILE_RUNTIME_DEFAULT; }
C(seccomp_missing) { s->config.security.seccomp = (struct pod_profile){ POD_PROFILE_LOCALHOST,
	"localhost/gone.json" }; }
C(nnp) { s->config.security.no_new_privs = true; }
C(ro_root) { s->config.security.readonly_rootfs = true; }
C(mask) { s->config.security.masked_paths = masks; s->config.security.n_masked_paths = 1; }
C(device) { s->config.devices = null_dev; s->config.n_devices = 1; }
C(device_missing) { s->config.devices = no_dev; s->config.n_devices = 1; }
C(device_mode) { s->config.devices = bad_dev; s->config.n_devices = 1; }
C(vol) { s->config.mounts = tmp; s->config.n_mounts = 1; }
C(vol_shared) { s->config.mounts = shared; s->config.n_mounts = 1; }
C(vol_slave) { s->config.mounts = slave; s->config.n_mounts = 1; }
C(vol_rro) { s->config.mounts = rro; s->config.n_mounts = 1; }
C(vol_bad_rro) { s->config.mounts = bad_rro; s->config.n_mounts = 1; }
C(vol_hosts) { s->config.mounts = own_hosts; s->config.n_mounts = 1; }
C(vol_missing) { s->config.mounts = missing; s->config.n_mounts = 1; }
C(vol_relative) { s->config.mounts = relative; s->config.n_mounts = 1; }
C(vol_options) { s->config.mounts = optioned; s->config.n_mounts = 1; }
C(vol_bad_options) { s->config.mounts = bad_options; s->config.n_mounts = 1; }
C(vol_idmapped) { s->config.mounts = idmapped; s->config.n_mounts = 1; }
C(vol_image) { s->config.mounts = image_mount; s->config.n_mounts = 1;
	       s->spec.volumes = image_volume; s->spec.n_volumes = 1; }
C(userns) { struct pod_namespaces *ns = &s->pod.security.namespaces;
	    ns->uids = ns->gids = range; ns->n_uids = ns->n_gids = 1; ns->user = POD_NS_POD; }
C(userns_masks) { userns(s); s->config.security.masked_paths = masks; s->config.security.n_masked_paths = 1; }
C(userns_image) { userns(s); vol_image(s); }
C(userns_node_net) { userns(s); node_net(s); }
C(limits) { s->config.resources = (struct pod_resources){ .cpu_shares = 512, .cpu_quota = 50000,
	.cpu_period = 100000, .memory_limit = 1 << 20, .cpuset_cpus = "0", .hugepages = huge,
	.n_hugepages = 1, .oom_score_adj = 5 }; }
C(swap) { s->config.resources = (struct pod_resources){ .memory_limit = 1000, .memory_swap_limit = 2000 }; }
C(clamped) { s->host.oom_score_adj_min = 0; s->config.resources.oom_score_adj = -900; }
C(score_wild) { s->config.resources.oom_score_adj = 1001; }
static struct json_kv high[] = { { "memory.high", "max" } };
C(unified) { s->config.resources.unified = high; s->config.resources.n_unified = 1; s->host.cgroup2 = true; }
C(unified_v1) { s->config.resources.unified = high; s->config.resources.n_unified = 1; }
C(cgroup2) { s->host.cgroup2 = true; }

static const struct row {
	const char *name;
	void (*change)(struct scene *s);
	const char *has[4], *has_not[3];
} rows[] = {
	{ "the image's command and arguments", nothing, { "\"args\":[\"/entry\",\"image-arg\"]",
	  "\"cwd\":\"/work\"",
	  "\"uid\":1,\"gid\":5", "\"additionalGids\":[5,44]" }, { "\"seccomp\"", "\"terminal\":true" } },
	{ "environment of the image", nothing, { "PATH=/image/bin", "\"A=image\"", "HOSTNAME=host",
	  "HOME=/home/one" }, { "novalue" } },
	{ "a command silences the image's arguments", command, { "\"args\":[\"x\",\"y\"]" } },
	{ "arguments follow the image's entrypoint", args, { "\"args\":[\"/entry\",\"x\",\"y\"]" } },
	{ "no command at all", no_command, { "INVALID: no command", "busybox" } },
	{ "the request's environment wins", env, { "\"A=mine\"", "\"B=b=c\"", "HOSTNAME=other" },
	  { "A=image" } },
	{ "a bad variable is named", env_bad, { "INVALID: envs: \"A=B\"" } },
	{ "a terminal", tty, { "\"terminal\":true", "TERM=xterm" } },
	{ "working directory of the request", cwd, { "\"cwd\":\"/here\"" } },
	{ "a relative working directory is below the root", cwd_relative, { "\"cwd\":\"/app\"" } },
	{ "namespaces of the pod", nothing, { "{\"type\":\"network\",\"path\":\"/run/p/netns\"}",
	  "\"/proc/77/ns/ipc\"", "\"/proc/77/ns/uts\"", "\"/proc/77/ns/pid\"" }, { "\"cgroup\"}" } },
	{ "the host's network brings its host name", node_net, { "\"/proc/77/ns/ipc\"" },
	  { "network", "\"uts\"" } },
	{ "the host's IPC brings its /dev/shm", node_ipc, { "\"source\":\"/dev/shm\"" },
	  { "ns/ipc", "/run/p/shm" } },
	{ "a pid namespace of its own", pid_container, { "{\"type\":\"pid\"}" }, { "ns/pid" } },
	{ "the host's processes", pid_node, { "\"mount\"" }, { "\"type\":\"pid\"" } },
	{ "another container's processes", pid_target, { "\"/proc/88/ns/pid\"" } },
	{ "an unknown mode is refused", pid_unknown, { "INVALID: namespace_options.pid" } },
	{ "default masks", nothing, { "\"maskedPaths\":[\"/proc/acpi\"", "\"/proc/sysrq-trigger\"" } },
	{ "masks of the request replace the defaults", mask, { "\"maskedPaths\":[\"/bin/ls\"]" },
	  { "/proc/kcore" } },
	{ "privileged", privileged, { "CAP_SYS_ADMIN", "{\"allow\":true,\"type\":\"a\",\"access\":\"rwm\"}" },
	  { "maskedPaths", "readonlyPaths", "\"seccomp\"" } },
	{ "default capabilities", nothing, { "\"CAP_CHOWN\"", "\"CAP_AUDIT_WRITE\"" }, { "CAP_SYS_ADMIN",
	  "CAP_NET_ADMIN" } },
	{ "no capabilities", drop_all, { "\"args\"" }, { "CAP_" } },
	{ "drop all, add one", drop_all_add, { "\"bounding\":[\"CAP_NET_ADMIN\"]" },
	  { "CAP_CHOWN", "ambient" } },
	{ "add all, drop one", add_all_drop, { "CAP_SYS_ADMIN" }, { "CAP_CHOWN" } },
	{ "ambient", ambient, { "\"ambient\":[\"CAP_NET_ADMIN\"]", "\"inheritable\":[\"CAP_NET_ADMIN\"]" } },
	{ "an unknown capability is named", unknown_cap,
	  { "INVALID: add_capabilities: unknown capability FLY" } },
	{ "the default filter", seccomp_default, { "\"defaultAction\":\"SCMP_ACT_ERRNO\"" } },
	{ "a missing profile is named", seccomp_missing, { "/var/lib/kubelet/seccomp/gone.json" } },
	{ "no new privileges", nnp, { "\"noNewPrivileges\":true" } },
	{ "a read-only root and files", ro_root, { "\"readonly\":true" },
	  { "\"rbind\",\"rprivate\",\"rw\"" } },
	{ "a device", device, { "\"path\":\"/dev/nothing\"", "\"major\":1,\"minor\":3,\"access\":\"r\"}" } },
	{ "a missing device is named", device_missing, { "INVALID: device /dev/no-such-device: " } },
	{ "device permissions", device_mode, { "INVALID: device /dev/null: permissions \"rx\"" } },
	{ "a read-only volume", vol,
	  { "{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"/tmp\",\"options\":"
	  "[\"rbind\",\"rprivate\",\"ro\"]}" }, { "rootfsPropagation" } },
	{ "bidirectional propagation", vol_shared, { "\"rshared\",\"rw\"",
	  "\"rootfsPropagation\":\"rshared\"" } },
	{ "host to container", vol_slave, { "\"rslave\",\"rw\"", "\"rootfsPropagation\":\"rslave\"" } },
	{ "recursive read-only", vol_rro, { "\"rprivate\",\"rro\"" } },
	{ "recursive read-only without readonly", vol_bad_rro,
	  { "INVALID: mount /data: recursive_read_only" } },
	{ "a volume replaces the pod's file", vol_hosts, { "\"source\":\"/tmp\"" }, { "/run/p/hosts" } },
	{ "a missing source is named", vol_missing,
	  { "INVALID: mount /data: host_path /no/such/dir: No such" } },
	{ "more options of a mount", vol_options, { "\"rprivate\",\"rw\",\"noexec\",\"nosymfollow\"]" } },
	{ "an option that a field says is refused", vol_bad_options,
	  { "INVALID: mount /data: mount_options: \"rshared\"" } },
	{ "an idmapped volume", vol_idmapped,
	  { "\"uidMappings\":[{\"containerID\":0,\"hostID\":70000,\"size\":65536}]" }, { "\"user\"}" } },
	{ "a directory of an image as a volume", vol_image, { "\"type\":\"overlay\"",
	  "\"lowerdir+=/l/2\",\"lowerdir+=/l/1\",\"X-mount.subdir=etc\"", "\"ro\"" }, { "uidMappings" } },
	{ "the pod's user namespace", userns, { "{\"type\":\"user\",\"path\":\"/proc/77/ns/user\"}",
	  "\"uidMappings\":[{\"containerID\":0,\"hostID\":70000,\"size\":65536}]", "\"type\":\"sysfs\"" } },
	{ "no masks in it unless they are asked for", userns, { "\"linux\"" }, { "maskedPaths", "readonlyPaths" } },
	{ "masks that are asked for", userns_masks, { "\"maskedPaths\":[\"/bin/ls\"]" } },
	{ "an image volume in it", userns_image, { "\"nosuid\",\"nodev\"],\"uidMappings\":[{" } },
	{ "it cannot mount the host network's sysfs", userns_node_net, { "\"type\":\"bind\",\"source\":\"/sys\"" },
	  { "\"type\":\"sysfs\"" } },
	{ "a relative target is refused", vol_relative, { "INVALID: mounts[0].container_path \"data\"" } },
	{ "limits", limits, { "\"shares\":512", "\"quota\":50000", "\"limit\":1048576,\"swap\":1048576",
	  "\"oomScoreAdj\":5" } },
	{ "huge pages and cpus", limits, { "{\"pageSize\":\"2MB\",\"limit\":4096}", "\"cpus\":\"0\"" } },
	{ "swap of the request", swap, { "\"limit\":1000,\"swap\":2000" } },
	{ "the score that the daemon can give", clamped, { "\"oomScoreAdj\":0" } },
	{ "files of cgroup v2", unified, { "\"unified\":{\"memory.high\":\"max\"}" } },
	{ "files of cgroup v2 on v1", unified_v1, { "UNSUPPORTED: linux.resources.unified: memory.high" } },
	{ "a wild score is refused", score_wild, { "INVALID: oom_score_adj 1001" } },
	{ "cgroup namespaces with v2", cgroup2, { "{\"type\":\"cgroup\"}" } },
	{ "the cgroup", nothing, { "\"cgroupsPath\":\"/pods/p/cid\"" } },
};

static void each_request_gives_its_document(void **state)
{
	int bad = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		const struct row *r = &rows[i];
		struct oci_config c;
		struct scene s;
		char *text;

		plain(&s);
		r->change(&s);
		text = build(&s, &a, &c);
		for (size_t k = 0; k < ARRAY_LEN(r->has) && r->has[k]; k++)
			if (!strstr(text, r->has[k]) && ++bad)
				print_error("%s: lacks %s\n%s\n", r->name, r->has[k], text);
		for (size_t k = 0; k < ARRAY_LEN(r->has_not) && r->has_not[k]; k++)
			if (strstr(text, r->has_not[k]) && ++bad)
				print_error("%s: has %s\n%s\n", r->name, r->has_not[k], text);
	}
	assert_int_equal(bad, 0);
}

static void parents_are_mounted_before_what_lies_below(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_mount mounts[] = {
		{ .container_path = "/a/b/c", .host_path = "/tmp" },
		{ .container_path = "/a", .host_path = "/tmp" },
		{ .container_path = "/a/b", .host_path = "/tmp" },
	};
	size_t at[3] = { 0 };
	struct oci_config c;
	struct scene s;

	plain(&s);
	s.config.mounts = mounts;
	s.config.n_mounts = 3;
	build(&s, &a, &c);
	for (size_t i = 0; i < c.n_mounts; i++)
		for (size_t k = 0; k < 3; k++)
			if (strcmp(c.mounts[i].destination, mounts[k].container_path) == 0)
				at[k] = i;
	assert_true(at[1] < at[2] && at[2] < at[0]);
}

static void a_change_keeps_what_it_does_not_name(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct json_kv had[] = { { "memory.high", "1" }, { "pids.max", "5" } };
	struct json_kv given[] = { { "pids.max", "6" }, { "io.max", "8:0 rbps=1" } };
	const struct pod_resources now = { .cpu_shares = 10, .cpu_quota = 5000, .cpu_period = 10000,
		.memory_limit = 100, .memory_swap_limit = 150, .oom_score_adj = 3, .cpuset_cpus = "0",
		.unified = had, .n_unified = 2 };
	const struct pod_resources change = { .cpu_quota = -1, .memory_limit = 200, .cpuset_mems = "1",
		.hugepages = huge, .n_hugepages = 1, .unified = given, .n_unified = 2 };
	struct pod_resources merged, delta;

	pod_resources_merge(&now, &change, &a, &merged);
	assert_int_equal(merged.cpu_shares, 10);
	assert_int_equal(merged.cpu_quota, -1);
	assert_int_equal(merged.memory_limit, 200);
	assert_int_equal(merged.memory_swap_limit, 0); /* the sum of before says nothing of the new limit */
	assert_int_equal(merged.oom_score_adj, 3);
	assert_string_equal(merged.cpuset_cpus, "0");
	assert_string_equal(merged.cpuset_mems, "1");
	assert_int_equal(merged.n_hugepages, 1);
	assert_int_equal(merged.n_unified, 3);
	assert_string_equal(merged.unified[1].value, "6");
	pod_resources_delta(&merged, &change, &delta);
	assert_int_equal(delta.cpu_shares, 0);
	assert_int_equal(delta.cpu_period, 10000); /* quota and period go together */
	assert_int_equal(delta.n_unified, 2);
	assert_null(delta.cpuset_cpus);
}

static void a_pod_s_files_say_what_was_asked(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(4096);
	char *servers[] = { "10.0.0.1", "10.0.0.2" }, *searches[] = { "a.b", "c.d" };
	char *options[] = { "ndots:5" };
	char *evil[] = { "x\nnameserver 6.6.6.6" }, *ips[] = { "10.1.2.3", "fd00::1" };
	struct pod_config c = { .dns_servers = servers, .n_dns_servers = 2, .dns_searches = searches,
				.n_dns_searches = 2, .dns_options = options, .n_dns_options = 1 };
	struct err err = ERR_INIT;

	assert_int_equal(pod_resolv_text(&c, &b, &err), 0);
	assert_string_equal(buf_text(&b), "search a.b c.d\nnameserver 10.0.0.1\nnameserver 10.0.0.2\n"
					  "options ndots:5\n");
	c.dns_searches = evil;
	c.n_dns_searches = 1;
	assert_true(pod_resolv_text(&c, &b, &err) < 0);
	assert_int_equal(err.kind, ERR_INVALID);
	b.len = 0;
	assert_int_equal(pod_hosts_text("web", ips, 2, &b, &err), 0);
	assert_non_null(strstr(buf_text(&b), "10.1.2.3\tweb\nfd00::1\tweb\n"));
	assert_non_null(strstr(buf_text(&b), "127.0.0.1\tlocalhost\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_gives_its_document),
		cmocka_unit_test(parents_are_mounted_before_what_lies_below),
		cmocka_unit_test(a_change_keeps_what_it_does_not_name),
		cmocka_unit_test(a_pod_s_files_say_what_was_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
