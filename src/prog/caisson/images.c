/* Commands about images. */
#include "prog/caisson/caisson.h"

#include "json/json.h"
#include "oci/image.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* "sha256:…" of the repository's digest name: NAME@it can be pinned. */
static const char *digest_of_repository(const Runtime__V1__Image *img, const char *name)
{
	for (size_t i = 0; i < img->n_repo_digests; i++) {
		const char *rest = str_skip_prefix(img->repo_digests[i], name);

		if (rest && *rest == '@')
			return rest + 1;
	}
	return "<none>";
}

int cmd_images(struct client *c, int argc, char **argv, struct err *err)
{
	CLEANUP(cli_table_done) struct cli_table plain = CLI_TABLE("IMAGE", "TAG", "IMAGE ID", "SIZE");
	CLEANUP(cli_table_done) struct cli_table pinned = CLI_TABLE("IMAGE", "TAG", "DIGEST", "IMAGE ID",
								    "SIZE");
	struct cli_table *t = &plain;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(64 << 20);
	Runtime__V1__ListImagesRequest req = RUNTIME__V1__LIST_IMAGES_REQUEST__INIT;
	autopb Runtime__V1__ListImagesResponse *res = NULL;
	bool quiet = false, digests = false;
	int opt, r;

	static const struct option options[] = {
		{ "quiet", no_argument, NULL, 'q' }, { "digests", no_argument, NULL, 'd' }, { 0 },
	};

	while ((opt = getopt_long(argc, argv, "q", options, NULL)) >= 0) {
		if (opt != 'q' && opt != 'd')
			return -EINVAL;
		quiet |= opt == 'q';
		digests |= opt == 'd';
	}
	t = digests ? &pinned : &plain;
	r = client_call(c, "ImageService/ListImages", &req.base,
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
			if (quiet && j == 0)
				buf_printf(&out, "%s\n", img->id);
			else if (digests)
				cli_table_row(t, name, cut && img->n_repo_tags ? cut + 1 : "<none>",
					      digest_of_repository(img, name), cli_short_id(&a, img->id),
					      cli_size(&a, img->size));
			else if (!quiet)
				cli_table_row(t, name, cut && img->n_repo_tags ? cut + 1 : "<none>",
					      cli_short_id(&a, img->id), cli_size(&a, img->size));
		}
	}
	if (!quiet)
		cli_table_print(t, &out);
	return print_out(&out);
}

int cmd_import(struct client *c, int argc, char **argv, struct err *err)
{
	static const struct option options[] = { { "which", required_argument, NULL, 'w' }, { 0 } };
	Caisson__V1__ImportRequest req = CAISSON__V1__IMPORT_REQUEST__INIT;
	autopb Caisson__V1__ImportResponse *res = NULL;
	char path[PATH_MAX];
	int opt, r;

	req.which = req.name = (char *)"";
	while ((opt = getopt_long(argc, argv, "w:", options, NULL)) >= 0) {
		if (opt != 'w')
			return -EINVAL;
		req.which = optarg;
	}
	argc -= optind;
	argv += optind;
	if (argc < 1 || argc > 2)
		return -EINVAL;
	if (str_eq(argv[0], "-"))
		snprintf(path, sizeof(path), "/proc/%d/fd/0", (int)getpid());
	else if (!realpath(argv[0], path))
		return err_sys(err, errno, "%s", argv[0]);
	req.path = path;
	if (argc > 1)
		req.name = argv[1];
	r = client_call(c, "caisson.v1.Images/Import", &req.base,
			&caisson__v1__import_response__descriptor, &res, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < res->n_image_ids; i++)
		printf("%s\n", res->image_ids[i]);
	return 0;
}

static int image_status(struct client *c, const char *name, Runtime__V1__ImageStatusResponse **ret,
			struct err *err)
{
	Runtime__V1__ImageStatusRequest req = RUNTIME__V1__IMAGE_STATUS_REQUEST__INIT;
	Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
	int r;

	spec.image = (char *)name;
	req.image = &spec;
	req.verbose = true;
	r = client_call(c, "ImageService/ImageStatus", &req.base,
			&runtime__v1__image_status_response__descriptor, ret, err);
	if (r == 0 && !(*ret)->image) {
		rpc_pb_free_ptr((ProtobufCMessage **)(void *)ret);
		return err_set(err, ERR_NOT_FOUND, "image %s: not found", name);
	}
	return r;
}

static void put_list(struct buf *out, const char *key, char **list, size_t n)
{
	buf_printf(out, "\"%s\":[", key);
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, i ? "," : "");
		json_put_string(out, list[i]);
	}
	buf_puts(out, "],");
}

/* A JSON array, as docker's; "info" is what the daemon says of the image: config, chain id, sizes. */
int cmd_inspect(struct client *c, int argc, char **argv, struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(64 << 20);

	if (argc < 2)
		return -EINVAL;
	buf_puts(&out, "[");
	for (int i = 1; i < argc; i++) {
		autopb Runtime__V1__ImageStatusResponse *res = NULL;
		const char *info = "{}";
		int r = image_status(c, argv[i], &res, err);

		if (r < 0)
			return r;
		for (size_t k = 0; k < res->n_info; k++)
			if (str_eq(res->info[k]->key, "info"))
				info = res->info[k]->value;
		buf_printf(&out, "%s\n{\"id\":\"%s\",", i > 1 ? "," : "", res->image->id);
		put_list(&out, "repoTags", res->image->repo_tags, res->image->n_repo_tags);
		put_list(&out, "repoDigests", res->image->repo_digests, res->image->n_repo_digests);
		buf_printf(&out, "\"size\":%llu,\"pinned\":%s,\"info\":%s}",
			   (unsigned long long)res->image->size,
			   res->image->pinned ? "true" : "false", info);
	}
	buf_puts(&out, "\n]\n");
	return print_out(&out);
}

struct info {
	struct oci_image image;
};

static const struct json_field info_fields[] = {
	JSON_FIELD_OBJ(OBJ, struct info, image, "imageSpec", 0, &oci_image_type),
};
static const struct json_type info_type = JSON_TYPE("info", struct info, info_fields);

/* Newest first, as docker's. */
int cmd_history(struct client *c, int argc, char **argv, struct err *err)
{
	CLEANUP(cli_table_done) struct cli_table t = CLI_TABLE("CREATED", "LAYER", "CREATED BY", "COMMENT");
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(64 << 20);
	autopb Runtime__V1__ImageStatusResponse *res = NULL;
	struct info info = { 0 };
	size_t layer;
	int r;

	if (argc != 2)
		return -EINVAL;
	r = image_status(c, argv[1], &res, err);
	for (size_t i = 0; r == 0 && i < res->n_info; i++)
		if (str_eq(res->info[i]->key, "info"))
			r = json_read(&info_type, res->info[i]->value, strlen(res->info[i]->value), &a,
				      &info, err);
	if (r < 0)
		return r;
	layer = info.image.rootfs.n_diff_ids;
	for (size_t i = info.image.n_history; i--;) {
		const struct oci_history *h = &info.image.history[i];
		char *by = arena_strdup(&a, h->created_by ? h->created_by : "");

		/* one line each */
		for (char *p = by; *p; p++)
			*p = *p == '\n' || *p == '\t' ? ' ' : *p;
		if (strlen(by) > 60)
			by = arena_printf(&a, "%.57s...", by);
		cli_table_row(&t, h->created ? h->created : "-",
			      h->empty_layer || !layer ? "-" : cli_short_id(&a,
									    info.image.rootfs.diff_ids[--layer]), by,
			      h->comment ? h->comment : "");
	}
	/* layers that the history does not tell of */
	while (layer)
		cli_table_row(&t, "-", cli_short_id(&a, info.image.rootfs.diff_ids[--layer]), "", "");
	cli_table_print(&t, &out);
	return print_out(&out);
}
