/* Any text as an image name: what parses has a canonical form that parses to the same. */
#include "image/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = mem_strndup((const char *)data, size);
	char canonical[REFERENCE_TEXT_MAX], again[REFERENCE_TEXT_MAX];
	struct reference r, r2;
	struct err err = ERR_INIT;

	if (reference_parse(text, &r, &err) < 0) {
		assert(err.kind == ERR_INVALID);
		return 0;
	}
	assert(!strstr(r.repository, "..") && r.repository[0] != '/' && !*r.tag != !*r.digest);
	reference_format(&r, canonical);
	assert(reference_parse(canonical, &r2, &err) == 0);
	assert(strcmp(reference_format(&r2, again), canonical) == 0);
	return 0;
}
