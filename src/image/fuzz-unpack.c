/*
 * Any bytes as a layer: decompressed, read as tar and unpacked into a directory of its own,
 * beside which a file lies that must never change.
 */
#include "image/unpack.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct image_limits limits = { .layer_bytes = 1 << 22, .layer_entries = 1000,
						    .layer_ratio = 1000 };
	CLEANUP(unpack_result_done) struct unpack_result res = UNPACK_RESULT_INIT;
	static char base[40];
	struct source_inflate *z;
	struct source_mem mem;
	struct err err = ERR_INIT;
	struct stat before, after;
	autofd int fd = -EBADF, dir = -EBADF;

	if (!*base) {
		/* in memory where that is possible: thousands of trees are made and removed */
		snprintf(base, sizeof(base), "%s/fuzz-unpack-XXXXXX",
			 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
		if (!mkdtemp(base))
			return 0;
	}
	fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && mkdir(base, 0700) == 0)
		fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(fd >= 0);
	assert(sys_file_replace(fd, "beside", "x", 1, 0600, false) == 0);
	assert(fstatat(fd, "beside", &before, AT_SYMLINK_NOFOLLOW) == 0);
	assert(mkdirat(fd, "layer", 0700) == 0);
	dir = openat(fd, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	source_mem_init(&mem, data, size);
	z = source_inflate_new(&mem.source, limits.layer_bytes, limits.layer_ratio);
	if (unpack_layer(dir, source_inflate_source(z), &limits, &res, &err) < 0)
		assert(err.kind != ERR_NONE);
	source_inflate_free(z);
	assert(fstatat(fd, "beside", &after, AT_SYMLINK_NOFOLLOW) == 0);
	assert(before.st_mode == after.st_mode && before.st_nlink == after.st_nlink &&
	       before.st_size == after.st_size);
	assert(sys_remove_tree(AT_FDCWD, base) == 0);
	return 0;
}
