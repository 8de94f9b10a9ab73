/*
 * One plugin, one process. It gets the daemon's environment without what belongs to the daemon
 * alone (an inherited CNI_* or a notify socket), since plugins find iptables by PATH and proxies
 * and credentials by names of their own. Runs on the caller's thread, which waits.
 */
#include "cni/plugin.h"

#include "cni/result.h"
#include "sys/sys.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

enum { STDERR_MAX = 4096 };

void cni_slots_init(struct cni_slots *s, unsigned max)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->freed, &attr);
	pthread_condattr_destroy(&attr);
	s->max = max;
	s->used = 0;
}

void cni_slots_done(struct cni_slots *s)
{
	assert(s->used == 0);
	pthread_cond_destroy(&s->freed);
	pthread_mutex_destroy(&s->lock);
}

static int slot_take(struct cni_slots *s, int64_t deadline)
{
	struct timespec until = { deadline / NSEC_PER_SEC, deadline % NSEC_PER_SEC };
	int r = 0;

	pthread_mutex_lock(&s->lock);
	while (s->used == s->max && r == 0)
		r = deadline == INT64_MAX ? pthread_cond_wait(&s->freed, &s->lock) :
					    pthread_cond_timedwait(&s->freed, &s->lock, &until);
	if (s->used < s->max) {
		s->used++;
		r = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return -r;
}

static void slot_give(struct cni_slots *s)
{
	pthread_mutex_lock(&s->lock);
	s->used--;
	pthread_cond_signal(&s->freed);
	pthread_mutex_unlock(&s->lock);
}

int cni_plugin_find(const struct cni_bin_dirs *bins, const char *type, char *path, size_t size)
{
	for (size_t i = 0; i < bins->n; i++) {
		struct stat st;

		if (snprintf(path, size, "%s/%s", bins->dirs[i], type) >= (int)size)
			continue;
		if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0)
			return 0;
	}
	return -ENOENT;
}

static bool daemons_own(const char *entry)
{
	static const char *const prefixes[] = { "CNI_", "NOTIFY_SOCKET=", "LISTEN_", "WATCHDOG_" };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (str_skip_prefix(entry, prefixes[i]))
			return true;
	return false;
}

static const char **make_env(const struct cni_plugin_call *call, struct arena *a)
{
	const struct {
		const char *name, *value;
	} vars[] = {
		{ "CNI_COMMAND", call->command }, { "CNI_CONTAINERID", call->container_id },
		{ "CNI_NETNS", call->netns },     { "CNI_IFNAME", call->ifname },
		{ "CNI_ARGS", call->args },       { "CNI_PATH", call->bins->path },
	};
	bool has_path = false;
	const char **env;
	size_t n = 0;

	while (environ && environ[n])
		n++;
	env = arena_new(a, n + ARRAY_LEN(vars) + 2, sizeof(*env));
	n = 0;
	for (char **e = environ; e && *e; e++) {
		if (daemons_own(*e))
			continue;
		has_path |= str_skip_prefix(*e, "PATH=") != NULL;
		env[n++] = *e;
	}
	if (!has_path)
		env[n++] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	for (size_t i = 0; i < ARRAY_LEN(vars); i++)
		if (vars[i].value)
			env[n++] = arena_printf(a, "%s=%s", vars[i].name, vars[i].value);
	return env;
}

/* The last line that says something: where a plugin without an error object explains itself. */
static const char *last_line(struct buf *text)
{
	char *s, *nl;

	while (text->len && strchr(" \r\n", text->data[text->len - 1]))
		text->data[--text->len] = '\0';
	s = (char *)text->data;
	if (!text->len)
		return "";
	nl = strrchr(s, '\n');
	return nl ? nl + 1 : s;
}

static int failed(const char *what, int status, const struct buf *out, struct buf *err_out, struct err *err)
{
	const char *said;
	int r;

	r = cni_result_error(buf_text(out), out->len, what, err);
	if (r < 0)
		return r;
	said = last_line(err_out);
	if (WIFSIGNALED(status))
		return err_set(err, ERR_INTERNAL, "%s: killed by signal %d (%s)%s%.300s", what, WTERMSIG(status),
			       sigdescr_np(WTERMSIG(status)), *said ? ": " : "", said);
	return err_set(err, ERR_INTERNAL, "%s: exit status %d%s%.300s", what, WEXITSTATUS(status),
		       *said ? ": " : "", said);
}

int cni_plugin_run(const struct cni_plugin_call *call, struct buf *out, struct err *err)
{
	CLEANUP(buf_done) struct buf err_out = BUF_INIT(STDERR_MAX), printed = BUF_INIT(CNI_OUTPUT_MAX);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const char *what = arena_printf(&a, "CNI plugin %s (network \"%s\"): %s", call->type, call->network,
					call->command);
	int64_t began = time_now_mono();
	char path[PATH_MAX];
	struct sys_spawn spawn = {
		.path = path,
		.cwd = "/",
		.input = call->input,
		.input_len = call->input ? strlen(call->input) : 0,
		.deadline = call->deadline,
	};
	int r, status;

	r = cni_plugin_find(call->bins, call->type, path, sizeof(path));
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "%s: there is no such plugin in %s", what, call->bins->path);
	spawn.env = make_env(call, &a);
	r = slot_take(call->slots, call->deadline);
	if (r < 0)
		return err_set(err, ERR_TIMEOUT, "%s: waited %lld ms for its turn while %u other plugins ran", what,
			       (long long)((time_now_mono() - began) / NSEC_PER_MSEC), call->slots->max);
	r = sys_spawn_run(&spawn, &printed, &err_out, &status);
	slot_give(call->slots);
	if (r == -ETIMEDOUT)
		return err_set(err, ERR_TIMEOUT, "%s: %s was killed, since it had not ended after %lld ms", what, path,
			       (long long)((time_now_mono() - began) / NSEC_PER_MSEC));
	if (r < 0)
		return err_sys(err, r, "%s: %s", what, path);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return failed(what, status, &printed, &err_out, err);
	if (printed.len == printed.max)
		return err_set(err, ERR_LIMIT, "%s: printed more than %d bytes", what, CNI_OUTPUT_MAX - 1);
	if (out) {
		r = buf_append(out, printed.data, printed.len);
		if (r < 0)
			return err_sys(err, r, "%s: output", what);
	}
	return 0;
}
