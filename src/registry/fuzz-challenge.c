/* Any bytes as a WWW-Authenticate value, a host, a URL and base64. */
#include "registry/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	autofree char *text = mem_strndup((const char *)data, size);
	const char *list[] = { "example.org", "127.0.0.1:5000" };
	uint64_t from, to, total;
	struct challenge found[CHALLENGES_MAX];
	size_t n = challenge_parse(text, &a, found, 0);

	assert(n <= CHALLENGES_MAX);
	for (size_t i = 0; i < n; i++)
		assert(strlen(found[i].realm) + strlen(found[i].service) + strlen(found[i].scope) <= size);
	host_is_loopback(text);
	host_in_list(text, list, ARRAY_LEN(list));
	url_same_origin(text, "https://example.org/");
	base64_decode(text, &out);
	if (content_range_parse(text, &from, &to, &total) == 0)
		assert(from <= to && (!total || to < total));
	return 0;
}
