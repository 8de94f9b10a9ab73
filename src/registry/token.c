/*
 * The answer of a token server is as hostile as any: its token becomes part of a header line.
 * How long it lasts is not looked at: a registry says by 401 when it does no longer.
 */
#include "registry/token.h"

#include "json/json.h"

struct token_answer {
	char *token, *access_token;
};

static const struct json_field fields[] = {
	JSON_FIELD(STR, struct token_answer, token, "token", 0),
	JSON_FIELD(STR, struct token_answer, access_token, "access_token", 0),
};
static const struct json_type type = JSON_TYPE("token", struct token_answer, fields);

int token_read(const void *text, size_t len, char **ret, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct token_answer answer;
	const char *token;
	int r = json_read(&type, text, len, &a, &answer, err);

	if (r < 0)
		return r;
	token = str_empty(answer.token) ? answer.access_token : answer.token;
	if (str_empty(token))
		return err_set(err, ERR_DENIED, "gave no token");
	for (const char *c = token; *c; c++)
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 127)
			return err_set(err, ERR_INVALID, "gave a token with characters that no token has");
	*ret = mem_strdup(token);
	return 0;
}
