/* Any bytes as state.json and as the container's /etc/passwd. */
#include "runtime/child.h"
#include "runtime/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct record r;
	char home[64];

	if (record_parse(data, size, &a, &r, &err) < 0)
		assert(err.kind != ERR_NONE);
	else
		assert(r.id && r.bundle && r.boot_id && r.pid >= 0);
	if (passwd_home((const char *)data, size, 0, home, sizeof(home)) == 0)
		assert(*home && strlen(home) < sizeof(home));
	return 0;
}
