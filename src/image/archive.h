/*
 * Archives that are no images: checkpoints of containers, with their files and their changed root.
 * Worker threads; blocks. Written by us for us and for other runtimes; read, they are as
 * hostile as a layer, and bounded like one.
 */
#pragma once

#include "base/base.h"

struct archive_writer;

/* A tar file of mode 0600 that appears under its name when it is closed, whole. EXISTS is none: it
 * replaces. Errors name the path. */
int archive_create(const char *path, struct archive_writer **ret, struct err *err);
/* A small file of these bytes. */
int archive_add_text(struct archive_writer *w, const char *name, const void *data, size_t len,
		     struct err *err);
/* The regular file at path. One that is not there is left out. */
int archive_add_file(struct archive_writer *w, const char *name, const char *path, struct err *err);
/* The same beneath a directory that others write to as well: no link is followed below it, and what
 * can be reached by links alone is not there. */
int archive_add_beneath(struct archive_writer *w, const char *name, const char *dir, const char *path,
			struct err *err);
/*
 * Everything below the directory, "prefix/" in front of each name. `layer`: it is the upper directory of an
 * overlay; what it hides is written as a layer says it (.wh.name), attributes of overlay are left out.
 */
int archive_add_tree(struct archive_writer *w, const char *prefix, const char *path, bool layer,
		     struct err *err);
/* What the layers that were added hide, as absolute paths in them; the writer's. What an opaque directory hides is
 * said by its marker alone. */
char *const *archive_hidden(const struct archive_writer *w, size_t *ret_n);
/* On disk, durably, and under its name. */
int archive_close(struct archive_writer *w, struct err *err);
/* What was begun and not closed goes. NULL is fine. */
void archive_abandon(struct archive_writer *w);

static inline void archive_abandon_ptr(struct archive_writer **w)
{
	archive_abandon(*w);
}

/* Appends the entry of that name to out; NOT_FOUND. Only the part of the file before it is read. */
int archive_read_text(const char *path, const char *name, struct buf *out, struct err *err);
/* The whole of it into a directory that exists and is empty, as a layer is unpacked: nothing outside of
 * it is touched, markers of layers become overlay's. Plain or gzip or zstd. */
int archive_extract(const char *path, const char *dir, struct err *err);
