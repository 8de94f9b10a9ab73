/*
 * What the host has mounted. Runs in any process, once; the result is cached.
 *
 * mountinfo grows with every container of the node and reading it takes the mount lock, so
 * the usual places are asked by statfs first: a cgroup v2 mount at /sys/fs/cgroup, or a v1
 * hierarchy under its own name there. Only a host laid out otherwise pays for mountinfo.
 */
#include "cgroup/driver.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { SELF_MAX = 64 * 1024, MOUNTINFO_MAX = 64 * 1024 * 1024 };

static const char *const names[CGROUP_CONTROLLERS][2] = {
	[CGROUP_CPU] = { "cpu", "cpu" },
	[CGROUP_CPUACCT] = { "cpuacct", NULL },
	[CGROUP_CPUSET] = { "cpuset", "cpuset" },
	[CGROUP_MEMORY] = { "memory", "memory" },
	[CGROUP_PIDS] = { "pids", "pids" },
	[CGROUP_IO] = { "blkio", "io" },
	[CGROUP_DEVICES] = { "devices", NULL },
	[CGROUP_FREEZER] = { "freezer", NULL },
	[CGROUP_HUGETLB] = { "hugetlb", "hugetlb" },
	[CGROUP_NET_CLS] = { "net_cls", NULL },
	[CGROUP_NET_PRIO] = { "net_prio", NULL },
	[CGROUP_PERF_EVENT] = { "perf_event", NULL },
	[CGROUP_RDMA] = { "rdma", "rdma" },
	[CGROUP_MISC] = { "misc", "misc" },
};

const char *cgroup_mode_name(enum cgroup_mode mode)
{
	static const char *const texts[] = { "v1", "hybrid", "v2" };

	return texts[mode];
}

const char *cgroup_controller_name(enum cgroup_controller c, int version)
{
	if (c >= CGROUP_CONTROLLERS)
		return "cgroup";
	return version == 2 && names[c][1] ? names[c][1] : names[c][0];
}

/* The controllers in "cpu,cpuacct" or "cpu cpuacct\n". */
static uint32_t controllers_of(const char *text, int version)
{
	uint32_t mask = 0;

	while (*text) {
		size_t n = strcspn(text, ", \n");

		for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
			const char *name = names[c][version - 1];

			if (name && strlen(name) == n && strncmp(name, text, n) == 0)
				mask |= UINT32_C(1) << c;
		}
		text += n + (text[n] != '\0');
	}
	return mask;
}

int cgroup_path_check(const char *path, struct err *err)
{
	size_t len = path ? strlen(path) : 0;
	bool any = false;

	if (len >= CGROUP_PATH_MAX)
		return err_set(err, ERR_INVALID, "cgroup path: longer than %d bytes", CGROUP_PATH_MAX - 1);
	for (const char *p = path; p && *p;) {
		size_t n = strcspn(p, "/");

		for (size_t i = 0; i < n; i++)
			if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
				return err_set(err, ERR_INVALID, "cgroup path: contains a control character");
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return err_set(err, ERR_INVALID, "cgroup path %s: \"..\" is not allowed", path);
		if (n > NAME_MAX)
			return err_set(err, ERR_INVALID, "cgroup path: a component is longer than %d bytes",
				       NAME_MAX);
		if (n && !(n == 1 && p[0] == '.'))
			any = true;
		p += n + (p[n] == '/');
	}
	return any ? 0 : err_set(err, ERR_INVALID, "cgroup path \"%s\": names the root", path ? path : "");
}

int cgroup_directory_text(const struct cgroup_host *host, size_t h, const char *path,
			  char out[CGROUP_DIRECTORY_MAX])
{
	const struct cgroup_hierarchy *hi = &host->hierarchies[h];
	const char *self = path[0] == '/' || str_eq(hi->self, "/") ? "" : hi->self;
	int n = snprintf(out, CGROUP_DIRECTORY_MAX, "%s%s%s%s", hi->mount, self, path[0] == '/' ? "" : "/",
			 path);

	return n < 0 || n >= CGROUP_DIRECTORY_MAX ? -ENAMETOOLONG : 0;
}

static int add(struct cgroup_host *host, int version, const char *name, const char *mount, const char *self,
	       uint32_t controllers, struct arena *a)
{
	struct cgroup_hierarchy *hi;

	if (host->n_hierarchies == CGROUP_HIERARCHIES_MAX)
		return -EMSGSIZE;
	hi = &host->hierarchies[host->n_hierarchies++];
	hi->version = version;
	hi->name = arena_strdup(a, name);
	hi->mount = arena_strdup(a, mount);
	hi->self = arena_strdup(a, self);
	hi->controllers = controllers;
	return 0;
}

/* Fills what follows from the list of hierarchies. */
static int finish(struct cgroup_host *host, struct err *err)
{
	static const enum cgroup_controller believed[] = { CGROUP_PIDS, CGROUP_FREEZER, CGROUP_MEMORY,
							   CGROUP_DEVICES };
	bool v1 = false;

	if (!host->n_hierarchies)
		return err_set(err, ERR_UNSUPPORTED, "cgroup: no cgroup file system is mounted");
	memset(host->of, -1, sizeof(host->of));
	host->v2 = -1;
	for (size_t h = 0; h < host->n_hierarchies; h++) {
		for (int c = 0; c < CGROUP_CONTROLLERS; c++)
			if (host->hierarchies[h].controllers & UINT32_C(1) << c)
				host->of[c] = (int8_t)h;
		if (host->hierarchies[h].version == 2)
			host->v2 = (int8_t)h;
		else
			v1 = true;
	}
	host->mode = host->v2 < 0 ? CGROUP_V1 : v1 ? CGROUP_HYBRID : CGROUP_V2;
	host->processes = 0;
	for (size_t i = ARRAY_LEN(believed); v1 && i-- > 0;)
		if (host->of[believed[i]] >= 0 && host->hierarchies[host->of[believed[i]]].version == 1)
			host->processes = host->of[believed[i]];
	return 0;
}

struct mount_line {
	char *root, *point, *type, *options;
};

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static bool mount_line_parse(char *line, struct mount_line *ret)
{
	char *save = NULL, *word, *fields[5] = { NULL };
	int n = 0;

	for (word = strtok_r(line, " ", &save); word && n < 5; word = strtok_r(NULL, " ", &save))
		fields[n++] = word;
	while (word && strcmp(word, "-") != 0)
		word = strtok_r(NULL, " ", &save);
	if (n < 5 || !word)
		return false;
	ret->root = fields[3];
	ret->point = fields[4];
	ret->type = strtok_r(NULL, " ", &save);
	strtok_r(NULL, " ", &save);
	ret->options = strtok_r(NULL, " ", &save);
	if (!ret->type || !ret->options)
		return false;
	unescape(ret->root);
	unescape(ret->point);
	return true;
}

/* Whether the comma list has the first name of `name` ("cpu,cpuacct", "name=systemd"). */
static bool options_have(const char *options, const char *name)
{
	size_t want = strcspn(name, ",");

	while (*options) {
		size_t n = strcspn(options, ",");

		if (n == want && strncmp(options, name, n) == 0)
			return true;
		options += n + (options[n] == ',');
	}
	return false;
}

/* /proc/self/cgroup shows paths from the hierarchy's root, a mount may begin lower. */
static const char *below_root(const char *self, const char *root)
{
	size_t n = strlen(root);

	if (str_eq(root, "/"))
		return self;
	if (strncmp(self, root, n) == 0 && (self[n] == '/' || !self[n]))
		return self[n] ? self + n : "/";
	return "/";
}

/* Splits "4:memory:/a" in place. */
static bool self_line_parse(char *line, char **ret_name, char **ret_path)
{
	char *name = strchr(line, ':'), *path = name ? strchr(name + 1, ':') : NULL;
	char *p;

	if (!path)
		return false;
	*name++ = '\0';
	*path++ = '\0';
	/* of a cgroup that was removed while we are in it, or that is outside our namespace */
	p = strstr(path, " (deleted)");
	if (p && !p[10])
		*p = '\0';
	if (path[0] != '/' || strncmp(path, "/..", 3) == 0)
		path = "/";
	*ret_name = name;
	*ret_path = path;
	return true;
}

int cgroup_host_parse(const char *mountinfo, const char *self_cgroup, const char *v2_controllers,
		      struct arena *a, struct cgroup_host *ret, struct err *err)
{
	char *self = arena_strdup(a, self_cgroup), *save = NULL;
	struct cgroup_host host = { 0 };

	for (char *line = strtok_r(self, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *name, *path, *text = arena_strdup(a, mountinfo), *msave = NULL;
		struct mount_line found = { 0 };
		int version, r;

		if (!self_line_parse(line, &name, &path))
			return err_set(err, ERR_CORRUPT, "/proc/self/cgroup: cannot read \"%s\"", line);
		version = *name ? 1 : 2;
		for (char *l = strtok_r(text, "\n", &msave); l; l = strtok_r(NULL, "\n", &msave)) {
			struct mount_line m;

			if (!mount_line_parse(l, &m) || !str_eq(m.type, version == 1 ? "cgroup" : "cgroup2"))
				continue;
			if (version == 1 && !options_have(m.options, name))
				continue;
			/* of several mounts the one that shows the whole tree, else the first */
			if (!found.point || (str_eq(m.root, "/") && !str_eq(found.root, "/")))
				found = m;
		}
		if (!found.point)
			continue;
		r = add(&host, version, name, found.point, below_root(path, found.root),
			controllers_of(version == 1 ? name : v2_controllers, version), a);
		if (r < 0)
			return err_set(err, ERR_LIMIT, "cgroup: more than %d hierarchies",
				       CGROUP_HIERARCHIES_MAX);
	}
	if (finish(&host, err) < 0)
		return -ENODEV;
	*ret = host;
	return 0;
}

static bool is_mount_of(const char *path, unsigned long magic)
{
	struct statfs st;

	return statfs(path, &st) == 0 && (unsigned long)st.f_type == magic;
}

/* The usual layout without mountinfo: 0 or -ENOENT. */
static int probe_usual(const char *self_cgroup, struct arena *a, struct cgroup_host *ret)
{
	char *self = arena_strdup(a, self_cgroup), *save = NULL, controllers[1024];
	struct cgroup_host host = { 0 };

	for (char *line = strtok_r(self, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *name, *path, where[PATH_MAX];
		const char *rest;

		if (!self_line_parse(line, &name, &path))
			return -ENOENT;
		if (!*name) {
			bool pure = is_mount_of("/sys/fs/cgroup", CGROUP2_SUPER_MAGIC);

			snprintf(where, sizeof(where), "/sys/fs/cgroup%s", pure ? "" : "/unified");
			/* every kernel lists it; a host without a v2 mount is plain v1 */
			if (!pure && !is_mount_of(where, CGROUP2_SUPER_MAGIC))
				continue;
			strcat(where, "/cgroup.controllers");
			if (sys_file_read_text(AT_FDCWD, where, controllers, sizeof(controllers)) < 0)
				return -ENOENT;
			*strrchr(where, '/') = '\0';
		} else {
			rest = str_skip_prefix(name, "name=");
			snprintf(where, sizeof(where), "/sys/fs/cgroup/%s", rest ? rest : name);
			if (!is_mount_of(where, CGROUP_SUPER_MAGIC))
				return -ENOENT;
		}
		/* a mount that begins below the hierarchy's root: only mountinfo tells */
		if (path[1]) {
			char own[CGROUP_DIRECTORY_MAX];

			if ((size_t)snprintf(own, sizeof(own), "%s%s", where, path) >= sizeof(own) ||
			    access(own, F_OK) < 0)
				return -ENOENT;
		}
		if (add(&host, *name ? 1 : 2, name, where, path,
			controllers_of(*name ? name : controllers, *name ? 1 : 2), a) < 0)
			return -ENOENT;
	}
	if (!host.n_hierarchies || finish(&host, NULL) < 0)
		return -ENOENT;
	*ret = host;
	return 0;
}

static struct {
	struct cgroup_host host;
	struct arena arena;
	struct err err;
	int r;
} cache;

static int read_all(struct err *err)
{
	CLEANUP(buf_done) struct buf self = BUF_INIT(SELF_MAX), mountinfo = BUF_INIT(MOUNTINFO_MAX);
	char controllers[1024] = "";
	struct cgroup_host host;
	int r;

	r = sys_file_read(AT_FDCWD, "/proc/self/cgroup", SELF_MAX, &self);
	if (r < 0)
		return err_sys(err, r, "cgroup: read /proc/self/cgroup");
	if (probe_usual(buf_text(&self), &cache.arena, &cache.host) == 0)
		return 0;
	r = sys_file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &mountinfo);
	if (r < 0)
		return err_sys(err, r, "cgroup: read /proc/self/mountinfo");
	/* twice: where the v2 mount is comes out of the first */
	r = cgroup_host_parse(buf_text(&mountinfo), buf_text(&self), "", &cache.arena, &host, err);
	if (r < 0)
		return r;
	if (host.v2 >= 0) {
		char *file = arena_printf(&cache.arena, "%s/cgroup.controllers",
					  host.hierarchies[host.v2].mount);

		if (sys_file_read_text(AT_FDCWD, file, controllers, sizeof(controllers)) < 0)
			controllers[0] = '\0';
		host.hierarchies[host.v2].controllers = controllers_of(controllers, 2);
		finish(&host, NULL);
	}
	cache.host = host;
	return 0;
}

static void read_once(void)
{
	cache.r = read_all(&cache.err);
}

int cgroup_host_get(const struct cgroup_host **ret, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_once);
	if (cache.r < 0) {
		if (err)
			*err = cache.err;
		return cache.r;
	}
	*ret = &cache.host;
	return 0;
}

int cgroup_freezer_of(const struct cgroup *cg)
{
	int v1 = cg->host->of[CGROUP_FREEZER], v2 = cg->host->v2;

	if (v1 >= 0 && cg->dirs[v1] >= 0)
		return v1;
	return v2 >= 0 && cg->dirs[v2] >= 0 ? v2 : -1;
}
