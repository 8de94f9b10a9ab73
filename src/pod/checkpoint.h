/*
 * Checkpoints: a container or a pod as one archive, and the way back. The layout is that of
 * the other runtimes (checkpointctl reads it):
 *
 *	config.dump, spec.dump, status.dump, status   what it was (dumps.h)
 *	checkpoint/                                    CRIU's images
 *	rootfs-diff.tar                                what it changed in its root, as a layer
 *	deleted.files                                  what of its image it removed, which the layer says, too
 *	container.log, dump.log, stats-dump            its log, CRIU's log and figures
 *
 * A pod's archive holds pod.options, pod.dump, and for each container one such archive (name.tar) and its
 * request (name.json). Worker threads.
 */
#pragma once

#include "pod/manager.h"

struct image;

/* An absolute path of an archive in the place of an image. */
bool pod_checkpoint_is_archive(const char *image);

/*
 * Whether the container is to be restored: from an archive, or from an image whose one layer is the content of
 * such an archive, as tools for checkpoints build them. *image is that of the request (NULL for an archive), and is
 * replaced by the one that the checkpoint was made over; *ret_from is the archive, the id of the image that holds the
 * checkpoint, or NULL when it is an image like any other.
 */
int pod_checkpoint_resolve(struct pod_manager *m, const char *name, struct image **image, struct arena *a,
			   char **ret_from, struct err *err);
/* Makes it ready, and puts what was changed into the snapshot's upper directory. */
int pod_checkpoint_prepare(struct pod_container *c, const char *from, const char *upper, struct err *err);
/* The images to start it from, or NULL. */
char *pod_checkpoint_of(const struct pod_container *c, struct arena *a);
/* It was restored, or will not be. */
int pod_checkpoint_forget(const struct pod_container *c, struct err *err);
/* Of a container or a restore that nobody knows. */
int pod_checkpoint_sweep(struct pod_manager *m, const char *id);
/* A directory of its own below checkpoints_dir, empty. */
int pod_checkpoint_dir(struct pod_manager *m, const char *id, const char *name, struct arena *a, char **ret,
		       struct err *err);
