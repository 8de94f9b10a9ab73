/*
 * Taking the samples of a pod: records copied under pod_lock, then the kernel asked. Worker
 * threads.
 *
 * Processes are counted by their directories in /proc, which may go while they are looked at:
 * what is gone counts for nothing. The pod's network is read through the pause process's
 * /proc/<pid>/net, which needs no change of namespace; that it was that very process is
 * checked after.
 */
#include "cri/call.h"
#include "cri/metrics.h"
#include "cri/samples.h"

#include "cgroup/cgroup.h"
#include "store/store.h"
#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

enum { NET_DEV_MAX = 16 << 10, DESCRIPTORS_MAX = 1 << 20 };

/* ---- records ---- */

struct pod_view {
	struct metric_view pod;
	struct metric_view *containers;
	size_t n_containers;
	bool own_network;
};

static int64_t unified_number(const struct pod_resources *r, const char *file)
{
	uint64_t v;

	for (size_t i = 0; i < r->n_unified; i++)
		if (str_eq(r->unified[i].key, file) && str_to_u64(r->unified[i].value, 10, &v) == 0 &&
		    v <= INT64_MAX)
			return (int64_t)v;
	return 0;
}

static void view_container(const struct pod_container *c, struct arena *a, struct metric_view *ret)
{
	const struct pod_resources *r = &c->config->resources;

	*ret = (struct metric_view){
		.id = arena_strdup(a, c->id), .cgroup_path = arena_strdup(a, c->cgroup_path),
		.container = arena_strdup(a, c->config->name),
		.image = arena_strdup(a, !str_empty(c->config->user_image) ? c->config->user_image :
									     c->config->image),
		.ns = arena_strdup(a, c->pod->config->ns), .pod = arena_strdup(a, c->pod->config->name),
		.pid = c->pid, .pid_ticks = c->pid_ticks, .started_at = c->started_at, .cpu_shares = r->cpu_shares,
		.cpu_quota = r->cpu_quota, .cpu_period = r->cpu_period,
		.memory_reservation = unified_number(r, "memory.low"),
	};
	ret->container_id = ret->id;
}

static int view_pod(struct cri *cri, const char *id, struct arena *a, struct pod_view *ret, struct err *err)
{
	struct pod_manager *pods = cri->settings.pods;
	struct pod_sandbox *p;
	size_t n = 0;

	pod_lock(pods);
	p = pod_sandbox_find(pods, id, err);
	if (!p) {
		pod_unlock(pods);
		return -ENOENT;
	}
	ret->pod = (struct metric_view){
		.id = arena_strdup(a, p->id), .cgroup_path = arena_strdup(a, p->cgroup_path), .container = "",
		.image = "", .ns = arena_strdup(a, p->config->ns), .pod = arena_strdup(a, p->config->name),
		.pid = p->pid, .pid_ticks = p->pid_ticks, .started_at = p->created_at,
	};
	ret->own_network = p->netns;
	list_for_each(c, &p->containers, struct pod_container, link)
		n++;
	ret->containers = arena_new(a, n + 1, sizeof(*ret->containers));
	ret->n_containers = 0;
	list_for_each(c, &p->containers, struct pod_container, link)
		if (c->visible && c->state == POD_RUNNING)
			view_container(c, a, &ret->containers[ret->n_containers++]);
	pod_unlock(pods);
	return 0;
}

/* ---- processes ---- */

static void count_descriptors(pid_t pid, struct metric_scene *s)
{
	char path[64], target[16];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return;
	while ((e = readdir(dir)) && s->descriptors < DESCRIPTORS_MAX) {
		ssize_t len;

		if (e->d_name[0] == '.')
			continue;
		s->descriptors++;
		len = readlinkat(dirfd(dir), e->d_name, target, sizeof(target));
		if (len >= 7 && memcmp(target, "socket:", 7) == 0)
			s->sockets++;
	}
	closedir(dir);
}

static void look_at_processes(const struct cgroup *cg, struct metric_scene *s)
{
	autofree pid_t *pids = NULL;
	size_t n = 0;

	if (cgroup_pids(cg, &pids, &n, NULL) < 0)
		return;
	s->has_processes = true;
	s->processes = n;
	for (size_t i = 0; i < n; i++)
		count_descriptors(pids[i], s);
}

/* "Max open files            1024                 524288               files     " */
static void look_at_limits(struct metric_scene *s)
{
	char path[64], text[4096], *line;
	uint64_t ticks;

	snprintf(path, sizeof(path), "/proc/%d/limits", (int)s->view->pid);
	if (!s->view->pid || sys_file_read_text(AT_FDCWD, path, text, sizeof(text)) < 0 ||
	    sys_proc_start_time(s->view->pid, &ticks) < 0 || ticks != s->view->pid_ticks)
		return;
	line = strstr(text, "Max open files");
	s->has_open_files = line && sscanf(line, "Max open files %" SCNu64, &s->open_files) == 1;
}

/* ---- file system ---- */

/* What the mount of that device number is made of, as mountinfo has it; "" when it has none. */
static char *device_of(dev_t dev, struct arena *a)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(4 << 20);
	char want[32], *save = NULL;

	snprintf(want, sizeof(want), " %u:%u ", major(dev), minor(dev));
	if (sys_file_read(AT_FDCWD, "/proc/self/mountinfo", 4 << 20, &text) < 0)
		return arena_strdup(a, "");
	buf_append(&text, "", 1);
	for (char *line = strtok_r((char *)text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *dash = strstr(line, want) ? strstr(line, " - ") : NULL;
		char device[256];

		if (dash && sscanf(dash, " - %*s %255s", device) == 1)
			return arena_strdup(a, device);
	}
	return arena_strdup(a, "");
}

static void look_at_store(struct cri *cri, struct arena *a, struct metric_scene *s)
{
	const char *root = store_root(cri->settings.store);
	struct statvfs fs;
	struct stat st;

	if (statvfs(root, &fs) < 0 || stat(root, &st) < 0)
		return;
	s->has_fs = true;
	s->fs_device = device_of(st.st_dev, a);
	s->fs_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
	s->fs_inodes = fs.f_files;
	s->fs_inodes_free = fs.f_ffree;
}

/* ---- network ---- */

size_t cri_pod_interfaces(pid_t pause, uint64_t ticks, struct metric_interface out[METRIC_INTERFACES_MAX])
{
	autofree char *text = mem_new(NET_DEV_MAX, 1);
	char path[64];
	uint64_t now;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)pause);
	if (!pause || sys_file_read_text(AT_FDCWD, path, text, NET_DEV_MAX) < 0)
		return 0;
	n = cri_metric_interfaces(text, out, METRIC_INTERFACES_MAX);
	return sys_proc_start_time(pause, &now) == 0 && now == ticks ? n : 0;
}

/* ---- samples ---- */

static void measure(struct cri *cri, const struct metric_view *view, const struct metric_scene *common,
		    const struct metric_interface *interfaces, size_t n_interfaces)
{
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	autofree struct cgroup_stats *stats = mem_new(1, sizeof(*stats));
	const struct cgroup_host *host;
	struct metric_scene s = *common;
	struct cri_layer_size size;

	s.view = view;
	s.stats = stats;
	s.interfaces = interfaces;
	s.n_interfaces = n_interfaces;
	if (cgroup_host_get(&host, NULL) == 0 && cgroup_open(host, view->cgroup_path, &cg, NULL) == 0 &&
	    cgroup_stats(cg, stats, NULL) < 0)
		stats->have = 0;
	if (view->container_id && cg) {
		look_at_processes(cg, &s);
		look_at_limits(&s);
		s.has_layer = cri_layer_size(cri, view->container_id, time_now_real(), &size);
		s.layer_bytes = s.has_layer ? size.bytes : 0;
	}
	s.now = time_now_real();
	cri_metric_take(&s);
}

int cri_measure_pod(struct cri *cri, const char *pod_id, cri_sample_fn fn, void *user, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct metric_scene common = { .fn = fn, .user = user, .fs_device = "" };
	struct metric_interface interfaces[METRIC_INTERFACES_MAX];
	struct pod_view view;
	size_t n = 0;
	int r = view_pod(cri, pod_id, &a, &view, err);

	if (r < 0)
		return r;
	if (view.own_network)
		n = cri_pod_interfaces(view.pod.pid, view.pod.pid_ticks, interfaces);
	if (view.n_containers)
		look_at_store(cri, &a, &common);
	measure(cri, &view.pod, &common, interfaces, n);
	for (size_t i = 0; i < view.n_containers; i++)
		measure(cri, &view.containers[i], &common, NULL, 0);
	return 0;
}
