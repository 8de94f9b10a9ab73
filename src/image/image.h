/*
 * image — from a name to layers that a container can stand on.
 *
 * The image table holds everything that is known about the images of one store, in memory;
 * lists and status are answered from there (microseconds, no disk). Pull, import and remove
 * change the store first and the table right after, before they return: who asks after the
 * return sees the change.
 *
 * Use in order:
 *
 *	image_table_new(store, &settings, &t, &note, &err);   after store_open
 *	image_pull(t, &(struct image_pull){ .name = "nginx", .auth = auth }, &id, &err);
 *	image_get(t, "nginx", &img, &err);                    by id, id prefix, tag or digest
 *	… img->config …; store_snapshot_prepare(store, img->id, …)
 *	image_unref(img);
 *	image_table_free(t);                                  before store_close
 *
 * Objects. A struct image is immutable and counted: image_get and image_list give
 * references, image_unref gives them back; a removed image stays readable until then.
 *
 * Threads: all calls from any thread. image_get, image_list and image_fs_usage do not wait
 * for disk or network and may run on the event loop. image_pull, image_import_* and
 * image_remove block: worker threads only.
 *
 * Pulls are joined. Pulls of one name with the same credentials are one piece of work, and
 * so are single layers that several pulls need; each caller gets the result. A caller that
 * is cancelled leaves at once; the work goes on while anyone waits for it. When the last one left it is
 * stopped within a second, or (`stays`) goes on and can be joined: the last caller's thread comes back with
 * its end then. The work runs on threads of the image room.
 *
 * Everything that comes from a registry is hostile: sizes are bounded before memory is
 * taken, each byte is digested before it is believed, entries of a layer cannot leave the
 * layer's directory (image/unpack.h), and nothing becomes visible before all of it has
 * verified. Memory of one pull is bounded (image/pull.c), whatever the image.
 *
 * Errors begin with the name as it was given: `pull nginx: registry-1.docker.io: …`.
 *   INVALID      the reference or a document of the image is wrong
 *   NOT_FOUND    no such image, manifest or layer there; or not for this platform
 *   DENIED       credentials missing or refused; says what the server said
 *   UNAVAILABLE  the registry cannot be reached, or stopped in the middle; retry helps
 *   CORRUPT      a digest did not match; says which and by what
 *   UNSUPPORTED  schema 1, artifacts, unknown layer types: named
 *   LIMIT        disk full, or a bound of `limits` was passed
 *   CANCELLED    the caller's own cancellation
 */
#pragma once

#include "image/reference.h"
#include "oci/image.h"

struct config_registry; /* config/config.h */
struct registry_step;   /* registry/registry.h */
struct store;
struct image_table;

struct image_limits {           /* 0: the default */
	uint64_t layer_bytes;   /* unpacked size of one layer: 64 GiB */
	uint64_t layer_entries; /* 4 million */
	uint64_t layer_ratio;   /* unpacked to compressed, beyond the first 64 MiB: 1000 */
	uint64_t layers;        /* of one image: 500, what overlay takes */
};

struct image_collected;

struct image_settings {
	const char *const *insecure; /* registries with plain HTTP, or HTTPS with any certificate */
	size_t n_insecure;           /* "host" or "host:port" */
	const char *ca_file;         /* PEM bundle in the place of the system's; NULL: the system's */
	const char *const *pinned;   /* references whose images are pinned */
	size_t n_pinned;
	int64_t connect_timeout;     /* ns; 0: 10 s */
	int64_t stall_timeout;       /* ns with less than 1 B/s; 0: 30 s */
	unsigned parallel;           /* layers at a time in one pull; 0: 3 */
	struct image_limits limits;
	unsigned gc_high, gc_low;    /* percent of the disk; high 0: no collection by itself */
	void (*collected)(const struct image_collected *c, const struct err *err, void *user); /* or NULL */
	void *user;
	const struct config_registry *registries; /* mirrors, by registry */
	size_t n_registries;
	const char *const *hosts_dirs; /* directories with <registry>/hosts.toml */
	size_t n_hosts_dirs;
	const char *const *auth_files; /* with credentials: registry/credentials.h */
	size_t n_auth_files;
};

/* Settings are copied. Reads all images of the store; one that cannot be read is skipped
 * and named in note (may be NULL). settings NULL: all defaults. */
int image_table_new(struct store *store, const struct image_settings *settings, struct image_table **ret,
		    struct buf *note, struct err *err);
/* Cancels pulls that still run and waits for their threads. Callers have returned by then. */
void image_table_free(struct image_table *t);

/* What the settings say about registries, from now on: for a daemon that reads its configuration again. */
void image_table_configure(struct image_table *t, const struct image_settings *settings);

/* ---- images ---- */

struct image {
	char *id;                /* "sha256:…", digest of the config: CRI's Image.id and image_ref */
	char **repo_tags;        /* "docker.io/library/nginx:latest", sorted */
	size_t n_repo_tags;
	char **repo_digests;     /* "docker.io/library/nginx@sha256:…", sorted */
	size_t n_repo_digests;
	uint64_t size;           /* compressed layers, config and manifest: what crossed the network,
				  * as containerd counts it */
	uint64_t unpacked;       /* bytes allocated by its layers */
	bool pinned;
	bool has_uid;            /* config.User starts with a number: CRI's Image.uid … */
	int64_t uid;
	char *username;          /* … else its name part: CRI's Image.username; "" if none */
	int64_t pulled_at;       /* real ns */
	char *manifest_digest;   /* of the platform's manifest */
	char *chain_id;          /* of all layers; "" without layers */
	struct oci_image config; /* config.config: Env, Entrypoint, Cmd, WorkingDir, User, Volumes,
				  * Labels, StopSignal, ExposedPorts; rootfs.diff_ids; history */
	char *config_json;       /* the document as it was pulled: verbose info */
	struct image_private *priv;
};

struct image *image_ref(struct image *img);
void image_unref(struct image *img); /* NULL is fine */

/*
 * By anything that names an image: "sha256:<id>", "<id>", a prefix of the id of at least 3
 * digits when it is the only one, a tag or digest reference in any spelling ("nginx" finds
 * "docker.io/library/nginx:latest"). NOT_FOUND names it as given; INVALID when a prefix is
 * ambiguous or the name cannot be one. A name that could be both is a reference first.
 */
int image_get(struct image_table *t, const char *name, struct image **ret, struct err *err);

/* All images, oldest first. image_list_free gives the references back. */
void image_list(struct image_table *t, struct image ***ret, size_t *ret_n);
void image_list_free(struct image **list, size_t n);

/* Another number, never 0, whenever the images or their names have changed. Any thread. */
uint64_t image_table_version(const struct image_table *t);

/* Allocated bytes and inodes of images (CRI ImageFsInfo) from kept sums; the mountpoint is
 * store_root(). */
void image_fs_usage(struct image_table *t, uint64_t *ret_bytes, uint64_t *ret_inodes);

/* CRI RemoveImage: whatever name is given, the image goes with all its names. An unknown
 * one is success. Layers under containers stay until the last container goes. */
int image_remove(struct image_table *t, const char *name, struct err *err);
/* Adds a tag (`name` as in image_get). */
int image_tag(struct image_table *t, const char *name, const char *new_ref, struct err *err);
/* Removes one tag or digest name; the image goes with its last name. NOT_FOUND. */
int image_untag(struct image_table *t, const char *ref, struct err *err);

/*
 * Garbage collection: images that no container stands on and that are not pinned go, least
 * recently used first. An image that a pull or a container takes at the same moment stays.
 */
struct image_collect {
	unsigned high, low; /* percent of the disk: nothing unless it is fuller than high, then until
			     * it is below low; 0: all that qualify, whatever the disk */
	int64_t min_age;    /* ns since its last use; 0: any */
	bool untagged_only; /* only those without a tag */
	bool dry_run;       /* removes nothing, tells */
};

struct image_collected {
	char **ids;         /* heap; image_collected_done */
	char **names;       /* a tag or digest name of each, or "" */
	size_t n;
	uint64_t bytes;     /* given back, by the kept sums */
};
#define IMAGE_COLLECTED_INIT { NULL, NULL, 0, 0 }
void image_collected_done(struct image_collected *c);
/*
 * With gc_high of the settings: starts a round on a thread of the image room, unless one runs,
 * with what the settings say and two minutes as age. Does not wait; the end of a pull does the
 * same. What was removed, and what failed, is told to settings.collected, on that thread.
 */
void image_collect_start(struct image_table *t);
/* Blocks. What was removed before a failure is told too. */
int image_collect(struct image_table *t, const struct image_collect *what, struct image_collected *ret,
		  struct err *err);

/* ---- pull ---- */

/* CRI's AuthConfig; "" and NULL are the same. */
struct image_auth {
	const char *username, *password;
	const char *auth;           /* base64 of username:password */
	const char *server_address; /* the host that they are for; empty: the image's own registry */
	const char *identity_token; /* a refresh token for the registry's token server */
	const char *registry_token; /* a Bearer token for the registry itself */
};

struct image_layer_progress {
	const char *digest;
	const char *state;    /* "waiting", "fetching", "fetched", "here": it was on disk or in flight */
	uint64_t done, total; /* compressed bytes */
};

struct image_progress {
	const char *stage;    /* "resolving", "fetching", "publishing" */
	uint64_t done, total; /* compressed bytes; total 0: not known yet */
	size_t layers_done, layers;
	const struct image_layer_progress *each; /* of the layers; NULL while none are known */
};
/* On the calling thread, a few times a second while it waits. */
typedef void (*image_progress_fn)(const struct image_progress *p, void *user);

struct image_cancel; /* one flag that wakes who waits */

struct image_pull {
	const char *name;              /* any reference */
	const struct image_auth *auth; /* NULL: anonymous */
	struct image_cancel *cancel;   /* NULL: cannot be cancelled */
	bool stays;                    /* when its last caller is cancelled it goes on, for a quarter of an hour */
	image_progress_fn progress;    /* may be NULL */
	void *user;
};

struct image_cancel *image_cancel_new(void);
void image_cancel_free(struct image_cancel *c); /* after image_pull has returned */
void image_cancel_fire(struct image_cancel *c); /* any thread; does not wait */
/* What the pull is at, and for how long: "fetching (for 12 s), 1 of 3 layers, …"; false: there is none.
 * Any thread; does not wait. */
bool image_cancel_describe(struct image_cancel *c, char *out, size_t size);
/* Pulls end soon, whoever waits for them. Does not wait. */
void image_pulls_stop(struct image_table *t);

/*
 * Resolves the name at its registry even when the image is here already, fetches what is
 * missing, publishes. *ret_id is the heap's: "sha256:…". By tag: the tag and the
 * repository's digest name are bound to the image. By digest: only the digest name.
 */
int image_pull(struct image_table *t, const struct image_pull *p, char **ret_id, struct err *err);

/* ---- what pulls are doing ---- */

struct image_pull_state {
	char name[REFERENCE_TEXT_MAX];
	int64_t began;        /* real ns */
	unsigned waiters;     /* callers that wait for it */
	struct image_progress progress;
};

/* The pulls that run, oldest first; heap, image_pulls_free. Does not wait for disk or network. */
void image_pulls(struct image_table *t, struct image_pull_state **ret, size_t *ret_n);
void image_pulls_free(struct image_pull_state *list, size_t n);

/* Sums since the table was made. */
struct image_counters {
	uint64_t running;         /* pulls, now */
	uint64_t begun;           /* pieces of work; */
	uint64_t joined;          /* callers that found one */
	uint64_t done, failed, cancelled;
	uint64_t layers_fetched, layers_joined;
	uint64_t bytes_fetched;   /* of layers, over the network */
	uint64_t bytes_resumed;   /* that an earlier pull had fetched */
	uint64_t requests;        /* to registries and token servers */
	uint64_t retries;         /* transfers that broke off or stalled and were gone on with */
};

void image_counters(struct image_table *t, struct image_counters *ret);

/*
 * How image_pull would ask for a name: each host in its order with what became of it, and the
 * settings' source. Asks for the manifest only and changes nothing. *ret is the heap's.
 */
int image_explain(struct image_table *t, const struct image_pull *p, struct registry_step **ret,
		  size_t *ret_n, struct err *err);

/* ---- verify ---- */

struct image_verify {
	const char *name;  /* as in image_get; NULL: all images */
	bool repair;       /* fetch what is damaged again, from the registry that it came from */
};

/* layer: its digest, or that of a document; path within it, or ""; on the calling thread. */
typedef void (*image_damage_fn)(const char *image, const char *layer, const char *path, const char *what,
				void *user);

struct image_verified {
	size_t layers, damaged, repaired; /* documents count as layers */
};

/*
 * Reads every file of every layer, and the documents, and compares them with what they were when
 * they came. A layer that was unpacked by a version that wrote no checksums is told as one that
 * cannot be checked. Repair fetches damaged layers and nothing else; containers that
 * stand on a damaged one keep it until they go. An image that has no name in a registry cannot
 * be repaired, only imported again. Blocks. 0 whatever was found; negative when it could not be
 * looked at, or repair failed.
 */
int image_verify(struct image_table *t, const struct image_verify *what, image_damage_fn fn, void *user,
		 struct image_verified *ret, struct err *err);

/* ---- export ---- */

enum image_export_format { IMAGE_EXPORT_OCI, IMAGE_EXPORT_DOCKER };

struct image_export {
	const char *const *names; /* as in image_get */
	size_t n_names;     /* at least one; what they share is written once */
	const char *path;   /* absolute */
	enum image_export_format format;
	bool directory;     /* an OCI layout as a directory, which is absent or empty; else a tar file */
};

/* Of one of them. */
struct image_exported {
	char id[80];        /* of what was written */
	char digest[80];    /* of its manifest; "" in a docker archive */
	size_t made_anew;   /* layers whose blobs were not kept: their streams, and so the id, are others */
};

/* Blocks. ret: one for each name. EXISTS for a directory that holds something; LIMIT for a full disk: nothing
 * is left. */
int image_export(struct image_table *t, const struct image_export *what, struct image_exported *ret,
		 struct err *err);

/* ---- import ---- */

/*
 * From an OCI image layout: a directory, or a tar file of one (oci-archive), or an archive of
 * `docker save`, whose names are all bound unless one is given. `name` is the
 * reference that it gets; NULL: the layout's own org.opencontainers.image.ref.name, which
 * must then be a full reference. Where there are several images, `which` (one of their names)
 * chooses; without it and without `name` all of them come, each under its own. Everything is
 * verified as in a pull. An image that came before a failure stays.
 */
struct image_imported {
	char **ids;         /* heap; image_imported_done */
	size_t n;
};
#define IMAGE_IMPORTED_INIT { NULL, 0 }
void image_imported_done(struct image_imported *i);
int image_import_layout(struct image_table *t, const char *dir, const char *which, const char *name,
			struct image_imported *ret, struct err *err);
int image_import_archive(struct image_table *t, const char *file, const char *which, const char *name,
			 struct image_imported *ret, struct err *err);
