/*
 * CreateTaskRequest.rootfs: how the root file system of a container is put together.
 *
 * A single overlay whose options the runtime knows is handed to the runtime, which mounts it
 * inside the container's mount namespace only: the host's mount table stays as it is.
 * Anything else (bind mounts, overlay options of a foreign snapshotter) is mounted at
 * <bundle>/rootfs on the host, and undone by rootfs_unmount.
 *
 * The parsers do no I/O. Options come from the snapshotter of whoever drives the shim.
 */
#pragma once

#include "runtime/runtime.h"

struct rootfs_mount {
	const char *type, *source, *target; /* target: below the rootfs, "" itself */
	const char *const *options;
	size_t n_options;
};

/*
 * 1: *ret is the overlay that the options describe (in the arena). 0: they say something that
 * struct runtime_overlay cannot. Negative: no overlay at all (no lowerdir, a relative
 * path, upperdir without workdir).
 */
int rootfs_parse_overlay(const char *const *options, size_t n, struct arena *a, struct runtime_overlay *ret,
			 struct err *err);

/* mount(2)'s flags, and what is left as data (comma-separated, in the arena). */
int rootfs_parse_options(const char *const *options, size_t n, struct arena *a, unsigned long *ret_flags,
			 char **ret_data, struct err *err);

/* On the host, in a job. After a failure nothing is mounted. */
int rootfs_mount(const struct rootfs_mount *mounts, size_t n, const char *bundle, struct err *err);
/* All that is mounted at <bundle>/rootfs; nothing is success. */
int rootfs_unmount(const char *bundle, struct err *err);
