/*
 * Resolving: documents are fetched, digested, compared with what named them, and only then
 * parsed. What the store has already by its digest is not fetched again, except the outermost
 * document: that request is what tells whether the caller may have the image.
 */
#include "image/resolve.h"

#include <inttypes.h>

void resolved_done(struct resolved *res)
{
	for (size_t i = 0; i < RESOLVED_DOCUMENTS_MAX; i++)
		buf_done(&res->documents[i].text);
	buf_done(&res->config_text);
	arena_done(&res->arena);
}

static int check_digest(const struct buf *b, const char *expected, const char *what, struct err *err)
{
	char digest[DIGEST_TEXT];

	if (str_eq(digest_of(b->data, b->len, digest), expected))
		return 0;
	return err_set(err, ERR_CORRUPT, "%s: what came has digest %s, not %s", what, digest, expected);
}

/* From the store, when it is there and whole. */
static bool from_store(struct image_table *t, const char *digest, struct buf *out)
{
	if (store_blob_get(t->store, digest, out, NULL) == 0 && check_digest(out, digest, "", NULL) == 0)
		return true;
	out->len = 0;
	return false;
}

static int fetch_config(struct resolved *res, struct image_table *t, struct content *c, struct err *err)
{
	const struct oci_descriptor *d = &res->manifest.config;
	struct source *s = NULL;
	autofree uint8_t *chunk = mem_new(16384, 1);
	ssize_t n = 0;
	int r;

	res->config_text = (struct buf)BUF_INIT(OCI_IMAGE_CONFIG_MAX);
	if (from_store(t, d->digest, &res->config_text))
		return 0;
	r = c->blob_open(c, d, 0, &s, err);
	if (r < 0)
		return r;
	while ((n = source_read(s, chunk, 16384, err)) > 0)
		if (res->config_text.len + (size_t)n > (uint64_t)d->size ||
		    buf_append(&res->config_text, chunk, (size_t)n) < 0) {
			n = err_set(err, ERR_CORRUPT,
				    "config %s: is larger than the announced %" PRId64 " bytes", d->digest,
				    d->size);
			break;
		}
	c->blob_close(c, s);
	return n < 0 ? (int)n : check_digest(&res->config_text, d->digest, "config", err);
}

static int check_config(struct resolved *res, struct image_table *t, struct err *err)
{
	const struct oci_host_platform *host = oci_host_platform();
	struct oci_platform p = { .os = res->config.os, .architecture = res->config.architecture,
				  .variant = res->config.variant };
	enum oci_compression compression;

	if (oci_platform_rank(&p, host) < 0)
		return err_set(err, ERR_NOT_FOUND,
			       "the image is for %.40s/%.40s%s%.20s, this machine is %s/%s", p.os ? p.os : "",
			       p.architecture ? p.architecture : "", str_empty(p.variant) ? "" : "/",
			       p.variant ? p.variant : "", host->os, host->architecture);
	if (res->config.rootfs.n_diff_ids != res->manifest.n_layers)
		return err_set(err, ERR_INVALID, "the manifest has %zu layers and the config %zu",
			       res->manifest.n_layers, res->config.rootfs.n_diff_ids);
	if (res->manifest.n_layers > t->limits.layers)
		return err_set(err, ERR_LIMIT, "the image has %zu layers, more than %" PRIu64,
			       res->manifest.n_layers, t->limits.layers);
	for (size_t i = 0; i < res->manifest.n_layers; i++) {
		int r = oci_layer_compression(&res->manifest.layers[i], &compression, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int resolved_fill(struct resolved *res, struct image_table *t, struct content *c, const char *reference,
		  const char *expected, struct err *err)
{
	int64_t size = -1;
	int r;

	*res = (struct resolved){ .n_documents = 0 };
	for (;;) {
		struct buf *text = &res->documents[res->n_documents].text;
		const struct oci_descriptor *next;
		struct oci_index index;
		enum oci_document kind;
		char type[128] = "";

		if (res->n_documents == RESOLVED_DOCUMENTS_MAX)
			return err_set(err, ERR_INVALID, "indexes are nested too deep");
		*text = (struct buf)BUF_INIT(OCI_MANIFEST_MAX);
		if (res->n_documents == 0 || !from_store(t, reference, text)) {
			r = c->manifest(c, reference, text, type, err);
			if (r < 0)
				return r;
		}
		digest_of(text->data, text->len, res->documents[res->n_documents].digest);
		if (expected) {
			r = check_digest(text, expected, "manifest", err);
			if (r < 0)
				return r;
		}
		if (size >= 0 && (uint64_t)size != text->len)
			return err_set(err, ERR_CORRUPT,
				       "manifest %s: has %zu bytes, its index says %" PRId64, expected,
				       text->len, size);
		r = oci_document_kind(text->data, text->len, type, &kind, err);
		if (r < 0)
			return err_wrap(err, r, "manifest %s", reference);
		res->n_documents++;
		if (kind == OCI_DOC_MANIFEST) {
			r = oci_manifest_read(text->data, text->len, &res->arena, &res->manifest, err);
			if (r < 0)
				return err_wrap(err, r, "manifest %s", reference);
			break;
		}
		r = oci_index_read(text->data, text->len, &res->arena, &index, err);
		if (r < 0)
			return err_wrap(err, r, "index %s", reference);
		next = oci_index_choose(&index, oci_host_platform(), err);
		if (!next)
			return err_wrap(err, -ENOENT, "index %s", reference);
		reference = expected = next->digest;
		size = next->size;
	}
	r = fetch_config(res, t, c, err);
	if (r == 0)
		r = oci_image_read(res->config_text.data, res->config_text.len, &res->arena, &res->config,
				   err);
	if (r == 0)
		r = check_config(res, t, err);
	return r;
}
