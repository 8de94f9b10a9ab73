/* See diff.h. What lies below is seen through a detached overlay of the layers. */
#include "image/diff.h"

#include "image/table.h"
#include "image/tree.h"
#include "image/unpack-file.h"
#include "mnt/mnt.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { DEPTH_MAX = 512 };

struct diff {
	image_diff_fn fn;
	void *user;
	size_t lines;
	struct err *err;
};

static int tell(struct diff *d, char kind, const char *path)
{
	if (d->lines++ == IMAGE_DIFF_MAX)
		return err_set(d->err, ERR_LIMIT, "more than %d changes", IMAGE_DIFF_MAX);
	return d->fn(kind, path, d->user);
}

/* What is gone meanwhile is no error: nothing is in it. */
static char **names_of(int dirfd, struct arena *a)
{
	char **names;
	size_t n;

	return tree_names(dirfd, a, &names, &n) < 0 ? mem_new(1, sizeof(*names)) : names;
}

static int open_dir(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool is_opaque(int fd)
{
	char value[4];

	return fgetxattr(fd, "trusted.overlay.opaque", value, sizeof(value)) > 0;
}

static bool same(int a_fd, int b_fd, const char *name, const struct stat *a, const struct stat *b)
{
	char one[PATH_MAX], two[PATH_MAX];
	ssize_t n, m;

	if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid ||
	    a->st_rdev != b->st_rdev)
		return false;
	if (S_ISREG(a->st_mode))
		return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
		       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
	if (!S_ISLNK(a->st_mode))
		return true;
	n = readlinkat(a_fd, name, one, sizeof(one));
	m = readlinkat(b_fd, name, two, sizeof(two));
	return n >= 0 && n == m && memcmp(one, two, (size_t)n) == 0;
}

/*
 * old: negative for nothing. upper: `new` is a writable layer, so what it does not have is as
 * below, unless it hides it.
 */
static int walk(struct diff *d, int new, int old, const char *path, bool upper, int depth)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofree char **names = names_of(new, &a), **gone = NULL;
	int r = 0;

	if (old >= 0 && (!upper || is_opaque(new)))
		gone = names_of(old, &a);
	for (size_t i = 0; r == 0 && gone && gone[i]; i++) {
		autofree char *child = mem_printf("%s/%s", path, gone[i]);
		struct stat st;

		if (fstatat(new, gone[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			r = tell(d, 'D', child);
	}
	for (size_t i = 0; r == 0 && names[i]; i++) {
		autofree char *child = mem_printf("%s/%s", path, names[i]);
		autofd int sub = -EBADF, below = -EBADF;
		struct stat st, was;
		bool known;

		if (fstatat(new, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		known = old >= 0 && fstatat(old, names[i], &was, AT_SYMLINK_NOFOLLOW) == 0;
		if (upper && unpack_is_whiteout(&st)) {
			r = known ? tell(d, 'D', child) : 0;
			continue;
		}
		if (!known)
			r = tell(d, 'A', child);
		/* what is in a writable layer was written, or lies above what was */
		else if (upper || !same(new, old, names[i], &st, &was))
			r = tell(d, 'C', child);
		if (r < 0 || !S_ISDIR(st.st_mode) || depth == DEPTH_MAX)
			continue;
		sub = open_dir(new, names[i]);
		if (known && S_ISDIR(was.st_mode))
			below = open_dir(old, names[i]);
		if (sub >= 0)
			r = walk(d, sub, below, child, upper, depth + 1);
	}
	return r;
}

static int open_stack(char **lowers, size_t n, int *ret_fd, struct err *err)
{
	struct mnt_overlay o = MNT_OVERLAY_INIT;

	o.lowers = (const char *const *)lowers;
	o.n_lowers = n;
	return mnt_overlay_open(&o, ret_fd, err);
}

int image_diff_snapshot(struct image_table *t, const char *id, image_diff_fn fn, void *user, struct err *err)
{
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT;
	struct diff d = { .fn = fn, .user = user, .err = err };
	autofd int upper = -EBADF, below = -EBADF;
	int r = store_snapshot_get(t->store, id, &snap, err);

	if (r == 0 && !snap.upper)
		return 0;
	if (r == 0)
		r = open_stack(snap.lowers, snap.n_lowers, &below, err);
	if (r < 0)
		return r;
	upper = open(snap.upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (upper < 0)
		return err_sys(err, errno, "open %s", snap.upper);
	return walk(&d, upper, below, "", true, 0);
}

/* The image as a tree; its layers stay as long as the descriptor, under the lease. */
static int open_image(struct image_table *t, struct store_lease *lease, const char *name, int *ret_fd,
		      struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofree struct store_layer *layers = NULL;
	char **lowers;
	struct image *img;
	size_t n = 0, n_lowers = 0;
	int r = image_get(t, name, &img, err);

	if (r < 0)
		return r;
	{
		WITH_MUTEX(&t->change);
		r = store_image_layers(t->store, img->id, &layers, &n, err);
		for (size_t i = 0; r == 0 && i < n; i++)
			store_layer_hold(lease, layers[i].id);
	}
	image_unref(img);
	if (r < 0)
		return r;
	lowers = arena_new(&a, n + 2, sizeof(*lowers));
	while (n--) {
		char *path = arena_printf(&a, "%s/layers/%" PRId64, store_root(t->store), layers[n].id);

		if (!str_in(path, (const char *const *)lowers, n_lowers))
			lowers[n_lowers++] = path;
	}
	/* a whiteout in a single layer is one, too */
	while (n_lowers < 2)
		lowers[n_lowers++] = arena_printf(&a, "%s/layers/0", store_root(t->store));
	if (str_eq(lowers[0], lowers[1]))
		n_lowers = 1;
	return open_stack(lowers, n_lowers, ret_fd, err);
}

int image_diff(struct image_table *t, const char *base, const char *name, image_diff_fn fn, void *user,
	       struct err *err)
{
	struct diff d = { .fn = fn, .user = user, .err = err };
	struct store_lease *lease = store_lease_new(t->store);
	autofd int old = -EBADF, new = -EBADF;
	int r = open_image(t, lease, base, &old, err);

	if (r == 0)
		r = open_image(t, lease, name, &new, err);
	if (r == 0)
		r = walk(&d, new, old, "", false, 0);
	store_lease_free(lease);
	return r;
}
