/*
 * The way back from an archive, or from an image that holds one: the image that the container was made over, the
 * files that it had changed into its snapshot, CRIU's images where a start finds them.
 */
#include "pod/checkpoint.h"

#include "image/archive.h"
#include "pod/dumps.h"

#include <fcntl.h>
#include <sys/stat.h>

bool pod_checkpoint_is_archive(const char *image)
{
	return image && image[0] == '/';
}

static char *snapshot_of(const struct pod_container *c, struct arena *a)
{
	return arena_printf(a, "%s.checkpoint", c->id);
}

/* Under whichever of its names it is here. */
static int image_of(struct pod_manager *m, const struct buf *text, const char *where, struct image **ret,
		    struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const char *names[DUMP_IMAGES + 1];
	int r = dumps_image(text, &a, names, err);

	if (r < 0)
		return err_wrap(err, r, "checkpoint %s", where);
	for (size_t i = 0; names[i]; i++) {
		r = image_get(m->images, names[i], ret, err);
		if (r == 0)
			return 0;
	}
	return err_wrap(err, r, "checkpoint %s: the image that it was made over", where);
}

/* 1: the image's only layer is a checkpoint, and *text is its config.dump. */
static int look_into(struct pod_manager *m, const struct image *img, struct buf *text, struct err *err)
{
	autofree struct store_layer *layers = NULL;
	autofd int dir = -EBADF, file = -EBADF;
	struct stat st;
	size_t n = 0;
	int r;

	if (img->config.config.n_entrypoint || img->config.config.n_cmd)
		return 0;
	r = store_image_layers(m->store, img->id, &layers, &n, err);
	if (r == 0 && n == 1)
		r = store_layer_open(m->store, layers[0].id, &dir, err);
	if (r < 0 || n != 1)
		return r;
	if (fstatat(dir, "checkpoint", &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	file = openat(dir, "config.dump", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (file < 0 || fstat(file, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > DUMP_MAX)
		return 0;
	while (buf_read_fd(text, file, 65536) > 0)
		;
	return 1;
}

int pod_checkpoint_resolve(struct pod_manager *m, const char *name, struct image **image, struct arena *a,
			   char **ret_from, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(DUMP_MAX + 1);
	struct image *base;
	int r;

	*ret_from = NULL;
	if (*image) {
		r = look_into(m, *image, &text, err);
		if (r <= 0)
			return r;
		*ret_from = arena_strdup(a, (*image)->id);
	} else {
		r = archive_read_text(name, "config.dump", &text, err);
		if (r < 0)
			return err_wrap(err, r, "checkpoint");
		*ret_from = arena_strdup(a, name);
	}
	r = image_of(m, &text, name, &base, err);
	if (r < 0)
		return r;
	image_unref(*image);
	*image = base;
	return 0;
}

int pod_checkpoint_dir(struct pod_manager *m, const char *id, const char *name, struct arena *a, char **ret,
		       struct err *err)
{
	char *dir = arena_printf(a, "%s/%s/%s", m->checkpoints_dir, id, name);
	int r = sys_remove_tree(AT_FDCWD, dir);

	if (r == 0)
		r = sys_mkdir_p(dir, 0700);
	if (r < 0)
		return err_sys(err, r, "make %s", dir);
	*ret = dir;
	return 0;
}

/* Hides what another runtime wrote into a list of its own, where ours has markers in the layer. */
static int hide(const char *upper, char *const *paths, size_t n, struct err *err)
{
	autofd int root = open(upper, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return err_sys(err, errno, "open %s", upper);
	for (size_t i = 0; i < n; i++) {
		autofree char *dir = mem_strdup(paths[i]);
		char *name = strrchr(dir, '/');
		autofd int fd = -EBADF;
		struct stat st;
		int r;

		if (!name || !name[1] || str_eq(name, "/.") || str_eq(name, "/.."))
			return err_set(err, ERR_INVALID, "deleted.files: \"%.200s\": no absolute path of a file", paths[i]);
		*name++ = '\0';
		r = sys_open_in(root, *dir ? dir : "/", O_PATH | O_DIRECTORY, 0, &fd);
		if (r < 0)
			return err_sys(err, r, "deleted.files: %s: its directory in rootfs-diff.tar", paths[i]);
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && mknodat(fd, name, S_IFCHR, 0) < 0)
			return err_sys(err, errno, "deleted.files: hide %s", paths[i]);
	}
	return 0;
}

static int hide_deleted(const char *dir, const char *upper, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf text = BUF_INIT(DUMP_MAX + 1);
	char *const path = arena_printf(&a, "%s/deleted.files", dir), **paths;
	struct stat st;
	size_t n;
	int r;

	if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	r = sys_file_read(AT_FDCWD, path, DUMP_MAX, &text);
	if (r < 0)
		return err_sys(err, r, "deleted.files");
	r = dumps_deleted_read(&text, &a, &paths, &n, err);
	return r < 0 ? r : hide(upper, paths, n, err);
}

/* dir has what an archive has. */
static int put_diff(const char *dir, const char *from, const char *upper, struct err *err)
{
	autofree char *diff = mem_printf("%s/rootfs-diff.tar", dir), *images = mem_printf("%s/checkpoint",
											  dir);
	struct stat st;
	int r = 0;

	if (lstat(images, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, ERR_INVALID, "checkpoint %s: there is no directory checkpoint in it",
			       from);
	if (upper && lstat(diff, &st) == 0 && S_ISREG(st.st_mode))
		r = archive_extract(diff, upper, err);
	if (upper && r == 0) {
		r = hide_deleted(dir, upper, err);
		if (r < 0)
			err_wrap(err, r, "checkpoint %s", from);
	}
	return r;
}

int pod_checkpoint_prepare(struct pod_container *c, const char *from, const char *upper, struct err *err)
{
	const struct store_snapshot_options options = { .read_only = true };
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_manager *m = c->priv->m;
	char *dir = NULL;
	int r;

	if (!pod_checkpoint_is_archive(from)) {
		/* its layer is held as that of an image that is mounted is */
		r = store_snapshot_prepare(m->store, from, snapshot_of(c, &a), &options, &snap, err);
		return r < 0 ? r : put_diff(snap.lowers[0], from, upper, err);
	}
	r = pod_checkpoint_dir(m, c->id, "restore", &a, &dir, err);
	if (r == 0)
		r = archive_extract(from, dir, err);
	return r < 0 ? r : put_diff(dir, from, upper, err);
}

char *pod_checkpoint_of(const struct pod_container *c, struct arena *a)
{
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT;
	struct pod_manager *m = c->priv->m;
	char *images = arena_printf(a, "%s/%s/restore/checkpoint", m->checkpoints_dir, c->id);

	if (access(images, F_OK) == 0)
		return images;
	if (store_snapshot_get(m->store, snapshot_of(c, a), &snap, NULL) == 0 && snap.n_lowers)
		return arena_printf(a, "%s/checkpoint", snap.lowers[0]);
	return NULL;
}

int pod_checkpoint_sweep(struct pod_manager *m, const char *id)
{
	autofree char *dir = mem_printf("%s/%s", m->checkpoints_dir, id);

	return sys_remove_tree(AT_FDCWD, dir);
}

int pod_checkpoint_forget(const struct pod_container *c, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_manager *m = c->priv->m;

	pod_checkpoint_sweep(m, c->id);
	return store_snapshot_remove(m->store, snapshot_of(c, &a), err);
}
