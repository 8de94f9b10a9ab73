/*
 * Checkpoints: a container or a pod as one archive, and the way back. The layout is that of
 * the other runtimes (checkpointctl reads it):
 *
 *	config.dump, spec.dump, status.dump, status   what it was
 *	checkpoint/                                    CRIU's images
 *	rootfs-diff.tar                                what it changed in its root, as a layer
 *	container.log, dump.log                        its log, CRIU's log
 *
 * A pod's archive holds pod.options, pod.dump, and for each container one such archive (name.tar) and its
 * request (name.json). Worker threads.
 */
#pragma once

#include "pod/manager.h"

/* An absolute path of an archive in the place of an image: the image that it is to be restored over. */
bool pod_checkpoint_is_archive(const char *image);
int pod_checkpoint_image(const char *archive, struct arena *a, char **ret_image, struct err *err);

/* Unpacks it beside the bundle, and what was changed into the snapshot's upper directory. */
int pod_checkpoint_unpack(struct pod_container *c, const char *archive, const char *upper, struct err *err);
/* The images to start it from, or NULL. */
char *pod_checkpoint_of(const struct pod_container *c, struct arena *a);
/* It was restored, or will not be. */
void pod_checkpoint_used(const struct pod_container *c);
