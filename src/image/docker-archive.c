/* See docker-archive.h. */
#include "image/docker-archive.h"

#include "image/docker-manifest.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_file(int dirfd, const char *path, int *ret_fd, struct err *err)
{
	autofd int fd = -EBADF;
	struct stat st;
	int r = sys_open_in(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd);

	if (r < 0)
		return err_sys(err, r, "%.300s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "%.300s: is no file", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

bool docker_archive_is(int dirfd)
{
	autofd int fd = -EBADF;

	return open_file(dirfd, "manifest.json", &fd, NULL) == 0;
}

static int read_file(int dirfd, const char *path, struct buf *out, struct err *err)
{
	autofd int fd = -EBADF;
	ssize_t n;
	int r = open_file(dirfd, path, &fd, err);

	if (r < 0)
		return r;
	while ((n = buf_read_fd(out, fd, 65536)) > 0)
		;
	return n < 0 ? err_sys(err, (int)n, "%.300s", path) : 0;
}

/* ---- as content ---- */

struct file_source {
	struct source source;
	struct source_fd fd;
};

static int get_manifest(struct content *c, const char *reference, struct buf *out, char type[128],
			struct err *err)
{
	struct docker_archive *d = (struct docker_archive *)c;

	snprintf(type, 128, "application/vnd.oci.image.manifest.v1+json");
	return buf_append(out, d->manifest.data, d->manifest.len);
}

static ssize_t read_blob(struct source *s, void *buf, size_t len, struct err *err)
{
	return source_read(&((struct file_source *)s)->fd.source, buf, len, err);
}

static int open_blob(struct content *c, const struct oci_descriptor *want, uint64_t offset, struct source **ret,
		     struct err *err)
{
	struct docker_archive *d = (struct docker_archive *)c;

	for (size_t i = 0; i < d->n_files; i++) {
		struct file_source *s;
		int fd = -EBADF, r;

		if (!str_eq(d->files[i].digest, want->digest))
			continue;
		r = open_file(d->dirfd, d->files[i].path, &fd, err);
		if (r == 0 && lseek(fd, (off_t)offset, SEEK_SET) < 0) {
			r = err_sys(err, errno, "seek in %.300s", d->files[i].path);
			close(fd);
		}
		if (r < 0)
			return r;
		s = mem_new(1, sizeof(*s));
		s->source.read = read_blob;
		source_fd_init(&s->fd, fd, d->files[i].path);
		*ret = &s->source;
		return 0;
	}
	return err_sysk(err, ERR_NOT_FOUND, ENOENT, "blob %s", want->digest);
}

static void close_blob(struct content *c, struct source *s)
{
	close(((struct file_source *)s)->fd.fd);
	free(s);
}

/* ---- the manifest that it lacks ---- */

static int add_file(struct docker_archive *d, const char *path, const char *media_type, struct err *err)
{
	CLEANUP(digest_done) struct digest digest = { 0 };
	autofree uint8_t *chunk = mem_new(256 * 1024, 1);
	autofd int fd = -EBADF;
	uint64_t size = 0;
	ssize_t n;
	int r = open_file(d->dirfd, path, &fd, err);

	if (r < 0)
		return r;
	digest_init(&digest);
	while ((n = read(fd, chunk, 256 * 1024)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read %.300s", path);
		digest_update(&digest, chunk, (size_t)n);
		size += (uint64_t)n;
	}
	digest_text(&digest, d->files[d->n_files].digest);
	d->files[d->n_files].path = path;
	return buf_printf(&d->manifest,
			  "{\"mediaType\":\"application/vnd.oci.image.%s\",\"digest\":\"%s\",\"size\":%" PRIu64 "}",
			  media_type, d->files[d->n_files++].digest, size);
}

static int make_manifest(struct docker_archive *d, const struct docker_image *e, struct err *err)
{
	int r;

	d->files = mem_new(e->n_layers + 1, sizeof(*d->files));
	buf_puts(&d->manifest,
		 "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":");
	r = add_file(d, e->config, "config.v1+json", err);
	buf_puts(&d->manifest, ",\"layers\":[");
	/* whether a layer is compressed shows in its first bytes */
	for (size_t i = 0; r == 0 && i < e->n_layers; i++) {
		if (i)
			buf_puts(&d->manifest, ",");
		r = add_file(d, e->layers[i], "layer.v1.tar", err);
	}
	buf_puts(&d->manifest, "]}");
	digest_of(d->manifest.data, d->manifest.len, d->manifest_digest);
	return r;
}

static const struct docker_image *choose(const struct docker_images *list, const char *which, struct err *err)
{
	if (!which && list->n_images > 1) {
		err_set(err, ERR_INVALID, "manifest.json lists %zu images: say which", list->n_images);
		return NULL;
	}
	for (size_t i = 0; i < list->n_images; i++)
		if (!which || str_in(which, (const char *const *)list->images[i].tags,
				     list->images[i].n_tags))
			return &list->images[i];
	err_set(err, ERR_NOT_FOUND, "manifest.json lists no image%s%s", which ? " named " : "",
		which ? which : "");
	return NULL;
}

int docker_archive_list(int dirfd, struct arena *a, struct docker_images *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_MANIFEST_MAX);
	int r = read_file(dirfd, "manifest.json", &text, err);

	if (r == 0) {
		r = docker_manifest_read(text.data, text.len, a, ret, err);
		r = r < 0 ? err_wrap(err, r, "manifest.json") : 0;
	}
	return r;
}

int docker_archive_open(struct docker_archive *d, int dirfd, const char *which, struct err *err)
{
	struct docker_images list;
	const struct docker_image *e;
	int r;

	*d = (struct docker_archive){ .content = { .manifest = get_manifest, .blob_open = open_blob, .blob_close = close_blob }, .dirfd = dirfd,
				      .manifest = BUF_INIT(OCI_MANIFEST_MAX) };
	r = docker_archive_list(dirfd, &d->arena, &list, err);
	if (r < 0)
		return r;
	e = choose(&list, which, err);
	if (!e)
		return -ENOENT;
	d->tags = e->tags;
	d->n_tags = e->n_tags;
	return make_manifest(d, e, err);
}

void docker_archive_done(struct docker_archive *d)
{
	arena_done(&d->arena);
	buf_done(&d->manifest);
	free(d->files);
}
