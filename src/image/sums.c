/*
 * See sums.h. The layer is published or about to be, so nobody changes it; what is in it is
 * hostile: nothing is followed, only regular files are opened.
 */
#include "image/sums.h"

#include "image/sums-line.h"
#include "image/tree.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <isa-l/crc64.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024, XATTR_MAX = 64 * 1024, DEPTH_MAX = 1000, LINE_MAX_LEN = 4 * PATH_MAX + 256,
      FLUSH = 65536 };

static const char end_line[] = "whole";

uint64_t sums_add(uint64_t sum, const void *data, size_t len)
{
	return crc64_ecma_refl(sum, data, len);
}

uint64_t sums_add_zeros(uint64_t sum, uint64_t n)
{
	static const uint8_t zeros[64 * 1024];

	for (; n; n -= n < sizeof(zeros) ? n : sizeof(zeros))
		sum = sums_add(sum, zeros, n < sizeof(zeros) ? n : sizeof(zeros));
	return sum;
}

void sums_know(struct sums_known *k, uint64_t inode, uint64_t sum)
{
	if (k->n == SUMS_KNOWN_MAX)
		return;
	if ((k->n & (k->n - 1)) == 0)
		k->files = mem_grow(k->files, k->n ? 2 * k->n : 1, sizeof(*k->files));
	k->files[k->n++] = (struct sums_file){ inode, sum };
}

/* ---- one name ---- */

static int by_inode(const void *a, const void *b)
{
	const struct sums_file *x = a, *y = b;

	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The attributes in a fixed order; labels belong to the node. */
static uint64_t sum_attributes(int dir, const char *name_in, uint8_t *value)
{
	char path[SYS_FD_PATH_MAX + NAME_MAX + 2], names[8192], *list[sizeof(names) / 2];
	ssize_t n;
	size_t count = 0;
	uint64_t sum = 0;

	/* by its directory's descriptor: no link is followed, and nothing has to be opened */
	sys_fd_path(dir, path);
	snprintf(path + strlen(path), NAME_MAX + 2, "/%s", name_in);
	n = llistxattr(path, names, sizeof(names));
	for (char *name = names; n > 0 && name < names + n; name += strlen(name) + 1)
		if (!str_eq(name, "security.selinux"))
			list[count++] = name;
	if (count > 1)
		qsort(list, count, sizeof(*list), by_text);
	for (size_t i = 0; i < count; i++) {
		ssize_t len = lgetxattr(path, list[i], value, XATTR_MAX);

		sum = sums_add(sum, list[i], strlen(list[i]) + 1);
		if (len > 0)
			sum = sums_add(sum, value, (size_t)len);
	}
	return sum;
}

static int sum_content(int dir, const char *name, uint64_t size, uint8_t *chunk, uint64_t *ret)
{
	autofd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint64_t sum = 0;
	off_t pos = 0;

	if (fd < 0)
		return -errno;
	while ((uint64_t)pos < size) {
		off_t data = lseek(fd, pos, SEEK_DATA), end;

		if (data < 0 && errno == ENXIO)
			break;
		end = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (end < 0)
			return -errno;
		sum = sums_add_zeros(sum, (uint64_t)(data - pos));
		for (pos = data; pos < end;) {
			ssize_t n = pread(fd, chunk, end - pos > CHUNK ? CHUNK : (size_t)(end - pos), pos);

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return n < 0 ? -errno : -EIO;
			sum = sums_add(sum, chunk, (size_t)n);
			pos += n;
		}
	}
	*ret = sums_add_zeros(sum, size - (uint64_t)pos);
	return 0;
}

static int look(int dir, const char *name, const struct stat *st, const struct sums_known *known,
		uint8_t *chunk, struct sums_line *l)
{
	const struct sums_file key = { st->st_ino, 0 }, *hit = NULL;
	char target[PATH_MAX];
	ssize_t n;

	*l = (struct sums_line){ l->path, st->st_mode, st->st_uid, st->st_gid, 0, 0, 0, 0, st->st_mtim.tv_sec,
			    (uint32_t)st->st_mtim.tv_nsec };
	l->attributes = sum_attributes(dir, name, chunk);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		l->rdev = st->st_rdev;
	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(dir, name, target, sizeof(target));
		if (n < 0)
			return -errno;
		l->content = sums_add(0, target, (size_t)n);
	}
	if (!S_ISREG(st->st_mode) || !st->st_size)
		return 0;
	l->size = (uint64_t)st->st_size;
	if (known && known->n && !known->unsure)
		hit = bsearch(&key, known->files, known->n, sizeof(key), by_inode);
	if (!hit)
		return sum_content(dir, name, l->size, chunk, &l->content);
	l->content = hit->sum;
	return 0;
}

/* ---- the walk ---- */

struct walk {
	const struct sums_known *known;
	uint8_t *chunk;
	struct buf path; /* of the name at hand */
	int (*fn)(struct walk *w, const struct sums_line *l);
	struct err *err;
	/* writing */
	struct buf out;
	int out_fd;
	/* checking */
	FILE *list;
	char *text;
	size_t text_size;
	struct sums_line next; /* path NULL: none */
	bool whole;
	sums_damage_fn damage;
	void *user;
};

static int walk_one(struct walk *w, int dir, const char *name, const struct stat *st, char *path)
{
	struct sums_line l = { .path = path };
	int r = look(dir, name, st, w->known, w->chunk, &l);

	/* a file that cannot be read is damaged, not the end of the check */
	if (r < 0 && w->damage) {
		w->damage(path, "cannot be read", w->user);
		l.content = 0;
		r = 0;
	}
	return r < 0 ? err_sys(w->err, r, "\"%.300s\"", path) : w->fn(w, &l);
}

static int walk_dir(struct walk *w, int fd, int depth);

/* `name` in the directory, whose path is w->path */
static int walk_name(struct walk *w, int dir, const char *name, int depth)
{
	size_t before = w->path.len;
	autofd int sub = -EBADF;
	struct stat st;
	int r = buf_append(&w->path, "/", 1);

	if (r == 0)
		r = buf_puts(&w->path, name);
	if (r == 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r < 0)
		return err_sys(w->err, r, "\"%.300s\"", buf_text(&w->path));
	r = walk_one(w, dir, name, &st, (char *)w->path.data);
	if (r == 0 && S_ISDIR(st.st_mode)) {
		sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = sub < 0 ? err_sys(w->err, errno, "\"%.300s\"", buf_text(&w->path)) :
			      walk_dir(w, sub, depth + 1);
	}
	w->path.len = before;
	w->path.data[before] = '\0';
	return r;
}

static int walk_dir(struct walk *w, int fd, int depth)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofree char **names = NULL;
	size_t n;
	int r = tree_names(fd, &a, &names, &n);

	if (r < 0 || depth > DEPTH_MAX)
		return err_sys(w->err, r < 0 ? r : ELOOP, "\"%.300s\"", buf_text(&w->path));
	for (size_t i = 0; r == 0 && i < n; i++)
		r = walk_name(w, fd, names[i], depth);
	return r;
}

static int walk_tree(struct walk *w, int dirfd)
{
	char root[] = "/";
	struct stat st;
	int r;

	w->chunk = mem_new(CHUNK, 1);
	w->path = (struct buf)BUF_INIT((DEPTH_MAX + 2) * (NAME_MAX + 1));
	r = fstat(dirfd, &st) < 0 ? err_sys(w->err, errno, "its directory") : walk_one(w, dirfd, ".", &st, root);
	if (r == 0)
		r = walk_dir(w, dirfd, 0);
	buf_done(&w->path);
	free(w->chunk);
	return r;
}

/* ---- writing ---- */

static int flush(struct walk *w)
{
	int r = sys_write_all(w->out_fd, w->out.data, w->out.len);

	w->out.len = 0;
	return r < 0 ? err_sys(w->err, r, "write its checksums") : 0;
}

static int write_line(struct walk *w, const struct sums_line *l)
{
	int r = sums_line_put(&w->out, l);

	if (r < 0)
		return err_sys(w->err, r, "\"%.300s\"", l->path);
	return w->out.len > FLUSH ? flush(w) : 0;
}

int sums_write(int dirfd, struct sums_known *known, int out_fd, struct err *err)
{
	struct walk w = { .known = known, .fn = write_line, .err = err,
			 .out = BUF_INIT(FLUSH + 2 * LINE_MAX_LEN),
			  .out_fd = out_fd };
	int r;

	if (known && known->n)
		qsort(known->files, known->n, sizeof(*known->files), by_inode);
	r = walk_tree(&w, dirfd);
	if (r == 0 && (r = buf_printf(&w.out, "%s\n", end_line)) == 0)
		r = flush(&w);
	buf_done(&w.out);
	return r;
}

/* ---- checking ---- */

static int next_line(struct walk *w)
{
	ssize_t n = getline(&w->text, &w->text_size, w->list);

	w->next.path = NULL;
	if (n > 0 && w->text[n - 1] == '\n')
		w->text[n - 1] = '\0';
	if (n > 0 && str_eq(w->text, end_line)) {
		w->whole = true;
		return 0;
	}
	if (n <= 0 || sums_line_get(w->text, &w->next) < 0)
		return err_set(w->err, ERR_CORRUPT, "the list of its checksums is damaged");
	return 0;
}

/* The order of the walk: a directory comes before what is in it, whatever its neighbours. */
static int compare_paths(const char *a, const char *b)
{
	/* the root is first */
	if (str_eq(a, "/") || str_eq(b, "/"))
		return str_eq(b, "/") - str_eq(a, "/");
	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (*a == *b)
		return 0;
	if (!*a || !*b)
		return *a ? 1 : -1;
	if (*a == '/' || *b == '/')
		return *a == '/' ? -1 : 1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static void compare_lines(struct walk *w, const struct sums_line *l)
{
	const struct sums_line *n = &w->next;
	const struct {
		bool differs;
		const char *what;
	} rows[] = {
		{ (l->mode & S_IFMT) != (n->mode & S_IFMT) || l->rdev != n->rdev, "kind" },
		{ (l->mode & 07777) != (n->mode & 07777), "mode" },
		{ l->uid != n->uid || l->gid != n->gid, "owner" },
		{ l->size != n->size, "size" },
		{ l->content != n->content, "content" },
		{ l->attributes != n->attributes, "attributes" },
		{ l->mtime != n->mtime || l->mtime_ns != n->mtime_ns, "time" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].differs) {
			w->damage(l->path, rows[i].what, w->user);
			return;
		}
}

static int check_line(struct walk *w, const struct sums_line *l)
{
	int r = 0, order;

	while (r == 0 && w->next.path && (order = compare_paths(w->next.path, l->path)) <= 0) {
		if (order < 0)
			w->damage(w->next.path, "missing", w->user);
		else
			compare_lines(w, l);
		r = next_line(w);
		if (order == 0)
			return r;
	}
	if (r == 0)
		w->damage(l->path, "not part of it", w->user);
	return r;
}

int sums_check(int dirfd, int list_fd, sums_damage_fn fn, void *user, struct err *err)
{
	struct walk w = { .fn = check_line, .err = err, .damage = fn, .user = user };
	int fd = fcntl(list_fd, F_DUPFD_CLOEXEC, 0), r;

	w.list = fd < 0 ? NULL : fdopen(fd, "r");
	if (!w.list) {
		r = err_sys(err, errno, "its checksums");
		if (fd >= 0)
			close(fd);
		return r;
	}
	r = next_line(&w);
	if (r == 0)
		r = walk_tree(&w, dirfd);
	while (r == 0 && w.next.path) {
		fn(w.next.path, "missing", user);
		r = next_line(&w);
	}
	fclose(w.list);
	free(w.text);
	return r;
}
