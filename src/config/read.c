/*
 * The configuration reader: a YAML tree (libyaml) walked along the tables of schema.c.
 *
 * The walk goes by the tables, never by the tree, so its depth is theirs: an alias that
 * points at its own parent is a wrong type somewhere, not an endless loop. Every complaint
 * names file, line and the dotted key.
 */
#include "config/schema.h"

#include <ctype.h>
#include <stdio.h>
#include <yaml.h>

enum { PATH_TEXT_MAX = 256, LIST_MAX = 1024, SECTIONS_MAX = 256, ARENA_MAX = 8 << 20 };

struct reader {
	const char *name;
	yaml_document_t *doc;
	struct arena *arena;
	struct err *err;
};

static int wrong(const struct reader *r, const yaml_node_t *node, const char *path, const char *what)
{
	return err_set(r->err, ERR_INVALID, "%s:%zu: %s%s%s", r->name, node->start_mark.line + 1, path,
		       *path ? ": " : "", what);
}

/* What a person sees: "a list", or the scalar in quotes; bounded. */
static const char *shown(const yaml_node_t *node, char out[64])
{
	if (node->type == YAML_SEQUENCE_NODE)
		return "a list";
	if (node->type == YAML_MAPPING_NODE)
		return "a mapping";
	snprintf(out, 64, "\"%.40s\"", (const char *)node->data.scalar.value);
	return out;
}

static int wrong_type(const struct reader *r, const yaml_node_t *node, const char *path, const char *expected)
{
	char what[160], text[64];

	snprintf(what, sizeof(what), "expected %s, got %s", expected, shown(node, text));
	return wrong(r, node, path, what);
}

static bool is_null(const yaml_node_t *node)
{
	const char *s;

	if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	s = (const char *)node->data.scalar.value;
	return !*s || str_eq(s, "~") || str_eq(s, "null");
}

/* ---- scalars: 0, or -EINVAL and what was expected ---- */

static int parse_duration(const char *s, int64_t *ret)
{
	static const struct {
		const char *unit;
		int64_t ns;
	} units[] = {
		{ "ms", NSEC_PER_MSEC },
		{ "s", NSEC_PER_SEC },
		{ "m", 60 * NSEC_PER_SEC },
		{ "h", 3600 * NSEC_PER_SEC },
	};
	char digits[12];
	size_t n = strspn(s, "0123456789");
	uint32_t value;

	if (!n || n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, s, n);
	digits[n] = '\0';
	if (str_to_u32(digits, 10, &value) < 0)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (!str_eq(s + n, units[i].unit))
			continue;
		/* a year is enough, and keeps sums with the clock far from overflow */
		if (!value || value > 365 * 24 * 3600 * NSEC_PER_SEC / units[i].ns)
			return -EINVAL;
		*ret = value * units[i].ns;
		return 0;
	}
	return -EINVAL;
}

static int parse_size(const char *s, uint64_t *ret)
{
	static const struct {
		const char *unit;
		unsigned shift;
	} units[] = { { "", 0 }, { "KiB", 10 }, { "MiB", 20 }, { "GiB", 30 }, { "TiB", 40 } };
	size_t n = strspn(s, "0123456789");
	char digits[20];
	uint64_t value;

	if (!n || n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, s, n);
	digits[n] = '\0';
	if (str_to_u64(digits, 10, &value) < 0 || !value)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (!str_eq(s + n, units[i].unit))
			continue;
		if (value > (UINT64_C(1) << 50) >> units[i].shift)
			return -EINVAL;
		*ret = value << units[i].shift;
		return 0;
	}
	return -EINVAL;
}

static int parse_scalar(const struct config_key *key, const char *s, struct arena *a, void *at,
			const char **ret_expected)
{
	uint32_t count;

	switch (key->kind) {
	case CONFIG_PATH:
	case CONFIG_PATH_LIST:
		*ret_expected = "an absolute path";
		if (*s && *s != '/')
			return -EINVAL;
		*(char **)at = arena_strdup(a, s);
		return 0;
	case CONFIG_BOOL:
		*ret_expected = "true or false";
		if (!str_eq(s, "true") && !str_eq(s, "false"))
			return -EINVAL;
		*(bool *)at = str_eq(s, "true");
		return 0;
	case CONFIG_COUNT:
		*ret_expected = "a number from 1 to 1000";
		if (str_to_u32(s, 10, &count) < 0 || count < 1 || count > 1000)
			return -EINVAL;
		*(uint32_t *)at = count;
		return 0;
	case CONFIG_PORT:
		*ret_expected = "a number from 0 to 65535";
		if (str_to_u32(s, 10, &count) < 0 || count > 65535)
			return -EINVAL;
		*(uint32_t *)at = count;
		return 0;
	case CONFIG_PERCENT:
		*ret_expected = "a percentage from 0 to 100";
		if (str_to_u32(s, 10, &count) < 0 || count > 100)
			return -EINVAL;
		*(uint32_t *)at = count;
		return 0;
	case CONFIG_NUMBER:
		*ret_expected = "a number from 1";
		return str_to_u64(s, 10, at) < 0 || !*(uint64_t *)at ? -EINVAL : 0;
	case CONFIG_SIZE:
		*ret_expected = "a size such as 512KiB, 32MiB or 64GiB";
		return parse_size(s, at);
	case CONFIG_DURATION:
		*ret_expected = "a duration such as 500ms, 30s or 2m";
		return parse_duration(s, at);
	case CONFIG_CHOICE:
		*ret_expected = "one of error, warn, info, debug";
		for (int i = 0; key->names[i]; i++)
			if (str_eq(key->names[i], s)) {
				*(int *)at = i;
				return 0;
			}
		return -EINVAL;
	default:
		*(char **)at = arena_strdup(a, s);
		return 0;
	}
}

/* ---- defaults ---- */

static void set_default_list(const struct config_key *key, struct arena *a, char *obj)
{
	char ***list = (char ***)(obj + key->offset);
	size_t *n = (size_t *)(obj + key->n_offset);
	const char *p = key->def;

	*n = 0;
	for (const char *q = p; *q; q++)
		*n += *q == ' ';
	*n += *p != '\0';
	*list = arena_new(a, *n + 1, sizeof(char *));
	for (size_t i = 0; i < *n; i++) {
		const char *end = strchrnul(p, ' ');

		(*list)[i] = arena_strndup(a, p, (size_t)(end - p));
		p = end + 1;
	}
}

static void set_defaults(const struct config_section *section, struct arena *a, char *obj)
{
	for (size_t i = 0; i < section->n_keys; i++) {
		const struct config_key *key = &section->keys[i];
		const char *expected;

		if (!key->def && key->kind != CONFIG_SECTION)
			continue; /* zero, or no members */
		if (key->kind == CONFIG_SECTION)
			set_defaults(key->section, a, obj + key->offset);
		else if (key->kind == CONFIG_STR_LIST || key->kind == CONFIG_PATH_LIST)
			set_default_list(key, a, obj);
		else {
			int e = parse_scalar(key, key->def, a, obj + key->offset, &expected);

			assert(e == 0);
		}
	}
}

/* ---- the walk ---- */

static int read_section(const struct reader *r, const struct config_section *section, yaml_node_t *node,
			const char *path, char *obj);

static int read_scalar(const struct reader *r, const struct config_key *key, yaml_node_t *node,
		       const char *path,
		       void *at)
{
	const char *s = (const char *)node->data.scalar.value, *expected = "a string";

	if (node->type != YAML_SCALAR_NODE || strlen(s) != node->data.scalar.length ||
	    parse_scalar(key, s, r->arena, at, &expected) < 0)
		return wrong_type(r, node, path, expected);
	return 0;
}

static int read_list(const struct reader *r, const struct config_key *key, yaml_node_t *node,
		     const char *path,
		     char *obj)
{
	size_t n;
	char **list;

	if (node->type != YAML_SEQUENCE_NODE)
		return wrong_type(r, node, path, "a list");
	n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	if (n > LIST_MAX)
		return wrong(r, node, path, "too many entries");
	list = arena_new(r->arena, n + 1, sizeof(char *));
	for (size_t i = 0; i < n; i++) {
		yaml_node_t *item = yaml_document_get_node(r->doc, node->data.sequence.items.start[i]);
		int e = read_scalar(r, key, item, path, &list[i]);

		if (e < 0)
			return e;
	}
	*(char ***)(obj + key->offset) = list;
	*(size_t *)(obj + key->n_offset) = n;
	return 0;
}

static int read_str_map(const struct reader *r, const struct config_key *key, yaml_node_t *node,
			const char *path,
			char *obj)
{
	size_t n;
	char **list;

	if (node->type != YAML_MAPPING_NODE)
		return wrong_type(r, node, path, "a mapping");
	n = (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
	if (n > LIST_MAX)
		return wrong(r, node, path, "too many entries");
	list = arena_new(r->arena, 2 * n + 1, sizeof(char *));
	for (size_t i = 0; i < n; i++) {
		const yaml_node_pair_t *pair = &node->data.mapping.pairs.start[i];
		int e = read_scalar(r, key, yaml_document_get_node(r->doc, pair->key), path, &list[2 * i]);

		if (e == 0)
			e = read_scalar(r, key, yaml_document_get_node(r->doc, pair->value), path,
					&list[2 * i + 1]);
		if (e < 0)
			return e;
	}
	*(char ***)(obj + key->offset) = list;
	*(size_t *)(obj + key->n_offset) = 2 * n;
	return 0;
}

/* A sequence of sections, or a mapping from names to them. */
static int read_sections(const struct reader *r, const struct config_key *key, yaml_node_t *node,
			 const char *path,
			 char *obj)
{
	bool named = key->kind == CONFIG_SECTION_MAP;
	size_t n, size = key->section->size;
	char *list;

	if (node->type != (named ? YAML_MAPPING_NODE : YAML_SEQUENCE_NODE))
		return wrong_type(r, node, path, named ? "a mapping" : "a list");
	n = named ? (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start)
		  : (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	if (n > SECTIONS_MAX)
		return wrong(r, node, path, "too many entries");
	list = arena_new(r->arena, n + 1, size);
	for (size_t i = 0; i < n; i++) {
		int index = named ? node->data.mapping.pairs.start[i].value
				  : node->data.sequence.items.start[i];
		yaml_node_t *item = yaml_document_get_node(r->doc, index), *name;
		char sub[PATH_TEXT_MAX];
		int e = 0;

		/* aliases make small texts say much */
		if (r->arena->used > ARENA_MAX)
			return wrong(r, item, path, "more than fits");
		set_defaults(key->section, r->arena, list + i * size);
		if (named) {
			name = yaml_document_get_node(r->doc, node->data.mapping.pairs.start[i].key);
			e = read_scalar(r, key, name, path, list + i * size);
			snprintf(sub, sizeof(sub), "%s.%.100s", path,
				 e < 0 ? "" : *(char **)(list + i * size));
			for (size_t j = 0; e == 0 && j < i; j++)
				if (str_eq(*(char **)(list + i * size), *(char **)(list + j * size)))
					e = wrong(r, name, sub, "given twice");
		} else {
			snprintf(sub, sizeof(sub), "%s[%zu]", path, i);
		}
		if (e == 0 && !is_null(item))
			e = read_section(r, key->section, item, sub, list + i * size);
		if (e < 0)
			return e;
	}
	*(char **)(obj + key->offset) = list;
	*(size_t *)(obj + key->n_offset) = n;
	return 0;
}

static const struct config_key *find_key(const struct config_section *section, const char *name)
{
	for (size_t i = 0; i < section->n_keys; i++)
		if (str_eq(section->keys[i].name, name))
			return &section->keys[i];
	return NULL;
}

static int read_section(const struct reader *r, const struct config_section *section, yaml_node_t *node,
			const char *path, char *obj)
{
	uint64_t seen = 0;

	if (node->type != YAML_MAPPING_NODE)
		return wrong_type(r, node, path, "a mapping");
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		yaml_node_t *name = yaml_document_get_node(r->doc, pair->key);
		yaml_node_t *value = yaml_document_get_node(r->doc, pair->value);
		const struct config_key *key;
		char sub[PATH_TEXT_MAX];
		int e;

		if (name->type != YAML_SCALAR_NODE)
			return wrong_type(r, name, path, "a key");
		snprintf(sub, sizeof(sub), "%s%s%.100s", path, *path ? "." : "",
			 (char *)name->data.scalar.value);
		key = find_key(section, (char *)name->data.scalar.value);
		if (!key)
			return wrong(r, name, sub, "no such key");
		if (seen & (UINT64_C(1) << (key - section->keys)))
			return wrong(r, name, sub, "given twice");
		seen |= UINT64_C(1) << (key - section->keys);
		if (is_null(value))
			continue;
		switch (key->kind) {
		case CONFIG_SECTION:
			e = read_section(r, key->section, value, sub, obj + key->offset);
			break;
		case CONFIG_STR_LIST:
		case CONFIG_PATH_LIST:
			e = read_list(r, key, value, sub, obj);
			break;
		case CONFIG_STR_MAP:
			e = read_str_map(r, key, value, sub, obj);
			break;
		case CONFIG_SECTION_LIST:
		case CONFIG_SECTION_MAP:
			e = read_sections(r, key, value, sub, obj);
			break;
		default:
			e = read_scalar(r, key, value, sub, obj + key->offset);
		}
		if (e < 0)
			return e;
	}
	return 0;
}

static int read_document(const struct reader *r, yaml_parser_t *parser, struct config *config)
{
	yaml_node_t *root;
	yaml_document_t more;
	bool another;

	root = yaml_document_get_root_node(r->doc);
	if (!root || is_null(root))
		return 0;
	if (!yaml_parser_load(parser, &more))
		return err_set(r->err, ERR_INVALID, "%s:%zu: %s", r->name, parser->problem_mark.line + 1,
			       parser->problem ? parser->problem : "not YAML");
	another = yaml_document_get_root_node(&more) != NULL;
	yaml_document_delete(&more);
	if (another)
		return err_set(r->err, ERR_INVALID, "%s: more than one document", r->name);
	return read_section(r, &config_schema, root, "", (char *)config);
}

int config_read(const char *name, const void *text, size_t len, struct arena *a, struct config *ret,
		struct err *err)
{
	struct config config = { 0 };
	yaml_document_t doc;
	struct reader r = { name, &doc, a, err };
	yaml_parser_t parser;
	int e = 0;

	set_defaults(&config_schema, a, (char *)&config);
	if (len > CONFIG_MAX)
		return err_set(err, ERR_INVALID, "%s: larger than %d bytes", name, CONFIG_MAX);
	if (!yaml_parser_initialize(&parser))
		return err_set(err, ERR_LIMIT, "%s: no memory", name);
	yaml_parser_set_input_string(&parser, text ? text : (const void *)"", len);
	if (!yaml_parser_load(&parser, &doc)) {
		e = err_set(err, ERR_INVALID, "%s:%zu: %s", name, parser.problem_mark.line + 1,
			    parser.problem ? parser.problem : "not YAML");
	} else {
		e = read_document(&r, &parser, &config);
		yaml_document_delete(&doc);
	}
	yaml_parser_delete(&parser);
	if (e < 0)
		return e;
	if (!*config.root || !*config.state)
		return err_set(err, ERR_INVALID, "%s: root and state may not be empty", name);
	*ret = config;
	return 0;
}
