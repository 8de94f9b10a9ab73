/*
 * Pre-installed plugins: every executable NN-name of a directory is started once, with a
 * connected socket as descriptor 3 and its configuration from <config_dir>/NN-name.conf or name.conf.
 * One that ends or is cut off is not started again: what it wanted of containers it
 * would not know any more. Loop thread.
 */
#include "nri/plugin.h"

#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { CONFIG_MAX = 1 << 20, PLUGIN_FD = 3 };

struct nri_child {
	struct list link;
	int pidfd;
	struct event_child *src;
	bool ended;    /* reaped */
	bool orphan;   /* its plugin is gone */
};

static void child_free(struct nri_child *c)
{
	event_child_free(c->src);
	fd_drop(&c->pidfd);
	list_remove(&c->link);
	free(c);
}

void nri_children_free(struct nri *n)
{
	list_for_each(c, &n->children, struct nri_child, link)
		child_free(c);
}

static void on_child_end(int status, void *user)
{
	struct nri_child *c = user;

	c->ended = true;
	if (c->orphan)
		child_free(c);
}

void nri_child_end(struct nri_child *c)
{
	if (!c)
		return;
	if (c->ended) {
		child_free(c);
		return;
	}
	c->orphan = true;
	sys_pidfd_signal(c->pidfd, SIGKILL);
}

static int start(const char *path, const char *const *env, int sock, pid_t *ret_pid)
{
	const char *const argv[] = { path, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr,
				 POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (!r) /* what it has to say is said to the daemon's log */
		r = posix_spawn_file_actions_adddup2(&actions, 2, 1);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, sock, PLUGIN_FD);
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(&actions, PLUGIN_FD + 1);
	if (!r)
		r = posix_spawn(ret_pid, path, &actions, &attr, (char *const *)argv, (char *const *)env);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -r;
}

static int child_new(struct nri *n, pid_t pid, struct nri_child **ret)
{
	struct nri_child *c = mem_new(1, sizeof(*c));
	int r;

	c->pidfd = -EBADF;
	list_append(&n->children, &c->link);
	r = sys_pidfd_open(pid, &c->pidfd);
	if (r == 0)
		r = event_child_new(n->loop, c->pidfd, on_child_end, c, &c->src);
	if (r < 0) {
		kill(pid, SIGKILL);
		child_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

/* "" when there is none. */
static char *read_config(struct nri *n, const char *file, struct err *err)
{
	const char *const names[] = { file, file + 3 };

	for (size_t i = 0; i < ARRAY_LEN(names) && !str_empty(n->settings.config_dir); i++) {
		autofree char *path = mem_printf("%s/%s.conf", n->settings.config_dir, names[i]);
		CLEANUP(buf_done) struct buf text = BUF_INIT(CONFIG_MAX);
		int r = sys_file_read(AT_FDCWD, path, CONFIG_MAX, &text);

		if (r == 0)
			return buf_take_text(&text);
		if (r != -ENOENT) {
			err_sys(err, r, "configuration %s", path);
			return NULL;
		}
	}
	return mem_strdup("");
}

static int launch(struct nri *n, const char *file, struct err *err)
{
	autofree char *path = mem_printf("%s/%s", n->settings.plugin_dir, file);
	autofree char *name = mem_printf("NRI_PLUGIN_NAME=%s", file + 3);
	autofree char *idx = mem_printf("NRI_PLUGIN_IDX=%.2s", file);
	const char *const env[] = { name, idx, "NRI_PLUGIN_SOCKET=3",
				    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	char *config = read_config(n, file, err);
	struct nri_child *child = NULL;
	struct nri_plugin *p;
	int fds[2], r;
	pid_t pid;

	if (!config)
		return -EIO;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		free(config);
		return err_sys(err, errno, "socket pair");
	}
	/* the number that dup2 gives must not be the one that it is given: that would keep close-on-exec */
	if (fds[1] == PLUGIN_FD) {
		int other = fcntl(fds[1], F_DUPFD_CLOEXEC, PLUGIN_FD + 1);

		close(fds[1]);
		fds[1] = other;
	}
	r = fds[1] < 0 ? -EMFILE : start(path, env, fds[1], &pid);
	fd_drop(&fds[1]);
	if (r == 0)
		r = child_new(n, pid, &child);
	if (r < 0) {
		close(fds[0]);
		free(config);
		return err_sys(err, r, "start it");
	}
	r = nri_plugin_new(n, fds[0], file, config, child, &p);
	if (r < 0) {
		nri_child_end(child);
		return err_sys(err, r, "connect it");
	}
	return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

void nri_launch_all(struct nri *n)
{
	struct dirent **entries = NULL;
	int count = scandir(n->settings.plugin_dir, &entries, NULL, by_name);

	if (count < 0 && errno != ENOENT)
		nri_say(n, LOG_WARN, "NRI: plugins of %s: %s", n->settings.plugin_dir, strerror(errno));
	for (int i = 0; i < count; i++) {
		const char *file = entries[i]->d_name;
		autofree char *path = mem_printf("%s/%s", n->settings.plugin_dir, file);
		struct err err = ERR_INIT;
		struct stat st;

		if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111)) {
			free(entries[i]);
			continue;
		}
		if (strspn(file, "0123456789") != 2 || file[2] != '-' || !file[3] ||
		    strlen(file) >= NRI_NAME_MAX)
			nri_say(n, LOG_WARN, "NRI: %s: not named NN-name, so it is not started", path);
		else if (launch(n, file, &err) < 0)
			nri_say(n, LOG_WARN, "NRI plugin %s: %s", path, err.text);
		free(entries[i]);
	}
	free(entries);
}
