/* See tar-write.h. */
#include "image/tar-write.h"

#include "sys/sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/sysmacros.h>

enum { BUFFER_SIZE = 256 * 1024, BLOCK = 512, RECORDS_MAX = 32 * 1024 * 1024 };

/* ustar, pax(1): where each field is */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6],
		version[2],
		user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

void tar_out_init(struct tar_out *t, int fd)
{
	*t = (struct tar_out){ .fd = fd, .buffer = mem_new(BUFFER_SIZE, 1) };
}

void tar_out_done(struct tar_out *t)
{
	free(t->buffer);
	t->buffer = NULL;
}

static int flush(struct tar_out *t)
{
	int r = sys_write_all(t->fd, t->buffer, t->used);

	t->used = 0;
	return r;
}

static int put(struct tar_out *t, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		size_t n = BUFFER_SIZE - t->used < len ? BUFFER_SIZE - t->used : len;
		int r;

		memcpy(t->buffer + t->used, p, n);
		t->used += n;
		p += n;
		len -= n;
		if (t->used == BUFFER_SIZE && (r = flush(t)) < 0)
			return r;
	}
	return 0;
}

static int put_zeros(struct tar_out *t, uint64_t n)
{
	static const uint8_t zeros[BLOCK];
	int r = 0;

	for (; r == 0 && n; n -= n < BLOCK ? n : BLOCK)
		r = put(t, zeros, n < BLOCK ? n : BLOCK);
	return r;
}

/* ---- extended header records ---- */

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static int record(struct buf *b, const char *key, const void *value, size_t len)
{
	size_t body = strlen(key) + len + 3, total = body + 1;
	char head[32];
	int r;

	while (total != body + (size_t)snprintf(head, sizeof(head), "%zu", total))
		total = body + (size_t)snprintf(head, sizeof(head), "%zu", total);
	r = buf_printf(b, "%zu %s=", total, key);
	if (r == 0)
		r = buf_append(b, value, len);
	return r < 0 ? r : buf_puts(b, "\n");
}

static int record_text(struct buf *b, const char *key, const char *value)
{
	return record(b, key, value, strlen(value));
}

static int record_number(struct buf *b, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return record_text(b, key, text);
}

/* Octal with a zero behind it; what does not fit has a record, and 0 here. */
static bool octal(char *field, size_t size, uint64_t value)
{
	bool fits = value < UINT64_C(1) << (3 * (size - 1));
	char text[32];

	snprintf(text, sizeof(text), "%0*" PRIo64, (int)size - 1, fits ? value : 0);
	memcpy(field, text, size);
	return fits;
}

static void fill_sum(struct header *h)
{
	unsigned sum = 0;
	char text[16];

	memset(h->sum, ' ', sizeof(h->sum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += ((const uint8_t *)h)[i];
	snprintf(text, sizeof(text), "%06o", sum);
	memcpy(h->sum, text, 7);
}

static int put_extended(struct tar_out *t, const struct buf *records)
{
	struct header h = { .name = "PaxHeaders/0", .type = 'x', .magic = "ustar", .version = { '0', '0' } };
	int r;

	octal(h.mode, sizeof(h.mode), 0644);
	octal(h.uid, sizeof(h.uid), 0);
	octal(h.gid, sizeof(h.gid), 0);
	octal(h.size, sizeof(h.size), records->len);
	octal(h.mtime, sizeof(h.mtime), 0);
	fill_sum(&h);
	r = put(t, &h, sizeof(h));
	if (r == 0)
		r = put(t, records->data, records->len);
	return r < 0 ? r : put_zeros(t, -records->len % BLOCK);
}

/* ---- entries ---- */

static void set_text(char *field, size_t size, const char *value, const char *key, struct buf *records,
		     int *r)
{
	size_t len = strlen(value);

	memcpy(field, value, len < size ? len : size);
	/* a name that fills the field to its end has no zero behind it, as pax(1) allows */
	if (len > size && *r == 0)
		*r = record_text(records, key, value);
}

static void set_number(char *field, size_t size, uint64_t value, const char *key, struct buf *records, int *r)
{
	if (!octal(field, size, value) && *r == 0)
		*r = record_number(records, key, value);
}

static int set_mtime(struct header *h, const struct timespec *ts, struct buf *records)
{
	bool whole = octal(h->mtime, sizeof(h->mtime), ts->tv_sec < 0 ? UINT64_MAX : (uint64_t)ts->tv_sec);
	int64_t sec = ts->tv_sec;
	long nsec = ts->tv_nsec;
	char text[48];

	if (whole && !nsec)
		return 0;
	/* the fraction counts away from zero: -1.5 is two seconds before, plus half a one */
	if (sec < 0 && nsec) {
		sec++;
		nsec = 1000000000 - nsec;
	}
	snprintf(text, sizeof(text), "%s%" PRId64 ".%09ld", ts->tv_sec < 0 && sec == 0 ? "-" : "", sec, nsec);
	return record_text(records, "mtime", text);
}

static char kind_of(const struct tar_entry *e)
{
	static const struct {
		mode_t kind;
		char type;
	} rows[] = { { S_IFREG, '0' }, { S_IFDIR, '5' }, { S_IFLNK, '2' }, { S_IFCHR, '3' }, { S_IFBLK, '4' },
		     { S_IFIFO, '6' } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if ((e->mode & S_IFMT) == rows[i].kind)
			return e->hard_link ? '1' : rows[i].type;
	return 0;
}

/* GNU.sparse 1.0: the map stands in front of the data, in blocks. */
static int sparse_map(const struct tar_entry *e, struct buf *map)
{
	int r = buf_printf(map, "%zu\n", e->n_extents);

	for (size_t i = 0; r == 0 && i < e->n_extents; i++)
		r = buf_printf(map, "%" PRIu64 "\n%" PRIu64 "\n", e->extents[i].offset, e->extents[i].len);
	while (r == 0 && map->len % BLOCK)
		r = buf_append(map, "", 1);
	return r;
}

int tar_out_entry(struct tar_out *t, const struct tar_entry *e)
{
	CLEANUP(buf_done) struct buf records = BUF_INIT(RECORDS_MAX), map = BUF_INIT(RECORDS_MAX);
	struct header h = { .type = kind_of(e), .magic = "ustar", .version = { '0', '0' } };
	bool data = h.type == '0';
	uint64_t size = data ? e->size : 0;
	int r = 0;

	if (!h.type)
		return -EINVAL;
	if (data && e->sparse) {
		r = sparse_map(e, &map);
		size = map.len;
		for (size_t i = 0; i < e->n_extents; i++)
			size += e->extents[i].len;
		if (r == 0 && (r = record_text(&records, "GNU.sparse.major", "1")) == 0 &&
		    (r = record_text(&records, "GNU.sparse.minor", "0")) == 0 &&
		    (r = record_text(&records, "GNU.sparse.name", e->path)) == 0)
			r = record_number(&records, "GNU.sparse.realsize", e->size);
	}
	set_text(h.name, sizeof(h.name), e->path, "path", &records, &r);
	set_text(h.link, sizeof(h.link), e->link ? e->link : "", "linkpath", &records, &r);
	octal(h.mode, sizeof(h.mode), e->mode & 07777);
	set_number(h.uid, sizeof(h.uid), e->uid, "uid", &records, &r);
	set_number(h.gid, sizeof(h.gid), e->gid, "gid", &records, &r);
	set_number(h.size, sizeof(h.size), size, "size", &records, &r);
	octal(h.major, sizeof(h.major), h.type == '3' || h.type == '4' ? major(e->rdev) : 0);
	octal(h.minor, sizeof(h.minor), h.type == '3' || h.type == '4' ? minor(e->rdev) : 0);
	if (r == 0)
		r = set_mtime(&h, &e->mtime, &records);
	for (size_t i = 0; r == 0 && i < e->n_xattrs; i++) {
		autofree char *key = mem_printf("SCHILY.xattr.%s", e->xattrs[i].name);

		r = record(&records, key, e->xattrs[i].value, e->xattrs[i].len);
	}
	fill_sum(&h);
	if (r == 0 && records.len)
		r = put_extended(t, &records);
	if (r == 0)
		r = put(t, &h, sizeof(h));
	if (r == 0 && map.len)
		r = put(t, map.data, map.len);
	t->left = size - map.len;
	t->pad = -size % BLOCK;
	return r;
}

int tar_out_data(struct tar_out *t, const void *data, size_t len)
{
	int r;

	if (len > t->left)
		return -EFBIG;
	r = put(t, data, len);
	t->left -= len;
	if (r == 0 && !t->left) {
		r = put_zeros(t, t->pad);
		t->pad = 0;
	}
	return r;
}

int tar_out_end(struct tar_out *t)
{
	int r = t->left ? -EIO : put_zeros(t, 2 * BLOCK);

	return r < 0 ? r : flush(t);
}
