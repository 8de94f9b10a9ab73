/* Hostile /etc/passwd, /etc/group and USER of an image: the input, cut in three at NULs. */
#include "pod/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_security s = { 0 };
	const char *part[3] = { "", "", "" };
	struct err err = ERR_INIT;
	struct pod_user user;
	char *text = arena_strndup(&a, (const char *)data, size);

	for (size_t i = 0, at = 0; i < 3 && at <= size; i++) {
		part[i] = text + at;
		at += strlen(part[i]) + 1;
	}
	if (pod_user_resolve(&s, part[0], part[1], part[2], &a, &user, &err) == 0) {
		assert(user.n_groups >= 1 && user.groups[0] == user.gid);
		assert(user.home[0] == '/');
	}
	s.run_as_username = "daemon";
	if (pod_user_resolve(&s, NULL, part[1], part[2], &a, &user, &err) == 0)
		assert(strcmp(user.name, "daemon") == 0);
	return 0;
}
