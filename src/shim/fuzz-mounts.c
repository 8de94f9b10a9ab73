/* Lines of bytes as mount options: whatever is taken obeys the contract of the runtime. */
#include "shim/mounts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct runtime_overlay o;
	struct err err = ERR_INIT;
	const char *options[64];
	unsigned long flags;
	char *text = arena_strndup(&a, (const char *)data, size), *line, *rest;
	size_t n = 0;

	for (line = strtok_r(text, "\n", &rest); line && n < ARRAY_LEN(options); line = strtok_r(NULL, "\n", &rest))
		options[n++] = line;
	if (rootfs_parse_overlay(options, n, &a, &o, &err) == 1) {
		assert(o.n_lowers);
		for (size_t i = 0; i < o.n_lowers; i++)
			assert(o.lowers[i][0] == '/');
		assert(!o.upper == !o.work);
	}
	err_clear(&err);
	if (rootfs_parse_options(options, n, &a, &flags, &text, &err) == 0)
		assert(!text || strlen(text) < 4096);
	return 0;
}
