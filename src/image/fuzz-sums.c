/* Any bytes as lines of a list of checksums: refused, or what is written again and read again is the same. */
#include "image/sums-line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = mem_strndup((const char *)data, size);

	for (char *at = text; *at;) {
		char *end = at + strcspn(at, "\n"), *line = at;
		CLEANUP(buf_done) struct buf again = BUF_INIT(1 << 20);
		struct sums_line one, two;

		at = *end ? end + 1 : end;
		*end = '\0';
		if (sums_line_get(line, &one) < 0)
			continue;
		assert(sums_line_put(&again, &one) == 0);
		again.data[again.len - 1] = '\0';
		assert(sums_line_get((char *)again.data, &two) == 0);
		assert(str_eq(one.path, two.path) && one.mode == two.mode && one.uid == two.uid &&
		       one.gid == two.gid && one.size == two.size && one.rdev == two.rdev &&
		       one.mtime == two.mtime && one.mtime_ns == two.mtime_ns &&
		       one.content == two.content && one.attributes == two.attributes);
	}
	return 0;
}
