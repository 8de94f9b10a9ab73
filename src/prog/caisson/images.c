/* Commands about images. */
#include "prog/caisson/caisson.h"

#include <limits.h>
#include <stdio.h>

int cmd_images(struct client *c, int argc, char **argv, struct err *err)
{
	CLEANUP(cli_table_done) struct cli_table t = CLI_TABLE("IMAGE", "TAG", "IMAGE ID", "SIZE");
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(64 << 20);
	Runtime__V1__ListImagesRequest req = RUNTIME__V1__LIST_IMAGES_REQUEST__INIT;
	autopb Runtime__V1__ListImagesResponse *res = NULL;
	int r = client_call(c, "ImageService/ListImages", &req.base,
			    &runtime__v1__list_images_response__descriptor, &res, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < res->n_images; i++) {
		const Runtime__V1__Image *img = res->images[i];
		size_t rows = img->n_repo_tags ? img->n_repo_tags : 1;

		for (size_t j = 0; j < rows; j++) {
			char *name = arena_strdup(&a, img->n_repo_tags	 ? img->repo_tags[j] :
						      img->n_repo_digests ? img->repo_digests[0] :
									    "<none>");
			char *cut = img->n_repo_tags ? strrchr(name, ':') : strchr(name, '@');

			if (cut)
				*cut = '\0';
			cli_table_row(&t, name, cut && img->n_repo_tags ? cut + 1 : "<none>",
				      cli_short_id(&a, img->id), cli_size(&a, img->size));
		}
	}
	cli_table_print(&t, &out);
	return print_out(&out);
}

int cmd_import(struct client *c, int argc, char **argv, struct err *err)
{
	Caisson__V1__ImportRequest req = CAISSON__V1__IMPORT_REQUEST__INIT;
	autopb Caisson__V1__ImportResponse *res = NULL;
	char path[PATH_MAX];
	int r;

	if (argc < 2 || argc > 3)
		return -EINVAL;
	if (!realpath(argv[1], path))
		return err_sys(err, errno, "%s", argv[1]);
	req.path = path;
	req.name = argc > 2 ? argv[2] : (char *)"";
	r = client_call(c, "caisson.v1.Images/Import", &req.base,
			&caisson__v1__import_response__descriptor, &res, err);
	if (r < 0)
		return r;
	printf("%s\n", res->image_id);
	return 0;
}

int cmd_rmi(struct client *c, int argc, char **argv, struct err *err)
{
	if (argc < 2)
		return -EINVAL;
	for (int i = 1; i < argc; i++) {
		Runtime__V1__RemoveImageRequest req = RUNTIME__V1__REMOVE_IMAGE_REQUEST__INIT;
		Runtime__V1__ImageStatusRequest ask = RUNTIME__V1__IMAGE_STATUS_REQUEST__INIT;
		Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
		autopb Runtime__V1__RemoveImageResponse *res = NULL;
		autopb Runtime__V1__ImageStatusResponse *status = NULL;
		int r;

		spec.image = argv[i];
		ask.image = req.image = &spec;
		/* removing what is not there is success in CRI; a person wants to be told */
		r = client_call(c, "ImageService/ImageStatus", &ask.base,
				&runtime__v1__image_status_response__descriptor, &status, err);
		if (r < 0)
			return r;
		if (!status->image)
			return err_set(err, ERR_NOT_FOUND, "image %s: not found", argv[i]);
		r = client_call(c, "ImageService/RemoveImage", &req.base,
				&runtime__v1__remove_image_response__descriptor, &res, err);
		if (r < 0)
			return r;
	}
	return 0;
}
