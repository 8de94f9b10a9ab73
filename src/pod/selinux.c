/*
 * SELinux labels of pods. A process gets the policy's context for containers, and each pod
 * two categories of 1024 of its own, so that pods cannot read each other's files; what is
 * mounted for it gets the file context with the same two. The policy says both contexts in
 * contexts/lxc_contexts (libselinux: selinux_lxc_contexts_path(3)).
 *
 * A privileged container is of the type that policies have for it and in no category; where the policy has none, it
 * keeps the daemon's label. A client's selinux_options replace single parts. Runs on workers; nothing here where
 * SELinux is off. Relabelling walks volumes of the host by descriptor: links are labelled,
 * not followed.
 */
#include "pod/security.h"

#include "pod/manager.h"
#include "sec/sec.h"
#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PRIVILEGED "system_u:system_r:spc_t:s0" /* the policies' type for containers that are not confined */

enum { CONTEXTS_MAX = 64 << 10, CATEGORIES = 1024, TRIES = 64, DEPTH_MAX = 200 };

/* The value of `key = "value"` or `key=value` in lines of text; NULL if there is none. */
static char *value_of(const char *text, const char *key, struct arena *a)
{
	size_t n = strlen(key);

	for (const char *p = text; *p;) {
		const char *end = strchrnul(p, '\n');

		p += strspn(p, " \t");
		if (strncmp(p, key, n) == 0) {
			const char *v = p + n + strspn(p + n, " \t");

			if (*v == '=') {
				v += 1 + strspn(v + 1, " \t\"");
				return arena_strndup(a, v, strcspn(v, " \t\"\r\n#"));
			}
		}
		p = *end ? end + 1 : end;
	}
	return NULL;
}

void pod_selinux_read(struct arena *a, struct pod_host *h)
{
	CLEANUP(buf_done) struct buf config = BUF_INIT(CONTEXTS_MAX), contexts = BUF_INIT(CONTEXTS_MAX);
	const char *type = NULL;

	if (!sec_selinux_enabled())
		return;
	if (sys_file_read(AT_FDCWD, "/etc/selinux/config", CONTEXTS_MAX, &config) >= 0)
		type = value_of(buf_text(&config), "SELINUXTYPE", a);
	if (type && sys_file_read(AT_FDCWD, arena_printf(a, "/etc/selinux/%s/contexts/lxc_contexts", type),
				  CONTEXTS_MAX, &contexts) >= 0) {
		h->selinux_process = value_of(buf_text(&contexts), "process", a);
		h->selinux_file = value_of(buf_text(&contexts), "file", a);
	}
	/* what the reference policy and its descendants say */
	if (!h->selinux_process)
		h->selinux_process = "system_u:system_r:container_t:s0";
	if (!h->selinux_file)
		h->selinux_file = "system_u:object_r:container_file_t:s0";
	if (sec_selinux_check(PRIVILEGED, NULL) == 0)
		h->selinux_privileged = PRIVILEGED;
}

static bool level_taken(struct pod_manager *m, const char *level)
{
	const struct pod_sandbox *p;

	for (size_t i = 0; (p = map_next(&m->pods, &i));)
		if (p->config->security.selinux && str_eq(p->config->security.selinux->level, level))
			return true;
	return false;
}

const struct pod_config *pod_selinux_choose(struct pod_manager *m, const struct pod_config *config, struct arena *a)
{
	const struct pod_selinux *given = config->security.selinux;
	struct pod_config *copy;
	struct pod_selinux *l;
	bool taken = true;

	if (!m->host.selinux_process || (given && !str_empty(given->level)))
		return config;
	copy = arena_new(a, 1, sizeof(*copy));
	*copy = *config;
	l = copy->security.selinux = arena_new(a, 1, sizeof(*l));
	if (given)
		*l = *given;
	for (int i = 0; i < TRIES && taken; i++) {
		uint16_t c[2] = { 0, 1 };

		/* a machine that has no random numbers yet has no pods to keep apart either */
		if (getrandom(c, sizeof(c), 0) < 0)
			break;
		c[0] %= CATEGORIES;
		c[1] %= CATEGORIES;
		if (c[0] == c[1])
			continue;
		l->level = c[0] < c[1] ? arena_printf(a, "s0:c%u,c%u", c[0], c[1]) :
					 arena_printf(a, "s0:c%u,c%u", c[1], c[0]);
		pod_lock(m);
		taken = level_taken(m, l->level);
		pod_unlock(m);
	}
	return copy;
}

/* `context` with the parts of `l` where it has any; the level is the fourth and may have colons. */
static char *put_parts(const char *context, const struct pod_selinux *l, const char *level, bool all, struct arena *a)
{
	const char *part[4] = { "system_u", "system_r", "container_t", "s0" };
	char *own = arena_strdup(a, context), *p = own;

	for (size_t i = 0; i < ARRAY_LEN(part) && p; i++) {
		char *end = i < 3 ? strchr(p, ':') : NULL;

		part[i] = p;
		if (end)
			*end++ = '\0';
		p = end;
	}
	if (!str_empty(level))
		part[3] = level;
	if (l && all) {
		part[0] = str_empty(l->user) ? part[0] : l->user;
		part[1] = str_empty(l->role) ? part[1] : l->role;
		part[2] = str_empty(l->type) ? part[2] : l->type;
	}
	if (l && !str_empty(l->level))
		part[3] = l->level;
	return arena_printf(a, "%s:%s:%s:%s", part[0], part[1], part[2], part[3]);
}

void pod_selinux_labels(const struct pod_security *s, const struct pod_security *pod, const struct pod_host *host,
			struct arena *a, char **ret_process, char **ret_file)
{
	const char *level = pod->selinux ? pod->selinux->level : NULL;

	*ret_process = *ret_file = NULL;
	if (!host->selinux_process)
		return;
	if (s->privileged) /* of no pod: what it may is all, and its own options alone can narrow it */
		*ret_process = s->selinux || host->selinux_privileged ?
			       put_parts(host->selinux_privileged ? host->selinux_privileged : host->selinux_process,
					 s->selinux, NULL, true, a) : NULL;
	else
		*ret_process = put_parts(host->selinux_process, s->selinux ? s->selinux : pod->selinux, level, true, a);
	*ret_file = put_parts(host->selinux_file, s->selinux, level, false, a);
}

static int set_label(int dirfd, const char *name, const char *label)
{
	char path[64 + NAME_MAX];

	/* there is no fsetxattrat before 6.13; the directory is the descriptor's, whatever its path is now */
	snprintf(path, sizeof(path), "/proc/self/fd/%d%s%s", dirfd, *name ? "/" : "", name);
	if ((*name ? lsetxattr : setxattr)(path, "security.selinux", label, strlen(label) + 1, 0) == 0)
		return 0;
	return errno == ENOTSUP || errno == EROFS ? 0 : -errno;
}

static int relabel_tree(int fd, const char *label, unsigned depth)
{
	DIR *dir;
	struct dirent *e;
	int r = set_label(fd, "", label), copy;

	if (r < 0)
		return r;
	if (depth > DEPTH_MAX)
		return -ELOOP;
	copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		r = -errno;
		if (copy >= 0)
			close(copy);
		return r;
	}
	while (r == 0 && (e = readdir(dir))) {
		autofd int child = -EBADF;

		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		child = openat(dirfd(dir), e->d_name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
		r = child >= 0 ? relabel_tree(child, label, depth + 1) : set_label(dirfd(dir), e->d_name, label);
		if (r == -ENOENT)
			r = 0; /* gone meanwhile */
	}
	closedir(dir);
	return r;
}

int pod_selinux_relabel(const char *path, const char *label, struct err *err)
{
	/* what the node itself stands on: a pod would take it from everybody else */
	static const char *const never[] = { "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/proc",
					     "/root", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var" };
	autofd int fd = -EBADF;
	struct stat st;
	int r;

	if (!label)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		if (str_eq(path, never[i]))
			return err_set(err, ERR_INVALID, "selinux_relabel of %s: the node's own labels are kept", path);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "relabel %s", path);
	r = S_ISDIR(st.st_mode) ? relabel_tree(fd, label, 0) : set_label(fd, "", label);
	return r < 0 ? err_sys(err, r, "relabel %s as %s", path, label) : 0;
}

int pod_selinux_relabel_mounts(const struct pod_container_config *config, const char *label, struct err *err)
{
	for (size_t i = 0; label && i < config->n_mounts; i++) {
		const struct pod_mount *v = &config->mounts[i];
		char path[PATH_MAX];
		int r;

		if (!v->selinux_relabel || str_empty(v->host_path))
			continue;
		r = realpath(v->host_path, path) ? pod_selinux_relabel(path, label, err) :
						   err_sys(err, errno, "host_path %s", v->host_path);
		if (r < 0)
			return err_wrap(err, r, "mount %s", v->container_path);
	}
	return 0;
}
