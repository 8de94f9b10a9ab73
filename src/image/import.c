/*
 * Images from an OCI image layout (image-spec image-layout.md): a directory with index.json
 * and blobs/sha256/. The directory may be hostile too: every path is walked beneath it
 * without following links. An archive, of a layout or of `docker save`, is unpacked by the
 * same code as a layer, into a staged directory that goes when the import ends.
 */
#include "image/docker-archive.h"
#include "image/docker-manifest.h"
#include "image/install.h"
#include "image/unpack.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct layout {
	struct content content;
	int dirfd;
};

struct layout_source {
	struct source source;
	struct source_fd fd;
};

static int blob_path(const char *digest, char out[96], struct err *err)
{
	if (!oci_digest_valid(digest))
		return err_set(err, ERR_INVALID, "\"%.80s\" is not a sha256 digest", digest);
	snprintf(out, 96, "blobs/sha256/%s", digest + strlen("sha256:"));
	return 0;
}

static int open_file(int dirfd, const char *path, int *ret_fd, struct err *err)
{
	int r = sys_open_beneath(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, ret_fd);

	return r < 0 ? err_sys(err, r, "%s", path) : 0;
}

static int get_manifest(struct content *c, const char *reference, struct buf *out, char type[128],
			struct err *err)
{
	autofd int fd = -EBADF;
	char path[96];
	ssize_t n;
	int r = blob_path(reference, path, err);

	if (r == 0)
		r = open_file(((struct layout *)c)->dirfd, path, &fd, err);
	if (r < 0)
		return r;
	while ((n = buf_read_fd(out, fd, 65536)) > 0)
		;
	*type = '\0';
	return n < 0 ? err_sys(err, (int)n, "%s", path) : 0;
}

static ssize_t read_blob(struct source *s, void *buf, size_t len, struct err *err)
{
	return source_read(&((struct layout_source *)s)->fd.source, buf, len, err);
}

static int open_blob(struct content *c, const struct oci_descriptor *d, uint64_t offset, struct source **ret,
		     struct err *err)
{
	struct layout_source *s;
	char path[96];
	int fd = -EBADF, r = blob_path(d->digest, path, err);

	if (r == 0)
		r = open_file(((struct layout *)c)->dirfd, path, &fd, err);
	if (r < 0)
		return r;
	if (lseek(fd, (off_t)offset, SEEK_SET) < 0) {
		r = err_sys(err, errno, "%s", path);
		close(fd);
		return r;
	}
	s = mem_new(1, sizeof(*s));
	s->source.read = read_blob;
	source_fd_init(&s->fd, fd, "layout");
	*ret = &s->source;
	return 0;
}

static void close_blob(struct content *c, struct source *s)
{
	close(((struct layout_source *)s)->fd.fd);
	free(s);
}

/* ---- which image ---- */

static const char *annotation(const struct oci_descriptor *d, const char *key)
{
	for (size_t i = 0; i < d->n_annotations; i++)
		if (str_eq(d->annotations[i].key, key))
			return d->annotations[i].value;
	return NULL;
}

static const char *ref_name(const struct oci_descriptor *d)
{
	return annotation(d, "org.opencontainers.image.ref.name");
}

/* What it is called in full: containerd and docker write it beside the tag. */
static const char *full_name(const struct oci_descriptor *d)
{
	const char *name = annotation(d, "io.containerd.image.name");

	return name ? name : ref_name(d);
}

static int read_index(int dirfd, struct arena *a, struct oci_index *index, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_MANIFEST_MAX);
	autofd int fd = -EBADF;
	ssize_t n;
	int r = open_file(dirfd, "index.json", &fd, err);

	if (r < 0)
		return r;
	while ((n = buf_read_fd(&text, fd, 65536)) > 0)
		;
	if (n < 0)
		return err_sys(err, (int)n, "index.json");
	r = oci_index_read(text.data, text.len, a, index, err);
	return r < 0 ? err_wrap(err, r, "index.json") : 0;
}

static int choose(const struct oci_index *index, const char *which, struct arena *a,
		  const struct oci_descriptor **ret, struct err *err)
{
	struct oci_index matching = { 0 };

	matching.manifests = arena_new(a, index->n_manifests + 1, sizeof(*matching.manifests));
	for (size_t i = 0; i < index->n_manifests; i++)
		if (!which || str_eq(ref_name(&index->manifests[i]), which) ||
		    str_eq(full_name(&index->manifests[i]), which))
			matching.manifests[matching.n_manifests++] = index->manifests[i];
	if (!matching.n_manifests)
		return err_set(err, ERR_NOT_FOUND, "index.json lists no image%s%s", which ? " named " : "",
			       which ? which : "");
	for (size_t i = 1; i < matching.n_manifests; i++)
		if (!str_eq(ref_name(&matching.manifests[0]), ref_name(&matching.manifests[i])))
			return err_set(err, ERR_INVALID, "index.json lists several images: say which");
	/* one image may be listed once for each platform */
	*ret = oci_index_choose(&matching, oci_host_platform(), err);
	return *ret ? 0 : -ENOENT;
}

static int choose_name(const char *name, const struct oci_descriptor *d, struct reference *ret,
		       struct err *err)
{
	const char *own = full_name(d);
	int r;

	if (!name && (!own || !strchr(own, '/')))
		return err_set(err, ERR_INVALID, "it does not say its full name: give one");
	r = reference_parse(name ? name : own, ret, err);
	if (r == 0 && *ret->digest && !str_eq(ret->digest, d->digest))
		return err_set(err, ERR_INVALID, "its digest is %s, not that of %s", d->digest,
			       name ? name : own);
	return r;
}

static void add_id(struct image_imported *ret, const char *id)
{
	ret->ids = mem_grow(ret->ids, ret->n + 1, sizeof(*ret->ids));
	ret->ids[ret->n++] = mem_strdup(id);
}

void image_imported_done(struct image_imported *i)
{
	for (size_t k = 0; k < i->n; k++)
		free(i->ids[k]);
	free(i->ids);
	*i = (struct image_imported)IMAGE_IMPORTED_INIT;
}

static int install(struct image_table *t, struct content *content, const char *digest,
		   const char *const *refs,
		   size_t n_refs, struct image_imported *ret, struct err *err)
{
	atomic_bool stop = false;
	struct resolved res;
	int r = resolved_fill(&res, t, content, digest, digest, err);

	if (r == 0) {
		struct install in = { .table = t, .content = content, .resolved = &res, .refs = refs,
				      .n_refs = n_refs, .stop = &stop };

		r = image_install(&in, err);
	}
	if (r == 0)
		add_id(ret, res.manifest.config.digest);
	resolved_done(&res);
	return r;
}

static int import_listed(struct image_table *t, int dirfd, const struct oci_index *index, const char *which,
			 const char *name, struct image_imported *ret,
		      struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct layout layout = { { .manifest = get_manifest, .blob_open = open_blob, .blob_close = close_blob },
				 dirfd };
	char tag[REFERENCE_TEXT_MAX], digest[REFERENCE_TEXT_MAX];
	const struct oci_descriptor *d = NULL;
	const char *refs[2];
	struct reference ref;
	size_t n = 0;
	int r;

	r = choose(index, which, &a, &d, err);
	if (r == 0)
		r = choose_name(name, d, &ref, err);
	if (r < 0)
		return r;
	refs[n++] = reference_format(&ref, tag);
	if (!*ref.digest) {
		snprintf(ref.digest, sizeof(ref.digest), "%s", d->digest);
		refs[n++] = reference_format(&ref, digest);
	}
	return install(t, &layout.content, d->digest, refs, n, ret, err);
}

/* One after the other where several are listed; entries of one name are one image for several platforms. */
static int import_dir(struct image_table *t, int dirfd, const char *which, const char *name,
		      struct image_imported *ret, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct oci_index index = { 0 };
	int r = read_index(dirfd, &a, &index, err);

	if (r < 0 || which || name || index.n_manifests < 2)
		return r < 0 ? r : import_listed(t, dirfd, &index, which, name, ret, err);
	for (size_t i = 0; r == 0 && i < index.n_manifests; i++) {
		const char *own = full_name(&index.manifests[i]);
		bool before = false;

		if (!own)
			return err_set(err, ERR_INVALID, "index.json lists several images, of which %s has no name",
				       index.manifests[i].digest);
		for (size_t k = 0; k < i && !before; k++)
			before = str_eq(full_name(&index.manifests[k]), own);
		if (!before)
			r = import_listed(t, dirfd, &index, own, NULL, ret, err);
		if (r < 0)
			return err_wrap(err, r, "%s", own);
	}
	return r;
}

/* All its names, or the one that was given: no digest name, since no registry knows the manifest. */
static int import_docker(struct image_table *t, int dirfd, const char *which, const char *name, struct image_imported *ret,
			 struct err *err)
{
	CLEANUP(docker_archive_done) struct docker_archive d;
	autofree char (*names)[REFERENCE_TEXT_MAX] = NULL;
	autofree const char **refs = NULL;
	size_t n = name ? 1 : 0;
	struct reference ref;
	int r = docker_archive_open(&d, dirfd, which, err);

	if (r < 0)
		return r;
	if (!name)
		n = d.n_tags;
	if (!n)
		return err_set(err, ERR_INVALID, "it does not say its name: give one");
	names = mem_new(n, sizeof(*names));
	refs = mem_new(n, sizeof(*refs));
	for (size_t i = 0; i < n; i++) {
		r = reference_parse(name ? name : d.tags[i], &ref, err);
		if (r == 0 && *ref.digest)
			r = err_set(err, ERR_INVALID, "%s: a digest cannot be given, only found", name);
		if (r < 0)
			return r;
		refs[i] = reference_format(&ref, names[i]);
	}
	return install(t, &d.content, d.manifest_digest, refs, n, ret, err);
}

static int import_docker_archive(struct image_table *t, int dirfd, const char *which, const char *name,
				 struct image_imported *ret, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct docker_images list;
	int r = docker_archive_list(dirfd, &a, &list, err);

	if (r < 0 || which || name || list.n_images < 2)
		return r < 0 ? r : import_docker(t, dirfd, which, name, ret, err);
	for (size_t i = 0; r == 0 && i < list.n_images; i++) {
		if (!list.images[i].n_tags)
			return err_set(err, ERR_INVALID, "manifest.json lists several images, of which %s has no name",
				       list.images[i].config);
		r = import_docker(t, dirfd, list.images[i].tags[0], NULL, ret, err);
		if (r < 0)
			return err_wrap(err, r, "%s", list.images[i].tags[0]);
	}
	return r;
}

int image_import_layout(struct image_table *t, const char *dir, const char *which, const char *name,
			struct image_imported *ret, struct err *err)
{
	autofd int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dirfd < 0 ? err_sys(err, errno, "open") : import_dir(t, dirfd, which, name, ret, err);

	return r < 0 ? err_wrap(err, r, "import %s", dir) : 0;
}

static int import_file(struct image_table *t, struct store_lease *lease, int fd, const char *which,
		       const char *name, struct image_imported *ret, struct err *err)
{
	CLEANUP(unpack_result_done) struct unpack_result unpacked = UNPACK_RESULT_INIT;
	autofd int dirfd = -EBADF;
	struct source_inflate *inflate;
	struct source_fd file;
	int64_t id;
	int r = store_layer_stage(lease, &id, &dirfd, err);

	if (r < 0)
		return r;
	source_fd_init(&file, fd, "archive");
	inflate = source_inflate_new(&file.source, t->limits.layer_bytes, t->limits.layer_ratio);
	r = unpack_layer(dirfd, source_inflate_source(inflate), &t->limits, &unpacked, err);
	source_inflate_free(inflate);
	if (r < 0)
		return r;
	if (faccessat(dirfd, "index.json", F_OK, AT_SYMLINK_NOFOLLOW) < 0 && docker_archive_is(dirfd))
		return import_docker_archive(t, dirfd, which, name, ret, err);
	return import_dir(t, dirfd, which, name, ret, err);
}

int image_import_archive(struct image_table *t, const char *file, const char *which, const char *name,
			 struct image_imported *ret,
			 struct err *err)
{
	autofd int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct store_lease *lease;
	int r;

	if (fd < 0)
		return err_wrap(err, err_sys(err, errno, "open"), "import %s", file);
	lease = store_lease_new(t->store);
	r = import_file(t, lease, fd, which, name, ret, err);
	store_lease_free(lease);
	return r < 0 ? err_wrap(err, r, "import %s", file) : 0;
}
