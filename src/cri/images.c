/*
 * ImageService. Lists and status come from the image table's memory; pull and remove run on
 * a worker thread.
 */
#include "cri/call.h"

#include "image/image.h"
#include "store/store.h"

#include <malloc.h>

Runtime__V1__Image *cri_image_item(struct cri_call *c, const struct image *img)
{
	Runtime__V1__Image *m = CRI_NEW(c, image);

	m->id = img->id;
	m->repo_tags = img->repo_tags;
	m->n_repo_tags = img->n_repo_tags;
	m->repo_digests = img->repo_digests;
	m->n_repo_digests = img->n_repo_digests;
	m->size = img->size;
	m->pinned = img->pinned;
	if (img->has_uid) {
		m->uid = CRI_NEW(c, int64_value);
		m->uid->value = img->uid;
	} else {
		m->username = img->username ? img->username : (char *)"";
	}
	return m;
}

static int named(struct cri_call *c, const Runtime__V1__ImageSpec *spec, const char **ret, struct err *err)
{
	if (!spec || str_empty(spec->image))
		return wire_wrong(NULL, "image.image", err, "required");
	cri_subject(c, "%s", spec->image);
	*ret = spec->image;
	return 0;
}

static const char *verbose_info(struct cri_call *c, const struct image *img)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(4 << 20);

	buf_puts(&out, "{\"chainID\":");
	json_put_string(&out, img->chain_id);
	buf_puts(&out, ",\"manifestDigest\":");
	json_put_string(&out, img->manifest_digest);
	buf_printf(&out, ",\"unpackedBytes\":%llu,\"imageSpec\":%s}", (unsigned long long)img->unpacked,
		   img->config_json ? img->config_json : "null");
	return arena_strdup(&c->arena, buf_text(&out));
}

/* An unknown image is no error: an answer without one. */
CRI_METHOD(image_status)
{
	const Runtime__V1__ImageStatusRequest *req = request;
	Runtime__V1__ImageStatusResponse *res = CRI_NEW(c, image_status_response);
	struct image *img = NULL;
	const char *name;
	int r;

	r = named(c, req->image, &name, err);
	if (r < 0)
		return r;
	r = image_get(c->cri->settings.images, name, &img, err);
	if (r < 0 && err->kind != ERR_NOT_FOUND)
		return r;
	if (img) {
		res->image = cri_image_item(c, img);
		if (req->verbose)
			cri_put_info(c, &runtime__v1__image_status_response__info_entry__descriptor, "info",
				     verbose_info(c, img), &res->info, &res->n_info);
	}
	cri_reply(c, res);
	image_unref(img);
	return 0;
}

CRI_METHOD(pull_image)
{
	const Runtime__V1__PullImageRequest *req = request;
	const Runtime__V1__AuthConfig *auth = req->auth;
	Runtime__V1__PullImageResponse *res = CRI_NEW(c, pull_image_response);
	struct image_auth credentials = { 0 };
	struct image_pull pull = { .cancel = c->cancel, .stays = true };
	autofree char *id = NULL;
	int r;

	r = named(c, req->image, &pull.name, err);
	if (r < 0)
		return r;
	if (auth) {
		credentials = (struct image_auth){ auth->username, auth->password, auth->auth,
						  auth->server_address,
						   auth->identity_token, auth->registry_token };
		pull.auth = &credentials;
	}
	r = image_pull(c->cri->settings.images, &pull, &id, err);
	/* a pull's buffers are large and short-lived: back to the kernel with them */
	malloc_trim(0);
	if (r < 0)
		return r;
	c->result = res->image_ref = arena_strdup(&c->arena, id);
	cri_reply(c, res);
	return 0;
}

CRI_METHOD(remove_image)
{
	const Runtime__V1__RemoveImageRequest *req = request;
	const char *name;
	int r;

	r = named(c, req->image, &name, err);
	if (r < 0)
		return r;
	r = image_remove(c->cri->settings.images, name, err);
	if (r < 0)
		return r;
	cri_reply(c, CRI_NEW(c, remove_image_response));
	return 0;
}

static Runtime__V1__FilesystemUsage *usage(struct cri_call *c, uint64_t bytes, uint64_t inodes)
{
	Runtime__V1__FilesystemUsage *u = CRI_NEW(c, filesystem_usage);

	u->timestamp = time_now_real();
	u->fs_id = CRI_NEW(c, filesystem_identifier);
	u->fs_id->mountpoint = (char *)store_root(c->cri->settings.store);
	u->used_bytes = CRI_NEW(c, uint64_value);
	u->used_bytes->value = bytes;
	u->inodes_used = CRI_NEW(c, uint64_value);
	u->inodes_used->value = inodes;
	return u;
}

/* Images and containers' writable layers lie in one file system: the store's. */
CRI_METHOD(image_fs_info)
{
	Runtime__V1__ImageFsInfoResponse *res = CRI_NEW(c, image_fs_info_response);
	uint64_t bytes = 0, inodes = 0;

	image_fs_usage(c->cri->settings.images, &bytes, &inodes);
	res->n_image_filesystems = res->n_container_filesystems = 1;
	res->image_filesystems = arena_new(&c->arena, 1, sizeof(*res->image_filesystems));
	res->container_filesystems = arena_new(&c->arena, 1, sizeof(*res->container_filesystems));
	res->image_filesystems[0] = res->container_filesystems[0] = usage(c, bytes, inodes);
	cri_reply(c, res);
	return 0;
}
