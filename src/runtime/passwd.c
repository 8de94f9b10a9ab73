/* One question to the container's /etc/passwd, which the container wrote: pure, bounded. */
#include "runtime/child.h"

int passwd_home(const char *text, size_t len, uid_t uid, char *out, size_t size)
{
	const char *end = text + len;

	for (const char *line = text; line < end;) {
		const char *nl = memchr(line, '\n', (size_t)(end - line)), *p = line;
		const char *stop = nl ? nl : end, *field[7];
		size_t n = 0, field_len[7];
		char number[12];
		uint32_t v;

		while (n < 7) {
			const char *colon = memchr(p, ':', (size_t)(stop - p));

			field[n] = p;
			field_len[n++] = (size_t)((colon ? colon : stop) - p);
			if (!colon)
				break;
			p = colon + 1;
		}
		line = stop + 1;
		if (n < 6 || !field_len[2] || field_len[2] >= sizeof(number))
			continue;
		memcpy(number, field[2], field_len[2]);
		number[field_len[2]] = '\0';
		if (str_to_u32(number, 10, &v) < 0 || v != uid)
			continue;
		if (!field_len[5] || field_len[5] >= size || memchr(field[5], '\0', field_len[5]))
			return -ENOENT;
		memcpy(out, field[5], field_len[5]);
		out[field_len[5]] = '\0';
		return 0;
	}
	return -ENOENT;
}
