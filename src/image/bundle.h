/*
 * Where an exported image goes: named files, into a directory or a tar file. A tar file is
 * written beside its name and gets it when all is in it; what /proc shows of a process's
 * descriptor ("/proc/7/fd/1") is written as it is.
 */
#pragma once

#include "base/base.h"

struct bundle;

/* directory: must be absent or empty. EXISTS. */
int bundle_new(const char *path, bool directory, struct bundle **ret, struct err *err);
/* One file with the first `size` bytes of fd; the same name twice is written once. */
int bundle_put(struct bundle *b, const char *name, int fd, uint64_t size, struct err *err);
int bundle_put_text(struct bundle *b, const char *name, const void *text, size_t len, struct err *err);
int bundle_finish(struct bundle *b, struct err *err);
/* Unfinished: what was written goes. NULL is fine. */
void bundle_free(struct bundle *b);
