/* exec. */
#include "prog/caisson-oci/oci.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

struct exec_options {
	const char *console_socket, *pid_file, *process, *cwd, *user, *apparmor, *label, *pidfd_socket;
	struct option_list env, caps, groups, cgroups;
	bool detach, tty, no_new_privs, ignore_paused, no_subreaper;
	int preserve_fds;
};

static int set_user(struct oci_process *p, const char *text, struct err *err)
{
	const char *colon = strchr(text, ':');
	char uid[16];

	snprintf(uid, sizeof(uid), "%.*s", colon ? (int)(colon - text) : (int)strlen(text), text);
	if (str_to_u32(uid, 10, &p->user.uid) < 0 || (colon && str_to_u32(colon + 1, 10, &p->user.gid) < 0))
		return err_set(err, ERR_INVALID, "--user: \"%s\" is not UID[:GID]", text);
	return 0;
}

static char **join(struct arena *a, char **old, size_t n_old, const struct option_list *more, size_t *ret_n)
{
	char **out = arena_new(a, n_old + more->n + 1, sizeof(*out));

	if (n_old)
		memcpy(out, old, n_old * sizeof(*out));
	for (size_t i = 0; i < more->n; i++)
		out[n_old + i] = (char *)more->values[i];
	*ret_n = n_old + more->n;
	return out;
}

/* --cap goes to the sets that make it effective; ambient as runc does, where inheritable. */
static void add_caps(struct arena *a, struct oci_process *p, const struct option_list *caps)
{
	struct oci_capabilities *c = arena_new(a, 1, sizeof(*c));

	if (!caps->n)
		return;
	if (p->capabilities)
		*c = *p->capabilities;
	c->bounding = join(a, c->bounding, c->n_bounding, caps, &c->n_bounding);
	c->effective = join(a, c->effective, c->n_effective, caps, &c->n_effective);
	c->permitted = join(a, c->permitted, c->n_permitted, caps, &c->n_permitted);
	p->capabilities = c;
}

/* The container's process with what the command line changes. */
static int from_container(struct global *g, const struct exec_options *o, const char *id, char **words,
			  size_t n,
			  struct oci_process *p, struct err *err)
{
	uint32_t *groups;
	int r;

	r = runtime_process(g->root, id, &g->arena, p, err);
	if (r < 0)
		return r;
	p->args = words;
	p->n_args = n;
	p->terminal = o->tty;
	p->env = join(&g->arena, p->env, p->n_env, &o->env, &p->n_env);
	if (o->cwd)
		p->cwd = (char *)o->cwd;
	if (o->apparmor)
		p->apparmor_profile = (char *)o->apparmor;
	if (o->label)
		p->selinux_label = (char *)o->label;
	if (o->no_new_privs)
		p->no_new_privileges = true;
	add_caps(&g->arena, p, &o->caps);
	if (o->user) {
		r = set_user(p, o->user, err);
		if (r < 0)
			return r;
	}
	groups = arena_new(&g->arena, p->user.n_additional_gids + o->groups.n + 1, sizeof(*groups));
	if (p->user.n_additional_gids)
		memcpy(groups, p->user.additional_gids, p->user.n_additional_gids * sizeof(*groups));
	for (size_t i = 0; i < o->groups.n; i++)
		if (str_to_u32(o->groups.values[i], 10, &groups[p->user.n_additional_gids++]) < 0)
			return err_set(err, ERR_INVALID, "--additional-gids: \"%s\" is not a number",
				       o->groups.values[i]);
	p->user.additional_gids = groups;
	return 0;
}

static int from_file(struct global *g, const char *path, struct oci_process *p, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX + 1);
	int r = sys_file_read(AT_FDCWD, str_eq(path, "-") ? "/dev/stdin" : path, OCI_CONFIG_MAX, &text);

	if (r < 0)
		return err_sys(err, r, "open %s", path);
	r = oci_process_read(text.data ? text.data : (const uint8_t *)"", text.len, &g->arena, p, err);
	return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

static int exec_and_tell(struct runtime_exec *what, int sock, pid_t *ret_pid, struct err *err)
{
	int r = runtime_exec(what, ret_pid, err);

	if (r < 0)
		return r;
	r = pidfd_send(sock, *ret_pid, "setns", err);
	if (r < 0)
		kill(*ret_pid, SIGKILL);
	return r;
}

/*
 * "/a" is counted from the container's cgroup like "a", "/" is the container's own. One name is made
 * where it is missing; a path, and one for some controllers only ("cpu,memory:a/b"), has to be there.
 */
static int set_cgroups(struct global *g, struct runtime_exec *what, const struct option_list *list, struct err *err)
{
	struct runtime_sub_cgroup *subs = arena_new(&g->arena, list->n + 1, sizeof(*subs));

	for (size_t i = 0; i < list->n; i++) {
		const char *text = list->values[i], *colon = strchr(text, ':'), *path = colon ? colon + 1 : text;

		path += strspn(path, "/");
		if (colon == text || (colon && !*path))
			return err_set(err, ERR_INVALID, "--cgroup: \"%s\" is not [CONTROLLER,…:]PATH", text);
		if (!colon && list->n > 1)
			return err_set(err, ERR_INVALID, "--cgroup: \"%s\": more than one needs controllers", text);
		if (!colon && !strchr(path, '/')) {
			what->cgroup = str_empty(path) ? NULL : path;
			return 0;
		}
		subs[i].path = path;
		if (colon)
			subs[i].controllers = arena_strndup(&g->arena, text, (size_t)(colon - text));
	}
	what->cgroups = subs;
	what->n_cgroups = list->n;
	return 0;
}

static int run(const struct exec_options *o, struct runtime_exec *what, struct err *err)
{
	CLEANUP(foreground_done) struct foreground f = FOREGROUND_INIT;
	autofd int sock = -EBADF;
	pid_t pid;
	int r = pidfd_connect(o->pidfd_socket, &sock, err);

	if (r == 0 && o->console_socket)
		r = console_connect(o->console_socket, &what->console_socket, err);
	if (r < 0)
		return r;
	if (o->detach)
		return exec_and_tell(what, sock, &pid, err);
	r = foreground_init(&f, what->process->terminal && !o->console_socket, err);
	if (r < 0)
		return r;
	if (f.sender >= 0)
		what->console_socket = f.sender;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	r = exec_and_tell(what, sock, &pid, err);
	return r < 0 ? r : foreground_wait(&f, pid, err);
}

int command_exec(struct global *g, int argc, char **argv, struct err *err)
{
	struct exec_options o = { 0 };
	const struct option options[] = {
		{ "console-socket", 0, OPTION_TEXT, &o.console_socket,
		  "PATH\tUnix socket that gets the terminal" },
		{ "cwd", 0, OPTION_TEXT, &o.cwd, "DIR\tworking directory in the container" },
		{ "env", 'e', OPTION_LIST, &o.env, "NAME=VALUE\tadd to the environment" },
		{ "tty", 't', OPTION_FLAG, &o.tty, "give it a terminal" },
		{ "user", 'u', OPTION_TEXT, &o.user, "UID[:GID]\trun as that user" },
		{ "additional-gids", 'g', OPTION_LIST, &o.groups, "GID\ta further group" },
		{ "process", 'p', OPTION_TEXT, &o.process, "FILE\tthe process as JSON; - is standard input" },
		{ "detach", 'd', OPTION_FLAG, &o.detach, "do not wait for it" },
		{ "pid-file", 0, OPTION_TEXT, &o.pid_file, "FILE\twhere the process id is written" },
		{ "pidfd-socket", 0, OPTION_TEXT, &o.pidfd_socket, "PATH\tUnix socket that gets its pidfd" },
		{ "process-label", 0, OPTION_TEXT, &o.label, "LABEL\tSELinux label" },
		{ "apparmor", 0, OPTION_TEXT, &o.apparmor, "PROFILE\tAppArmor profile" },
		{ "no-new-privs", 0, OPTION_FLAG, &o.no_new_privs, "set no_new_privs" },
		{ "cap", 'c', OPTION_LIST, &o.caps, "CAP\ta further capability" },
		{ "preserve-fds", 0, OPTION_INT, &o.preserve_fds, "N\tdescriptors beyond 2 that stay open" },
		{ "cgroup", 0, OPTION_LIST, &o.cgroups,
		  "[CONTROLLER,...:]PATH\tin a sub-cgroup of the container's" },
		{ "ignore-paused", 0, OPTION_FLAG, &o.ignore_paused, "also in a paused container" },
		{ "no-subreaper", 0, OPTION_FLAG, &o.no_subreaper,
		  "for runc's command line; changes nothing" },
	};
	struct runtime_exec what = RUNTIME_EXEC_INIT;
	struct oci_process process;
	char **words;
	size_t n;
	int r;

	r = options_parse(command_find("exec"), options, ARRAY_LEN(options), argc, argv, 2, &g->arena, &words,
			  &n,
			  err);
	if (r < 0)
		return r;
	if (!n || (n < 2 && !o.process))
		return err_set(err, ERR_INVALID,
			       "\"exec\" requires a container ID and a command (or --process)");
	r = o.process ? from_file(g, o.process, &process, err) :
			from_container(g, &o, words[0], words + 1, n - 1, &process, err);
	if (r < 0)
		return r;
	what.root = g->root;
	what.id = words[0];
	what.process = &process;
	what.pid_file = o.pid_file;
	what.preserve_fds = o.preserve_fds;
	what.ignore_paused = o.ignore_paused;
	r = set_cgroups(g, &what, &o.cgroups, err);
	return r < 0 ? r : run(&o, &what, err);
}
