/*
 * Cutting a byte stream into CRI log lines. No I/O, no state: what is unfinished stays
 * with the caller. Invariant: out holds whole log lines only, so that one write(2) of it
 * to an O_APPEND file never leaves half a line in front of another stream's.
 */
#include "shim/log.h"

void log_head_init(struct log_head *h, const char *stream, int64_t real)
{
	char stamp[TIME_TEXT_MAX];
	size_t n = strlen(time_format_rfc3339(real, stamp)), s = strlen(stream);

	assert(n + s + 4 < sizeof(h->text));
	memcpy(h->text, stamp, n);
	h->text[n] = ' ';
	memcpy(h->text + n + 1, stream, s);
	h->text[n + 1 + s] = ' ';
	h->len = n + s + 2;
}

/* The next piece of in: its content's length, its tag, and how many bytes it takes; 0: none yet. */
static size_t next_piece(const uint8_t *in, size_t len, bool end, size_t *ret_content, char *ret_tag)
{
	size_t window = len > LOG_LINE_MAX ? LOG_LINE_MAX + 1 : len;
	const uint8_t *newline = memchr(in, '\n', window);

	if (newline) {
		*ret_content = (size_t)(newline - in);
		*ret_tag = 'F';
		return *ret_content + 1;
	}
	if (len <= LOG_LINE_MAX && !end)
		return 0;
	*ret_content = len < LOG_LINE_MAX ? len : LOG_LINE_MAX;
	*ret_tag = 'P';
	return *ret_content;
}

size_t log_format(const struct log_head *h, const uint8_t *in, size_t len, bool end, uint8_t *out,
		  size_t out_size, size_t *ret_used)
{
	size_t used = 0, n = 0;

	assert(out_size >= LOG_OUT_MIN);
	while (used < len) {
		size_t content, take;
		char tag;

		take = next_piece(in + used, len - used, end, &content, &tag);
		if (!take || out_size - n < h->len + 2 + content + 1)
			break;
		memcpy(out + n, h->text, h->len);
		n += h->len;
		out[n++] = (uint8_t)tag;
		out[n++] = ' ';
		memcpy(out + n, in + used, content);
		n += content;
		out[n++] = '\n';
		used += take;
	}
	*ret_used = used;
	return n;
}
