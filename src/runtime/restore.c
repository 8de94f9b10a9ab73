/*
 * restore: a container from files. Runs in the caller, which has one thread.
 *
 * CRIU runs in a mount namespace of its own, where <root>/<id> is covered by a tmpfs with
 * two trees: "root", the bare root file system, and "tree", the file system as create would
 * make it. A mount that came from outside is then bound from the same place in "tree". None
 * of it shows on the host, and it all goes with CRIU.
 *
 * CRIU is in the container's cgroup before it makes the first process; the limits are set
 * when all processes are there, just before they go on, so that CRIU itself fits in.
 */
#include "runtime/creation.h"
#include "runtime/criu.h"
#include "runtime/hook.h"
#include "sec/attr.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

struct restoration {
	const struct runtime_restore *what;
	struct creation c;
	struct criu_opts opts;
	struct criu_call call;
	struct images_info info;
	const char *scratch; /* <root>/<id> */
	int images;
	bool recorded;
};

static void restoration_done(struct restoration *r)
{
	buf_done(&r->opts.b);
	fd_drop(&r->images);
	fd_drop(&r->call.work_dir);
	creation_done(&r->c);
}

/* ---- in CRIU's process, before it is executed [child] ---- */

static int make_scratch(struct restoration *x, int *ret_top, struct err *err)
{
	autofd int host = -EBADF, fs = -EBADF, top = -EBADF, at = -EBADF;
	int r;

	/* before anything is mounted: on most hosts "/" is shared, and it would show there */
	host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = host < 0 ? -errno : sys_mount_setattr(host, AT_RECURSIVE, 0, 0, MS_SLAVE, -EBADF);
	if (r < 0)
		return err_sys(err, r, "make the mount namespace private");
	at = open(x->scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = at < 0 ? -errno : sys_fsopen("tmpfs", &fs);
	if (r == 0)
		r = sys_fsmount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &top);
	if (r == 0 && (mkdirat(top, "root", 0700) < 0 || mkdirat(top, "tree", 0700) < 0))
		r = -errno;
	if (r == 0)
		r = sys_attach_mount(top, at);
	if (r < 0)
		return err_sys(err, r, "mount a tmpfs on %s", x->scratch);
	*ret_top = take_fd(&top);
	return 0;
}

static int make_tree(struct restoration *x, int top, struct err *err)
{
	struct mnt_plan *m = &x->c.plan.mnt;
	autofd int root = -EBADF, tree = -EBADF, bare = -EBADF;
	int r;

	r = sys_open_beneath(top, "root", O_PATH | O_DIRECTORY, 0, &root);
	if (r == 0)
		r = sys_open_beneath(top, "tree", O_PATH | O_DIRECTORY, 0, &tree);
	if (r < 0)
		return err_sys(err, r, "%s", x->scratch);
	r = mnt_enter_at(m, tree, err);
	if (r < 0)
		return r;
	r = sys_clone_tree(m->root_fd, "", 0, &bare);
	/* CRIU binds the root as it finds it */
	if (r == 0 && m->root_readonly)
		r = sys_mount_setattr(bare, 0, MOUNT_ATTR_RDONLY, 0, 0, -EBADF);
	if (r == 0)
		r = sys_attach_mount(bare, root);
	if (r < 0)
		return err_sys(err, r, "rootfs: bind it for the restore");
	for (size_t i = 0; r == 0 && i < m->n_entries; i++)
		r = mnt_apply(m, i, err);
	if (r == 0)
		r = mnt_apply_devices(m, err);
	return r < 0 ? r : mnt_apply_masks(m, err);
}

/* The directory of a descriptor on a mount of this mount namespace: CRIU works in it, and mounts there. */
static int reopen(int fd, const char *path, struct err *err)
{
	autofd int here = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat was, is;

	if (here < 0 || fstat(here, &is) < 0 || fstat(fd, &was) < 0)
		return err_sys(err, errno, "%s", path);
	if (was.st_dev != is.st_dev || was.st_ino != is.st_ino)
		return err_set(err, ERR_STATE, "%s: another directory was put there meanwhile", path);
	return dup3(here, fd, O_CLOEXEC) < 0 ? err_sys(err, errno, "%s", path) : 0;
}

static int before(void *user, struct err *err)
{
	const struct runtime_images *images = &((struct restoration *)user)->what->images;
	struct restoration *x = user;
	autofd int top = -EBADF;
	int r;

	umask(0);
	r = reopen(x->images, images->path, err);
	if (r == 0)
		r = reopen(x->call.work_dir, images->work_path ? images->work_path : images->path, err);
	if (r == 0)
		r = make_scratch(x, &top, err);
	if (r == 0)
		r = make_tree(x, top, err);
	if (r == 0)
		r = child_enter_cgroup(&x->c.child, err);
	return r;
}

/* ---- notifications ---- */

/* "LSM:NAME" of --lsm-profile, where it is that LSM's */
static const char *name_of(const char *profile, const char *lsm)
{
	size_t n = strlen(lsm);

	return profile && !strncmp(profile, lsm, n) && profile[n] == ':' ? profile + n + 1 : NULL;
}

/* The processes stand, but have not gone on: the last moment for what has to hold before. */
static int post_restore(struct restoration *x, const struct criu_reply *reply, struct err *err)
{
	struct creation *c = &x->c;
	int r;

	c->pid = reply->pid;
	r = sys_pidfd_open(c->pid, &c->pidfd);
	if (r < 0)
		return err_sys(err, r, "the restored process went away");
	if (c->cgroup)
		r = cgroup_apply(c->cgroup, &c->plan.cgroup, err);
	if (r == 0)
		r = creation_rdt(c, err);
	if (r == 0)
		r = creation_record(c, err);
	x->recorded = r == 0;
	return r;
}

/*
 * The processes have their credentials, and have not gone on. A CRIU that was built without the LSM gives them its
 * own label, and says nothing.
 */
static int pre_resume(struct restoration *x, struct err *err)
{
	const char *asked = x->what->lsm_profile;
	const char *profile = name_of(asked, "apparmor"), *label = name_of(asked, "selinux");
	int r = sec_selinux_verify(x->c.pid, label ? label : x->c.plan.process.selinux, err);

	if (r == 0)
		r = sec_apparmor_verify(x->c.pid, profile ? profile : x->c.plan.process.apparmor, err);
	if (r == 0)
		return 0;
	/* CRIU would let it go on all the same */
	sys_pidfd_signal(x->c.pidfd, SIGKILL);
	return err_wrap(err, r, "criu did not give the process its label");
}

/* An empty network is a new one: what a new container gets, it gets. */
static int fill_network(struct restoration *x, struct err *err)
{
	autofd int own = -EBADF, fd = -EBADF;
	int r = ns_open_pid(x->c.pid, NS_NET, &fd);

	if (r == 0)
		r = ns_open_pid(getpid(), NS_NET, &own);
	if (r == 0)
		r = ns_join(fd, NS_NET);
	if (r < 0)
		return err_sys(err, r, "the container's network namespace");
	r = ns_loopback_up();
	if (ns_join(own, NS_NET) < 0)
		abort(); /* all that follows would be done in the container's network */
	if (r < 0)
		return err_sys(err, r, "bring the loopback interface up");
	return creation_devices(&x->c, err);
}

static int setup_namespaces(struct restoration *x, const struct criu_reply *reply, struct err *err)
{
	int r = 0;

	x->c.pid = reply->pid;
	if (x->what->images.empty_network && x->c.plan.ns_new & 1U << NS_NET)
		r = fill_network(x, err);
	return r < 0 ? r : creation_hooks(&x->c, err);
}

static int send_terminal(struct restoration *x, int fd, struct err *err)
{
	static const char name[] = "/dev/pts/restored";
	int r;

	if (fd < 0 || x->what->create.console_socket < 0)
		return err_set(err, ERR_INVALID, "the terminal of the images needs a console socket");
	r = sys_send_fds(x->what->create.console_socket, name, sizeof(name) - 1, &fd, 1);
	return r < 0 ? err_sys(err, r, "send the terminal to the console socket") : 0;
}

static int notify(void *user, const struct criu_reply *reply, int fd, struct err *err)
{
	struct restoration *x = user;

	if (str_eq(reply->script, "setup-namespaces"))
		return setup_namespaces(x, reply, err);
	if (str_eq(reply->script, "post-restore"))
		return post_restore(x, reply, err);
	if (str_eq(reply->script, "pre-resume"))
		return pre_resume(x, err);
	if (str_eq(reply->script, "orphan-pts-master"))
		return send_terminal(x, fd, err);
	return 0; /* CRIU tells of more than anybody waits for */
}

/* ---- the request ---- */

/* Images of another runtime don't say: what config.json binds, and the files it masks. */
static void guess_mounts(struct restoration *x)
{
	const struct mnt_plan *m = &x->c.plan.mnt;
	char **list = arena_new(&x->c.arena, m->n_entries + m->n_masked + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < m->n_entries; i++)
		if (m->entries[i].kind == MNT_BIND || m->entries[i].kind == MNT_CGROUP)
			list[n++] = (char *)m->entries[i].target;
	for (size_t i = 0; i < m->n_masked; i++)
		list[n++] = (char *)m->masked[i];
	x->info.mounts = list;
	x->info.n_mounts = n;
}

static int tell_mounts(struct restoration *x, struct err *err)
{
	struct arena *a = &x->c.arena;
	int r = images_info_read(x->images, a, &x->info, err);

	if (r < 0)
		return r;
	if (r == 1)
		guess_mounts(x);
	criu_put_text(&x->opts, CRIU_ROOT, arena_printf(a, "%s/root", x->scratch));
	for (size_t i = 0; i < x->info.n_mounts; i++) {
		const char *point = x->info.mounts[i];

		if (*point != '/' || strstr(point, "/../") || str_has_suffix(point, "/.."))
			return err_set(err, ERR_CORRUPT, "caisson.json: \"%s\" is no mount point", point);
		criu_put_pair(&x->opts, CRIU_EXT_MNT, point,
			      arena_printf(a, "%s/tree%s", x->scratch, point));
	}
	return 0;
}

/* Network and pid namespaces are handed over as descriptors; others CRIU joins by path. */
static void tell_namespaces(struct restoration *x)
{
	static const struct {
		enum ns_kind kind;
		const char *key;
	} handed[] = { { NS_NET, "extRootNetNS" }, { NS_PID, "extRootPidNS" } };
	static const enum ns_kind joined[] = { NS_IPC, NS_UTS };
	const struct runtime_plan *plan = &x->c.plan;
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(handed); i++) {
		fd = plan->ns_fd[handed[i].kind];
		if (fd >= 0)
			criu_put_pair_int(&x->opts, CRIU_INHERIT_FD, handed[i].key,
					  (unsigned)criu_keep(&x->call, fd));
	}
	for (size_t i = 0; i < ARRAY_LEN(joined); i++)
		if (plan->ns_fd[joined[i]] >= 0)
			criu_put_pair(&x->opts, CRIU_JOIN_NS, ns_types[joined[i]].file,
				      plan->ns_path[joined[i]]);
}

static int tell_stdio(struct restoration *x, struct err *err)
{
	char *links[IMAGES_STDIO];
	int r = images_stdio_read(x->images, &x->c.arena, links, err);

	for (int i = 0; r == 0 && i < IMAGES_STDIO; i++)
		if (links[i] && (str_skip_prefix(links[i], "pipe:[") || str_skip_prefix(links[i], "file[") ||
				 str_skip_prefix(links[i], "tty[")))
			criu_put_pair_int(&x->opts, CRIU_INHERIT_FD, links[i], (unsigned)i);
	return r;
}

/* A mode that lets CRIU make cgroups has to be told which is the container's. */
static void tell_cgroups(struct restoration *x)
{
	const char *mode = x->what->images.manage_cgroups_mode;
	const struct cgroup_host *host = x->c.plan.cgroup_host;

	if (!mode || str_eq(mode, "ignore") || !host)
		return;
	for (size_t i = 0; i < host->n_hierarchies; i++) {
		const struct cgroup_hierarchy *h = &host->hierarchies[i];
		const char *dir = cgroup_directory(x->c.cgroup, i, &x->c.arena);

		/* cgroup_root: the controllers, then the path below the hierarchy's root */
		if (dir)
			criu_put_pair(&x->opts, CRIU_CG_ROOT, h->name, dir + strlen(h->mount));
	}
}

static int describe(struct restoration *x, struct err *err)
{
	const struct runtime_restore *what = x->what;
	int r;

	r = images_options(&what->images, &x->call, x->images,
			   oci_config_annotation(&x->c.config, "org.criu.config"), err);
	if (r < 0)
		return r;
	criu_put_flag(&x->opts, CRIU_RST_SIBLING, true);
	criu_put_flag(&x->opts, CRIU_NOTIFY_SCRIPTS, true);
	/* mounts that are slaves of the same host's mount without one being below the other, as the
	 * root and a volume are: only CRIU's older way of mounting makes them again */
	criu_put_flag(&x->opts, CRIU_MNTNS_COMPAT_MODE, true);
	criu_put_flag(&x->opts, CRIU_TCP_CLOSE, what->tcp_close);
	criu_put_text(&x->opts, CRIU_LSM_PROFILE, what->lsm_profile);
	/* that of the images has the categories of the pod that they were in */
	if (str_empty(what->lsm_profile) && sec_selinux_enabled() && !str_empty(x->c.plan.process.selinux))
		criu_put_text(&x->opts, CRIU_LSM_PROFILE, arena_printf(&x->c.arena, "selinux:%s", x->c.plan.process.selinux));
	criu_put_text(&x->opts, CRIU_LSM_MOUNT_CONTEXT, what->lsm_mount_context);
	tell_cgroups(x);
	tell_namespaces(x);
	r = tell_stdio(x, err);
	return r < 0 ? r : tell_mounts(x, err);
}

/* Inside a user namespace CRIU opens images as its root, who may not look into a directory
 * of ours. Memory is in the files: nobody else gets the right to. */
static int open_images_to_user(struct restoration *x, struct err *err)
{
	uint32_t group;

	if (!(x->c.plan.ns_new & 1U << NS_USER) ||
	    ns_maps_find(x->c.plan.gids, x->c.plan.n_gids, 0, &group) < 0)
		return 0;
	if (fchown(x->images, (uid_t)-1, group) < 0 || fchmod(x->images, 0710) < 0)
		return err_sys(err, errno, "give the images to the user namespace's root");
	return 0;
}

static int restore(struct restoration *x, struct err *err)
{
	struct creation *c = &x->c;
	struct criu_reply reply;
	int r;

	/* CRIU says so of a profile, and nothing of this */
	if (!str_empty(x->what->lsm_mount_context) && !sec_selinux_enabled())
		return err_set(err, ERR_UNSUPPORTED, "--lsm-mount-context: SELinux is not enabled here");
	if (!c->plan.has_mnt)
		return err_set(err, ERR_UNSUPPORTED,
			       "linux.namespaces: restore needs a mount namespace of the container's own");
	if (c->plan.n_net_devices && !x->what->images.empty_network)
		return err_set(err, ERR_UNSUPPORTED,
			       "linux.netDevices: a network that comes back from the images has its devices "
			       "already: checkpoint and restore with --empty-ns network, or leave them out");
	/* CRIU's process is not cloned into it, so it moves itself there */
	c->child.entry.enter_v2 = true;
	r = mnt_plan_open(&c->plan.mnt, err);
	if (r == 0)
		r = creation_cgroup(c, err);
	if (r == 0 && c->plan.has_seccomp) {
		c->shared = parent_share_filter();
		r = c->shared ? creation_filter(c, err) :
				err_sys(err, errno, "share memory for the seccomp filter");
	}
	if (r == 0)
		r = open_images_to_user(x, err);
	if (r == 0)
		r = describe(x, err);
	if (r == 0)
		r = criu_run(&x->call, &reply, err);
	if (r < 0)
		return r;
	if (!x->recorded)
		return err_set(err, ERR_INTERNAL, "criu restore: it never said that the processes stand");
	return 0;
}

static int run_poststart(struct creation *c, struct err *err)
{
	struct oci_state state;

	if (!c->config.hooks)
		return 0;
	record_oci_state(&c->record, RECORD_RUNNING, &state);
	return hooks_run(c->config.hooks->poststart, c->config.hooks->n_poststart, "poststart", &state,
			 &c->child.output, err);
}

int runtime_restore(const struct runtime_restore *what, pid_t *ret_pid, struct err *err)
{
	CLEANUP(restoration_done) struct restoration x = {
		.what = what, .c = CREATION_INIT, .opts = CRIU_OPTS_INIT, .images = -EBADF,
		.call = { .type = CRIU_RESTORE, .action = "restore", .log = "restore.log", .work_dir = -EBADF,
			  .clone_flags = CLONE_NEWNS, .before = before, .notify = notify },
	};
	int r;

	x.call.opts = &x.opts;
	x.call.user = &x;
	r = images_open(&what->images, &x.images, &x.call.work_dir, err);
	if (r == 0)
		r = creation_open(&x.c, &what->create, err);
	if (r < 0)
		return r;
	x.scratch = arena_printf(&x.c.arena, "%s/%s", what->create.root, what->create.id);
	r = restore(&x, err);
	if (r == 0)
		r = run_poststart(&x.c, err);
	if (r < 0) {
		creation_undo(&x.c);
		return r;
	}
	*ret_pid = x.c.pid;
	return 0;
}
