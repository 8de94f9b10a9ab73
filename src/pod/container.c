/*
 * CreateContainer: image, snapshot, user, config.json. No process is made: that is
 * StartContainer's, so creating is cheap, and a program that does not exist is found where
 * the kubelet looks for it. Worker threads.
 *
 * The container's root is not mounted on the host. Its /etc/passwd and /etc/group are read
 * through a detached overlay mount that nobody else can see and that goes with its descriptor.
 */
#include "cdi/cdi.h"
#include "pod/checkpoint.h"
#include "mnt/mnt.h"
#include "pod/cgroup.h"
#include "pod/files.h"
#include "pod/plugins.h"
#include "pod/security.h"
#include "pod/spec.h"
#include "pod/userns.h"
#include "sec/sec.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

static int check_config(const struct pod_container_config *c, struct err *err)
{
	const struct pod_namespaces *ns = &c->security.namespaces;

	if (str_empty(c->name))
		return err_set(err, ERR_INVALID, "metadata.name: empty");
	if (str_empty(c->image))
		return err_set(err, ERR_INVALID, "image: empty");
	if (ns->pid == POD_NS_TARGET && str_empty(ns->target_id))
		return err_set(err, ERR_INVALID,
			       "namespace_options.target_id: empty, but pid mode is TARGET");
	if (c->log_path && (c->log_path[0] == '/' || strstr(c->log_path, "..")))
		return err_set(err, ERR_INVALID, "log_path %s: not a path below the pod's log_directory",
			       c->log_path);
	if (c->stop_signal < 0 || c->stop_signal > SIGRTMAX)
		return err_set(err, ERR_INVALID, "stop_signal %d: no signal", c->stop_signal);
	return 0;
}

/* ---- the user, from the image's own files ---- */

/* The layers as one read-only tree. */
static int open_root(const struct store_snapshot *snap, int *ret_fd, struct err *err)
{
	struct mnt_overlay o = MNT_OVERLAY_INIT;

	o.lowers = (const char *const *)snap->lowers;
	o.n_lowers = snap->n_lowers;
	o.attrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	return mnt_overlay_open(&o, ret_fd, err);
}

/* What is not there, is no regular file or is too large counts as empty. */
static char *read_in_root(int root, const char *path, struct arena *a)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(POD_PASSWD_MAX);
	autofd int fd = -EBADF;
	struct stat st;

	if (sys_open_in(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd) < 0 || fstat(fd, &st) < 0 ||
	    !S_ISREG(st.st_mode) || st.st_size > POD_PASSWD_MAX)
		return arena_strdup(a, "");
	while (buf_read_fd(&text, fd, 65536) > 0)
		;
	return arena_strndup(a, buf_text(&text), text.len);
}

static int resolve_user(const struct pod_container_config *c, const struct image *img,
			const struct store_snapshot *snap, struct arena *a, struct pod_user *ret,
			struct err *err)
{
	const char *passwd = "", *group = "";
	autofd int root = -EBADF;
	int r;

	if (snap->n_lowers) {
		r = open_root(snap, &root, err);
		if (r < 0)
			return r;
		passwd = read_in_root(root, "/etc/passwd", a);
		group = read_in_root(root, "/etc/group", a);
	}
	return pod_user_resolve(&c->security, img->config.config.user, passwd, group, a, ret, err);
}

/* ---- stop signal ---- */

/* "SIGQUIT", "QUIT", "3", "SIGRTMIN+3": 0 when it is none. */
static int signal_number(const char *text)
{
	uint32_t n;

	if (str_empty(text))
		return 0;
	if (str_to_u32(text, 10, &n) == 0)
		return n <= (uint32_t)SIGRTMAX ? (int)n : 0;
	if (str_skip_prefix(text, "SIG"))
		text += 3;
	if (str_skip_prefix(text, "RTMIN+") && str_to_u32(text + 6, 10, &n) == 0 &&
	    n <= (uint32_t)(SIGRTMAX - SIGRTMIN))
		return SIGRTMIN + (int)n;
	if (strcmp(text, "RTMIN") == 0)
		return SIGRTMIN;
	if (strcmp(text, "RTMAX") == 0)
		return SIGRTMAX;
	for (int i = 1; i < SIGRTMIN; i++)
		if (sigabbrev_np(i) && strcmp(sigabbrev_np(i), text) == 0)
			return i;
	return 0;
}

static int stop_signal(const struct pod_container_config *c, const struct image *img)
{
	int sig = c->stop_signal ? c->stop_signal : signal_number(img->config.config.stop_signal);

	return sig ? sig : SIGTERM;
}

/* ---- image volumes ---- */

char *pod_volume_id(const struct pod_container *c, size_t mount, struct arena *a)
{
	return arena_printf(a, "%s.volume%zu", c->id, mount);
}

int pod_volumes_remove(struct pod_container *c, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	int r = 0;

	for (size_t i = 0; i < c->config->n_mounts && r == 0; i++)
		if (!str_empty(c->config->mounts[i].image))
			r = store_snapshot_remove(c->priv->m->store, pod_volume_id(c, i, &a), err);
	return r;
}

struct volumes {
	struct pod_image_volume *list;
	struct store_snapshot *snapshots;
	size_t n;
};

static void volumes_done(struct volumes *v)
{
	for (size_t i = 0; i < v->n; i++)
		store_snapshot_done(&v->snapshots[i]);
}

/* The images that are mounted, by their ids from here on: a tag may move. */
static int volumes_resolve(struct pod_manager *m, const struct pod_container_config *config, struct arena *a,
			   struct err *err)
{
	for (size_t i = 0; i < config->n_mounts; i++) {
		struct pod_mount *mount = &config->mounts[i];
		struct image *img;
		int r;

		mount->image_ref = NULL;
		if (str_empty(mount->image))
			continue;
		r = image_get(m->images, mount->image, &img, err);
		if (r < 0)
			return err_wrap(err, r, "mount %s", mount->container_path);
		mount->image_ref = arena_strdup(a, img->id);
		image_unref(img);
	}
	return 0;
}

static bool climbs(const char *path)
{
	for (const char *p = path; *p; p += strcspn(p, "/"), p += strspn(p, "/"))
		if (p[0] == '.' && p[1] == '.' && (!p[2] || p[2] == '/'))
			return true;
	return false;
}

/* Looked up with the image as "/", as it is when it is mounted. */
static int check_sub_path(const char *path, const struct store_snapshot *snap, struct err *err)
{
	autofd int root = -EBADF, fd = -EBADF;
	int r;

	if (str_empty(path))
		return 0;
	if (path[0] == '/' || climbs(path))
		return err_set(err, ERR_INVALID, "image_sub_path %s: not a path below the image's root", path);
	r = open_root(snap, &root, err);
	if (r < 0)
		return r;
	r = sys_open_in(root, path, O_PATH, 0, &fd);
	if (r == -ENOENT || r == -ENOTDIR)
		return err_set(err, ERR_NOT_FOUND, "image_sub_path %s: it is not in the image", path);
	return r < 0 ? err_sys(err, r, "image_sub_path %s", path) : 0;
}

static int volumes_prepare(struct pod_container *c, struct arena *a, struct volumes *v, struct err *err)
{
	const struct store_snapshot_options options = { .read_only = true };
	const struct pod_container_config *config = c->config;
	struct pod_manager *m = c->priv->m;

	v->list = arena_new(a, config->n_mounts, sizeof(*v->list));
	v->snapshots = arena_new(a, config->n_mounts, sizeof(*v->snapshots));
	for (size_t i = 0; i < config->n_mounts; i++) {
		const struct pod_mount *mount = &config->mounts[i];
		int r;

		if (str_empty(mount->image))
			continue;
		if (!mount->readonly)
			return err_set(err, ERR_INVALID, "mount %s: an image can only be mounted readonly",
				       mount->container_path);
		r = store_snapshot_prepare(m->store, mount->image_ref, pod_volume_id(c, i, a), &options,
					   &v->snapshots[v->n], err);
		if (r == 0) {
			v->list[v->n] = (struct pod_image_volume){ i, &v->snapshots[v->n] };
			r = check_sub_path(mount->image_sub_path, &v->snapshots[v->n++], err);
		}
		if (r < 0)
			return err_wrap(err, r, "mount %s", mount->container_path);
	}
	return 0;
}

/* ---- create ---- */

/* The process whose pid namespace is joined: of the same pod, and running. */
static int target_pid(const struct pod_container *c, pid_t *ret, struct err *err)
{
	const struct pod_namespaces *ns = &c->config->security.namespaces;
	struct pod_manager *m = c->priv->m;
	struct pod_process process = { 0 };
	struct pod_container *t;

	if (ns->pid != POD_NS_TARGET)
		return 0;
	pod_lock(m);
	t = pod_container_find(m, ns->target_id, NULL);
	if (t && t->pod == c->pod)
		process = (struct pod_process){ t->pid, t->pid_ticks };
	pod_unlock(m);
	if (!pod_process_alive(process))
		return err_set(err, ERR_INVALID, "target_id %s: no running container of this pod",
			       ns->target_id);
	*ret = process.pid;
	return 0;
}

/* CDI devices, by the request's field and, as older kubelets ask, by annotations. */
static int inject_devices(struct pod_container *c, struct oci_config *config, struct arena *a, struct err *err)
{
	const struct pod_container_config *wanted = c->config;
	const struct pod_settings *s = &c->priv->m->settings;
	char **devices = wanted->cdi_devices;
	size_t n = wanted->n_cdi_devices;
	int r = cdi_of_annotations(wanted->annotations, wanted->n_annotations, a, &devices, &n, err);

	return r < 0 ? r : cdi_inject(s->cdi_dirs, s->n_cdi_dirs, devices, n, config, a, err);
}

static int write_bundle(struct pod_container *c, const struct pod_spec *spec, struct arena *a,
			struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX);
	struct pod_manager *m = c->priv->m;
	struct oci_config config;
	char **cdi = NULL;
	size_t n_cdi = 0;
	int r = pod_spec_build(spec, a, &config, err);

	if (r == 0)
		r = inject_devices(c, &config, a, err);
	if (r == 0)
		r = pod_plugins_create(c, &config, a, &cdi, &n_cdi, err);
	if (r == 0)
		r = cdi_inject(m->settings.cdi_dirs, m->settings.n_cdi_dirs, cdi, n_cdi, &config, a, err);
	if (r == 0)
		r = pod_apparmor_ready(config.process->apparmor_profile, err);
	if (r == 0)
		r = sec_selinux_check(config.process->selinux_label, err);
	if (r == 0)
		r = pod_selinux_relabel_mounts(c->config, config.linux_->mount_label, err);
	if (r == 0)
		r = oci_config_write(&config, 0, &text, err);
	if (r < 0)
		return r;
	/* a plugin may have put it elsewhere */
	pod_lock(m);
	if (!str_eq(pod_cgroup_request(c->cgroup_path, a), config.linux_->cgroups_path))
		c->cgroup_path = arena_strdup(&c->priv->arena, config.linux_->cgroups_path);
	pod_unlock(m);
	r = sys_file_replace(AT_FDCWD, arena_printf(a, "%s/config.json", c->dir), text.data, text.len, 0600,
			     false);
	return r < 0 ? err_sys(err, r, "write %s/config.json", c->dir) : 0;
}

static int build_spec(struct pod_container *c, const struct image *img, const struct pod_user *user,
		      const struct volumes *volumes, struct arena *a, struct err *err)
{
	struct pod_manager *m = c->priv->m;
	struct pod_sandbox *p = c->pod;
	struct pod_process pause;
	char hostname[256];
	struct pod_spec spec = {
		.host = &m->host, .pod = p->config, .config = c->config, .image = &img->config.config,
		.user = user, .id = c->id, .pod_id = p->id, .pod_dir = p->dir, .cgroup_path = c->cgroup_path,
		.hostname = hostname, .rootfs = arena_printf(a, "%s/rootfs", c->dir), .netns = p->netns,
		.seccomp_root = m->settings.seccomp_profile_root, .volumes = volumes->list,
		.n_volumes = volumes->n,
	};
	int r = pod_hostname(p->config, hostname, sizeof(hostname), err);

	if (r == 0)
		r = target_pid(c, &spec.target_pid, err);
	if (r < 0)
		return r;
	pause = pod_sandbox_process(p);
	spec.pause_pid = pause.pid;
	if (!pod_process_alive(pause))
		return err_set(err, ERR_STATE, "pod %s: its pause process is gone", p->id);
	r = sys_mkdir_p(spec.rootfs, 0711);
	return r < 0 ? err_sys(err, r, "make %s", spec.rootfs) : write_bundle(c, &spec, a, err);
}

static int make(struct pod_op *op, struct pod_container *c, const struct image *img, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT;
	CLEANUP(volumes_done) struct volumes volumes = { 0 };
	const struct pod_namespaces *ns = &c->pod->config->security.namespaces;
	struct store_snapshot_options options = { 0 };
	struct pod_manager *m = c->priv->m;
	struct pod_user user;
	int r;

	pod_userns_root(ns, &options.map_uid, &options.map_gid);
	r = pod_container_commit(c, err);
	if (r == 0)
		r = pod_op_stage(op, "preparing the snapshot", err);
	if (r == 0)
		r = store_snapshot_prepare(m->store, img->id, c->id, &options, &snap, err);
	if (r == 0 && op->location) {
		r = pod_op_stage(op, "unpacking the checkpoint", err);
		if (r == 0)
			r = pod_checkpoint_prepare(c, op->location, snap.upper, err);
	}
	if (r == 0)
		r = volumes_prepare(c, &a, &volumes, err);
	if (r == 0)
		r = pod_op_stage(op, "writing config.json, with NRI plugins", err);
	if (r == 0)
		r = resolve_user(c->config, img, &snap, &a, &user, err);
	if (r == 0)
		r = pod_userns_check_container(ns, &c->config->security.namespaces, &user, err);
	if (r == 0)
		r = build_spec(c, img, &user, &volumes, &a, err);
	if (r == 0)
		r = pod_op_stage(op, "publishing", err);
	if (r < 0)
		return r;
	pod_lock(m);
	c->uid = user.uid;
	c->gid = user.gid;
	c->groups = user.groups;
	c->n_groups = user.n_groups;
	c->created_at = time_now_real();
	c->priv->publish = true;
	arena_adopt(&c->priv->arena, &a);
	pod_unlock(m);
	r = pod_container_commit(c, err);
	if (r < 0)
		return r;
	pod_lock(m);
	c->visible = true;
	pod_changed(m);
	pod_tell(m, POD_EVENT_CREATED, c->pod, c);
	pod_unlock(m);
	pod_plugins_after(NRI_POST_CREATE_CONTAINER, c);
	return 0;
}

/* What does not change any more, before anybody else sees the container. */
static void fill(struct pod_container *c, const struct image *img)
{
	const struct pod_container_config *config = c->config;
	struct arena *a = &c->priv->arena;
	const char *logs = c->pod->config->log_directory;

	c->state = POD_CREATED;
	c->image_id = arena_strdup(a, img->id);
	c->image_ref = arena_strdup(a, img->n_repo_digests ? img->repo_digests[0] : img->id);
	c->cgroup_path = pod_cgroup_below(c->pod->cgroup_path, c->id, a);
	c->stop_signal = stop_signal(config, img);
	c->priv->boot_id = arena_strdup(a, sys_boot_id());
	if (!str_empty(logs) && !str_empty(config->log_path))
		c->log_path = arena_printf(a, "%s/%s", logs, config->log_path);
}

/* Into the tables, held by op. 1: it exists already, op->result names it. */
static int reserve(struct pod_op *op, struct pod_sandbox *p, const struct image *img, struct err *err)
{
	struct pod_manager *m = op->m;
	struct pod_container *c, *old;
	char id[ID_LEN + 1];
	int r = 0;

	id_random(id);
	c = pod_container_new(m, p, id, op->config, err);
	if (!c)
		return -EINVAL;
	fill(c, img);
	pod_lock(m);
	old = map_get(&m->container_keys, c->priv->key);
	if (p->priv->removed || p->priv->stopping || p->state != POD_READY) {
		r = err_set(err, ERR_STATE, "pod %s is not ready", p->id);
	} else if (old && old->visible && old->state == POD_CREATED) {
		snprintf(op->result, sizeof(op->result), "%s", old->id);
		r = 1;
	} else if (old) {
		r = err_set(err, ERR_EXISTS, "attempt %u exists already as %s", op->config->attempt, old->id);
	} else {
		pod_container_insert(c);
		c->op = op;
		op->container = c;
	}
	pod_unlock(m);
	if (r)
		pod_container_unref(c);
	return r;
}

static int create_op(struct pod_op *op, struct err *err)
{
	struct err undo_err = ERR_INIT;
	struct pod_manager *m = op->m;
	struct image *img = NULL;
	struct pod_sandbox *p;
	char *from = NULL;
	int r = check_config(op->config, err);

	if (r == 0)
		r = pod_sandbox_get(m, op->id, &p, err);
	if (r < 0)
		return r;
	if (!pod_checkpoint_is_archive(op->config->image))
		r = image_get(m->images, op->config->image, &img, err);
	if (r == 0)
		r = pod_checkpoint_resolve(m, op->config->image, &img, &op->arena, &from, err);
	op->location = from;
	if (r == 0)
		r = volumes_resolve(m, op->config, &op->arena, err);
	if (r == 0)
		r = reserve(op, p, img, err);
	if (r == 0) {
		snprintf(op->result, sizeof(op->result), "%s", op->container->id);
		r = make(op, op->container, img, err);
		if (r < 0 && pod_container_purge(op, op->container, &undo_err) < 0) {
			pod_retry_post(m);
			snprintf(err->text + strlen(err->text), sizeof(err->text) - strlen(err->text),
				 " (and taking it away failed, which is tried again later: %s)",
				 undo_err.text);
		}
	}
	image_unref(img);
	pod_sandbox_unref(p);
	return r < 0 ? r : 0;
}

struct pod_wait *pod_container_create(struct pod_manager *m, const char *pod_id,
				      const struct pod_container_config *config, pod_done_fn done, void *user)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_container_config *copy = NULL;
	struct pod_sandbox *p;
	struct pod_op *op;
	char *key, *id;

	pod_lock(m);
	p = pod_sandbox_find(m, pod_id, NULL);
	id = arena_strdup(&a, p ? p->id : pod_id);
	pod_unlock(m);
	key = arena_printf(&a, "create %s", pod_container_key(id, config, &a));
	op = pod_op_find(m, key);
	if (op)
		return pod_op_join(op, done, user);
	op = pod_op_new(m, key, arena_printf(&a, "create container %s", config->name ? config->name : ""),
			create_op);
	op->id = arena_strdup(&op->arena, id);
	if (pod_container_config_copy(config, &op->arena, &copy, &op->err) < 0)
		op->run = pod_op_fail;
	op->config = copy;
	return pod_op_submit(op, done, user);
}
