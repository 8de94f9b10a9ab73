/* Any bytes as lines: the first three are target, type and source, the rest options. */
#include "mnt/mnt.h"

enum { WORDS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	const char *words[WORDS_MAX] = { NULL };
	struct mnt_plan plan;
	struct err err = ERR_INIT;
	char *text = arena_strndup(&a, (const char *)data, size), *save = NULL;
	size_t n = 0;

	for (char *w = strtok_r(text, "\n", &save); w && n < WORDS_MAX; w = strtok_r(NULL, "\n", &save))
		words[n++] = w;
	mnt_plan_init(&plan, &a);
	plan.root = "/r";
	struct mnt_spec spec = { .target = words[0], .type = words[1], .source = words[2] };

	if (n > 3) {
		spec.options = words + 3;
		spec.n_options = n - 3;
	}
	if (mnt_plan_add(&plan, &spec, "/b", &err) < 0)
		assert(err.kind != ERR_NONE);
	else
		assert(plan.entries[0].target[0] == '/' && !strstr(plan.entries[0].target, "/../"));
	mnt_plan_print(&plan, &out);
	mnt_plan_done(&plan);
	return 0;
}
