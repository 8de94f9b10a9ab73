/* Any bytes as hosts.toml: an error, or hosts that can be asked. */
#include "registry/hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct host_files files[HOSTS_MAX];
	struct err err = ERR_INIT;
	struct host *h;
	size_t n = 0;

	if (hosts_toml_read("fuzz", data, size, "docker.io", &a, &h, files, &err) < 0) {
		assert(err.kind != ERR_NONE && err.text[0]);
		return 0;
	}
	for (; h; h = h->next, n++) {
		assert(*h->name && h->n_schemes && !strpbrk(h->path, " ?#\r\n"));
		for (size_t i = 0; i < h->n_headers; i++)
			assert(!strpbrk(h->headers[i], "\r\n"));
	}
	assert(n > 0 && n <= HOSTS_MAX);
	return 0;
}
