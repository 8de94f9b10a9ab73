/*
 * No image: the root file system of a pause container is one directory for all pods with one
 * static program in it. Its config.json asks for the namespaces that the pod shares and for
 * nothing else: no capability, no writable place, the default system call filter.
 */
#include "pod/pause.h"

#include "pod/cgroup.h"

#include "pod/security.h"
#include "pod/userns.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { PAUSE_MAX = 64 * 1024 * 1024, PAUSE_UID = 65535 };

int pod_pause_install(struct pod_manager *m, struct err *err)
{
	static const char *const dirs[] = { "", "/proc", "/dev", "/sys", "/etc" };
	CLEANUP(buf_done) struct buf program = BUF_INIT(PAUSE_MAX);
	autofree char *path = mem_printf("%s/" POD_PAUSE_NAME, m->pause_root);
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(dirs) && r == 0; i++) {
		autofree char *dir = mem_printf("%s%s", m->pause_root, dirs[i]);

		r = sys_mkdir_p(dir, 0755);
		if (r < 0)
			return err_sys(err, r, "make %s", dir);
	}
	r = sys_file_read(AT_FDCWD, m->settings.pause_binary, PAUSE_MAX, &program);
	if (r < 0)
		return err_sys(err, r, "read the pause program %s", m->settings.pause_binary);
	r = sys_file_replace(AT_FDCWD, path, program.data, program.len, 0555, false);
	if (r == -EISDIR && sys_remove_tree(AT_FDCWD, path) == 0)
		r = sys_file_replace(AT_FDCWD, path, program.data, program.len, 0555, false);
	if (r < 0)
		return err_sys(err, r, "write %s", path);
	/* in no category, so that the pause process of each pod may run it */
	return pod_selinux_relabel(m->pause_root, m->host.selinux_file, err);
}

static void add_namespace(struct oci_linux *l, struct arena *a, const char *type, const char *path)
{
	l->namespaces[l->n_namespaces++] = (struct oci_namespace){
		.type = arena_strdup(a, type), .path = arena_strdup(a, path),
	};
}

static void add_mount(struct oci_config *c, struct arena *a, const char *dest, const char *type,
		      const char *const *options, size_t n)
{
	struct oci_mount *mount = &c->mounts[c->n_mounts++];

	mount->destination = arena_strdup(a, dest);
	mount->type = mount->source = arena_strdup(a, type);
	mount->options = arena_new(a, n, sizeof(char *));
	for (size_t i = 0; i < n; i++)
		mount->options[i] = arena_strdup(a, options[i]);
	mount->n_options = n;
}

static struct oci_process *pause_process(const struct pod_manager *m, const struct pod_config *config,
					 struct arena *a, char *label)
{
	struct oci_process *p = arena_new(a, 1, sizeof(*p));
	const struct pod_security *s = &config->security;
	int32_t *score = arena_new(a, 1, sizeof(*score));

	uint32_t id = PAUSE_UID;

	if (pod_userns_wanted(&s->namespaces) && s->namespaces.uids[0].length <= id)
		id = s->namespaces.uids[0].length - 1;
	p->user.uid = s->run_as_user ? (uint32_t)*s->run_as_user : id;
	p->user.gid = s->run_as_group ? (uint32_t)*s->run_as_group : id;
	p->cwd = arena_strdup(a, "/");
	p->args = arena_new(a, 1, sizeof(char *));
	p->args[0] = arena_strdup(a, "/" POD_PAUSE_NAME);
	p->n_args = 1;
	p->selinux_label = label;
	p->env = arena_new(a, 1, sizeof(char *));
	p->env[0] = arena_strdup(a, "PATH=/");
	p->n_env = 1;
	p->capabilities = arena_new(a, 1, sizeof(*p->capabilities));
	/* a change of the label at the exec is a privilege of its own, which few policies grant beside the bit */
	p->no_new_privileges = !p->selinux_label;
	/* as the kubelet wants it for what holds a pod together: after everything else */
	*score = m->host.oom_score_adj_min > -998 ? m->host.oom_score_adj_min : -998;
	p->oom_score_adj = score;
	return p;
}

int pod_pause_spec(const struct pod_manager *m, const struct pod_sandbox *p, const char *hostname,
		   struct arena *a, struct oci_config *ret, struct err *err)
{
	static const char *const proc_options[] = { "nosuid", "noexec", "nodev" };
	static const char *const dev_options[] = { "nosuid", "noexec", "mode=755", "size=64k" };
	const struct json_kv annotations[] = {
		{ "io.kubernetes.cri.container-type", "sandbox" },
		{ "io.kubernetes.cri.sandbox-id", (char *)p->id },
		{ "io.kubernetes.cri.sandbox-name", p->config->name },
		{ "io.kubernetes.cri.sandbox-namespace", p->config->ns },
		{ "io.kubernetes.cri.sandbox-uid", p->config->uid },
	};
	const struct pod_namespaces *ns = &p->config->security.namespaces;
	struct oci_linux *l = arena_new(a, 1, sizeof(*l));
	struct oci_config c = { 0 };
	uint64_t *shares = arena_new(a, 1, sizeof(*shares));
	char *label;

	pod_selinux_labels(&p->config->security, &p->config->security, &m->host, a, &label, &l->mount_label);
	c.oci_version = arena_strdup(a, "1.2.0");
	c.root = arena_new(a, 1, sizeof(*c.root));
	c.root->path = arena_strdup(a, m->pause_root);
	c.root->readonly = true;
	c.process = pause_process(m, p->config, a, label);
	c.mounts = arena_new(a, 2, sizeof(*c.mounts));
	add_mount(&c, a, "/proc", "proc", proc_options, ARRAY_LEN(proc_options));
	add_mount(&c, a, "/dev", "tmpfs", dev_options, ARRAY_LEN(dev_options));

	l->namespaces = arena_new(a, 6, sizeof(*l->namespaces));
	add_namespace(l, a, "mount", NULL);
	if (pod_userns_wanted(ns)) {
		add_namespace(l, a, "user", pod_userns_path(p->dir, a));
		pod_userns_oci(ns, a, l);
	}
	if (ns->pid != POD_NS_NODE)
		add_namespace(l, a, "pid", NULL);
	if (ns->ipc != POD_NS_NODE)
		add_namespace(l, a, "ipc", NULL);
	if (p->netns) {
		add_namespace(l, a, "network", p->netns);
		add_namespace(l, a, "uts", NULL);
		c.hostname = arena_strdup(a, hostname);
	}
	l->sysctl = p->config->sysctls;
	l->n_sysctl = p->config->n_sysctls;
	l->cgroups_path = pod_cgroup_request(pod_cgroup_below(p->cgroup_path, p->id, a), a);
	l->resources = arena_new(a, 1, sizeof(*l->resources));
	l->resources->cpu = arena_new(a, 1, sizeof(*l->resources->cpu));
	*shares = 2;
	l->resources->cpu->shares = shares;
	l->resources->devices = arena_new(a, 1, sizeof(*l->resources->devices));
	l->resources->devices[0] = (struct oci_device_rule){ .access = arena_strdup(a, "rwm") };
	l->resources->n_devices = 1;
	l->seccomp = pod_seccomp_default(0, a);
	c.linux_ = l;
	c.annotations = arena_new(a, ARRAY_LEN(annotations), sizeof(*c.annotations));
	memcpy(c.annotations, annotations, sizeof(annotations));
	c.n_annotations = ARRAY_LEN(annotations);
	*ret = c;
	return 0;
}
