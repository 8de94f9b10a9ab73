/*
 * caisson pull: one call that pulls, and on a terminal a second connection that asks five times a
 * second how far it is. In a pipe nothing but the image's id is printed.
 *
 * Without -u the credentials of whoever calls go along, if there are any for the registry:
 * $REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json, $DOCKER_CONFIG/config.json or
 * ~/.docker/config.json, with the programs that these name. The daemon has files of its own.
 */
#include "prog/caisson/caisson.h"

#include "image/reference.h"
#include "registry/credentials.h"

#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>

enum { REFRESH_MS = 200, BAR = 24, ROWS_MAX = 100 };

struct view {
	const char *address, *image;
	atomic_bool done;
	unsigned drawn;       /* lines on the screen, to be drawn over */
	uint64_t last_bytes;
	int64_t last_at, rate;
};

/* ---- drawing ---- */

static unsigned rows_that_fit(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 4)
		return 10;
	return size.ws_row - 3u < ROWS_MAX ? size.ws_row - 3u : ROWS_MAX;
}

static void draw_layer(struct buf *out, struct arena *a, const Caisson__V1__PullLayer *l)
{
	size_t full = l->total ? (size_t)((double)l->done * BAR / (double)l->total) : 0;
	char bar[BAR + 1];

	memset(bar, ' ', BAR);
	memset(bar, '#', full < BAR ? full : BAR);
	bar[BAR] = '\0';
	buf_printf(out, "%s  %-8s [%s] %s of %s\033[K\n", cli_short_id(a, l->digest), l->state, bar,
		   cli_size(a, l->done), cli_size(a, l->total));
}

static void measure(struct view *v, const Caisson__V1__Pull *p)
{
	int64_t now = time_now_mono();

	if (v->last_at && now - v->last_at < NSEC_PER_SEC / 2)
		return;
	if (v->last_at && p->done >= v->last_bytes)
		v->rate = (int64_t)((double)(p->done - v->last_bytes) * 1e9 / (double)(now - v->last_at));
	v->last_at = now;
	v->last_bytes = p->done;
}

static void erase(struct view *v, struct buf *out)
{
	if (v->drawn)
		buf_printf(out, "\033[%uA", v->drawn);
	buf_puts(out, "\r");
	v->drawn = 0;
}

static void draw(struct view *v, const Caisson__V1__Pull *p)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	unsigned rows = rows_that_fit(), drawn = 0;
	size_t ready = 0;

	erase(v, &out);
	measure(v, p);
	for (size_t i = 0; i < p->n_layers; i++) {
		bool moving = str_eq(p->layers[i]->state, "fetching");

		ready += !moving && !str_eq(p->layers[i]->state, "waiting");
		/* what does not fit on the screen is left out, what moves last */
		if (drawn < rows && (moving || p->n_layers <= rows)) {
			draw_layer(&out, &a, p->layers[i]);
			drawn++;
		}
	}
	buf_printf(&out, "%s: %s", p->image, p->stage);
	if (p->total)
		buf_printf(&out, ", %zu of %zu layers, %s of %s, %s/s", ready, p->n_layers,
			   cli_size(&a, p->done),
			   cli_size(&a, p->total), cli_size(&a, (uint64_t)v->rate));
	buf_puts(&out, "\033[K\n\033[J");
	v->drawn = drawn + 1;
	fwrite(buf_text(&out), 1, out.len, stderr);
}

static void *watch(void *user)
{
	Caisson__V1__PullsRequest req = CAISSON__V1__PULLS_REQUEST__INIT;
	struct view *v = user;
	struct client c = { .address = v->address };

	if (grpc_client_new(c.address, time_now_mono() + NSEC_PER_SEC, &c.grpc, NULL) < 0)
		return NULL;
	req.image = (char *)v->image;
	while (!atomic_load(&v->done)) {
		autopb Caisson__V1__PullsResponse *res = NULL;

		/* another daemon does not know this: no progress then */
		if (client_call(&c, "caisson.v1.Images/Pulls", &req.base,
				&caisson__v1__pulls_response__descriptor,
				&res, NULL) < 0)
			break;
		if (res->n_pulls && !atomic_load(&v->done))
			draw(v, res->pulls[0]);
		nanosleep(&(struct timespec){ 0, REFRESH_MS * NSEC_PER_MSEC }, NULL);
	}
	grpc_client_free(c.grpc);
	return NULL;
}

/* ---- credentials ---- */

static int own_credentials(const char *image, struct arena *a, Runtime__V1__AuthConfig *auth, struct err *err)
{
	const char *files[4], *file = getenv("REGISTRY_AUTH_FILE"), *home = getenv("HOME");
	const char *run = getenv("XDG_RUNTIME_DIR"), *docker = getenv("DOCKER_CONFIG");
	struct credentials found = { "", "", "", "", "" };
	struct reference ref;
	size_t n = 0;
	int r;

	if (!str_empty(file))
		files[n++] = file;
	if (!str_empty(run))
		files[n++] = arena_printf(a, "%s/containers/auth.json", run);
	if (!str_empty(docker))
		files[n++] = arena_printf(a, "%s/config.json", docker);
	else if (!str_empty(home))
		files[n++] = arena_printf(a, "%s/.docker/config.json", home);
	r = reference_parse(image, &ref, err);
	if (r == 0)
		r = credentials_find(files, n, ref.host, ref.repository, a, &found, err);
	if (r <= 0)
		return r;
	auth->username = (char *)found.username;
	auth->password = (char *)found.password;
	auth->identity_token = (char *)found.identity_token;
	auth->registry_token = (char *)found.registry_token;
	return 1;
}

static int pull(struct client *c, Runtime__V1__PullImageRequest *req, struct err *err)
{
	autopb Runtime__V1__PullImageResponse *res = NULL;
	struct view view = { .address = c->address, .image = req->image->image };
	const char *plain = str_skip_prefix(c->address, "unix://");
	bool shown = isatty(STDERR_FILENO);
	pthread_t thread;
	int r;

	if (plain)
		view.address = plain;
	shown = shown && pthread_create(&thread, NULL, watch, &view) == 0;
	r = client_call(c, "ImageService/PullImage", &req->base,
			&runtime__v1__pull_image_response__descriptor, &res,
			err);
	atomic_store(&view.done, true);
	if (shown) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(1024);

		pthread_join(thread, NULL);
		erase(&view, &out);
		buf_puts(&out, "\033[J");
		fwrite(buf_text(&out), 1, out.len, stderr);
	}
	if (r == 0)
		printf("%s\n", res->image_ref);
	return r;
}

int cmd_pull(struct client *c, int argc, char **argv, struct err *err)
{
	Runtime__V1__PullImageRequest req = RUNTIME__V1__PULL_IMAGE_REQUEST__INIT;
	Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
	Runtime__V1__AuthConfig auth = RUNTIME__V1__AUTH_CONFIG__INIT;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	int opt, r;

	while ((opt = getopt(argc, argv, "u:")) >= 0) {
		char *colon;

		if (opt != 'u')
			return -EINVAL;
		colon = strchr(optarg, ':');
		if (!colon)
			return err_set(err, ERR_INVALID, "-u takes USER:PASSWORD");
		*colon = '\0';
		auth.username = optarg;
		auth.password = colon + 1;
		req.auth = &auth;
	}
	if (argc - optind != 1)
		return -EINVAL;
	spec.image = argv[optind];
	req.image = &spec;
	if (!req.auth) {
		r = own_credentials(spec.image, &a, &auth, err);
		if (r < 0)
			return r;
		if (r > 0)
			req.auth = &auth;
	}
	return pull(c, &req, err);
}
