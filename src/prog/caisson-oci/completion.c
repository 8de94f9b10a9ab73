/*
 * completion: scripts for shells, from the same tables that parse the command line. A command
 * is asked for its options by running it with a listener on options_parse, which then does
 * nothing else. Ids are asked of `list` while the user types.
 */
#include "prog/caisson-oci/oci.h"

#include <stdio.h>

struct rows {
	struct option list[64];
	size_t n;
};

static void take_rows(const struct option *options, size_t n, void *user)
{
	struct rows *rows = user;

	for (size_t i = 0; i < n && rows->n < ARRAY_LEN(rows->list); i++)
		rows->list[rows->n++] = options[i];
}

static void rows_of(struct global *g, const struct command *c, struct rows *rows)
{
	struct err ignored = ERR_INIT;

	rows->n = 0;
	options_listen(take_rows, rows);
	c->run(g, 0, NULL, &ignored);
	options_listen(NULL, NULL);
}

/* The part of the help behind the tab; and whether an option takes a value. */
static const char *help_of(const struct option *o)
{
	const char *tab = strchr(o->help, '\t');

	return tab ? tab + 1 : o->help;
}

static bool takes_value(const struct option *o)
{
	return o->kind != OPTION_FLAG;
}

static bool takes_id(const struct command *c)
{
	return str_skip_prefix(c->arguments, "ID") && !str_eq(c->name, "create") && !str_eq(c->name, "run") &&
	       !str_eq(c->name, "restore");
}

static void bash_words(const struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		printf(" --%s", rows->list[i].name);
		if (rows->list[i].letter)
			printf(" -%c", rows->list[i].letter);
	}
}

static void bash(struct global *g, const struct rows *global)
{
	struct rows rows;

	printf("# bash completion of caisson-oci\n_caisson_oci() {\n"
	       "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= root=() i\n"
	       "\tlocal values='");
	for (size_t i = 0; i < global->n; i++)
		if (takes_value(&global->list[i]))
			printf(" --%s", global->list[i].name);
	printf(" '\n\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tcase ${COMP_WORDS[i]} in\n"
	       "\t\t--root) root=(--root \"${COMP_WORDS[i+1]}\"); ((i++)) ;;\n"
	       "\t\t-*) [[ $values != *\" ${COMP_WORDS[i]} \"* ]] || ((i++)) ;;\n"
	       "\t\t*) command=${COMP_WORDS[i]}; break ;;\n"
	       "\t\tesac\n\tdone\n\tlocal options= ids= files=\n\tcase $command in\n\t'') options='");
	bash_words(global);
	for (size_t i = 0; i < n_commands; i++)
		printf(" %s", commands[i].name);
	printf("'; files=$values ;;\n");
	for (size_t i = 0; i < n_commands; i++) {
		rows_of(g, &commands[i], &rows);
		printf("\t%s) options='", commands[i].name);
		bash_words(&rows);
		printf("'; files='");
		for (size_t k = 0; k < rows.n; k++)
			if (takes_value(&rows.list[k])) {
				printf(" --%s", rows.list[k].name);
				if (rows.list[k].letter)
					printf(" -%c", rows.list[k].letter);
			}
		printf(" '%s ;;\n", takes_id(&commands[i]) ? "; ids=1" : "");
	}
	printf("\tesac\n"
	       "\tif [[ $files == *\" $before \"* ]]; then\n\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
	       "\telif [[ -z $ids || $word == -* ]]; then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
	       "\telse\n\t\tmapfile -t COMPREPLY < <(compgen -W \"$(caisson-oci \"${root[@]}\" list -q 2>/dev/null)\" -- \"$word\")\n"
	       "\tfi\n}\ncomplete -F _caisson_oci caisson-oci\n");
}

/* Single quotes of zsh and fish; colons and brackets mean something to _arguments. */
static void put_quoted(const char *text, const char *escaped)
{
	for (; *text; text++) {
		if (*text == '\'')
			printf("'\\''");
		else if (strchr(escaped, *text))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static void zsh_rows(const struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct option *o = &rows->list[i];

		for (int k = 0; k < (o->letter ? 2 : 1); k++) {
			printf(" \\\n\t\t'%s", o->kind == OPTION_LIST ? "*" : "");
			if (k)
				printf("-%c", o->letter);
			else
				printf("--%s", o->name);
			printf("[");
			put_quoted(help_of(o), "[]:\\");
			printf("]%s'", takes_value(o) ? ":value:_files" : "");
		}
	}
}

static void zsh(struct global *g, const struct rows *global)
{
	struct rows rows;

	printf("#compdef caisson-oci\n# zsh completion of caisson-oci\n"
	       "_caisson_oci_ids() {\n\tlocal -a ids\n"
	       "\tids=(${(f)\"$(caisson-oci $root list -q 2>/dev/null)\"})\n\tcompadd -a ids\n}\n"
	       "_caisson_oci_commands() {\n\tlocal -a commands=(");
	for (size_t i = 0; i < n_commands; i++) {
		printf("\n\t\t'%s:", commands[i].name);
		put_quoted(commands[i].help, ":\\");
		printf("'");
	}
	printf(")\n\t_describe command commands\n}\n"
	       "_caisson_oci() {\n\tlocal state line\n\tlocal -A opt_args\n\tlocal -a root\n\t_arguments -C");
	zsh_rows(global);
	printf(" \\\n\t\t'1:command:_caisson_oci_commands' '*::argument:->rest'\n\t[[ $state = rest ]] || return\n"
	       "\t[[ -z $opt_args[--root] ]] || root=(--root $opt_args[--root])\n"
	       "\tcase $line[1] in\n");
	for (size_t i = 0; i < n_commands; i++) {
		rows_of(g, &commands[i], &rows);
		printf("\t%s) _arguments", commands[i].name);
		zsh_rows(&rows);
		printf(" \\\n\t\t%s ;;\n", takes_id(&commands[i]) ? "'1:id:_caisson_oci_ids' '*:argument:_files'" :
		       "'*:argument:_files'");
	}
	printf("\tesac\n}\n_caisson_oci \"$@\"\n");
}

/* What is typed before the word: the command, if any, and whose records are meant. */
static void fish_functions(const struct rows *global)
{
	printf("function __caisson_oci_in\n\tset -l words (commandline -opc)\n\tset -l values");
	for (size_t i = 0; i < global->n; i++)
		if (takes_value(&global->list[i]))
			printf(" --%s", global->list[i].name);
	printf("\n\tset -l command\n\tset -l skip 0\n\tfor word in $words[2..-1]\n"
	       "\t\tif test $skip = 1\n\t\t\tset skip 0\n"
	       "\t\telse if contains -- $word $values\n\t\t\tset skip 1\n"
	       "\t\telse if not string match -q -- '-*' $word\n\t\t\tset command $word\n\t\t\tbreak\n\t\tend\n"
	       "\tend\n\ttest \"$command\" = \"$argv[1]\"\nend\n"
	       "function __caisson_oci_ids\n\tset -l words (commandline -opc)\n\tset -l root\n"
	       "\tset -l at (contains -i -- --root $words); and set root --root $words[(math $at + 1)]\n"
	       "\tcaisson-oci $root list -q 2>/dev/null\nend\n");
}

static void fish_rows(const char *command, const struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct option *o = &rows->list[i];

		printf("complete -c caisson-oci -n '__caisson_oci_in \"%s\"' -l %s%s", command, o->name,
		       takes_value(o) ? " -r -F" : "");
		if (o->letter)
			printf(" -s %c", o->letter);
		printf(" -d '");
		put_quoted(help_of(o), "\\");
		printf("'\n");
	}
}

static void fish(struct global *g, const struct rows *global)
{
	struct rows rows;

	printf("# fish completion of caisson-oci\ncomplete -c caisson-oci -f\n");
	fish_functions(global);
	fish_rows("", global);
	for (size_t i = 0; i < n_commands; i++) {
		printf("complete -c caisson-oci -n '__caisson_oci_in \"\"' -a %s -d '", commands[i].name);
		put_quoted(commands[i].help, "\\");
		printf("'\n");
		rows_of(g, &commands[i], &rows);
		fish_rows(commands[i].name, &rows);
		if (takes_id(&commands[i]))
			printf("complete -c caisson-oci -n '__caisson_oci_in %s' -a '(__caisson_oci_ids)'\n",
			       commands[i].name);
	}
}

int command_completion(struct global *g, int argc, char **argv, struct err *err)
{
	static const struct {
		const char *name;
		void (*print)(struct global *, const struct rows *);
	} shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };
	struct rows global = { .n = 0 };
	char **words;
	size_t n;
	int r = options_parse(command_find("completion"), NULL, 0, argc, argv, -1, &g->arena, &words, &n, err);

	if (r < 0)
		return r;
	take_rows(g->options, g->n_options, &global);
	for (size_t i = 0; n == 1 && i < ARRAY_LEN(shells); i++)
		if (str_eq(words[0], shells[i].name)) {
			shells[i].print(g, &global);
			return 0;
		}
	return err_set(err, ERR_INVALID, "\"completion\" requires one of bash, zsh, fish");
}
