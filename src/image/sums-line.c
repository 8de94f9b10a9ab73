/* See sums-line.h. */
#include "image/sums-line.h"

#include <inttypes.h>

/* A newline and what escapes it do not stand in a path as they are. */
static int put_path(struct buf *b, const char *path)
{
	int r = 0;

	for (; r == 0 && *path; path++)
		r = *path == '\n' || *path == '\\' ? buf_printf(b, "\\%03o", (unsigned char)*path) :
						      buf_append(b, path, 1);
	return r;
}

int sums_line_put(struct buf *b, const struct sums_line *l)
{
	int r = buf_printf(b,
			   "%o %" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRId64 ".%09" PRIu32
			   " %016" PRIx64 " %016" PRIx64 " ",
			   l->mode, l->uid, l->gid, l->size, l->rdev, l->mtime, l->mtime_ns, l->content,
			   l->attributes);

	if (r == 0)
		r = put_path(b, l->path);
	return r < 0 ? r : buf_puts(b, "\n");
}

/* The word that ends with `end`, ended by NUL now; *text is behind it. NULL: there is none. */
static char *word(char **text, char end)
{
	char *begin = *text, *at = strchr(begin, end);

	if (!at)
		return NULL;
	*at = '\0';
	*text = at + 1;
	return begin;
}

static bool get_number(char **text, char end, int base, uint64_t max, uint64_t *ret)
{
	char *w = word(text, end);

	return w && str_to_u64(w, base, ret) == 0 && *ret <= max;
}

/* In place; what is escaped is exactly what put_path escapes. */
static bool get_path(char *path)
{
	char *out = path;

	for (const char *p = path; *p; p++) {
		if (*p != '\\')
			*out++ = *p;
		else if (str_skip_prefix(p, "\\012") || str_skip_prefix(p, "\\134")) {
			*out++ = p[1] == '0' ? '\n' : '\\';
			p += 3;
		} else {
			return false;
		}
	}
	*out = '\0';
	return *path != '\0';
}

int sums_line_get(char *text, struct sums_line *l)
{
	uint64_t mode, uid, gid, ns;
	char *seconds;

	*l = (struct sums_line){ 0 };
	if (!get_number(&text, ' ', 8, UINT32_MAX, &mode) || !get_number(&text, ' ', 10, UINT32_MAX, &uid) ||
	    !get_number(&text, ' ', 10, UINT32_MAX, &gid) ||
	    !get_number(&text, ' ', 10, UINT64_MAX, &l->size) ||
	    !get_number(&text, ' ', 10, UINT64_MAX, &l->rdev) || !(seconds = word(&text, '.')) ||
	    str_to_i64(seconds, 10, &l->mtime) < 0 || !get_number(&text, ' ', 10, NSEC_PER_SEC - 1, &ns) ||
	    !get_number(&text, ' ', 16, UINT64_MAX, &l->content) ||
	    !get_number(&text, ' ', 16, UINT64_MAX, &l->attributes) || !get_path(text))
		return -EINVAL;
	l->mode = (unsigned)mode;
	l->uid = (uint32_t)uid;
	l->gid = (uint32_t)gid;
	l->mtime_ns = (uint32_t)ns;
	l->path = text;
	return 0;
}
