/*
 * The texts in a checkpoint's archive that say what the container or pod was, under the names and in the
 * members that checkpointctl and the other runtimes read:
 *
 *	config.dump   its names, its image, times
 *	status.dump   the CRI's ContainerStatus
 *	status        times, exit code and process, as containerd keeps them
 *	deleted.files paths that it has removed of its image
 *	pod.dump      the pod's configuration, as the record has it, and its metadata beside it
 *
 * What is read (config.dump, deleted.files) is as hostile as the archive. Any thread.
 */
#pragma once

#include "pod/pod.h"

enum { DUMP_MAX = 1 << 20, DUMP_IMAGES = 3 };

struct dumps {
	struct buf config, status_dump, status;
};

#define DUMPS_INIT { BUF_INIT(DUMP_MAX), BUF_INIT(DUMP_MAX), BUF_INIT(DUMP_MAX) }

void dumps_done(struct dumps *d);
/* As the container is now. Under pod_lock. */
int dumps_container(const struct pod_container *c, struct dumps *ret, struct err *err);
/* Under pod_lock. */
int dumps_pod(const struct pod_sandbox *p, struct buf *out, struct err *err);
void dumps_deleted(char *const *paths, size_t n, struct buf *out);

/* The names of the image that it was made over, the surest first; NULL ends them. */
int dumps_image(const struct buf *config, struct arena *a, const char *ret[DUMP_IMAGES + 1], struct err *err);
int dumps_deleted_read(const struct buf *text, struct arena *a, char ***ret, size_t *ret_n, struct err *err);
