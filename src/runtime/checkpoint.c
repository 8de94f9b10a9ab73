/*
 * checkpoint: a running container becomes files. Runs in the caller, which holds the lock of
 * the container meanwhile.
 *
 * CRIU sees the container from outside: it has to be told what it must not look for inside,
 * which are the mounts that came from the host, the namespaces that were joined, and what
 * descriptors 0 to 2 lead to.
 */
#include "runtime/criu.h"

#include "cgroup/cgroup.h"
#include "ns/ns.h"
#include "runtime/record.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { MOUNTINFO_MAX = 16 << 20 };

struct dump {
	const struct runtime_checkpoint *what;
	struct arena arena;
	struct record record;
	struct cgroup *cgroup;
	struct criu_opts opts;
	struct criu_call call;
	int dir, images, pidfd;
};

static void dump_done(struct dump *d)
{
	cgroup_free(d->cgroup);
	buf_done(&d->opts.b);
	fd_drop(&d->pidfd);
	fd_drop(&d->images);
	fd_drop(&d->call.work_dir);
	fd_drop(&d->dir);
	arena_done(&d->arena);
}

static int open_container(struct dump *d, struct err *err)
{
	enum record_status status;
	int r = record_open(d->what->root, d->what->id, &d->arena, &d->dir, &d->record, err);

	if (r < 0)
		return r;
	status = record_status(&d->record, d->dir, &d->pidfd);
	if (status != RECORD_RUNNING && status != RECORD_PAUSED)
		return err_set(err, ERR_STATE, "container cannot be checkpointed in %s state",
			       record_status_name(status));
	return d->record.cgroup_path ? record_cgroup(&d->record, &d->arena, &d->cgroup, err) : 0;
}

static int read_mountinfo(pid_t pid, struct buf *out, struct err *err)
{
	char path[40];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	r = sys_file_read(AT_FDCWD, path, MOUNTINFO_MAX, out);
	return r < 0 ? err_sys(err, r, "read %s", path) : 0;
}

/* ---- descriptors 0, 1, 2 ---- */

/* The mount that a descriptor of another process is on, by its fdinfo, or -1. */
static int mount_of(pid_t pid, int fd)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(16384);
	char path[48];
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
	if (sys_file_read(AT_FDCWD, path, 16000, &text) < 0)
		return -1;
	p = strstr(buf_text(&text), "mnt_id:");
	return p ? atoi(p + 7) : -1;
}

/*
 * What CRIU calls the thing that a descriptor leads to. Pipes are images of their own, and
 * their ends are replaced at the restore. A file or a terminal on a mount that the container
 * does not have can only be external.
 */
static int describe_stdio(struct dump *d, int fd, const char *mountinfo, char **ret)
{
	char path[48], link[512];
	pid_t pid = d->record.pid;
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return 0; /* closed */
	link[n] = '\0';
	*ret = arena_strdup(&d->arena, link);
	if (link[0] != '/' || stat(path, &st) < 0 || images_has_mount(mountinfo, mount_of(pid, fd)))
		return 0;
	if (S_ISCHR(st.st_mode) && major(st.st_rdev) >= 136 && major(st.st_rdev) <= 143)
		*ret = arena_printf(&d->arena, "tty[%x:%x]", (unsigned)st.st_rdev, (unsigned)st.st_dev);
	else
		*ret = arena_printf(&d->arena, "file[%x:%lx]", (unsigned)mount_of(pid, fd),
				    (unsigned long)st.st_ino);
	criu_put_text(&d->opts, CRIU_EXTERNAL, *ret);
	return 0;
}

static int tell_stdio(struct dump *d, const char *mountinfo, struct err *err)
{
	char *links[IMAGES_STDIO] = { (char *)"", (char *)"", (char *)"" };

	for (int i = 0; i < IMAGES_STDIO; i++)
		describe_stdio(d, i, mountinfo, &links[i]);
	return images_stdio_write(d->images, links, err);
}

/* ---- mounts, namespaces, the cgroup ---- */

static int tell_mounts(struct dump *d, struct err *err)
{
	CLEANUP(buf_done) struct buf inside = BUF_INIT(MOUNTINFO_MAX + 1), host = BUF_INIT(MOUNTINFO_MAX + 1);
	struct images_info info = { .has_terminal = d->record.process && d->record.process->terminal };
	int r;

	r = read_mountinfo(d->record.pid, &inside, err);
	if (r == 0)
		r = read_mountinfo(getpid(), &host, err);
	if (r == 0)
		r = images_external_mounts(buf_text(&inside), buf_text(&host), &d->arena, &info.mounts,
					   &info.n_mounts);
	for (size_t i = 0; r == 0 && i < info.n_mounts; i++)
		criu_put_pair(&d->opts, CRIU_EXT_MNT, info.mounts[i], info.mounts[i]);
	if (r == 0)
		r = tell_stdio(d, buf_text(&inside), err);
	return r < 0 ? r : images_info_write(d->images, &info, err);
}

static int tell_namespaces(struct dump *d, struct err *err)
{
	static const struct {
		enum ns_kind kind;
		const char *key; /* as other runtimes name it in their images */
	} kinds[] = { { NS_NET, "extRootNetNS" }, { NS_PID, "extRootPidNS" } };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const char *file = ns_types[kinds[i].kind].file;
		char path[48], name[64];
		struct stat st;

		if (!(d->record.joined & 1U << kinds[i].kind))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", d->record.pid, file);
		if (stat(path, &st) < 0)
			return err_sys(err, errno, "%s", path);
		snprintf(name, sizeof(name), "%s[%lu]:%s", file, (unsigned long)st.st_ino, kinds[i].key);
		criu_put_text(&d->opts, CRIU_EXTERNAL, name);
	}
	return 0;
}

/* So that nothing escapes while CRIU looks for all of it. */
static void tell_freezer(struct dump *d)
{
	const struct cgroup_host *host = d->cgroup ? cgroup_host_of(d->cgroup) : NULL;
	int at = host ? (host->mode == CGROUP_V2 ? host->v2 : host->of[CGROUP_FREEZER]) : -1;

	if (at >= 0)
		criu_put_text(&d->opts, CRIU_FREEZE_CGROUP,
			      cgroup_directory(d->cgroup, (size_t)at, &d->arena));
}

static int tell_page_server(struct dump *d, struct err *err)
{
	const char *text = d->what->page_server, *colon = text ? strrchr(text, ':') : NULL;
	uint32_t port;

	if (!text)
		return 0;
	if (!colon || colon == text || str_to_u32(colon + 1, 10, &port) < 0 || !port || port > 65535)
		return err_set(err, ERR_INVALID, "--page-server: \"%s\" is not ADDRESS:PORT", text);
	criu_put_pair_int(&d->opts, CRIU_PS, arena_strndup(&d->arena, text, (size_t)(colon - text)), port);
	return 0;
}

static const char *config_file(const struct record *r)
{
	for (size_t i = 0; i < r->n_annotations; i++)
		if (str_eq(r->annotations[i].key, "org.criu.config"))
			return r->annotations[i].value;
	return NULL;
}

static int describe(struct dump *d, struct err *err)
{
	const struct runtime_checkpoint *what = d->what;
	struct criu_opts *o = &d->opts;
	int r;

	r = images_options(&what->images, &d->call, d->images, config_file(&d->record), err);
	if (r == 0)
		r = tell_page_server(d, err);
	if (r < 0)
		return r;
	criu_put_int(o, CRIU_PID, (unsigned)d->record.pid);
	criu_put_text(o, CRIU_ROOT, d->record.rootfs);
	criu_put_flag(o, CRIU_LEAVE_RUNNING, what->leave_running || what->pre_dump);
	criu_put_flag(o, CRIU_TCP_SKIP_IN_FLIGHT, what->tcp_skip_in_flight);
	criu_put_flag(o, CRIU_LINK_REMAP, what->link_remap);
	criu_put_text(o, CRIU_PARENT_IMG, what->parent_path);
	criu_put_flag(o, CRIU_TRACK_MEM, what->pre_dump || what->parent_path);
	if (what->status_fd >= 0)
		criu_put_int(o, CRIU_STATUS_FD, (unsigned)criu_keep(&d->call, what->status_fd));
	tell_freezer(d);
	r = tell_namespaces(d, err);
	return r < 0 ? r : tell_mounts(d, err);
}

static int checkpoint(struct dump *d, struct err *err)
{
	struct criu_reply reply;
	int r = open_container(d, err);

	if (r == 0)
		r = images_open(&d->what->images, &d->images, &d->call.work_dir, err);
	if (r == 0)
		r = describe(d, err);
	/* whoever fetches the pages may never come: the container can be deleted meanwhile */
	if (r == 0 && d->what->images.lazy_pages)
		fd_drop(&d->dir);
	return r < 0 ? r : criu_run(&d->call, &reply, err);
}

int runtime_checkpoint(const struct runtime_checkpoint *what, struct err *err)
{
	CLEANUP(dump_done) struct dump d = {
		.what = what, .opts = CRIU_OPTS_INIT, .dir = -EBADF, .images = -EBADF, .pidfd = -EBADF,
		.call = { .type = what->pre_dump ? CRIU_PRE_DUMP : CRIU_DUMP, .work_dir = -EBADF,
			  .action = what->pre_dump ? "pre-dump" : "dump", .log = "dump.log" },
	};

	d.call.opts = &d.opts;
	return checkpoint(&d, err);
}
