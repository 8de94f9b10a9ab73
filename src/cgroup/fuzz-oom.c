/* Any bytes as a cgroup's path, a line, and a record of the kernel's log. */
#include "cgroup/cgroup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	char *path = arena_strndup(&a, (const char *)data, size), *record = strchr(path, '\n');
	enum cgroup_oom_record exact, anywhere;

	if (!record)
		return 0;
	*record++ = '\0';
	exact = cgroup_oom_parse(record, path, false, 42);
	anywhere = cgroup_oom_parse(record, path, true, 42);
	/* what is found at its place is found anywhere */
	assert(exact == CGROUP_OOM_OTHER || anywhere == exact);
	return 0;
}
