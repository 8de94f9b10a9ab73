/*
 * Names of systemd's units, and the properties that annotations may set. Pure.
 *
 * Source: systemd.unit(5), systemd.slice(5), the GVariant text format.
 */
#include "cgroup/driver.h"

#include <inttypes.h>

enum { UNIT_NAME_MAX = 255, DEPTH_MAX = 64 };

/* What systemd takes in a unit's name, without the "@" of templates. */
static bool is_unit_name(const char *s)
{
	return !str_empty(s) && strlen(s) <= UNIT_NAME_MAX &&
	       !s[strspn(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz:-_.\\")];
}

static int check_slice(const char *slice, struct err *err)
{
	size_t n = strlen(slice);

	if (!str_has_suffix(slice, ".slice"))
		return err_set(err, ERR_INVALID, "systemd: \"%.200s\" is no slice: it does not end in .slice",
			       slice);
	if (str_eq(slice, "-.slice"))
		return 0;
	if (!is_unit_name(slice) || slice[0] == '-' || slice[0] == '.' || slice[n - 7] == '-' ||
	    strstr(slice, "--"))
		return err_set(err, ERR_INVALID, "systemd: \"%.200s\" is no name of a slice", slice);
	return 0;
}

int cgroup_slice_path(const char *slice, struct arena *a, char **ret, struct err *err)
{
	char *path = arena_strdup(a, "");
	int r = check_slice(slice, err), depth = 0;

	if (r < 0)
		return r;
	if (str_eq(slice, "-.slice")) {
		*ret = path;
		return 0;
	}
	for (const char *p = slice; *p; p++) {
		size_t n = (size_t)(p - slice);

		if (*p != '-' && !str_eq(p, ".slice"))
			continue;
		if (++depth > DEPTH_MAX)
			return err_set(err, ERR_INVALID, "systemd: %.200s: more than %d levels", slice,
				       DEPTH_MAX);
		path = arena_printf(a, "%s/%.*s.slice", path, (int)n, slice);
	}
	if (strlen(path) >= CGROUP_PATH_MAX)
		return err_set(err, ERR_INVALID, "systemd: %.200s: the path is too long", slice);
	*ret = path;
	return 0;
}

int cgroup_unit_parse(const char *path, const char *id, bool user, struct arena *a, struct cgroup_unit *ret,
		      struct err *err)
{
	char *text = arena_strdup(a, str_empty(path) ? "::" : path);
	char *prefix = strchr(text, ':'), *name = prefix ? strchr(prefix + 1, ':') : NULL;
	int r;

	if (!name || strchr(name + 1, ':') || strchr(text, '/'))
		return err_set(err, ERR_INVALID,
			       "\"%.200s\": with the systemd driver a cgroup path is \"slice:prefix:name\"",
			       text);
	*prefix++ = '\0';
	*name++ = '\0';
	*ret = (struct cgroup_unit){
		.slice = *text ? text : user ? "user.slice" : "system.slice",
		.user = user,
		.description = arena_printf(a, "container %s", id),
	};
	if (!*prefix && !*name)
		prefix = arena_strdup(a, "caisson");
	if (!*name)
		name = arena_strdup(a, id);
	if (str_has_suffix(name, ".slice"))
		ret->name = name;
	else
		ret->name = arena_printf(a, "%s%s%s.scope", prefix, *prefix ? "-" : "", name);
	r = check_slice(ret->slice, err);
	if (r == 0 && str_has_suffix(ret->name, ".slice"))
		r = check_slice(ret->name, err);
	if (r < 0)
		return r;
	if (!is_unit_name(ret->name))
		return err_set(err, ERR_INVALID, "systemd: \"%.300s\" is no name of a unit", ret->name);
	return 0;
}

/* ---- annotations --------------------------------------------------------------------------- */

/*
 * What an annotation may set: when and how this unit ends, what it is called, and its order
 * beside others. Nothing that starts or stops other units (Wants, Requires, Conflicts…),
 * moves it (Slice), or says again what config.json says (limits, devices).
 */
static const struct {
	const char *name, *type;
} allowed[] = {
	{ "After", "as" }, { "Before", "as" }, { "CollectMode", "s" }, { "DefaultDependencies", "b" },
	{ "Description", "s" }, { "Documentation", "as" }, { "KillMode", "s" }, { "KillSignal", "i" },
	{ "ManagedOOMMemoryPressure", "s" }, { "ManagedOOMPreference", "s" }, { "ManagedOOMSwap", "s" },
	{ "OOMPolicy", "s" }, { "RuntimeMaxUSec", "t" }, { "SendSIGHUP", "b" }, { "SendSIGKILL", "b" },
	{ "TimeoutStopUSec", "t" },
};

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t");
}

/* 'text' or "text" at *p: the text, *p behind it; NULL when it is none. */
static char *quoted(const char **p, struct arena *a)
{
	char quote = **p, *out;
	size_t n = 0;

	if (quote != '\'' && quote != '"')
		return NULL;
	out = arena_strdup(a, *p);
	for (const char *s = *p + 1; *s; s++) {
		if (*s == quote) {
			out[n] = '\0';
			*p = s + 1;
			return out;
		}
		if (*s == '\\' && s[1])
			s++;
		out[n++] = *s;
	}
	return NULL;
}

static bool parse_texts(const char **p, struct arena *a, struct cgroup_property *ret)
{
	const char **list = arena_new(a, strlen(*p) + 1, sizeof(*list));

	if (**p != '[')
		return false;
	*p = skip_space(*p + 1);
	while (**p != ']') {
		char *text = quoted(p, a);

		if (!text)
			return false;
		list[ret->n_texts++] = text;
		*p = skip_space(*p);
		if (**p == ',')
			*p = skip_space(*p + 1);
		else if (**p != ']')
			return false;
	}
	++*p;
	ret->texts = list;
	return true;
}

/* "5", "uint64 5"; with `seconds` microseconds of them. */
static bool parse_number(const char **p, bool seconds, bool negative, struct arena *a, uint64_t *ret)
{
	static const char *const types[] = { "byte", "int16", "uint16", "int32", "uint32", "int64", "uint64",
					     "handle" };
	char *word;
	int64_t v;
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const char *rest = str_skip_prefix(*p, types[i]);

		if (rest && *rest == ' ') {
			*p = skip_space(rest);
			break;
		}
	}
	n = strspn(*p, "-0123456789");
	word = arena_strndup(a, *p, n);
	*p += n;
	if (str_to_i64(word, 10, &v) < 0) {
		/* "infinity" is written as the largest of its type */
		if (seconds || str_to_u64(word, 10, ret) < 0)
			return false;
		return true;
	}
	if (v < 0 && !negative)
		return false;
	if (seconds && v > INT64_MAX / 1000000)
		return false;
	*ret = (uint64_t)(seconds ? v * 1000000 : v);
	return true;
}

static bool parse_value(const char *text, bool seconds, struct arena *a, struct cgroup_property *ret)
{
	const char *p = skip_space(text);
	bool ok;

	if (str_eq(ret->type, "s")) {
		ret->text = quoted(&p, a);
		ok = ret->text;
	} else if (str_eq(ret->type, "as")) {
		ok = parse_texts(&p, a, ret);
	} else if (str_eq(ret->type, "b")) {
		const char *rest = str_skip_prefix(p, "true");

		ret->number = rest != NULL;
		if (!rest)
			rest = str_skip_prefix(p, "false");
		ok = rest;
		p = rest ? rest : p;
	} else {
		ok = parse_number(&p, seconds, str_eq(ret->type, "i"), a, &ret->number);
	}
	return ok && !*skip_space(p);
}

int cgroup_property_parse(const char *name, const char *text, struct arena *a, struct cgroup_property *ret,
			  struct err *err)
{
	bool seconds = str_has_suffix(name, "Sec") && !str_has_suffix(name, "USec");
	const char *full = seconds ? arena_printf(a, "%.*sUSec", (int)strlen(name) - 3, name) : name;

	*ret = (struct cgroup_property){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(allowed) && !ret->name; i++) {
		if (!str_eq(allowed[i].name, full))
			continue;
		ret->name = allowed[i].name;
		ret->type = allowed[i].type;
	}
	if (!ret->name)
		return err_set(err, ERR_DENIED,
			       "systemd: %.100s is no property that an annotation may set", name);
	if (strlen(text) > 4096 || !parse_value(text, seconds, a, ret))
		return err_set(err, ERR_INVALID, "systemd: %s: \"%.100s\" is no value of type %s", name, text,
			       ret->type);
	return 0;
}
