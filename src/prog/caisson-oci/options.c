/* Options by table. */
#include "prog/caisson-oci/oci.h"

#include <stdio.h>

static const struct option *find(const struct option *options, size_t n, const char *word, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if ((len == 1 && options[i].letter == word[0]) ||
		    (strncmp(options[i].name, word, len) == 0 && !options[i].name[len]))
			return &options[i];
	return NULL;
}

static int set(const struct option *o, const char *value, struct arena *a, struct err *err)
{
	struct option_list *list = o->to;
	int64_t n;

	switch (o->kind) {
	case OPTION_FLAG:
		if (value && !str_eq(value, "true") && !str_eq(value, "false"))
			return err_set(err, ERR_INVALID, "--%s: \"%s\" is neither true nor false", o->name,
				       value);
		*(bool *)o->to = !value || str_eq(value, "true");
		return 0;
	case OPTION_TEXT:
		*(const char **)o->to = value;
		return 0;
	case OPTION_LIST: {
		const char **grown = arena_new(a, list->n + 1, sizeof(*grown));

		if (list->n)
			memcpy(grown, list->values, list->n * sizeof(*grown));
		grown[list->n++] = value;
		list->values = grown;
		return 0;
	}
	case OPTION_INT:
		if (str_to_i64(value, 10, &n) < 0 || n < INT32_MIN || n > INT32_MAX)
			return err_set(err, ERR_INVALID, "--%s: \"%s\" is not a number", o->name, value);
		*(int *)o->to = (int)n;
		return 0;
	}
	return 0;
}

/* One word that begins with a dash, and what it takes with it. */
static int take(const struct command *c, const struct option *options, size_t n, int argc, char **argv,
		int *i,
		struct arena *a, struct err *err)
{
	const char *word = argv[*i] + (argv[*i][1] == '-' ? 2 : 1), *value = NULL;
	size_t len = strcspn(word, "=");
	const struct option *o;

	if (str_eq(word, "help") || str_eq(word, "h") || str_eq(word, "usage") || str_eq(word, "?")) {
		options_help(c, options, n);
		exit(0);
	}
	o = find(options, n, word, len);
	if (!o)
		return err_set(err, ERR_INVALID, "flag provided but not defined: -%.*s", (int)len, word);
	if (word[len])
		value = word + len + 1;
	else if (o->kind != OPTION_FLAG && *i + 1 >= argc)
		return err_set(err, ERR_INVALID, "flag needs an argument: -%s", word);
	else if (o->kind != OPTION_FLAG)
		value = argv[++*i];
	return set(o, value, a, err);
}

static void (*listener)(const struct option *options, size_t n, void *user);
static void *listener_user;

void options_listen(void (*fn)(const struct option *options, size_t n, void *user), void *user)
{
	listener = fn;
	listener_user = user;
}

int options_parse(const struct command *c, const struct option *options, size_t n, int argc, char **argv,
		  int most,
		  struct arena *a, char ***ret_words, size_t *ret_n, struct err *err)
{
	char **words = arena_new(a, (size_t)argc + 1, sizeof(*words));
	bool only_words = false;
	size_t n_words = 0;

	if (listener) {
		listener(options, n, listener_user);
		return err_set(err, ERR_CANCELLED, "only the options were asked for");
	}
	for (int i = 0; i < argc; i++) {
		int r;

		if (only_words || argv[i][0] != '-' || !argv[i][1]) {
			words[n_words++] = argv[i];
			only_words |= most >= 0 && n_words >= (size_t)most;
			continue;
		}
		if (str_eq(argv[i], "--")) {
			only_words = true;
			continue;
		}
		r = take(c, options, n, argc, argv, &i, a, err);
		if (r < 0)
			return r;
	}
	*ret_words = words;
	*ret_n = n_words;
	return 0;
}

int options_id(const struct command *c, const struct option *options, size_t n, int argc, char **argv,
	       struct arena *a, const char **ret_id, struct err *err)
{
	char **words;
	size_t n_words;
	int r = options_parse(c, options, n, argc, argv, -1, a, &words, &n_words, err);

	if (r < 0)
		return r;
	if (n_words != 1)
		return err_set(err, ERR_INVALID, "\"%s\" requires exactly 1 argument", c->name);
	*ret_id = words[0];
	return 0;
}

void options_help(const struct command *c, const struct option *options, size_t n)
{
	printf("usage: caisson-oci [global options] %s [options] %s\n\n%s\n", c->name, c->arguments, c->help);
	if (n)
		printf("\noptions:\n");
	for (size_t i = 0; i < n; i++) {
		const struct option *o = &options[i];
		const char *tab = strchr(o->help, '\t');
		char left[80];

		snprintf(left, sizeof(left), "%s%.1s%s--%s%s%.*s", o->letter ? "-" : "    ",
			 o->letter ? &o->letter : "", o->letter ? ", " : "", o->name, tab ? " " : "",
			 tab ? (int)(tab - o->help) : 0, o->help);
		printf("  %-34s %s\n", left, tab ? tab + 1 : o->help);
	}
}
