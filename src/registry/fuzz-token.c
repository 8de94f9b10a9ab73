/* Any bytes as the answer of a token server, as a file of credentials and as a helper's words. */
#include "registry/credentials.h"
#include "registry/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct credentials c = { "", "", "", "", "" };
	const char *helper, *key;
	autofree char *token = NULL;

	if (token_read(data, size, &token, NULL) == 0)
		assert(*token && !strpbrk(token, "\r\n "));
	if (credentials_read("fuzz", data, size, "docker.io", "library/x", &a, &c, &helper, &key, NULL) > 0)
		assert(helper ? *key || !*key : *c.source != '\0');
	credentials_read_helper(data, size, &a, &c, NULL);
	return 0;
}
