/*
 * store — what a node keeps on disk: image layers, small blobs, writable snapshots, records.
 *
 *	<root>/meta.db               SQLite, WAL: all names and all relations
 *	<root>/blobs/sha256/<hex>    manifests, indexes, configs (and layers with keep_blobs)
 *	<root>/layers/<n>            one unpacked layer, the tree itself; <n> a small number, so
 *	                             that the options of an overlay mount stay short
 *	<root>/sums/<n>              checksums of layers/<n>
 *	<root>/snapshots/<id>/upper, work    the writable part of one container
 *	<root>/partial/<hex>         the beginning of a blob that a pull did not get to the end of
 *	<root>/reserve               space for a start and for removals on a full disk
 *	<root>/trash/                what was removed and waits for its deletion
 *
 * The rule of the room: what meta.db does not name does not exist. Data is written first,
 * synced, and named by one transaction last; whatever a crash left unnamed is swept by the
 * next store_open. Removal is the other way round: first the names go, durably, then the
 * data moves into trash/ and a thread of the store deletes it.
 *
 * Layers. A layer is one directory, read-only once published. Images and snapshots refer
 * to layers by number; a layer whose last reference goes is removed in the same call. A
 * lease holds layers and blobs that a running pull relies upon and nothing refers to yet.
 *
 * Use in order:
 *
 *	store_open(root, NULL, &s, &note, &err);        once, at start; takes the root's lock
 *	store_snapshot_prepare(s, image_id, id, NULL, &snap, &err);
 *	  … mount overlay: lowerdir = snap.lowers (first is topmost), upperdir, workdir …
 *	store_snapshot_remove(s, id, &err);             after the unmount; idempotent
 *	store_record_put(s, "pod", id, json, &err);     small documents of other rooms
 *	store_close(s);
 *
 * Context: any thread, all calls block (a row: well under a millisecond; a commit that
 * hits a checkpoint: one fsync; snapshot_prepare: three mkdirs). No call walks a tree,
 * except store_snapshot_usage, which walks one upper directory. One process at a time: a
 * second store_open of the same root fails with STATE.
 *
 * Durability. A record survives the death of the process at any moment once its call has
 * returned; after a power loss the last ones may be gone, never half there. What is
 * published as an image is complete after a power loss, or absent; once the call that published,
 * tagged or removed has returned, a power loss changes nothing about it.
 *
 * Errors: NOT_FOUND names the id as given; EXISTS; LIMIT for a full disk; CORRUPT when
 * meta.db contradicts itself. Input from outside reaches this room only as digests and ids:
 * they are checked here again (hex, no slash) before they become names of files.
 */
#pragma once

#include "base/base.h"

#include <sys/types.h>

struct store;

struct store_options {
	bool keep_blobs; /* keep the compressed layers as well */
};

/*
 * Opens or makes the store below root (made with 0700 when missing; its parents too).
 * `note`, if given, gets text for the log about what was found damaged and set aside, and
 * stays empty otherwise: a damaged meta.db moves to damaged-<time>/ and its copy, which is at most
 * two seconds behind, takes its place; without a copy the layers, snapshots and blobs that it
 * named go with it (running containers go on, their mounts hold what they need), and an empty
 * one begins. A log that lost its end counts as damage. A single document that is not what was written
 * (each has a checksum) is taken from the copy, or set aside: a record as kind "<kind>.damaged", an
 * image without its names. What is no file in the place of one of ours moves away too. A meta.db written
 * by a newer Caisson is refused (UNSUPPORTED) and untouched. options NULL: defaults.
 */
int store_open(const char *root, const struct store_options *options, struct store **ret, struct buf *note,
	       struct err *err);
/* Deletion that still goes on is left to the next store_open. NULL is fine. */
void store_close(struct store *s);
const char *store_root(const struct store *s);
bool store_keeps_blobs(const struct store *s);
/* Waits until trash/ is empty: for tests and for orderly ends. */
void store_settle(struct store *s);

/* ---- records: small documents of other rooms ---- */

/*
 * (kind, id) → one JSON text that the store does not look into. kind is a word of the
 * caller's choice ("pod", "container"); id is any non-empty text. put replaces. Deleting
 * what is not there succeeds. get appends to out; NOT_FOUND when absent.
 */
int store_record_put(struct store *s, const char *kind, const char *id, const char *doc, struct err *err);
int store_record_get(struct store *s, const char *kind, const char *id, struct buf *out, struct err *err);
int store_record_delete(struct store *s, const char *kind, const char *id, struct err *err);

/* Everything that was put and deleted until now is on the disk: before something outside is asked to
 * keep what only a record knows of. Some milliseconds. */
int store_sync(struct store *s, struct err *err);

/*
 * Calls fn for each record of the kind, in the order in which they were first put. The
 * rows were all read before the first call, so fn may call the store. A negative return of
 * fn ends the list and is returned.
 */
typedef int (*store_record_fn)(const char *id, const char *doc, void *user);
int store_record_list(struct store *s, const char *kind, store_record_fn fn, void *user, struct err *err);

/* ---- snapshots: what a container's root is made of ---- */

struct store_snapshot {
	char **lowers; /* absolute paths of layers, topmost first: overlay's order */
	size_t n_lowers;
	char *upper;   /* NULL for a read-only snapshot */
	char *work;
};

#define STORE_SNAPSHOT_INIT { NULL, 0, NULL, NULL }
void store_snapshot_done(struct store_snapshot *snap);

struct store_snapshot_options {
	bool read_only;   /* lowers only: an image mounted as a volume */
	uint32_t map_uid; /* host ids that 0 of the container's user namespace maps to: the */
	uint32_t map_gid; /* owner of the upper directory is shifted by them (idmapped lowers) */
};

/*
 * Makes the snapshot `id` (usually the container's id) over the image's layers. From here
 * on the layers stay, whatever happens to the image. The upper directory starts with the
 * owner and mode of "/" of the topmost layer that says them. Mounting is the caller's, and all it needs is in
 * *ret; `volatile`, `index=off` and the like are the caller's choice too. A read-only
 * snapshot has at least two lowers (an empty layer is added below a single one), so that
 * overlay takes it without an upper. Options NULL: writable, no mapping. EXISTS when there
 * is one of that id; NOT_FOUND when the image is unknown.
 */
int store_snapshot_prepare(struct store *s, const char *image_id, const char *id,
			   const struct store_snapshot_options *options, struct store_snapshot *ret,
			   struct err *err);
/* The same answer again, for a daemon that restarted. NOT_FOUND. */
int store_snapshot_get(struct store *s, const char *id, struct store_snapshot *ret, struct err *err);
/* Unmount first. What is unknown was removed: success. Layers that only it held go too. */
int store_snapshot_remove(struct store *s, const char *id, struct err *err);
/*
 * What the container wrote: allocated bytes and inodes of the upper directory. Walks it
 * (hard links once, never into another mount), so not for the event loop.
 */
int store_snapshot_usage(struct store *s, const char *id, uint64_t *ret_bytes, uint64_t *ret_inodes,
			 struct err *err);
/* fn for each snapshot id, oldest first, as with records; doc is the image's id. */
int store_snapshot_list(struct store *s, store_record_fn fn, void *user, struct err *err);

/* Allocated bytes and inodes of all published layers and blobs: kept sums, no walk. */
int store_usage(struct store *s, uint64_t *ret_bytes, uint64_t *ret_inodes, struct err *err);

/* ---- what follows is for the image room ---- */

/* Holds what a pull found or made until its image is published. Any thread. */
struct store_lease;
struct store_lease *store_lease_new(struct store *s);
/* Lets go: layers and blobs that nothing refers to are removed. NULL is fine. */
void store_lease_free(struct store_lease *l);

enum { STORE_DIGEST_MAX = 80 }; /* "sha256:" and 64 digits, with room */

struct store_layer {
	int64_t id;
	/* What identifies the tree: the diff id, or, for a layer whose tree depends on those
	 * below it (it has entries without their parent directories), the chain id. */
	char key[STORE_DIGEST_MAX];
	char diff_id[STORE_DIGEST_MAX];
	char digest[STORE_DIGEST_MAX]; /* of the blob that it came from */
	uint64_t size;                 /* of that blob */
	uint64_t bytes, inodes;        /* allocated by the tree */
	bool has_root;                 /* it says itself what "/" is like */
};

/* A published layer with that key, held by the lease from now on: 1 found, 0 not. */
int store_layer_find(struct store_lease *l, const char *key, struct store_layer *ret, struct err *err);
/* A new empty directory layers/<n>, unpublished, held by the lease; an O_DIRECTORY descriptor. */
int store_layer_stage(struct store_lease *l, int64_t *ret_id, int *ret_dirfd, struct err *err);
/* The lease holds a layer that another lease staged or found (joined pulls). */
void store_layer_hold(struct store_lease *l, int64_t id);
/* What the image room knows of the tree, to check it by: sums/<n>, which goes with the layer.
 * make: a new one, O_WRONLY; else O_RDONLY, NOT_FOUND when there is none. */
int store_layer_sums(struct store *s, int64_t id, bool make, int *ret_fd, struct err *err);
/* It is damaged: nobody finds it by its key any more, so the next pull of it unpacks it again
 * and takes its place in all images. Snapshots go on with it. */
int store_layer_condemn(struct store *s, int64_t id, struct err *err);
/* The tree of a layer, published or staged: O_RDONLY | O_DIRECTORY. */
int store_layer_open(struct store *s, int64_t id, int *ret_dirfd, struct err *err);

/* Writes a blob whose digest the caller has verified, held by the lease. What has its name and is not it, which
 * only damage can make, gives way. */
int store_blob_put(struct store_lease *l, const char *digest, const void *data, size_t len, struct err *err);
/* Appends the blob to out. NOT_FOUND. */
int store_blob_get(struct store *s, const char *digest, struct buf *out, struct err *err);
/* The same as a file, O_RDONLY. */
int store_blob_open(struct store *s, const char *digest, int *ret_fd, struct err *err);
/* A damaged one goes, so that it can be put again; its names stay. */
int store_blob_remove(struct store *s, const char *digest, struct err *err);
/* A blob written in pieces (keep_blobs): a file without a name; commit names it, in place of
 * whatever has that name. */
int store_blob_stage(struct store *s, int *ret_fd, struct err *err);
int store_blob_commit(struct store_lease *l, const char *digest, int fd, struct err *err);

/*
 * Blobs on their way (partial.c): bytes from the beginning of a blob, kept from pull to pull
 * and over restarts. open: 1, and the file belongs to the caller until he closes it, with
 * *ret_have bytes in it that nobody has verified; 0 when another has it. drop removes it.
 * sweep removes those that nobody has and that are older than `age` (ns): bytes given back.
 */
int store_partial_open(struct store *s, const char *digest, int *ret_fd, uint64_t *ret_have, struct err *err);
void store_partial_drop(struct store *s, const char *digest);
uint64_t store_partial_sweep(struct store *s, int64_t age);

struct store_image {
	const char *id;  /* digest of the config */
	const char *doc; /* the image room's own text about it */
	const struct store_layer *layers; /* bottom first; staged ones get published */
	size_t n_layers;
	const char *const *blobs; /* digests that stay as long as the image */
	size_t n_blobs;
};

/*
 * One syncfs for all that was written, then one transaction: layers, image, relations, and
 * the names in refs bound to it (a name that was bound to another image moves). An image
 * that exists keeps its layers, but for those that were condemned, and gets the new blobs and doc. After 0 all of it is visible;
 * after an error or a crash nothing.
 */
int store_image_publish(struct store_lease *l, const struct store_image *image, const char *const *refs,
			size_t n_refs, struct err *err);
/* Binds one more name to an image that is there (tag). NOT_FOUND. */
int store_ref_set(struct store *s, const char *ref, const char *image_id, struct err *err);
/* Removes one name; the image stays. */
int store_ref_remove(struct store *s, const char *ref, struct err *err);
/* Removes the image with all its names; what only it held goes, layers under snapshots stay. */
int store_image_remove(struct store *s, const char *id, struct err *err);
/*
 * Images that no snapshot stands on and that nothing has used since `before` (real ns; pulled,
 * and containers coming and going, are uses), least recently used first. Heap: an array that
 * ends with NULL, each text and itself.
 */
int store_image_idle(struct store *s, int64_t before, char ***ret, struct err *err);
/* store_image_remove, unless a snapshot stands on it or it was used since: 1 removed, 0 not. */
int store_image_remove_idle(struct store *s, const char *id, int64_t before, struct err *err);
/* fn(id, doc, refs, n): every image, oldest first; as with records. */
typedef int (*store_image_fn)(const char *id, const char *doc, char **refs, size_t n_refs, void *user);
int store_image_list(struct store *s, store_image_fn fn, void *user, struct err *err);
/* The layers of an image, bottom first, heap. NOT_FOUND. */
int store_image_layers(struct store *s, const char *id, struct store_layer **ret, size_t *ret_n,
		       struct err *err);
