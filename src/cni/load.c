/*
 * Which configuration is in force. The directory is scanned at each question; only when the
 * first file's name, inode, size or times differ from those of the loaded one is it read again.
 * Any thread. A loaded configuration is never changed: a new one takes its place, and who
 * still works with the old one holds a reference.
 */
#include "cni/load.h"

#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

static bool is_conf_name(const char *name)
{
	/* writers that replace files atomically use names with a leading dot meanwhile */
	return name[0] != '.' && (str_has_suffix(name, ".conflist") || str_has_suffix(name, ".conf") ||
				  str_has_suffix(name, ".json"));
}

static void dir_close(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* The first configuration file in lexical order: 1 and its name, 0 when there is none. */
static int first_file(const char *dir, char name[NAME_MAX + 1], struct stat *st)
{
	CLEANUP(dir_close) DIR *d = opendir(dir);
	struct dirent *e;
	int found = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		struct stat s;

		if (!is_conf_name(e->d_name) || (found && strcmp(e->d_name, name) > 0))
			continue;
		/* a link that dangles is a file that cannot be read, and is said to be so */
		if (fstatat(dirfd(d), e->d_name, &s, 0) < 0)
			memset(&s, 0, sizeof(s));
		else if (!S_ISREG(s.st_mode))
			continue;
		snprintf(name, NAME_MAX + 1, "%s", e->d_name);
		*st = s;
		found = 1;
	}
	return found;
}

static void load(struct cni *cni, struct cni_net *net, int found)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(CNI_CONF_MAX + 1);
	int r;

	if (found < 0) {
		err_sys(&net->broken, found, "network configuration directory %s", net->source);
		return;
	}
	if (net->embedded && !cni->default_conf) {
		err_set(&net->broken, ERR_UNAVAILABLE, "no network configuration in %s", cni->conf_dir);
		return;
	}
	if (net->embedded)
		r = buf_puts(&text, cni->default_conf);
	else
		r = sys_file_read(AT_FDCWD, net->source, CNI_CONF_MAX, &text);
	if (r < 0) {
		err_sys(&net->broken, r, "network configuration %s", net->source);
		return;
	}
	r = cni_conf_read(buf_text(&text), text.len, &net->arena, &net->conf, &net->broken);
	if (r < 0)
		err_wrap(&net->broken, r, "network configuration %s", net->source);
}

/* A configuration as far as a look at the directory tells it; *ret_found as of first_file. */
static struct cni_net *look(struct cni *cni, int *ret_found)
{
	struct cni_net *net = mem_new(1, sizeof(*net));
	char name[NAME_MAX + 1];
	struct stat st = { 0 };
	int found = first_file(cni->conf_dir, name, &st);

	net->refs = 1;
	net->embedded = found == 0;
	if (found > 0) {
		net->source = arena_printf(&net->arena, "%s/%s", cni->conf_dir, name);
		net->signature = arena_printf(&net->arena, "%s %llu %llu %lld %lld.%09ld %lld.%09ld", name,
					      (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
					      (long long)st.st_size, (long long)st.st_mtim.tv_sec,
					      st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec,
					      st.st_ctim.tv_nsec);
	} else {
		net->source = arena_strdup(&net->arena, found ? cni->conf_dir : "embedded default");
		net->signature = arena_printf(&net->arena, "%d", found);
	}
	*ret_found = found;
	return net;
}

static void net_free(struct cni_net *net)
{
	arena_done(&net->arena);
	free(net);
}

struct cni_net *cni_net_get(struct cni *cni)
{
	struct cni_net *seen, *old, *net;
	int found;

	seen = look(cni, &found);

	pthread_mutex_lock(&cni->lock);
	net = cni->net;
	if (net && str_eq(net->signature, seen->signature)) {
		net->refs++;
		pthread_mutex_unlock(&cni->lock);
		net_free(seen);
		return net;
	}
	pthread_mutex_unlock(&cni->lock);

	load(cni, seen, found);
	seen->refs = 2; /* the caller's and cni's */
	pthread_mutex_lock(&cni->lock);
	old = cni->net;
	cni->net = seen;
	pthread_mutex_unlock(&cni->lock);
	if (old)
		cni_net_put(cni, old);
	return seen;
}

void cni_net_put(struct cni *cni, struct cni_net *net)
{
	bool last;

	if (!net)
		return;
	pthread_mutex_lock(&cni->lock);
	last = --net->refs == 0;
	pthread_mutex_unlock(&cni->lock);
	if (last)
		net_free(net);
}

/* "bridge, portmap": the plugins of the list that are nowhere. */
static void missing_plugins(struct cni *cni, const struct cni_conf *conf, char *out, size_t size)
{
	out[0] = '\0';
	for (size_t i = 0; i < conf->n_plugins; i++) {
		const char *types[] = { conf->plugins[i].type, conf->plugins[i].ipam };

		for (size_t k = 0; k < ARRAY_LEN(types); k++) {
			char path[PATH_MAX];
			size_t len = strlen(out);

			if (types[k] && cni_plugin_find(&cni->bins, types[k], path, sizeof(path)) < 0)
				snprintf(out + len, size - len, "%s%s", len ? ", " : "", types[k]);
		}
	}
}

int cni_net_check(struct cni *cni, const struct cni_net *net, const char **ret_reason, struct err *err)
{
	char missing[256];

	if (net->broken.kind != ERR_NONE) {
		*ret_reason = net->broken.kind == ERR_UNAVAILABLE ? "NetworkPluginNotReady" : "NetworkConfigInvalid";
		if (err)
			*err = net->broken;
		return -EINVAL;
	}
	missing_plugins(cni, &net->conf, missing, sizeof(missing));
	if (!*missing) {
		*ret_reason = "";
		return 0;
	}
	*ret_reason = "NetworkPluginNotReady";
	if (net->embedded)
		return err_set(err, ERR_UNAVAILABLE,
			       "no network configuration in %s, and the embedded default lacks CNI plugins: %s "
			       "(looked for in %s)",
			       cni->conf_dir, missing, cni->bins.path);
	return err_set(err, ERR_UNAVAILABLE, "network configuration %s: CNI plugins are missing: %s (looked for in %s)",
		       net->source, missing, cni->bins.path);
}
