/*
 * RunPodSandbox: from a configuration to a pod that is ready, as one straight line on a
 * worker thread. The record of intent is committed before the first kernel object is made,
 * and the pod is listed only after the last step; a failure takes everything away again,
 * with deadlines of its own.
 *
 * The network plugins (tens of milliseconds) and the shim with the pause process run side
 * by side: both need nothing but the network namespace, which is made before.
 */
#include "pod/cgroup.h"
#include "pod/files.h"
#include "pod/pause.h"
#include "pod/plugins.h"
#include "pod/security.h"
#include "pod/userns.h"
#include "sec/sec.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static int check_name(const char *field, const char *s, struct err *err)
{
	if (str_empty(s))
		return err_set(err, ERR_INVALID, "metadata.%s: empty", field);
	if (strlen(s) > 253)
		return err_set(err, ERR_INVALID, "metadata.%s: longer than 253 characters", field);
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '/')
			return err_set(err, ERR_INVALID,
				       "metadata.%s: a space, slash or control character in it",
				       field);
	return 0;
}

static int check_mode(const char *field, int mode, bool container, struct err *err)
{
	if (mode == POD_NS_POD || mode == POD_NS_NODE || (container && mode == POD_NS_CONTAINER))
		return 0;
	return err_set(err, ERR_INVALID, "namespace_options.%s: mode %d is not possible for a pod", field,
		       mode);
}

static int check_config(const struct pod_manager *m, const struct pod_config *c, struct err *err)
{
	const struct pod_namespaces *ns = &c->security.namespaces;
	int r = check_name("name", c->name, err);

	if (r == 0)
		r = check_name("namespace", c->ns, err);
	if (r == 0)
		r = check_name("uid", c->uid, err);
	if (r == 0)
		r = check_mode("network", ns->network, false, err);
	if (r == 0)
		r = check_mode("ipc", ns->ipc, false, err);
	if (r == 0)
		r = check_mode("pid", ns->pid, true, err);
	if (r < 0)
		return r;
	r = pod_userns_check(ns, err);
	if (r < 0)
		return r;
	if (pod_userns_wanted(ns) && !m->host.user_namespaces)
		return err_set(err, ERR_UNSUPPORTED,
			       "userns_options: the file system of %s has no idmapped mounts", m->settings.root);
	if (!str_empty(c->handler) && !str_eq(c->handler, "caisson"))
		return err_set(err, ERR_INVALID, "runtime handler %s: not configured", c->handler);
	if (!str_empty(c->log_directory) && c->log_directory[0] != '/')
		return err_set(err, ERR_INVALID, "log_directory %s: not an absolute path", c->log_directory);
	return 0;
}

/* The pod of op, in the tables and held by op. 1: it exists already, op->result names it. */
static int reserve(struct pod_op *op, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_manager *m = op->m;
	const char *key = pod_sandbox_key(op->pod_config, &a);
	char id[ID_LEN + 1];
	struct pod_sandbox *p, *old;
	int r = 0;

	id_random(id);
	p = pod_sandbox_new(m, id, op->pod_config, err);
	if (!p)
		return -EINVAL;
	/* twice at most: what was left half made is taken away first */
	for (int i = 0; i < 2; i++) {
		pod_lock(m);
		if (map_get(&m->newer, key)) {
			pod_unlock(m);
			pod_sandbox_unref(p);
			return err_set(err, ERR_EXISTS, "attempt %u exists already, made by a newer Caisson, which alone "
				       "can end it", op->pod_config->attempt);
		}
		old = map_get(&m->pod_keys, key);
		if (!old) {
			r = pod_sandbox_insert(p);
			assert(r == 0);
			p->op = op;
			op->pod = p;
			pod_unlock(m);
			return 0;
		}
		if (old->visible) {
			bool ready = old->state == POD_READY && !old->priv->stopping;

			snprintf(op->result, sizeof(op->result), "%s", old->id);
			pod_unlock(m);
			pod_sandbox_unref(p);
			return ready ? 1 : err_set(err, ERR_EXISTS,
						   "attempt %u exists already as %s and is not "
						   "ready: remove it first",
						   op->pod_config->attempt, op->result);
		}
		pod_sandbox_ref(old);
		pod_unlock(m);
		r = pod_op_hold_sandbox(op, old, false, err);
		if (r == 0) {
			r = pod_sandbox_purge(op, old, err);
			pod_lock(m);
			op->pod = NULL;
			old->op = NULL;
			pod_changed(m);
			pod_unlock(m);
			pod_sandbox_unref(old);
			if (r < 0) {
				pod_sandbox_unref(p);
				return err_wrap(err, r, "taking away what an earlier attempt left");
			}
		}
		err_clear(err);
	}
	pod_sandbox_unref(p);
	return err_set(err, ERR_UNAVAILABLE, "an earlier attempt is still being taken away");
}

/* What containers of the pod share as /dev/shm: 64 MiB, as everywhere. */
static int mount_shm(const struct pod_sandbox *p, const char *label, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const char *dir = arena_printf(&a, "%s/shm", p->dir);
	autofd int fs = -EBADF, mnt = -EBADF, target = -EBADF;
	uint32_t uid, gid;
	int r = mkdir(dir, 0700) < 0 && errno != EEXIST ? -errno : 0;

	pod_userns_root(&p->config->security.namespaces, &uid, &gid);

	if (r == 0)
		r = sys_fsopen("tmpfs", &fs);
	if (r == 0)
		r = sys_fsconfig(fs, "source", "shm");
	if (r == 0)
		r = sys_fsconfig(fs, "size", "67108864");
	if (r == 0)
		r = sys_fsconfig(fs, "mode", "1777");
	if (r == 0 && label)
		r = sys_fsconfig(fs, "context", label);
	if (r == 0)
		r = sys_fsconfig(fs, "uid", arena_printf(&a, "%u", uid));
	if (r == 0)
		r = sys_fsconfig(fs, "gid", arena_printf(&a, "%u", gid));
	if (r == 0)
		r = sys_fsmount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &mnt);
	if (r == 0) {
		target = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = target < 0 ? -errno : sys_attach_mount(mnt, target);
	}
	return r < 0 ? err_sys(err, r, "mount %s", dir) : 0;
}

void pod_shim_launch(const struct pod_sandbox *p, struct shim_launch *ret)
{
	const struct pod_manager *m = p->priv->m;

	*ret = (struct shim_launch){
		.binary = m->settings.shim_binary, .pod_id = p->id, .ns = "k8s.io", .state_dir = p->dir,
		.bundle = p->dir, .events_address = m->settings.events_address,
		.criu = m->settings.criu, .debug = log_level() == LOG_DEBUG,
	};
}

static int write_bundle(const struct pod_sandbox *p, const char *hostname, const char *bundle,
			struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX);
	struct oci_config config;
	int r = sys_mkdir_p(bundle, 0711);

	if (r < 0)
		return err_sys(err, r, "make %s", bundle);
	r = pod_pause_spec(p->priv->m, p, hostname, &a, &config, err);
	if (r == 0)
		r = oci_config_write(&config, 0, &text, err);
	if (r < 0)
		return r;
	r = sys_file_replace(AT_FDCWD, arena_printf(&a, "%s/config.json", bundle), text.data, text.len, 0600,
			     false);
	return r < 0 ? err_sys(err, r, "write %s/config.json", bundle) : 0;
}

struct pause_job {
	struct pod_sandbox *p;
	const char *hostname;
};

/* The branch beside the network: shim, then pause in it. */
static int start_pause(void *user, struct err *err)
{
	struct pause_job *job = user;
	struct pod_sandbox *p = job->p;
	struct pod_manager *m = p->priv->m;
	autofree char *bundle = mem_printf("%s/pause", p->dir);
	struct shim_create create = { .id = p->id, .bundle = bundle, .runtime_root = m->runtime_root,
				      .systemd_cgroup = pod_cgroup_is_unit(p->cgroup_path) };
	struct shim_process shim = { 0 };
	struct shim_launch launch;
	uint64_t ticks = 0;
	pid_t pid = 0, ignored;
	int r = write_bundle(p, job->hostname, bundle, err);

	if (r < 0)
		return r;
	pod_shim_launch(p, &launch);
	r = shim_start(&launch, time_now_mono() + POD_SHIM_START_TIME, &shim, err);
	if (r < 0)
		return err_wrap(err, r, "start shim");
	pod_lock(m);
	p->priv->shim = shim;
	pod_unlock(m);
	r = shim_task_create(shim.address, &create, time_now_mono() + POD_TASK_CREATE_TIME, &pid, err);
	if (r == 0)
		r = shim_task_start(shim.address, p->id, "", time_now_mono() + POD_TASK_TIME, &ignored, err);
	if (r == 0 && (r = sys_proc_start_time(pid, &ticks)) < 0)
		r = err_sys(err, r, "it exited at once");
	if (r < 0)
		return err_wrap(err, r, "pause");
	pod_lock(m);
	p->pid = pid;
	p->pid_ticks = ticks;
	pod_unlock(m);
	return 0;
}

/* The network's intent into the record, so that DEL can follow whatever happens in ADD. */
static int prepare_network(struct pod_op *op, struct pod_sandbox *p, int userns_fd, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_manager *m = p->priv->m;
	const struct pod_config *c = p->config;
	struct cni_attachment *at = arena_new(&a, 1, sizeof(*at));
	struct cni_port *ports = arena_new(&a, c->n_ports, sizeof(*ports));
	struct cni_pod pod = {
		.id = p->id, .name = c->name, .ns = c->ns, .uid = c->uid, .ports = ports,
		.n_ports = c->n_ports, .netns = arena_printf(&a, "%s/netns", p->dir),
		.cgroup_path = p->cgroup_path,
		.dns_servers = c->dns_servers, .n_dns_servers = c->n_dns_servers,
		.dns_searches = c->dns_searches, .n_dns_searches = c->n_dns_searches,
		.dns_options = c->dns_options, .n_dns_options = c->n_dns_options,
		.annotations = c->annotations, .n_annotations = c->n_annotations,
	};
	int r;

	for (size_t i = 0; i < c->n_ports; i++)
		ports[i] = (struct cni_port){ c->ports[i].protocol, c->ports[i].container_port,
					      c->ports[i].host_port, c->ports[i].host_ip };
	r = pod_op_stage(op, "network namespace", err);
	if (r == 0)
		r = cni_attach_prepare(m->cni, &pod, &a, at, err);
	if (r < 0)
		return r;
	pod_lock(m);
	p->netns = (char *)pod.netns;
	p->priv->network = at;
	arena_adopt(&p->priv->arena, &a);
	pod_unlock(m);
	r = pod_sandbox_commit(p, err);
	return r < 0 ? r : cni_netns_create(p->netns, userns_fd, err);
}

const char *pod_network_result(const struct pod_sandbox *p)
{
	return p->priv->network ? p->priv->network->result : NULL;
}

static int attach_network(struct pod_sandbox *p, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_manager *m = p->priv->m;
	struct cni_attachment at = *p->priv->network;
	struct cni_result result;
	int r;

	/* an address that somebody keeps for us over a power loss, with a DEL that nobody owes, is lost */
	r = store_sync(m->store, err);
	if (r == 0)
		r = cni_attach_add(m->cni, &at, time_now_mono() + m->settings.cni_timeout, &a, &result, err);
	if (r < 0)
		return r;
	pod_lock(m);
	*p->priv->network = at;
	p->ips = result.pod_ips;
	p->n_ips = result.n_pod_ips;
	arena_adopt(&p->priv->arena, &a);
	pod_unlock(m);
	return 0;
}

/* The files that containers get from us. */
static int label_files(const struct pod_sandbox *p, const char *label, struct err *err)
{
	static const char *const files[] = { "hosts", "hostname", "resolv.conf" };
	int r = 0;

	for (size_t i = 0; label && i < ARRAY_LEN(files) && r == 0; i++) {
		autofree char *path = mem_printf("%s/%s", p->dir, files[i]);

		r = pod_selinux_relabel(path, label, err);
	}
	return r;
}

/*
 * The pod's directory is not for other users of the node: they could reach what is mounted there as
 * /dev/shm. The root of the pod's user namespace comes through it to the root file systems.
 */
static int make_dir(const struct pod_sandbox *p, struct err *err)
{
	uint32_t uid, gid;
	int r = sys_mkdir_p(p->dir, 0700);

	pod_userns_root(&p->config->security.namespaces, &uid, &gid);
	if (r == 0 && (chown(p->dir, 0, gid) < 0 || chmod(p->dir, 0710) < 0))
		r = -errno;
	return r < 0 ? err_sys(err, r, "make %s", p->dir) : 0;
}

static int make(struct pod_op *op, struct pod_sandbox *p, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const struct pod_security files = { .selinux = p->config->security.selinux };
	char *process_label, *file_label;
	const struct pod_namespaces *ns = &p->config->security.namespaces;
	struct pod_manager *m = p->priv->m;
	char hostname[256];
	struct pause_job job = { p, hostname };
	struct pod_branch branch;
	autofd int userns = -EBADF;
	struct err net_err = ERR_INIT;
	bool died;
	int r, r_net = 0;

	pod_selinux_labels(&files, &files, &m->host, &a, &process_label, &file_label);
	r = sec_selinux_check(process_label, err);
	if (r == 0)
		r = pod_hostname(p->config, hostname, sizeof(hostname), err);
	if (r == 0)
		r = pod_cgroup_choose(p, err);
	if (r == 0)
		r = pod_sandbox_commit(p, err);
	if (r == 0)
		r = make_dir(p, err);
	if (r == 0 && !str_empty(p->config->log_directory) &&
	    (r = sys_mkdir_p(p->config->log_directory, 0755)) < 0)
		r = err_sys(err, r, "log_directory %s", p->config->log_directory);
	if (r == 0)
		r = pod_files_write(p->config, p->dir, hostname, err);
	if (r == 0 && ns->ipc != POD_NS_NODE)
		r = mount_shm(p, file_label, err);
	if (r == 0 && pod_userns_wanted(ns))
		r = pod_userns_create(ns, p->dir, &userns, err);
	if (r == 0 && ns->network != POD_NS_NODE)
		r = prepare_network(op, p, userns, err);
	if (r == 0)
		r = pod_op_stage(op, p->netns ? "CNI ADD and pause process" : "pause process", err);
	if (r < 0)
		return r;

	pod_branch_start(&branch, m, start_pause, &job);
	if (p->netns)
		r_net = attach_network(p, &net_err);
	if (r_net == 0)
		r_net = pod_hosts_write(p->config, p->dir, hostname, p->ips, p->n_ips, &net_err);
	if (r_net == 0)
		r_net = label_files(p, file_label, &net_err);
	r = pod_branch_join(&branch, err);
	if (r == 0 && r_net < 0) {
		*err = net_err;
		r = r_net;
	}
	if (r < 0)
		return r;
	pod_watch_post_start(p);

	r = pod_op_stage(op, "NRI plugins", err);
	if (r == 0)
		r = pod_plugins_run(p, err);
	if (r == 0)
		r = pod_op_stage(op, "publishing", err);
	if (r < 0)
		return r;
	pod_lock(m);
	p->created_at = time_now_real();
	p->state = POD_READY;
	p->priv->publish = true;
	pod_unlock(m);
	r = pod_sandbox_commit(p, err);
	if (r < 0)
		return r;
	pod_sandbox_keep(p);
	died = !pod_process_alive(pod_sandbox_process(p));
	pod_lock(m);
	p->visible = !died;
	pod_changed(m);
	if (!died) {
		pod_tell(m, POD_EVENT_CREATED, p, NULL);
		pod_tell(m, POD_EVENT_STARTED, p, NULL);
	}
	pod_unlock(m);
	return died ? err_set(err, ERR_INTERNAL, "the pause process died") : 0;
}

static int run_op(struct pod_op *op, struct err *err)
{
	struct err undo_err = ERR_INIT;
	struct pod_sandbox *p;
	int r = check_config(op->m, op->pod_config, err);

	if (r == 0) {
		op->pod_config = pod_selinux_choose(op->m, op->pod_config, &op->arena);
		r = reserve(op, err);
	}
	if (r)
		return r < 0 ? r : 0;
	p = op->pod;
	pod_lock(op->m);
	p->priv->boot_id = arena_strdup(&p->priv->arena, sys_boot_id());
	snprintf(op->result, sizeof(op->result), "%s", p->id);
	pod_unlock(op->m);
	r = make(op, p, err);
	if (r == 0)
		return 0;
	pod_op_stage_anyway(op, "taking away what was made");
	pod_lock(op->m);
	p->visible = p->priv->publish = false;
	p->priv->want = POD_WANT_REMOVE;
	pod_unlock(op->m);
	if (pod_sandbox_purge(op, p, &undo_err) < 0) {
		pod_retry_post(op->m);
		err_wrap(&undo_err, -EIO, "and taking it away failed, which is tried again later");
		snprintf(err->text + strlen(err->text), sizeof(err->text) - strlen(err->text), " (%s)",
			 undo_err.text);
	}
	return r;
}

struct pod_wait *pod_sandbox_run(struct pod_manager *m, const struct pod_config *config, pod_done_fn done,
				 void *user)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	char *key = arena_printf(&a, "run %s", pod_sandbox_key(config, &a));
	struct pod_op *op = pod_op_find(m, key);
	struct pod_config *copy = NULL;

	if (op)
		return pod_op_join(op, done, user);
	op = pod_op_new(m, key, arena_printf(&a, "run pod %s/%s", config->ns ? config->ns : "",
					     config->name ? config->name : ""), run_op);
	/* what the tables of the record cannot hold is no configuration; said in the worker */
	if (pod_config_copy(config, &op->arena, &copy, &op->err) < 0)
		op->run = pod_op_fail;
	op->pod_config = copy;
	return pod_op_submit(op, done, user);
}
