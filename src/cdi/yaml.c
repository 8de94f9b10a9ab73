/*
 * A libyaml tree, walked and written. Plain scalars are what the core schema says: null, true, false,
 * numbers; everything else, and everything in quotes, is a string.
 */
#include "cdi/yaml.h"

#include "json/json.h"

#include <ctype.h>
#include <stdio.h>
#include <yaml.h>

enum { DEPTH_MAX = 32 };

struct writer {
	yaml_document_t *doc;
	struct buf *out;
	struct err *err;
};

static int wrong(const struct writer *w, const yaml_node_t *node, const char *what)
{
	return err_set(w->err, ERR_INVALID, "line %zu: %s", node->start_mark.line + 1, what);
}

/* 0x…, 0o…, 0…, decimal: as a decimal number. */
static bool is_integer(const char *s, char out[32])
{
	bool negative = *s == '-';
	uint64_t value;
	int base = 10;

	if (*s == '-' || *s == '+')
		s++;
	if (!isdigit((unsigned char)*s))
		return false;
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'o')) {
		base = s[1] == 'x' ? 16 : 8;
		s += 2;
	} else if (s[0] == '0' && s[1]) {
		base = 8;
		s++;
	}
	if (str_to_u64(s, base, &value) < 0)
		return false;
	snprintf(out, 32, "%s%llu", negative ? "-" : "", (unsigned long long)value);
	return true;
}

static int put_scalar(const struct writer *w, const yaml_node_t *node, bool key)
{
	static const char *const words[][2] = {
		{ "", "null" }, { "~", "null" }, { "null", "null" }, { "true", "true" }, { "false", "false" },
	};
	const char *s = (const char *)node->data.scalar.value;
	char number[32];

	if (strlen(s) != node->data.scalar.length)
		return wrong(w, node, "a zero byte in a text");
	if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !key) {
		for (size_t i = 0; i < ARRAY_LEN(words); i++)
			if (str_eq(words[i][0], s))
				return buf_puts(w->out, words[i][1]);
		if (is_integer(s, number))
			return buf_puts(w->out, number);
	}
	return json_put_string(w->out, s);
}

static int put_node(const struct writer *w, int index, int depth)
{
	const yaml_node_t *node = yaml_document_get_node(w->doc, index);
	int r = 0;

	if (depth > DEPTH_MAX)
		return wrong(w, node, "nested too deeply");
	if (node->type == YAML_SCALAR_NODE)
		return put_scalar(w, node, false);
	if (node->type == YAML_SEQUENCE_NODE) {
		r = buf_puts(w->out, "[");
		for (yaml_node_item_t *i = node->data.sequence.items.start;
		     r == 0 && i < node->data.sequence.items.top; i++) {
			if (i > node->data.sequence.items.start)
				r = buf_puts(w->out, ",");
			if (r == 0)
				r = put_node(w, *i, depth + 1);
		}
		return r ? r : buf_puts(w->out, "]");
	}
	r = buf_puts(w->out, "{");
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start; r == 0 && p < node->data.mapping.pairs.top;
	     p++) {
		const yaml_node_t *key = yaml_document_get_node(w->doc, p->key);

		if (key->type != YAML_SCALAR_NODE)
			return wrong(w, key, "a key that is no text");
		if (p > node->data.mapping.pairs.start)
			r = buf_puts(w->out, ",");
		if (r == 0)
			r = put_scalar(w, key, true);
		if (r == 0)
			r = buf_puts(w->out, ":");
		if (r == 0)
			r = put_node(w, p->value, depth + 1);
	}
	return r ? r : buf_puts(w->out, "}");
}

static int syntax(const yaml_parser_t *parser, struct err *err)
{
	return err_set(err, ERR_INVALID, "line %zu: %s", parser->problem_mark.line + 1,
		       parser->problem ? parser->problem : "no YAML");
}

int cdi_yaml_to_json(const void *text, size_t len, struct buf *out, struct err *err)
{
	yaml_parser_t parser;
	yaml_document_t doc;
	int r = -EINVAL;

	if (!yaml_parser_initialize(&parser))
		return err_set(err, ERR_LIMIT, "no memory for a YAML parser");
	yaml_parser_set_input_string(&parser, text, len);
	if (!yaml_parser_load(&parser, &doc)) {
		r = syntax(&parser, err);
	} else {
		const struct writer w = { &doc, out, err };

		if (yaml_document_get_root_node(&doc))
			r = put_node(&w, 1, 0);
		else
			r = err_set(err, ERR_INVALID, "an empty document");
		if (r == -EMSGSIZE)
			r = err_set(err, ERR_LIMIT, "more than %zu bytes", out->max);
		yaml_document_delete(&doc);
	}
	yaml_parser_delete(&parser);
	return r;
}
