/* Commands about images that only caissond answers (caisson.v1.Images). */
#include "prog/caisson/caisson.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALL(c, method, req, type, res, err) \
	client_call(c, "caisson.v1.Images/" method, &(req).base, &caisson__v1__##type##__descriptor, res, err)

int cmd_tag(struct client *c, int argc, char **argv, struct err *err)
{
	Caisson__V1__TagRequest req = CAISSON__V1__TAG_REQUEST__INIT;
	autopb Caisson__V1__TagResponse *res = NULL;

	if (argc != 3)
		return -EINVAL;
	req.image = argv[1];
	req.name = argv[2];
	return CALL(c, "Tag", req, tag_response, &res, err);
}

/* One after the other, as docker does it: what fails is told, the others go. */
int cmd_rmi(struct client *c, int argc, char **argv, struct err *err)
{
	int first = 0;

	if (argc < 2)
		return -EINVAL;
	for (int i = 1; i < argc; i++) {
		Caisson__V1__UntagRequest req = CAISSON__V1__UNTAG_REQUEST__INIT;
		autopb Caisson__V1__UntagResponse *res = NULL;
		struct err own = ERR_INIT;
		int r;

		req.name = argv[i];
		r = CALL(c, "Untag", req, untag_response, &res, &own);
		if (r < 0) {
			if (first < 0)
				fprintf(stderr, "caisson: %s\n", own.text);
			else
				*err = own;
			first = r;
			continue;
		}
		for (size_t k = 0; k < res->n_untagged; k++)
			printf("Untagged: %s\n", res->untagged[k]);
		if (*res->removed)
			printf("Deleted: %s\n", res->removed);
	}
	return first;
}

int cmd_prune(struct client *c, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' }, { "dry-run", no_argument, NULL, 'n' }, { 0 },
	};
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	Caisson__V1__PruneRequest req = CAISSON__V1__PRUNE_REQUEST__INIT;
	autopb Caisson__V1__PruneResponse *res = NULL;
	int opt, r;

	while ((opt = getopt_long(argc, argv, "an", options, NULL)) >= 0) {
		if (opt != 'a' && opt != 'n')
			return -EINVAL;
		req.all |= opt == 'a';
		req.dry_run |= opt == 'n';
	}
	if (optind != argc)
		return -EINVAL;
	r = CALL(c, "Prune", req, prune_response, &res, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < res->n_images; i++)
		printf("%s: %s %s\n", req.dry_run ? "Would delete" : "Deleted", res->images[i]->id,
		       res->images[i]->name);
	printf("Space %s: %s\n", req.dry_run ? "to be given back" : "given back", cli_size(&a, res->bytes));
	return 0;
}

/* The daemon writes; its directory is not ours. */
static int absolute(const char *path, char out[PATH_MAX], struct err *err)
{
	char cwd[PATH_MAX];

	if (str_eq(path, "-")) {
		snprintf(out, PATH_MAX, "/proc/%d/fd/1", (int)getpid());
		return 0;
	}
	if (path[0] == '/') {
		snprintf(out, PATH_MAX, "%s", path);
		return 0;
	}
	if (!getcwd(cwd, sizeof(cwd)))
		return err_sys(err, errno, "current directory");
	return snprintf(out, PATH_MAX, "%s/%s", cwd, path) >= PATH_MAX ? err_sys(err, ENAMETOOLONG, "%s",
										 path) : 0;
}

static void tell_exported(const char *id, const char *digest, uint64_t made_anew, bool print)
{
	if (made_anew)
		fprintf(stderr, "caisson: %llu layers were made anew from their trees, since their blobs are not kept "
				"(images.keep_blobs): the exported image has the id %s\n",
			(unsigned long long)made_anew, id);
	if (print)
		printf("%s\n", *digest ? digest : id);
}

int cmd_export(struct client *c, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		{ "format", required_argument, NULL, 'f' }, { "output", required_argument, NULL, 'o' },
		{ "directory", no_argument, NULL, 'd' }, { 0 },
	};
	Caisson__V1__ExportRequest req = CAISSON__V1__EXPORT_REQUEST__INIT;
	autopb Caisson__V1__ExportResponse *res = NULL;
	const char *path = "-";
	char real[PATH_MAX];
	int opt, r;

	req.format = (char *)"oci";
	while ((opt = getopt_long(argc, argv, "o:", options, NULL)) >= 0)
		switch (opt) {
		case 'f': req.format = optarg; break;
		case 'o': path = optarg; break;
		case 'd': req.directory = true; break;
		default: return -EINVAL;
		}
	if (argc == optind)
		return -EINVAL;
	if (str_eq(path, "-") && (isatty(1) || req.directory))
		return err_set(err, ERR_INVALID, "say where to: -o FILE, or a pipe");
	r = absolute(path, real, err);
	if (r < 0)
		return r;
	req.image = argv[optind];
	req.more = argv + optind + 1;
	req.n_more = (size_t)(argc - optind - 1);
	req.path = real;
	r = CALL(c, "Export", req, export_response, &res, err);
	if (r < 0)
		return r;
	tell_exported(res->image_id, res->digest, res->made_anew, !str_eq(path, "-"));
	for (size_t i = 0; i < res->n_more; i++)
		tell_exported(res->more[i]->image_id, res->more[i]->digest, res->more[i]->made_anew,
			      !str_eq(path, "-"));
	return 0;
}

static int verify_one(struct client *c, const char *image, bool repair, bool *ret_bad, struct err *err)
{
	Caisson__V1__VerifyRequest req = CAISSON__V1__VERIFY_REQUEST__INIT;
	autopb Caisson__V1__VerifyResponse *res = NULL;
	int r;

	req.image = (char *)image;
	req.repair = repair;
	r = CALL(c, "Verify", req, verify_response, &res, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < res->n_damage; i++) {
		const Caisson__V1__Damage *d = res->damage[i];

		printf("%s %s%s%s: %s\n", d->image, d->layer, *d->path ? " " : "", d->path, d->what);
	}
	if (res->found > res->n_damage)
		printf("and %llu more\n", (unsigned long long)(res->found - res->n_damage));
	printf("%llu layers and documents, %llu damaged, %llu repaired\n", (unsigned long long)res->layers,
	       (unsigned long long)res->damaged, (unsigned long long)res->repaired);
	*ret_bad = *ret_bad || res->damaged > res->repaired;
	return *res->failure ? err_set(err, ERR_STATE, "%s", res->failure) : 0;
}

/* Exit status 1 when something is damaged, and stays so. */
int cmd_verify(struct client *c, int argc, char **argv, struct err *err)
{
	static const struct option options[] = { { "repair", no_argument, NULL, 'r' }, { 0 } };
	bool repair = false, bad = false;
	int opt, r = 0;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (opt != 'r')
			return -EINVAL;
		repair = true;
	}
	if (optind == argc)
		r = verify_one(c, "", repair, &bad, err);
	for (int i = optind; r == 0 && i < argc; i++)
		r = verify_one(c, argv[i], repair, &bad, err);
	return r < 0 ? r : bad;
}

int cmd_diff(struct client *c, int argc, char **argv, struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(256 << 20);
	Caisson__V1__DiffRequest req = CAISSON__V1__DIFF_REQUEST__INIT;
	autopb Caisson__V1__DiffResponse *res = NULL;
	autofree char *id = NULL, *pod = NULL;
	int r = 0;

	if (argc == 2)
		r = client_find_container(c, argv[1], &id, &pod, err);
	else if (argc != 3)
		return -EINVAL;
	if (r < 0)
		return r;
	req.container = id ? id : (char *)"";
	req.from = argc == 3 ? argv[1] : (char *)"";
	req.image = argc == 3 ? argv[2] : (char *)"";
	r = CALL(c, "Diff", req, diff_response, &res, err);
	for (size_t i = 0; r == 0 && i < res->n_changes; i++)
		buf_printf(&out, "%s %s\n", res->changes[i]->kind, res->changes[i]->path);
	return r < 0 ? r : print_out(&out);
}
