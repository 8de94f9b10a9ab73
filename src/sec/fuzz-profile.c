/* Any bytes as a seccomp profile; what can be read is a profile that can be compiled or
 * refused, but not more. */
#include "sec/seccomp.h"

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(sec_filter_done) struct sec_filter f = SEC_FILTER_INIT;
	struct sec_seccomp p;
	struct err err = ERR_INIT;

	if (sec_seccomp_read(data, size, UINT64_C(1) << 21, &a, &p, &err) < 0) {
		assert(err.kind != ERR_NONE);
		return 0;
	}
	assert(p.n_rules <= SEC_RULES_MAX && p.n_arches <= SEC_ARCHES_MAX);
	for (size_t i = 0; i < p.n_rules; i++)
		assert(p.rules[i].n_args <= SEC_ARGS_MAX && p.rules[i].n_names);
	if (sec_seccomp_compile(&p, &f, &err) < 0)
		assert(err.kind != ERR_NONE);
	return 0;
}
