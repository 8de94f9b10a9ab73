/* From rows and blobs of the store to a struct image, and the text that is kept in its row. */
#include "image/digest.h"
#include "image/table.h"

#include <stdio.h>

static const struct json_field fields[] = {
	JSON_FIELD(STR, struct image_document, manifest_digest, "manifestDigest", JSON_REQUIRED),
	JSON_FIELD(U64, struct image_document, size, "size", 0),
	JSON_FIELD(U64, struct image_document, unpacked, "unpacked", 0),
	JSON_FIELD(I64, struct image_document, pulled_at, "pulledAt", 0),
};
static const struct json_type type = JSON_TYPE("image document", struct image_document, fields);

int image_document_write(const struct image_document *doc, struct buf *out, struct err *err)
{
	return json_write(&type, doc, 0, out, err);
}

char *image_chain_id(const char *below, const char *diff_id, char out[STORE_DIGEST_MAX])
{
	char pair[2 * STORE_DIGEST_MAX];

	if (str_empty(below)) {
		snprintf(out, STORE_DIGEST_MAX, "%s", diff_id);
	} else {
		int n = snprintf(pair, sizeof(pair), "%s %s", below, diff_id);

		digest_of(pair, (size_t)n, out);
	}
	return out;
}

struct image *image_ref(struct image *img)
{
	atomic_fetch_add(&img->priv->refs, 1);
	return img;
}

void image_unref(struct image *img)
{
	struct image_private *priv;

	if (!img || atomic_fetch_sub(&img->priv->refs, 1) != 1)
		return;
	priv = img->priv;
	arena_done(&priv->arena); /* the image lies in it */
	free(priv);
}

/* config.User is "user", "uid", "user:group" or "uid:gid": CRI wants a number or a name. */
static void set_user(struct image *img, struct arena *a)
{
	const char *user = img->config.config.user ? img->config.config.user : "";
	char *name = arena_strndup(a, user, strcspn(user, ":"));
	uint64_t uid;

	img->username = arena_strdup(a, "");
	if (str_to_u64(name, 10, &uid) == 0 && uid <= INT64_MAX) {
		img->has_uid = true;
		img->uid = (int64_t)uid;
	} else {
		img->username = name;
	}
}

static bool is_pinned(const struct image_table *t, const struct image *img)
{
	for (size_t i = 0; i < img->n_repo_tags; i++)
		if (str_in(img->repo_tags[i], (const char *const *)t->pinned, t->n_pinned))
			return true;
	for (size_t i = 0; i < img->n_repo_digests; i++)
		if (str_in(img->repo_digests[i], (const char *const *)t->pinned, t->n_pinned))
			return true;
	return false;
}

static int fill(struct image_table *t, struct image *img, struct arena *a, const char *id, const char *doc,
		char **refs,
		size_t n_refs, struct err *err)
{
	CLEANUP(buf_done) struct buf config = BUF_INIT(OCI_IMAGE_CONFIG_MAX);
	struct image_document d;
	char digest[DIGEST_TEXT], chain[STORE_DIGEST_MAX] = "", next[STORE_DIGEST_MAX];
	int r;

	r = json_read(&type, doc, strlen(doc), a, &d, err);
	if (r == 0)
		r = store_blob_get(t->store, id, &config, err);
	if (r < 0)
		return r;
	if (!str_eq(digest_of(config.data, config.len, digest), id))
		return err_set(err, ERR_CORRUPT, "its config has digest %s", digest);
	r = oci_image_read(config.data, config.len, a, &img->config, err);
	if (r < 0)
		return r;
	img->id = arena_strdup(a, id);
	img->config_json = arena_strndup(a, buf_text(&config), config.len);
	img->manifest_digest = d.manifest_digest;
	img->size = d.size;
	img->unpacked = d.unpacked;
	img->pulled_at = d.pulled_at;
	img->repo_tags = arena_new(a, n_refs + 1, sizeof(char *));
	img->repo_digests = arena_new(a, n_refs + 1, sizeof(char *));
	for (size_t i = 0; i < n_refs; i++) {
		if (strchr(refs[i], '@'))
			img->repo_digests[img->n_repo_digests++] = arena_strdup(a, refs[i]);
		else
			img->repo_tags[img->n_repo_tags++] = arena_strdup(a, refs[i]);
	}
	for (size_t i = 0; i < img->config.rootfs.n_diff_ids; i++) {
		image_chain_id(chain, img->config.rootfs.diff_ids[i], next);
		memcpy(chain, next, sizeof(chain));
	}
	img->chain_id = arena_strdup(a, chain);
	set_user(img, a);
	img->pinned = is_pinned(t, img);
	return 0;
}

int image_build(struct image_table *t, const char *id, const char *doc, char **refs, size_t n_refs,
		struct image **ret, struct err *err)
{
	struct image_private *priv = mem_new(1, sizeof(*priv));
	struct image *img = arena_new(&priv->arena, 1, sizeof(*img));
	int r;

	img->priv = priv;
	atomic_init(&priv->refs, 1);
	priv->doc = arena_strdup(&priv->arena, doc);
	r = fill(t, img, &priv->arena, id, doc, refs, n_refs, err);
	if (r < 0) {
		image_unref(img);
		return r;
	}
	*ret = img;
	return 0;
}
