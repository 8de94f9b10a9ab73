/*
 * cri-fields — every field of a pod's and a container's configuration, and what becomes of it.
 *
 *	cri-fields >docs/cri.md        the table
 *	cri-fields --check docs/cri.md [SRC]   is it the table? 0, or 1 with what is wrong
 *
 * The fields are those of the messages themselves, found by walking their descriptors; which of them
 * are read is what the field tables of configs.c say. This file adds what happens to each. A
 * field without a line here, a line without a field, a line that says "not read" of a field
 * that is read or the other way round, and a source file that is not there are errors, so the
 * document cannot fall behind the code.
 */
#include "cri/configs.h"

#include <stdio.h>
#include <unistd.h>

enum { PATH_LEN = 256, DEPTH_MAX = 8 };

#define NOT_READ "Not read: "

struct effect {
	const char *path; /* with ".*" at its end: all below it that have no line of their own */
	const char *text;
	const char *file; /* below src/: where to look; NULL: nowhere */
};

static const struct effect pod_effects[] = {
	{ "metadata.name", "Required. Part of the key of `RunPodSandbox`; without spaces, slashes, "
	  "control characters, at most 253 long. Handed to CNI, NRI, config.json's annotations and "
	  "metrics.", "pod/sandbox.c" },
	{ "metadata.uid", "As the name.", "pod/sandbox.c" },
	{ "metadata.namespace", "As the name.", "pod/sandbox.c" },
	{ "metadata.attempt", "Part of the key: the same key again joins the running call or gives the "
	  "same pod.", "pod/sandbox.c" },
	{ "hostname", "Name in the pod's UTS namespace, its `/etc/hostname` and `/etc/hosts`; empty: the "
	  "host's. Over 64 characters: refused.", "pod/files.c" },
	{ "log_directory", "Where the containers' `log_path` begins. Not absolute: refused. Empty: no "
	  "logs.", "pod/container.c" },
	{ "dns_config.servers", "`nameserver` lines of `/etc/resolv.conf`. Without any DNS field: the "
	  "host's file. A line break in one: refused.", "pod/files.c" },
	{ "dns_config.searches", "The `search` line.", "pod/files.c" },
	{ "dns_config.options", "The `options` line.", "pod/files.c" },
	{ "port_mappings.protocol", "Handed to the plugins' capability `portMappings`.", "pod/sandbox.c" },
	{ "port_mappings.container_port", "As the protocol; 0 to 65535, else refused.", "pod/sandbox.c" },
	{ "port_mappings.host_port", "As the protocol; 0: not mapped.", "pod/sandbox.c" },
	{ "port_mappings.host_ip", "As the protocol.", "pod/sandbox.c" },
	{ "labels", "Kept, in statuses and lists, and what filters select by.", "cri/filter.c" },
	{ "annotations", "Kept, in statuses and lists; seen by NRI plugins.", "cri/pods.c" },
	{ "linux.cgroup_parent", "The pod's cgroup. Empty: one below `pods.cgroup_parent` of the "
	  "configuration.", "pod/cgroup.c" },
	{ "linux.security_context.namespace_options.network", "POD: a namespace of its own with the "
	  "plugins' network; NODE: the host's. CONTAINER, TARGET: refused.", "pod/sandbox.c" },
	{ "linux.security_context.namespace_options.pid", "POD: containers share the pause process's "
	  "namespace; CONTAINER: each has its own; NODE: the host's. TARGET: refused for a pod.",
	  "pod/sandbox.c" },
	{ "linux.security_context.namespace_options.ipc", "POD: the pause process's, with a `/dev/shm` "
	  "of the pod; NODE: the host's. Others: refused.", "pod/sandbox.c" },
	{ "linux.security_context.namespace_options.target_id", "Has a meaning for containers only; kept.",
	  "cri/configs.c" },
	{ "linux.security_context.namespace_options.userns_options.mode", "POD: one user namespace for "
	  "the pod; NODE: none. CONTAINER, TARGET: refused. Where the store's file system has no "
	  "idmapped mounts: refused.", "pod/userns.c" },
	{ "linux.security_context.namespace_options.userns_options.uids.*", "The one map of the pod: "
	  "exactly one, from container id 0, the same for users and groups; else refused.", "pod/userns.c" },
	{ "linux.security_context.namespace_options.userns_options.gids.*", "As `uids`.", "pod/userns.c" },
	{ "linux.security_context.selinux_options.*", "Single parts of the label of the pod's files; the "
	  "level: two categories of its own, which no other pod has. No context of the policy's: refused. Where "
	  "SELinux is enabled.", "pod/selinux.c" },
	{ "linux.security_context.run_as_user", "User of the pause process; absent: 65535. No id: "
	  "refused.", "pod/pause.c" },
	{ "linux.security_context.run_as_group", "Its group. Without a user: refused.", "pod/pause.c" },
	{ "linux.security_context.readonly_rootfs", "Kept. The pause process's root is read-only in any "
	  "case.", "pod/pause.c" },
	{ "linux.security_context.supplemental_groups", "Kept and checked to be ids. The pause process "
	  "needs none; containers say theirs.", "pod/pause.c" },
	{ "linux.security_context.supplemental_groups_policy", "Kept; as `supplemental_groups`.",
	  "pod/pause.c" },
	{ "linux.security_context.privileged", "Kept. The pause process has no capabilities in any case; "
	  "containers say theirs.", "pod/pause.c" },
	{ "linux.security_context.seccomp.profile_type", "Kept. The pause process is under the default "
	  "profile in any case; containers say theirs.", "pod/pause.c" },
	{ "linux.security_context.seccomp.localhost_ref", "As its type; missing for Localhost: refused.",
	  "cri/configs.c" },
	{ "linux.security_context.apparmor.profile_type", "Kept; containers say theirs.", "cri/configs.c" },
	{ "linux.security_context.apparmor.localhost_ref", "As its type; missing for Localhost: refused.",
	  "cri/configs.c" },
	{ "linux.security_context.seccomp_profile_path", "The old spelling of `seccomp`, where that is "
	  "absent; what is no profile: refused.", "cri/configs.c" },
	{ "linux.sysctls", "Set in the pod's namespaces, by the pause process before anything runs. One "
	  "that does not belong to a namespace, or to one that the pod shares with the host: refused.",
	  "runtime/plan.c" },
	{ "linux.overhead.*", "Kept, in the verbose status, and changed by `UpdatePodSandboxResources`; "
	  "seen by NRI plugins. The pod's cgroup and its limits are the kubelet's.", "pod/update.c" },
	{ "linux.resources.*", "As `overhead`.", "pod/update.c" },
	{ "windows", "Refused: this is Linux.", "cri/configs.c" },
};

static const struct effect container_effects[] = {
	{ "metadata.name", "Required. Part of the key of `CreateContainer`.", "pod/container.c" },
	{ "metadata.attempt", "Part of the key: the same again gives the container that was created; one "
	  "that has run: refused.", "pod/container.c" },
	{ "image.image", "Required. The image by name, digest or id; it must have been pulled.",
	  "pod/container.c" },
	{ "image.annotations", "Kept, in the status.", "cri/containers.c" },
	{ "image.user_specified_image", "Kept, in the status, and the name in metrics.", "cri/containers.c" },
	{ "image.runtime_handler", NOT_READ "an image is the same for every handler.", NULL },
	{ "image.image_ref", NOT_READ "the daemon says which image it is by `image_ref` of the status.",
	  NULL },
	{ "command", "Instead of the image's entry point and arguments.", "pod/spec.c" },
	{ "args", "Instead of the image's arguments.", "pod/spec.c" },
	{ "working_dir", "Working directory; empty: the image's, else `/`.", "pod/spec.c" },
	{ "envs.key", "Name of a variable, over the image's. Empty or with `=`: refused.", "pod/spec.c" },
	{ "envs.value", "Its value. With a NUL in it: refused.", "pod/spec.c" },
	{ "mounts.container_path", "Required, absolute. Parents are mounted before what lies below them.",
	  "pod/mounts.c" },
	{ "mounts.host_path", "Bound with all below it; links are followed on the host. Missing on the "
	  "host, or given together with an image: refused.", "pod/mounts.c" },
	{ "mounts.readonly", "The mount is read-only, what lies below it is not. Required for an image.",
	  "pod/mounts.c" },
	{ "mounts.selinux_relabel", "Files get the container's label, where SELinux is enabled. The "
	  "node's own directories: refused.", "pod/selinux.c" },
	{ "mounts.propagation", "Private, from the host, or both ways; the container's root allows it.",
	  "pod/mounts.c" },
	{ "mounts.uidMappings.*", "The mount's ids are mapped, as the pod's user namespace needs them.",
	  "pod/mounts.c" },
	{ "mounts.gidMappings.*", "As `uidMappings`.", "pod/mounts.c" },
	{ "mounts.recursive_read_only", "All below it is read-only, too. Without `readonly` or with "
	  "propagation: refused.", "pod/mounts.c" },
	{ "mounts.image.image", "An image is mounted, read-only, without set-uid and devices.",
	  "pod/container.c" },
	{ "mounts.image.user_specified_image", "Kept, in the status.", "cri/configs.c" },
	{ "mounts.image.annotations", NOT_READ "nothing depends on them.", NULL },
	{ "mounts.image.runtime_handler", NOT_READ "an image is the same for every handler.", NULL },
	{ "mounts.image.image_ref", "Kept; the status says which image it is.", "cri/configs.c" },
	{ "mounts.image_sub_path", "A directory of the image instead of all of it; missing or without an "
	  "image: refused.", "pod/mounts.c" },
	{ "mounts.mount_options", "Options of one mount (`noexec`, `nosuid`, `noatime` …); others: "
	  "refused by their names.", "pod/mounts.c" },
	{ "devices.container_path", "Path of the node in the container; empty: as on the host.",
	  "pod/devices.c" },
	{ "devices.host_path", "Required. A node, or a directory with nodes; anything else: refused.",
	  "pod/devices.c" },
	{ "devices.permissions", "Of `rwm` for the cgroup; empty: all. Others: refused.", "pod/devices.c" },
	{ "labels", "Kept, in statuses and lists, and what filters select by.", "cri/filter.c" },
	{ "annotations", "Kept, in statuses and lists; seen by NRI plugins.", "cri/containers.c" },
	{ "log_path", "The log file below the pod's `log_directory`. Absolute or with `..`: refused.",
	  "pod/container.c" },
	{ "stdin", "Its standard input stays open for who attaches; else it is empty.", "pod/life.c" },
	{ "stdin_once", "It ends when the first who attached has left.", "pod/stream.c" },
	{ "tty", "A terminal; stdout and stderr are one stream.", "pod/life.c" },
	{ "linux.resources.cpu_period", "Period of the CPU quota. Negative: refused.", "pod/resources.c" },
	{ "linux.resources.cpu_quota", "CPU time for each period; -1: no limit.", "pod/resources.c" },
	{ "linux.resources.cpu_shares", "CPU shares, on cgroup v2 as a weight. Negative: refused.",
	  "pod/resources.c" },
	{ "linux.resources.memory_limit_in_bytes", "Memory limit. An update below what is in use: "
	  "refused.", "pod/resources.c" },
	{ "linux.resources.oom_score_adj", "OOM score of its processes, as low as the daemon may give. "
	  "Not between -1000 and 1000: refused.", "pod/resources.c" },
	{ "linux.resources.cpuset_cpus", "CPUs that it may use.", "pod/resources.c" },
	{ "linux.resources.cpuset_mems", "Memory nodes that it may use.", "pod/resources.c" },
	{ "linux.resources.hugepage_limits.*", "Huge page limits; where the controller is missing: "
	  "refused.", "pod/resources.c" },
	{ "linux.resources.unified", "Files of cgroup v2, written last. On v1: refused by the file's "
	  "name.", "pod/resources.c" },
	{ "linux.resources.memory_swap_limit_in_bytes", "Limit of memory and swap together. Absent: no "
	  "swap beyond the memory limit, where swap is counted.", "pod/resources.c" },
	{ "linux.security_context.capabilities.add_capabilities", "On top of the default set; `ALL`: all "
	  "that the daemon has. Unknown names: refused.", "pod/security.c" },
	{ "linux.security_context.capabilities.drop_capabilities", "Taken away; `ALL`: all but those "
	  "added by name.", "pod/security.c" },
	{ "linux.security_context.capabilities.add_ambient_capabilities", "Ambient and inheritable, as "
	  "far as they are among its capabilities.", "pod/security.c" },
	{ "linux.security_context.privileged", "All capabilities and devices, no filter, no masked "
	  "paths, `/sys` and the cgroups writable.", "pod/spec.c" },
	{ "linux.security_context.namespace_options.network", "The pod's, whatever is repeated here.",
	  "pod/spec.c" },
	{ "linux.security_context.namespace_options.pid", "POD: the pod's; CONTAINER: its own; NODE: the "
	  "host's; TARGET: that of `target_id`.", "pod/spec.c" },
	{ "linux.security_context.namespace_options.ipc", "The pod's, whatever is repeated here.",
	  "pod/spec.c" },
	{ "linux.security_context.namespace_options.target_id", "A running container of the same pod; "
	  "anything else: refused.", "pod/container.c" },
	{ "linux.security_context.namespace_options.userns_options.*", "Checked to be a possible one. "
	  "The pod's is used.", "pod/userns.c" },
	{ "linux.security_context.selinux_options.*", "Single parts of the process's label, over the "
	  "pod's and the policy's own; of a privileged one over `spc_t` in no category. No context of the policy's: "
	  "refused. Where SELinux is enabled.", "pod/selinux.c" },
	{ "linux.security_context.run_as_user", "The user, by id. No id: refused.", "pod/users.c" },
	{ "linux.security_context.run_as_group", "The group. Without a user: refused.", "pod/users.c" },
	{ "linux.security_context.run_as_username", "The user, by name in the image's `/etc/passwd`; "
	  "missing there: refused.", "pod/users.c" },
	{ "linux.security_context.readonly_rootfs", "The root is read-only.", "pod/spec.c" },
	{ "linux.security_context.supplemental_groups", "Further groups. No ids, or more than can be: "
	  "refused.", "pod/users.c" },
	{ "linux.security_context.supplemental_groups_policy", "Merge: the groups of the image's "
	  "`/etc/group`, too; Strict: only those asked for.", "pod/users.c" },
	{ "linux.security_context.no_new_privs", "No privileges are gained by executing anything.",
	  "pod/spec.c" },
	{ "linux.security_context.masked_paths", "Hidden, unless privileged. With neither these nor "
	  "`readonly_paths`: the usual ones, or none in a pod with a user namespace (procMount Unmasked).",
	  "pod/spec.c" },
	{ "linux.security_context.readonly_paths", "Read-only, unless privileged; absent: as "
	  "`masked_paths`.", "pod/spec.c" },
	{ "linux.security_context.seccomp.profile_type", "RuntimeDefault: the built-in profile for its "
	  "capabilities; Localhost: that file; Unconfined, absent or privileged: none.", "pod/security.c" },
	{ "linux.security_context.seccomp.localhost_ref", "A file, absolute or below "
	  "`pods.seccomp_profile_root`. Missing or no profile: refused.", "pod/security.c" },
	{ "linux.security_context.apparmor.profile_type", "RuntimeDefault: a profile of our own, loaded "
	  "when it is wanted; Localhost: that profile; Unconfined or privileged: none.", "pod/apparmor.c" },
	{ "linux.security_context.apparmor.localhost_ref", "Name of a loaded profile. On a host without "
	  "AppArmor, or not loaded: refused.", "pod/apparmor.c" },
	{ "linux.security_context.apparmor_profile", "The old spelling of `apparmor`, where that is "
	  "absent; what is no profile: refused.", "cri/configs.c" },
	{ "linux.security_context.seccomp_profile_path", "The old spelling of `seccomp`, likewise.",
	  "cri/configs.c" },
	{ "windows", "Refused: this is Linux.", "cri/configs.c" },
	{ "CDI_devices.name", "The device's edits from the CDI files of the host; unknown: refused.",
	  "cri/configs.c" },
	{ "stop_signal", "What `StopContainer` sends first; absent: the image's, else SIGTERM. No "
	  "signal: refused.", "cri/signals.c" },
};

struct walk {
	const struct effect *effects;
	size_t n;
	bool *used;
	struct buf *out;
	unsigned wrong;
};

static void wrong(struct walk *w, const char *path, const char *what)
{
	fprintf(stderr, "%s: %s\n", path, what);
	w->wrong++;
}

static bool covers(const char *pattern, const char *path)
{
	size_t len = strlen(pattern);

	if (len > 2 && str_has_suffix(pattern, ".*"))
		return strncmp(pattern, path, len - 1) == 0;
	return str_eq(pattern, path);
}

static const struct effect *effect_of(struct walk *w, const char *path)
{
	for (size_t i = 0; i < w->n; i++)
		if (covers(w->effects[i].path, path)) {
			w->used[i] = true;
			return &w->effects[i];
		}
	return NULL;
}

static void row(struct walk *w, const char *path, bool read)
{
	const struct effect *e = effect_of(w, path);

	if (!e) {
		wrong(w, path, "what becomes of it is not said");
		return;
	}
	if (read == (str_skip_prefix(e->text, NOT_READ) != NULL))
		wrong(w, path, read ? "is read, but said not to be" : "is not read, but said to be");
	buf_printf(w->out, "| `%s` | %s |", path, e->text);
	if (e->file)
		buf_printf(w->out, " `%s` |\n", e->file);
	else
		buf_puts(w->out, " |\n");
}

/* How the type reads a field: by a row, by its function, or not at all. */
static bool reads(const struct wire_type *t, const ProtobufCFieldDescriptor *d,
		  const struct wire_type **ret_type)
{
	*ret_type = NULL;
	for (size_t i = 0; t && i < t->n_fields; i++)
		if (t->fields[i].wire == d->offset) {
			*ret_type = t->fields[i].type;
			return true;
		}
	for (size_t i = 0; t && i < t->n_also; i++)
		if (str_eq(t->also[i].field, d->name)) {
			*ret_type = t->also[i].type;
			return true;
		}
	return false;
}

static void walk(struct walk *w, const struct wire_type *t, const ProtobufCMessageDescriptor *m,
		 const char *prefix, int depth)
{
	assert(depth < DEPTH_MAX);
	for (unsigned i = 0; i < m->n_fields; i++) {
		const ProtobufCFieldDescriptor *d = &m->fields[i];
		const struct wire_type *sub;
		char path[PATH_LEN];
		bool read = reads(t, d, &sub);

		snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", d->name);
		/* a message that a table takes apart has a row for each of its fields */
		if (sub)
			walk(w, sub, sub->descriptor, path, depth + 1);
		else
			row(w, path, read);
	}
}

static void section(const char *title, const struct wire_type *t, const struct effect *effects, size_t n,
		    struct buf *out, const char *src, unsigned *bad)
{
	bool *used = mem_new(n, sizeof(*used));
	struct walk w = { effects, n, used, out, 0 };

	buf_printf(out, "\n## %s\n\n| field | where it takes effect, or how it is refused | see `src/` |\n"
		   "|---|---|---|\n", title);
	walk(&w, t, t->descriptor, "", 0);
	for (size_t i = 0; i < n; i++) {
		autofree char *file = src && effects[i].file ? mem_printf("%s/%s", src, effects[i].file) : NULL;

		if (!used[i])
			wrong(&w, effects[i].path, "there is no such field");
		if (file && access(file, R_OK) < 0)
			wrong(&w, effects[i].path, "its source file is not there");
	}
	*bad += w.wrong;
	free(used);
}

int main(int argc, char **argv)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20), have = BUF_INIT(1 << 20);
	bool check = argc >= 3 && str_eq(argv[1], "--check");
	const char *src = argc > 3 ? argv[3] : NULL;
	FILE *f;
	char block[4096];
	size_t n;
	unsigned bad = 0;

	buf_puts(&out, "# What becomes of each field\n\nWritten by `cri-fields` from the field tables of "
		       "`src/cri/configs.c`, and checked against them by a\n"
		       "test: every field of `PodSandboxConfig` and `ContainerConfig`, where it takes effect or how "
		       "it is\nrefused. The calls are the rows of `src/cri/methods.c`.\n");
	section("PodSandboxConfig", &cri_pod_config, pod_effects, ARRAY_LEN(pod_effects), &out, src, &bad);
	section("ContainerConfig", &cri_container_config, container_effects, ARRAY_LEN(container_effects),
		&out, src, &bad);
	if (!check) {
		fwrite(out.data, 1, out.len, stdout);
		return bad != 0;
	}
	f = fopen(argv[2], "re");
	while (f && (n = fread(block, 1, sizeof(block), f)) > 0)
		buf_append(&have, block, n);
	if (f)
		fclose(f);
	if (have.len != out.len || memcmp(have.data, out.data, out.len) != 0) {
		fprintf(stderr, "%s is not what cri-fields writes: cri-fields >%s\n", argv[2], argv[2]);
		bad++;
	}
	return bad != 0;
}
