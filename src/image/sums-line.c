/* See sums-line.h. */
#include "image/sums-line.h"


/* Without printf: a layer may have a hundred thousand lines. Digits of at least `width`, then `end`. */
static char *put_number(char *out, uint64_t n, unsigned base, int width, char end)
{
	static const char digits[] = "0123456789abcdef";
	char text[24];
	int len = 0;

	for (; n || len < width; n /= base)
		text[len++] = digits[n % base];
	while (len)
		*out++ = text[--len];
	*out++ = end;
	return out;
}

/* A newline and what escapes it do not stand in a path as they are. */
static int put_path(struct buf *b, const char *path)
{
	int r = 0;

	while (r == 0 && *path) {
		size_t n = strcspn(path, "\n\\");

		r = n ? buf_append(b, path, n) : buf_printf(b, "\\%03o", (unsigned char)*path);
		path += n ? n : 1;
	}
	return r;
}

int sums_line_put(struct buf *b, const struct sums_line *l)
{
	char text[192], *at = text;
	int r;

	at = put_number(at, l->mode, 8, 1, ' ');
	at = put_number(at, l->uid, 10, 1, ' ');
	at = put_number(at, l->gid, 10, 1, ' ');
	at = put_number(at, l->size, 10, 1, ' ');
	at = put_number(at, l->rdev, 10, 1, ' ');
	if (l->mtime < 0)
		*at++ = '-';
	at = put_number(at, l->mtime < 0 ? 0 - (uint64_t)l->mtime : (uint64_t)l->mtime, 10, 1, '.');
	at = put_number(at, l->mtime_ns, 10, 9, ' ');
	at = put_number(at, l->content, 16, 16, ' ');
	at = put_number(at, l->attributes, 16, 16, ' ');
	r = buf_append(b, text, (size_t)(at - text));
	if (r == 0)
		r = put_path(b, l->path);
	return r < 0 ? r : buf_append(b, "\n", 1);
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
