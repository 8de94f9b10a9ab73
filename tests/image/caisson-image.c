/*
 * The image room by itself, for its tests: no daemon, no gRPC.
 *
 *	caisson-image ROOT pull REF | import DIR|FILE [NAME] | list | inspect REF | rm REF |
 *	              lowers REF | usage | tag REF NEW | pulls REF REF… (at the same time) |
 *	              cancel MILLISECONDS REF | beside REF SMALL (which comes while the first does) |
 *	              churn REF [collect] (pull and remove against each other) |
 *	              explain REF | collect HIGH LOW [untagged|dry]…
 *
 * Environment: INSECURE, CA_FILE, STALL (seconds), AUTH (user:password), PARALLEL,
 * LAYER_BYTES, KEEP_BLOBS, PINNED, GC_HIGH, GC_LOW, HOSTS_DIR, AUTH_FILE, SERVER (of AUTH), IDENTITY, TOKEN, CONFIG (YAML, of which `registries` counts). Prints what the tests look at, one thing a line.
 */
#include "config/config.h"
#include "image/diff.h"
#include "image/image.h"
#include "registry/registry.h"
#include "store/store.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

static struct store *store;
static struct image_table *table;

static int pull(char **args, struct err *err)
{
	autofree char *id = NULL, *auth = mem_strdup(getenv("AUTH"));
	char *colon = strchr(auth, ':');
	struct image_auth a = { 0 };
	int r;

	if (colon) {
		*colon = '\0';
		a.username = auth;
		a.password = colon + 1;
	}
	a.server_address = getenv("SERVER");
	a.identity_token = getenv("IDENTITY");
	a.registry_token = getenv("TOKEN");
	r = image_pull(table, &(struct image_pull){ .name = args[0], .auth = &a }, &id, err);
	if (r == 0)
		puts(id);
	return r;
}

struct one {
	pthread_t thread;
	const char *name;
	struct image_cancel *cancel;
	char *id;
	int r;
	struct err err;
};

static void *pull_one(void *user)
{
	struct one *o = user;

	o->r = image_pull(table, &(struct image_pull){ .name = o->name, .cancel = o->cancel }, &o->id,
			  &o->err);
	return NULL;
}

static int pulls(char **args, struct err *err)
{
	struct one all[64] = { 0 };
	size_t n = 0;
	int r = 0;

	for (; args[n] && n < ARRAY_LEN(all); n++) {
		all[n].name = args[n];
		assert(pthread_create(&all[n].thread, NULL, pull_one, &all[n]) == 0);
	}
	for (size_t i = 0; i < n; i++) {
		pthread_join(all[i].thread, NULL);
		if (all[i].r < 0) {
			r = all[i].r;
			*err = all[i].err;
		} else {
			puts(all[i].id);
		}
		free(all[i].id);
	}
	return r;
}

/* Prints how long the pull took to come back once it was cancelled. */
static int cancel(char **args, struct err *err)
{
	struct one o = { .name = args[1], .cancel = image_cancel_new() };
	int64_t at;

	assert(pthread_create(&o.thread, NULL, pull_one, &o) == 0);
	usleep((useconds_t)atoi(args[0]) * 1000);
	at = time_now_mono();
	image_cancel_fire(o.cancel);
	pthread_join(o.thread, NULL);
	printf("%" PRId64 "\n", (time_now_mono() - at) / NSEC_PER_MSEC);
	image_cancel_free(o.cancel);
	*err = o.err;
	return o.r;
}

/* Prints how long SMALL took, begun once bytes of a layer of the first had come, and whether that still ran. */
static int beside(char **args, struct err *err)
{
	struct one o = { .name = args[0], .cancel = image_cancel_new() };
	struct image_counters c = { 0 };
	autofree char *id = NULL;
	uint64_t moved = 0;
	int64_t at;
	int r;

	assert(pthread_create(&o.thread, NULL, pull_one, &o) == 0);
	for (at = time_now_mono(); !moved && time_now_mono() - at < 20 * NSEC_PER_SEC;) {
		struct image_pull_state *list;
		size_t n;

		usleep(20000);
		image_pulls(table, &list, &n);
		moved = n ? list[0].progress.done : 0;
		image_pulls_free(list, n);
	}
	at = time_now_mono();
	r = image_pull(table, &(struct image_pull){ .name = args[1] }, &id, err);
	at = time_now_mono() - at;
	image_counters(table, &c);
	image_cancel_fire(o.cancel);
	pthread_join(o.thread, NULL);
	image_cancel_free(o.cancel);
	free(o.id);
	if (r == 0)
		printf("%" PRId64 " %s\n", at / NSEC_PER_MSEC, moved && c.running == 1 ? "beside" : "alone");
	return r;
}

static bool churn_collects;

static int collect_all(struct err *err)
{
	CLEANUP(image_collected_done) struct image_collected c = IMAGE_COLLECTED_INIT;

	return image_collect(table, &(struct image_collect){ 0 }, &c, err);
}

static void *churn_one(void *user)
{
	const char *name = user;

	for (int i = 0; i < 20; i++) {
		autofree char *id = NULL;
		struct err err = ERR_INIT;
		struct image *img;

		if (image_pull(table, &(struct image_pull){ .name = name }, &id, &err) < 0) {
			fprintf(stderr, "%s\n", err.text);
			exit(1);
		}
		if (image_get(table, name, &img, &err) == 0)
			image_unref(img);
		if ((churn_collects ? collect_all(&err) : image_remove(table, name, &err)) < 0) {
			fprintf(stderr, "%s\n", err.text);
			exit(1);
		}
	}
	return NULL;
}

static int churn(char **args, struct err *err)
{
	pthread_t threads[4];

	churn_collects = str_eq(args[1], "collect");
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert(pthread_create(&threads[i], NULL, churn_one, args[0]) == 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* explain REF: a line for each host: address, source, outcome, what it said, by which protocol */
static int explain(char **args, struct err *err)
{
	static const char *const outcomes[] = { "has", "failed", "not-allowed", "not-needed" };
	autofree struct registry_step *steps = NULL;
	size_t n = 0;
	int r = image_explain(table, &(struct image_pull){ .name = args[0] }, &steps, &n, err);

	for (size_t i = 0; i < n; i++)
		printf("%s|%s|%s|%s|%s\n", steps[i].address, steps[i].source, outcomes[steps[i].outcome],
		       steps[i].outcome == REGISTRY_HAS ? steps[i].type : steps[i].err.text,
		       steps[i].protocol);
	return r;
}

static int import(char **args, struct err *err)
{
	CLEANUP(image_imported_done) struct image_imported done = IMAGE_IMPORTED_INIT;
	struct stat st;
	int r;

	if (stat(args[0], &st) == 0 && S_ISDIR(st.st_mode))
		r = image_import_layout(table, args[0], NULL, args[1], &done, err);
	else
		r = image_import_archive(table, args[0], NULL, args[1], &done, err);
	for (size_t i = 0; r == 0 && i < done.n; i++)
		puts(done.ids[i]);
	return r;
}

static int list(char **args, struct err *err)
{
	struct image **images;
	size_t n;

	image_list(table, &images, &n);
	for (size_t i = 0; i < n; i++) {
		printf("%s %" PRIu64, images[i]->id, images[i]->size);
		for (size_t j = 0; j < images[i]->n_repo_tags; j++)
			printf(" %s", images[i]->repo_tags[j]);
		for (size_t j = 0; j < images[i]->n_repo_digests; j++)
			printf(" %s", images[i]->repo_digests[j]);
		puts("");
	}
	image_list_free(images, n);
	return 0;
}

static int inspect(char **args, struct err *err)
{
	struct image *img;
	int r = image_get(table, args[0], &img, err);

	if (r < 0)
		return r;
	printf("id %s\nmanifest %s\nchain %s\nsize %" PRIu64 "\nunpacked %" PRIu64 "\n", img->id,
	       img->manifest_digest, img->chain_id, img->size, img->unpacked);
	if (img->has_uid)
		printf("uid %" PRId64 "\n", img->uid);
	else
		printf("username %s\n", img->username);
	puts(img->config_json);
	image_unref(img);
	return 0;
}

/* export REF[,REF…] PATH oci|docker [dir]: id, digest, layers made anew, of each */
static int export(char **args, struct err *err)
{
	const char *names[16];
	struct image_exported done[ARRAY_LEN(names)];
	struct image_export what = { .names = names, .path = args[1], .directory = args[3] != NULL,
				     .format = str_eq(args[2], "docker") ? IMAGE_EXPORT_DOCKER :
					     IMAGE_EXPORT_OCI };
	int r;

	for (char *name; what.n_names < ARRAY_LEN(names) && (name = strsep(&args[0], ","));)
		names[what.n_names++] = name;
	r = image_export(table, &what, done, err);
	for (size_t i = 0; r == 0 && i < what.n_names; i++)
		printf("%s\n%s\n%zu\n", done[i].id, done[i].digest, done[i].made_anew);
	return r;
}

static int print_change(char kind, const char *path, void *user)
{
	printf("%c %s\n", kind, path);
	return 0;
}

/* diff SNAPSHOT | diff REF REF */
static int diff(char **args, struct err *err)
{
	return args[1] ? image_diff(table, args[0], args[1], print_change, NULL, err) :
			 image_diff_snapshot(table, args[0], print_change, NULL, err);
}

static void print_damage(const char *image, const char *layer, const char *path, const char *what, void *user)
{
	printf("%.19s %s: %s\n", layer, path, what);
}

/* verify REF|all [repair]: the damage, then layers, damaged, repaired */
static int verify(char **args, struct err *err)
{
	struct image_verify what = { .name = str_eq(args[0], "all") ? NULL : args[0], .repair = args[1] != NULL };
	struct image_verified v;
	int r = image_verify(table, &what, print_damage, NULL, &v, err);

	printf("%zu %zu %zu\n", v.layers, v.damaged, v.repaired);
	return r;
}

/* collect HIGH LOW [untagged|dry]…: percents; 0 0 for all. Prints what went, then the bytes */
static int collect(char **args, struct err *err)
{
	CLEANUP(image_collected_done) struct image_collected c = IMAGE_COLLECTED_INIT;
	struct image_collect what = { .high = (unsigned)atoi(args[0]), .low = (unsigned)atoi(args[1]) };
	int r;

	for (size_t i = 2; args[i]; i++) {
		what.untagged_only |= str_eq(args[i], "untagged");
		what.dry_run |= str_eq(args[i], "dry");
	}
	r = image_collect(table, &what, &c, err);
	for (size_t i = 0; i < c.n; i++)
		printf("%s\n", c.names[i]);
	printf("%" PRIu64 "\n", c.bytes);
	return r;
}

/* lowers REF: the directories that a container would stand on, topmost first */
static int lowers(char **args, struct err *err)
{
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT;
	struct image *img;
	int r = image_get(table, args[0], &img, err);

	if (r < 0)
		return r;
	r = store_snapshot_prepare(store, img->id, "lowers", NULL, &snap, err);
	image_unref(img);
	if (r < 0)
		return r;
	for (size_t i = 0; i < snap.n_lowers; i++)
		puts(snap.lowers[i]);
	return store_snapshot_remove(store, "lowers", err);
}

/* snapshot REF ID: makes one that stays, prints upper, work and then the lowers */
static int snapshot(char **args, struct err *err)
{
	CLEANUP(store_snapshot_done) struct store_snapshot snap = STORE_SNAPSHOT_INIT;
	struct image *img;
	int r = image_get(table, args[0], &img, err);

	if (r < 0)
		return r;
	r = store_snapshot_prepare(store, img->id, args[1], NULL, &snap, err);
	image_unref(img);
	if (r < 0)
		return r;
	printf("%s\n%s\n", snap.upper, snap.work);
	for (size_t i = 0; i < snap.n_lowers; i++)
		puts(snap.lowers[i]);
	return 0;
}

static int unsnapshot(char **args, struct err *err)
{
	return store_snapshot_remove(store, args[0], err);
}

static int rm(char **args, struct err *err)
{
	return image_remove(table, args[0], err);
}

static int tag(char **args, struct err *err)
{
	return image_tag(table, args[0], args[1], err);
}

static int usage(char **args, struct err *err)
{
	uint64_t bytes, inodes;

	image_fs_usage(table, &bytes, &inodes);
	printf("%" PRIu64 " %" PRIu64 "\n", bytes, inodes);
	return 0;
}

static const struct {
	const char *name;
	int min;
	int (*run)(char **args, struct err *err);
} commands[] = {
	{ "pull", 1, pull },   { "import", 1, import },     { "list", 0, list },
	        { "inspect", 1, inspect },
	{ "lowers", 1, lowers }, { "snapshot", 2, snapshot }, { "unsnapshot", 1, unsnapshot },
	{ "rm", 1, rm },
	{ "tag", 2, tag },     { "usage", 0, usage },       { "pulls", 1, pulls },
	      { "cancel", 2, cancel },	{ "beside", 2, beside },
	{ "churn", 1, churn }, { "explain", 1, explain }, { "collect", 2, collect },
	{ "verify", 1, verify }, { "export", 3, export }, { "diff", 1, diff },
};

static int64_t number(const char *name)
{
	int64_t n = 0;

	return getenv(name) && str_to_i64(getenv(name), 10, &n) == 0 ? n : 0;
}

static int run(char **argv, int argc, struct err *err)
{
	CLEANUP(buf_done) struct buf note = BUF_INIT(4096);
	const char *insecure = getenv("INSECURE");
	struct image_settings settings = { .insecure = &insecure, .n_insecure = insecure != NULL,
					   .ca_file = getenv("CA_FILE"),
					   .stall_timeout = number("STALL") * NSEC_PER_SEC,
					   .parallel = (unsigned)number("PARALLEL"),
					   .limits = { .layer_bytes = (uint64_t)number("LAYER_BYTES") } };
	struct store_options options = { .keep_blobs = getenv("KEEP_BLOBS") };
	const char *hosts_dir = getenv("HOSTS_DIR"), *auth_file = getenv("AUTH_FILE"),
		*pinned = getenv("PINNED");
	CLEANUP(buf_done) struct buf text = BUF_INIT(CONFIG_MAX);
	CLEANUP(arena_done) struct arena arena = ARENA_INIT;
	struct config config;
	int r;

	settings.pinned = &pinned;
	settings.n_pinned = pinned != NULL;
	settings.gc_high = (unsigned)number("GC_HIGH");
	settings.gc_low = (unsigned)number("GC_LOW");
	settings.hosts_dirs = &hosts_dir;
	settings.n_hosts_dirs = hosts_dir != NULL;
	settings.auth_files = &auth_file;
	settings.n_auth_files = auth_file != NULL;
	if (getenv("CONFIG")) {
		buf_puts(&text, getenv("CONFIG"));
		r = config_read("CONFIG", text.data, text.len, &arena, &config, err);
		if (r < 0)
			return r;
		settings.registries = config.registries;
		settings.n_registries = config.n_registries;
	}
	r = store_open(argv[1], &options, &store, &note, err);
	if (r == 0)
		r = image_table_new(store, &settings, &table, &note, err);
	if (note.len)
		fprintf(stderr, "note: %s\n", buf_text(&note));
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (str_eq(argv[2], commands[i].name) && argc - 3 >= commands[i].min)
			return commands[i].run(argv + 3, err);
	return err_set(err, ERR_INVALID, "no such command: %s", argv[2]);
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	int r;

	if (argc < 3)
		return 2;
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	r = run(argv, argc, &err);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", err_kind_info(err.kind)->name, err.text);
	image_table_free(table);
	if (store)
		store_settle(store);
	store_close(store);
	return r < 0;
}
