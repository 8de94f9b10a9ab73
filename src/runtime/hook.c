#include "runtime/hook.h"

#include "runtime/runtime.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>

enum { HOOK_OUTPUT_MAX = 4096 };

static runtime_warn_fn warn_fn;
static void *warn_user;

void runtime_on_warning(runtime_warn_fn fn, void *user)
{
	warn_fn = fn;
	warn_user = user;
}

void runtime_warn(const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	if (!warn_fn)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	warn_fn(text, warn_user);
}

int hooks_check(const struct oci_hooks *h, struct err *err)
{
	const struct {
		const char *name;
		const struct oci_hook *hooks;
		size_t n;
	} all[] = {
		{ "prestart", h->prestart, h->n_prestart },
		{ "createRuntime", h->create_runtime, h->n_create_runtime },
		{ "createContainer", h->create_container, h->n_create_container },
		{ "startContainer", h->start_container, h->n_start_container },
		{ "poststart", h->poststart, h->n_poststart },
		{ "poststop", h->poststop, h->n_poststop },
	};

	for (size_t k = 0; k < ARRAY_LEN(all); k++)
		for (size_t i = 0; i < all[k].n; i++) {
			if (*all[k].hooks[i].path != '/')
				return err_set(err, ERR_INVALID, "hooks.%s[%zu].path: \"%s\" is not absolute",
					       all[k].name,
					       i, all[k].hooks[i].path);
			if (all[k].hooks[i].timeout && *all[k].hooks[i].timeout <= 0)
				return err_set(err, ERR_INVALID, "hooks.%s[%zu].timeout: must be more than 0",
					       all[k].name, i);
		}
	return 0;
}

int hooks_output_open(const struct json_kv *annotations, size_t n, struct hooks_output *ret, struct err *err)
{
	const struct {
		const char *key;
		int *to;
	} rows[] = { { "run.oci.hooks.stdout", &ret->out }, { "run.oci.hooks.stderr", &ret->err } };

	for (size_t k = 0; k < ARRAY_LEN(rows); k++)
		for (size_t i = 0; i < n && *rows[k].to < 0; i++) {
			const char *path = annotations[i].value;

			if (!str_eq(annotations[i].key, rows[k].key))
				continue;
			*rows[k].to = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_CLOEXEC, 0700);
			if (*rows[k].to < 0)
				return err_sys(err, errno, "annotations: %s: open %s", rows[k].key, path);
		}
	return 0;
}

void hooks_output_done(struct hooks_output *o)
{
	fd_drop(&o->out);
	fd_drop(&o->err);
}

static int run_one(const struct oci_hook *h, const struct buf *state, const struct hooks_output *output,
		   struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(HOOK_OUTPUT_MAX), errors = BUF_INIT(HOOK_OUTPUT_MAX);
	autofree char **argv = mem_new(h->n_args + 2, sizeof(char *));
	autofree char **env = mem_new(h->n_env + 1, sizeof(char *));
	struct sys_spawn what = {
		.path = h->path, .argv = (const char *const *)argv, .env = (const char *const *)env,
		.input = state->data, .input_len = state->len, .deadline = INT64_MAX,
		.out_fd = output->out, .err_fd = output->err,
	};
	int r, status;

	argv[0] = h->path;
	if (h->n_args)
		memcpy(argv, h->args, h->n_args * sizeof(char *));
	if (h->n_env)
		memcpy(env, h->env, h->n_env * sizeof(char *));
	if (h->timeout)
		what.deadline = time_now_mono() + *h->timeout * NSEC_PER_SEC;
	r = sys_spawn_run(&what, &out, &errors, &status);
	if (r == -ETIMEDOUT)
		return err_set(err, ERR_TIMEOUT, "killed: it ran longer than %d s", *h->timeout);
	if (r < 0)
		return err_sys(err, r, "execute");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return err_set(err, ERR_INTERNAL, "signal %d, stdout: %s, stderr: %s", WTERMSIG(status),
			       buf_text(&out),
			       buf_text(&errors));
	return err_set(err, ERR_INTERNAL, "exit status %d, stdout: %s, stderr: %s", WEXITSTATUS(status),
		       buf_text(&out), buf_text(&errors));
}

static int state_text(const struct oci_state *state, struct buf *out, struct err *err)
{
	return json_write(&oci_state_type, state, 0, out, err);
}

int hooks_run(const struct oci_hook *hooks, size_t n, const char *name, const struct oci_state *state,
	      const struct hooks_output *output, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX);
	int r = n ? state_text(state, &text, err) : 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = run_one(&hooks[i], &text, output, err);
		if (r < 0)
			err_wrap(err, r, "error running %s hook #%zu: %s", name, i, hooks[i].path);
	}
	return r;
}

void hooks_run_all(const struct oci_hook *hooks, size_t n, const char *name, const struct oci_state *state,
		   const struct hooks_output *output)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX);
	struct err err = ERR_INIT;

	if (!n || state_text(state, &text, &err) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (run_one(&hooks[i], &text, output, &err) < 0)
			runtime_warn("error running %s hook #%zu: %s: %s", name, i, hooks[i].path, err.text);
}
