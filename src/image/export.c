/*
 * Images to files. A layer whose blob was kept goes out as it came, with its digest; one
 * that was only unpacked is made into a tar stream from its tree (retar.h), which has another
 * digest, so the config that lists it becomes another one too. The caller is told.
 *
 * A layer is one temporary file at a time, in the store's own file system.
 */
#include "image/bundle.h"
#include "image/digest.h"
#include "image/retar.h"
#include "image/source.h"
#include "image/table.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define OCI_TYPE "application/vnd.oci.image."

/* One image on its way. */
struct exporting {
	struct image_table *table;
	const struct image_export *what;
	const char *name;
	struct image *img;
	struct store_layer *layers;
	size_t n_layers;
	struct bundle *bundle;
	struct buf list;   /* of layers: descriptors, or names */
	struct buf config;
	struct buf *index; /* of all images: what index.json or manifest.json lists */
	struct image_exported *ret;
};

/* ---- layers ---- */

struct layer_file {
	int fd;
	uint64_t size;
	char digest[DIGEST_TEXT];
	const char *media_type;
};

static int digest_file(int fd, struct layer_file *f, struct err *err)
{
	CLEANUP(digest_done) struct digest d;
	autofree uint8_t *chunk = mem_new(256 * 1024, 1);
	ssize_t n;

	digest_init(&d);
	f->size = 0;
	while ((n = pread(fd, chunk, 256 * 1024, (off_t)f->size)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read it back");
		digest_update(&d, chunk, (size_t)n);
		f->size += (uint64_t)n;
	}
	digest_text(&d, f->digest);
	return 0;
}

/* What was kept, checked as it is read. 1: there; 0: not, or not whole. */
static int from_blob(struct exporting *x, const struct store_layer *l, struct layer_file *f)
{
	static const char *const types[] = { "layer.v1.tar", "layer.v1.tar+gzip", "layer.v1.tar+zstd" };
	uint8_t magic[4] = { 0 };
	autofd int fd = -EBADF;

	if (store_blob_open(x->table->store, l->digest, &fd, NULL) < 0 || digest_file(fd, f, NULL) < 0 ||
	    !str_eq(f->digest, l->digest) || pread(fd, magic, sizeof(magic), 0) < 0)
		return 0;
	f->media_type = types[magic[0] == 0x1f && magic[1] == 0x8b ? 1 : magic[0] == 0x28 &&
			      magic[1] == 0xb5 ? 2 : 0];
	f->fd = take_fd(&fd);
	return 1;
}

static int from_tree(struct exporting *x, const struct store_layer *l, struct layer_file *f, struct err *err)
{
	autofd int dir = -EBADF, fd = -EBADF;
	int r = store_layer_open(x->table->store, l->id, &dir, err);

	if (r == 0)
		r = store_blob_stage(x->table->store, &fd, err);
	if (r == 0)
		r = retar_layer(dir, l->has_root, fd, err);
	if (r == 0)
		r = digest_file(fd, f, err);
	if (r < 0)
		return r;
	f->media_type = "layer.v1.tar";
	f->fd = take_fd(&fd);
	return 0;
}

/* docker wants what the config lists: the stream itself. */
static int inflate_file(struct exporting *x, struct layer_file *f, struct err *err)
{
	autofree uint8_t *chunk = mem_new(256 * 1024, 1);
	autofd int out = -EBADF;
	struct source_inflate *z;
	struct source_fd from;
	ssize_t n;
	int r = store_blob_stage(x->table->store, &out, err);

	if (r < 0)
		return r;
	source_fd_init(&from, f->fd, "layer");
	z = source_inflate_new(&from.source, x->table->limits.layer_bytes, x->table->limits.layer_ratio);
	while ((n = source_read(source_inflate_source(z), chunk, 256 * 1024, err)) > 0)
		if ((r = sys_write_all(out, chunk, (size_t)n)) < 0) {
			n = err_sys(err, r, "write the layer");
			break;
		}
	source_inflate_free(z);
	if (n < 0)
		return (int)n;
	fd_drop(&f->fd);
	f->fd = take_fd(&out);
	return digest_file(f->fd, f, err);
}

/* The config lists a stream by its digest; a stream made anew takes the place of the old one. */
static int replace_text(struct buf *b, const char *from, const char *to)
{
	struct buf out = BUF_INIT(b->max);
	const char *p = buf_text(b), *hit;
	int r = 0;

	while (r == 0 && (hit = strstr(p, from))) {
		r = buf_append(&out, p, (size_t)(hit - p));
		if (r == 0)
			r = buf_puts(&out, to);
		p = hit + strlen(from);
	}
	if (r == 0)
		r = buf_puts(&out, p);
	buf_done(b);
	*b = out;
	return r;
}

static int export_layer(struct exporting *x, const struct store_layer *l, struct err *err)
{
	bool docker = x->what->format == IMAGE_EXPORT_DOCKER;
	struct layer_file f = { .fd = -EBADF };
	char name[128], stream[DIGEST_TEXT];
	int r = from_blob(x, l, &f);

	if (r == 1 && docker)
		r = inflate_file(x, &f, err) < 0 ? -EIO : 1;
	snprintf(stream, sizeof(stream), "%s", l->diff_id);
	if (r == 0) {
		r = from_tree(x, l, &f, err);
		snprintf(stream, sizeof(stream), "%s", f.digest);
	}
	if (r >= 0 && !str_eq(stream, l->diff_id)) {
		x->ret->made_anew++;
		r = replace_text(&x->config, l->diff_id, stream);
		if (r < 0)
			err_sys(err, r, "config");
	}
	if (r >= 0) {
		const char *hex = f.digest + strlen("sha256:");

		if (docker) {
			snprintf(name, sizeof(name), "%s/layer.tar", hex);
			buf_printf(&x->list, "%s\"%s\"", x->list.len ? "," : "", name);
		} else {
			snprintf(name, sizeof(name), "blobs/sha256/%s", hex);
			buf_printf(&x->list,
				   "%s{\"mediaType\":\"" OCI_TYPE "%s\",\"digest\":\"%s\",\"size\":%" PRIu64 "}",
				   x->list.len ? "," : "", f.media_type, f.digest, f.size);
		}
		r = bundle_put(x->bundle, name, f.fd, f.size, err);
	}
	fd_drop(&f.fd);
	return r < 0 ? err_wrap(err, r, "layer %s", l->digest) : 0;
}

/* ---- documents ---- */

static int put_blob(struct exporting *x, const void *text, size_t len, char digest[DIGEST_TEXT],
		    struct err *err)
{
	char name[128];

	digest_of(text, len, digest);
	snprintf(name, sizeof(name), "blobs/sha256/%s", digest + strlen("sha256:"));
	return bundle_put_text(x->bundle, name, text, len, err);
}

/* The tag by which it was asked for, else its first, else "". */
static const char *tag_of(const struct exporting *x)
{
	char canonical[REFERENCE_TEXT_MAX];
	struct reference ref;

	if (reference_parse(x->name, &ref, NULL) == 0) {
		reference_format(&ref, canonical);
		for (size_t i = 0; i < x->img->n_repo_tags; i++)
			if (str_eq(x->img->repo_tags[i], canonical))
				return x->img->repo_tags[i];
	}
	return x->img->n_repo_tags ? x->img->repo_tags[0] : "";
}

/* As it was pulled, when nothing in it has changed and it is one that a layout may hold. */
static bool old_manifest(struct exporting *x, struct buf *out)
{
	static const char docker[] = "application/vnd.docker.";
	char digest[DIGEST_TEXT];

	return !x->ret->made_anew && store_blob_get(x->table->store, x->img->manifest_digest, out,
						    NULL) == 0 &&
	       str_eq(digest_of(out->data, out->len, digest), x->img->manifest_digest) &&
	       !strstr(buf_text(out), docker);
}

static int put_oci_documents(struct exporting *x, struct err *err)
{
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(OCI_MANIFEST_MAX);
	char config[DIGEST_TEXT], digest[DIGEST_TEXT];
	const char *tag = tag_of(x), *colon = strrchr(tag, ':');
	struct buf *index = x->index;
	int r = put_blob(x, x->config.data, x->config.len, config, err);

	if (r == 0 && !old_manifest(x, &manifest)) {
		manifest.len = 0;
		buf_printf(&manifest,
			   "{\"schemaVersion\":2,\"mediaType\":\"" OCI_TYPE "manifest.v1+json\","
			   "\"config\":{\"mediaType\":\"" OCI_TYPE "config.v1+json\",\"digest\":\"%s\",\"size\":%zu},"
			   "\"layers\":[", config, x->config.len);
		buf_append(&manifest, x->list.data, x->list.len);
		buf_puts(&manifest, "]}");
	}
	if (r == 0)
		r = put_blob(x, manifest.data, manifest.len, digest, err);
	if (r < 0)
		return r;
	buf_printf(index,
		   "%s{\"mediaType\":\"" OCI_TYPE "manifest.v1+json\",\"digest\":\"%s\",\"size\":%zu",
		   index->len ? "," : "", digest, manifest.len);
	if (*tag) {
		buf_puts(index, ",\"annotations\":{\"org.opencontainers.image.ref.name\":");
		json_put_string(index, colon + 1);
		buf_puts(index, ",\"io.containerd.image.name\":");
		json_put_string(index, tag);
		buf_puts(index, "}");
	}
	snprintf(x->ret->id, sizeof(x->ret->id), "%s", config);
	snprintf(x->ret->digest, sizeof(x->ret->digest), "%s", digest);
	r = buf_puts(index, "}");
	return r < 0 ? err_sys(err, r, "index") : 0;
}

static int put_docker_documents(struct exporting *x, struct err *err)
{
	const char *tag = tag_of(x);
	struct buf *index = x->index;
	char name[96];
	int r;

	digest_of(x->config.data, x->config.len, x->ret->id);
	snprintf(name, sizeof(name), "%s.json", x->ret->id + strlen("sha256:"));
	r = bundle_put_text(x->bundle, name, x->config.data, x->config.len, err);
	if (r < 0)
		return r;
	buf_printf(index, "%s{\"Config\":\"%s\",\"RepoTags\":[", index->len ? "," : "", name);
	if (*tag)
		json_put_string(index, tag);
	buf_puts(index, "],\"Layers\":[");
	buf_append(index, x->list.data, x->list.len);
	r = buf_puts(index, "]}");
	return r < 0 ? err_sys(err, r, "manifest.json") : 0;
}

/* What lists all of them. */
static int put_index(struct bundle *b, enum image_export_format format, const struct buf *list, struct err *err)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	CLEANUP(buf_done) struct buf out = BUF_INIT(OCI_MANIFEST_MAX + 256);
	int r;

	if (format == IMAGE_EXPORT_DOCKER) {
		buf_puts(&out, "[");
		buf_append(&out, list->data, list->len);
		buf_puts(&out, "]");
		return bundle_put_text(b, "manifest.json", out.data, out.len, err);
	}
	buf_puts(&out, "{\"schemaVersion\":2,\"mediaType\":\"" OCI_TYPE "index.v1+json\",\"manifests\":[");
	buf_append(&out, list->data, list->len);
	buf_puts(&out, "]}");
	r = bundle_put_text(b, "oci-layout", layout, strlen(layout), err);
	return r < 0 ? r : bundle_put_text(b, "index.json", out.data, out.len, err);
}

/* ---- the images ---- */

static int export_one(struct exporting *x, struct err *err)
{
	int r = buf_puts(&x->config, x->img->config_json);

	for (size_t i = 0; r == 0 && i < x->n_layers; i++)
		r = export_layer(x, &x->layers[i], err);
	if (r == 0)
		r = x->what->format == IMAGE_EXPORT_DOCKER ? put_docker_documents(x, err) :
							     put_oci_documents(x, err);
	buf_done(&x->list);
	buf_done(&x->config);
	return r < 0 ? err_wrap(err, r, "export %s", x->name) : 0;
}

static int write_bundle(struct exporting *all, const struct image_export *what, struct err *err)
{
	CLEANUP(buf_done) struct buf index = BUF_INIT(OCI_MANIFEST_MAX);
	struct bundle *bundle = NULL;
	int r = bundle_new(what->path, what->directory, &bundle, err);

	if (r < 0)
		return err_wrap(err, r, "export %s", what->names[0]);
	for (size_t i = 0; r == 0 && i < what->n_names; i++) {
		all[i].bundle = bundle;
		all[i].index = &index;
		r = export_one(&all[i], err);
	}
	if (r == 0 && ((r = put_index(bundle, what->format, &index, err)) < 0 || (r = bundle_finish(bundle, err)) < 0))
		err_wrap(err, r, "export %s", what->names[0]);
	bundle_free(bundle);
	return r;
}

/* From here on the layers stay, whatever happens to the image. */
static int hold_layers(struct exporting *x, struct store_lease *lease, struct err *err)
{
	WITH_MUTEX(&x->table->change);
	int r = image_get(x->table, x->name, &x->img, err);

	if (r == 0)
		r = store_image_layers(x->table->store, x->img->id, &x->layers, &x->n_layers, err);
	for (size_t i = 0; r == 0 && i < x->n_layers; i++)
		store_layer_hold(lease, x->layers[i].id);
	return r < 0 ? err_wrap(err, r, "export") : 0;
}

int image_export(struct image_table *t, const struct image_export *what, struct image_exported *ret,
		 struct err *err)
{
	autofree struct exporting *all = mem_new(what->n_names + 1, sizeof(*all));
	struct store_lease *lease;
	int r = 0;

	if (what->directory && what->format == IMAGE_EXPORT_DOCKER)
		return err_set(err, ERR_INVALID, "export %s: a docker archive is a file, not a directory",
			       what->names[0]);
	lease = store_lease_new(t->store);
	for (size_t i = 0; r == 0 && i < what->n_names; i++) {
		ret[i] = (struct image_exported){ 0 };
		all[i] = (struct exporting){ .table = t, .what = what, .name = what->names[i], .ret = &ret[i],
					     .list = BUF_INIT(OCI_MANIFEST_MAX),
					     .config = BUF_INIT(OCI_IMAGE_CONFIG_MAX) };
		r = hold_layers(&all[i], lease, err);
	}
	if (r == 0)
		r = write_bundle(all, what, err);
	store_lease_free(lease);
	for (size_t i = 0; i < what->n_names; i++) {
		image_unref(all[i].img);
		free(all[i].layers);
	}
	return r;
}
