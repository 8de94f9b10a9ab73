/* Any bytes as a configuration file: an error or a config, nothing else. */
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct config config;

	if (config_read("fuzz", data, size, &a, &config, &err) < 0)
		assert(err.kind != ERR_NONE && err.text[0]);
	else
		assert(config.root[0] == '/' && config.address);
	return 0;
}
