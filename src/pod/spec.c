/*
 * What a container is started as and in which namespaces. Precedence everywhere: the request,
 * then the image, then what all runtimes do.
 */
#include "pod/spec.h"

#include "pod/cgroup.h"

#include "pod/security.h"
#include "pod/userns.h"

#include <stdio.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *const default_masked[] = {
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
	"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
	"/sys/devices/virtual/powercap", "/sys/firmware",
};

static const char *const default_readonly[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

/* ---- process ---- */

static int put_args(const struct pod_spec *in, struct arena *a, struct oci_process *p, struct err *err)
{
	const struct pod_container_config *c = in->config;
	char *const *head = c->command, *const *tail = c->args;
	size_t n_head = c->n_command, n_tail = c->n_args;

	/* as Kubernetes has it: a command silences the image's arguments too */
	if (!n_head) {
		head = in->image->entrypoint;
		n_head = in->image->n_entrypoint;
		if (!n_tail) {
			tail = in->image->cmd;
			n_tail = in->image->n_cmd;
		}
	}
	if (!n_head && !n_tail)
		return err_set(err, ERR_INVALID, "no command: neither the request nor the image %s names one",
			       c->image);
	p->args = arena_new(a, n_head + n_tail, sizeof(char *));
	if (n_head)
		memcpy(p->args, head, n_head * sizeof(char *));
	if (n_tail)
		memcpy(p->args + n_head, tail, n_tail * sizeof(char *));
	p->n_args = n_head + n_tail;
	return 0;
}

/* Sets KEY of "KEY=value" or appends. */
static void set_env(struct oci_process *p, char *pair)
{
	size_t n = (size_t)(strchrnul(pair, '=') - pair) + 1;

	for (size_t i = 0; i < p->n_env; i++) {
		if (strncmp(p->env[i], pair, n) == 0) {
			p->env[i] = pair;
			return;
		}
	}
	p->env[p->n_env++] = pair;
}

static bool has_env(const struct oci_process *p, const char *key_eq)
{
	for (size_t i = 0; i < p->n_env; i++)
		if (str_skip_prefix(p->env[i], key_eq))
			return true;
	return false;
}

static int put_env(const struct pod_spec *in, struct arena *a, struct oci_process *p, struct err *err)
{
	const struct pod_container_config *c = in->config;

	p->env = arena_new(a, in->image->n_env + c->n_envs + 4, sizeof(char *));
	set_env(p, arena_strdup(a, DEFAULT_PATH));
	set_env(p, arena_printf(a, "HOSTNAME=%s", in->hostname));
	if (c->tty)
		set_env(p, arena_strdup(a, "TERM=xterm"));
	for (size_t i = 0; i < in->image->n_env; i++)
		if (strchr(in->image->env[i], '='))
			set_env(p, in->image->env[i]);
	for (size_t i = 0; i < c->n_envs; i++) {
		if (str_empty(c->envs[i].key) || strchr(c->envs[i].key, '='))
			return err_set(err, ERR_INVALID, "envs: \"%s\" is no name of a variable",
				       c->envs[i].key ? c->envs[i].key : "");
		set_env(p, arena_printf(a, "%s=%s", c->envs[i].key,
					c->envs[i].value ? c->envs[i].value : ""));
	}
	if (!has_env(p, "HOME="))
		set_env(p, arena_printf(a, "HOME=%s", in->user->home));
	return 0;
}

static int put_process(const struct pod_spec *in, struct arena *a, struct oci_config *c, uint64_t *ret_caps,
		       struct err *err)
{
	const struct pod_security *s = &in->config->security;
	const char *image_cwd = in->image->working_dir;
	struct oci_process *p = arena_new(a, 1, sizeof(*p));
	int r;

	c->process = p;
	p->terminal = in->config->tty;
	p->user.uid = in->user->uid;
	p->user.gid = in->user->gid;
	p->user.additional_gids = in->user->groups;
	p->user.n_additional_gids = in->user->n_groups;
	p->cwd = !str_empty(in->config->working_dir) ? in->config->working_dir :
		 !str_empty(image_cwd)               ? (char *)image_cwd :
						       arena_strdup(a, "/");
	/* an image may say "app": below its root */
	if (p->cwd[0] != '/')
		p->cwd = arena_printf(a, "/%s", p->cwd);
	p->no_new_privileges = s->no_new_privs;
	pod_selinux_labels(s, &in->pod->security, in->host, a, &p->selinux_label, &c->linux_->mount_label);
	r = put_args(in, a, p, err);
	if (r == 0)
		r = put_env(in, a, p, err);
	if (r == 0)
		r = pod_caps(s, in->host->caps, a, &p->capabilities, ret_caps, err);
	if (r == 0)
		r = pod_apparmor(s, in->host, a, &p->apparmor_profile, err);
	return r;
}

/* ---- namespaces ---- */

static void add_namespace(struct oci_linux *l, struct arena *a, const char *type, char *path)
{
	l->namespaces[l->n_namespaces++] = (struct oci_namespace){ arena_strdup(a, type), path };
}

static char *of_process(struct arena *a, pid_t pid, const char *ns)
{
	return arena_printf(a, "/proc/%d/ns/%s", (int)pid, ns);
}

static int put_namespaces(const struct pod_spec *in, struct arena *a, struct oci_linux *l, struct err *err)
{
	const struct pod_namespaces *pod = &in->pod->security.namespaces;
	int pid = in->config->security.namespaces.pid;

	l->namespaces = arena_new(a, 8, sizeof(*l->namespaces));
	add_namespace(l, a, "mount", NULL);
	if (pod_userns_wanted(pod)) {
		add_namespace(l, a, "user", of_process(a, in->pause_pid, "user"));
		pod_userns_oci(pod, a, l);
	}
	/* network and IPC are the pod's, whatever the container's own request repeats of them */
	if (in->netns) {
		add_namespace(l, a, "network", arena_strdup(a, in->netns));
		add_namespace(l, a, "uts", of_process(a, in->pause_pid, "uts"));
	}
	if (pod->ipc != POD_NS_NODE)
		add_namespace(l, a, "ipc", of_process(a, in->pause_pid, "ipc"));
	switch (pid) {
	case POD_NS_POD:
		if (pod->pid != POD_NS_NODE)
			add_namespace(l, a, "pid", of_process(a, in->pause_pid, "pid"));
		break;
	case POD_NS_CONTAINER:
		add_namespace(l, a, "pid", NULL);
		break;
	case POD_NS_NODE:
		break;
	case POD_NS_TARGET:
		add_namespace(l, a, "pid", of_process(a, in->target_pid, "pid"));
		break;
	default:
		return err_set(err, ERR_INVALID, "namespace_options.pid: unknown mode %d", pid);
	}
	/* v1: as everywhere in the field, the container sees its full path */
	if (in->host->cgroup2 && !in->config->security.privileged)
		add_namespace(l, a, "cgroup", NULL);
	return 0;
}

/* ---- paths of /proc and /sys ---- */

static void put_paths(char *const *given, size_t n_given, const char *const *defaults, size_t n_defaults,
		      struct arena *a, char ***ret, size_t *ret_n)
{
	size_t n = n_given ? n_given : n_defaults;
	char **paths = arena_new(a, n, sizeof(char *));

	for (size_t i = 0; i < n; i++)
		paths[i] = n_given ? given[i] : arena_strdup(a, defaults[i]);
	*ret = paths;
	*ret_n = n;
}

static void put_annotations(const struct pod_spec *in, struct arena *a, struct oci_config *c)
{
	const struct json_kv all[] = {
		{ "io.kubernetes.cri.container-type", "container" },
		{ "io.kubernetes.cri.sandbox-id", (char *)in->pod_id },
		{ "io.kubernetes.cri.sandbox-name", in->pod->name },
		{ "io.kubernetes.cri.sandbox-namespace", in->pod->ns },
		{ "io.kubernetes.cri.sandbox-uid", in->pod->uid },
		{ "io.kubernetes.cri.container-name", in->config->name },
		{ "io.kubernetes.cri.image-name", in->config->image },
	};

	c->annotations = arena_new(a, ARRAY_LEN(all) + 1, sizeof(*c->annotations));
	memcpy(c->annotations, all, sizeof(all));
	c->n_annotations = ARRAY_LEN(all);
	if (in->host->quadratic_weight)
		c->annotations[c->n_annotations++] = (struct json_kv){
			arena_strdup(a, "org.caisson.cpu-weight-curve"), arena_strdup(a, "quadratic")
		};
}

int pod_spec_build(const struct pod_spec *in, struct arena *a, struct oci_config *ret, struct err *err)
{
	const struct pod_security *s = &in->config->security;
	struct oci_linux *l = arena_new(a, 1, sizeof(*l));
	struct oci_config c = { .linux_ = l };
	uint64_t caps = 0;
	int r;

	c.oci_version = arena_strdup(a, "1.2.0");
	c.root = arena_new(a, 1, sizeof(*c.root));
	c.root->path = arena_strdup(a, in->rootfs);
	c.root->readonly = s->readonly_rootfs;
	l->cgroups_path = pod_cgroup_request(in->cgroup_path, a);
	r = put_process(in, a, &c, &caps, err);
	if (r == 0)
		r = put_namespaces(in, a, l, err);
	if (r == 0)
		r = pod_spec_resources(in, a, &c, err);
	if (r == 0)
		r = pod_spec_devices(in, a, l, err);
	if (r == 0)
		r = pod_spec_mounts(in, a, &c, err);
	if (r == 0)
		r = pod_seccomp(s, in->seccomp_root, caps, a, &l->seccomp, err);
	if (r < 0)
		return r;
	/* no lists at all: the usual ones, but for a pod with users of its own, where it is how the
	 * kubelet says procMount Unmasked */
	if (!s->privileged && (s->n_masked_paths || s->n_readonly_paths ||
			       !pod_userns_wanted(&in->pod->security.namespaces))) {
		put_paths(s->masked_paths, s->n_masked_paths, default_masked, ARRAY_LEN(default_masked), a,
			  &l->masked_paths, &l->n_masked_paths);
		put_paths(s->readonly_paths, s->n_readonly_paths, default_readonly,
			  ARRAY_LEN(default_readonly), a, &l->readonly_paths, &l->n_readonly_paths);
	}
	put_annotations(in, a, &c);
	*ret = c;
	return 0;
}
