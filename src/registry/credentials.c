/* Documents in, credentials out; the files and helpers themselves are at the end. */
#include "registry/credentials.h"

#include "json/json.h"
#include "registry/challenge.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>

enum { FILE_MAX = 1024 * 1024, ANSWER_MAX = 64 * 1024 };
#define HELPER_TIMEOUT (10 * NSEC_PER_SEC)

/* ---- documents ---- */

struct auth_entry {
	char *key;
	char *auth, *username, *password, *identity_token, *registry_token;
};

struct auth_file {
	struct auth_entry *auths;
	size_t n_auths;
	struct json_kv *helpers;
	size_t n_helpers;
	char *store;
};

static const struct json_field entry_fields[] = {
	JSON_FIELD(STR, struct auth_entry, auth, "auth", 0),
	JSON_FIELD(STR, struct auth_entry, username, "username", 0),
	JSON_FIELD(STR, struct auth_entry, password, "password", 0),
	JSON_FIELD(STR, struct auth_entry, identity_token, "identitytoken", 0),
	JSON_FIELD(STR, struct auth_entry, registry_token, "registrytoken", 0),
};
static const struct json_type entry_type = JSON_TYPE("auth", struct auth_entry, entry_fields);
static const struct json_field file_fields[] = {
	JSON_FIELD_OBJ_LIST(OBJ_MAP, struct auth_file, auths, "auths", 0, &entry_type),
	JSON_FIELD_LIST(STR_MAP, struct auth_file, helpers, "credHelpers", 0),
	JSON_FIELD(STR, struct auth_file, store, "credsStore", 0),
};
static const struct json_type file_type = JSON_TYPE("credentials", struct auth_file, file_fields);

struct helper_answer {
	char *username, *secret;
};

static const struct json_field answer_fields[] = {
	JSON_FIELD(STR, struct helper_answer, username, "Username", 0),
	JSON_FIELD(STR, struct helper_answer, secret, "Secret", JSON_REQUIRED),
};
static const struct json_type answer_type = JSON_TYPE("answer", struct helper_answer, answer_fields);

static const char *text_or_none(const char *s)
{
	return s ? s : "";
}

int credentials_split(const char *auth, struct arena *a, const char **ret_username, const char **ret_password,
		      struct err *err)
{
	CLEANUP(buf_done) struct buf pair = BUF_INIT(FILE_MAX);
	const char *colon;

	if (base64_decode(auth, &pair) < 0 || !(colon = strchr(buf_text(&pair), ':')))
		return err_set(err, ERR_INVALID, "auth is not the base64 of user:password");
	*ret_username = arena_strndup(a, buf_text(&pair), (size_t)(colon - buf_text(&pair)));
	*ret_password = arena_strdup(a, colon + 1);
	return 0;
}

/* ---- keys ---- */

/* A key without its scheme, the version of docker's API and slashes at its end. */
static const char *bare_key(const char *key, struct arena *a)
{
	static const char *const ends[] = { "/v1", "/v2" };
	const char *https = str_skip_prefix(key, "https://"), *http = str_skip_prefix(key, "http://");
	char *bare = arena_strdup(a, https ? https : http ? http : key);
	size_t n = strlen(bare);

	while (n && bare[n - 1] == '/')
		bare[--n] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (str_has_suffix(bare, ends[i])) {
			bare[n - strlen(ends[i])] = '\0';
			break;
		}
	return bare;
}

static bool is_hub(const char *host)
{
	static const char *const names[] = { "docker.io", "index.docker.io", "registry-1.docker.io" };

	return str_in(host, names, ARRAY_LEN(names));
}

/* How much of host/repository a key covers: its length, or 0. */
static size_t covers(const char *key, const char *host, const char *repository)
{
	size_t n = strcspn(key, "/"), len = strlen(key);
	bool same = (strlen(host) == n && strncmp(key, host, n) == 0);

	if (!same && is_hub(host)) {
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)n, key);
		same = is_hub(name);
	}
	if (!same || !n)
		return 0;
	if (!key[n])
		return 1;
	key += n + 1;
	n = strlen(key);
	return n && !strncmp(key, repository, n) && (!repository[n] || repository[n] == '/') ? len : 0;
}

static bool has_something(const struct auth_entry *e)
{
	return !str_empty(e->auth) || !str_empty(e->username) || !str_empty(e->identity_token) ||
	       !str_empty(e->registry_token);
}

static int use_entry(const char *name, const struct auth_entry *e, struct arena *a, struct credentials *ret,
		     struct err *err)
{
	*ret = (struct credentials){
		.username = text_or_none(e->username),
		.password = text_or_none(e->password),
		.identity_token = text_or_none(e->identity_token),
		.registry_token = text_or_none(e->registry_token),
		.source = arena_printf(a, "%s, auths.%s", name, e->key),
	};
	if (!str_empty(e->auth) && !*ret->username) {
		int r = credentials_split(e->auth, a, &ret->username, &ret->password, err);

		if (r < 0)
			return err_wrap(err, r, "%s", ret->source);
	}
	return 1;
}

int credentials_read(const char *name, const void *text, size_t len, const char *host, const char *repository,
		     struct arena *a, struct credentials *ret, const char **ret_helper, const char **ret_key,
		     struct err *err)
{
	const struct auth_entry *best = NULL;
	struct auth_file f;
	size_t best_n = 0;
	int r = json_read(&file_type, text, len, a, &f, err);

	if (r < 0)
		return err_wrap(err, r, "%s", name);
	*ret_helper = NULL;
	for (size_t i = 0; i < f.n_auths; i++) {
		size_t n = covers(bare_key(f.auths[i].key, a), host, repository);

		if (n > best_n && has_something(&f.auths[i])) {
			best_n = n;
			best = &f.auths[i];
		}
	}
	/* a helper for the host is nearer than an entry that a store may have left behind */
	for (size_t i = 0; i < f.n_helpers; i++)
		if (covers(bare_key(f.helpers[i].key, a), host, repository) >= best_n && best_n <= 1 &&
		    covers(bare_key(f.helpers[i].key, a), host, repository)) {
			*ret_helper = f.helpers[i].value;
			*ret_key = f.helpers[i].key;
			return 1;
		}
	if (best)
		return use_entry(name, best, a, ret, err);
	if (str_empty(f.store))
		return 0;
	*ret_helper = f.store;
	*ret_key = is_hub(host) ? "https://index.docker.io/v1/" : arena_strdup(a, host);
	return 1;
}

int credentials_read_helper(const void *text, size_t len, struct arena *a, struct credentials *ret,
			    struct err *err)
{
	struct helper_answer answer;
	int r = json_read(&answer_type, text, len, a, &answer, err);

	if (r < 0)
		return r;
	*ret = (struct credentials){ "", "", "", "", ret->source };
	/* the protocol's mark of an identity token */
	if (str_eq(answer.username, "<token>")) {
		ret->identity_token = answer.secret;
	} else {
		ret->username = text_or_none(answer.username);
		ret->password = answer.secret;
	}
	return 0;
}

/* ---- helpers and files ---- */

static const char *find_program(const char *name, struct arena *a)
{
	const char *path = getenv("PATH");

	if (str_empty(path))
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	while (*path) {
		size_t n = strcspn(path, ":");
		const char *file = arena_printf(a, "%.*s/%s", (int)n, path, name);

		if (*file == '/' && access(file, X_OK) == 0)
			return file;
		path += n + (path[n] == ':');
	}
	return NULL;
}

static const char *environment(const char *name, struct arena *a)
{
	const char *value = getenv(name);

	return arena_printf(a, "%s=%s", name, value ? value : "");
}

/* The first line, for an error. */
static const char *first_line(const struct buf *b, struct arena *a)
{
	char *line = arena_strndup(a, buf_text(b), strcspn(buf_text(b), "\r\n"));

	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			*c = ' ';
	return line;
}

static int ask_helper(const char *helper, const char *key, struct arena *a, struct credentials *ret,
		      struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(ANSWER_MAX), said = BUF_INIT(ANSWER_MAX);
	const char *name = arena_printf(a, "docker-credential-%s", helper), *path, *line;
	const char *env[] = { environment("PATH", a), environment("HOME", a), NULL };
	const char *argv[] = { name, "get", NULL };
	struct sys_spawn spawn = { .argv = argv, .env = env, .input = key, .input_len = strlen(key),
				   .deadline = time_now_mono() + HELPER_TIMEOUT };
	int status, r;

	/* the name is a file's content: it names a program in $PATH and nothing else */
	if (!str_is_id(helper, 64))
		return err_set(err, ERR_INVALID, "\"%.64s\" is no name of a credential helper", helper);
	path = find_program(name, a);
	if (!path)
		return err_set(err, ERR_NOT_FOUND, "credential helper %s: not found in $PATH", name);
	spawn.path = path;
	r = sys_spawn_run(&spawn, &out, &said, &status);
	if (r < 0)
		return err_sys(err, r, "credential helper %s", path);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		line = first_line(out.len ? &out : &said, a);
		if (strstr(line, "credentials not found"))
			return 0;
		return err_set(err, ERR_DENIED, "credential helper %s failed: %.200s", path,
			       *line ? line : "it said nothing");
	}
	if (out.len == out.max)
		return err_set(err, ERR_LIMIT, "credential helper %s: more than %d bytes", path, ANSWER_MAX);
	r = credentials_read_helper(out.data, out.len, a, ret, err);
	return r < 0 ? err_wrap(err, r, "credential helper %s", path) : 1;
}

int credentials_find(const char *const *files, size_t n_files, const char *host, const char *repository,
		     struct arena *a, struct credentials *ret, struct err *err)
{
	for (size_t i = 0; i < n_files; i++) {
		CLEANUP(buf_done) struct buf text = BUF_INIT(FILE_MAX);
		const char *helper = NULL, *key;
		int r = sys_file_read(AT_FDCWD, files[i], FILE_MAX, &text);

		if (r == -ENOENT || r == -ENOTDIR)
			continue;
		if (r < 0)
			return err_sys(err, r, "credentials %s", files[i]);
		r = credentials_read(files[i], text.data, text.len, host, repository, a, ret, &helper, &key,
				     err);
		if (r > 0 && helper) {
			ret->source = arena_printf(a, "%s, credential helper %s", files[i], helper);
			r = ask_helper(helper, key, a, ret, err);
			if (r < 0)
				err_wrap(err, r, "credentials %s", files[i]);
		}
		if (r)
			return r;
	}
	return 0;
}
