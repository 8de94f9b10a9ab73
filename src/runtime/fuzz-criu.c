/* CRIU's replies and log, and the mountinfo of a container. */
#include "runtime/criu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofree char *text = mem_strndup((const char *)data, size);
	struct criu_reply reply;
	char said[64];
	char **mounts;
	size_t n;

	if (criu_reply_parse(data, size, &reply) == 0 && strlen(reply.script) >= sizeof(reply.script))
		abort();
	criu_complaints(text, said, sizeof(said));
	if (strlen(said) >= sizeof(said) || strchr(said, '\n'))
		abort();
	images_external_mounts(text, text, &a, &mounts, &n);
	for (size_t i = 0; i < n; i++)
		if (!mounts[i])
			abort();
	return 0;
}
